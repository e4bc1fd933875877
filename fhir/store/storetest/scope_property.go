package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

var scopePropertyCases = []testCase{
	{"answers under a scope are the same without what lies outside", func(f *fixture) {
		// Two stores serve all draws; each draw has a patient of its own, for
		// whom what earlier draws have written lies outside.
		other := newFixture(f.T, f.open)
		l := f.limits()
		draw := 0
		rapid.Check(f.T, func(t *rapid.T) {
			draw++
			w := &twoWorlds{full: f, bare: other, l: l, draw: draw, patient: fmt.Sprintf("p%d", draw)}
			w.write(t, true) // nobody asks about a store without the types
			t.Repeat(map[string]func(*rapid.T){
				"write":     func(t *rapid.T) { w.write(t, false) },
				"search":    w.search,
				"gather":    w.gather,
				"history":   w.history,
				"condition": w.condition,
			})
		})
	}},
}

// twoWorlds are two stores with one clock. What the patient's scope sees is
// written to both; what it does not only to the full one.
type twoWorlds struct {
	full, bare *fixture
	l          limits
	draw       int
	patient    string
}

// drawnType is a resource type with what the patient sees of it.
type drawnType struct {
	name string
	open bool // whole, else by compartment; hidden types only belong to others
}

var (
	seenTypes   = []drawnType{{"Condition", false}, {"Medication", true}, {"MolecularSequence", false}, {"Observation", false}, {"Practitioner", true}}
	hiddenTypes = []drawnType{{"Device", true}, {"Group", false}, {"Condition", false}, {"MolecularSequence", false}, {"Observation", false}, {"Patient", false}}
)

// drawChange makes a change of the patient's or of others. The two never have one id:
// who is written to once is told by the version number.
func (w *twoWorlds) drawChange(t *rapid.T, own bool) store.Change {
	types, owner := hiddenTypes, "b"
	if own {
		types, owner = seenTypes, "a"
	}
	typ := rapid.SampledFrom(types).Draw(t, "type")
	k := fhir.Key{Type: typ.name, ID: fmt.Sprintf("%d%s", rapid.IntRange(0, 6).Draw(t, "id"), owner)}
	if !typ.open { // of whole types all draws see the same few
		k.ID = fmt.Sprintf("%d-%s", w.draw, k.ID)
	}
	if own && rapid.IntRange(0, 9).Draw(t, "the patient itself") == 0 {
		k, typ = fhir.Key{Type: "Patient", ID: w.patient}, drawnType{"Patient", false}
	}
	if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
		return store.Change{Key: k, Method: fhir.Delete}
	}
	c := store.Change{Key: k, Method: fhir.Update, Body: body(k, rapid.StringMatching(`[a-c]{0,40}`).Draw(t, "text"))}
	for range rapid.IntRange(0, 4).Draw(t, "entries") {
		c.Entries = append(c.Entries, search.Entry{Param: smallParam.Draw(t, "param"), Value: smallValue.Draw(t, "value")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "references") {
		param, target := graphLink.Draw(t, "link"), w.drawTarget(t)
		c.Entries = append(c.Entries, search.Entry{Param: param, Value: search.RefersTo(param, target).Ranges[0].From})
	}
	var patients []string
	if !typ.open {
		others := rapid.SampledFrom([][]string{nil, {"b"}, {"b", w.patient + "x"}, {"zz"}}).Draw(t, "others")
		patients = append(patients, others...)
		if own || typ.name == "Group" {
			patients = append(patients, w.patient)
		}
	}
	return w.l.within(c, patients...)
}

// drawTarget draws what a reference points at: of the patient's or of others.
func (w *twoWorlds) drawTarget(t *rapid.T) fhir.Key {
	typ := rapid.SampledFrom(append(slices.Clone(seenTypes), hiddenTypes...)).Draw(t, "target")
	k := fhir.Key{Type: typ.name, ID: fmt.Sprintf("%d%s", rapid.IntRange(0, 6).Draw(t, "target id"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "whose"))}
	if !typ.open {
		k.ID = fmt.Sprintf("%d-%s", w.draw, k.ID)
	}
	return k
}

// write writes changes of both, of which the bare world gets only the
// patient's, at the same moment.
func (w *twoWorlds) write(t *rapid.T, own bool) {
	step := time.Duration(rapid.IntRange(0, 3).Draw(t, "ms")) * time.Millisecond
	w.full.clock.add(step)
	w.bare.clock.add(step)
	var all, seen []store.Change
	used := map[fhir.Key]bool{}
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		own := own || rapid.Bool().Draw(t, "own")
		c := w.drawChange(t, own)
		if used[c.Key] {
			continue
		}
		used[c.Key] = true
		all = append(all, c)
		if own {
			seen = append(seen, c)
		}
	}
	w.commit(t, all, seen)
}

