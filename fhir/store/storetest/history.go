package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// versions returns "Patient/1@2" for each version.
func versions(resources []*fhir.Resource) []string {
	out := []string{}
	for _, r := range resources {
		mark := "@"
		if r.Deleted() {
			mark = "!"
		}
		out = append(out, fmt.Sprintf("%s%s%d", r.Key, mark, r.Version))
	}
	return out
}

// history pages through a history.
func (f *fixture) history(h store.HistoryQuery) []*fhir.Resource {
	f.Helper()
	var out []*fhir.Resource
	for range 1000 {
		page, err := f.s.History(f.Context(), h)
		if err != nil {
			f.Fatalf("History: %v", err)
		}
		if len(page.Resources) > h.Count {
			f.Fatalf("a page of %d versions, asked for %d", len(page.Resources), h.Count)
		}
		out = append(out, page.Resources...)
		if h.Cursor = page.Next; h.Cursor == "" {
			return out
		}
	}
	f.Fatal("history does not end")
	return nil
}

// remembers checks a history in pages of every size.
func (f *fixture) remembers(h store.HistoryQuery, want ...string) {
	f.Helper()
	for _, h.Count = range []int{1, 2, 3, 100} {
		if got := versions(f.history(h)); !slices.Equal(got, want) && len(got)+len(want) > 0 {
			f.Errorf("pages of %d: %v, want %v", h.Count, got, want)
		}
	}
}

// aPast is a store with some history, one second apart.
func aPast(f *fixture) (times []time.Time) {
	tick := func() {
		times = append(times, f.clock.now())
		f.clock.add(time.Second)
	}
	f.write(put("Patient/1"), put("Observation/1"))
	tick()
	f.write(put("Patient/2"))
	tick()
	f.write(put("Patient/1"), del("Observation/1"))
	tick()
	f.write(put("Observation/1"), put("Patient/10"), put("Patient/1-"))
	tick()
	return times
}

