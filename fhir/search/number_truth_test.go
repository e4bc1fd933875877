package search

import "testing"

// TestNumberTruth is what R4 says about numbers: "When a comparison prefix in the
// set gt, lt, ge, le, sa & eb is provided, the implicit precision of the number
// is ignored"; "when a number search is used against a resource element that
// stores a simple integer …, the search is based on exact matches";
// "100: values that equal 100, to 3 significant figures precision, so … 99.5 ≤ x
// < 100.5".
//
// https://hl7.org/fhir/R4/search.html#number
func TestNumberTruth(t *testing.T) {
	docs := map[string]string{}
	is := func(value string) string {
		docs[value] = `{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":` + value + `}]}`
		return value
	}
	docs["0.2 to 0.5"] = `{"resourceType":"RiskAssessment","prediction":[{"probabilityRange":{"low":{"value":0.2},"high":{"value":0.5}}}]}`
	docs["from 0.2"] = `{"resourceType":"RiskAssessment","prediction":[{"probabilityRange":{"low":{"value":0.2}}}]}`
	const (
		equals, inside = "eq ge le", "ne gt lt ge le"
		more, less     = "ne gt ge sa", "ne lt le eb"
		// Equal to the precision of the value, and yet above or below it.
		aboveIn, belowIn = "eq gt ge sa", "eq lt le eb"
	)
	var rows []verdict
	for _, row := range []struct{ doc, value, holding string }{
		{is("100"), "100", equals},
		{is("100.0"), "100", equals},
		{is("100.4"), "100", aboveIn},
		{is("99.5"), "100", belowIn},
		{is("100.5"), "100", more},
		{is("99.499"), "100", less},
		{is("100.004"), "100.00", aboveIn},
		{is("100.005"), "100.00", more},
		{is("99.995"), "100.00", belowIn},
		{is("99.9949"), "100.00", less},
		{"100", "100.00", equals},
		{is("95"), "1e2", belowIn},
		{is("104.99"), "1e2", aboveIn},
		{is("105"), "1e2", more},
		{is("94.9"), "1e2", less},
		{"95", "1.0e2", belowIn},
		{"105", "1.0e2", more},
		{"100.4", "1.00e2", aboveIn},
		{"100.5", "1.00e2", more},
		{is("0"), "0", equals},
		{is("-0.0"), "0.0", equals},
		{is("0.4"), "0", aboveIn},
		{is("-0.5"), "0", belowIn},
		{is("0.5"), "0", more},
		{is("-5.5"), "-5", belowIn},
		{is("-4.5"), "-5", more},
		{is("-5"), "-5.0", equals},
		{is("1e-3"), "0.001", equals},
		{is("0.0014"), "0.001", aboveIn},
		{is("0.0015"), "0.001", more},
		{is("0.12345678901234567890123456789"), "0.12345678901234567890123456789", equals},
		{is("0.12345678901234567890123456788"), "0.12345678901234567890123456789", less},
		{is("1e30"), "1000000000000000000000000000000", equals},
		{"0.2 to 0.5", "0.3", inside},
		{"0.2 to 0.5", "0.5", "ne lt le"},
		{"0.2 to 0.5", "0.2", "ne gt ge"},
		{"0.2 to 0.5", "0.1", more},
		{"0.2 to 0.5", "0.6", less},
		{"0.2 to 0.5", "0", more},
		{"from 0.2", "9", inside},
		{"from 0.2", "0.1", more},
	} {
		rows = append(rows, truths("probability", row.doc, row.value, row.holding)...)
	}
	// "approximately … the recommended value for the approximation is 10% of the
	// stated value": https://hl7.org/fhir/R4/search.html#prefix
	for doc, want := range map[string]bool{is("110"): true, is("110.1"): false, is("90"): true, is("89.9"): false} {
		rows = append(rows, verdict{doc, "probability=ap100", want})
	}
	testTruth(t, "https://hl7.org/fhir/R4/search.html#number", docs, rows)
}
