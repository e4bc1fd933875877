package search

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Modifiers: https://hl7.org/fhir/R4/search.html#modifiers. "The server SHALL
// reject any search request that contains a search parameter with a modifier
// that the server does not support for that parameter."

// modifier is a word that may stand behind a parameter's name.
type modifier struct {
	name string
	fits func(p *Param) bool
	// read reads all values; without it value reads each.
	read  func(p *parser, params []*Param, text string) (Clause, error)
	value func(p *parser, params []*Param, value string) ([]Range, error)
	not   bool // the clause holds where it otherwise would not
}

// modifiers are those of R4. Beside them references have the names of types.
func modifiers() []modifier {
	return []modifier{
		{name: "missing", fits: canBeMissing, read: readMissing},
		{name: "exact", fits: isString, value: exactRanges},
		{name: "contains", fits: isString, value: containsRanges},
		{name: "text", fits: hasText, read: readWords},
		{name: "not", fits: isToken, value: (*parser).ranges, not: true},
		{name: "in", fits: hasCodes, value: memberRanges},
		{name: "not-in", fits: hasCodes, value: memberRanges, not: true},
		{name: "above", fits: hasHierarchy, value: aboveRanges},
		{name: "below", fits: hasHierarchy, value: belowRanges},
		{name: "of-type", fits: hasIdentifiers, value: ofTypeRanges},
		{name: "identifier", fits: hasLogicalReferences, value: identifierRanges},
	}
}

func canBeMissing(p *Param) bool { return p.Type != TypeComposite }
func isString(p *Param) bool     { return p.Type == TypeString }
func isToken(p *Param) bool      { return p.Type == TypeToken }

// hasText reports whether there are words to search for: in strings, and in
// what goes along with codes.
func hasText(p *Param) bool {
	return isString(p) || isToken(p) && (p.has("CodeableConcept") || p.has("Coding") || p.has("Identifier"))
}

// hasCodes reports whether a token parameter looks at codes, rather than at
// identifiers, booleans or addresses only.
func hasCodes(p *Param) bool {
	return isToken(p) && (p.has("CodeableConcept") || p.has("Coding") || p.has("code"))
}

func hasHierarchy(p *Param) bool {
	return hasCodes(p) || p.Type == TypeReference || p.Type == TypeURI
}

func hasIdentifiers(p *Param) bool { return isToken(p) && p.has("Identifier") }

func hasLogicalReferences(p *Param) bool { return p.Type == TypeReference && p.has("Reference") }

// modified reads the values of a parameter with a modifier.
func (p *parser) modified(params []*Param, word, text string) (Clause, error) {
	if params[0].Type == TypeReference && resource.KnownType(word) {
		if err := checkTarget(params, targets(params), word); err != nil {
			return Clause{}, err
		}
		return p.eachValue(params, text, func(value string) ([]Range, error) {
			return typedRanges(params, word, unescape(value), p.opts.Base)
		})
	}
	for _, m := range modifiers() {
		if m.name != word || !slices.ContainsFunc(params, m.fits) {
			continue
		}
		if m.read != nil {
			return m.read(p, params, text)
		}
		c, err := p.eachValue(params, text, func(value string) ([]Range, error) { return m.value(p, params, value) })
		c.Not = m.not
		return c, err
	}
	return Clause{}, wrongModifier(params[0], word)
}

// wrongModifier says which modifiers a parameter has.
func wrongModifier(p *Param, word string) error {
	var valid []string
	for _, m := range modifiers() {
		if m.fits(p) {
			valid = append(valid, m.name)
		}
	}
	if len(valid) == 0 {
		return fhir.Errorf(fhir.Invalid, "%s is a %s parameter, which takes no modifier", p.Name, p.Type)
	}
	if first, _, several := strings.Cut(word, ":"); several && first != "" {
		return fhir.Errorf(fhir.Invalid, "%s:%s: a parameter takes one modifier, and what belongs to another resource stands behind a '.'", p.Name, fhir.Clip(word))
	}
	types := ""
	if p.Type == TypeReference {
		types = ", and the types it can refer to"
		if n := len(p.Targets); n > 0 && n <= 8 {
			types = ", " + strings.Join(p.Targets, ", ")
		}
	}
	return fhir.Errorf(fhir.Invalid, "%q is not a modifier of %s, a %s parameter. It has: %s%s",
		fhir.Clip(word), p.Name, p.Type, strings.Join(fhir.NearestFirst(word, valid), ", "), types)
}

