package embedded

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	diskInterval  = time.Second
	sweepInterval = 10 * time.Second
	// sweepGrace is added to the page lifetime, since a search may begin a
	// little before a write stamped earlier becomes visible.
	sweepGrace = time.Minute
	// sweepBatch is about how many rows one batch of the sweeper removes.
	sweepBatch = 10_000
)

// maintain watches the disk and sweeps until the store is closed.
func (s *Store) maintain() {
	defer s.workers.Done()
	look := time.NewTicker(diskInterval)
	defer look.Stop()
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-look.C:
			s.disk.look()
		case <-sweep.C:
			if n, err := s.sweep(); err != nil {
				s.log.Error("store: superseded index rows could not be removed", "error", err)
			} else if n > 0 {
				s.log.Debug("store: removed superseded index rows", "rows", n)
			}
		}
	}
}

// sweep removes the index rows that were superseded longer ago than any page
// sequence lasts, and returns how many.
func (s *Store) sweep() (int, error) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	due := s.opts.Clock().Add(-s.opts.PageLifetime - sweepGrace).UnixMilli()
	total := 0
	for {
		n, more, err := s.sweepOnce(due)
		total += n
		if err != nil || !more {
			return total, err
		}
		select {
		case <-s.stop:
			return total, nil
		default:
		}
	}
}

// sweepOnce removes about sweepBatch rows superseded before due.
func (s *Store) sweepOnce(due int64) (n int, more bool, err error) {
	batch := s.db.NewBatch()
	defer batch.Close() //nolint:errcheck // it only gives memory back
	last, more, err := s.collectDue(batch, due, &n)
	if err != nil || last == 0 {
		return 0, false, err
	}
	mark := append48(nil, last)
	if err := batch.Set(metaSwept, mark, nil); err != nil {
		return 0, false, err
	}
	// First the mark, then the rows: a search checks the mark behind its
	// snapshot.
	s.swept.Store(last)
	// Not synced: should it be lost, so is the mark, and all is done again.
	return n, more, s.db.Apply(batch, pebble.NoSync)
}

// collectDue puts the removal of what is due into the batch. It returns the
// last logical time dealt with, 0 for none, and whether there may be more.
func (s *Store) collectDue(batch *pebble.Batch, due int64, n *int) (last uint64, more bool, err error) {
	// Only what is durable may be removed.
	visible := s.visible.Load().t
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableQueue}, UpperBound: queueKey(nil, visible+1)})
	if err != nil {
		return 0, false, err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()
	for valid := it.First(); valid; valid = it.Next() {
		r := reader{b: it.Value()}
		if ms := r.uint(); r.bad || len(it.Key()) != 1+num48Len {
			return 0, false, errRow
		} else if int64(ms) >= due {
			break
		}
		for len(r.b) > 0 {
			key := r.bytes()
			if r.bad {
				return 0, false, errRow
			}
			if err := batch.Delete(key, nil); err != nil {
				return 0, false, err
			}
			*n++
		}
		if err := batch.Delete(it.Key(), nil); err != nil {
			return 0, false, err
		}
		last = read48(it.Key()[1:])
		if *n >= sweepBatch {
			return last, true, nil
		}
	}
	return last, false, it.Error()
}
