package embedded

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// TestStreamsGoBothWays compares every kind of stream with the sorted documents
// it stands for, in random leaps, forwards and backwards, after rewinding too.
func TestStreamsGoBothWays(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem()})
	words := []string{"a", "b", "c", "d"}
	holds := map[string][]uint64{} // documents, which are numbered as they are written
	for i := range 60 {
		text := []string{"all"}
		for j, word := range words {
			if i%(j+2) == 0 {
				text = append(text, word)
				holds[word] = append(holds[word], uint64(i+1))
			}
		}
		mustWrite(t, s, textChange("Patient", fmt.Sprint(i), strings.Join(text, " ")))
	}
	for i := 0; i < 60; i += 7 { // superseded rows, and rows that begin anew
		mustWrite(t, s, store.Change{Key: fhir.Key{Type: "Patient", ID: fmt.Sprint(i)}, Method: fhir.Delete})
		for word := range holds {
			holds[word] = slices.DeleteFunc(holds[word], func(doc uint64) bool { return doc == uint64(i+1) })
		}
	}
	typ, _ := s.types.number("Patient")
	param, _ := s.params.number("word1")
	rapid.Check(t, func(t *rapid.T) {
		v := &view{ctx: t.Context(), r: s.db, t: s.visible.Load().t}
		defer func() {
			if err := v.close(); err != nil {
				t.Error(err)
			}
		}()
		c := course(rapid.Bool().Draw(t, "back"))
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(words), 1, 4, rapid.ID[string]).Draw(t, "words")
		var want []uint64
		var values [][]byte
		var parts []stream
		for _, word := range some {
			want = append(want, holds[word]...)
			values = append(values, []byte(word))
			parts = append(parts, v.posting(typ, param, []byte(word), c))
		}
		slices.Sort(want)
		want = slices.Compact(want)
		all := &candidates{v: v, course: c, must: []stream{v.posting(typ, existParam, nil, c), &union{streams: parts, course: c}}}
		var streams []stream
		streams = append(streams, v.merged(typ, param, values, c), &set{docs: want, course: c}, &alternative{candidates: all})
		for round := range 2 {
			doc := c.start()
			for range 20 {
				if doc = c.beyond(doc); rapid.Bool().Draw(t, "leap") {
					for range rapid.IntRange(0, 9).Draw(t, "by") {
						doc = c.beyond(doc)
					}
				}
				if c == back {
					doc = min(doc, 70)
				}
				found, ok := expected(want, doc, c)
				for i, s := range streams {
					if got, more := s.seek(doc); more != ok || more && got != found {
						t.Fatalf("stream %d in round %d, back: %t, from %d: %d (%t), want %d (%t) of %v", i, round, c, doc, got, more, found, ok, want)
					}
				}
				if ok {
					doc = found
				}
			}
			for _, s := range streams {
				s.rewind()
			}
		}
	})
}

func expected(docs []uint64, doc uint64, c course) (uint64, bool) {
	n, found := slices.BinarySearch(docs, doc)
	switch {
	case found:
		return doc, true
	case c == back && n > 0:
		return docs[n-1], true
	case c == forth && n < len(docs):
		return docs[n], true
	}
	return 0, false
}

// drawClause draws a clause by value, typed or of alternatives, of some depth.
func drawClause(t *rapid.T, depth int) search.Clause {
	c := search.Clause{Param: rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "param"), Not: rapid.IntRange(0, 3).Draw(t, "not") == 0}
	if rapid.IntRange(0, 4).Draw(t, "typed") == 0 {
		c.Types = rapid.SampledFrom([][]string{{"A"}, {"A", "B"}, {"C"}}).Draw(t, "types")
	}
	if depth > 0 && rapid.Bool().Draw(t, "alternatives") {
		c.Any = [][]search.Clause{}
		for range rapid.IntRange(0, 3).Draw(t, "lists") {
			list := []search.Clause{}
			for range rapid.IntRange(0, 2).Draw(t, "clauses") {
				list = append(list, drawClause(t, depth-1))
			}
			c.Any = append(c.Any, list)
		}
		return c
	}
	for range rapid.IntRange(0, 2).Draw(t, "ranges") {
		from := rapid.ByteRange('a', 'f').Draw(t, "from")
		r := search.Range{From: []byte{from}, To: []byte{from, 0}}
		if rapid.Bool().Draw(t, "wide") {
			r.To = []byte{from + rapid.ByteRange(1, 4).Draw(t, "length")}
		}
		if rapid.IntRange(0, 4).Draw(t, "keep") == 0 {
			r.Keep = func(value []byte) bool { return value[0]%2 == 0 }
		}
		c.Ranges = append(c.Ranges, r)
	}
	return c
}

