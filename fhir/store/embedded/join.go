package embedded

import (
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// join is a clause about other resources: those a resource of one type refers
// to, or those that refer to it.
//
// It is answered in one of two ways. A resource at hand is tested: what it refers
// to is looked up, or the index rows of what refers to it are leapfrogged with
// those of the other clauses. Or the others that match are gathered and turned
// into a stream of the resources they are joined with. See candidates.promote for
// which, and when.
type join struct {
	p       *planner
	name    string // the type of the resources it is a clause of
	typ     uint16
	param   uint16 // of the references
	reverse bool
	free    bool // what is looked at for it does not count
	inner   []*inner
}

// inner is one type of the others.
type inner struct {
	j       *join
	name    string
	typ     uint16
	clauses []*clause
	// limited: the scope sees only what is of some patients. What it costs to find
	// that depends on others too, so it does not count.
	limited bool
	free    bool // what is looked at does not count

	checks *checks         // of those referred to
	tested map[uint64]bool // what they said
	found  *candidates     // of those that refer to it, behind the probe
	probe  *postings
	all    map[uint64]bool // of a limited type: what its resources refer to
}

// maxTested is how many answers about others are kept at most.
const maxTested = 1 << 17

type joinKey struct {
	join *search.Join
	typ  uint16
	name string // of the parameter
	free bool
}

// joinOf returns the join of a clause, or nil if it holds for nothing. The
// answers it keeps serve the whole search.
func (p *planner) joinOf(name string, typ uint16, where *search.Clause) *join {
	key := joinKey{where.Join, typ, where.Param, p.free}
	if j, known := p.joins[key]; known {
		return j
	}
	if p.joins == nil {
		p.joins = map[joinKey]*join{}
	}
	p.joins[key] = p.newJoin(name, typ, where)
	return p.joins[key]
}

func (p *planner) newJoin(name string, typ uint16, where *search.Clause) *join {
	j := &join{p: p, name: name, typ: typ, reverse: where.Join.Reverse, free: p.free}
	var known bool
	if j.param, known = p.s.params.number(where.Param); !known {
		return nil
	}
	for _, other := range slices.Compact(slices.Sorted(slices.Values(where.Join.Types))) {
		in := &inner{j: j, name: other, limited: p.limits(other), free: p.free}
		own, ok := p.scope.Clauses(other)
		if in.typ, known = p.s.types.number(other); !known || !ok {
			continue
		}
		p.free = p.free || in.limited
		in.clauses, ok = p.resolveAll(other, in.typ, slices.Concat(own, where.Join.Where))
		p.free = in.free
		if in.free = in.free || in.limited; ok {
			j.inner = append(j.inner, in)
		}
	}
	if len(j.inner) == 0 {
		return nil
	}
	return j
}

// limited reports whether the scope sees only a part of all the others' types.
func (j *join) limited() bool {
	return !slices.ContainsFunc(j.inner, func(in *inner) bool { return !in.limited })
}

// refers reports whether one of the references is to a resource that matches.
func (j *join) refers(refs []fhir.Key) bool {
	for _, key := range refs {
		for _, in := range j.inner {
			if in.name == key.Type && in.matches(key.ID) {
				return true
			}
		}
	}
	return false
}

// matches reports whether the other resource with an id is there and matches.
func (in *inner) matches(id string) bool {
	v := in.j.p.v
	if in.limited {
		defer v.quietly()()
	}
	doc := v.docOf(in.typ, id)
	if doc == 0 {
		return false
	}
	if known, ok := in.tested[doc]; ok {
		return known
	}
	if in.checks == nil {
		in.checks, in.tested = newChecks(in.clauses), map[uint64]bool{}
	}
	if len(in.tested) >= maxTested {
		clear(in.tested)
	}
	v.look(in.free)
	in.tested[doc] = v.alive(in.typ, doc) && in.checks.pass(v, doc)
	return in.tested[doc]
}

// referred reports whether a resource that matches refers to a document.
func (j *join) referred(doc uint64) bool {
	value := j.reference(j.name, doc)
	for _, in := range j.inner {
		if value != nil && in.refersTo(doc, value) {
			return true
		}
	}
	return false
}

// reference is the entry of a reference to a document.
func (j *join) reference(name string, doc uint64) []byte {
	id := j.p.v.idOf(doc)
	if id == "" {
		return nil
	}
	return search.RefersTo("", fhir.Key{Type: name, ID: id}).Ranges[0].From
}

func (in *inner) refersTo(doc uint64, value []byte) bool {
	v := in.j.p.v
	if in.limited && !in.j.free {
		if in.all == nil {
			in.all = map[uint64]bool{}
			docs, _ := in.referredTo(unlimited)
			for _, d := range docs {
				in.all[d] = true
			}
		}
		return in.all[doc]
	}
	if in.found == nil {
		in.probe = v.probe(in.typ, in.j.param)
		in.found = in.j.p.combine(in.name, in.typ, in.clauses, combining{driver: in.probe, free: in.free})
	}
	in.probe.set(value)
	in.found.rewind()
	_, ok := in.found.match(0)
	return ok
}

// unlimited is a limit that is not reached.
const unlimited = 1 << 50

// gather makes the join a stream, if it takes no more than about limit resources
// to look at.
func (j *join) gather(limit int64, c course) (stream, int, bool) {
	if j.reverse {
		var docs []uint64
		for _, in := range j.inner {
			more, ok := in.referredTo(limit)
			if !ok {
				return nil, 0, false
			}
			docs = append(docs, more...)
		}
		slices.Sort(docs)
		docs = slices.Compact(docs)
		return &set{docs: docs, course: c}, len(docs), true
	}
	var values [][]byte
	for _, in := range j.inner {
		ok := in.each(limit, func(doc uint64) bool {
			value := j.reference(in.name, doc)
			values = append(values, value)
			return value != nil
		})
		if !ok {
			return nil, 0, false
		}
	}
	return j.p.v.merged(j.typ, j.param, values, c), len(values), true
}

// each visits the others that match, and reports whether these were all: it
// gives up when it has looked at limit resources.
func (in *inner) each(limit int64, visit func(doc uint64) bool) bool {
	v := in.j.p.v
	if in.limited {
		limit = unlimited
		defer v.quietly()()
	}
	c := in.j.p.combine(in.name, in.typ, in.clauses, combining{free: in.free, limit: limit})
	c.giveUp = v.looked + limit
	for doc, ok := c.match(0); ok; doc, ok = c.match(doc + 1) {
		if v.look(in.free); v.looked > c.giveUp || !visit(doc) || v.err != nil {
			return false
		}
	}
	return v.err == nil && v.looked <= c.giveUp
}

// referredTo returns the documents that the others refer to, in no order.
func (in *inner) referredTo(limit int64) (docs []uint64, all bool) {
	v, j := in.j.p.v, in.j
	seen := map[fhir.Key]bool{}
	refs := &checks{}
	refs.want(&leaf{clause: &clause{param: j.param, join: j}})
	all = in.each(limit, func(doc uint64) bool {
		if !refs.read(v, doc) {
			return false
		}
		for _, key := range refs.leaves[0].refs {
			if key.Type != j.name || seen[key] {
				continue
			}
			seen[key] = true
			if doc := v.docOf(j.typ, key.ID); doc != 0 && v.alive(j.typ, doc) {
				docs = append(docs, doc)
			}
		}
		return true
	})
	return docs, all
}
