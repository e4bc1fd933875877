package search

import (
	"bytes"
	"math/big"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Number parameters: https://hl7.org/fhir/R4/search.html#number. A number in a
// resource is exactly that number; the implied precision is that of the search
// value, and only for eq, ne and ap.

var numberClasses = ordered{low: classNumberLow, high: classNumberHigh, end: numberEnd}

// decimal is 0.digits times ten to the exponent, without zeros at either end
// of digits. Zero has no digits.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// maxExponent keeps exponents apart from absurd input. FHIR numbers have at
// most 18 digits, https://hl7.org/fhir/R4/datatypes.html#decimal.
const maxExponent = 999_999_999

// literal is a number as it was written.
type literal struct {
	decimal
	// unit is the power of ten of the last digit written.
	unit int
	// bare says that it was written with an exponent and a single digit, such
	// as 1e2.
	bare bool
}

// parseDecimal reads a JSON number. A leading '+' is not allowed.
func parseDecimal(s string) (literal, bool) {
	var out literal
	if strings.HasPrefix(s, "-") {
		out.negative, s = true, s[1:]
	}
	mantissa, power, hasPower := s, 0, false
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n, err := strconv.Atoi(s[i+1:])
		if err != nil || n > maxExponent || n < -maxExponent {
			return literal{}, false
		}
		mantissa, power, hasPower = s[:i], n, true
	}
	whole, fraction, hasPoint := strings.Cut(mantissa, ".")
	if !allDigits(whole) || hasPoint && !allDigits(fraction) {
		return literal{}, false
	}
	digits := whole
	if hasPoint {
		digits = whole + fraction
	}
	out.unit = power - len(fraction)
	out.exponent = power + len(whole)
	significant := strings.TrimLeft(digits, "0")
	out.bare = hasPower && len(significant) <= 1
	out.exponent -= len(digits) - len(significant)
	out.digits = strings.TrimRight(significant, "0")
	if out.digits == "" {
		out.exponent, out.negative = 0, false
	}
	return out, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// bound is an end of an interval of numbers before it is encoded.
type bound struct {
	decimal
	side     int // on the number, or next to it
	infinite int // -1 below, +1 above all numbers
}

var (
	belowAll = bound{infinite: -1}
	aboveAll = bound{infinite: +1}
)

func (b bound) encoded() []byte {
	switch {
	case b.infinite < 0:
		return []byte{numberMin}
	case b.infinite > 0:
		return []byte{numberMax}
	}
	return appendDecimal(nil, b.decimal, b.side)
}

// span is a closed interval of numbers before it is encoded.
type span struct {
	low, high bound
}

func (s span) interval() interval {
	return interval{s.low.encoded(), s.high.encoded()}
}

// span returns the exact number as an interval: a point unless it has more
// digits than count.
func (d decimal) span() span {
	low, high := d.sides()
	return span{bound{decimal: d, side: low}, bound{decimal: d, side: high}}
}

func (d decimal) sides() (low, high int) {
	switch {
	case len(d.digits) <= maxDigits:
		return onPoint, onPoint
	case d.negative:
		return justBelow, onPoint
	}
	return onPoint, justAbove
}

// integer returns the digits as an integer times ten to a power.
func (l literal) integer() (*big.Int, int) {
	n := new(big.Int)
	if l.digits == "" {
		return n, l.unit
	}
	n.SetString(l.digits, 10)
	power := l.exponent - len(l.digits)
	if power > l.unit {
		// bring zeros back that were significant
		if zeros := power - l.unit; zeros <= maxZeros {
			n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(zeros)), nil))
			power = l.unit
		}
	}
	if l.negative {
		n.Neg(n)
	}
	return n, power
}

// maxZeros bounds the arithmetic; a query string is far shorter.
const maxZeros = 1 << 17

// scaled returns n times ten to a power.
func scaled(n *big.Int, power int) decimal {
	text := new(big.Int).Abs(n).String()
	if text == "0" {
		return decimal{}
	}
	return decimal{
		negative: n.Sign() < 0,
		exponent: power + len(text),
		digits:   strings.TrimRight(text, "0"),
	}
}

