package resource_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/fhir/resource"
)

func TestSchemaElement(t *testing.T) {
	s, err := resource.LoadSchema()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path  string
		want  string // the definition's path; "" if there is none
		types []string
		max   int
	}{
		{"Patient.name", "Patient.name", []string{"HumanName"}, resource.Unbounded},
		{"Patient.name.family", "HumanName.family", []string{"string"}, 1},
		{"Patient.name.period.start", "Period.start", []string{"dateTime"}, 1},
		{"Patient.deceased", "Patient.deceased[x]", []string{"boolean", "dateTime"}, 1},
		{"Patient.deceased[x]", "Patient.deceased[x]", []string{"boolean", "dateTime"}, 1},
		{"Patient.deceasedDateTime", "Patient.deceased[x]", []string{"dateTime"}, 1},
		{"Patient.deceasedQuantity", "", nil, 0},
		{"Observation.valueQuantity.value", "Quantity.value", []string{"decimal"}, 1},
		{"Observation.component.referenceRange", "Observation.component.referenceRange", nil, resource.Unbounded},
		{"Observation.component.referenceRange.low", "Observation.referenceRange.low", []string{"Quantity"}, 1},
		{"Questionnaire.item.item.item.linkId", "Questionnaire.item.linkId", []string{"string"}, 1},
		{"Bundle.entry.resource", "Bundle.entry.resource", []string{"Resource"}, 1},
		{"Bundle.entry.resource.id", "", nil, 0},
		{"Patient.extension.valueCoding.code", "Coding.code", []string{"code"}, 1},
		{"Patient.gender.extension.url", "", nil, 0},
		{"Patient.nickname", "", nil, 0},
		{"Nobody", "", nil, 0},
		{"", "", nil, 0},
	}
	for _, test := range tests {
		e, ok := s.Element(test.path)
		if ok != (test.want != "") || e.Path != test.want {
			t.Errorf("Element(%q) = %q, %v; want %q", test.path, e.Path, ok, test.want)
			continue
		}
		var types []string
		for _, typ := range e.Types {
			types = append(types, typ.Name)
		}
		if diff := cmp.Diff(test.types, types); diff != "" {
			t.Errorf("Element(%q).Types: %s", test.path, diff)
		}
		if ok && e.Max != test.max {
			t.Errorf("Element(%q).Max = %d, want %d", test.path, e.Max, test.max)
		}
	}
}

func TestSchemaTargetsAndBindings(t *testing.T) {
	s, err := resource.LoadSchema()
	if err != nil {
		t.Fatal(err)
	}
	e, _ := s.Element("Observation.subject")
	if diff := cmp.Diff([]string{"Patient", "Group", "Device", "Location"}, e.Types[0].Targets); diff != "" {
		t.Errorf("targets of Observation.subject: %s", diff)
	}
	if e, _ = s.Element("Observation.focus"); e.Types[0].Targets != nil {
		t.Errorf("Observation.focus may point anywhere, got %v", e.Types[0].Targets)
	}
	e, _ = s.Element("Patient.gender")
	if e.Strength != "required" {
		t.Errorf("strength of Patient.gender is %q", e.Strength)
	}
	codes, ok := s.Codes(e.ValueSet)
	if diff := cmp.Diff([]string{"female", "male", "other", "unknown"}, codes); !ok || diff != "" {
		t.Errorf("codes of Patient.gender: %v %s", ok, diff)
	}
	if _, ok := s.Codes("http://hl7.org/fhir/ValueSet/currencies"); ok {
		t.Error("R4 does not list the currencies")
	}
}

// TestSchemaIsWhole follows every type, content reference and binding.
func TestSchemaIsWhole(t *testing.T) {
	if problems := resource.SchemaProblems(t); len(problems) > 0 {
		t.Error(problems)
	}
}

func TestTypes(t *testing.T) {
	types := resource.Types()
	if len(types) != 146 || !slices.IsSorted(types) { // https://hl7.org/fhir/R4/resourcelist.html
		t.Errorf("%d types, sorted: %v", len(types), slices.IsSorted(types))
	}
	for name, want := range map[string]bool{
		"Patient": true, "MolecularSequence": true, "Parameters": true, "Bundle": true,
		"Resource": false, "DomainResource": false, "HumanName": false, "patient": false, "": false,
	} {
		if resource.KnownType(name) != want {
			t.Errorf("KnownType(%q) = %v", name, !want)
		}
	}
}
