package embedded

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

func findWord(t *testing.T, s *Store, param, word string) int64 {
	t.Helper()
	page, err := s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Total: search.TotalAccurate, Where: []search.Clause{
		{Param: param, Ranges: []search.Range{{From: []byte(word), To: []byte(word + "\x00")}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return page.Total
}

// failingIndexer fails after a number of resources.
type failingIndexer struct {
	textIndexer
	left *atomic.Int64
}

func (x failingIndexer) Index(json []byte) ([]search.Entry, []string, error) {
	if x.left.Add(-1) < 0 {
		return nil, nil, errors.New("power failure")
	}
	return x.textIndexer.Index(json)
}

func TestOpenRebuildsTheIndexForOtherDefinitions(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, Options{FS: fs, Indexer: textIndexer{"1"}})
	const many = 2*rebuildChunk + 50
	var changes []store.Change
	for i := range many {
		changes = append(changes, textChange("Patient", fmt.Sprint(i), "a"))
	}
	mustWrite(t, s, changes...)
	mustWrite(t, s, textChange("Patient", "1", "a b"))
	mustWrite(t, s, store.Change{Key: fhir.Key{Type: "Patient", ID: "2"}, Method: fhir.Delete})
	page, err := s.Search(t.Context(), patients(4, ""))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, textChange("Patient", "1", "a b"))
	mustCheck(t, s)
	mustClose(t, s)

	// The same definitions: no rebuild.
	s = mustOpen(t, Options{FS: fs, Indexer: textIndexer{"1"}, OnRebuild: func(int64, int64) { t.Error("rebuilt without need") }})
	mustClose(t, s)

	// An interrupted one leaves nothing half-done: it begins anew, even if the
	// old definitions come back.
	var left atomic.Int64
	left.Store(rebuildChunk + 10)
	_, err = Open("/store", Options{FS: fs, Indexer: failingIndexer{textIndexer{"2"}, &left}})
	if err == nil {
		t.Fatal("the interrupted rebuild was not noticed")
	}
	for _, hash := range []string{"1", "2"} {
		var progress []int64
		s = mustOpen(t, Options{FS: fs, Indexer: textIndexer{hash}, OnRebuild: func(done, total int64) {
			progress = append(progress, done)
			if total != many+3 {
				t.Errorf("progress out of %d versions, want %d", total, many+3)
			}
		}})
		if len(progress) < 2 || !slices.IsSorted(progress) || progress[len(progress)-1] != many+3 {
			t.Errorf("progress %v", progress)
		}
		mustCheck(t, s)
		if got := findWord(t, s, "word"+hash, "a"); got != many-1 {
			t.Errorf("%d found under the new parameter, want %d", got, many-1)
		}
		if got := findWord(t, s, "word"+hash, "b"); got != 1 {
			t.Errorf("%d found under the new parameter, want 1", got)
		}
		if got := findWord(t, s, "word"+string('3'-hash[0]+'0'), "a"); got != 0 {
			t.Errorf("%d found under the old parameter", got)
		}
		for version := int64(1); version <= 3; version++ {
			res, err := s.ReadVersion(t.Context(), fhir.Key{Type: "Patient", ID: "1"}, version)
			if err != nil || !slices.Equal(res.Patients, []string{"of-" + hash}) {
				t.Errorf("version %d is of patients %v (%v)", version, res.Patients, err)
			}
		}
		if _, err := s.Search(t.Context(), patients(4, page.Next)); fhir.KindOf(err) != fhir.Expired {
			t.Errorf("a page from before the rebuild: %v, want Expired", err)
		}
		mustClose(t, s)
	}
}
