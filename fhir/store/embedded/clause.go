package embedded

import (
	"bytes"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir/search"
)

// shape is what a clause of one type's search turns out to be, its Not aside.
type shape int

const (
	never  shape = iota // no resource of the type can match
	always              // every one does
	narrow              // by value: each range holds one value
	wide                // by value: some range may hold several
	either              // alternatives
	joined              // about other resources
)

// clause is a clause of one type's search after a look at the index.
type clause struct {
	*search.Clause
	shape      shape
	typ, param uint16
	values     [][]byte // narrow: the values, sorted
	any        [][]*clause
	join       *join
	found      int64 // how many resources it let through, for people
}

// fixed reports whether the clause is the same for every resource of the type,
// and what it is then.
func (cl *clause) fixed() (holds, fixed bool) {
	return (cl.shape == always) != cl.Not, cl.shape <= always
}

// resolve finds out what a clause is for one type.
func (p *planner) resolve(name string, typ uint16, where *search.Clause) *clause {
	cl := &clause{Clause: where, typ: typ}
	switch {
	case len(where.Types) > 0 && !slices.Contains(where.Types, name):
	case where.Join != nil:
		if cl.join = p.joinOf(name, typ, where); cl.join != nil {
			cl.shape, cl.param = joined, cl.join.param
		}
	case where.Any != nil:
		p.resolveAny(name, cl)
	default:
		p.resolveValues(cl)
	}
	return cl
}

// resolveAny resolves alternatives and leaves out those that cannot hold.
func (p *planner) resolveAny(name string, cl *clause) {
	for i := range cl.Any {
		list, ok := p.resolveAll(name, cl.typ, cl.Any[i])
		if ok && len(list) == 0 {
			cl.any, cl.shape = nil, always
			return
		}
		if ok {
			cl.any, cl.shape = append(cl.any, list), either
		}
	}
}

// resolveAll resolves clauses that must all hold, without those that always do.
// ok is false if one never does.
func (p *planner) resolveAll(name string, typ uint16, where []search.Clause) (list []*clause, ok bool) {
	for i := range where {
		cl := p.resolve(name, typ, &where[i])
		if holds, fixed := cl.fixed(); !fixed {
			list = append(list, cl)
		} else if !holds {
			return nil, false
		}
	}
	return list, true
}

// resolveValues finds out which ranges hold a single value.
func (p *planner) resolveValues(cl *clause) {
	param, known := p.s.params.number(cl.Param)
	if !known {
		return
	}
	cl.param = param
	isWide := false
	for i := range cl.Ranges {
		r := &cl.Ranges[i]
		if n := len(r.From); len(r.To) == n+1 && r.To[n] == 0 && bytes.Equal(r.To[:n], r.From) {
			if r.Keep == nil || r.Keep(r.From) {
				cl.values = append(cl.values, r.From)
			}
			continue
		}
		value, n := p.v.single(cl.typ, param, r)
		switch {
		case n > 1:
			isWide = true
		case n == 1 && (r.Keep == nil || r.Keep(value)):
			cl.values = append(cl.values, value)
		}
	}
	slices.SortFunc(cl.values, bytes.Compare)
	cl.values = slices.CompactFunc(cl.values, bytes.Equal)
	switch {
	case isWide || len(cl.values) > p.s.tuning.maxStreams:
		cl.shape = wide
	case len(cl.values) > 0:
		cl.shape = narrow
	}
}

// single returns how many values a range holds: 0, 1 (and which) or 2 for more.
// Values that only older or newer moments have count too.
func (v *view) single(typ, param uint16, r *search.Range) (value []byte, n int) {
	lower, upper := bounds(typ, param, r)
	v.scan(lower, upper, func(it *pebble.Iterator) bool {
		first := bytes.Clone(it.Key()[:len(it.Key())-tailLen])
		if n = 2; it.Last() && bytes.Equal(first, it.Key()[:len(it.Key())-tailLen]) {
			value, n = decodeValue(nil, first[indexPrefixLen:]), 1
		}
		return false
	})
	return value, n
}

// bounds returns the index keys a range lies between.
func bounds(typ, param uint16, r *search.Range) (lower, upper []byte) {
	prefix := indexPrefix(nil, typ, param)
	lower = appendValue(slices.Clone(prefix), r.From)
	if r.To == nil {
		return lower, after(prefix)
	}
	return lower, appendValue(slices.Clone(prefix), r.To)
}

// stream returns the documents that have one of a narrow clause's values.
func (cl *clause) stream(v *view, c course) stream {
	if len(cl.values) == 1 {
		return v.posting(cl.typ, cl.param, cl.values[0], c)
	}
	u := &union{course: c}
	for _, value := range cl.values {
		u.streams = append(u.streams, v.posting(cl.typ, cl.param, value, c))
	}
	return u
}

// smaller counts a narrow clause's live rows and reports whether there are fewer
// than limit.
func (cl *clause) smaller(v *view, limit int) (int, bool) {
	s := cl.stream(v, forth)
	doc, n := uint64(0), 0
	for ; n < limit; n++ {
		found, ok := s.seek(doc)
		if !ok {
			return n, v.err == nil
		}
		doc = found + 1
	}
	return n, false
}

// gather returns the documents in the clause's ranges, sorted, each once, and
// whether these are all: it gives up behind limit rows.
func (cl *clause) gather(v *view, limit int) ([]uint64, bool) {
	var docs []uint64
	var last, value []byte
	rows := 0
	for i := range cl.Ranges {
		r := &cl.Ranges[i]
		lower, upper := bounds(cl.typ, cl.param, r)
		last = last[:0]
		keep := true
		v.scan(lower, upper, func(it *pebble.Iterator) bool {
			if rows++; rows > limit {
				return false
			}
			key := it.Key()
			if enc := key[:len(key)-tailLen]; r.Keep != nil && !bytes.Equal(enc, last) {
				last = append(last[:0], enc...)
				value = decodeValue(value, enc[indexPrefixLen:])
				keep = r.Keep(value)
			}
			if doc, from := indexTail(key); keep && liveAt(from, it.Value(), v.t) {
				docs = append(docs, doc)
			}
			return true
		})
		if rows > limit || v.err != nil {
			return nil, false
		}
	}
	slices.Sort(docs)
	return slices.Compact(docs), true
}
