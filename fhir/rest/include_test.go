package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// shown is an answer to a search as tests look at it.
type shown struct {
	Total *int `json:"total"`
	Link  []struct{ Relation, URL string }
	Entry []struct {
		FullURL  string `json:"fullUrl"`
		Resource struct {
			ResourceType, ID string
			Meta             struct{ VersionID string }
			Issue            []struct{ Code, Diagnostics string }
		}
		Search struct {
			Mode  string
			Score float64
		}
	}
}

// of lists the entries of a mode, as "Type/id", sorted.
func (s shown) of(mode string) []string {
	var out []string
	for _, e := range s.Entry {
		if e.Search.Mode == mode {
			out = append(out, strings.TrimPrefix(e.FullURL, testBase+"/"))
		}
	}
	slices.Sort(out)
	return out
}

// told joins what the outcome entries say.
func (s shown) told() string {
	var out []string
	for _, e := range s.Entry {
		for _, issue := range e.Resource.Issue {
			out = append(out, issue.Diagnostics)
		}
	}
	return strings.Join(out, "\n")
}

func (s shown) link(relation string) string {
	for _, l := range s.Link {
		if l.Relation == relation {
			return strings.TrimPrefix(l.URL, testBase)
		}
	}
	return ""
}

func (a *api) shown(in call) shown {
	a.tb.Helper()
	rec := a.do(in)
	if rec.Code != http.StatusOK {
		a.tb.Fatalf("%s %s: status %d: %s", in.method, in.path, rec.Code, rec.Body)
	}
	valid(a.tb, rec.Body.Bytes())
	var s shown
	if err := json.Unmarshal(rec.Body.Bytes(), &s); err != nil {
		a.tb.Fatal(err)
	}
	return s
}

// hospital stores a small world: two patients, what was observed of them, where
// and by whom.
func (a *api) hospital() {
	a.tb.Helper()
	for _, body := range []string{
		`{"resourceType":"Organization","id":"root","name":"Root"}`,
		`{"resourceType":"Organization","id":"branch","name":"Branch","partOf":{"reference":"Organization/root"}}`,
		`{"resourceType":"Organization","id":"leaf","name":"Leaf","partOf":{"reference":"Organization/branch"}}`,
		`{"resourceType":"Practitioner","id":"doc","active":true}`,
		`{"resourceType":"Patient","id":"ada","managingOrganization":{"reference":"Organization/leaf"},"generalPractitioner":[{"reference":"Practitioner/doc"}]}`,
		`{"resourceType":"Patient","id":"bea","managingOrganization":{"reference":"` + testBase + `/Organization/leaf"}}`,
		`{"resourceType":"Encounter","id":"visit","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/ada"}}`,
		`{"resourceType":"Observation","id":"a1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1-8"}]},"subject":{"reference":"Patient/ada"},"encounter":{"reference":"Encounter/visit"},"performer":[{"reference":"Practitioner/doc"}]}`,
		`{"resourceType":"Observation","id":"a2","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1-8"}]},"subject":{"reference":"Patient/ada"},"hasMember":[{"reference":"Observation/a1"}]}`,
		`{"resourceType":"Observation","id":"b1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1-8"}]},"subject":{"reference":"Patient/bea"},"performer":[{"reference":"Practitioner/gone"},{"reference":"http://elsewhere.example/fhir/Practitioner/doc"}]}`,
		`{"resourceType":"Provenance","id":"p1","target":[{"reference":"Observation/a1"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"reference":"Practitioner/doc"}}]}`,
	} {
		var r struct{ ResourceType, ID string }
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			a.tb.Fatal(err)
		}
		a.must("PUT", "/"+r.ResourceType+"/"+r.ID, body)
	}
}

