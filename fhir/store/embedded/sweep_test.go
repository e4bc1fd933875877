package embedded

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// testClock moves only when told.
type testClock struct{ at time.Time }

func newTestClock() *testClock { return &testClock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *testClock) now() time.Time { return c.at }

func mustOpen(t testing.TB, opts Options) *Store {
	t.Helper()
	s, err := Open("/store", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // some tests close it themselves
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t testing.TB, s *Store, changes ...store.Change) {
	t.Helper()
	if _, err := s.Write(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

func mustCheck(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// rows counts the rows of a table.
func rows(t testing.TB, s *Store, table byte) int {
	t.Helper()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for it.First(); it.Valid(); it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

func patients(count int, cursor string) search.Query {
	return search.Query{Types: []string{"Patient"}, Count: count, Cursor: cursor, Identity: "patients"}
}

func TestSweepRemovesWhatNoPageNeeds(t *testing.T) {
	clock := newTestClock()
	fs := vfs.NewMem()
	s := mustOpen(t, Options{FS: fs, Clock: clock.now})
	for i := range 10 {
		mustWrite(t, s, textChange("Patient", fmt.Sprint(i), "a b c"))
	}
	index, forward := rows(t, s, tableIndex), rows(t, s, tableForward)
	clock.at = clock.at.Add(time.Hour)
	page, err := s.Search(t.Context(), patients(4, ""))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		for i := range 10 {
			mustWrite(t, s, textChange("Patient", fmt.Sprint(i), fmt.Sprintf("a r%d", round)))
		}
	}
	if got := rows(t, s, tableForward); got != 4*forward {
		t.Errorf("%d forward rows after 4 writes each, want %d", got, 4*forward)
	}

	clock.at = clock.at.Add(defaultPageLifetime)
	if n, err := s.sweep(); n != 0 || err != nil {
		t.Errorf("swept %d rows (%v) while pages may need them", n, err)
	}
	if _, err := s.Search(t.Context(), patients(4, page.Next)); err != nil {
		t.Errorf("a page within its lifetime: %v", err)
	}
	clock.at = clock.at.Add(sweepGrace + time.Second)
	// The queue and the rows it names survive a restart.
	mustClose(t, s)
	s = mustOpen(t, Options{FS: fs, Clock: clock.now})
	if n, err := s.sweep(); n == 0 || err != nil {
		t.Errorf("swept %d rows (%v)", n, err)
	}
	if got := rows(t, s, tableForward); got != forward {
		t.Errorf("%d forward rows are left, want %d", got, forward)
	}
	if got, want := rows(t, s, tableIndex), index-10; got != want { // a, b and c became a and r2
		t.Errorf("%d index rows are left, want %d", got, want)
	}
	if got := rows(t, s, tableQueue); got != 0 {
		t.Errorf("%d queue rows are left", got)
	}
	mustCheck(t, s)
	if _, err := s.Search(t.Context(), patients(4, page.Next)); fhir.KindOf(err) != fhir.Expired {
		t.Errorf("a page beyond its lifetime: %v", err)
	}
}

// A clock that was set back must not make a swept snapshot look alive.
func TestSweptSnapshotIsExpiredWhateverTheClockSays(t *testing.T) {
	clock := newTestClock()
	s := mustOpen(t, Options{FS: vfs.NewMem(), Clock: clock.now})
	mustWrite(t, s, textChange("Patient", "1", "a"), textChange("Patient", "2", "a"))
	page, err := s.Search(t.Context(), patients(1, ""))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, textChange("Patient", "2", "b"))
	begin := clock.at
	clock.at = clock.at.Add(time.Hour)
	if n, err := s.sweep(); n == 0 || err != nil {
		t.Fatalf("swept %d rows (%v)", n, err)
	}
	clock.at = begin
	if _, err := s.Search(t.Context(), patients(1, page.Next)); fhir.KindOf(err) != fhir.Expired {
		t.Errorf("error %v, want Expired", err)
	}
}

func TestPagesGoOnAfterARestart(t *testing.T) {
	clock := newTestClock()
	fs := vfs.NewMem()
	s := mustOpen(t, Options{FS: fs, Clock: clock.now})
	for i := range 5 {
		mustWrite(t, s, textChange("Patient", fmt.Sprint(i), "a"))
	}
	page, err := s.Search(t.Context(), patients(2, ""))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, textChange("Patient", "9", "a"), store.Change{Key: fhir.Key{Type: "Patient", ID: "4"}, Method: fhir.Delete})
	mustClose(t, s)
	s = mustOpen(t, Options{FS: fs, Clock: clock.now})
	var got []string
	for cursor := page.Next; cursor != ""; {
		page, err := s.Search(t.Context(), patients(2, cursor))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Resources {
			got = append(got, r.ID)
		}
		cursor = page.Next
	}
	if fmt.Sprint(got) != "[2 3 4]" {
		t.Errorf("the pages after a restart hold %v, want the rest of the old snapshot", got)
	}
}
