package search

import (
	"bytes"
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
		if len(folded) > maxCodeText {
			x.pieces(p, classStringPiece, folded)
		}
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
	if err := checkFolded(folded, text); err != nil {
		return nil, err
	}
	out := []Range{prefixed(append([]byte{classString}, folded...))}
	for _, p := range params {
		if p.has("HumanName") || p.has(familyType) {
			return append(out, prefixed(append([]byte{classStringWord}, folded...))), nil
		}
	}
	return out, nil
}

// checkFolded returns an error if a text, folded, cannot be looked for.
func checkFolded(folded, text string) error {
	switch {
	case folded == "":
		return fhir.Errorf(fhir.Invalid, "%q has no letter or digit to search for", fhir.Clip(text))
	case len(folded) > maxPrefixText:
		return fhir.Errorf(fhir.Invalid, "the text to search for is longer than %d bytes", maxPrefixText)
	}
	return nil
}

// exactRanges reads a value of :exact: "the entire supplied parameter, including
// casing and accents". https://hl7.org/fhir/R4/search.html#string
func exactRanges(_ *parser, _ []*Param, value string) ([]Range, error) {
	text := unescape(value)
	folded := fold(text)
	if folded == "" {
		return nil, checkFolded(folded, text)
	}
	v := appendText([]byte{classString}, folded, maxCodeText)
	return []Range{exactly(appendText(v, text, maxCodeText))}, nil
}

// containsRanges reads a value of :contains: "anywhere within the field being
// searched", folded. https://hl7.org/fhir/R4/search.html#string
func containsRanges(_ *parser, _ []*Param, value string) ([]Range, error) {
	text := unescape(value)
	folded := []byte(fold(text))
	if err := checkFolded(string(folded), text); err != nil {
		return nil, err
	}
	return within(TypeString, func(kept []byte) bool { return bytes.Contains(kept, folded) }), nil
}

// wordRanges selects the texts, of string or of token parameters, in which a
// word begins with a folded one.
func wordRanges(typ Type, word string) []Range {
	later := []byte(" " + word)
	return within(typ, func(kept []byte) bool { return bytes.HasPrefix(kept, later[1:]) || bytes.Contains(kept, later) })
}

// within selects the texts of which a test holds for a piece.
func within(typ Type, test func(kept []byte) bool) []Range {
	keep := func(value []byte) bool {
		text, _ := cutText(value[1:])
		if cut := bytes.IndexByte(text, 1); cut >= 0 {
			text = text[:cut] // the hash of a long text
		}
		return test(text)
	}
	classes := []byte{classString, classStringPiece}
	if typ == TypeToken {
		classes = []byte{classTokenText}
	}
	out := make([]Range, 0, len(classes))
	for _, class := range classes {
		r := prefixed([]byte{class})
		r.Keep = keep
		out = append(out, r)
	}
	return out
}

// Pieces are entries of what an entry of a long text cuts off. They overlap, so
// that all that can be looked for is whole in one of them.
const (
	pieceBytes = maxURIText
	pieceStep  = pieceBytes - maxPrefixText
	mostPieces = 1_000 // of one text: what is beyond is found by its beginning only
)

// pieces adds a long folded text piece by piece. A piece begins with a word if
// there is a blank to begin behind.
func (x *extraction) pieces(p *Param, class byte, folded string) {
	for range mostPieces {
		end := runeStart(folded, pieceBytes)
		x.add(p, appendText(x.value(class), folded[:end], maxURIText))
		if end == len(folded) {
			return
		}
		next := strings.LastIndexByte(folded[:pieceStep], ' ') + 1
		if next == 0 {
			next = runeStart(folded, pieceStep)
		}
		folded = folded[next:]
	}
}

// runeStart returns where the last rune begins that does not lie behind most
// bytes; the length of a shorter text.
func runeStart(s string, most int) int {
	if len(s) <= most {
		return len(s)
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return most
}