// commit writes to both worlds and compares what the patient is told.
func (w *twoWorlds) commit(t *rapid.T, all, seen []store.Change) {
	got, err := w.full.s.Write(w.full.Context(), all)
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	want, err := w.bare.s.Write(w.bare.Context(), seen)
	if err != nil {
		t.Fatalf("Write without the others' changes: %v", err)
	}
	for i, j := 0, 0; i < len(all); i++ {
		if j < len(seen) && all[i].Key == seen[j].Key {
			if a, b := describe(got[i]), describe(want[j]); a != b {
				t.Fatalf("Write gave\n%s\nwithout the others' changes\n%s", a, b)
			}
			j++
		}
	}
}

// others writes to the full world what the patient does not see.
func (w *twoWorlds) others(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "others write meanwhile") == 0 {
		w.commit(t, []store.Change{w.drawChange(t, false)}, nil)
	}
}

// access is the patient's: to everything, to some types, or also beside a
// whole type.
func (w *twoWorlds) access(t *rapid.T) search.Access {
	const read = search.CanRead | search.CanSearch
	everything := search.Grant{Type: "*", Rights: read, Patient: w.patient}
	return w.l.r.Access(rapid.SampledFrom([][]search.Grant{
		{everything},
		{{Type: "Observation", Rights: read, Patient: w.patient}, {Type: "Medication", Rights: read, Patient: w.patient}},
		{everything, {Type: "Observation", Rights: read, Patient: w.patient + "-none"}},
		{everything, {Type: "Practitioner", Rights: read}},
	}).Draw(t, "grants")...)
}

