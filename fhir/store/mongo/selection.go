package mongo

import (
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir/search"
)

// selection is what a query's clauses mean as a filter on ix. The query is that
// of a page, or that for the others of a join.
type selection struct {
	s     *Store
	query *search.Query
	// asked are the types that the scope lets it look at, sorted; where are their
	// clauses and terms the same made ready.
	asked []string
	where map[string][]search.Clause
	terms map[string][]term
	joins []*joined // each once

	// What choose finds out. types are the asked ones that can match.
	types []string
	plans map[string]search.Plan
	rows  float64 // about how many resources match, by their plans
	// filter holds for every match, and if exact for nothing else. Nil if
	// nothing can match. former is the same for documents of history.
	filter, former bson.D
	exact          bool
}

// term is a clause on its way into a filter.
type term struct {
	clause *search.Clause
	join   *joined  // of a join
	any    [][]term // of alternatives
}

// byValue reports whether ranges decide about a term.
func (t *term) byValue() bool { return t.join == nil && t.clause.Any == nil && !t.clause.Not }

// applies reports whether a clause can hold for a type, but for its Not.
func applies(c *search.Clause, typ string) bool {
	return len(c.Types) == 0 || slices.Contains(c.Types, typ)
}

// selectTypes makes the selection of a query without joins over types, narrowed
// by its scope.
func (s *Store) selectTypes(q *search.Query, types []string) *selection {
	sel := s.newSelection(q, types)
	sel.choose()
	return sel
}

// newSelection makes a selection whose joins nobody has looked at yet.
func (s *Store) newSelection(q *search.Query, types []string) *selection {
	sel := &selection{s: s, query: q, where: map[string][]search.Clause{}, terms: map[string][]term{}}
	for _, typ := range slices.Compact(slices.Sorted(slices.Values(types))) {
		where, ok := q.WhereOf(typ)
		if !ok {
			continue
		}
		sel.asked = append(sel.asked, typ)
		sel.where[typ] = where
		sel.terms[typ] = sel.ready(typ, where)
	}
	return sel
}

func (sel *selection) ready(typ string, where []search.Clause) []term {
	out := make([]term, len(where))
	for i := range where {
		c := &where[i]
		out[i].clause = c
		switch {
		case !applies(c, typ):
		case c.Join != nil:
			out[i].join = sel.join(c)
		default:
			for _, list := range c.Any {
				out[i].any = append(out[i].any, sel.ready(typ, list))
			}
		}
	}
	return out
}

// choose makes the filter, with what is known of the joins.
func (sel *selection) choose() {
	sel.types, sel.plans, sel.rows, sel.exact = nil, map[string]search.Plan{}, 0, true
	keyed := slices.ContainsFunc(sel.joins, func(j *joined) bool { return j.clause.Join.Reverse })
	filters, formers := filterOf{}, filterOf{}
	for _, typ := range sel.asked {
		plan := search.PlanType(typ, sel.where[typ], estimate{sel.s.stats.current(), sel})
		f, drive := sel.typeFilter(typ, plan, "_id")
		if plan.Drive = drive; drive < 0 {
			plan.Rows = sel.s.stats.current().Resources(typ)
		} else {
			plan.Rows = plan.Steps[drive].Rows
		}
		sel.plans[typ] = plan
		if f.never() {
			continue
		}
		sel.types = append(sel.types, typ)
		sel.rows += plan.Rows
		sel.exact = sel.exact && !slices.ContainsFunc(sel.terms[typ], func(t term) bool { return !t.exact(typ) })
		filters.add(typ, f)
		if keyed {
			f, _ = sel.typeFilter(typ, plan, "key")
			formers.add(typ, f)
		}
	}
	sel.filter = filters.filter()
	sel.former = sel.filter
	if keyed {
		sel.former = formers.filter()
	}
}

// term returns the term of one of the clauses of a type.
func (sel *selection) term(typ string, c *search.Clause) *term {
	terms := sel.terms[typ]
	return &terms[slices.IndexFunc(terms, func(t term) bool { return t.clause == c })]
}

// filterOf joins the filters of several types: those that are asked for whole
// need but one.
type filterOf struct {
	any   []condition
	whole []string
}

func (f *filterOf) add(typ string, c condition) {
	if only, _ := c.filter[0].Value.(string); len(c.filter) == 1 && c.filter[0].Key == "ix" && only == existence(typ) {
		f.whole = append(f.whole, only)
		return
	}
	f.any = append(f.any, c)
}

func (f *filterOf) filter() bson.D { return anyOf(append(f.any, oneOf("ix", f.whole))).filter }

// estimate says about how large the parts of a selection are.
type estimate struct {
	*sample
	sel *selection
}

// Rows implements [search.Estimator]. Of joins it knows what was found.
func (e estimate) Rows(typ string, c *search.Clause) float64 {
	switch all := e.Resources(typ); {
	case !applies(c, typ):
		return 0
	case c.Join != nil:
		j := e.sel.joinOf(c)
		if j == nil || j.open {
			return all
		}
		return min(all, j.share(e.sample, typ))
	case c.Any != nil:
		sum := 0.0
		for _, list := range c.Any {
			least := all
			for i := range list {
				rows := e.Rows(typ, &list[i])
				if list[i].Not {
					rows = max(0, all-rows)
				}
				least = min(least, rows)
			}
			sum += least
		}
		return min(all, sum)
	}
	return e.sample.Rows(typ, c)
}

// paramsToAsk are the parameters of a type whose elements holds must see.
func (sel *selection) paramsToAsk(typ string) []string {
	var params []string
	var collect func(t *term)
	collect = func(t *term) {
		switch {
		case !applies(t.clause, typ) || t.join != nil && t.join.clause.Join.Reverse:
		case t.clause.Any != nil && t.join == nil:
			for _, list := range t.any {
				for i := range list {
					collect(&list[i])
				}
			}
		default:
			params = append(params, t.clause.Param)
		}
	}
	for i := range sel.terms[typ] {
		if t := &sel.terms[typ][i]; !t.exact(typ) {
			collect(t)
		}
	}
	return params
}

// matches asks the terms that the filter could not decide.
func (sel *selection) matches(c *candidate) bool {
	for i := range sel.terms[c.typ] {
		if t := &sel.terms[c.typ][i]; !t.exact(c.typ) && !t.holds(c) {
			return false
		}
	}
	return true
}

// holds reports whether a term holds for a resource. Of a join that is open, the
// candidate must have been tested.
func (t *term) holds(c *candidate) bool { return t.clause.Not != t.holdsPositive(c) }

func (t *term) holdsPositive(c *candidate) bool {
	switch {
	case !applies(t.clause, c.typ):
		return false
	case t.join != nil:
		return t.join.holds(t.clause.Param, c)
	case t.clause.Any != nil:
		return slices.ContainsFunc(t.any, func(list []term) bool {
			return !slices.ContainsFunc(list, func(one term) bool { return !one.holds(c) })
		})
	}
	return search.Match(c.typ, c.entries, search.Clause{Param: t.clause.Param, Ranges: t.clause.Ranges})
}
