package search

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
)

// clinic is a small world: two patients with observations and encounters, who
// treats them, and a group.
func clinic(t testing.TB) *world {
	return newWorld(t,
		`{"resourceType":"Organization","id":"north","name":"North","identifier":[{"system":"http://h","value":"N"}]}`,
		`{"resourceType":"Organization","id":"ward","name":"Ward","partOf":{"reference":"Organization/north"}}`,
		`{"resourceType":"Practitioner","id":"dr","name":[{"family":"House"}],"gender":"male"}`,
		`{"resourceType":"Patient","id":"ada","name":[{"family":"Lovelace","given":["Ada"]}],"gender":"female","birthDate":"1990-05-01",
			"managingOrganization":{"reference":"Organization/ward"},"generalPractitioner":[{"reference":"Practitioner/dr"}]}`,
		`{"resourceType":"Patient","id":"bob","name":[{"family":"Hope","given":["Bob"]}],"birthDate":"1970",
			"managingOrganization":{"reference":"`+testBase+`/Organization/north"}}`,
		`{"resourceType":"Device","id":"adapter","deviceName":[{"name":"Ada","type":"user-friendly-name"}],"patient":{"reference":"Patient/bob"}}`,
		`{"resourceType":"Location","id":"adaplace","name":"Ada Lane"}`,
		`{"resourceType":"Group","id":"g1","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/ada"}}]}`,
		`{"resourceType":"Encounter","id":"e1","status":"finished","subject":{"reference":"Patient/ada"},"participant":[{"individual":{"reference":"Practitioner/dr"}}]}`,
		`{"resourceType":"Observation","id":"o1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1234-5"}]},"subject":{"reference":"Patient/ada/_history/3"},
			"encounter":{"reference":"Encounter/e1"},"valueQuantity":{"value":5},"effectiveDateTime":"2020-01-01"}`,
		`{"resourceType":"Observation","id":"o2","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"9999-9"}]},"subject":{"reference":"Patient/bob"},"valueQuantity":{"value":9}}`,
		`{"resourceType":"Observation","id":"o3","status":"final","code":{"coding":[{"code":"place"}]},"subject":{"reference":"Location/adaplace"}}`,
		`{"resourceType":"Observation","id":"o4","status":"final","code":{"coding":[{"code":"device"}]},"subject":{"reference":"Device/adapter"},"focus":[{"reference":"Observation/o1"}]}`,
		`{"resourceType":"Observation","id":"o5","status":"final","code":{"coding":[{"code":"lost"}]},"subject":{"reference":"Patient/nobody"}}`,
		`{"resourceType":"Observation","id":"o6","status":"final","code":{"coding":[{"code":"contained"}]},"subject":{"reference":"#p"},"contained":[{"resourceType":"Patient","id":"p","name":[{"family":"Lovelace"}]}]}`,
		`{"resourceType":"AuditEvent","id":"a1","agent":[{"requestor":true,"who":{"reference":"Practitioner/dr"}}],"entity":[{"what":{"reference":"Observation/o1"}}]}`,
	)
}

