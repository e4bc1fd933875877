package search

import (
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
)

// TestIncludes reads _include and _revinclude,
// https://hl7.org/fhir/R4/search.html#include.
func TestIncludes(t *testing.T) {
	for _, test := range []struct {
		types, query string
		want         []Include
	}{
		{"MedicationRequest", "_include=MedicationRequest:requester", []Include{{Type: "MedicationRequest", Param: "requester"}}},
		{"MedicationRequest", "_include=MedicationRequest:requester:Practitioner", []Include{{Type: "MedicationRequest", Param: "requester", Target: "Practitioner"}}},
		{"MedicationRequest", "_include=MedicationRequest:*", []Include{{Type: "MedicationRequest", Param: "*"}}},
		{"MedicationRequest", "_include=MedicationRequest:*:Patient", []Include{{Type: "MedicationRequest", Param: "*", Target: "Patient"}}},
		{"MedicationRequest", "_include=*", []Include{{Type: "*", Param: "*"}}},
		{"MedicationRequest", "_include:iterate=*", []Include{{Type: "*", Param: "*", Iterate: true}}},
		{"MedicationRequest", "_revinclude=Provenance:target", []Include{{Reverse: true, Type: "Provenance", Param: "target"}}},
		{"MedicationRequest", "_revinclude=Provenance:*", []Include{{Reverse: true, Type: "Provenance", Param: "*"}}},
		{"Patient", "_revinclude=Observation:subject:Patient", []Include{{Reverse: true, Type: "Observation", Param: "subject", Target: "Patient"}}},
		{"MedicationRequest", "_include=MedicationRequest:medication&_include:iterate=Medication:manufacturer&_include:recurse=Organization:partof", []Include{
			{Type: "MedicationRequest", Param: "medication"}, {Type: "Medication", Param: "manufacturer", Iterate: true}, {Type: "Organization", Param: "partof", Iterate: true},
		}},
		{"Patient", "_include=Patient:link&_include=Patient:link&_revinclude:iterate=Device:patient", []Include{
			{Type: "Patient", Param: "link"}, {Reverse: true, Type: "Device", Param: "patient", Iterate: true},
		}},
		{"QuestionnaireResponse", "_include=QuestionnaireResponse:questionnaire", []Include{{Type: "QuestionnaireResponse", Param: "questionnaire"}}},
		{"Questionnaire", "_revinclude=QuestionnaireResponse:questionnaire", []Include{{Reverse: true, Type: "QuestionnaireResponse", Param: "questionnaire"}}},
		{"", "_type=Patient,Observation&_include=Observation:subject", []Include{{Type: "Observation", Param: "subject"}}},
		{"", "_id=1&_include=Observation:subject&_revinclude=Group:member", []Include{{Type: "Observation", Param: "subject"}, {Reverse: true, Type: "Group", Param: "member"}}},
	} {
		request := mustParse(t, test.types, test.query)
		if !slices.Equal(request.Includes, test.want) {
			t.Errorf("%s?%s: %+v, want %+v", test.types, test.query, request.Includes, test.want)
		}
		if len(request.Query.Where) > 1 || strings.Contains(request.Criteria, "include") {
			t.Errorf("%s?%s: an include selects: %q", test.types, test.query, request.Criteria)
		}
		if strings.Count(request.Self, "include") != strings.Count(test.query, "include") {
			t.Errorf("%s?%s: self is %q", test.types, test.query, request.Self)
		}
	}
}

