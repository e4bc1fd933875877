package search

import (
	"fmt"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
)

// TestContainedEntries: the entries of contained resources are those they would
// have alone, under names of their own, and put nothing into a compartment.
func TestContainedEntries(t *testing.T) {
	inner := []string{
		`{"resourceType":"Medication","id":"m","code":{"coding":[{"system":"http://rx.example","code":"1"}],"text":"Aspirin"}}`,
		`{"resourceType":"Medication","id":"n","code":{"coding":[{"system":"http://rx.example","code":"2"}]}}`,
		`{"resourceType":"Provenance","id":"p","target":[{"reference":"Patient/other"}]}`,
		`{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/third"},"hasMember":[{"reference":"#m"}],"valueQuantity":{"value":1,"system":"http://unitsofmeasure.org","code":"g"}}`,
	}
	outer := func(contained string) string {
		return `{"resourceType":"MedicationRequest","id":"r","subject":{"reference":"Patient/own"},"medicationReference":{"reference":"#m"}` + contained + `}`
	}
	r := testRegistry(t)
	plain, _, err := r.Index([]byte(outer("")))
	if err != nil {
		t.Fatal(err)
	}
	entries, patients, err := r.Index([]byte(outer(`,"contained":[` + strings.Join(inner, ",") + `]`)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(patients, " ") != "own" {
		t.Errorf("compartments of %q", patients)
	}
	want := map[string]bool{}
	for _, e := range plain {
		want[e.String()] = true
	}
	for _, doc := range inner {
		alone, _, err := r.Index([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		typ := decode(t, doc).Str("resourceType")
		for _, e := range alone {
			if e.Param != compartments.Name {
				want["#"+typ+"."+e.String()] = true
			}
		}
	}
	last := ""
	for _, e := range entries {
		if e.Param < last {
			t.Errorf("%s stands behind %s", e.Param, last)
		}
		last = e.Param
		if !want[e.String()] && e.Param != contentParam {
			t.Errorf("an entry too many: %s", e)
		}
		delete(want, e.String())
	}
	for e := range want {
		t.Errorf("missing: %s", e)
	}
}

// TestContainedEntriesCount: what is contained counts for the limit of its
// container, and words never do.
func TestContainedEntriesCount(t *testing.T) {
	resource := func(each int, text string) []byte {
		var list []string
		for i := range 2 {
			var ids []string
			for j := range each {
				ids = append(ids, fmt.Sprintf(`{"value":"%d-%d"}`, i, j))
			}
			list = append(list, fmt.Sprintf(`{"resourceType":"Basic","id":"b%d","text":{"div":%q},"identifier":[%s]}`, i, text, strings.Join(ids, ",")))
		}
		return []byte(`{"resourceType":"Basic","contained":[` + strings.Join(list, ",") + `]}`)
	}
	r := testRegistry(t)
	if _, _, err := r.Index(resource(maxEntries/4+10, "x")); fhir.KindOf(err) != fhir.TooLarge {
		t.Errorf("beyond the limit: %v", err)
	}
	var words strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&words, "w%d ", i)
	}
	entries, _, err := r.Index(resource(maxEntries/4-10, words.String()))
	if err != nil || len(entries) > maxEntries {
		t.Errorf("within the limit but for words: %d entries, %v", len(entries), err)
	}
}
