// Package search turns search URLs into queries and resources into index
// entries. Both sides speak one language: ordered byte strings under a
// parameter's name. A store needs to know nothing about dates, tokens or
// quantities: it keeps entries sorted and answers which resources have an
// entry inside a range.
//
// Start with [Registry]: the compiled search parameters.
package search

import (
	"bytes"
	"slices"

	"github.com/starling-fhir/starling/fhir"
)

// Entry is one index entry of one resource: a value under a parameter.
//
// Value's first byte is its class (see encode.go); within a class values are
// in the order FHIR compares them. A value is at most 512 bytes.
type Entry struct {
	Param string
	Value []byte
}

// Range selects entries of one parameter: From <= value < To. A nil To has no
// upper end. Keep, if set, must also accept the value.
type Range struct {
	From, To []byte
	Keep     func(value []byte) bool
}

// Clause is one predicate of a query, in one of three forms. With Not it holds
// where it otherwise would not.
//
//   - By value: a resource matches if any of its entries under Param lies in any
//     of Ranges. Empty Ranges match nothing.
//   - Join set: a resource matches if it is joined, by a reference under Param,
//     with another one that matches. Ranges count for nothing.
//   - Any set: a resource matches if all clauses of any of the lists hold for it.
//     Param and Ranges count for nothing. An empty list holds for everything.
//
// Types, if set, are the only types the clause can hold for: of any other type a
// resource does not match (with Not: it does).
type Clause struct {
	Param  string
	Ranges []Range
	Join   *Join
	Any    [][]Clause
	Not    bool
	Types  []string
}

// Join is a predicate about other resources: a chained parameter or _has.
//
// A literal reference joins, relative or below our own base, with or without a
// version: then with the newest one. Of the others only those count that the
// query's Scope sees, and that live at the page's moment. A resource may be its
// own other.
type Join struct {
	// Reverse: the others refer to the resource, under the Clause's Param, which
	// is then a parameter of Types. Else the resource refers to the others.
	Reverse bool
	// Types are the types of the others, sorted, not empty.
	Types []string
	// Where must all hold for one and the same other resource. Empty: it need only
	// be there.
	Where []Clause
}

// Joins reports whether a clause, or one inside it, has a Join.
func (c Clause) Joins() bool {
	return c.Join != nil || slices.ContainsFunc(c.Any, func(all []Clause) bool { return slices.ContainsFunc(all, Clause.Joins) })
}

// Sort is one sort key. The resource's key under Param is its least value
// inside Range (with Desc: its greatest); resources without one come last,
// whatever the direction.
type Sort struct {
	Param string
	Range Range
	Desc  bool
}

// Total says how hard to try to count all matches.
type Total int

// The three ways to count.
const (
	// TotalCheap gives the exact total if it is known within 10,000 index
	// rows, else none. See Query.Counting.
	TotalCheap Total = iota
	TotalNone
	TotalAccurate
)

// Query is a typed, validated search, the same for every store. All clauses
// must hold.
type Query struct {
	// Types are the resource types to search, sorted; empty means all.
	Types []string
	Where []Clause
	Sort  []Sort
	// Count is the page size, 0 to 1,000. With 0 only the total is asked for.
	Count int
	Total Total
	// Cursor continues an earlier page. It is what a Page's Next said.
	Cursor string
	// Identity names the query for cursors: equal queries have equal
	// identities, whatever the page. Access is part of it.
	Identity string
	// Revision, if set, names the definitions by which the query was read: the error
	// is Conflict if the store no longer keeps its index by them.
	Revision string
	// Back asks for the page that ends before Cursor instead, which is what a Page's
	// Prev said. It needs a Cursor.
	Back bool
	// Explain asks for the page's Plans. What they tell (estimates, rows) depends
	// on everybody's data: whoever sets it must be allowed to see all of it.
	Explain bool
	// Scope is what the asker may find: of each type only what matches the
	// scope's clauses too, and nothing of types it does not reach. Nothing of an
	// answer, not its total, pages, cursors nor errors, depends on what lies
	// outside of it. Nil means everything. Access.Narrow sets it.
	Scope *Scope
}

// WhereOf returns the clauses a resource of one type must match; ok is false if
// nothing of the type can. Those of the scope come first.
func (q *Query) WhereOf(typ string) (where []Clause, ok bool) {
	own, ok := q.Scope.Clauses(typ)
	if len(own) == 0 {
		return q.Where, ok
	}
	return append(own, q.Where...), ok
}

// Counting is how a store counts. Whether a total is cheap can depend on how
// much of other patients the store steps over, and that must not show: so what
// is limited to patients is counted accurately, which is at most all their
// records, and not at all if whole types beside that had to be counted too.
func (q *Query) Counting() Total {
	limited, whole := q.Scope.reach(q.Types)
	switch {
	case q.Total != TotalCheap || !limited:
		return q.Total
	case whole:
		return TotalNone
	}
	return TotalAccurate
}

// NamesPatient reports whether the query itself asks for what refers to one of
// the patients that the scope limits a type to, as a patient's app does:
// Observation?patient=X. Then the scope's clauses leave out little or nothing
// that the query's own do not, and a store had better begin with those. It is
// good for a plan, never for leaving the scope's clauses away: a reference
// alone does not put a resource into a compartment.
func (q *Query) NamesPatient(typ string) bool {
	return slices.ContainsFunc(q.Scope.Of(typ).Patients, func(id string) bool {
		return names(q.Where, typ, link{key: fhir.Key{Type: "Patient", ID: id}}.exact().From)
	})
}

// names reports whether clauses that must all hold ask, for a type, for a value:
// one of them does, or each of its alternatives.
func names(where []Clause, typ string, value []byte) bool {
	return slices.ContainsFunc(where, func(c Clause) bool {
		switch {
		case c.Not, c.Join != nil, len(c.Types) > 0 && !slices.Contains(c.Types, typ):
			return false
		case c.Any != nil:
			return len(c.Any) > 0 && !slices.ContainsFunc(c.Any, func(all []Clause) bool { return !names(all, typ, value) })
		}
		return slices.ContainsFunc(c.Ranges, func(r Range) bool { return bytes.Equal(r.From, value) })
	})
}

// Page is a part of a query's answer.
type Page struct {
	Resources []*fhir.Resource
	// Total is the number of all matches, or -1 if it was not counted.
	Total int64
	// Next continues behind this page; "" if there is no more.
	Next string
	// Prev, with Query.Back, gives the page before this one; "" on the first.
	Prev string
	// Plans say how the types were searched, if Query.Explain asked.
	Plans []Plan
}
