package embedded

import (
	"bytes"
	"container/heap"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// stream gives document numbers in order: growing ones, or, made to go back,
// shrinking ones.
type stream interface {
	// seek returns the first document of the stream not before doc; going back,
	// the last one not behind it. Calls come with growing, or shrinking, doc.
	seek(doc uint64) (uint64, bool)
	// rewind lets calls begin anew.
	rewind()
}

// course is the direction of a stream: false is forwards.
type course bool

const (
	forth course = false
	back  course = true
)

// before reports whether a comes before b.
func (c course) before(a, b uint64) bool {
	if c {
		return a > b
	}
	return a < b
}

// start is before all documents, which are numbered from 1.
func (c course) start() uint64 {
	if c {
		return max48
	}
	return 0
}

// beyond is the next number.
func (c course) beyond(doc uint64) uint64 {
	switch {
	case c == forth:
		return doc + 1
	case doc == 0:
		return 0
	}
	return doc - 1
}

// next moves an iterator on.
func (c course) next(it *pebble.Iterator) bool {
	if c {
		return it.Prev()
	}
	return it.Next()
}

// seek moves an iterator to the first row of a document not before doc. All rows
// of the prefix end in a document and a time.
func (c course) seek(it *pebble.Iterator, prefix []byte, doc uint64) bool {
	var space [640]byte
	key := append(space[:0], prefix...)
	switch {
	case c == forth:
		return it.SeekGE(append48(key, doc))
	case doc >= max48:
		return it.SeekLT(append48(append48(key, max48), max48))
	}
	return it.SeekLT(append48(key, doc+1))
}

// postings are the documents that have one value at the view's time.
type postings struct {
	v      *view
	it     *pebble.Iterator
	prefix []byte // the index key up to the value's end
	course course
	shared bool // the iterator goes beyond the value's rows
	cur    uint64
	state  int // 0 not begun, 1 on cur, 2 at the end
}

// posting opens the stream of the documents that have a value.
func (v *view) posting(typ, param uint16, value []byte, c course) *postings {
	prefix := appendValue(indexPrefix(make([]byte, 0, len(value)+32), typ, param), value)
	return &postings{v: v, it: v.iter(prefix, after(prefix)), prefix: prefix, course: c}
}

// probe opens a stream of the documents that have a value, which is set before
// it is asked, and can be set again.
func (v *view) probe(typ, param uint16) *postings {
	prefix := indexPrefix(nil, typ, param)
	return &postings{v: v, it: v.iter(prefix, after(prefix)), prefix: prefix, shared: true, state: 2}
}

// set makes the stream that of another value. The iterator must be shared.
func (p *postings) set(value []byte) {
	p.prefix = appendValue(p.prefix[:indexPrefixLen], value)
	p.state = 0
}

func (p *postings) rewind() { p.state = 0 }

func (p *postings) seek(doc uint64) (uint64, bool) {
	switch {
	case p.it == nil || p.state == 2:
		return 0, false
	case p.state == 1 && !p.course.before(p.cur, doc):
		return p.cur, true
	}
	var valid bool
	if p.state == 1 && doc == p.course.beyond(p.cur) {
		valid = p.course.next(p.it)
	} else {
		p.v.rows += nearRows
		if p.shared && p.state == 0 {
			p.v.rows += farRows
		}
		valid = p.course.seek(p.it, p.prefix, doc)
	}
	for ; valid && p.v.step(); valid = p.course.next(p.it) {
		key := p.it.Key()
		if p.shared && (len(key) != len(p.prefix)+tailLen || !bytes.HasPrefix(key, p.prefix)) {
			break
		}
		found, from := indexTail(key)
		if p.course.before(found, doc) || !liveAt(from, p.it.Value(), p.v.t) {
			continue
		}
		p.cur, p.state = found, 1
		return found, true
	}
	p.v.fail(p.it.Error())
	p.state = 2
	return 0, false
}

// union gives the documents of any of its streams.
type union struct {
	streams []stream
	course  course
}

func (u *union) seek(doc uint64) (uint64, bool) {
	first, any := uint64(0), false
	for _, s := range u.streams {
		if d, ok := s.seek(doc); ok && (!any || u.course.before(d, first)) {
			first, any = d, true
		}
	}
	return first, any
}

func (u *union) rewind() {
	for _, s := range u.streams {
		s.rewind()
	}
}

// merge gives the documents that have any of many values, through one iterator:
// a row looked up a document, and one a value to begin with.
type merge struct {
	p      *postings // shared
	values [][]byte
	course course
	begun  bool
	at     int // the value whose rows the iterator is at; -1 for none
	heap   mergeHeap
}

// merged opens the stream of the documents that have any of the values.
func (v *view) merged(typ, param uint16, values [][]byte, c course) *merge {
	p := v.probe(typ, param)
	p.course = c
	return &merge{p: p, values: values, course: c, at: -1, heap: mergeHeap{course: c}}
}

func (m *merge) rewind() { m.begun, m.at, m.heap.items = false, -1, m.heap.items[:0] }

func (m *merge) of(value int, doc uint64) (uint64, bool) {
	if m.at != value {
		m.p.set(m.values[value])
		m.at = value
	}
	return m.p.seek(doc)
}

func (m *merge) seek(doc uint64) (uint64, bool) {
	if !m.begun {
		m.begun = true
		for i := range m.values {
			if d, ok := m.of(i, doc); ok {
				m.heap.items = append(m.heap.items, mergeItem{d, i})
			}
		}
		heap.Init(&m.heap)
	}
	for len(m.heap.items) > 0 && m.course.before(m.heap.items[0].doc, doc) {
		d, ok := m.of(m.heap.items[0].value, doc)
		if !ok {
			heap.Pop(&m.heap)
			continue
		}
		m.heap.items[0].doc = d
		heap.Fix(&m.heap, 0)
	}
	if len(m.heap.items) == 0 {
		return 0, false
	}
	return m.heap.items[0].doc, true
}

// mergeItem is the next document of a value.
type mergeItem struct {
	doc   uint64
	value int
}

type mergeHeap struct {
	course course
	items  []mergeItem
}

func (h *mergeHeap) Len() int           { return len(h.items) }
func (h *mergeHeap) Less(i, j int) bool { return h.course.before(h.items[i].doc, h.items[j].doc) }
func (h *mergeHeap) Swap(i, j int)      { h.items[i], h.items[j] = h.items[j], h.items[i] }
func (h *mergeHeap) Push(x any)         { h.items = append(h.items, x.(mergeItem)) }
func (h *mergeHeap) Pop() any {
	last := h.items[len(h.items)-1]
	h.items = h.items[:len(h.items)-1]
	return last
}

// opening is a stream that is opened when first asked.
type opening struct {
	open func() stream
	s    stream
}

func (o *opening) seek(doc uint64) (uint64, bool) {
	if o.s == nil {
		o.s = o.open()
	}
	return o.s.seek(doc)
}

func (o *opening) rewind() {
	if o.s != nil {
		o.s.rewind()
	}
}

// set gives documents gathered before, sorted, each once.
type set struct {
	docs   []uint64
	course course
	at     int // how many are before the last doc asked for
}

func (s *set) rewind() { s.at = 0 }

func (s *set) seek(doc uint64) (uint64, bool) {
	if s.course == forth {
		if s.at < len(s.docs) && s.docs[s.at] < doc {
			n, _ := slices.BinarySearch(s.docs[s.at:], doc)
			s.at += n
		}
		if s.at >= len(s.docs) {
			return 0, false
		}
		return s.docs[s.at], true
	}
	n, found := slices.BinarySearch(s.docs[:len(s.docs)-s.at], doc)
	if found {
		n++
	}
	if s.at = len(s.docs) - n; n == 0 {
		return 0, false
	}
	return s.docs[n-1], true
}
