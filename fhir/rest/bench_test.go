package rest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
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

// BenchmarkAccess compares what a caller limited to one patient waits for with
// what one without limits does, for the same answer.
func BenchmarkAccess(b *testing.B) {
	a := newAPI(b, func(c *Config) {
		c.NewID = uuid.NewString
		access := map[string]search.Access{"all": search.FullAccess(), "patient": scoped(b, "patient/*.cruds")}
		c.Authorize = func(c echo.Context) (search.Access, error) { return access[c.Request().Header.Get("Scopes")], nil }
	})
	fillWard(a, 200)
	for _, test := range []struct{ name, path string }{
		{"read", "/Observation/ada-7"},
		{"vread", "/Observation/ada-7/_history/1"},
		{"history", "/Observation/ada-7/_history"},
		{"search by patient and code", "/Observation?patient=ada&code=http://loinc.org|29463-7&_count=20"},
		{"search by patient", "/Observation?patient=ada"},
		{"search counted", "/Observation?patient=ada&_summary=count"},
	} {
		for _, who := range []string{"all", "patient"} {
			b.Run(test.name+"/"+who, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if rec := a.as(who, call{method: "GET", path: test.path}); rec.Code != 200 {
						b.Fatalf("status %d: %s", rec.Code, rec.Body)
					}
				}
			})
		}
	}
}

// fillWard stores patients with 20 Observations each; Patient/ada is one of them.
func fillWard(a *api, patients int) {
	a.tb.Helper()
	for p := range patients {
		id := "ada"
		if p > 0 {
			id = fmt.Sprintf("p%d", p)
		}
		entries := []string{entryOf("", "PUT", "Patient/"+id, fmt.Sprintf(`{"resourceType":"Patient","id":%q}`, id))}
		for n := range 20 {
			own := fmt.Sprintf("%s-%d", id, n)
			entries = append(entries, entryOf("", "PUT", "Observation/"+own,
				strings.NewReplacer("Patient/ada", "Patient/"+id, `"id":"weight"`, fmt.Sprintf(`"id":%q`, own)).Replace(weight)))
		}
		rec := a.as("all", call{"POST", "", nil, bundleOf("transaction", entries...)})
		if rec.Code != 200 {
			a.tb.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
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
