package resource

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/starling-fhir/starling/fhir"
)

// Limits of an XML text beside those of the tree it makes.
const (
	maxOpenElements  = 2*MaxDepth + 32 // of a resource and a narrative in it
	maxXMLAttributes = 64              // of one element
)

// xmlKind is a kind of token.
type xmlKind uint8

const (
	xmlStart   xmlKind = iota // <a>; the tag is in xmlScanner.tag. An <a/> is a start and an end
	xmlEnd                    // </a>
	xmlChars                  // text between tags
	xmlCDATA                  // <![CDATA[…]]>
	xmlComment                // <!--…-->
	xmlPI                     // <?…?>
	xmlEOF
)

// xmlScanner cuts an XML 1.0 document with namespaces into tokens. It knows the
// five entities of XML and no others, and no document types, so no text can
// grow while it is read. The text of every token is a part of the document.
//
// https://www.w3.org/TR/xml/, https://www.w3.org/TR/xml-names/
type xmlScanner struct {
	data string
	pos  int

	// Of the token read last: where it starts and, for texts, what is in it.
	start int
	text  string
	tag   xmlTag

	open  []string // the names of the open elements, as written
	bound []xmlBinding
	marks []int // how many of bound there were before each open element
	empty bool  // the tag read last was <a/>: an end is due
	ended bool  // the root element is closed

	line, column, at int // the position that was located last
}

// xmlTag is a start tag.
type xmlTag struct {
	name          string // as written
	prefix, local string
	attributes    []xmlAttr // without namespace declarations
	declares      bool      // it has namespace declarations with a prefix
	xmlns         bool      // it has one without
	empty         bool      // <a/>
}

// xmlAttr is an attribute.
type xmlAttr struct {
	at            int
	prefix, local string
	value         string // references resolved
	raw           string // as written, with its quotes
}

// xmlBinding is a namespace declaration.
type xmlBinding struct{ prefix, uri string }

// newXMLScanner checks what concerns the whole text: its encoding, its
// characters and its XML declaration.
func newXMLScanner(data []byte) (xmlScanner, error) {
	s := xmlScanner{line: 1, column: 1}
	if strings.HasPrefix(string(data[:min(2, len(data))]), "\xfe\xff") || strings.HasPrefix(string(data[:min(2, len(data))]), "\xff\xfe") {
		return s, s.fail(0, "the text is UTF-16; only UTF-8 is read")
	}
	s.data = strings.TrimPrefix(string(data), "\ufeff")
	if !utf8.ValidString(s.data) {
		bad := 0
		for bad < len(s.data) {
			r, size := utf8.DecodeRuneInString(s.data[bad:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			bad += size
		}
		return s, s.fail(bad, "the text is not valid UTF-8")
	}
	if at := xmlText(s.data); at >= 0 {
		return s, s.fail(at, "a character that XML does not allow")
	}
	return s, s.declaration()
}

// locate returns the line and column of a position, both from 1. Positions asked
// for in order cost one pass together.
func (s *xmlScanner) locate(pos int) (line, column int) {
	pos = min(pos, len(s.data))
	if pos < s.at {
		s.line, s.column, s.at = 1, 1, 0
	}
	between := s.data[s.at:pos]
	if n := strings.Count(between, "\n"); n > 0 {
		s.line += n
		s.column = len(between) - strings.LastIndexByte(between, '\n')
	} else {
		s.column += len(between)
	}
	s.at = pos
	return s.line, s.column
}

// placed says what is wrong at a position.
func (s *xmlScanner) placed(pos int, problem string) string {
	line, column := s.locate(pos)
	return "invalid XML at line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column) + ": " + problem
}

// fail makes the error of a text that is not read on.
func (s *xmlScanner) fail(pos int, problem string) error {
	return &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
		Severity: fhir.SeverityError, Code: "structure", Message: s.placed(pos, problem),
	}}}
}

