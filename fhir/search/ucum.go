package search

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Units of UCUM, https://ucum.org/ucum, as far as definitions/units.tsv lists
// them: with their prefixes, and all terms made of them. What two codes come to
// is compared exactly, on decimal digits.
//
// Where UCUM gives different things one dimension they are kept apart here,
// because a search that mixes them up does harm: equivalents and osmoles are no
// moles, becquerels no hertz, grays and sieverts no joules per kilogram, and
// ratios of moles (HbA1c in mmol/mol) and of masses (a dose in mg/kg) no
// percentages. What is in braces does not count, as UCUM says.

// unit says what a number of it comes to in the canonical unit of its kind:
// number * factor + offset.
type unit struct {
	// kind names what can be compared: a product of base units, "g m-3". What
	// follows a slash is what no factor of the kind is a terminating decimal
	// without.
	kind           string
	factor, offset literal
}

// maxUnitCode is the longest code that is read, in bytes.
const maxUnitCode = 64

// maxFactorDigits is the most digits of a number that is converted. A longer one
// compares only in the unit it is written in.
const maxFactorDigits = 1_000

// unitOf reads a UCUM code. ok is false if it is none, or has an unknown part.
func unitOf(code string) (unit, bool) {
	t, err := unitTable()
	if err != nil {
		return unit{}, false // NewRegistry has failed
	}
	if u, ok := t.common[code]; ok {
		return u, true
	}
	u, err := t.read(code)
	return u, err == nil
}

// canonical converts an interval. ok is false for numbers of absurd length.
func (u unit) canonical(s span) (out span, ok bool) {
	for _, b := range []bound{s.low, s.high} {
		if len(b.digits) > maxFactorDigits || !modest(exactly10(b.decimal)) {
			return span{}, false
		}
	}
	return span{u.bound(s.low), u.bound(s.high)}, true
}

func (u unit) bound(b bound) bound {
	if b.infinite != 0 {
		return b
	}
	b.decimal = times(exactly10(b.decimal), u.factor).decimal
	if u.offset.digits != "" {
		b.decimal = plus(exactly10(b.decimal), u.offset)
	}
	return b
}

// exactly10 is a decimal as a literal whose last digit is its last written one.
func exactly10(d decimal) literal {
	return literal{decimal: d, unit: d.exponent - len(d.digits)}
}

// units are the tables, read once.
type units struct {
	atoms  map[string]atom
	common map[string]unit // of definitions/unit-codes.tsv
}

// atom is a row of definitions/units.tsv.
type atom struct {
	code     string
	prefixes bool   // it may have a metric prefix
	value    string // a number of unit, as a decimal or a fraction; of special units the factor and offset to degrees Fahrenheit
	unit     string // a term; empty for a base unit
}

// specialUnit marks a unit with an offset.
const specialUnit = "special"

// unitTable returns the units. It fails only if the embedded tables are broken.
var unitTable = sync.OnceValues(readUnits)

