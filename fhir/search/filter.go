package search

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// _filter, https://hl7.org/fhir/R4/search_filter.html: tests of search
// parameters joined by and, or and not. A test asks whether any of the values of
// a parameter compares so; "not" is about the whole test, so that
// not (code eq x) holds for a resource without a code, and code ne x for one
// that has another code.

// filter reads a _filter expression.
func (p *parser) filter(value string) (Clause, error) {
	tree, err := readFilterTree(value)
	if err != nil {
		return Clause{}, err
	}
	f := filterCompiler{p, value}
	return f.node(p.at, tree)
}

// conjuncts returns the clauses that a clause is all of, so that a plan can
// begin with any of them.
func (c Clause) conjuncts() []Clause {
	if len(c.Any) != 1 || c.Not || len(c.Types) > 0 {
		return []Clause{c}
	}
	var out []Clause
	for _, part := range c.Any[0] {
		out = append(out, part.conjuncts()...)
	}
	return out
}

// filterCompiler makes clauses of an expression.
type filterCompiler struct {
	*parser
	text string
}

// node makes the clause of an expression about the types of a place.
func (f *filterCompiler) node(at place, n *filterNode) (Clause, error) {
	if n.join == "" {
		held, err := f.path(at, n, n.path)
		if err != nil {
			return Clause{}, err
		}
		return held[0].clause, nil
	}
	var parts []Clause
	for _, inner := range n.of {
		c, err := f.node(at, inner)
		if err != nil {
			return Clause{}, err
		}
		parts = append(parts, c)
	}
	switch n.join {
	case "not":
		c := parts[0]
		c.Not = !c.Not
		return c, nil
	case "and":
		return allOf(parts), nil
	}
	alternatives := make([][]Clause, len(parts))
	for i, c := range parts {
		alternatives[i] = []Clause{c}
	}
	return eitherOf(alternatives), nil
}

// fail says where in the expression an error is.
func (f *filterCompiler) fail(at int, err error) error { return filterError(f.text, at, err) }

// path follows the steps of a test and makes its clause: at a loose place one
// for each meaning of the name.
func (f *filterCompiler) path(at place, test *filterNode, steps []filterStep) ([]holding, error) {
	step := steps[0]
	words := (step.name == narrativeParam || step.name == contentParam) && test.compare != "pr"
	if len(steps) == 1 && (words || strings.HasPrefix(step.name, "_has:") || wholeReader(step.name) != nil) {
		return f.whole(at, test, step)
	}
	if strings.HasPrefix(step.name, "_has:") {
		return nil, f.fail(step.at, fhir.Errorf(fhir.NotSupported, "_has can be followed by a comparison only"))
	}
	meanings, err := f.meanings(at, step.name)
	if err != nil {
		return nil, f.fail(step.at, err)
	}
	var out []holding
	var firstErr error
	for _, m := range meanings {
		var c Clause
		if len(steps) == 1 {
			c, err = f.test(m.params, test, step)
		} else {
			c, err = f.step(at, m, test, steps)
		}
		switch {
		case err == nil:
			out = append(out, holding{m.types, c})
		case firstErr == nil || fhir.KindOf(err) == fhir.TooLarge:
			firstErr = err
		}
	}
	if len(out) == 0 || fhir.KindOf(firstErr) == fhir.TooLarge {
		return nil, firstErr
	}
	return out, nil
}

// maxFilterTypes is the most types that a step with a filter in brackets can
// lead to.
const maxFilterTypes = 16

