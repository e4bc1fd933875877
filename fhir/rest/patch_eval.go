package rest

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// maxPathSteps is the most elements that the paths of one patch may look at: a
// where() inside a where() looks at each for each.
const maxPathSteps = 2_000_000

// spot is one element of a resource and where it stands. It holds until the
// resource is changed.
type spot struct {
	in    *resource.Node // the object around it
	name  string         // of the member in JSON, such as "valueQuantity"
	index int            // in its list, -1 if it is in none
	// element is its definition, with all types a choice has if the path did not
	// choose one.
	element resource.Element
	typ     string         // the type found: "HumanName", "date", "BackboneElement"
	path    string         // of the definitions of its children
	self    *resource.Node // of a resource: itself
}

// value returns the node of the element; nil if there are only extensions.
func (p *spot) value() *resource.Node {
	if p.self != nil {
		return p.self
	}
	return itemOf(p.in.Get(p.name), p.index)
}

// under returns what stands beside a primitive, such as the object of
// _birthDate; nil if there is nothing.
func (p *spot) under() *resource.Node { return itemOf(p.in.Get("_"+p.name), p.index) }

// itemOf returns n, or its item if index is not -1. Null is nil.
func itemOf(n *resource.Node, index int) *resource.Node {
	if index >= 0 {
		if n == nil || index >= len(n.Items) {
			return nil
		}
		n = &n.Items[index]
	}
	if n == nil || n.Kind == resource.Null {
		return nil
	}
	return n
}

// primitiveType reports whether a data type is written as one JSON value: the
// names of those begin in lower case.
func primitiveType(name string) bool { return name != "" && name[0] >= 'a' && name[0] <= 'z' }

// object returns the node whose members are the children of the element.
func (p *spot) object() *resource.Node {
	if primitiveType(p.typ) {
		return p.under()
	}
	return p.value()
}

// pathItem is what an expression has found: an element or a literal.
type pathItem struct {
	spot    *spot
	literal *pathExpr
}

// truth are the collections that stand for true and false.
func truth(is bool) []pathItem {
	word := "false"
	if is {
		word = "true"
	}
	return []pathItem{{literal: &pathExpr{kind: pathLiteral, text: word}}}
}

func isTrue(items []pathItem) bool {
	if len(items) != 1 {
		return false
	}
	node, ok := items[0].node()
	return ok && node.Kind != resource.String && node.Text == "true"
}

// node returns the item as a JSON value. ok is false if it has none.
func (i pathItem) node() (resource.Node, bool) {
	if l := i.literal; l != nil {
		switch {
		case l.quoted:
			return resource.Text(l.text), true
		case l.text == "true" || l.text == "false":
			return resource.Node{Kind: resource.Bool, Text: l.text}, true
		}
		return resource.Node{Kind: resource.Number, Text: l.text}, true
	}
	if value := i.spot.value(); value != nil {
		return *value, true
	}
	return resource.Node{}, false
}

// pathWalk evaluates expressions on one resource.
type pathWalk struct {
	schema *resource.Schema
	root   spot
	steps  int
}

func newPathWalk(schema *resource.Schema, root *resource.Node) *pathWalk {
	typ := root.Str("resourceType")
	return &pathWalk{schema: schema, root: spot{self: root, index: -1, typ: typ, path: typ}}
}

// places evaluates an expression that must lead to elements.
func (w *pathWalk) places(e *pathExpr) ([]*spot, error) {
	items, err := w.eval(e, nil)
	if err != nil {
		return nil, err
	}
	places := make([]*spot, len(items))
	for i, item := range items {
		if item.spot == nil {
			return nil, fhir.Errorf(fhir.Invalid, "the path leads to a value and not to an element of the resource")
		}
		places[i] = item.spot
	}
	return places, nil
}

