package resource

import (
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// The XML form of resources, https://hl7.org/fhir/R4/xml.html, is read and
// written along the same shapes as the gate checks (shape.go), so that whatever
// R4 defines is known here without a line of its own:
//
//   - xml_scan.go cuts a document into tags and texts, and refuses what FHIR
//     does not allow: document types, entities, other encodings;
//   - xml_read.go builds the tree: [DecodeXML];
//   - xml_div.go carries narratives over, both ways;
//   - xml_write.go writes the tree in R4's order: [XML].
//
// Numbers keep their text in both directions.

const (
	fhirNamespace     = "http://hl7.org/fhir"
	xmlNamespace      = "http://www.w3.org/XML/1998/namespace"
	instanceNamespace = "http://www.w3.org/2001/XMLSchema-instance"
)

// xmlAttribute reports whether a member of the shape is an attribute in XML: the
// id of an element and the url of an extension. All others are elements.
//
// https://hl7.org/fhir/R4/xml.html
func (sh *shape) xmlAttribute(m *member) bool {
	return m.primitive != nil && (m.name == "id" && !sh.resource || m.name == "url" && sh.path == "Extension")
}

// xhtml reports whether the member is a narrative's div.
func (m *member) xhtml() bool { return m.primitive != nil && m.primitive.name == "xhtml" }

// xmlText reports whether XML can hold every character of s, which is UTF-8. The
// result is the place of the first that it cannot, or -1.
//
// https://www.w3.org/TR/xml/#charsets
func xmlText(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 && c != '\t' && c != '\n' && c != '\r':
			return i
		case c == 0xef && (strings.HasPrefix(s[i:], "\uffff") || strings.HasPrefix(s[i:], "\ufffe")):
			return i
		}
	}
	return -1
}

// xmlCharacter reports whether XML can hold a character.
func xmlCharacter(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}

// appendXMLText appends s as the text of an element.
func appendXMLText(dst []byte, s string) []byte { return appendXMLEscaped(dst, s, false) }

// appendXMLEscaped appends s, with what would mean something else in its place
// as references. A reader turns the white space of an attribute into blanks
// unless that is written as references too.
func appendXMLEscaped(dst []byte, s string, attribute bool) []byte {
	start := 0
	for i := range len(s) {
		var ref string
		switch c := s[i]; {
		case c == '&':
			ref = "&amp;"
		case c == '<':
			ref = "&lt;"
		case c == '>' && !attribute:
			ref = "&gt;"
		case c == '"' && attribute:
			ref = "&quot;"
		case c == '\r':
			ref = "&#13;"
		case c == '\n' && attribute:
			ref = "&#10;"
		case c == '\t' && attribute:
			ref = "&#9;"
		default:
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = append(dst, ref...)
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// notXML is the error for a resource that XML cannot hold.
func notXML(where string) error {
	return fhir.Errorf(fhir.NotAcceptable, "%s holds a character that XML cannot hold; ask for JSON", where)
}