// step makes the clause of a reference that a test is chained to.
func (f *filterCompiler) step(at place, m meaning, test *filterNode, steps []filterStep) (Clause, error) {
	step := steps[0]
	switch {
	case step.where != nil && m.params[0].Type != TypeReference:
		return Clause{}, f.fail(step.at, fhir.Errorf(fhir.Invalid, "%s is a %s parameter: brackets stand behind references only%s",
			step.name, m.params[0].Type, f.compositeHint(at, step.name)))
	case step.where == nil:
		return f.through(at, m, step, step.typ, func(next place) ([]holding, error) { return f.path(next, test, steps[1:]) })
	}
	types := targets(m.params)
	if step.typ != "" {
		types = []string{step.typ}
	}
	if len(types) > maxFilterTypes {
		return Clause{}, f.fail(step.at, fhir.Errorf(fhir.Invalid, "%s can refer to %d types: name the type, as in %s:Patient[…]", step.name, len(types), step.name))
	}
	// What is in the brackets and what follows must hold for one resource.
	var alternatives [][]Clause
	var firstErr error
	for _, typ := range types {
		c, err := f.through(at, m, step, typ, func(next place) ([]holding, error) {
			next.loose = false
			where, err := f.node(next, step.where)
			if err != nil {
				return nil, err
			}
			held, err := f.path(next, test, steps[1:])
			if err != nil {
				return nil, err
			}
			return []holding{{next.types, allOf([]Clause{where, held[0].clause})}}, nil
		})
		switch {
		case err == nil:
			alternatives = append(alternatives, []Clause{c})
		case firstErr == nil || fhir.KindOf(err) == fhir.TooLarge:
			firstErr = err
		}
	}
	if len(alternatives) == 0 || fhir.KindOf(firstErr) == fhir.TooLarge {
		return Clause{}, firstErr
	}
	return eitherOf(alternatives), nil
}

