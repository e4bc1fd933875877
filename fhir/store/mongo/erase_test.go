package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// erased writes resources of several versions and erases what is before the
// newest: of one that goes on, one that is deleted and one that is new again.
func erased(t *testing.T, s *Store) {
	t.Helper()
	version := func(name string, method fhir.Method) {
		c := store.Change{Key: fhir.Key{Type: "Patient", ID: name}, Method: method}
		if method != fhir.Delete {
			c = put(method, "Patient/"+name, "x=y")
			c.Entries, c.Patients = []search.Entry{{Param: "v1", Value: []byte("[x=y]")}}, []string{"v1"}
		}
		write(t, s, c)
	}
	erase := func(name string, want int64) {
		if n, err := s.Erase(t.Context(), fhir.Key{Type: "Patient", ID: name}, 0); n != want || err != nil {
			t.Fatalf("erased %d of %s, %v", n, name, err)
		}
	}
	for _, name := range []string{"on", "deleted", "again", "whole"} {
		version(name, fhir.Update)
		version(name, fhir.Update)
	}
	erase("on", 1)
	version("on", fhir.Update)
	version("on", fhir.Update)
	erase("on", 2)
	version("on", fhir.Update)
	version("deleted", fhir.Delete)
	erase("deleted", 2)
	version("again", fhir.Delete)
	erase("again", 2)
	version("again", fhir.Update)
}

func TestCheckKnowsWhatWasErasedFromWhatIsLost(t *testing.T) {
	database := testDatabase(t)
	s := openTest(t, database, Options{Indexer: definitions{hash: "v1"}})
	erased(t, s)
	if found := check(t, s, true); len(found) > 0 {
		t.Errorf("nothing is wrong, but found is %v", found)
	}
	if _, err := s.resources.DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/again"}}); err != nil {
		t.Fatal(err)
	}
	if found := check(t, s, true); len(found) != 1 || !strings.Contains(found[0], "it is missing (true)") {
		t.Errorf("a resource that is missing: %v", found)
	}
	if _, err := s.history.DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/on/4"}}); err != nil {
		t.Fatal(err)
	}
	if found := check(t, s, false); len(found) != 1 || !strings.Contains(found[0], "version 5 comes in history where version 1 should be") {
		t.Errorf("a version that is lost: %v", found)
	}
	// A rebuild keeps a deletion where it was, though what it deleted is gone.
	_ = s.Close()
	s = openTest(t, database, Options{Indexer: definitions{hash: "v2"}})
	if res, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "deleted"}); err != nil || !slices.Equal(res.Patients, []string{"v1"}) {
		t.Errorf("a deletion is in the compartments %v, %v", res, err)
	}
}

