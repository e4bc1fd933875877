package embedded

import (
	"bytes"
	"cmp"
	"container/heap"
	"math"
	"slices"

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
// both directions; equal ones are ordered by type and document. Going back it is
// the other way round altogether.
func (w *walk) order(a, b *sortKey) int {
	if w.course == back {
		return order(w.q.Sort, b, a)
	}
	return order(w.q.Sort, a, b)
}

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
	order func(a, b *sortKey) int
	most  int
	keys  []*sortKey
}

func (b *best) Len() int           { return len(b.keys) }
func (b *best) Less(i, j int) bool { return b.order(b.keys[i], b.keys[j]) > 0 }
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
	if len(b.keys) > 0 && b.order(k, b.keys[0]) < 0 {
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

// sorting is one sorted page on its way.
type sorting struct {
	*walk
	params []uint16 // of the sort keys
	start  *sortKey // the last resource of the page before; nil on the first
	kept   *best
	seen   int
}

// sorted finds a page in the order of the sort keys.
func (w *walk) sorted() (more bool, err error) {
	st := &sorting{walk: w, params: make([]uint16, len(w.q.Sort)), kept: &best{order: w.order, most: w.q.Count + 1}}
	for i, key := range w.q.Sort {
		st.params[i], _ = w.s.params.number(key.Param) // 0 for one that nobody has
	}
	if w.from.doc != 0 {
		st.start = &sortKey{found: found{w.from.typ, w.from.doc}, name: w.s.types.name(w.from.typ)}
		if st.start.values, err = w.values(w.from.doc, st.params); err != nil {
			return false, err
		}
	}
	for counted := int64(-1); ; {
		for _, name := range w.typeNames() {
			if err := st.typed(name); err != nil {
				return false, err
			}
		}
		if counted >= 0 {
			st.total = counted
		}
		keys := st.kept.take()
		for _, key := range keys {
			if w.full() {
				return true, nil
			}
			if !w.take(key.found, key.name, true) && w.v.err != nil {
				return false, w.v.err
			}
		}
		if len(keys) < st.kept.most {
			return false, nil
		}
		// Some were erased meanwhile: the page goes on behind the last one.
		counted, st.budget, st.seen = st.total, 0, 0
		st.start, st.kept = keys[len(keys)-1], &best{order: w.order, most: w.q.Count + 1}
	}
}

// typed offers the matches of one type. Few are gathered; of many only those
// at the front of the order are looked for.
func (st *sorting) typed(name string) error {
	c := st.candidates(name, forth)
	docs := make([]uint64, 0, 64)
	doc, more := c.next(0)
	for ; more && len(docs) < st.s.tuning.sortGather; doc, more = c.next(doc + 1) {
		docs = append(docs, doc)
	}
	if st.v.err != nil {
		return st.v.err
	}
	typ, _ := st.s.types.number(name)
	st.total += int64(len(docs))
	// What is limited to patients is always sorted as a whole: how far a walk
	// along the index gets depends on what there is of others, and then so would
	// whether the search is too costly.
	if more && !st.p.limits(name) {
		before := st.v.rows
		done, err := st.front(typ, name)
		if st.budget > 0 { // sorting is no counting
			st.budget += min(st.v.rows-before, math.MaxInt64-st.budget)
		}
		if err != nil {
			return err
		} else if done {
			return st.countRest(c, doc)
		}
	}
	for _, d := range docs {
		if err := st.offer(typ, name, d); err != nil {
			return err
		}
	}
	for ; more; doc, more = c.next(doc + 1) {
		st.total++
		if err := st.offer(typ, name, doc); err != nil {
			return err
		}
	}
	return st.v.err
}

// countRest counts matches from doc on as far as the budget allows.
func (st *sorting) countRest(c *candidates, doc uint64) error {
	for more := true; more && st.counting(); doc, more = c.next(doc + 1) {
		st.total++
	}
	return st.v.err
}

// offer looks at one match.
func (st *sorting) offer(typ uint16, name string, doc uint64) error {
	if st.q.Count == 0 {
		return nil
	}
	if st.seen++; st.seen > st.s.opts.MaxCandidates {
		return tooCostly(int64(st.s.opts.MaxCandidates))
	}
	values, err := st.values(doc, st.params)
	if err != nil {
		return err
	}
	st.keep(&sortKey{found: found{typ, doc}, name: name, values: values})
	return nil
}

// keep offers a match if it is behind the page before.
func (st *sorting) keep(k *sortKey) {
	if st.start == nil || st.order(k, st.start) > 0 {
		st.kept.offer(k)
	}
}

// front walks the index in the order of the first sort key until no better
// match can come. It is false, having offered nothing wrong, if that takes too
// long.
func (st *sorting) front(typ uint16, name string) (bool, error) {
	if st.q.Count == 0 {
		return true, nil
	}
	// What was offered twice would be kept twice: this type's part is tried on
	// a copy.
	before := st.kept
	st.kept = &best{order: before.order, most: before.most, keys: append([]*sortKey{}, before.keys...)}
	parts := []func(uint16, string) (bool, error){st.valued, st.missing}
	if st.course == back {
		slices.Reverse(parts)
	}
	done, err := parts[0](typ, name)
	// The worst that is kept of the second part may still be beaten by one of it.
	if err == nil && done && (st.kept.Len() < st.kept.most || (st.kept.keys[0].values[0] == nil) == (st.course == forth)) {
		done, err = parts[1](typ, name)
	}
	if !done {
		st.kept = before
	}
	return done, err
}

// checks returns the query's clauses as tests on single documents. The planner
// has already found that every one of them can hold.
func (st *sorting) checks(typ uint16, name string) *checks {
	st.p.free = st.p.limits(name)
	clauses, _ := st.p.resolveAll(name, typ, st.q.Where)
	return newChecks(clauses)
}

// valued offers the matches that have a value, in its order.
func (st *sorting) valued(typ uint16, name string) (bool, error) {
	first, param := &st.q.Sort[0], st.params[0]
	if param == existParam || st.start != nil && st.start.values[0] == nil && st.course == forth {
		return true, nil
	}
	down := first.Desc != (st.course == back)
	lower, upper := bounds(typ, param, &first.Range)
	if st.start != nil && st.start.values[0] != nil {
		from := appendValue(indexPrefix(nil, typ, param), st.start.values[0])
		if down {
			upper = after(from)
		} else {
			lower = from
		}
	}
	if bytes.Compare(lower, upper) >= 0 {
		return true, nil
	}
	it := st.v.iter(lower, upper)
	if it == nil {
		return false, st.v.err
	}
	begin, step := it.First, it.Next
	if down {
		begin, step = it.Last, it.Prev
	}
	checks := st.checks(typ, name)
	var value []byte
	for rows, valid := 0, begin(); valid && st.v.step(); valid = step() {
		if rows++; rows > st.s.tuning.sortScan {
			return false, nil
		}
		key := it.Key()
		doc, from := indexTail(key)
		if !liveAt(from, it.Value(), st.v.t) {
			continue
		}
		value = decodeValue(value, key[indexPrefixLen:len(key)-tailLen])
		if st.kept.beyond(value, down) {
			return true, nil
		}
		if first.Range.Keep != nil && !first.Range.Keep(value) || !checks.pass(st.v, doc) {
			continue
		}
		values, err := st.values(doc, st.params)
		if err != nil {
			return false, err
		}
		// A resource with several values stands at one of them only.
		if !bytes.Equal(values[0], value) {
			continue
		}
		k := &sortKey{found: found{typ, doc}, name: name, values: values}
		st.keep(k)
	}
	st.v.fail(it.Error())
	return true, st.v.err
}

// missing offers the matches without a value of the first sort key.
func (st *sorting) missing(typ uint16, name string) (bool, error) {
	if st.start != nil && st.start.values[0] != nil && st.course == back {
		return true, nil
	}
	c := st.candidates(name, st.course)
	from, single := st.course.start(), len(st.q.Sort) == 1
	if single && st.start != nil && st.start.values[0] == nil && st.start.typ == typ {
		from = st.course.beyond(st.start.doc)
	}
	rows := 0
	for doc, ok := c.next(from); ok; doc, ok = c.next(st.course.beyond(doc)) {
		if rows++; rows > st.s.tuning.sortScan {
			return false, nil
		}
		values, err := st.values(doc, st.params)
		if err != nil {
			return false, err
		}
		if values[0] != nil {
			continue
		}
		k := &sortKey{found: found{typ, doc}, name: name, values: values}
		st.keep(k)
		if single && st.kept.Len() == st.kept.most && st.order(st.kept.keys[0], k) <= 0 {
			break // with one sort key the missing ones are in document order
		}
	}
	return true, st.v.err
}

// beyond reports whether no key with this first value can be among the best of
// a walk down, or up, the values.
func (b *best) beyond(value []byte, down bool) bool {
	if len(b.keys) < b.most {
		return false
	}
	worst := b.keys[0].values[0]
	if worst == nil {
		return false
	}
	c := bytes.Compare(value, worst)
	return c > 0 && !down || c < 0 && down
}

// values returns a document's sort values.
func (w *walk) values(doc uint64, params []uint16) ([][]byte, error) {
	w.v.rows += lookRows
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
			if params[i] != e.param || e.param == existParam || !w.q.Sort[i].Range.Contains(e.value) {
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
