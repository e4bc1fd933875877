package search

import (
	"bytes"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Quantity parameters: https://hl7.org/fhir/R4/search.html#quantity. Units are
// compared as they are written; canonical UCUM units have their classes
// reserved.

var quantityClasses = ordered{low: classQuantityLow, high: classQuantityHigh, end: numberEnd}

// currencies is the system of Money.currency.
// https://hl7.org/fhir/R4/datatypes.html#Money
const currencies = "urn:iso:std:iso:4217"

// amount is an interval of a unit.
type amount struct {
	interval
	unit, system, code string
}

// amountOf reads an element. ok is false if it has no number.
func amountOf(n *resource.Node, typ string) (amount, bool) {
	switch typ {
	case "Money":
		a := amount{system: currencies, code: n.Str("currency")}
		span, ok := quantityInterval(n)
		a.interval = span
		return a, ok
	case "Range":
		return rangeAmount(n)
	case "SampledData":
		return sampledAmount(n)
	}
	span, ok := quantityInterval(n)
	return amount{span, n.Str("unit"), n.Str("system"), n.Str("code")}, ok
}

// quantityInterval returns the values a Quantity can have, which its
// comparator may leave open at one end.
//
// https://hl7.org/fhir/R4/datatypes.html#Quantity
func quantityInterval(n *resource.Node) (interval, bool) {
	value := n.Get("value")
	if value == nil || value.Kind != resource.Number {
		return interval{}, false
	}
	l, ok := parseDecimal(value.Text)
	if !ok {
		return interval{}, false
	}
	switch n.Str("comparator") {
	case "<":
		return interval{[]byte{numberMin}, appendDecimal(nil, l.decimal, justBelow)}, true
	case "<=":
		return interval{[]byte{numberMin}, l.decimal.interval().high}, true
	case ">":
		return interval{appendDecimal(nil, l.decimal, justAbove), []byte{numberMax}}, true
	case ">=":
		return interval{l.decimal.interval().low, []byte{numberMax}}, true
	}
	return l.decimal.interval(), true
}

// rangeAmount reads a Range: a missing end is open.
func rangeAmount(n *resource.Node) (amount, bool) {
	low, hasLow := amountOf(n.Get("low"), "Quantity")
	high, hasHigh := amountOf(n.Get("high"), "Quantity")
	switch {
	case hasLow && hasHigh:
		low.high = high.high
		return low, string(low.low) <= string(low.high)
	case hasLow:
		low.high = []byte{numberMax}
		return low, true
	case hasHigh:
		high.low = []byte{numberMin}
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
		a.low, a.high = plus(base, least).interval().low, plus(base, greatest).interval().high
	}
	if below || beyond && leastKey == nil {
		a.low = []byte{numberMin}
	}
	if beyond || below && leastKey == nil {
		a.high = []byte{numberMax}
	}
	return a, a.low != nil
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
	v := append(x.value(classQuantityLow), a.low...)
	x.add(p, append(v, a.high...))
	v = append(x.value(classQuantityHigh), a.high...)
	x.add(p, append(v, a.low...))
	for _, unit := range a.units() {
		x.withUnit(p, classQuantityUnitLow, appendText(nil, unit, maxUnitText), a)
	}
	if a.code != "" {
		head := appendText(nil, a.system, maxUnitCodeText)
		x.withUnit(p, classQuantityCodeLow, appendText(head, a.code, maxUnitCodeText), a)
	}
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

// withUnit adds an entry of a low class and, unless the amount is a point, of
// the high class behind it.
func (x *extraction) withUnit(p *Param, low byte, head []byte, a amount) {
	v := append(append(x.value(low), head...), a.low...)
	x.add(p, append(v, a.high...))
	if !a.point() {
		v = append(append(x.value(low+1), head...), a.high...)
		x.add(p, append(v, a.low...))
	}
}

// quantityValue is a value of a quantity search:
// [prefix]number, number|system|code or number||unit.
type quantityValue struct {
	comparison
	unit, system, code string
}

func parseQuantity(parts []string) (quantityValue, error) {
	c, err := numberComparison(parts[0])
	if err != nil {
		return quantityValue{}, err
	}
	q := quantityValue{comparison: c}
	switch {
	case len(parts) == 1, len(parts) == 3 && parts[1] == "" && parts[2] == "":
	case len(parts) == 3 && parts[2] != "":
		if parts[1] == "" {
			q.unit = parts[2]
		} else {
			q.system, q.code = parts[1], parts[2]
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
	case q.code != "":
		return ordered{
			low: classQuantityCodeLow, high: classQuantityCodeHigh, end: numberEnd, sparse: true,
			head: appendText(appendText(nil, q.system, maxUnitCodeText), q.code, maxUnitCodeText),
		}.ranges(q.comparison)
	}
	return quantityClasses.ranges(q.comparison)
}
