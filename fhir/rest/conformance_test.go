package rest

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/internal/golden"
)

// The tests that show what works, by what it is. TestReferenceConformance derives
// the names on the left from the tables that serve requests: one without a test
// fails it.

// typeTests are the tests of parameter types.
var typeTests = map[search.Type]string{
	search.TypeNumber: "search TestNumberTruth", search.TypeDate: "search TestDateTruth", search.TypeString: "search TestSearches",
	search.TypeToken: "search TestSearches", search.TypeReference: "search TestSearches", search.TypeComposite: "search TestSearches",
	search.TypeQuantity: "search TestQuantityTruth", search.TypeURI: "search TestSearches", search.TypeSpecial: "search TestNear",
}

// prefixTests are those of all prefixes of a type.
var prefixTests = map[search.Type]string{
	search.TypeNumber: "search TestNumberTruth", search.TypeDate: "search TestDateTruth", search.TypeQuantity: "search TestQuantityTruth",
}

// modifierTests are those of a modifier for a type of parameters.
var modifierTests = map[string]string{
	"missing": "search TestMissing", "string exact": "search TestStringModifiers", "string contains": "search TestStringModifiers",
	"string text": "search TestStringModifiers", "token text": "search TestTokenModifiers", "token not": "search TestTokenModifiers",
	"token in": "rest TestValueSets", "token not-in": "rest TestValueSets", "token above": "rest TestSubsumption", "token below": "rest TestSubsumption",
	"token of-type": "search TestTokenModifiers", "reference identifier": "search TestReferenceModifiers", "reference above": "rest TestHierarchies",
	"reference below": "rest TestHierarchies", "uri above": "search TestURIModifiers", "uri below": "search TestURIModifiers",
}

// wordTests are those of words that are no parameters of a resource, and of those
// that shape the answer.
var wordTests = map[string]string{
	"_contained": "rest TestContained", "_containedType": "rest TestContained", "_content": "search TestTextQueries", "_count": "rest TestPagesHoldEachMatchOnce",
	"_cursor": "rest TestPagesBack", "_elements": "rest TestSearch", "_explain": "rest TestExplain", "_filter": "search TestFilter", "_format": "rest TestFormats",
	"_has": "search TestChains", "_include": "rest TestIncludes", "_list": "rest TestLists", "_pretty": "rest TestFormChoosesTheFormat", "_revinclude": "rest TestIncludes",
	"_sort": "rest TestPagesBack", "_summary": "rest TestSummaries", "_text": "search TestTextQueries", "_total": "rest TestPagesBack", "_type": "rest TestSearch",
	"_id": "rest TestSearch", "_lastUpdated": "search TestLastUpdated", "_profile": "search TestURIModifiers", "_security": "search TestSearches",
	"_source": "search TestURIModifiers", "_tag": "search TestSearches",
}

// interactionTests are those of a row of the table.
var interactionTests = map[string]string{
	"read": "rest TestInteractions", "vread": "rest TestInteractions", "update": "rest TestInteractions", "patch": "rest TestPatch",
	"delete": "rest TestInteractions", "create": "rest TestInteractions", "search-type": "rest TestSearch", "search-system": "rest TestSearch",
	"capabilities": "rest TestEveryClaimIsTrue", "batch": "rest TestTransaction", "history-instance": "rest TestHistoryAt", "history-type": "rest TestHistoryAt",
	"history-system": "rest TestHistoryAt", "delete /:type/:id/_history": "rest TestEraseHistory", "in a compartment": "rest TestCompartments",
}

// operationTests are those of an operation.
var operationTests = map[string]string{
	"everything": "rest TestEverythingInPages", "status": "rest TestASearchParametersLife", "lastn": "rest TestLastNGroups", "stats": "rest TestOperations",
	"meta": "rest TestMetaInUse", "meta-add": "rest TestMetaChanges", "meta-delete": "rest TestMetaChanges", "validate": "rest TestOperations",
}

// without are parts of R4's REST API that are not offered, each with its reason.
var without = [][2]string{
	{"the link `last`", "the number of the last page is known only after counting everything"},
	{"`_query`", "there are no named queries"},
	{"`_sort=_score`", "a score is worked out for the matches of a page, not for all of them"},
	{"functional lists, such as `_list=$current-problems`", "nobody keeps them; stored Lists and Groups are searched"},
	{"`_list` and `_sort` of a history", "a history has the newest versions first, and no stored list of versions"},
	{"chains and `_has` over canonical URLs", "they name a definition, of which there may be several versions; search by the URL"},
	{"chains and `_has` in conditional interactions", "a condition must hold at the moment of the commit, and the other resources could change"},
	{"`:in` over a value set that draws on codes not stored here", "the answer would be a part of the truth; the error says which code system is missing"},
	{"`:above` and `:below` of types without a parent", "no parameter names what a Patient or an Observation is a part of"},
	{"`_include` and `_revinclude` with `_contained`", "what is contained has no address to refer to or from"},
	{"`_sort` and chains with `_contained`", "what is contained has entries under its container, without an order of its own"},
	{"GraphQL, messages, documents by `$document`", "not part of this server"},
}

