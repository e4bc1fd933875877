package search

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// inUnits returns what a number of one unit is in another; ok is false if the two
// do not compare.
func inUnits(t testing.TB, number, from, to string) (out *big.Rat, ok bool) {
	t.Helper()
	a, okA := unitOf(from)
	b, okB := unitOf(to)
	if !okA || !okB {
		t.Fatalf("%s or %s is unknown", from, to)
	}
	n, _ := new(big.Rat).SetString(number)
	n.Mul(n, exact(a.factor)).Add(n, exact(a.offset)).Sub(n, exact(b.offset))
	return n.Quo(n, exact(b.factor)), a.kind == b.kind
}

func exact(l literal) *big.Rat {
	n, power := l.integer()
	return new(big.Rat).Mul(new(big.Rat).SetInt(n), tenTo(power))
}

// TestUnits holds conversions against the definitions of https://ucum.org/ucum,
// as exact fractions.
func TestUnits(t *testing.T) {
	for _, test := range []struct{ number, from, to, want string }{
		{"5400", "ug", "mg", "27/5"},
		{"1", "kg", "mg", "1000000"},
		{"1", "[lb_av]", "g", "453.59237"},
		{"16", "[oz_av]", "[lb_av]", "1"},
		{"1", "[stone_av]", "kg", "6.35029318"},
		{"1", "[in_i]", "cm", "2.54"},
		{"6", "[ft_i]", "m", "1.8288"},
		{"1", "[mi_i]", "km", "1.609344"},
		{"3937", "[ft_us]", "m", "1200"},
		{"1", "[mi_us]", "[ft_us]", "5280"},
		{"1", "dL", "mL", "100"},
		{"1", "L", "cm3", "1000"},
		{"1", "l", "L", "1"},
		{"1", "[tsp_us]", "mL", "4.92892159375"},
		{"20", "[drp]", "mL", "1"},
		{"1", "mm3", "uL", "1"},
		{"1", "h", "s", "3600"},
		{"1", "wk", "d", "7"},
		{"1", "a", "d", "365.25"},
		{"12", "mo", "a", "1"},
		{"1", "ms", "us", "1000"},
		{"1", "mm[Hg]", "Pa", "133.322"},
		{"1", "kPa", "mm[Hg]", "500000/66661"},
		{"1", "cm[H2O]", "Pa", "98.0665"},
		{"1", "atm", "kPa", "101.325"},
		{"1", "bar", "hPa", "1000"},
		{"1", "[psi]", "Pa", "8896443230521/1290320000"},
		{"37", "Cel", "[degF]", "98.6"},
		{"0", "Cel", "K", "273.15"},
		{"-40", "[degF]", "Cel", "-40"},
		{"310.15", "K", "Cel", "37"},
		{"1000", "mK", "K", "1"},
		{"1", "mg/dL", "g/L", "1/100"},
		{"1", "ng/mL", "ug/L", "1"},
		{"1", "mmol/L", "umol/mL", "1"},
		{"1", "mg/mL", "g/L", "1"},
		{"1", "g%", "g", ""},
		{"1", "10*3/uL", "10*9/L", "1"},
		{"1", "10*6/uL", "10*12/L", "1"},
		{"1", "/mm3", "{cells}/uL", "1"},
		{"1", "10^3/uL", "10*3/uL", "1"},
		{"60", "/min", "Hz", "1"},
		{"72", "{beats}/min", "/min", "72"},
		{"1", "mL/min", "L/h", "0.06"},
		{"90", "mL/min/{1.73_m2}", "mL/min", "90"},
		{"7", "/wk", "/d", "1"},
		{"12", "/a", "/mo", "1"},
		{"1", "kat", "U", "60000000"},
		{"1", "ukat/L", "U/L", "60"},
		{"1", "U/h", "mU/min", "50/3"},
		{"1", "k[iU]/L", "[iU]/mL", "1"},
		{"1", "m[iU]/mL", "[iU]/L", "1"},
		{"1", "[IU]", "[iU]", "1"},
		{"50", "%", "L/L", "0.5"},
		{"50", "%", "1", "0.5"},
		{"1", "[ppm]", "%", "0.0001"},
		{"5", "mg/g{creat}", "ug/mg", "5"},
		{"1", "g/(24.h)", "mg/d", "1000"},
		{"24", "g/24.h", "g.h", "24/24"},
		{"1", "kcal", "kJ", "4.184"},
		{"1", "[Cal]", "kcal", "1"},
		{"1", "W", "kcal/d", "10800/523"},
		{"1", "ug/kg/min", "mg/kg/h", "0.06"},
		{"1", "kg/m2", "g/cm2", "0.1"},
		{"1", "[lb_av]/[in_i]2", "kg/m2", "45359237/64516"},
		{"1", "mL/cm[H2O]", "L/kPa", "2000000/196133000"},
		{"1", "[wood'U]", "dyn.s/cm5", "79.9932"},
		{"1", "deg", "'", "60"},
		{"1", "Ci", "GBq", "37"},
		{"1", "[degF]", "[degF]", "1"},
		{"3", "(mg)/(dL)", "mg.dL-1", "3"},
	} {
		if test.want == "" {
			if _, ok := unitOf(test.from); ok {
				t.Errorf("%s is a unit", test.from)
			}
			continue
		}
		want, _ := new(big.Rat).SetString(test.want)
		if got, ok := inUnits(t, test.number, test.from, test.to); !ok || got.Cmp(want) != 0 {
			t.Errorf("%s %s is %s %s, compared %t, want %s", test.number, test.from, got, test.to, ok, want)
		}
	}
}

