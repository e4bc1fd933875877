package resource

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// checker walks one resource along its shapes and collects what is wrong with
// it: everything R4's base rules ask of the JSON form, of elements, codes,
// references, contained resources and narratives.
type checker struct {
	shapes map[string]*shape
	root   *Node
	found  *findings
	place  []step

	contained []Node        // root.contained
	inside    *Node         // the contained resource the walk is in, nil outside of any
	uses      []localUse    // uses of "#id", for dom-3
	nested    []nestedNode  // resources to be checked by themselves
	copy      copyDirective // how the copy for jsonformat differs from the tree

	trace  []byte // the structure of the resource, see trace.go
	weight int    // bytes of names, texts and marks, as if nothing were escaped
}

// nestedNode is a resource inside a Bundle or Parameters.
type nestedNode struct {
	place []step
	node  *Node
}

// resource checks the object n against the shape of its type.
func (c *checker) resource(sh *shape, n *Node) {
	c.traceShape(sh)
	if sh.members["contained"] != nil {
		c.contained = n.List("contained")
	}
	c.object(sh, n, nil)
	c.unusedContained()
}

func (c *checker) add(code, message string) { c.found.add(c.place, code, message) }

// at records a problem with a member of the present object that has no place of
// its own in it.
func (c *checker) at(name string, field int, code, message string) {
	c.found.add(append(c.place, step{name, field, -1}), code, message)
}

// object checks the members of n. In a primitive's extension object, such as
// _birthDate, value tells whether the primitive has a value beside it. The
// result is false if n holds nothing to look at further.
func (c *checker) object(sh *shape, n *Node, primitiveValue *Node) bool {
	if n.Kind != Object {
		c.add("structure", "expected an object, found "+describe(n))
		return false
	}
	if len(c.place) > MaxDepth {
		c.add("too-long", "is nested deeper than "+strconv.Itoa(MaxDepth)+" levels")
		return false
	}
	var seen bits
	content := 0 // members besides id
	for i := range n.Fields {
		f := &n.Fields[i]
		if f.Name == "resourceType" && sh.resource {
			continue
		}
		name, under := strings.CutPrefix(f.Name, "_")
		m := sh.members[name]
		if m == nil {
			c.unknown(sh, f.Name)
			content++
			continue
		}
		if under && m.primitive == nil {
			c.add("structure", "unknown member "+quote(f.Name)+": only primitive elements have a companion that begins with \"_\", and "+name+" is none")
			continue
		}
		if m.name != "id" || m.primitive == nil {
			content++
		}
		if seen.has(m.bit) && m.name != m.element {
			c.choiceTwice(sh, n, m)
		}
		seen.add(m.bit)
		c.weight += len(f.Name) + 4
		c.traceMember(m, under)
		c.place = append(c.place, step{m.element, i, -1})
		c.member(n, m, under, &f.Node)
		c.place = c.place[:len(c.place)-1]
	}
	if content == 0 && !sh.resource && primitiveValue == nil {
		c.add("invariant", "must have a value or children besides an id (ele-1)")
		return false
	}
	c.traceEnd()
	c.missing(sh, n, seen)
	for _, r := range sh.rules {
		if !r.holds(n) {
			c.add("invariant", r.message())
		}
	}
	return true
}

// member checks the value of one member of parent.
func (c *checker) member(parent *Node, m *member, under bool, n *Node) {
	if !m.repeats {
		switch n.Kind {
		case Array:
			c.add("structure", "expected "+m.want()+", found a list; the element does not repeat")
		case Null:
			c.add("structure", "must not be null; leave the member out")
		default:
			c.value(parent, m, under, n)
		}
		return
	}
	if n.Kind != Array {
		c.add("structure", "expected a list (the element may repeat), found "+describe(n))
		return
	}
	if len(n.Items) == 0 {
		c.add("structure", "must not be an empty list; leave the member out")
		return
	}
	var twin *Node
	if m.primitive != nil {
		twin = c.twin(parent, m, under, n)
	}
	var list listTrace
	for i := range n.Items {
		c.place[len(c.place)-1].item = i
		list.start(c)
		if item := &n.Items[i]; item.Kind == Null {
			c.null(m, under, twin, i)
		} else {
			c.value(parent, m, under, item)
		}
		list.end(c)
	}
	c.traceWord(traceListEnd)
	c.place[len(c.place)-1].item = -1
}

