package search

import (
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
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

// BenchmarkExtractSynthea takes the resources of made-up patients, and tells how
// many entries a resource has and how many bytes their values, of those how much
// for full-text search.
func BenchmarkExtractSynthea(b *testing.B) {
	r := testRegistry(b)
	var roots []*resource.Node
	eachFile(b, golden.Shared(b, "samples", "synthea"), func(_ string, doc []byte) {
		bundle, err := resource.Decode(doc)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range bundle.List("entry") {
			roots = append(roots, e.Get("resource"))
		}
	})
	entries, size, words, wordSize := 0, 0, 0, 0
	for _, root := range roots {
		list, _, err := r.Extract(root)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range list {
			entries++
			size += len(e.Value)
			if e.Value[0] == classTextWord {
				words++
				wordSize += len(e.Value)
			}
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, _, err := r.Extract(roots[i%len(roots)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
	per := func(n int) float64 { return float64(n) / float64(len(roots)) }
	b.ReportMetric(per(entries), "entries/resource")
	b.ReportMetric(per(size), "entryB/resource")
	b.ReportMetric(per(words), "words/resource")
	b.ReportMetric(per(wordSize), "wordB/resource")
}

func BenchmarkParse(b *testing.B) {
	r := testRegistry(b)
	for name, query := range map[string]string{
		"patient and code": "patient=p1&code=http://loinc.org|2339-0&_count=20",
		"date range":       "patient=p1&date=ge2020-01-01&date=lt2021&_sort=-date",
		"composite":        "code-value-quantity=http://loinc.org|2339-0$gt5.4|http://unitsofmeasure.org|mg/dL",
		"modifiers":        "code:not=http://loinc.org|2339-0&value-string:contains=ada&subject:Patient=p1&status:missing=false",
		"chain":            "subject:Patient.organization.name=north",
		"chain to any":     "focus.identifier=http://h|1",
		"has":              "_has:DiagnosticReport:result:status=final",
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
