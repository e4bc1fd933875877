package search

import "bytes"

// interval is a closed interval between two encoded bounds. That an end is
// open is in the bound: "just below 5" is a bound of its own.
type interval struct {
	low, high []byte
}

func (i interval) point() bool { return bytes.Equal(i.low, i.high) }

// prefix is a comparison, https://hl7.org/fhir/R4/search.html#prefix.
type prefix string

// The prefixes of R4.
const (
	equal          prefix = "eq"
	notEqual       prefix = "ne"
	greater        prefix = "gt"
	less           prefix = "lt"
	greaterOrEqual prefix = "ge"
	lessOrEqual    prefix = "le"
	startsAfter    prefix = "sa"
	endsBefore     prefix = "eb"
	approximately  prefix = "ap"
)

// cutPrefix splits a prefix off a value; equal if there is none.
func cutPrefix(text string) (prefix, string) {
	if len(text) >= 2 {
		switch p := prefix(text[:2]); p {
		case equal, notEqual, greater, less, greaterOrEqual, lessOrEqual, startsAfter, endsBefore, approximately:
			return p, text[2:]
		}
	}
	return equal, text
}

// comparison is a prefix with the interval it compares values with.
type comparison struct {
	prefix prefix
	interval
}

// holds compares a value's interval by the table of
// https://hl7.org/fhir/R4/search.html#prefix.
func (c comparison) holds(value interval) bool {
	within := bytes.Compare(c.low, value.low) <= 0 && bytes.Compare(value.high, c.high) <= 0
	above := bytes.Compare(value.high, c.high) > 0
	below := bytes.Compare(value.low, c.low) < 0
	switch c.prefix {
	case equal:
		return within
	case notEqual:
		return !within
	case greater:
		return above
	case less:
		return below
	case greaterOrEqual:
		return above || within
	case lessOrEqual:
		return below || within
	case startsAfter:
		return bytes.Compare(value.low, c.high) > 0
	case endsBefore:
		return bytes.Compare(value.high, c.low) < 0
	case approximately:
		return bytes.Compare(value.low, c.high) <= 0 && bytes.Compare(value.high, c.low) >= 0
	}
	return false
}

// ordered is a pair of classes that hold intervals: one by their low end, one
// by their high end.
type ordered struct {
	low, high byte
	head      []byte           // parts before the bounds
	end       func([]byte) int // length of the bound at the start
	// sparse says that points have no entry in the high class.
	sparse bool
}

// ranges returns the ranges in which comparison c holds.
func (o ordered) ranges(c comparison) []Range {
	lowBase := append([]byte{o.low}, o.head...)
	highBase := append([]byte{o.high}, o.head...)
	skip := len(lowBase)
	with := func(base, bound []byte) []byte {
		return append(bytes.Clone(base), bound...)
	}
	// second says something about the bound that the class does not sort by.
	second := func(test func(bound []byte) bool) func([]byte) bool {
		return func(value []byte) bool {
			if len(value) < skip {
				return false
			}
			bounds := value[skip:]
			return test(bounds[o.end(bounds):])
		}
	}
	within := func() Range {
		return Range{
			From: with(lowBase, c.low),
			To:   prefixEnd(with(lowBase, c.high)),
			Keep: second(func(high []byte) bool { return bytes.Compare(high, c.high) <= 0 }),
		}
	}
	below := func() Range { return Range{From: lowBase, To: with(lowBase, c.low)} }
	after := func() Range {
		return Range{From: prefixEnd(with(lowBase, c.high)), To: prefixEnd(lowBase)}
	}
	above := func() []Range {
		r := []Range{{From: prefixEnd(with(highBase, c.high)), To: prefixEnd(highBase)}}
		if o.sparse {
			r = append(r, after()) // points, for which low is high
		}
		return r
	}
	switch c.prefix {
	case equal:
		return []Range{within()}
	case notEqual:
		return append(above(), below())
	case greater:
		return above()
	case less:
		return []Range{below()}
	case greaterOrEqual:
		return append(above(), within())
	case lessOrEqual:
		return []Range{below(), within()}
	case startsAfter:
		return []Range{after()}
	case endsBefore:
		if o.sparse {
			r := below()
			r.Keep = second(func(high []byte) bool { return bytes.Compare(high, c.low) < 0 })
			return []Range{r}
		}
		return []Range{{From: highBase, To: with(highBase, c.low)}}
	case approximately:
		return []Range{
			{From: with(lowBase, c.low), To: prefixEnd(with(lowBase, c.high))},
			{
				From: with(highBase, c.low), To: prefixEnd(highBase),
				Keep: second(func(low []byte) bool { return bytes.Compare(low, c.low) < 0 }),
			},
		}
	}
	return nil
}

// around returns the range of the intervals that contain another one.
func (o ordered) around(i interval) Range {
	base := append([]byte{o.low}, o.head...)
	return Range{
		From: base,
		To:   prefixEnd(append(bytes.Clone(base), i.low...)),
		Keep: func(value []byte) bool {
			bounds := value[len(base):]
			return bytes.Compare(bounds[o.end(bounds):], i.high) >= 0
		},
	}
}