// twin returns the list that goes with a list of primitives: _given for given
// and the reverse. Both must have the same length.
func (c *checker) twin(parent *Node, m *member, under bool, n *Node) *Node {
	name := "_" + m.name
	if under {
		name = m.name
	}
	twin := parent.Get(name)
	if twin == nil || twin.Kind != Array {
		return nil
	}
	if under && len(twin.Items) != len(n.Items) {
		c.add("structure", m.name+" has "+strconv.Itoa(len(twin.Items))+" entries, _"+m.name+" has "+
			strconv.Itoa(len(n.Items))+"; fill the shorter list with null")
	}
	return twin
}

// null checks a null in a list: it may only stand for a missing half of a
// primitive, https://hl7.org/fhir/R4/json.html#primitive.
func (c *checker) null(m *member, under bool, twin *Node, i int) {
	c.copy.nulls = true
	c.traceNull()
	if m.primitive == nil {
		c.add("structure", "must not be null")
		return
	}
	if twin != nil && i < len(twin.Items) && twin.Items[i].Kind != Null {
		return
	}
	if under && twin != nil {
		return // the null in the twin is reported
	}
	c.add("structure", "null may only stand where the other half of the element, in _"+m.name+" or "+m.name+", is not null")
}

// value checks one value: not a list, not null.
func (c *checker) value(parent *Node, m *member, under bool, n *Node) {
	switch {
	case m.nested:
		c.nestedResource(m, n)
	case under:
		c.object(c.shapes["Element"], n, c.half(parent, m))
	case m.shape == nil:
		c.primitive(m, n)
	default:
		if !c.object(m.shape, n, nil) {
			return
		}
		if m.reference() {
			c.reference(m, n)
		}
		if m.codes != nil {
			c.coded(m, n)
		}
	}
}

// half returns the value beside a primitive's extension object, nil if it has
// none. c.place ends in the element.
func (c *checker) half(parent *Node, m *member) *Node {
	value := parent.Get(m.name)
	if value == nil {
		return nil
	}
	if at := c.place[len(c.place)-1].item; value.Kind == Array {
		if at < 0 || at >= len(value.Items) {
			return nil
		}
		value = &value.Items[at]
	}
	if value.Kind == Null {
		return nil
	}
	return value
}

// primitive checks a primitive's value.
func (c *checker) primitive(m *member, n *Node) {
	p := m.primitive
	c.weight += len(n.Text) + 4
	if n.Kind != p.kind {
		c.add("structure", "expected "+p.want+", found "+describe(n))
		return
	}
	if n.Kind == String && n.Text == "" {
		c.add("value", "must not be empty; leave the member out")
		return
	}
	if p.valid != nil && !p.valid(n.Text) {
		c.add("value", literal(n)+" is not "+p.want)
		return
	}
	switch p.name {
	case "code":
		if m.codes == nil {
			break
		}
		i, ok := slices.BinarySearch(m.codes.codes, n.Text)
		if !ok {
			c.add("code-invalid", wrongCode(n.Text, m.codes))
		}
		c.traceCode(i)
	case "xhtml":
		if problem := narrativeProblem(n.Text); problem != "" {
			c.add("invariant", problem)
		}
		c.copy.replace(n, `<div xmlns="`+xhtmlNamespace+`">-</div>`)
	case "base64Binary":
		c.copy.replace(n, "AAAA") // checked above; jsonformat knows fewer ways to write it
	case "decimal":
		if len(n.Text) > 30 || strings.ContainsAny(n.Text, "eE") {
			c.copy.replace(n, "1") // jsonformat refuses what a float32 cannot hold
		}
	case "dateTime", "instant", "time":
		if i := strings.LastIndex(n.Text, ":60"); i > 0 && validLeap(n.Text, i) {
			c.copy.replace(n, n.Text[:i]+":59"+n.Text[i+3:])
		}
	case "uri", "url", "canonical":
		if n.Text[0] == '#' {
			c.uses = append(c.uses, localUse{n.Text[1:], c.inside})
		}
		if p.name == "canonical" && !validURI(n.Text) {
			uri, _, _ := strings.Cut(n.Text, "|") // jsonformat takes the version for a part of the host
			c.copy.replace(n, uri)
		}
	}
}

// validLeap reports whether the ":60" at i is the second of a clock time and
// not, for example, part of an offset.
func validLeap(s string, i int) bool {
	return i >= 5 && s[i-3] == ':'
}

func wrongCode(code string, set *codeSet) string {
	text := quote(code) + " is not a code of " + set.name
	if near := fhir.Nearest(code, set.codes); near != "" {
		return text + "; did you mean " + quote(near) + "?"
	}
	if len(set.codes) <= 20 {
		return text + "; allowed: " + strings.Join(set.codes, ", ")
	}
	return text
}

