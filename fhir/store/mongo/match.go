package mongo

import (
	"bytes"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir/search"
)

// selection is what a query's clauses mean as a filter on ix.
type selection struct {
	// types are the types that can match, sorted; where are their clauses.
	types []string
	where map[string][]search.Clause
	// filter holds for every match, and if exact for nothing else. Nil if
	// nothing can match.
	filter bson.D
	exact  bool
}

// selectTypes makes the selection of a query over types, narrowed by its scope.
func (s *Store) selectTypes(q *search.Query, types []string) *selection {
	sel := &selection{where: map[string][]search.Clause{}, exact: true}
	var any bson.A
	var whole []string
	for _, typ := range slices.Compact(slices.Sorted(slices.Values(types))) {
		where, ok := q.WhereOf(typ)
		if !ok {
			continue
		}
		plan := search.PlanType(typ, where, s.stats.current())
		filter, exact, ok := typeFilter(typ, plan)
		if !ok {
			continue
		}
		sel.types = append(sel.types, typ)
		sel.where[typ] = where
		sel.exact = sel.exact && exact
		if len(where) == 0 {
			whole = append(whole, existence(typ))
		} else {
			any = append(any, filter)
		}
	}
	switch len(whole) {
	case 0:
	case 1:
		any = append(any, bson.D{{Key: "ix", Value: whole[0]}})
	default:
		any = append(any, bson.D{{Key: "ix", Value: bson.D{{Key: "$in", Value: whole}}}})
	}
	switch len(any) {
	case 0:
	case 1:
		sel.filter = any[0].(bson.D) //nolint:forcetypeassert // made above
	default:
		sel.filter = bson.D{{Key: "$or", Value: any}}
	}
	return sel
}

// typeFilter returns the filter of one type's clauses, the driving one first,
// because MongoDB finds documents by one element of ix and tests the others on
// what it finds. ok is false if nothing can match.
func typeFilter(typ string, plan search.Plan) (filter bson.D, exact, ok bool) {
	exact = true
	all := bson.A{}
	if plan.Drive < 0 {
		all = append(all, bson.D{{Key: "ix", Value: existence(typ)}})
	}
	for i, step := range plan.Steps {
		c := step.Clause
		f, sure, some := clauseFilter(typ, c)
		switch {
		case !some && c.Not: // holds for everything
		case !some:
			return nil, true, false
		case !c.Not && i > 0 && plan.Rows > 0 && step.Rows >= decisive*plan.Rows:
			all = append(all, testFilter(typ, c))
			exact = exact && sure
		case !c.Not:
			all = append(all, f)
			exact = exact && sure
		case sure:
			all = append(all, bson.D{{Key: "$nor", Value: bson.A{f}}})
		default:
			exact = false // what f selects too much must not be left out
		}
	}
	if len(all) == 1 {
		return all[0].(bson.D), exact, true //nolint:forcetypeassert // made above
	}
	return bson.D{{Key: "$and", Value: all}}, exact, true
}

// decisive is how many times more a clause must select than the driving one for
// the planner to forbid the database to drive by it. Closer ones are left to the
// database, which tries.
const decisive = 4

// testFilter is clauseFilter for a clause that is only to be tested: as an
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
			any = append(any, within("$$e", from, to))
		}
	}
	return bson.D{{Key: "$expr", Value: bson.D{{Key: "$gt", Value: bson.A{bson.D{{Key: "$size", Value: elementsWhere(bson.D{{Key: "$or", Value: any}})}}, 0}}}}}
}

// clauseFilter returns the filter of a clause's ranges. sure is false if their
// Keep must be asked too; some is false if they are all empty.
func clauseFilter(typ string, c *search.Clause) (filter bson.D, sure, some bool) {
	sure = true
	var single []string
	var any bson.A
	for i := range c.Ranges {
		r := &c.Ranges[i]
		if value, is := singleValue(r); is {
			if r.Keep == nil || r.Keep(value) {
				single = append(single, element(typ, c.Param, value))
			}
			continue
		}
		from, to, ok := bounds(typ, c.Param, r)
		if !ok {
			continue
		}
		sure = sure && r.Keep == nil
		// Without $elemMatch one element might meet each bound.
		any = append(any, bson.D{{Key: "ix", Value: bson.D{{Key: "$elemMatch", Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lt", Value: to}}}}}})
	}
	switch len(single) {
	case 0:
	case 1:
		any = append(any, bson.D{{Key: "ix", Value: single[0]}})
	default:
		slices.Sort(single)
		any = append(any, bson.D{{Key: "ix", Value: bson.D{{Key: "$in", Value: slices.Compact(single)}}}})
	}
	switch len(any) {
	case 0:
		return nil, sure, false
	case 1:
		return any[0].(bson.D), sure, true //nolint:forcetypeassert // made above
	}
	return bson.D{{Key: "$or", Value: any}}, sure, true
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

// within is the expression that an element lies in a range, but for its Keep.
func within(element, from, to string) bson.D {
	return bson.D{{Key: "$and", Value: bson.A{
		bson.D{{Key: "$gte", Value: bson.A{element, literal(from)}}}, bson.D{{Key: "$lt", Value: bson.A{element, literal(to)}}},
	}}}
}

// literal keeps a string from being read as an expression.
func literal(s string) bson.D { return bson.D{{Key: "$literal", Value: s}} }

// elementsWhere is the expression for the elements of ix that meet a condition
// on "$$e".
func elementsWhere(condition bson.D) bson.D {
	return bson.D{{Key: "$filter", Value: bson.D{{Key: "input", Value: bson.D{{Key: "$ifNull", Value: bson.A{"$ix", bson.A{}}}}}, {Key: "as", Value: "e"}, {Key: "cond", Value: condition}}}}
}