// TestChains asks of referenced resources, https://hl7.org/fhir/R4/search.html#chaining,
// and of referring ones, https://hl7.org/fhir/R4/search.html#has.
func TestChains(t *testing.T) {
	w := clinic(t)
	for _, test := range []struct{ types, query, want string }{
		{"Observation", "subject:Patient.name=love", "o1"},
		{"Observation", "subject.name=love", "o1"},
		{"Observation", "patient.name=love", "o1"},
		{"Observation", "subject.name=ada", "o1 o3"}, // a patient and a location; a Device has no name
		{"Observation", "subject:Location.name=ada", "o3"},
		{"Observation", "subject:Device.device-name=ada", "o4"},
		{"Observation", "subject:Patient.name=hope,love", "o1 o2"},
		{"Observation", "subject:Patient.name=nobody", ""},
		{"Observation", "subject:Patient.gender=female", "o1"},
		{"Observation", "subject:Patient.gender:not=male", "o1 o2"}, // of patients that are there
		{"Observation", "subject:Patient.gender:missing=true", "o2"},
		{"Observation", "subject:Patient.family:exact=Lovelace", "o1"},
		{"Observation", "subject:Patient.family:exact=lovelace", ""},
		{"Observation", "subject:Patient.family:contains=ovel", "o1"},
		{"Observation", "subject:Patient.birthdate=lt1980", "o2"},
		{"Observation", "subject:Patient.birthdate=ge1970&subject:Patient.birthdate=lt1980", "o2"},
		{"Observation", "subject:Patient._id=ada", "o1"},
		{"Observation", "subject._id=ada,adaplace", "o1 o3"},
		{"Observation", "subject:Patient._lastUpdated=gt2025", "o1 o2"},
		{"Observation", "subject:Patient.organization=Organization/ward", "o1"},
		{"Observation", "subject:Patient.organization.name=ward", "o1"},
		{"Observation", "subject.organization.name=north", "o2"},
		{"Observation", "subject:Patient.organization.partof.name=north", "o1"},
		{"Observation", "subject:Patient.organization:Organization.partof:Organization.identifier=http://h|N", "o1"},
		{"Observation", "subject:Patient.general-practitioner:Practitioner.family=house", "o1"},
		{"Observation", "subject.patient.name=hope", "o4"}, // the patient of a device
		{"Observation", "subject:Device.patient.organization.name=north", "o4"},
		{"Observation", "focus.code=1234-5", "o4"},
		{"Observation", "focus:Observation.value-quantity=gt4", "o4"},
		{"Observation", "focus:Observation.code-value-quantity=http://loinc.org|1234-5$5", "o4"},
		{"Observation", "code=9999-9&subject:Patient.name=love", ""},
		{"AuditEvent", "entity:Observation.subject:Patient.name=love", "a1"},
		{"", "_type=Observation,Encounter&subject:Patient.name=love", "Encounter/e1 Observation/o1"},

		{"Patient", "_has:Observation:patient:code=1234-5", "ada"},
		{"Patient", "_has:Observation:patient:code=1234-5,9999-9", "ada bob"},
		{"Patient", "_has:Observation:patient:code:not=1234-5", "bob"}, // one that has another code
		{"Patient", "_has:Observation:patient:value-quantity=gt6", "bob"},
		{"Patient", "_has:Observation:subject:date:missing=true", "bob"},
		{"Patient", "_has:Observation:patient:code=1234-5&_has:Observation:patient:status=final", "ada"},
		{"Patient", "_has:Group:member:_id=g1", "ada"},
		{"Patient", "_has:Device:patient:device-name=ada", "bob"},
		{"Patient", "_has:Observation:patient:_has:AuditEvent:entity:agent=Practitioner/dr", "ada"},
		{"Patient", "_has:Observation:patient:_has:Observation:focus:code=device", "ada"},
		{"Patient", "_has:Observation:patient:encounter.participant:Practitioner.family=house", "ada"},
		{"Patient", "_has:Encounter:patient:participant:Practitioner=dr", "ada"},
		{"Organization", "_has:Patient:organization:name=ada", "ward"},
		{"Organization", "_has:Patient:organization:_has:Observation:patient:code=9999-9", "north"},
		{"Practitioner", "_has:Encounter:practitioner:subject:Patient.name=love", "dr"},
		{"Encounter", "patient._has:Group:member:_id=g1", "e1"}, // R4's own example of a chain to _has
		{"Observation", "subject:Patient._has:Group:member:_id=g1", "o1"},
		{"Observation", "subject._has:Group:member:_id=g1", "o1"},
		{"Observation", "_has:AuditEvent:entity:_id=a1", "o1"},
		{"", "_has:Observation:subject:code=place,1234-5", "Location/adaplace Patient/ada"},
		{"", "_type=Patient,Location&_has:Observation:subject:code=place,1234-5", "Location/adaplace Patient/ada"},
		{"", "_type=Patient&_has:Observation:subject:code=place,1234-5", "Patient/ada"},

		{"Patient", "_list=42", "ada bob"},
		{"Patient", "_list=List/42&gender=female", "ada"},
		{"Patient", "_list=" + testBase + "/List/42", "ada bob"},
		{"Patient", "_list=none", ""},
		{"Patient", "_list=none,42", "ada bob"},
		{"Encounter", "_list=42", ""},
		{"", "_list=42", "Observation/o1 Patient/ada Patient/bob"},
		{"Observation", "subject._list=42", "o1 o2"},
		{"Patient", "_has:Observation:patient:_list=42", "ada"},
	} {
		if got := strings.Join(w.find(t, test.types, test.query), " "); got != test.want {
			t.Errorf("%s?%s finds %q, want %q", test.types, test.query, got, test.want)
		}
	}
}

