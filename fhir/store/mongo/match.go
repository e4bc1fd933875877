package mongo

import (
	"bytes"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir/search"
)

// condition is a filter on the documents of one type, or what is known of all of
// them without one.
type condition struct {
	filter bson.D // nil if always or never
	always bool
	// anchored says that only living resources of the type meet the filter, and
	// that the database finds them by an index.
	anchored bool
}

var (
	always = condition{always: true}
	never  = condition{}
)

func (c condition) never() bool { return c.filter == nil && !c.always }

// not returns the opposite.
func (c condition) not() condition {
	if c.filter == nil {
		return condition{always: !c.always}
	}
	return condition{filter: bson.D{{Key: "$nor", Value: bson.A{c.filter}}}}
}

// allOf holds where all conditions do. The first is the first in the filter.
func allOf(conditions []condition) condition {
	out := condition{always: true}
	var filters bson.A
	for _, c := range conditions {
		if c.never() {
			return never
		}
		if c.filter != nil {
			filters = append(filters, c.filter)
			out.anchored = out.anchored || c.anchored
		}
	}
	return out.joined("$and", filters)
}

// anyOf holds where any of the conditions does.
func anyOf(conditions []condition) condition {
	out := condition{anchored: true}
	var filters bson.A
	for _, c := range conditions {
		if c.always {
			return always
		}
		if c.filter != nil {
			filters = append(filters, c.filter)
			out.anchored = out.anchored && c.anchored
		}
	}
	return out.joined("$or", filters)
}

func (c condition) joined(operator string, filters bson.A) condition {
	switch len(filters) {
	case 0:
		return condition{always: c.always}
	case 1:
		return condition{filter: filters[0].(bson.D), anchored: c.anchored} //nolint:forcetypeassert // made by us
	}
	return condition{filter: bson.D{{Key: operator, Value: filters}}, anchored: c.anchored}
}

// bound returns a condition that every resource of a type for which a term holds
// meets; or, if not upper, one that only such resources meet. They are the same
// if the term is exact. id is the name of the field that holds keys.
func (t *term) bound(typ, id string, upper bool) condition {
	if t.clause.Not {
		return t.positive(typ, id, !upper).not()
	}
	return t.positive(typ, id, upper)
}

func (t *term) positive(typ, id string, upper bool) condition {
	switch {
	case !applies(t.clause, typ):
		return never
	case t.join != nil:
		return t.join.bound(typ, t.clause.Param, id, upper)
	case t.clause.Any != nil:
		any := make([]condition, len(t.any))
		for i, list := range t.any {
			all := make([]condition, len(list))
			for j := range list {
				all[j] = list[j].bound(typ, id, upper)
			}
			any[i] = allOf(all)
		}
		return anyOf(any)
	}
	return rangesFilter(typ, t.clause, upper)
}

// exact reports whether a filter says all about a term.
func (t *term) exact(typ string) bool {
	switch {
	case !applies(t.clause, typ):
		return true
	case t.join != nil:
		return !t.join.open
	case t.clause.Any != nil:
		return !slices.ContainsFunc(t.any, func(list []term) bool {
			return slices.ContainsFunc(list, func(one term) bool { return !one.exact(typ) })
		})
	}
	return !hasKeep(t.clause)
}

// typeFilter returns the filter of one type's terms, in the order of a plan: the
// driving one first, because MongoDB finds documents by one element of ix and
// tests the others on what it finds. drive is the step that drives, -1 for none:
// then every resource of the type is looked at.
func (sel *selection) typeFilter(typ string, plan search.Plan, id string) (filter condition, drive int) {
	drive = -1
	rows := 0.0 // of the driving step
	all := make([]condition, 1, len(plan.Steps)+1)
	all[0] = always // room for what drives
	for i, step := range plan.Steps {
		t := sel.term(typ, step.Clause)
		f := t.bound(typ, id, true)
		switch {
		case drive < 0 && f.anchored:
			drive, rows, all[0] = i, step.Rows, f
		case drive >= 0 && f.anchored && t.byValue() && rows > 0 && step.Rows >= decisive*rows:
			all = append(all, condition{filter: testFilter(typ, t.clause)})
		default:
			all = append(all, f)
		}
	}
	if drive < 0 {
		all[0] = condition{filter: bson.D{{Key: "ix", Value: existence(typ)}}, anchored: true}
	}
	return allOf(all), drive
}

