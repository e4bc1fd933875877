package profiles

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gofhir/fhirpath"

	"github.com/starling-fhir/starling/fhir/resource"
)

// checker compares resources with the elements of a profile. It knows what our
// profiles use: cardinality, types, targets, patterns and fixed values, slices
// by pattern or value, and constraints. It is for the tests of the examples.
type checker struct {
	schema   *resource.Schema
	elements []resource.Node
	byID     map[string]*resource.Node
	compiled map[string]*fhirpath.Expression
}

// broken is a rule that a resource breaks: the element's id, and "min", "max",
// "type", "pattern", "fixed" or the key of a constraint.
type broken struct{ element, rule string }

func newChecker(tb testing.TB, elements []resource.Node) *checker {
	tb.Helper()
	schema, err := resource.LoadSchema()
	if err != nil {
		tb.Fatal(err)
	}
	c := &checker{schema: schema, elements: elements, byID: map[string]*resource.Node{}, compiled: map[string]*fhirpath.Expression{}}
	for i := range elements {
		c.byID[elements[i].Str("id")] = &elements[i]
	}
	return c
}

// rules lists the rules an element adds to R4: what a bad example can break.
func (c *checker) rules(e *resource.Node, ours string) []broken {
	var list []broken
	id := e.Str("id")
	add := func(rule string) { list = append(list, broken{id, rule}) }
	base, _ := c.schema.Element(e.Str("path"))
	if strings.Contains(id, ".") {
		least, most := cardinality(e, &base)
		if sliced := e.Get("sliceName") != nil; sliced && least > 0 || !sliced && least > base.Min {
			add("min")
		}
		if most != base.Max {
			add("max")
		}
		if types := e.List("type"); len(types) > 0 && fewerTypes(types, base.Types) {
			add("type")
		}
		if pattern, kind := fixed(e); pattern != nil && e.Get("sliceName") == nil && !c.discriminates(id) {
			add(kind)
		}
	}
	constraints := e.List("constraint")
	for i := range constraints {
		if source := constraints[i].Str("source"); source == "" || source == ours {
			add(constraints[i].Str("key"))
		}
	}
	return list
}

// fewerTypes reports whether an element allows less than R4 does.
func fewerTypes(types []resource.Node, base []resource.Type) bool {
	if len(types) < len(base) {
		return true
	}
	for i := range types {
		for _, b := range base {
			if b.Name == types[i].Str("code") && len(types[i].List("targetProfile")) > 0 && len(types[i].List("targetProfile")) < len(b.Targets) {
				return true
			}
		}
	}
	return false
}

// cardinality returns the min and max of an element, those of the base where it
// does not say; a slice need not be there.
func cardinality(e *resource.Node, base *resource.Element) (least, most int) {
	least, most = base.Min, base.Max
	if e.Get("sliceName") != nil {
		least = 0
	}
	if n := e.Get("min"); n != nil {
		least = count(n.Text)
	}
	if text := e.Str("max"); text == "*" {
		most = resource.Unbounded
	} else if text != "" {
		most = count(text)
	}
	return least, most
}

// count reads a number of times; what is none is below everything.
func count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return resource.Unbounded - 1
	}
	return n
}

// fixed returns an element's pattern[x] or fixed[x] and which of them it is.
func fixed(e *resource.Node) (*resource.Node, string) {
	for i := range e.Fields {
		for _, kind := range []string{"pattern", "fixed"} {
			if strings.HasPrefix(e.Fields[i].Name, kind) {
				return &e.Fields[i].Node, kind
			}
		}
	}
	return nil, ""
}

// discriminates reports whether an element tells a slice from others: what does
// not match it is in another slice or in none.
func (c *checker) discriminates(id string) bool {
	at := strings.LastIndexByte(id, '.')
	parent, name := id[:at], id[at+1:]
	whole, _, sliced := strings.Cut(parent[strings.LastIndexByte(parent, '.')+1:], ":")
	if !sliced {
		return false
	}
	above := c.byID[parent[:strings.LastIndexByte(parent, '.')+1]+whole]
	return above.Path("slicing", "discriminator") != nil && above.Path("slicing").List("discriminator")[0].Str("path") == name
}

// check lists the rules of the profile that a resource breaks, errors and
// warnings alike, in the order of the elements.
func (c *checker) check(tb testing.TB, root *resource.Node, ours string) []broken {
	tb.Helper()
	var list []broken
	for i := range c.elements {
		e := &c.elements[i]
		for _, rule := range c.rules(e, ours) {
			if c.breaks(tb, root, e, rule.rule) {
				list = append(list, rule)
			}
		}
	}
	return list
}

// instance is one occurrence of an element; name is its JSON name.
type instance struct {
	name string
	node *resource.Node
}

// breaks reports whether a resource breaks one rule of an element.
func (c *checker) breaks(tb testing.TB, root, e *resource.Node, rule string) bool {
	tb.Helper()
	id := e.Str("id")
	base, _ := c.schema.Element(e.Str("path"))
	at := strings.LastIndexByte(id, '.')
	if at < 0 {
		return !c.holds(tb, e, rule, instance{id, root})
	}
	least, most := cardinality(e, &base)
	for _, parent := range c.instances(root, id[:at]) {
		found := c.members(parent.node, id[:at], id[at+1:])
		switch rule {
		case "min":
			if len(found) < least {
				return true
			}
		case "max":
			if most != resource.Unbounded && len(found) > most {
				return true
			}
		default:
			if slices.ContainsFunc(found, func(i instance) bool { return c.wrong(tb, e, &base, rule, i) }) {
				return true
			}
		}
	}
	return false
}

