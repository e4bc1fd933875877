package search

import (
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// contain makes a MedicationRequest around medications.
func contain(id string, medications ...string) string {
	return `{"resourceType":"MedicationRequest","id":"` + id + `","contained":[` + strings.Join(medications, ",") + `]}`
}

func medication(id, code, status string) string {
	return `{"resourceType":"Medication","id":"` + id + `","code":{"coding":[{"system":"http://rx","code":"` + code + `"}]},"status":"` + status + `"}`
}

// TestContained searches in contained resources:
// https://hl7.org/fhir/R4/search.html#contained.
func TestContained(t *testing.T) {
	docs := []string{
		contain("r1", medication("m1", "a", "active")),
		contain("r2", medication("m1", "a", "inactive"), medication("m2", "b", "active")), // each by another one
		contain("r3", medication("m3", "b", "active"), `{"resourceType":"Organization","id":"o","name":"Maker"}`),
		contain("r4", `{"resourceType":"Medication","id":"bare"}`),
		contain("r5", `{"resourceType":"Substance","id":"s","code":{"coding":[{"code":"a"}]}}`),
		medication("stored", "a", "active"),
	}
	w := newWorld(t, docs...)
	nodes := map[string]*resource.Node{}
	for i, key := range w.keys {
		nodes[key.String()] = decode(t, docs[i])
	}
	for _, test := range []struct{ types, query, want string }{
		{"Medication", "code=a", "r1#m1 r2#m1"},
		{"Medication", "code=http://rx|a,http://rx|b", "r1#m1 r2#m1 r2#m2 r3#m3"},
		{"Medication", "code=a&status=active", "r1#m1"},
		{"Medication", "code=a&code=b", ""},
		{"Medication", "code:not=a", "r2#m2 r3#m3 r4#bare"},
		{"Medication", "code:missing=true", "r4#bare"},
		{"Medication", "code:missing=false", "r1#m1 r2#m1 r2#m2 r3#m3"},
		{"Medication", "_id=m1", "r1#m1 r2#m1"},
		{"Medication", "_filter=code eq a and status eq active", "r1#m1"},
		{"Medication", "_filter=code eq a or status eq active", "r1#m1 r2#m1 r2#m2 r3#m3"},
		{"Medication", "_filter=not (code eq a)", "r2#m2 r3#m3 r4#bare"},
		{"Medication", "", "r1#m1 r2#m1 r2#m2 r3#m3 r4#bare"},
		{"Organization", "name=maker", "r3#o"},
		{"Organization", "name:contains=ake", "r3#o"},
		{"", "_type=Medication,Substance&code=a", "r1#m1 r2#m1 r5#s"},
	} {
		query := strings.TrimPrefix(test.query+"&_contained=true", "&")
		request, err := parse(t, test.types, query, w.options())
		if err != nil {
			t.Errorf("%s?%s: %v", test.types, query, err)
			continue
		}
		if request.Contained != "true" || request.ContainedType != "container" || len(request.Query.Types) != 0 || request.Containers != nil {
			t.Errorf("%s: %+v", query, request)
		}
		var found []string
		for _, name := range w.search(&request.Query, false) {
			matches, err := testRegistry(t).Contained(nodes[name], request)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range matches {
				found = append(found, strings.TrimPrefix(name, "MedicationRequest/")+"#"+m.Str("id"))
			}
		}
		if got := strings.Join(found, " "); got != test.want {
			t.Errorf("%s?%s: %q, want %q", test.types, query, got, test.want)
		}
		if again := mustParse(t, test.types, strings.Replace(query, "_contained=true", "_contained=both", 1)); again.Containers == nil || again.Containers.Identity == again.Query.Identity ||
			!slices.Equal(again.Query.Types, strings.Fields(strings.ReplaceAll(strings.TrimPrefix(test.types+" "+typesOf(query), " "), ",", " "))) {
			t.Errorf("%s with both: %+v", query, again)
		}
	}
}

func typesOf(query string) string {
	_, rest, _ := strings.Cut(query, "_type=")
	types, _, _ := strings.Cut(rest, "&")
	return types
}

// TestContainedTotals: a container is counted only where it surely holds a match.
func TestContainedTotals(t *testing.T) {
	for query, want := range map[string]Total{
		"code=a&_contained=true":                               TotalCheap,
		"code=a&_contained=true&_total=accurate":               TotalAccurate,
		"code=a&status=active&_contained=true&_total=accurate": TotalNone,
		"code:not=a&_contained=true":                           TotalNone,
	} {
		if got := mustParse(t, "Medication", query).Query.Total; got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	if r := mustParse(t, "Medication", "code=a&_contained=both&_containedType=contained&_total=accurate&status=x"); r.Query.Total != TotalAccurate || r.Containers.Total != TotalNone || r.ContainedType != "contained" {
		t.Errorf("%+v", r)
	}
	if r := mustParse(t, "Medication", "code=a&_contained=false&_containedType=contained"); r.Contained != "" || r.ContainedType != "" || r.Self != "code=a&_contained=false&_containedType=contained" {
		t.Errorf("%+v", r)
	}
}

func TestContainedErrors(t *testing.T) {
	w := newWorld(t)
	for query, test := range map[string]struct {
		kind fhir.Kind
		says string
	}{
		"Medication?_contained=yes":                                             {fhir.Invalid, "true, false, both"},
		"Medication?_containedType=box":                                         {fhir.Invalid, "neither container nor contained"},
		"Medication?_contained=true&_sort=code":                                 {fhir.NotSupported, "leave _sort out"},
		"Medication?_contained=true&manufacturer.name=x":                        {fhir.NotSupported, "chains"},
		"Medication?_contained=both&_has:MedicationRequest:medication:status=x": {fhir.NotSupported, "chains"},
		"Patient?_contained=true&_list=42":                                      {fhir.NotSupported, "_list"},
		"Medication?_contained=true&_include=Medication:manufacturer":           {fhir.NotSupported, "_include"},
		"Medication?_contained=true&code=a&status=x&_summary=count":             {fhir.NotSupported, "ask for pages"},
		"Medication?_contained=true&_containedType=contained&code=a&_count=0":   {fhir.NotSupported, "may hold several matches"},
		"Medication?_contained=both&_containedType=contained&_summary=count":    {fhir.NotSupported, "may hold several matches"},
		"?_contained=true&_id=x":                                                {fhir.Invalid, "name the types"},
	} {
		types, query, _ := strings.Cut(query, "?")
		if _, err := parse(t, types, query, w.options()); err == nil || fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s?%s: %v, want kind %d saying %q", types, query, err, test.kind, test.says)
		}
	}
}
