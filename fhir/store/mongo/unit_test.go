package mongo

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// TestIndexesHoldOneArrayEach is a rule of MongoDB's that the test engine does
// not have: with two arrays in one index a document that has both is refused.
func TestIndexesHoldOneArrayEach(t *testing.T) {
	names := map[string]bool{}
	for _, x := range indexes {
		if names[x.collection+x.name] {
			t.Errorf("two indexes are named %s", x.name)
		}
		names[x.collection+x.name] = true
		if n := x.arrays(); n > 1 {
			t.Errorf("%s has %d arrays: %v", x.name, n, x.fields)
		}
	}
	if (index{fields: []string{"ix", "patients"}}).arrays() != 2 {
		t.Error("an index of two arrays is not recognised")
	}
	// Every list among the fields of a document must be known as such.
	for _, doc := range []any{resourceDoc{IX: []string{"a"}, Patients: []string{"a"}}, versionDoc{IX: []string{"a"}, Patients: []string{"a"}}} {
		raw, err := bson.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		fields, err := bson.Raw(raw).Elements()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range fields {
			if e.Value().Type == bson.TypeArray && !slices.Contains(arrays, e.Key()) {
				t.Errorf("%s is an array", e.Key())
			}
		}
	}
}

func TestElementsKeepTheOrderOfValues(t *testing.T) {
	value := rapid.SliceOfN(rapid.Byte(), 0, 8)
	rapid.Check(t, func(t *rapid.T) {
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		x, y := element("T", "p", a), element("T", "p", b)
		if bytes.Compare(a, b) != strings.Compare(x, y) {
			t.Fatalf("%q and %q are ordered otherwise than %q and %q", a, b, x, y)
		}
		if x < element("T", "p", nil) || x >= behind("T", "p") || x <= existence("T") {
			t.Fatalf("%q is not among its parameter's", x)
		}
		typ, e, err := parseElement(x)
		if err != nil || typ != "T" || e.Param != "p" || !bytes.Equal(e.Value, a) {
			t.Fatalf("%q reads as %s %v, %v", x, typ, e, err)
		}
	})
}

// FuzzParseElement feeds what somebody may have written into ix by hand.
func FuzzParseElement(f *testing.F) {
	f.Add("Observation\x00code\x00a")
	f.Add("Observation\x00")
	f.Add("\x00\x00\u0100")
	f.Fuzz(func(t *testing.T, s string) {
		typ, e, err := parseElement(s)
		if err == nil && e.Param != "" && element(typ, e.Param, e.Value) != s {
			t.Errorf("%q reads as %s %v", s, typ, e)
		}
	})
}

func TestNativeNumbersAreExactOrStrings(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"0", `{"$numberLong":"0"}`},
		{"-7", `{"$numberLong":"-7"}`},
		{"9223372036854775807", `{"$numberLong":"9223372036854775807"}`},
		{"9223372036854775808", `{"$numberDecimal":"9223372036854775808"}`},
		{"1.50", `{"$numberDecimal":"1.50"}`},
		{"0.00", `{"$numberDecimal":"0.00"}`},
		{"-0", `{"$numberDecimal":"-0"}`},
		{"-0.0", `{"$numberDecimal":"-0.0"}`},
		{"1e3", `{"$numberDecimal":"1E+3"}`},
		{"1.0E-10", `{"$numberDecimal":"1.0E-10"}`},
		{"1234567890123456789012345678901234", `{"$numberDecimal":"1234567890123456789012345678901234"}`},
		{"12345678901234567890123456789012345", `"12345678901234567890123456789012345"`},
		{"0.12345678901234567890123456789012345", `"0.12345678901234567890123456789012345"`},
		{"1e7000", `"1e7000"`},
		{"1e-7000", `"1e-7000"`},
		{"0e99999999999999999999", `"0e99999999999999999999"`},
	} {
		doc, err := native([]byte(`{"n":` + test.text + `}`))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		got, err := bson.MarshalExtJSON(doc, true, false)
		if err != nil || string(got) != `{"n":`+test.want+`}` {
			t.Errorf("%s is kept as %s, %v", test.text, got, err)
		}
	}
}

