package search

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// include reads one _include or _revinclude: Type:parameter, Type:parameter:Target,
// Type:* and for _include also *.
//
// https://hl7.org/fhir/R4/search.html#include
func (p *parser) include(in pair) error {
	name, modifier, modified := strings.Cut(in.name, ":")
	if modified && modifier != "iterate" && modifier != "recurse" { // STU3's word
		return fhir.Errorf(fhir.Invalid, "%q is not a modifier of %s: it has iterate", fhir.Clip(modifier), name)
	}
	if len(p.request.Includes) == MaxIncludes {
		return fhir.Errorf(fhir.TooLarge, "a search can have %d times _include and _revinclude at most", MaxIncludes)
	}
	if in.value == "" {
		return p.refuse(in.name, fhir.Errorf(fhir.Invalid, "%s has no value", name))
	}
	include, err := p.readInclude(in.value, name == "_revinclude", modified)
	if err != nil {
		return explain(err, name)
	}
	if !slices.Contains(p.request.Includes, include) {
		p.request.Includes = append(p.request.Includes, include)
	}
	p.results = append(p.results, in.String())
	return nil
}

func (p *parser) readInclude(value string, reverse, iterate bool) (Include, error) {
	include := Include{Reverse: reverse, Iterate: iterate}
	parts := strings.Split(value, ":")
	include.Type = parts[0]
	switch {
	case value == "*" && reverse:
		return include, fhir.Errorf(fhir.Invalid, "* stands for every reference of every type: name the type, as in Observation:* or Observation:subject")
	case value == "*":
		include.Param = "*"
		return include, nil
	case len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, ""):
		return include, fhir.Errorf(fhir.Invalid, "%q is not Type:parameter, Type:parameter:Target or Type:*", fhir.Clip(value))
	}
	set := p.registry.types[include.Type]
	if set == nil {
		return include, fhir.Errorf(fhir.Invalid, "%q is not a resource type%s", fhir.Clip(include.Type), hint(include.Type, resource.Types()))
	}
	if include.Param = parts[1]; len(parts) == 3 {
		include.Target = parts[2]
		if !resource.KnownType(include.Target) {
			return include, fhir.Errorf(fhir.Invalid, "%q is not a resource type%s", fhir.Clip(include.Target), hint(include.Target, resource.Types()))
		}
	}
	if include.Param == "*" {
		return include, p.checkReach(include, nil)
	}
	param, err := referenceOf(include.Type, set, include.Param, nil)
	if err != nil {
		return include, err
	}
	if err := followed([]*Param{param}); err != nil && !param.Included() {
		return include, explain(err, include.Type)
	}
	if include.Target != "" {
		if err := checkTarget([]*Param{param}, targets([]*Param{param}), include.Target); err != nil {
			return include, err
		}
	}
	return include, p.checkReach(include, param)
}

// checkReach returns an error for an include that can bring nothing: it does not
// begin at a type that is searched. What iterates begins at included types too.
func (p *parser) checkReach(i Include, param *Param) error {
	types := p.at.types
	switch {
	case len(types) == 0 || i.Iterate:
		return nil
	case !i.Reverse && !slices.Contains(types, i.Type):
		return fhir.Errorf(fhir.Invalid, "%s:%s: the search finds %s and no %s. To include from what is included write _include:iterate", i.Type, i.Param, strings.Join(types, ", "), i.Type)
	case !i.Reverse:
		return nil
	case i.Target != "" && !slices.Contains(types, i.Target), param != nil && !slices.ContainsFunc(types, func(t string) bool { return p.registry.CanPoint(param, t) }):
		return fhir.Errorf(fhir.Invalid, "%s:%s does not refer to %s, which the search finds. To include what refers to what is included write _revinclude:iterate", i.Type, i.Param, strings.Join(types, ", "))
	}
	return nil
}

// finishIncludes checks includes against the rest of the search.
//
// https://hl7.org/fhir/R4/search.html#summary: _include and _revinclude "cannot
// be mixed with _summary=text".
func (p *parser) finishIncludes() {
	if len(p.request.Includes) > 0 && p.request.Summary == "text" {
		p.problems = append(p.problems, fhir.Errorf(fhir.Invalid, "_summary=text cannot be mixed with _include and _revinclude: leave one of them out"))
	}
}
