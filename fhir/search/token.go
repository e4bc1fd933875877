package search

import (
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Token parameters: https://hl7.org/fhir/R4/search.html#token. Codes and
// systems match exactly, case included, except that string elements, addresses of
// mail and phone numbers match in any case. A code of R4's own, such as a gender,
// is found in capitals too.

// specialValues is the implicit system of booleans.
// https://hl7.org/fhir/R4/search.html#token
const specialValues = "http://hl7.org/fhir/special-values"

// indexToken adds the entries of a token parameter.
func indexToken(x *extraction, p *Param, typ string, n *resource.Node) {
	switch typ {
	case "Coding":
		x.coding(p, n)
	case "CodeableConcept":
		for i, codings := 0, n.List("coding"); i < len(codings); i++ {
			x.coding(p, &codings[i])
		}
		x.tokenText(p, n.Str("text"))
	case "Identifier":
		x.identifier(p, n)
	case "ContactPoint":
		if value := n.Str("value"); value != "" {
			x.token(p, "", strings.ToLower(value))
		}
	case "string":
		if n.Kind == resource.String {
			x.token(p, "", strings.ToLower(n.Text))
		}
	default: // boolean, code, uri, id, ...
		if n.Text != "" {
			x.token(p, "", n.Text)
		}
	}
}

func (x *extraction) coding(p *Param, n *resource.Node) {
	if code := n.Str("code"); code != "" {
		x.token(p, n.Str("system"), code)
	}
	x.tokenText(p, n.Str("display"))
}

func (x *extraction) identifier(p *Param, n *resource.Node) {
	typ := n.Get("type")
	x.tokenText(p, typ.Str("text"))
	value := n.Str("value")
	if value == "" {
		return
	}
	x.token(p, n.Str("system"), value)
	for i, codings := 0, typ.List("coding"); i < len(codings); i++ {
		v := appendText(x.value(classTokenType), codings[i].Str("system"), maxTypeText)
		v = appendText(v, codings[i].Str("code"), maxTypeText)
		x.add(p, appendText(v, value, maxTypeText))
	}
}

// token adds a code, alone and with its system. If no element of the parameter
// can have a system, the code alone says all.
func (x *extraction) token(p *Param, system, code string) {
	x.add(p, appendText(x.value(classTokenCode), code, maxCodeText))
	if !p.systemless {
		v := appendText(x.value(classTokenSystem), system, maxCodeText)
		x.add(p, appendText(v, code, maxCodeText))
	}
}

func (x *extraction) tokenText(p *Param, text string) {
	switch folded := fold(text); {
	case folded == "":
	case len(folded) > maxCodeText:
		x.pieces(p, classTokenText, folded)
	default:
		x.add(p, appendText(x.value(classTokenText), folded, maxCodeText))
	}
}

// tokenRanges reads a value of a token search: code, system|code, |code or
// system|.
func tokenRanges(params []*Param, parts []string) ([]Range, error) {
	switch {
	case len(parts) > 2:
		return nil, fhir.Errorf(fhir.Invalid, "a token is written code, system|code, |code or system|, not %q", fhir.Clip(strings.Join(parts, "|")))
	case len(parts) == 2 && parts[0] == "" && parts[1] == "":
		return nil, fhir.Errorf(fhir.Invalid, "a token needs a code or a system")
	case len(parts) == 1:
		return codeRanges(params, parts[0])
	}
	system, code := parts[0], parts[1]
	if code == "" {
		return systemRanges(params, system), nil
	}
	var out []Range
	if system == "" || !allSystemless(params) {
		v := appendText([]byte{classTokenSystem}, system, maxCodeText)
		out = append(out, exactly(appendText(v, code, maxCodeText)))
	}
	// Elements without a system property: their system is none, or the one
	// that their definition implies.
	for _, p := range params {
		if p.systemless && (system == "" || p.implies(system)) {
			more, err := codeRanges(params, code)
			return append(out, more...), err
		}
	}
	for _, p := range params {
		if system != "" && p.implies(system) {
			v := appendText([]byte{classTokenSystem}, "", maxCodeText)
			return append(out, exactly(appendText(v, code, maxCodeText))), nil
		}
	}
	if out == nil {
		out = []Range{}
	}
	return out, nil
}

func codeRanges(params []*Param, code string) ([]Range, error) {
	truth := true
	text := false
	for _, p := range params {
		truth = truth && p.hasOnly("boolean")
		text = text || p.has("string") || p.has("ContactPoint") || p.systemless && p.has("code")
	}
	if truth && code != "true" && code != "false" {
		return nil, fhir.Errorf(fhir.Invalid, "%q is neither true nor false", fhir.Clip(code))
	}
	out := []Range{exactly(appendText([]byte{classTokenCode}, code, maxCodeText))}
	if lower := strings.ToLower(code); text && lower != code {
		out = append(out, exactly(appendText([]byte{classTokenCode}, lower, maxCodeText)))
	}
	return out, nil
}

// systemRanges selects every code of a system.
func systemRanges(params []*Param, system string) []Range {
	out := []Range{prefixed(appendText([]byte{classTokenSystem}, system, maxCodeText))}
	for _, p := range params {
		if p.systemless && p.implies(system) {
			return append(out, prefixed([]byte{classTokenCode}))
		}
	}
	return out
}

func allSystemless(params []*Param) bool {
	for _, p := range params {
		if !p.systemless {
			return false
		}
	}
	return true
}

// ofTypeRanges reads a value of :of-type: "system|code|value, where the system
// and code refer to a Identifier.type.coding.system and .code … All 3 parts must
// be present." https://hl7.org/fhir/R4/search.html#token
func ofTypeRanges(_ *parser, _ []*Param, value string) ([]Range, error) {
	parts := splitParts(value)
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return nil, fhir.Errorf(fhir.Invalid, ":of-type takes system|code|value, all three: the type of the identifier and its value, not %q", fhir.Clip(value))
	}
	v := []byte{classTokenType}
	for _, part := range parts {
		v = appendText(v, part, maxTypeText)
	}
	return []Range{exactly(v)}, nil
}
