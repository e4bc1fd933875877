package embedded

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// TestHalfCopyIsNotOpened: what is being copied into is no store to serve from
// until the copy has ended, and is found where it stood.
func TestHalfCopyIsNotOpened(t *testing.T) {
	from, indexer := openIndexed(t, t.TempDir(), Options{})
	randomPast(t, from, indexer, 40)
	dir := t.TempDir()
	to, _ := openIndexed(t, dir, Options{Importing: true})
	id, err := from.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.BeginImport(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	place := copyVersions(t, from, to, indexer, store.Place{}, 7, 3)
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}

	_, err = Open(dir, Options{})
	if fhir.KindOf(err) != fhir.Conflict || !strings.Contains(err.Error(), "starling migrate") {
		t.Fatalf("opening a half copy: %v", err)
	}
	to, _ = openIndexed(t, dir, Options{Importing: true})
	got, err := to.BeginImport(t.Context(), id)
	if err != nil || got != place {
		t.Fatalf("the copy goes on at %v, want %v: %v", got, place, err)
	}
	copyVersions(t, from, to, indexer, got, 7, 1<<30)
	if err := to.EndImport(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	to, _ = openIndexed(t, dir, Options{})
	if err := to.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCopyIsConsistent copies random pasts in batches of all sizes, with writes
// to the source in between, and lets Check look at the result.
func TestCopyIsConsistent(t *testing.T) {
	for size := 1; size <= 64; size *= 2 {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			from, indexer := openIndexed(t, t.TempDir(), Options{NoSync: true})
			to, _ := openIndexed(t, t.TempDir(), Options{NoSync: true})
			if _, err := to.BeginImport(t.Context(), "a source"); err != nil {
				t.Fatal(err)
			}
			place := store.Place{}
			for range 3 {
				randomPast(t, from, indexer, 60)
				place = copyVersions(t, from, to, indexer, place.Earlier(1), size, 1<<30)
			}
			if err := to.EndImport(t.Context()); err != nil {
				t.Fatal(err)
			}
			for name, s := range map[string]*Store{"source": from, "target": to} {
				if err := s.Check(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if a, b := from.Stats().Resources, to.Stats().Resources; fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("%v in the source, %v in the target", a, b)
			}
			randomPast(t, to, indexer, 40)
			if err := to.Check(t.Context()); err != nil {
				t.Errorf("after more writes: %v", err)
			}
		})
	}
}

func TestExists(t *testing.T) {
	dir := t.TempDir()
	if there, err := Exists(dir); there || err != nil {
		t.Errorf("an empty folder: %v, %v", there, err)
	}
	if there, err := Exists(filepath.Join(dir, "none")); there || err != nil {
		t.Errorf("an absent folder: %v, %v", there, err)
	}
	openIndexed(t, dir, Options{})
	if there, err := Exists(dir); !there || err != nil {
		t.Errorf("a store: %v, %v", there, err)
	}
}

// wordIndexer has one entry per word of the text, and the text's first word as
// compartment.
type wordIndexer struct{}

func (wordIndexer) Hash() string { return "words" }

func (wordIndexer) Index(json []byte) ([]search.Entry, []string, error) {
	_, text, _ := strings.Cut(string(json), `"text":"`)
	words := strings.Fields(strings.TrimSuffix(text, `"}`))
	var entries []search.Entry
	for _, word := range words {
		entries = append(entries, search.Entry{Param: "word", Value: []byte(word)})
	}
	return entries, words[:min(1, len(words))], nil
}

func openIndexed(t *testing.T, dir string, opts Options) (*Store, wordIndexer) {
	t.Helper()
	indexer := wordIndexer{}
	opts.Indexer = indexer
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // some tests close it themselves
	return s, indexer
}

// randomPast writes and deletes a few resources many times.
func randomPast(t *testing.T, s *Store, indexer wordIndexer, writes int) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(writes), 2))
	for range writes {
		var changes []store.Change
		for _, n := range random.Perm(12)[:1+random.IntN(4)] {
			key := fhir.Key{Type: []string{"Patient", "Observation"}[n%2], ID: fmt.Sprint(n)}
			if random.IntN(4) == 0 {
				changes = append(changes, store.Change{Key: key, Method: fhir.Delete})
				continue
			}
			text := fmt.Sprintf("w%d w%d", random.IntN(3), random.IntN(9))
			c := store.Change{Key: key, Method: fhir.Update, Body: fhir.Body{
				Head: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"meta":{`, key.Type, key.ID),
				Tail: fmt.Appendf(nil, `},"text":%q}`, text),
			}}
			c.Entries, c.Patients, _ = indexer.Index(c.Body.Stamp(1, s.opts.Clock()))
			changes = append(changes, c)
		}
		if _, err := s.Write(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
}

// copyVersions copies what is behind a place, at most so many batches.
func copyVersions(t *testing.T, from, to *Store, indexer wordIndexer, behind store.Place, size, batches int) store.Place {
	t.Helper()
	for ; batches > 0; batches-- {
		versions, err := from.Export(t.Context(), behind, size)
		if err != nil {
			t.Fatal(err)
		}
		if len(versions) == 0 {
			break
		}
		for i, v := range versions {
			if v.Newest && !v.Deleted() {
				versions[i].Entries, _, _ = indexer.Index(v.JSON)
			}
		}
		if err := to.Import(t.Context(), versions); err != nil {
			t.Fatal(err)
		}
		behind = versions[len(versions)-1].Place()
	}
	return behind
}
