package search

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
)

// finds reports whether a search selects a resource.
func finds(t testing.TB, doc, query string) bool {
	t.Helper()
	r := testRegistry(t)
	root := decode(t, doc)
	entries, _, err := r.Extract(root)
	if err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	entries = append(entries, LastUpdated(time.Date(2026, 1, 2, 3, 4, 5, 678_999_999, time.UTC))...)
	request, err := r.Parse([]string{root.Str("resourceType")}, query, ParseOptions{
		Base: "http://starling.example/fhir", Now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if len(request.Query.Where) == 0 {
		t.Fatalf("%s selects everything", query)
	}
	for _, clause := range request.Query.Where {
		if !Match("Observation", entries, clause) {
			return false
		}
	}
	return true
}

// Documents with one value of time.
const (
	atDateTime = `{"resourceType":"Observation","effectiveDateTime":"%s"}`
	atInstant  = `{"resourceType":"Observation","effectiveInstant":"%s"}`
	fromTo     = `{"resourceType":"Observation","effectivePeriod":{%s}}`
)

// TestDatePrefixes holds each prefix against the table and the examples of R4.
func TestDatePrefixes(t *testing.T) {
	date := func(s string) string { return fmt.Sprintf(atDateTime, s) }
	period := func(s string) string { return fmt.Sprintf(fromTo, s) }
	from21Jan, to21Jan := period(`"start":"2013-01-21"`), period(`"end":"2013-01-21"`)
	from15Mar := period(`"start":"2013-03-15"`)
	tests := []struct {
		query, doc string
		want       bool
	}{
		// The rows of https://hl7.org/fhir/R4/search.html#date, in its order.
		{"eq2013-01-14", date("2013-01-14T00:00:00Z"), true},
		{"eq2013-01-14", date("2013-01-14T10:00:00Z"), true},
		{"eq2013-01-14", date("2013-01-15T00:00:00Z"), false},
		{"ne2013-01-14", date("2013-01-15T00:00:00Z"), true},
		{"ne2013-01-14", date("2013-01-14T00:00:00Z"), false},
		{"ne2013-01-14", date("2013-01-14T10:00:00Z"), false},
		{"lt2013-01-14T10:00", date("2013-01-14"), true},
		{"gt2013-01-14T10:00", date("2013-01-14"), true},
		{"ge2013-03-14", from21Jan, true},
		{"le2013-03-14", from21Jan, true},
		{"sa2013-03-14", from15Mar, true},
		{"sa2013-03-14", from21Jan, false},
		{"sa2013-03-14", to21Jan, false},
		{"eb2013-03-14", from15Mar, false},
		{"eb2013-03-14", from21Jan, false},
		{"eb2013-03-14", to21Jan, true},
		{"ap2013-03-14", date("2013-03-14"), true},
		{"ap2025-06-15", date("2025-06-15"), true},
		// "systems may choose other values": 10 % of the 13 years to the test's now.
		{"ap2013-03-14", date("2014-06-15"), true},
		{"ap2013-03-14", date("2015-06-15"), false},
		{"ap2013-03-14", date("2011-06-15"), false},
		{"ap2030", date("2029-10-01"), true}, // the future is as far as the past
		{"ap2030", date("2029-01-01"), false},

		// https://hl7.org/fhir/R4/search.html#prefix: eq is containment in the
		// search value's range, so a coarser value does not equal a finer one.
		{"2013", date("2013-01-14"), true},
		{"2013-01", date("2013-01-14"), true},
		{"2013-01-14", date("2013-01"), false},
		{"2013-01-14", date("2013"), false},
		{"2013-01-14T10:00Z", date("2013-01-14T10:00:59.999Z"), true},
		{"2013-01-14T10:00:00Z", date("2013-01-14T10:00:00.5Z"), true},
		{"2013-01-14T10:00:00.5Z", date("2013-01-14T10:00:00Z"), false},
		{"2013-01-14T10:00:00.123456789012Z", date("2013-01-14T10:00:00.123456789012Z"), true},
		{"2013-01-14T10:00:00.123456789012Z", date("2013-01-14T10:00:00.123456789013Z"), false},
		{"2013-01-14T10:00:00.12Z", fmt.Sprintf(atInstant, "2013-01-14T10:00:00.123456789012Z"), true},
		{"ne2013-01-14", date("2013"), true},

		// gt: the target reaches beyond the search value's range; ge: or is in it.
		{"gt2013-01-14", date("2013-01-14"), false},
		{"gt2013-01-14", date("2013-01-14T23:59:59.9999Z"), false},
		{"gt2013-01-14", date("2013-01-15"), true},
		{"gt2013-01-14", date("2013-01"), true},
		{"ge2013-01-14", date("2013-01-14"), true},
		{"ge2013-01-14", date("2013-01-13T23:59:59Z"), false},
		{"ge2013-01-14", period(`"start":"2013-01-01","end":"2013-01-14"`), false},
		{"ge2013-01-14", period(`"start":"2013-01-01","end":"2013-01-15"`), true},
		{"lt2013-01-14", date("2013-01-14"), false},
		{"lt2013-01-14", date("2013-01-13"), true},
		{"lt2013-01-14", date("2013-01"), true},
		{"le2013-01-14", date("2013-01-14"), true},
		{"le2013-01-14", date("2013-01-15T00:00:00Z"), false},
		{"sa2013-01-14", date("2013-01-15"), true},
		{"sa2013-01-14", date("2013-01-14"), false},
		{"sa2013-01-14", date("2013"), false},
		{"eb2013-01-14", date("2013-01-13"), true},
		{"eb2013-01-14", date("2013-01-14"), false},

		// Zones: "the system should correct for time zones"; none is UTC.
		{"2013-01-14", date("2013-01-14T23:30:00-05:00"), false},
		{"2013-01-15", date("2013-01-14T23:30:00-05:00"), true},
		{"2013-01-15T04:30Z", date("2013-01-14T23:30:00-05:00"), true},
		{"2013-01-14T23:30-05:00", date("2013-01-15T04:30:00Z"), true},
		{"2013-01-14T10:00+02:00", date("2013-01-14T08:00:30Z"), true}, // an unescaped '+'

		// Periods, open at either end, and Timings by their outer limits.
		{"2013", from21Jan, false},
		{"gt2090", from21Jan, true},
		{"lt1900", from21Jan, false},
		{"lt1900", to21Jan, true},
		{"gt2013-01-21", to21Jan, false},
		{"2013-02", `{"resourceType":"Observation","effectiveTiming":{"event":["2013-02-03","2013-02-20"]}}`, true},
		{"2013-02-03", `{"resourceType":"Observation","effectiveTiming":{"event":["2013-02-03","2013-02-20"]}}`, false},
		{"sa2013-01", `{"resourceType":"Observation","effectiveTiming":{"repeat":{"boundsPeriod":{"start":"2013-02-03"}}}}`, true},

		// The ends of months and years.
		{"2012-02", date("2012-02-29"), true},
		{"2012-02", date("2012-03-01"), false},
		{"2012-12", date("2012-12-31T23:59:59.999999Z"), true},
		{"9999", date("9999-12-31"), true},
		{"0001", date("0001-01-01"), true},
		{"2016-12-31T23:59", date("2016-12-31T23:59:60Z"), false}, // a leap second counts as the next minute
	}
	for _, test := range tests {
		if got := finds(t, test.doc, "date="+test.query); got != test.want {
			t.Errorf("date=%s on %s: %t, want %t", test.query, test.doc, got, test.want)
		}
	}
}

func TestLastUpdated(t *testing.T) {
	const doc = `{"resourceType":"Patient","id":"p"}` // stamped 2026-01-02T03:04:05.678Z
	for query, want := range map[string]bool{
		"2026-01-02T03:04:05.678Z":   true,
		"2026-01-02T03:04:05.67Z":    true,
		"2026-01-02T03:04:05.6789Z":  false, // what is not served is not compared
		"2026-01-02":                 true,
		"gt2026-01-02T03:04:05.677Z": true,
		"gt2026-01-02T03:04:05.678Z": false,
		"ge2026-01-02T03:04:05.678Z": true,
		"lt2026-01-02T03:04:05.678Z": false,
		"le2026-01-02T03:04:05.678Z": true,
	} {
		if got := finds(t, doc, "_lastUpdated="+query); got != want {
			t.Errorf("_lastUpdated=%s: %t, want %t", query, got, want)
		}
	}
}

func TestDateSyntax(t *testing.T) {
	good := []string{
		"2020", "2020-02", "2020-02-29", "2020-02-29T00:00", "2020-02-29T23:59:59", "2020-02-29T23:59Z",
		"2020-02-29T23:59:59.1Z", "2020-02-29T23:59:59.000000000000000000001+14:00", "2020-02-29T23:59:60Z",
	}
	bad := []string{
		"", "20", "202", "20200", "0000", "2020-", "2020-0", "2020-00", "2020-13", "2020-02-30", "2021-02-29", "1900-02-29", "2020-2-2",
		"2020-02-29T", "2020-02-29T10", "2020-02-29T24:00", "2020-02-29T10:60", "2020-02-29T10:00:61", "2020-02-29T10:00:00.", "2020-02-29T10:00:00.Z",
		"2020-02-29T10:00:00z", "2020-02-29t10:00:00Z", "2020-02-29T10:00:00+2", "2020-02-29T10:00:00+02", "2020-02-29T10:00:00+02:0", "2020-02-29T10:00:00+15:00",
		"2020-02-29T10:00:00+02:60", "2020-02-29T10:00:00+02:00x", "2020-02-29Z", "20200229", "-2020", "２０２０",
	}
	for _, text := range good {
		if _, ok := parseDate(text); !ok {
			t.Errorf("%q is refused", text)
		}
		if _, err := testRegistry(t).Parse([]string{"Observation"}, "date="+escape(text), ParseOptions{}); err != nil {
			t.Errorf("date=%s: %v", text, err)
		}
	}
	for _, text := range bad {
		if _, ok := parseDate(text); ok {
			t.Errorf("%q is taken for a date", text)
		}
		_, err := testRegistry(t).Parse([]string{"Observation"}, "date="+escape(text), ParseOptions{})
		if fhir.KindOf(err) != fhir.Invalid {
			t.Errorf("date=%s: %v", text, err)
		}
	}
	// What cannot be read has no entries but its presence.
	for _, doc := range []string{
		`{"resourceType":"Observation","effectiveDateTime":"soon"}`,
		`{"resourceType":"Observation","effectivePeriod":{"start":"2020","end":"2019"}}`,
		`{"resourceType":"Observation","effectivePeriod":{}}`,
		`{"resourceType":"Observation","effectiveTiming":{"code":{"coding":[{"code":"QD"}]}}}`,
	} {
		entries, _, err := testRegistry(t).Index([]byte(doc))
		if err != nil || len(entries) != 1 || entries[0].String() != "date: present" {
			t.Errorf("%s: %v %v", doc, entries, err)
		}
	}
}

// TestDateSearchesAgreeWithTable compares what ranges of entries select with
// what the table of prefixes says about the two intervals as plain numbers.
//
// https://hl7.org/fhir/R4/search.html#prefix
func TestDateSearchesAgreeWithTable(t *testing.T) {
	// Within one week every way to write a date meets every other.
	date := rapid.OneOf(
		rapid.SampledFrom([]string{"2019", "2020", "2020-02", "2020-03", "2020-02-28", "2020-02-29", "2020-03-01"}),
		rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("2020-02-2%dT%02d:%02d", rapid.IntRange(8, 9).Draw(t, "day"), rapid.SampledFrom([]int{0, 12, 23}).Draw(t, "hour"), rapid.SampledFrom([]int{0, 59}).Draw(t, "minute")) +
				rapid.SampledFrom([]string{"", ":00", ":59", ":59.9", ":59.95", ":59.99"}).Draw(t, "second") + "Z"
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		searched, start, end := date.Draw(t, "searched"), date.Draw(t, "start"), date.Draw(t, "end")
		p := rapid.SampledFrom([]prefix{equal, notEqual, greater, less, greaterOrEqual, lessOrEqual, startsAfter, endsBefore, approximately}).Draw(t, "prefix")
		param, _ := parseDate(searched)
		target, _ := parseDate(start)
		if rapid.Bool().Draw(t, "period") {
			last, _ := parseDate(end)
			if last.high.before(target.low) {
				t.Skip("a period cannot end before it starts")
			}
			target.high = last.high
		}
		if rapid.IntRange(0, 3).Draw(t, "open") == 0 {
			target.high = endOfTime
		}
		x := &extraction{}
		x.dates(&Param{Name: "date"}, target)
		got := Match("Observation", x.entries, Clause{Param: "date", Ranges: dateClasses.ranges(comparison{p, param.interval()})})
		want := byTable(p, nanos(param.low), nanos(param.high), nanos(target.low), nanos(target.high))
		if got != want {
			t.Fatalf("%s%s on [%s, %s]: %t, want %t", p, searched, start, end, got, want)
		}
		if holds := (comparison{p, param.interval()}).holds(target.interval()); holds != want {
			t.Fatalf("holds: %s%s on [%s, %s]: %t, want %t", p, searched, start, end, holds, want)
		}
	})
}

// nanos places an instant on a line: nines without end are one step before the
// next unit of what is written.
func nanos(at instant) int64 {
	switch {
	case at.infinite > 0:
		return 1 << 62
	case at.infinite < 0:
		return -1 << 62
	}
	fraction, unit := int64(0), int64(1_000_000)
	for _, digit := range at.fraction {
		unit /= 10
		fraction += int64(digit-'0') * unit
	}
	n := at.second*1_000_000 + fraction
	if at.last {
		n += unit - 1
	}
	return n
}

// byTable is the third column of https://hl7.org/fhir/R4/search.html#prefix on
// closed intervals of numbers.
func byTable(p prefix, paramLow, paramHigh, low, high int64) bool {
	contains := paramLow <= low && high <= paramHigh
	switch p {
	case equal:
		return contains
	case notEqual:
		return !contains
	case greater:
		return high > paramHigh
	case less:
		return low < paramLow
	case greaterOrEqual:
		return high > paramHigh || contains
	case lessOrEqual:
		return low < paramLow || contains
	case startsAfter:
		return low > paramHigh
	case endsBefore:
		return high < paramLow
	}
	return low <= paramHigh && high >= paramLow
}
