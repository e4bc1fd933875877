package embedded

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// erased is a store with histories that were erased: of a resource, of one that
// was written to later, and of one that is deleted.
func erased(t *testing.T, opts Options) *Store {
	t.Helper()
	s := mustOpen(t, opts)
	key := func(id string) fhir.Key { return fhir.Key{Type: "Patient", ID: id} }
	for i := range 3 {
		mustWrite(t, s, textChange("Patient", "kept", fmt.Sprint("w", i)), textChange("Patient", "later", fmt.Sprint("w", i)), textChange("Patient", "gone", fmt.Sprint("w", i)))
	}
	mustWrite(t, s, store.Change{Key: key("gone"), Method: fhir.Delete})
	for id, want := range map[string]int64{"kept": 2, "later": 2, "gone": 3} {
		if n, err := s.Erase(t.Context(), key(id), 0); n != want || err != nil {
			t.Fatalf("%s: %d versions erased, %v", id, n, err)
		}
	}
	mustWrite(t, s, textChange("Patient", "later", "w9"))
	return s
}

// pastByVersion is a store's history without regard to the order of one write.
func pastByVersion(t *testing.T, s *Store) string {
	t.Helper()
	past := pastOf(t, s, store.HistoryQuery{Type: "Patient"})
	slices.SortStableFunc(past, func(a, b string) int { return len(a) - len(b) })
	slices.Sort(past)
	slices.Reverse(past)
	return fmt.Sprint(past)
}

func TestErasedHistoriesAreSoundAndStay(t *testing.T) {
	fs := vfs.NewMem()
	s := erased(t, Options{FS: fs, Indexer: textIndexer{"1"}, Clock: newTestClock().now})
	want := pastByVersion(t, s)
	for _, what := range []string{"as it is", "opened again", "rebuilt"} {
		switch what {
		case "opened again":
			mustClose(t, s)
			s = mustOpen(t, Options{FS: fs, Indexer: textIndexer{"1"}, Clock: newTestClock().now})
		case "rebuilt":
			if err := s.Rebuild(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		mustCheck(t, s)
		if got := pastByVersion(t, s); got != want || len(pastOf(t, s, store.HistoryQuery{Type: "Patient"})) != 4 {
			t.Errorf("%s: the history is %s, was %s", what, got, want)
		}
		gone, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "gone"})
		if err != nil || !gone.Deleted() || !slices.Equal(gone.Patients, []string{"of-1"}) {
			t.Errorf("%s: what was deleted is %+v, %v", what, gone, err)
		}
	}
}

// TestCheckMissesVersionsThatWereNotErased: that histories can be short must not
// hide that one is.
func TestCheckMissesVersionsThatWereNotErased(t *testing.T) {
	for _, id := range []string{"kept", "later"} {
		s := erased(t, Options{FS: vfs.NewMem()})
		typ, _ := s.types.number("Patient")
		h, err := findHead(s.db, typ, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.db.Delete(versionKey(nil, h.doc, 3), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context()); err == nil {
			t.Errorf("%s: nobody misses the oldest version that was kept", id)
		}
	}
}

func TestErasedHistoriesAreCopied(t *testing.T) {
	from := erased(t, Options{FS: vfs.NewMem(), Clock: newTestClock().now})
	to := mustOpen(t, Options{FS: vfs.NewMem(), Clock: newTestClock().now, Importing: true})
	if _, err := to.BeginImport(t.Context(), "somewhere"); err != nil {
		t.Fatal(err)
	}
	versions, err := from.Export(t.Context(), store.Place{}, 100)
	if err != nil || len(versions) != 4 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	for range 2 { // a batch can come again
		if err := to.Import(t.Context(), versions); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.EndImport(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, to)
	if got, want := pastByVersion(t, to), pastByVersion(t, from); got != want {
		t.Errorf("the copy has %s, the source %s", got, want)
	}
}

// TestPowerLossErasesAllOrNothing takes the power away at different moments
// around an Erase: what was acknowledged is gone, and every table agrees.
func TestPowerLossErasesAllOrNothing(t *testing.T) {
	key, rng := fhir.Key{Type: "Patient", ID: "1"}, rand.New(rand.NewPCG(1, 1))
	for _, moment := range []string{"before", "after"} {
		for _, percent := range []int{0, 100} {
			fs := vfs.NewCrashableMem()
			s := mustOpen(t, Options{FS: fs})
			for i := range 50 {
				mustWrite(t, s, textChange("Patient", "1", fmt.Sprint("w", i)))
			}
			before := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			if n, err := s.Erase(t.Context(), key, 50); n != 49 || err != nil {
				t.Fatalf("%d erased, %v", n, err)
			}
			left, want := before, 50
			if moment == "after" {
				left, want = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), 1
			}
			again := mustOpen(t, Options{FS: left})
			if got := len(pastOf(t, again, store.HistoryQuery{Type: "Patient", ID: "1"})); got != want {
				t.Errorf("%s, %d%% kept: %d versions, want %d", moment, percent, got, want)
			}
			mustCheck(t, again)
		}
	}
}

// TestASortedPageIsFullThoughSomeOfItIsErased: a page of a moment at which what
// is gone now was there holds as many resources as were asked for.
func TestASortedPageIsFullThoughSomeOfItIsErased(t *testing.T) {
	for _, sort := range [][]search.Sort{nil, {{Param: "word1"}}, {{Param: "word1", Desc: true}}} {
		s := mustOpen(t, Options{FS: vfs.NewMem()})
		for i := range 20 {
			mustWrite(t, s, textChange("Patient", fmt.Sprintf("%02d", i), fmt.Sprintf("w%02d", i)))
		}
		q := patients(5, "")
		q.Sort = sort
		page, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for i := 3; i < 17; i++ {
			id := fmt.Sprintf("%02d", i)
			if i%4 == 0 {
				continue
			}
			mustWrite(t, s, textChange("Patient", id, "other"))
			if _, err := s.Erase(t.Context(), fhir.Key{Type: "Patient", ID: id}, 0); err != nil {
				t.Fatal(err)
			}
		}
		var sizes []int
		n := len(page.Resources)
		for page.Next != "" {
			q.Cursor = page.Next
			if page, err = s.Search(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			sizes, n = append(sizes, len(page.Resources)), n+len(page.Resources)
		}
		// 20 less the 11 that are erased, of which the first page held up to 5.
		if n < 9 || n > 14 || sizes[0] != 5 && len(sizes) > 1 {
			t.Errorf("sorted by %v: pages of %v behind the first, %d resources in all", sort, sizes, n)
		}
	}
}

// TestReindexingAnEmptyStoreLeavesItEmpty: a copy can still be made into it.
func TestReindexingAnEmptyStoreLeavesItEmpty(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem(), Indexer: textIndexer{"1"}})
	if err := s.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BeginImport(t.Context(), "somewhere"); err != nil {
		t.Errorf("a copy into it: %v", err)
	}
	mustCheck(t, s)
}
