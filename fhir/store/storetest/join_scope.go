package storetest

import (
	"fmt"
	"slices"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// records has observations and conditions of patients a and b that refer to
// each other and to what is open to all.
func records(f *fixture, l limits) {
	f.write(
		l.within(put("Patient/a", "name=x"), "a"), l.within(put("Patient/b", "name=x"), "b"),
		put("Practitioner/1", "name=p"), put("Device/1", "name=d"), put("Group/1", "name=g", to("member", "Patient/a")),
		l.within(put("Encounter/a", "class=amb", to("subject", "Patient/a")), "a"),
		l.within(put("Encounter/b", "class=amb", to("subject", "Patient/b")), "b"),
		l.within(put("Observation/a1", "code=x", to("subject", "Patient/a"), to("encounter", "Encounter/a"), to("performer", "Practitioner/1")), "a"),
		l.within(put("Observation/a2", "code=x", to("subject", "Patient/a"), to("encounter", "Encounter/b"), to("device", "Device/1")), "a"),
		l.within(put("Observation/b1", "code=y", to("subject", "Patient/b"), to("encounter", "Encounter/a"), to("performer", "Practitioner/1")), "b"),
	)
}

var joinScopeCases = []testCase{
	{"others outside of the scope join with nothing", func(f *fixture) {
		l := f.limits()
		records(f, l)
		ask := func(typ string, want []string, where ...search.Clause) {
			f.Helper()
			f.find(l.to("a").Narrow(query(typ, where...)), want...)
		}
		ask("Observation", []string{"Observation/a1", "Observation/a2"}, chain("subject", "Patient", is("name", "x")))
		ask("Observation", []string{"Observation/a1"}, chain("encounter", "Encounter", is("class", "amb")))
		ask("Observation", []string{"Observation/a2"}, not(chain("encounter", "Encounter", is("class", "amb"))))
		ask("Observation", []string{"Observation/a1"}, chain("encounter", "Encounter"))
		ask("Observation", []string{"Observation/a1"}, chain("performer", "Practitioner", is("name", "p")))
		ask("Observation", nil, chain("device", "Device", is("name", "d")))
		ask("Observation", []string{"Observation/a1", "Observation/a2"}, not(chain("device", "Device")))
		ask("Encounter", nil, has("Observation", "encounter", is("code", "y")))
		ask("Encounter", []string{"Encounter/a"}, has("Observation", "encounter", is("code", "x")))
		ask("Encounter", []string{"Encounter/a"}, not(has("Observation", "encounter", is("code", "y"))))
		ask("Practitioner", nil, has("Observation", "performer", is("code", "y")))
		ask("Practitioner", []string{"Practitioner/1"}, has("Observation", "performer", is("code", "x")))
		ask("Patient", nil, has("Group", "member", is("name", "g")))
		ask("Practitioner", []string{"Practitioner/1"}, has("Observation", "performer", chain("subject", "Patient", has("Observation", "subject"))))
		ask("Practitioner", nil, has("Observation", "performer", chain("encounter", "Encounter", has("Observation", "encounter", is("code", "y")))))
		f.find(query("Practitioner", has("Observation", "performer", chain("encounter", "Encounter", has("Observation", "encounter", is("code", "y"))))), "Practitioner/1")
		f.find(query("Encounter", has("Observation", "encounter", is("code", "y"))), "Encounter/a")
	}},
	{"who sees only some types joins with nothing of the others", func(f *fixture) {
		l := f.limits()
		records(f, l)
		some := l.r.Access(search.Grant{Type: "Observation", Rights: search.CanSearch}, search.Grant{Type: "Encounter", Rights: search.CanSearch, Patient: "a"})
		f.find(some.Narrow(query("Observation", chain("subject", "Patient", is("name", "x")))))
		f.find(some.Narrow(query("Observation", not(chain("subject", "Patient", is("name", "x"))))), "Observation/a1", "Observation/a2", "Observation/b1")
		f.find(some.Narrow(query("Observation", chain("encounter", "Encounter"))), "Observation/a1", "Observation/b1")
		f.find(some.Narrow(query("Encounter", has("Observation", "encounter", is("code", "y")))), "Encounter/a")
		f.find(l.to().Narrow(query("Observation", chain("subject", "Patient"))))
	}},
	{"the pages of a join are of one moment", func(f *fixture) {
		write := func(value string) {
			f.write(put("Patient/1", "name="+value))
		}
		for _, q := range []search.Query{
			query("Observation", chain("subject", "Patient", is("name", "x"))),
			query("Observation", not(chain("subject", "Patient", is("name", "y")))),
			query("Observation", is("all", "x"), eitherOf(all(chain("subject", "Patient", is("name", "x"))))),
		} {
			for _, q.Sort = range [][]search.Sort{nil, {desc(sortBy("n"))}} {
				write("x")
				for i := range 20 {
					f.write(put(fmt.Sprintf("Observation/%d", i), fmt.Sprintf("n=%d", i%7), "all=x", to("subject", "Patient/1")))
				}
				q.Count = 3
				seen := map[string]bool{}
				for {
					page := f.search(q)
					if page.Total != 20 {
						f.Errorf("total %d", page.Total)
					}
					for _, r := range page.Resources {
						if seen[r.ID] {
							f.Errorf("%s comes twice", r.Key)
						}
						seen[r.ID] = true
					}
					write("y") // nobody matches any more
					f.write(put("Observation/new"+fmt.Sprint(len(seen)), to("subject", "Patient/1")))
					if q.Cursor = page.Next; q.Cursor == "" {
						break
					}
				}
				if len(seen) != 20 {
					f.Errorf("pages hold %d resources, want 20", len(seen))
				}
				if q.Cursor = ""; f.search(q).Total != 0 {
					f.Errorf("afterwards %d match, want none", f.search(q).Total)
				}
				for _, r := range f.all(query("Observation")) {
					f.write(del(r.Key.String()))
				}
			}
		}
	}},
	{"the pages of a reverse join are of one moment", func(f *fixture) {
		var want []string
		for i := range 12 {
			f.write(put(fmt.Sprintf("Patient/%d", i)), put(fmt.Sprintf("Observation/%d", i), "code=a", to("subject", fmt.Sprintf("Patient/%d", i))))
			want = append(want, fmt.Sprintf("Patient/%d", i))
		}
		q := query("Patient", has("Observation", "subject", is("code", "a")))
		q.Count = 5
		var got []string
		for round := 0; ; round++ {
			page := f.search(q)
			got = append(got, names(page.Resources)...)
			for i := range 12 {
				if round == 0 {
					f.write(del(fmt.Sprintf("Observation/%d", i)))
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			f.Errorf("pages hold %v", got)
		}
		q.Cursor = ""
		f.find(q)
	}},
	{"a join among very many others under a scope asks only what the scope sees", func(f *fixture) {
		l := f.limits()
		f.write(l.within(put("Patient/a", "name=x"), "a"), l.within(put("Patient/b", "name=x"), "b"))
		const many = 3000
		var changes []store.Change
		for i := range many {
			owner := "b"
			if i%1000 == 0 {
				owner = "a"
			}
			changes = append(changes, l.within(put(fmt.Sprintf("Observation/%04d", i), "code=x", to("subject", "Patient/"+owner)), owner))
		}
		f.write(changes...)
		f.find(l.to("a").Narrow(query("Observation", chain("subject", "Patient", is("name", "x")))), "Observation/0000", "Observation/1000", "Observation/2000")
		f.find(l.to("a").Narrow(query("Patient", has("Observation", "subject", is("code", "x")))), "Patient/a")
		q := query("Observation", chain("subject", "Patient", is("name", "x")))
		q.Count = 1
		if page := f.search(q); page.Total != many {
			f.Errorf("total %d", page.Total)
		}
	}},
}
