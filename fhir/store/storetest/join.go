package storetest

import (
	"fmt"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// to writes a reference as put wants an entry: "subject=…".
func to(param, target string) string {
	return param + "=" + string(search.RefersTo(param, key(target)).Ranges[0].From)
}

// chain selects what refers under a parameter to others that match: subject:Patient.name=x.
func chain(param, typ string, where ...search.Clause) search.Clause {
	return search.Clause{Param: param, Join: &search.Join{Types: []string{typ}, Where: where}}
}

// has selects what others refer to that match: _has:Observation:subject:code=x.
func has(typ, param string, where ...search.Clause) search.Clause {
	c := chain(param, typ, where...)
	c.Join.Reverse = true
	return c
}

// ward has two patients, their observations, an encounter between, and
// references of many forms.
func ward(f *fixture) {
	f.write(
		put("Organization/1", "name=north"), put("Organization/2", "name=south"),
		put("Patient/1", "name=x", to("organization", "Organization/1")), put("Patient/2", "name=y", to("organization", "Organization/2")),
		put("Patient/3", "name=x", "name=y"), put("Device/1", "name=x"),
		put("Encounter/1", "class=amb", to("subject", "Patient/1")), put("Encounter/2", "class=imp", to("subject", "Patient/2")),
		put("Observation/1", "code=a", to("subject", "Patient/1"), to("encounter", "Encounter/1")),
		put("Observation/2", "code=b", to("subject", "Patient/2"), to("encounter", "Encounter/2")),
		put("Observation/3", "code=a", to("subject", "Patient/2")),
		put("Observation/4", "code=b", to("subject", "Device/1")),
		put("Observation/5", "code=c", to("subject", "Patient/1"), to("subject", "Patient/2")),
		put("Observation/6", "code=c", to("subject", "Patient/nobody")),
		put("Observation/7", "code=d"),
		put("Observation/8", "code=d", "subject=\x52http://elsewhere/Patient/1\x00", "subject=\x54system\x00Patient/1\x00"),
		put("Observation/9", "code=d", to("performer", "Patient/1")),
	)
}

var joinCases = []testCase{
	{"a chain finds what refers to others that match", func(f *fixture) {
		ward(f)
		ask := func(where ...search.Clause) search.Query { return query("Observation", where...) }
		f.find(ask(chain("subject", "Patient", is("name", "x"))), "Observation/1", "Observation/5")
		f.find(ask(chain("subject", "Patient", is("name", "y"))), "Observation/2", "Observation/3", "Observation/5")
		f.find(ask(chain("subject", "Device", is("name", "x"))), "Observation/4")
		f.find(ask(chain("subject", "Patient", is("name", "z"))))
		f.find(ask(chain("performer", "Patient", is("name", "x"))), "Observation/9")
		f.find(ask(chain("unheard-of", "Patient", is("name", "x"))))
		f.find(ask(chain("subject", "Unheard", is("name", "x"))))
		f.find(ask(chain("subject", "Patient", is("name", "x")), is("code", "a")), "Observation/1")
		f.find(ask(chain("subject", "Patient", not(is("name", "x")))), "Observation/2", "Observation/3", "Observation/5")
	}},
	{"all that a chain asks must hold for one and the same other", func(f *fixture) {
		ward(f)
		both := all(is("name", "x"), is("name", "y"))
		f.find(query("Observation", chain("subject", "Patient", both...)))
		f.find(query("Observation", chain("subject", "Patient", both[0]), chain("subject", "Patient", both[1])), "Observation/5")
		f.write(put("Observation/10", to("subject", "Patient/3")))
		f.find(query("Observation", chain("subject", "Patient", both...)), "Observation/10")
	}},
	{"a join that asks nothing holds where there is such another", func(f *fixture) {
		ward(f)
		f.find(query("Observation", chain("subject", "Patient")), "Observation/1", "Observation/2", "Observation/3", "Observation/5")
		f.find(query("Patient", has("Observation", "subject")), "Patient/1", "Patient/2")
		f.find(query("Patient", not(has("Observation", "subject"))), "Patient/3")
	}},
	{"a chain over several types", func(f *fixture) {
		ward(f)
		c := chain("subject", "Patient", is("name", "x"))
		c.Join.Types = []string{"Device", "Patient"}
		f.find(query("Observation", c), "Observation/1", "Observation/4", "Observation/5")
		mixed := eitherOf(all(chain("subject", "Device", is("name", "x"))), all(chain("subject", "Patient", is("name", "y"))))
		f.find(query("Observation", mixed), "Observation/2", "Observation/3", "Observation/4", "Observation/5")
		q := query("", chain("subject", "Patient", is("name", "x")))
		q.Types = []string{"Encounter", "Observation"}
		f.find(q, "Encounter/1", "Observation/1", "Observation/5")
		q.Types = nil
		f.find(q, "Encounter/1", "Observation/1", "Observation/5")
	}},
	{"a reverse join finds what others that match refer to", func(f *fixture) {
		ward(f)
		ask := func(where ...search.Clause) search.Query { return query("Patient", where...) }
		f.find(ask(has("Observation", "subject", is("code", "a"))), "Patient/1", "Patient/2")
		f.find(ask(has("Observation", "subject", is("code", "b"))), "Patient/2")
		f.find(ask(has("Observation", "subject", is("code", "d"))))
		f.find(ask(has("Observation", "performer", is("code", "d"))), "Patient/1")
		f.find(ask(has("Observation", "subject", is("code", "a"), is("code", "b"))))
		f.find(ask(has("Observation", "subject", is("code", "a")), has("Observation", "subject", is("code", "b"))), "Patient/2")
		f.find(ask(has("Observation", "subject", is("code", "a")), is("name", "x")), "Patient/1")
		c := has("Observation", "subject", eitherOf(all(is("code", "b")), all(is("class", "amb"))))
		c.Join.Types = []string{"Encounter", "Observation"}
		f.find(ask(c), "Patient/1", "Patient/2")
		f.find(query("Device", c), "Device/1")
		q := query("", has("Observation", "subject", is("code", "b")))
		q.Types = []string{"Device", "Patient"}
		f.find(q, "Device/1", "Patient/2")
	}},
	{"joins nest, forward and reverse", func(f *fixture) {
		ward(f)
		f.find(query("Observation", chain("subject", "Patient", chain("organization", "Organization", is("name", "north")))), "Observation/1", "Observation/5")
		f.find(query("Organization", has("Patient", "organization", has("Observation", "subject", is("code", "b")))), "Organization/2")
		f.find(query("Patient", has("Observation", "subject", chain("encounter", "Encounter", is("class", "amb")))), "Patient/1")
		f.find(query("Encounter", chain("subject", "Patient", has("Observation", "subject", is("code", "b")))), "Encounter/2")
		f.find(query("Encounter", chain("subject", "Patient", not(has("Observation", "subject", is("code", "b"))))), "Encounter/1")
		f.find(query("Observation", chain("encounter", "Encounter", chain("subject", "Patient", chain("organization", "Organization", is("name", "south"))))), "Observation/2")
	}},
	{"Not finds what no other that matches is joined with", func(f *fixture) {
		ward(f)
		f.find(query("Observation", not(chain("subject", "Patient", is("name", "x")))),
			"Observation/2", "Observation/3", "Observation/4", "Observation/6", "Observation/7", "Observation/8", "Observation/9")
		f.find(query("Observation", not(chain("subject", "Patient", is("name", "x"))), is("code", "a")), "Observation/3")
		f.find(query("Patient", not(has("Observation", "subject", is("code", "b")))), "Patient/1", "Patient/3")
		f.find(query("Patient", not(has("Observation", "subject", not(is("code", "a"))))), "Patient/3")
		f.find(query("Observation", eitherOf(all(not(chain("subject", "Patient"))), all(is("code", "b")))),
			"Observation/2", "Observation/4", "Observation/6", "Observation/7", "Observation/8", "Observation/9")
	}},
	{"Ranges of a join count for nothing, and its Types do", func(f *fixture) {
		ward(f)
		c := chain("subject", "Patient", is("name", "x"))
		c.Ranges = is("subject", "nothing").Ranges
		f.find(query("Observation", c), "Observation/1", "Observation/5")
		q := query("", only(chain("subject", "Patient", is("name", "x")), "Encounter"))
		q.Types = []string{"Encounter", "Observation"}
		f.find(q, "Encounter/1")
		typed := query("Observation", chain("subject", "Patient", only(is("name", "x"), "Device")))
		f.find(typed)
		typed.Where[0].Join.Types = []string{"Device", "Patient"}
		f.find(typed, "Observation/4")
	}},
	{"what is deleted joins with nothing", func(f *fixture) {
		ward(f)
		f.write(del("Patient/1"), del("Observation/2"))
		f.find(query("Observation", chain("subject", "Patient", is("name", "x"))))
		f.find(query("Observation", chain("subject", "Patient")), "Observation/3", "Observation/5")
		f.find(query("Patient", has("Observation", "subject", is("code", "b"))))
		f.write(put("Patient/1", "name=x"))
		f.find(query("Observation", chain("subject", "Patient", is("name", "x"))), "Observation/1", "Observation/5")
	}},
	{"the newest versions join", func(f *fixture) {
		ward(f)
		f.write(put("Patient/1", "name=z"), put("Observation/2", "code=b", to("subject", "Patient/1")))
		f.find(query("Observation", chain("subject", "Patient", is("name", "x"))))
		f.find(query("Observation", chain("subject", "Patient", is("name", "z"))), "Observation/1", "Observation/2", "Observation/5")
		f.find(query("Patient", has("Observation", "subject", is("code", "b"))), "Patient/1")
	}},
	{"a resource may refer to itself, and references may go round", func(f *fixture) {
		f.write(put("Patient/1", "name=x", to("link", "Patient/1")), put("Patient/2", "name=y", to("link", "Patient/3")),
			put("Patient/3", "name=z", to("link", "Patient/4")), put("Patient/4", "name=y", to("link", "Patient/2")))
		f.find(query("Patient", chain("link", "Patient", is("name", "x"))), "Patient/1")
		f.find(query("Patient", has("Patient", "link", is("name", "x"))), "Patient/1")
		f.find(query("Patient", chain("link", "Patient", chain("link", "Patient", chain("link", "Patient", is("name", "y"))))), "Patient/2", "Patient/4")
		f.find(query("Patient", has("Patient", "link", has("Patient", "link", is("name", "y")))), "Patient/3", "Patient/4")
		f.find(query("Patient", chain("link", "Patient", has("Patient", "link", is("name", "z")))), "Patient/3")
	}},
	{"a reference with a version joins the newest one, and one below our base is our own", func(f *fixture) {
		r, err := search.NewRegistry()
		if err != nil {
			f.Fatal(err)
		}
		r = r.WithBase("http://ours/fhir")
		write := func(name, json string) {
			k := key(name)
			entries, patients, err := r.Index(fmt.Appendf(nil, `{"resourceType":%q,"id":%q,%s}`, k.Type, k.ID, json))
			if err != nil {
				f.Fatal(err)
			}
			f.write(store.Change{Key: k, Method: fhir.Update, Body: body(k, "x"), Entries: entries, Patients: patients})
		}
		write("Patient/1", `"active":true`)
		write("Patient/1", `"active":false`)
		for i, reference := range []string{
			"Patient/1", "Patient/1/_history/1", "http://ours/fhir/Patient/1", "http://ours/fhir/Patient/1/_history/1",
			"http://theirs/fhir/Patient/1", "Patient/11", "urn:uuid:1", "#1",
		} {
			write(fmt.Sprintf("Observation/%d", i), fmt.Sprintf(`"subject":{"reference":%q}`, reference))
		}
		active := func(value string) search.Clause {
			request, err := r.Parse([]string{"Patient"}, "active="+value, search.ParseOptions{})
			if err != nil {
				f.Fatal(err)
			}
			return request.Query.Where[0]
		}
		f.find(query("Observation", chain("subject", "Patient", active("false"))), "Observation/0", "Observation/1", "Observation/2", "Observation/3")
		f.find(query("Observation", chain("subject", "Patient", active("true"))))
		f.find(query("Patient", has("Observation", "subject")), "Patient/1")
		f.find(query("Observation", search.RefersTo("subject", key("Patient/1"))), "Observation/0", "Observation/1", "Observation/2", "Observation/3")
	}},
	{"joins are sorted, paged and counted", func(f *fixture) {
		f.write(put("Patient/1", "name=x"), put("Patient/2", "name=y"))
		var want []string
		for i := range 40 {
			name := fmt.Sprintf("Observation/%02d", i)
			f.write(put(name, fmt.Sprintf("n=%02d", i*11%40), to("subject", fmt.Sprintf("Patient/%d", 1+i%2))))
			if i%2 == 0 {
				want = append(want, name)
			}
		}
		q := query("Observation", chain("subject", "Patient", is("name", "x")))
		for _, q.Sort = range [][]search.Sort{nil, {sortBy("n")}, {desc(sortBy("n"))}} {
			for _, q.Count = range []int{1, 3, 20, 100} {
				first := f.search(q)
				if first.Total != 20 || len(first.Resources) != min(q.Count, 20) || (first.Next == "") != (q.Count >= 20) {
					f.Errorf("total %d, %d resources, next %q", first.Total, len(first.Resources), first.Next)
				}
				got := names(f.all(q))
				if slices.Sort(got); !slices.Equal(got, want) {
					f.Errorf("pages of %d: %v", q.Count, got)
				}
			}
			q.Count = 0
			if page := f.search(q); page.Total != 20 || len(page.Resources) != 0 {
				f.Errorf("total %d alone", page.Total)
			}
		}
	}},
	{"a condition may not have a join", func(f *fixture) {
		ward(f)
		for _, where := range []search.Clause{
			chain("subject", "Patient", is("name", "x")),
			eitherOf(all(is("code", "z")), all(not(chain("subject", "Patient")))),
		} {
			c := put("Observation/10")
			c.Condition = &store.Condition{Query: query("Observation", where)}
			f.refuse(fhir.NotSupported, 1, put("Observation/11"), c)
		}
		f.find(query("Observation", is("code", "a")), "Observation/1", "Observation/3")
		if _, err := f.s.Read(f.Context(), key("Observation/11")); fhir.KindOf(err) != fhir.NotFound {
			f.Errorf("a refused write left something: %v", err)
		}
	}},
}
