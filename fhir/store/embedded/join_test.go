package embedded

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// refersToPatient is an observation that refers to a patient, in whose record
// it is.
func refersToPatient(id, patient, text string) store.Change {
	c := concerning(patient, id, text)
	c.Entries = append(c.Entries, search.Entry{Param: "subject", Value: search.RefersTo("", fhir.Key{Type: "Patient", ID: patient}).Ranges[0].From})
	return c
}

// manyReferences writes patients with 3 observations each: every one is
// "common", and the middle patient's first is "rare".
func manyReferences(t *testing.T, s *Store, patients int) {
	t.Helper()
	var changes []store.Change
	for p := range patients {
		id := fmt.Sprintf("p%04d", p)
		patient := textChange("Patient", id, "someone "+id)
		patient.Patients = []string{id}
		patient.Entries = append(patient.Entries, search.Entry{Param: "_id", Value: idValue(id)})
		changes = append(changes, patient)
		for o := range 3 {
			text := "common"
			if p == patients/2 && o == 0 {
				text = "common rare"
			}
			changes = append(changes, refersToPatient(fmt.Sprintf("%s-%d", id, o), id, text))
		}
	}
	for part := range slices.Chunk(changes, 500) {
		mustWrite(t, s, part...)
	}
}

// idValue is the entry of a logical id, as package search makes it.
func idValue(id string) []byte { return []byte("\x30" + id + "\x00") }

func TestPlansOfJoins(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem()})
	const patients = 600
	manyReferences(t, s, patients)
	is := func(word string) search.Clause { return one("word1", word) }
	not := func(c search.Clause) search.Clause { c.Not = true; return c }
	either := func(lists ...[]search.Clause) search.Clause { return search.Clause{Any: lists} }
	for _, test := range []struct {
		name, typ string
		where     []search.Clause
		want      string
		total     int64
	}{
		{
			"what refers is rare: it is gathered", "Patient",
			[]search.Clause{has("subject", "Observation", is("rare"))},
			"Patient: _has:Observation:subject{word1}=gather(1)", 1,
		},
		{
			"what refers is common: each is tested", "Patient",
			[]search.Clause{has("subject", "Observation", is("common"))},
			"Patient: all(600) _has:Observation:subject{word1}=test(600)", 600,
		},
		{
			"nothing refers", "Patient",
			[]search.Clause{has("subject", "Observation", is("common"), is("nobody's"))},
			"Patient: _has:Observation:subject{word1 and word1}=gather(0)", 0,
		},
		{
			"the others are rare: what refers to them is merged", "Observation",
			[]search.Clause{chain("subject", "Patient", is("p0007"))},
			"Observation: subject:Patient{word1}=gather(1)", 3,
		},
		{
			"the others are common", "Observation",
			[]search.Clause{chain("subject", "Patient", is("someone"))},
			"Observation: all(1800) subject:Patient{word1}=test(1800)", 1800,
		},
		{
			"two steps", "Observation",
			[]search.Clause{chain("subject", "Patient", has("subject", "Observation", is("rare")))},
			"Observation: subject:Patient{_has:Observation:subject{word1}}=gather(1)", 3,
		},
		{
			"not the rare one", "Patient",
			[]search.Clause{not(has("subject", "Observation", is("rare")))},
			"Patient: all(600) not _has:Observation:subject{word1}=test(0)", patients - 1,
		},
		{
			"a stream drives, the common join is tested on what it finds", "Patient",
			[]search.Clause{has("subject", "Observation", is("common")), is("p0003")},
			"Patient: word1=drive(600) _has:Observation:subject{word1}=test(600)", 1,
		},
		{
			"alternatives of streams are a stream", "Patient",
			[]search.Clause{either([]search.Clause{is("p0003")}, []search.Clause{is("p0005"), is("someone")})},
			"Patient: (word1 or word1 and word1)=drive(600)", 2,
		},
		{
			"alternatives without one are tested", "Patient",
			[]search.Clause{either([]search.Clause{is("p0003")}, []search.Clause{not(is("someone"))})},
			"Patient: all(600) (word1 or not word1)=test(600)", 1,
		},
		{
			"a type that the clause is not for", "Patient",
			[]search.Clause{{Param: "word1", Ranges: is("someone").Ranges, Types: []string{"Observation"}}},
			"Patient: word1=none(0)", 0,
		},
		{
			"types of which there is nothing", "Patient",
			[]search.Clause{has("subject", "Encounter", is("x"))},
			"Patient: _has:Encounter:subject{word1}=none(0)", 0,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &view{ctx: t.Context(), r: s.db, t: s.visible.Load().t}
			c := s.walk(v, search.Query{}, place{}).p.plan(test.typ, test.where, forth)
			if got := c.explain().String(); got != test.want {
				t.Errorf("plan %q, want %q", got, test.want)
			}
			var total int64
			for doc, ok := c.next(0); ok; doc, ok = c.next(doc + 1) {
				total++
			}
			if err := v.close(); err != nil {
				t.Fatal(err)
			}
			if total != test.total {
				t.Errorf("%d found, want %d", total, test.total)
			}
		})
	}
}

