package rest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/starling-fhir/starling/internal/golden"
)

// ward stores patients with 20 Observations each.
func ward(b *testing.B, patients int) *api {
	b.Helper()
	a := newAPI(b, func(c *Config) { c.NewID = uuid.NewString })
	for p := range patients {
		entries := []string{entryOf("", "PUT", fmt.Sprintf("Patient/p%d", p), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","active":true}`, p))}
		for range 20 {
			entries = append(entries, entryOf("", "POST", "Observation",
				strings.NewReplacer("Patient/ada", fmt.Sprintf("Patient/p%d", p), `"id":"weight",`, "").Replace(weight)))
		}
		a.must("POST", "", bundleOf("transaction", entries...))
	}
	return a
}

func BenchmarkRead(b *testing.B) {
	a := ward(b, 50)
	b.ReportAllocs()
	for b.Loop() {
		a.must("GET", "/Patient/p7", "")
	}
}

func BenchmarkSearchPatientAndCode(b *testing.B) {
	a := ward(b, 50)
	b.ReportAllocs()
	for b.Loop() {
		a.must("GET", "/Observation?patient=p7&code=http://loinc.org|29463-7&_count=20", "")
	}
}

func BenchmarkTransaction500(b *testing.B) {
	entries := []string{entryOf("urn:uuid:55555555-5555-4555-8555-555555555555", "POST", "Patient", plain)}
	for len(entries) < 500 {
		entries = append(entries, entryOf("", "POST", "Observation",
			strings.NewReplacer("Patient/ada", "urn:uuid:55555555-5555-4555-8555-555555555555", `"id":"weight",`, "").Replace(weight)))
	}
	body := bundleOf("transaction", entries...)
	a := newAPI(b, func(c *Config) { c.NewID = uuid.NewString })
	b.ReportAllocs()
	for b.Loop() {
		a.must("POST", "", body)
	}
	b.ReportMetric(float64(500*b.N)/b.Elapsed().Seconds(), "resources/s")
}

func BenchmarkSyntheaBundle(b *testing.B) {
	data, err := os.ReadFile(golden.Shared(b, "samples", "synthea", "Chauncey_Johnston_f4673866-81fb-411a-8486-0c27f2a5b480.json"))
	if err != nil {
		b.Fatal(err)
	}
	body := string(data)
	resources := strings.Count(body, `"fullUrl"`)
	a := newAPI(b, func(c *Config) { c.NewID = uuid.NewString })
	b.ReportAllocs()
	for b.Loop() {
		a.must("POST", "", body)
	}
	b.ReportMetric(float64(resources*b.N)/b.Elapsed().Seconds(), "resources/s")
}