// declaration reads <?xml version="1.0" encoding="UTF-8"?>, which may be absent.
func (s *xmlScanner) declaration() error {
	if !strings.HasPrefix(s.data, "<?xml") || len(s.data) > 5 && !xmlSpace(s.data[5]) {
		return nil
	}
	end := strings.Index(s.data, "?>")
	if end < 0 {
		return s.fail(0, "the XML declaration is not closed")
	}
	rest := s.data[5:end]
	for seen := 0; ; seen++ {
		rest = strings.TrimLeft(rest, " \t\r\n")
		if rest == "" && seen > 0 {
			break
		}
		name, value, after, ok := cutAttribute(rest)
		switch {
		case !ok, seen == 0 && name != "version":
			return s.fail(0, "the XML declaration cannot be read")
		case name == "version" && value != "1.0":
			return s.fail(0, "XML version "+quote(value)+" is not read, only 1.0")
		case name == "encoding" && !strings.EqualFold(value, "utf-8") && !strings.EqualFold(value, "us-ascii"):
			return s.fail(0, "the encoding "+quote(value)+" is not read, only UTF-8")
		case name != "version" && name != "encoding" && name != "standalone":
			return s.fail(0, "the XML declaration cannot be read")
		}
		rest = after
	}
	s.pos = end + len("?>")
	return nil
}

// next reads a token.
func (s *xmlScanner) next() (xmlKind, error) {
	if s.empty {
		s.empty = false
		s.start = s.pos
		s.close()
		return xmlEnd, nil
	}
	s.start = s.pos
	rest := s.data[s.pos:]
	switch {
	case rest == "" && len(s.open) > 0:
		return 0, s.fail(s.pos, "<"+fhir.Clip(s.open[len(s.open)-1])+"> is not closed")
	case rest == "":
		return xmlEOF, nil
	case rest[0] != '<':
		return xmlChars, s.characters(rest)
	case strings.HasPrefix(rest, "<!--"):
		return xmlComment, s.comment(rest)
	case strings.HasPrefix(rest, "<![CDATA["):
		end := strings.Index(rest, "]]>")
		switch {
		case len(s.open) == 0:
			return 0, s.fail(s.pos, "text stands outside the root element")
		case end < 0:
			return 0, s.fail(s.pos, "the CDATA section is not closed")
		}
		s.text = rest[len("<![CDATA["):end]
		s.pos += end + len("]]>")
		return xmlCDATA, nil
	case strings.HasPrefix(rest, "<!DOCTYPE"):
		return 0, s.fail(s.pos, "a resource must not have a document type (DTD) nor entities of its own")
	case strings.HasPrefix(rest, "<!"):
		return 0, s.fail(s.pos, `"<!" must begin a comment`)
	case strings.HasPrefix(rest, "<?"):
		return xmlPI, s.instruction(rest)
	case strings.HasPrefix(rest, "</"):
		return xmlEnd, s.endTag(rest)
	}
	return xmlStart, s.startTag()
}

func (s *xmlScanner) characters(rest string) error {
	end := strings.IndexByte(rest, '<')
	if end < 0 {
		end = len(rest)
	}
	s.text = rest[:end]
	if len(s.open) == 0 && strings.TrimLeft(s.text, " \t\r\n") != "" {
		return s.fail(s.pos, "text stands outside the root element")
	}
	if i := strings.Index(s.text, "]]>"); i >= 0 {
		return s.fail(s.pos+i, `"]]>" must be written "]]&gt;"`)
	}
	if strings.IndexByte(s.text, '&') >= 0 {
		if _, err := s.resolve(s.text, s.pos, false); err != nil {
			return err
		}
	}
	s.pos += end
	return nil
}

func (s *xmlScanner) comment(rest string) error {
	end := strings.Index(rest[len("<!--"):], "--")
	if end < 0 {
		return s.fail(s.pos, "the comment is not closed")
	}
	end += len("<!--")
	if !strings.HasPrefix(rest[end:], "-->") {
		return s.fail(s.pos+end, `a comment must not hold "--"`)
	}
	s.pos += end + len("-->")
	return nil
}

func (s *xmlScanner) instruction(rest string) error {
	end := strings.Index(rest, "?>")
	if end < 0 {
		return s.fail(s.pos, "the processing instruction is not closed")
	}
	target := cutXMLName(rest[2:])
	if target == "" || strings.EqualFold(target, "xml") {
		return s.fail(s.pos, "an XML declaration may only stand at the beginning, and an instruction needs a name")
	}
	s.pos += end + len("?>")
	return nil
}

