package search

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

func mustRegistry(tb testing.TB) *Registry {
	tb.Helper()
	r, err := NewRegistry()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// definition reads the SearchParameter with these members, and usual ones for the rest.
func definition(tb testing.TB, members string) (Definition, error) {
	tb.Helper()
	for name, value := range map[string]string{"url": "http://example.org/eye", "status": "active"} {
		if !strings.Contains(members, `"`+name+`":`) {
			members += fmt.Sprintf(",%q:%q", name, value)
		}
	}
	root, err := resource.Decode([]byte(`{"resourceType":"SearchParameter","name":"n","description":"d",` + members + `}`))
	if err != nil {
		tb.Fatal(err)
	}
	return ReadDefinition(root)
}

func mustDefinition(tb testing.TB, members string) Definition {
	tb.Helper()
	d, err := definition(tb, members)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// eye is a parameter on an extension.
const eye = `"id":"eye","code":"eye","base":["Patient"],"type":"token","expression":"Patient.extension('http://example.org/eye').value.ofType(Coding)"`

func TestDefinedParametersFindWhatTheirExpressionNames(t *testing.T) {
	own := mustRegistry(t)
	const patient = `{"resourceType":"Patient","id":"1","birthDate":"1970-01-02","active":true,
		"extension":[{"url":"http://example.org/eye","valueCoding":{"system":"http://c","code":"blue"}},
			{"url":"http://example.org/shoe","valueQuantity":{"value":42,"unit":"EU"}},
			{"url":"http://example.org/gp","valueReference":{"reference":"Practitioner/7"}},
			{"url":"http://example.org/race","extension":[{"url":"code","valueCoding":{"system":"http://r","code":"r1"}},{"url":"text","valueString":"Some Text"}]}],
		"contact":[{"name":{"family":"Lovelace"},"gender":"female"},{"name":{"family":"Byron"},"gender":"male"}],
		"identifier":[{"system":"http://mrn","use":"official","value":"A1"},{"system":"http://ssn","value":"B2"}],
		"name":[{"use":"official","family":"King","given":["Ada","Augusta"]},{"use":"nickname","given":["Countess"]}]}`
	for _, test := range []struct {
		name, typ, expression string
		finds, misses         string
	}{
		{"an extension", "token", "Patient.extension('http://example.org/eye').value", "http://c|blue", "http://c|green"},
		{"an extension by where", "token", "Patient.extension.where(url = 'http://example.org/eye').value as Coding", "blue", "r1"},
		{"an extension in an extension", "token", "Patient.extension.where(url='http://example.org/race').extension.value.code", "r1", "blue"},
		{"of an extension those of a type", "string", "Patient.extension('http://example.org/race').extension('text').value.ofType(string)", "some", "other"},
		{"a quantity", "quantity", "(Patient.extension('http://example.org/shoe').value as Quantity)", "42", "43"},
		{"a reference", "reference", "Patient.extension('http://example.org/gp').value.as(Reference)", "Practitioner/7", "Practitioner/8"},
		{"an element without the type", "date", "birthDate", "1970-01-02", "1971"},
		{"an element of all resources", "token", "Resource.id", "1", "2"},
		{"a list element", "string", "Patient.contact.name.family", "byron", "king"},
		{"the first of a list", "string", "Patient.contact[0].name.family", "lovelace", "byron"},
		{"a condition", "token", "Patient.identifier.where(use = 'official')", "A1", "B2"},
		{"two conditions", "token", "Patient.identifier.where(system='http://mrn' and use='official').value", "a1", "b2"},
		{"a union", "string", "Patient.name.where(use='nickname').given|Patient.contact.name.family", "countess", "ada"},
		{"a union in parentheses", "string", "(Patient.contact.name | Patient.name).family", "king", "ada"},
		{"terms about other types", "string", "Observation.code | Patient.name.given | Practitioner.name", "ada", "king"},
		{"a boolean", "token", "Patient.active", "true", "false"},
		{"lines and blanks", "string", "\n Patient . name\t. given ", "augusta", "king"},
		{"a name in backquotes", "token", "Patient.contact.`gender`", "female", "other"},
		{"a type of FHIR's", "date", "Patient.birthDate.as(FHIR.date)", "1970", "1980"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := mustDefinition(t, fmt.Sprintf(`"id":"x","code":"x-1","base":["Patient"],"type":%q,"expression":%q`, test.typ, test.expression))
			r, errs := own.With([]Definition{d})
			if errs[0] != nil {
				t.Fatal(errs[0])
			}
			root, err := resource.Decode([]byte(patient))
			if err != nil {
				t.Fatal(err)
			}
			entries, _, err := r.Extract(root)
			if err != nil {
				t.Fatal(err)
			}
			for value, want := range map[string]bool{test.finds: true, test.misses: false} {
				req, err := r.Parse([]string{"Patient"}, "x-1="+value, ParseOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if got := Match("Patient", entries, req.Query.Where[0]); got != want {
					t.Errorf("x-1=%s: %t, want %t", value, got, want)
				}
			}
		})
	}
}

func TestDefinitionsThatAreRefused(t *testing.T) {
	own := mustRegistry(t)
	with := func(change ...string) string {
		members := map[string]string{"code": `"eye"`, "base": `["Patient"]`, "type": `"token"`, "expression": `"Patient.gender"`}
		for _, c := range change {
			name, value, _ := strings.Cut(c, ":")
			members[name] = value
		}
		var out []string
		for name, value := range members {
			if value != "" {
				out = append(out, fmt.Sprintf("%q:%s", name, value))
			}
		}
		return strings.Join(out, ",")
	}
	for _, test := range []struct{ name, members, want string }{
		{"a composite", with(`type:"composite"`), "composite"},
		{"a special one", with(`type:"special"`), "special"},
		{"a type there is none of", with(`type:"text"`), `"text" is not a type`},
		{"a base there is none of", with(`base:["Pationt"]`), `"Pationt" is not a resource type`},
		{"no expression", with("expression:"), "without an expression"},
		{"a name with a colon", with(`code:"eye:colour"`), "cannot be the name"},
		{"a name with a dot", with(`code:"eye.colour"`), "cannot be the name"},
		{"a name of FHIR's", with(`code:"gender"`), "FHIR's own"},
		{"a name of FHIR's that is not searched by", with(`code:"_query"`), "FHIR's own"},
		{"a name that looks like FHIR's", with(`code:"_eye"`), "FHIR's own"},
		{"a name that shapes answers", with(`code:"_count"`), "FHIR's own"},
		{"an unknown element", with(`expression:"Patient.eyes"`), `Patient has no element "eyes"`},
		{"an unknown element further on", with(`expression:"Patient.contact.name.familie"`), `HumanName has no element "familie"`},
		{"another type only", with(`expression:"Observation.code"`), "no part of the expression is about Patient"},
		{"a function", with(`expression:"Patient.name.first()"`), "the function first() is not understood"},
		{"arithmetic", with(`expression:"Patient.multipleBirth + 1"`), "+ 1 is not understood"},
		{"a condition by a function", with(`expression:"Patient.name.where(family.exists())"`), "where(family . …) is not understood"},
		{"a condition without quotes", with(`expression:"Patient.name.where(use=official)"`), "a text in single quotes"},
		{"a resolve of no type", with(`expression:"Patient.generalPractitioner.where(resolve() is Doctor)"`), `"Doctor" is not a resource type`},
		{"an open text", with(`expression:"Patient.name.where(use='official)"`), "has no end"},
		{"an open parenthesis", with(`expression:"(Patient.name"`), `where ")" should follow`},
		{"two operators", with(`expression:"Patient.name | | Patient.gender"`), "where the name of an element"},
		{"something behind the end", with(`expression:"Patient.gender ] x"`), "not expected"},
		{"a variable", with(`expression:"%resource.gender"`), "not understood"},
		{"a type that is never there", with(`expression:"Patient.gender.as(Quantity)"`), "nothing is left"},
		{"elements of another kind", with(`expression:"Patient.birthDate"`), "a token parameter cannot look at"},
		{"a backbone element", with(`expression:"Patient.contact"`), "a token parameter cannot look at"},
		{"a resource", with(`expression:"Patient"`), "a token parameter cannot look at"},
		{"an unknown origin", with(`derivedFrom:"http://nowhere/x"`), "not the url of a search parameter"},
		{"a target there is none of", with(`target:["Docter"]`, `type:"reference"`, `expression:"Patient.managingOrganization"`), "not a resource type"},
		{"very many steps", with(fmt.Sprintf("expression:%q", "Patient"+strings.Repeat(".extension", 70))), "more than 64 steps"},
		{"very many parentheses", with(fmt.Sprintf("expression:%q", strings.Repeat("(", 30)+"Patient.gender"+strings.Repeat(")", 30))), "parentheses"},
		{"a very long text", with(fmt.Sprintf("expression:%q", strings.Repeat(" ", 5000))), "longer than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, err := definition(t, test.members)
			if err == nil {
				var errs []error
				var r *Registry
				if r, errs = own.With([]Definition{d}); errs[0] != nil && r.Hash() != own.Hash() {
					t.Error("a definition that is refused has an effect")
				}
				err = errs[0]
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || fhir.KindOf(err) != fhir.Unprocessable {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestDefinitionsBesideOthers(t *testing.T) {
	own := mustRegistry(t)
	first := mustDefinition(t, eye)
	clash := mustDefinition(t, strings.Replace(eye, `"id":"eye"`, `"id":"other","url":"http://example.org/other"`, 1))
	same := mustDefinition(t, strings.Replace(eye, `"id":"eye"`, `"id":"same"`, 1))
	inactive := mustDefinition(t, eye+`,"status":"retired"`)
	r, errs := own.With([]Definition{first, clash, same})
	if errs[0] != nil || errs[1] == nil || errs[2] == nil {
		t.Errorf("errors %v", errs)
	}
	if _, known := r.types["Patient"].byName["eye"]; !known || r.Hash() == own.Hash() {
		t.Error("the first definition has no effect")
	}
	if got := r.Changed(own); len(got) != 1 || got[0] != (Parameter{"Patient", "eye"}) {
		t.Errorf("changed are %v", got)
	}
	if again, _ := r.With(nil); again.Hash() != own.Hash() || len(again.Changed(r)) != 1 || again.types["Patient"].byName["eye"] != nil {
		t.Error("without definitions there is something left of them")
	}
	if none, errs := own.With([]Definition{inactive}); none.Hash() != own.Hash() || errs[0] != nil {
		t.Errorf("what is not active has an effect, or is refused: %v", errs)
	}
	if own.types["Patient"].byName["eye"] != nil {
		t.Error("the registry it was made from has changed")
	}
	backwards, _ := own.With([]Definition{first})
	if backwards.Hash() != r.Hash() {
		t.Error("what is refused changes the hash")
	}
	text := mustDefinition(t, strings.Replace(eye, "ofType(Coding)", "ofType(CodeableConcept)", 1))
	if other, _ := own.With([]Definition{text}); other.Hash() == r.Hash() || len(other.Changed(r)) != 1 {
		t.Error("another expression has the same hash")
	}
}

func TestDefinitionsThatSayWhatFHIRSays(t *testing.T) {
	own := mustRegistry(t)
	for _, test := range []struct {
		name, members string
		refused       bool
	}{
		{"one of FHIR's own, with its url", `"url":"http://hl7.org/fhir/SearchParameter/individual-gender","code":"gender","base":["Patient"],"type":"token","expression":"Patient.gender"`, false},
		{"one derived from it, saying the same", `"derivedFrom":"http://hl7.org/fhir/SearchParameter/individual-gender","code":"gender","base":["Patient"],"type":"token","expression":"Patient.gender"`, false},
		{"one derived from it, of all resources", `"derivedFrom":"http://hl7.org/fhir/SearchParameter/Resource-id","code":"_id","base":["Patient"],"type":"token","expression":"Patient.id"`, false},
		{"one derived from it, saying something else", `"derivedFrom":"http://hl7.org/fhir/SearchParameter/individual-gender","code":"gender","base":["Patient"],"type":"token","expression":"Patient.contact.gender"`, true},
		{"one that says the same and is not derived", `"code":"gender","base":["Patient"],"type":"token","expression":"Patient.gender"`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, errs := own.With([]Definition{mustDefinition(t, test.members)})
			if (errs[0] != nil) != test.refused || r.Hash() != own.Hash() {
				t.Errorf("error %v; it has an effect: %t", errs[0], r.Hash() != own.Hash())
			}
		})
	}
	derived := mustDefinition(t, `"derivedFrom":"http://hl7.org/fhir/SearchParameter/individual-gender","code":"contact-gender","base":["Patient"],"type":"token","expression":"Patient.contact.gender"`)
	if r, errs := own.With([]Definition{derived}); errs[0] != nil || r.Hash() == own.Hash() {
		t.Errorf("a definition derived from FHIR's under another code: %v", errs[0])
	}
}

func TestDefinitionsForEveryType(t *testing.T) {
	own := mustRegistry(t)
	note := mustDefinition(t, `"code":"language","base":["Resource"],"type":"token","expression":"Resource.language"`)
	if _, errs := own.With([]Definition{note}); errs[0] == nil {
		t.Fatal("some types have a parameter of that name, but it is taken for all") // Patient.language
	}
	note.Code = "written-in"
	r, errs := own.With([]Definition{note})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	for _, typ := range append(slices.Clone(resource.Types()), "") {
		if !slices.ContainsFunc(r.Params(typ), func(p *Param) bool { return p.Name == "written-in" }) {
			t.Errorf("%q has not got it", typ)
		}
	}
	if _, err := r.Parse(nil, "written-in=de", ParseOptions{}); err != nil {
		t.Errorf("a search of the whole system: %v", err)
	}
	implied := mustDefinition(t, `"code":"implied","base":["DomainResource"],"type":"uri","expression":"DomainResource.implicitRules"`)
	if r, errs = own.With([]Definition{implied}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	if r.types["Bundle"].byName["implied"] != nil || r.types["Patient"].byName["implied"] == nil {
		t.Error("DomainResource is all resources, or none")
	}
}

// TestTheDefinitionReaderAgreesWithTheCompiler reads FHIR's own expressions as if
// clients had defined them.
func TestTheDefinitionReaderAgreesWithTheCompiler(t *testing.T) {
	own := mustRegistry(t)
	rows, err := readRows()
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, row := range rows {
		if suited[Type(row.typ)] == nil || row.expression == "" || row.code == lastUpdatedParam || textParams[row.url] {
			continue
		}
		if _, truth := parseTruth(row.expression); truth || strings.Contains(row.expression, "DateTime") {
			continue // they say what only the compiler of FHIR's own understands
		}
		paths, err := parsePaths(row.expression)
		if err != nil {
			t.Errorf("%s: %v", row.url, err)
			continue
		}
		for _, base := range row.base {
			if !resource.KnownType(base) {
				continue
			}
			want, copied := own.source.compiler(base), row
			if err := want.compile(copied.param(base)); err != nil {
				t.Errorf("%s for %s: %v", row.url, base, err)
				continue
			}
			got := own.source.compiler(base)
			if _, err := got.define(&Definition{Code: row.code, Type: Type(row.typ), paths: paths}); err != nil {
				if !strings.Contains(err.Error(), "cannot look at") {
					t.Errorf("%s for %s: %v", row.url, base, err)
				}
				continue // HL7 has parameters on elements of other kinds
			}
			read++
			if a, b := leavesOf(got.root), leavesOf(want.root); !slices.Equal(a, b) {
				t.Errorf("%s for %s:\n%v\nFHIR's own:\n%v", row.url, base, a, b)
			}
		}
	}
	if read < 1000 {
		t.Errorf("only %d expressions were compared", read)
	}
}

// leavesOf lists the places of a tree that a parameter looks at and can index.
func leavesOf(t *trie) []string {
	var out []string
	var walk func(t *trie, at string)
	walk = func(t *trie, at string) {
		for _, l := range t.leaves {
			if slices.Contains(suited[l.param.Type], l.typ) {
				out = append(out, at+":"+l.typ)
			}
		}
		for _, b := range t.branches {
			walk(b.next, at+"."+b.name)
		}
		for _, g := range t.guards {
			walk(g.next, at+"("+strings.NewReplacer(" ", "", "ofType", "as").Replace(g.source)+")")
		}
	}
	walk(t, "")
	slices.Sort(out)
	return slices.Compact(out)
}

func TestParametersThatAreStillIndexed(t *testing.T) {
	own := mustRegistry(t)
	gp := mustDefinition(t, `"id":"gp","url":"http://example.org/gp","code":"gp","base":["Patient"],"type":"reference","target":["Practitioner"],"expression":"Patient.extension('http://example.org/gp').value.ofType(Reference)"`)
	r, errs := own.With([]Definition{mustDefinition(t, eye), gp})
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	busy := r.Indexing("rev", []Parameter{{"Patient", "eye"}, {"Patient", "gp"}, {"Patient", "gone"}}, func() (int64, int64) { return 3, 7 })
	ready := r.Indexing("rev", nil, nil)
	for _, test := range []struct {
		typ, query string
		needed     bool
	}{
		{"Patient", "eye=blue", true},
		{"Patient", "eye:missing=true", true},
		{"Patient", "eye:not=blue", true},
		{"Patient", "_sort=-eye", true},
		{"Observation", "subject:Patient.eye=blue", true},
		{"Practitioner", "_has:Patient:gp:name=x", true},
		{"Practitioner", "_has:Patient:general-practitioner:eye=x", true},
		{"Practitioner", "_revinclude=Patient:gp", true},
		{"Practitioner", "_revinclude=Patient:*", true},
		{"Patient", "_include=Patient:gp", false},
		{"Patient", "gender=male", false},
		{"Observation", "code=x", false},
	} {
		for _, lenient := range []bool{false, true} {
			_, err := busy.Parse([]string{test.typ}, test.query, ParseOptions{Lenient: lenient})
			if test.needed && (err == nil || fhir.KindOf(err) != fhir.Unavailable || !strings.Contains(err.Error(), "still being indexed") || strings.Contains(err.Error(), "7")) {
				t.Errorf("%s?%s: error %v", test.typ, test.query, err)
			} else if !test.needed && err != nil {
				t.Errorf("%s?%s: %v", test.typ, test.query, err)
			}
		}
		req, err := ready.Parse([]string{test.typ}, test.query, ParseOptions{})
		if err != nil {
			t.Errorf("%s?%s: %v", test.typ, test.query, err)
		} else if (req.Query.Revision == "rev") != test.needed {
			t.Errorf("%s?%s holds for revision %q", test.typ, test.query, req.Query.Revision)
		}
	}
	if _, err := ready.Parse([]string{"Patient"}, "eye=blue&_contained=true", ParseOptions{}); fhir.KindOf(err) != fhir.NotSupported {
		t.Errorf("in contained resources: %v", err)
	}
	if busy.Ready("Patient", "eye") || !busy.Ready("Patient", "gender") || !ready.Ready("Patient", "eye") {
		t.Error("Ready says something else")
	}
}

func TestContainedResourcesHaveNoEntriesOfDefinedParameters(t *testing.T) {
	r, errs := mustRegistry(t).With([]Definition{mustDefinition(t, strings.Replace(eye, "Patient.extension('http://example.org/eye').value.ofType(Coding)", "Patient.contact.gender", 1))})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	entries, _, err := r.Index([]byte(`{"resourceType":"Observation","id":"1","contained":[{"resourceType":"Patient","id":"p","gender":"male","contact":[{"gender":"female"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	has := func(param string) bool {
		return slices.ContainsFunc(entries, func(e Entry) bool { return e.Param == param })
	}
	if has("#Patient.eye") || !has("#Patient.gender") {
		t.Errorf("entries %v", entries)
	}
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		"Patient.name", "(Patient.a | b).c[0]", "x.where(a='b' and c = 'd')", "x.extension('u').value as Quantity", "where(resolve() is Patient)",
		"Patient.`x`", "`A `", "((((", "Patient..", "'", "a[", "as as as", ".ofType(", "Patient.name.ofType(FHIR.HumanName)",
	} {
		f.Add(seed)
	}
	own, err := NewRegistry()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		paths, err := parsePaths(text)
		if err != nil {
			if fhir.KindOf(err) != fhir.Unprocessable {
				t.Fatalf("error of kind %d: %v", fhir.KindOf(err), err)
			}
			return
		}
		for _, p := range paths {
			again, err := parsePaths(p.String())
			if err != nil || len(again) != 1 || again[0].String() != p.String() {
				t.Fatalf("%q is written %q, which is read as %v, %v", text, p, again, err)
			}
		}
		_, _, _ = own.source.alone("Patient", &Definition{Code: "x", Type: TypeToken, paths: paths})
	})
}
