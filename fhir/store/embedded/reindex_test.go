package embedded

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// definedIndexer makes an entry for each word that a SearchParameter has defined.
type definedIndexer struct{ words []string }

func (x definedIndexer) Hash() string { return fmt.Sprint("base+", x.words) }

func (x definedIndexer) Index(text []byte) ([]search.Entry, []string, error) {
	var res struct {
		ResourceType string
		Words        []string
	}
	if err := json.Unmarshal(text, &res); err != nil {
		return nil, nil, err
	}
	var out []search.Entry
	for _, word := range res.Words {
		if res.ResourceType == "Patient" && slices.Contains(x.words, word) {
			out = append(out, search.Entry{Param: word, Value: []byte("x")})
		}
	}
	return out, nil, nil
}

// customized gives the Indexer of the words in stored SearchParameters.
func customized(stored [][]byte) (store.Indexer, error) {
	x := definedIndexer{}
	for _, text := range stored {
		var res struct{ Words []string }
		if err := json.Unmarshal(text, &res); err != nil {
			return nil, err
		}
		x.words = append(x.words, res.Words...)
	}
	slices.Sort(x.words)
	return x, nil
}

func worded(x definedIndexer, typ, id string, words ...string) store.Change {
	list, _ := json.Marshal(words)
	c := store.Change{
		Key: fhir.Key{Type: typ, ID: id}, Method: fhir.Update,
		Body: fhir.Body{Head: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"meta":{`, typ, id), Tail: fmt.Appendf(nil, `},"words":%s}`, list)},
	}
	c.Entries, _, _ = x.Index(c.Body.Stamp(1, time.Unix(0, 0)))
	return c
}

// define stores what words are defined, of which one is new.
func define(t *testing.T, s *Store, changed string, words ...string) definedIndexer {
	t.Helper()
	d, err := s.Definitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(words)
	is := definedIndexer{words}
	c := worded(is, "SearchParameter", "all", words...)
	c.Revision, c.Redefine = d.Revision, &store.Redefinition{Hash: is.Hash(), Changed: []search.Parameter{{Type: "Patient", Name: changed}}}
	mustWrite(t, s, c)
	return is
}

// TestDefinitionsLastAndAreNotRebuilt: what is stored says by what the index was
// made, also when a program stops while older resources are being indexed.
func TestDefinitionsLastAndAreNotRebuilt(t *testing.T) {
	fs := vfs.NewMem()
	rebuilt := 0
	opts := Options{FS: fs, Indexer: definedIndexer{}, Customize: customized, OnRebuild: func(int64, int64) { rebuilt++ }}
	s := mustOpen(t, opts)
	const many = 3*reindexChunk + 7
	for i := range many {
		mustWrite(t, s, worded(definedIndexer{}, "Patient", fmt.Sprint(i), "nick", "eye"))
	}
	nick := define(t, s, "nick", "nick")
	for range 2 { // two of four batches
		if more, err := s.reindexSome(t.Context(), nick); err != nil || !more {
			t.Fatal(more, err)
		}
	}
	mustCheck(t, s)
	mustClose(t, s)

	s = mustOpen(t, opts)
	d, err := s.Definitions(t.Context())
	if err != nil || rebuilt > 0 || len(d.Pending) != 1 || d.Done != 2*reindexChunk || d.Total != many {
		t.Fatalf("opened again with %+v, %v; rebuilt: %d", d, err, rebuilt)
	}
	if err := s.Reindex(t.Context(), s.opts.Indexer, nil); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, s)
	both := define(t, s, "eye", "nick", "eye")
	mustWrite(t, s, worded(both, "Patient", "1", "eye"))
	if err := s.Reindex(t.Context(), both, nil); err != nil {
		t.Fatal(err)
	}
	s.opts.Indexer = both
	mustCheck(t, s)
	for word, want := range map[string]int64{"nick": many - 1, "eye": many} {
		if got := findWord(t, s, word, "x"); got != want {
			t.Errorf("%d have %s, want %d", got, word, want)
		}
	}
	// Index rows that were superseded go, and pages begun before are refused then.
	if _, err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, s)
	mustClose(t, s)
	s = mustOpen(t, opts)
	if rebuilt > 0 {
		t.Error("a start rebuilt the index")
	}
	if err := s.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, s)
	mustClose(t, s)
}

// TestPowerLossWhileIndexingAndErasing takes the power away while older resources
// are being indexed and histories erased. What was done stays done, and the rest
// goes on where it stopped.
func TestPowerLossWhileIndexingAndErasing(t *testing.T) {
	const many = 2*reindexChunk + 50
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 3))
		fs := vfs.NewCrashableMem()
		opts := Options{FS: fs, Indexer: definedIndexer{}, Customize: customized, OnRebuild: func(int64, int64) { t.Error("a start rebuilt the index") }}
		s := mustOpen(t, opts)
		var all []store.Change
		for i := range many {
			all = append(all, worded(definedIndexer{}, "Patient", fmt.Sprint(i), "nick"))
		}
		for range 3 {
			mustWrite(t, s, all...)
		}
		nick := define(t, s, "nick", "nick")
		var erased atomic.Int64
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := range many {
				select {
				case <-stop:
					return
				default:
				}
				if n, err := s.Erase(t.Context(), all[i].Key, 0); err != nil || n != 2 {
					t.Errorf("erased %d: %v", n, err)
				}
				erased.Store(int64(i + 1))
			}
		}()
		var done, acknowledged int64
		chunks := rng.IntN(2) + 1
		percent := []int{0, 100, rng.IntN(100)}[rng.IntN(3)]
		err := s.Reindex(t.Context(), nick, func(now, _ int64) {
			if chunks--; chunks == 0 {
				done, acknowledged = now, erased.Load()
				fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
				close(stop)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		<-stopped
		mustClose(t, s)

		opts.FS = fs
		s = mustOpen(t, opts)
		mustCheck(t, s)
		if d, err := s.Definitions(t.Context()); err != nil || d.Done < done || len(d.Pending) == 0 && d.Done < many {
			t.Errorf("seed %d: definitions %+v, %v; %d were done", seed, d, err, done)
		}
		left := int64(-1) // the first whose history is there
		for i := range int64(many) {
			_, err := s.ReadVersion(t.Context(), all[i].Key, 1)
			gone := fhir.KindOf(err) == fhir.NotFound
			if err == nil && left < 0 {
				left = i
			}
			if err != nil && !gone || gone && left >= 0 || !gone && i < acknowledged {
				t.Errorf("seed %d: version 1 of patient %d, of which %d were erased: %v", seed, i, acknowledged, err)
			}
		}
		if err := s.Reindex(t.Context(), nick, nil); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, s)
		if got := findWord(t, s, "nick", "x"); got != many {
			t.Errorf("seed %d: %d found, want %d", seed, got, many)
		}
		mustClose(t, s)
	}
}
