package search

import (
	"math/big"
	"testing"
)

func TestConvert(t *testing.T) {
	tests := []struct{ value, from, to, want string }{
		{"71.5", "kg", "g", "71500"},
		{"1", "g/dL", "mg/dL", "1000"},
		{"37", "Cel", "K", "310.15"},
		{"310.15", "K", "Cel", "37"},
		{"98.6", "[degF]", "Cel", "37"},
		{"1", "[lb_av]", "kg", "0.45359237"},
		{"1", "mg/dL", "mmol/L", ""},
		{"1", "kg", "cm", ""},
		{"1", "kg", "widgets", ""},
		{"1", "widgets", "widgets", "1"},
	}
	for _, test := range tests {
		value, _ := new(big.Rat).SetString(test.value)
		got, ok := Convert(value, test.from, test.to)
		if ok != (test.want != "") {
			t.Errorf("%s %s in %s: %v", test.value, test.from, test.to, got)
			continue
		}
		if want, _ := new(big.Rat).SetString(test.want); ok && got.Cmp(want) != 0 {
			t.Errorf("%s %s is %s %s, want %s", test.value, test.from, got.RatString(), test.to, test.want)
		}
	}
}
