package search

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// TestNumberPrefixes holds each prefix against R4's table and notes.
func TestNumberPrefixes(t *testing.T) {
	const doc = `{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":%s}]}`
	tests := []struct {
		query, value string
		want         bool
	}{
		// The rows of https://hl7.org/fhir/R4/search.html#number, in its order.
		{"100", "99.5", true},
		{"100", "99.4999", false},
		{"100", "100.4999", true},
		{"100", "100.5", false},
		{"100.00", "99.995", true},
		{"100.00", "100.00499", true},
		{"100.00", "100.005", false},
		{"1e2", "95", true},
		{"1e2", "94.999", false},
		{"1e2", "104.999", true},
		{"1e2", "105", false},
		{"lt100", "99.9999", true},
		{"lt100", "100", false},
		{"le100", "100", true},
		{"le100", "100.00001", false},
		{"gt100", "100.00001", true},
		{"gt100", "100", false},
		{"ge100", "100", true},
		{"ge100", "99.99999", false},
		{"ne100", "99.5", false},
		{"ne100", "100.5", true},
		// "100 and 1.00e2 both have the same number of significant digits"
		{"1.00e2", "99.5", true},
		{"1.00e2", "99.4", false},
		// https://hl7.org/fhir/R4/search.html#number, examples
		{"gt0.8", "0.80001", true},
		{"gt8e-1", "0.8", false},
		// sa and eb take the number as exact too.
		{"sa100", "100.1", true},
		{"sa100", "100", false},
		{"eb100", "99.9", true},
		{"eb100", "100", false},
		// ap: 10 % of the stated value
		{"ap100", "90", true},
		{"ap100", "110", true},
		{"ap100", "89.99", false},
		{"ap100", "110.01", false},
		{"ap-100", "-109", true},
		{"ap0", "0.4", true}, // not less than the implied precision
		{"ap0", "0.6", false},

		// A number in a resource is exactly that number, however it is written.
		{"5.40", "5.4", true},
		{"5.4", "5.44", true},
		{"540e-2", "5.4", true},
		{"0", "-0.0", true},
		{"0", "0.49", true},
		{"-0.5", "-0.54", true},
		{"-0.5", "-0.55", true}, // the low end belongs to the range, the high end does not
		{"-0.5", "-0.45", false},
		{"-0.5", "-0.551", false},
		{"gt-1", "-0.999", true},
		{"lt-1", "-1.001", true},
		{"1000000000000000000000001", "1000000000000000000000001", true},
		{"1000000000000000000000001", "1000000000000000000000002", false},
		{"0.1234567890123456789012345678901", "0.1234567890123456789012345678902", false},
		{"gt0.1234567890123456789012345678901", "0.1234567890123456789012345678902", true},
		{"1.0e245", "1.00e245", true},
	}
	for _, test := range tests {
		if got := finds(t, fmt.Sprintf(doc, test.value), "probability="+test.query); got != test.want {
			t.Errorf("probability=%s on %s: %t, want %t", test.query, test.value, got, test.want)
		}
	}
}

// TestIntegersMatchExactly: "the significance issues cancel out and searching
// is based on exact matches".
//
// https://hl7.org/fhir/R4/search.html#number
func TestIntegersMatchExactly(t *testing.T) {
	const sequence = `{"resourceType":"MolecularSequence","variant":[{"start":2}]}`
	for query, want := range map[string]bool{"2": true, "2.0": true, "1": false, "3": false, "2.5": false, "ge2": true, "gt2": false} {
		if got := finds(t, sequence, "variant-start="+query); got != want {
			t.Errorf("variant-start=%s on 2: %t, want %t", query, got, want)
		}
	}
}

// TestNumberSearchesAgreeWithTable compares what ranges of entries select with
// the table of prefixes on exact rational numbers.
func TestNumberSearchesAgreeWithTable(t *testing.T) {
	near := rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]?)(\.[0-9]{1,2})?`),
		rapid.SampledFrom([]string{"9.5", "10", "10.5", "9.95", "10.0", "10.05", "1e1", "1.0e1", "100e-1", "0", "-10"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		searched, value := near.Draw(t, "searched"), near.Draw(t, "value")
		p := rapid.SampledFrom([]prefix{equal, notEqual, greater, less, greaterOrEqual, lessOrEqual, startsAfter, endsBefore, approximately}).Draw(t, "prefix")
		c, err := numberComparison(string(p) + searched)
		if err != nil {
			t.Fatal(err)
		}
		doc := decodeRapid(t, fmt.Sprintf(`{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":%s}]}`, value))
		entries := extractRapid(t, doc)
		got := Match("RiskAssessment", entries, Clause{Param: "probability", Ranges: numberClasses.ranges(c)})
		want := numberByTable(t, p, searched, value)
		if got != want {
			t.Fatalf("%s%s on %s: %t, want %t", p, searched, value, got, want)
		}
	})
}

// numberByTable decides with exact arithmetic.
func numberByTable(t *rapid.T, p prefix, searched, value string) bool {
	s, v := rat(t, searched), rat(t, value)
	l := mustDecimal(t, searched)
	half := new(big.Rat).Quo(power(l.unit), big.NewRat(2, 1))
	if l.bare {
		half.Quo(half, big.NewRat(10, 1))
	}
	low, high := new(big.Rat).Sub(s, half), new(big.Rat).Add(s, half)
	implied := v.Cmp(low) >= 0 && v.Cmp(high) < 0
	switch p {
	case equal:
		return implied
	case notEqual:
		return !implied
	case greater, startsAfter:
		return v.Cmp(s) > 0
	case less, endsBefore:
		return v.Cmp(s) < 0
	case greaterOrEqual:
		return v.Cmp(s) >= 0
	case lessOrEqual:
		return v.Cmp(s) <= 0
	}
	tenth := new(big.Rat).Quo(new(big.Rat).Abs(s), big.NewRat(10, 1))
	return implied || new(big.Rat).Abs(new(big.Rat).Sub(v, s)).Cmp(tenth) <= 0
}

func power(n int) *big.Rat {
	out := big.NewRat(1, 1)
	for ; n > 0; n-- {
		out.Mul(out, big.NewRat(10, 1))
	}
	for ; n < 0; n++ {
		out.Quo(out, big.NewRat(10, 1))
	}
	return out
}
