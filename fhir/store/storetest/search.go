package storetest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// sortBy makes a sort key over all of a parameter's values.
func sortBy(param string) search.Sort { return search.Sort{Param: param} }

func desc(s search.Sort) search.Sort {
	s.Desc = true
	return s
}

var searchCases = []testCase{
	{"a clause finds values inside its range and no others", func(f *fixture) {
		f.write(put("Patient/1", "name=ab"), put("Patient/2", "name=abc"), put("Patient/3", "name=b"),
			put("Patient/4", "name=a"), put("Patient/5", "other=ab"), put("Patient/6", "name=ab\x00"), put("Observation/1", "name=ab"))
		f.find(query("Patient", is("name", "ab")), "Patient/1")
		f.find(query("Patient", is("name", "ab\x00")), "Patient/6")
		f.find(query("Patient", between("name", "ab", "ac")), "Patient/1", "Patient/2", "Patient/6")
		f.find(query("Patient", between("name", "ab", "abc")), "Patient/1", "Patient/6")
		f.find(query("Patient", between("name", "aba", "")), "Patient/2", "Patient/3")
		f.find(query("Patient", between("name", "", "ab")), "Patient/4")
		f.find(query("Patient", between("name", "", "")), "Patient/1", "Patient/2", "Patient/3", "Patient/4", "Patient/6")
		f.find(query("Patient", between("name", "b", "a")))
		f.find(query("Patient", is("nam", "eab")))
		f.find(query("Patient", is("unheard-of", "ab")))
	}},
	{"a range that no single entry lies in finds nothing", func(f *fixture) {
		// One entry below, one above, none inside: a store must not take two
		// entries for the two ends.
		f.write(put("Patient/1", "date=2020", "date=2024"), put("Patient/2", "date=2022"))
		f.find(query("Patient", between("date", "2021", "2023")), "Patient/2")
		f.find(query("Patient", not(between("date", "2021", "2023"))), "Patient/1")
		f.find(query("Patient", between("date", "2021", "2023"), between("date", "2020", "")), "Patient/2")
	}},
	{"all clauses must hold, each by any entry", func(f *fixture) {
		f.write(put("Patient/1", "code=a", "code=b"), put("Patient/2", "code=a"), put("Patient/3", "code=b", "name=x"))
		f.find(query("Patient", is("code", "a"), is("code", "b")), "Patient/1")
		f.find(query("Patient", is("code", "b"), is("name", "x")), "Patient/3")
		f.find(query("Patient", is("code", "a"), is("name", "x")))
	}},
	{"any of the ranges of a clause is enough", func(f *fixture) {
		f.write(put("Patient/1", "code=a", "code=b"), put("Patient/2", "code=b"), put("Patient/3", "code=c"), put("Patient/4", "code=d"))
		f.find(query("Patient", anyOf(is("code", "a"), is("code", "b"))), "Patient/1", "Patient/2")
		f.find(query("Patient", anyOf(is("code", "x"), between("code", "c", ""))), "Patient/3", "Patient/4")
		f.find(query("Patient", anyOf(between("code", "a", "c"), between("code", "b", "d"))), "Patient/1", "Patient/2", "Patient/3")
		f.find(query("Patient", anyOf(is("code", "x"), is("code", "y"))))
	}},
	{"a clause may have very many ranges", func(f *fixture) {
		var clauses []search.Clause
		for i := range 500 {
			clauses = append(clauses, is("code", fmt.Sprintf("%03d", i)))
		}
		f.write(put("Patient/1", "code=007"), put("Patient/2", "code=499"), put("Patient/3", "code=500"))
		f.find(query("Patient", anyOf(clauses...)), "Patient/1", "Patient/2")
		f.find(query("Patient", not(anyOf(clauses...))), "Patient/3")
	}},
	{"Not finds resources without such an entry", func(f *fixture) {
		f.write(put("Patient/1", "code=a", "code=b"), put("Patient/2", "code=b"), put("Patient/3"), put("Observation/1"))
		f.find(query("Patient", not(is("code", "a"))), "Patient/2", "Patient/3")
		f.find(query("Patient", not(anyOf(is("code", "a"), is("code", "b")))), "Patient/3")
		f.find(query("Patient", is("code", "b"), not(is("code", "a"))), "Patient/2")
		f.find(query("Patient", not(between("code", "", ""))), "Patient/3")
		f.find(query("Patient", not(is("unheard-of", "a"))), "Patient/1", "Patient/2", "Patient/3")
	}},
	{"no ranges match nothing, with Not everything", func(f *fixture) {
		f.write(put("Patient/1", "code=a"))
		f.find(query("Patient", search.Clause{Param: "code"}))
		f.find(query("Patient", search.Clause{Param: "code", Not: true}), "Patient/1")
		f.find(query("Patient", is("code", "a"), search.Clause{Param: "unheard-of"}))
		f.find(query("Patient", is("code", "a"), search.Clause{Param: "unheard-of", Not: true}), "Patient/1")
	}},
	{"Keep must accept the value too", func(f *fixture) {
		f.write(put("Patient/1", "name=smith"), put("Patient/2", "name=smythe", "name=zz"), put("Patient/3", "name=jones"))
		withKeep := func(c search.Clause) search.Clause {
			for i := range c.Ranges {
				c.Ranges[i].Keep = func(value []byte) bool { return bytes.Contains(value, []byte("the")) }
			}
			return c
		}
		f.find(query("Patient", withKeep(between("name", "s", "t"))), "Patient/2")
		f.find(query("Patient", withKeep(between("name", "", ""))), "Patient/2")
		f.find(query("Patient", not(withKeep(between("name", "", "")))), "Patient/1", "Patient/3")
		f.find(query("Patient", withKeep(is("name", "smythe"))), "Patient/2")
		f.find(query("Patient", withKeep(is("name", "smith"))))
		f.find(query("Patient", withKeep(between("name", "smi", "smj"))))
	}},
	{"values with zero bytes keep their order", func(f *fixture) {
		values := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00\x00", "a\x00a", "a\x01", "\xff", "\xff\x00", "\xff\xff"}
		var want []string
		for i, value := range values {
			name := fmt.Sprintf("Patient/%d", i)
			f.write(put(name, "v="+value))
			want = append(want, name)
		}
		q := query("Patient")
		q.Sort = []search.Sort{sortBy("v")}
		f.ordered(q, want...)
		for i, from := range values {
			f.find(query("Patient", between("v", from, "")), append([]string{}, want[i:]...)...)
			f.find(query("Patient", is("v", from)), want[i])
			if i > 0 {
				f.find(query("Patient", between("v", "", from)), append([]string{}, want[:i]...)...)
			}
		}
	}},
	{"duplicate entries count once", func(f *fixture) {
		f.write(put("Patient/1", "code=a", "code=a", "code=b", "code=a"))
		f.find(query("Patient", between("code", "", "")), "Patient/1")
		f.write(put("Patient/1", "code=a", "code=a"))
		f.find(query("Patient", is("code", "a")), "Patient/1")
		f.write(put("Patient/1"))
		f.find(query("Patient", is("code", "a")))
	}},
	{"several types and all types", func(f *fixture) {
		f.write(put("Patient/1", "code=a"), put("Observation/1", "code=a"), put("Device/1", "code=a"), put("Device/2", "code=b"))
		q := query("", is("code", "a"))
		q.Types = []string{"Device", "Observation"}
		f.find(q, "Device/1", "Observation/1")
		q.Types = []string{"Device", "Encounter"}
		f.find(q, "Device/1")
		q.Types = nil
		f.find(q, "Device/1", "Observation/1", "Patient/1")
		q.Where = nil
		f.find(q, "Device/1", "Device/2", "Observation/1", "Patient/1")
		q.Types = []string{"Encounter"}
		f.find(q)
		q.Types = []string{"Device", "Patient"}
		f.find(q, "Device/1", "Device/2", "Patient/1")
	}},
	{"an empty store answers", func(f *fixture) {
		f.find(query("Patient"))
		f.find(search.Query{Count: 10, Total: search.TotalAccurate})
		f.find(query("Patient", not(is("code", "a"))))
	}},
	{"search returns whole newest versions", func(f *fixture) {
		c := put("Patient/1", "code=a")
		f.write(c)
		c.Patients = []string{"1"}
		want := f.write(c)[0]
		same(f, f.search(query("Patient", is("code", "a"))).Resources[0], want)
	}},
	{"sort by one key, up and down, missing last", func(f *fixture) {
		f.write(put("Patient/none"), put("Patient/b", "name=b"), put("Patient/a", "name=a"), put("Patient/c", "name=c"), put("Patient/gone", "name=a"))
		f.write(del("Patient/gone"))
		q := query("Patient")
		q.Sort = []search.Sort{sortBy("name")}
		f.ordered(q, "Patient/a", "Patient/b", "Patient/c", "Patient/none")
		q.Sort[0].Desc = true
		f.ordered(q, "Patient/c", "Patient/b", "Patient/a", "Patient/none")
		q.Where = []search.Clause{not(is("name", "b"))}
		f.ordered(q, "Patient/c", "Patient/a", "Patient/none")
	}},
	{"sort takes the least value, with Desc the greatest", func(f *fixture) {
		f.write(put("Patient/1", "n=2", "n=9"), put("Patient/2", "n=1", "n=5"), put("Patient/3", "n=3"))
		q := query("Patient")
		q.Sort = []search.Sort{sortBy("n")}
		f.ordered(q, "Patient/2", "Patient/1", "Patient/3")
		q.Sort = []search.Sort{desc(sortBy("n"))}
		f.ordered(q, "Patient/1", "Patient/2", "Patient/3")
	}},
	{"sort looks only at values inside its range", func(f *fixture) {
		f.write(put("Patient/1", "n=a9", "n=b1"), put("Patient/2", "n=a1", "n=b9"), put("Patient/3", "n=a0"))
		q := query("Patient")
		q.Sort = []search.Sort{{Param: "n", Range: search.Range{From: []byte("b"), To: []byte("c")}}}
		f.ordered(q, "Patient/1", "Patient/2", "Patient/3")
		q.Sort[0].Desc = true
		f.ordered(q, "Patient/2", "Patient/1", "Patient/3")
		q.Sort[0].Range.Keep = func(value []byte) bool { return value[1] != '9' }
		f.ordered(q, "Patient/1", "Patient/2", "Patient/3")
	}},
	{"sort by several keys", func(f *fixture) {
		f.write(put("Patient/1", "name=b", "date=1"), put("Patient/2", "name=a", "date=2"), put("Patient/3", "name=b", "date=3"),
			put("Patient/4", "date=1"), put("Patient/5", "name=a"), put("Patient/6", "date=2"), put("Patient/7", "name=a", "date=1"))
		q := query("Patient")
		q.Sort = []search.Sort{sortBy("name"), desc(sortBy("date"))}
		want := []string{"Patient/2", "Patient/7", "Patient/5", "Patient/3", "Patient/1", "Patient/6", "Patient/4"}
		f.ordered(q, want...)
		for q.Count = 1; q.Count < 8; q.Count++ {
			if got := names(f.all(q)); fmt.Sprint(got) != fmt.Sprint(want) {
				f.Errorf("pages of %d: %v, want %v", q.Count, got, want)
			}
		}
	}},
	{"sort by a parameter nobody has", func(f *fixture) {
		f.write(put("Patient/1"), put("Patient/2"))
		q := query("Patient")
		q.Sort, q.Count = []search.Sort{sortBy("unheard-of")}, 1
		if got := names(f.all(q)); len(got) != 2 || got[0] == got[1] {
			f.Errorf("found %v", got)
		}
	}},
	{"ties are in a stable order", func(f *fixture) {
		for i := range 20 {
			f.write(put(fmt.Sprintf("Patient/%d", i), "name=a"))
		}
		for _, s := range []search.Sort{sortBy("name"), desc(sortBy("name"))} {
			q := query("Patient")
			q.Sort = []search.Sort{s}
			whole := names(f.search(q).Resources)
			q.Count = 3
			if got := names(f.all(q)); fmt.Sprint(got) != fmt.Sprint(whole) || len(got) != 20 {
				f.Errorf("in pages %v, whole %v", got, whole)
			}
		}
	}},
	{"sort over several types", func(f *fixture) {
		f.write(put("Patient/1", "n=2"), put("Device/1", "n=1"), put("Device/2", "n=3"), put("Device/3"))
		q := search.Query{Sort: []search.Sort{sortBy("n")}, Count: 9, Identity: "test"}
		f.ordered(q, "Device/1", "Patient/1", "Device/2", "Device/3")
		q.Count = 1
		if got := names(f.all(q)); fmt.Sprint(got) != "[Device/1 Patient/1 Device/2 Device/3]" {
			f.Errorf("in pages %v", got)
		}
	}},
	{"sort by lastUpdated", func(f *fixture) {
		for _, name := range []string{"Patient/2", "Patient/1", "Patient/3", "Patient/2"} {
			f.write(put(name))
			f.clock.add(time.Second)
		}
		low := search.LastUpdated(f.clock.now())[0].Value[:1] // one of the two classes of entry
		q := query("Patient")
		q.Sort = []search.Sort{{Param: "_lastUpdated", Range: search.Range{From: low, To: []byte{low[0] + 1}}}}
		f.ordered(q, "Patient/1", "Patient/3", "Patient/2")
		q.Sort[0].Desc = true
		f.ordered(q, "Patient/2", "Patient/3", "Patient/1")
	}},
	{"count 0 asks for the total alone", func(f *fixture) {
		f.write(put("Patient/1", "code=a"), put("Patient/2", "code=a"), put("Patient/3"))
		for _, q := range []search.Query{query("Patient"), query("Patient", is("code", "a"))} {
			want := f.search(q).Total
			q.Count = 0
			for _, q.Sort = range [][]search.Sort{nil, {sortBy("code")}} {
				page := f.search(q)
				if len(page.Resources) != 0 || page.Total != want || page.Next != "" {
					f.Errorf("%d resources, total %d, want %d, next %q", len(page.Resources), page.Total, want, page.Next)
				}
			}
		}
	}},
	{"totals: none, cheap and accurate", func(f *fixture) {
		const many = 10_100
		for i := 0; i < many; i += 500 {
			var changes []store.Change
			for j := i; j < min(i+500, many); j++ {
				changes = append(changes, put(fmt.Sprintf("Patient/%d", j), "all=x", fmt.Sprintf("code=%d", j%3)))
			}
			f.write(changes...)
		}
		for _, test := range []struct {
			total search.Total
			where search.Clause
			want  int64
		}{
			{search.TotalNone, is("code", "0"), -1},
			{search.TotalCheap, is("code", "0"), 3367},
			{search.TotalAccurate, is("code", "0"), 3367},
			{search.TotalCheap, is("all", "x"), -1},
			{search.TotalAccurate, is("all", "x"), many},
			{search.TotalAccurate, between("all", "", ""), many},
			{search.TotalAccurate, not(is("code", "0")), many - 3367},
		} {
			for _, sort := range [][]search.Sort{nil, {sortBy("code")}} {
				q := query("Patient", test.where)
				q.Total, q.Count, q.Sort = test.total, 2, sort
				page := f.search(q)
				if known := test.want < 0 && test.total == search.TotalCheap && page.Total == many; page.Total != test.want && !known {
					f.Errorf("total of kind %d for %s: %d, want %d", test.total, test.where.Param, page.Total, test.want)
				}
				if len(page.Resources) != 2 || page.Next == "" {
					f.Errorf("%d resources, next %q", len(page.Resources), page.Next)
				}
				q.Cursor = page.Next
				if next := f.search(q); next.Total != page.Total {
					f.Errorf("total %d on the first page, %d on the second", page.Total, next.Total)
				}
			}
		}
	}},
}
