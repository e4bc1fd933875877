package embedded

import (
	"math"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// How a clause takes part in a search of one type.
const (
	roleDrive  = "drive"  // begins the merge join
	roleJoin   = "join"   // its rows are in document order: part of the merge join
	roleGather = "gather" // its few rows are gathered and sorted first, then joined
	roleReject = "reject" // its rows leave documents out
	roleTest   = "test"   // tested on each candidate by itself
	roleLast   = "last"   // tested on what all others find
	roleNone   = "none"   // it can match nothing
	roleAlways = "always" // it holds for everything
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
	// patience is how many resources are tested one by one before the planner
	// tries for the first time to gather what matches instead.
	patience int
	// mostLooked is how many resources one page, with its total, may look at one by
	// one. Beyond that the search is too costly.
	mostLooked int64
	// sortGather is up to how many matches of a type are simply sorted. With
	// more the index is walked in the order of the first sort key.
	sortGather int
	// sortScan is after how many index rows such a walk gives up, because it
	// meets too few matches, and all matches are sorted after all.
	sortScan int
}

func defaultTuning() tuning {
	return tuning{
		maxStreams: 32, firstProbe: 1024, probeGrowth: 8, lastProbe: 1 << 13, patience: 64, mostLooked: 200_000,
		sortGather: 2000, sortScan: 20_000,
	}
}

// planner plans the searches of one query: of its types, and of those it joins.
//
// Like every store it has [search.PlanType] decide what drives. What it says about
// sizes it does not keep, as a store that is asked over a network must: it counts
// rows of the index in a race of the clauses, which is exact, costs microseconds,
// and gathers what the search then uses. What is not counted that way (joins, and
// clauses that select much) is tested, and may become a stream later on; see
// candidates.promote.
type planner struct {
	s     *Store
	v     *view
	scope *search.Scope
	now   *moment
	// free: what is planned is limited to patients. Then nothing of it counts
	// towards what makes a search too costly.
	free  bool
	joins map[joinKey]*join
	// count has the race count clauses that it need not, for people.
	count bool
}

// limits reports whether the scope sees only a part of a type.
func (p *planner) limits(name string) bool { return len(p.scope.Of(name).Patients) > 0 }

// plan plans the search of one type.
func (p *planner) plan(name string, where []search.Clause, c course) *candidates {
	p.free = p.limits(name)
	typ, known := p.s.types.number(name)
	if !known {
		return &candidates{v: p.v, plan: search.Plan{Type: name, Drive: -1, Looked: -1}}
	}
	all := make([]*clause, 0, len(where))
	var fixed []search.Step
	for i := range where {
		cl := p.resolve(name, typ, &where[i])
		holds, is := cl.fixed()
		switch {
		case !is:
			all = append(all, cl)
		case holds:
			fixed = append(fixed, search.Step{Clause: cl.Clause, Rows: p.Resources(name), Role: roleAlways, Found: -1})
		default:
			step := search.Step{Clause: cl.Clause, Role: roleNone}
			return &candidates{v: p.v, plan: search.Plan{Type: name, Steps: []search.Step{step}, Looked: -1}}
		}
	}
	found := p.combine(name, typ, all, combining{course: c, free: p.free})
	found.plan.Steps = append(found.plan.Steps, fixed...)
	return found
}

// Resources is for search.PlanType: how many living resources of a type there are.
func (p *planner) Resources(name string) float64 {
	typ, _ := p.s.types.number(name)
	return float64(p.now.count(typ))
}

// combining says how clauses are combined.
type combining struct {
	course course
	free   bool
	driver stream // if set, it drives, and comes to its end soon
	joins  bool   // joins may be gathered too
	limit  int64  // if set, no more than about so many resources are worth looking at
}

// entrant is a clause in the race, and what became of it.
type entrant struct {
	*clause
	stretch          // if it has a stream
	docs    []uint64 // with Not: gathered
	count   float64
	known   bool // count is known
}

// estimates are what the race found out.
type estimates struct {
	p        *planner
	entrants []*entrant
}

func (e estimates) Resources(name string) float64 { return e.p.Resources(name) }

func (e estimates) Rows(name string, where *search.Clause) float64 {
	for _, in := range e.entrants {
		if in.Clause == where && in.known {
			return in.count
		}
	}
	return e.p.Resources(name)
}

// combine makes candidates of clauses that must all hold.
//
// A clause whose ranges each hold one value is a stream. Any other clause by value
// is gathered if it is the smallest part of the query, else tested on what the
// rest finds. Which one is smallest is found by counting all of them in growing
// steps until the first is through, so that planning costs no more than a few times
// what the best plan does.
func (p *planner) combine(name string, typ uint16, clauses []*clause, how combining) *candidates {
	c := &candidates{p: p, v: p.v, course: how.course, free: how.free, patience: max(1, int64(p.s.tuning.patience))}
	entrants := make([]*entrant, len(clauses))
	where := make([]*search.Clause, len(clauses))
	for i, cl := range clauses {
		entrants[i], where[i] = &entrant{clause: cl}, cl.Clause
	}
	if how.driver == nil {
		p.race(entrants, how)
	} else {
		c.must = append(c.must, how.driver)
	}
	c.plan = search.PlanOf(name, where, estimates{p, entrants})
	var tested []*clause
	for i := range c.plan.Steps {
		step := &c.plan.Steps[i]
		e := entrants[slices.IndexFunc(entrants, func(e *entrant) bool { return e.Clause == step.Clause })]
		switch {
		case e.shape == narrow && e.Not:
			c.not = append(c.not, e.clause.stream(p.v, c.course))
			step.Role = roleReject
		case e.Not && e.docs != nil:
			c.not = append(c.not, &set{docs: e.docs, course: c.course})
			step.Role, step.Found = roleReject, int64(len(e.docs))
		case e.Not:
			tested = append(tested, e.clause)
			step.Role = roleTest
		case e.shape == narrow:
			c.must = append(c.must, e.clause.stream(p.v, c.course))
			step.Role = roleJoin
		case e.of != nil:
			c.must = append(c.must, e.of)
			if step.Role = roleJoin; e.rows >= 0 {
				step.Role, step.Found = roleGather, int64(e.rows)
			}
			if e.loose {
				tested, c.streamed = append(tested, e.clause), append(c.streamed, e.clause)
			}
		default:
			tested = append(tested, e.clause)
			step.Role = roleTest
		}
	}
	if len(c.must) == 0 {
		c.must = append(c.must, p.v.posting(typ, existParam, nil, c.course))
	}
	c.test(tested)
	c.drive()
	return c
}

// race finds out which clauses are small, and gathers those that are no streams.
// The streams run along: once one of them is known to be the smallest, gathering
// more would cost more than it spares.
func (p *planner) race(entrants []*entrant, how combining) {
	last := p.s.tuning.lastProbe
	if how.limit > 0 {
		last = int(min(int64(last), how.limit*lookRows))
	}
	limit := min(p.s.tuning.firstProbe, last)
	var running []*entrant
	for _, e := range entrants {
		switch {
		case e.Not && e.shape == wide:
			if docs, all := e.gather(p.v, limit); all {
				e.docs, e.count, e.known = append([]uint64{}, docs...), float64(len(docs)), true
			}
		case e.Not:
		case e.shape == joined && e.join.limited() && !how.free:
			// Whatever there is of others, so that nothing depends on it.
			all := how
			all.joins = true
			if part, ok := p.attempt(e.clause, unlimited, all); ok {
				e.stretch, e.count, e.known = part, float64(part.rows), true
			}
		case e.shape == joined:
			// A rare one is a stream from the start. Of a common one not much is lost:
			// who refers lies apart from each other, so fewer are looked at.
			try, most := how, int64(p.s.tuning.patience)/2
			if try.joins = true; e.join.reverse {
				most /= 4
			}
			if part, ok := p.attempt(e.clause, most, try); ok {
				e.stretch, e.count, e.known = part, float64(part.rows), true
			}
		case e.shape != narrow:
			running = append(running, e)
		}
	}
	if p.count {
		defer p.countAll(entrants, limit)
	}
	for len(running) > 0 {
		won := false
		running = slices.DeleteFunc(running, func(e *entrant) bool {
			part, ok := p.attempt(e.clause, int64(limit/lookRows), how)
			if !ok {
				return false
			}
			if e.stretch = part; part.rows >= 0 {
				e.count, e.known, won = float64(part.rows), true, true
			}
			return true
		})
		for _, e := range entrants {
			if e.shape == narrow && !e.Not {
				won = e.measure(p.v, limit) || won
			}
		}
		if won || p.v.err != nil || limit >= last {
			return
		}
		limit = min(limit*p.s.tuning.probeGrowth, last)
	}
}

// stretch is a clause as a stream.
type stretch struct {
	of   stream
	rows int // how many documents it has, or -1 if that is not known
	// loose: it has documents too for which the clause does not hold.
	loose bool
}

// measure counts a stream up to a limit, and reports whether that was all.
func (e *entrant) measure(v *view, limit int) bool {
	if !e.known {
		var n int
		n, e.known = e.smaller(v, limit)
		e.count = float64(n)
	}
	return e.known
}

// countAll counts, up to a limit, what nobody needed to count, for people. What
// that costs is not part of the search.
func (p *planner) countAll(entrants []*entrant, limit int) {
	defer p.v.quietly()()
	for _, e := range entrants {
		if e.shape == narrow {
			e.measure(p.v, limit)
		}
	}
}

// attempt makes a stream of a clause if that takes no more than looking at about
// limit resources does.
func (p *planner) attempt(cl *clause, limit int64, how combining) (stretch, bool) {
	if cl.Not {
		return stretch{}, false
	}
	switch cl.shape {
	case narrow:
		return stretch{of: cl.stream(p.v, how.course), rows: -1}, true
	case wide:
		docs, all := cl.gather(p.v, int(min(limit*lookRows, math.MaxInt32)))
		return stretch{of: &set{docs: docs, course: how.course}, rows: len(docs)}, all
	case joined:
		if !how.joins {
			return stretch{}, false
		}
		s, rows, ok := cl.join.gather(limit, how.course)
		return stretch{of: s, rows: rows}, ok
	}
	u, out := &union{course: how.course}, stretch{rows: -1}
	for _, list := range cl.any {
		c, exact := p.attemptAll(list, limit, how)
		if c == nil {
			return stretch{}, false
		}
		out.loose = out.loose || !exact
		u.streams = append(u.streams, &alternative{candidates: c})
	}
	out.of = u
	return out, p.v.err == nil
}

// attemptAll makes candidates of those clauses of an alternative that can be
// streams, or nil if none can. exact says that all are.
func (p *planner) attemptAll(list []*clause, limit int64, how combining) (c *candidates, exact bool) {
	c, exact = &candidates{p: p, v: p.v, course: how.course, free: how.free}, true
	for _, cl := range list {
		if cl.shape == narrow && cl.Not {
			c.not = append(c.not, cl.stream(p.v, c.course))
			continue
		}
		part, ok := p.attempt(cl, limit, how)
		if ok {
			c.must = append(c.must, part.of)
		}
		exact = exact && ok && !part.loose
	}
	if len(c.must) == 0 {
		return nil, false
	}
	return c, exact
}

// verify makes a clause the last stream of candidates. It must hold one value.
func (p *planner) verify(c *candidates, name string, where *search.Clause) {
	typ, known := p.s.types.number(name)
	if !known || len(c.must) == 0 {
		return // nothing can match
	}
	cl := p.resolve(name, typ, where)
	if len(cl.values) == 0 {
		c.must = nil
		return
	}
	c.last = &opening{open: func() stream { return cl.stream(c.v, c.course) }}
	c.plan.Steps = append(c.plan.Steps, search.Step{Clause: where, Rows: p.Resources(name), Role: roleLast, Found: -1})
}

func tooCostly(limit int64) error {
	return fhir.Errorf(fhir.TooCostly, "more than %d resources would have to be looked at one by one; add a criterion that few resources meet, "+
		"such as a patient, a code or a date range, or leave out the sort", limit)
}
