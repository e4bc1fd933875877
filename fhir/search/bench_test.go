package search

import (
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
)

func BenchmarkNewRegistry(b *testing.B) {
	for b.Loop() {
		if _, err := NewRegistry(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExtract takes decoded resources; decoding is the gate's cost too.
func BenchmarkExtract(b *testing.B) {
	r := testRegistry(b)
	docs := ownResources(b)
	for _, name := range []string{"patient", "observation-glucose", "observation-laboratory", "observation-pressure", "molecular-sequence", "medication-request"} {
		b.Run(name, func(b *testing.B) {
			root, err := resource.Decode(docs[name])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := r.Extract(root); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	r := testRegistry(b)
	for name, query := range map[string]string{
		"patient and code": "patient=p1&code=http://loinc.org|2339-0&_count=20",
		"date range":       "patient=p1&date=ge2020-01-01&date=lt2021&_sort=-date",
		"composite":        "code-value-quantity=http://loinc.org|2339-0$gt5.4|http://unitsofmeasure.org|mg/dL",
		"hundred ids":      "_id=" + strings.Repeat("0b5a2c1e-8a3b-4d0e-9d8b-7a51a6a2c001,", 99) + "x",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Parse([]string{"Observation"}, query, ParseOptions{Base: "http://localhost/fhir"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
