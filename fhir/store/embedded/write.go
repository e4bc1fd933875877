package embedded

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// lastUpdatedParam is the one parameter whose entries the store makes.
const lastUpdatedParam = "_lastUpdated"

// Write applies all changes or none; see [store.Store].
func (s *Store) Write(ctx context.Context, changes []store.Change) ([]*fhir.Resource, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if len(changes) == 0 {
		return nil, nil
	}
	if err := s.disk.check(); err != nil {
		return nil, err
	}

	ready := make([]*change, len(changes))
	first := make(map[fhir.Key]int, len(changes))
	for i := range changes {
		key := changes[i].Key
		if j, twice := first[key]; twice {
			return nil, &store.ChangeError{Index: i, Err: fhir.Errorf(fhir.Invalid, "%s is changed twice, by changes %d and %d", key, j, i)}
		}
		first[key] = i
		c, err := s.check(&changes[i])
		if err != nil {
			return nil, &store.ChangeError{Index: i, Err: err}
		}
		ready[i] = c
	}
	if _, err := store.RedefinitionOf(changes); err != nil {
		return nil, err
	}
	base, err := s.prepareAll(ctx, ready)
	if err != nil {
		return nil, s.internal(ctx, err, "preparing a write")
	}
	conditions, err := s.askConditions(ctx, ready)
	if err != nil {
		return nil, s.internal(ctx, err, "checking conditions")
	}

	size := 256
	for _, c := range ready {
		size += c.size
	}
	batch := s.db.NewBatchWithSize(size)
	now, wrote, err := s.serial(ctx, ready, base, conditions, batch)
	if err == nil {
		err = s.settle(batch, now, wrote)
	}
	if closeErr := batch.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, s.internal(ctx, err, "writing")
	}
	return s.results(ctx, ready, now)
}

// serial is the serial section: it checks the preconditions at the newest
// moment, fills the batch, gives it its place in the log and returns the moment
// it makes, or the newest one if there was nothing to write.
func (s *Store) serial(ctx context.Context, changes []*change, base uint64, asked uint64, batch *pebble.Batch) (now *moment, wrote bool, err error) {
	s.commit.Lock()
	defer s.commit.Unlock()
	if err := s.writable(); err != nil {
		return nil, false, err
	}
	if ctx.Err() != nil {
		return nil, false, store.Cancelled(ctx)
	}
	work := false
	for i, c := range changes {
		if err := s.isCurrent(c.Revision); err != nil {
			return nil, false, &store.ChangeError{Index: i, Err: err}
		}
		reindexed := s.reindexedAt > base
		if reindexed || s.recent.maybe(c.typ, c.Key.ID, base) {
			h, err := findHead(s.db, c.typ, c.Key.ID)
			if err != nil {
				return nil, false, err
			}
			if reindexed || h.version != c.base.version {
				if err := s.prepare(c, h); err != nil {
					return nil, false, err
				}
			}
		}
		if err := precondition(c); err != nil {
			return nil, false, &store.ChangeError{Index: i, Err: err}
		}
		if c.Condition != nil && s.changedSince(c.Condition.Query.Types, asked) {
			if err := s.holds(ctx, s.db, s.newest.t, c.Condition); err != nil {
				return nil, false, &store.ChangeError{Index: i, Err: err}
			}
		}
		if err := s.required(c, changes, base); err != nil {
			return nil, false, &store.ChangeError{Index: i, Err: err}
		}
		work = work || !c.noop
	}
	if !work {
		return s.newest, false, nil
	}

	now = &moment{
		t:       s.newest.t + 1,
		updated: max(s.opts.Clock().UnixMilli(), s.newest.updated, 0),
		counts:  s.newest.counts,
	}
	if err := s.fill(batch, changes, now); err != nil {
		return nil, false, err
	}
	defs, err := s.redefine(batch, changes, now)
	if err != nil {
		return nil, false, err
	}
	if err := s.apply(batch); err != nil {
		return nil, false, err
	}
	s.newest = now
	s.defs.Store(defs)
	for _, c := range changes {
		if !c.noop {
			s.changed[c.typ] = now.t
			s.recent.note(c.typ, c.Key.ID, now.t)
		}
	}
	return now, true, nil
}

// apply puts a batch into the log. After an error nothing more is written: what
// reached the log is not known. The caller holds the
// commit lock.
func (s *Store) apply(batch *pebble.Batch) (err error) {
	if s.opts.NoSync {
		err = s.db.Apply(batch, pebble.NoSync)
	} else {
		err = s.db.ApplyNoSyncWait(batch, pebble.Sync)
	}
	if err != nil {
		s.failed = err
	}
	return err
}

