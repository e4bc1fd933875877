package rest

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestStatsValues: what counts as a value, and what only as an observation.
func TestStatsValues(t *testing.T) {
	const path = "/Observation/$stats?subject=Patient/ada&coding=http://loinc.org|29463-7&statistic=sum,count,total-count"
	tests := []struct {
		name    string
		stored  []string
		status  int
		want    []string // parts of the answer
		without string
	}{
		{"trailing zeros stay", []string{vital("a", "29463-7", "2025", "71.50", "kg"), vital("b", "29463-7", "2025", "1.50", "kg")}, 200, []string{`"value":73.00,`}, ""},
		{"a comparator is no value", []string{vital("a", "29463-7", "2025", "71.5", "kg"), strings.Replace(vital("b", "29463-7", "2025", "9", "kg"), `"value":9`, `"value":9,"comparator":"<"`, 1)}, 200, []string{`"value":71.5,`, `"value":1,`, `"value":2,`}, ""},
		{"entered in error", []string{vital("a", "29463-7", "2025", "71.5", "kg"), strings.Replace(vital("b", "29463-7", "2025", "9", "kg"), "final", "entered-in-error", 1)}, 200, []string{`"value":71.5,`, `"value":1,`}, `"value":2,`},
		{"another system of units", []string{vital("a", "29463-7", "2025", "71.5", "kg"), strings.Replace(vital("b", "29463-7", "2025", "9", "kg"), "http://unitsofmeasure.org", "http://example.org", 1)}, 200, []string{`"value":71.5,`, `"value":2,`}, ""},
		{"a modifier", []string{vital("a", "29463-7", "2025", "71.5", "kg"), strings.Replace(vital("b", "29463-7", "2025", "9", "kg"), `"status"`, `"modifierExtension":[{"url":"http://example.org/not","valueBoolean":true}],"status"`, 1)}, 200, []string{`"value":71.5,`, `"value":2,`}, ""},
		{"units that measure the same", []string{vital("a", "29463-7", "2025", "71.5", "kg"), vital("b", "29463-7", "2025", "500", "g")}, 200, []string{`"value":72.0,`, `"kg"`}, ""},
		{"units that do not", []string{vital("a", "29463-7", "2025", "71.5", "kg"), vital("b", "29463-7", "2025", "180", "cm")}, 422, []string{"cannot be converted", "kg", "cm"}, ""},
		{"another patient's", []string{vital("a", "29463-7", "2025", "71.5", "kg"), strings.Replace(vital("b", "29463-7", "2025", "9", "kg"), "Patient/ada", "Patient/bea", 1)}, 200, []string{`"value":71.5,`}, `"value":2,`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.must("PUT", "/Patient/ada", adaV1)
			for i, body := range test.stored {
				a.must("PUT", "/Observation/"+string(rune('a'+i)), body)
			}
			rec := a.do(call{"GET", path, nil, ""})
			if rec.Code != test.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			valid(t, rec.Body.Bytes())
			for _, part := range test.want {
				if !strings.Contains(rec.Body.String(), part) {
					t.Errorf("%s is missing: %s", part, rec.Body)
				}
			}
			if test.without != "" && strings.Contains(rec.Body.String(), test.without) {
				t.Errorf("%s is there: %s", test.without, rec.Body)
			}
		})
	}
}

