package embedded

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// Check reads the whole store and returns an error if its tables do not agree:
// heads with versions, versions with history and with the records they count
// to, deletions with what they delete, forward rows with the inverted index,
// counts with what is there and, if there is an Indexer, index entries and
// compartments with bodies. Errors name documents by number, never by content.
func (s *Store) Check(ctx context.Context) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	// A moment at which nothing is half-way between applied and visible.
	s.commit.Lock()
	snapshot, now := s.db.NewSnapshot(), s.newest
	nextDoc := s.nextDoc.Load()
	s.commit.Unlock()
	defer snapshot.Close() //nolint:errcheck // it only gives memory back
	v := &view{ctx: ctx, r: snapshot, t: now.t}
	c := checker{s: s, v: v, now: now, nextDoc: nextDoc, counts: make([]int64, len(now.counts))}
	c.run()
	if err := v.close(); err != nil {
		return s.internal(ctx, err, "checking the store")
	}
	return nil
}

// Rebuild makes the index anew from what is stored. Nothing else may use the
// store meanwhile. It needs an Indexer.
func (s *Store) Rebuild(ctx context.Context) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if s.opts.Indexer == nil {
		return fhir.Errorf(fhir.NotSupported, "there is nothing to make the index with")
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	if err := s.rebuild(); err != nil {
		return s.internal(ctx, err, "rebuilding the index")
	}
	if err := s.db.Set(metaIndex, []byte(s.opts.Indexer.Hash()), s.write); err != nil {
		return s.internal(ctx, err, "writing the index's hash")
	}
	return s.loadDefinitions()
}

type checker struct {
	s       *Store
	v       *view
	now     *moment
	nextDoc uint64
	counts  []int64
	entries int64 // of all newest forward rows
	version int64 // rows seen
	records int64 // that the versions count to
}

// report makes an error of the first thing that is wrong.
func (c *checker) report(format string, args ...any) bool {
	c.v.fail(fhir.Errorf(fhir.Internal, "the store is inconsistent: %s", fmt.Sprintf(format, args...)))
	return false
}

func (c *checker) run() {
	c.v.scan([]byte{tableHead}, []byte{tableHead + 1}, func(it *pebble.Iterator) bool {
		h, err := parseHead(it.Value())
		if err != nil {
			c.v.fail(err)
			return false
		}
		typ := uint16(it.Key()[1])<<8 | uint16(it.Key()[2])
		return c.document(typ, string(it.Key()[3:]), h)
	})
	if c.v.err != nil {
		return
	}
	for typ, n := range c.now.counts {
		if n != c.counts[typ] {
			c.report("%d living %s counted, %d there", n, c.s.types.name(uint16(typ)), c.counts[typ])
			return
		}
	}
	var versions, history, records, live int64
	c.v.scan([]byte{tableVersion}, []byte{tableVersion + 1}, func(*pebble.Iterator) bool { versions++; return true })
	c.v.scan([]byte{tableHistory}, []byte{tableHistory + 1}, func(*pebble.Iterator) bool { history++; return true })
	c.v.scan([]byte{tableRecord}, []byte{tableRecord + 1}, func(*pebble.Iterator) bool { records++; return true })
	c.v.scan([]byte{tableIndex}, []byte{tableIndex + 1}, func(it *pebble.Iterator) bool {
		if _, from := indexTail(it.Key()); liveAt(from, it.Value(), c.now.t) {
			live++
		}
		return true
	})
	switch {
	case versions != c.version || history != c.version:
		c.report("%d versions belong to heads, %d are there, %d are in the history", c.version, versions, history)
	case records != c.records:
		c.report("%d versions are in the records of patients, %d belong there", records, c.records)
	case live != c.entries:
		c.report("%d index rows count now, %d belong to forward rows", live, c.entries)
	}
}

