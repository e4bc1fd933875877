package embedded

import (
	"encoding/json"
	"fmt"
	"slices"
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
	define := func(changed string, words ...string) definedIndexer {
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
	nick := define("nick", "nick")
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
	both := define("eye", "nick", "eye")
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
