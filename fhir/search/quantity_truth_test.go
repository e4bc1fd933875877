package search

import "testing"

// TestQuantityTruth is what R4 says about quantities: "the search processor may
// choose to perform a search based on canonical units (e.g. any value where the
// units can be converted to a value in the specified units)"; prefixes and
// precision are those of numbers.
//
// https://hl7.org/fhir/R4/search.html#quantity
func TestQuantityTruth(t *testing.T) {
	const (
		ucum           = "|http://unitsofmeasure.org|"
		equals, inside = "eq ge le", "ne gt lt ge le"
		more, less     = "ne gt ge sa", "ne lt le eb"
		// Equal to the precision of the value, and yet above or below it.
		aboveIn, belowIn = "eq gt ge sa", "eq lt le eb"
		apart            = "" // not even unequal: the two do not compare
	)
	quantity := func(value, code string) string {
		return `{"resourceType":"Observation","code":{"coding":[{"system":"http://loinc.org","code":"c"}]},"valueQuantity":{"value":` + value + `,"unit":"words","system":"http://unitsofmeasure.org","code":"` + code + `"}}`
	}
	docs := map[string]string{
		"5.4 mg": quantity("5.4", "mg"), "0.0054 g": quantity("0.0054", "g"), "5400 ug": quantity("5400", "ug"), "37.0 Cel": quantity("37.0", "Cel"), "120 mm[Hg]": quantity("120", "mm[Hg]"), "90 mg/dL": quantity("90", "mg/dL"),
		"7.1 10*3/uL": quantity("7.1", "10*3/uL"), "72 {beats}/min": quantity("72", "{beats}/min"), "48 mmol/mol": quantity("48", "mmol/mol"), "45 %": quantity("45", "%"), "3 [foo]": quantity("3", "[foo]"), "40 [iU]/L": quantity("40", "[iU]/L"), "80 U/L": quantity("80", "U/L"),
		"<5 mg":    `{"resourceType":"Observation","code":{"coding":[{"code":"c"}]},"valueQuantity":{"value":5,"comparator":"<","system":"http://unitsofmeasure.org","code":"mg"}}`,
		">=5 mg":   `{"resourceType":"Observation","code":{"coding":[{"code":"c"}]},"valueQuantity":{"value":5,"comparator":">=","system":"http://unitsofmeasure.org","code":"mg"}}`,
		"text mg":  `{"resourceType":"Observation","code":{"coding":[{"code":"c"}]},"valueQuantity":{"value":5.4,"unit":"mg"}}`,
		"local mg": `{"resourceType":"Observation","code":{"coding":[{"code":"c"}]},"valueQuantity":{"value":5.4,"system":"http://local.example","code":"mg"}}`,
	}
	var rows []verdict
	for _, row := range []struct{ doc, value, holding string }{
		{"5.4 mg", "5.4" + ucum + "mg", equals},
		{"5.4 mg", "0.0054" + ucum + "g", equals},
		{"5.4 mg", "5400" + ucum + "ug", equals},
		{"5.4 mg", "5.4e-6" + ucum + "kg", equals},
		{"0.0054 g", "5.4" + ucum + "mg", equals},
		{"5400 ug", "5.4" + ucum + "mg", equals},
		{"5400 ug", "0.0054" + ucum + "g", equals},
		// The precision of the value goes along with its unit.
		{"5.4 mg", "5" + ucum + "mg", aboveIn},
		{"5.4 mg", "0.005" + ucum + "g", aboveIn},
		{"5.4 mg", "0.01" + ucum + "g", belowIn},
		{"5.4 mg", "5399" + ucum + "ug", more},
		{"5.4 mg", "5401" + ucum + "ug", less},
		{"5.4 mg", "0.0053" + ucum + "g", more},
		{"5.4 mg", "6" + ucum + "mg", less},
		{"37.0 Cel", "98.6" + ucum + "[degF]", equals},
		{"37.0 Cel", "310.15" + ucum + "K", equals},
		{"37.0 Cel", "310" + ucum + "K", aboveIn},
		{"37.0 Cel", "99" + ucum + "[degF]", belowIn},
		{"37.0 Cel", "100" + ucum + "[degF]", less},
		{"120 mm[Hg]", "16" + ucum + "kPa", belowIn},
		{"120 mm[Hg]", "15.99864" + ucum + "kPa", equals},
		{"120 mm[Hg]", "15" + ucum + "kPa", more},
		{"90 mg/dL", "0.9" + ucum + "g/L", equals},
		{"90 mg/dL", "900" + ucum + "ug/mL", equals},
		{"90 mg/dL", "5" + ucum + "mmol/L", apart},
		{"7.1 10*3/uL", "7.1" + ucum + "10*9/L", equals},
		{"7.1 10*3/uL", "7100" + ucum + "{cells}/uL", equals},
		{"72 {beats}/min", "72" + ucum + "/min", equals},
		{"72 {beats}/min", "1.2" + ucum + "Hz", equals},
		{"72 {beats}/min", "60" + ucum + "{breaths}/min", more},
		{"48 mmol/mol", "4.8" + ucum + "%25", apart},
		{"48 mmol/mol", "48" + ucum + "mmol/mol{Hb}", equals},
		{"45 %", "0.45" + ucum + "L/L", equals},
		{"40 [iU]/L", "40" + ucum + "m[iU]/mL", equals},
		{"40 [iU]/L", "40" + ucum + "U/L", apart},
		{"80 U/L", "1.3333" + ucum + "ukat/L", aboveIn},
		{"5.4 mg", "5.4" + ucum + "mL", apart},
		{"3 [foo]", "3" + ucum + "[foo]", equals},
		{"3 [foo]", "2" + ucum + "[foo]", more},
		{"3 [foo]", "3" + ucum + "[bar]", apart},
		{"3 [foo]", "3", equals},
		{"5.4 mg", "3" + ucum + "[foo]", apart},
		{"<5 mg", "0.005" + ucum + "g", less},
		{"<5 mg", "4000" + ucum + "ug", inside},
		{">=5 mg", "0.005" + ucum + "g", "ne gt ge"},
		{">=5 mg", "4999" + ucum + "ug", more},
		{">=5 mg", "1" + ucum + "kg", inside},
		// Without a system a unit is compared as it is written, and without a unit the number.
		{"5.4 mg", "5.4||mg", equals},
		{"5.4 mg", "5.4||words", equals},
		{"5.4 mg", "0.0054||g", apart},
		{"5.4 mg", "5.4", equals},
		{"5.4 mg", "5400", less},
		{"text mg", "5.4||mg", equals},
		{"text mg", "5.4" + ucum + "mg", apart},
		{"local mg", "5.4|http://local.example|mg", equals},
		{"local mg", "5400|http://local.example|ug", apart},
		{"local mg", "5.4" + ucum + "mg", apart},
	} {
		rows = append(rows, truths("value-quantity", row.doc, row.value, row.holding)...)
		for _, r := range truths("", row.doc, row.value, row.holding) {
			rows = append(rows, verdict{r.doc, "code-value-quantity=c$" + r.query[1:], r.want}, verdict{r.doc, "combo-code-value-quantity=d$" + r.query[1:], false})
		}
	}
	rows = append(rows,
		verdict{"5.4 mg", "value-quantity=ap0.0058" + ucum + "g", true}, verdict{"5.4 mg", "value-quantity=ap0.0061" + ucum + "g", false},
	)
	testTruth(t, "https://hl7.org/fhir/R4/search.html#quantity", docs, rows)
}

