package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// erase checks how many versions are erased.
func (f *fixture) erase(name string, want int64) {
	f.Helper()
	got, err := f.s.Erase(f.Context(), key(name), 0)
	if err != nil {
		f.Fatalf("Erase %s: %v", name, err)
	}
	if got != want {
		f.Errorf("%d versions of %s are erased, want %d", got, name, want)
	}
}

var eraseCases = []testCase{
	{"Erase leaves the newest version and nothing before it", func(f *fixture) {
		aPast(f)
		f.write(put("Patient/1", "code=a"))
		want := f.read("Patient/1")
		f.erase("Patient/1", 2)
		same(f, f.read("Patient/1"), want)
		version, err := f.s.ReadVersion(f.Context(), key("Patient/1"), 3)
		if err != nil {
			f.Fatal(err)
		}
		same(f, version, want)
		for old := range int64(3) {
			_, err := f.s.ReadVersion(f.Context(), key("Patient/1"), old)
			f.wantKind(err, fhir.NotFound)
		}
		f.find(query("Patient", is("code", "a")), "Patient/1")
		f.remembers(store.HistoryQuery{Type: "Patient", ID: "1"}, "Patient/1@3")
		f.remembers(store.HistoryQuery{Type: "Patient"}, "Patient/1@3", "Patient/10@1", "Patient/1-@1", "Patient/2@1")
		f.remembers(store.HistoryQuery{}, "Patient/1@3", "Patient/10@1", "Patient/1-@1", "Observation/1@3", "Observation/1!2", "Patient/2@1", "Observation/1@1")
		f.erase("Patient/1", 0)
		f.erase("Patient/2", 0)
	}},
	{"versions go on after Erase", func(f *fixture) {
		f.write(put("Patient/1", "code=a"))
		f.write(put("Patient/1", "code=b"))
		f.erase("Patient/1", 1)
		if got := f.write(put("Patient/1", "code=c"))[0].Version; got != 3 {
			f.Errorf("version %d, want 3", got)
		}
		f.remembers(store.HistoryQuery{Type: "Patient", ID: "1"}, "Patient/1@3", "Patient/1@2")
		f.find(query("Patient", is("code", "c")), "Patient/1")
		f.find(query("Patient", is("code", "b")))
	}},
	{"of what is deleted the deletion is left, in its compartments", func(f *fixture) {
		l := f.limits()
		f.write(l.within(put("Observation/1", "code=a"), "a"))
		f.write(l.within(put("Observation/1", "code=b"), "b"))
		f.write(del("Observation/1"))
		f.erase("Observation/1", 2)
		gone := f.read("Observation/1")
		if !gone.Deleted() || gone.Version != 3 || !slices.Equal(gone.Patients, []string{"b"}) {
			f.Errorf("left is version %d in %q, a deletion: %t", gone.Version, gone.Patients, gone.Deleted())
		}
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "1", Scope: l.to("b").Scope(search.CanRead)}, "Observation/1!3")
		f.find(query("Observation"))
		if got := f.write(l.within(put("Observation/1"), "a"))[0].Version; got != 4 {
			f.Errorf("version %d, want 4", got)
		}
	}},
	{"what a patient's scope saw of erased versions is gone", func(f *fixture) {
		l := f.limits()
		for range 3 {
			f.write(l.within(put("Observation/1"), "a"), l.within(put("Observation/2"), "a"))
			f.clock.add(time.Second)
		}
		f.erase("Observation/1", 2)
		scope := l.to("a").Scope(search.CanRead)
		f.remembers(store.HistoryQuery{Type: "Observation", Scope: scope}, "Observation/2@3", "Observation/1@3", "Observation/2@2", "Observation/2@1")
		f.remembers(store.HistoryQuery{Scope: scope}, "Observation/2@3", "Observation/1@3", "Observation/2@2", "Observation/2@1")
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "1", Scope: scope}, "Observation/1@3")
	}},
	{"Erase of what never was is NotFound", func(f *fixture) {
		f.write(put("Patient/1"))
		for _, name := range []string{"Patient/2", "Observation/1"} {
			_, err := f.s.Erase(f.Context(), key(name), 0)
			f.wantKind(err, fhir.NotFound)
		}
	}},
	{"Erase of another version than the newest is VersionMismatch", func(f *fixture) {
		f.write(put("Patient/1"))
		f.write(put("Patient/1"))
		for _, version := range []int64{1, 3} {
			_, err := f.s.Erase(f.Context(), key("Patient/1"), version)
			f.wantKind(err, fhir.VersionMismatch)
		}
		f.remembers(store.HistoryQuery{Type: "Patient", ID: "1"}, "Patient/1@2", "Patient/1@1")
		if n, err := f.s.Erase(f.Context(), key("Patient/1"), 2); n != 1 || err != nil {
			f.Errorf("erased %d, %v", n, err)
		}
	}},
	{"pages begun before Erase go on without what is erased", func(f *fixture) {
		for i := range 6 {
			for range 3 {
				f.write(put(fmt.Sprintf("Patient/%d", i), "all=x", fmt.Sprintf("n=%d", i)))
				f.clock.add(time.Second)
			}
		}
		h := store.HistoryQuery{Type: "Patient", Count: 4}
		past, err := f.s.History(f.Context(), h)
		if err != nil {
			f.Fatal(err)
		}
		q := query("Patient", is("all", "x"))
		q.Sort, q.Count = []search.Sort{sortBy("n")}, 2
		first := f.search(q)
		f.write(put("Patient/3", "all=x", "n=3"), put("Patient/4", "all=y"))
		f.erase("Patient/3", 3)
		f.erase("Patient/5", 2)
		f.erase("Patient/1", 2)
		if h.Cursor = past.Next; fmt.Sprint(versions(f.history(h))) != "[Patient/4@2 Patient/4@1 Patient/2@3 Patient/2@2 Patient/2@1 Patient/1@3 Patient/0@3 Patient/0@2 Patient/0@1]" {
			f.Errorf("later pages of the history hold %v", versions(f.history(h)))
		}
		q.Cursor = first.Next
		got := names(f.all(q))
		for _, name := range []string{"Patient/2", "Patient/5"} {
			if !slices.Contains(got, name) {
				f.Errorf("later pages of the search hold %v: %s did not change", got, name)
			}
		}
		if slices.Contains(got, "Patient/0") || slices.Contains(got, "Patient/1") {
			f.Errorf("later pages of the search repeat what the first held: %v", got)
		}
	}},
	{"Erase among writes leaves the newest version", func(f *fixture) {
		const writes = 40
		f.write(put("Patient/1", "n=0"))
		together(2, func(i int) {
			for range writes {
				if i == 0 {
					if _, err := f.s.Write(f.Context(), []store.Change{put("Patient/1", "n=1")}); err != nil {
						f.Errorf("Write: %v", err)
					}
				} else if _, err := f.s.Erase(f.Context(), key("Patient/1"), 0); err != nil {
					f.Errorf("Erase: %v", err)
				}
			}
		})
		if got := f.read("Patient/1").Version; got != writes+1 {
			f.Errorf("version %d, want %d", got, writes+1)
		}
		if _, err := f.s.Erase(f.Context(), key("Patient/1"), writes+1); err != nil {
			f.Errorf("Erase: %v", err)
		}
		f.remembers(store.HistoryQuery{Type: "Patient", ID: "1"}, fmt.Sprintf("Patient/1@%d", writes+1))
		f.find(query("Patient", is("n", "1")), "Patient/1")
	}},
}
