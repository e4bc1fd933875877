package search

import (
	"bytes"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Quantity parameters: https://hl7.org/fhir/R4/search.html#quantity. With UCUM's
// system, numbers of units of one kind are compared by what they come to in the
// kind's canonical unit (ucum.go); else units are compared as they are written.

// ucumSystem is the system of UCUM codes.
// https://hl7.org/fhir/R4/valueset-ucum-units.html
const ucumSystem = "http://unitsofmeasure.org"

var quantityClasses = ordered{low: classQuantityLow, high: classQuantityHigh, end: numberEnd}

// currencies is the system of Money.currency.
// https://hl7.org/fhir/R4/datatypes.html#Money
const currencies = "urn:iso:std:iso:4217"

// amount is an interval of a unit.
type amount struct {
	span
	unit, system, code string
}

// amountOf reads an element. ok is false if it has no number.
func amountOf(n *resource.Node, typ string) (amount, bool) {
	switch typ {
	case "Money":
		a := amount{system: currencies, code: n.Str("currency")}
		values, ok := quantitySpan(n)
		a.span = values
		return a, ok
	case "Range":
		return rangeAmount(n)
	case "SampledData":
		return sampledAmount(n)
	}
	values, ok := quantitySpan(n)
	return amount{values, n.Str("unit"), n.Str("system"), n.Str("code")}, ok
}

// quantitySpan returns the values a Quantity can have, which its comparator may
// leave open at one end.
//
// https://hl7.org/fhir/R4/datatypes.html#Quantity
func quantitySpan(n *resource.Node) (span, bool) {
	value := n.Get("value")
	if value == nil || value.Kind != resource.Number {
		return span{}, false
	}
	l, ok := parseDecimal(value.Text)
	if !ok {
		return span{}, false
	}
	s := l.span()
	switch n.Str("comparator") {
	case "<":
		return span{belowAll, bound{decimal: l.decimal, side: justBelow}}, true
	case "<=":
		s.low = belowAll
	case ">":
		return span{bound{decimal: l.decimal, side: justAbove}, aboveAll}, true
	case ">=":
		s.high = aboveAll
	}
	return s, true
}

// rangeAmount reads a Range: a missing end is open. If the ends name different
// units, their numbers are there without them.
func rangeAmount(n *resource.Node) (amount, bool) {
	low, hasLow := amountOf(n.Get("low"), "Quantity")
	high, hasHigh := amountOf(n.Get("high"), "Quantity")
	switch {
	case hasLow && hasHigh:
		if low.code != "" && high.code != "" && (low.code != high.code || low.system != high.system) {
			low.unit, low.system, low.code = "", "", ""
		}
		low.high = high.high
		i := low.interval()
		return low, string(i.low) <= string(i.high)
	case hasLow:
		low.high = aboveAll
		return low, true
	case hasHigh:
		high.low = belowAll
		return high, true
	}
	return amount{}, false
}

// sampledAmount reads a SampledData: from its least to its greatest sample, in
// the unit of its origin. A sample below ("L") or above ("U") the limits of
// detection leaves that end open.
//
// https://hl7.org/fhir/R4/datatypes.html#SampledData
func sampledAmount(n *resource.Node) (amount, bool) {
	origin := n.Get("origin")
	base, hasOrigin := number(origin.Get("value"))
	if !hasOrigin {
		return amount{}, false
	}
	a := amount{unit: origin.Str("unit"), system: origin.Str("system"), code: origin.Str("code")}
	var least, greatest literal
	var leastKey, greatestKey, key []byte
	below, beyond := false, false
	for sample := range strings.FieldsSeq(n.Str("data")) {
		switch sample {
		case "E": // an error of the device
			continue
		case "L":
			below = true
			continue
		case "U":
			beyond = true
			continue
		}
		value, ok := parseDecimal(sample)
		if !ok || !modest(value) {
			continue
		}
		key = appendDecimal(key[:0], value.decimal, onPoint)
		if leastKey == nil || bytes.Compare(key, leastKey) < 0 {
			least, leastKey = value, append(leastKey[:0], key...)
		}
		if greatestKey == nil || bytes.Compare(key, greatestKey) > 0 {
			greatest, greatestKey = value, append(greatestKey[:0], key...)
		}
	}
	if leastKey != nil {
		if factor, ok := number(n.Get("factor")); ok {
			least, greatest = times(least, factor), times(greatest, factor)
			if factor.negative {
				least, greatest = greatest, least
			}
		}
		a.low, a.high = plus(base, least).span().low, plus(base, greatest).span().high
	}
	if below || beyond && leastKey == nil {
		a.low = belowAll
	}
	if beyond || below && leastKey == nil {
		a.high = aboveAll
	}
	return a, leastKey != nil || below || beyond
}

// number reads a number that arithmetic may be done with.
func number(n *resource.Node) (literal, bool) {
	if n == nil || n.Kind != resource.Number {
		return literal{}, false
	}
	l, ok := parseDecimal(n.Text)
	return l, ok && modest(l)
}

// modest keeps arithmetic away from numbers of absurd size.
func modest(l literal) bool {
	const most = 400
	return l.exponent < most && l.unit > -most
}

// indexQuantity adds the entries of a quantity parameter: the number alone,
// with its unit, and with its system and code.
func indexQuantity(x *extraction, p *Param, typ string, n *resource.Node) {
	a, ok := amountOf(n, typ)
	if !ok {
		return
	}
	i := a.interval()
	v := append(x.value(classQuantityLow), i.low...)
	x.add(p, append(v, i.high...))
	v = append(x.value(classQuantityHigh), i.high...)
	x.add(p, append(v, i.low...))
	for _, unit := range a.units() {
		x.withUnit(p, classQuantityUnitLow, appendText(nil, unit, maxUnitText), i)
	}
	if kind, canonical, ok := a.canonical(); ok {
		x.withUnit(p, classQuantityCanonicalLow, appendText(nil, kind, maxUnitText), canonical)
	} else if a.code != "" {
		head := appendText(nil, a.system, maxUnitCodeText)
		x.withUnit(p, classQuantityCodeLow, appendText(head, a.code, maxUnitCodeText), i)
	}
}

// canonical returns the amount in the canonical unit of its unit's kind. ok is
// false if its code is none of UCUM that we know, or its number absurd.
func (a amount) canonical() (kind string, i interval, ok bool) {
	if a.system != ucumSystem {
		return "", interval{}, false
	}
	u, ok := unitOf(a.code)
	if !ok {
		return "", interval{}, false
	}
	s, ok := u.canonical(a.span)
	return u.kind, s.interval(), ok
}

// units returns what a search for a unit without a system finds: the unit's
// text and its code.
func (a amount) units() []string {
	switch {
	case a.unit == "" && a.code == "":
		return nil
	case a.unit == "" || a.unit == a.code:
		return []string{a.code}
	case a.code == "":
		return []string{a.unit}
	}
	return []string{a.unit, a.code}
}

// withUnit adds an entry of a low class and, unless the interval is a point, of
// the high class behind it.
func (x *extraction) withUnit(p *Param, low byte, head []byte, i interval) {
	v := append(append(x.value(low), head...), i.low...)
	x.add(p, append(v, i.high...))
	if !i.point() {
		v = append(append(x.value(low+1), head...), i.high...)
		x.add(p, append(v, i.low...))
	}
}

// quantityValue is a value of a quantity search:
// [prefix]number, number|system|code or number||unit.
type quantityValue struct {
	// comparison is with numbers of the canonical unit if kind is set, else with
	// numbers as they are written.
	comparison
	unit, system, code string
	kind               string // of the unit, if the code is one of UCUM that we know
}

func parseQuantity(parts []string) (quantityValue, error) {
	p, s, err := searchedNumber(parts[0])
	if err != nil {
		return quantityValue{}, err
	}
	q := quantityValue{comparison: comparison{p, s.interval()}}
	switch {
	case len(parts) == 1, len(parts) == 3 && parts[1] == "" && parts[2] == "":
	case len(parts) == 3 && parts[2] != "":
		if parts[1] == "" {
			q.unit = parts[2]
			break
		}
		a := amount{span: s, system: parts[1], code: parts[2]}
		q.system, q.code = a.system, a.code
		kind, canonical, ok := a.canonical()
		if ok {
			q.kind, q.interval = kind, canonical
		} else if kind != "" {
			return quantityValue{}, fhir.Errorf(fhir.Invalid, "%q is too long or too large a number to convert", fhir.Clip(parts[0]))
		}
	default:
		return quantityValue{}, fhir.Errorf(fhir.Invalid,
			"a quantity is written number, number|system|code or number||unit, not %q", fhir.Clip(strings.Join(parts, "|")))
	}
	return q, nil
}

func (q quantityValue) ranges() []Range {
	switch {
	case q.unit != "":
		return ordered{
			low: classQuantityUnitLow, high: classQuantityUnitHigh, end: numberEnd, sparse: true,
			head: appendText(nil, q.unit, maxUnitText),
		}.ranges(q.comparison)
	case q.kind != "":
		return ordered{
			low: classQuantityCanonicalLow, high: classQuantityCanonicalHigh, end: numberEnd, sparse: true,
			head: appendText(nil, q.kind, maxUnitText),
		}.ranges(q.comparison)
	case q.code != "":
		return ordered{
			low: classQuantityCodeLow, high: classQuantityCodeHigh, end: numberEnd, sparse: true,
			head: appendText(appendText(nil, q.system, maxUnitCodeText), q.code, maxUnitCodeText),
		}.ranges(q.comparison)
	}
	return quantityClasses.ranges(q.comparison)
}