func TestIncludes(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	for _, test := range []struct {
		name, query       string
		matches, includes []string
	}{
		{
			"what a parameter refers to", "/Observation?_id=a1,b1&_include=Observation:subject",
			[]string{"Observation/a1", "Observation/b1"},
			[]string{"Patient/ada", "Patient/bea"},
		},
		{
			"of one type alone", "/Observation?_include=Observation:performer:Practitioner&_id=a1",
			[]string{"Observation/a1"},
			[]string{"Practitioner/doc"},
		},
		{
			"every reference of the matches", "/Observation?_id=a1&_include=*",
			[]string{"Observation/a1"},
			[]string{"Encounter/visit", "Patient/ada", "Practitioner/doc"},
		},
		{
			"every reference of a type", "/Observation?_id=a2&_include=Observation:*",
			[]string{"Observation/a2"},
			[]string{"Observation/a1", "Patient/ada"},
		},
		{
			"what matches already is no include", "/Observation?patient=ada&_include=Observation:has-member",
			[]string{"Observation/a1", "Observation/a2"},
			nil,
		},
		{"what refers to the matches", "/Patient?_id=bea&_revinclude=Observation:subject", []string{"Patient/bea"}, []string{"Observation/b1"}},
		{
			"several together", "/Patient?_id=ada&_revinclude=Observation:subject&_revinclude=Encounter:subject&_include=Patient:organization",
			[]string{"Patient/ada"},
			[]string{"Encounter/visit", "Observation/a1", "Observation/a2", "Organization/leaf"},
		},
		{
			"once is once", "/Patient?_id=ada&_include=Patient:organization&_include=Organization:partof&_id=ada",
			nil, nil,
		},
		{
			"on and on, through what was included", "/Patient?_id=bea&_include=Patient:organization&_include:iterate=Organization:partof",
			[]string{"Patient/bea"},
			[]string{"Organization/branch", "Organization/leaf", "Organization/root"},
		},
		{
			"back and on from there", "/Patient?_id=ada&_revinclude=Observation:subject&_revinclude:iterate=Provenance:target",
			[]string{"Patient/ada"},
			[]string{"Observation/a1", "Observation/a2", "Provenance/p1"},
		},
		{
			"what is not there is not there", "/Observation?_id=b1&_include=Observation:performer",
			[]string{"Observation/b1"},
			nil,
		},
		{"every reference to the matches", "/Practitioner?_id=doc&_revinclude=Provenance:*", []string{"Practitioner/doc"}, []string{"Provenance/p1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.matches == nil {
				if rec := a.do(call{method: "GET", path: test.query}); rec.Code != http.StatusBadRequest {
					t.Errorf("an include that can bring nothing: status %d", rec.Code)
				}
				return
			}
			got := a.shown(call{"GET", test.query, nil, ""})
			if !slices.Equal(got.of("match"), test.matches) || !slices.Equal(got.of("include"), test.includes) {
				t.Errorf("found %v with %v, want %v with %v", got.of("match"), got.of("include"), test.matches, test.includes)
			}
		})
	}
}