func (w *twoWorlds) drawQuery(t *rapid.T) search.Query {
	q := search.Query{
		Count:    rapid.IntRange(0, 5).Draw(t, "count"),
		Total:    rapid.SampledFrom([]search.Total{search.TotalCheap, search.TotalNone, search.TotalAccurate}).Draw(t, "total"),
		Identity: "scoped",
	}
	if rapid.IntRange(0, 4).Draw(t, "all types") > 0 {
		for _, typ := range []string{"Condition", "Device", "Group", "Medication", "MolecularSequence", "Observation", "Patient"} {
			if rapid.IntRange(0, 2).Draw(t, typ) == 0 {
				q.Types = append(q.Types, typ)
			}
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "clauses") {
		c := search.Clause{Param: smallParam.Draw(t, "param"), Not: rapid.IntRange(0, 2).Draw(t, "not") == 0}
		for range rapid.IntRange(0, 3).Draw(t, "ranges") {
			c.Ranges = append(c.Ranges, drawRange(t))
		}
		q.Where = append(q.Where, c)
	}
	if rapid.IntRange(0, 2).Draw(t, "joins") == 0 {
		q.Where = append(q.Where, drawClause(t, 2))
	}
	if rapid.IntRange(0, 3).Draw(t, "names the patient") == 0 {
		q.Where = append(q.Where, search.InPatients(w.patient))
	}
	for range rapid.IntRange(0, 2).Draw(t, "sorts") {
		q.Sort = append(q.Sort, search.Sort{Param: smallParam.Draw(t, "sort"), Range: drawRange(t), Desc: rapid.Bool().Draw(t, "desc")})
	}
	return q
}

func (w *twoWorlds) search(t *rapid.T) {
	q := w.access(t).Narrow(w.drawQuery(t))
	if rapid.Bool().Draw(t, "a scope set by hand") {
		q.Total = search.TotalCheap
	}
	full, bare := w.compare(t, func(f *fixture, cursor string) (*search.Page, error) {
		q.Cursor = cursor
		return f.s.Search(f.Context(), q)
	})
	for q.Back = true; full != "" && bare != ""; {
		q.Cursor = full
		got, gotErr := w.full.s.Search(w.full.Context(), q)
		q.Cursor = bare
		want, wantErr := w.bare.s.Search(w.bare.Context(), q)
		if a, b := describePage(got, gotErr), describePage(want, wantErr); a != b {
			t.Fatalf("back is\n%s\nwithout what lies outside\n%s", a, b)
		}
		if gotErr != nil {
			return
		}
		full, bare = got.Prev, want.Prev
		w.others(t)
	}
}

func (w *twoWorlds) gather(t *rapid.T) {
	g := store.GatherQuery{Limit: rapid.IntRange(1, 6).Draw(t, "limit"), Scope: w.access(t).Scope(search.CanSearch)}
	for range rapid.IntRange(0, 4).Draw(t, "keys") {
		g.Keys = append(g.Keys, w.drawTarget(t))
	}
	for range rapid.IntRange(0, 2).Draw(t, "referring") {
		clause := search.RefersTo(graphLink.Draw(t, "param"), w.drawTarget(t), w.drawTarget(t))
		g.Referring = append(g.Referring, store.Referring{Type: w.drawTarget(t).Type, Clause: clause})
	}
	ask := func(f *fixture) string {
		found, more, err := f.s.Gather(f.Context(), g)
		return fmt.Sprintf("more: %t\n%s", more, describePage(&search.Page{Resources: found}, err))
	}
	if a, b := ask(w.full), ask(w.bare); a != b {
		t.Fatalf("gathered is\n%s\nwithout what lies outside\n%s", a, b)
	}
}

func (w *twoWorlds) history(t *rapid.T) {
	h := store.HistoryQuery{Count: rapid.IntRange(1, 5).Draw(t, "count"), Scope: w.access(t).Scope(search.CanRead)}
	switch rapid.IntRange(0, 3).Draw(t, "of") {
	case 0:
		own := w.drawChange(t, rapid.Bool().Draw(t, "own"))
		h.Type, h.ID = own.Key.Type, own.Key.ID
	case 1, 2:
		h.Type = rapid.SampledFrom([]string{"Condition", "Device", "Group", "Medication", "Observation", "Patient"}).Draw(t, "type")
	}
	now := w.full.clock.now()
	when := func(name string) time.Time {
		return rapid.SampledFrom([]time.Time{{}, now, now.Add(-2 * time.Millisecond), now.Add(-7 * time.Millisecond)}).Draw(t, name)
	}
	h.Since, h.At = when("since"), when("at")
	if (h.Type == "" || h.Type == "Medication") && h.ID == "" && h.Since.IsZero() {
		h.Since = now.Add(-20 * time.Millisecond) // earlier draws are too long
	}
	w.compare(t, func(f *fixture, cursor string) (*search.Page, error) {
		h.Cursor = cursor
		return f.s.History(f.Context(), h)
	})
}

// condition writes once more what a search of the patient's has found.
func (w *twoWorlds) condition(t *rapid.T) {
	q := w.access(t).Narrow(w.drawQuery(t))
	q.Count, q.Sort = 2, nil
	q.Where = slices.DeleteFunc(q.Where, search.Clause.Joins)
	page, err := w.bare.s.Search(w.bare.Context(), q)
	if err != nil {
		t.Fatalf("Search: %v", err)
	}
	if page.Next != "" {
		return // a condition with more keys is never made
	}
	c := w.drawChange(t, true)
	c.Condition = &store.Condition{Query: q}
	for _, res := range page.Resources {
		c.Condition.Keys = append(c.Condition.Keys, res.Key)
	}
	w.commit(t, []store.Change{c}, []store.Change{c})
}

// compare follows an answer's pages in both worlds and returns what their last
// ones have as Prev.
func (w *twoWorlds) compare(t *rapid.T, ask func(f *fixture, cursor string) (*search.Page, error)) (fullPrev, barePrev string) {
	var full, bare string
	for range 1000 {
		got, gotErr := ask(w.full, full)
		want, wantErr := ask(w.bare, bare)
		if a, b := describePage(got, gotErr), describePage(want, wantErr); a != b {
			t.Fatalf("the answer is\n%s\nwithout what lies outside\n%s", a, b)
		}
		switch {
		case gotErr != nil:
			return "", ""
		case got.Next == "":
			return got.Prev, want.Prev
		}
		full, bare = got.Next, want.Next
		w.others(t)
	}
	t.Fatal("paging does not end")
	return "", ""
}

// describePage writes all that an answer tells.
func describePage(page *search.Page, err error) string {
	if err != nil {
		return fmt.Sprintf("error of kind %d: %v", fhir.KindOf(err), err)
	}
	lines := []string{fmt.Sprintf("total %d, a cursor of %d bytes, one back of %d", page.Total, len(page.Next), len(page.Prev))}
	for _, res := range page.Resources {
		lines = append(lines, describe(res))
	}
	return strings.Join(lines, "\n")
}

func describe(res *fhir.Resource) string {
	if res == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s version %d of %s by %s in %q: %s", res.Key, res.Version, res.Updated, res.Method, slices.Clone(res.Patients), res.JSON)
}
