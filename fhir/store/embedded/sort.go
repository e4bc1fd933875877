package embedded

import (
	"bytes"
	"cmp"
	"container/heap"

	"github.com/starling-fhir/starling/fhir/search"
)

// sortKey is what a resource is sorted by: per sort key the value, nil if the
// resource has none; then type and document.
type sortKey struct {
	found
	name   string // of the type
	values [][]byte
}

// order compares as the query wants it. Resources without a value come last in
// both directions; equal ones are ordered by type and document.
func order(keys []search.Sort, a, b *sortKey) int {
	for i := range keys {
		x, y := a.values[i], b.values[i]
		switch {
		case x == nil && y == nil:
			continue
		case x == nil:
			return 1
		case y == nil:
			return -1
		}
		c := bytes.Compare(x, y)
		if keys[i].Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	if c := cmp.Compare(a.name, b.name); c != 0 {
		return c
	}
	return cmp.Compare(a.doc, b.doc)
}

// best keeps the first few keys of all it is offered: a heap with the last of
// them on top.
type best struct {
	sort []search.Sort
	most int
	keys []*sortKey
}

func (b *best) Len() int           { return len(b.keys) }
func (b *best) Less(i, j int) bool { return order(b.sort, b.keys[i], b.keys[j]) > 0 }
func (b *best) Swap(i, j int)      { b.keys[i], b.keys[j] = b.keys[j], b.keys[i] }
func (b *best) Push(x any)         { b.keys = append(b.keys, x.(*sortKey)) }
func (b *best) Pop() any {
	last := b.keys[len(b.keys)-1]
	b.keys = b.keys[:len(b.keys)-1]
	return last
}

func (b *best) offer(k *sortKey) {
	if len(b.keys) < b.most {
		heap.Push(b, k)
		return
	}
	if len(b.keys) > 0 && order(b.sort, k, b.keys[0]) < 0 {
		b.keys[0] = k
		heap.Fix(b, 0)
	}
}

// take returns what is kept, in order.
func (b *best) take() []*sortKey {
	out := make([]*sortKey, len(b.keys))
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = heap.Pop(b).(*sortKey)
	}
	return out
}

// sorted walks all matches and keeps the page's.
func (w *walk) sorted() (hits []found, more bool, err error) {
	params := make([]uint16, len(w.q.Sort))
	for i, key := range w.q.Sort {
		params[i], _ = w.s.params.number(key.Param) // 0, existence, has no value in any range but is never asked for
	}
	var start *sortKey
	if w.from.doc != 0 {
		start = &sortKey{found: found{w.from.typ, w.from.doc}, name: w.s.types.name(w.from.typ)}
		if start.values, err = w.values(w.from.doc, params); err != nil {
			return nil, false, err
		}
	}
	kept := &best{sort: w.q.Sort, most: w.q.Count + 1}
	seen := 0
	for _, name := range w.typeNames() {
		typ, _ := w.s.types.number(name)
		c, err := w.s.candidates(w.v, name, w.q.Where)
		if err != nil {
			return nil, false, err
		}
		for doc := uint64(0); ; doc++ {
			next, ok := c.next(doc)
			if !ok {
				break
			}
			doc = next
			w.total++
			if w.q.Count == 0 {
				if !w.counting() {
					return nil, false, w.v.err
				}
				continue
			}
			if seen++; seen > w.s.opts.MaxCandidates {
				return nil, false, tooCostly(w.s.opts.MaxCandidates)
			}
			key := &sortKey{found: found{typ, doc}, name: name}
			if key.values, err = w.values(doc, params); err != nil {
				return nil, false, err
			}
			if start == nil || order(w.q.Sort, key, start) > 0 {
				kept.offer(key)
			}
		}
		if w.v.err != nil {
			return nil, false, w.v.err
		}
	}
	for i, key := range kept.take() {
		if i == w.q.Count {
			return hits, true, nil
		}
		hits = append(hits, key.found)
	}
	return hits, false, nil
}

// values returns a document's sort values.
func (w *walk) values(doc uint64, params []uint16) ([][]byte, error) {
	row := w.v.forwardRow(doc)
	if row == nil {
		if w.v.err != nil {
			return nil, w.v.err
		}
		return nil, errRow
	}
	out := make([][]byte, len(params))
	err := eachForward(row, func(e forwardEntry) bool {
		for i := range params {
			if params[i] != e.param || e.param == existParam || !inRange(e.value, &w.q.Sort[i].Range) {
				continue
			}
			c := 1
			if out[i] != nil {
				c = bytes.Compare(out[i], e.value)
			}
			if out[i] == nil || c > 0 && !w.q.Sort[i].Desc || c < 0 && w.q.Sort[i].Desc {
				out[i] = append([]byte{}, e.value...)
			}
		}
		return true
	})
	return out, err
}
