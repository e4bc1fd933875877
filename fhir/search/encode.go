package search

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// encodingVersion changes when entries of the same resource change without a
// change of the definitions, so that stores build their index anew.
const encodingVersion = "4"

// maxEntryBytes is the longest value of an entry. The caps of the parts below
// are chosen so that no class can reach beyond it.
const maxEntryBytes = 512

// Classes: the first byte of every entry value. Within a class values are in
// byte order as FHIR compares them. Parts are self-delimiting, so one part's
// order never depends on the next:
//
//	text     the bytes, ended by 00 (00 and 01 inside are escaped)
//	instant  seconds and fraction digits (appendInstant)
//	number   sign, exponent, digits (appendDecimal)
//
// A reference with several forms gives several entries, one of each class.
const (
	// classPresent has no parts. It is written only for an element that gives
	// no other entry under its parameter, so "the parameter has a value" is
	// "there is any entry under it", see Present.
	classPresent byte = 0x01

	classDateLow    byte = 0x10 // instant low, instant high
	classDateHigh   byte = 0x11 // instant high, instant low
	classNumberLow  byte = 0x20 // number low, number high
	classNumberHigh byte = 0x21 // number high, number low

	classQuantityLow      byte = 0x28 // number low, number high: whatever the unit
	classQuantityHigh     byte = 0x29 // number high, number low
	classQuantityUnitLow  byte = 0x2A // text unit or code, number low, number high
	classQuantityUnitHigh byte = 0x2B // text unit or code, number high, number low; not for points
	classQuantityCodeLow  byte = 0x2C // text system, text code, number low, number high; not for known UCUM codes
	classQuantityCodeHigh byte = 0x2D // text system, text code, number high, number low; nor for points

	classQuantityCanonicalLow  byte = 0x2E // text kind of unit, number low, number high in the kind's canonical unit
	classQuantityCanonicalHigh byte = 0x2F // text kind of unit, number high, number low; not for points

	classTokenCode   byte = 0x30 // text code, whatever the system
	classTokenSystem byte = 0x31 // text system (empty: none), text code
	classTokenText   byte = 0x32 // text folded display, text or identifier type text: for :text
	classTokenType   byte = 0x33 // text type system, text type code, text value: for :of-type

	classString      byte = 0x40 // text folded, text exact
	classStringWord  byte = 0x41 // text folded, from its second, third, ... word on: family names
	classStringPiece byte = 0x42 // text folded: a piece of one too long for an entry, for :contains and :text

	classReference           byte = 0x50 // text type, text id
	classReferenceVersion    byte = 0x51 // text type, text id, text version
	classReferenceURL        byte = 0x52 // text absolute URL, URN or canonical, without version
	classReferenceURLVersion byte = 0x53 // text URL, text version
	classReferenceIdentifier byte = 0x54 // text system, text value: for :identifier

	classURI byte = 0x60 // text

	classPosition byte = 0x62 // number latitude, number longitude

	classTextWord byte = 0x64 // text folded word

	classComposite byte = 0x70 // text code, text system, then the parts of the other components
)

// The most bytes of text parts; a longer text is its beginning and a hash.
// They keep every class within maxEntryBytes.
const (
	maxURIText       = 480 // uri and url
	maxCodeText      = 240 // system or code of a token, folded or exact string
	maxTypeText      = 160 // each part of :of-type
	maxUnitText      = 220 // unit of a quantity
	maxUnitCodeText  = 110 // system or code of a quantity
	maxVersionText   = 100
	maxCompositeText = 80 // code or system in a composite
	maxCompositeUnit = 45 // unit, code or system of a quantity in a composite
)

const hashText = 2 + 22 // escape and 128 bits of SHA-256 in base64

// maxPrefixText is the longest folded text a string search can compare: what
// is kept of a long text before its hash.
const maxPrefixText = maxCodeText - hashText

// appendText appends a text part: most bytes of s at most, ended by 00.
func appendText(dst []byte, s string, most int) []byte {
	if len(s) > most || strings.IndexByte(s, 0) >= 0 || strings.IndexByte(s, 1) >= 0 {
		return append(appendRareText(dst, s, most), 0)
	}
	dst = append(dst, s...)
	return append(dst, 0)
}

// appendRareText appends text that has to be escaped or shortened.
func appendRareText(dst []byte, s string, most int) []byte {
	start := len(dst)
	for i := 0; i < len(s) && len(dst)-start <= most; i++ {
		switch s[i] {
		case 0, 1:
			dst = append(dst, 1, s[i]+1)
		default:
			dst = append(dst, s[i])
		}
	}
	if len(dst)-start <= most {
		return dst
	}
	sum := sha256.Sum256([]byte(s))
	dst = append(dst[:start+most-hashText], 1, 3)
	return base64.RawURLEncoding.AppendEncode(dst, sum[:16])
}

// cutText splits a text part off, in its encoded form.
func cutText(b []byte) (text, rest []byte) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return b, nil
	}
	return b[:i], b[i+1:]
}

// prefixEnd returns the least byte string above all that start with prefix.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// exactly selects one value. Its To is From and a zero byte, so a store can
// tell it from a wider range.
func exactly(value []byte) Range {
	return Range{From: value, To: append(bytes.Clone(value), 0)}
}

// prefixed selects all values that start with prefix.
func prefixed(prefix []byte) Range {
	return Range{From: prefix, To: prefixEnd(prefix)}
}