// TestUnitsApart lists pairs of units whose numbers never compare.
func TestUnitsApart(t *testing.T) {
	for _, pair := range [][2]string{
		{"mg", "mL"},
		{"mg/dL", "mmol/L"},
		{"[iU]/L", "U/L"},
		{"[iU]", "[arb'U]"},
		{"meq/L", "mmol/L"},
		{"mosm/kg", "mmol/kg"},
		{"mmol/mol", "%"},
		{"mg/kg", "%"},
		{"mg/kg/d", "/min"},
		{"Bq", "Hz"},
		{"Gy", "Sv"},
		{"Gy", "J/kg"},
		{"[GPL'U]", "[MPL'U]"},
		{"[CFU]/mL", "[PFU]/mL"},
		{"kg", "kg/m2"},
		{"m", "m2"},
		{"mL/min", "mL"},
		{"[pH]", "1"},
		{"/[HPF]", "/[LPF]"},
		{"K", "/K"},
		{"mg/mmol", "mg"},
	} {
		if got, ok := inUnits(t, "1", pair[0], pair[1]); ok {
			t.Errorf("%s compares with %s: %s", pair[0], pair[1], got)
		}
	}
}

func TestUnknownUnits(t *testing.T) {
	for _, code := range []string{
		"", " ", "µg", "mcg", "foo", "KG", "mg ", "mg dL", "m[", "[", "]", "{", "mg{", "}", "g/", "/", "//g", "g..L", "(g", "g)", "()", "10*40", "10*-31", "m31", "m--2", "1.73", "mL/min/1.73.m2", "mCel", "Cel/L", "k[lb_av]", "dag[",
		"m0.", "0", "g/0", "-1", "mm", strings.Repeat("g.", 40) + "g", strings.Repeat("(", 30) + "g" + strings.Repeat(")", 30), "10*30.10*30.10*30.10*30.10*30.10*30",
	} {
		u, ok := unitOf(code)
		if code == "mm" {
			if !ok || u.kind != "m" {
				t.Errorf("mm: %+v %t", u, ok)
			}
			continue
		}
		if ok {
			t.Errorf("%q is a unit of kind %q", code, u.kind)
		}
	}
}

// TestCommonUnits checks that each common code is a terminating decimal of its
// kind's canonical unit, so that it compares with all others of the kind.
func TestCommonUnits(t *testing.T) {
	table, err := unitTable()
	if err != nil {
		t.Fatal(err)
	}
	if len(table.common) < 150 {
		t.Errorf("%d codes", len(table.common))
	}
	for code, u := range table.common {
		if _, number, rest := strings.Cut(strings.ReplaceAll(strings.ReplaceAll(u.kind, "1/mol", ""), "1/g", ""), "/"); rest {
			t.Errorf("%s is of kind %s: %s is left below the line", code, u.kind, number)
		}
		if u.factor.negative || u.factor.digits == "" {
			t.Errorf("%s: factor %+v", code, u.factor)
		}
	}
}