// decisive is how many times more a clause must select than the driving one for
// the planner to forbid the database to drive by it. Closer ones are left to the
// database, which tries.
const decisive = 4

// testFilter is rangesFilter for a clause that is only to be tested: as an
// expression, which no index serves.
func testFilter(typ string, c *search.Clause) bson.D {
	var any bson.A
	for i := range c.Ranges {
		r := &c.Ranges[i]
		if value, is := singleValue(r); is {
			if r.Keep == nil || r.Keep(value) {
				any = append(any, bson.D{{Key: "$eq", Value: bson.A{"$$e", literal(element(typ, c.Param, value))}}})
			}
		} else if from, to, ok := bounds(typ, c.Param, r); ok {
			any = append(any, within(from, to))
		}
	}
	return bson.D{{Key: "$expr", Value: bson.D{{Key: "$gt", Value: bson.A{bson.D{{Key: "$size", Value: elementsWhere(bson.D{{Key: "$or", Value: any}})}}, 0}}}}}
}

// rangesFilter is the bound of a clause's ranges. Those whose Keep must be asked
// too belong to the upper one alone.
func rangesFilter(typ string, c *search.Clause, upper bool) condition {
	var single []string
	var any []condition
	for i := range c.Ranges {
		r := &c.Ranges[i]
		if value, is := singleValue(r); is {
			if r.Keep == nil || r.Keep(value) {
				single = append(single, element(typ, c.Param, value))
			}
			continue
		}
		from, to, ok := bounds(typ, c.Param, r)
		if !ok || !upper && r.Keep != nil {
			continue
		}
		// Without $elemMatch one element might meet each bound.
		any = append(any, condition{anchored: true, filter: bson.D{
			{Key: "ix", Value: bson.D{{Key: "$elemMatch", Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lt", Value: to}}}}},
		}})
	}
	return anyOf(append(any, oneOf("ix", single)))
}

// oneOf is the condition that a field has one of the values.
func oneOf(field string, values []string) condition {
	switch len(values) {
	case 0:
		return never
	case 1:
		return condition{filter: bson.D{{Key: field, Value: values[0]}}, anchored: true}
	}
	slices.Sort(values)
	return condition{filter: bson.D{{Key: field, Value: bson.D{{Key: "$in", Value: slices.Compact(values)}}}}, anchored: true}
}

// singleValue returns the one value that a range can hold.
func singleValue(r *search.Range) ([]byte, bool) {
	n := len(r.From)
	return r.From, len(r.To) == n+1 && r.To[n] == 0 && bytes.Equal(r.To[:n], r.From)
}

// bounds returns the elements a range lies between; ok is false if it is empty.
func bounds(typ, param string, r *search.Range) (from, to string, ok bool) {
	from, to = element(typ, param, r.From), behind(typ, param)
	if r.To != nil {
		to = element(typ, param, r.To)
	}
	return from, to, from < to
}

// hasKeep reports whether a range of a clause has a Keep that cannot be asked
// beforehand.
func hasKeep(c *search.Clause) bool {
	return slices.ContainsFunc(c.Ranges, func(r search.Range) bool {
		_, single := singleValue(&r)
		return r.Keep != nil && !single
	})
}

// within is the condition for elementsWhere that an element lies in a range, but
// for its Keep.
func within(from, to string) bson.D {
	return bson.D{{Key: "$and", Value: bson.A{
		bson.D{{Key: "$gte", Value: bson.A{"$$e", literal(from)}}}, bson.D{{Key: "$lt", Value: bson.A{"$$e", literal(to)}}},
	}}}
}

// literal keeps a string from being read as an expression.
func literal(s string) bson.D { return bson.D{{Key: "$literal", Value: s}} }

// elementsWhere is the expression for the elements of ix that meet a condition
// on "$$e".
func elementsWhere(condition bson.D) bson.D {
	return bson.D{{Key: "$filter", Value: bson.D{{Key: "input", Value: bson.D{{Key: "$ifNull", Value: bson.A{"$ix", bson.A{}}}}}, {Key: "as", Value: "e"}, {Key: "cond", Value: condition}}}}
}
