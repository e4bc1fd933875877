package search

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// criteriaOf draws criteria of observations, with modifiers, chains and _has.
func criteriaOf() *rapid.Generator[[]string] {
	value := rapid.SampledFrom([]string{"a", "B c", "1", "http://x|y", `a\\,b`, "é", "a,b"})
	leaf := rapid.SampledFrom([]string{
		"code", "code:not", "code:text", "status", "identifier", "identifier:not", "subject:Patient", "subject:identifier", "value-string:contains", "value-string:exact",
		"subject:Patient.name", "subject:Patient.family:exact", "subject.identifier", "performer.organization.name", "subject:Patient.link.name:contains",
		"_has:DiagnosticReport:result:code", "_has:Observation:has-member:code:not", "_has:AuditEvent:entity:_has:Provenance:target:agent.name", "subject:Patient._has:Group:member:code",
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		name := leaf.Draw(t, "name")
		if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
			return name + ":missing=true"
		}
		return name + "=" + escape(value.Draw(t, "value"))
	}), 0, 5)
}

// TestGrammarProperties: the self link is the same search, the order of criteria
// does not count, and different criteria are different queries.
func TestGrammarProperties(t *testing.T) {
	r := testRegistry(t)
	opts := ParseOptions{Base: testBase, Lookup: testLookup{}}
	read := func(query string) (*Request, error) { return r.Parse([]string{"Observation"}, query, opts) }
	understood := 0
	rapid.Check(t, func(t *rapid.T) {
		criteria := criteriaOf().Draw(t, "criteria")
		results := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
			"_include=Observation:subject", "_include:iterate=Patient:link", "_revinclude=Provenance:target", "_count=7", "_sort=-date", "_total=none", "_summary=data", "_elements=code",
		}), 0, 4, rapid.ID).Draw(t, "results")
		query := strings.Join(slices.Concat(results, criteria), "&")
		request, err := read(query)
		if err != nil {
			return // a modifier behind a modifier, a value that cannot be read
		}
		understood++
		again, err := read(request.Self)
		if err != nil || again.Self != request.Self || again.Query.Identity != request.Query.Identity || !slices.Equal(again.Includes, request.Includes) ||
			shape(again.Query.Where) != shape(request.Query.Where) || again.Summary != request.Summary {
			t.Fatalf("%s: self %q is another search, error %v", query, request.Self, err)
		}
		shuffled := rapid.Permutation(criteria).Draw(t, "order")
		other, err := read(strings.Join(slices.Concat(shuffled, results), "&"))
		if err != nil || other.Criteria != request.Criteria || other.Query.Identity != request.Query.Identity {
			t.Fatalf("%s: the order counts: %q, %q, error %v", query, other.Criteria, request.Criteria, err)
		}
		alone, err := read(request.Criteria)
		if err != nil || alone.Criteria != request.Criteria || alone.Joined() != request.Joined() {
			t.Fatalf("%s: the criteria are %q, error %v", query, request.Criteria, err)
		}
		if joins := strings.Contains(query, "_has") || slices.ContainsFunc(criteria, func(c string) bool {
			name, _, _ := strings.Cut(c, "=")
			return strings.Contains(name, ".")
		}); joins != request.Joined() {
			t.Fatalf("%s: joined %t", query, request.Joined())
		}
		more, err := read(query + "&code=another")
		if err != nil || more.Query.Identity == request.Query.Identity || more.Criteria == request.Criteria {
			t.Fatalf("%s: one criterion more is the same query", query)
		}
	})
	if understood < 20 {
		t.Errorf("only %d of the queries were understood", understood)
	}
}

// TestIdentitiesOfTheGrammar: queries that differ in one word differ.
func TestIdentitiesOfTheGrammar(t *testing.T) {
	w := newWorld(t)
	seen := map[string]string{}
	for _, query := range []string{
		"code=a", "code:not=a", "code:text=a", "code:missing=true", "code:missing=false", "subject=a", "subject:Patient=a", "subject:Group=a", "subject:identifier=a",
		"subject.name=a", "subject:Patient.name=a", "subject:Patient.name:exact=a", "subject:Patient.given=a", "patient.name=a", "subject:Patient.link.name=a",
		"_has:DiagnosticReport:result:code=a", "_has:DiagnosticReport:result:status=a", "_has:Observation:has-member:code=a", "_list=42", "_list=none", "_text=a", "_content=a",
		"_filter=code eq a", "_contained=true&code=a", "_contained=both&code=a", "code:in=ValueSet/cardiac", "code:not-in=ValueSet/cardiac", "code:below=http://snomed.info/sct|22298006",
	} {
		request, err := parse(t, "Observation", query, w.options())
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if other := seen[request.Query.Identity]; other != "" {
			t.Errorf("%s has the identity of %s", query, other)
		}
		seen[request.Query.Identity] = query
	}
	for _, query := range []string{"_include=Observation:subject", "_summary=data", "_elements=id", "_explain=true", "_pretty=true"} {
		opts := w.options()
		opts.Explain = true
		request, err := parse(t, "Observation", "code=a&"+query, opts)
		if err != nil || seen[request.Query.Identity] != "code=a" || request.Criteria != "code=a" || !strings.HasSuffix(request.Self, query) {
			t.Errorf("%s: criteria %q, self %q, error %v", query, request.Criteria, request.Self, err)
		}
	}
}
