package search

import (
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// A search in contained resources is one for their containers, which have the
// entries of what they contain under names of their own (containedParam). Those
// of two contained resources are not told apart there: whether one of them
// matches altogether is asked of the found containers, see Contained.
//
// https://hl7.org/fhir/R4/search.html#contained

// readContained reads _contained.
func readContained(p *parser, value string) error {
	switch value {
	case "true", "both":
		p.request.Contained = value
	case "false":
	default:
		return fhir.Errorf(fhir.Invalid, "_contained: %q is not one of true, false, both", fhir.Clip(value))
	}
	p.use("_contained", value)
	return nil
}

// readContainedType reads _containedType. "Whether to return the container
// resource, or the contained resource".
func readContainedType(p *parser, value string) error {
	if value != "container" && value != "contained" {
		return fhir.Errorf(fhir.Invalid, "_containedType: %q is neither container nor contained", fhir.Clip(value))
	}
	p.request.ContainedType = value
	p.use("_containedType", value)
	return nil
}

// finishContained turns the query into one for containers.
func (p *parser) finishContained() {
	r := &p.request
	if r.Contained == "" {
		r.ContainedType = ""
		return
	}
	if r.ContainedType == "" {
		r.ContainedType = "container"
	}
	fail := func(kind fhir.Kind, reason string) {
		p.problems = append(p.problems, fhir.Errorf(kind, "_contained: %s", reason))
	}
	exact := len(r.Query.Where) <= 1 && !slices.ContainsFunc(r.Query.Where, func(c Clause) bool { return c.Not || c.Any != nil })
	switch {
	case len(p.at.types) == 0:
		fail(fhir.Invalid, "name the types to look for, in the URL or with _type")
		return
	case r.Joined() || p.seen["_list"]:
		fail(fhir.NotSupported, "chains, _has and _list are about resources with an address of their own, not about contained ones")
	case len(r.Query.Sort) > 0:
		fail(fhir.NotSupported, "what is contained in others has no order: leave _sort out")
	case len(r.Includes) > 0:
		fail(fhir.NotSupported, "_include and _revinclude are not supported together with it")
	case r.Query.Count == 0 && r.ContainedType == "contained":
		fail(fhir.NotSupported, "one container may hold several matches, so their number is not known: ask for pages, or for _containedType=container")
	case r.Query.Count == 0 && !exact:
		fail(fhir.NotSupported, "the number of matches is known for searches with one parameter only: ask for pages instead")
	}
	containers := r.Query
	containers.Types = nil
	containers.Where = []Clause{containing(p.at.types, r.Query.Where)}
	containers.Identity = identity(r.Query.Identity, "containers")
	if !exact {
		containers.Total = TotalNone
	}
	r.inner = r.Query.Where
	r.innerTypes = p.at.types
	if r.Contained == "both" {
		r.Containers = &containers
	} else {
		r.Query = containers
	}
}

// containing selects the containers of resources of any of some types of which
// clauses hold, and some others.
func containing(types []string, where []Clause) Clause {
	c := Clause{}
	for _, typ := range types {
		all := []Clause{Present(containedParam(typ, "_id"))}
		for _, w := range where {
			if outer, ok := outer(typ, w); ok {
				all = append(all, outer)
			}
		}
		c.Any = append(c.Any, all)
	}
	return c
}

// outer is what holds for the container of a resource for which a clause holds;
// ok is false if nothing can be said: another contained resource may be the
// reason why a negated clause does not hold for the container.
func outer(typ string, c Clause) (out Clause, ok bool) {
	switch {
	case c.Not, c.Join != nil:
		return Clause{}, false
	case len(c.Types) > 0 && !slices.Contains(c.Types, typ):
		return Clause{Param: containedParam(typ, c.Param)}, true // nothing
	case c.Any == nil:
		return Clause{Param: containedParam(typ, c.Param), Ranges: c.Ranges}, true
	}
	for _, list := range c.Any {
		var all []Clause
		for _, c := range list {
			if outer, ok := outer(typ, c); ok {
				all = append(all, outer)
			}
		}
		if len(all) == 0 {
			return Clause{}, false
		}
		out.Any = append(out.Any, all)
	}
	return out, true
}

// Contained returns the contained resources of a container that match a request
// with Contained set, in their order.
func (r *Registry) Contained(container *resource.Node, request *Request) ([]*resource.Node, error) {
	var out []*resource.Node
	for i, list := 0, container.List("contained"); i < len(list); i++ {
		n := &list[i]
		typ := n.Str("resourceType")
		if !slices.Contains(request.innerTypes, typ) {
			continue
		}
		entries, _, err := r.Extract(n)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(request.inner, func(c Clause) bool { return !Match(typ, entries, c) }) {
			out = append(out, n)
		}
	}
	return out, nil
}
