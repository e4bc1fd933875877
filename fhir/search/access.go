package search

import "github.com/starling-fhir/starling/fhir"

// Access is what one caller may see and do. The table of interactions in
// fhir/rest asks it before a handler runs, and searches are narrowed by it, so
// that no handler can forget to. The zero Access allows nothing.
type Access struct {
	all bool
}

// FullAccess allows everything. Only --insecure-no-auth hands it out.
func FullAccess() Access { return Access{all: true} }

// Allow returns nil if the caller may use an interaction ("read", "create",
// "search-type", …, as in
// https://hl7.org/fhir/R4/valueset-system-restful-interaction.html and
// https://hl7.org/fhir/R4/valueset-type-restful-interaction.html) on a resource
// type; typ is "" for the whole system. The error is Forbidden.
func (a Access) Allow(interaction, typ string) error {
	if a.all {
		return nil
	}
	if typ == "" {
		return fhir.Errorf(fhir.Forbidden, "not allowed: %s", interaction)
	}
	return fhir.Errorf(fhir.Forbidden, "not allowed: %s of %s", interaction, typ)
}

// Sees reports whether the caller may see a version of a resource. What it may
// not see is answered exactly as what is not there.
func (a Access) Sees(*fhir.Resource) bool { return a.all }

// Narrow restricts a query to what the caller may see.
func (a Access) Narrow(q Query) Query {
	if a.all {
		return q
	}
	q.Where = append(q.Where[:len(q.Where):len(q.Where)], Clause{Param: "_id"}) // no ranges: matches nothing
	q.Identity += "|none"
	return q
}
