package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

var propertyCases = []testCase{
	{"search equals a naive scan over random entries, changes and queries", func(f *fixture) {
		// One store serves all draws; each draw has types of its own.
		draw := 0
		rapid.Check(f.T, func(t *rapid.T) {
			draw++
			m := &model{f: f, t: t, prefix: fmt.Sprintf("T%d", draw), docs: map[fhir.Key][]search.Entry{}}
			t.Repeat(map[string]func(*rapid.T){
				"write":  m.write,
				"search": m.search,
			})
		})
	}},
}

// model is a store as a map, and what a real one is compared with.
type model struct {
	f      *fixture
	t      *rapid.T
	prefix string
	docs   map[fhir.Key][]search.Entry
}

var (
	smallValue = rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'b', 0xff}), 0, 3), func(b []byte) []byte { return b })
	smallParam = rapid.SampledFrom([]string{"p", "q", "r"})
	smallType  = rapid.SampledFrom([]string{"A", "B"})
)

func (m *model) write(t *rapid.T) {
	n := rapid.IntRange(1, 4).Draw(t, "changes")
	var changes []store.Change
	used := map[fhir.Key]bool{}
	for range n {
		k := fhir.Key{Type: m.prefix + smallType.Draw(t, "type"), ID: fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "id"))}
		if used[k] {
			continue
		}
		used[k] = true
		if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
			changes = append(changes, store.Change{Key: k, Method: fhir.Delete})
			continue
		}
		c := store.Change{Key: k, Method: fhir.Update, Body: body(k, "x")}
		for range rapid.IntRange(0, 4).Draw(t, "entries") {
			c.Entries = append(c.Entries, search.Entry{Param: smallParam.Draw(t, "param"), Value: smallValue.Draw(t, "value")})
		}
		changes = append(changes, c)
	}
	if _, err := m.f.s.Write(m.f.Context(), changes); err != nil {
		t.Fatalf("Write: %v", err)
	}
	for _, c := range changes {
		if c.Method == fhir.Delete {
			delete(m.docs, c.Key)
		} else {
			m.docs[c.Key] = c.Entries
		}
	}
}

func drawRange(t *rapid.T) search.Range {
	r := search.Range{From: smallValue.Draw(t, "from")}
	switch rapid.IntRange(0, 3).Draw(t, "shape") {
	case 0:
		r.To = append(slices.Clone(r.From), 0)
	case 1:
		r.To = smallValue.Draw(t, "to")
	case 2:
		r.Keep = func(value []byte) bool { return len(value)%2 == 0 }
	}
	return r
}

func (m *model) search(t *rapid.T) {
	q := search.Query{
		Types:    []string{m.prefix + "A", m.prefix + "B"},
		Count:    rapid.IntRange(1, 7).Draw(t, "count"),
		Total:    search.TotalAccurate,
		Identity: "model",
	}
	if rapid.Bool().Draw(t, "one type") {
		q.Types = q.Types[:1]
	}
	for range rapid.IntRange(0, 3).Draw(t, "clauses") {
		c := search.Clause{Param: smallParam.Draw(t, "param"), Not: rapid.IntRange(0, 3).Draw(t, "not") == 0}
		for range rapid.IntRange(0, 3).Draw(t, "ranges") {
			c.Ranges = append(c.Ranges, drawRange(t))
		}
		q.Where = append(q.Where, c)
	}
	for range rapid.IntRange(0, 2).Draw(t, "sorts") {
		q.Sort = append(q.Sort, search.Sort{Param: smallParam.Draw(t, "sort"), Range: drawRange(t), Desc: rapid.Bool().Draw(t, "desc")})
	}

	var want []string
	for k, entries := range m.docs {
		if slices.Contains(q.Types, k.Type) && matches(entries, q.Where) {
			want = append(want, k.String())
		}
	}
	var got []fhir.Key
	for range 1000 {
		page, err := m.f.s.Search(m.f.Context(), q)
		if err != nil {
			t.Fatalf("Search: %v", err)
		}
		if page.Total != int64(len(want)) {
			t.Fatalf("total %d, want %d", page.Total, len(want))
		}
		for _, r := range page.Resources {
			got = append(got, r.Key)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	for i := 1; i < len(got); i++ {
		if before(m.docs[got[i]], m.docs[got[i-1]], q.Sort) {
			t.Fatalf("%s comes before %s, against the sort", got[i-1], got[i])
		}
	}
	found := make([]string, len(got))
	for i := range got {
		found[i] = got[i].String()
	}
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Fatalf("found %v, want %v of %v", found, want, slices.Collect(maps.Keys(m.docs)))
	}
}

// matches says what search.Clause says, without any index.
func matches(entries []search.Entry, where []search.Clause) bool {
	for _, c := range where {
		any := false
		for _, e := range entries {
			for _, r := range c.Ranges {
				any = any || e.Param == c.Param && inside(e.Value, r)
			}
		}
		if any == c.Not {
			return false
		}
	}
	return true
}

func inside(value []byte, r search.Range) bool {
	return bytes.Compare(value, r.From) >= 0 && (r.To == nil || bytes.Compare(value, r.To) < 0) && (r.Keep == nil || r.Keep(value))
}

// before reports whether a must come before b.
func before(a, b []search.Entry, keys []search.Sort) bool {
	for _, key := range keys {
		x, okX := sortValue(a, key)
		y, okY := sortValue(b, key)
		switch {
		case !okX && !okY:
			continue
		case okX != okY:
			return okX
		}
		c := bytes.Compare(x, y)
		if key.Desc {
			c = -c
		}
		if c != 0 {
			return c < 0
		}
	}
	return false
}

func sortValue(entries []search.Entry, key search.Sort) (value []byte, ok bool) {
	for _, e := range entries {
		if e.Param != key.Param || !inside(e.Value, key.Range) {
			continue
		}
		if c := bytes.Compare(e.Value, value); !ok || c < 0 && !key.Desc || c > 0 && key.Desc {
			value, ok = e.Value, true
		}
	}
	return value, ok
}
