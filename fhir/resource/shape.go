package resource

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// shape is what may stand in one JSON object - a resource, a data type or a
// backbone element - compiled from the Schema so that a walk over a tree needs
// one map lookup a member and no string building.
type shape struct {
	id       uint16 // unique among all shapes
	path     string // of the definition: "Patient", "Patient.contact", "HumanName"
	resource bool   // has a resourceType
	members  map[string]*member
	names    []string // of the elements, in R4's order; a member's bit is its index here
	required bits
	rules    []*rule
}

// member is one JSON member of a shape. A choice element has one for each type.
type member struct {
	id      uint16 // unique among all members, below 1<<15
	name    string // in JSON, such as "valueQuantity"
	element string // in FHIRPath, such as "value"
	bit     int    // the members of one choice share it
	repeats bool
	uri     bool // can hold the URL of a resource

	// Exactly one of the next three is set.
	primitive *primitive
	shape     *shape
	nested    bool // a whole resource: contained, Bundle.entry.resource, ...

	targets []string // of a Reference; nil if any type will do
	codes   *codeSet // of a required binding that R4 lists
}

// bits is a set of a shape's elements.
type bits [2]uint64

func (b *bits) add(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b *bits) has(i int) bool { return b[i>>6]&(1<<(i&63)) != 0 }

// codeSet is a value set that R4 lists.
type codeSet struct {
	name  string   // the last part of the value set's URL
	codes []string // sorted
	// systems holds the codes of each code system, for Codings.
	systems map[string][]string
}

// shapes are all shapes by the path of their definition.
var shapes = sync.OnceValues(func() (map[string]*shape, error) {
	s, err := LoadSchema()
	if err != nil {
		return nil, err
	}
	return compile(s)
})

// compile makes the shapes. It fails on what the definitions must not hold:
// unknown types, too many elements in one object, rules for nothing.
func compile(s *Schema) (map[string]*shape, error) {
	all := make(map[string]*shape, len(s.children))
	for path := range s.children {
		all[path] = &shape{path: path, members: make(map[string]*member)}
	}
	sets := make(map[string]*codeSet, len(s.codes))
	for url, systems := range s.systems {
		sets[url] = &codeSet{name: url[strings.LastIndexByte(url, '/')+1:], codes: s.codes[url], systems: systems}
	}
	members := 0
	for i, path := range slices.Sorted(maps.Keys(all)) {
		sh := all[path]
		sh.id = uint16(i)
		_, sh.resource = slices.BinarySearch(s.types, path)
		elements := s.children[path]
		if len(elements) > 128 {
			return nil, fmt.Errorf("%s has %d elements; bits holds 128", path, len(elements))
		}
		for i, e := range elements {
			name := lastName(e.Path)
			if choice := e.Choice(); choice != "" {
				name = choice
			}
			sh.names = append(sh.names, name)
			if e.Min > 0 {
				sh.required.add(i)
			}
			if err := sh.add(all, sets, e, i); err != nil {
				return nil, err
			}
		}
		for _, name := range slices.Sorted(maps.Keys(sh.members)) {
			sh.members[name].id = uint16(members)
			members++
		}
	}
	if members >= traceNull-traceUnder {
		return nil, fmt.Errorf("%d members; a trace holds %d", members, traceNull-traceUnder)
	}
	for i := range rules {
		for _, on := range rules[i].on {
			if all[on] == nil {
				return nil, fmt.Errorf("rule %s is for %s, which is not there", rules[i].key, on)
			}
			all[on].rules = append(all[on].rules, &rules[i])
		}
	}
	return all, nil
}

// add adds the members of one element.
func (sh *shape) add(all map[string]*shape, sets map[string]*codeSet, e *Element, bit int) error {
	choice := e.Choice()
	types := e.Types
	if e.Content != "" {
		types = []Type{{Name: e.Content}}
	}
	for _, t := range types {
		m := &member{name: sh.names[bit], element: sh.names[bit], bit: bit, repeats: e.Repeats(), targets: t.Targets}
		if choice != "" {
			m.name = choiceName(choice, t.Name)
		}
		switch {
		case t.Name == "Resource":
			m.nested = true
		case all[e.Path] != nil: // a backbone element: its children are listed under its own path
			m.shape = all[e.Path]
		case all[t.Name] != nil:
			m.shape = all[t.Name]
		case m.name == "id" && sh.resource:
			m.primitive = &primitives[primitiveID] // R4 lists it as a string, https://hl7.org/fhir/R4/resource.html#id
		case m.name == "id":
			m.primitive = &primitives[primitiveElementID]
		default:
			m.primitive = primitiveNamed(t.Name)
			if m.primitive == nil {
				return fmt.Errorf("%s has the unknown type %s", e.Path, t.Name)
			}
		}
		m.uri = m.primitive != nil && m.primitive.uri()
		if e.Strength == "required" {
			set, _, _ := strings.Cut(e.ValueSet, "|")
			m.codes = sets[set]
		}
		sh.members[m.name] = m
	}
	return nil
}

// reference reports whether the member is a Reference.
func (m *member) reference() bool { return m.shape != nil && m.shape.path == "Reference" }