// TestRangesWithUnits: the ends of a Range compare in its unit.
func TestRangesWithUnits(t *testing.T) {
	docs := map[string]string{
		"50 to 70 a": `{"resourceType":"Condition","onsetRange":{"low":{"value":50,"system":"http://unitsofmeasure.org","code":"a"},"high":{"value":70,"system":"http://unitsofmeasure.org","code":"a"}}}`,
		"mixed":      `{"resourceType":"Condition","onsetRange":{"low":{"value":1,"system":"http://unitsofmeasure.org","code":"mo"},"high":{"value":2,"system":"http://unitsofmeasure.org","code":"a"}}}`,
	}
	const ucum = "|http://unitsofmeasure.org|"
	var rows []verdict
	for _, row := range []struct{ doc, value, holding string }{
		{"50 to 70 a", "600" + ucum + "mo", "ne gt ge"},
		{"50 to 70 a", "720" + ucum + "mo", "ne gt lt ge le"},
		{"50 to 70 a", "70" + ucum + "a", "ne lt le"},
		{"50 to 70 a", "599" + ucum + "mo", "ne gt ge sa"},
		{"50 to 70 a", "1e6" + ucum + "d", "ne lt le eb"},
		{"mixed", "1" + ucum + "mo", ""},
		{"mixed", "1", "ne gt ge"},
	} {
		rows = append(rows, truths("onset-age", row.doc, row.value, row.holding)...)
	}
	testTruth(t, "https://hl7.org/fhir/R4/search.html#quantity", docs, rows)
}
