package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// limits makes accesses. Its scopes' clauses look at the entries that within
// makes.
type limits struct{ r *search.Registry }

func (f *fixture) limits() limits {
	f.Helper()
	r, err := search.NewRegistry()
	if err != nil {
		f.Fatal(err)
	}
	return limits{r}
}

// to is the access of somebody who may do everything with what concerns some
// patients, and read open types.
func (l limits) to(patients ...string) search.Access {
	var grants []search.Grant
	for _, id := range patients {
		grants = append(grants, search.Grant{
			Type: "*", Patient: id,
			Rights: search.CanCreate | search.CanRead | search.CanUpdate | search.CanDelete | search.CanSearch,
		})
	}
	return l.r.Access(grants...)
}

// within puts a change into the compartments of patients.
func (l limits) within(c store.Change, patients ...string) store.Change {
	c.Patients = patients
	for _, id := range patients {
		clause := search.InPatients(id)
		c.Entries = append(c.Entries, search.Entry{Param: clause.Param, Value: clause.Ranges[0].From})
	}
	if c.Key.Type == "Patient" { // is found by its id
		clauses, _ := l.to(c.Key.ID).Scope(search.CanSearch).Clauses("Patient")
		c.Entries = append(c.Entries, search.Entry{Param: clauses[0].Param, Value: clauses[0].Ranges[0].From})
	}
	return c
}

// twoPatients fills a store with what concerns a, b, both and nobody.
func twoPatients(f *fixture, l limits) {
	f.write(l.within(put("Patient/b", "code=x"), "b"), l.within(put("Observation/b1", "code=x", "n=1"), "b"))
	f.write(l.within(put("Patient/a", "code=x"), "a", "b")) // it is linked to b
	f.write(l.within(put("Observation/a3", "code=x", "n=3"), "a"), l.within(put("Observation/b2", "code=x", "n=2"), "b"),
		l.within(put("Observation/ab5", "code=y", "n=5"), "a", "b"), l.within(put("Condition/a", "code=x", "n=0"), "a"),
		put("Observation/0", "code=x", "n=4"), put("Medication/1", "code=x", "n=9"), put("Device/1", "code=x"),
		l.within(put("Group/1", "code=x"), "a", "b"))
	f.write(l.within(put("Observation/a1", "code=x", "n=6"), "a"), l.within(put("Observation/b3", "code=x"), "b"))
}

