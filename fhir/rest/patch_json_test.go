package rest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/fhir"
)

// TestJSONPatch follows the sections of https://www.rfc-editor.org/rfc/rfc6902 and
// its appendix A, with resources in place of its examples.
func TestJSONPatch(t *testing.T) {
	tests := []struct {
		name          string
		before, patch string
		want          string
	}{
		{"add a member", patient(""), `[{"op":"add","path":"/gender","value":"male"}]`, patient(`"gender":"male"`)},
		{"add replaces a member", patient(`"gender":"male"`), `[{"op":"add","path":"/gender","value":"female"}]`, patient(`"gender":"female"`)},
		{"add into a list", patient(identifiers("1", "2")), `[{"op":"add","path":"/identifier/1","value":{"system":"http://example.org","value":"3"}}]`, patient(identifiers("1", "3", "2"))},
		{"add behind a list", patient(identifiers("1")), `[{"op":"add","path":"/identifier/-","value":{"system":"http://example.org","value":"2"}}]`, patient(identifiers("1", "2"))},
		{"add at the length of a list", patient(identifiers("1")), `[{"op":"add","path":"/identifier/1","value":{"system":"http://example.org","value":"2"}}]`, patient(identifiers("1", "2"))},
		{"remove a member", patient(`"active":true,"gender":"male"`), `[{"op":"remove","path":"/active"}]`, patient(`"gender":"male"`)},
		{"remove from a list", patient(identifiers("1", "2")), `[{"op":"remove","path":"/identifier/0"}]`, patient(identifiers("2"))},
		{"what a removal empties goes", patient(`"name":[{"given":["A"]}]`), `[{"op":"remove","path":"/name/0/given/0"}]`, patient("")},
		{"what is emptied beside a primitive leaves the others theirs", patient(`"name":[{"given":["A","B"],"_given":[` + extended("e0") + `,` + extended("e1") + `]}]`), `[{"op":"remove","path":"/name/0/_given/0/extension/0"}]`, patient(`"name":[{"given":["A","B"],"_given":[null,` + extended("e1") + `]}]`)},
		{"nothing is left beside primitives", patient(`"name":[{"given":["A"],"_given":[` + extended("e0") + `]}]`), `[{"op":"remove","path":"/name/0/_given/0/extension/0"}]`, patient(`"name":[{"given":["A"]}]`)},
		{"a list emptied may be filled again", patient(`"name":[{"family":"A"}]`), `[{"op":"remove","path":"/name/0"},{"op":"add","path":"/name/-","value":{"family":"B"}}]`, patient(`"name":[{"family":"B"}]`)},
		{"replace", patient(`"gender":"male"`), `[{"op":"replace","path":"/gender","value":"other"}]`, patient(`"gender":"other"`)},
		{"move a member", patient(`"name":[{"family":"A"},{"given":["B"]}]`), `[{"op":"move","from":"/name/1/given","path":"/name/0/given"}]`, patient(`"name":[{"family":"A","given":["B"]}]`)},
		{"move in a list", patient(identifiers("1", "2", "3")), `[{"op":"move","from":"/identifier/0","path":"/identifier/2"}]`, patient(identifiers("2", "3", "1"))},
		{"copy", patient(`"name":[{"family":"A"}]`), `[{"op":"copy","from":"/name/0","path":"/name/-"},{"op":"replace","path":"/name/1/family","value":"B"}]`, patient(`"name":[{"family":"A"},{"family":"B"}]`)},
		{"test", patient(`"gender":"male"`), `[{"op":"test","path":"/gender","value":"male"}]`, patient(`"gender":"male"`)},
		{"test compares objects without the order of members", patient(`"name":[{"family":"A","text":"B"}]`), `[{"op":"test","path":"/name/0","value":{"text":"B","family":"A"}}]`, patient(`"name":[{"family":"A","text":"B"}]`)},
		{"test compares numbers by what they are worth", `{"resourceType":"Observation","valueQuantity":{"value":1.50}}`, `[{"op":"test","path":"/valueQuantity/value","value":15e-1}]`, `{"resourceType":"Observation","valueQuantity":{"value":1.50}}`},
		{"numbers stay as written", `{"resourceType":"Observation","valueQuantity":{"value":1.50}}`, `[{"op":"add","path":"/referenceRange","value":[{"low":{"value":0.10}}]}]`, `{"resourceType":"Observation","valueQuantity":{"value":1.50},"referenceRange":[{"low":{"value":0.10}}]}`},
		{"escapes in pointers", patient(`"a/b":{"c~d":1}`), `[{"op":"test","path":"/a~1b/c~0d","value":1},{"op":"remove","path":"/a~1b"}]`, patient("")},
		{"unknown members of an operation do not count", patient(""), `[{"op":"add","path":"/active","value":true,"why":"x"}]`, patient(`"active":true`)},
		{"nothing to do", patient(`"active":true`), `[]`, patient(`"active":true`)},
	}
	a := newAPI(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := patched(t, a.server, test.before, test.patch)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// extended is what stands beside a primitive that has an extension.
func extended(value string) string {
	return `{"extension":[{"url":"http://example.org/x","valueString":"` + value + `"}]}`
}

func TestJSONPatchErrors(t *testing.T) {
	before := patient(`"gender":"male","name":[{"family":"A"}]`)
	bomb := `[{"op":"add","path":"/x","value":[1,2,3,4,5,6,7,8,9,0]}` + strings.Repeat(`,{"op":"copy","from":"/x","path":"/x/0"}`, 40) + `]`
	tests := []struct {
		name, patch string
		kind        fhir.Kind
		part        string // of the message
	}{
		{"no list", `{"resourceType":"Patient"}`, fhir.Invalid, "PUT"},
		{"an operation that is no object", `["add"]`, fhir.Invalid, "operation [0]"},
		{"no op", `[{"path":"/gender"}]`, fhir.Invalid, "must have an op"},
		{"an unknown op", `[{"op":"upsert","path":"/gender"}]`, fhir.Invalid, "upsert"},
		{"no path", `[{"op":"remove"}]`, fhir.Invalid, "must have a path"},
		{"no from", `[{"op":"copy","path":"/gender"}]`, fhir.Invalid, "must have a from"},
		{"no value", `[{"op":"add","path":"/gender"}]`, fhir.Invalid, "must have a value"},
		{"a path that is no pointer", `[{"op":"remove","path":"gender"}]`, fhir.Invalid, "begin with /"},
		{"a bad escape", `[{"op":"remove","path":"/a~2b"}]`, fhir.Invalid, "~0"},
		{"a tilde at the end", `[{"op":"remove","path":"/a~"}]`, fhir.Invalid, "~0"},
		{"all faults at once", `[{"op":"x","path":""},{"op":"remove"}]`, fhir.Invalid, "1 more"},
		{"remove what is not there", `[{"op":"remove","path":"/birthDate"}]`, fhir.Unprocessable, "nothing at /birthDate"},
		{"replace what is not there", `[{"op":"replace","path":"/birthDate","value":"2020"}]`, fhir.Unprocessable, "nothing at /birthDate"},
		{"add below what is not there", `[{"op":"add","path":"/contact/0/gender","value":"male"}]`, fhir.Unprocessable, "nothing at /contact"},
		{"add below text", `[{"op":"add","path":"/gender/x","value":"male"}]`, fhir.Unprocessable, "neither an object nor a list"},
		{"add beyond a list", `[{"op":"add","path":"/name/2","value":{}}]`, fhir.Unprocessable, "has 1 items"},
		{"an index with a leading zero", `[{"op":"replace","path":"/name/00","value":{}}]`, fhir.Unprocessable, "nothing at /name/00"},
		{"a test that fails", `[{"op":"test","path":"/gender","value":"female"}]`, fhir.Unprocessable, "another value at /gender"},
		{"a test of another kind", `[{"op":"test","path":"/gender","value":["male"]}]`, fhir.Unprocessable, "another value"},
		{"remove the resource", `[{"op":"remove","path":""}]`, fhir.Unprocessable, "DELETE"},
		{"move into itself", `[{"op":"move","from":"/name","path":"/name/0/x"}]`, fhir.Unprocessable, "into itself"},
		{"copies of copies", bomb, fhir.TooLarge, "JSON values"},
		{"too many operations", `[` + strings.Repeat(`{"op":"test","path":"/gender","value":"male"},`, 1000) + `{"op":"remove","path":"/gender"}]`, fhir.TooLarge, "1001 operations"},
	}
	a := newAPI(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := patched(t, a.server, before, test.patch)
			if err == nil {
				t.Fatalf("no error, but %s", got)
			}
			if fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.part) {
				t.Errorf("kind %d, want %d; message %q must contain %q", fhir.KindOf(err), test.kind, err, test.part)
			}
		})
	}
}

func TestSameNumber(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"1", "1.0", true},
		{"100", "1e2", true},
		{"0.10", "1E-1", true},
		{"-0", "0.0e7", true},
		{"-1", "1", false},
		{"1", "10", false},
		{"1e99999999999999999999", "1e99999999999999999999", true},
		{"1e99999999999999999999", "10e99999999999999999998", true},
		{"1.2", "12", false},
		{"0.12", "0.012", false},
	}
	for _, test := range tests {
		if got := sameNumber(test.a, test.b); got != test.want {
			t.Errorf("%s and %s: %v", test.a, test.b, got)
		}
	}
}
