package resource_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

func benchFile(b *testing.B, name string) []byte {
	b.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "good", name+".json"))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

var benchNames = []string{"patient-full", "moments", "molecular-sequence", "contained"}

func BenchmarkDecode(b *testing.B) {
	for _, name := range benchNames {
		b.Run(name, func(b *testing.B) {
			data := benchFile(b, name)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := resource.Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	n := decode(b, string(benchFile(b, "patient-full")))
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = n.Append(out[:0])
	}
	b.SetBytes(int64(len(out)))
}

// BenchmarkCheckKnown is the check of a resource whose structure the gate has
// seen before, BenchmarkCheckNew of one that jsonformat has to read.
func BenchmarkCheckKnown(b *testing.B) {
	for _, name := range benchNames {
		b.Run(name, func(b *testing.B) {
			gate, n := newGate(b), decode(b, string(benchFile(b, name)))
			b.ReportAllocs()
			for b.Loop() {
				if err := gate.Check(n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckNew(b *testing.B) {
	for _, name := range benchNames {
		b.Run(name, func(b *testing.B) {
			gate, n := newGate(b), decode(b, string(benchFile(b, name)))
			b.ReportAllocs()
			for b.Loop() {
				gate.Forget()
				if err := gate.Check(n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSynthea takes whole transaction bundles of the development samples
// through decoder and gate; the time is per resource.
func BenchmarkSynthea(b *testing.B) {
	paths, err := filepath.Glob(filepath.Join(golden.Shared(b, "samples", "synthea"), "*.json"))
	if err != nil || len(paths) == 0 {
		b.Fatal("no bundles", err)
	}
	gate := newGate(b)
	var texts [][]byte
	resources, bytes := 0, 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		texts = append(texts, data)
		resources += len(decode(b, string(data)).List("entry"))
		bytes += len(data)
	}
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(bytes))
		for b.Loop() {
			for _, data := range texts {
				if _, err := resource.Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*resources), "ns/resource")
	})
	b.Run("check", func(b *testing.B) {
		var trees []*resource.Node
		for _, data := range texts {
			trees = append(trees, decode(b, string(data)))
		}
		for b.Loop() {
			for _, n := range trees {
				if err := gate.Check(n); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*resources), "ns/resource")
	})
}