func (s *xmlScanner) endTag(rest string) error {
	name := cutXMLName(rest[2:])
	after := strings.TrimLeft(rest[2+len(name):], " \t\r\n")
	switch {
	case len(s.open) == 0:
		return s.fail(s.pos, "</"+fhir.Clip(name)+"> closes nothing")
	case name != s.open[len(s.open)-1]:
		return s.fail(s.pos, "</"+fhir.Clip(name)+"> stands where </"+fhir.Clip(s.open[len(s.open)-1])+"> is expected")
	case !strings.HasPrefix(after, ">"):
		return s.fail(s.pos, "</"+fhir.Clip(name)+` lacks its ">"`)
	}
	s.text = name
	s.pos += len(rest) - len(after) + 1
	s.close()
	return nil
}

// close ends the innermost element.
func (s *xmlScanner) close() {
	last := len(s.open) - 1
	s.bound = s.bound[:s.marks[last]]
	s.open, s.marks = s.open[:last], s.marks[:last]
	s.ended = last == 0
}

func (s *xmlScanner) startTag() error {
	name := cutXMLName(s.data[s.pos+1:])
	switch {
	case name == "":
		return s.fail(s.pos, `"<" must begin a tag; write "&lt;"`)
	case s.ended:
		return s.fail(s.pos, "a second root element")
	case len(s.open) >= maxOpenElements:
		return s.fail(s.pos, "nested deeper than "+strconv.Itoa(maxOpenElements)+" elements")
	}
	s.tag = xmlTag{name: name, attributes: s.tag.attributes[:0]}
	s.open = append(s.open, name)
	s.marks = append(s.marks, len(s.bound))
	s.pos += 1 + len(name)
	for {
		gap := s.pos
		for s.pos < len(s.data) && xmlSpace(s.data[s.pos]) {
			s.pos++
		}
		switch rest := s.data[s.pos:]; {
		case strings.HasPrefix(rest, "/>"):
			s.pos += 2
			s.empty, s.tag.empty = true, true
			return s.named()
		case strings.HasPrefix(rest, ">"):
			s.pos++
			return s.named()
		case gap == s.pos:
			return s.fail(s.pos, "<"+fhir.Clip(name)+`> is not closed by ">"`)
		}
		if err := s.attribute(); err != nil {
			return err
		}
	}
}

// attribute reads name="value".
func (s *xmlScanner) attribute() error {
	at := s.pos
	name := cutXMLName(s.data[at:])
	rest := strings.TrimLeft(s.data[at+len(name):], " \t\r\n")
	if name == "" || !strings.HasPrefix(rest, "=") {
		return s.fail(at, `an attribute is written name="value"`)
	}
	rest = strings.TrimLeft(rest[1:], " \t\r\n")
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return s.fail(at, "the value of "+fhir.Clip(name)+" must stand in quotes")
	}
	end := strings.IndexByte(rest[1:], rest[0])
	if end < 0 {
		return s.fail(at, "the value of "+fhir.Clip(name)+" is not closed by a quote")
	}
	from := len(s.data) - len(rest) + 1
	if i := strings.IndexByte(rest[1:1+end], '<'); i >= 0 {
		return s.fail(from+i, `"<" must be written "&lt;" in an attribute`)
	}
	value, err := s.resolve(rest[1:1+end], from, true)
	if err != nil {
		return err
	}
	s.pos = from + end + 1
	prefix, local, found := strings.Cut(name, ":")
	if !found {
		prefix, local = "", name
	}
	if name == "xmlns" || prefix == "xmlns" {
		return s.bind(at, prefix, local, value)
	}
	for i := range s.tag.attributes {
		if a := &s.tag.attributes[i]; a.prefix == prefix && a.local == local {
			return s.fail(at, "the attribute "+fhir.Clip(name)+" is there twice")
		}
	}
	if len(s.tag.attributes) == maxXMLAttributes {
		return s.fail(at, "more than "+strconv.Itoa(maxXMLAttributes)+" attributes")
	}
	s.tag.attributes = append(s.tag.attributes, xmlAttr{at, prefix, local, value, s.data[from-1 : s.pos]})
	return nil
}

