package search

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
)

// TestFilter holds each comparison of
// https://hl7.org/fhir/R4/search_filter.html against resources it holds for and
// does not.
func TestFilter(t *testing.T) {
	docs := map[string]string{
		"peter": `{"resourceType":"Patient","id":"peter","gender":"male","birthDate":"2014-10-12","name":[{"given":["Peter"],"family":"Petersen"},{"text":"Pit"}],
			"identifier":[{"system":"http://x.example","value":"ABC-123"}],"managingOrganization":{"reference":"Organization/o"}}`,
		"bare":    `{"resourceType":"Patient","id":"bare"}`,
		"glucose": `{"resourceType":"Observation","id":"g","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2339-0"}]},"valueQuantity":{"value":5.4,"system":"http://unitsofmeasure.org","code":"mg"},"effectivePeriod":{"start":"2020-01-01","end":"2020-03-31"},"subject":{"reference":"Patient/peter"}}`,
		"set":     `{"resourceType":"ValueSet","id":"v","url":"http://v.example/sets/One"}`,
		"risk":    `{"resourceType":"RiskAssessment","id":"r","prediction":[{"probabilityDecimal":0.5},{"probabilityDecimal":0.9}]}`,
	}
	rows := []struct {
		doc, filter string
		want        bool
	}{
		// Strings: never case sensitive.
		{"peter", `given eq peter`, true},
		{"peter", `given eq "PETER"`, true},
		{"peter", `given eq pet`, false},
		{"peter", `name co "ers"`, true},
		{"peter", `name co zz`, false},
		{"peter", `given sw pe`, true},
		{"peter", `given sw et`, false},
		{"peter", `given ew ter`, true},
		{"peter", `given ew Pe`, false},
		{"peter", `given ne peter`, false},
		{"peter", `name ne peter`, true},
		{"bare", `given ne peter`, false},
		{"peter", `family gt oak`, true},
		{"peter", `family lt oak`, false},
		{"peter", `family ge petersen`, true},
		{"peter", `family gt petersen`, false},
		{"peter", `family le petersen`, true},
		{"peter", `family lt petersen`, false},
		// Tokens.
		{"peter", `gender eq male`, true},
		{"peter", `gender ne male`, false},
		{"peter", `gender ne female`, true},
		{"bare", `gender ne female`, false},
		{"glucose", `code eq http://loinc.org|2339-0`, true},
		{"glucose", `code eq 2339-0`, true},
		{"glucose", `code ne http://loinc.org|2339-0`, false},
		{"glucose", `code ne http://loinc.org|1`, true},
		{"glucose", `code ne http://loinc.org|`, false},
		{"glucose", `code ne 2339-0`, false},
		{"peter", `identifier sw "abc"`, true},
		{"peter", `identifier ew 123`, true},
		{"peter", `identifier co c-1`, true},
		{"peter", `identifier co c-2`, false},
		{"peter", `gender eq http://hl7.org/fhir/administrative-gender|male`, true},
		{"peter", `gender ne http://other.example|male`, true},
		// Presence.
		{"peter", `gender pr true`, true},
		{"peter", `gender pr false`, false},
		{"bare", `gender pr false`, true},
		{"bare", `gender pr true`, false},
		// Dates.
		{"peter", `birthdate ge 2014-10-10`, true},
		{"peter", `birthdate gt 2014-10`, false},
		{"peter", `birthdate eq 2014`, true},
		{"peter", `birthdate ne 2014`, false},
		{"peter", `birthdate lt 2014-10-13`, true},
		{"peter", `birthdate le 2014-10-11`, false},
		{"peter", `birthdate sa 2013`, true},
		{"peter", `birthdate eb 2014`, false},
		{"peter", `birthdate ap 2014`, true},
		{"glucose", `date po 2020-02`, true},
		{"glucose", `date po 2020-03-31T23:00Z`, true},
		{"glucose", `date po 2020-04`, false},
		{"glucose", `date eq 2020-02`, false},
		{"glucose", `date eq 2020`, true},
		{"glucose", `date co 2020-02`, true},
		{"glucose", `date co 2020-01-01`, true},
		{"glucose", `date co 2020-03-31T23:59:59Z`, true},
		{"glucose", `date co 2020`, false},
		{"glucose", `date co 2020-04-01`, false},
		{"glucose", `date co 2019-12-31`, false},
		{"peter", `birthdate co 2014-10-12T10:00Z`, true},
		{"peter", `birthdate co 2014-10`, false},
		// Names of code systems.
		{"glucose", `code eq loinc|2339-0`, true},
		{"glucose", `code ne loinc|2339-0`, false},
		{"glucose", `code eq snomed|2339-0`, false},
		{"glucose", `code eq "loinc|"`, true},
		{"peter", `identifier eq loinc`, false},
		{"glucose", `value-quantity gt 5|ucum|mg`, true},
		{"glucose", `code-value-quantity eq "loinc|2339-0$gt5|ucum|mg"`, true},
		// Numbers and quantities.
		{"risk", `probability gt 0.8`, true},
		{"risk", `probability eq 0.5`, true},
		{"risk", `probability ne 0.5`, true},
		{"risk", `probability lt 0.5`, false},
		{"risk", `probability ap 0.52`, true},
		{"glucose", `value-quantity eq 5.4|http://unitsofmeasure.org|mg`, true},
		{"glucose", `value-quantity gt 0.005|http://unitsofmeasure.org|g`, true},
		{"glucose", `value-quantity ne 5.4|http://unitsofmeasure.org|mg`, false},
		{"glucose", `value-quantity eq 5.4||mg`, true},
		{"glucose", `code-value-quantity eq "2339-0$gt5|http://unitsofmeasure.org|mg"`, true},
		{"glucose", `code-value-quantity eq 2339-0$gt6`, false},
		// References and URLs.
		{"peter", `organization eq Organization/o`, true},
		{"peter", `organization re Organization/o`, true},
		{"peter", `organization re http://starling.example/fhir/Organization/o`, true},
		{"peter", `organization ne Organization/o`, false},
		{"peter", `organization ne Organization/p`, true},
		{"peter", `organization:Organization eq o`, true},
		{"set", `url eq http://v.example/sets/One`, true},
		{"set", `url sw http://V.example/`, true},
		{"set", `url ew /one`, true},
		{"set", `url co sets`, true},
		{"set", `url re http://v.example/sets/One`, true},
		{"set", `url ne http://v.example/sets/One`, false},
		// Logic: from left to right, not about the whole.
		{"peter", `given eq "peter" and birthdate ge 2014-10-10`, true},
		{"peter", `given eq "x" and birthdate ge 2014-10-10`, false},
		{"peter", `given eq x or gender eq male`, true},
		{"peter", `gender eq male or given eq x and given eq y`, false},
		{"peter", `gender eq male or (given eq x and given eq y)`, true},
		{"peter", `not (gender eq male)`, false},
		{"bare", `not (gender eq male)`, true},
		{"bare", `not(gender eq male) and not (given pr true)`, true},
		{"peter", `not (gender eq female and given eq peter)`, true},
		{"peter", `not (not (gender eq male))`, true},
		{"peter", `not (given eq x or gender eq male)`, false},
		{"peter", `((gender eq male))`, true},
		{"peter", `(given eq x or gender eq male) and (family eq petersen)`, true},
		{"peter", `_id eq peter`, true},
		{"peter", `_content eq pit`, true},
		{"peter", `not (_content co nobody)`, true},
	}
	for _, row := range rows {
		w := newWorld(t, docs[row.doc])
		if got := len(w.find(t, w.keys[0].Type, "_filter="+escape(row.filter))) == 1; got != row.want {
			t.Errorf("%s on %s: %t, want %t", row.filter, row.doc, got, row.want)
		}
	}
}

