package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// History returns versions, newest first; see [store.Store].
//
// What becomes visible after an answer is never older than the newest version
// in it, since lastUpdated grows with logical time and an answer holds all
// versions up to one logical time.
func (s *Store) History(ctx context.Context, h store.HistoryQuery) (*search.Page, error) {
	if err := s.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	if h.Count < 1 || h.Count > maxPage {
		return nil, fhir.Errorf(fhir.Invalid, "a page of history has 1 to %d versions, not %d", maxPage, h.Count)
	}
	if h.ID != "" && h.Type == "" {
		return nil, fhir.Errorf(fhir.Invalid, "the history of an id needs its type")
	}
	v := &view{ctx: ctx, r: s.db, t: s.visible.Load().t}
	page, err := s.history(v, h)
	if closeErr := v.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, s.internal(ctx, err, "reading history")
	}
	return page, nil
}

// entry is one version in a history.
type entry struct {
	ms      uint64
	typ     uint16
	name    string // of the type
	id      string
	version int64
	doc     uint64
}

func (s *Store) history(v *view, h store.HistoryQuery) (*search.Page, error) {
	identity := fmt.Sprintf("history %s/%s %d %d", h.Type, h.ID, stamp(h.Since), stamp(h.At))
	var behind *entry
	if h.Cursor != "" {
		var t, ms, typ, doc, version uint64
		if err := s.openCursor(h.Cursor, identity, &t, &ms, &typ, &doc, &version); err != nil {
			return nil, err
		}
		v.t = t
		behind = &entry{ms: ms, typ: uint16(typ), name: s.types.name(uint16(typ)), doc: doc, version: int64(version)}
		row, err := v.exact(doc, behind.version)
		if err != nil {
			return nil, err
		}
		behind.id = string(row.id)
	}

	var next func() (*entry, error)
	var err error
	if h.ID != "" {
		next, err = s.instanceHistory(v, h, behind)
	} else {
		next, err = s.typesHistory(v, h, behind)
	}
	if err != nil {
		return nil, err
	}
	page := &search.Page{Total: -1}
	var last *entry
	size := 0
	for {
		e, err := next()
		if err != nil || v.err != nil {
			return nil, err
		}
		if e == nil {
			return page, nil
		}
		if !h.At.IsZero() {
			if current, err := v.currentAt(e, h.At.UnixMilli()); err != nil {
				return nil, err
			} else if !current {
				continue
			}
		}
		if len(page.Resources) == h.Count || size >= store.MaxPageBytes {
			page.Next = s.sealCursor(identity, v.t, last.ms, uint64(last.typ), last.doc, uint64(last.version))
			return page, nil
		}
		row, err := v.exact(e.doc, e.version)
		if err != nil {
			return nil, err
		}
		res := row.resource(e.name, e.version)
		page.Resources = append(page.Resources, res)
		size += len(res.JSON)
		last = e
	}
}

// stamp is a time for a cursor's identity; 0 for none.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// since returns the first millisecond at or after a time: versions have whole
// milliseconds, so one made in an earlier one was made before.
func since(t time.Time) uint64 {
	if t.IsZero() || t.UnixMilli() < 0 {
		return 0
	}
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return uint64(ms)
}

// exact returns one version of a document, which must be there.
func (v *view) exact(doc uint64, version int64) (versionRow, error) {
	if v.versions == nil {
		if v.versions = v.iter([]byte{tableVersion}, []byte{tableVersion + 1}); v.versions == nil {
			return versionRow{}, v.err
		}
	}
	var space [16]byte
	key := versionKey(space[:0], doc, version)
	if !v.versions.SeekGE(key) || !bytes.Equal(v.versions.Key(), key) {
		if err := v.versions.Error(); err != nil {
			return versionRow{}, err
		}
		return versionRow{}, errRow
	}
	return parseVersion(v.versions.Value())
}

