package resource_test

import (
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// FuzzGate looks for resources on which the gate's two readers differ: the walk
// must refuse whatever jsonformat refuses with all its checks. It also holds the
// gate to its promises: no panic, an error of the right kind, the same answer
// twice, and the resource unchanged.
func FuzzGate(f *testing.F) {
	for _, folder := range []string{"good", "bad"} {
		for _, text := range files(f, folder) {
			f.Add([]byte(text))
		}
	}
	for _, test := range ruleCases {
		f.Add([]byte(replaceCase(test.in, test.bad)))
	}
	gate, reader := newGate(f), newReader(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := resource.Decode(data)
		if err != nil {
			return
		}
		before := string(n.JSON())
		first := gate.Check(n)
		if first != nil {
			if k := fhir.KindOf(first); k != fhir.Invalid && k != fhir.TooLarge {
				t.Fatalf("kind %v: %v", k, first)
			}
		} else if problems := reader.Read(n); len(problems) > 0 {
			t.Fatalf("the gate accepts %s, jsonformat refuses it: %v", before, problems)
		}
		second := gate.Check(n)
		if (first == nil) != (second == nil) || first != nil && outcome(t, first) != outcome(t, second) {
			t.Fatalf("first %v, then %v", first, second)
		}
		resource.EachReference(n, func(string, *resource.Node) {})
		resource.EachURI(n, func(string, *resource.Node) {})
		if after := string(n.JSON()); after != before {
			t.Fatalf("the resource changed from %s to %s", before, after)
		}
	})
}