// TestFilterChains follows references, also with a filter in brackets: what is
// in there and what comes behind must hold for one resource.
func TestFilterChains(t *testing.T) {
	w := newWorld(t,
		`{"resourceType":"Organization","id":"o","name":"Acme"}`,
		`{"resourceType":"Patient","id":"ada","gender":"female","name":[{"family":"Lovelace"}],"managingOrganization":{"reference":"Organization/o"},"generalPractitioner":[{"reference":"Practitioner/x"},{"reference":"Practitioner/y"}]}`,
		`{"resourceType":"Patient","id":"bob","gender":"male","name":[{"family":"Lovelace"}]}`,
		`{"resourceType":"Practitioner","id":"x","gender":"male","name":[{"family":"Xu"}]}`,
		`{"resourceType":"Practitioner","id":"y","gender":"female","name":[{"family":"Yu"}]}`,
		`{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/ada"},"code":{"coding":[{"code":"c"}]}}`,
		`{"resourceType":"Observation","id":"2","subject":{"reference":"Patient/bob"}}`,
		`{"resourceType":"Observation","id":"3"}`,
	)
	for _, test := range []struct{ types, filter, want string }{
		{"Observation", `subject:Patient.name co "love"`, "1 2"},
		{"Observation", `patient.name eq lovelace and patient.gender eq female`, "1"},
		{"Observation", `patient.organization.name sw ac`, "1"},
		{"Observation", `not (patient.gender eq female)`, "2 3"},
		{"Observation", `patient[gender eq male].name eq lovelace`, "2"},
		{"Observation", `patient[gender eq male or gender eq female].name eq lovelace`, "1 2"},
		{"Observation", `subject[gender eq female].name eq lovelace`, "1"},
		{"Observation", `subject.name eq lovelace`, "1 2"},
		{"Patient", `general-practitioner:Practitioner[gender eq male].name eq yu`, ""},
		{"Patient", `general-practitioner:Practitioner[gender eq female].name eq yu`, "ada"},
		{"Patient", `general-practitioner:Practitioner.gender eq male and general-practitioner:Practitioner.name eq yu`, "ada"},
		{"Patient", `_has:Observation:patient:code eq c`, "ada"},
		{"Patient", `not (_has:Observation:patient:code eq c)`, "bob"},
		{"Observation", `patient[organization[name eq acme].name sw a].gender eq female`, "1"},
	} {
		if got := strings.Join(w.find(t, test.types, "_filter="+escape(test.filter)), " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.filter, got, test.want)
		}
	}
}