// currentAt reports whether a version was the newest one at a time.
func (v *view) currentAt(e *entry, ms int64) (bool, error) {
	if int64(e.ms) > ms {
		return false, nil
	}
	var space [16]byte
	value, closer, err := v.r.Get(versionKey(space[:0], e.doc, e.version+1))
	if errors.Is(err, pebble.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	t, updated, err := parseVersionTime(value)
	if closeErr := closer.Close(); err == nil {
		err = closeErr
	}
	return t > v.t || updated > ms, err
}

// instanceHistory walks one resource's versions. Each is newer than the one
// before it in both version and time.
func (s *Store) instanceHistory(v *view, h store.HistoryQuery, behind *entry) (func() (*entry, error), error) {
	unknown := fhir.Errorf(fhir.NotFound, "%s is not known", fhir.Key{Type: h.Type, ID: h.ID})
	typ, known := s.types.number(h.Type)
	if !known {
		return nil, unknown
	}
	hd, err := findHead(v.r, typ, h.ID)
	if err != nil {
		return nil, err
	}
	if hd.version == 0 {
		return nil, unknown
	}
	first, err := v.exact(hd.doc, 1)
	if err != nil {
		return nil, err
	}
	if first.t > v.t {
		return nil, unknown
	}
	version := hd.version
	if behind != nil {
		version = behind.version - 1
	}
	least := since(h.Since)
	return func() (*entry, error) {
		for ; version > 0 && v.step(); version-- {
			row, err := v.exact(hd.doc, version)
			if err != nil {
				return nil, err
			}
			if row.t > v.t {
				continue
			}
			if uint64(row.updated) < least {
				return nil, nil
			}
			version--
			return &entry{ms: uint64(row.updated), typ: typ, name: h.Type, id: h.ID, version: version + 1, doc: hd.doc}, nil
		}
		return nil, v.err
	}, nil
}

// typesHistory walks the versions of one type or, merging them, of all types.
func (s *Store) typesHistory(v *view, h store.HistoryQuery, behind *entry) (func() (*entry, error), error) {
	types := []string{h.Type}
	if h.Type == "" {
		types = s.types.sorted()
	}
	var walks []*historyWalk
	for _, name := range types {
		typ, known := s.types.number(name)
		if !known {
			continue
		}
		w := newHistoryWalk(v, typ, name, h, behind)
		if err := w.advance(); err != nil {
			return nil, err
		}
		walks = append(walks, w)
	}
	return func() (*entry, error) {
		var newest *historyWalk
		for _, w := range walks {
			if w.cur != nil && (newest == nil || newer(w.cur, newest.cur)) {
				newest = w
			}
		}
		if newest == nil {
			return nil, v.err
		}
		e := newest.cur
		return e, newest.advance()
	}, nil
}

// newer reports whether a comes before b in a history of several types. Two
// entries of one type never meet here.
func newer(a, b *entry) bool { return a.ms > b.ms || a.ms == b.ms && a.name > b.name }

// historyWalk is the history of one type.
type historyWalk struct {
	v     *view
	it    *pebble.Iterator
	typ   uint16
	name  string
	begun bool
	cur   *entry
}

func newHistoryWalk(v *view, typ uint16, name string, h store.HistoryQuery, behind *entry) *historyWalk {
	prefix := append16([]byte{tableHistory}, typ)
	lower := append48(append16([]byte{tableHistory}, typ), min(since(h.Since), max48))
	top := uint64(math.MaxUint64)
	if !h.At.IsZero() {
		top = uint64(max(h.At.UnixMilli(), 0)) + 1 // nothing newer was current then
	}
	upper := after(prefix)
	if top <= max48 {
		upper = append48(prefix, top)
	}
	if behind != nil {
		switch {
		case name == behind.name:
			upper = historyKey(nil, typ, behind.ms, behind.id, behind.version)
		case name < behind.name: // may have versions of the same millisecond
			upper = append48(append16([]byte{tableHistory}, typ), behind.ms+1)
		default:
			upper = append48(append16([]byte{tableHistory}, typ), behind.ms)
		}
	}
	if bytes.Compare(lower, upper) >= 0 {
		return &historyWalk{}
	}
	return &historyWalk{v: v, it: v.iter(lower, upper), typ: typ, name: name}
}

// advance moves to the next older visible version; cur is nil behind the last.
func (w *historyWalk) advance() error {
	w.cur = nil
	if w.it == nil {
		return nil
	}
	var valid bool
	if w.begun {
		valid = w.it.Prev()
	} else {
		valid, w.begun = w.it.Last(), true
	}
	for ; valid && w.v.step(); valid = w.it.Prev() {
		ms, id, version, ok := parseHistoryKey(w.it.Key())
		r := reader{b: w.it.Value()}
		doc, t := r.uint(), r.uint()
		if !ok || r.bad {
			return errRow
		}
		if t <= w.v.t {
			w.cur = &entry{ms: ms, typ: w.typ, name: w.name, id: string(id), version: version, doc: doc}
			return nil
		}
	}
	return w.it.Error()
}