// compositeHint names the composites of a place that begin with a parameter: what
// brackets behind it would ask for.
func (f *filterCompiler) compositeHint(at place, name string) string {
	var found []string
	for _, set := range at.sets {
		for _, p := range set.params {
			if p.Type == TypeComposite && p.components[0].name == name {
				found = append(found, p.Name)
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return ". Values that stand together are those of a composite, as in " + unique(found)[0] + " eq \"a$b\""
}

// through joins what read makes of the place that a step leads to.
func (f *filterCompiler) through(at place, m meaning, step filterStep, typ string, read func(next place) ([]holding, error)) (Clause, error) {
	if err := f.count(); err != nil {
		return Clause{}, f.fail(step.at, err)
	}
	var behind error // is told with its own place in the expression
	c, err := f.joined(at, m, typ, func(next place) ([]holding, error) {
		var held []holding
		held, behind = read(next)
		return held, behind
	})
	if err != nil && behind == nil {
		err = f.fail(step.at, err)
	}
	return c, err
}

// whole makes the clause of a criterion that is no parameter: _text, _list, _has.
func (f *filterCompiler) whole(at place, test *filterNode, step filterStep) ([]holding, error) {
	switch text := step.name == narrativeParam || step.name == contentParam; {
	case step.name == "_filter":
		return nil, f.fail(step.at, fhir.Errorf(fhir.Invalid, "a filter stands in parentheses, not in a _filter of its own"))
	case test.compare != "eq" && (!text || test.compare != "co"):
		return nil, f.fail(test.at, fhir.Errorf(fhir.Invalid, "%s can be compared with eq only, not with %s", fhir.Clip(step.name), test.compare))
	}
	held, err := f.holdings(at, step.name, test.value)
	if err != nil {
		return nil, f.fail(test.at, err)
	}
	return held, nil
}

// test makes the clause of a comparison with a parameter.
func (f *filterCompiler) test(params []*Param, test *filterNode, step filterStep) (Clause, error) {
	c, err := Clause{}, f.count()
	if err == nil && step.typ != "" && params[0].Type != TypeReference {
		err = fhir.Errorf(fhir.Invalid, "%s is a %s parameter: only what a reference points at has a type", step.name, params[0].Type)
	}
	if err == nil {
		c, err = f.compare(params, test, step.typ)
	}
	if err != nil {
		return Clause{}, f.fail(test.at, err)
	}
	return c, nil
}

// filterTypes are the types of parameters that a comparison is for.
var filterTypes = map[string][]Type{
	"eq": {TypeString, TypeToken, TypeReference, TypeURI, TypeDate, TypeNumber, TypeQuantity, TypeComposite, TypeSpecial},
	"ne": {TypeString, TypeToken, TypeReference, TypeURI, TypeDate, TypeNumber, TypeQuantity},
	"co": {TypeString, TypeToken, TypeURI, TypeDate}, "sw": {TypeString, TypeToken, TypeURI}, "ew": {TypeString, TypeToken, TypeURI},
	"gt": orderedTypes, "lt": orderedTypes, "ge": orderedTypes, "le": orderedTypes,
	"ap": spanTypes, "sa": spanTypes, "eb": spanTypes, "po": {TypeDate},
	"ss": {TypeToken}, "sb": {TypeToken}, "in": {TypeToken}, "ni": {TypeToken},
	"re": {TypeReference, TypeURI},
}

var (
	orderedTypes = []Type{TypeString, TypeDate, TypeNumber, TypeQuantity}
	spanTypes    = []Type{TypeDate, TypeNumber, TypeQuantity}
)

// compare makes the clause of a comparison; typ is the type that a reference
// must point at, or "".
func (f *filterCompiler) compare(params []*Param, test *filterNode, typ string) (Clause, error) {
	p := params[0]
	if test.compare == "pr" {
		return readPresence(p, test.value)
	}
	if !slices.Contains(filterTypes[test.compare], p.Type) {
		return Clause{}, fhir.Errorf(fhir.Invalid, "%s is a %s parameter, which cannot be compared with %s but with %s", p.Name, p.Type, test.compare, comparisonsOf(p.Type))
	}
	if params[0].Type == TypeToken || params[0].Type == TypeQuantity || params[0].Type == TypeComposite {
		whole := *test
		whole.value = withSystems(test.value)
		test = &whole
	}
	switch test.compare {
	case "ss", "sb", "in", "ni":
		if !slices.ContainsFunc(params, hasCodes) {
			return Clause{}, fhir.Errorf(fhir.Invalid, "%s has no codes of a code system, which %s is about", p.Name, test.compare)
		}
	}
	switch test.compare {
	case "ss": // "the value subsumes a concept in the set"
		return f.modified(params, "below", escapeComma(test.value))
	case "sb":
		return f.modified(params, "above", escapeComma(test.value))
	case "in":
		return f.modified(params, "in", escapeComma(test.value))
	case "ni":
		return f.modified(params, "not-in", escapeComma(test.value))
	}
	ranges, err := f.compared(params, test, typ)
	return Clause{Param: p.Name, Ranges: ranges}, err
}

// filterSystems are names that stand for code systems: "for convenience, the codes
// "loinc", "snomed", "rxnorm" and "ucum" are predefined".
//
// https://hl7.org/fhir/R4/search_filter.html
var filterSystems = map[string]string{
	"loinc":  "http://loinc.org",
	"snomed": "http://snomed.info/sct",
	"rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
	"ucum":   ucumSystem,
}

// withSystems puts code systems in the places of their names: loinc|1234-5,
// 5.4|ucum|mg, and both in the parts of a composite.
func withSystems(value string) string {
	parts := splitEscaped(value, '$')
	for i, part := range parts {
		fields := splitEscaped(part, '|')
		for j := range fields[:len(fields)-1] { // a system has something behind it
			if system, ok := filterSystems[fields[j]]; ok {
				fields[j] = system
			}
		}
		parts[i] = strings.Join(fields, "|")
	}
	return strings.Join(parts, "$")
}

// readPresence reads the value of pr.
func readPresence(p *Param, value string) (Clause, error) {
	switch {
	case value != "true" && value != "false":
		return Clause{}, fhir.Errorf(fhir.Invalid, "pr is followed by true or false, not by %q", fhir.Clip(value))
	case p.Type == TypeComposite:
		return Clause{}, fhir.Errorf(fhir.Invalid, "%s is a composite: ask for the presence of its parts", p.Name)
	}
	c := Present(p.Name)
	c.Not = value == "false"
	return c, nil
}

// comparisonsOf lists the comparisons for a type of parameter.
func comparisonsOf(t Type) string {
	var out []string
	for compare := range strings.FieldsSeq(filterOperators) {
		if compare == "pr" && t != TypeComposite || slices.Contains(filterTypes[compare], t) {
			out = append(out, compare)
		}
	}
	return strings.Join(out, ", ")
}

// escapeComma keeps a value one value where commas separate several.
func escapeComma(value string) string { return strings.ReplaceAll(value, ",", `\,`) }

// compared returns the ranges of the entries for which a comparison holds.
func (f *filterCompiler) compared(params []*Param, test *filterNode, typ string) ([]Range, error) {
	p, value := params[0], test.value
	switch p.Type {
	case TypeString:
		return comparedStrings(test.compare, value)
	case TypeDate:
		if test.compare == "po" || test.compare == "co" {
			span, ok := parseDate(value)
			switch {
			case !ok:
				return nil, fhir.Errorf(fhir.Invalid, "%q is not a date", fhir.Clip(value))
			case test.compare == "co":
				return []Range{dateClasses.around(span.interval())}, nil
			}
			return dateClasses.ranges(comparison{approximately, span.interval()}), nil
		}
		return f.ranges(params, test.compare+value)
	case TypeNumber, TypeQuantity:
		return f.ranges(params, test.compare+value)
	case TypeReference, TypeURI:
		value = strings.ReplaceAll(value, `\`, `\\`)
	}
	switch test.compare {
	case "co", "sw", "ew":
		class := classURI
		if p.Type == TypeToken {
			class = classTokenCode
		}
		return []Range{textual(class, test.compare, strings.ToLower(test.value), func(text []byte) []byte { return bytes.ToLower([]byte(plainText(text))) })}, nil
	}
	ranges, err := f.equals(params, value, typ)
	if err != nil || test.compare != "ne" {
		return ranges, err
	}
	return unequal(params, value, ranges)
}

// equals returns the ranges of the values that are equal to one.
func (f *filterCompiler) equals(params []*Param, value, typ string) ([]Range, error) {
	if typ == "" {
		return f.ranges(params, value)
	}
	c, err := f.modified(params, typ, escapeComma(value))
	return c.Ranges, err
}

// unequal returns the ranges of the values that are not in those that are equal
// to one. A value has entries of several classes; they are told apart by one.
func unequal(params []*Param, value string, equal []Range) ([]Range, error) {
	var classes []byte
	for _, r := range equal {
		if class := r.From[0]; !slices.Contains(classes, class) {
			classes = append(classes, class)
		}
	}
	switch p := params[0]; p.Type {
	case TypeToken:
		systemless := func(p *Param) bool { return p.systemless }
		if slices.ContainsFunc(params, systemless) && !allSystemless(params) {
			return nil, fhir.Errorf(fhir.NotSupported, "%s has systems in some of the types searched and none in others: search them one by one", p.Name)
		}
		if len(classes) == 0 {
			classes = []byte{classTokenSystem}
			if p.systemless {
				classes[0] = classTokenCode
			}
		}
	case TypeReference:
		if slices.Contains(classes, classReferenceVersion) || slices.Contains(classes, classReferenceURLVersion) {
			return nil, fhir.Errorf(fhir.NotSupported, "ne compares with a reference without a version, not with %q", fhir.Clip(value))
		}
		classes = []byte{classReference, classReferenceURL}
	}
	var out []Range
	for _, class := range classes {
		r := prefixed([]byte{class})
		r.Keep = func(v []byte) bool { return !slices.ContainsFunc(equal, func(e Range) bool { return e.Contains(v) }) }
		out = append(out, r)
	}
	return out, nil
}

// comparedStrings compares strings as they are folded.
func comparedStrings(compare, value string) ([]Range, error) {
	folded := fold(value)
	if folded == "" {
		return nil, fhir.Errorf(fhir.Invalid, "%q has no letter or digit to compare with", fhir.Clip(value))
	}
	if len(folded) > maxPrefixText {
		return nil, fhir.Errorf(fhir.Invalid, "the text to compare with is longer than %d bytes", maxPrefixText)
	}
	whole := appendText([]byte{classString}, folded, maxCodeText)
	same, all := prefixed(whole), prefixed([]byte{classString})
	switch compare {
	case "eq":
		return []Range{same}, nil
	case "ne":
		return []Range{{From: all.From, To: same.From}, {From: same.To, To: all.To}}, nil
	case "gt":
		return []Range{{From: same.To, To: all.To}}, nil
	case "ge":
		return []Range{{From: same.From, To: all.To}}, nil
	case "lt":
		return []Range{{From: all.From, To: same.From}}, nil
	case "le":
		return []Range{{From: all.From, To: same.To}}, nil
	case "co", "sw", "ew":
		return []Range{textual(classString, compare, folded, plain)}, nil
	}
	return nil, fmt.Errorf("%s is no comparison of strings", compare)
}

func plain(text []byte) []byte { return text }

// textual selects the values whose first part contains, starts or ends with a
// text. What was cut off a long value is not looked at.
func textual(class byte, compare, want string, fold func([]byte) []byte) Range {
	test := bytes.Contains
	switch compare {
	case "sw":
		test = bytes.HasPrefix
	case "ew":
		test = bytes.HasSuffix
	}
	r := prefixed([]byte{class})
	r.Keep = func(value []byte) bool {
		text, _ := cutText(value[1:])
		return test(fold(text), []byte(want))
	}
	return r
}
