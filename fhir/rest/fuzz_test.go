package rest

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzBundle posts anything as a Bundle. Whatever it is, the server answers
// with valid FHIR and never with a fault of its own, and a transaction's answer
// has as many entries as the transaction.
func FuzzBundle(f *testing.F) {
	const urn = "urn:uuid:77777777-7777-4777-8777-777777777777"
	for _, seed := range []string{
		bundleOf("transaction", entryOf(urn, "POST", "Patient", plain), entryOf("", "POST", "Observation", observationOf(urn))),
		bundleOf("transaction", entryOf("", "PUT", "Patient?identifier=1", plain), entryOf("", "DELETE", "Patient/x", "")),
		bundleOf("transaction", entryOf("http://a.example/fhir/Patient/1", "POST", "Patient", plain, `"ifNoneExist":"identifier=1"`),
			entryOf("http://a.example/fhir/Observation/1", "POST", "Observation", observationOf("Patient/1"))),
		bundleOf("batch", entryOf("", "GET", "Patient?name=x", ""), entryOf("", "GET", "Patient/x/_history/1", ""), entryOf("", "GET", "metadata", "")),
		bundleOf("batch", `{"request":{"method":"GET","url":"Patient/../x"}}`, `null`, `{}`),
		bundleOf("collection"),
		`{"resourceType":"Bundle","type":"transaction","entry":null}`,
	} {
		f.Add([]byte(seed))
	}
	a := newAPI(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		rec := a.do(call{"POST", "", nil, string(data)})
		if rec.Code >= 500 || strings.Contains(rec.Body.String(), `"status":"500`) {
			t.Fatalf("status %d: %s\n%s", rec.Code, rec.Body, a.log)
		}
		valid(t, rec.Body.Bytes())
		if rec.Code != 200 {
			return
		}
		var in, out struct{ Entry []any }
		if json.Unmarshal(data, &in) != nil {
			return
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || len(in.Entry) != len(out.Entry) {
			t.Fatalf("%d entries, %d answers: %s", len(in.Entry), len(out.Entry), rec.Body)
		}
	})
}

// FuzzURL gets anything below the base.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"/Patient/ada", "/Patient/ada/_history/1", "/Patient?name=x&_count=1", "/Observation?date=ge2020&_sort=-date",
		"?_type=Patient", "/_history?_since=2020-01-01", "/Patient/ada?_elements=name", "/Patient?_cursor=x", "//", "/Patient/%2e%2e/x", "/Patient/$validate",
	} {
		f.Add(seed)
	}
	a := newAPI(f)
	a.seed()
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.Parse(testBase + path)
		if err != nil {
			return
		}
		r := httptest.NewRequest("GET", "/fhir", nil)
		r.URL, r.RequestURI = u, u.RequestURI()
		rec := httptest.NewRecorder()
		a.handler.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Fatalf("status %d: %s\n%s", rec.Code, rec.Body, a.log)
		}
		if rec.Code != 204 && rec.Code != 304 && strings.HasPrefix(u.Path, "/fhir/") {
			valid(t, rec.Body.Bytes())
		}
	})
}
