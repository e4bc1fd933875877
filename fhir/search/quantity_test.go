package search

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir/resource"
)

func decodeRapid(t *rapid.T, doc string) *resource.Node {
	root, err := resource.Decode([]byte(doc))
	if err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return root
}

func extractRapid(t *rapid.T, root *resource.Node) []Entry {
	r, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := r.Extract(root)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// TestQuantitySearches follows https://hl7.org/fhir/R4/search.html#quantity.
func TestQuantitySearches(t *testing.T) {
	const (
		ucum = "http://unitsofmeasure.org"
		full = `{"value":5.4,"unit":"milligram","system":"` + ucum + `","code":"mg"}`
		bare = `{"value":5.4}`
		unit = `{"value":5.4,"unit":"mg"}`
		less = `{"value":5,"comparator":"<","unit":"mg"}`
		most = `{"value":5,"comparator":"<=","unit":"mg"}`
		more = `{"value":5,"comparator":">","system":"` + ucum + `","code":"mg"}`
	)
	tests := []struct {
		query, quantity string
		want            bool
	}{
		{"5.4|" + ucum + "|mg", full, true},
		{"5.4|" + ucum + "|g", full, false},
		{"5.4|http://other.example|mg", full, false},
		{"5.4|" + ucum + "|mg", unit, false},
		{"5.4|" + ucum + "|mg", bare, false},
		{"5.4||mg", full, true},        // the code
		{"5.4||milligram", full, true}, // or the unit
		{"5.4||mg", unit, true},
		{"5.4||mg", bare, false},
		{"5.4||MG", unit, false}, // units matter by case
		{"5.4", full, true},
		{"5.4", bare, true},
		{"5.4||", bare, true},
		{"5.40e-3|" + ucum + "|g", full, true}, // see TestUnits
		{"5", full, true},
		{"5.41", full, false},
		{"ne5.4", full, false},
		{"ne6", full, true},
		{"gt5||mg", full, true},
		{"gt5.4||mg", full, false},
		{"ge5.4||mg", full, true},
		{"lt5.5|" + ucum + "|mg", full, true},
		{"le5.3|" + ucum + "|mg", full, false},
		{"sa5||mg", full, true},
		{"eb6||mg", full, true},
		{"eb5.4||mg", full, false},
		{"ap5.9", full, true},
		{"ap7", full, false},
		// A comparator leaves an end open: <5 is anything below 5.
		{"lt5||mg", less, true},
		{"eb5||mg", less, true},
		{"eb5||mg", most, false},
		{"le5||mg", most, true},
		{"gt5||mg", most, false},
		{"lt1||mg", less, true},
		{"ge5||mg", less, false},
		{"eb4||mg", less, false},
		{"4||mg", less, false},
		{"ne4||mg", less, true},
		{"gt5|" + ucum + "|mg", more, true},
		{"sa5|" + ucum + "|mg", more, true},
		{"gt1000|" + ucum + "|mg", more, true},
		{"le5|" + ucum + "|mg", more, false},
		{"ap5|" + ucum + "|mg", more, true},
	}
	for _, test := range tests {
		doc := `{"resourceType":"Observation","valueQuantity":` + test.quantity + `}`
		if got := finds(t, doc, "value-quantity="+test.query); got != test.want {
			t.Errorf("value-quantity=%s on %s: %t, want %t", test.query, test.quantity, got, test.want)
		}
	}
}

func TestOtherQuantities(t *testing.T) {
	tests := []struct {
		query, doc string
		want       bool
	}{
		{"totalnet=12.50|urn:iso:std:iso:4217|NOK", `{"resourceType":"Invoice","totalNet":{"value":12.5,"currency":"NOK"}}`, true},
		{"totalnet=12.50||NOK", `{"resourceType":"Invoice","totalNet":{"value":12.5,"currency":"NOK"}}`, true},
		{"totalnet=12.50||SEK", `{"resourceType":"Invoice","totalNet":{"value":12.5,"currency":"NOK"}}`, false},
		{"length=ge2||h", `{"resourceType":"Encounter","length":{"value":3,"unit":"h"}}`, true},
		{"onset-age=gt60", `{"resourceType":"Condition","onsetRange":{"low":{"value":50},"high":{"value":70}}}`, true},
		{"onset-age=sa60", `{"resourceType":"Condition","onsetRange":{"low":{"value":50},"high":{"value":70}}}`, false},
		{"onset-age=gt1000||a", `{"resourceType":"Condition","onsetRange":{"low":{"value":50,"unit":"a"}}}`, true},
		{"onset-age=lt10", `{"resourceType":"Condition","onsetRange":{"high":{"value":50}}}`, true},
		{"onset-age=50", `{"resourceType":"Condition","onsetRange":{"low":{"value":70},"high":{"value":50}}}`, false},
		{"value-quantity=ge5000||uV", sampled("2048", "1.612", "2041 2043 E 2037"), true},
		{"value-quantity=gt6000||uV", sampled("2048", "1.612", "2041 2043 E 2037"), false},
		{"value-quantity=gt6000||uV", sampled("2048", "1.612", "2041 U"), true},
		{"value-quantity=le5338.1||uV", sampled("2048", "1.612", "2041 2043"), true}, // 2048 + 1.612 * 2041 is 5338.092
		{"value-quantity=lt5338.09||uV", sampled("2048", "1.612", "2041 2043"), false},
		{"value-quantity=eb-4||uV", sampled("0", "-1", "5 9"), true},
		{"value-quantity=lt-9||uV", sampled("0", "-1", "5 9"), false},
		{"value-quantity=ap3||uV", sampled("0", "1", "U"), true}, // nothing but "too much": it may be anything
		{"value-quantity=lt-6000||uV", sampled("2048", "1.612", "2041 L"), true},
		{"value-quantity=0||uV", sampled("0", "1", "E E"), false},
		{"probability=gt0.4", `{"resourceType":"RiskAssessment","prediction":[{"probabilityRange":{"low":{"value":0.2},"high":{"value":0.5}}}]}`, true},
		{"probability=sa0.4", `{"resourceType":"RiskAssessment","prediction":[{"probabilityRange":{"low":{"value":0.2},"high":{"value":0.5}}}]}`, false},
	}
	for _, test := range tests {
		if got := finds(t, test.doc, test.query); got != test.want {
			t.Errorf("%s on %s: %t, want %t", test.query, test.doc, got, test.want)
		}
	}
}

func sampled(origin, factor, data string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","valueSampledData":{"origin":{"value":%s,"unit":"uV"},"period":1,"factor":%s,"dimensions":1,"data":%q}}`, origin, factor, data)
}

// TestSparseClassesAgree compares searches with a unit, whose points have no
// entry by their high end, with searches without, whose points have one.
func TestSparseClassesAgree(t *testing.T) {
	value := rapid.SampledFrom([]string{"-1", "0", "4.9", "5", "5.0", "5.01", "5.4", "6", "60"})
	rapid.Check(t, func(t *rapid.T) {
		quantity := fmt.Sprintf(`{"value":%s,"unit":"u","system":"s","code":"c"%s}`, value.Draw(t, "value"),
			rapid.SampledFrom([]string{"", `,"comparator":"<"`, `,"comparator":"<="`, `,"comparator":">"`, `,"comparator":">="`}).Draw(t, "comparator"))
		entries := extractRapid(t, decodeRapid(t, `{"resourceType":"Observation","valueQuantity":`+quantity+`,"code":{"coding":[{"system":"k","code":"x"}]}}`))
		searched := rapid.SampledFrom([]string{"", "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap"}).Draw(t, "prefix") + value.Draw(t, "searched")
		var answers []bool
		r, _ := registry()
		for _, query := range []string{
			"value-quantity=" + searched, "value-quantity=" + searched + "||u", "value-quantity=" + searched + "||c", "value-quantity=" + searched + "|s|c",
			"code-value-quantity=x$" + searched, "code-value-quantity=k|x$" + searched + "||c", "code-value-quantity=k|$" + searched + "|s|c",
		} {
			request, err := r.Parse([]string{"Observation"}, query, ParseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, Match("Observation", entries, request.Query.Where[0]))
		}
		for _, answer := range answers {
			if answer != answers[0] {
				t.Fatalf("%s on %s: %t", searched, quantity, answers)
			}
		}
	})
}
