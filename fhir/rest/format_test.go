package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
)

// sameResource compares JSON with XML: sorted by member.
func sameResource(t *testing.T, json, xml []byte) {
	t.Helper()
	a, err := resource.Decode(json)
	if err != nil {
		t.Fatalf("not JSON: %v\n%s", err, json)
	}
	b, err := resource.DecodeXML(xml)
	if err != nil {
		t.Fatalf("not XML: %v\n%s", err, xml)
	}
	sortMembers(a)
	sortMembers(b)
	if x, y := string(a.JSON()), string(b.JSON()); x != y {
		t.Errorf("JSON says %s\nXML says %s", x, y)
	}
}

func sortMembers(n *resource.Node) {
	slices.SortFunc(n.Fields, func(a, b resource.Field) int { return strings.Compare(a.Name, b.Name) })
	for i := range n.Fields {
		sortMembers(&n.Fields[i].Node)
	}
	for i := range n.Items {
		sortMembers(&n.Items[i])
	}
}

// toXML is JSON as XML.
func toXML(tb testing.TB, json string) string {
	tb.Helper()
	doc, err := resource.XML([]byte(json), true)
	if err != nil {
		tb.Fatal(err)
	}
	return string(doc)
}

// TestXMLOfEveryInteraction: each request says the same in XML as in JSON, sent
// and answered, with the same headers.
func TestXMLOfEveryInteraction(t *testing.T) {
	transaction := bundleOf("transaction",
		entryOf("urn:uuid:11111111-1111-4111-8111-111111111111", "POST", "Patient", `{"resourceType":"Patient","name":[{"family":"Wren"}]}`),
		entryOf("", "POST", "Observation", observationOf("urn:uuid:11111111-1111-4111-8111-111111111111")),
		entryOf("", "GET", "Patient/ada", ""))
	tests := []struct {
		name   string
		call   call
		status int
	}{
		{"read", call{"GET", "/Observation/weight", nil, ""}, 200},
		{"read of elements", call{"GET", "/Observation/weight?_elements=status", nil, ""}, 200},
		{"read of what is absent", call{"GET", "/Observation/none", nil, ""}, 404},
		{"vread", call{"GET", "/Patient/ada/_history/1", nil, ""}, 200},
		{"create", call{"POST", "/Patient", nil, `{"resourceType":"Patient","name":[{"family":"Wren","given":["A","B"]}]}`}, 201},
		{"create that is refused", call{"POST", "/Patient", nil, `{"resourceType":"Patient","gender":"m"}`}, 400},
		{"create with an outcome", call{"POST", "/Patient", []string{"Prefer: return=OperationOutcome"}, `{"resourceType":"Patient"}`}, 201},
		{"update", call{"PUT", "/Observation/weight", nil, strings.Replace(weight, "71.50", "1.0e2", 1)}, 200},
		{"conditional update", call{"PUT", "/Patient?identifier=1815", nil, adaV1}, 200},
		{"search", call{"GET", "/Observation?code=29463-7", nil, ""}, 200},
		{"search by form", call{"POST", "/Observation/_search", []string{"Content-Type: application/x-www-form-urlencoded"}, "code=29463-7"}, 200},
		{"search of the system", call{"GET", "?_type=Patient,Observation", nil, ""}, 200},
		{"search that is refused", call{"GET", "/Observation?cod=1", nil, ""}, 400},
		{"history of a resource", call{"GET", "/Patient/ada/_history", nil, ""}, 200},
		{"history of a type", call{"GET", "/Patient/_history", nil, ""}, 200},
		{"history of everything", call{"GET", "/_history", nil, ""}, 200},
		{"capabilities", call{"GET", "/metadata", nil, ""}, 200},
		{"transaction", call{"POST", "", nil, transaction}, 200},
		{"batch", call{"POST", "", nil, bundleOf("batch", entryOf("", "GET", "Patient/ada", ""), entryOf("", "GET", "Patient/none", ""))}, 200},
		{"transaction that fails", call{"POST", "", nil, bundleOf("transaction", entryOf("", "POST", "Patient", `{"resourceType":"Patient","active":7}`))}, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// Two servers alike, so that ids and times are the same.
			inJSON, inXML := newAPI(t), newAPI(t)
			inJSON.seed()
			inXML.seed()
			inJSON.frozen.Store(true)
			inXML.frozen.Store(true)
			want := inJSON.do(test.call)
			in := test.call
			in.headers = append([]string{"Accept: application/fhir+xml"}, in.headers...)
			if strings.HasPrefix(in.body, "{") && !strings.Contains(in.body, `"active":7`) {
				in.body = toXML(t, in.body)
				in.headers = append(in.headers, "Content-Type: application/fhir+xml")
			}
			got := inXML.do(in)
			if want.Code != test.status || got.Code != test.status {
				t.Fatalf("status %d in JSON, %d in XML, want %d: %s", want.Code, got.Code, test.status, got.Body)
			}
			sameResource(t, want.Body.Bytes(), got.Body.Bytes())
			if ct := got.Header().Get("Content-Type"); ct != "application/fhir+xml; charset=utf-8" {
				t.Errorf("Content-Type is %q", ct)
			}
			for _, name := range []string{"ETag", "Last-Modified", "Location"} {
				if got.Header().Get(name) != want.Header().Get(name) {
					t.Errorf("%s is %q in XML, %q in JSON", name, got.Header().Get(name), want.Header().Get(name))
				}
			}
		})
	}
}

