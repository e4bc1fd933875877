package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
)

func parse(t testing.TB, types, query string, opts ParseOptions) (*Request, error) {
	t.Helper()
	return testRegistry(t).Parse(strings.Fields(types), query, opts)
}

func mustParse(t testing.TB, types, query string) *Request {
	t.Helper()
	request, err := parse(t, types, query, ParseOptions{})
	if err != nil {
		t.Fatalf("%s?%s: %v", types, query, err)
	}
	return request
}

func TestParse(t *testing.T) {
	tests := []struct {
		types, query string
		criteria     string
		self         string
		clauses      int
		count        int
		total        Total
	}{
		{"Patient", "", "", "", 0, 20, TotalCheap},
		{"Patient", "&&name=ada&", "name=ada", "name=ada", 1, 20, TotalCheap},
		{"Patient", "name=ada&_count=5", "name=ada", "name=ada&_count=5", 1, 5, TotalCheap},
		{"Patient", "_count=5000", "", "_count=1000", 0, 1000, TotalCheap},
		{"Patient", "_count=18446744073709551", "", "_count=1000", 0, 1000, TotalCheap},
		{"Patient", "_count=0&gender=male", "gender=male", "gender=male&_count=0", 1, 0, TotalAccurate},
		{"Patient", "_summary=count", "", "_summary=count", 0, 0, TotalAccurate},
		{"Patient", "_summary=count&_total=none", "", "_summary=count&_total=none", 0, 0, TotalAccurate},
		{"Patient", "_summary=false", "", "_summary=false", 0, 20, TotalCheap},
		{"Patient", "_summary=true", "", "_summary=true", 0, 20, TotalCheap},
		{"Patient", "_summary=text", "", "_summary=text", 0, 20, TotalCheap},
		{"Patient", "_summary=data", "", "_summary=data", 0, 20, TotalCheap},
		{"Patient", "name:exact=Ada&link.name=b&_has:Group:member:code=c&_include=Patient:link", "_has:Group:member:code=c&link.name=b&name:exact=Ada", "name:exact=Ada&link.name=b&_has:Group:member:code=c&_include=Patient:link", 3, 20, TotalCheap},
		{"Patient", "_total=none", "", "_total=none", 0, 20, TotalNone},
		{"Patient", "_total=estimate", "", "_total=estimate", 0, 20, TotalCheap},
		{"Patient", "_total=accurate", "", "_total=accurate", 0, 20, TotalAccurate},
		{"Patient", "name=b&gender=male&name=a", "gender=male&name=a&name=b", "name=b&gender=male&name=a", 3, 20, TotalCheap},
		{"Patient", "identifier=http%3A%2F%2Fa%7Cb+c", "identifier=http://a%7Cb+c", "identifier=http://a%7Cb+c", 1, 20, TotalCheap},
		{"Patient", "na%6De=%C3%85sa", "name=%C3%85sa", "name=%C3%85sa", 1, 20, TotalCheap},
		{"", "_type=Patient,Observation&_id=1", "_id=1", "_id=1&_type=Patient,Observation", 1, 20, TotalCheap},
		{"", "_lastUpdated=gt2020", "_lastUpdated=gt2020", "_lastUpdated=gt2020", 1, 20, TotalCheap},
		{"", "_type=Observation,Condition&patient=p1", "patient=p1", "patient=p1&_type=Observation,Condition", 1, 20, TotalCheap},
		{"Patient", "_cursor=abc&_pretty=true&_format=json", "", "_pretty=true&_format=json", 0, 20, TotalCheap},
	}
	for _, test := range tests {
		request := mustParse(t, test.types, test.query)
		q := request.Query
		if request.Criteria != test.criteria || request.Self != test.self || len(q.Where) != test.clauses || q.Count != test.count || q.Total != test.total {
			t.Errorf("%s?%s:\n got criteria %q, self %q, %d clauses, count %d, total %d\nwant criteria %q, self %q, %d clauses, count %d, total %d", test.types, test.query,
				request.Criteria, request.Self, len(q.Where), q.Count, q.Total, test.criteria, test.self, test.clauses, test.count, test.total)
		}
	}
}