// readMissing reads the value of :missing: "returns all the resources that don't
// have a value" with true, those that have one with false.
// https://hl7.org/fhir/R4/search.html#modifiers
func readMissing(_ *parser, params []*Param, text string) (Clause, error) {
	if text != "true" && text != "false" {
		return Clause{}, fhir.Errorf(fhir.Invalid, "%q is neither true nor false", fhir.Clip(text))
	}
	c := Present(params[0].Name)
	c.Not = text == "true"
	return c, nil
}

// readWords reads the values of :text: for each value all of its words must begin
// words of what the parameter looks at, in any order. Upper and lower case,
// accents and punctuation do not count.
//
// https://hl7.org/fhir/R4/search.html#modifiers: "the match does a partial
// searches on the text portion of a CodeableConcept or the display portion of a
// Coding"; https://hl7.org/fhir/R4/search.html#text
func readWords(p *parser, params []*Param, text string) (Clause, error) {
	values, err := splitValues(text)
	if err != nil {
		return Clause{}, err
	}
	var alternatives []Clause
	for _, value := range values {
		folded := fold(unescape(value))
		if err := checkFolded(folded, value); err != nil {
			return Clause{}, err
		}
		var all []Clause
		for word := range strings.FieldsSeq(folded) {
			if err := p.count(); err != nil {
				return Clause{}, err
			}
			all = append(all, Clause{Param: params[0].Name, Ranges: wordRanges(params[0].Type, word)})
		}
		if len(all) == 1 {
			alternatives = append(alternatives, all[0])
		} else {
			alternatives = append(alternatives, Clause{Any: [][]Clause{all}})
		}
	}
	return either(alternatives), nil
}

// lookup returns what answers from stored resources.
func (p *parser) lookup() (Lookup, error) {
	if p.opts.Lookup == nil {
		return nil, fhir.Errorf(fhir.NotSupported, "this needs stored resources, which are not looked up here: write the codes or references themselves")
	}
	return p.opts.Lookup, nil
}

// memberRanges reads a value of :in and :not-in: a value set.
// https://hl7.org/fhir/R4/search.html#modifiers
func memberRanges(p *parser, params []*Param, value string) ([]Range, error) {
	look, err := p.lookup()
	if err != nil {
		return nil, err
	}
	set := unescape(value)
	if key, ok := localLink(set, p.opts.Base); ok {
		set = key.key.String()
	}
	codes, err := look.Codes(set)
	if err != nil {
		return nil, err
	}
	return codingRanges(params, codes)
}

// codingRanges selects any of the codes.
func codingRanges(params []*Param, codes []Coding) ([]Range, error) {
	var out []Range
	for _, c := range codes {
		if c.Code == "" && c.System == "" {
			continue
		}
		ranges, err := tokenRanges(params, []string{c.System, c.Code})
		if err != nil {
			return nil, err
		}
		if out = append(out, ranges...); len(out) > MaxRanges {
			return nil, fhir.Errorf(fhir.TooLarge, "there are more than %d codes to look for", MaxRanges)
		}
	}
	return out, nil
}

func aboveRanges(p *parser, params []*Param, value string) ([]Range, error) {
	return p.hierarchy(params, value, true)
}

func belowRanges(p *parser, params []*Param, value string) ([]Range, error) {
	return p.hierarchy(params, value, false)
}

// hierarchy reads a value of :above or :below: what is looked for and all above
// or below it.
func (p *parser) hierarchy(params []*Param, value string, above bool) ([]Range, error) {
	switch params[0].Type {
	case TypeURI:
		return pathRanges(unescape(value), above)
	case TypeReference:
		return p.referenceHierarchy(params, unescape(value), above)
	}
	parts := splitParts(value)
	if len(parts) == 1 {
		// The system may be implied by the definition of the element.
		if systems := params[0].systems; len(params) == 1 && params[0].systemless && len(systems) == 1 {
			parts = []string{systems[0], parts[0]}
		}
	}
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return nil, fhir.Errorf(fhir.Invalid, "the hierarchy of a code is that of its system: write system|code, not %q", fhir.Clip(value))
	}
	look, err := p.lookup()
	if err != nil {
		return nil, err
	}
	codes, err := look.Subsumes(Coding{System: parts[0], Code: parts[1]}, above)
	if err != nil {
		return nil, err
	}
	return codingRanges(params, codes)
}