// TestFirstPagesLookAtNoMoreOfMoreData: how much a first page looks at is the
// same for four times the data, whether or not what it looks for is common.
func TestFirstPagesLookAtNoMoreOfMoreData(t *testing.T) {
	small, large := mustOpen(t, Options{FS: vfs.NewMem()}), mustOpen(t, Options{FS: vfs.NewMem()})
	manyReferences(t, small, 400)
	manyReferences(t, large, 1600)
	for _, test := range []struct {
		name string
		q    search.Query
	}{
		{"common, who refers", search.Query{Types: []string{"Patient"}, Where: []search.Clause{has("subject", "Observation", one("word1", "common"))}}},
		{"rare, who refers", search.Query{Types: []string{"Patient"}, Where: []search.Clause{has("subject", "Observation", one("word1", "rare"))}}},
		{"common others", search.Query{Types: []string{"Observation"}, Where: []search.Clause{chain("subject", "Patient", one("word1", "someone"))}}},
		{"one other", search.Query{Types: []string{"Observation"}, Where: []search.Clause{chain("subject", "Patient", one("word1", "p0123"))}}},
		{"a token", search.Query{Types: []string{"Observation"}, Where: []search.Clause{one("word1", "common")}}},
		{"a rare token and a common one", search.Query{Types: []string{"Observation"}, Where: []search.Clause{one("word1", "common"), one("word1", "rare")}}},
	} {
		looked := func(s *Store) int64 {
			q := test.q
			q.Count, q.Explain, q.Total = 10, true, search.TotalNone
			page, err := s.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			return page.Plans[0].Looked
		}
		if a, b := looked(small), looked(large); b > a+a/2 {
			t.Errorf("%s: %d rows, of four times the data %d", test.name, a, b)
		}
	}
}

// TestASearchLooksAtSoMany: a search that would look at very many resources one
// by one is refused, unless it is of somebody who may see only some: then how many
// there are of others must not show.
func TestASearchLooksAtSoMany(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem()})
	manyReferences(t, s, 300)
	s.tuning.mostLooked = 100
	never := search.Clause{Any: [][]search.Clause{{{Param: "word1", Ranges: one("word1", "someone").Ranges, Not: true}}}}
	ask := func(where ...search.Clause) search.Query {
		return search.Query{Types: []string{"Patient"}, Where: where, Count: 10, Total: search.TotalNone}
	}
	page, err := s.Search(t.Context(), ask(never))
	if fhir.KindOf(err) != fhir.TooCostly || !strings.Contains(err.Error(), "add a criterion") {
		t.Errorf("%v, %v, want TooCostly and what to do", page, err)
	}
	for name, q := range map[string]search.Query{
		"with a criterion that few meet": ask(never, one("word1", "p0003")),
		"where matches are common":       ask(has("subject", "Observation", one("word1", "common"))),
		"of a patient alone":             accessTo(t, "p0003").Narrow(ask(never)),
		"of a patient, joined":           accessTo(t, "p0003").Narrow(ask(has("subject", "Observation", one("word1", "common"), never))),
	} {
		if _, err := s.Search(t.Context(), q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