func TestParseResultParameters(t *testing.T) {
	request := mustParse(t, "Observation", "_elements=code,valueQuantity&_format=application/fhir%2Bjson&_pretty=true&_cursor=c1&_summary=false&_sort=-date,code,_id")
	if !slices.Equal(request.Elements, []string{"code", "valueQuantity"}) || request.Format != "application/fhir+json" || !request.Pretty ||
		request.Query.Cursor != "c1" || request.Summary != "false" {
		t.Errorf("%+v", request)
	}
	want := []struct {
		param string
		class byte
		desc  bool
	}{{"date", classDateHigh, true}, {"code", classTokenCode, false}, {"_id", classTokenCode, false}}
	for i, s := range request.Query.Sort {
		if s.Param != want[i].param || s.Desc != want[i].desc || string(s.Range.From) != string([]byte{want[i].class}) || string(s.Range.To) != string([]byte{want[i].class + 1}) {
			t.Errorf("sort key %d: %+v, want %+v", i, s, want[i])
		}
	}
	if len(request.Query.Sort) != len(want) {
		t.Errorf("%d sort keys", len(request.Query.Sort))
	}
}

// TestSortClasses sorts by a parameter of each type and checks that resources
// have exactly one class of entries in the range.
func TestSortClasses(t *testing.T) {
	docs := ownResources(t)
	for _, test := range []struct{ doc, key string }{
		{"observation-laboratory", "date"},
		{"observation-laboratory", "-date"},
		{"observation-laboratory", "value-quantity"},
		{"observation-laboratory", "-value-quantity"},
		{"observation-laboratory", "code"},
		{"observation-laboratory", "-patient"},
		{"risk-assessment", "probability"},
		{"risk-assessment", "-probability"},
		{"patient", "family"},
		{"patient", "-family"},
		{"patient", "_id"},
		{"value-set", "url"},
		{"patient", "birthdate"},
	} {
		root := decode(t, string(docs[test.doc]))
		request := mustParse(t, root.Str("resourceType"), "_sort="+test.key)
		entries, _, err := testRegistry(t).Extract(root)
		if err != nil {
			t.Fatal(err)
		}
		s := request.Query.Sort[0]
		found := false
		for _, e := range entries {
			if e.Param == s.Param && s.Range.Contains(e.Value) {
				found = true
				if e.Value[0] != s.Range.From[0] {
					t.Errorf("_sort=%s: %s is in the range", test.key, e)
				}
			}
		}
		if !found {
			t.Errorf("_sort=%s: %s has no entry to sort by", test.key, test.doc)
		}
	}
}

// TestExplain: _explain is known where it is allowed.
func TestExplain(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "false": false} {
		r, err := parse(t, "Patient", "name=a&_explain="+value, ParseOptions{Explain: true})
		if err != nil || r.Query.Explain != want || r.Self != "name=a&_explain="+value {
			t.Errorf("%s: %t, self %q, error %v", value, r.Query.Explain, r.Self, err)
		}
	}
	if _, err := parse(t, "Patient", "_explain=1", ParseOptions{Explain: true}); err == nil || !strings.Contains(err.Error(), "neither true nor false") {
		t.Errorf("_explain=1: %v", err)
	}
	if r, err := parse(t, "Patient", "_explain=true", ParseOptions{Lenient: true}); err != nil || r.Query.Explain || len(r.Ignored) != 1 {
		t.Errorf("not allowed and lenient: %+v, error %v", r, err)
	}
}

