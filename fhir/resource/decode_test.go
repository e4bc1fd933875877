package resource_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

func TestDecodeKeepsWhatWasSent(t *testing.T) {
	tests := []struct {
		name, in, want string // want "" means: as in
	}{
		{"member order", `{"z":1,"a":2,"m":3}`, ""},
		{"trailing zeros", `[1.50,1.5,0.0,-0.0,1.00]`, ""},
		{"exponents", `[1e3,1E3,1e+3,1.0e-10]`, ""},
		{"fifty digits", `[0.12345678901234567890123456789012345678901234567890]`, ""},
		{"big integer", `[123456789012345678901234567890]`, ""},
		{"words", `[true,false,null]`, ""},
		{"empty values", `{"a":{},"b":[],"c":""}`, ""},
		{"empty member name", `{"":1}`, ""},
		{"white space", " {\t\"a\" :\r\n[ 1 , 2 ] } \n", `{"a":[1,2]}`},
		{"scalar", `"x"`, ""},
		{"escapes", `"\"\\\/\b\f\n\r\t\u0041\u00e9"`, `"\"\\/\u0008\u000c\n\r\tAé"`},
		{"surrogate pair", `"\ud83e\uddec"`, `"🧬"`},
		{"escaped member name", `{"\u0061":1}`, `{"a":1}`},
		{"delete and line separators", "\"\x7f\u2028\"", ""},
		{"replacement character", `"\ufffd"`, `"` + "\ufffd" + `"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := resource.Decode([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			if want == "" {
				want = test.in
			}
			if got := string(n.JSON()); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	var many strings.Builder
	many.WriteString(`{"m0":0`)
	for i := 1; i < 40; i++ {
		many.WriteString(`,"m` + strconv.Itoa(i) + `":0`)
	}
	tests := []struct {
		name, in   string
		message    string // a part of it
		expression string
	}{
		{"nothing", ``, "unexpected end", ""},
		{"only space", " \n", "line 2, column 1: unexpected end", ""},
		{"duplicate member", `{"a":1,"b":2,"a":3}`, `member "a" appears twice`, ""},
		{"duplicate member, escaped", `{"a":1,"\u0061":2}`, `member "a" appears twice`, ""},
		{"duplicate member, inside", `{"name":[{},{"use":"x","use":"y"}]}`, `member "use" appears twice`, "name[1]"},
		{"duplicate among many", many.String() + `,"m3":1}`, `member "m3" appears twice`, ""},
		{"too deep", deep, "nested deeper than 64 levels", strings.Repeat("[0]", 64)},
		{"too deep, objects", strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), "nested deeper", "a" + strings.Repeat(".a", 63)},
		{"ten thousand deep", strings.Repeat("[", 10_000), "nested deeper", strings.Repeat("[0]", 64)},
		{"text behind", `{} {}`, "column 4: text after the end", ""},
		{"comment", `{/*x*/}`, "expected a member name", ""},
		{"trailing comma", `{"a":1,}`, "expected a member name", ""},
		{"trailing comma in list", `{"a":[1,]}`, "a value cannot start with ']'", "a[1]"},
		{"no colon", `{"a" 1}`, "expected ':'", ""},
		{"no comma", `{"a":1 "b":2}`, "expected ',' or '}'", ""},
		{"no comma in list", `[1 2]`, "expected ',' or ']'", "[0]"},
		{"open object", `{"a":1`, "unexpected end inside an object", ""},
		{"open list", `[1`, "unexpected end inside an array", "[0]"},
		{"open string", `"abc`, "unexpected end inside a string", ""},
		{"open escape", `"abc\`, "unexpected end inside a string", ""},
		{"single quotes", `{'a':1}`, "expected a member name", ""},
		{"bare word", `{"a":nul}`, "not a JSON value", "a"},
		{"NaN", `{"a":NaN}`, "cannot start with 'N'", "a"},
		{"plus", `[+1]`, "cannot start with '+'", "[0]"},
		{"leading zero", `[01]`, "not a number", "[0]"},
		{"minus alone", `[-]`, "not a number", "[0]"},
		{"no digits after the point", `[1.]`, "digits after the point", "[0]"},
		{"no digits in the exponent", `[1e]`, "digits in its exponent", "[0]"},
		{"hexadecimal", `[0x10]`, "expected ',' or ']'", "[0]"},
		{"line feed in a string", "\"a\nb\"", "control characters", ""},
		{"control after an escape", "\"\\n\x01\"", "control characters", ""},
		{"NUL", "\"a\x00\"", "control characters", ""},
		{"invalid UTF-8", "\"a\xff\"", "not valid UTF-8", ""},
		{"overlong UTF-8", "\"\xc0\x80\"", "not valid UTF-8", ""},
		{"UTF-8 of a surrogate", "\"\xed\xa0\x80\"", "not valid UTF-8", ""},
		{"invalid UTF-8 after an escape", "\"\\n\xff\"", "not valid UTF-8", ""},
		{"invalid UTF-8 as a value", "\xff", "cannot start with", ""},
		{"byte order mark", "\ufeff{}", "cannot start with", ""},
		{"high surrogate alone", `"\ud83e"`, "half of a surrogate pair", ""},
		{"low surrogate alone", `"\uddec"`, "half of a surrogate pair", ""},
		{"two high surrogates", `"\ud83e\ud83e"`, "half of a surrogate pair", ""},
		{"surrogate and letter", `"\ud83ex"`, "half of a surrogate pair", ""},
		{"short unicode escape", `"\u12"`, "four hexadecimal digits", ""},
		{"signed unicode escape", `"\u+123"`, "four hexadecimal digits", ""},
		{"unknown escape", `"\x41"`, "unknown escape", ""},
		{"position", "{\n  \"a\": 1,\n  \"b\": tru\n}", "line 3, column 8", "b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := resource.Decode([]byte(test.in))
			var e *fhir.Error
			if !errors.As(err, &e) {
				t.Fatalf("no *fhir.Error but %v", err)
			}
			if e.Kind != fhir.Invalid || len(e.Issues) != 1 {
				t.Fatalf("kind %v, issues %v", e.Kind, e.Issues)
			}
			if !strings.Contains(e.Issues[0].Message, test.message) {
				t.Errorf("message %q lacks %q", e.Issues[0].Message, test.message)
			}
			if e.Issues[0].Expression != test.expression {
				t.Errorf("expression %q, want %q", e.Issues[0].Expression, test.expression)
			}
		})
	}
}

func TestDecodeSharesNoMemory(t *testing.T) {
	data := []byte(`{"a":"before","b":12}`)
	n, err := resource.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] = 'x'
	}
	if got := string(n.JSON()); got != `{"a":"before","b":12}` {
		t.Errorf("the tree changed with its input: %s", got)
	}
}

// TestDecodeSiblingsAreApart appends to one object and list of a tree and looks
// at the others, which come from the same piece of memory.
func TestDecodeSiblingsAreApart(t *testing.T) {
	n, err := resource.Decode([]byte(`{"a":{"x":1},"b":{"y":2},"c":[1],"d":[2]}`))
	if err != nil {
		t.Fatal(err)
	}
	n.Get("a").Set("new", resource.Text("1"))
	c := n.Get("c")
	c.Items = append(c.Items, resource.Text("3"))
	if got, want := string(n.JSON()), `{"a":{"x":1,"new":"1"},"b":{"y":2},"c":[1,"3"],"d":[2]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestDecodeBoundsMemory decodes 64 MiB texts made to need much memory.
func TestDecodeBoundsMemory(t *testing.T) {
	const size = 64 << 20
	tests := []struct {
		name, open, unit, shut string
		kind                   fhir.Kind
	}{
		{"tiny lists", "[[]", ",[]", "]", fhir.TooLarge},
		{"tiny objects", `[{"a":0}`, `,{"a":0}`, "]", fhir.TooLarge},
		{"deep", "", "[", "", fhir.Invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := test.open + strings.Repeat(test.unit, size/len(test.unit)) + test.shut
			data := []byte(text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := resource.Decode(data)
			runtime.ReadMemStats(&after)
			if fhir.KindOf(err) != test.kind {
				t.Errorf("kind %v, want %v", fhir.KindOf(err), test.kind)
			}
			const most = 1 << 30 // all that was ever allocated, most of it free again
			if got := after.TotalAlloc - before.TotalAlloc; got > most {
				t.Errorf("%d bytes allocated, at most %d wanted", got, most)
			}
		})
	}
	t.Run("one long string", func(t *testing.T) {
		data := []byte(`"` + strings.Repeat("x", size) + `"`)
		n, err := resource.Decode(data)
		if err != nil || len(n.Text) != size {
			t.Errorf("got %d bytes, %v", len(n.Text), err)
		}
	})
}

// genNode makes trees no deeper than depth.
func genNode(depth int) *rapid.Generator[resource.Node] {
	return rapid.Custom(func(t *rapid.T) resource.Node {
		kinds := 6
		if depth == 0 {
			kinds = 4
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return resource.Node{}
		case 1:
			return resource.Node{Kind: resource.Bool, Text: rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")}
		case 2:
			text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
			return resource.Node{Kind: resource.Number, Text: text}
		case 3:
			return resource.Text(rapid.String().Draw(t, "string"))
		case 4:
			n := resource.Node{Kind: resource.Array}
			n.Items = rapid.SliceOfN(genNode(depth-1), 0, 5).Draw(t, "items")
			return n
		default:
			n := resource.Node{Kind: resource.Object}
			for _, name := range rapid.SliceOfNDistinct(rapid.String(), 0, 40, rapid.ID[string]).Draw(t, "names") {
				n.Fields = append(n.Fields, resource.Field{Name: name, Node: genNode(depth-1).Draw(t, "value")})
			}
			return n
		}
	})
}

func TestDecodeEncodeGivesTheSameTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genNode(3).Draw(t, "tree")
		got, err := resource.Decode(want.JSON())
		if err != nil {
			t.Fatalf("%v\n%s", err, want.JSON())
		}
		if diff := cmp.Diff(&want, got, cmpEmpty); diff != "" {
			t.Fatal(diff)
		}
	})
}

// cmpEmpty treats nil and empty lists of items and members as equal.
var cmpEmpty = cmp.Options{
	cmp.FilterValues(func(a, b []resource.Node) bool { return len(a)+len(b) == 0 }, cmp.Ignore()),
	cmp.FilterValues(func(a, b []resource.Field) bool { return len(a)+len(b) == 0 }, cmp.Ignore()),
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"resourceType":"Patient","id":"p1","active":true,"name":[{"given":["Ada",null],"_given":[null,{"id":"x"}]}]}`,
		`[1.50,-0,1e9,"\ud83e\uddec\n",{"":[]},null]`,
		`{"a":1,"a":2}`, "\"\xff\"", `[[[[`, `"\ud800"`, ` `, `{"a":01}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := resource.Decode(data)
		if err != nil {
			if k := fhir.KindOf(err); k != fhir.Invalid && k != fhir.TooLarge {
				t.Fatalf("kind %v: %v", k, err)
			}
			return
		}
		text := n.JSON()
		again, err := resource.Decode(text)
		if err != nil {
			t.Fatalf("what Append wrote is refused: %v\n%s", err, text)
		}
		if diff := cmp.Diff(n, again, cmpEmpty); diff != "" {
			t.Fatal(diff)
		}
	})
}
