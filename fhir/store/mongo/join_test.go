package mongo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// family returns resources that refer to each other at random.
func family(rng *rand.Rand) (changes []store.Change) {
	for _, typ := range []string{"Observation", "Patient", "Organization"} {
		for i := range 40 {
			texts := []string{fmt.Sprintf("n=%02d", rng.IntN(30)), fmt.Sprintf("code=%c", 'a'+rng.IntN(3))}
			for range rng.IntN(3) {
				texts = append(texts, refers("link", fmt.Sprintf("%s/%d", []string{"Observation", "Patient", "Organization"}[rng.IntN(3)], rng.IntN(50))))
			}
			changes = append(changes, put(fhir.Update, fmt.Sprintf("%s/%d", typ, i), texts...))
		}
	}
	return changes
}

// joinedClause draws a clause with joins up to a depth.
func joinedClause(rng *rand.Rand, depth int) search.Clause {
	var c search.Clause
	switch form := rng.IntN(6); {
	case depth > 0 && form < 4:
		c.Param = "link"
		c.Join = &search.Join{Reverse: form%2 == 0, Types: [][]string{{"Patient"}, {"Observation"}, {"Organization", "Patient"}}[rng.IntN(3)]}
		for range rng.IntN(3) {
			c.Join.Where = append(c.Join.Where, joinedClause(rng, depth-1))
		}
	case depth > 0 && form == 4:
		c.Any = [][]search.Clause{{joinedClause(rng, depth-1)}, {joinedClause(rng, depth-1), joinedClause(rng, depth-1)}}
	case form == 5:
		c = search.Clause{Param: "n", Ranges: []search.Range{{From: fmt.Appendf(nil, "%02d", rng.IntN(30)), Keep: func(value []byte) bool { return value[1]%2 == 0 }}}}
	default:
		c = is("code", string(rune('a'+rng.IntN(3))))
	}
	c.Not = rng.IntN(4) == 0
	return c
}

