package rest

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

func TestCapabilities(t *testing.T) {
	a := newAPI(t)
	body := a.must("GET", "/metadata", "").Body.Bytes()
	valid(t, body)
	root, err := resource.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	rest := root.List("rest")[0]
	var types []string
	for _, entry := range rest.List("resource") {
		types = append(types, entry.Str("type"))
		if entry.Str("type") == "Patient" {
			golden.JSON(t, "testdata/capabilities-patient.json", entry.JSON())
		}
	}
	if want := resource.Types(); !slices.Equal(types, want) {
		t.Errorf("the types are %v, want %v", types, want)
	}
	rest.Remove("resource")
	for i := range root.List("rest") {
		root.List("rest")[i] = rest
	}
	golden.JSON(t, "testdata/capabilities.json", root.JSON())

	if rec := a.do(call{method: "GET", path: "/metadata?mode=terminology"}); rec.Code != 400 {
		t.Errorf("mode=terminology: status %d", rec.Code)
	}
}

// A client that finds patients' data by the CapabilityStatement needs the
// parameter "patient" listed for each type that has it.
func TestCapabilitiesListPatientParameters(t *testing.T) {
	a := newAPI(t)
	var statement struct {
		Rest []struct {
			Resource []struct {
				Type        string
				SearchParam []struct{ Name, Definition, Type string }
			}
		}
	}
	if err := json.Unmarshal(a.must("GET", "/metadata", "").Body.Bytes(), &statement); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"Observation": true, "MolecularSequence": true, "MedicationRequest": true}
	for _, r := range statement.Rest[0].Resource {
		for _, p := range r.SearchParam {
			if p.Name == "patient" && p.Type == "reference" && p.Definition != "" {
				delete(want, r.Type)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no parameter patient for %v", want)
	}
}
