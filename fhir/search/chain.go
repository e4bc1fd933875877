package search

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Chains, https://hl7.org/fhir/R4/search.html#chaining, and _has,
// https://hl7.org/fhir/R4/search.html#has. Several chains of one search are
// separate: each may hold for another referenced resource.

// chain reads what stands behind a reference parameter, as name does in
// Observation?subject:Patient.name=ada.
func (p *parser) chain(at place, m meaning, modifier, rest, value string) (Clause, error) {
	return p.joined(at, m, modifier, func(next place) ([]holding, error) { return p.holdings(next, rest, value) })
}

// joined is the clause of a reference parameter for what read makes of the place
// it leads to; a modifier names the type there.
func (p *parser) joined(at place, m meaning, modifier string, read func(next place) ([]holding, error)) (Clause, error) {
	param := m.params[0]
	if at.depth++; at.depth > MaxDepth {
		return Clause{}, errDeep
	}
	if param.Type != TypeReference {
		return Clause{}, unusable{fhir.Errorf(fhir.Invalid, "%s is a %s parameter: only behind references others can be chained", param.Name, param.Type)}
	}
	if err := followed(m.params); err != nil {
		return Clause{}, unusable{err}
	}
	types := targets(m.params)
	if modifier != "" {
		if err := checkTarget(m.params, types, modifier); err != nil {
			return Clause{}, err
		}
		types = []string{modifier}
	}
	next := p.registry.place(types)
	next.loose, next.depth = true, at.depth
	held, err := read(next)
	if err != nil {
		return Clause{}, err
	}
	alternatives := make([]Clause, 0, len(held))
	for _, h := range held {
		alternatives = append(alternatives, Clause{Param: param.Name, Join: &Join{Types: h.types, Where: []Clause{h.clause}}})
	}
	return either(alternatives), nil
}

// either is a clause that holds if any of some others does, at least one.
func either(clauses []Clause) Clause {
	if len(clauses) == 1 {
		return clauses[0]
	}
	all := make([][]Clause, 0, len(clauses))
	for _, c := range clauses {
		all = append(all, []Clause{c})
	}
	return Clause{Any: all}
}

var errDeep = fhir.Errorf(fhir.TooLarge, "more than %d references are followed", MaxDepth)

// followed returns an error if no element of the parameters refers to a resource
// by its type and id, which is what chains and _has follow.
func followed(params []*Param) error {
	name := params[0].Name
	switch {
	case hasLiterals(params):
		return nil
	case isInline(params[0]):
		return fhir.Errorf(fhir.NotSupported, "%s is a resource inside of the Bundle, and only references to others are followed", name)
	}
	return fhir.Errorf(fhir.NotSupported, "%s refers by canonical URL, and literal references only are followed: search by the URL, as in %s=http://…", name, name)
}

// hasLiterals reports whether any of the parameters looks at elements that
// refer to a resource by its type and id.
func hasLiterals(params []*Param) bool {
	return slices.ContainsFunc(params, func(p *Param) bool { return p.has("Reference") })
}

// isInline reports whether a parameter looks at resources inside of the resource
// itself: Bundle.composition and Bundle.message.
func isInline(p *Param) bool { return p.has("Resource") }

// checkTarget returns an error unless a reference can point at a type.
func checkTarget(params []*Param, types []string, typ string) error {
	switch {
	case !resource.KnownType(typ):
		return fhir.Errorf(fhir.Invalid, "%q is not a resource type%s", fhir.Clip(typ), hint(typ, types))
	case !slices.Contains(types, typ):
		return fhir.Errorf(fhir.Invalid, "%s cannot refer to %s, only to %s", params[0].Name, typ, strings.Join(types, ", "))
	}
	return nil
}

var errHas = fhir.Errorf(fhir.Invalid, "_has is written _has:Type:reference:parameter=value, as in _has:Observation:patient:code=1234-5")

// has reads what stands behind "_has:": the type of the others, their parameter
// that refers to what is searched, and a criterion of theirs.
func (p *parser) has(at place, expression, value string) (holding, error) {
	typ, rest, ok := strings.Cut(expression, ":")
	name, rest, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || typ == "" || name == "" || rest == "" {
		return holding{}, errHas
	}
	if at.depth++; at.depth > MaxDepth {
		return holding{}, errDeep
	}
	set := p.registry.types[typ]
	if set == nil {
		return holding{}, unusable{fhir.Errorf(fhir.Invalid, "_has: %q is not a resource type%s", fhir.Clip(typ), hint(typ, resource.Types()))}
	}
	param, err := referenceOf(typ, set, name, at.types)
	if err != nil {
		return holding{}, unusable{explain(err, "_has")}
	}
	if err := followed([]*Param{param}); err != nil {
		return holding{}, unusable{explain(err, "_has: "+typ)}
	}
	types := at.types
	if at.loose && len(param.Targets) > 0 {
		types = common(at.types, param.Targets)
	}
	next := p.registry.place([]string{typ})
	next.depth = at.depth
	inner, err := p.criterion(next, rest, value)
	if err != nil {
		return holding{}, err
	}
	return holding{types, Clause{Param: name, Join: &Join{Reverse: true, Types: next.types, Where: []Clause{inner}}}}, nil
}

// referenceOf finds a reference parameter of a type that can point at any of
// some types; none means all. The error tells those that can.
func referenceOf(typ string, set *typeParams, name string, at []string) (*Param, error) {
	if param := set.byName[name]; param != nil && param.Type == TypeReference && canPoint(param, at) {
		return param, nil
	}
	var names []string
	for _, param := range set.params {
		if param.Type == TypeReference && canPoint(param, at) {
			names = append(names, param.Name)
		}
	}
	toward := ""
	if len(at) > 0 && len(at) <= 8 {
		toward = " to " + strings.Join(at, ", ")
	}
	if len(names) == 0 {
		return nil, fhir.Errorf(fhir.Invalid, "no parameter of %s refers%s", typ, toward)
	}
	return nil, fhir.Errorf(fhir.Invalid, "%s.%s is not a parameter that refers%s%s. Those of %s are: %s",
		typ, fhir.Clip(name), toward, hint(name, names), typ, strings.Join(fhir.NearestFirst(name, names), ", "))
}

// canPoint reports whether a reference can point at any of some types; none
// means all.
func canPoint(param *Param, at []string) bool {
	return len(at) == 0 || len(param.Targets) == 0 || len(common(at, param.Targets)) > 0
}

// common returns what two lists share, in the order of the first.
func common(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}
