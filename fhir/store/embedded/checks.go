package embedded

import (
	"math"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// checks are clauses tested on single documents, in any order: those by value and
// the references of chains in one pass over the forward row, whatever their depth
// in alternatives.
type checks struct {
	leaves []*leaf
	tests  []*test
	most   uint16 // the highest parameter of the leaves
}

// leaf is what is wanted of a forward row.
type leaf struct {
	*clause
	hit  bool
	refs []fhir.Key // of a chain: what the document refers to
}

// test is a clause with its leaves.
type test struct {
	*clause
	leaf *leaf
	any  [][]*test
}

func newChecks(clauses []*clause) *checks {
	k := &checks{}
	k.tests = k.of(clauses)
	return k
}

func (k *checks) of(clauses []*clause) []*test {
	out := make([]*test, len(clauses))
	for i, cl := range clauses {
		t := &test{clause: cl}
		switch {
		case cl.shape == either:
			for _, list := range cl.any {
				t.any = append(t.any, k.of(list))
			}
		case cl.shape != joined || !cl.Join.Reverse:
			t.leaf = &leaf{clause: cl}
			k.want(t.leaf)
		}
		out[i] = t
	}
	return out
}

func (k *checks) want(l *leaf) {
	k.leaves = append(k.leaves, l)
	k.most = max(k.most, l.param)
	// Its entries are behind all others.
	if l.Clause != nil && l.Param == lastUpdatedParam {
		k.most = math.MaxUint16
	}
}

// pass reports whether all clauses hold for a document, which must be alive.
func (k *checks) pass(v *view, doc uint64) bool {
	if len(k.leaves) > 0 && !k.read(v, doc) {
		return false
	}
	for _, t := range k.tests {
		if !t.holds(doc) || v.err != nil {
			return false
		}
		t.found++
	}
	return true
}

// read looks for the leaves in a document's forward row.
func (k *checks) read(v *view, doc uint64) bool {
	row := v.forwardRow(doc)
	if row == nil {
		v.fail(errRow) // every living resource has one
		return false
	}
	for _, l := range k.leaves {
		l.hit, l.refs = false, l.refs[:0]
	}
	hits := 0
	v.fail(eachForward(row, func(e forwardEntry) bool {
		if e.param > k.most {
			return false // entries are sorted
		}
		for _, l := range k.leaves {
			switch {
			case l.param != e.param:
			case l.join != nil:
				if key, ok := search.Refers(e.value); ok {
					l.refs = append(l.refs, key)
				}
			case !l.hit && inRanges(e.value, l.Ranges):
				l.hit = true
				hits++
			}
		}
		return hits < len(k.leaves)
	}))
	return v.err == nil
}

func (t *test) holds(doc uint64) bool {
	switch {
	case t.shape == either:
		for _, list := range t.any {
			if allHold(list, doc) {
				return !t.Not
			}
		}
		return t.Not
	case t.leaf == nil:
		return t.join.referred(doc) != t.Not
	case t.join != nil:
		return t.join.refers(t.leaf.refs) != t.Not
	}
	return t.leaf.hit != t.Not
}

func allHold(list []*test, doc uint64) bool {
	for _, t := range list {
		if !t.holds(doc) {
			return false
		}
	}
	return true
}

func inRanges(value []byte, ranges []search.Range) bool {
	for i := range ranges {
		if ranges[i].Contains(value) {
			return true
		}
	}
	return false
}
