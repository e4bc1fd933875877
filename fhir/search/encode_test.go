package search

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// numberLiterals are JSON numbers of every shape, many of them near others.
var numberLiterals = rapid.OneOf(
	rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?`),
	rapid.StringMatching(`-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,3})?[eE][+-]?[0-9]{1,3}`),
	rapid.StringMatching(`-?[1-9][0-9]{20,60}(\.[0-9]{0,20}[0-9])?`),
	rapid.SampledFrom([]string{
		"0", "-0", "0.0", "1", "-1", "1.0", "10", "0.1", "9.99", "9.999", "10.0", "99", "100", "101",
		"-9.99", "-10", "1e61", "1e60", "1e-60", "1e-61", "1e-62", "-1e61", "12e100", "1.2e101",
	}),
)

func rat(t *rapid.T, literal string) *big.Rat {
	r, ok := new(big.Rat).SetString(literal)
	if !ok {
		t.Fatalf("big.Rat does not read %q", literal)
	}
	return r
}

func mustDecimal(t *rapid.T, text string) literal {
	l, ok := parseDecimal(text)
	if !ok {
		t.Fatalf("parseDecimal does not read %q", text)
	}
	return l
}

func TestNumbersSortByValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := numberLiterals.Draw(t, "a"), numberLiterals.Draw(t, "b")
		sideA, sideB := rapid.IntRange(-1, 1).Draw(t, "sideA"), rapid.IntRange(-1, 1).Draw(t, "sideB")
		ea := appendDecimal(nil, mustDecimal(t, a).decimal, sideA)
		eb := appendDecimal(nil, mustDecimal(t, b).decimal, sideB)
		want := rat(t, a).Cmp(rat(t, b))
		if want == 0 {
			want = sign(sideA - sideB)
		}
		if got := bytes.Compare(ea, eb); got != want {
			t.Fatalf("%s%+d %x and %s%+d %x compare as %d, want %d", a, sideA, ea, b, sideB, eb, got, want)
		}
		for _, e := range [][]byte{ea, eb} {
			if n := numberEnd(append(bytes.Clone(e), 0x00, 0xFF, 0x40)); n != len(e) {
				t.Fatalf("%x ends at %d, want %d", e, n, len(e))
			}
			if bytes.Compare(e, []byte{numberMin}) <= 0 || bytes.Compare(e, []byte{numberMax}) >= 0 {
				t.Fatalf("%x is not between the infinities", e)
			}
		}
	})
}

func sign(n int) int { return big.NewInt(int64(n)).Sign() }

func TestNumbersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := numberLiterals.Draw(t, "number")
		back := numberText(appendDecimal(nil, mustDecimal(t, text).decimal, onPoint))
		if rat(t, back).Cmp(rat(t, text)) != 0 {
			t.Fatalf("%s comes back as %s", text, back)
		}
	})
}

// TestLongNumbers has more digits than count: such a number is an interval that
// holds it, so that nothing is lost.
func TestLongNumbers(t *testing.T) {
	long := "1." + strings.Repeat("3", 200)
	for _, text := range []string{long, "-" + long} {
		l, ok := parseDecimal(text)
		if !ok {
			t.Fatal(text)
		}
		i := l.decimal.span().interval()
		if i.point() || bytes.Compare(i.low, i.high) >= 0 {
			t.Errorf("%s… is %x to %x", text[:5], i.low, i.high)
		}
		if len(i.low) > 67 || len(i.high) > 67 {
			t.Errorf("%s… takes %d and %d bytes", text[:5], len(i.low), len(i.high))
		}
		for _, near := range []string{"1.33", "1.34"} {
			if text[0] == '-' {
				near = "-" + near
			}
			n, _ := parseDecimal(near)
			point := n.decimal.span().interval()
			if bytes.Compare(i.low, point.low) > 0 == (bytes.Compare(i.high, point.low) < 0) {
				t.Errorf("%s… and %s overlap", text[:5], near)
			}
		}
	}
}

func TestDecimalSyntax(t *testing.T) {
	for _, text := range []string{"", "-", "+1", ".5", "1.", "1e", "1e+", "e5", "1 ", "0x1", "1e9999999999", "NaN", "1,5"} {
		if _, ok := parseDecimal(text); ok {
			t.Errorf("%q is taken for a number", text)
		}
	}
}

// TestInstantsSortByTime compares instants of different precision and zone.
func TestInstantsSortByTime(t *testing.T) {
	moment := rapid.Custom(func(t *rapid.T) string {
		text := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", rapid.IntRange(1, 9999).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month"),
			rapid.IntRange(1, 28).Draw(t, "day"), rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(0, 59).Draw(t, "second"))
		if rapid.Bool().Draw(t, "near") {
			text = "2026-02-28T23:59:59"
		}
		return text + rapid.StringMatching(`(\.[0-9]{1,15})?`).Draw(t, "fraction") + rapid.SampledFrom([]string{"Z", "", "+00:00", "-05:30", "+14:00"}).Draw(t, "zone")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := moment.Draw(t, "a"), moment.Draw(t, "b")
		spanA, okA := parseDate(a)
		spanB, okB := parseDate(b)
		if !okA || !okB {
			t.Fatalf("%q: %t, %q: %t", a, okA, b, okB)
		}
		got := bytes.Compare(appendInstant(nil, spanA.low), appendInstant(nil, spanB.low))
		if want := seconds(t, spanA.low).Cmp(seconds(t, spanB.low)); got != want {
			t.Fatalf("%s and %s compare as %d, want %d", a, b, got, want)
		}
		for _, span := range []dateSpan{spanA, spanB} {
			low, high := appendInstant(nil, span.low), appendInstant(nil, span.high)
			if bytes.Compare(low, high) >= 0 {
				t.Fatalf("%x is not before %x", low, high)
			}
			if instantEnd(append(bytes.Clone(low), high...)) != len(low) || instantEnd(append(bytes.Clone(high), 0, 1)) != len(high) {
				t.Fatalf("%x or %x ends elsewhere", low, high)
			}
		}
	})
}

// seconds is an instant as an exact number.
func seconds(t *rapid.T, at instant) *big.Rat {
	return rat(t, fmt.Sprintf("%d.%s0", at.second, at.fraction))
}

func TestTextsSortAndStayApart(t *testing.T) {
	text := rapid.OneOf(rapid.StringOfN(rapid.RuneFrom([]rune{0, 1, 2, 'a', 'b', 'é', 0xFFFD}), 0, 6, -1), rapid.StringMatching(`a{30,50}[ab]{0,3}`))
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		const most = 40
		ea, eb := appendText(nil, a, most), appendText(nil, b, most)
		if (a == b) != bytes.Equal(ea, eb) {
			t.Fatalf("%q is %x, %q is %x", a, ea, b, eb)
		}
		if len(a) < most/2 && len(b) < most/2 && bytes.Compare(ea, eb) != strings.Compare(a, b) {
			t.Fatalf("%q %x and %q %x sort differently", a, ea, b, eb)
		}
		if len(ea) > most+1 {
			t.Fatalf("%q takes %d bytes", a, len(ea))
		}
		got, rest := cutText(append(bytes.Clone(ea), 'x'))
		if string(rest) != "x" || !bytes.Equal(got, ea[:len(ea)-1]) {
			t.Fatalf("%x is cut to %x and %q", ea, got, rest)
		}
		if len(a) < most/2 && plainText(got) != a {
			t.Fatalf("%q comes back as %q", a, plainText(got))
		}
	})
}

// TestEntriesStayWithinCap gives every kind of element long texts and numbers.
func TestEntriesStayWithinCap(t *testing.T) {
	r := testRegistry(t)
	long := rapid.Custom(func(t *rapid.T) string {
		unit := rapid.SampledFrom([]string{"a", "\x00", "\x01", "é", "/", "0", " b"}).Draw(t, "unit")
		return strings.Repeat(unit, rapid.SampledFrom([]int{1, 40, 80, 109, 110, 111, 160, 219, 240, 241, 480, 481, 5000}).Draw(t, "times"))
	})
	rapid.Check(t, func(t *rapid.T) {
		system, code, value := quoted(long.Draw(t, "system")), quoted(long.Draw(t, "code")), quoted(long.Draw(t, "value"))
		digits := strings.Repeat("7", rapid.SampledFrom([]int{1, 119, 120, 121, 3000}).Draw(t, "digits")) + rapid.SampledFrom([]string{"", "e999999999", "e-99999999"}).Draw(t, "exponent")
		coding := fmt.Sprintf(`{"coding":[{"system":%s,"code":%s,"display":%s}],"text":%s}`, system, code, value, value)
		quantity := fmt.Sprintf(`{"value":-%s,"unit":%s,"system":%s,"code":%s,"comparator":"<"}`, digits, value, system, code)
		docs := []string{
			fmt.Sprintf(`{"resourceType":"Observation","code":%s,"valueQuantity":%s,"subject":{"reference":%s,"identifier":{"system":%s,"value":%s}}}`, coding, quantity, value, system, code),
			fmt.Sprintf(`{"resourceType":"Observation","code":%s,"valueString":%s}`, coding, value),
			fmt.Sprintf(`{"resourceType":"Observation","code":%s,"valueCodeableConcept":%s}`, coding, coding),
			fmt.Sprintf(`{"resourceType":"Observation","code":%s,"valueDateTime":"2020-01-01T00:00:00.%sZ"}`, coding, strings.Repeat("3", 500)),
			fmt.Sprintf(`{"resourceType":"MolecularSequence","referenceSeq":{"chromosome":%s},"variant":[{"start":%s,"end":-%s}]}`, coding, digits, digits),
			fmt.Sprintf(`{"resourceType":"Patient","name":[{"family":%s}],"identifier":[{"type":%s,"system":%s,"value":%s}]}`, value, coding, system, value),
			fmt.Sprintf(`{"resourceType":"Library","url":%s,"relatedArtifact":[{"type":"depends-on","resource":%s}]}`, value, quoted("http://x/"+strings.Repeat("y", 600)+"|"+strings.Repeat("z", 600))),
		}
		for _, doc := range docs {
			entries, _, err := r.Index([]byte(doc))
			if err != nil {
				t.Fatalf("%v in %s", err, doc)
			}
			for _, e := range entries {
				if len(e.Value) > maxEntryBytes {
					t.Fatalf("%d bytes: %s", len(e.Value), e)
				}
			}
		}
	})
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestClassNames checks that every class can be described.
func TestClassNames(t *testing.T) {
	for name, doc := range ownResources(t) {
		entries, _, err := testRegistry(t).Index(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if s := e.String(); strings.Contains(s, "unknown") && !strings.Contains(s, `"unknown"`) || strings.Contains(s, "?") {
				t.Errorf("%s: %s", name, s)
			}
		}
	}
}