// FuzzUnit reads anything, quickly and in bounds.
func FuzzUnit(f *testing.F) {
	for _, code := range []string{"mg/dL", "10*3/uL", "mL/min/{1.73_m2}", "(a.b)/c", "[in_i'H2O]", "m-2.s3"} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code string) {
		u, ok := unitOf(code)
		if !ok {
			return
		}
		if u.factor.digits == "" || u.factor.negative || len(u.factor.digits) > 400 || len(appendText(nil, u.kind, maxUnitText)) > maxUnitText+1 {
			t.Errorf("%q: %+v", code, u)
		}
	})
}

// TestQuantitiesAgreeWithFractions compares searches with a unit with the table
// of prefixes on exact fractions, converted by factors that stand here.
//
// https://hl7.org/fhir/R4/search.html#prefix
func TestQuantitiesAgreeWithFractions(t *testing.T) {
	type code struct{ unit, factor, offset string }
	kinds := [][]code{
		{{"mg", "1/1000", "0"}, {"g", "1", "0"}, {"ug", "1/1000000", "0"}, {"[lb_av]", "45359237/100000", "0"}},
		{{"mm[Hg]", "133322/1000", "0"}, {"kPa", "1000", "0"}, {"[psi]", "8896443230521/1290320000", "0"}},
		{{"Cel", "9/5", "32"}, {"[degF]", "1", "0"}, {"K", "9/5", "-45967/100"}},
		{{"/min", "1/60", "0"}, {"/h", "1/3600", "0"}, {"/wk", "1/604800", "0"}},
	}
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,3})?`)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		from, to := rapid.SampledFrom(kind).Draw(t, "stored in"), rapid.SampledFrom(kind).Draw(t, "searched in")
		value, searched := number.Draw(t, "value"), number.Draw(t, "searched")
		if rapid.IntRange(0, 2).Draw(t, "same") == 0 {
			searched = value
		}
		p := rapid.SampledFrom([]prefix{equal, notEqual, greater, less, greaterOrEqual, lessOrEqual, startsAfter, endsBefore, approximately}).Draw(t, "prefix")
		inner := fmt.Sprintf(`{"value":%s,"system":%q,"code":%q}`, value, ucumSystem, from.unit)
		entries := extractRapid(t, decodeRapid(t, `{"resourceType":"Observation","code":{"coding":[{"system":"k","code":"x"}]},"valueQuantity":`+inner+`}`))
		fraction := func(s string) *big.Rat { r, _ := new(big.Rat).SetString(s); return r }
		// The stored value in the unit searched in.
		v := new(big.Rat).Mul(rat(t, value), fraction(from.factor))
		v.Add(v, fraction(from.offset)).Sub(v, fraction(to.offset)).Quo(v, fraction(to.factor))
		want := comparedFractions(p, searched, v)
		r, _ := registry()
		for _, query := range []string{"value-quantity=" + string(p) + searched, "code-value-quantity=x$" + string(p) + searched, "code-value-quantity=k|x$" + string(p) + searched} {
			request, err := r.Parse([]string{"Observation"}, query+"|"+ucumSystem+"|"+to.unit, ParseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := Match("Observation", entries, request.Query.Where[0]); got != want {
				t.Fatalf("%s %s on %s %s: %t, want %t", query, to.unit, value, from.unit, got, want)
			}
		}
	})
}

// comparedFractions is the table of prefixes for a point.
func comparedFractions(p prefix, searched string, v *big.Rat) bool {
	s, _ := new(big.Rat).SetString(searched)
	_, fraction, _ := strings.Cut(searched, ".")
	half := new(big.Rat).Quo(big.NewRat(1, 2), power(len(fraction)))
	implied := v.Cmp(new(big.Rat).Sub(s, half)) >= 0 && v.Cmp(new(big.Rat).Add(s, half)) < 0
	tenth := new(big.Rat).Quo(new(big.Rat).Abs(s), big.NewRat(10, 1))
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
	return implied || new(big.Rat).Abs(new(big.Rat).Sub(v, s)).Cmp(tenth) <= 0
}
