package search

import (
	"slices"
)

// Type is the type of a search parameter, which decides how its values are
// written and compared.
//
// https://hl7.org/fhir/R4/valueset-search-param-type.html
type Type string

// The types of search parameters.
const (
	TypeNumber    Type = "number"
	TypeDate      Type = "date"
	TypeString    Type = "string"
	TypeToken     Type = "token"
	TypeReference Type = "reference"
	TypeComposite Type = "composite"
	TypeQuantity  Type = "quantity"
	TypeURI       Type = "uri"
	TypeSpecial   Type = "special"
)

// Param is a search parameter of one resource type.
type Param struct {
	Name        string // as in search URLs
	Type        Type
	URL         string // of its definition
	Description string // for people; may be empty
	// Expression is the part of the definition's FHIRPath that concerns this
	// resource type.
	Expression string
	// Targets are the types a reference may point at, sorted; empty means any.
	Targets []string

	rank       uint32   // among the type's parameters by name, from 1
	types      []string // of the elements it looks at, as the schema calls them
	systems    []string // systems that the definitions of its codes imply
	systemless bool     // no element of it has a system property
	components []component
	// compartment says that a reference to a patient puts the resource in the
	// patient's compartment.
	compartment bool
	custom      bool // a client defined it
}

// has reports whether the parameter looks at elements of a data type.
func (p *Param) has(typ string) bool { return slices.Contains(p.types, typ) }

// hasOnly reports whether it looks at elements of that type alone.
func (p *Param) hasOnly(typ string) bool {
	return len(p.types) == 1 && p.types[0] == typ
}

// implies reports whether the definition of its elements implies a system for
// their codes.
func (p *Param) implies(system string) bool { return slices.Contains(p.systems, system) }

// unique sorts a list and drops what is there twice.
func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