var scopeCases = []testCase{
	{"a search finds what its scope sees and counts no more", func(f *fixture) {
		l := f.limits()
		twoPatients(f, l)
		access := l.to("a")
		for _, test := range []struct {
			types []string
			where []search.Clause
			want  []string
		}{
			{[]string{"Observation"}, nil, []string{"Observation/a1", "Observation/a3", "Observation/ab5"}},
			{[]string{"Observation"}, []search.Clause{is("code", "x")}, []string{"Observation/a1", "Observation/a3"}},
			{[]string{"Observation"}, []search.Clause{not(is("code", "x"))}, []string{"Observation/ab5"}},
			{[]string{"Observation"}, []search.Clause{between("n", "2", "6")}, []string{"Observation/a3", "Observation/ab5"}},
			{[]string{"Patient"}, nil, []string{"Patient/a"}},
			{[]string{"Patient"}, []search.Clause{is("code", "x")}, []string{"Patient/a"}},
			{[]string{"Medication"}, nil, []string{"Medication/1"}},
			{[]string{"Device"}, nil, nil},
			{[]string{"Group"}, nil, nil},
			{[]string{"Condition", "Device", "Medication", "Patient"}, nil, []string{"Condition/a", "Medication/1", "Patient/a"}},
			{[]string{"Device", "Group"}, []search.Clause{is("code", "x")}, nil},
			{nil, nil, []string{"Condition/a", "Medication/1", "Observation/a1", "Observation/a3", "Observation/ab5", "Patient/a"}},
			{nil, []search.Clause{is("code", "x")}, []string{"Condition/a", "Medication/1", "Observation/a1", "Observation/a3", "Patient/a"}},
		} {
			q := query("", test.where...)
			q.Types = test.types
			q = access.Narrow(q)
			f.find(q, test.want...)
			for _, q.Sort = range [][]search.Sort{{sortBy("n")}, {desc(sortBy("n"))}, {sortBy("code"), sortBy("n")}} {
				f.find(q, test.want...)
				q.Count = 1
				got := names(f.all(q))
				slices.Sort(got)
				if fmt.Sprint(got) != fmt.Sprint(test.want) && len(got)+len(test.want) > 0 {
					f.Errorf("%v sorted by %d keys, in pages of 1: %v, want %v", test.types, len(q.Sort), got, test.want)
				}
				q.Count = 0
				if page := f.search(q); page.Total != int64(len(test.want)) || page.Next != "" || len(page.Resources) > 0 {
					f.Errorf("%v: total %d alone, want %d", test.types, page.Total, len(test.want))
				}
				q.Count = 100
			}
		}
		sorted := access.Narrow(query("Observation"))
		sorted.Sort = []search.Sort{desc(sortBy("n"))}
		f.ordered(sorted, "Observation/a1", "Observation/ab5", "Observation/a3")
	}},
	{"a scope of several patients and whole types sees all of them once", func(f *fixture) {
		l := f.limits()
		twoPatients(f, l)
		f.find(l.to("a", "b").Narrow(query("Observation")), "Observation/a1", "Observation/a3", "Observation/ab5", "Observation/b1", "Observation/b2", "Observation/b3")
		f.find(l.to("a", "b").Narrow(query("Patient")), "Patient/a", "Patient/b")
		whole := l.r.Access(search.Grant{Type: "Condition", Rights: search.CanSearch}, search.Grant{Type: "Observation", Rights: search.CanSearch, Patient: "a"})
		q := query("")
		q.Types = []string{"Condition", "Observation", "Patient"}
		f.find(whole.Narrow(q), "Condition/a", "Observation/a1", "Observation/a3", "Observation/ab5")
		var many []string
		for i := range 100 {
			many = append(many, fmt.Sprintf("p%d", i))
		}
		f.find(l.to(append(many, "b")...).Narrow(query("Observation")), "Observation/ab5", "Observation/b1", "Observation/b2", "Observation/b3")
		f.find(l.to(many...).Narrow(query("Observation")))
	}},
	{"a scope of nothing sees nothing", func(f *fixture) {
		l := f.limits()
		twoPatients(f, l)
		access := l.to()
		for _, types := range [][]string{nil, {"Patient"}, {"Medication", "Observation"}} {
			q := query("")
			q.Types = types
			f.find(access.Narrow(q))
			q.Total = search.TotalCheap
			f.find(access.Narrow(q))
		}
		for _, h := range []store.HistoryQuery{{}, {Type: "Patient"}, {Type: "Medication"}} {
			h.Scope = access.Scope(search.CanRead)
			f.remembers(h)
		}
	}},
	{"a total is as cheap whatever there is of others", func(f *fixture) {
		l := f.limits()
		const many = 10_100
		for i := 0; i < many; i += 500 {
			var changes []store.Change
			for j := i; j < min(i+500, many); j++ {
				owner := "b"
				if j%2000 == 0 {
					owner = "a"
				}
				changes = append(changes, l.within(put(fmt.Sprintf("Observation/%d", j), "all=x", fmt.Sprintf("n=%d", j%7)), owner))
			}
			f.write(changes...)
		}
		f.write(put("Medication/1", "all=x"))
		for _, total := range []search.Total{search.TotalCheap, search.TotalAccurate} {
			for _, where := range [][]search.Clause{nil, {is("all", "x")}, {between("n", "", "")}, {not(is("all", "y"))}} {
				for _, sort := range [][]search.Sort{nil, {sortBy("n")}} {
					q := query("Observation", where...)
					q.Total, q.Sort, q.Count = total, sort, 2
					narrowed := l.to("a").Narrow(q)
					if page := f.search(narrowed); page.Total != 6 || len(page.Resources) != 2 || page.Next == "" {
						f.Errorf("total %d, %d resources, next %q", page.Total, len(page.Resources), page.Next)
					}
					narrowed.Total = total // as one would ask a store without Narrow
					if page := f.search(narrowed); page.Total != 6 {
						f.Errorf("total %d of a scope set by hand", page.Total)
					}
					q.Types = nil
					narrowed = l.to("a").Narrow(q)
					narrowed.Total = total
					if page := f.search(narrowed); total == search.TotalCheap && page.Total != -1 {
						f.Errorf("total %d beside whole types, want none", page.Total)
					}
				}
			}
		}
	}},
	{"a condition sees what its scope sees", func(f *fixture) {
		l := f.limits()
		f.write(l.within(put("Observation/b1", "identifier=x"), "b"))
		ask := l.to("a").Narrow(query("Observation", is("identifier", "x")))
		first := l.within(put("Observation/a1", "identifier=x"), "a")
		first.Condition = &store.Condition{Query: ask}
		f.write(first)
		again := l.within(put("Observation/a2", "identifier=x"), "a")
		again.Condition = &store.Condition{Query: ask}
		f.refuse(fhir.Conflict, 0, again)
		again.Condition = &store.Condition{Query: ask, Keys: []fhir.Key{key("Observation/a1")}}
		f.write(l.within(put("Observation/b2", "identifier=x"), "b"))
		f.write(again)
		nothing := l.within(put("Observation/a3"), "a")
		nothing.Condition = &store.Condition{Query: l.to().Narrow(query("Observation", is("identifier", "x")))}
		f.write(nothing)
	}},
	{"a deletion is in the compartments of what it deletes", func(f *fixture) {
		l := f.limits()
		f.write(l.within(put("Observation/1"), "b"))
		f.write(l.within(put("Observation/1"), "c", "a"))
		c := del("Observation/1")
		c.Patients = []string{"d"} // does not count
		want := []string{"a", "c"}
		gone := f.write(c)[0]
		again := f.write(del("Observation/1"), put("Device/1"))[0]
		version, err := f.s.ReadVersion(f.Context(), key("Observation/1"), 3)
		if err != nil {
			f.Fatal(err)
		}
		for where, res := range map[string]*fhir.Resource{
			"Write": gone, "Write of what is deleted already": again, "Read": f.read("Observation/1"), "ReadVersion": version,
			"history": f.history(store.HistoryQuery{Type: "Observation", ID: "1", Count: 9})[0],
		} {
			if !res.Deleted() || !slices.Equal(res.Patients, want) {
				f.Errorf("%s gives a deletion: %t, in compartments %q, want %q", where, res.Deleted(), res.Patients, want)
			}
		}
		f.write(put("Observation/1"))
		if gone := f.write(del("Observation/1"))[0]; len(gone.Patients) > 0 {
			f.Errorf("a deletion of nobody's is in compartments %q", gone.Patients)
		}
		f.write(l.within(put("Patient/a"), "a"))
		if gone := f.write(del("Patient/a"))[0]; !l.to("a").Sees(gone) || l.to("b").Sees(gone) {
			f.Error("a deleted patient is not its own")
		}
	}},
}