// TestChainClauses pins the shape that stores are handed.
func TestChainClauses(t *testing.T) {
	for query, want := range map[string]string{
		"subject:Patient.name=x":                "subject->[Patient](name)",
		"subject.identifier=x":                  "subject->[Device Group Location Patient](identifier)",
		"subject.name=x":                        "subject->[Location Patient](name)",
		"subject.type=x":                        "subject->[Device Group Location](type)",
		"performer.name=x":                      "performer->[Organization Patient Practitioner RelatedPerson](name)",
		"patient._has:Group:member:_id=1":       "patient->[Patient](member<-[Group](_id))",
		"_has:DiagnosticReport:result:status=x": "result<-[DiagnosticReport](status)",
		"subject:Patient.link:missing=true":     "subject->[Patient](not link)",
		"based-on.intent=order":                 "based-on->[CarePlan DeviceRequest MedicationRequest ServiceRequest](intent)",
	} {
		request, err := parse(t, "Observation", query, ParseOptions{})
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := shape(request.Query.Where); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// shape writes clauses without their values.
func shape(where []Clause) string {
	var out []string
	for _, c := range where {
		s := c.Param
		switch {
		case c.Any != nil:
			var lists []string
			for _, list := range c.Any {
				lists = append(lists, shape(list))
			}
			s = "{" + strings.Join(lists, " | ") + "}"
		case c.Join != nil && c.Join.Reverse:
			s += "<-[" + strings.Join(c.Join.Types, " ") + "](" + shape(c.Join.Where) + ")"
		case c.Join != nil:
			s += "->[" + strings.Join(c.Join.Types, " ") + "](" + shape(c.Join.Where) + ")"
		}
		if c.Types != nil {
			s += " of " + strings.Join(c.Types, " ")
		}
		if c.Not {
			s = "not " + s
		}
		out = append(out, s)
	}
	return strings.Join(out, " & ")
}

// TestChainsOfSeveralMeanings: a parameter that differs in type between the
// targets gives alternatives, those that can read the value.
func TestChainsOfSeveralMeanings(t *testing.T) {
	r := testRegistry(t)
	several := 0
	for _, typ := range []string{"Observation", "Task", "Provenance", "AuditEvent", "List"} {
		for _, p := range r.Params(typ) {
			if p.Type != TypeReference || !hasLiterals([]*Param{p}) {
				continue
			}
			for _, name := range []string{"value", "code", "date", "context", "address", "version"} {
				request, err := r.Parse([]string{typ}, p.Name+"."+name+"=2020", ParseOptions{})
				if err != nil {
					continue
				}
				seen := map[Type]bool{}
				for _, target := range targets([]*Param{p}) {
					if found := r.types[target].byName[name]; found != nil {
						seen[found.Type] = true
					}
				}
				if c := request.Query.Where[0]; len(seen) > 1 {
					several++
					if len(c.Any) < 2 {
						t.Errorf("%s?%s.%s: %s for parameters of %d types", typ, p.Name, name, shape(request.Query.Where), len(seen))
					}
				}
			}
		}
	}
	if several == 0 {
		t.Error("no parameter has several meanings: the test tests nothing")
	}
}

func TestChainErrors(t *testing.T) {
	deep := strings.Repeat("part-of.", MaxDepth)
	w := newWorld(t)
	for _, test := range []struct {
		types, query string
		kind         fhir.Kind
		says         string
	}{
		{"Observation", "subject.nam=x", fhir.Invalid, `"nam" is not a search parameter of Device, Group, Location, Patient (did you mean "name"?)`},
		{"Observation", "subject:Patient.nam=x", fhir.Invalid, `"nam" is not a search parameter of Patient (did you mean "name"?)`},
		{"Observation", "subject:Patient.=x", fhir.Invalid, `"" is not a search parameter of Patient`},
		{"Observation", "subject.=x", fhir.Invalid, "is not a search parameter"},
		{"Observation", "subjekt.name=x", fhir.Invalid, `did you mean "subject"?`},
		{"Observation", "code.name=x", fhir.Invalid, "code is a token parameter: only behind references"},
		{"Observation", "subject:Medication.code=x", fhir.Invalid, "cannot refer to Medication, only to Device, Group, Location, Patient"},
		{"Observation", "subject:Patiant.name=x", fhir.Invalid, `"Patiant" is not a resource type (did you mean "Patient"?)`},
		{"Observation", "subject:identifier.name=x", fhir.Invalid, `"identifier" is not a resource type`},
		{"Observation", "subject:Patient.name=", fhir.Invalid, "has no value"},
		{"Observation", "subject:Patient.birthdate=soon", fhir.Invalid, `parameter subject:Patient.birthdate: "soon" is not a date`},
		{"Observation", "subject:Patient._count=5", fhir.Invalid, "_count shapes the answer"},
		{"Observation", "subject:Patient._include=Patient:link", fhir.Invalid, "_include shapes the answer"},
		{"Observation", "subject:Patient._filter=name eq x", fhir.Invalid, "_filter stands alone"},
		{"QuestionnaireResponse", "questionnaire.title=x", fhir.NotSupported, "literal references only"},
		{"Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=x", fhir.NotSupported, "literal references only"},
		{"Bundle", "composition.status=final", fhir.NotSupported, "composition is a resource inside of the Bundle"},
		{"Composition", "_has:Bundle:composition:type=document", fhir.NotSupported, "composition is a resource inside of the Bundle"},
		{"Procedure", deep + "part-of:Procedure.code=1", fhir.TooLarge, "more than 8 references"},
		{"Procedure", strings.Repeat("_has:Procedure:part-of:", MaxDepth+1) + "code=1", fhir.TooLarge, "more than 8 references"},
		{"Patient", "_has=x", fhir.Invalid, "_has is written"},
		{"Patient", "_has:Observation=x", fhir.Invalid, "_has is written"},
		{"Patient", "_has:Observation:patient=x", fhir.Invalid, "_has is written"},
		{"Patient", "_has:Observation:patient:=x", fhir.Invalid, "_has is written"},
		{"Patient", "_has::patient:code=x", fhir.Invalid, "_has is written"},
		{"Patient", "_has:Observations:patient:code=x", fhir.Invalid, `did you mean "Observation"?`},
		{"Patient", "_has:Observation:patent:code=x", fhir.Invalid, `did you mean "patient"?`},
		{"Patient", "_has:Observation:code:code=x", fhir.Invalid, "Observation.code is not a parameter that refers to Patient"},
		{"Patient", "_has:Observation:encounter:code=x", fhir.Invalid, "Those of Observation are: "},
		{"Patient", "_has:ValueSet:url:code=x", fhir.Invalid, "no parameter of ValueSet refers to Patient"},
		{"Patient", "_has:Observation:patient:cod=x", fhir.Invalid, `did you mean "code"?`},
		{"Patient", "_has:Observation:patient:_sort=x", fhir.Invalid, "_sort shapes the answer"},
		{"Patient", "_has.name=x", fhir.Invalid, "takes neither a modifier nor a chain"},
		{"Patient", "_list:not=42", fhir.Invalid, "takes neither"},
		{"Patient", "_list=$current-allergies", fhir.NotSupported, "functional lists"},
		{"Patient", "_list=Patient/1", fhir.Invalid, "not the id of a List"},
		{"Patient", "_list=7", fhir.Invalid, "there is no List/7"},
		{"Patient", "_list=", fhir.Invalid, "a value is empty"},
		{"Patient", "_list=slow", fhir.Timeout, "the deadline passed"},
		{"Patient", "link.name=" + strings.Repeat("a,", 1000) + "a", fhir.TooLarge, "more than 1000 values"},
		{"Observation", "code:text=" + strings.Repeat("a ", 107) + "&code:text=" + strings.Repeat("a ", 107) + "&code:text=" + strings.Repeat("a ", 107), fhir.TooLarge, "more than 256 predicates"},
		{"Observation", strings.Repeat("focus="+strings.Repeat("a,", 60)+"a&", 20), fhir.TooLarge, "altogether"},
	} {
		_, err := parse(t, test.types, test.query, w.options())
		if err == nil || fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s?%s:\n got %v (kind %d)\nwant kind %d saying %q", test.types, fhir.Clip(test.query), err, fhir.KindOf(err), test.kind, test.says)
		}
	}
}

// TestDeepest: as many references as are allowed are followed.
func TestDeepest(t *testing.T) {
	mustParse(t, "Procedure", strings.Repeat("part-of:Procedure.", MaxDepth)+"status=x")
	mustParse(t, "Procedure", strings.Repeat("part-of.", MaxDepth)+"status=x")
	mustParse(t, "Procedure", strings.Repeat("_has:Procedure:part-of:", MaxDepth)+"status=x")
}

// TestJoined: conditional interactions must see what is about other resources.
func TestJoined(t *testing.T) {
	for query, want := range map[string]bool{
		"name=x": false, "name:text=a b": false, "_list=42": false, "gender:not=male": false, "": false,
		"link:Patient.name=x": true, "_has:Observation:patient:code=x": true, "general-practitioner.name=x": true, "name=x&link:Patient._id=1": true,
	} {
		request, err := parse(t, "Patient", query, newWorld(t).options())
		if err != nil || request.Joined() != want {
			t.Errorf("%s: joined %t, error %v", query, request.Joined(), err)
		}
	}
	any := &Request{Query: Query{Where: []Clause{{Any: [][]Clause{{{Param: "a"}}, {{Param: "b"}, {Param: "c", Join: &Join{}}}}}}}}
	if !any.Joined() {
		t.Error("a join inside of alternatives is not seen")
	}
}

// TestChainLookupErrorsStayWhole: what a look-up failed with is not the client's
// fault, and its cause is not told.
func TestChainLookupErrorsStayWhole(t *testing.T) {
	for _, query := range []string{"_list=slow", "subject._list=slow", "foo=1&_list=slow", "_has:Group:member:_list=slow"} {
		typ := "Observation"
		if strings.HasPrefix(query, "_has") {
			typ = "Patient"
		}
		_, err := parse(t, typ, query, newWorld(t).options())
		var got *fhir.Error
		if !errors.As(err, &got) || got.Kind != fhir.Timeout || got.Message != "the deadline passed" || got.Cause == nil || len(got.Issues) > 0 {
			t.Errorf("%s: %#v", query, err)
		}
	}
}

// TestNamesPatient: a store begins with a clause that names the patient, and not
// with one that only seems to.
func TestNamesPatient(t *testing.T) {
	r := testRegistry(t)
	scope := r.Access(Grant{Type: "*", Rights: CanSearch, Patient: "ada"}).Scope(CanSearch)
	for query, want := range map[string]bool{
		"patient=ada": true, "patient=Patient/ada&code=x": true, "patient=bob": false, "subject=ada": true, "code=x": false,
		"patient:missing=false": false, "subject:Patient=ada": true, "subject:Patient._id=ada": false,
		"_has:DiagnosticReport:result:patient=ada": false, "patient=bob,ada": true,
	} {
		q := mustParse(t, "Observation", query).Query
		q.Scope = scope
		if got := q.NamesPatient("Observation"); got != want {
			t.Errorf("%s: %t, want %t", query, got, want)
		}
	}
	ada := RefersTo("patient", fhir.Key{Type: "Patient", ID: "ada"})
	not, other := ada, ada
	not.Not, other.Types = true, []string{"Condition"}
	for name, test := range map[string]struct {
		c    Clause
		want bool
	}{
		"each alternative": {Clause{Any: [][]Clause{{ada}, {Present("x"), ada}}}, true},
		"one alternative":  {Clause{Any: [][]Clause{{ada}, {Present("x")}}}, false},
		"no alternative":   {Clause{Any: [][]Clause{}}, false},
		"an empty one":     {Clause{Any: [][]Clause{{ada}, {}}}, false},
		"negated":          {not, false},
		"of another type":  {other, false},
		"a join":           {Clause{Param: "patient", Ranges: ada.Ranges, Join: &Join{Types: []string{"Patient"}}}, false},
	} {
		q := Query{Where: []Clause{test.c}, Scope: scope}
		if got := q.NamesPatient("Observation"); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
		where, ok := q.WhereOf("Observation")
		if !ok || len(where) != 2 || !slices.Equal(where[0].Ranges[0].From, InPatients("ada").Ranges[0].From) {
			t.Errorf("%s: the scope's clause is not the first: %s", name, shape(where))
		}
	}
}