func TestNativeGuardsNames(t *testing.T) {
	doc, err := native([]byte(`{"$where":1,"a.b":{"$c":2}}`))
	if err != nil || doc[0].Key != "\uFF04where" || doc[1].Key != "a\uFF0Eb" {
		t.Errorf("%v, %v", doc, err)
	}
	deep := func(n int) []byte {
		return []byte(`{"a":` + strings.Repeat(`[`, n) + strings.Repeat(`]`, n) + `}`)
	}
	if _, err := native(deep(64)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
	for name, text := range map[string][]byte{
		"NUL in a name": []byte(`{"a\u0000b":1}`), "not an object": []byte(`[1]`), "two values": []byte(`{} {}`), "cut off": []byte(`{"a":`),
		"too deep": deep(500), "nothing": nil,
	} {
		if _, err := native(text); err == nil {
			t.Errorf("%s is a native document", name)
		}
	}
}

// FuzzNative checks that every JSON object that becomes a document can be
// encoded, and that no JSON makes it panic.
func FuzzNative(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Observation","valueQuantity":{"value":1.50e-3},"x":[null,true,"\u0000"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := native(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Errorf("%q is no JSON", text)
		}
		raw, err := bson.Marshal(doc)
		if err != nil || bson.Raw(raw).Validate() != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func TestCursorsAreOfOneLengthAndOpenAsTheyWereSealed(t *testing.T) {
	s := &Store{secret: []byte("a secret of the tests, 32 bytes.")}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64Range(-1, 1<<60)
		key := rapid.StringMatching(`[A-Z][A-Za-z]{0,63}/[A-Za-z0-9.-]{1,64}`)
		p := place{
			t: number.Draw(t, "t"), moment: number.Draw(t, "moment"), total: number.Draw(t, "total"), version: number.Draw(t, "version"),
			key: key.Draw(t, "key"), nextKey: rapid.OneOf(rapid.Just(""), key).Draw(t, "next key"), nextVersion: number.Draw(t, "next version"),
		}
		text, err := s.seal("mine", p)
		if err != nil || len(text) != s.cursors().Len() {
			t.Fatalf("%q, %v", text, err)
		}
		if got, err := s.open(text, "mine"); err != nil || got != p {
			t.Fatalf("%+v opens as %+v, %v", p, got, err)
		}
		if _, err := s.open(text, "other"); fhir.KindOf(err) != fhir.Invalid || err == nil {
			t.Fatalf("another query's: %v", err)
		}
	})
}

func TestThePlannerKnowsRareFromCommon(t *testing.T) {
	known := &typeSample{resources: 100, elements: map[string][]string{}}
	add := func(param, value string, n int) {
		for range n {
			known.elements[param] = append(known.elements[param], element("T", param, []byte(value)))
		}
		slices.Sort(known.elements[param])
	}
	add("status", "final", 95)
	add("status", "draft", 5)
	add("code", "a", 10)
	s := &sample{counts: map[string]int64{"T": 10_000}, types: map[string]*typeSample{"T": known}}
	clause := func(param, value string) search.Clause { return is(param, value) }
	not := clause("code", "a")
	not.Not = true
	for _, test := range []struct {
		name  string
		where []search.Clause
		want  string
	}{
		{"nothing", nil, "T: all(10000)"},
		{"the rare one drives", []search.Clause{clause("status", "final"), clause("code", "a")}, "T: code=drive(1000) status=test(9500)"},
		{"what no sample has is rarer", []search.Clause{clause("code", "a"), clause("code", "z")}, "T: code=drive(50) code=test(1000)"},
		{"a not cannot drive", []search.Clause{not, clause("status", "final")}, "T: status=drive(9500) not code=test(9000)"},
		{"a not alone", []search.Clause{not}, "T: all(10000) not code=test(9000)"},
	} {
		if got := search.PlanType("T", test.where, s).String(); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
