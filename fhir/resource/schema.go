package resource

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:generate go run definitions/generate.go -package package -out definitions

// definitions holds the element definitions and the codes of required bindings
// of R4 4.0.1, made by definitions/generate.go from HL7's package
// hl7.fhir.r4.core (CC0-1.0).
//
//go:embed definitions/elements.tsv definitions/codes.tsv
var definitions embed.FS

// Unbounded is the Max of an element that may repeat without limit.
const Unbounded = -1

// Element is what R4 says about one element of a resource or data type.
//
// https://hl7.org/fhir/R4/elementdefinition.html
type Element struct {
	Path string // as in the definition, such as "Observation.value[x]"
	Min  int    // 0 or 1 (R4 has no other)
	Max  int    // 1 or Unbounded
	// Types are the allowed types; empty for a type's root and for an element
	// with Content.
	Types []Type
	// Content is the path of the element whose children this one has too, such
	// as "Observation.referenceRange"; usually empty.
	Content string
	// Strength is "required", "extensible", "preferred", "example" or "" when
	// the element has no binding. https://hl7.org/fhir/R4/terminologies.html#strength
	Strength string
	ValueSet string // canonical URL of the bound value set
	// Summary says that a summary has the element, Modifier that its value can
	// change the meaning of others.
	Summary, Modifier bool
}

// Type is one allowed type of an element.
type Type struct {
	Name string // "Quantity", "dateTime", "Reference", ...
	// Targets are the resource types a Reference or canonical may point at;
	// empty when any will do.
	Targets []string
}

// Repeats reports whether the element is written as a JSON array.
func (e *Element) Repeats() bool { return e.Max == Unbounded }

// Choice returns the name that the types of a choice element are appended to,
// "value" for "Observation.value[x]", or "" if the element is no choice.
func (e *Element) Choice() string {
	name, ok := strings.CutSuffix(lastName(e.Path), "[x]")
	if !ok {
		return ""
	}
	return name
}

// NamedElement is an element under the name it has in JSON.
type NamedElement struct {
	Name string
	Element
}

// Named returns the element under each name it can have in JSON: a choice once
// for each of its types, with that type alone.
func (e Element) Named() []NamedElement {
	choice := e.Choice()
	if choice == "" {
		return []NamedElement{{lastName(e.Path), e}}
	}
	named := make([]NamedElement, len(e.Types))
	for i, t := range e.Types {
		named[i] = NamedElement{choiceName(choice, t.Name), e}
		named[i].Types = []Type{t}
	}
	return named
}

// Schema is the set of R4's element definitions.
type Schema struct {
	elements map[string]*Element
	// children are the elements one level below a path, in R4's order.
	children map[string][]*Element
	// codes are the codes of the value sets that required bindings of code
	// elements name. A value set that R4 does not list (currencies, MIME
	// types, UCUM) is absent.
	codes map[string][]string
	// systems are the same codes by code system.
	systems map[string]map[string][]string
	types   []string // resource types, sorted
}

// LoadSchema returns the embedded definitions, which are read once and never
// change. It fails only if they are broken.
func LoadSchema() (*Schema, error) { return loaded() }

var loaded = sync.OnceValues(readSchema)

func readSchema() (*Schema, error) {
	s := &Schema{
		elements: make(map[string]*Element, 8000),
		children: make(map[string][]*Element, 1500),
		codes:    make(map[string][]string, 256),
		systems:  make(map[string]map[string][]string, 256),
	}
	if err := s.loadElements(); err != nil {
		return nil, err
	}
	if err := s.loadCodes(); err != nil {
		return nil, err
	}
	for path := range s.elements {
		typ, ok := strings.CutSuffix(path, ".implicitRules")
		if ok && typ != "Resource" && typ != "DomainResource" {
			s.types = append(s.types, typ)
		}
	}
	slices.Sort(s.types)
	return s, nil
}

// rows calls each for every data line of an embedded table and checks the
// number of columns.
func rows(name string, columns int, each func(cells []string) error) error {
	data, err := definitions.ReadFile("definitions/" + name)
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if number == 1 {
			continue // the header
		}
		cells := strings.Split(line, "\t")
		if len(cells) != columns {
			return fmt.Errorf("%s line %d: %d columns, want %d", name, number, len(cells), columns)
		}
		if err := each(cells); err != nil {
			return fmt.Errorf("%s line %d: %w", name, number, err)
		}
	}
	return nil
}

func (s *Schema) loadElements() error {
	return rows("elements.tsv", 7, func(cells []string) error {
		e := &Element{Path: cells[0], Max: 1}
		switch cells[1] {
		case "0":
		case "1":
			e.Min = 1
		default:
			return fmt.Errorf("min %q", cells[1])
		}
		switch cells[2] {
		case "1":
		case "*":
			e.Max = Unbounded
		default:
			return fmt.Errorf("max %q", cells[2])
		}
		if cells[3] != "" {
			for text := range strings.SplitSeq(cells[3], ",") {
				e.Types = append(e.Types, parseType(text))
			}
		}
		e.Content = strings.TrimPrefix(cells[4], "#")
		e.Strength, e.ValueSet, _ = strings.Cut(cells[5], " ")
		e.Summary, e.Modifier = strings.Contains(cells[6], "S"), strings.Contains(cells[6], "M")
		if s.elements[e.Path] != nil {
			return fmt.Errorf("%s is there twice", e.Path)
		}
		s.elements[e.Path] = e
		if i := strings.LastIndexByte(e.Path, '.'); i >= 0 {
			parent := e.Path[:i]
			if s.elements[parent] == nil {
				return fmt.Errorf("%s stands before its parent", e.Path)
			}
			s.children[parent] = append(s.children[parent], e)
		}
		return nil
	})
}

