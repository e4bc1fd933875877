package resource

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// primitive is one of R4's primitive types: how it is written in JSON and which
// texts are valid.
//
// https://hl7.org/fhir/R4/datatypes.html#primitive
type primitive struct {
	name  string
	kind  NodeKind
	valid func(text string) bool // nil if every text of the kind is
	want  string                 // completes "expected …" in a message
}

// Rows of primitives that the compiler of shapes puts in place of R4's own
// type names.
const (
	primitiveID = iota
	primitiveElementID
)

// maxString is the most bytes of a string, 1 MB.
//
// https://hl7.org/fhir/R4/datatypes.html#string
const maxString = 1 << 20

var primitives = []primitive{
	primitiveID:        {"id", String, fhir.ValidID, "an id: 1 to 64 letters, digits, '-' and '.'"},
	primitiveElementID: {"element id", String, validElementID, "an element id without white space"},
	{"base64Binary", String, validBase64, "base64 text"},
	{"boolean", Bool, nil, "true or false"},
	{"canonical", String, validCanonical, "a canonical URL without white space"},
	{"code", String, validCode, "a code without leading, trailing or double spaces"},
	{"date", String, validDate, "a date such as 2026, 2026-05 or 2026-05-17"},
	{"dateTime", String, validDateTime, "a date and time such as 2026, 2026-05, 2026-05-17 or 2026-05-17T13:28:17+02:00"},
	{"decimal", Number, nil, "a decimal number"},
	{"instant", String, validInstant, "an instant such as 2026-05-17T13:28:17.239+02:00"},
	{"integer", Number, validInteger, "a whole number from -2147483648 to 2147483647"},
	{"markdown", String, validString, "text of at most 1 MB without control characters"},
	{"oid", String, validOID, "an OID such as urn:oid:1.2.3.4.5"},
	{"positiveInt", Number, validPositive, "a whole number from 1 to 2147483647"},
	{"string", String, validString, "text of at most 1 MB without control characters"},
	{"time", String, validTime, "a time such as 13:28:17"},
	{"unsignedInt", Number, validUnsigned, "a whole number from 0 to 2147483647"},
	{"uri", String, validURI, "a URI without white space"},
	{"url", String, validURI, "a URL without white space"},
	{"uuid", String, validUUID, "a UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
	{"xhtml", String, nil, "an XHTML <div>"}, // narrative.go says what is valid
}

func primitiveNamed(name string) *primitive {
	i := slices.IndexFunc(primitives, func(p primitive) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return &primitives[i]
}

// uri reports whether values of the type can hold the URL of a resource.
func (p *primitive) uri() bool {
	switch p.name {
	case "uri", "url", "canonical", "oid", "uuid":
		return true
	}
	return false
}

// validString: no control characters but tab, carriage return and line feed.
func validString(s string) bool {
	if len(s) > maxString {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// spaceFree: no white space and no control characters.
func spaceFree(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' {
			return false
		}
	}
	return len(s) <= maxString
}

func validElementID(s string) bool { return spaceFree(s) }

// validURI accepts what RFC 3986 can read; FHIR does not ask more of it.
func validURI(s string) bool {
	if !spaceFree(s) {
		return false
	}
	if plainURI(s) {
		return true
	}
	_, err := url.Parse(s)
	return err == nil
}

// validCanonical accepts a URI with a version behind it, which no URI reader
// knows of: http://loinc.org|2.67.
//
// https://hl7.org/fhir/R4/datatypes.html#canonical
func validCanonical(s string) bool {
	uri, _, _ := strings.Cut(s, "|")
	return uri != "" && spaceFree(s) && validURI(uri)
}

// plainURI recognises, without allocating, the URIs that fill most resources:
// a scheme and then letters, digits and harmless marks.
func plainURI(s string) bool {
	if !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "urn:") {
		return false
	}
	for i := strings.IndexByte(s, ':') + 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '/', c == '.', c == '-', c == '_':
		case c == ':' && s[0] == 'u':
		default:
			return false
		}
	}
	return true
}

// validCode: at least one character, no white space but single spaces inside.
//
// https://hl7.org/fhir/R4/datatypes.html#code
func validCode(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') {
			return false
		}
	}
	return len(s) <= maxString
}

// validOID: urn:oid: and a dotted number that starts with 0, 1 or 2.
func validOID(s string) bool {
	s, ok := strings.CutPrefix(s, "urn:oid:")
	if !ok {
		return false
	}
	arcs := 0
	for arc := range strings.SplitSeq(s, ".") {
		if !allDigits(arc) || len(arc) > 1 && arc[0] == '0' {
			return false
		}
		if arcs == 0 && arc != "0" && arc != "1" && arc != "2" {
			return false
		}
		arcs++
	}
	return arcs > 1
}

// validUUID: urn:uuid: and a UUID in lower case.
func validUUID(s string) bool {
	s, ok := strings.CutPrefix(s, "urn:uuid:")
	if !ok || len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

func validInteger(s string) bool {
	_, err := strconv.ParseInt(s, 10, 32)
	return err == nil && s != "-0"
}

func validPositive(s string) bool { return s != "0" && validUnsigned(s) }

func validUnsigned(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

// validBase64: groups of four characters of the standard alphabet, padded, with
// white space anywhere.
//
// https://hl7.org/fhir/R4/datatypes.html#base64Binary
func validBase64(s string) bool {
	count, padding := 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		case c == '=':
			padding++
		case padding > 0:
			return false
		case (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '/':
			return false
		}
		count++
	}
	return count > 0 && count%4 == 0 && padding <= 2
}