// TestStatsPanel: the members of a panel are series of their own, if they are the
// same subject's and the caller may see them.
func TestStatsPanel(t *testing.T) {
	a := newGuarded(t)
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Patient/bea", `{"resourceType":"Patient","id":"bea"}`)
	a.must("PUT", "/Observation/mine", vital("mine", "2-9", "2025", "5", "mmol/L"))
	a.must("PUT", "/Observation/hers", strings.Replace(vital("hers", "2-9", "2025", "500", "mmol/L"), "Patient/ada", "Patient/bea", 1))
	panel := strings.Replace(vital("panel", "1-8", "2025", "", ""), `"status"`, `"hasMember":[{"reference":"Observation/mine"},{"reference":"Observation/hers"},{"reference":"Observation/none"}],"status"`, 1)
	a.must("PUT", "/Observation/panel", panel)
	for _, scopes := range []string{"all", "patient/Observation.rs"} {
		rec := a.as(scopes, call{"GET", "/Observation/$stats?subject=Patient/ada&coding=http://loinc.org|1-8&statistic=sum,count", nil, ""})
		if body := rec.Body.String(); rec.Code != 200 || !strings.Contains(body, `"code":"2-9"`) || !strings.Contains(body, `"value":5,`) || !strings.Contains(body, `"value":1,`) {
			t.Errorf("%s: status %d: %s", scopes, rec.Code, body)
		}
	}
	const other = "/Observation/$stats?subject=Patient/bea&coding=http://loinc.org|2-9&statistic=count"
	if rec := a.as("patient/Observation.rs", call{"GET", other, nil, ""}); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"value":0,`) {
		t.Errorf("another patient's: status %d: %s", rec.Code, rec.Body)
	}
}

// TestStatisticsDefinitions computes each statistic of a few numbers by hand.
func TestStatisticsDefinitions(t *testing.T) {
	numbers := func(texts ...string) []*big.Rat {
		out := make([]*big.Rat, len(texts))
		for i, text := range texts {
			out[i], _ = new(big.Rat).SetString(text)
		}
		return out
	}
	of := map[string]func([]*big.Rat) (*big.Rat, bool){}
	for _, s := range statistics {
		of[s.code] = s.of
	}
	eight := numbers("2", "4", "4", "4", "5", "5", "7", "9") // sorted
	tests := []struct {
		statistic string
		values    []*big.Rat
		want      string // "" if it is not defined
	}{
		{"average", eight, "5"},
		{"sum", eight, "40"},
		{"median", eight, "4.5"},
		{"variance", eight, "4.57142857142857"},
		{"std-dev", eight, "2.1380899352994"},
		{"4-lower", eight, "4"},
		{"4-upper", eight, "5.5"},
		{"4-dev", eight, "0.75"},
		{"20-percent", eight, "4"},
		{"80-percent", eight, "6.2"},
		{"skew", eight, "0.65625"},
		{"kurtosis", eight, "2.78125"},
		{"median", numbers("3"), "3"},
		{"4-upper", numbers("3"), "3"},
		{"variance", numbers("3"), ""},
		{"std-dev", numbers("3"), ""},
		{"skew", numbers("3", "3"), ""},
		{"kurtosis", numbers("3", "3"), ""},
		{"average", numbers("0.1", "0.2"), "0.15"},
		{"average", numbers("1", "1", "2"), "1.33333333333333"},
		{"average", numbers("0.0001", "0.0001", "0.0002"), "0.000133333333333333"},
		{"average", numbers("-1", "-1", "-2"), "-1.33333333333333"},
	}
	for _, test := range tests {
		value, ok := of[test.statistic](test.values)
		got := ""
		if ok {
			got = decimalText(value, 0)
		}
		if got != test.want {
			t.Errorf("%s of %v is %s, want %s", test.statistic, test.values, got, test.want)
		}
	}
}

// TestStatisticsProperties: the statistics of any numbers lie where they must.
func TestStatisticsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *big.Rat {
			return big.NewRat(rapid.Int64Range(-1e6, 1e6).Draw(t, "n"), 100)
		}), 1, 30).Draw(t, "values")
		sortRats(values)
		last := values[0]
		for _, p := range []int64{0, 10, 20, 25, 50, 75, 80, 100} {
			value, _ := percentile(p, 100)(values)
			if value.Cmp(last) < 0 {
				t.Fatalf("percentile %d is below the one before", p)
			}
			last = value
		}
		if last.Cmp(values[len(values)-1]) != 0 {
			t.Fatal("percentile 100 is not the greatest")
		}
		mean, _ := average(values)
		if mean.Cmp(values[0]) < 0 || mean.Cmp(values[len(values)-1]) > 0 {
			t.Fatal("the average lies outside")
		}
		text := decimalText(mean, 2)
		back, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		off := new(big.Rat).Sub(back, mean)
		if off.Abs(off).Cmp(big.NewRat(1, 1e9)) > 0 {
			t.Fatalf("%q is far from %s", text, mean)
		}
	})
}

func TestExactNumber(t *testing.T) {
	for text, want := range map[string]string{
		"71.50": "143/2", "1e3": "1000/1", "-0.5E-1": "-1/20", "1e999999999": "", "1" + strings.Repeat("0", 70): "",
	} {
		value, _, ok := exactNumber(text)
		if ok != (want != "") || ok && value.String() != want {
			t.Errorf("%s: %v, want %s", text, value, want)
		}
	}
}
