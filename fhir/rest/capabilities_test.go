package rest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

func TestCapabilities(t *testing.T) {
	a := newAPI(t)
	body := a.must("GET", "/metadata", "").Body.Bytes()
	valid(t, body)
	root, err := resource.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	rest := root.List("rest")[0]
	var types []string
	for _, entry := range rest.List("resource") {
		types = append(types, entry.Str("type"))
		if entry.Str("type") == "Patient" {
			golden.JSON(t, "testdata/capabilities-patient.json", entry.JSON())
		}
	}
	if want := resource.Types(); !slices.Equal(types, want) {
		t.Errorf("the types are %v, want %v", types, want)
	}
	rest.Remove("resource")
	for i := range root.List("rest") {
		root.List("rest")[i] = rest
	}
	golden.JSON(t, "testdata/capabilities.json", root.JSON())

	if rec := a.do(call{method: "GET", path: "/metadata?mode=terminology"}); rec.Code != 400 {
		t.Errorf("mode=terminology: status %d", rec.Code)
	}
}

// A client that finds patients' data by the CapabilityStatement needs the
// parameter "patient" listed for each type that has it.
func TestCapabilitiesListPatientParameters(t *testing.T) {
	a := newAPI(t)
	var statement struct {
		Rest []struct {
			Resource []struct {
				Type        string
				SearchParam []struct{ Name, Definition, Type string }
			}
		}
	}
	if err := json.Unmarshal(a.must("GET", "/metadata", "").Body.Bytes(), &statement); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"Observation": true, "MolecularSequence": true, "MedicationRequest": true}
	for _, r := range statement.Rest[0].Resource {
		for _, p := range r.SearchParam {
			if p.Name == "patient" && p.Type == "reference" && p.Definition != "" {
				delete(want, r.Type)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no parameter patient for %v", want)
	}
}

// statementClaims is what a client reads of the CapabilityStatement.
type statementClaims struct {
	PatchFormat []string
	Rest        []struct {
		Interaction []struct{ Code string }
		Compartment []string
		Operation   []struct{ Name, Definition string }
		SearchParam []struct{ Name, Type string }
		Resource    []struct {
			Type                            string
			Interaction                     []struct{ Code string }
			SearchInclude, SearchRevInclude []string
			SearchParam                     []struct{ Name, Type, Documentation string }
			Operation                       []struct{ Name, Definition string }
		}
	}
}

// TestEveryClaimIsTrue asks for each thing that the CapabilityStatement claims,
// of every type: the server must know it.
func TestEveryClaimIsTrue(t *testing.T) {
	a := newAPI(t)
	var claims statementClaims
	if err := json.Unmarshal(a.must("GET", "/metadata", "").Body.Bytes(), &claims); err != nil {
		t.Fatal(err)
	}
	rest := claims.Rest[0]
	// know sends a request that must not be refused as unknown.
	know := func(in call, allowed ...int) {
		t.Helper()
		rec := a.do(in)
		if slices.Contains(allowed, rec.Code) || rec.Code == http.StatusOK {
			return
		}
		t.Errorf("%s %.200s: status %d: %.300s", in.method, in.path, rec.Code, rec.Body)
	}
	requests := map[string]call{
		"read": {"GET", "/:type/x", nil, ""}, "vread": {"GET", "/:type/x/_history/1", nil, ""}, "delete": {"DELETE", "/:type/x", nil, ""},
		"update": {"PUT", "/:type/x", nil, `{"resourceType":":type","id":"x"}`}, "create": {"POST", "/:type", nil, `{"resourceType":":type"}`},
		"patch":       {"PATCH", "/:type/x", []string{"Content-Type: application/json-patch+json"}, `[]`},
		"search-type": {"GET", "/:type?_count=1", nil, ""}, "history-instance": {"GET", "/:type/x/_history", nil, ""}, "history-type": {"GET", "/:type/_history", nil, ""},
		"transaction": {"POST", "", nil, `{"resourceType":"Bundle","type":"transaction"}`}, "batch": {"POST", "", nil, `{"resourceType":"Bundle","type":"batch"}`},
		"search-system": {"GET", "?_id=x", nil, ""}, "history-system": {"GET", "/_history", nil, ""},
	}
	// That there is no such resource, and that one without its elements is invalid,
	// is said by interactions that are known.
	answers := map[string][]int{
		"read": {404, 410}, "vread": {404, 410}, "delete": {204}, "update": {201, 400}, "create": {201, 400}, "patch": {404, 410}, "history-instance": {404},
	}
	ask := func(code, typ string) {
		t.Helper()
		in, known := requests[code]
		if !known {
			t.Errorf("this test does not know the interaction %q", code)
			return
		}
		in.path, in.body = strings.ReplaceAll(in.path, ":type", typ), strings.ReplaceAll(in.body, ":type", typ)
		know(in, answers[code]...)
	}
	for _, i := range rest.Interaction {
		ask(i.Code, "")
	}
	for _, r := range rest.Resource {
		for _, i := range r.Interaction {
			ask(i.Code, r.Type)
		}
		for name, includes := range map[string][]string{"_include": r.SearchInclude, "_revinclude": r.SearchRevInclude} {
			for part := range slices.Chunk(includes, 32) {
				know(call{method: "GET", path: "/" + r.Type + "?_id=x&" + name + "=" + strings.Join(part, "&"+name+"=")})
			}
		}
		for part := range slices.Chunk(r.SearchParam, 20) {
			var query []string
			for _, p := range part {
				if p.Type != "composite" && p.Type != "special" {
					query = append(query, url.QueryEscape(p.Name)+":missing=true")
				}
			}
			know(call{method: "GET", path: "/" + r.Type + "?_id=x&" + strings.Join(query, "&")})
		}
		for _, op := range r.Operation {
			if op.Definition == "" {
				t.Errorf("$%s of %s has no definition", op.Name, r.Type)
			}
			known := false
			for _, path := range []string{"/" + r.Type + "/$" + op.Name, "/" + r.Type + "/x/$" + op.Name} {
				for _, method := range []string{"GET", "POST"} {
					_, _, err := a.server.find(method, split(path))
					known = known || err == nil
				}
			}
			if !known {
				t.Errorf("$%s of %s is claimed, and not served", op.Name, r.Type)
			}
		}
	}
	for _, op := range rest.Operation {
		know(call{method: "GET", path: "/$" + op.Name})
	}
	for _, p := range rest.SearchParam {
		if query, ok := map[string]string{"_filter": "_filter=_id eq x", "_has": "_has:Observation:focus:_id=x", "_list": "_list=x", "_content": "_content=word"}[p.Name]; ok {
			name, value, _ := strings.Cut(query, "=")
			know(call{method: "GET", path: "?_id=x&" + name + "=" + url.QueryEscape(value)}, map[string]int{"_list": 400}[p.Name])
			continue
		}
		know(call{method: "GET", path: "?_id=x&" + p.Name + ":missing=false"})
	}
	if len(rest.Compartment) != len(compartments) {
		t.Errorf("compartments %v", rest.Compartment)
	}
	for _, of := range rest.Compartment {
		typ := strings.ToUpper(of[strings.LastIndexByte(of, '/')+1:][:1]) + of[strings.LastIndexByte(of, '/')+2:]
		know(call{method: "GET", path: "/" + typ + "/x/*"}, 404, 410)
		know(call{method: "GET", path: "/" + typ + "/x/Observation"}, 404, 410)
	}
	for _, format := range claims.PatchFormat {
		rec := a.do(call{"PATCH", "/Patient/x", []string{"Content-Type: " + format}, "x"})
		if rec.Code == http.StatusUnsupportedMediaType {
			t.Errorf("a patch as %s: status %d", format, rec.Code)
		}
	}
}