// document checks one head, its versions and its index rows.
func (c *checker) document(typ uint16, id string, h head) bool {
	if h.doc == 0 || h.doc > c.nextDoc {
		return c.report("document %d is beyond the last number given, %d", h.doc, c.nextDoc)
	}
	var before versionRow
	for version := h.oldest(); version <= h.version; version++ {
		row, err := c.v.exact(h.doc, version)
		if err != nil {
			return c.report("version %d of document %d cannot be read: %v", version, h.doc, err)
		}
		switch {
		case row.typ != typ || string(row.id) != id:
			return c.report("version %d of document %d belongs to another head", version, h.doc)
		case row.t <= before.t || row.updated < before.updated || row.t > c.now.t || row.updated > c.now.updated:
			return c.report("version %d of document %d is out of order", version, h.doc)
		}
		if erased := version == h.first; row.method == fhir.Delete && !erased &&
			(version == 1 || before.method == fhir.Delete || !slices.Equal(row.patients, before.patients)) {
			return c.report("version %d of document %d is a deletion that does not fit the version before it", version, h.doc)
		}
		if !c.inHistory(&row, h.doc, version) {
			return false
		}
		row.body, row.id = fhir.Body{}, nil // their memory is the iterator's
		before = row
		c.version++
	}
	if h.deleted != (before.method == fhir.Delete) {
		return c.report("document %d and its newest version disagree whether it is deleted", h.doc)
	}
	if h.deleted {
		return true
	}
	if int(typ) >= len(c.counts) {
		return c.report("document %d is of a type that was never counted", h.doc)
	}
	c.counts[typ]++
	return c.index(typ, h, before.t)
}

// inHistory checks a version's rows in the history of its type and in the
// records it counts to.
func (c *checker) inHistory(row *versionRow, doc uint64, version int64) bool {
	key := fhir.Key{Type: c.s.types.name(row.typ), ID: string(row.id)}
	if value, err := get(c.v.r, historyKey(nil, row.typ, uint64(row.updated), key.ID, version)); err != nil || value == nil {
		return c.report("version %d of document %d is not in the history", version, doc)
	}
	for _, patient := range search.RecordsOf(key, row.patients) {
		if value, err := get(c.v.r, recordKey(nil, row.typ, patient, uint64(row.updated), key.ID, version)); err != nil || value == nil {
			return c.report("version %d of document %d is not in the record of each of its patients", version, doc)
		}
		c.records++
	}
	return true
}

// index checks a living document's forward row, of time t, against the
// inverted index and the body.
func (c *checker) index(typ uint16, h head, t uint64) bool {
	row := c.v.forwardRow(h.doc)
	if row == nil {
		return c.report("document %d has no forward row", h.doc)
	}
	at := max48 - read48(c.v.forward.Key()[1+num48Len:])
	if at < t { // it is newer once the definitions have changed
		return c.report("document %d has a forward row of time %d, its newest version is of %d", h.doc, at, t)
	}
	var have []forwardEntry
	err := eachForward(row, func(e forwardEntry) bool {
		if e.from == 0 {
			e.from = at
		}
		e.value = bytes.Clone(e.value)
		have = append(have, e)
		return true
	})
	if err != nil {
		return c.report("document %d has a forward row that cannot be read", h.doc)
	}
	c.entries += int64(len(have))
	for _, e := range have {
		value, err := get(c.v.r, indexKey(nil, typ, e.param, e.value, h.doc, e.from))
		if err != nil || value == nil || len(value) > 0 {
			return c.report("document %d has a forward entry under %s that is not in the index", h.doc, c.s.params.name(e.param))
		}
	}
	if c.s.opts.Indexer == nil || c.s.isPending(typ) {
		return true
	}
	newest, err := c.v.exact(h.doc, h.version)
	if err != nil {
		return c.report("document %d cannot be read: %v", h.doc, err)
	}
	entries, patients, err := c.s.opts.Indexer.Index(newest.body.Stamp(h.version, fromMillis(newest.updated)))
	if err != nil {
		return c.report("document %d cannot be indexed: %v", h.doc, err)
	}
	if !slices.Equal(newest.patients, slices.Compact(slices.Sorted(slices.Values(patients)))) {
		return c.report("document %d is in other compartments than its body gives", h.doc)
	}
	stamps, err := c.s.lastUpdatedEntries(newest.updated)
	if err != nil {
		return c.report("%v", err)
	}
	want, err := c.s.numbered(nil, entries)
	if err != nil {
		return c.report("%v", err)
	}
	want = append(want, stamps...)
	slices.SortFunc(want, compareEntries)
	slices.SortFunc(have, compareEntries)
	if !slices.EqualFunc(have, want, func(a, b forwardEntry) bool { return compareEntries(a, b) == 0 }) {
		return c.report("document %d has other index entries than its body gives", h.doc)
	}
	return true
}