var historyCases = []testCase{
	{"history of an instance is newest first", func(f *fixture) {
		aPast(f)
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "1"}, "Observation/1@3", "Observation/1!2", "Observation/1@1")
		f.remembers(store.HistoryQuery{Type: "Patient", ID: "1"}, "Patient/1@2", "Patient/1@1")
		f.remembers(store.HistoryQuery{Type: "Patient", ID: "2"}, "Patient/2@1")
	}},
	{"history of an instance that never was is NotFound", func(f *fixture) {
		aPast(f)
		for _, name := range []string{"Patient/3", "Device/1"} {
			_, err := f.s.History(f.Context(), store.HistoryQuery{Type: key(name).Type, ID: key(name).ID, Count: 1})
			f.wantKind(err, fhir.NotFound)
		}
	}},
	{"history of a type is ordered by time, id and version", func(f *fixture) {
		aPast(f)
		f.remembers(store.HistoryQuery{Type: "Patient"}, "Patient/10@1", "Patient/1-@1", "Patient/1@2", "Patient/2@1", "Patient/1@1")
		f.remembers(store.HistoryQuery{Type: "Device"})
	}},
	{"history of the system is ordered by time, type, id and version", func(f *fixture) {
		aPast(f)
		f.remembers(store.HistoryQuery{}, "Patient/10@1", "Patient/1-@1", "Observation/1@3",
			"Patient/1@2", "Observation/1!2", "Patient/2@1", "Patient/1@1", "Observation/1@1")
	}},
	{"history orders versions of one millisecond by type, id and version", func(f *fixture) {
		for range 3 {
			f.write(put("Patient/b"))
			f.write(put("Patient/a"), put("Observation/z"))
		}
		want := []string{"Patient/b@3", "Patient/b@2", "Patient/b@1", "Patient/a@3", "Patient/a@2", "Patient/a@1"}
		f.remembers(store.HistoryQuery{Type: "Patient"}, want...)
		f.remembers(store.HistoryQuery{}, append(want, "Observation/z@3", "Observation/z@2", "Observation/z@1")...)
	}},
	{"history since leaves out versions made before", func(f *fixture) {
		times := aPast(f)
		f.remembers(store.HistoryQuery{Type: "Patient", Since: times[1]}, "Patient/10@1", "Patient/1-@1", "Patient/1@2", "Patient/2@1")
		f.remembers(store.HistoryQuery{Type: "Patient", Since: times[1].Add(time.Nanosecond)}, "Patient/10@1", "Patient/1-@1", "Patient/1@2")
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "1", Since: times[2]}, "Observation/1@3", "Observation/1!2")
		f.remembers(store.HistoryQuery{Since: times[3]}, "Patient/10@1", "Patient/1-@1", "Observation/1@3")
		f.remembers(store.HistoryQuery{Since: times[3].Add(time.Hour)})
	}},
	{"history at keeps what was current then", func(f *fixture) {
		times := aPast(f)
		f.remembers(store.HistoryQuery{At: times[0].Add(-time.Millisecond)})
		f.remembers(store.HistoryQuery{At: times[0]}, "Patient/1@1", "Observation/1@1")
		f.remembers(store.HistoryQuery{At: times[2].Add(-time.Millisecond)}, "Patient/2@1", "Patient/1@1", "Observation/1@1")
		f.remembers(store.HistoryQuery{At: times[2]}, "Patient/1@2", "Observation/1!2", "Patient/2@1")
		f.remembers(store.HistoryQuery{Type: "Patient", At: times[1]}, "Patient/2@1", "Patient/1@1")
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "1", At: times[2]}, "Observation/1!2")
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "1", At: times[0]}, "Observation/1@1")
		f.remembers(store.HistoryQuery{At: times[2], Since: times[2]}, "Patient/1@2", "Observation/1!2")
	}},
	{"history returns whole versions", func(f *fixture) {
		c := put("Patient/1")
		c.Patients = []string{"1"}
		want := f.write(c)
		want = append(want, f.write(del("Patient/1"))...)
		c.Patients = []string{"2"}
		want = append(want, f.write(c)...)
		slices.Reverse(want)
		for _, h := range []store.HistoryQuery{{Count: 9}, {Count: 9, Type: "Patient"}, {Count: 9, Type: "Patient", ID: "1"}} {
			got := f.history(h)
			if len(got) != len(want) {
				f.Fatalf("%d versions, want %d", len(got), len(want))
			}
			for i := range want {
				same(f, got[i], want[i])
			}
		}
	}},
	{"pages of a history are one snapshot", func(f *fixture) {
		f.write(put("Patient/1"), put("Patient/2"), put("Patient/3"))
		for _, h := range []store.HistoryQuery{{Count: 1}, {Type: "Patient", Count: 1}, {Type: "Patient", ID: "1", Count: 1}} {
			before := versions(f.history(store.HistoryQuery{Type: h.Type, ID: h.ID, Count: 100}))
			var got []string
			for {
				page, err := f.s.History(f.Context(), h)
				if err != nil {
					f.Fatal(err)
				}
				got = append(got, versions(page.Resources)...)
				f.write(put("Patient/1"), put("Patient/0"), put("Device/1"), put("Account/1")) // some in the same millisecond
				if h.Cursor = page.Next; h.Cursor == "" {
					break
				}
			}
			if !slices.Equal(got, before) {
				f.Errorf("paged %v, want %v", got, before)
			}
		}
	}},
	{"a history cursor belongs to its history", func(f *fixture) {
		aPast(f)
		page, err := f.s.History(f.Context(), store.HistoryQuery{Type: "Patient", Count: 1})
		if err != nil {
			f.Fatal(err)
		}
		for _, h := range []store.HistoryQuery{
			{Type: "Observation"}, {}, {Type: "Patient", ID: "1"}, {Type: "Patient", Since: f.clock.now()}, {Type: "Patient", At: f.clock.now()},
		} {
			h.Count, h.Cursor = 1, page.Next
			_, err := f.s.History(f.Context(), h)
			f.wantKind(err, fhir.Invalid)
		}
		_, err = f.s.History(f.Context(), store.HistoryQuery{Type: "Patient", Count: 1, Cursor: page.Next + "x"})
		f.wantKind(err, fhir.Invalid)
		_, err = f.s.Search(f.Context(), search.Query{Types: []string{"Patient"}, Count: 1, Cursor: page.Next})
		f.wantKind(err, fhir.Invalid)
	}},
	{"a page of history has 1 to 1,000 versions", func(f *fixture) {
		for _, count := range []int{-1, 0, 1001} {
			_, err := f.s.History(f.Context(), store.HistoryQuery{Count: count})
			f.wantKind(err, fhir.Invalid)
		}
	}},
}