// wrong reports whether one instance breaks a rule about its content.
func (c *checker) wrong(tb testing.TB, e *resource.Node, base *resource.Element, rule string, i instance) bool {
	tb.Helper()
	switch rule {
	case "type":
		types := e.List("type")
		return len(types) > 0 && !slices.ContainsFunc(types, func(t resource.Node) bool { return isOf(i, base, &t) })
	case "pattern":
		pattern, _ := fixed(e)
		return !matches(i.node, pattern)
	case "fixed":
		value, _ := fixed(e)
		return string(i.node.JSON()) != string(value.JSON())
	}
	// A constraint speaks of the types the element allows; another type is
	// reported as that.
	return !c.wrong(tb, e, base, "type", i) && !c.holds(tb, e, rule, i)
}

// isOf reports whether an instance is of a type: of a choice by its name, of a
// reference by the type it points at.
func isOf(i instance, base *resource.Element, t *resource.Node) bool {
	code := t.Str("code")
	if choice := base.Choice(); choice != "" && i.name != choice+strings.ToUpper(code[:1])+code[1:] {
		return false
	}
	targets := t.List("targetProfile")
	reference := i.node.Str("reference")
	if len(targets) == 0 || reference == "" {
		return true
	}
	return slices.ContainsFunc(targets, func(n resource.Node) bool {
		return strings.HasPrefix(reference, strings.TrimPrefix(n.Text, "http://hl7.org/fhir/StructureDefinition/")+"/")
	})
}

// instances lists where an element stands in a resource.
func (c *checker) instances(root *resource.Node, id string) []instance {
	at := strings.LastIndexByte(id, '.')
	if at < 0 {
		return []instance{{id, root}}
	}
	var list []instance
	for _, parent := range c.instances(root, id[:at]) {
		list = append(list, c.members(parent.node, id[:at], id[at+1:])...)
	}
	return list
}

// members lists the members of a node that a step of an id names, such as
// "code", "value[x]" or "component:gene-studied".
func (c *checker) members(n *resource.Node, parent, step string) []instance {
	name, slice, sliced := strings.Cut(step, ":")
	choice, isChoice := strings.CutSuffix(name, "[x]")
	var list []instance
	for i := range n.Fields {
		f := &n.Fields[i]
		if f.Name != name && (!isChoice || len(f.Name) <= len(choice) || !strings.HasPrefix(f.Name, choice) || strings.ToUpper(f.Name[len(choice):][:1]) != f.Name[len(choice):][:1]) {
			continue
		}
		each := f.Node.Each()
		for j := range each {
			if !sliced || c.inSlice(&each[j], parent+"."+name, slice) {
				list = append(list, instance{f.Name, &each[j]})
			}
		}
	}
	return list
}

// inSlice reports whether the discriminator of an element puts an instance into
// a slice.
func (c *checker) inSlice(n *resource.Node, whole, slice string) bool {
	discriminator := c.byID[whole].Path("slicing").List("discriminator")[0]
	id := whole + ":" + slice
	if path := discriminator.Str("path"); path != "$this" {
		id, n = id+"."+path, n.Get(path)
	}
	pattern, _ := fixed(c.byID[id])
	return n != nil && matches(n, pattern)
}

// matches reports whether a value has all that a pattern has.
// https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_
func matches(n, pattern *resource.Node) bool {
	switch {
	case n == nil || n.Kind != pattern.Kind:
		return false
	case pattern.Kind == resource.Object:
		for i := range pattern.Fields {
			if !matches(n.Get(pattern.Fields[i].Name), &pattern.Fields[i].Node) {
				return false
			}
		}
		return true
	case pattern.Kind == resource.Array:
		for i := range pattern.Items {
			if !slices.ContainsFunc(n.Items, func(e resource.Node) bool { return matches(&e, &pattern.Items[i]) }) {
				return false
			}
		}
		return true
	}
	return n.Text == pattern.Text
}

// this is $this outside of a function; a primitive is put into an object to be
// evaluated.
var this = regexp.MustCompile(`\$this\b`)

// holds evaluates a constraint on an instance.
func (c *checker) holds(tb testing.TB, e *resource.Node, key string, i instance) bool {
	tb.Helper()
	for _, rule := range e.List("constraint") {
		if rule.Str("key") != key {
			continue
		}
		expression, data := rule.Str("expression"), i.node.JSON()
		if i.node.Kind != resource.Object {
			expression, data = this.ReplaceAllString(expression, "it"), fmt.Appendf(nil, `{"it":%s}`, data)
		}
		compiled := c.compiled[expression]
		if compiled == nil {
			var err error
			if compiled, err = fhirpath.Compile(expression); err != nil {
				tb.Fatalf("%s: %v", key, err)
			}
			c.compiled[expression] = compiled
		}
		result, err := compiled.EvaluateWithOptions(data)
		if err != nil || len(result) != 1 {
			tb.Fatalf("%s on %s: %v, %v", key, data, result, err)
		}
		return result[0].String() == "true"
	}
	tb.Fatalf("%s has no constraint %s", e.Str("id"), key)
	return false
}
