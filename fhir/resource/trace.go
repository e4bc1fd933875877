package resource

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// A trace is the structure of a resource: which members stand in which objects,
// which codes of required bindings they have, where lists hold null - and not
// the texts of other primitives, nor how often a list repeats items of one
// structure. jsonformat cannot tell apart two resources of one trace in which
// the walk has found nothing. Traces are compared whole, not by a hash.
//
// A trace is a row of 16-bit words. A member is its id, with traceUnder added if
// its name begins with "_"; a shape stands where a resourceType names it.

const (
	traceUnder   = 1 << 15
	traceEnd     = 0xffff // of an object
	traceListEnd = 0xfffe
	traceNull    = 0xfffd // an item of a list
)

func (c *checker) traceWord(word uint16) {
	c.trace = binary.LittleEndian.AppendUint16(c.trace, word)
}

func (c *checker) traceShape(sh *shape) { c.traceWord(sh.id) }
func (c *checker) traceCode(i int)      { c.traceWord(uint16(i)) }
func (c *checker) traceNull()           { c.traceWord(traceNull) }
func (c *checker) traceEnd()            { c.traceWord(traceEnd) }

func (c *checker) traceMember(m *member, under bool) {
	word := m.id
	if under {
		word += traceUnder
	}
	c.traceWord(word)
}

// listTrace leaves an item out of the trace that has the structure of the item
// before it.
type listTrace struct {
	last, from, to int // where the last kept item and the present one are
	kept           bool
}

func (l *listTrace) start(c *checker) { l.from = len(c.trace) }

func (l *listTrace) end(c *checker) {
	if l.kept && bytes.Equal(c.trace[l.last:l.to], c.trace[l.from:]) {
		c.trace = c.trace[:l.from]
		return
	}
	l.last, l.to, l.kept = l.from, len(c.trace), true
}

// Limits of a traceSet.
const (
	maxTrace  = 16 << 10 // the longest trace worth keeping
	maxTraces = 8 << 20  // bytes of all traces; beyond, the set starts anew
)

// traceSet is a bounded set of traces, safe for concurrent use.
type traceSet struct {
	mu    sync.RWMutex
	set   map[string]struct{}
	bytes int
}

func (s *traceSet) has(trace []byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.set[string(trace)]
	return ok
}

func (s *traceSet) add(trace []byte) {
	if len(trace) > maxTrace {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	const perEntry = 64 // of the map and the string, about
	if s.set == nil || s.bytes+len(trace)+perEntry > maxTraces {
		s.set, s.bytes = make(map[string]struct{}), 0
	}
	if _, ok := s.set[string(trace)]; !ok {
		s.set[string(trace)] = struct{}{}
		s.bytes += len(trace) + perEntry
	}
}