// TestPlansAgreeWithMatch compares what plans of every tuning find, in both
// directions, with search.Match over all resources.
func TestPlansAgreeWithMatch(t *testing.T) {
	tunings := []tuning{
		defaultTuning(),
		{maxStreams: 1, firstProbe: 1, probeGrowth: 2, lastProbe: 1, patience: 1},
		{maxStreams: 1, firstProbe: 8, probeGrowth: 2, lastProbe: 64, patience: 3},
		{maxStreams: 2, firstProbe: 16, probeGrowth: 8, lastProbe: 1 << 20, patience: 1 << 30},
	}
	s := mustOpen(t, Options{FS: vfs.NewMem()})
	resources := map[fhir.Key][]search.Entry{}
	for i := range 80 {
		c := textChange([]string{"A", "B"}[i%2], fmt.Sprint(i), "x")
		c.Entries = nil
		for j, param := range []string{"p", "q", "r"} {
			for k := range (i + j) % 3 {
				c.Entries = append(c.Entries, search.Entry{Param: param, Value: []byte{byte('a' + (i*7+j*3+k*5)%8)}})
			}
		}
		resources[c.Key] = c.Entries
		mustWrite(t, s, c)
	}
	rapid.Check(t, func(t *rapid.T) {
		s.tuning = rapid.SampledFrom(tunings).Draw(t, "tuning")
		q := search.Query{Types: []string{"A", "B"}, Count: 1000, Total: search.TotalAccurate, Explain: rapid.Bool().Draw(t, "explain")}
		for range rapid.IntRange(1, 3).Draw(t, "clauses") {
			q.Where = append(q.Where, drawClause(t, 2))
		}
		var want []string
		for key, entries := range resources {
			if !slices.ContainsFunc(q.Where, func(c search.Clause) bool { return !search.Match(key.Type, entries, c) }) {
				want = append(want, key.String())
			}
		}
		page, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, res := range page.Resources {
			got = append(got, res.Key.String())
		}
		slices.Sort(want)
		sorted := slices.Sorted(slices.Values(got))
		if !slices.Equal(sorted, want) || page.Total != int64(len(want)) {
			t.Fatalf("found %v, total %d, want %v", sorted, page.Total, want)
		}
		if len(got) < 3 {
			return
		}
		// The page before the last resource holds all others, in the same order.
		place, err := s.sealPlace(searchIdentity(&q), placeOf(s, page.Resources[len(got)-1]))
		if err != nil {
			t.Fatal(err)
		}
		q.Cursor, q.Back = place, true
		before, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for i, res := range before.Resources {
			if i >= len(got)-1 || res.Key.String() != got[i] {
				t.Fatalf("back, resource %d is %s, of %v", i, res.Key, got)
			}
		}
		if len(before.Resources) != len(got)-1 || before.Prev != "" {
			t.Fatalf("back there are %d of %d", len(before.Resources), len(got)-1)
		}
	})
}

// placeOf is where a page would end with a resource.
func placeOf(s *Store, res *fhir.Resource) place {
	typ, _ := s.types.number(res.Type)
	h, _ := findHead(s.db, typ, res.ID)
	return place{t: s.visible.Load().t, issued: s.opts.Clock().UnixMilli(), total: -1, typ: typ, doc: h.doc}
}