// TestFormats: which format an answer has, beside Accept and _format.
func TestFormats(t *testing.T) {
	a := newAPI(t)
	a.seed()
	doc := toXML(t, plain)
	tests := []struct {
		name string
		call call
		want string
	}{
		{"as the body", call{"POST", "/Patient", []string{"Content-Type: application/xml"}, doc}, "application/fhir+xml"},
		{"as the body, if anything is accepted", call{"POST", "/Patient", []string{"Content-Type: text/xml", "Accept: */*"}, doc}, "application/fhir+xml"},
		{"as accepted, whatever the body", call{"POST", "/Patient", []string{"Content-Type: application/fhir+xml", "Accept: application/fhir+json"}, doc}, "application/fhir+json"},
		{"as accepted, XML for JSON", call{"POST", "/Patient", []string{"Accept: application/xml"}, plain}, "application/xml"},
		{"in a form", call{"POST", "/Patient/_search", []string{"Content-Type: application/x-www-form-urlencoded"}, "_format=xml"}, "application/fhir+xml"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rec := a.do(test.call)
			if got := rec.Header().Get("Content-Type"); rec.Code >= 300 || got != test.want+"; charset=utf-8" {
				t.Errorf("status %d and %q, want %s: %s", rec.Code, got, test.want, rec.Body)
			}
			if strings.HasPrefix(rec.Body.String(), "<") != strings.HasSuffix(test.want, "xml") {
				t.Errorf("the body is of another format: %s", rec.Body)
			}
		})
	}
}

// TestPrettyXML: lines and indents for people, in both formats, with the same
// content.
func TestPrettyXML(t *testing.T) {
	a := newAPI(t)
	a.seed()
	plainXML := a.must("GET", "/Patient/ada?_format=xml", "")
	pretty := a.must("GET", "/Patient/ada?_format=xml&_pretty=true", "")
	const want = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Patient xmlns=\"http://hl7.org/fhir\">\n  <id value=\"ada\"/>\n  <meta>\n    <versionId value=\"2\"/>"
	if !strings.HasPrefix(pretty.Body.String(), want) {
		t.Errorf("got %s", pretty.Body)
	}
	if strings.Contains(plainXML.Body.String(), "\n") {
		t.Errorf("lines where none were asked for: %s", plainXML.Body)
	}
	sameResource(t, a.must("GET", "/Patient/ada", "").Body.Bytes(), pretty.Body.Bytes())
}

