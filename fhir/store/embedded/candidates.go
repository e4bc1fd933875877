package embedded

import (
	"slices"

	"github.com/starling-fhir/starling/fhir/search"
)

// candidates are the documents of one type that match a query, in order: those
// that are in all streams of must and in none of not, and pass the checks.
type candidates struct {
	p      *planner
	v      *view
	course course
	free   bool // what is looked at does not count
	must   []stream
	not    []stream
	checks *checks
	last   stream // if set, a match must be in it too
	// giveUp, if not 0, ends the candidates when so many resources were looked at.
	giveUp int64

	// tested are the clauses of the checks. As testing goes on, those that can be
	// turned into streams are.
	tested   []*clause
	streamed []*clause // those of them that a loose stream in must stands for too
	spent    int64
	patience int64

	plan search.Plan
}

// next returns the first match not before doc.
func (c *candidates) next(doc uint64) (uint64, bool) {
	for {
		found, ok := c.match(doc)
		if !ok || c.verified(found) {
			return found, ok && c.v.err == nil
		}
		doc = c.course.beyond(found)
	}
}

// verified reports whether what match found is in the last stream too.
func (c *candidates) verified(doc uint64) bool {
	if c.last == nil {
		return true
	}
	found, ok := c.last.seek(doc)
	return ok && found == doc
}

// rewind lets match begin anew.
func (c *candidates) rewind() {
	for _, s := range c.must {
		s.rewind()
	}
	for _, s := range c.not {
		s.rewind()
	}
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
				doc = c.course.beyond(doc)
				continue search
			}
		}
		if c.checks != nil && !c.pass(doc) {
			if c.giveUp > 0 && c.v.looked > c.giveUp {
				return 0, false
			}
			doc = c.course.beyond(doc)
			continue
		}
		return doc, c.v.err == nil
	}
	return 0, false
}

// pass tests a document. From time to time it tries to turn what is tested into
// streams, see promote.
func (c *candidates) pass(doc uint64) bool {
	before := c.v.looked
	c.v.look(c.free)
	ok := c.v.err == nil && c.checks.pass(c.v, doc)
	if c.spent += c.v.looked - before; c.spent >= c.patience {
		c.promote()
	}
	return ok
}

// promote makes streams of the tested clauses that are small enough for that: no
// more is spent on it than was on testing so far. So the whole costs at most a few
// times what the better of both ways does, whichever that is, and nobody has to
// know beforehand: where matches are common a page is full before anything is
// gathered, and where they are rare soon all of them are known.
func (c *candidates) promote() {
	limit := c.spent
	c.patience *= 4
	rest := make([]*clause, 0, len(c.tested))
	for _, cl := range c.tested {
		part, ok := c.p.attempt(cl, limit, combining{course: c.course, free: c.free, joins: true})
		if !ok || part.loose && slices.Contains(c.streamed, cl) {
			rest = append(rest, cl)
			continue
		}
		c.must = append(c.must, part.of)
		if c.role(cl, roleGather, int64(part.rows)); part.loose {
			rest, c.streamed = append(rest, cl), append(c.streamed, cl)
		}
	}
	if len(rest) < len(c.tested) {
		c.test(rest)
		c.drive()
	}
}

// test makes clauses the checks.
func (c *candidates) test(clauses []*clause) {
	c.tested, c.checks = clauses, nil
	if len(clauses) > 0 {
		c.checks = newChecks(clauses)
	}
}

// drive puts the clause that drives in front of the plan: the smallest of those
// that are streams.
func (c *candidates) drive() {
	steps := c.plan.Steps
	c.plan.Drive = slices.IndexFunc(steps, func(s search.Step) bool {
		return s.Role == roleDrive || s.Role == roleJoin || s.Role == roleGather
	})
	if c.plan.Drive < 0 {
		c.plan.Rows = c.p.Resources(c.plan.Type)
		return
	}
	first := steps[c.plan.Drive]
	if c.plan.Rows = first.Rows; first.Role == roleJoin {
		first.Role = roleDrive
	}
	c.plan.Steps = slices.Insert(slices.Delete(steps, c.plan.Drive, c.plan.Drive+1), 0, first)
	c.plan.Drive = 0
}

// role notes in the plan how a clause takes part.
func (c *candidates) role(cl *clause, role string, found int64) {
	for i := range c.plan.Steps {
		if c.plan.Steps[i].Clause == cl.Clause {
			c.plan.Steps[i].Role, c.plan.Steps[i].Found = role, found
		}
	}
}

// explain returns the plan with what is known now.
func (c *candidates) explain() search.Plan {
	for _, cl := range c.tested {
		c.role(cl, roleTest, cl.found)
	}
	c.plan.Steps = slices.Clone(c.plan.Steps)
	return c.plan
}

// alternative is candidates as a stream.
type alternative struct {
	*candidates
	cur   uint64
	state int // 0 not begun, 1 on cur, 2 at the end
}

func (a *alternative) seek(doc uint64) (uint64, bool) {
	if a.state == 2 || a.state == 1 && !a.course.before(a.cur, doc) {
		return a.cur, a.state == 1
	}
	a.state = 2
	if found, ok := a.match(doc); ok {
		a.cur, a.state = found, 1
	}
	return a.cur, a.state == 1
}

func (a *alternative) rewind() {
	a.state = 0
	a.candidates.rewind()
}
