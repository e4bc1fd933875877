package resource_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir/resource"
)

// primitiveTexts are texts at the border between valid and not, by type and as
// JSON. https://hl7.org/fhir/R4/datatypes.html#primitive
var primitiveTexts = []struct {
	typ       string
	good, bad []string
}{
	{
		"base64Binary",
		[]string{`"QUI="`, `"QUJD"`, `"QQ=="`, `"QUJD\nREVG"`, `" QUJD "`, `"+/+/"`},
		[]string{`""`, `"QUI"`, `"QUI=="`, `"Q==="`, `"QU=I"`, `"QU_-"`, `"    "`, `1`},
	},
	{"boolean", []string{`true`, `false`}, []string{`"true"`, `1`, `"false"`}},
	{"canonical", []string{`"http://example.org/x|1.0"`, `"http://loinc.org|2.67"`, `"http://snomed.info/sct|http://snomed.info/sct/900000000000207008/version/20230131"`, `"#local"`, `"urn:uuid:1"`}, []string{`""`, `"a b"`, `"http://[x"`, `"http://[x|1"`, `"|1"`, `"http://example.org/x|1 0"`}},
	{"code", []string{`"a"`, `"a b"`, `"1+1=2"`, `"é"`}, []string{`""`, `" a"`, `"a "`, `"a  b"`, `"a\tb"`, `"a\nb"`, `1`}},
	{
		"date",
		[]string{`"2026"`, `"0001"`, `"9999-12-31"`, `"2024-02-29"`, `"2000-02-29"`, `"2026-05"`},
		[]string{`"0000"`, `"26"`, `"2026-13"`, `"2026-00"`, `"2023-02-29"`, `"1900-02-29"`, `"2026-04-31"`, `"2026-1-1"`, `"2026-05-"`, `"2026-05-17T10:00:00Z"`, `"-2026"`, `"2026 "`, `2026`},
	},
	{
		"dateTime",
		[]string{`"2026"`, `"2026-05"`, `"2026-05-17"`, `"2026-05-17T13:28:17Z"`, `"2026-05-17T13:28:17.1-05:00"`, `"2026-05-17T23:59:60Z"`, `"2026-05-17T13:28:17.123456789012+14:00"`, `"2026-05-17T13:28:17-00:00"`},
		[]string{`"2026-05-17T13:28Z"`, `"2026-05-17T13:28:17"`, `"2026-05-17T24:00:00Z"`, `"2026-05-17T13:60:00Z"`, `"2026-05-17T13:28:61Z"`, `"2026-05T13:28:17Z"`, `"2026-05-17T13:28:17+14:01"`, `"2026-05-17T13:28:17+15:00"`, `"2026-05-17T13:28:17.Z"`, `"2026-05-17t13:28:17z"`, `"2026-05-17 13:28:17Z"`, `"2026-02-30T00:00:00Z"`, `"2026-05-17T13:28:17+0200"`, `"2026-05-17T13:28:17Zx"`},
	},
	{"decimal", []string{`1`, `-1.50`, `0`, `1e9`, `1E-9`, `-0.0`, `0.1e40`, `1e400`, `1` + strings.Repeat(`0`, 60), `0.00000000000000000000000000000000000000000000001`}, []string{`"1"`, `true`}},
	{"id", []string{`"a"`, `"A-1.b"`, `"` + strings.Repeat("x", 64) + `"`}, []string{`""`, `"a_b"`, `"a b"`, `"é"`, `"` + strings.Repeat("x", 65) + `"`}},
	{"instant", []string{`"2026-05-17T13:28:17Z"`, `"2026-05-17T13:28:17.239+02:00"`, `"2026-06-30T23:59:60Z"`}, []string{`"2026"`, `"2026-05-17"`, `"2026-05-17T13:28:17"`, `"2026-05-17T25:28:17Z"`}},
	{"integer", []string{`0`, `-1`, `2147483647`, `-2147483648`}, []string{`2147483648`, `-2147483649`, `1.0`, `1e2`, `-0`, `"1"`}},
	{"markdown", []string{`"# a\n* b"`, `" "`}, []string{`""`, `"\u0000"`, `"\u001f"`}},
	{"oid", []string{`"urn:oid:1.2.3"`, `"urn:oid:0.0"`, `"urn:oid:2.16.840.1.113883"`}, []string{`"1.2.3"`, `"urn:oid:3.1"`, `"urn:oid:1"`, `"urn:oid:1.02"`, `"urn:oid:1..2"`, `"urn:oid:1.2."`, `"URN:OID:1.2"`, `"urn:oid:10.2"`}},
	{"positiveInt", []string{`1`, `2147483647`}, []string{`0`, `-1`, `2147483648`, `1.5`, `1e1`, `"1"`}},
	{"string", []string{`"a"`, `" "`, `"\t\r\n"`, `"🧬"`, `"\u007f"`}, []string{`""`, `"\u0000"`, `"\u0008"`, `"\u000b"`, `"\u001f"`, `1`, `true`}},
	{"time", []string{`"00:00:00"`, `"23:59:59.999"`, `"23:59:60"`}, []string{`"24:00:00"`, `"1:00:00"`, `"10:00"`, `"10:00:00Z"`, `"10:00:00."`}},
	{"unsignedInt", []string{`0`, `2147483647`}, []string{`-1`, `2147483648`, `0.0`, `"0"`}},
	{"uri", []string{`"urn:oid:1.2.3"`, `"http://example.org/a?b=c#d"`, `"a/b"`, `"http://example.org/%C3%A9"`, `"mailto:a@example.org"`, `"http://example.org/é"`}, []string{`""`, `"a b"`, `"a\nb"`, `"http://example.org/%zz"`, `":x"`, `1`}},
	{"url", []string{`"https://example.org"`, `"Patient/1"`}, []string{`""`, `"https://example .org"`}},
	{"uuid", []string{`"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`}, []string{`"c757873d-ec9a-4326-a141-556f43239520"`, `"urn:uuid:C757873D-ec9a-4326-a141-556f43239520"`, `"urn:uuid:c757873dec9a4326a141556f43239520"`, `"urn:uuid:g757873d-ec9a-4326-a141-556f43239520"`, `"urn:uuid:c757873d-ec9a-4326-a141-556f432395200"`}},
}

