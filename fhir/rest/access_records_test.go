package rest

import (
	"strings"
	"testing"
)

// TestRecordsOfSeveralPatients: what R4's compartment puts into the records of
// two patients each of them reads, and neither changes. What only mentions a
// patient is not in that record. docs/reference/access.md says so.
func TestRecordsOfSeveralPatients(t *testing.T) {
	const of, with = `{"reference":"Patient/bea"}`, `{"reference":"Patient/ada"}` // the caller is ada's
	tests := []struct {
		name, typ, body string // members of the resource
		shared          bool
	}{
		{"an appointment of two", "Appointment", `"status":"proposed","participant":[{"actor":` + of + `,"status":"accepted"},{"actor":` + with + `,"status":"accepted"}]`, true},
		{"an account of a family", "Account", `"status":"active","subject":[` + of + `,` + with + `]`, true},
		{"a coverage that another pays for", "Coverage", `"status":"active","beneficiary":` + of + `,"payor":[` + with + `]`, true},
		{"a person with two records", "Person", `"link":[{"target":` + of + `},{"target":` + with + `}]`, true},
		{"a message from one about the other", "Communication", `"status":"completed","subject":` + of + `,"sender":` + with, true},
		{"a performer", "Observation", `"status":"final","code":{"text":"x"},"subject":` + of + `,"performer":[` + with + `]`, true},
		{"an author", "Composition", `"status":"final","type":{"text":"x"},"date":"2026","title":"x","subject":` + of + `,"author":[` + with + `]`, true},
		{"a focus", "Observation", `"status":"final","code":{"text":"x"},"subject":` + of + `,"focus":[` + with + `]`, false},
		{"an entry of a list", "List", `"status":"current","mode":"working","subject":` + of + `,"entry":[{"item":` + with + `}]`, false},
		{"an identifier", "Observation", `"status":"final","code":{"text":"x"},"subject":{"type":"Patient","identifier":{"value":"ada"}}`, false},
		{"a contained patient", "Observation", `"status":"final","code":{"text":"x"},"contained":[{"resourceType":"Patient","id":"ada"}],"subject":{"reference":"#ada"}`, false},
		{"a contained relative", "Observation", `"status":"final","code":{"text":"x"},"contained":[{"resourceType":"RelatedPerson","id":"r","patient":` + with + `}],"subject":` + of + `,"performer":[{"reference":"#r"}]`, false},
		{"a patient of another server", "Observation", `"status":"final","code":{"text":"x"},"subject":{"reference":"https://elsewhere.example/fhir/Patient/ada"}`, false},
		{"another patient that is linked", "Patient", `"link":[{"other":` + with + `,"type":"seealso"}]`, false},
		{"a group of both", "Group", `"type":"person","actual":true,"member":[{"entity":` + of + `},{"entity":` + with + `}]`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newGuarded(t)
			body := `{"resourceType":"` + test.typ + `","id":"x",` + test.body + `}`
			path := "/" + test.typ + "/x"
			a.must("PUT", path, body)
			const everything = "patient/*.cruds"
			read := a.as(everything, call{"GET", path, nil, ""})
			if got := read.Code == 200; got != test.shared || !got && test.typ != "Group" && read.Code != 404 {
				t.Errorf("a read answers %d: %s", read.Code, read.Body)
			}
			found := a.as(everything, call{"GET", "/" + test.typ + "?_summary=count", nil, ""}).Body.String()
			if got := strings.Contains(found, `"total":1`); got != test.shared {
				t.Errorf("a search finds %s", found)
			}
			for _, method := range []string{"PUT", "DELETE"} {
				in := call{method, path, nil, ""}
				if method == "PUT" {
					in.body = body
				}
				if code := a.as(everything, in).Code; test.shared && code != 403 || code == 200 || code == 201 {
					t.Errorf("%s answers %d", method, code)
				}
			}
			if rec := a.do(call{"GET", path + "/_history", nil, ""}); strings.Count(rec.Body.String(), `"lastModified"`) != 1 {
				t.Errorf("it was changed: %s", rec.Body)
			}
		})
	}
}
