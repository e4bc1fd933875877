package search_test

import (
	"fmt"

	"github.com/starling-fhir/starling/fhir/search"
)

// A resource becomes entries, a URL becomes clauses over entries, and a store
// only has to compare bytes.
func Example() {
	registry, err := search.NewRegistry()
	if err != nil {
		fmt.Println(err)
		return
	}
	entries, patients, err := registry.Index([]byte(`{
		"resourceType": "Observation", "status": "final",
		"code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]},
		"subject": {"reference": "Patient/maren"}, "effectiveDateTime": "2026-03"
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("compartments:", patients)
	for _, e := range entries {
		if e.Param == "code" || e.Param == "date" {
			fmt.Println(e)
		}
	}
	for _, query := range []string{"code=http://loinc.org|2160-0&date=ge2026-03-15", "date=2026-03-15", "dte=2026"} {
		request, err := registry.Parse([]string{"Observation"}, query, search.ParseOptions{})
		if err != nil {
			fmt.Printf("%.72s…\n", err)
			continue
		}
		selected := true
		for _, clause := range request.Query.Where {
			selected = selected && search.Match("Patient", entries, clause)
		}
		fmt.Println(request.Self, selected)
	}
	// Output:
	// compartments: [maren]
	// code: token code "2160-0"
	// code: token "http://loinc.org" "2160-0"
	// date: date low 2026-03-01T00:00:00Z 2026-03-31T23:59:59~Z
	// date: date high 2026-03-31T23:59:59~Z 2026-03-01T00:00:00Z
	// code=http://loinc.org%7C2160-0&date=ge2026-03-15 true
	// date=2026-03-15 false
	// "dte" is not a search parameter of Observation (did you mean "date"?). K…
}