// TestScoredWords: words of the search's own full-text parameters are for the
// score, those of other resources are not.
func TestScoredWords(t *testing.T) {
	for query, want := range map[string]string{
		"_content=Chest pain&_text=pain": "chest pain", "name=pain": "", "link:Patient._content=pain": "", "_has:Observation:patient:_content=pain": "",
		"_content:missing=false": "",
	} {
		if got := strings.Join(mustParse(t, "Patient", query).Text, " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	many := func(n int, value string) string { return strings.TrimSuffix(strings.Repeat(value+",", n), ",") }
	tests := []struct {
		types, query string
		kind         fhir.Kind
		says         string
	}{
		// Unknown parameters: with the valid names, near ones first.
		{"Patient", "nam=ada", fhir.Invalid, `"nam" is not a search parameter of Patient (did you mean "name"?). Known are: name, `},
		{"Patient", "birthDate=2000", fhir.Invalid, `did you mean "birthdate"?`},
		{"Observation", "name=ada", fhir.Invalid, `"name" is not a search parameter of Observation`},
		{"Patient", "_coutn=2", fhir.Invalid, `did you mean "_count"?`},
		{"", "name=ada", fhir.Invalid, "a search of the whole system can name types with _type"},
		{"", "_type=Patient,Observation&code=1", fhir.Invalid, "of all types searched"},
		{"", "_type=Patient,Observations", fhir.Invalid, `did you mean "Observation"?`},
		{"", "_type=Patient&_type=Observation", fhir.Invalid, "_type can be used once"},
		{"Patient", "_type=Patient", fhir.Invalid, "where the URL names no type"},
		{"Patience", "name=ada", fhir.Invalid, `"Patience" is not a resource type`},
		{"Patient", "_compartment=Patient/1", fhir.Invalid, "is not a search parameter"},
		{"Patient", "=x", fhir.Invalid, `"" is not a search parameter`},
		{"Patient", "name.given=ada", fhir.Invalid, "name is a string parameter: only behind references"},

		// Known and not built, or not without stored resources.
		{"Patient", "_query=x", fhir.NotSupported, "_query"},
		{"Patient", "_score=x", fhir.NotSupported, "_score"},
		{"Patient", "_list=42", fhir.NotSupported, "stored resources"},
		{"Patient", "_list=$current-allergies", fhir.NotSupported, "stored resources"},
		{"Observation", "code:in=http://x", fhir.NotSupported, "stored resources"},
		{"Patient", "_sort=_score", fhir.NotSupported, "_score"},
		{"Patient", "_explain=true", fhir.Invalid, "is not a search parameter"},

		// Modifiers that R4 does not have, or not there.
		{"Patient", "name:exakt=Ada", fhir.Invalid, `"exakt" is not a modifier of name, a string parameter. It has: exact, `},
		{"Patient", "birthdate:exact=2000", fhir.Invalid, "It has: missing"},
		{"Observation", "code:Patient=1", fhir.Invalid, "is not a modifier"},
		{"Observation", "code:=1", fhir.Invalid, "is not a modifier"},
		{"Observation", "code-value-quantity:missing=true", fhir.Invalid, "takes no modifier"},
		{"Patient", "_count:exact=1", fhir.Invalid, "takes no modifier"},

		// Bad values, each with its reason.
		{"Patient", "birthdate=01/02/2000", fhir.Invalid, `parameter birthdate: "01/02/2000" is not a date`},
		{"Patient", "birthdate=gte2000", fhir.Invalid, "is not a date"},
		{"Patient", "birthdate=2000,", fhir.Invalid, "a value is empty"},
		{"Patient", "gender=", fhir.Invalid, "gender has no value"},
		{"Patient", "gender", fhir.Invalid, "gender has no value"},
		{"Patient", "gender=male,,female", fhir.Invalid, "a value is empty"},
		{"Patient", "gender=|", fhir.Invalid, "needs a code or a system"},
		{"Patient", "identifier=a|b|c", fhir.Invalid, "a token is written"},
		{"Patient", "active=yes", fhir.Invalid, `"yes" is neither true nor false`},
		{"Patient", "name=---", fhir.Invalid, "no letter or digit"},
		{"Patient", "name=" + strings.Repeat("x", maxPrefixText+1), fhir.Invalid, "longer than"},
		{"Patient", "organization=#x", fhir.Invalid, "is not a reference"},
		{"Patient", "organization=Organisation/1", fhir.Invalid, "with a type that exists"},
		{"Patient", "organization=Organization?name=x", fhir.Invalid, "is not a reference"},
		{"RiskAssessment", "probability=high", fhir.Invalid, "is not a number"},
		{"RiskAssessment", "probability=1e9999999999", fhir.Invalid, "is not a number"},
		{"Observation", "value-quantity=5.4|mg", fhir.Invalid, "a quantity is written"},
		{"Observation", "value-quantity=5.4|http://unitsofmeasure.org|", fhir.Invalid, "a quantity is written"},
		{"Observation", "value-quantity=|http://unitsofmeasure.org|mg", fhir.Invalid, "is not a number"},
		{"Observation", "code-value-quantity=1234", fhir.Invalid, "takes 2 values joined by $: code$value-quantity"},
		{"Observation", "code-value-quantity=$3", fhir.Invalid, "a part of the value is empty"},
		{"Observation", "code-value-quantity=a$", fhir.Invalid, "a part of the value is empty"},
		{"Observation", "code-value-quantity=a$b", fhir.Invalid, `"b" is not a number`},
		{"Observation", "code-value-quantity=a$1$2", fhir.Invalid, "takes 2 values"},
		{"Patient", "_count=ten", fhir.Invalid, `_count: "ten"`},
		{"Patient", "_count=-1", fhir.Invalid, `_count: "-1"`},
		{"Patient", "_count=", fhir.Invalid, `_count: ""`},
		{"Patient", "_count=1&_count=2", fhir.Invalid, "_count can be given only once"},
		{"Patient", "_total=maybe", fhir.Invalid, "none, estimate, accurate"},
		{"Patient", "_summary=all", fhir.Invalid, "true, text, data, count, false"},
		{"Patient", "_pretty=1", fhir.Invalid, "neither true nor false"},
		{"Patient", "_elements=a.b", fhir.Invalid, "_elements"},
		{"Patient", "_cursor=", fhir.Invalid, "_cursor is empty"},
		{"Patient", "_sort=nam", fhir.Invalid, `_sort: "nam" is not a search parameter of Patient (did you mean "name"?)`},
		{"Patient", "_sort=", fhir.Invalid, "_sort"},
		{"Patient", "_sort=_type", fhir.Invalid, "_type is no parameter of resources"},
		{"Patient", "_sort=-_list", fhir.Invalid, "_list is no parameter of resources"},
		{"Patient", "_sort=link.name", fhir.Invalid, "without chains and modifiers"},
		{"Patient", "_sort=name:exact", fhir.Invalid, "without chains and modifiers"},
		{"Patient", "_sort=_content", fhir.Invalid, "has no order"},
		{"Location", "_sort=near", fhir.Invalid, "has no order"},
		{"Observation", "_sort=code-value-quantity", fhir.Invalid, "has no order"},
		{"Patient", "name=%zz", fhir.Invalid, "not a well-formed part"},
		{"Patient", "name=%ff", fhir.Invalid, "not a well-formed part"},
		{"Patient", "name=%00", fhir.Invalid, "not a well-formed part"},

		// Limits.
		{"Patient", "name=" + strings.Repeat("x", MaxQueryBytes), fhir.TooLarge, "longer than"},
		{"Patient", "_id=" + many(MaxValues+1, "a"), fhir.TooLarge, "more than 1000 values"},
		{"Patient", strings.Repeat("name=a&", MaxCriteria+1), fhir.TooLarge, "64 parameters"},
		{"Observation", "focus=" + many(MaxValues, "a"), fhir.TooLarge, "write references as Type/id"},
		{"Patient", "_sort=" + many(maxSortKeys+1, "name"), fhir.TooLarge, "8 keys"},
	}
	for _, test := range tests {
		_, err := parse(t, test.types, test.query, ParseOptions{})
		if err == nil || fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s?%s:\n got %v (kind %d)\nwant kind %d saying %q", test.types, fhir.Clip(test.query), err, fhir.KindOf(err), test.kind, test.says)
		}
	}
}

// TestAllFaultsAtOnce: a client hears of every parameter that is wrong.
func TestAllFaultsAtOnce(t *testing.T) {
	tests := []struct {
		query string
		kind  fhir.Kind
		want  []string // code and a part of the message of each issue
	}{
		{"nmae=x&birthdate=soon&gender=male&_count=x", fhir.Invalid, []string{" did you mean \"name\"", " birthdate", " _count"}},
		{"_query=x&_list=42", fhir.NotSupported, []string{" _query", " stored resources"}},
		{"foo=1&_query=1", fhir.Invalid, []string{" foo", "not-supported _query"}},
		{"foo=1&bar=2", fhir.Invalid, []string{" Known are: ", " bar"}},
		{"foo.bar=1&foo=2", fhir.Invalid, []string{" Known are: ", " foo"}},
		{strings.Repeat("foo=1&", 1000), fhir.Invalid, slices.Repeat([]string{" foo"}, 20)},
	}
	for _, test := range tests {
		_, err := parse(t, "Patient", test.query, ParseOptions{})
		var got *fhir.Error
		if !errors.As(err, &got) || got.Kind != test.kind || len(got.Issues) != len(test.want) {
			t.Errorf("%.60s: %v, want kind %d and %d issues", test.query, err, test.kind, len(test.want))
			continue
		}
		for i, want := range test.want {
			code, text, _ := strings.Cut(want, " ")
			if issue := got.Issues[i]; issue.Code != code || !strings.Contains(issue.Message, text) {
				t.Errorf("%.60s: issue %d is %q %q, want %q", test.query, i, issue.Code, issue.Message, want)
			}
		}
		if n := strings.Count(fmt.Sprint(got.Issues), "Known are"); n > 1 {
			t.Errorf("%.60s: the names are listed %d times", test.query, n)
		}
	}
}

// TestHints: a hint must look like what it stands for.
func TestHints(t *testing.T) {
	for name, want := range map[string]string{"nam": "name", "brithdate": "birthdate", "Gender": "gender", "_language": "language", "foo": "", "x": "", "": "", "near": ""} {
		_, err := parse(t, "Patient", name+"=1", ParseOptions{})
		if err == nil {
			t.Fatalf("%s is known", name)
		}
		_, got, _ := strings.Cut(err.Error(), "did you mean \"")
		if got, _, _ = strings.Cut(got, "\""); got != want {
			t.Errorf("%q: did you mean %q, want %q", name, got, want)
		}
	}
}

// TestLenient ignores what it may ignore, and says what it used.
// https://hl7.org/fhir/R4/search.html#errors
func TestLenient(t *testing.T) {
	request, err := parse(t, "Patient", "nam=ada&gender=female&_query=x&birthdate=&link.nam=x&_has:Observation:patient:cod=1", ParseOptions{Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"nam", "_query", "birthdate", "link.nam", "_has:Observation:patient:cod"}; !slices.Equal(request.Ignored, want) {
		t.Errorf("ignored %q, want %q", request.Ignored, want)
	}
	if request.Self != "gender=female" || len(request.Query.Where) != 1 {
		t.Errorf("self %q, %d clauses", request.Self, len(request.Query.Where))
	}
	// "Servers SHALL reject" a modifier they do not support, and a bad value
	// has no meaning to fall back to.
	for _, query := range []string{"name:exakt=Ada", "link.birthdate=soon", "_include=Patient:nam", "birthdate=soon", "_count=ten", "_sort=nam"} {
		if _, err := parse(t, "Patient", query, ParseOptions{Lenient: true}); err == nil {
			t.Errorf("%s is accepted", query)
		}
	}
}

// TestLenientWithManyUnknownNames: what is ignored costs next to nothing.
func TestLenientWithManyUnknownNames(t *testing.T) {
	few, many := strings.Repeat("nam=a&", maxProblems), strings.Repeat("nam=a&", 10_000)
	ask := func(query string) func() {
		return func() {
			request, err := parse(t, "Patient", query, ParseOptions{Lenient: true})
			if err != nil || len(request.Ignored) != strings.Count(query, "&") {
				t.Fatalf("%d of %d are ignored, error %v", len(request.Ignored), strings.Count(query, "&"), err)
			}
		}
	}
	each := testing.AllocsPerRun(1, ask(few)) / maxProblems
	if more := testing.AllocsPerRun(1, ask(many)) / 10_000; more > 15 || more > each {
		t.Errorf("%.1f allocations for each of many, %.1f for each of few", more, each)
	}
}

// TestIdentity compares searches that are the same and searches that are not.
func TestIdentity(t *testing.T) {
	same := [][2]string{
		{"name=a&gender=male", "gender=male&name=a"},
		{"name=a", "name=%61&_count=3&_cursor=x&_format=json&_pretty=true&_elements=id"},
		{"name=a", "name=a&_total=estimate"},
	}
	for _, pair := range same {
		a, b := mustParse(t, "Patient", pair[0]), mustParse(t, "Patient", pair[1])
		if a.Query.Identity != b.Query.Identity || a.Criteria != b.Criteria {
			t.Errorf("%s and %s differ", pair[0], pair[1])
		}
	}
	seen := map[string]string{}
	for _, query := range []string{
		"Patient?", "Person?", "Patient?name=a", "Person?name=a", "Patient?name=b", "Patient?name=a,b", `Patient?name=a\,b`, "Patient?name=a&name=b", "Patient?name=a%26name=b",
		"Patient?name=a&_sort=name", "Patient?name=a&_sort=-name", "Patient?name=a&_total=accurate", "Patient?name=a&_total=none", "?_id=1", "?_type=Patient&_id=1", "?_type=Patient,Person&_id=1",
	} {
		types, rest, _ := strings.Cut(query, "?")
		id := mustParse(t, types, rest).Query.Identity
		if seen[id] != "" {
			t.Errorf("%s has the identity of %s", query, seen[id])
		}
		seen[id] = query
	}
	if a, b := mustParse(t, "", "_type=Patient,Person"), mustParse(t, "", "_type=Person,Patient,Person"); a.Query.Identity != b.Query.Identity {
		t.Error("the order of _type counts")
	}
}

// TestConditionalCriteria: a conditional interaction must be able to see that
// nothing was asked for.
func TestConditionalCriteria(t *testing.T) {
	if r := mustParse(t, "Patient", "_count=5&_format=json"); len(r.Query.Where) != 0 || r.Criteria != "" {
		t.Errorf("result parameters select something: %q", r.Criteria)
	}
}

func TestTypesTogether(t *testing.T) {
	r := mustParse(t, "", "_type=Observation,Condition&patient=p1&_sort=-_lastUpdated")
	if !slices.Equal(r.Query.Types, []string{"Condition", "Observation"}) {
		t.Errorf("types %q", r.Query.Types)
	}
	// Targets of both types count.
	if r := mustParse(t, "", "_type=Observation,Condition&subject=x"); len(r.Query.Where[0].Ranges) != 4 { // Patient, Group, Device, Location
		t.Errorf("%d ranges", len(r.Query.Where[0].Ranges))
	}
	if _, err := parse(t, "", "_type=Observation,Questionnaire&date=2020", ParseOptions{}); err != nil {
		t.Errorf("date of two types: %v", err)
	}
	if _, err := parse(t, "", "_type=Encounter,Slot&status=x&identifier=y", ParseOptions{}); err != nil {
		t.Errorf("status of two types: %v", err)
	}
}

// TestNamesInErrors keeps the list of names honest.
func TestNamesInErrors(t *testing.T) {
	p := &parser{opts: ParseOptions{Explain: true}}
	for _, name := range p.resultNames() {
		if !p.isResult(name) {
			t.Errorf("%s is listed and not read", name)
		}
	}
	for name := range unbuilt {
		if slices.Contains(criterionNames, name) || p.isResult(name) {
			t.Errorf("%s is both built and not", name)
		}
	}
	for _, name := range criterionNames {
		if wholeReader(name) == nil {
			t.Errorf("%s is listed and not read", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"name=ada&birthdate=ge2000-01-01", "_sort=-birthdate,name&_count=10", "identifier=http://a|b,|c,d|", `name=a\,b\|c\$d\\e`, "_id=1,2,3&_total=accurate",
		"code-value-quantity=http://loinc.org|2339-0$gt5.4|http://unitsofmeasure.org|mg/dL", "value-quantity=ap5.40e-3||g", "date=2020-01-01T00:00:00.123+02:00",
		"subject=Patient/1/_history/2&patient=http://x/fhir/Patient/1", "chromosome-variant-coordinate=1$lt5$gt2", "%zz=1", "_include=*", "a:b.c=d", "_summary=count",
		"name:exact=Ada&given:contains=d&family:text=a b,c&gender:not=male&birthdate:missing=true", "code:in=http://hospital.example/ValueSet/cardiac&code:not-in=ValueSet/cardiac",
		"code:below=http://snomed.info/sct|22298006&_profile:below=http://x/y|1&_profile:above=http://x/y/z", "identifier:of-type=a|b|c&subject:identifier=a|b&subject:Patient=1",
		"subject:Patient.name=x&subject.organization.partof:Organization.name:exact=y", "_has:Observation:patient:_has:AuditEvent:entity:agent=1&link:Patient._has:Group:member:_id=2",
		"_include:iterate=Observation:subject:Patient&_revinclude=Provenance:*", "_contained=both&_containedType=contained&code=a&status=b", "_list=42&_explain=true&_text=a AND b",
		"_filter=name eq x or not (birthdate lt 2000)",
	} {
		f.Add("Observation", seed, false)
		f.Add("Patient", seed, true)
		f.Add("", seed, true)
	}
	r := testRegistry(f)
	f.Fuzz(func(t *testing.T, typ, query string, lenient bool) {
		var types []string
		if typ != "" {
			types = []string{typ}
		}
		opts := ParseOptions{Lenient: lenient, Base: testBase, Lookup: testLookup{}, Explain: true}
		request, err := r.Parse(types, query, opts)
		if err != nil {
			switch fhir.KindOf(err) {
			case fhir.Invalid, fhir.NotSupported, fhir.TooLarge, fhir.Timeout:
				return
			}
			t.Fatalf("%v", err)
		}
		if n := checkClauses(t, request.Query.Where, 0); n > 3*MaxClauses {
			t.Fatalf("%s: %d clauses", query, n)
		}
		if request.Containers != nil {
			checkClauses(t, request.Containers.Where, 0)
		}
		opts.Lenient = false
		again, err := r.Parse(types, request.Self, opts)
		if err != nil {
			t.Fatalf("the self link %q is refused: %v", request.Self, err)
		}
		if again.Self != request.Self || again.Query.Identity != request.Query.Identity || again.Criteria != request.Criteria || len(again.Ignored) > 0 ||
			shape(again.Query.Where) != shape(request.Query.Where) || !slices.Equal(again.Includes, request.Includes) {
			t.Fatalf("the self link of %q is another search:\n%q\n%q", query, request.Self, again.Self)
		}
	})
}

// checkClauses checks what stores may rely on, and returns how many clauses
// there are.
func checkClauses(t *testing.T, where []Clause, depth int) int {
	t.Helper()
	n := len(where)
	if depth > 3*MaxDepth+100 {
		t.Fatal("too deep")
	}
	for _, c := range where {
		switch {
		case c.Any != nil:
			for _, list := range c.Any {
				n += checkClauses(t, list, depth+1)
			}
		case c.Join != nil:
			if c.Param == "" || len(c.Join.Types) == 0 || !slices.IsSorted(c.Join.Types) || len(c.Join.Where) == 0 {
				t.Fatalf("a bad join: %s", shape(where))
			}
			n += checkClauses(t, c.Join.Where, depth+1)
		case c.Param == "":
			t.Fatalf("a clause of no parameter: %s", shape(where))
		}
		for _, r := range c.Ranges {
			if len(r.From) == 0 || r.From[0] == 0 || r.To == nil && string(r.From) != string([]byte{classPresent}) {
				t.Fatalf("%s: a range over other classes: %x to %x", c.Param, r.From, r.To)
			}
			if r.Keep != nil {
				r.Keep(r.From) // must not panic on any value of the class
			}
		}
	}
	return n
}

func FuzzExtract(f *testing.F) {
	for _, doc := range ownResources(f) {
		f.Add(doc)
	}
	r := testRegistry(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		entries, _, err := r.Index(doc)
		if err != nil {
			switch fhir.KindOf(err) {
			case fhir.Invalid, fhir.TooLarge:
				return
			}
			t.Fatalf("%v", err)
		}
		for i, e := range entries {
			if len(e.Value) == 0 || len(e.Value) > maxEntryBytes {
				t.Fatalf("%d bytes: %s", len(e.Value), e)
			}
			if i > 0 && fmt.Sprintf("%s\x00%s", entries[i-1].Param, entries[i-1].Value) >= fmt.Sprintf("%s\x00%s", e.Param, e.Value) {
				t.Fatalf("%s is not behind %s", e, entries[i-1])
			}
		}
	})
}
