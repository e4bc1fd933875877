package embedded

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if h.Count < 1 || h.Count > maxPage {
		return nil, fhir.Errorf(fhir.Invalid, "a page of history has 1 to %d versions, not %d", maxPage, h.Count)
	}
	if h.ID != "" && h.Type == "" {
		return nil, fhir.Errorf(fhir.Invalid, "the history of an id needs its type")
	}
	now := s.visible.Load().t
	snapshot := s.db.NewSnapshot() // an Erase may come between
	defer snapshot.Close()         //nolint:errcheck // it only gives memory back
	v := &view{ctx: ctx, r: snapshot, t: now}
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
	identity := fmt.Sprintf("history %s %s/%s %d %d", h.Scope.ID(), h.Type, h.ID, stamp(h.Since), stamp(h.At))
	sees := sight{v: v, scope: h.Scope, now: v.t}
	var behind *entry
	if h.Cursor != "" {
		f, err := s.openCursor(h.Cursor, identity)
		if err != nil {
			return nil, err
		}
		v.t = f[0]
		behind = &entry{ms: f[1], typ: uint16(f[2]), name: s.types.name(uint16(f[2])), doc: f[3], version: int64(f[4])}
		if behind.id = v.idOf(behind.doc); behind.id == "" { // the version may be erased by now
			return nil, v.err
		}
	}

	var next func() (*entry, error)
	var err error
	if h.ID != "" {
		next, err = s.instanceHistory(v, h, behind, &sees)
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
		if seen, err := sees.resource(e); err != nil {
			return nil, err
		} else if !seen {
			continue
		}
		row, err := v.exact(e.doc, e.version)
		if err != nil {
			return nil, err
		}
		if !sees.version(e, &row) {
			continue
		}
		if len(page.Resources) == h.Count || size >= store.MaxPageBytes {
			page.Next, err = s.sealCursor(identity, [...]uint64{v.t, last.ms, uint64(last.typ), last.doc, uint64(last.version)})
			return page, err
		}
		res := row.resource(e.name, e.version)
		page.Resources = append(page.Resources, res)
		size += len(res.JSON)
		last = e
	}
}

// sight says what a scope sees of a history.
type sight struct {
	v     *view
	scope *search.Scope
	now   uint64 // the newest visible time, whatever moment the pages show
	doc   uint64 // the last resource looked at
	seen  bool   // and the answer
}

// resource reports whether the scope sees the newest version of a version's
// resource as it is now: what was moved away is gone from later pages too.
func (s *sight) resource(e *entry) (bool, error) {
	switch {
	case s.scope.Of(e.name).Whole:
		return true, nil
	case s.doc == e.doc:
		return s.seen, nil
	}
	row, _, ok := s.v.newestAt(e.doc, s.now)
	if !ok {
		return false, s.v.err
	}
	s.doc, s.seen = e.doc, s.version(e, &row)
	return s.seen, nil
}

// version reports whether the scope sees one version.
func (s *sight) version(e *entry, row *versionRow) bool {
	return s.scope.Sees(&fhir.Resource{Key: fhir.Key{Type: e.name, ID: e.id}, Patients: row.patients})
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
// before it in both version and time. A resource that the scope does not see is
// answered as one that never was.
func (s *Store) instanceHistory(v *view, h store.HistoryQuery, behind *entry, sees *sight) (func() (*entry, error), error) {
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
	oldest, err := v.exact(hd.doc, hd.oldest())
	if err != nil {
		return nil, err
	}
	if oldest.t > v.t && hd.oldest() == 1 {
		return nil, unknown
	}
	if seen, err := sees.resource(&entry{typ: typ, name: h.Type, id: h.ID, doc: hd.doc}); err != nil {
		return nil, err
	} else if !seen {
		return nil, unknown
	}
	version := hd.version
	if behind != nil {
		version = behind.version - 1
	}
	least := since(h.Since)
	return func() (*entry, error) {
		for ; version >= hd.oldest() && v.step(); version-- {
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
// Of a type that the scope limits to patients it walks only what counts to
// their records, so that an answer costs no more for what there is of others.
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
		part := h.Scope.Of(name)
		var prefixes [][]byte
		if part.Whole {
			prefixes = append(prefixes, historyPrefix(nil, typ))
		}
		for _, patient := range part.Patients {
			prefixes = append(prefixes, recordPrefix(nil, typ, patient))
		}
		for _, prefix := range prefixes {
			w := newHistoryWalk(v, prefix, typ, name, h, behind)
			if err := w.advance(); err != nil {
				return nil, err
			}
			walks = append(walks, w)
		}
	}
	var last entry
	return func() (*entry, error) {
		for {
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
			if err := newest.advance(); err != nil {
				return nil, err
			}
			if *e == last {
				continue // it counts to the records of several patients
			}
			last = *e
			return e, nil
		}
	}, nil
}

// newer reports whether a comes before b in a history.
func newer(a, b *entry) bool {
	return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id), cmp.Compare(a.version, b.version)) > 0
}

// historyWalk is the history of one type, or of one type in one record.
type historyWalk struct {
	v      *view
	it     *pebble.Iterator
	prefix int // length of what all keys start with
	typ    uint16
	name   string
	begun  bool
	cur    *entry
}

func newHistoryWalk(v *view, prefix []byte, typ uint16, name string, h store.HistoryQuery, behind *entry) *historyWalk {
	key := func(ms uint64) []byte { return append48(slices.Clone(prefix), ms) }
	lower, upper := key(min(since(h.Since), max48)), after(prefix)
	if !h.At.IsZero() {
		// Nothing newer was current then.
		if top := uint64(max(h.At.UnixMilli(), 0)) + 1; top <= max48 {
			upper = key(top)
		}
	}
	if behind != nil {
		switch {
		case name == behind.name:
			upper = appendPlace(slices.Clone(prefix), behind.ms, behind.id, behind.version)
		case name < behind.name: // may have versions of the same millisecond
			upper = key(behind.ms + 1)
		default:
			upper = key(behind.ms)
		}
	}
	if bytes.Compare(lower, upper) >= 0 {
		return &historyWalk{}
	}
	return &historyWalk{v: v, it: v.iter(lower, upper), prefix: len(prefix), typ: typ, name: name}
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
		ms, id, version, ok := parsePlace(w.it.Key()[w.prefix:])
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
