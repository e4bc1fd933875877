package rest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// labels returns the profiles, tags and labels of an answer of $meta, as text.
func labels(t *testing.T, body []byte) string {
	t.Helper()
	valid(t, body)
	var answer struct {
		Parameter []struct {
			Name      string
			ValueMeta struct {
				VersionID, LastUpdated string
				Profile                []string
				Security, Tag          []struct{ System, Code, Display string }
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range answer.Parameter {
		out = append(out, p.ValueMeta.Profile...)
		for _, tag := range slices.Concat(p.ValueMeta.Security, p.ValueMeta.Tag) {
			out = append(out, tag.System+"|"+tag.Code+tag.Display)
		}
	}
	return strings.Join(out, " ")
}

func tagged(id, subject, meta string) string {
	return strings.Replace(observation(id, subject), `"status"`, `"meta":`+meta+`,"status"`, 1)
}

// TestMetaInUse: of a type and of the system each value comes once, and only of
// what the caller may search.
func TestMetaInUse(t *testing.T) {
	a := newGuarded(t)
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Patient/bea", `{"resourceType":"Patient","id":"bea","meta":{"profile":["http://example.org/patient"]}}`)
	a.must("PUT", "/Observation/one", tagged("one", "ada", `{"profile":["http://example.org/a","http://example.org/b"],"tag":[{"system":"http://example.org/t","code":"x","display":"X"},{"code":"bare"}]}`))
	a.must("PUT", "/Observation/two", tagged("two", "ada", `{"tag":[{"system":"http://example.org/t","code":"x","display":"other"}],"security":[{"system":"http://example.org/s","code":"R"}]}`))
	a.must("PUT", "/Observation/her", tagged("her", "bea", `{"tag":[{"system":"http://example.org/t","code":"secret"}]}`))
	for i := range 120 { // more than are looked at in one round
		id := fmt.Sprintf("many-%03d", i)
		a.must("PUT", "/Observation/"+id, tagged(id, "ada", fmt.Sprintf(`{"tag":[{"system":"http://example.org/many","code":"%d"}]}`, i%7)))
	}
	many := ""
	for i := range 7 {
		many += fmt.Sprintf("http://example.org/many|%d ", i)
	}
	own := "http://example.org/a http://example.org/b http://example.org/s|R " + many
	tests := []struct{ name, scopes, path, want string }{
		{"a type", "all", "/Observation/$meta", own + "http://example.org/t|secret http://example.org/t|xX |bare"},
		{"the system", "all", "/$meta", "http://example.org/a http://example.org/b http://example.org/patient http://example.org/s|R " + many + "http://example.org/t|secret http://example.org/t|xX |bare"},
		{"a type without any", "all", "/Condition/$meta", ""},
		{"a type, for a patient", "patient/*.rs", "/Observation/$meta", own + "http://example.org/t|xX |bare"},
		{"the system, for a patient", "patient/*.rs", "/$meta", own + "http://example.org/t|xX |bare"},
	}
	for _, test := range tests {
		rec := a.as(test.scopes, call{"GET", test.path, nil, ""})
		if rec.Code != 200 {
			t.Errorf("%s: status %d: %s", test.name, rec.Code, rec.Body)
			continue
		}
		if got := labels(t, rec.Body.Bytes()); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
	for _, path := range []string{"/Observation/her/$meta", "/Observation/her/_history/1/$meta", "/Patient/bea/$meta"} {
		if rec := a.as("patient/*.rs", call{"GET", path, nil, ""}); rec.Code != 404 {
			t.Errorf("%s: status %d: %s", path, rec.Code, rec.Body)
		}
	}
	if rec := a.as("patient/Patient.rs", call{"GET", "/Observation/$meta", nil, ""}); rec.Code != 403 {
		t.Errorf("another type: status %d", rec.Code)
	}
}

// TestMetaChanges: profiles, tags and labels are sets, known by URL or by system
// and code.
func TestMetaChanges(t *testing.T) {
	a := newGuarded(t)
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Observation/one", tagged("one", "ada", `{"profile":["http://example.org/a"],"tag":[{"system":"http://example.org/t","code":"x","display":"X"}]}`))
	steps := []struct{ name, operation, meta, want, etag string }{
		{"what is there already is not added again", "add", `{"profile":["http://example.org/a"],"tag":[{"system":"http://example.org/t","code":"x","display":"other","version":"2"}]}`, "http://example.org/a http://example.org/t|xX", `W/"1"`},
		{"what is new is added once", "add", `{"profile":["http://example.org/b"],"security":[{"code":"R"},{"code":"R"}]}`, "http://example.org/a http://example.org/b |R http://example.org/t|xX", `W/"2"`},
		{"display does not count for a deletion", "delete", `{"tag":[{"system":"http://example.org/t","code":"x","display":"any"}],"profile":["http://example.org/none"]}`, "http://example.org/a http://example.org/b |R", `W/"3"`},
		{"another system is another tag", "delete", `{"security":[{"system":"http://example.org/t","code":"R"}]}`, "http://example.org/a http://example.org/b |R", `W/"3"`},
		{"the rest", "delete", `{"security":[{"code":"R"}],"profile":["http://example.org/a","http://example.org/b"]}`, "", `W/"4"`},
	}
	for _, step := range steps {
		rec := a.do(call{"POST", "/Observation/one/$meta-" + step.operation, nil, parametersOf(`{"name":"meta","valueMeta":` + step.meta + `}`)})
		if rec.Code != 200 {
			t.Fatalf("%s: status %d: %s", step.name, rec.Code, rec.Body)
		}
		if got := labels(t, rec.Body.Bytes()); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		if got := a.must("GET", "/Observation/one", "").Header().Get("ETag"); got != step.etag {
			t.Errorf("%s: version %s, want %s", step.name, got, step.etag)
		}
	}
	body := parametersOf(`{"name":"meta","valueMeta":{"tag":[{"code":"y"}]}}`)
	for _, test := range []struct {
		scopes, path string
		status       int
	}{
		{"patient/Observation.rs", "/Observation/one/$meta-add", 403},
		{"patient/Observation.rus", "/Observation/one/$meta-add", 200},
		{"patient/Observation.rus", "/Observation/none/$meta-add", 404},
		{"all", "/Observation/none/$meta-delete", 404},
	} {
		if rec := a.as(test.scopes, call{"POST", test.path, nil, body}); rec.Code != test.status {
			t.Errorf("%s of %s: status %d, want %d: %s", test.path, test.scopes, rec.Code, test.status, rec.Body)
		}
	}
}

// TestValidateAccess: validation says what the caller may do, and nothing of what
// they may not see.
func TestValidateAccess(t *testing.T) {
	a := newGuarded(t)
	a.records()
	const path = "/Observation/other/$validate"
	tests := []struct {
		name, scopes, path, body string
		status                   int
		part                     string // of the answer
	}{
		{"a create of their own", "patient/Observation.c", "/Observation/$validate?mode=create", observation("", "ada"), 200, "would be carried out"},
		{"a create in another record", "patient/Observation.c", "/Observation/$validate?mode=create", observation("", "bea"), 200, `"forbidden"`},
		{"a create without the right", "patient/Observation.rs", "/Observation/$validate?mode=create", observation("", "ada"), 200, `"forbidden"`},
		{"an update of another's is one of nothing", "patient/Observation.cruds", path + "?mode=update", observation("other", "ada"), 200, "there is no Observation/other"},
		{"what is stored of another's", "patient/Observation.cruds", path, "", 404, "there is no Observation/other"},
		{"a deletion of another's is one of nothing", "patient/Observation.cruds", path + "?mode=delete", "", 200, "would be carried out"},
		{"a deletion of what is shared", "patient/Observation.cruds", "/Observation/both1/$validate?mode=delete", "", 200, `"forbidden"`},
		{"without any right", "", "/Observation/$validate", observation("", "ada"), 403, "not allowed"},
	}
	for _, test := range tests {
		method := "POST"
		if test.status == 404 {
			method = "GET"
		}
		rec := a.as(test.scopes, call{method, test.path, nil, test.body})
		if rec.Code != test.status || !strings.Contains(rec.Body.String(), test.part) {
			t.Errorf("%s: status %d, want %d and %q: %s", test.name, rec.Code, test.status, test.part, rec.Body)
		}
	}
	if rec := a.do(call{"GET", "/Observation/own-1/_history", nil, ""}); strings.Count(rec.Body.String(), `"versionId"`) != 1 {
		t.Errorf("a validation has written: %s", rec.Body)
	}
}
