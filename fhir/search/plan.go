package search

import (
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
//
// It is for stores that are asked over a network. The embedded store counts rows
// of its index in a race of its clauses instead: that is exact, costs
// microseconds, and gathers what the search then uses.
func PlanType(typ string, where []Clause, e Estimator) Plan {
	p := Plan{Type: typ, Drive: -1, Rows: e.Resources(typ), Looked: -1}
	for i := range where {
		c := &where[i]
		rows := e.Rows(typ, c)
		if c.Not {
			rows = math.Max(0, p.Rows-rows)
		}
		p.Steps = append(p.Steps, Step{Clause: c, Rows: rows, Found: -1})
	}
	slices.SortStableFunc(p.Steps, func(a, b Step) int {
		switch {
		case a.Rows < b.Rows:
			return -1
		case a.Rows > b.Rows:
			return 1
		}
		return 0
	})
	for i, step := range p.Steps {
		if !step.Not {
			p.Steps = slices.Insert(slices.Delete(p.Steps, i, i+1), 0, step)
			p.Drive, p.Rows = 0, step.Rows
			break
		}
	}
	return p
}

// String shows the plan to people: parameters and estimates, never values.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", p.Type)
	if p.Drive < 0 {
		fmt.Fprintf(&b, " all(%.0f)", p.Rows)
	}
	for i, s := range p.Steps {
		role := "test"
		if i == p.Drive {
			role = "drive"
		}
		b.WriteByte(' ')
		if s.Not {
			b.WriteString("not ")
		}
		fmt.Fprintf(&b, "%s=%s(%.0f)", s.Param, role, s.Rows)
	}
	return b.String()
}