func readUnits() (*units, error) {
	t := &units{atoms: map[string]atom{}, common: map[string]unit{}}
	err := readTable("units.tsv", 5, func(cells []string) error {
		if _, twice := t.atoms[cells[0]]; twice {
			return fmt.Errorf("%s is there twice", cells[0])
		}
		t.atoms[cells[0]] = atom{code: cells[0], prefixes: cells[1] != "", value: cells[2], unit: cells[3]}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for code := range t.atoms {
		if _, err := t.read(code); err != nil {
			return nil, fmt.Errorf("units.tsv: %s: %w", code, err)
		}
	}
	err = readTable("unit-codes.tsv", 1, func(cells []string) error {
		u, err := t.read(cells[0])
		t.common[cells[0]] = u
		return err
	})
	return t, err
}

// term is what a part of a code comes to: a number of a product of base units.
type term struct {
	number *big.Rat
	// powers are those of the base units. Of those in apart what is above and
	// what is below the line are two bases, both with powers above zero.
	powers map[string]int
}

// apart are base units that do not cancel out, each with its inverse.
var apart = map[string]string{"mol": "1/mol", "1/mol": "mol", "g": "1/g", "1/g": "g"}

func one() term { return term{big.NewRat(1, 1), map[string]int{}} }

// times multiplies t by another term; with sign -1 it divides.
func (t term) times(other term, sign int) (term, error) {
	out := term{new(big.Rat).Set(t.number), maps.Clone(t.powers)}
	if sign > 0 {
		out.number.Mul(out.number, other.number)
	} else {
		if other.number.Sign() == 0 {
			return term{}, errNoUnit
		}
		out.number.Quo(out.number, other.number)
	}
	for base, power := range other.powers {
		change := sign * power
		if inverse := apart[base]; inverse != "" && sign < 0 {
			base, change = inverse, power
		}
		if out.powers[base] += change; out.powers[base] == 0 {
			delete(out.powers, base)
		}
	}
	return out, nil
}

// maxUnitPower is the greatest power of a unit that is read.
const maxUnitPower = 30

var errNoUnit = fmt.Errorf("no unit that is known")

// read reads a code.
func (t *units) read(code string) (unit, error) {
	if a, ok := t.atoms[code]; ok && a.unit == specialUnit {
		factor, offset, _ := strings.Cut(a.value, " ")
		f, _ := parseDecimal(factor)
		o, _ := parseDecimal(offset)
		return unit{kind: "K", factor: f, offset: o}, nil
	}
	if code == "" || len(code) > maxUnitCode {
		return unit{}, errNoUnit
	}
	r := termReader{units: t, rest: code}
	found, err := r.term(0)
	if err == nil && r.rest != "" {
		err = errNoUnit
	}
	if err != nil {
		return unit{}, err
	}
	return found.unit()
}

// termReader reads the grammar of https://ucum.org/ucum#section-Syntax-Rules.
type termReader struct {
	*units
	rest string
	deep int // definitions within definitions
}

// maxUnitDepth bounds how definitions refer to one another, and parentheses.
const maxUnitDepth = 16

// term reads components joined by '.' and '/', from left to right.
func (r *termReader) term(parens int) (term, error) {
	if parens > maxUnitDepth {
		return term{}, errNoUnit
	}
	out, sign := one(), 1
	if strings.HasPrefix(r.rest, "/") {
		sign, r.rest = -1, r.rest[1:]
	}
	for {
		next, err := r.component(parens)
		if err != nil {
			return term{}, err
		}
		if out, err = out.times(next, sign); err != nil {
			return term{}, err
		}
		switch {
		case strings.HasPrefix(r.rest, "."):
			sign = 1
		case strings.HasPrefix(r.rest, "/"):
			sign = -1
		default:
			return out, nil
		}
		r.rest = r.rest[1:]
	}
}

// component reads a unit with its power, a number, an annotation or a term in
// parentheses.
func (r *termReader) component(parens int) (term, error) {
	if inner, ok := strings.CutPrefix(r.rest, "("); ok {
		r.rest = inner
		out, err := r.term(parens + 1)
		if err != nil || !strings.HasPrefix(r.rest, ")") {
			return term{}, errNoUnit
		}
		r.rest = r.rest[1:]
		return out, r.annotation()
	}
	n := 0
	for n < len(r.rest) && !strings.ContainsRune("./(){", rune(r.rest[n])) {
		if r.rest[n] == '[' {
			end := strings.IndexByte(r.rest[n:], ']')
			if end < 0 {
				return term{}, errNoUnit
			}
			n += end
		}
		n++
	}
	name := r.rest[:n]
	r.rest = r.rest[n:]
	annotated := strings.HasPrefix(r.rest, "{")
	if err := r.annotation(); err != nil {
		return term{}, err
	}
	switch {
	case name == "" && annotated: // {cells} is the unity
		return one(), nil
	case name == "":
		return term{}, errNoUnit
	case allDigits(name):
		number, ok := new(big.Rat).SetString(name)
		if !ok || len(r.rest) > 1 && r.rest[0] == '.' && allDigits(r.rest[1:2]) {
			return term{}, errNoUnit // 1.73 would be 1 times 73, which nobody means
		}
		return term{number, map[string]int{}}, nil
	}
	return r.simple(name)
}

// annotation skips what is in braces.
func (r *termReader) annotation() error {
	if !strings.HasPrefix(r.rest, "{") {
		return nil
	}
	end := strings.IndexByte(r.rest, '}')
	if end < 0 {
		return errNoUnit
	}
	r.rest = r.rest[end+1:]
	return nil
}

// simple reads an atom with its prefix and power, such as mm2 or 10*-3.
func (r *termReader) simple(name string) (term, error) {
	power := 1
	if i := len(strings.TrimRight(name, "0123456789")); i < len(name) {
		if i > 0 && (name[i-1] == '-' || name[i-1] == '+') {
			i--
		}
		n, err := strconv.Atoi(name[i:])
		if err != nil || n > maxUnitPower || n < -maxUnitPower {
			return term{}, errNoUnit
		}
		name, power = name[:i], n
	}
	base, err := r.prefixed(name)
	if err != nil {
		return term{}, err
	}
	out, sign := one(), 1
	if power < 0 {
		power, sign = -power, -1
	}
	for range power {
		if out, err = out.times(base, sign); err != nil {
			return term{}, err
		}
	}
	return out, nil
}

// metricPrefixes are powers of ten. https://ucum.org/ucum#section-Prefixes
var metricPrefixes = []struct {
	text  string
	power int
}{
	{"da", 1},
	{"Y", 24},
	{"Z", 21},
	{"E", 18},
	{"P", 15},
	{"T", 12},
	{"G", 9},
	{"M", 6},
	{"k", 3},
	{"h", 2},
	{"d", -1},
	{"c", -2},
	{"m", -3},
	{"u", -6},
	{"n", -9},
	{"p", -12},
	{"f", -15},
	{"a", -18},
	{"z", -21},
	{"y", -24},
}

func (r *termReader) prefixed(name string) (term, error) {
	if a, ok := r.atoms[name]; ok {
		return r.define(a)
	}
	for _, p := range metricPrefixes {
		a, ok := r.atoms[strings.TrimPrefix(name, p.text)]
		if !ok || !a.prefixes || !strings.HasPrefix(name, p.text) {
			continue
		}
		out, err := r.define(a)
		if err != nil {
			return term{}, err
		}
		return out.times(term{tenTo(p.power), nil}, 1)
	}
	return term{}, errNoUnit
}

func tenTo(power int) *big.Rat {
	n := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(power, -power))), nil)
	if power < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), n)
	}
	return new(big.Rat).SetInt(n)
}

