package resource

import (
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// Words for messages.

// describe names a value's JSON type and, where short, the value.
func describe(n *Node) string {
	switch n.Kind {
	case Bool:
		return n.Text
	case Number:
		return "the number " + fhir.Clip(n.Text)
	case String:
		return "the string " + quote(n.Text)
	case Array:
		return "a list"
	case Object:
		return "an object"
	}
	return "null"
}

// literal writes a scalar as it stands in JSON, shortened.
func literal(n *Node) string {
	if n.Kind == String {
		return quote(n.Text)
	}
	return fhir.Clip(n.Text)
}

// quote puts what the sender wrote into a message, shortened.
func quote(s string) string { return strconv.Quote(fhir.Clip(s)) }

// want names what a member's value must be.
func (m *member) want() string {
	switch {
	case m.primitive != nil:
		return m.primitive.want
	case m.nested:
		return "a resource"
	}
	return "an object"
}

// choiceOf returns a member of the choice element that an unknown name begins
// with, such as value for valueFoo.
func choiceOf(sh *shape, name string) *member {
	for _, element := range sh.names {
		if sh.members[element] != nil || !strings.HasPrefix(name, element) {
			continue
		}
		for _, m := range sh.members {
			if m.element == element {
				return m
			}
		}
	}
	return nil
}

// choiceNames lists the members of a choice element, sorted. Where any type
// will do, the list is cut.
func choiceNames(sh *shape, of *member) []string {
	var names []string
	for _, m := range sh.members {
		if m.bit == of.bit {
			names = append(names, m.name)
		}
	}
	slices.Sort(names)
	if len(names) > 12 {
		names = append(names[:12], "…")
	}
	return names
}