// TestJoinsFromBothSidesGiveTheSamePages asks the same with all others known
// first, with candidates tested, and with some of both, in chunks of many sizes,
// while others write. That the first way is right the cases of storetest say.
func TestJoinsFromBothSidesGiveTheSamePages(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	rng := rand.New(rand.NewPCG(5, 7))
	all := family(rng)
	write(t, s, all...)
	outer := 0
	for round := range 16 {
		q := search.Query{Types: []string{"Observation", "Patient"}, Where: []search.Clause{joinedClause(rng, 3)}, Count: 15, Total: search.TotalAccurate, Identity: "q", Explain: true}
		if rng.IntN(2) == 0 {
			q.Sort = []search.Sort{{Param: "n", Desc: rng.IntN(2) == 0}}
		}
		var want string
		for _, s.othersLimit = range []int{0, 1, 12} {
			s.keptChunk = rng.IntN(2) * 5
			var got []string
			for q.Cursor = ""; ; {
				page, err := s.Search(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(page.Plans[0].Steps, func(step search.Step) bool { return step.Role == "join, candidates tested" }) {
					outer++
				}
				for _, res := range page.Resources {
					got = append(got, res.Key.String())
				}
				got = append(got, fmt.Sprint("of ", page.Total))
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
				write(t, s, put(fhir.Update, all[0].Key.String(), "code=a", refers("link", "Patient/1")), put(fhir.Update, "Organization/99", refers("link", "Patient/1")))
			}
			write(t, s, all[0], store.Change{Key: fhir.Key{Type: "Organization", ID: "99"}, Method: fhir.Delete})
			if text := fmt.Sprint(got); want == "" {
				want = text
			} else if text != want {
				t.Fatalf("round %d, up to %d others: %s, want %s", round, s.othersLimit, text, want)
			}
		}
	}
	if outer < 10 {
		t.Errorf("candidates were tested on %d pages only", outer)
	}
}

// TestACostlyJoinIsRefusedByWhatTheScopeSeesAlone asks for joins with more others
// than are read beforehand. Who sees everything is refused once testing takes too
// long; whether a patient's app is does not depend on the others.
func TestACostlyJoinIsRefusedByWhatTheScopeSeesAlone(t *testing.T) {
	registry, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	s := openTest(t, testDatabase(t), Options{MaxCandidates: 60})
	s.othersLimit = 10
	var changes []store.Change
	add := func(owner string, n int) {
		for i := range n {
			for _, c := range []store.Change{
				put(fhir.Update, fmt.Sprintf("Encounter/%s%d", owner, i), "class=x"),
				put(fhir.Update, fmt.Sprintf("Observation/%s%d", owner, i), "code=x", refers("encounter", fmt.Sprintf("Encounter/%s%d", owner, i))),
			} {
				clause := search.InPatients(owner)
				c.Patients, c.Entries = []string{owner}, append(c.Entries, search.Entry{Param: clause.Param, Value: clause.Ranges[0].From})
				changes = append(changes, c)
			}
		}
	}
	app := func(patient string) *search.Scope {
		return registry.Access(search.Grant{Type: "*", Rights: search.CanRead | search.CanSearch, Patient: patient}).Scope(search.CanSearch)
	}
	ask := func(scope *search.Scope, where search.Clause, total search.Total) (int64, error) {
		q := search.Query{Types: []string{"Observation"}, Where: []search.Clause{where}, Count: 5, Total: total, Identity: "q", Scope: scope}
		page, err := s.Search(t.Context(), q)
		if err != nil {
			return 0, err
		}
		return page.Total, nil
	}
	all, none := chain("encounter", "Encounter", is("class", "x")), chain("encounter", "Encounter", is("class", "x"), search.Clause{Param: "class"})
	add("a", 30)
	write(t, s, changes...)
	answers := map[string]string{}
	for round, others := range []int{0, 400} {
		changes = nil
		if add("b", others); others > 0 {
			write(t, s, changes...)
			if err := s.sampleEntries(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for name, where := range map[string]search.Clause{"all": all, "none": none} {
			for _, total := range []search.Total{search.TotalCheap, search.TotalNone, search.TotalAccurate} {
				name := fmt.Sprintf("%s, total %d", name, total)
				n, err := ask(app("a"), where, total)
				if answer := fmt.Sprint(n, err); round == 0 {
					answers[name] = answer
				} else if answer != answers[name] {
					t.Errorf("%s: %s, without others %s", name, answer, answers[name])
				}
			}
		}
	}
	if answers["all, total 0"] != "30 <nil>" || answers["none, total 2"] != "0 <nil>" {
		t.Errorf("the patient's app gets %v", answers)
	}
	if _, err := ask(app("b"), all, search.TotalAccurate); fhir.KindOf(err) != fhir.TooCostly {
		t.Errorf("who sees many of their own: %v", err)
	}
	if _, err := ask(nil, all, search.TotalAccurate); fhir.KindOf(err) != fhir.TooCostly {
		t.Errorf("who sees all: %v", err)
	}
	if n, err := ask(nil, all, search.TotalCheap); n != -1 || err != nil {
		t.Errorf("a first page without a total: %d, %v", n, err)
	}
	if n, err := ask(nil, none, search.TotalAccurate); n != 0 || err != nil {
		t.Errorf("nobody matches: %d, %v", n, err)
	}
}

// TestWhichSideAJoinIsAnsweredFrom follows the decision by what the plans tell,
// with statistics, without, and with a scope, which must not heed them.
func TestWhichSideAJoinIsAnsweredFrom(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	var changes []store.Change
	for i := range 300 {
		changes = append(changes, put(fhir.Update, fmt.Sprintf("Patient/%d", i), "all=x", fmt.Sprintf("n=%d", i)),
			put(fhir.Update, fmt.Sprintf("Observation/%d", i), "all=x", fmt.Sprintf("n=%d", i), refers("subject", fmt.Sprintf("Patient/%d", i))))
	}
	write(t, s, changes...)
	all, one := chain("subject", "Patient", is("all", "x")), chain("subject", "Patient", is("n", "7"))
	reverse := has("Observation", "subject", is("all", "x"))
	registry, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	wide := registry.Access(search.Grant{Type: "*", Rights: search.CanSearch}).Scope(search.CanSearch)
	const inner, outer = "drive, joined with what was found first", "join, candidates tested"
	for _, test := range []struct {
		name   string
		typ    string
		where  []search.Clause
		scope  *search.Scope
		known  bool // statistics
		limit  int
		role   string
		others int64
		found  int
	}{
		{"few others", "Observation", []search.Clause{one}, nil, false, 0, inner, 1, 1},
		{"many others", "Observation", []search.Clause{all}, nil, false, 0, inner, 300, 300},
		{"as many others as there may be", "Observation", []search.Clause{all}, nil, false, 300, inner, 300, 300},
		{"one more than that", "Observation", []search.Clause{all}, nil, false, 299, outer, -1, 300},
		{"as many as others refer to", "Patient", []search.Clause{reverse}, nil, false, 300, inner, 300, 300},
		{"one more than that in reverse", "Patient", []search.Clause{reverse}, nil, false, 299, outer, -1, 300},
		{"many others, few candidates", "Observation", []search.Clause{is("n", "7"), all}, nil, true, 200, outer, -1, 1},
		{"the same without statistics", "Observation", []search.Clause{is("n", "7"), all}, nil, false, 300, "test, joined with what was found first", 300, 1},
		{"the same with a scope", "Observation", []search.Clause{is("n", "7"), all}, wide, true, 300, "test, joined with what was found first", 300, 1},
		{"nothing to join with", "Observation", []search.Clause{chain("subject", "Device")}, nil, false, 0, "nothing matches", 0, 0},
	} {
		s.stats.seen.Store(noSample)
		if test.known {
			if err := s.sampleEntries(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.othersLimit = test.limit
		q := search.Query{Types: []string{test.typ}, Where: test.where, Scope: test.scope, Count: 1000, Total: search.TotalAccurate, Explain: true}
		page, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Resources) != test.found || page.Total != int64(test.found) {
			t.Errorf("%s: found %d of %d, want %d", test.name, len(page.Resources), page.Total, test.found)
		}
		for _, step := range page.Plans[0].Steps {
			if step.Join != nil && (step.Role != test.role || step.Found != max(test.others, 0) && step.Found != test.others) {
				t.Errorf("%s: %q, %d found; want %q, %d", test.name, step.Role, step.Found, test.role, test.others)
			}
		}
	}
}

// TestFiltersHaveRoomForAllJoins: a command holds 16 MB, so joins share what
// their keys may take.
func TestFiltersHaveRoomForAllJoins(t *testing.T) {
	s := &Store{}
	var where []search.Clause
	for _, typ := range []string{"Patient", "Device", "Group"} {
		where = append(where, chain("subject", typ))
	}
	for _, types := range [][]string{{"Observation"}, {"Condition", "Encounter", "Observation"}} {
		sel := s.newSelection(&search.Query{Types: types, Where: where}, types)
		sel.choose()
		total := 0
		for i, j := range sel.joins {
			room := sel.room()
			if i == 0 && room != min(maxOthers, maxElements/len(types)) {
				t.Errorf("the first of %d types has room for %d", len(types), room)
			}
			for n := range room {
				j.found[fmt.Sprintf("Patient/%d", n)] = true
			}
			j.open = false
			total += room * len(types)
		}
		if total > maxElements || sel.room() > 0 {
			t.Errorf("%d types: %d elements, and room for %d more", len(types), total, sel.room())
		}
	}
}
