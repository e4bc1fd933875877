package embedded

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// Erase removes versions for good; see [store.Store]. Bodies and histories are
// gone at once. The index rows of versions that were superseded lately stay, so
// that sorted pages begun before keep their order, until the sweeper takes them as
// it does all others. The folder's files lose what was erased as pebble rewrites
// them, or with Compact.
func (s *Store) Erase(ctx context.Context, key fhir.Key, ifVersion int64) (int64, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return 0, err
	}
	defer s.gate.Leave()
	typ, known := s.types.number(key.Type)
	if !known {
		return 0, fhir.Errorf(fhir.NotFound, "%s is not known", key)
	}
	batch := s.db.NewBatch()
	defer batch.Close() //nolint:errcheck // it only gives memory back
	for {
		if ctx.Err() != nil {
			return 0, store.Cancelled(ctx)
		}
		// What is kept must be what everybody sees, also after a crash.
		s.commit.Lock()
		newest := s.newest
		s.commit.Unlock()
		if err := s.settle(nil, newest, false); err != nil {
			return 0, s.internal(ctx, err, "erasing")
		}
		n, again, err := s.eraseOnce(batch, typ, key, ifVersion)
		if again {
			continue
		}
		if err == nil && n > 0 && !s.opts.NoSync {
			if err = batch.SyncWait(); err != nil {
				s.commit.Lock()
				s.failed = err
				s.commit.Unlock()
			}
		}
		if err != nil {
			return 0, s.internal(ctx, err, "erasing")
		}
		return n, nil
	}
}

// eraseOnce is the serial section of Erase. again says that the newest version is
// not visible yet.
func (s *Store) eraseOnce(batch *pebble.Batch, typ uint16, key fhir.Key, ifVersion int64) (n int64, again bool, err error) {
	s.commit.Lock()
	defer s.commit.Unlock()
	if err := s.writable(); err != nil {
		return 0, false, err
	}
	h, err := findHead(s.db, typ, key.ID)
	switch {
	case err != nil:
		return 0, false, err
	case h.version == 0:
		return 0, false, fhir.Errorf(fhir.NotFound, "%s is not known", key)
	case s.changed[typ] > s.visible.Load().t:
		return 0, true, nil
	case ifVersion != 0 && h.version != ifVersion:
		return 0, false, fhir.Errorf(fhir.VersionMismatch, "%s is at version %d, not %d", key, h.version, ifVersion)
	}
	if n, err = s.eraseRows(batch, typ, key, h); err != nil || n == 0 {
		return 0, false, err
	}
	return n, false, s.apply(batch)
}

// eraseRows puts the removal of all versions but the newest into the batch.
func (s *Store) eraseRows(batch *pebble.Batch, typ uint16, key fhir.Key, h head) (n int64, err error) {
	// The newest sorts first.
	lower, upper := versionKey(nil, h.doc, h.version-1), after(append48([]byte{tableVersion}, h.doc))
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	remove := func(key []byte) {
		if err == nil {
			err = batch.Delete(key, nil)
		}
	}
	for valid := it.First(); valid && err == nil; valid = it.Next() {
		row, parseErr := parseVersion(it.Value())
		if parseErr != nil {
			return 0, parseErr
		}
		version := int64(max48 - read48(it.Key()[1+num48Len:]))
		remove(bytes.Clone(it.Key()))
		remove(historyKey(nil, typ, uint64(row.updated), key.ID, version))
		for _, patient := range search.RecordsOf(key, row.patients) {
			remove(recordKey(nil, typ, patient, uint64(row.updated), key.ID, version))
		}
		n++
	}
	if err == nil {
		err = it.Error()
	}
	if err != nil || n == 0 {
		return 0, err
	}
	h.first = h.version // 2 at least
	return n, batch.Set(headKey(nil, typ, key.ID), h.append(nil), nil)
}
