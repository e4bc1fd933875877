package embedded

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// How a clause takes part in a search of one type.
const (
	roleStream  = "stream"  // its values' rows are in document order: part of the merge join
	roleGather  = "gather"  // its few rows are gathered and sorted first, then joined
	roleCheck   = "check"   // tested on each candidate's forward row
	roleLast    = "last"    // tested on what all others find
	roleNothing = "nothing" // it can match nothing
	roleAll     = "all"     // every resource of the type is a candidate
)

// tuning says when the planner and sorting change their ways. Any numbers
// give the same answers.
type tuning struct {
	// maxStreams is how many values of one clause are merged as streams; the
	// documents of more are gathered.
	maxStreams int
	// firstProbe is how many rows the planner counts at first to learn which
	// clause is small; it goes on in steps of probeGrowth up to lastProbe.
	firstProbe, probeGrowth, lastProbe int
	// sortGather is up to how many matches of a type are simply sorted. With
	// more the index is walked in the order of the first sort key.
	sortGather int
	// sortScan is after how many index rows such a walk gives up, because it
	// meets too few matches, and all matches are sorted after all.
	sortScan int
}

func defaultTuning() tuning {
	return tuning{maxStreams: 32, firstProbe: 1024, probeGrowth: 8, lastProbe: 1 << 16, sortGather: 2000, sortScan: 20_000}
}

// step is one decision of the planner, for people.
type step struct {
	Param string
	Not   bool
	Role  string
	Rows  int // gathered documents, or -1
}

// plan is how one type is searched.
type plan struct {
	Type  string
	Steps []step
}

func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", p.Type)
	for _, s := range p.Steps {
		b.WriteByte(' ')
		if s.Not {
			b.WriteString("not ")
		}
		b.WriteString(s.Param)
		b.WriteByte('=')
		b.WriteString(s.Role)
		if s.Rows >= 0 {
			fmt.Fprintf(&b, "(%d)", s.Rows)
		}
	}
	return b.String()
}

// candidates are the documents of one type that match a query, in order.
type candidates struct {
	v      *view
	must   []stream // not empty, unless nothing can match
	not    []stream
	checks []check
	last   stream // if set, a match must be in it too
	plan   plan
}

// check is a clause tested on the forward row.
type check struct {
	param uint16
	*search.Clause
}

// next returns the first match not before doc.
func (c *candidates) next(doc uint64) (uint64, bool) {
	for {
		found, ok := c.match(doc)
		if !ok || c.verified(found) {
			return found, ok && c.v.err == nil
		}
		doc = found + 1
	}
}

// verified reports whether what match found is in the last stream too. Calls
// come with growing doc.
func (c *candidates) verified(doc uint64) bool {
	if c.last == nil {
		return true
	}
	found, ok := c.last.seek(doc)
	return ok && found == doc
}

// verify makes a clause the last stream of candidates. It must hold one value.
func (s *Store) verify(c *candidates, typeName string, where *search.Clause) {
	typ, known := s.types.number(typeName)
	if !known || len(c.must) == 0 {
		return // nothing can match
	}
	cl := c.v.resolve(s, typ, where)
	if cl.empty {
		c.must = nil
		return
	}
	c.last = &opening{open: func() stream { return cl.stream(c.v) }}
	c.note(where.Param, false, roleLast, -1)
}

// match returns the first document not before doc that matches but for the
// last stream.
func (c *candidates) match(doc uint64) (uint64, bool) {
	if len(c.must) == 0 {
		return 0, false
	}
search:
	for c.v.err == nil {
		// Leapfrog: every stream jumps to where the furthest one is, until all agree.
		for agree, i := 0, 0; agree < len(c.must); i = (i + 1) % len(c.must) {
			found, ok := c.must[i].seek(doc)
			if !ok {
				return 0, false
			}
			if found == doc {
				agree++
			} else {
				doc, agree = found, 1
			}
		}
		for _, s := range c.not {
			if found, ok := s.seek(doc); ok && found == doc {
				doc++
				continue search
			}
		}
		if len(c.checks) > 0 && !c.v.passes(doc, c.checks) {
			doc++
			continue
		}
		return doc, c.v.err == nil
	}
	return 0, false
}

// passes tests clauses on a document's forward row.
func (v *view) passes(doc uint64, checks []check) bool {
	row := v.forwardRow(doc)
	if row == nil {
		if v.err == nil {
			v.err = errRow // every living resource has one
		}
		return false
	}
	hit := make([]bool, len(checks))
	v.fail(eachForward(row, func(e forwardEntry) bool {
		for i := range checks {
			if !hit[i] && checks[i].param == e.param && inRanges(e.value, checks[i].Ranges) {
				hit[i] = true
			}
		}
		return true
	}))
	for i := range checks {
		if hit[i] == checks[i].Not {
			return false
		}
	}
	return true
}

func inRanges(value []byte, ranges []search.Range) bool {
	for i := range ranges {
		if inRange(value, &ranges[i]) {
			return true
		}
	}
	return false
}

func inRange(value []byte, r *search.Range) bool {
	return bytes.Compare(value, r.From) >= 0 && (r.To == nil || bytes.Compare(value, r.To) < 0) &&
		(r.Keep == nil || r.Keep(value))
}