// TestReferenceConformance keeps docs/reference/rest-conformance.md as the tables
// have it. Run it with -update after a change.
func TestReferenceConformance(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Explain, c.HistoryDelete = true, true })
	tests := testsOf(t)
	var page strings.Builder
	row := func(what, test string) {
		t.Helper()
		pkg, name, _ := strings.Cut(test, " ")
		if !tests[pkg][name] {
			t.Errorf("%s: there is no test %q", what, test)
		}
		fmt.Fprintf(&page, "| %s | yes | `fhir/%s` %s |\n", what, pkg, name)
	}
	head := func(title string) {
		fmt.Fprintf(&page, "\n## %s\n\n| what | offered | test |\n|---|---|---|\n", title)
	}
	page.WriteString(`# REST conformance

<!-- Written by "make docs" from the tables of fhir/rest and fhir/search. -->

What of R4's REST API (https://hl7.org/fhir/R4/http.html, https://hl7.org/fhir/R4/search.html) this server offers, and the test that shows it. The
rows come from the tables that serve requests; one without a test fails the build. TestEveryClaimIsTrue asks the server for each thing that its
CapabilityStatement claims, TestLeaks asks for all of it with random requests of a caller limited to a patient.
`)
	head("Parameter types")
	used := make(map[search.Type]map[string]bool) // modifiers by type
	for _, typ := range resource.Types() {
		for _, p := range a.server.registry().Params(typ) {
			if used[p.Type] == nil {
				used[p.Type] = make(map[string]bool)
			}
			for _, modifier := range p.Modifiers() {
				used[p.Type][modifier] = true
			}
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(used)) {
		row(string(typ), typeTests[typ])
		if prefixes := typ.Prefixes(); len(prefixes) > 0 {
			row(string(typ)+": prefixes `"+strings.Join(prefixes, " ")+"`", prefixTests[typ])
		}
		for _, modifier := range slices.Sorted(maps.Keys(used[typ])) {
			row(fmt.Sprintf("%s: `:%s`", typ, modifier), cmp.Or(modifierTests[string(typ)+" "+modifier], modifierTests[modifier]))
		}
		if typ == search.TypeReference {
			row("reference: `:[type]`", "search TestReferenceModifiers")
			row("reference: chains of any depth up to 8, over several types", "search TestChains")
		}
	}
	head("Other criteria, and parameters of the answer")
	for _, name := range knownWords(t, a) {
		row("`"+name+"`", wordTests[name])
	}
	row("`:iterate` of `_include` and `_revinclude`", "rest TestIncludes")
	row("`_include` and `_revinclude` by canonical URL", "rest TestCanonicalIncludes")
	row("links `self`, `first`, `previous`, `next`", "rest TestPagesBack")
	row("scores of matches", "search TestScore")
	row("`Prefer: handling=lenient`", "rest TestSearch")
	row("search parameters that clients define", "rest TestASearchParametersLife")
	head("Interactions")
	for _, r := range a.server.table {
		if r.Operation != "" {
			continue
		}
		test := interactionTests[r.Code]
		if r.Compartment != "" {
			test = interactionTests["in a compartment"]
		}
		test = cmp.Or(interactionTests[strings.ToLower(r.Method)+" "+r.Path], test)
		row(fmt.Sprintf("%s: `%s [base]%s`", strings.Trim(r.Code+", "+r.Also, ", "), r.Method, bracketed(r.Path)), test)
	}
	row("conditional read, create, update, patch and delete", "rest TestInteractions")
	row("references kept whole, by a setting", "rest TestReferencesAtTheCommit")
	head("Operations")
	for _, r := range a.server.table {
		if r.Operation != "" {
			row(fmt.Sprintf("`%s [base]%s`", r.Method, bracketed(r.Path)), operationTests[r.Operation])
		}
	}
	page.WriteString("\nThe [genomic operations](genomic-operations.md) are served beside these.\n\n## Not offered\n\n| what | reason |\n|---|---|\n")
	for _, pair := range without {
		fmt.Fprintf(&page, "| %s | %s |\n", pair[0], pair[1])
	}
	golden.Text(t, filepath.Join("..", "..", "docs", "reference", "rest-conformance.md"), []byte(page.String()))
}

// bracketed writes a path of a row as R4 does: [type] for :type.
func bracketed(path string) string {
	return regexp.MustCompile(`:(\w+)`).ReplaceAllString(path, "[$1]")
}

// knownWords asks the server which words with a leading underscore it knows.
func knownWords(t *testing.T, a *api) []string {
	t.Helper()
	told := a.do(call{method: "GET", path: "/Patient?nonsense=1"}).Body.String()
	_, list, found := strings.Cut(told, "Known are: ")
	if !found {
		t.Fatalf("the error lists nothing: %s", told)
	}
	list, _, _ = strings.Cut(list, `"`)
	var words []string
	for name := range strings.SplitSeq(list, ", ") {
		if strings.HasPrefix(name, "_") {
			words = append(words, name)
		}
	}
	slices.Sort(words)
	return words
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsOf returns the names of the tests of the packages of searches.
func testsOf(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := make(map[string]map[string]bool)
	for _, pkg := range []string{"rest", "search"} {
		files, err := filepath.Glob(filepath.Join("..", pkg, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests of %s: %v", pkg, err)
		}
		all[pkg] = make(map[string]bool)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range testFunction.FindAllSubmatch(text, -1) {
				all[pkg][string(match[1])] = true
			}
		}
	}
	return all
}
