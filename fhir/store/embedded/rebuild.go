package embedded

import (
	"bytes"
	"errors"
	"runtime"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// rebuildChunk is how many versions are indexed between two batches.
const rebuildChunk = 500

// upgrade brings a folder of an older format to the running one.
//
// Format 1 had no records, and its deletions were in no compartments. Format 2 had
// all versions of everything.
func (s *Store) upgrade(dir string) error {
	have, err := folderFormat(s.opts.FS, dir)
	if err != nil || have == format {
		return err
	}
	if have == 1 && s.newest.t > 0 {
		s.log.Info("store: the folder is of an older format; bringing it up to date", "format", have, "resources", total(s.newest.counts))
		if err := s.remake(false); err != nil {
			return unreadable(err, "bringing the folder up to date")
		}
	}
	// Last, so that what was interrupted begins anew, and an older program may
	// still open the folder before.
	if err := writeMarker(s.opts.FS, dir); err != nil {
		return fhir.Wrap(fhir.Unavailable, err, "the folder %s cannot be written to", dir)
	}
	return nil
}

// rebuildIfStale makes the index anew if it was made by other definitions than
// the Indexer's. An interrupted rebuild begins anew at the next Open.
func (s *Store) rebuildIfStale() error {
	if s.opts.Indexer == nil {
		return nil
	}
	hash := []byte(s.opts.Indexer.Hash())
	have, err := s.meta(metaIndex)
	if err != nil {
		return unreadable(err, "reading the index's hash")
	}
	if bytes.Equal(have, hash) && have != nil {
		return nil
	}
	if s.newest.t > 0 {
		s.log.Info("store: the search definitions have changed; rebuilding the index", "resources", total(s.newest.counts))
		if err := s.rebuild(); err != nil {
			return unreadable(err, "rebuilding the index")
		}
		s.log.Info("store: the index is rebuilt")
	}
	if err := s.db.Set(metaIndex, hash, s.write); err != nil {
		return unreadable(err, "writing the index's hash")
	}
	return nil
}

func total(counts []int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// stored is one version on its way into the index.
type stored struct {
	doc      uint64
	version  int64
	newest   bool
	row      versionRow
	entries  []search.Entry
	patients []string
}

// rebuild makes anew what the Indexer gives: the compartments, and with them
// the records, and the index. Of an empty store there is nothing to make, and it
// stays empty.
func (s *Store) rebuild() error {
	if s.newest.t == 0 {
		return nil
	}
	return s.remake(true)
}

// remake makes the records anew and, if asked to, what the Indexer gives.
func (s *Store) remake(index bool) error {
	versions, err := s.countRows(tableHistory)
	if err != nil {
		return err
	}
	clear := s.db.NewBatch()
	defer clear.Close() //nolint:errcheck // it only gives memory back
	err = clear.DeleteRange([]byte{tableRecord}, []byte{tableRecord + 1}, nil)
	if index {
		// All pages begun before end here: only a moment of the rebuild's own
		// gets an index.
		now := &moment{t: s.newest.t + 1, updated: s.newest.updated, counts: s.newest.counts}
		err = errors.Join(err,
			clear.Delete(metaIndex, nil),
			clear.Set(metaState, stateRow(now, s.nextDoc.Load()), nil),
			clear.Set(metaSwept, append48(nil, now.t), nil),
			clear.DeleteRange([]byte{tableIndex}, []byte{tableIndex + 1}, nil),
			clear.DeleteRange([]byte{tableForward}, []byte{tableForward + 1}, nil),
			clear.DeleteRange([]byte{tableQueue}, []byte{tableQueue + 1}, nil),
		)
		s.newest, s.recent = now, newRecent(now.t)
		s.visible.Store(now)
		s.swept.Store(now.t)
	}
	if err != nil {
		return err
	}
	if err := s.db.Apply(clear, s.write); err != nil {
		return err
	}

	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableVersion}, UpperBound: []byte{tableVersion + 1}})
	if err != nil {
		return err
	}
	err = s.reindex(it, versions, index)
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return s.db.Flush()
}

func (s *Store) countRows(table byte) (n int64, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	if err != nil {
		return 0, err
	}
	for valid := it.First(); valid; valid = it.Next() {
		n++
	}
	return n, it.Close()
}

