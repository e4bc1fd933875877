package storetest

import (
	"fmt"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// eitherOf is a clause of alternatives: all clauses of one of the lists must hold.
func eitherOf(lists ...[]search.Clause) search.Clause { return search.Clause{Any: lists} }

// all is one of the lists of eitherOf.
func all(clauses ...search.Clause) []search.Clause { return clauses }

// only restricts a clause to types.
func only(c search.Clause, types ...string) search.Clause {
	c.Types = types
	return c
}

// colours are resources of two types with entries to choose from.
func colours(f *fixture) {
	f.write(put("Patient/1", "a=1", "b=1"), put("Patient/2", "a=1", "b=2"), put("Patient/3", "a=2", "b=1"),
		put("Patient/4"), put("Device/1", "a=1", "b=1"), put("Device/2", "a=2"), put("Patient/gone", "a=1", "b=1"))
	f.write(del("Patient/gone"))
}

var alternativesCases = []testCase{
	{"one of the lists of Any must hold, as a whole", func(f *fixture) {
		colours(f)
		f.find(query("Patient", eitherOf(all(is("a", "1")), all(is("b", "1")))), "Patient/1", "Patient/2", "Patient/3")
		f.find(query("Patient", eitherOf(all(is("a", "1"), is("b", "2")), all(is("a", "2"), is("b", "1")))), "Patient/2", "Patient/3")
		f.find(query("Patient", eitherOf(all(is("a", "1"), is("b", "2")))), "Patient/2")
		f.find(query("Patient", eitherOf(all(is("a", "2"), is("b", "2")))))
		f.find(query("Patient", eitherOf(all(not(is("a", "1"))), all(is("b", "2")))), "Patient/2", "Patient/3", "Patient/4")
		f.find(query("Patient", eitherOf(all(not(is("a", "1")), not(is("a", "2"))))), "Patient/4")
		f.find(query("Patient", is("a", "1"), eitherOf(all(is("b", "1")), all(is("b", "2"))), not(is("b", "2"))), "Patient/1")
	}},
	{"an empty list of Any holds for everything, no list for nothing", func(f *fixture) {
		colours(f)
		f.find(query("Device", eitherOf(all(is("a", "1")), all())), "Device/1", "Device/2")
		f.find(query("Device", search.Clause{Any: [][]search.Clause{}}))
		f.find(query("Device", not(search.Clause{Any: [][]search.Clause{}})), "Device/1", "Device/2")
		f.find(query("Device", not(eitherOf(all()))))
	}},
	{"Param and Ranges of a clause of alternatives count for nothing", func(f *fixture) {
		colours(f)
		c := eitherOf(all(is("b", "2")))
		c.Param, c.Ranges = "a", is("a", "2").Ranges
		f.find(query("Patient", c), "Patient/2")
	}},
	{"Not turns alternatives around", func(f *fixture) {
		colours(f)
		f.find(query("Patient", not(eitherOf(all(is("a", "1")), all(is("b", "1"))))), "Patient/4")
		f.find(query("Patient", not(eitherOf(all(is("a", "1"), is("b", "2"))))), "Patient/1", "Patient/3", "Patient/4")
		f.find(query("Patient", is("a", "1"), not(eitherOf(all(not(is("b", "2")))))), "Patient/2")
	}},
	{"alternatives nest", func(f *fixture) {
		colours(f)
		f.find(query("Patient", eitherOf(all(is("a", "2")), all(is("a", "1"), eitherOf(all(is("b", "2")), all(is("b", "3")))))), "Patient/2", "Patient/3")
		f.find(query("Patient", not(eitherOf(all(is("a", "1"), not(eitherOf(all(is("b", "2")))))))), "Patient/2", "Patient/3", "Patient/4")
	}},
	{"a clause with types holds for no other type, with Not for all others", func(f *fixture) {
		colours(f)
		both := query("")
		both.Types = []string{"Device", "Patient"}
		ask := func(where ...search.Clause) search.Query {
			q := both
			q.Where = where
			return q
		}
		f.find(ask(only(is("a", "1"), "Device")), "Device/1")
		f.find(ask(only(is("a", "1"), "Device", "Patient")), "Device/1", "Patient/1", "Patient/2")
		f.find(ask(only(is("a", "1"), "Encounter")))
		f.find(ask(not(only(is("a", "1"), "Device"))), "Device/2", "Patient/1", "Patient/2", "Patient/3", "Patient/4")
		f.find(ask(eitherOf(all(only(is("a", "2"), "Device")), all(only(is("b", "2"), "Patient")))), "Device/2", "Patient/2")
		f.find(ask(only(eitherOf(all(is("a", "1")), all(is("a", "2"))), "Patient")), "Patient/1", "Patient/2", "Patient/3")
		f.find(ask(only(eitherOf(all()), "Device")), "Device/1", "Device/2")
		f.find(ask(not(only(eitherOf(all()), "Device"))), "Patient/1", "Patient/2", "Patient/3", "Patient/4")
		f.find(ask(eitherOf(all(not(only(is("a", "1"), "Device")), is("a", "1")))), "Patient/1", "Patient/2")
		everything := ask(only(is("a", "1"), "Device"))
		everything.Types = nil
		f.find(everything, "Device/1")
	}},
	{"alternatives are paged and sorted as other clauses are", func(f *fixture) {
		for i := range 30 {
			f.write(put(fmt.Sprintf("Patient/%02d", i), fmt.Sprintf("n=%02d", i*7%30), fmt.Sprintf("a=%d", i%3), fmt.Sprintf("b=%d", i%5)))
		}
		var want []string
		for i := range 30 {
			if i%3 == 0 || i%5 == 1 {
				want = append(want, fmt.Sprintf("Patient/%02d", i))
			}
		}
		q := query("Patient", eitherOf(all(is("a", "0")), all(is("b", "1"))))
		for _, q.Sort = range [][]search.Sort{nil, {sortBy("n")}, {desc(sortBy("n")), sortBy("a")}} {
			for _, q.Count = range []int{1, 4, 100} {
				got := names(f.all(q))
				if len(q.Sort) == 1 && !slices.IsSortedFunc(got, func(a, b string) int { return number(a)*7%30 - number(b)*7%30 }) {
					f.Errorf("pages of %d are not sorted: %v", q.Count, got)
				}
				if slices.Sort(got); !slices.Equal(got, want) {
					f.Errorf("%d sort keys, pages of %d: %v, want %v", len(q.Sort), q.Count, got, want)
				}
			}
		}
	}},
	{"a scope limits alternatives", func(f *fixture) {
		l := f.limits()
		twoPatients(f, l)
		q := query("Observation", eitherOf(all(is("code", "x")), all(is("n", "5"))))
		f.find(l.to("a").Narrow(q), "Observation/a1", "Observation/a3", "Observation/ab5")
		q = query("Observation", eitherOf(all(not(is("code", "y"))), all(is("n", "2"))))
		f.find(l.to("a").Narrow(q), "Observation/a1", "Observation/a3")
	}},
	{"a condition may have alternatives", func(f *fixture) {
		where := eitherOf(all(is("code", "a")), all(is("code", "b"), is("n", "1")))
		c := put("Patient/1", "code=b", "n=1")
		c.Condition = &store.Condition{Query: query("Patient", where)}
		f.write(c)
		again := put("Patient/2", "code=a")
		again.Condition = c.Condition
		f.refuse(fhir.Conflict, 0, again)
		again.Condition = &store.Condition{Query: c.Condition.Query, Keys: []fhir.Key{key("Patient/1")}}
		f.write(again)
	}},
}

// number reads "Patient/07".
func number(name string) (n int) {
	_, _ = fmt.Sscanf(key(name).ID, "%d", &n)
	return n
}