// TestFilterLookups asks for value sets and hierarchies as the modifiers do.
func TestFilterLookups(t *testing.T) {
	r := testRegistry(t)
	for filter, query := range map[string]string{
		"code in http://v.example/set":    "code:in=http://v.example/set",
		"code ni http://v.example/set":    "code:not-in=http://v.example/set",
		"code ss http://s.example|c1":     "code:below=http://s.example|c1",
		"code sb http://s.example|c1":     "code:above=http://s.example|c1",
		"code ss \"http://s.example|c1\"": "code:below=http://s.example|c1",
	} {
		opts := ParseOptions{Lookup: filterLookup{}}
		a, err := r.Parse([]string{"Observation"}, "_filter="+escape(filter), opts)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		b, err := r.Parse([]string{"Observation"}, query, opts)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprintf("%+v", a.Query.Where), fmt.Sprintf("%+v", b.Query.Where); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
		if _, err := r.Parse([]string{"Observation"}, "_filter="+escape(filter), ParseOptions{}); fhir.KindOf(err) != fhir.NotSupported {
			t.Errorf("%s without a lookup: %v", filter, err)
		}
	}
}

type filterLookup struct{ Lookup }

func (filterLookup) Codes(string) ([]Coding, error) { return []Coding{{"http://s.example", "c1"}}, nil }
func (filterLookup) Subsumes(c Coding, above bool) ([]Coding, error) {
	return []Coding{c, {c.System, fmt.Sprint("more", above)}}, nil
}

func TestFilterErrors(t *testing.T) {
	for _, test := range []struct {
		filter, says string
		kind         fhir.Kind
	}{
		{`gender`, "character 7: expected a comparison", fhir.Invalid},
		{`gender eq`, "character 10: expected a value", fhir.Invalid},
		{`gender is male`, `character 8: expected a comparison, one of eq ne co`, fhir.Invalid},
		{`gender EQ male`, "character 8", fhir.Invalid},
		{`gander eq male`, `character 1: "gander" is not a search parameter of Patient (did you mean "gender"?)`, fhir.Invalid},
		{`gender eq male xor x eq y`, `character 16: expected "and", "or" or the end`, fhir.Invalid},
		{`(gender eq male`, "character 1: this ( is not closed", fhir.Invalid},
		{`gender eq male)`, `character 15: ")" has nothing to close`, fhir.Invalid},
		{`gender eq "male`, "character 11: this \" is not closed", fhir.Invalid},
		{`gender eq "\x"`, "character 11: this is not a well-formed JSON string", fhir.Invalid},
		{`gender eq ""`, "is empty", fhir.Invalid},
		{`not gender eq male`, `character 5: expected a ( behind "not"`, fhir.Invalid},
		{`é eq x`, "character 1: expected the name", fhir.Invalid},
		{`given eq é and gander eq x`, `character 16: "gander"`, fhir.Invalid},
		{`birthdate sw 20`, "birthdate is a date parameter, which cannot be compared with sw but with eq, ne, co, gt", fhir.Invalid},
		{`birthdate co 20`, "is not a date", fhir.Invalid},
		{`gender[name eq x].value eq y`, "character 1: gender is a token parameter: brackets stand behind references only", fhir.Invalid},
		{`gender gt male`, "cannot be compared with gt", fhir.Invalid},
		{`_id in http://v.example`, "_id has no codes of a code system, which in is about", fhir.Invalid},
		{`gender pr maybe`, "true or false", fhir.Invalid},
		{`birthdate eq ge2013`, "is not a date", fhir.Invalid},
		{`birthdate po soon`, "is not a date", fhir.Invalid},
		{`gender.name eq x`, "character 1: gender is a token parameter", fhir.Invalid},
		{`organization[name eq x eq y`, "character 24", fhir.Invalid},
		{`organization[name eq x`, "character 13: this [ is not closed", fhir.Invalid},
		{`organization[name eq x] eq y`, "expected a . and a name behind the ]", fhir.Invalid},
		{`organization[nome eq x].name eq y`, `character 14: "nome"`, fhir.Invalid},
		{`organization.nome eq y`, `character 14: "nome"`, fhir.Invalid},
		{`link:Observation.code eq y`, "cannot refer to Observation", fhir.Invalid},
		{`gender:Patient eq male`, "only what a reference points at has a type", fhir.Invalid},
		{`_filter eq x`, "character 1: a filter stands in parentheses", fhir.Invalid},
		{`_text gt x`, "eq only", fhir.Invalid},
		{`_has:Observation:patient:code gt c`, "eq only", fhir.Invalid},
		{`organization ne Organization/o/_history/1`, "without a version", fhir.NotSupported},
		{`given eq "!!"`, "no letter or digit", fhir.Invalid},
		{strings.Repeat("(", 50) + "gender eq male" + strings.Repeat(")", 50), "parentheses", fhir.TooLarge},
		{strings.Repeat("gender eq male or ", 1000) + "gender eq male", "predicates", fhir.TooLarge},
		{`gender eq male,female`, "", fhir.Internal},
	} {
		_, err := testRegistry(t).Parse([]string{"Patient"}, "_filter="+escape(test.filter), ParseOptions{})
		if test.says == "" {
			if err != nil {
				t.Errorf("%s: %v", test.filter, err)
			}
			continue
		}
		if fhir.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("%s: %v (%v), want %q", fhir.Clip(test.filter), err, fhir.KindOf(err), test.says)
		}
	}
}