func TestIncludeErrors(t *testing.T) {
	for _, test := range []struct {
		types, query string
		kind         fhir.Kind
		says         string
	}{
		{"Patient", "_revinclude=*", fhir.Invalid, "name the type, as in Observation:*"},
		{"Patient", "_include=Patient", fhir.Invalid, "is not Type:parameter"},
		{"Patient", "_include=Patient:", fhir.Invalid, "is not Type:parameter"},
		{"Patient", "_include=Patient:link:Patient:x", fhir.Invalid, "is not Type:parameter"},
		{"Patient", "_include=Patiens:link", fhir.Invalid, `"Patiens" is not a resource type (did you mean "Patient"?)`},
		{"Patient", "_include=Patient:links", fhir.Invalid, `Patient.links is not a parameter that refers (did you mean "link"?). Those of Patient are: link, general-practitioner, organization`},
		{"Patient", "_include=Patient:name", fhir.Invalid, "Those of Patient are: "},
		{"Patient", "_include=Patient:link:Observation", fhir.Invalid, "link cannot refer to Observation, only to Patient, RelatedPerson"},
		{"Patient", "_include=Patient:link:Person1", fhir.Invalid, `"Person1" is not a resource type (did you mean "Person"?)`},
		{"Patient", "_include=Observation:subject", fhir.Invalid, "the search finds Patient and no Observation. To include from what is included write _include:iterate"},
		{"Patient", "_revinclude=Observation:encounter", fhir.Invalid, "does not refer to Patient"},
		{"Patient", "_revinclude=Observation:subject:Group", fhir.Invalid, "does not refer to Patient"},
		{"Bundle", "_include=Bundle:composition", fhir.NotSupported, "inside of the Bundle"},
		{"QuestionnaireResponse", "_include=QuestionnaireResponse:questionnaire:Patient", fhir.Invalid, "questionnaire cannot refer to Patient, only to Questionnaire"},
		{"Patient", "_revinclude=QuestionnaireResponse:questionnaire", fhir.Invalid, "does not refer to Patient"},
		{"Patient", "_revinclude=Library:depends-on", fhir.Invalid, "does not refer to Patient"},
		{"Patient", "_include:exact=Patient:link", fhir.Invalid, "it has iterate"},
		{"Patient", "_include:=Patient:link", fhir.Invalid, "it has iterate"},
		{"Patient", "_include=", fhir.Invalid, "_include has no value"},
		{"Patient", "_summary=text&_include=Patient:link", fhir.Invalid, "cannot be mixed"},
		{"Patient", "_revinclude=Observation:patient&_summary=text", fhir.Invalid, "cannot be mixed"},
		{"Observation", includes(MaxIncludes + 1), fhir.TooLarge, "32 times"},
	} {
		_, err := parse(t, test.types, test.query, ParseOptions{})
		if err == nil || fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s?%s:\n got %v\nwant kind %d saying %q", test.types, test.query, err, test.kind, test.says)
		}
	}
	mustParse(t, "Observation", includes(MaxIncludes))
}

// includes makes different includes.
func includes(n int) string {
	var out []string
	for _, first := range []string{"subject:", "focus:", "performer:"} {
		for _, target := range []string{"Patient", "Device", "Group", "Location", "Practitioner", "Organization", "RelatedPerson", "PractitionerRole"} {
			for _, modifier := range []string{"", ":iterate"} {
				if p := testParam("Observation", strings.TrimSuffix(first, ":")); len(p.Targets) == 0 || slices.Contains(p.Targets, target) {
					out = append(out, "_include"+modifier+"=Observation:"+first+target)
				}
			}
		}
	}
	return strings.Join(out[:n], "&")
}

func testParam(typ, name string) *Param {
	r, err := registry()
	if err != nil {
		return nil
	}
	return r.types[typ].byName[name]
}