// writable returns why nothing can be written any more. The caller holds the
// commit lock.
func (s *Store) writable() error {
	if s.failed == nil {
		return nil
	}
	return fhir.Wrap(fhir.Unavailable, s.failed, "the disk refused an earlier write; free or replace it and start again")
}

// precondition checks a change's IfVersion and IfNone against its head.
func precondition(c *change) error {
	alive := c.base.version > 0 && !c.base.deleted
	switch {
	case c.IfVersion != 0 && !alive:
		return fhir.Errorf(fhir.VersionMismatch, "%s is not there, so it is not at version %d", c.Key, c.IfVersion)
	case c.IfVersion != 0 && c.base.version != c.IfVersion:
		return fhir.Errorf(fhir.VersionMismatch, "%s is at version %d, not %d", c.Key, c.base.version, c.IfVersion)
	case c.IfNone && alive:
		return fhir.Errorf(fhir.Duplicate, "%s is there already", c.Key)
	}
	return nil
}

// askConditions checks all conditions at the newest visible moment, so that
// the serial section need not if nothing of their types changes meanwhile. It
// returns that moment's logical time.
func (s *Store) askConditions(ctx context.Context, changes []*change) (uint64, error) {
	now := s.visible.Load()
	for i, c := range changes {
		if c.Condition == nil {
			continue
		}
		if err := s.holds(ctx, s.db, now.t, c.Condition); err != nil {
			return 0, &store.ChangeError{Index: i, Err: err}
		}
	}
	return now.t, nil
}

// holds checks that a condition's query still gives the keys it gave.
func (s *Store) holds(ctx context.Context, r pebble.Reader, t uint64, c *store.Condition) error {
	q := c.Query
	q.Count, q.Sort, q.Cursor, q.Total = 2, nil, "", search.TotalNone
	found, err := s.keys(ctx, r, t, q)
	if err != nil {
		return err
	}
	same := len(found) == len(c.Keys)
	for _, key := range found {
		same = same && slices.Contains(c.Keys, key)
	}
	if !same {
		return fhir.Errorf(fhir.Conflict, "another write changed what the condition finds; try again")
	}
	return nil
}

// changedSince reports whether any resource of the types (none: all) changed
// after t. The caller holds the commit lock.
func (s *Store) changedSince(types []string, t uint64) bool {
	if len(types) == 0 {
		return s.newest.t > t
	}
	for _, name := range types {
		if typ, ok := s.types.number(name); ok && s.changed[typ] > t {
			return true
		}
	}
	return false
}

// fill puts all rows of a write into the batch and counts what is there after
// it. The caller holds the commit lock.
func (s *Store) fill(batch *pebble.Batch, changes []*change, now *moment) error {
	stamps, err := s.lastUpdatedEntries(now.updated)
	if err != nil {
		return err
	}
	f := filler{batch: batch, now: now, stamps: stamps}
	var counted []uint16
	f.queue = binary.AppendUvarint(f.queue, uint64(now.updated))
	f.end = append48(nil, now.t)
	queued := len(f.queue)
	for _, c := range changes {
		if c.noop {
			continue
		}
		if err := f.change(c); err != nil {
			return err
		}
		delta := c.delta()
		if delta == 0 {
			continue
		}
		if len(counted) == 0 {
			now.counts = slices.Clone(now.counts)
		}
		for int(c.typ) >= len(now.counts) {
			now.counts = append(now.counts, 0)
		}
		now.counts[c.typ] += delta
		if !slices.Contains(counted, c.typ) {
			counted = append(counted, c.typ)
		}
	}
	for _, typ := range counted {
		f.set(countKey(f.key[:0], typ), binary.AppendUvarint(f.value[:0], uint64(now.counts[typ])))
	}
	if len(f.queue) > queued {
		f.set(queueKey(f.key[:0], now.t), f.queue)
	}
	f.set(metaState, stateRow(now, s.nextDoc.Load()))
	return f.err
}

// delta is by how much a change alters the number of living resources.
func (c *change) delta() int64 {
	alive := c.base.version > 0 && !c.base.deleted
	switch {
	case c.noop || alive == (c.Method != fhir.Delete):
		return 0
	case alive:
		return -1
	}
	return 1
}

// lastUpdatedEntries returns the entries that every version of one write gets.
func (s *Store) lastUpdatedEntries(ms int64) ([]forwardEntry, error) {
	var out []forwardEntry
	for _, e := range search.LastUpdated(fromMillis(ms)) {
		param, err := s.params.add(e.Param)
		if err != nil {
			return nil, err
		}
		out = append(out, forwardEntry{param: param, value: e.Value})
	}
	slices.SortFunc(out, compareEntries)
	return slices.CompactFunc(out, func(a, b forwardEntry) bool { return compareEntries(a, b) == 0 }), nil
}

