package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// String parameters: https://hl7.org/fhir/R4/search.html#string. A value
// matches if it starts with the search text, both folded.

// fold returns s in lower case, without combining marks (ł is l, ß is ss), apostrophes and full
// stops, and with one space for each other run of what is neither letter nor
// digit; none at the ends.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return foldRunes(s)
		}
	}
	out := make([]byte, 0, len(s))
	gap := false
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '\'' || c == '.' || c == '`':
			continue
		default:
			gap = true
			continue
		}
		if gap && len(out) > 0 {
			out = append(out, ' ')
		}
		gap = false
		out = append(out, c)
	}
	return string(out)
}

func foldRunes(s string) string {
	var out strings.Builder
	out.Grow(len(s))
	gap := false
	for _, r := range norm.NFKD.String(s) {
		switch {
		case unicode.Is(unicode.M, r):
			continue
		case r == '\'' || r == '.' || r == '`' || r == '’' || r == 'ʼ' || r == '‘':
			continue
		case !unicode.IsLetter(r) && !unicode.IsNumber(r):
			gap = true
			continue
		}
		if gap && out.Len() > 0 {
			out.WriteByte(' ')
		}
		gap = false
		r = unicode.ToLower(r)
		if plain, ok := plainLetters[r]; ok {
			out.WriteString(plain)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// plainLetters are what people without the key write for letters that Unicode
// does not take apart into a letter and a mark.
var plainLetters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th",
	'ħ': "h", 'ŧ': "t", 'ŋ': "n", 'ĸ': "k", 'ı': "i", 'ς': "σ",
}

// Parts of HumanName and Address that string searches look at.
// https://hl7.org/fhir/R4/search.html#string
var (
	nameParts    = []string{"text", "given", "prefix", "suffix"}
	addressParts = []string{"text", "line", "city", "district", "state", "postalCode", "country"}
)

// indexString adds the entries of a string parameter.
func indexString(x *extraction, p *Param, typ string, n *resource.Node) {
	switch typ {
	case "HumanName":
		x.strings(p, n, nameParts)
		x.familyName(p, n.Str("family"))
	case familyType:
		if n.Kind == resource.String {
			x.familyName(p, n.Text)
		}
	case "Address":
		x.strings(p, n, addressParts)
	default:
		if n.Kind == resource.String {
			x.text(p, n.Text)
		}
	}
}

// familyType is the type the compiler gives HumanName.family, whose words are
// found one by one.
const familyType = "HumanName.family"

func (x *extraction) strings(p *Param, n *resource.Node, parts []string) {
	for i := range n.Fields {
		f := &n.Fields[i]
		for _, part := range parts {
			if f.Name != part {
				continue
			}
			for j, items := 0, f.Node.Each(); j < len(items); j++ {
				x.text(p, items[j].Text)
			}
		}
	}
}

func (x *extraction) text(p *Param, s string) {
	if folded := fold(s); folded != "" {
		v := appendText(x.value(classString), folded, maxCodeText)
		x.add(p, appendText(v, s, maxCodeText))
	}
}

// familyName adds a family name and, so that "Quinones" finds "Carreno
// Quinones", what begins with each further word.
func (x *extraction) familyName(p *Param, s string) {
	x.text(p, s)
	folded := fold(s)
	for {
		i := strings.IndexByte(folded, ' ')
		if i < 0 {
			return
		}
		folded = folded[i+1:]
		x.add(p, appendText(x.value(classStringWord), folded, maxCodeText))
	}
}

// stringRanges reads a value of a string search.
func stringRanges(params []*Param, text string) ([]Range, error) {
	folded := fold(text)
	switch {
	case folded == "":
		return nil, fhir.Errorf(fhir.Invalid, "%q has no letter or digit to search for", fhir.Clip(text))
	case len(folded) > maxPrefixText:
		return nil, fhir.Errorf(fhir.Invalid, "the text to search for is longer than %d bytes", maxPrefixText)
	}
	out := []Range{prefixed(append([]byte{classString}, folded...))}
	for _, p := range params {
		if p.has("HumanName") || p.has(familyType) {
			return append(out, prefixed(append([]byte{classStringWord}, folded...))), nil
		}
	}
	return out, nil
}