func TestWhatWasErasedIsNotMissedByACopy(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{Indexer: definitions{hash: "v1"}})
	erased(t, s)
	to := openTest(t, testDatabase(t), Options{Indexer: definitions{hash: "v1"}, Importing: true})
	if _, err := to.BeginImport(t.Context(), "a source"); err != nil {
		t.Fatal(err)
	}
	versions, err := s.Export(t.Context(), store.Place{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range versions {
		if v := &versions[i]; v.Newest && !v.Deleted() {
			if v.Entries, _, err = s.opts.Indexer.Index(v.JSON); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 { // the second time all is there
		for _, v := range versions {
			if err := to.Import(t.Context(), []store.Version{v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := to.EndImport(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := check(t, to, false); len(found) > 0 {
		t.Errorf("the copy: %v", found)
	}
	for _, in := range []*Store{s, to} {
		page, err := in.History(t.Context(), store.HistoryQuery{Type: "Patient", Count: 100})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, res := range page.Resources {
			got = append(got, fmt.Sprintf("%s@%d", res.ID, res.Version))
		}
		if slices.Sort(got); fmt.Sprint(got) != "[again@3 again@4 deleted@3 on@4 on@5 whole@1 whole@2]" {
			t.Errorf("%v", got)
		}
	}
}

// TestWhatIsErasedBetweenTheCommandsOfAPageIsLeftOut erases when a page, or a
// history, has its keys and has not read its versions yet.
func TestWhatIsErasedBetweenTheCommandsOfAPageIsLeftOut(t *testing.T) {
	var armed atomic.Bool
	var other *Store
	key := fhir.Key{Type: "Patient", ID: "2"}
	monitor := &event.CommandMonitor{Succeeded: func(ctx context.Context, e *event.CommandSucceededEvent) {
		if e.CommandName == "aggregate" && armed.CompareAndSwap(true, false) {
			if n, err := other.Erase(context.WithoutCancel(ctx), key, 0); n == 0 || err != nil {
				t.Errorf("erased %d, %v", n, err)
			}
		}
	}}
	s := openTest(t, testDatabase(t), Options{Monitor: monitor})
	other = openTest(t, s.db.Name(), Options{})
	for i := range 4 {
		write(t, s, put(fhir.Update, fmt.Sprintf("Patient/%d", i), "all=x"))
	}
	q := search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("all", "x")}, Count: 2, Identity: "q"}
	first, err := s.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, put(fhir.Update, "Patient/2", "all=y"))
	q.Cursor = first.Next
	armed.Store(true)
	page, err := s.Search(t.Context(), q)
	if err != nil || len(page.Resources) != 1 || page.Resources[0].ID != "3" {
		t.Errorf("the page: %+v, %v", page, err)
	}
	write(t, s, put(fhir.Update, "Patient/2", "all=z"))
	armed.Store(true)
	past, err := s.History(t.Context(), store.HistoryQuery{Type: "Patient", ID: "2", Count: 10})
	if err != nil || len(past.Resources) != 1 || past.Resources[0].Version != 3 {
		t.Errorf("the history: %+v, %v", past, err)
	}
	// What somebody else removes is missed.
	if _, err := s.history.DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/2/3"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("all", "z")}, Count: 2}); fhir.KindOf(err) != fhir.Internal || err == nil {
		t.Errorf("a version that is lost: %v", err)
	}
}

// TestSortedPagesGoOnWhereTheyEndedThoughThatWasErased erases the versions that a
// sorted page ended at, or begins with, so that no value is left of them.
func TestSortedPagesGoOnWhereTheyEndedThoughThatWasErased(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	keep := search.Clause{Param: "n", Ranges: []search.Range{{Keep: func([]byte) bool { return true }}}}
	for _, where := range [][]search.Clause{nil, {keep}} {
		for _, desc := range []bool{false, true} {
			for _, test := range []struct {
				name   string
				erased []int // in the order of pages
				back   bool
				want   string // "" if it is Expired
			}{
				{"nothing", nil, false, "[2 3]"},
				{"the last of the first page", []int{1}, false, "[2 3]"},
				{"the first of the second page", []int{2}, false, "[3 4]"},
				{"both", []int{1, 2}, false, ""},
				{"what is further away", []int{0, 3}, false, "[2 4]"},
				{"nothing, and back", nil, true, "[2 3]"},
				{"the last page, which is one, and back", []int{4}, true, "[2 3]"},
				{"one before it too", []int{4, 3}, true, "[1 2]"},
			} {
				id := func(i int) string {
					if desc {
						i = 4 - i
					}
					return fmt.Sprint(i)
				}
				for i := range 5 {
					write(t, s, put(fhir.Update, "Patient/"+id(i), "n="+id(i)))
				}
				q := search.Query{Types: []string{"Patient"}, Where: where, Sort: []search.Sort{{Param: "n", Desc: desc}}, Count: 2, Identity: "q"}
				pages := 1
				if test.back {
					pages = 3
				}
				for range pages {
					page, err := s.Search(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					if q.Cursor = page.Next; q.Cursor == "" {
						q.Cursor, q.Back = page.Prev, true
					}
				}
				for _, i := range test.erased {
					write(t, s, put(fhir.Update, "Patient/"+id(i), "n=9"))
					if _, err := s.Erase(t.Context(), fhir.Key{Type: "Patient", ID: id(i)}, 0); err != nil {
						t.Fatal(err)
					}
				}
				page, err := s.Search(t.Context(), q)
				if test.want == "" {
					if fhir.KindOf(err) != fhir.Expired {
						t.Errorf("%d clauses, down: %t, %s erased: %v", len(where), desc, test.name, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%d clauses, down: %t, %s erased: %v", len(where), desc, test.name, err)
					continue
				}
				var got []string
				for _, res := range page.Resources {
					for i := range 5 {
						if id(i) == res.ID {
							got = append(got, fmt.Sprint(i))
						}
					}
				}
				if fmt.Sprint(got) != test.want {
					t.Errorf("%d clauses, down: %t, %s erased: %v, want %s", len(where), desc, test.name, got, test.want)
				}
			}
		}
	}
}

func TestAPageIsCutWhereItIsFullInBothDirections(t *testing.T) {
	const half = store.MaxPageBytes / 2
	for _, test := range []struct {
		sizes      []int64
		on, back   int
		more, less bool
	}{
		{[]int64{1, 2, 3}, 3, 3, false, false},
		{[]int64{half, half, 1}, 2, 3, true, false},
		{[]int64{1, half, half}, 3, 2, false, true},
		{[]int64{2 * half, 2 * half}, 1, 1, true, true},
		{nil, 0, 0, false, false},
	} {
		for _, back := range []bool{false, true} {
			p := &paging{q: &search.Query{Back: back}}
			for i, size := range test.sizes {
				p.hits = append(p.hits, hit{Key: fmt.Sprint(i), Size: size})
			}
			p.cut()
			want, more, first := test.on, test.more, "0"
			if back {
				want, more, first = test.back, test.less, fmt.Sprint(len(test.sizes)-test.back)
			}
			if len(p.hits) != want || p.more != more || want > 0 && p.hits[0].Key != first {
				t.Errorf("sizes %v, back: %t: %v, more: %t", test.sizes, back, p.hits, p.more)
			}
		}
	}
}
