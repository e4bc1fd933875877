package search

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/starling-fhir/starling/fhir"
)

// verdict is one row of a truth table: whether a resource is found.
type verdict struct {
	doc, query string
	want       bool
}

// testTruth asks a table. docs are resources by a name of the table's.
func testTruth(t *testing.T, source string, docs map[string]string, rows []verdict) {
	t.Helper()
	asked := map[string]bool{}
	for _, row := range rows {
		doc, ok := docs[row.doc]
		if !ok {
			t.Fatalf("no resource %q", row.doc)
		}
		asked[row.doc] = true
		w := newWorld(t, doc)
		if got := len(w.find(t, w.keys[0].Type, row.query)) == 1; got != row.want {
			t.Errorf("%s on %s: %t, want %t by %s", row.query, row.doc, got, row.want, source)
		}
	}
	for name := range docs {
		if !asked[name] {
			t.Errorf("nothing is asked of %s", name)
		}
	}
}

// world is what is stored, with the plainest search there can be: every clause
// of every resource, joins by looking at all others.
type world struct {
	keys    []fhir.Key
	entries map[fhir.Key][]Entry
	lookup  Lookup
}

func newWorld(t testing.TB, docs ...string) *world {
	t.Helper()
	w := &world{entries: map[fhir.Key][]Entry{}, lookup: testLookup{}}
	for _, doc := range docs {
		root := decode(t, doc)
		entries, _, err := testRegistry(t).WithBase(testBase).Extract(root)
		if err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
		key := fhir.Key{Type: root.Str("resourceType"), ID: root.Str("id")}
		if key.ID == "" {
			key.ID = "x"
		}
		if w.entries[key] != nil {
			t.Fatalf("%s is there twice", key)
		}
		w.keys = append(w.keys, key)
		w.entries[key] = append(entries, LastUpdated(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))...)
	}
	return w
}

const testBase = "http://starling.example/fhir"

func (w *world) options() ParseOptions {
	return ParseOptions{Base: testBase, Now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC), Lookup: w.lookup}
}

// find returns what a search finds: Type/id, or with one type the ids.
func (w *world) find(t testing.TB, types, query string) []string {
	t.Helper()
	request, err := parse(t, types, query, w.options())
	if err != nil {
		t.Fatalf("%s?%s: %v", types, query, err)
	}
	if len(request.Query.Where) == 0 {
		t.Fatalf("%s?%s selects everything", types, query)
	}
	return w.search(&request.Query, !strings.Contains(types, " ") && types != "")
}

func (w *world) search(q *Query, short bool) []string {
	var found []string
	for _, key := range w.keys {
		if len(q.Types) > 0 && !slices.Contains(q.Types, key.Type) || !w.all(key, q.Where) {
			continue
		}
		if short {
			found = append(found, key.ID)
		} else {
			found = append(found, key.String())
		}
	}
	slices.Sort(found)
	return found
}

func (w *world) all(key fhir.Key, where []Clause) bool {
	return !slices.ContainsFunc(where, func(c Clause) bool { return !w.holds(key, c) })
}

func (w *world) holds(key fhir.Key, c Clause) bool {
	switch {
	case len(c.Types) > 0 && !slices.Contains(c.Types, key.Type):
		return c.Not
	case c.Any != nil:
		return c.Not != slices.ContainsFunc(c.Any, func(all []Clause) bool { return w.all(key, all) })
	case c.Join == nil:
		return Match(key.Type, w.entries[key], c)
	}
	joined := slices.ContainsFunc(w.keys, func(other fhir.Key) bool {
		from, to := key, other
		if c.Join.Reverse {
			from, to = other, key
		}
		return slices.Contains(c.Join.Types, other.Type) && w.refers(from, c.Param, to) && w.all(other, c.Join.Where)
	})
	return c.Not != joined
}

func (w *world) refers(from fhir.Key, param string, to fhir.Key) bool {
	return slices.ContainsFunc(w.entries[from], func(e Entry) bool {
		key, ok := Refers(e.Value)
		return ok && e.Param == param && key == to
	})
}

// testLookup knows some codes, lists and hierarchies by heart.
type testLookup struct{}

const sct = "http://snomed.info/sct"

func (testLookup) Codes(valueSet string) ([]Coding, error) {
	switch valueSet {
	case "http://hospital.example/ValueSet/cardiac", "ValueSet/cardiac":
		return []Coding{{sct, "22298006"}, {sct, "84114007"}, {"", "heart"}}, nil
	case "http://hospital.example/ValueSet/empty":
		return nil, nil
	case "http://hospital.example/ValueSet/loinc":
		return []Coding{{System: "http://loinc.org"}}, nil
	case "http://hl7.org/fhir/ValueSet/administrative-gender":
		return []Coding{{"http://hl7.org/fhir/administrative-gender", "male"}, {"http://hl7.org/fhir/administrative-gender", "female"}}, nil
	}
	return nil, fhir.Errorf(fhir.Invalid, "there is no value set %s", fhir.Clip(valueSet))
}

func (testLookup) Subsumes(code Coding, above bool) ([]Coding, error) {
	// A heart attack is a heart disease is a disease.
	chain := []string{"64572001", "56265001", "22298006"}
	i := slices.Index(chain, code.Code)
	switch {
	case code.System == "http://hl7.org/fhir/administrative-gender" && !above:
		return []Coding{code}, nil
	case code.System != sct || i < 0:
		return nil, fhir.Errorf(fhir.Invalid, "there is no code system %s", code.System)
	case above:
		chain = chain[:i+1]
	default:
		chain = chain[i:]
	}
	var out []Coding
	for _, c := range chain {
		out = append(out, Coding{sct, c})
	}
	return out, nil
}

func (testLookup) Members(list string) ([]fhir.Key, error) {
	switch list {
	case "List/42":
		return []fhir.Key{{Type: "Patient", ID: "ada"}, {Type: "Observation", ID: "o1"}, {Type: "Patient", ID: "bob"}}, nil
	case "List/none":
		return nil, nil
	case "List/slow":
		return nil, fhir.Wrap(fhir.Timeout, fhir.Errorf(fhir.Internal, "a cause"), "the deadline passed")
	}
	return nil, fhir.Errorf(fhir.Invalid, "there is no %s", list)
}

func (testLookup) Hierarchy(key fhir.Key, above bool) ([]fhir.Key, error) {
	chain := []string{"house", "floor", "room"}
	i := slices.Index(chain, key.ID)
	if key.Type != "Location" || i < 0 {
		return nil, fhir.Errorf(fhir.NotSupported, "%s has no hierarchy", key)
	}
	if above {
		chain = chain[:i+1]
	} else {
		chain = chain[i:]
	}
	var out []fhir.Key
	for _, id := range chain {
		out = append(out, fhir.Key{Type: "Location", ID: id})
	}
	return out, nil
}