// TestXMLCannotHoldIt: a character that XML does not have is told, not dropped.
func TestXMLCannotHoldIt(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Patient/odd", `{"resourceType":"Patient","id":"odd","name":[{"text":"a\uffffb"}]}`)
	rec := a.do(call{"GET", "/Patient/odd", []string{"Accept: application/fhir+xml"}, ""})
	if rec.Code != http.StatusNotAcceptable || !strings.Contains(rec.Body.String(), "ask for JSON") {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	valid(t, rec.Body.Bytes())
}

// document is a Bundle that is kept as it is. Its resources refer to each other,
// in one case by a search that only means something to who made it.
const document = `{"resourceType":"Bundle","id":"doc","identifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:0"},"type":"document","timestamp":"2026-01-01T00:00:00Z","entry":[
 {"fullUrl":"urn:uuid:33333333-3333-4333-8333-333333333333","resource":{"resourceType":"Composition","id":"c","status":"final","type":{"text":"x"},"subject":{"reference":"urn:uuid:44444444-4444-4444-8444-444444444444"},"date":"2026-01-01","author":[{"reference":"Patient?identifier=1815"}],"title":"x"}},
 {"fullUrl":"urn:uuid:44444444-4444-4444-8444-444444444444","resource":{"resourceType":"Patient","id":"p"}}]}`

// TestBundleAsResource: at /Bundle a Bundle of any type is stored and not carried
// out. https://hl7.org/fhir/R4/bundle.html
func TestBundleAsResource(t *testing.T) {
	a := newAPI(t)
	a.seed()
	a.must("PUT", "/Bundle/doc", document)
	// Not in a transaction that knows one of its identities either.
	a.must("POST", "", bundleOf("transaction",
		entryOf("urn:uuid:44444444-4444-4444-8444-444444444444", "POST", "Patient", `{"resourceType":"Patient"}`),
		entryOf("", "PUT", "Bundle/doc2", strings.Replace(document, `"id":"doc"`, `"id":"doc2"`, 1))))
	for _, id := range []string{"doc", "doc2"} {
		stored := a.must("GET", "/Bundle/"+id, "").Body.String()
		for _, want := range []string{`"author":[{"reference":"Patient?identifier=1815"}]`, `"subject":{"reference":"urn:uuid:44444444-4444-4444-8444-444444444444"}`, `"fullUrl":"urn:uuid:44444444`} {
			if !strings.Contains(stored, want) {
				t.Errorf("%s lacks %s: %s", id, want, stored)
			}
		}
	}
	if rec := a.must("GET", "/Bundle?identifier=urn:uuid:0&type=document&_summary=count", ""); !strings.Contains(rec.Body.String(), `"total":2`) {
		t.Errorf("the documents are not found: %s", rec.Body)
	}
	before := a.total("Patient")
	a.must("POST", "/Bundle", bundleOf("transaction", entryOf("", "POST", "Patient", `{"resourceType":"Patient"}`)))
	a.must("POST", "/Bundle", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient"}}]}`)
	if after := a.total("Patient"); after != before {
		t.Errorf("a stored Bundle was carried out: %d patients, %d before", after, before)
	}
	refused := map[string]string{
		"a document without a Composition":  strings.Replace(document, `"resourceType":"Composition","id":"c","status":"final","type":{"text":"x"},"subject":{"reference":"urn:uuid:44444444-4444-4444-8444-444444444444"},"date":"2026-01-01","author":[{"reference":"Patient?identifier=1815"}],"title":"x"`, `"resourceType":"Patient"`, 1),
		"a document without an identifier":  strings.Replace(document, `"identifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:0"},`, "", 1),
		"a document without a timestamp":    strings.Replace(document, `"timestamp":"2026-01-01T00:00:00Z",`, "", 1),
		"a message without a MessageHeader": `{"resourceType":"Bundle","id":"doc","type":"message","entry":[{"resource":{"resourceType":"Patient"}}]}`,
		"a collection with requests":        `{"resourceType":"Bundle","id":"doc","type":"collection","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"GET","url":"x"}}]}`,
	}
	for name, body := range refused {
		if rec := a.do(call{"PUT", "/Bundle/doc", nil, body}); rec.Code != 400 {
			t.Errorf("%s: status %d: %s", name, rec.Code, rec.Body)
		}
	}
}
