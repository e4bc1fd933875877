package embedded

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// metaCopy is there while the store is the target of a copy: an importMark.
var metaCopy = []byte("mcopy")

// importMark says which store is being copied into this one, and how far.
type importMark struct {
	Source string      `json:"source"`
	Place  store.Place `json:"place"`
}

// maxExport is how many versions one Export returns at most.
const maxExport = 1000

// Exists reports whether a folder holds a store. Open would make one.
func Exists(dir string) (bool, error) {
	fresh, err := inspectFolder(vfs.Default, dir)
	return !fresh, err
}

// Identity names the store; see [store.Archive]. It comes from the secret that
// was made with the store, and does not tell it.
func (s *Store) Identity(context.Context) (string, error) {
	sum := sha256.Sum256(append([]byte("identity of the store\x00"), s.secret...))
	return hex.EncodeToString(sum[:16]), nil
}

// Size counts the versions; see [store.Archive].
func (s *Store) Size(ctx context.Context) (int64, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return 0, err
	}
	defer s.gate.Leave()
	n, err := s.countRows(tableHistory)
	if err != nil {
		return 0, s.internal(ctx, err, "counting versions")
	}
	return n, nil
}

// Export returns versions behind a place; see [store.Archive].
func (s *Store) Export(ctx context.Context, behind store.Place, limit int) ([]store.Version, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if limit < 1 || limit > maxExport {
		return nil, fhir.Errorf(fhir.Invalid, "an export returns 1 to %d versions, not %d", maxExport, limit)
	}
	now := s.visible.Load().t
	snapshot := s.db.NewSnapshot() // an Erase may come between
	defer snapshot.Close()         //nolint:errcheck // it only gives memory back
	v := &view{ctx: ctx, r: snapshot, t: now}
	versions, err := s.export(v, behind, limit)
	if closeErr := v.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, s.internal(ctx, err, "exporting")
	}
	return versions, nil
}

func (s *Store) export(v *view, behind store.Place, limit int) ([]store.Version, error) {
	var walks []*exportWalk
	for _, name := range s.types.sorted() {
		typ, _ := s.types.number(name)
		w := newExportWalk(v, typ, name, behind)
		if err := w.advance(); err != nil {
			return nil, err
		}
		walks = append(walks, w)
	}
	var out []store.Version
	for size := 0; len(out) < limit && size < store.MaxPageBytes; {
		var oldest *exportWalk
		for _, w := range walks {
			if w.cur != nil && (oldest == nil || newer(oldest.cur, w.cur)) {
				oldest = w
			}
		}
		if oldest == nil || v.err != nil {
			return out, v.err
		}
		e := oldest.cur
		if err := oldest.advance(); err != nil {
			return nil, err
		}
		row, err := v.exact(e.doc, e.version)
		if err != nil {
			return nil, err
		}
		later, err := v.laterThan(e)
		if err != nil {
			return nil, err
		}
		out = append(out, store.Version{Resource: row.resource(e.name, e.version), Newest: !later})
		size += len(row.body.Head) + len(row.body.Tail)
	}
	return out, nil
}

// laterThan reports whether a visible version follows one.
func (v *view) laterThan(e *entry) (bool, error) {
	newest, err := v.currentAt(e, math.MaxInt64)
	return !newest, err
}

// exportWalk goes through the versions of one type, oldest first.
type exportWalk struct {
	v     *view
	it    *pebble.Iterator
	typ   uint16
	name  string
	begun bool
	cur   *entry
}

func newExportWalk(v *view, typ uint16, name string, behind store.Place) *exportWalk {
	prefix := append16([]byte{tableHistory}, typ)
	ms := uint64(min(max(behind.Updated, 0), max48))
	lower := append48(slices.Clone(prefix), ms)
	switch {
	case behind == (store.Place{}): // before everything
	case name == behind.Type:
		lower = append(historyKey(nil, typ, ms, behind.ID, behind.Version), 0)
	case name < behind.Type: // all of that millisecond is before the place
		lower = append48(slices.Clone(prefix), min(ms+1, max48))
	}
	return &exportWalk{v: v, it: v.iter(lower, after(prefix)), typ: typ, name: name}
}

