package services

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/cds"
)

// FuzzOrderSelect sends arbitrary contexts and prefetches: nothing panics, and
// every answer keeps the rules.
func FuzzOrderSelect(f *testing.F) {
	cases, err := filepath.Glob("testdata/pgx-order-select/*/request.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	c := config(f)
	h, err := cds.NewHandler(All(c), cds.Options{NewID: c.NewID, Clock: c.Clock})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := serve(h, "POST", "/cds-services/pgx-order-select", body)
		switch w.Code {
		case 200:
			lintResponse(t, w.Body.Bytes())
		case 400:
		default:
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}

// Members of the wrong type, anywhere in an order or a result, cost neither a
// panic nor the advice on the other order.
func TestWrongTypesAnywhere(t *testing.T) {
	genotypes := bundle(genotypeOf("g1", cyp2c19, `"valueString":"*2/*2"`))
	var template any
	if err := json.Unmarshal([]byte(`{"resourceType":"MedicationRequest","id":"x","status":"draft","subject":{"reference":"Patient/p1"},
		"medicationCodeableConcept":{"coding":[{"system":"s","code":"c"}]},"medicationReference":{"reference":"#m"},"contained":[{"resourceType":"Medication","id":"m","code":{"text":"t"}}],
		"dosageInstruction":[{"route":{"text":"oral"},"timing":{"repeat":{"frequency":1,"period":1,"periodUnit":"d"}},"doseAndRate":[{"doseQuantity":{"value":1,"unit":"mg"}}]}],
		"reasonCode":[{"text":"r"}],"reasonReference":[{"reference":"Condition/1"}],"dispenseRequest":{"expectedSupplyDuration":{"value":1,"unit":"days"}},
		"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"48018-6"}]},"valueCodeableConcept":{"text":"CYP2C19"}}],"performer":[{"display":"d"}],"category":[{"coding":[{"code":"GE"}]}]}`), &template); err != nil {
		t.Fatal(err)
	}
	s := service(config(t))
	rapid.Check(t, func(t *rapid.T) {
		damaged, err := json.Marshal(damage(t, template, 0))
		if err != nil {
			t.Fatal(err)
		}
		req := call([]string{string(damaged), order("o1", clopidogrel)}, `["MedicationRequest/o1"]`, map[string]string{
			"genotypes": genotypes, "genomics": bundle(string(damaged)), "patient": string(damaged),
		})
		response, err := s.answer(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if len(response.Cards) == 0 {
			t.Fatalf("the advice was lost: %v", response.Reasons)
		}
	})
}

// damage replaces some values by values of other types.
func damage(t *rapid.T, v any, depth int) any {
	if depth > 0 && rapid.IntRange(0, 9).Draw(t, "damage") == 0 {
		return rapid.SampledFrom([]any{nil, 7.5, true, "x", "", []any{}, []any{nil, 1.0}, map[string]any{}, map[string]any{"coding": 7.0}, map[string]any{"reference": []any{}}}).Draw(t, "value")
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			member := v[name]
			if name == "resourceType" && depth == 0 {
				out[name] = rapid.SampledFrom([]any{"MedicationRequest", "Observation", "DiagnosticReport", "Patient", "Condition", "MedicationStatement"}).Draw(t, "type")
				continue
			}
			out[name] = damage(t, member, depth+1)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = damage(t, v[i], depth+1)
		}
		return out
	}
	return v
}

// BenchmarkOrderSelect answers a call with a full prefetch, from bytes to bytes.
func BenchmarkOrderSelect(b *testing.B) {
	body, err := os.ReadFile("testdata/pgx-order-select/poor-metabolizer/request.json")
	if err != nil {
		b.Fatal(err)
	}
	c := config(b)
	h, err := cds.NewHandler(All(c), cds.Options{NewID: c.NewID, Clock: c.Clock})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if w := serve(h, "POST", "/cds-services/pgx-order-select", body); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
