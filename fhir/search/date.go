package search

import (
	"strconv"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Date parameters: https://hl7.org/fhir/R4/search.html#date. Everything is an
// interval of time. What has no zone is UTC. The digits after the seconds all
// count, whatever their number.

var dateClasses = ordered{low: classDateLow, high: classDateHigh, end: instantEnd}

var (
	startOfTime = instant{infinite: -1}
	endOfTime   = instant{infinite: +1}
)

// dateSpan is an interval of time before it is encoded.
type dateSpan struct {
	low, high instant
	zoned     bool // the text named a zone or an offset
}

const (
	secondsPerDay = 24 * 60 * 60
	// yearZero is 0000-01-01T00:00:00Z in Unix seconds.
	yearZero = -62_167_219_200
)

func instantOf(unix int64, fraction string, last bool) instant {
	return instant{second: unix - yearZero + secondsPerDay, fraction: fraction, last: last}
}

// parseDate reads a date, dateTime or instant of any precision.
//
// https://hl7.org/fhir/R4/datatypes.html#dateTime
func parseDate(s string) (dateSpan, bool) {
	year, ok := twoOrFour(s, 4)
	if !ok || year == 0 {
		return dateSpan{}, false
	}
	if s = s[4:]; s == "" {
		return days(daysSince(year, 1, 1), daysSince(year+1, 1, 1)), true
	}
	month, ok := after(s, '-')
	if !ok || month < 1 || month > 12 {
		return dateSpan{}, false
	}
	if s = s[3:]; s == "" {
		first := daysSince(year, month, 1)
		return days(first, first+int64(daysIn(year, month))), true
	}
	day, ok := after(s, '-')
	if !ok || day < 1 || day > daysIn(year, month) {
		return dateSpan{}, false
	}
	at := daysSince(year, month, day)
	if s = s[3:]; s == "" {
		return days(at, at+1), true
	}
	return parseTime(s, at*secondsPerDay)
}

// parseTime reads "Thh:mm[:ss[.f…]][zone]" of the day that starts at midnight.
func parseTime(s string, midnight int64) (dateSpan, bool) {
	hour, ok := after(s, 'T')
	if !ok || hour > 23 {
		return dateSpan{}, false
	}
	minute, ok := after(s[3:], ':')
	if !ok || minute > 59 {
		return dateSpan{}, false
	}
	at, width, fraction := midnight+int64(hour*3600+minute*60), int64(60), ""
	s = s[6:]
	if len(s) > 0 && s[0] == ':' {
		second, ok := after(s, ':')
		if !ok || second > 60 { // 60 is a leap second; it counts as the next minute's first
			return dateSpan{}, false
		}
		at, width, s = at+int64(second), 1, s[3:]
		if len(s) > 0 && s[0] == '.' {
			n := 1
			for n < len(s) && s[n] >= '0' && s[n] <= '9' {
				n++
			}
			if n == 1 {
				return dateSpan{}, false
			}
			fraction, s = s[1:n], s[n:]
		}
	}
	offset, ok := parseZone(s)
	if !ok {
		return dateSpan{}, false
	}
	at -= offset
	return dateSpan{
		low:   instantOf(at, fraction, false),
		high:  instantOf(at+width-1, fraction, true),
		zoned: s != "",
	}, true
}

// parseZone returns the seconds east of UTC that "", "Z", "+hh:mm" or "-hh:mm"
// says.
func parseZone(s string) (int64, bool) {
	if s == "" || s == "Z" {
		return 0, true
	}
	sign := int64(1)
	switch s[0] {
	case '+', ' ': // a '+' that was not escaped in a URL arrives as a space
	case '-':
		sign = -1
	default:
		return 0, false
	}
	hour, ok := twoOrFour(s[1:], 2)
	if !ok || len(s) != 6 {
		return 0, false
	}
	minute, ok := after(s[3:], ':')
	if !ok || hour > 14 || minute > 59 {
		return 0, false
	}
	return sign * int64(hour*3600+minute*60), true
}

// twoOrFour reads the number made of the first n digits of s.
func twoOrFour(s string, n int) (int, bool) {
	if len(s) < n {
		return 0, false
	}
	value := 0
	for i := range n {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		value = value*10 + int(s[i]-'0')
	}
	return value, true
}

// after reads two digits behind a separator.
func after(s string, separator byte) (int, bool) {
	if len(s) < 3 || s[0] != separator {
		return 0, false
	}
	return twoOrFour(s[1:], 2)
}

func days(first, end int64) dateSpan {
	return dateSpan{
		low:  instantOf(first*secondsPerDay, "", false),
		high: instantOf(end*secondsPerDay-1, "", true),
	}
}

// daysSince returns the days from 1970-01-01 to a date.
func daysSince(year, month, day int) int64 {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// before reports whether a comes before b.
func (a instant) before(b instant) bool {
	return string(appendInstant(nil, a)) < string(appendInstant(nil, b))
}

// dateSpanOf returns the interval of an element. ok is false if it says
// nothing about time or cannot be read.
func dateSpanOf(n *resource.Node, typ string) (dateSpan, bool) {
	switch typ {
	case "date", "dateTime":
		if n.Kind != resource.String {
			return dateSpan{}, false
		}
		return parseDate(n.Text)
	case "instant":
		if n.Kind != resource.String {
			return dateSpan{}, false
		}
		span, ok := parseDate(n.Text)
		if ok && len(span.low.fraction) <= maxFraction {
			// "a fixed point in time with an interval smaller than the
			// precision of the system"
			span.high = span.low
		}
		return span, ok
	case "Period":
		return periodSpan(n)
	case "Timing":
		return timingSpan(n)
	}
	return dateSpan{}, false
}

// periodSpan returns a Period's interval: a missing end is open.
func periodSpan(n *resource.Node) (dateSpan, bool) {
	span := dateSpan{low: startOfTime, high: endOfTime}
	start, hasStart := parseDate(n.Str("start"))
	if hasStart {
		span.low = start.low
	}
	end, hasEnd := parseDate(n.Str("end"))
	if hasEnd {
		span.high = end.high
	}
	if hasStart && hasEnd && span.high.before(span.low) {
		return dateSpan{}, false // ends before it starts
	}
	return span, hasStart || hasEnd
}

// timingSpan returns the outer limits of a Timing: of its events and the
// period that bounds its repeats. Scheduling details do not count.
func timingSpan(n *resource.Node) (dateSpan, bool) {
	var span dateSpan
	found := false
	widen := func(s dateSpan, ok bool) {
		switch {
		case !ok:
		case !found:
			span, found = s, true
		default:
			if s.low.before(span.low) {
				span.low = s.low
			}
			if span.high.before(s.high) {
				span.high = s.high
			}
		}
	}
	for _, event := range n.List("event") {
		widen(parseDate(event.Text))
	}
	if bounds := n.Path("repeat", "boundsPeriod"); bounds != nil {
		widen(periodSpan(bounds))
	}
	return span, found
}

func (s dateSpan) interval() interval {
	return interval{appendInstant(nil, s.low), appendInstant(nil, s.high)}
}

// indexDate adds the entries of a date parameter.
func indexDate(x *extraction, p *Param, typ string, n *resource.Node) {
	if span, ok := dateSpanOf(n, typ); ok {
		x.dates(p, span)
	}
}

func (x *extraction) dates(p *Param, span dateSpan) {
	v := appendInstant(x.value(classDateLow), span.low)
	x.add(p, appendInstant(v, span.high))
	v = appendInstant(x.value(classDateHigh), span.high)
	x.add(p, appendInstant(v, span.low))
}

// LastUpdated returns the entries of _lastUpdated, which a store adds when it
// stamps a version. Extract does not make them.
func LastUpdated(t time.Time) []Entry {
	at := instantOf(t.Unix(), paddedMillis(t), false)
	low, high := []byte{classDateLow}, []byte{classDateHigh}
	low = appendInstant(appendInstant(low, at), at)
	high = appendInstant(appendInstant(high, at), at)
	return []Entry{{"_lastUpdated", low}, {"_lastUpdated", high}}
}

// paddedMillis returns the three digits that lastUpdated is served with.
func paddedMillis(t time.Time) string {
	return strconv.Itoa(1000 + t.Nanosecond()/1_000_000)[1:]
}

// dateComparison reads the value of a date search.
func dateComparison(text string, now time.Time) (comparison, error) {
	p, rest := cutPrefix(text)
	span, ok := parseDate(rest)
	if !ok {
		return comparison{}, fhir.Errorf(fhir.Invalid,
			"%q is not a date: write YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss[.fff]] with Z or an offset, behind an optional eq, ne, gt, lt, ge, le, sa, eb or ap", fhir.Clip(text))
	}
	if p == approximately && !now.IsZero() {
		span = span.approximate(now)
	}
	return comparison{p, span.interval()}, nil
}

// approximate widens a span on both sides by 10 % of the gap between now and
// the date, https://hl7.org/fhir/R4/search.html#prefix. Now counts in whole
// days, so that the pages of one search agree.
func (s dateSpan) approximate(now time.Time) dateSpan {
	at := instantOf(now.Unix(), "", false).second
	at -= at % secondsPerDay
	gap := int64(0)
	switch {
	case at > s.high.second:
		gap = at - s.high.second
	case at < s.low.second:
		gap = s.low.second - at
	}
	s.low.second = max(0, s.low.second-gap/10)
	s.high.second += gap / 10
	return s
}