// reindex goes through all versions, the newest of each document first.
func (s *Store) reindex(it *pebble.Iterator, versions int64, index bool) error {
	var done int64
	var lastDoc uint64
	counts := make([]int64, len(s.newest.counts))
	chunk := make([]*stored, 0, rebuildChunk)
	flush := func(last bool) error {
		// What a deletion takes over from the version before it, which comes
		// next, has to be in the same chunk.
		var held []*stored
		if n := len(chunk); n > 1 && !last && chunk[n-1].row.method == fhir.Delete {
			chunk, held = chunk[:n-1], chunk[n-1:]
		}
		if err := s.indexChunk(chunk, index); err != nil {
			return err
		}
		done += int64(len(chunk))
		chunk = append(chunk[:0], held...)
		if s.opts.OnRebuild != nil {
			s.opts.OnRebuild(done, versions)
		}
		return nil
	}
	for valid := it.First(); valid; valid = it.Next() {
		row, err := parseVersion(bytes.Clone(it.Value()))
		if err != nil {
			return err
		}
		v := &stored{doc: read48(it.Key()[1:]), version: int64(max48 - read48(it.Key()[1+num48Len:])), row: row}
		v.newest, lastDoc = v.doc != lastDoc, v.doc
		if v.newest && row.method != fhir.Delete {
			for int(row.typ) >= len(counts) {
				counts = append(counts, 0)
			}
			counts[row.typ]++
		}
		if chunk = append(chunk, v); len(chunk) == rebuildChunk {
			if err := flush(false); err != nil {
				return err
			}
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	if err := flush(true); err != nil {
		return err
	}
	if !slices.Equal(counts, s.newest.counts) {
		return fhir.Errorf(fhir.Internal, "the counts of resources do not agree with what is stored")
	}
	return nil
}

// indexChunk indexes versions in parallel, if asked to, and writes their rows.
// Older versions only get their compartments and records right.
func (s *Store) indexChunk(chunk []*stored, index bool) error {
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for _, v := range chunk {
		if v.patients = v.row.patients; !index || v.row.method == fhir.Delete {
			continue
		}
		workers.Go(func() error {
			var err error
			v.entries, v.patients, err = s.opts.Indexer.Index(v.row.body.Stamp(v.version, fromMillis(v.row.updated)))
			if err != nil {
				return fhir.Wrap(fhir.Internal, err, "%s/%s version %d cannot be indexed", s.types.name(v.row.typ), v.row.id, v.version)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	batch := s.db.NewBatch()
	defer batch.Close() //nolint:errcheck // it only gives memory back
	for i, v := range slices.Backward(chunk) {
		// A deletion is where the version before it was. If that one is erased, it
		// stays where it is.
		if v.row.method == fhir.Delete && i+1 < len(chunk) && chunk[i+1].doc == v.doc {
			v.patients = chunk[i+1].patients
		} else if v.row.method == fhir.Delete && v.version == 1 {
			return errRow // a deletion of nothing
		}
		if err := s.putRecords(batch, v); err != nil {
			return err
		}
		if index && v.newest && v.row.method != fhir.Delete {
			if err := s.putIndexed(batch, v); err != nil {
				return err
			}
		}
	}
	return s.db.Apply(batch, pebble.NoSync)
}

// putRecords writes a version's compartments, if they have changed, and its
// place in the history.
func (s *Store) putRecords(batch *pebble.Batch, v *stored) error {
	v.patients = slices.Compact(slices.Sorted(slices.Values(v.patients)))
	if !slices.Equal(v.patients, v.row.patients) {
		v.row.patients = v.patients
		if err := batch.Set(versionKey(nil, v.doc, v.version), v.row.append(nil), nil); err != nil {
			return err
		}
	}
	f := filler{batch: batch}
	f.history(fhir.Key{Type: s.types.name(v.row.typ), ID: string(v.row.id)}, &v.row, v.doc, v.version)
	return f.err
}

// putIndexed writes the index rows of a resource's newest version.
func (s *Store) putIndexed(batch *pebble.Batch, v *stored) error {
	entries, err := s.numbered(nil, v.entries)
	if err != nil {
		return err
	}
	f := filler{batch: batch}
	_, err = s.index(&f, &v.row, v.doc, entries)
	return err
}

// index fills in the index rows of a resource's newest version, which all hold
// from that version on, and returns its forward row.
func (s *Store) index(f *filler, row *versionRow, doc uint64, entries []forwardEntry) (forward []byte, err error) {
	stamps, err := s.lastUpdatedEntries(row.updated)
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Concat(entries, stamps) {
		forward = e.append(forward)
		f.set(indexKey(nil, row.typ, e.param, e.value, doc, row.t), nil)
	}
	f.set(forwardKey(nil, doc, row.t), forward)
	return forward, f.err
}
