package search

// What a parameter can do, for those who tell clients.

// Modifiers returns the modifiers that a parameter takes, in the order of R4.
// References also take the types they can refer to.
//
// https://hl7.org/fhir/R4/search.html#modifiers
func (p *Param) Modifiers() []string {
	var names []string
	for _, m := range modifiers() {
		if m.fits(p) {
			names = append(names, m.name)
		}
	}
	return names
}

// Prefixes returns the prefixes that values of a parameter type can have.
//
// https://hl7.org/fhir/R4/search.html#prefix
func (t Type) Prefixes() []string {
	switch t {
	case TypeNumber, TypeDate, TypeQuantity:
		return []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}
	}
	return nil
}

// Follows reports whether a parameter is a reference that chains and _has can
// follow: to a resource by its type and id.
func (p *Param) Follows() bool {
	return p.Type == TypeReference && hasLiterals([]*Param{p})
}

// Included reports whether _include and _revinclude can follow a parameter: to a
// resource by its type and id, or by its canonical URL.
func (p *Param) Included() bool {
	return p.Follows() || p.Type == TypeReference && canBeURL([]*Param{p})
}
