package embedded

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// change is one change made ready for the serial section: all that does not
// depend on the time of the commit.
type change struct {
	*store.Change
	typ      uint16
	patients []string       // sorted, each once; of a deletion: those of what it deletes
	entries  []forwardEntry // sorted, each once, without _lastUpdated

	// What the change does to the version that base is the head of.
	base    head
	noop    bool     // deletes what is not there
	forward []byte   // the new forward row but for _lastUpdated; nil for a deletion
	adds    [][]byte // index keys up to the document number, in one piece of memory
	closes  [][]byte // index keys of entries that end
	size    int      // about how many bytes the rows have
	oldRow  []byte   // key of the forward row that is superseded; nil if none

	required []requirement
	among    map[fhir.Key]bool // of the first change of a write: what all write, and whether it is there then
}

// check refuses what no store may keep and returns the change with its entries
// in order.
func (s *Store) check(c *store.Change) (*change, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	ready := &change{Change: c}
	if c.Method == fhir.Delete {
		return ready, nil
	}
	ready.patients = slices.Compact(slices.Sorted(slices.Values(c.Patients)))
	return ready, nil
}

// number gives the change's type and parameters their numbers.
func (s *Store) number(c *change) error {
	var err error
	if c.typ, err = s.types.add(c.Key.Type); err != nil {
		return err
	}
	if c.Method == fhir.Delete {
		return nil
	}
	c.entries, err = s.numbered(make([]forwardEntry, 0, len(c.Entries)+1), c.Entries)
	return err
}

// numbered turns entries into those of a forward row, with that of existence
// first.
func (s *Store) numbered(dst []forwardEntry, entries []search.Entry) ([]forwardEntry, error) {
	dst = append(dst, forwardEntry{param: existParam})
	for _, e := range entries {
		param, err := s.params.add(e.Param)
		if err != nil {
			return nil, err
		}
		dst = append(dst, forwardEntry{param: param, value: e.Value})
	}
	slices.SortFunc(dst, compareEntries)
	return slices.CompactFunc(dst, func(a, b forwardEntry) bool { return compareEntries(a, b) == 0 }), nil
}

func compareEntries(a, b forwardEntry) int {
	if c := cmp.Compare(a.param, b.param); c != 0 {
		return c
	}
	return bytes.Compare(a.value, b.value)
}

// prepare works out what a change does to the version with the given head: the
// difference of their index entries.
func (s *Store) prepare(c *change, base head) error {
	c.base, c.noop = base, false
	c.adds, c.closes, c.forward, c.oldRow = nil, nil, nil, nil
	alive := base.version > 0 && !base.deleted
	if c.Method == fhir.Delete {
		if c.noop = !alive; c.noop {
			return nil
		}
		var err error
		if c.patients, err = s.patientsAt(base.doc, base.version); err != nil {
			return err
		}
	}
	if base.version == 0 && base.doc == 0 {
		base.doc = s.nextDoc.Add(1)
		c.base.doc = base.doc
	}

	var old []forwardEntry
	lastUpdated, _ := s.params.number(lastUpdatedParam)
	if alive {
		row, t, err := s.newestForward(base.doc)
		if err != nil {
			return err
		}
		if row == nil {
			return errRow
		}
		c.oldRow = forwardKey(nil, base.doc, t)
		if err := eachForward(row, func(e forwardEntry) bool {
			if e.from == 0 {
				e.from = t
			}
			old = append(old, e)
			return true
		}); err != nil {
			return err
		}
	}
	end := func(e forwardEntry) {
		c.closes = append(c.closes, indexKey(nil, c.typ, e.param, e.value, base.doc, e.from))
	}
	var arena []byte
	begin := func(e forwardEntry) {
		start := len(arena)
		arena = append48(appendValue(indexPrefix(arena, c.typ, e.param), e.value), base.doc)
		c.adds = append(c.adds, arena[start:len(arena):len(arena)])
	}
	if c.Method != fhir.Delete {
		bytes := 0
		for _, e := range c.entries {
			bytes += len(e.value)
		}
		const keyExtra, rowExtra = indexPrefixLen + 2 + num48Len, 4
		arena = make([]byte, 0, bytes+len(c.entries)*keyExtra)
		c.forward = make([]byte, 0, bytes+len(c.entries)*rowExtra+128)
		c.adds = make([][]byte, 0, len(c.entries))
		const batchExtra = 12 // kind, lengths and time of each row
		c.size = len(c.Body.Head) + len(c.Body.Tail) + 2*bytes + len(c.entries)*(keyExtra+rowExtra+batchExtra) + 512
		const recordExtra = 2*64 + 40 // two ids, and the numbers
		c.size += len(c.patients) * recordExtra
	}
	// Both lists are sorted, but for _lastUpdated at the end of the old one.
	i := 0
	next := func() (forwardEntry, bool) {
		for i < len(old) && old[i].param == lastUpdated && lastUpdated != 0 {
			end(old[i])
			i++
		}
		if i < len(old) {
			return old[i], true
		}
		return forwardEntry{}, false
	}
	for _, e := range c.entries {
		was, more := next()
		for more && compareEntries(was, e) < 0 {
			end(was)
			i++
			was, more = next()
		}
		if more && compareEntries(was, e) == 0 {
			e.from = was.from
			i++
		} else {
			begin(e)
		}
		c.forward = e.append(c.forward)
	}
	for was, more := next(); more; was, more = next() {
		end(was)
		i++
	}
	return nil
}

// prepareAt prepares a change outside the serial section, where the version may
// have been erased behind a newer one meanwhile.
func (s *Store) prepareAt(c *change, base head) error {
	for {
		err := s.prepare(c, base)
		if !errors.Is(err, errRow) {
			return err
		}
		now, findErr := findHead(s.db, c.typ, c.Key.ID)
		if findErr != nil || now == base {
			return errors.Join(err, findErr)
		}
		base = now
	}
}

// newestForward returns a copy of a document's newest forward row and its time.
func (s *Store) newestForward(doc uint64) ([]byte, uint64, error) {
	prefix := append48([]byte{tableForward}, doc)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, 0, err
	}
	var row []byte
	var t uint64
	if it.First() {
		row = append([]byte{}, it.Value()...)
		t = max48 - read48(it.Key()[1+num48Len:])
	}
	return row, t, it.Close()
}

// prepareAll finds each change's head and prepares the change, before the
// serial section. It returns the logical time that was newest when it began:
// whatever has not changed since then need not be looked at again.
func (s *Store) prepareAll(ctx context.Context, changes []*change) (uint64, error) {
	s.commit.Lock()
	base := s.newest.t
	s.commit.Unlock()
	for _, c := range changes {
		if err := s.number(c); err != nil {
			return 0, err
		}
	}
	heads, err := findHeads(s.db, changes)
	if err != nil {
		return 0, err
	}
	for i, c := range changes {
		if ctx.Err() != nil {
			return 0, store.Cancelled(ctx)
		}
		if err := s.prepareAt(c, heads[i]); err != nil {
			return 0, err
		}
		if err := s.prepareRequired(c); err != nil {
			return 0, err
		}
	}
	return base, nil
}
