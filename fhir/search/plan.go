package search

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Estimator says about how large the parts of an index are. It answers from
// memory: planning must cost nothing beside the search.
type Estimator interface {
	// Resources is about how many living resources of a type there are.
	Resources(typ string) float64
	// Rows is about how many of them a clause selects, whatever its Not says.
	Rows(typ string, c *Clause) float64
}

// Plan is how the resources of one type that match a query are found: by one
// driving clause, in the index, and then by testing the others on what it found.
type Plan struct {
	Type string
	// Steps are the clauses, the driving one first if there is one, then those
	// that leave out most.
	Steps []Step
	// Drive is 0, or -1 if no clause can drive: then every resource of the type
	// is looked at.
	Drive int
	// Rows is about how many resources the driving clause finds.
	Rows float64
	// Looked is how many rows of the index, or documents, the search looked at for
	// this type, or -1 if nobody counted. For Query.Explain only.
	Looked int64
}

// Step is one clause of a plan.
type Step struct {
	*Clause
	Rows float64 // about how many resources the clause lets through
	// Role is how the clause takes part, in the store's words ("drive", "test",
	// …), and Found how many resources it let through or found as the search ran,
	// or -1 if nobody counted. Both are filled in for Query.Explain only.
	Role  string
	Found int64
}

// PlanType plans the search of one type. A clause with Not cannot drive. The
// clauses are not copied, nor altered.
func PlanType(typ string, where []Clause, e Estimator) Plan {
	clauses := make([]*Clause, len(where))
	for i := range where {
		clauses[i] = &where[i]
	}
	return PlanOf(typ, clauses, e)
}

// PlanOf is PlanType for clauses that are not next to each other.
func PlanOf(typ string, where []*Clause, e Estimator) Plan {
	p := Plan{Type: typ, Drive: -1, Rows: e.Resources(typ), Looked: -1, Steps: make([]Step, 0, len(where))}
	for _, c := range where {
		rows := e.Rows(typ, c)
		if c.Not {
			rows = math.Max(0, p.Rows-rows)
		}
		p.Steps = append(p.Steps, Step{Clause: c, Rows: rows, Found: -1})
	}
	slices.SortStableFunc(p.Steps, func(a, b Step) int { return cmp.Compare(a.Rows, b.Rows) })
	for i, step := range p.Steps {
		if !step.Not {
			p.Steps = slices.Insert(slices.Delete(p.Steps, i, i+1), 0, step)
			p.Drive, p.Rows = 0, step.Rows
			break
		}
	}
	return p
}

// String shows the plan to people: parameters, roles and numbers, never values.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", p.Type)
	if p.Drive < 0 {
		fmt.Fprintf(&b, " all(%.0f)", p.Rows)
	}
	for i, s := range p.Steps {
		b.WriteByte(' ')
		if s.Not {
			b.WriteString("not ")
		}
		fmt.Fprintf(&b, "%s=%s(%.0f)", s.Name(), p.role(i), s.Rows)
	}
	return b.String()
}

// role is how a step takes part: in the store's words if it has said it.
func (p Plan) role(i int) string {
	switch {
	case p.Steps[i].Role != "":
		return p.Steps[i].Role
	case i == p.Drive:
		return "drive"
	}
	return "test"
}

// Name says what a clause is about, without its values: its parameter, with what
// the others must meet if it is a Join, or its alternatives.
func (c *Clause) Name() string {
	switch {
	case c.Join != nil && c.Join.Reverse:
		return fmt.Sprintf("_has:%s:%s{%s}", strings.Join(c.Join.Types, ","), c.Param, clauseNames(c.Join.Where))
	case c.Join != nil:
		return fmt.Sprintf("%s:%s{%s}", c.Param, strings.Join(c.Join.Types, ","), clauseNames(c.Join.Where))
	case c.Any != nil:
		lists := make([]string, len(c.Any))
		for i, list := range c.Any {
			lists[i] = clauseNames(list)
		}
		return "(" + strings.Join(lists, " or ") + ")"
	}
	return c.Param
}

func clauseNames(where []Clause) string {
	out := make([]string, len(where))
	for i := range where {
		if out[i] = where[i].Name(); where[i].Not {
			out[i] = "not " + out[i]
		}
	}
	return strings.Join(out, " and ")
}