// holding returns a resource with a value of a primitive type. The id makes the
// structure of each a new one, so that jsonformat reads all of them.
func holding(typ, value string) string {
	return `{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"http://example.org/x","value` +
		strings.ToUpper(typ[:1]) + typ[1:] + `":` + value + `}]}`
}

func TestPrimitives(t *testing.T) {
	for _, test := range primitiveTexts {
		for _, text := range test.good {
			if err := newGate(t).Check(decode(t, holding(test.typ, text))); err != nil {
				t.Errorf("%s %s is valid, but %s", test.typ, text, outcome(t, err))
			}
		}
		for _, text := range test.bad {
			if err := newGate(t).Check(decode(t, holding(test.typ, text))); err == nil {
				t.Errorf("%s %s is not valid, but accepted", test.typ, text)
			}
		}
	}
}

// TestTheWalkIsStricterThanJSONFormat looks for texts of primitives that the
// walk accepts and jsonformat refuses. There must be none: the gate lets
// jsonformat read only the first resource of each structure.
func TestTheWalkIsStricterThanJSONFormat(t *testing.T) {
	reader := newReader(t)
	check := func(t interface{ Errorf(string, ...any) }, typ, value string) {
		n, err := resource.Decode([]byte(holding(typ, value)))
		if err != nil || len(resource.Walk(n)) > 0 {
			return
		}
		if problems := reader.Read(n); len(problems) > 0 {
			t.Errorf("the walk accepts %s %s, jsonformat does not: %v", typ, value, problems)
		}
	}
	for _, test := range primitiveTexts {
		for _, value := range test.good {
			check(t, test.typ, value)
		}
	}
	alphabets := map[string]*rapid.Generator[string]{
		"date":         rapid.StringMatching(`[0-9]{4}(-[01][0-9](-[0-3][0-9])?)?`),
		"dateTime":     rapid.StringMatching(`[0-9]{4}(-[01][0-9](-[0-3][0-9](T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,12})?(Z|[+-][01][0-9]:[0-6][0-9]))?)?)?`),
		"instant":      rapid.StringMatching(`[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,12})?(Z|[+-][01][0-9]:[0-6][0-9])`),
		"time":         rapid.StringMatching(`[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,12})?`),
		"oid":          rapid.StringMatching(`urn:oid:[0-3](\.[0-9]{1,4}){1,5}`),
		"uuid":         rapid.StringMatching(`urn:uuid:[0-9a-fA-F]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`),
		"base64Binary": rapid.StringMatching(`[A-Za-z0-9+/ ]{0,12}={0,2}`),
		"uri":          rapid.StringMatching(`([a-z]{1,5}:)?[a-zA-Z0-9/:?#\[\]@!$&'()*+,;=%|^<>"{}\\~.é-]{0,20}`),
		"id":           rapid.StringMatching(`[A-Za-z0-9._-]{1,66}`),
		"code":         rapid.StringMatching(`[a-z\pZ\s]{1,6}`),
	}
	for _, typ := range []string{"string", "markdown", "canonical", "url"} {
		alphabets[typ] = rapid.String()
	}
	for typ, texts := range alphabets {
		t.Run(typ, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				text := resource.Text(texts.Draw(t, "text"))
				check(t, typ, string(text.JSON()))
			})
		})
	}
	numbers := rapid.StringMatching(`-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?`)
	for _, typ := range []string{"decimal", "integer", "positiveInt", "unsignedInt"} {
		t.Run(typ, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { check(t, typ, numbers.Draw(t, "number")) })
		})
	}
}
