package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// copying is a source with a past and an empty target of the same kind.
type copying struct {
	*fixture
	from, to store.Archive
	// b is the target as a fixture.
	b *fixture
	// entries are the index entries of each living resource of the source.
	entries map[fhir.Key][]search.Entry
}

// newCopying gives a source a past: versions of one millisecond, transactions,
// deletions, one of a resource that comes back, and compartments that change.
func newCopying(f *fixture) *copying {
	c := &copying{fixture: f, from: f.archive(), b: newFixture(f.T, f.open), entries: map[fhir.Key][]search.Entry{}}
	c.to = c.b.archive()
	change := func(name string, patients []string, texts ...string) store.Change {
		p := put(name, texts...)
		p.Patients = patients
		return p
	}
	c.past(change("Patient/1", []string{"1"}, "name=a"), change("Observation/1", []string{"1"}, "code=x", "code=y"))
	c.past(change("Patient/1", []string{"1"}, "name=b"))
	c.past(change("Observation/1", []string{"2", "1"}, "code=y"), change("Account/9", nil, "code=x"))
	f.clock.add(time.Second)
	c.past(del("Observation/1"), change("Patient/2", []string{"2"}, "name=a"))
	c.past(change("Observation/2", []string{"2"}, "code=x", "code=\x00", "code="))
	f.clock.add(time.Millisecond)
	c.past(change("Observation/1", []string{"2"}, "code=z"))
	c.past(del("Account/9"))
	for i := range 7 {
		c.past(change("Encounter/e", []string{"1"}, fmt.Sprintf("n=%d", i)))
	}
	return c
}

// past writes to the source.
func (c *copying) past(changes ...store.Change) {
	c.Helper()
	c.write(changes...)
	for _, change := range changes {
		delete(c.entries, change.Key)
		if change.Method != fhir.Delete {
			c.entries[change.Key] = change.Entries
		}
	}
}

// archive returns the store as an Archive.
func (f *fixture) archive() store.Archive {
	f.Helper()
	a, ok := f.s.(store.Archive)
	if !ok {
		f.Fatalf("%T is no store.Archive", f.s)
	}
	return a
}

// export returns one batch with the entries of what is newest.
func (c *copying) export(behind store.Place, limit int) []store.Version {
	c.Helper()
	versions, err := c.from.Export(c.Context(), behind, limit)
	if err != nil {
		c.Fatalf("Export: %v", err)
	}
	if len(versions) > limit {
		c.Fatalf("an export of %d versions, asked for %d", len(versions), limit)
	}
	for i, v := range versions {
		if i > 0 && versions[i-1].Place().Compare(v.Place()) >= 0 || v.Place().Compare(behind) <= 0 {
			c.Fatalf("%v does not come behind what is before it", v.Place())
		}
		if v.Newest && !v.Deleted() {
			versions[i].Entries = c.entries[v.Key]
		}
	}
	return versions
}

// begin begins the copy or takes it up again.
func (c *copying) begin() store.Place {
	c.Helper()
	id, err := c.from.Identity(c.Context())
	if err != nil || id == "" {
		c.Fatalf("Identity: %q, %v", id, err)
	}
	place, err := c.to.BeginImport(c.Context(), id)
	if err != nil {
		c.Fatalf("BeginImport: %v", err)
	}
	return place
}

func (c *copying) imports(versions []store.Version) {
	c.Helper()
	if err := c.to.Import(c.Context(), versions); err != nil {
		c.Fatalf("Import: %v", err)
	}
}

// rest copies what is behind a place, in batches.
func (c *copying) rest(behind store.Place, limit int) {
	c.Helper()
	for {
		versions := c.export(behind, limit)
		if len(versions) == 0 {
			return
		}
		c.imports(versions)
		behind = versions[len(versions)-1].Place()
	}
}

func (c *copying) end() {
	c.Helper()
	if err := c.to.EndImport(c.Context()); err != nil {
		c.Fatalf("EndImport: %v", err)
	}
}