// eval evaluates an expression. focus is what a where() looks at, nil at the top.
func (w *pathWalk) eval(e *pathExpr, focus *spot) ([]pathItem, error) {
	switch e.kind {
	case pathLiteral:
		return []pathItem{{literal: e}}, nil
	case pathThis:
		if focus == nil || e.name != "" {
			focus = &w.root
		}
		return []pathItem{{spot: focus}}, nil
	case pathBinary:
		return w.binary(e, focus)
	case pathMember:
		if e.base == nil && w.names(e.name) {
			return []pathItem{{spot: &w.root}}, nil
		}
	}
	base := []pathItem{{spot: focus}}
	switch {
	case e.base != nil:
		var err error
		if base, err = w.eval(e.base, focus); err != nil {
			return nil, err
		}
	case focus == nil:
		base[0].spot = &w.root
	}
	switch e.kind {
	case pathMember:
		return w.members(base, e.name)
	case pathIndex:
		if e.index >= len(base) {
			return nil, nil
		}
		return base[e.index : e.index+1], nil
	}
	return w.call(e, base, focus)
}

// names reports whether a name in front of a path is that of the resource's type.
func (w *pathWalk) names(name string) bool {
	return name == w.root.typ || name == "Resource" || name == "DomainResource"
}

// members follows a name from each of some elements.
func (w *pathWalk) members(base []pathItem, name string) ([]pathItem, error) {
	var out []pathItem
	for _, item := range base {
		if item.spot == nil {
			return nil, fhir.Errorf(fhir.Invalid, "a path cannot go on from a value to %q", fhir.Clip(name))
		}
		found, err := w.children(item.spot, name)
		if err != nil {
			return nil, err
		}
		for i := range found {
			out = append(out, pathItem{spot: &found[i]})
		}
	}
	return out, nil
}

// define returns the definition of a child and the path of the definitions of its
// own children, which is "" for primitives and choices.
func (w *pathWalk) define(at *spot, name string) (resource.Element, error) {
	path := at.path
	if primitiveType(at.typ) {
		path = "Element"
	}
	element, ok := w.schema.Element(path + "." + name)
	if !ok || name == "resourceType" {
		return element, &fhir.Error{Kind: fhir.Unprocessable, Issues: []fhir.Issue{{
			Code: "not-found", Message: path + " has no element " + fhir.Clip(name),
		}}}
	}
	return element, nil
}

// children returns the elements below one by their name in FHIRPath, where a
// choice has its name without a type.
func (w *pathWalk) children(at *spot, name string) ([]spot, error) {
	element, err := w.define(at, name)
	if err != nil {
		return nil, err
	}
	object := at.object()
	if object == nil {
		return nil, nil
	}
	var out []spot
	for _, t := range typesOf(&element) {
		member := memberName(&element, t)
		value, under := object.Get(member), object.Get("_"+member)
		if value == nil && under == nil {
			continue
		}
		child := spot{in: object, name: member, index: -1, element: element, typ: t}
		if !element.Repeats() {
			out = append(out, w.typed(child))
			continue
		}
		length := 0
		for _, list := range [...]*resource.Node{value, under} {
			if list != nil {
				length = max(length, len(list.Items))
			}
		}
		for child.index = range length {
			if child.value() != nil || child.under() != nil {
				out = append(out, w.typed(child))
			}
		}
	}
	if w.steps += 1 + len(out); w.steps > maxPathSteps {
		return nil, fhir.Errorf(fhir.TooCostly, "the paths of the patch look at more than %d elements", maxPathSteps)
	}
	return out, nil
}

// typed fills in where the definitions of a spot's children are.
func (w *pathWalk) typed(s spot) spot {
	s.path = childrenPath(&s.element, s.typ)
	if s.typ == "Resource" {
		s.self = itemOf(s.in.Get(s.name), s.index)
		s.typ = s.self.Str("resourceType")
		s.path = s.typ
	}
	return s
}

// childrenPath is the path below which the children of an element of a type are
// defined.
func childrenPath(e *resource.Element, typ string) string {
	switch {
	case e.Content != "":
		return e.Content
	case typ == "BackboneElement" || typ == "Element":
		return e.Path
	}
	return typ
}

// typesOf returns the names of an element's types. One that repeats another's
// content has "BackboneElement".
func typesOf(e *resource.Element) []string {
	if len(e.Types) == 0 {
		return []string{"BackboneElement"}
	}
	names := make([]string, len(e.Types))
	for i, t := range e.Types {
		names[i] = t.Name
	}
	return names
}

// memberName is how an element of a type is called in JSON.
func memberName(e *resource.Element, typ string) string {
	if choice := e.Choice(); choice != "" {
		return choice + strings.ToUpper(typ[:1]) + typ[1:]
	}
	return e.Path[strings.LastIndexByte(e.Path, '.')+1:]
}

