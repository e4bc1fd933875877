package rest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

func TestSearch(t *testing.T) {
	form := []string{"Content-Type: application/x-www-form-urlencoded"}
	tests := []struct {
		name   string
		call   call
		status int
		golden string
	}{
		{"by type", call{"GET", "/Observation?patient=ada&code=http://loinc.org|29463-7", nil, ""}, 200, "search.json"},
		{"by form", call{"POST", "/Observation/_search", form, "patient=ada&code=http%3A%2F%2Floinc.org%7C29463-7"}, 200, "search.json"},
		{"by form and URL together", call{"POST", "/Observation/_search?patient=ada", form, "code=http%3A%2F%2Floinc.org%7C29463-7"}, 200, "search.json"},
		{"without a match", call{"GET", "/Patient?name=nobody", nil, ""}, 200, "search-none.json"},
		{"by a bad id", call{"GET", "/Patient?_id=a_b", nil, ""}, 200, "search-bad-id.json"},
		{"first page", call{"GET", "/Observation?_count=0", nil, ""}, 200, "search-count-0.json"},
		{"count only", call{"GET", "/Observation?_summary=count", nil, ""}, 200, "search-count.json"},
		{"some elements", call{"GET", "/Observation?_id=weight&_elements=code", nil, ""}, 200, "search-elements.json"},
		{"unknown parameter", call{"GET", "/Patient?nmae=x", nil, ""}, 400, "search-unknown.json"},
		{"unknown parameter, lenient", call{"GET", "/Patient?nmae=x&_id=ada", []string{"Prefer: handling=lenient"}, ""}, 200, "search-lenient.json"},
		{"bad value", call{"GET", "/Patient?birthdate=soon", nil, ""}, 400, "search-bad-value.json"},
		{"bad escape", call{"GET", "/Patient?name=%zz", nil, ""}, 400, "search-bad-escape.json"},
		{"bad cursor", call{"GET", "/Patient?_cursor=abc", nil, ""}, 400, "search-bad-cursor.json"},
		{"unknown type", call{"GET", "/patient?name=x", nil, ""}, 404, "search-unknown-type.json"},
		{"whole system", call{"GET", "?_type=Patient,Observation&_id=ada,weight", nil, ""}, 200, "search-system.json"},
		{"whole system by form", call{"POST", "/_search", form, "_type=Patient,Observation&_id=ada,weight"}, 200, "search-system.json"},
		{"form that asks for Turtle", call{"POST", "/Patient/_search", form, "_id=ada&_format=ttl"}, 406, "search-form-ttl.json"},
		{"several faults", call{"GET", "/Patient?nmae=x&birthdate=soon&name:exact=x", nil, ""}, 400, "search-faults.json"},
		{"unknown element", call{"GET", "/Patient?_elements=name,nmae", nil, ""}, 400, "search-elements-unknown.json"},
		{"elements by other names", call{"GET", "/Observation?_id=weight&_elements=value,effectiveDateTime,id", nil, ""}, 200, "search-elements-choice.json"},
		{"form with a wrong type", call{"POST", "/Patient/_search", []string{"Content-Type: text/plain"}, "name=x"}, 415, "search-form-type.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.seed()
			check(t, a.do(test.call), test.status, nil, test.golden)
		})
	}
}

// TestFormChoosesTheFormat: a body of POST _search says what a URL would.
func TestFormChoosesTheFormat(t *testing.T) {
	a := newAPI(t)
	a.seed()
	rec := a.must("POST", "/Patient/_search", "_id=ada&_format=application/json&_pretty=true", "Content-Type: application/x-www-form-urlencoded")
	if got := rec.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	if !strings.Contains(rec.Body.String(), "\n  \"resourceType\"") {
		t.Errorf("not laid out: %.80s", rec.Body)
	}
}

// TestOwnAbsoluteReferences: what refers to a patient by our own URL is the
// patient's, and keeps the URL.
func TestOwnAbsoluteReferences(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Patient/ada", adaV1)
	reference := testBase + "/Patient/ada"
	a.must("POST", "/Observation", observationOf(reference))
	for _, query := range []string{"patient=ada", "subject=Patient/ada", "subject=" + reference} {
		if found := a.page("/Observation?" + query); len(found.Entry) != 1 {
			t.Errorf("%s finds %d", query, len(found.Entry))
		}
	}
	seen, _, err := a.server.Query(t.Context(), search.FullAccess(), "Observation?patient=ada")
	if err != nil || len(seen) != 1 {
		t.Fatalf("%d found: %v", len(seen), err)
	}
	if got := seen[0].Patients; len(got) != 1 || got[0] != "ada" {
		t.Errorf("compartments %q, want ada", got)
	}
	if !strings.Contains(string(seen[0].JSON), reference) {
		t.Errorf("the reference was changed: %s", seen[0].JSON)
	}
}

