package embedded

import (
	"fmt"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

func keyed(typ uint16, id string) *change {
	return &change{Change: &store.Change{Key: fhir.Key{Type: "Patient", ID: id}}, typ: typ}
}

// TestRecentNeverDenies compares with a memory that forgets nothing, over
// several rotations: a key that changed after t must not be denied.
func TestRecentNeverDenies(t *testing.T) {
	const start, writes, each = 7, 60, 3000 // more than five times recentKeys
	r := newRecent(start)
	truth := map[string]uint64{}
	for w := range writes {
		now := uint64(start + 1 + w)
		for i := range each {
			id := fmt.Sprintf("w%d-%d", w, i)
			if i < 10 {
				id = fmt.Sprintf("often-%d", i)
			}
			r.note(1, id, now)
			truth[id] = now
		}
		for id, changed := range truth {
			if changed < now-2 && changed%7 != 0 {
				continue // a part of the old keys is enough
			}
			for _, base := range []uint64{changed - 1, changed - 3} {
				if base < changed && !r.maybe(1, id, base) {
					t.Fatalf("at t %d: %s changed at %d, and recent denies that for base %d", now, id, changed, base)
				}
			}
		}
	}
	if r.since == start {
		t.Error("nothing was forgotten: the test is too small")
	}
	if len(r.newer)+len(r.older) > 2*(recentKeys+each) {
		t.Errorf("%d keys are remembered", len(r.newer)+len(r.older))
	}
	if r.maybe(1, "never", start+writes) {
		t.Error("a key that never changed may have changed after the newest t")
	}
	if r.maybe(2, "often-1", start+writes-1) {
		t.Error("the type is not part of the key")
	}
}

// TestFindHeads compares the iterator's way with looking up one by one.
func TestFindHeads(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var stored []store.Change
	for i := range 40 {
		stored = append(stored, store.Change{
			Key: fhir.Key{Type: "Patient", ID: fmt.Sprintf("p%d", 3*i)}, Method: fhir.Update,
			Body: fhir.Body{Head: []byte(`{"resourceType":"Patient","meta":{`), Tail: []byte(`}}`)},
		})
	}
	if _, err := s.Write(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	typ, ok := s.types.number("Patient")
	if !ok {
		t.Fatal("the type has no number")
	}
	var asked []*change
	for i := 130; i >= 0; i-- { // not in key order, two thirds absent
		asked = append(asked, keyed(typ, fmt.Sprintf("p%d", i)))
	}
	asked = append(asked, keyed(typ+1, "p0"))
	got, err := findHeads(s.db, asked)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i, c := range asked {
		want, err := findHead(s.db, c.typ, c.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got[i] != want {
			t.Errorf("%s of type %d: got %+v, want %+v", c.Key.ID, c.typ, got[i], want)
		}
		if want.version > 0 {
			found++
		}
	}
	if found != 40 {
		t.Errorf("found %d of 40", found)
	}
}