func (s *Schema) loadCodes() error {
	return rows("codes.tsv", 3, func(cells []string) error {
		set, system := cells[0], cells[1]
		codes := strings.Split(cells[2], " ")
		if s.systems[set] == nil {
			s.systems[set] = make(map[string][]string, 1)
		}
		if s.systems[set][system] != nil {
			return fmt.Errorf("%s has %s twice", set, system)
		}
		s.systems[set][system] = codes
		all := append(s.codes[set], codes...)
		slices.Sort(all)
		s.codes[set] = slices.Compact(all)
		return nil
	})
}

// parseType reads "Reference(Patient|Group)" or "Quantity".
func parseType(text string) Type {
	name, targets, ok := strings.Cut(strings.TrimSuffix(text, ")"), "(")
	t := Type{Name: name}
	if ok && targets != "Resource" {
		t.Targets = strings.Split(targets, "|")
	}
	return t
}

// Element returns the definition of the element at a path of element names
// without indexes. The path may lead through data types and repeated content,
// and may name a choice in any of three ways:
//
//	Patient.name.family                   HumanName.family
//	Observation.component.referenceRange  also its children, by content reference
//	Observation.value, .value[x]          with all types
//	Observation.valueQuantity             with the one type
//	Bundle.entry.resource                 what is below a resource is not followed
//
// The Path of the result is that of the definition.
func (s *Schema) Element(path string) (Element, bool) {
	if e := s.elements[path]; e != nil {
		return *e, true
	}
	first, rest, _ := strings.Cut(path, ".")
	root := s.elements[first]
	if root == nil {
		return Element{}, false
	}
	e := *root
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, ".")
		next, ok := s.child(&e, name)
		if !ok {
			return Element{}, false
		}
		e = next
	}
	return e, true
}

// child finds the definition of a member of e by its name.
func (s *Schema) child(e *Element, name string) (Element, bool) {
	for _, c := range s.Children(*e) {
		switch choice := c.Choice(); {
		case lastName(c.Path) == name, choice == name && choice != "":
			return c, true
		case choice != "" && strings.HasPrefix(name, choice):
			for _, t := range c.Types {
				if choiceName(choice, t.Name) == name {
					c.Types = []Type{t}
					return c, true
				}
			}
		}
	}
	return Element{}, false
}

// Children returns the definitions one level below e, in R4's order: its own,
// those of the element its Content names, or those of its type. A primitive
// element, a resource (contained, Bundle.entry.resource) and a choice of
// several types have none.
func (s *Schema) Children(e Element) []Element {
	at := e.Path
	if e.Content != "" {
		at = e.Content
	}
	list := s.children[at]
	if list == nil && len(e.Types) == 1 {
		list = s.children[e.Types[0].Name]
		if e.Types[0].Name == "Resource" {
			list = nil
		}
	}
	out := make([]Element, len(list))
	for i, c := range list {
		out[i] = *c
	}
	return out
}

// Codes returns the codes of a value set, sorted. ok is false if R4 does not
// list them.
func (s *Schema) Codes(valueSet string) (codes []string, ok bool) {
	set, _, _ := strings.Cut(valueSet, "|")
	codes, ok = s.codes[set]
	return slices.Clone(codes), ok
}

// CodesBySystem returns the codes of a value set by their code system; nil if R4
// does not list them. The result is shared: it must not be changed.
func (s *Schema) CodesBySystem(valueSet string) map[string][]string {
	set, version, _ := strings.Cut(valueSet, "|")
	if version != "" && version != "4.0.1" {
		return nil
	}
	return s.systems[set]
}

// choiceName returns the JSON name of a choice element of a type: valueQuantity
// for value and Quantity.
func choiceName(choice, typ string) string {
	return choice + strings.ToUpper(typ[:1]) + typ[1:]
}

func lastName(path string) string {
	return path[strings.LastIndexByte(path, '.')+1:]
}

// Types returns the names of all R4 resource types, sorted. Abstract types are
// not among them.
func Types() []string { return slices.Clone(mustSchema().types) }

// KnownType reports whether name is an R4 resource type that can be
// instantiated.
func KnownType(name string) bool {
	_, ok := slices.BinarySearch(mustSchema().types, name)
	return ok
}

// mustSchema returns the definitions where broken ones can only mean a broken
// build.
func mustSchema() *Schema {
	s, err := loaded()
	if err != nil {
		panic("fhir/resource: the embedded definitions are broken: " + err.Error())
	}
	return s
}