// define returns what an atom comes to.
func (r *termReader) define(a atom) (term, error) {
	number, ok := new(big.Rat).SetString(a.value)
	if !ok || r.deep > maxUnitDepth {
		return term{}, errNoUnit
	}
	if a.unit == "" {
		return term{number, map[string]int{a.code: 1}}, nil
	}
	inner := termReader{units: r.units, rest: a.unit, deep: r.deep + 1}
	out, err := inner.term(0)
	if err != nil || inner.rest != "" {
		return term{}, errNoUnit
	}
	return out.times(term{number, nil}, 1)
}

// scale is a number of which the canonical unit of a kind is a part, so that
// what the usual units of the kind come to are terminating decimals.
func (t term) scale(kind string) int64 {
	const (
		minutes  = 81           // of minutes, hours, days
		periods  = 81 * 7 * 487 // also of weeks, months, years
		inch     = 127 * 127    // of square inches
		feet     = 3_937        // of US survey feet
		mercury  = 66_661       // of millimetres of mercury
		waterCol = 196_133      // of centimetres of water
	)
	switch seconds := t.powers["s"]; {
	case kind == "m":
		return feet
	case kind == "g m-1 s-2", kind == "g m-2":
		return inch
	case kind == "1/g m4 s2": // compliance
		return mercury * waterCol
	case seconds == -1:
		return periods
	case seconds == -3, seconds == -2 && t.powers["mol"] > 0: // power, enzyme units per hour
		return minutes
	}
	return 1
}

// unit sums up a term.
func (t term) unit() (unit, error) {
	if t.number.Sign() <= 0 {
		return unit{}, errNoUnit
	}
	var bases []string
	for _, base := range slices.Sorted(maps.Keys(t.powers)) {
		if t.powers[base] != 1 {
			base += strconv.Itoa(t.powers[base])
		}
		bases = append(bases, base)
	}
	if len(bases) == 0 {
		bases = []string{"1"}
	}
	out := unit{kind: strings.Join(bases, " ")}
	number := new(big.Rat).Mul(t.number, new(big.Rat).SetInt64(t.scale(out.kind)))
	if out.kind == "K" { // on the scale of degrees Fahrenheit, see specialUnit
		number.Mul(number, big.NewRat(9, 5))
		out.offset, _ = parseDecimal("-459.67")
	}
	// What is left below the line is part of the kind.
	twos, rest := divideOut(number.Denom(), 2)
	fives, rest := divideOut(rest, 5)
	if rest.Cmp(big.NewInt(1)) != 0 {
		out.kind += "/" + rest.String()
	}
	places := max(twos, fives)
	digits := new(big.Int).Exp(big.NewInt(2), big.NewInt(int64(places-twos)), nil)
	digits.Mul(digits, new(big.Int).Exp(big.NewInt(5), big.NewInt(int64(places-fives)), nil))
	digits.Mul(digits, number.Num())
	if digits.BitLen() > maxFactorBits || rest.BitLen() > maxFactorBits {
		return unit{}, errNoUnit
	}
	out.factor = exactly10(scaled(digits, -places))
	return out, nil
}

// maxFactorBits bounds the factors of absurd codes such as 10*30.10*30.10*30.
const maxFactorBits = 512

// divideOut divides n by a prime as often as it can.
func divideOut(n *big.Int, prime int64) (times int, rest *big.Int) {
	rest = new(big.Int).Set(n)
	p, left := big.NewInt(prime), new(big.Int)
	for {
		quotient, _ := new(big.Int).QuoRem(rest, p, left)
		if left.Sign() != 0 {
			return times, rest
		}
		rest = quotient
		times++
	}
}