// TestReferences lists what a resource refers to, for includes.
func TestReferences(t *testing.T) {
	r := testRegistry(t).WithBase(testBase)
	doc := `{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/1/_history/2"},
		"performer":[{"reference":"` + testBase + `/Practitioner/p"},{"reference":"http://other.example/fhir/Practitioner/p"},{"reference":"#c"},{"identifier":{"value":"x"}},{"reference":"Practitioner/p"}],
		"encounter":{"reference":"urn:uuid:0b5a2c1e-8a3b-4d0e-9d8b-7a51a6a2c001"},"hasMember":[{"reference":"` + testBase + `/Observation/m/_history/4"}]}`
	res := &fhir.Resource{Key: fhir.Key{Type: "Observation", ID: "o"}, JSON: []byte(doc)}
	patient, practitioner := fhir.Key{Type: "Patient", ID: "1"}, fhir.Key{Type: "Practitioner", ID: "p"}
	for param, want := range map[string][]Reference{
		"subject":    {{Param: "subject", Key: patient, Version: "2"}},
		"patient":    {{Param: "patient", Key: patient, Version: "2"}},
		"performer":  {{Param: "performer", Key: practitioner}, {Param: "performer", URL: "http://other.example/fhir/Practitioner/p"}},
		"encounter":  nil, // a URN does not say that it is an Encounter
		"has-member": {{Param: "has-member", Key: fhir.Key{Type: "Observation", ID: "m"}, Version: "4"}},
		"code":       nil,
		"nothing":    nil,
	} {
		got, err := r.References(res, param)
		if err != nil || param != "encounter" && !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v, error %v", param, got, want, err)
		}
	}
	all, err := r.References(res, "*")
	if err != nil {
		t.Fatal(err)
	}
	var params []string
	for _, ref := range all {
		params = append(params, ref.Param)
	}
	for _, want := range []string{"subject", "patient", "performer", "has-member"} {
		if !slices.Contains(params, want) {
			t.Errorf("* does not have %s: %q", want, params)
		}
	}
	for text, want := range map[string][]Reference{
		"http://h/q|2":                {{URL: "http://h/q", Version: "2", Canonical: true}},
		"http://h/q":                  {{URL: "http://h/q", Canonical: true}},
		"http://h/q|2#part":           {{URL: "http://h/q", Version: "2", Canonical: true}},
		"http://h/q#part":             {{URL: "http://h/q", Canonical: true}},
		"Questionnaire/q":             {{Key: fhir.Key{Type: "Questionnaire", ID: "q"}}},
		testBase + "/Questionnaire/q": {{Key: fhir.Key{Type: "Questionnaire", ID: "q"}}, {URL: testBase + "/Questionnaire/q", Canonical: true}},
		"#q":                          nil,
	} {
		for i := range want {
			want[i].Param = "questionnaire"
		}
		res := &fhir.Resource{Key: fhir.Key{Type: "QuestionnaireResponse"}, JSON: []byte(`{"resourceType":"QuestionnaireResponse","questionnaire":"` + text + `"}`)}
		if got, err := r.References(res, "questionnaire"); err != nil || !slices.Equal(got, want) {
			t.Errorf("the canonical %s: %+v, want %+v, error %v", text, got, want, err)
		}
	}
	bundle := &fhir.Resource{Key: fhir.Key{Type: "Bundle"}, JSON: []byte(`{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition","id":"c"}}]}`)}
	if got, err := r.References(bundle, "*"); err != nil || len(got) != 0 {
		t.Errorf("what stands in a Bundle is no reference: %+v, error %v", got, err)
	}
	if _, err := r.References(&fhir.Resource{Key: fhir.Key{Type: "Patient"}, JSON: []byte(`{`)}, "*"); fhir.KindOf(err) != fhir.Invalid {
		t.Errorf("bad JSON: %v", err)
	}
}

// TestNamed finds resources by canonical URL, and what refers to them so.
func TestNamed(t *testing.T) {
	r := testRegistry(t)
	index := func(doc string) []Entry {
		t.Helper()
		entries, _, err := r.Index([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	questionnaire := index(`{"resourceType":"Questionnaire","url":"http://h/q","version":"1.0"}`)
	for canonical, want := range map[string]bool{"http://h/q": true, "http://h/q|1.0": true, "http://h/q|1": false, "http://h/": false} {
		if got := Match("Questionnaire", questionnaire, Named("http://other", canonical)); got != want {
			t.Errorf("named %s: %v", canonical, got)
		}
	}
	for text, want := range map[string]bool{"http://h/q": true, "http://h/q|1.0": true, "http://h/q2": false} {
		response := index(`{"resourceType":"QuestionnaireResponse","questionnaire":"` + text + `"}`)
		if got := Match("QuestionnaireResponse", response, RefersToURL("questionnaire", "http://h/q")); got != want {
			t.Errorf("refers by %s: %v", text, got)
		}
	}
	if !r.HasCanonical("Questionnaire") || r.HasCanonical("Patient") || r.HasCanonical("Nothing") {
		t.Error("questionnaires have a canonical URL, patients do not")
	}
}