// advance moves to the next visible version; cur is nil behind the last.
func (w *exportWalk) advance() error {
	w.cur = nil
	if w.it == nil {
		return w.v.err
	}
	valid := w.begun && w.it.Next()
	if !w.begun {
		valid, w.begun = w.it.First(), true
	}
	for ; valid && w.v.step(); valid = w.it.Next() {
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

// refuseHalfCopy refuses to open the target of a copy that has not ended,
// unless the copy is to go on.
func (s *Store) refuseHalfCopy(dir string) error {
	mark, err := s.meta(metaCopy)
	if err != nil || mark == nil || s.opts.Importing {
		return err
	}
	return fhir.Errorf(fhir.Conflict,
		"the store in %s is being copied into, and that has not ended; run the same `starling migrate` again, or remove the folder", dir)
}

// BeginImport makes the store the target of a copy; see [store.Archive].
func (s *Store) BeginImport(ctx context.Context, source string) (store.Place, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return store.Place{}, err
	}
	defer s.gate.Leave()
	s.commit.Lock()
	defer s.commit.Unlock()
	mark, err := s.importMark()
	switch {
	case err != nil:
		return store.Place{}, s.internal(ctx, err, "beginning a copy")
	case mark != nil && mark.Source != source:
		return store.Place{}, fhir.Errorf(fhir.Conflict, "the target holds an unfinished copy of another store")
	case mark != nil:
		return mark.Place, nil
	case s.newest.t > 0:
		return store.Place{}, fhir.Errorf(fhir.Conflict, "the target is not empty; give a new one")
	}
	row, err := json.Marshal(importMark{Source: source})
	if err == nil {
		err = s.db.Set(metaCopy, row, s.write)
	}
	if err != nil {
		return store.Place{}, s.internal(ctx, err, "beginning a copy")
	}
	return store.Place{}, nil
}

// importMark returns the mark of a copy, or nil if there is none.
func (s *Store) importMark() (*importMark, error) {
	row, err := s.meta(metaCopy)
	if err != nil || row == nil {
		return nil, err
	}
	var mark importMark
	if err := json.Unmarshal(row, &mark); err != nil {
		return nil, errRow
	}
	return &mark, nil
}

// EndImport makes the store an ordinary one; see [store.Archive].
func (s *Store) EndImport(ctx context.Context) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if err := s.db.Delete(metaCopy, s.write); err != nil {
		return s.internal(ctx, err, "ending a copy")
	}
	return nil
}

// Import writes versions as they are; see [store.Archive].
func (s *Store) Import(ctx context.Context, versions []store.Version) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if len(versions) == 0 {
		return nil
	}
	if err := s.disk.check(); err != nil {
		return err
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	mark, err := s.importMark()
	if err != nil {
		return s.internal(ctx, err, "importing")
	}
	if mark == nil {
		return fhir.Errorf(fhir.Conflict, "no copy into this store has begun")
	}
	batch := s.db.NewBatch()
	defer batch.Close() //nolint:errcheck // it only gives memory back
	now := &moment{t: s.newest.t, updated: s.newest.updated, counts: slices.Clone(s.newest.counts)}
	in := importer{s: s, f: filler{batch: batch, now: now}, base: s.newest.t, tips: map[fhir.Key]*tip{}, changed: map[uint16]bool{}}
	for i := range versions {
		if ctx.Err() != nil {
			return store.Cancelled(ctx)
		}
		if err := in.add(&versions[i]); err != nil {
			return s.internal(ctx, err, "importing")
		}
	}
	mark.Place = versions[len(versions)-1].Place()
	row, err := json.Marshal(mark)
	if err != nil {
		return s.internal(ctx, err, "importing")
	}
	in.f.set(metaCopy, row)
	return s.importBatch(ctx, &in)
}

// importBatch makes what an importer filled durable and visible. The caller
// holds the commit lock.
func (s *Store) importBatch(ctx context.Context, in *importer) error {
	now := in.f.now
	for typ := range in.changed {
		in.f.set(countKey(nil, typ), binary.AppendUvarint(nil, uint64(now.count(typ))))
	}
	in.f.set(metaState, stateRow(now, s.nextDoc.Load()))
	if in.f.err != nil {
		return s.internal(ctx, in.f.err, "importing")
	}
	if err := s.db.Apply(in.f.batch, s.write); err != nil {
		s.failed = err
		return unreadable(err, "the log cannot be written")
	}
	s.newest = now
	s.recent = newRecent(now.t)
	for typ := range in.changed {
		s.changed[typ] = now.t
	}
	s.visible.Store(now)
	return nil
}

// importer fills one batch with versions. Versions of one resource get
// logical times of their own, one behind the other; all others share them.
type importer struct {
	s       *Store
	f       filler
	base    uint64 // the newest t before the batch
	tips    map[fhir.Key]*tip
	changed map[uint16]bool
}

// tip is the newest version of a resource as the batch has it.
type tip struct {
	head
	t        uint64 // of a version in the batch; base for none
	forward  []byte // its forward row; nil for none
	forwardT uint64
	rows     map[int64]*versionRow // versions in the batch
}

// tip returns the newest version of a key, reading it at its first use.
func (in *importer) tip(key fhir.Key, typ uint16) (*tip, error) {
	if known := in.tips[key]; known != nil {
		return known, nil
	}
	h, err := findHead(in.s.db, typ, key.ID)
	if err != nil {
		return nil, err
	}
	t := &tip{head: h, t: in.base, rows: map[int64]*versionRow{}}
	if h.version > 0 {
		if t.forward, t.forwardT, err = in.s.newestForward(h.doc); err != nil {
			return nil, err
		}
	}
	in.tips[key] = t
	return t, nil
}

