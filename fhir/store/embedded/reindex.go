package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// reindexChunk is how many resources are indexed anew between two batches. Writes
// wait while a batch is made, for about as long as for one of theirs.
const reindexChunk = 200

// definitions are what the index is kept by, as they are stored. They are never
// changed once made.
type definitions struct {
	Generation uint64             `json:"generation"`
	Hash       string             `json:"hash"`
	Pending    []search.Parameter `json:"pending,omitempty"`
	Done       int64              `json:"done,omitempty"`
	Total      int64              `json:"total,omitempty"`
	// Type and ID are of the last resource that was looked at.
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
}

func (d *definitions) revision() string {
	return d.Hash + "." + strconv.FormatUint(d.Generation, 10)
}

func (d *definitions) public() store.Definitions {
	return store.Definitions{Revision: d.revision(), Hash: d.Hash, Pending: d.Pending, Done: d.Done, Total: d.Total}
}

// customize asks for the Indexer of what is stored.
func (s *Store) customize() error {
	if s.opts.Customize == nil {
		return nil
	}
	var stored [][]byte
	if typ, known := s.types.number("SearchParameter"); known {
		from := headKey(nil, typ, "")
		it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(from)})
		if err != nil {
			return err
		}
		for valid := it.First(); valid && err == nil; valid = it.Next() {
			var h head
			if h, err = parseHead(it.Value()); err == nil && !h.deleted {
				var res *fhir.Resource
				if res, err = s.version(s.db, fhir.Key{Type: "SearchParameter", ID: string(it.Key()[len(from):])}, h.doc, h.version); err == nil {
					stored = append(stored, res.JSON)
				}
			}
		}
		if err = errors.Join(err, it.Error(), it.Close()); err != nil {
			return unreadable(err, "reading the search parameters that are stored")
		}
	}
	var err error
	s.opts.Indexer, err = s.opts.Customize(stored)
	return err
}

// loadDefinitions reads what the index is kept by, once it is as it should be.
func (s *Store) loadDefinitions() error {
	hash, err := s.meta(metaIndex)
	if err != nil {
		return unreadable(err, "reading the index's hash")
	}
	row, err := s.meta(metaDefinitions)
	if err != nil {
		return unreadable(err, "reading the definitions")
	}
	d := &definitions{}
	if row != nil {
		if err := json.Unmarshal(row, d); err != nil {
			return unreadable(errRow, "reading the definitions")
		}
	}
	if d.Hash != string(hash) { // the index was made anew
		d = &definitions{Generation: d.Generation + 1, Hash: string(hash)}
		if err := s.db.Set(metaDefinitions, d.row(), s.write); err != nil {
			return unreadable(err, "writing the definitions")
		}
	}
	s.defs.Store(d)
	return nil
}

func (d *definitions) row() []byte {
	row, err := json.Marshal(d)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return row
}

// Definitions returns what the index is kept by; see [store.Definer].
func (s *Store) Definitions(ctx context.Context) (store.Definitions, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return store.Definitions{}, err
	}
	defer s.gate.Leave()
	return s.defs.Load().public(), nil
}

// isPending reports whether resources of a type may have other entries than the
// definitions give.
func (s *Store) isPending(typ uint16) bool {
	public := s.defs.Load().public()
	return slices.Contains(public.PendingTypes(), s.types.name(typ))
}

// isCurrent returns an error unless a revision is the present one, or "".
func (s *Store) isCurrent(revision string) error {
	if revision != "" && revision != s.defs.Load().revision() {
		return store.OtherRevision()
	}
	return nil
}

// redefine puts the change of the definitions that a write has into its batch and
// returns what they are then. The caller holds the commit lock.
func (s *Store) redefine(batch *pebble.Batch, changes []*change, now *moment) (*definitions, error) {
	was := s.defs.Load()
	for _, c := range changes {
		if c.Redefine == nil || c.noop {
			continue
		}
		d := &definitions{Generation: was.Generation + 1, Hash: c.Redefine.Hash, Pending: c.Redefine.With(was.Pending)}
		public := d.public()
		for _, name := range public.PendingTypes() {
			if typ, known := s.types.number(name); known {
				d.Total += now.count(typ)
			}
		}
		return d, errors.Join(batch.Set(metaIndex, []byte(d.Hash), nil), batch.Set(metaDefinitions, d.row(), nil))
	}
	return was, nil
}