// TestApproximateDates: ap reaches further the longer ago a date is.
func TestApproximateDates(t *testing.T) {
	a := newAPI(t)                       // now is 2026-01-02
	a.must("PUT", "/Patient/ada", adaV1) // 1965-12-10
	for query, want := range map[string]int{"ap1969": 1, "ap1980": 0, "ap1965-12-10": 1} {
		if n := len(a.page("/Patient?birthdate=" + query).Entry); n != want {
			t.Errorf("birthdate=%s finds %d, want %d", query, n, want)
		}
	}
}

type page struct {
	Total *int `json:"total"`
	Link  []struct{ Relation, URL string }
	Entry []struct {
		FullURL  string `json:"fullUrl"`
		Resource struct{ ID string }
	}
}

func (p page) link(relation string) string {
	for _, l := range p.Link {
		if l.Relation == relation {
			return l.URL
		}
	}
	return ""
}

func (a *api) page(path string) page {
	a.tb.Helper()
	var p page
	if err := json.Unmarshal(a.must("GET", path, "").Body.Bytes(), &p); err != nil {
		a.tb.Fatal(err)
	}
	return p
}

// follow reads all pages from path on and returns the ids in order.
func (a *api) follow(path string) (ids []string) {
	a.tb.Helper()
	for path != "" {
		p := a.page(path)
		for _, e := range p.Entry {
			ids = append(ids, e.Resource.ID)
		}
		next := p.link("next")
		if next != "" && !strings.HasPrefix(next, testBase+"/") {
			a.tb.Fatalf("next link is not below the base: %s", next)
		}
		path = strings.TrimPrefix(next, testBase)
	}
	return ids
}

func TestPagesHoldEachMatchOnce(t *testing.T) {
	a := newAPI(t)
	want := map[string]bool{}
	for i := range 25 {
		id := fmt.Sprintf("p%02d", i)
		want[id] = true
		a.must("PUT", "/Patient/"+id, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"family":"Elm & Söhne"}]}`, id))
	}
	query := "/Patient?_count=10&name=" + url.QueryEscape("elm & s")
	first := a.page(query)
	if first.link("first") != "" || first.Total == nil || *first.Total != 25 {
		t.Errorf("first page: links %v, total %v", first.Link, first.Total)
	}
	got := a.follow(query)
	if len(got) != 25 {
		t.Errorf("%d matches, want 25: %v", len(got), got)
	}
	for _, id := range got {
		if !want[id] {
			t.Errorf("%s is there twice or should not be there", id)
		}
		delete(want, id)
	}
}

func TestHistoryPages(t *testing.T) {
	a := newAPI(t)
	for range 7 {
		a.must("PUT", "/Patient/ada", adaV1)
	}
	got := a.follow("/Patient/ada/_history?_count=3")
	if len(got) != 7 {
		t.Errorf("%d versions, want 7", len(got))
	}
}

func TestQuery(t *testing.T) {
	a := newAPI(t)
	a.seed()
	all := search.FullAccess()
	t.Run("search", func(t *testing.T) {
		found, complete, err := a.server.Query(t.Context(), all, "Observation?patient=ada&code=29463-7")
		if err != nil || !complete || len(found) != 2 {
			t.Errorf("%d resources, complete %v, error %v", len(found), complete, err)
		}
	})
	t.Run("search of less than there is", func(t *testing.T) {
		found, complete, err := a.server.Query(t.Context(), all, "Observation?patient=ada&_count=1")
		if err != nil || complete || len(found) != 1 {
			t.Errorf("%d resources, complete %v, error %v", len(found), complete, err)
		}
	})
	t.Run("read", func(t *testing.T) {
		found, complete, err := a.server.Query(t.Context(), all, "Patient/ada")
		if err != nil || !complete || len(found) != 1 || found[0].Version != 2 {
			t.Errorf("%v, complete %v, error %v", found, complete, err)
		}
	})
	errors := []struct {
		query  string
		access search.Access
		want   fhir.Kind
	}{
		{"Patient/nobody", all, fhir.NotFound},
		{"Patient/bob", all, fhir.Deleted},
		{"Observation?nonsense=1", all, fhir.Invalid},
		{"Patient/ada/_history", all, fhir.NotSupported},
		{"Patient/ada", search.Access{}, fhir.Forbidden},
		{"Observation?patient=ada", search.Access{}, fhir.Forbidden},
	}
	for _, test := range errors {
		if _, _, err := a.server.Query(t.Context(), test.access, test.query); fhir.KindOf(err) != test.want {
			t.Errorf("%s: error %v of kind %d, want %d", test.query, err, fhir.KindOf(err), test.want)
		}
	}
}
