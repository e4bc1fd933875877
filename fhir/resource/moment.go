package resource

import "time"

// Dates and times as R4 writes them. Its regular expressions allow days that no
// calendar has, its text does not; here a date must exist. A second of 60 is
// allowed for leap seconds, and a fraction may have any number of digits.
//
// https://hl7.org/fhir/R4/datatypes.html#dateTime

func validDate(s string) bool {
	rest, ok := cutDate(s)
	return ok && rest == ""
}

func validDateTime(s string) bool {
	rest, ok := cutDate(s)
	if !ok || rest == "" {
		return ok
	}
	return len(s)-len(rest) == len("2006-01-02") && validClockZone(rest)
}

func validInstant(s string) bool {
	rest, ok := cutDate(s)
	return ok && len(s)-len(rest) == len("2006-01-02") && validClockZone(rest)
}

func validTime(s string) bool {
	rest, ok := cutClock(s)
	return ok && rest == ""
}

// cutDate reads YYYY, YYYY-MM or YYYY-MM-DD from the start of s.
func cutDate(s string) (rest string, ok bool) {
	year, ok := number(s, 0, 4)
	if !ok || year == 0 {
		return s, false
	}
	if len(s) < 5 || s[4] != '-' {
		return s[4:], true
	}
	month, ok := number(s, 5, 2)
	if !ok || month < 1 || month > 12 {
		return s, false
	}
	if len(s) < 8 || s[7] != '-' {
		return s[7:], true
	}
	day, ok := number(s, 8, 2)
	if !ok || day < 1 || day > daysIn(year, month) {
		return s, false
	}
	return s[10:], true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// validClockZone reads T, a clock time and a zone, which is not optional.
func validClockZone(s string) bool {
	if s == "" || s[0] != 'T' {
		return false
	}
	zone, ok := cutClock(s[1:])
	if !ok {
		return false
	}
	if zone == "Z" {
		return true
	}
	if len(zone) != 6 || zone[0] != '+' && zone[0] != '-' || zone[3] != ':' {
		return false
	}
	hour, ok1 := number(zone, 1, 2)
	minute, ok2 := number(zone, 4, 2)
	return ok1 && ok2 && (hour <= 13 && minute <= 59 || hour == 14 && minute == 0)
}

// cutClock reads hh:mm:ss with an optional fraction from the start of s.
func cutClock(s string) (rest string, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return s, false
	}
	hour, ok1 := number(s, 0, 2)
	minute, ok2 := number(s, 3, 2)
	second, ok3 := number(s, 6, 2)
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 60 {
		return s, false
	}
	rest = s[8:]
	if rest == "" || rest[0] != '.' {
		return rest, true
	}
	end := 1
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	return rest[end:], end > 1
}

// number reads count digits of s from a position.
func number(s string, from, count int) (int, bool) {
	if len(s) < from+count {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s[from : from+count]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