// Reindex makes entries of older resources anew; see [store.Definer].
func (s *Store) Reindex(ctx context.Context, ix store.Indexer, progress func(done, total int64)) error {
	select {
	case s.reindexing <- struct{}{}:
		defer func() { <-s.reindexing }()
	case <-ctx.Done():
		return store.Cancelled(ctx)
	}
	for {
		more, err := s.reindexSome(ctx, ix)
		if err != nil {
			return s.internal(ctx, err, "making index entries anew")
		}
		if d := s.defs.Load(); progress != nil {
			progress(d.Done, d.Total)
		}
		if !more {
			return nil
		}
	}
}

// reindexSome looks at the next resources, or finds that there are none. It lets
// go of the store after each batch, so that Close need not wait for the whole.
func (s *Store) reindexSome(ctx context.Context, ix store.Indexer) (more bool, err error) {
	if err := s.gate.Enter(ctx); err != nil {
		return false, err
	}
	defer s.gate.Leave()
	if err := s.disk.check(); err != nil {
		return false, err
	}
	d := s.defs.Load()
	switch {
	case d.Hash != ix.Hash():
		return false, store.OtherRevision()
	case len(d.Pending) == 0:
		return false, nil
	}
	s.commit.Lock()
	base := s.newest.t
	s.commit.Unlock()
	next := *d
	found, err := s.nextHeads(&next)
	if err != nil {
		return false, err
	}
	if len(found) == 0 {
		next.Pending, next.Type, next.ID = nil, "", ""
		next.Total = next.Done
	}
	if err := s.indexAnew(ctx, ix, found); err != nil {
		return false, err
	}
	return len(found) > 0, s.reindexBatch(ctx, d, &next, found, base)
}

// reindexed is one resource on its way to other entries.
type reindexed struct {
	change

	updated int64
	stamps  []forwardEntry
	differs bool
}

// nextHeads finds living resources behind the place where d is, and moves it on.
func (s *Store) nextHeads(d *definitions) (found []*reindexed, err error) {
	public := d.public()
	for _, name := range public.PendingTypes() {
		typ, known := s.types.number(name)
		if !known || strings.Compare(name, d.Type) < 0 {
			continue
		}
		prefix := headKey(nil, typ, "")
		from := prefix
		if name == d.Type {
			from = append(headKey(nil, typ, d.ID), 0)
		}
		it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(prefix)})
		if err != nil {
			return nil, err
		}
		for valid := it.First(); valid && len(found) < reindexChunk && err == nil; valid = it.Next() {
			var h head
			if h, err = parseHead(it.Value()); err != nil {
				break
			}
			d.Type, d.ID = name, string(it.Key()[len(prefix):])
			if h.deleted {
				continue
			}
			d.Done++
			r := &reindexed{}
			r.Change = &store.Change{Key: fhir.Key{Type: name, ID: d.ID}, Method: fhir.Update}
			r.typ, r.base = typ, h
			found = append(found, r)
		}
		if err := errors.Join(err, it.Error(), it.Close()); err != nil {
			return nil, err
		}
		if len(found) == reindexChunk {
			break
		}
	}
	d.Total = max(d.Total, d.Done)
	return found, nil
}