// coded checks a Coding or CodeableConcept with a required binding: one of its
// codings must be from the value set.
//
// https://hl7.org/fhir/R4/terminologies.html#required
func (c *checker) coded(m *member, n *Node) {
	var codings []Node
	switch m.shape.path {
	case "CodeableConcept":
		codings = n.List("coding")
	case "Coding":
		codings = []Node{*n}
	default:
		return
	}
	if len(codings) == 0 && n.Get("extension") != nil {
		return
	}
	for i := range codings {
		if slices.Contains(m.codes.systems[codings[i].Str("system")], codings[i].Str("code")) {
			return
		}
	}
	var text strings.Builder
	text.WriteString("needs a coding of " + m.codes.name)
	if len(m.codes.systems) == 1 {
		for system := range m.codes.systems {
			text.WriteString(" with system " + system)
		}
	}
	if len(m.codes.codes) <= 20 {
		text.WriteString(" and one of the codes " + strings.Join(m.codes.codes, ", "))
	}
	c.add("code-invalid", text.String())
}

// unknown reports a member that the present object cannot have.
func (c *checker) unknown(sh *shape, name string) {
	if c.found.full() {
		c.add("structure", "unknown member "+quote(name)) // only counted
		return
	}
	c.add("structure", sh.unknown("member", name))
}

// unknown says that the shape has no such member, or element in XML, and what may
// have been meant.
func (sh *shape) unknown(noun, name string) string {
	text := "unknown " + noun + " " + quote(name) + " of " + sh.path
	bare := strings.TrimPrefix(name, "_")
	if near := fhir.Nearest(bare, slices.Sorted(maps.Keys(sh.members))); near != "" {
		return text + "; did you mean " + quote(near) + "?"
	}
	if choice := choiceOf(sh, bare); choice != nil {
		return text + "; " + choice.element + " may be " + strings.Join(choiceNames(sh, choice), ", ")
	}
	return text
}

// missing reports required elements that are not there.
func (c *checker) missing(sh *shape, n *Node, seen bits) {
	missing := bits{sh.required[0] &^ seen[0], sh.required[1] &^ seen[1]}
	if missing == (bits{}) {
		return
	}
	for i, name := range sh.names {
		if !missing.has(i) {
			continue
		}
		var text strings.Builder
		text.WriteString("is required")
		if m := sh.members[name]; m == nil {
			for _, m := range sh.members {
				if m.bit == i {
					text.WriteString(", as one of " + strings.Join(choiceNames(sh, m), ", "))
					break
				}
			}
		} else if m.codes != nil && m.primitive != nil && len(m.codes.codes) <= 20 {
			text.WriteString(": one of " + strings.Join(m.codes.codes, ", "))
		}
		c.at(name, len(n.Fields), "required", text.String())
	}
}

// choiceTwice reports a second type of one choice element. m.name and _m.name
// together are one.
func (c *checker) choiceTwice(sh *shape, n *Node, m *member) {
	for i := range n.Fields {
		name := strings.TrimPrefix(n.Fields[i].Name, "_")
		other := sh.members[name]
		if other == nil || other.bit != m.bit {
			continue
		}
		if other.name != m.name {
			c.at(m.element, i, "structure", "may have only one type, found both "+other.name+" and "+m.name)
		}
		return
	}
}

// nestedResource checks what stands where a whole resource belongs.
func (c *checker) nestedResource(m *member, n *Node) {
	if m.name == "contained" {
		c.containedResource(n)
		return
	}
	if n.Kind != Object {
		c.add("structure", "expected a resource, found "+describe(n))
		return
	}
	c.nested = append(c.nested, nestedNode{slices.Clone(c.place), n})
	c.copy.drop(n)
}

// typeOf returns the shape that a resource's resourceType names, nil if there
// is none, which it reports.
func (c *checker) typeOf(n *Node) *shape {
	if n.Kind != Object {
		c.add("structure", "expected a resource, found "+describe(n))
		return nil
	}
	typ := n.Get("resourceType")
	switch {
	case typ == nil:
		var text strings.Builder
		text.WriteString("resourceType is missing")
		for i := range n.Fields {
			if strings.EqualFold(n.Fields[i].Name, "resourceType") {
				text.WriteString("; found " + quote(n.Fields[i].Name))
			}
		}
		c.add("required", text.String())
		return nil
	case typ.Kind != String:
		c.add("structure", "resourceType must be a string, found "+describe(typ))
		return nil
	}
	if sh := c.shapes[typ.Text]; sh != nil && sh.resource {
		return sh
	}
	c.add("structure", quote(typ.Text)+" is not an R4 resource type"+nearType(typ.Text))
	return nil
}