// TestFilterBounds: brackets within brackets over references to several types
// multiply, and are stopped.
func TestFilterBounds(t *testing.T) {
	filter := "_id eq x"
	for range 7 {
		filter = "part-of[" + filter + "].part-of.status eq completed"
	}
	started := time.Now()
	_, err := testRegistry(t).Parse([]string{"Procedure"}, "_filter="+escape(filter), ParseOptions{})
	if fhir.KindOf(err) != fhir.TooLarge || time.Since(started) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(started))
	}
}

// TestFilterLogic compares random expressions with their value by the words of
// the page: and, or from left to right, not.
func TestFilterLogic(t *testing.T) {
	entries, _, err := testRegistry(t).Index([]byte(`{"resourceType":"Patient","gender":"male"}`))
	if err != nil {
		t.Fatal(err)
	}
	var draw func(t *rapid.T, depth int) (string, bool)
	draw = func(t *rapid.T, depth int) (text string, value bool) {
		for i := range rapid.IntRange(1, 3).Draw(t, "operands") {
			operand, truth := "gender eq male", true
			switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
			case kind == 0:
				operand, truth = "gender eq female", false
			case kind == 1 && depth > 0:
				operand, truth = draw(t, depth-1)
				operand = "(" + operand + ")"
			case kind == 2 && depth > 0:
				operand, truth = draw(t, depth-1)
				operand, truth = "not ("+operand+")", !truth
			}
			switch join := rapid.SampledFrom([]string{" and ", " or "}).Draw(t, "join"); {
			case i == 0:
				text, value = operand, truth
			case join == " and ":
				text, value = text+join+operand, value && truth
			default:
				text, value = text+join+operand, value || truth
			}
		}
		return text, value
	}
	rapid.Check(t, func(t *rapid.T) {
		text, want := draw(t, 3)
		r, _ := registry()
		request, err := r.Parse([]string{"Patient"}, "_filter="+escape(text), ParseOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := true
		for _, c := range request.Query.Where {
			got = got && Match("Patient", entries, c)
		}
		if got != want {
			t.Fatalf("%s: %t, want %t", text, got, want)
		}
	})
}

func FuzzFilter(f *testing.F) {
	for _, text := range []string{`given eq "peter" and birthdate ge 2014-10-10`, `not (a eq b) or c[d eq e].f pr true`, `_has:Observation:patient:code eq c`, `patient[organization[name eq acme].name sw a].gender eq female`} {
		f.Add(text)
	}
	r := testRegistry(f)
	f.Fuzz(func(t *testing.T, text string) {
		request, err := r.Parse([]string{"Observation"}, "_filter="+escape(text), ParseOptions{})
		if err == nil && len(request.Query.Where) == 0 {
			t.Errorf("%q selects everything", text)
		}
	})
}