// equal checks that nobody can tell source and target apart.
func (c *copying) equal() {
	c.Helper()
	want := c.history(store.HistoryQuery{Count: 100})
	got := c.b.history(store.HistoryQuery{Count: 100})
	if !slices.Equal(versions(got), versions(want)) {
		c.Fatalf("the history is %v, want %v", versions(got), versions(want))
	}
	for i := range want {
		same(c.b, got[i], want[i])
		exact, err := c.b.s.ReadVersion(c.Context(), want[i].Key, want[i].Version)
		if err != nil {
			c.Fatalf("ReadVersion: %v", err)
		}
		same(c.b, exact, want[i])
		same(c.b, c.b.read(want[i].Key.String()), c.read(want[i].Key.String()))
	}
	for _, h := range []store.HistoryQuery{{Type: "Observation"}, {Type: "Observation", ID: "1"}, {Since: want[0].Updated}, {At: want[len(want)-1].Updated}} {
		c.b.remembers(h, versions(c.history(store.HistoryQuery{Type: h.Type, ID: h.ID, Since: h.Since, At: h.At, Count: 100}))...)
	}
	for _, q := range []search.Query{
		query("Patient"), query("Observation"), query("Account"), query("Encounter"),
		{Count: 100, Total: search.TotalAccurate, Identity: "all"},
		query("Patient", is("name", "a")), query("Patient", is("name", "b")), query("Observation", is("code", "x")),
		query("Observation", is("code", "y")), query("Observation", not(is("code", "x"))), query("Observation", between("code", "", "a")),
		query("Encounter", is("n", "6")), query("Encounter", is("n", "5")),
		query("Patient", search.Clause{Param: "_lastUpdated", Ranges: []search.Range{{From: nil}}}),
	} {
		found := names(c.search(q).Resources)
		c.b.find(q, found...)
	}
	byName := query("Patient")
	byName.Sort = []search.Sort{{Param: "name", Desc: true}}
	c.b.ordered(byName, names(c.search(byName).Resources)...)
	for _, a := range []store.Archive{c.from, c.to} {
		if n, err := a.Size(c.Context()); err != nil || n != int64(len(want)) {
			c.Errorf("Size %d, %v; want %d", n, err, len(want))
		}
	}
	again, err := c.to.Export(c.Context(), store.Place{}, 1000)
	if err != nil {
		c.Fatalf("Export of the target: %v", err)
	}
	first, err := c.from.Export(c.Context(), store.Place{}, 1000)
	if err != nil {
		c.Fatalf("Export: %v", err)
	}
	if len(again) != len(first) {
		c.Fatalf("the target exports %d versions, the source %d", len(again), len(first))
	}
	for i := range first {
		same(c.b, again[i].Resource, first[i].Resource)
		if again[i].Newest != first[i].Newest {
			c.Errorf("%v: newest %v in the target, %v in the source", first[i].Place(), again[i].Newest, first[i].Newest)
		}
	}
}

