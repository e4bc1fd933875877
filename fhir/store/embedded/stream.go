package embedded

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir/store"
)

// view is what one search sees: the store at one logical time. It owns the
// iterators made for it. The first error sticks, and every stream then ends.
type view struct {
	ctx context.Context
	r   pebble.Reader
	t   uint64
	// rows is how many index rows were looked at, as far as they count: a row that
	// is looked up costs as much as many that are passed on the way.
	rows int64
	// looked is how many resources were looked at one by one; charged those of them
	// that count towards most, beyond which the search is too costly. 0: no limit.
	looked, charged, most int64
	steps                 int // since the caller was last seen to wait
	iters                 []*pebble.Iterator
	err                   error

	forward  *pebble.Iterator
	versions *pebble.Iterator
	exist    map[uint16]*postings // by type: what is alive
}

// What it costs to look a row up, in rows that are passed on the way: one near the
// last one, a resource's forward row, and one far away, for which another block of
// the folder is read.
const (
	nearRows = 8
	lookRows = 10
	farRows  = 64
)

// look counts a resource that is looked at by itself. Those that a search looks
// at for a caller who is limited to patients are free: how many there are may
// depend on what the caller must not learn.
func (v *view) look(free bool) {
	v.looked++
	v.rows += lookRows
	if free {
		return
	}
	if v.charged++; v.most > 0 && v.charged > v.most {
		v.fail(tooCostly(v.most))
	}
}

// quietly forgets, when what it returns is called, what was looked at meanwhile.
func (v *view) quietly() func() {
	rows, looked := v.rows, v.looked
	return func() { v.rows, v.looked = rows, looked }
}

// step counts a row; it is false once the caller has given up.
func (v *view) step() bool {
	v.rows++
	if v.steps++; v.steps&1023 == 0 && v.err == nil && v.ctx.Err() != nil {
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
	v.iters, v.forward, v.versions, v.exist = nil, nil, nil, nil
	return v.err
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

// alive reports whether a document is there, and not deleted.
func (v *view) alive(typ uint16, doc uint64) bool {
	p := v.exist[typ]
	if p == nil {
		if v.exist == nil {
			v.exist = map[uint16]*postings{}
		}
		p = v.posting(typ, existParam, nil, forth)
		v.exist[typ] = p
	}
	p.rewind()
	found, ok := p.seek(doc)
	return ok && found == doc
}

// docOf returns the document number of a resource, or 0 if there never was one.
func (v *view) docOf(typ uint16, id string) uint64 {
	v.rows += farRows
	h, err := findHead(v.r, typ, id)
	v.fail(err)
	return h.doc
}

// idOf returns a document's logical id, or "" with an error.
func (v *view) idOf(doc uint64) string {
	if v.versions == nil {
		if v.versions = v.iter([]byte{tableVersion}, []byte{tableVersion + 1}); v.versions == nil {
			return ""
		}
	}
	var space [16]byte
	prefix := append48(append(space[:0], tableVersion), doc)
	v.rows += farRows
	if !v.step() {
		return ""
	}
	if !v.versions.SeekGE(prefix) || !bytes.HasPrefix(v.versions.Key(), prefix) {
		v.fail(v.versions.Error())
		v.fail(errRow)
		return ""
	}
	id, err := parseVersionID(v.versions.Value())
	v.fail(err)
	return id
}

// version returns a document's version at the view's time, and its number; ok is
// false, with no error, if it was erased behind a newer one. The row shares memory that the next call reuses.
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
	newer := false
	for valid := v.versions.SeekGE(prefix); valid && bytes.HasPrefix(v.versions.Key(), prefix); valid = v.versions.Next() {
		t, _, err := parseVersionTime(v.versions.Value())
		if err != nil {
			v.fail(err)
			return versionRow{}, 0, false
		}
		if t > now {
			newer = true
			continue
		}
		row, err := parseVersion(v.versions.Value())
		v.fail(err)
		return row, int64(max48 - read48(v.versions.Key()[1+num48Len:])), err == nil
	}
	v.fail(v.versions.Error())
	if !newer { // else it was erased behind that one
		v.fail(errRow)
	}
	return versionRow{}, 0, false
}