func (in *importer) add(v *store.Version) error {
	if v.Updated.UnixMilli() < 0 || v.Updated.UnixMilli() > max48 || v.Version < 1 || v.Version > max48 {
		return fhir.Errorf(fhir.Invalid, "%s version %d has a time or number that cannot be kept", v.Key, v.Version)
	}
	change := store.Change{Key: v.Key, Method: v.Method, Entries: v.Entries, Patients: v.Patients}
	if !v.Deleted() {
		var ok bool
		if change.Body, ok = v.Body(); !ok {
			return fhir.Errorf(fhir.Invalid, "the body of %s version %d does not say its versionId and lastUpdated where the server writes them", v.Key, v.Version)
		}
	}
	c, err := in.s.check(&change)
	if err != nil {
		return err
	}
	if err := in.s.number(c); err != nil {
		return err
	}
	top, err := in.tip(v.Key, c.typ)
	if err != nil {
		return err
	}
	row := &versionRow{
		updated: v.Updated.UnixMilli(), typ: c.typ, id: []byte(v.Key.ID), method: v.Method,
		patients: slices.Compact(slices.Sorted(slices.Values(v.Patients))), body: change.Body,
	}
	if v.Version <= top.version {
		return in.compare(v, row, top)
	}
	// What was erased from the front of the source is not missed.
	if v.Version != top.version+1 && top.version > 0 {
		return fhir.Errorf(fhir.Invalid, "version %d of %s comes behind version %d: the source lacks one, or has removed it since the copy began; copy into a new store", v.Version, v.Key, top.version)
	}
	if before, err := in.row(top, top.version); err != nil {
		return err
	} else if before != nil && before.updated > row.updated {
		return fhir.Errorf(fhir.Invalid, "version %d of %s is older than the version before it", v.Version, v.Key)
	}
	return in.put(v, c, row, top)
}

// row returns a version that is stored or in the batch; nil for version 0.
func (in *importer) row(top *tip, version int64) (*versionRow, error) {
	if version == 0 {
		return nil, nil
	}
	if row := top.rows[version]; row != nil {
		return row, nil
	}
	value, err := get(in.s.db, versionKey(nil, top.doc, version))
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, errRow
	}
	row, err := parseVersion(value)
	return &row, err
}

// compare checks that a version that is there already is the same.
func (in *importer) compare(v *store.Version, row *versionRow, top *tip) error {
	have, err := in.row(top, v.Version)
	if err != nil {
		return err
	}
	if have.updated != row.updated || have.method != row.method || !slices.Equal(have.patients, row.patients) ||
		!bytes.Equal(have.body.Stamp(1, v.Updated), row.body.Stamp(1, v.Updated)) {
		return fhir.Errorf(fhir.Conflict, "the target has another version %d of %s than the source", v.Version, v.Key)
	}
	return nil
}

// put fills in the rows of a version that is not there yet.
func (in *importer) put(v *store.Version, c *change, row *versionRow, top *tip) error {
	f, now := &in.f, in.f.now
	alive := top.version > 0 && !top.deleted
	if top.doc == 0 {
		top.doc = in.s.nextDoc.Add(1)
		if v.Version > 1 {
			top.first = v.Version
		}
	}
	top.version, top.deleted, top.t = v.Version, v.Deleted(), top.t+1
	top.rows[v.Version] = row
	row.t = top.t
	now.t, now.updated = max(now.t, row.t), max(now.updated, row.updated)

	f.set(headKey(nil, c.typ, v.Key.ID), top.append(nil))
	f.set(versionKey(nil, top.doc, v.Version), row.append(nil))
	f.history(v.Key, row, top.doc, v.Version)
	if err := in.unindex(c.typ, top); err != nil {
		return err
	}
	if v.Newest && !v.Deleted() {
		var err error
		if top.forward, err = in.s.index(f, row, top.doc, c.entries); err != nil {
			return err
		}
		top.forwardT = row.t
	}
	if alive != !v.Deleted() {
		for int(c.typ) >= len(now.counts) {
			now.counts = append(now.counts, 0)
		}
		if v.Deleted() {
			now.counts[c.typ]--
		} else {
			now.counts[c.typ]++
		}
	}
	in.changed[c.typ] = true
	return f.err
}

// unindex removes the index rows of a version that was the newest once. Nobody
// pages through the target of a copy, so they need not be kept.
func (in *importer) unindex(typ uint16, top *tip) error {
	if top.forward == nil {
		return nil
	}
	remove := func(key []byte) {
		if in.f.err == nil {
			in.f.err = in.f.batch.Delete(key, nil)
		}
	}
	err := eachForward(top.forward, func(e forwardEntry) bool {
		if e.from == 0 {
			e.from = top.forwardT
		}
		remove(indexKey(nil, typ, e.param, e.value, top.doc, e.from))
		return true
	})
	remove(forwardKey(nil, top.doc, top.forwardT))
	top.forward = nil
	return err
}

var _ store.Archive = (*Store)(nil)