var archiveCases = []testCase{
	{"a copy cannot be told from its source", func(f *fixture) {
		c := newCopying(f)
		if place := c.begin(); place != (store.Place{}) {
			f.Errorf("a new copy begins at %v", place)
		}
		c.rest(store.Place{}, 1000)
		c.end()
		c.equal()
	}},
	{"an export comes in batches of any size, in one order", func(f *fixture) {
		c := newCopying(f)
		all := c.export(store.Place{}, 1000)
		newest := map[fhir.Key]int64{}
		for _, v := range all {
			newest[v.Key] = v.Version
		}
		for _, v := range all {
			if v.Newest != (newest[v.Key] == v.Version) {
				f.Errorf("%v: newest %v", v.Place(), v.Newest)
			}
		}
		for _, limit := range []int{1, 2, 3, 5} {
			var got []store.Version
			for {
				behind := store.Place{}
				if len(got) > 0 {
					behind = got[len(got)-1].Place()
				}
				batch := c.export(behind, limit)
				if len(batch) == 0 {
					break
				}
				got = append(got, batch...)
			}
			if len(got) != len(all) {
				f.Fatalf("batches of %d: %d versions, want %d", limit, len(got), len(all))
			}
			for i := range all {
				same(f, got[i].Resource, all[i].Resource)
			}
		}
		for _, limit := range []int{-1, 0, 1001} {
			_, err := c.from.Export(f.Context(), store.Place{}, limit)
			f.wantKind(err, fhir.Invalid)
		}
	}},
	{"a copy goes on where it stopped, and batches may come again", func(f *fixture) {
		c := newCopying(f)
		c.begin()
		first := c.export(store.Place{}, 5)
		c.imports(first)
		c.imports(first)
		place := c.begin()
		if place != first[4].Place() {
			f.Errorf("the copy goes on at %v, want %v", place, first[4].Place())
		}
		second := c.export(first[2].Place(), 4) // two of them again
		c.imports(second)
		c.rest(c.begin().Earlier(time.Hour), 3)
		c.end()
		c.equal()
	}},
	{"a copy takes up what its source got meanwhile", func(f *fixture) {
		c := newCopying(f)
		c.begin()
		c.rest(store.Place{}, 4)
		f.clock.add(time.Second)
		c.past(put("Patient/1", "name=c"), put("Patient/3", "name=a"))
		c.past(del("Patient/2"), put("Observation/2", "code=q"))
		c.rest(c.begin().Earlier(time.Minute), 4)
		c.end()
		c.equal()
	}},
	{"a copy of erased histories begins where they begin", func(f *fixture) {
		for _, limit := range []int{1, 1000} {
			c := newCopying(newFixture(f.T, f.open))
			c.erase("Observation/1", 3)
			c.erase("Encounter/e", 6)
			c.erase("Account/9", 1) // what is left is its deletion
			c.past(put("Encounter/e", "n=5"))
			c.past(put("Patient/9", "name=a"))
			c.past(put("Patient/9", "name=b"))
			c.erase("Patient/9", 1)
			c.begin()
			c.rest(store.Place{}, limit)
			c.rest(store.Place{}, limit) // what comes again is known
			c.end()
			c.equal()
			for name, first := range map[string]int64{"Observation/1": 4, "Encounter/e": 7, "Account/9": 2, "Patient/9": 2} {
				_, err := c.b.s.ReadVersion(c.Context(), key(name), first-1)
				c.wantKind(err, fhir.NotFound)
			}
			c.b.erase("Encounter/e", 1) // no more than there is
			if got := c.b.write(put("Patient/9", "name=c"))[0].Version; got != 3 {
				c.Errorf("version %d behind a copy, want 3", got)
			}
		}
	}},
	{"what is erased while a copy is under way makes no gap in it", func(f *fixture) {
		c := newCopying(f)
		c.begin()
		c.rest(store.Place{}, 1000)
		f.clock.add(time.Second)
		c.past(put("Encounter/e", "n=7"))
		c.past(put("Encounter/e", "n=8"))
		c.erase("Encounter/e", 8)
		err := c.to.Import(f.Context(), c.export(c.begin(), 1000))
		f.wantKind(err, fhir.Invalid)
		if got := c.b.read("Encounter/e").Version; got != 7 {
			f.Errorf("version %d is there, want 7", got)
		}
	}},
	{"writes go on behind a copy", func(f *fixture) {
		c := newCopying(f)
		c.begin()
		c.rest(store.Place{}, 1000)
		c.end()
		newest := c.history(store.HistoryQuery{Count: 1})[0]
		// The target's clock stands before the newest imported version.
		out := c.b.write(put("Encounter/e", "n=9"), put("Encounter/f"))
		if out[0].Version != 8 || out[1].Version != 1 || out[0].Updated.Before(newest.Updated) {
			f.Errorf("versions %d and %d of %v behind an import of %v", out[0].Version, out[1].Version, out[0].Updated, newest.Updated)
		}
		c.b.find(query("Encounter", is("n", "9")), "Encounter/e")
		c.b.find(query("Encounter", is("n", "6")))
		c.b.refuse(fhir.VersionMismatch, 0, store.Change{Key: key("Patient/1"), Method: fhir.Update, Body: body(key("Patient/1"), "x"), IfVersion: 1})
		if res := c.b.write(put("Account/9"))[0]; res.Version != 3 {
			f.Errorf("a resource that was deleted comes back at version %d, want 3", res.Version)
		}
	}},
	{"only an empty store, or the same copy's, can be copied into", func(f *fixture) {
		c := newCopying(f)
		id, err := c.from.Identity(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		if _, err := c.from.BeginImport(f.Context(), "another"); fhir.KindOf(err) != fhir.Conflict {
			f.Errorf("a copy into a store that is in use: %v", err)
		}
		err = c.to.Import(f.Context(), c.export(store.Place{}, 1))
		f.wantKind(err, fhir.Conflict) // it has not begun
		c.begin()
		_, err = c.to.BeginImport(f.Context(), id+"x")
		f.wantKind(err, fhir.Conflict)
		if other, err := c.to.Identity(f.Context()); err != nil || other == id {
			f.Errorf("two stores have the identities %q and %q: %v", id, other, err)
		}
		c.rest(store.Place{}, 1000)
		c.end()
		_, err = c.to.BeginImport(f.Context(), id)
		f.wantKind(err, fhir.Conflict)
	}},
	{"an import refuses what cannot be", func(f *fixture) {
		c := newCopying(f)
		c.begin()
		all := c.export(store.Place{}, 1000)
		of := func(v store.Version, alter func(*fhir.Resource)) []store.Version {
			res := *v.Resource
			res.JSON = bytes.Clone(res.JSON)
			alter(&res)
			v.Resource = &res
			return []store.Version{v}
		}
		c.imports(all[:1])
		for name, test := range map[string]struct {
			versions []store.Version
			kind     fhir.Kind
		}{
			"a gap":             {of(all[0], func(r *fhir.Resource) { r.Version = 3; r.JSON = body(r.Key, "x").Stamp(3, r.Updated) }), fhir.Invalid},
			"other bytes":       {of(all[0], func(r *fhir.Resource) { r.JSON = body(r.Key, "other").Stamp(1, r.Updated) }), fhir.Conflict},
			"other stamps":      {of(all[1], func(r *fhir.Resource) { r.JSON = []byte(`{"resourceType":"Patient"}`) }), fhir.Invalid},
			"other compartment": {of(all[0], func(r *fhir.Resource) { r.Patients = []string{"someone"} }), fhir.Conflict},
			"a bad key":         {of(all[1], func(r *fhir.Resource) { r.Key.ID = "a b" }), fhir.Invalid},
		} {
			if err := c.to.Import(f.Context(), test.versions); fhir.KindOf(err) != test.kind || err == nil {
				f.Errorf("%s: %v, want kind %d", name, err, test.kind)
			}
		}
		c.rest(store.Place{}, 1000)
		c.end()
		c.equal()
	}},
}