// Endings of digit strings. Digits are packed in pairs, 2 + 0..99, so that the
// endings sort around every continuation.
const (
	endExact byte = 0x00 // nothing follows
	endAbove byte = 0x01 // a little more than the digits say, less than any further digit
	endBelow byte = 0xFF // nines without end
)

// appendPairs packs digits in pairs, the last one filled up with filler.
func appendPairs(dst []byte, digits string, filler byte) []byte {
	for i := 0; i+1 < len(digits); i += 2 {
		dst = append(dst, 2+(digits[i]-'0')*10+digits[i+1]-'0')
	}
	if len(digits)%2 == 1 {
		dst = append(dst, 2+(digits[len(digits)-1]-'0')*10+filler)
	}
	return dst
}

// pairsEnd returns the length of packed digits with their ending; flip is 0xFF
// if the bytes are complemented.
func pairsEnd(b []byte, flip byte) int {
	for i, c := range b {
		switch c ^ flip {
		case endExact, endAbove, endBelow:
			return i + 1
		}
	}
	return len(b)
}

// Ends of time and of numbers.
const (
	instantMin byte = 0x00
	instantMax byte = 0xFF

	numberMin       byte = 0x10
	numberNegative  byte = 0x20
	numberBelowZero byte = 0x2F
	numberZero      byte = 0x30
	numberAboveZero byte = 0x31
	numberPositive  byte = 0x40
	numberMax       byte = 0x50
)

// maxFraction is the number of digits of a fraction of a second that count.
// What is beyond makes the instant an interval.
const maxFraction = 40

// instant is a moment, or the end of an interval of time.
type instant struct {
	second   int64  // since 0000-01-01T00:00:00Z, less one day; positive
	fraction string // digits
	last     bool   // the last moment of what the digits say: nines follow
	infinite int    // -1 before, +1 after all time
}

func appendInstant(dst []byte, t instant) []byte {
	switch {
	case t.infinite < 0:
		return append(dst, instantMin)
	case t.infinite > 0:
		return append(dst, instantMax)
	}
	dst = append(dst, byte(1+t.second>>32))
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.second))
	fraction, last := t.fraction, t.last
	if len(fraction) > maxFraction {
		fraction = fraction[:maxFraction]
	}
	if last { // nines follow: those that are written say nothing more
		return append(appendPairs(dst, strings.TrimRight(fraction, "9"), 9), endBelow)
	}
	return append(appendPairs(dst, strings.TrimRight(fraction, "0"), 0), endExact)
}

// instantEnd returns the length of the instant at the start of b.
func instantEnd(b []byte) int {
	if len(b) == 0 || b[0] == instantMin || b[0] == instantMax || len(b) < 5 {
		return min(len(b), 1)
	}
	return 5 + pairsEnd(b[5:], 0)
}

// maxDigits is the number of significant digits that count. A number with
// more stands for the interval between what is kept of it and the next.
const maxDigits = 120

// Sides of a bound: exactly the number, or next to it.
const (
	justBelow = -1
	onPoint   = 0
	justAbove = 1
)

// appendDecimal appends d, or the bound just below or above it.
func appendDecimal(dst []byte, d decimal, side int) []byte {
	if d.digits == "" {
		switch {
		case side < 0:
			return append(dst, numberBelowZero)
		case side > 0:
			return append(dst, numberAboveZero)
		}
		return append(dst, numberZero)
	}
	if !d.negative {
		return appendMagnitude(append(dst, numberPositive), d, side)
	}
	dst = append(dst, numberNegative)
	start := len(dst)
	dst = appendMagnitude(dst, d, -side)
	for i := start; i < len(dst); i++ {
		dst[i] ^= 0xFF
	}
	return dst
}

// appendMagnitude appends the exponent and digits of d without its sign.
func appendMagnitude(dst []byte, d decimal, side int) []byte {
	if side == justBelow && d.digits == "1" {
		return append(appendExponent(dst, d.exponent-1), endBelow)
	}
	dst = appendExponent(dst, d.exponent)
	if len(d.digits) > maxDigits {
		dst = appendPairs(dst, d.digits[:maxDigits], 0)
		if side == onPoint {
			return append(dst, endExact)
		}
		return append(dst, endBelow) // the end of the interval it stands for
	}
	dst = appendPairs(dst, d.digits, 0)
	switch side {
	case justAbove:
		return append(dst, endAbove)
	case justBelow:
		dst[len(dst)-1]-- // its digits are not zero
		return append(dst, endBelow)
	}
	return append(dst, endExact)
}

// appendExponent keeps the usual exponents in one byte.
func appendExponent(dst []byte, e int) []byte {
	switch {
	case e > 60:
		return binary.BigEndian.AppendUint32(append(dst, 0xC0), uint32(e))
	case e < -60:
		return binary.BigEndian.AppendUint32(append(dst, 0x40), uint32(e+1<<31))
	}
	return append(dst, byte(0x80+e))
}

// numberEnd returns the length of the number at the start of b.
func numberEnd(b []byte) int {
	if len(b) < 2 {
		return len(b)
	}
	var flip byte
	switch b[0] {
	case numberPositive:
	case numberNegative:
		flip = 0xFF
	default:
		return 1
	}
	i := 2
	if e := b[1] ^ flip; e == 0xC0 || e == 0x40 {
		i += 4
	}
	if i > len(b) {
		return len(b)
	}
	return i + pairsEnd(b[i:], flip)
}