// indexAnew works out the entries of resources and how they differ.
func (s *Store) indexAnew(ctx context.Context, ix store.Indexer, found []*reindexed) error {
	var workers errgroup.Group
	workers.SetLimit(max(1, runtime.GOMAXPROCS(0)/2)) // requests come first
	for _, r := range found {
		workers.Go(func() error {
			if ctx.Err() != nil {
				return store.Cancelled(ctx)
			}
			row, err := get(s.db, versionKey(nil, r.base.doc, r.base.version))
			if err != nil {
				return err
			}
			if row == nil {
				return errRow
			}
			version, err := parseVersion(row)
			if err != nil {
				return err
			}
			r.Entries, _, err = ix.Index(version.body.Stamp(r.base.version, fromMillis(version.updated)))
			if err != nil {
				return fhir.Wrap(fhir.Internal, err, "%s version %d cannot be indexed", r.Key, r.base.version)
			}
			if err := s.number(&r.change); err != nil {
				return err
			}
			r.updated = version.updated
			if r.stamps, err = s.lastUpdatedEntries(version.updated); err != nil {
				return err
			}
			return s.compare(r)
		})
	}
	return workers.Wait()
}

// compare works out how a resource's entries differ from those in the index.
func (s *Store) compare(r *reindexed) error {
	if err := s.prepare(&r.change, r.base); err != nil {
		return err
	}
	// The stamps of every version begin anew: if nothing else does, nothing differs.
	r.differs = len(r.adds) > 0 || len(r.closes) > len(r.stamps)
	return nil
}

// reindexBatch writes what differs, at a logical time of its own, and how far the
// work is.
func (s *Store) reindexBatch(ctx context.Context, was, is *definitions, found []*reindexed, base uint64) error {
	s.commit.Lock()
	defer s.commit.Unlock()
	switch {
	case s.failed != nil:
		return fhir.Wrap(fhir.Unavailable, s.failed, "the disk refused an earlier write; free or replace it and start again")
	case s.defs.Load() != was:
		return store.OtherRevision()
	case ctx.Err() != nil:
		return store.Cancelled(ctx)
	}
	batch := s.db.NewBatch()
	defer batch.Close() //nolint:errcheck // it only gives memory back
	now := &moment{t: s.newest.t + 1, updated: s.newest.updated, counts: s.newest.counts}
	f := filler{batch: batch, now: now, end: append48(nil, now.t)}
	// Superseded now, not when the last version was written.
	f.queue = binary.AppendUvarint(f.queue, uint64(max(s.opts.Clock().UnixMilli(), now.updated)))
	queued := len(f.queue)
	for _, r := range found {
		if s.recent.maybe(r.typ, r.Key.ID, base) {
			h, err := findHead(s.db, r.typ, r.Key.ID)
			if err != nil {
				return err
			}
			if h.version != r.base.version {
				continue // a newer version has the new entries
			}
		}
		if r.differs {
			f.reindex(r)
		}
	}
	f.set(metaDefinitions, is.row())
	if len(f.queue) > queued {
		f.set(queueKey(nil, now.t), f.queue)
		f.set(metaState, stateRow(now, s.nextDoc.Load()))
	}
	if f.err != nil {
		return f.err
	}
	if err := s.db.Apply(batch, s.write); err != nil {
		s.failed = err
		return err
	}
	s.defs.Store(is)
	if len(f.queue) == queued {
		return nil
	}
	s.newest, s.reindexedAt = now, now.t
	for {
		seen := s.visible.Load()
		if seen.t >= now.t || s.visible.CompareAndSwap(seen, now) {
			return nil
		}
	}
}

// reindex puts a resource's other index rows into the batch.
func (f *filler) reindex(r *reindexed) {
	doc, t := r.base.doc, f.now.t
	for _, key := range r.closes {
		f.set(key, f.end)
		f.queue = appendBytes(f.queue, key)
	}
	f.queue = appendBytes(f.queue, r.oldRow)
	for _, key := range r.adds {
		f.set(append48(bytes.Clone(key), t), nil)
	}
	forward := r.forward
	for _, e := range r.stamps {
		f.set(indexKey(nil, r.typ, e.param, e.value, doc, t), nil)
		forward = e.append(forward)
	}
	f.set(forwardKey(nil, doc, t), forward)
}

var _ store.Definer = (*Store)(nil)
