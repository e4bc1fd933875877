package embedded

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// prepared is a write that has come up to the serial section.
type prepared struct {
	changes     []*change
	base, asked uint64
}

func prepareOne(t *testing.T, s *Store, c store.Change) prepared {
	t.Helper()
	ready, err := s.check(&c)
	if err != nil {
		t.Fatal(err)
	}
	p := prepared{changes: []*change{ready}}
	if p.base, err = s.prepareAll(t.Context(), p.changes); err != nil {
		t.Fatal(err)
	}
	if p.asked, err = s.askConditions(t.Context(), p.changes); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p prepared) commit(t *testing.T, s *Store) error {
	t.Helper()
	batch := s.db.NewBatch()
	now, wrote, err := s.serial(t.Context(), p.changes, p.base, p.asked, batch)
	if err != nil {
		return errors.Join(err, batch.Close())
	}
	return errors.Join(s.settle(batch, now, wrote), batch.Close())
}

// Two writes that are prepared at the same moment meet in the serial section,
// in an order that no test of running goroutines can force.
func TestWritesPreparedAtTheSameMoment(t *testing.T) {
	patient := textChange("Patient", "1", "a b")
	other := textChange("Patient", "1", "b c")
	unique, unique2 := textChange("Patient", "2", "x"), textChange("Patient", "3", "x")
	unique.Condition = &store.Condition{Query: search.Query{Types: []string{"Patient"}, Where: []search.Clause{one("word1", "x")}}}
	unique2.Condition = unique.Condition
	with := func(c store.Change, alter func(*store.Change)) store.Change { alter(&c); return c }
	none := func(c *store.Change) { c.IfNone = true }
	first := func(c *store.Change) { c.IfVersion = 1 }
	gone := store.Change{Key: patient.Key, Method: fhir.Delete}
	for _, test := range []struct {
		name   string
		before []store.Change
		a, b   store.Change
		kind   fhir.Kind // of b's error; 0 for none
		head   head
	}{
		{"create and create", nil, with(patient, none), with(other, none), fhir.Duplicate, head{doc: 1, version: 1}},
		{"update and update", []store.Change{patient}, other, patient, 0, head{doc: 1, version: 3}},
		{"new and new", nil, patient, other, 0, head{doc: 1, version: 2}},
		{"update twice from one version", []store.Change{patient}, with(other, first), with(other, first), fhir.VersionMismatch, head{doc: 1, version: 2}},
		{"delete and update", []store.Change{patient}, gone, other, 0, head{doc: 1, version: 3}},
		{"update and delete", []store.Change{patient}, other, gone, 0, head{doc: 1, version: 3, deleted: true}},
		{"delete and delete", []store.Change{patient}, gone, gone, 0, head{doc: 1, version: 2, deleted: true}},
		{"create and delete of nothing", nil, patient, gone, 0, head{doc: 1, version: 2, deleted: true}},
		{"conditional create and conditional create", nil, unique, unique2, fhir.Conflict, head{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := mustOpen(t, Options{FS: vfs.NewMem(), Indexer: textIndexer{"1"}})
			mustWrite(t, s, test.before...)
			a, b := prepareOne(t, s, test.a), prepareOne(t, s, test.b)
			if err := a.commit(t, s); err != nil {
				t.Fatal(err)
			}
			err := b.commit(t, s)
			if test.kind == 0 && err != nil || test.kind != 0 && fhir.KindOf(err) != test.kind {
				t.Errorf("the second write's error is %v, want kind %d", err, test.kind)
			}
			mustCheck(t, s)
			if typ, ok := s.types.number("Patient"); ok {
				if got, err := findHead(s.db, typ, "1"); err != nil || got != test.head {
					t.Errorf("the head is %+v (%v), want %+v", got, err, test.head)
				}
			}
		})
	}
}

// A moment that is not durable yet is invisible, however it is asked for.
func TestWhatIsNotDurableIsInvisible(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem(), Indexer: textIndexer{"1"}})
	mustWrite(t, s, textChange("Patient", "1", "a"))
	before := s.visible.Load()
	mustWrite(t, s, textChange("Patient", "1", "b"), textChange("Patient", "2", "a"))
	s.visible.Store(before) // as if the log were still being written

	if res, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "1"}); err != nil || res.Version != 1 {
		t.Errorf("read gives %+v, %v", res, err)
	}
	if _, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "2"}); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("read of a new resource: %v", err)
	}
	if _, err := s.ReadVersion(t.Context(), fhir.Key{Type: "Patient", ID: "1"}, 2); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("read of a new version: %v", err)
	}
	if _, err := s.History(t.Context(), store.HistoryQuery{Type: "Patient", ID: "2", Count: 9}); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("history of a new resource: %v", err)
	}
	for _, h := range []store.HistoryQuery{{Count: 9}, {Type: "Patient", Count: 9}, {Type: "Patient", ID: "1", Count: 9}} {
		if page, err := s.History(t.Context(), h); err != nil || len(page.Resources) != 1 {
			t.Errorf("history %+v: %v, %v", h, page, err)
		}
	}
	if got := findWord(t, s, "word1", "a"); got != 1 {
		t.Errorf("%d found, want the old version alone", got)
	}
	if got := findWord(t, s, "word1", "b"); got != 0 {
		t.Errorf("%d found of what is not durable", got)
	}
	// A deletion that is reported, not made, is waited for as well.
	mustWrite(t, s, store.Change{Key: fhir.Key{Type: "Patient", ID: "9"}, Method: fhir.Delete})
	if s.visible.Load().t != s.newest.t {
		t.Error("Write returned before what it saw was durable")
	}
}
