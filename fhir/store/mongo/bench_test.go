package mongo

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// The benchmarks run against whatever replica set STARLING_TEST_MONGODB_URI
// names. On the engine of the tests their times say nothing about MongoDB;
// commands/op holds everywhere.

// observation is a made-up laboratory result with about as many index entries as
// a real one has.
func observation(id string, patient, code int) store.Change {
	c := create("Observation/"+id,
		fmt.Sprintf("_id=0%s", id), fmt.Sprintf("patient=PPatient/%d", patient), fmt.Sprintf("subject=PPatient/%d", patient),
		"status=0final", "status=1http://hl7.org/fhir/observation-status|final", "category=0laboratory",
		"category=1http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
		fmt.Sprintf("code=0%d-4", code), fmt.Sprintf("code=1http://loinc.org|%d-4", code),
		fmt.Sprintf("date=02026-01-%02d", 1+code%28), fmt.Sprintf("date=12026-01-%02d", 1+code%28),
	)
	c.Body.Tail = fmt.Appendf(nil, `},"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"%d-4"}]},`+
		`"subject":{"reference":"Patient/%d"},"effectiveDateTime":"2026-01-%02d","valueQuantity":{"value":%d.50,"unit":"mg/dL"}}`, code, patient, 1+code%28, code)
	c.Patients = []string{fmt.Sprint(patient)}
	return c
}

// benchStore is a store of 20,000 observations of 200 patients.
func benchStore(b *testing.B) (*Store, *counter) {
	b.Helper()
	c := &counter{}
	s := openTest(b, testDatabase(b), Options{Monitor: c.monitor()})
	for i := 0; i < 20_000; i += 500 {
		var changes []store.Change
		for j := i; j < i+500; j++ {
			changes = append(changes, observation(fmt.Sprint(j), j%200, j%77))
		}
		if _, err := s.Write(b.Context(), changes); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.sampleEntries(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s, c
}

func BenchmarkStore(b *testing.B) {
	s, commands := benchStore(b)
	var next atomic.Int64
	var version int64 = 1
	patient := is("patient", "PPatient/7")
	page := func(q search.Query) func(b *testing.B) error {
		q.Types, q.Count = []string{"Observation"}, 20
		return func(b *testing.B) error { _, err := s.Search(b.Context(), q); return err }
	}
	for _, bench := range []struct {
		name string
		run  func(b *testing.B) error
	}{
		{"read", func(b *testing.B) error {
			_, err := s.Read(b.Context(), fhir.Key{Type: "Observation", ID: fmt.Sprint(next.Add(1) % 20_000)})
			return err
		}},
		{"create", func(b *testing.B) error {
			_, err := s.Write(b.Context(), []store.Change{observation(fmt.Sprintf("new-%d", next.Add(1)), 7, 7)})
			return err
		}},
		{"update", func(b *testing.B) error {
			c := observation("7", 7, 7)
			c.Method, c.IfNone, c.IfVersion = fhir.Update, false, version
			version++
			_, err := s.Write(b.Context(), []store.Change{c})
			return err
		}},
		{"conditional create", func(b *testing.B) error {
			n := next.Add(1)
			c := create(fmt.Sprintf("Patient/p%d", n), fmt.Sprintf("identifier=%d", n))
			c.Condition = &store.Condition{Query: search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("identifier", fmt.Sprint(n))}}}
			_, err := s.Write(b.Context(), []store.Change{c})
			return err
		}},
		{"transaction of 500", func(b *testing.B) error {
			var changes []store.Change
			for range 500 {
				changes = append(changes, observation(fmt.Sprintf("new-%d", next.Add(1)), 7, 7))
			}
			_, err := s.Write(b.Context(), changes)
			return err
		}},
		{"page of a patient", page(search.Query{Where: []search.Clause{patient}})},
		{"page of a patient and a code", page(search.Query{Where: []search.Clause{patient, is("code", "07-4")}})},
		{"page of a patient by date", page(search.Query{Where: []search.Clause{patient}, Sort: []search.Sort{{Param: "date", Desc: true}}})},
		{"page of a status with a total", page(search.Query{Where: []search.Clause{is("status", "0final")}, Total: search.TotalAccurate})},
	} {
		b.Run(bench.name, func(b *testing.B) {
			commands.take()
			for b.Loop() {
				if err := bench.run(b); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(commands.take()))/float64(b.N), "commands/op")
		})
	}
	b.Run("creates of 64 clients", func(b *testing.B) {
		commands.take()
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Write(b.Context(), []store.Change{observation(fmt.Sprintf("new-%d", next.Add(1)), 7, 7)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(len(commands.take()))/float64(b.N), "commands/op")
	})
}
