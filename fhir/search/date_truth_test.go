package search

import (
	"slices"
	"strings"
	"testing"
)

// truths are the rows of one resource and one value: the prefixes, but ap, that
// hold; no others do.
func truths(param, doc, value, holding string) []verdict {
	var rows []verdict
	for _, p := range []prefix{equal, notEqual, greater, less, greaterOrEqual, lessOrEqual, startsAfter, endsBefore} {
		rows = append(rows, verdict{doc, param + "=" + string(p) + value, slices.Contains(strings.Fields(holding), string(p))})
	}
	return append(rows, verdict{doc, param + "=" + value, slices.Contains(strings.Fields(holding), "eq")})
}

// TestDateTruth is what R4 says about dates, prefix by prefix: "the range of the
// search value fully contains the range of the target value" for eq, and so on,
// https://hl7.org/fhir/R4/search.html#prefix; "the date parameter format is …
// any degree of precision … note that each date has an implicit range",
// https://hl7.org/fhir/R4/search.html#date.
func TestDateTruth(t *testing.T) {
	at := func(s string) string { return `{"resourceType":"Observation","effectiveDateTime":"` + s + `"}` }
	between := func(s string) string { return `{"resourceType":"Observation","effectivePeriod":{` + s + `}}` }
	timing := func(s string) string { return `{"resourceType":"Observation","effectiveTiming":{` + s + `}}` }
	docs := map[string]string{
		"year": at("2013"), "month": at("2013-01"), "day": at("2013-01-14"), "second": at("2013-01-14T10:00:00Z"), "fraction": at("2013-01-14T10:00:00.5Z"), "east": at("2013-01-15T00:30:00+02:00"), "west": at("2013-01-14T23:30:00-05:00"),
		"leap day": at("2020-02-29"), "leap second": at("2016-12-31T23:59:60Z"), "instant": `{"resourceType":"Observation","effectiveInstant":"2013-01-14T10:00:00.5Z"}`,
		"from": between(`"start":"2013-01-14"`), "to": between(`"end":"2013-01-14"`), "period": between(`"start":"2013-01-10","end":"2013-01-20"`), "short": between(`"start":"2013-01-14T23:50:00Z","end":"2013-01-15T00:10:00Z"`),
		"events": timing(`"event":["2013-01-20","2013-01-10"]`), "bounds": timing(`"repeat":{"boundsPeriod":{"start":"2013-01-10","end":"2013-01-20"}}`), "both": timing(`"event":["2013-01-10"],"repeat":{"boundsPeriod":{"start":"2013-01-12","end":"2013-01-20"}}`), "no end": timing(`"event":["2013-01-20"],"repeat":{"boundsPeriod":{"start":"2013-01-14"}}`),
	}
	const (
		equals, inside = "eq ge le", "ne gt lt ge le"
		later, earlier = "ne gt ge sa", "ne lt le eb"
		// It begins within the value and goes on; it ends within it and began before.
		goesOn, began = "ne gt ge", "ne lt le"
	)
	var rows []verdict
	for _, row := range []struct{ doc, value, holding string }{
		{"day", "2013-01-14", equals},
		{"day", "2013-01", equals},
		{"day", "2013", equals},
		{"day", "2013-01-14T10:00", inside},
		{"day", "2013-01-14T00:00:00Z", goesOn},
		{"day", "2013-01-14T23:59Z", began},
		{"day", "2013-01-13", later},
		{"day", "2013-01-15", earlier},
		{"day", "2012", later},
		{"day", "2013-02", earlier},
		{"month", "2013", equals},
		{"month", "2013-01", equals},
		{"month", "2013-01-14", inside},
		{"month", "2013-01-01", goesOn},
		{"month", "2013-01-31", began},
		{"month", "2012-12-31", later},
		{"month", "2013-02", earlier},
		{"year", "2013-05", inside},
		{"year", "2013", equals},
		{"year", "2012-12-31T23:59:59.999Z", later},
		{"second", "2013-01-14T10:00Z", equals},
		{"second", "2013-01-14T10:00:00Z", equals},
		{"second", "2013-01-14T10:00:00.0Z", goesOn},
		{"second", "2013-01-14T10:00:01Z", earlier},
		{"second", "2013-01-14T11:00:00+01:00", equals},
		{"second", "2013-01-14T10:00:00", equals},
		{"fraction", "2013-01-14T10:00:00Z", equals},
		{"fraction", "2013-01-14T10:00:00.5Z", equals},
		{"fraction", "2013-01-14T10:00:00.50Z", goesOn},
		{"fraction", "2013-01-14T10:00:00.59Z", began},
		{"fraction", "2013-01-14T10:00:00.4Z", later},
		{"instant", "2013-01-14T10:00:00.50Z", equals},
		{"instant", "2013-01-14T10:00:00.500000Z", equals},
		{"instant", "2013-01-14T10:00:00.51Z", earlier},
		{"east", "2013-01-14", equals},
		{"east", "2013-01-15", earlier},
		{"east", "2013-01-14T22:30Z", equals},
		{"west", "2013-01-15", equals},
		{"west", "2013-01-14", later},
		{"west", "2013-01-15T04:30:00Z", equals},
		{"west", "2013-01-15T05:30%2B01:00", equals},
		{"leap day", "2020-02", equals},
		{"leap day", "2020-02-28", later},
		{"leap day", "2020-03", earlier},
		{"leap day", "2020-02-29", equals},
		{"leap second", "2017", equals},
		{"leap second", "2016", later},
		{"from", "2013-01-14", goesOn},
		{"from", "2013", goesOn},
		{"from", "2013-01-13", later},
		{"from", "2013-01-15", inside},
		{"from", "2999", inside},
		{"to", "2013-01-14", began},
		{"to", "2013-01-15", earlier},
		{"to", "2013-01-13", inside},
		{"to", "0001", inside},
		{"short", "2013-01-14", goesOn},
		{"short", "2013-01-15", began},
		{"short", "2013-01", equals},
	} {
		rows = append(rows, truths("date", row.doc, row.value, row.holding)...)
	}
	for _, doc := range []string{"period", "events", "bounds", "both"} {
		for value, holding := range map[string]string{"2013-01": equals, "2013-01-14": inside, "2013-01-10": goesOn, "2013-01-20": began, "2013-01-21": earlier, "2013-01-09": later} {
			rows = append(rows, truths("date", doc, value, holding)...)
		}
	}
	rows = append(rows, truths("date", "no end", "2013-01-20", inside)...)
	testTruth(t, "https://hl7.org/fhir/R4/search.html#prefix", docs, rows)
	// "the recommended value … 10% of the gap between now and the date"; now is
	// 15 June 2026.
	testTruth(t, "https://hl7.org/fhir/R4/search.html#prefix", map[string]string{"june": at("2026-06-01"), "far": at("2006-01-01"), "open": between(`"start":"2026-06-01"`)}, []verdict{
		{"june", "date=ap2026-06-01", true},
		{"june", "date=ap2026-06-02", true},
		{"june", "date=ap2026-06-11", false},
		{"june", "date=ap2026-05-31", true},
		{"june", "date=ap2026-05-20", false},
		{"far", "date=ap2006-06", true},
		{"far", "date=ap2007", true},
		{"far", "date=ap2010", false},
		{"open", "date=ap2030", true},
		{"open", "date=ap2026-01", false},
	})
}