// bind takes a namespace declaration.
func (s *xmlScanner) bind(at int, prefix, local, uri string) error {
	if prefix == "" {
		local = ""
		s.tag.xmlns = true
	} else {
		s.tag.declares = true
	}
	switch {
	case prefix != "" && (local == "" || uri == "" || local == "xmlns" || local == "xml" && uri != xmlNamespace):
		return s.fail(at, "a namespace declaration that XML does not allow")
	case len(s.bound)-s.marks[len(s.marks)-1] == maxXMLAttributes:
		return s.fail(at, "more than "+strconv.Itoa(maxXMLAttributes)+" namespace declarations")
	}
	for _, b := range s.bound[s.marks[len(s.marks)-1]:] {
		if b.prefix == local {
			return s.fail(at, "a namespace declaration is there twice")
		}
	}
	s.bound = append(s.bound, xmlBinding{local, uri})
	return nil
}

// named splits the name of the tag and checks its prefixes, once all of its
// declarations are known.
func (s *xmlScanner) named() error {
	t := &s.tag
	t.local = t.name
	if prefix, local, found := strings.Cut(t.name, ":"); found {
		t.prefix, t.local = prefix, local
	}
	if _, ok := s.namespace(t.prefix); !ok || t.local == "" || strings.Contains(t.local, ":") {
		return s.fail(s.start, "the prefix of <"+fhir.Clip(t.name)+"> is not declared")
	}
	for i := range t.attributes {
		a := &t.attributes[i]
		if _, ok := s.namespace(a.prefix); a.prefix != "" && !ok || a.local == "" || strings.Contains(a.local, ":") {
			return s.fail(a.at, "the prefix of the attribute "+fhir.Clip(a.prefix+":"+a.local)+" is not declared")
		}
	}
	return nil
}

// namespace returns what a prefix stands for; "" is the default namespace.
func (s *xmlScanner) namespace(prefix string) (string, bool) {
	for i := len(s.bound) - 1; i >= 0; i-- {
		if s.bound[i].prefix == prefix {
			return s.bound[i].uri, true
		}
	}
	if prefix == "xml" {
		return xmlNamespace, true
	}
	return "", prefix == ""
}

// resolve replaces the references in a text, and the white space of an attribute
// by blanks: https://www.w3.org/TR/xml/#AVNormalize. at is where the text begins.
func (s *xmlScanner) resolve(text string, at int, attribute bool) (string, error) {
	plain := true
	for i := 0; i < len(text) && plain; i++ {
		c := text[i]
		plain = c != '&' && (c >= ' ' || !attribute)
	}
	if plain {
		return text, nil
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '&':
			name, _, ok := strings.Cut(text[i+1:min(len(text), i+34)], ";")
			r := xmlReference(name)
			if !ok || r == 0 {
				return "", s.fail(at+i, badReference(name, ok))
			}
			out = utf8.AppendRune(out, r)
			i += len(name) + 1
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n' && attribute: // one line end
		case c < ' ' && attribute:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out), nil
}

// xmlReference returns what a reference such as "amp" or "#160" stands for, 0 for
// what XML does not know.
func xmlReference(name string) rune {
	switch name {
	case "amp":
		return '&'
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "quot":
		return '"'
	case "apos":
		return '\''
	}
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	code, err := strconv.ParseUint(digits, base, 32)
	if err != nil || code > utf8.MaxRune || !xmlCharacter(rune(code)) {
		return 0
	}
	return rune(code)
}

func badReference(name string, closed bool) string {
	if closed && name != "" && name[0] != '#' && cutXMLName(name) == name {
		return "the entity &" + fhir.Clip(name) + "; is not defined: XML has only amp, lt, gt, quot and apos; write the character itself"
	}
	return `an "&" must begin a reference such as "&amp;" or "&#160;"`
}

func xmlSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// cutXMLName returns the name at the start of s, "" if there is none.
func cutXMLName(s string) string {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == ':', c >= 0x80:
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.'):
		default:
			return s[:i]
		}
	}
	return s
}