// candidates plans the search of one type.
//
// A clause whose ranges each hold one value is a stream. Any other clause is
// gathered if it is the smallest part of the query, else tested on what the
// rest finds. Which one is smallest is found by counting all of them in
// growing steps until the first is through, so that planning costs no more
// than a few times what the best plan does.
func (s *Store) candidates(v *view, typeName string, where []search.Clause) (*candidates, error) {
	c := &candidates{v: v, plan: plan{Type: typeName}}
	typ, known := s.types.number(typeName)
	if !known {
		c.note("", false, roleNothing, 0)
		return c, nil
	}
	var must []stream
	var wide []*clause
	var narrow []*clause
	for i := range where {
		cl := v.resolve(s, typ, &where[i])
		switch {
		case cl.empty && where[i].Not: // holds for everything
		case cl.empty:
			c.note(where[i].Param, false, roleNothing, 0)
			return c, v.err
		case !cl.wide && where[i].Not:
			c.not = append(c.not, cl.stream(v))
			c.note(where[i].Param, true, roleStream, -1)
		case !cl.wide:
			must = append(must, cl.stream(v))
			narrow = append(narrow, cl)
			c.note(where[i].Param, false, roleStream, -1)
		case where[i].Not:
			if docs, all := cl.gather(v, s.tuning.firstProbe); all {
				c.not = append(c.not, &set{docs: docs})
				c.note(where[i].Param, true, roleGather, len(docs))
			} else {
				c.checks = append(c.checks, check{cl.param, &where[i]})
				c.note(where[i].Param, true, roleCheck, -1)
			}
		default:
			wide = append(wide, cl)
		}
	}
	if len(wide) > 0 {
		rest, err := s.race(c, narrow, wide, &must)
		if err != nil {
			return nil, err
		}
		for _, cl := range rest {
			c.checks = append(c.checks, check{cl.param, cl.Clause})
			c.note(cl.Param, false, roleCheck, -1)
		}
	}
	if len(must) == 0 {
		must = append(must, v.posting(typ, existParam, nil))
		c.note("", false, roleAll, -1)
	}
	c.must = must
	return c, v.err
}

func (c *candidates) note(param string, not bool, role string, rows int) {
	c.plan.Steps = append(c.plan.Steps, step{param, not, role, rows})
}

// race gathers the wide clauses that are small, appends them to must, and
// returns those that are not. The narrow clauses run along: once one of them is
// known to be the smallest, gathering more would cost more than it spares.
func (s *Store) race(c *candidates, narrow, wide []*clause, must *[]stream) ([]*clause, error) {
	limit := s.tuning.firstProbe
	for {
		var rest []*clause
		won := false
		for _, cl := range wide {
			docs, all := cl.gather(c.v, limit)
			if c.v.err != nil {
				return nil, c.v.err
			}
			if !all {
				rest = append(rest, cl)
				continue
			}
			won = true
			*must = append(*must, &set{docs: docs})
			c.note(cl.Param, false, roleGather, len(docs))
		}
		for _, cl := range narrow {
			won = won || cl.smaller(c.v, limit)
		}
		if won || limit >= s.tuning.lastProbe {
			return rest, c.v.err
		}
		limit = min(limit*s.tuning.probeGrowth, s.tuning.lastProbe)
	}
}

// clause is a clause of one type's search after a look at the index.
type clause struct {
	*search.Clause
	typ, param uint16
	empty      bool     // no row can match
	wide       bool     // some range holds several values
	values     [][]byte // else: the values
}

// resolve finds out which ranges hold a single value.
func (v *view) resolve(s *Store, typ uint16, where *search.Clause) *clause {
	cl := &clause{Clause: where, typ: typ}
	param, known := s.params.number(where.Param)
	if !known || len(where.Ranges) == 0 {
		cl.empty = true
		return cl
	}
	cl.param = param
	for i := range where.Ranges {
		r := &where.Ranges[i]
		if n := len(r.From); len(r.To) == n+1 && r.To[n] == 0 && bytes.Equal(r.To[:n], r.From) {
			if r.Keep == nil || r.Keep(r.From) {
				cl.values = append(cl.values, r.From)
			}
			continue
		}
		value, n := v.single(typ, param, r)
		switch {
		case n > 1:
			cl.wide = true
		case n == 1 && (r.Keep == nil || r.Keep(value)):
			cl.values = append(cl.values, value)
		}
	}
	slices.SortFunc(cl.values, bytes.Compare)
	cl.values = slices.CompactFunc(cl.values, bytes.Equal)
	cl.wide = cl.wide || len(cl.values) > s.tuning.maxStreams
	cl.empty = !cl.wide && len(cl.values) == 0
	return cl
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

// stream returns the documents that have one of the clause's values.
func (cl *clause) stream(v *view) stream {
	if len(cl.values) == 1 {
		return v.posting(cl.typ, cl.param, cl.values[0])
	}
	u := make(union, len(cl.values))
	for i, value := range cl.values {
		u[i] = v.posting(cl.typ, cl.param, value)
	}
	return u
}

// smaller reports whether the clause has fewer live rows than limit.
func (cl *clause) smaller(v *view, limit int) bool {
	s := cl.stream(v)
	doc, n := uint64(0), 0
	for ; n < limit; n++ {
		found, ok := s.seek(doc)
		if !ok {
			return v.err == nil
		}
		doc = found + 1
	}
	return false
}

// gather returns the documents in a clause's ranges, sorted, each once, and
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

func tooCostly(limit int) error {
	return fhir.Errorf(fhir.TooCostly, "more than %d resources would have to be looked at; narrow the search", limit)
}