// call evaluates a function on what it is called on.
func (w *pathWalk) call(e *pathExpr, base []pathItem, focus *spot) ([]pathItem, error) {
	switch e.name {
	case "first":
		return base[:min(1, len(base))], nil
	case "last":
		return base[max(0, len(base)-1):], nil
	case "single":
		if len(base) > 1 {
			return nil, fhir.Errorf(fhir.Unprocessable, "single(): there are %d elements", len(base))
		}
		return base, nil
	case "empty":
		return truth(len(base) == 0), nil
	case "not":
		if len(base) != 1 {
			return nil, nil
		}
		return truth(!isTrue(base)), nil
	case "where", "exists":
		if len(e.args) == 0 {
			return truth(len(base) > 0), nil
		}
		found, err := w.where(base, e.args[0])
		if e.name == "exists" && err == nil {
			return truth(len(found) > 0), nil
		}
		return found, err
	case "ofType", "as":
		return ofType(base, e.args[0])
	}
	text, err := w.argument(e, focus)
	if err != nil {
		return nil, err
	}
	if e.name == "extension" {
		return w.extensions(base, text)
	}
	if len(base) != 1 {
		return nil, nil
	}
	node, ok := base[0].node()
	if !ok || node.Kind != resource.String {
		return nil, nil
	}
	switch e.name {
	case "startsWith":
		return truth(strings.HasPrefix(node.Text, text)), nil
	case "endsWith":
		return truth(strings.HasSuffix(node.Text, text)), nil
	}
	return truth(strings.Contains(node.Text, text)), nil
}

// where keeps the elements for which a condition is true.
func (w *pathWalk) where(base []pathItem, condition *pathExpr) ([]pathItem, error) {
	var out []pathItem
	for _, item := range base {
		if item.spot == nil {
			return nil, fhir.Errorf(fhir.Invalid, "where() and exists() look at elements, not at values")
		}
		holds, err := w.eval(condition, item.spot)
		if err != nil {
			return nil, err
		}
		if isTrue(holds) {
			out = append(out, item)
		}
	}
	return out, nil
}

// ofType keeps the elements of a type.
func ofType(base []pathItem, argument *pathExpr) ([]pathItem, error) {
	name := argument.name
	if argument.kind == pathMember && argument.base != nil && argument.base.kind == pathMember && argument.base.name == "FHIR" {
		argument = argument.base // FHIR.Quantity
	}
	if argument.kind != pathMember || argument.base != nil {
		return nil, fhir.Errorf(fhir.Invalid, "ofType() and as() take the name of a type, such as Quantity")
	}
	return slices.DeleteFunc(slices.Clone(base), func(item pathItem) bool {
		return item.spot == nil || item.spot.typ != name
	}), nil
}

// argument evaluates an argument that is a text.
func (w *pathWalk) argument(e *pathExpr, focus *spot) (string, error) {
	items, err := w.eval(e.args[0], focus)
	if err != nil {
		return "", err
	}
	if len(items) == 1 {
		if node, ok := items[0].node(); ok && node.Kind == resource.String {
			return node.Text, nil
		}
	}
	return "", fhir.Errorf(fhir.Invalid, "%s() takes one text in single quotes", e.name)
}

func (w *pathWalk) extensions(base []pathItem, url string) ([]pathItem, error) {
	all, err := w.members(base, "extension")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(item pathItem) bool { return item.spot.value().Str("url") != url }), nil
}

// binary evaluates an operator of a condition.
func (w *pathWalk) binary(e *pathExpr, focus *spot) ([]pathItem, error) {
	left, err := w.eval(e.base, focus)
	if err != nil {
		return nil, err
	}
	right, err := w.eval(e.args[0], focus)
	if err != nil {
		return nil, err
	}
	switch e.name {
	case "and":
		return truth(isTrue(left) && isTrue(right)), nil
	case "or":
		return truth(isTrue(left) || isTrue(right)), nil
	}
	if len(left) == 0 || len(right) == 0 {
		return nil, nil // unknown, as FHIRPath has it
	}
	same := len(left) == len(right)
	for i := 0; same && i < len(left); i++ {
		a, hasA := left[i].node()
		b, hasB := right[i].node()
		same = hasA && hasB && sameJSON(&a, &b)
	}
	return truth(same == (e.name == "=")), nil
}