// filler puts the rows of changes into a batch, reusing its buffers.
type filler struct {
	batch      *pebble.Batch
	now        *moment
	stamps     []forwardEntry
	end        []byte // now.t as the end of superseded rows
	key, value []byte
	queue      []byte
	err        error
}

func (f *filler) set(key, value []byte) {
	if f.err == nil {
		f.err = f.batch.Set(key, value, nil)
	}
}

func (f *filler) change(c *change) error {
	now, doc, version := f.now, c.base.doc, c.base.version+1
	row := versionRow{
		t: now.t, updated: now.updated, typ: c.typ, id: []byte(c.Key.ID),
		method: c.Method, patients: c.patients, body: c.Body,
	}
	if c.Method == fhir.Delete {
		row.body = fhir.Body{}
	}
	h := head{doc: doc, version: version, deleted: c.Method == fhir.Delete, first: c.base.first}
	f.value = h.append(f.value[:0])
	f.key = headKey(f.key[:0], c.typ, c.Key.ID)
	f.set(f.key, f.value)

	f.key = versionKey(f.key[:0], doc, version)
	f.value = row.append(f.value[:0])
	f.set(f.key, f.value)

	f.history(c.Key, &row, doc, version)

	for _, key := range c.closes {
		f.set(key, f.end)
		f.queue = appendBytes(f.queue, key)
	}
	if c.oldRow != nil {
		f.queue = appendBytes(f.queue, c.oldRow)
	}
	if c.Method == fhir.Delete {
		return f.err
	}
	for _, key := range c.adds {
		f.key = append48(append(f.key[:0], key...), now.t)
		f.set(f.key, nil)
	}
	f.value = append(f.value[:0], c.forward...)
	for _, e := range f.stamps {
		f.key = indexKey(f.key[:0], c.typ, e.param, e.value, doc, now.t)
		f.set(f.key, nil)
		f.value = e.append(f.value)
	}
	f.key = forwardKey(f.key[:0], doc, now.t)
	f.set(f.key, f.value)
	return f.err
}

// history puts a version into the history of its type and into that of every
// record it counts to.
func (f *filler) history(key fhir.Key, row *versionRow, doc uint64, version int64) {
	ms := uint64(row.updated)
	f.value = binary.AppendUvarint(binary.AppendUvarint(f.value[:0], doc), row.t)
	f.key = historyKey(f.key[:0], row.typ, ms, key.ID, version)
	f.set(f.key, f.value)
	for _, patient := range search.RecordsOf(key, row.patients) {
		f.key = recordKey(f.key[:0], row.typ, patient, ms, key.ID, version)
		f.set(f.key, f.value)
	}
}

// settle waits until a batch is durable and then makes its moment visible. The
// log is in order of t: with one batch all before it are durable. Who wrote
// nothing waits for the moment whose state it reports.
func (s *Store) settle(batch *pebble.Batch, now *moment, wrote bool) error {
	var err error
	switch {
	case s.opts.NoSync || !wrote && s.visible.Load().t >= now.t:
	case !wrote:
		err = s.db.LogData(nil, pebble.Sync)
	default:
		err = batch.SyncWait()
	}
	if err != nil {
		s.commit.Lock()
		s.failed = err
		s.commit.Unlock()
		return unreadable(err, "the log cannot be written")
	}
	for {
		seen := s.visible.Load()
		if seen.t >= now.t || s.visible.CompareAndSwap(seen, now) {
			return nil
		}
	}
}

// results returns what Write promises for each change.
func (s *Store) results(ctx context.Context, changes []*change, now *moment) ([]*fhir.Resource, error) {
	out := make([]*fhir.Resource, len(changes))
	updated := fromMillis(now.updated)
	for i, c := range changes {
		if c.noop {
			if c.base.version == 0 {
				continue
			}
			res, err := s.version(s.db, c.Key, c.base.doc, c.base.version)
			if err != nil {
				return nil, s.internal(ctx, err, "reading a deletion")
			}
			out[i] = res
			continue
		}
		version := c.base.version + 1
		res := &fhir.Resource{Key: c.Key, Version: version, Updated: updated, Method: c.Method, Patients: c.patients}
		if c.Method != fhir.Delete {
			res.JSON = c.Body.Stamp(version, updated)
		}
		out[i] = res
	}
	return out, nil
}