// filed has resources with a past, one second apart: of a, of b, moved from b
// to a, moved from a to b, deleted ones of both, and a whole type.
func filed(f *fixture, l limits) (times []time.Time) {
	for _, changes := range [][]store.Change{
		{l.within(put("Patient/a"), "a", "b"), l.within(put("Patient/b"), "b"), put("Medication/1")}, // a is linked to b
		{l.within(put("Observation/a"), "a"), l.within(put("Observation/b"), "b"), l.within(put("Observation/tob"), "a"), l.within(put("Observation/toa"), "b")},
		{l.within(put("Observation/tob"), "b"), l.within(put("Observation/toa"), "a"), l.within(put("Observation/ab"), "a", "b")},
		{l.within(put("Condition/a"), "a"), l.within(put("Condition/b"), "b"), put("Device/1"), l.within(put("Observation/a"), "a")},
		{del("Condition/a"), del("Condition/b"), l.within(put("Observation/b"), "b"), l.within(put("Observation/tob"), "b")},
	} {
		f.write(changes...)
		times = append(times, f.clock.now())
		f.clock.add(time.Second)
	}
	return times
}

var scopeHistoryCases = []testCase{
	{"a history holds what its scope sees", func(f *fixture) {
		l := f.limits()
		times := filed(f, l)
		a, b := l.to("a").Scope(search.CanRead), l.to("b").Scope(search.CanRead)
		ofA := []string{"Observation/a@2", "Observation/toa@2", "Observation/ab@1", "Observation/a@1"}
		f.remembers(store.HistoryQuery{Type: "Observation", Scope: a}, ofA...)
		f.remembers(store.HistoryQuery{Type: "Observation", Scope: b}, "Observation/tob@3", "Observation/b@2", "Observation/tob@2", "Observation/ab@1", "Observation/b@1")
		f.remembers(store.HistoryQuery{Type: "Patient", Scope: a}, "Patient/a@1")
		f.remembers(store.HistoryQuery{Type: "Patient", Scope: b}, "Patient/b@1")
		f.remembers(store.HistoryQuery{Type: "Device", Scope: a})
		f.remembers(store.HistoryQuery{Scope: a}, "Condition/a!2", "Observation/a@2", "Condition/a@1", "Observation/toa@2", "Observation/ab@1",
			"Observation/a@1", "Patient/a@1", "Medication/1@1")
		f.remembers(store.HistoryQuery{Scope: a, Since: times[3]}, "Condition/a!2", "Observation/a@2", "Condition/a@1")
		f.remembers(store.HistoryQuery{Scope: a, At: times[3]}, "Observation/a@2", "Condition/a@1", "Observation/toa@2", "Observation/ab@1", "Patient/a@1", "Medication/1@1")
		f.remembers(store.HistoryQuery{Type: "Observation", Scope: a, At: times[1]}, "Observation/a@1")
		both := l.to("a", "b").Scope(search.CanRead)
		f.remembers(store.HistoryQuery{Type: "Observation", Scope: both}, "Observation/tob@3", "Observation/b@2", "Observation/a@2",
			"Observation/tob@2", "Observation/toa@2", "Observation/ab@1", "Observation/tob@1", "Observation/toa@1", "Observation/b@1", "Observation/a@1")
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "toa", Scope: a}, "Observation/toa@2")
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "a", Scope: a}, "Observation/a@2", "Observation/a@1")
		f.remembers(store.HistoryQuery{Type: "Condition", ID: "a", Scope: a}, "Condition/a!2", "Condition/a@1")
		f.remembers(store.HistoryQuery{Type: "Medication", ID: "1", Scope: a}, "Medication/1@1")
		f.remembers(store.HistoryQuery{Type: "Observation", ID: "a", Scope: a, Since: f.clock.now()})
	}},
	{"the history of what the scope does not see is that of what never was", func(f *fixture) {
		l := f.limits()
		scope := l.to("a").Scope(search.CanRead)
		ask := func(name string) error {
			_, err := f.s.History(f.Context(), store.HistoryQuery{Type: key(name).Type, ID: key(name).ID, Count: 1, Scope: scope})
			f.wantKind(err, fhir.NotFound)
			return err
		}
		hidden := []string{"Observation/b", "Observation/tob", "Patient/b", "Condition/b", "Device/1"}
		before := map[string]string{}
		for _, name := range hidden {
			before[name] = ask(name).Error()
		}
		filed(f, l)
		for _, name := range hidden {
			if got := ask(name).Error(); got != before[name] {
				f.Errorf("%s: %q, when it was not there %q", name, got, before[name])
			}
		}
	}},
	{"what is moved away is gone from the next page too", func(f *fixture) {
		l := f.limits()
		scope := l.to("a").Scope(search.CanRead)
		for i := range 4 {
			f.write(l.within(put(fmt.Sprintf("Observation/%d", i)), "a"))
			f.clock.add(time.Second)
		}
		for _, test := range []struct {
			h    store.HistoryQuery
			want string
		}{
			{store.HistoryQuery{Type: "Observation"}, "[Observation/1@1 Observation/0@1]"},
			{store.HistoryQuery{}, "[Observation/3@1 Observation/1@1 Observation/0@1]"},
		} {
			h := test.h
			h.Scope, h.Count = scope, 1
			page, err := f.s.History(f.Context(), h)
			if err != nil || len(page.Resources) != 1 || page.Next == "" {
				f.Fatalf("%+v, %v", page, err)
			}
			h.Cursor = page.Next
			f.write(l.within(put("Observation/2"), "b"))
			if got := versions(f.history(h)); fmt.Sprint(got) != test.want {
				f.Errorf("later pages hold %v, want %s", got, test.want)
			}
			f.write(l.within(put("Observation/2"), "a"))
			f.write(l.within(put("Observation/3"), "a"))
		}
		h := store.HistoryQuery{Type: "Observation", ID: "3", Scope: scope, Count: 1}
		page, err := f.s.History(f.Context(), h)
		if err != nil || page.Next == "" {
			f.Fatalf("%+v, %v", page, err)
		}
		f.write(l.within(put("Observation/3"), "b"))
		h.Cursor = page.Next
		_, err = f.s.History(f.Context(), h)
		f.wantKind(err, fhir.NotFound)
	}},
	{"cursors of one kind are of one length", func(f *fixture) {
		l := f.limits()
		lengths := map[int]bool{}
		for round := range 3 {
			for i := range 5 * (round + 1) {
				f.write(l.within(put(fmt.Sprintf("Patient/p%d-%d", round, i), fmt.Sprintf("n=%d", i), "all=x"), "a"))
				f.write(l.within(put(fmt.Sprintf("Observation/o%d-%d", round, i), fmt.Sprintf("n=%0*d", 1+i*20, i), "all=x"), "a"))
			}
			for range 300 { // so that numbers grow
				f.write(put("Device/1"))
			}
			for _, q := range pagedQueries() {
				for _, q.Types = range [][]string{q.Types, {"Observation"}} {
					for _, q.Total = range []search.Total{search.TotalNone, search.TotalAccurate} {
						for _, q := range []search.Query{q, l.to("a").Narrow(q)} {
							for _, q.Count = range []int{1, 4} {
								for next := "x"; next != ""; next = q.Cursor {
									if q.Cursor = f.search(q).Next; q.Cursor != "" {
										lengths[len(q.Cursor)] = true
									}
								}
								q.Cursor = ""
							}
						}
					}
				}
			}
			f.clock.add(time.Minute)
		}
		if len(lengths) != 1 {
			f.Errorf("cursors of searches have lengths %v", lengths)
		}
		clear(lengths)
		for _, h := range []store.HistoryQuery{
			{},
			{Type: "Observation"},
			{Type: "Device"},
			{Type: "Device", ID: "1"},
			{Scope: l.to("a").Scope(search.CanRead)},
			{Type: "Observation", Scope: l.to("a").Scope(search.CanRead)},
			{Since: f.clock.now().Add(-90 * time.Second)},
		} {
			h.Count = 7
			for {
				page, err := f.s.History(f.Context(), h)
				if err != nil {
					f.Fatal(err)
				}
				if h.Cursor = page.Next; h.Cursor == "" {
					break
				}
				lengths[len(h.Cursor)] = true
			}
		}
		if len(lengths) != 1 {
			f.Errorf("cursors of histories have lengths %v", lengths)
		}
	}},
	{"a cursor belongs to the scope it was given under", func(f *fixture) {
		l := f.limits()
		for i := range 4 {
			f.write(l.within(put(fmt.Sprintf("Observation/%d", i)), "a", "b"), put(fmt.Sprintf("Medication/%d", i)))
		}
		scopes := []*search.Scope{nil, l.to().Scope(search.CanRead), l.to("a").Scope(search.CanRead), l.to("b").Scope(search.CanRead), l.to("a", "b").Scope(search.CanRead)}
		for i, given := range scopes {
			q := query("Observation")
			q.Count, q.Scope = 1, given
			h := store.HistoryQuery{Type: "Observation", Count: 1, Scope: given}
			past, err := f.s.History(f.Context(), h)
			if err != nil {
				f.Fatal(err)
			}
			if q.Cursor, h.Cursor = f.search(q).Next, past.Next; q.Cursor == "" {
				continue // it sees nothing
			}
			for j, scope := range scopes {
				q.Scope, h.Scope = scope, scope
				_, searchErr := f.s.Search(f.Context(), q)
				_, historyErr := f.s.History(f.Context(), h)
				if i == j {
					if searchErr != nil || historyErr != nil {
						f.Errorf("its own scope: %v, %v", searchErr, historyErr)
					}
					continue
				}
				f.wantKind(searchErr, fhir.Invalid)
				f.wantKind(historyErr, fhir.Invalid)
			}
		}
	}},
}
