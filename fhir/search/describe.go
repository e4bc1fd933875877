package search

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// classNames names the classes and the kinds of their parts: t a text, i an
// instant, n a number, * the parts of a composite as they stand.
var classNames = map[byte]struct{ name, parts string }{
	classPresent:               {"present", ""},
	classDateLow:               {"date low", "ii"},
	classDateHigh:              {"date high", "ii"},
	classNumberLow:             {"number low", "nn"},
	classNumberHigh:            {"number high", "nn"},
	classQuantityLow:           {"quantity low", "nn"},
	classQuantityHigh:          {"quantity high", "nn"},
	classQuantityUnitLow:       {"quantity with unit low", "tnn"},
	classQuantityUnitHigh:      {"quantity with unit high", "tnn"},
	classQuantityCodeLow:       {"quantity with code low", "ttnn"},
	classQuantityCodeHigh:      {"quantity with code high", "ttnn"},
	classQuantityCanonicalLow:  {"quantity in canonical unit low", "tnn"},
	classQuantityCanonicalHigh: {"quantity in canonical unit high", "tnn"},
	classTokenCode:             {"token code", "t"},
	classTokenSystem:           {"token", "tt"},
	classTokenText:             {"token text", "t"},
	classTokenType:             {"token of type", "ttt"},
	classString:                {"string", "tt"},
	classStringWord:            {"string from a later word", "t"},
	classStringPiece:           {"piece of a long string", "t"},
	classReference:             {"reference", "tt"},
	classReferenceVersion:      {"reference to a version", "ttt"},
	classReferenceURL:          {"reference URL", "t"},
	classReferenceURLVersion:   {"reference URL with version", "tt"},
	classReferenceIdentifier:   {"reference by identifier", "tt"},
	classURI:                   {"uri", "t"},
	classPosition:              {"position", "nn"},
	classTextWord:              {"word", "t"},
	classComposite:             {"composite", "*"},
}

// String describes the entry for people: its parameter, class and parts. It
// holds what the resource says: it is for the resource's reader, not for logs.
func (e Entry) String() string {
	if len(e.Value) == 0 {
		return e.Param + ": empty"
	}
	class, ok := classNames[e.Value[0]]
	if !ok {
		return fmt.Sprintf("%s: unknown class %#02x", e.Param, e.Value[0])
	}
	parts := []string{}
	rest := e.Value[1:]
	for _, kind := range class.parts {
		var part string
		switch kind {
		case 't':
			var text []byte
			text, rest = cutText(rest)
			part = strconv.Quote(plainText(text))
		case 'i':
			n := instantEnd(rest)
			part, rest = instantText(rest[:n]), rest[n:]
		case 'n':
			n := numberEnd(rest)
			part, rest = numberText(rest[:n]), rest[n:]
		default:
			part, rest = strconv.QuoteToASCII(string(rest)), nil
		}
		parts = append(parts, part)
	}
	return strings.TrimSpace(e.Param + ": " + class.name + " " + strings.Join(parts, " "))
}

// plainText undoes the escapes of a text part. What was cut off a long text
// shows as "…" and its hash.
func plainText(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != 1 || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		if b[i] == 3 {
			out = append(out, "…#"...)
		} else {
			out = append(out, b[i]-1)
		}
	}
	return string(out)
}

// instantText writes an instant in UTC; a '~' behind it is the last moment of
// what is written.
func instantText(b []byte) string {
	if len(b) > 0 {
		switch b[0] {
		case instantMin:
			return "before all time"
		case instantMax:
			return "after all time"
		}
	}
	if len(b) < 6 {
		return "?"
	}
	second := int64(b[0]-1)<<32 + int64(binary.BigEndian.Uint32(b[1:5]))
	text := time.Unix(second+yearZero-secondsPerDay, 0).UTC().Format("2006-01-02T15:04:05")
	digits, end := digitsOf(b[5:])
	if digits != "" {
		text += "." + strings.TrimRight(digits, "0")
	}
	if end == endBelow {
		text += "~"
	}
	return text + "Z"
}

// numberText writes a number in scientific form, with '-' or '+' behind it for
// just below and just above.
func numberText(b []byte) string {
	if len(b) == 0 {
		return "?"
	}
	var flip byte
	sign := ""
	switch b[0] {
	case numberMin:
		return "-infinity"
	case numberMax:
		return "infinity"
	case numberZero:
		return "0"
	case numberBelowZero:
		return "0-"
	case numberAboveZero:
		return "0+"
	case numberNegative:
		flip, sign = 0xFF, "-"
	}
	plain := make([]byte, len(b)-1)
	for i := range plain {
		plain[i] = b[i+1] ^ flip
	}
	if len(plain) == 0 {
		return "?"
	}
	exponent, rest := int(plain[0])-0x80, plain[1:]
	if len(rest) >= 4 {
		switch plain[0] {
		case 0xC0:
			exponent, rest = int(binary.BigEndian.Uint32(rest)), rest[4:]
		case 0x40:
			exponent, rest = int(int64(binary.BigEndian.Uint32(rest))-1<<31), rest[4:]
		}
	}
	digits, end := digitsOf(rest)
	text := sign + "0." + strings.TrimRight(digits, "0") + "e" + strconv.Itoa(exponent)
	switch {
	case end == endBelow:
		text = sign + "0." + digits + "999…e" + strconv.Itoa(exponent)
	case end == endAbove && flip == 0:
		text += "+"
	case end == endAbove:
		text += "-"
	}
	return text
}

// digitsOf unpacks digits and returns their ending.
func digitsOf(b []byte) (string, byte) {
	var out []byte
	for _, c := range b {
		switch c {
		case endExact, endAbove, endBelow:
			return string(out), c
		}
		out = append(out, '0'+(c-2)/10, '0'+(c-2)%10)
	}
	return string(out), endExact
}
