package search

import (
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
)

// TestCompartmentClauses: https://hl7.org/fhir/R4/compartmentdefinition.html.
func TestCompartmentClauses(t *testing.T) {
	r := testRegistry(t).WithBase(testBase)
	w := newWorld(t,
		`{"resourceType":"Patient","id":"1","generalPractitioner":[{"reference":"Practitioner/1"}]}`,
		`{"resourceType":"Patient","id":"old","link":[{"other":{"reference":"Patient/1"},"type":"replaces"}]}`,
		`{"resourceType":"Encounter","id":"1","subject":{"reference":"Patient/1"},"participant":[{"individual":{"reference":"Practitioner/1"}}]}`,
		`{"resourceType":"Encounter","id":"2","subject":{"reference":"Patient/2"}}`,
		`{"resourceType":"Observation","id":"a","subject":{"reference":"Patient/1"},"encounter":{"reference":"`+testBase+`/Encounter/1"},"performer":[{"reference":"Practitioner/1"}]}`,
		`{"resourceType":"Observation","id":"b","subject":{"reference":"Device/1"},"encounter":{"reference":"Encounter/2"},"performer":[{"reference":"RelatedPerson/1"}]}`,
		`{"resourceType":"Observation","id":"c","subject":{"reference":"Group/1"},"performer":[{"reference":"Patient/1"}],"device":{"reference":"Device/1"}}`,
		`{"resourceType":"Observation","id":"d","focus":[{"reference":"Patient/1"}]}`,
		`{"resourceType":"Practitioner","id":"1"}`,
		`{"resourceType":"RelatedPerson","id":"1","patient":{"reference":"Patient/1"}}`,
		`{"resourceType":"Device","id":"1","patient":{"reference":"Patient/1"}}`,
		`{"resourceType":"DocumentManifest","id":"m","related":[{"ref":{"reference":"Encounter/1"}}]}`,
	)
	for path, want := range map[string]string{
		"Patient/1/Observation":       "Observation/a Observation/c",
		"Patient/1/Patient":           "Patient/1 Patient/old", // Patient.link is in the table
		"Patient/1/Encounter":         "Encounter/1",
		"Patient/1/RelatedPerson":     "RelatedPerson/1",
		"Patient/9/Observation":       "",
		"Patient/1/*":                 "Encounter/1 Observation/a Observation/c Patient/1 Patient/old RelatedPerson/1",
		"Encounter/1/Observation":     "Observation/a",
		"Encounter/1/Encounter":       "Encounter/1",
		"Encounter/1/*":               "DocumentManifest/m Encounter/1 Observation/a",
		"Practitioner/1/Observation":  "Observation/a",
		"Practitioner/1/*":            "Encounter/1 Observation/a Patient/1 Practitioner/1",
		"RelatedPerson/1/Observation": "Observation/b",
		"RelatedPerson/1/*":           "Observation/b RelatedPerson/1",
		"Device/1/Observation":        "Observation/b Observation/c",
		"Device/1/*":                  "Observation/b Observation/c",
	} {
		parts := strings.Split(path, "/")
		clause, err := r.Compartment(parts[0], parts[1], parts[2])
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		q := Query{Where: []Clause{clause}}
		if parts[2] != "*" {
			q.Types = parts[2:]
		}
		if got := strings.Join(w.search(&q, false), " "); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for path, test := range map[string]struct {
		kind fhir.Kind
		says string
	}{
		"Location/1/Observation": {fhir.NotFound, "R4 has those of Device, Encounter, Patient, Practitioner, RelatedPerson"},
		"Patients/1/Observation": {fhir.NotFound, `did you mean "Patient"?`},
		"Patient/1/Location":     {fhir.Invalid, "Location is not in the Patient compartment. Those that are: Account, "},
		"Device/1/Device":        {fhir.Invalid, "Device is not in the Device compartment"},
		"Encounter/1/Obs":        {fhir.Invalid, "Those that are: CarePlan, "},
		"Patient/a_b/Encounter":  {fhir.Invalid, "is not a resource id"},
	} {
		parts := strings.Split(path, "/")
		if _, err := r.Compartment(parts[0], parts[1], parts[2]); err == nil || fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want kind %d saying %q", path, err, test.kind, test.says)
		}
	}
}

// TestCompartmentTables: what HL7's definitions name are reference parameters of
// types that exist, and can point at what the compartment is of.
func TestCompartmentTables(t *testing.T) {
	r := testRegistry(t)
	sizes := map[string]int{"Device": 32, "Encounter": 25, "Patient": 66, "Practitioner": 59, "RelatedPerson": 32}
	for _, compartment := range compartmentTypes {
		table, err := compartmentTable(compartment)
		if err != nil {
			t.Fatal(err)
		}
		types, err := r.CompartmentTypes(compartment)
		if err != nil || len(types) != sizes[compartment] || len(types) != len(table) || !slices.IsSorted(types) {
			t.Errorf("%s: %d types, want %d, error %v", compartment, len(types), sizes[compartment], err)
		}
		for typ, params := range table {
			for _, name := range params {
				if name == itself && typ == compartment {
					continue
				}
				set := r.types[typ]
				if set == nil || set.byName[name] == nil || set.byName[name].Type != TypeReference {
					t.Errorf("%s: %s.%s is no reference parameter", compartment, typ, name)
				}
			}
		}
	}
	if _, err := r.CompartmentTypes("Group"); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("Group: %v", err)
	}
}

// TestRestrict: a clause of the path is a part of the query and of its identity.
func TestRestrict(t *testing.T) {
	ids := map[string]bool{}
	for _, id := range []string{"", "1", "2"} {
		request := mustParse(t, "Observation", "code=x")
		before := request.Query.Where
		if id != "" {
			clause, err := testRegistry(t).Compartment("Encounter", id, "Observation")
			if err != nil {
				t.Fatal(err)
			}
			request.Restrict("Encounter/"+id, clause)
			if len(request.Query.Where) != 2 || len(before) != 1 || request.Query.Where[1].Param != "encounter" {
				t.Errorf("clauses %s", shape(request.Query.Where))
			}
		}
		ids[request.Query.Identity] = true
	}
	if len(ids) != 3 {
		t.Error("the identity does not tell the compartments apart")
	}
}
