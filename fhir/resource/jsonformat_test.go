package resource_test

import (
	"strings"
	"testing"

	"github.com/google/fhir/go/jsonformat"
	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/fhir/resource"
)

func newReader(tb testing.TB) *resource.Reader {
	tb.Helper()
	r, err := resource.NewReader()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// TestJSONFormatPlaces looks at where and how the errors of jsonformat arrive,
// which the gate shows if the walk should ever miss something.
func TestJSONFormatPlaces(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"unknown member", `{"resourceType":"Patient","nmae":1}`, []string{`Patient: unknown field "nmae"`}},
		{"code", `{"resourceType":"Patient","contact":[{"gender":"zz"}]}`, []string{`Patient.contact[0].gender: code type mismatch "zz" is not a AdministrativeGenderCode`}},
		{"choice", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":"1"}}`, []string{`Observation.value.value: expected decimal found "1"`}},
		{"primitive in a choice", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"\u0001"}`, []string{`Observation.value: string contains invalid characters: U+0001 `}},
		{
			"oneof names in capitals", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"performer":[{"reference":"Patient/1"},{"reference":"Encounter/1"}]}`,
			[]string{`Observation.performer[1]: invalid reference to a Encounter resource, want Practitioner, PractitionerRole, Organization, CareTeam, Patient, RelatedPerson `},
		},
		{"contained", `{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","naem":1}],"managingOrganization":{"reference":"#o"}}`, []string{`Patient.contained[0]: unknown field "naem"`}},
		{"companion", `{"resourceType":"Patient","_birthDate":{"extension":[{"url":"u","valueFoo":1}]}}`, []string{`Patient.birthDate.extension[0]: unknown field "valueFoo"`}},
		{"required", `{"resourceType":"Observation","status":"final"}`, []string{`Observation: missing required field "code" `}},
	}
	reader := newReader(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, reader.Read(decode(t, test.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestJSONFormatPanics: a nil reader panics when it is used.
func TestJSONFormatPanics(t *testing.T) {
	var broken *jsonformat.Unmarshaller
	got := resource.Unmarshal(broken, []byte(`{"resourceType":"Patient","id":"secret"}`))
	if len(got) != 1 || !strings.Contains(got[0], "cannot be read as an R4 resource") || strings.Contains(got[0], "secret") {
		t.Errorf("got %q", got)
	}
}

// TestTheWalkFindsWhatJSONFormatFinds: the walk refuses every bad resource by
// itself, and jsonformat with all its checks accepts every good one.
func TestTheWalkFindsWhatJSONFormatFinds(t *testing.T) {
	reader := newReader(t)
	for name, text := range files(t, "bad") {
		n := decode(t, text)
		if len(resource.Walk(n)) == 0 && n.Get("parameter") == nil {
			t.Errorf("the walk finds nothing in bad/%s", name)
		}
	}
	for name, text := range files(t, "good") {
		if got := reader.Read(decode(t, text)); len(got) > 0 {
			t.Errorf("jsonformat refuses good/%s: %v", name, got)
		}
	}
}