// implied returns the interval of values that equal l to its precision: 100 is
// [99.5, 100.5), 1e2 is [95, 105).
//
// https://hl7.org/fhir/R4/search.html#number
func (l literal) implied() span {
	n, power := l.integer()
	ten := big.NewInt(10)
	n.Mul(n, ten)
	half := big.NewInt(5)
	if l.bare {
		// The R4 table gives a single digit with an exponent the precision
		// of two.
		n.Mul(n, ten)
		power--
	}
	low := scaled(new(big.Int).Sub(n, half), power-1)
	high := scaled(new(big.Int).Add(n, half), power-1)
	return span{bound{decimal: low}, bound{decimal: high, side: justBelow}}
}

// approximate returns the interval of 10 % around l, and not less than its
// implied one.
func (l literal) approximate() span {
	n, power := l.integer()
	tenth := new(big.Int).Abs(n)
	n.Mul(n, big.NewInt(10))
	out := l.implied()
	low := bound{decimal: scaled(new(big.Int).Sub(n, tenth), power-1)}
	high := bound{decimal: scaled(new(big.Int).Add(n, tenth), power-1)}
	if bytes.Compare(low.encoded(), out.low.encoded()) < 0 {
		out.low = low
	}
	if bytes.Compare(high.encoded(), out.high.encoded()) > 0 {
		out.high = high
	}
	return out
}

// numberComparison reads the value of a number search.
func numberComparison(text string) (comparison, error) {
	p, s, err := searchedNumber(text)
	return comparison{p, s.interval()}, err
}

// searchedNumber reads a number behind a prefix, and returns the interval that
// the prefix compares with: the number, or what is equal to its precision.
func searchedNumber(text string) (prefix, span, error) {
	p, rest := cutPrefix(text)
	l, ok := parseDecimal(rest)
	switch {
	case !ok:
		return p, span{}, fhir.Errorf(fhir.Invalid,
			"%q is not a number: write digits such as 100, 5.40 or 1e-3, behind an optional eq, ne, gt, lt, ge, le, sa, eb or ap", fhir.Clip(text))
	case p == equal, p == notEqual:
		return p, l.implied(), nil
	case p == approximately:
		return p, l.approximate(), nil
	}
	return p, l.span(), nil
}

// indexNumber adds the entries of a number parameter.
func indexNumber(x *extraction, p *Param, typ string, n *resource.Node) {
	i, ok := numberInterval(n, typ)
	if !ok {
		return
	}
	x.add(p, append(append(x.value(classNumberLow), i.low...), i.high...))
	x.add(p, append(append(x.value(classNumberHigh), i.high...), i.low...))
}

// numberInterval returns the interval of a number or, as of
// RiskAssessment.prediction.probability, of a Range.
func numberInterval(n *resource.Node, typ string) (interval, bool) {
	if typ == "Range" {
		a, ok := rangeAmount(n)
		return a.interval(), ok
	}
	if n.Kind != resource.Number {
		return interval{}, false
	}
	l, ok := parseDecimal(n.Text)
	return l.decimal.span().interval(), ok
}

// times returns the product of two numbers.
func times(a, b literal) literal {
	if len(a.digits)+len(b.digits) <= 18 { // the product fits into 64 bits
		x, _ := strconv.ParseUint("0"+a.digits, 10, 64)
		y, _ := strconv.ParseUint("0"+b.digits, 10, 64)
		if x*y == 0 {
			return literal{}
		}
		text := strconv.FormatUint(x*y, 10)
		power := a.exponent - len(a.digits) + b.exponent - len(b.digits)
		return exactly10(decimal{a.negative != b.negative, strings.TrimRight(text, "0"), power + len(text)})
	}
	x, px := a.integer()
	y, py := b.integer()
	d := scaled(x.Mul(x, y), px+py)
	return literal{decimal: d, unit: d.exponent - len(d.digits)}
}

// plus returns the sum of two numbers.
func plus(a, b literal) decimal {
	x, px := a.integer()
	y, py := b.integer()
	ten := big.NewInt(10)
	switch {
	case px > py:
		x.Mul(x, new(big.Int).Exp(ten, big.NewInt(int64(px-py)), nil))
	case py > px:
		y.Mul(y, new(big.Int).Exp(ten, big.NewInt(int64(py-px)), nil))
	}
	return scaled(x.Add(x, y), min(px, py))
}
