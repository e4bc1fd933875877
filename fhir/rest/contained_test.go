package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// boxes stores medications, by themselves and inside of requests.
func (a *api) boxes() {
	a.tb.Helper()
	medication := func(id, code, form string) string {
		return `{"resourceType":"Medication","id":"` + id + `","code":{"coding":[{"code":"` + code + `"}]},"form":{"coding":[{"code":"` + form + `"}]}}`
	}
	request := func(id string, contained ...string) string {
		refer := make([]string, len(contained))
		for i := range contained {
			refer[i] = fmt.Sprintf(`{"reference":"#m%d"}`, i+1)
		}
		return `{"resourceType":"MedicationRequest","id":"` + id + `","contained":[` + strings.Join(contained, ",") + `],"status":"active","intent":"order",` +
			`"medicationReference":{"reference":"#m1"},"subject":{"reference":"Patient/x"},"supportingInformation":[` + strings.Join(refer, ",") + `]}`
	}
	a.must("PUT", "/Medication/own", medication("own", "aspirin", "pill"))
	a.must("PUT", "/MedicationRequest/one", request("one", medication("m1", "aspirin", "pill")))
	// Neither of the two is an aspirin syrup.
	a.must("PUT", "/MedicationRequest/two", request("two", medication("m1", "aspirin", "pill"), medication("m2", "codeine", "syrup")))
	a.must("PUT", "/MedicationRequest/three", request("three", medication("m1", "aspirin", "syrup"), medication("m2", "aspirin", "pill")))
}

func TestContained(t *testing.T) {
	a := newAPI(t)
	a.boxes()
	for _, test := range []struct {
		name, query string
		want        []string
		total       int // -1 wants none
	}{
		{"not unless asked for", "code=aspirin", []string{"Medication/own"}, 1},
		{"containers", "code=aspirin&_contained=true", []string{"MedicationRequest/one", "MedicationRequest/three", "MedicationRequest/two"}, 3},
		{"what is contained", "code=codeine&_contained=true&_containedType=contained", []string{"MedicationRequest/two#m2"}, -1},
		{"several in one", "code=aspirin&_contained=true&_containedType=contained", []string{"MedicationRequest/one#m1", "MedicationRequest/three#m1", "MedicationRequest/three#m2", "MedicationRequest/two#m1"}, -1},
		{"all criteria hold for the same one", "code=aspirin&form=syrup&_contained=true", []string{"MedicationRequest/three"}, -1},
		{"also where something must not hold", "code=aspirin&form:not=pill&_contained=true&_containedType=contained", []string{"MedicationRequest/three#m1"}, -1},
		{"false is not", "code=aspirin&_contained=false", []string{"Medication/own"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := a.shown(call{"GET", "/Medication?" + test.query, nil, ""})
			if !slices.Equal(got.of("match"), test.want) {
				t.Errorf("found %v, want %v", got.of("match"), test.want)
			}
			if total := got.Total; total == nil && test.total >= 0 || total != nil && *total != test.total {
				t.Errorf("total %v, want %d", total, test.total)
			}
		})
	}
}

// TestContainedAndOwn: those with an address come first, then those without, on
// as many pages as it takes.
func TestContainedAndOwn(t *testing.T) {
	a := newAPI(t)
	a.boxes()
	path := "/Medication?code=aspirin&_contained=both&_containedType=contained&_count=2"
	var all []string
	for n := 0; path != "" && n < 9; n++ {
		page := a.shown(call{"GET", path, nil, ""})
		if page.Total != nil {
			t.Errorf("a total of %d", *page.Total)
		}
		all = append(all, page.of("match")...)
		path = page.link("next")
	}
	slices.Sort(all)
	if want := []string{"Medication/own", "MedicationRequest/one#m1", "MedicationRequest/three#m1", "MedicationRequest/three#m2", "MedicationRequest/two#m1"}; !slices.Equal(all, want) {
		t.Errorf("found %v, want %v", all, want)
	}
	first := a.shown(call{"GET", "/Medication?code=codeine&_contained=both", nil, ""})
	if want := []string{"MedicationRequest/two"}; !slices.Equal(first.of("match"), want) || first.link("next") != "" {
		t.Errorf("without any of its own the first page has %v, want %v; next %q", first.of("match"), want, first.link("next"))
	}
	if none := a.shown(call{"GET", "/Medication?code=nothing&_contained=both", nil, ""}); len(none.Entry) > 0 || none.link("next") != "" {
		t.Errorf("nothing is %+v", none)
	}
	got := a.shown(call{"GET", "/Medication?code=aspirin&_contained=both&_summary=count", nil, ""})
	if got.Total == nil || *got.Total != 4 || len(got.Entry) > 0 {
		t.Errorf("the number of all: %v", got.Total)
	}
	a.must("PUT", "/Medication/mix", `{"resourceType":"Medication","id":"mix","code":{"coding":[{"code":"zinc"}]},"contained":[{"resourceType":"Medication","id":"m","code":{"coding":[{"code":"zinc"}]}}],"ingredient":[{"itemReference":{"reference":"#m"}}]}`)
	zinc := a.shown(call{"GET", "/Medication?code=zinc&_contained=both&_count=0", nil, ""})
	if zinc.Total == nil || *zinc.Total != 1 {
		t.Errorf("what matches and contains a match counts %v times", zinc.Total)
	}
	for query, says := range map[string]string{
		"/Medication?code=a&form=b&_contained=true&_summary=count":    "the number of matches is known",
		"/Medication?_contained=true&_sort=_id":                       "leave _sort out",
		"?_contained=true&_id=x":                                      "name the types",
		"/Medication?_contained=maybe":                                "is not one of true, false, both",
		"/Medication?_contained=true&_include=Medication:ingredient":  "not supported together",
		"/Medication?_contained=true&_containedType=box&code=aspirin": "neither container nor contained",
	} {
		if rec := a.do(call{method: "GET", path: query}); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), says) {
			t.Errorf("%s: status %d: %s", query, rec.Code, rec.Body)
		}
	}
}

// TestContainedResourcesAreShown: what is shown is the contained resource, whole
// or as much of it as asked for.
func TestContainedResourcesAreShown(t *testing.T) {
	a := newAPI(t)
	a.boxes()
	rec := a.must("GET", "/Medication?code=codeine&_contained=true&_containedType=contained", "")
	valid(t, rec.Body.Bytes())
	if body := rec.Body.String(); !strings.Contains(body, `"resource":{"resourceType":"Medication","id":"m2","code"`) || !strings.Contains(body, testBase+"/MedicationRequest/two#m2") {
		t.Errorf("shown: %s", body)
	}
	if body := a.must("GET", "/Medication?code=codeine&_contained=true&_containedType=contained&_elements=code", "").Body.String(); strings.Contains(body, "syrup") || !strings.Contains(body, "SUBSETTED") {
		t.Errorf("some elements: %s", body)
	}
}
