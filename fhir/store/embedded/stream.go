package embedded

import (
	"bytes"
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir/store"
)

// view is what one search sees: the store at one logical time. It owns the
// iterators made for it. The first error sticks, and every stream then ends.
type view struct {
	ctx   context.Context
	r     pebble.Reader
	t     uint64
	rows  int64 // index rows looked at
	iters []*pebble.Iterator
	err   error

	forward  *pebble.Iterator
	versions *pebble.Iterator
}

// step counts a row; it is false once the caller has given up.
func (v *view) step() bool {
	v.rows++
	if v.rows&1023 == 0 && v.err == nil && v.ctx.Err() != nil {
		v.err = store.Cancelled(v.ctx)
	}
	return v.err == nil
}

func (v *view) fail(err error) {
	if v.err == nil && err != nil {
		v.err = err
	}
}

// iter returns an iterator over lower <= key < upper, or nil.
func (v *view) iter(lower, upper []byte) *pebble.Iterator {
	it, err := v.r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		v.fail(err)
		return nil
	}
	v.iters = append(v.iters, it)
	return it
}

// scan visits the rows of lower <= key < upper until visit returns false.
func (v *view) scan(lower, upper []byte, visit func(it *pebble.Iterator) bool) {
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return
	}
	it, err := v.r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		v.fail(err)
		return
	}
	for valid := it.First(); valid && v.step() && visit(it); valid = it.Next() {
	}
	v.fail(it.Close())
}

// close releases the iterators and returns the first error.
func (v *view) close() error {
	for _, it := range v.iters {
		v.fail(it.Close())
	}
	v.iters, v.forward, v.versions = nil, nil, nil
	return v.err
}

// stream gives document numbers in order.
type stream interface {
	// seek returns the first document of the stream not before doc. Calls come
	// with growing doc.
	seek(doc uint64) (uint64, bool)
}

// postings are the documents that have one value at the view's time.
type postings struct {
	v      *view
	it     *pebble.Iterator
	prefix []byte // the index key up to the value's end
	cur    uint64
	state  int // 0 not begun, 1 on cur, 2 at the end
}

// posting opens the stream of the documents that have a value.
func (v *view) posting(typ, param uint16, value []byte) *postings {
	prefix := appendValue(indexPrefix(make([]byte, 0, len(value)+32), typ, param), value)
	return &postings{v: v, it: v.iter(prefix, after(prefix)), prefix: prefix}
}

func (p *postings) seek(doc uint64) (uint64, bool) {
	switch {
	case p.it == nil || p.state == 2:
		return 0, false
	case p.state == 1 && p.cur >= doc:
		return p.cur, true
	}
	var valid bool
	if p.state == 1 && doc == p.cur+1 {
		valid = p.it.Next()
	} else {
		var space [640]byte
		valid = p.it.SeekGE(append48(append(space[:0], p.prefix...), doc))
	}
	for ; valid && p.v.step(); valid = p.it.Next() {
		found, from := indexTail(p.it.Key())
		if found < doc || !liveAt(from, p.it.Value(), p.v.t) {
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
type union []stream

func (u union) seek(doc uint64) (uint64, bool) {
	least, any := uint64(0), false
	for _, s := range u {
		if d, ok := s.seek(doc); ok && (!any || d < least) {
			least, any = d, true
		}
	}
	return least, any
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

// set gives documents gathered before, sorted.
type set struct {
	docs []uint64
	at   int
}

func (s *set) seek(doc uint64) (uint64, bool) {
	if s.at < len(s.docs) && s.docs[s.at] < doc {
		n, _ := slices.BinarySearch(s.docs[s.at:], doc)
		s.at += n
	}
	if s.at >= len(s.docs) {
		return 0, false
	}
	return s.docs[s.at], true
}

// forwardRow returns the entries of a document at the view's time, or nil. The
// row is good until the next call.
func (v *view) forwardRow(doc uint64) []byte {
	if v.forward == nil {
		if v.forward = v.iter([]byte{tableForward}, []byte{tableForward + 1}); v.forward == nil {
			return nil
		}
	}
	if !v.step() {
		return nil
	}
	var space [16]byte
	key := forwardKey(space[:0], doc, v.t)
	if !v.forward.SeekGE(key) || !bytes.Equal(v.forward.Key()[:1+num48Len], key[:1+num48Len]) {
		v.fail(v.forward.Error())
		return nil
	}
	return v.forward.Value()
}

// version returns a document's version at the view's time, and its number. The
// row shares memory that the next call reuses.
func (v *view) version(doc uint64) (versionRow, int64, bool) { return v.newestAt(doc, v.t) }

// newestAt returns what version does, at a time of the caller's.
func (v *view) newestAt(doc, now uint64) (versionRow, int64, bool) {
	if v.versions == nil {
		if v.versions = v.iter([]byte{tableVersion}, []byte{tableVersion + 1}); v.versions == nil {
			return versionRow{}, 0, false
		}
	}
	var space [16]byte
	prefix := append48(append(space[:0], tableVersion), doc)
	for valid := v.versions.SeekGE(prefix); valid && bytes.HasPrefix(v.versions.Key(), prefix); valid = v.versions.Next() {
		t, _, err := parseVersionTime(v.versions.Value())
		if err != nil {
			v.fail(err)
			return versionRow{}, 0, false
		}
		if t > now {
			continue
		}
		row, err := parseVersion(v.versions.Value())
		v.fail(err)
		return row, int64(max48 - read48(v.versions.Key()[1+num48Len:])), err == nil
	}
	v.fail(v.versions.Error())
	if v.err == nil {
		v.err = errRow
	}
	return versionRow{}, 0, false
}