// TestIncludesEverywhere: a search includes the same however it is sent.
func TestIncludesEverywhere(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	want := []string{"Patient/ada"}
	form := []string{"Content-Type: application/x-www-form-urlencoded"}
	for name, in := range map[string]call{
		"by form":       {"POST", "/Observation/_search", form, "_id=a1&_include=Observation:subject"},
		"of the system": {"GET", "?_type=Observation,Encounter&_id=a1&_include=Observation:subject", nil, ""},
	} {
		if got := a.shown(in).of("include"); !slices.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	rec := a.must("POST", "", bundleOf("batch", entryOf("", "GET", "Observation?_id=a1&_include=Observation:subject", "")))
	if !strings.Contains(rec.Body.String(), `"mode":"include"`) {
		t.Errorf("in a batch nothing is included: %s", rec.Body)
	}
	found, complete, err := a.server.Query(t.Context(), search.FullAccess(), "Observation?_id=a1&_include=Observation:subject")
	if err != nil || !complete || len(found) != 2 || found[1].Type != "Patient" {
		t.Errorf("in process: %v, %v, %v", found, complete, err)
	}
}

// TestIncludesOnEveryPage: pages and their links keep the includes.
func TestIncludesOnEveryPage(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	path := "/Observation?_sort=_id&_count=1&_include=Observation:subject"
	var included []string
	for path != "" {
		page := a.shown(call{"GET", path, nil, ""})
		included = append(included, page.of("include")...)
		path = page.link("next")
	}
	if want := []string{"Patient/ada", "Patient/ada", "Patient/bea"}; !slices.Equal(included, want) {
		t.Errorf("included on the pages: %v, want %v", included, want)
	}
}

// TestIncludedVersions: a reference to a version brings that version.
func TestIncludedVersions(t *testing.T) {
	a := newAPI(t)
	a.seed() // two versions of ada
	a.must("PUT", "/Observation/old", observationOf("Patient/ada/_history/1", "old"))
	got := a.shown(call{"GET", "/Observation?_id=old&_include=Observation:subject", nil, ""})
	if len(got.Entry) != 2 || got.Entry[1].Resource.Meta.VersionID != "1" {
		t.Errorf("included %+v, want version 1", got.Entry)
	}
	a.must("PUT", "/Observation/never", observationOf("Patient/ada/_history/9", "never"))
	if got := a.shown(call{"GET", "/Observation?_id=never&_include=Observation:subject", nil, ""}); len(got.of("include")) > 0 {
		t.Errorf("a version that never was brings %v", got.of("include"))
	}
}

// TestIncludesHaveAnEnd: what is too much is left out, and told.
func TestIncludesHaveAnEnd(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Organization/o0", `{"resourceType":"Organization","id":"o0","name":"x"}`)
	for i := 1; i <= maxIncludedRounds+3; i++ {
		a.must("PUT", fmt.Sprintf("/Organization/o%d", i), fmt.Sprintf(`{"resourceType":"Organization","id":"o%d","name":"x","partOf":{"reference":"Organization/o%d"}}`, i, i-1))
	}
	got := a.shown(call{"GET", fmt.Sprintf("/Organization?_id=o%d&_include:iterate=Organization:partof", maxIncludedRounds+3), nil, ""})
	if n := len(got.of("include")); n != maxIncludedRounds || !strings.Contains(got.told(), "_include:iterate=Organization:partof would bring more") {
		t.Errorf("%d included; told: %s", n, got.told())
	}
	// A circle ends by itself.
	a.must("PUT", "/Organization/o0", fmt.Sprintf(`{"resourceType":"Organization","id":"o0","name":"x","partOf":{"reference":"Organization/o%d"}}`, 3))
	got = a.shown(call{"GET", "/Organization?_id=o3&_include:iterate=Organization:partof", nil, ""})
	if want := []string{"Organization/o0", "Organization/o1", "Organization/o2"}; !slices.Equal(got.of("include"), want) || got.told() != "" {
		t.Errorf("a circle brings %v: %s", got.of("include"), got.told())
	}
}

func TestIncludesAreCut(t *testing.T) {
	g := &gathering{seen: make(map[fhir.Key][]int64)}
	var many []*fhir.Resource
	for i := range maxIncluded + 1 {
		many = append(many, &fhir.Resource{Key: fhir.Key{Type: "Patient", ID: fmt.Sprint(i)}, Version: 1})
	}
	if !g.add(many) || len(g.found) != maxIncluded {
		t.Errorf("%d included", len(g.found))
	}
	g = &gathering{seen: make(map[fhir.Key][]int64)}
	large := []*fhir.Resource{
		{Key: fhir.Key{Type: "Patient", ID: "1"}, Version: 1, JSON: make([]byte, maxIncludedBytes)},
		{Key: fhir.Key{Type: "Patient", ID: "2"}, Version: 1},
	}
	if !g.add(large) || len(g.found) != 1 {
		t.Errorf("%d included in too many bytes", len(g.found))
	}
}

// TestIncludesOfOthers: to whom a resource is not visible it is not there,
// whichever way it would come along.
func TestIncludesOfOthers(t *testing.T) {
	access := map[string]search.Access{}
	for _, scopes := range []string{"patient/*.rs", "patient/Observation.rs", "patient/*.s", "all"} {
		access[scopes] = scoped(t, scopes)
	}
	a := newAPI(t, func(c *Config) {
		c.Authorize = func(c echo.Context) (search.Access, error) { return access[c.Request().Header.Get("Scopes")], nil }
	})
	all := []string{"Scopes: all"}
	put := func(path, body string) {
		t.Helper()
		a.must("PUT", path, body, all...)
	}
	put("/Patient/ada", adaV1)
	put("/Patient/bea", strings.ReplaceAll(adaV1, `"ada"`, `"bea"`))
	put("/Observation/mine", observationOf("Patient/ada", "mine", `"hasMember":[{"reference":"Observation/hers"}],"derivedFrom":[{"reference":"Observation/hers/_history/1"}]`))
	put("/Observation/hers", observationOf("Patient/bea", "hers", `"hasMember":[{"reference":"Observation/mine"}]`))
	for _, test := range []struct {
		scopes, query string
		want          []string
	}{
		{"all", "_include=Observation:has-member&_id=mine", []string{"Observation/hers"}},
		{"patient/*.rs", "_include=Observation:has-member", nil},
		{"patient/*.rs", "_include=Observation:derived-from", nil},
		{"patient/*.rs", "_revinclude=Observation:has-member", nil},
		{"patient/*.rs", "_include=Observation:subject", []string{"Patient/ada"}},
		{"patient/Observation.rs", "_include=Observation:subject", nil},
		{"patient/*.s", "_include=Observation:subject", nil},
	} {
		got := a.shown(call{"GET", "/Observation?" + test.query, []string{"Scopes: " + test.scopes}, ""})
		if !slices.Equal(got.of("include"), test.want) || got.told() != "" {
			t.Errorf("%s, %s: included %v, want %v; %s", test.scopes, test.query, got.of("include"), test.want, got.told())
		}
	}
}

// TestElementsOfIncluded: a name alone concerns the matches, one with its type that
// type wherever it is.
func TestElementsOfIncluded(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	body := a.must("GET", "/Observation?_id=a1&_include=Observation:subject&_elements=code", "").Body.String()
	if strings.Count(body, "SUBSETTED") != 1 || !strings.Contains(body, "generalPractitioner") || strings.Contains(body, "encounter") {
		t.Errorf("a name alone: %s", body)
	}
	body = a.must("GET", "/Observation?_id=a1&_include=Observation:subject&_elements=Patient.managingOrganization", "").Body.String()
	if strings.Count(body, "SUBSETTED") != 1 || strings.Contains(body, "generalPractitioner") || !strings.Contains(body, "managingOrganization") || !strings.Contains(body, "Encounter/visit") {
		t.Errorf("a name with its type: %s", body)
	}
	body = a.must("GET", "/Observation?_id=a1&_include=Observation:subject&_summary=true", "").Body.String()
	if strings.Count(body, "SUBSETTED") != 2 {
		t.Errorf("a summary is one of all: %s", body)
	}
}
