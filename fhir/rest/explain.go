package rest

import (
	"fmt"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// An explanation says how a search was carried out: _explain=true. It tells of
// everybody's data, in numbers, so only those get one who may search all of it;
// and it never holds a value that was looked for or found.

// mayExplain returns an error unless the caller may search every resource of the
// types that a query looks at, those of its chains included.
func (r *request) mayExplain(q *search.Query) error {
	scope := r.access.Scope(search.CanSearch)
	if scope == nil {
		return nil
	}
	types := q.Types
	if len(types) == 0 {
		types = resource.Types()
	}
	for _, typ := range joinedTypes(types, q.Where) {
		if !scope.Of(typ).Whole {
			return fhir.Errorf(fhir.Forbidden, "not allowed: _explain tells of all resources of %s, and this access does not reach all of them", typ)
		}
	}
	return nil
}

// joinedTypes adds the types that clauses look at beside their own.
func joinedTypes(types []string, where []search.Clause) []string {
	for _, c := range where {
		if c.Join != nil {
			types = joinedTypes(append(types[:len(types):len(types)], c.Join.Types...), c.Join.Where)
		}
		for _, all := range c.Any {
			types = joinedTypes(types, all)
		}
	}
	return types
}

// explanation puts the plans of a page into words: an issue for each type that
// was searched, and one for the whole.
func explanation(req *search.Request, page *search.Page, took time.Duration) []fhir.Issue {
	if !req.Query.Explain {
		return nil
	}
	issues := []fhir.Issue{{
		Severity: fhir.SeverityInformation,
		Code:     "informational",
		Message:  fmt.Sprintf("searched in %s: %d found on this page, looked at %s", took.Round(time.Microsecond), len(page.Resources), counted(looked(page.Plans))),
	}}
	for _, plan := range page.Plans {
		issues = append(issues, fhir.Issue{Severity: fhir.SeverityInformation, Code: "informational", Message: planText(plan)})
	}
	return issues
}

// looked is how many rows all plans together looked at, or -1 if one of them
// does not know.
func looked(plans []search.Plan) int64 {
	sum := int64(0)
	for _, plan := range plans {
		if plan.Looked < 0 {
			return -1
		}
		sum += plan.Looked
	}
	return sum
}

// counted writes a number of rows; -1 is unknown.
func counted(rows int64) string {
	if rows < 0 {
		return "an unknown number of rows"
	}
	return fmt.Sprintf("%d rows", rows)
}

// planText writes a plan: its predicates in the order they are used, how each
// takes part, how many resources it was expected to let through and how many it
// did.
//
//	Observation: drive patient (expected 12, found 10), test code (expected 3, found 2); looked at 13 rows
func planText(plan search.Plan) string {
	var parts []string
	if plan.Drive < 0 {
		parts = append(parts, fmt.Sprintf("every resource of the type (expected %.0f)", plan.Rows))
	}
	for i, step := range plan.Steps {
		role := step.Role
		switch {
		case role != "":
		case i == plan.Drive:
			role = "drive"
		default:
			role = "test"
		}
		found := "unknown"
		if step.Found >= 0 {
			found = fmt.Sprint(step.Found)
		}
		parts = append(parts, fmt.Sprintf("%s %s (expected %.0f, found %s)", role, predicate(step.Clause), step.Rows, found))
	}
	return plan.Type + ": " + strings.Join(parts, ", ") + "; looked at " + counted(plan.Looked)
}

// predicate names a clause by its parameters, in the words of a search URL, and
// without values.
func predicate(c *search.Clause) string {
	name := c.Param
	switch {
	case c.Join != nil && c.Join.Reverse:
		name = "_has:" + strings.Join(c.Join.Types, "|") + ":" + c.Param + predicates(c.Join.Where)
	case c.Join != nil:
		name = c.Param + ":" + strings.Join(c.Join.Types, "|") + predicates(c.Join.Where)
	case c.Any != nil:
		var either []string
		for _, all := range c.Any {
			either = append(either, strings.Trim(predicates(all), "()"))
			if len(either) == 8 && len(c.Any) > 8 {
				either = append(either, "…")
				break
			}
		}
		name = "any(" + strings.Join(either, " or ") + ")"
	}
	if c.Not {
		name = "not " + name
	}
	return name
}

// predicates names clauses that must all hold, in parentheses.
func predicates(where []search.Clause) string {
	names := make([]string, len(where))
	for i := range where {
		names[i] = predicate(&where[i])
	}
	return "(" + strings.Join(names, " and ") + ")"
}
