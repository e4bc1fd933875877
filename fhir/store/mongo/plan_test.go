package mongo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// TestPlansGiveTheSameAnswers asks the same of a store that knows nothing of its
// index, of one whose statistics are right, and of one whose are wrong.
func TestPlansGiveTheSameAnswers(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	var changes []store.Change
	for i := range 200 {
		texts := []string{"all=x"}
		for range rng.IntN(4) {
			texts = append(texts, fmt.Sprintf("n=%02d", rng.IntN(40)), fmt.Sprintf("code=%c", 'a'+rng.IntN(4)))
		}
		changes = append(changes, create(fmt.Sprintf("Observation/%03d", i), texts...))
	}
	write(t, s, changes...)
	if err := s.sampleEntries(t.Context()); err != nil {
		t.Fatal(err)
	}
	right := s.stats.current()
	if got := right.Rows("Observation", &search.Clause{Param: "all", Ranges: []search.Range{{}}}); got != 200 {
		t.Errorf("the sample estimates %v of 200", got)
	}
	wrong := &sample{counts: right.counts, types: map[string]*typeSample{"Observation": {resources: 1000, elements: map[string][]string{
		"n": slices.Repeat([]string{element("Observation", "n", []byte("05"))}, 1000), "all": nil,
	}}}}

	forced := 0
	for range 150 {
		var where []search.Clause
		for range 1 + rng.IntN(3) {
			var c search.Clause
			switch from := fmt.Sprintf("%02d", rng.IntN(40)); rng.IntN(4) {
			case 0:
				c = is("code", string(rune('a'+rng.IntN(4))))
			case 1:
				c = is("all", "x")
			case 2:
				c = search.Clause{Param: "n", Ranges: []search.Range{{From: []byte(from), To: fmt.Appendf(nil, "%02d", rng.IntN(40))}, {From: []byte("38")}}}
			default:
				c = search.Clause{Param: "n", Ranges: []search.Range{{From: []byte(from), To: []byte(from + "\x00")}, {From: []byte("01"), To: []byte("01\x00")}}}
			}
			c.Not = rng.IntN(5) == 0
			where = append(where, c)
		}
		var want []string
		for _, c := range changes {
			if !slices.ContainsFunc(where, func(clause search.Clause) bool { return !search.Match("", c.Entries, clause) }) {
				want = append(want, c.Key.ID)
			}
		}
		for name, known := range map[string]*sample{"nothing": noSample, "right": right, "wrong": wrong} {
			s.stats.seen.Store(known)
			plan := search.PlanType("Observation", where, known)
			for i, step := range plan.Steps {
				if i > 0 && !step.Not && step.Rows >= decisive*plan.Rows && known != noSample {
					forced++
				}
			}
			page, err := s.Search(t.Context(), search.Query{Types: []string{"Observation"}, Where: where, Count: 1000, Total: search.TotalAccurate})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, res := range page.Resources {
				got = append(got, res.ID)
			}
			if !slices.Equal(got, want) || page.Total != int64(len(want)) {
				t.Fatalf("knowing %s, %s found %v, total %d, want %v", name, plan, got, page.Total, want)
			}
		}
	}
	if forced == 0 {
		t.Error("no plan was forced")
	}
}

// TestCandidatesInChunksGiveTheSamePages pages through a query whose Keep refuses
// most of what its range selects, while others write.
func TestCandidatesInChunksGiveTheSamePages(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	var changes []store.Change
	var want []string
	for i := range 150 {
		value := fmt.Sprintf("%03d", i*7%150)
		changes = append(changes, create(fmt.Sprintf("Observation/%03d", i), "n="+value))
		if value[2] == '3' {
			want = append(want, fmt.Sprintf("%03d", i))
		}
	}
	write(t, s, changes...)
	keep := search.Clause{Param: "n", Ranges: []search.Range{{Keep: func(value []byte) bool { return value[2] == '3' }}}}
	for _, s.keptChunk = range []int{0, 1, 2, 7, 1000} {
		for _, total := range []search.Total{search.TotalNone, search.TotalCheap, search.TotalAccurate} {
			q := search.Query{Types: []string{"Observation"}, Where: []search.Clause{keep}, Count: 4, Total: total, Identity: "q"}
			var got []string
			for n := 0; ; n++ {
				page, err := s.Search(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if total == search.TotalNone && page.Total != -1 || total != search.TotalNone && page.Total != int64(len(want)) {
					t.Errorf("chunks of %d: total %d", s.keptChunk, page.Total)
				}
				for _, res := range page.Resources {
					got = append(got, res.ID)
				}
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
				// Changed behind the first page, so not seen on this one.
				write(t, s, put(fhir.Update, "Observation/"+want[len(want)-1], "n=999"), put(fhir.Update, "Observation/zzz", "n=003"))
			}
			if !slices.Equal(got, want) {
				t.Errorf("chunks of %d, total of kind %d: %v, want %v", s.keptChunk, total, got, want)
			}
			write(t, s, put(fhir.Update, "Observation/"+want[len(want)-1], "n=003"), store.Change{Key: fhir.Key{Type: "Observation", ID: "zzz"}, Method: fhir.Delete})
		}
	}
}
