package search

import (
	"slices"
	"time"

	"github.com/starling-fhir/starling/fhir"
)

// ParseOptions say how a search is read.
type ParseOptions struct {
	// Lenient is the client's "Prefer: handling=lenient": unknown and unbuilt
	// parameters are ignored instead of refused. Bad values and modifiers are
	// refused all the same.
	// https://hl7.org/fhir/R4/search.html#errors
	Lenient bool
	// Base is our own FHIR base URL without a slash at its end. References
	// that start with it equal relative ones. Empty means none do.
	Base string
	// Now is for ap on dates, whose width is 10 % of the gap between the date
	// and now. Zero makes ap the overlap of the dates as written.
	Now time.Time
	// Lookup answers what has to be known of stored resources to read a search.
	// Without one, what needs it is NotSupported.
	Lookup Lookup
	// Explain allows _explain, which is an unknown parameter without it.
	Explain bool
}

// Lookup answers what modifiers and _list need to know of stored resources, as
// far as the asker may see them. The error is Invalid for what is not there, and
// NotSupported for what cannot be worked out from what is stored.
type Lookup interface {
	// Codes returns the codes of a value set, named by its canonical URL, with or
	// without a version, or as ValueSet/id: for :in and :not-in.
	Codes(valueSet string) ([]Coding, error)
	// Subsumes returns the codes below a code, or with above those above it, and
	// the code itself, by the hierarchy of its stored code system: for :below and
	// :above.
	Subsumes(code Coding, above bool) ([]Coding, error)
	// Members returns what a List, or the Group that a List may stand for, has as
	// its entries: for _list.
	Members(list string) ([]fhir.Key, error)
	// Hierarchy returns the resource and all below it, or with above all above it,
	// by the parameter with which resources of its type name their parent: for
	// :below and :above of references.
	Hierarchy(key fhir.Key, above bool) ([]fhir.Key, error)
}

// Coding is a code of a system. An empty Code means every code of the system.
type Coding struct {
	System, Code string
}

// Include asks for resources that go along with those found: _include and
// _revinclude, https://hl7.org/fhir/R4/search.html#include.
type Include struct {
	// Reverse is _revinclude: what refers to the resources. Else what they refer to.
	Reverse bool
	Type    string // whose parameter it is; "*" for _include=*
	Param   string // a reference parameter of Type; "*" for all of them
	Target  string // the only type that is referred to; "" for any
	// Iterate applies it to what was included too.
	Iterate bool
}

// Request is a search as it was understood.
type Request struct {
	Query Query
	// Criteria is the normalised form of what selects resources: decoded,
	// escaped in one way, sorted, modifiers kept. Equal criteria of conditional
	// interactions have equal Criteria. Empty means everything is selected.
	Criteria string
	// Self is the query string of what was used, for the self link, without
	// the page's cursor.
	Self     string
	Ignored  []string // names of parameters that were ignored, as sent
	Summary  string   // "", "true", "text", "data", "count" or "false"
	Elements []string // of _elements; empty means all
	Format   string   // of _format, as sent
	Pretty   bool
	Includes []Include
	// Text are the folded words that _text and _content looked for, each once: a
	// match's score tells how well it fits them. Empty without such a search.
	Text []string
	// Contained says which contained resources to search: "" none, "true" only
	// them, "both" them and those with an address. ContainedType says whether to
	// return the "container" or the "contained"; it is set if Contained is.
	//
	// With "true" Query finds containers, of all types. With "both" there are two
	// searches, one behind the other: Query, then Containers. Either way a
	// container that is found may hold no match: Registry.Contained returns those
	// it holds, and one without is left out of the answer.
	Contained, ContainedType string
	Containers               *Query

	inner      []Clause // what a contained resource must match
	innerTypes []string
}

// Joined reports whether what selects resources is about other resources too:
// with chains or _has. Such criteria are no condition of a write: the others can
// change before it is done.
func (r *Request) Joined() bool { return joined(r.Query.Where) }

func joined(where []Clause) bool {
	return slices.ContainsFunc(where, func(c Clause) bool {
		return c.Join != nil || slices.ContainsFunc(c.Any, joined)
	})
}

// Restrict adds a clause that stands in the URL's path, such as that of a
// compartment, and what it is called there: equal names are equal clauses.
func (r *Request) Restrict(name string, c Clause) {
	r.Query.Where = append(slices.Clone(r.Query.Where), c)
	r.Query.Identity = identity(r.Query.Identity, name)
	if r.Containers != nil {
		r.Containers.Where = append(slices.Clone(r.Containers.Where), c)
		r.Containers.Identity = identity(r.Containers.Identity, name)
	}
}
