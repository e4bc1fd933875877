package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// fill writes n patients with an entry for sorting, half of them a second one.
func fill(f *fixture, n int) (written []string) {
	for i := range n {
		name := fmt.Sprintf("Patient/%d", i)
		texts := []string{fmt.Sprintf("n=%d", i*7%10), "all=x"}
		if i%2 == 0 {
			texts = append(texts, "half=x")
		}
		f.write(put(name, texts...))
		written = append(written, name)
	}
	return written
}

// pagedQueries are queries of every way to go through the store.
func pagedQueries() map[string]search.Query {
	sorted := query("Patient")
	sorted.Sort = []search.Sort{sortBy("n")}
	down := query("Patient", is("all", "x"))
	down.Sort = []search.Sort{desc(sortBy("n")), sortBy("half")}
	missing := query("Patient")
	missing.Sort = []search.Sort{desc(sortBy("half"))}
	system := query("")
	system.Types = nil
	return map[string]search.Query{
		"type":    query("Patient"),
		"system":  system,
		"clause":  query("Patient", is("all", "x")),
		"range":   query("Patient", between("n", "", "")),
		"not":     query("Patient", not(is("n", "x"))),
		"sorted":  sorted,
		"down":    down,
		"missing": missing,
	}
}

var pagingCases = []testCase{
	{"pages are whole, full and end", func(f *fixture) {
		want := fill(f, 23)
		slices.Sort(want)
		for name, q := range pagedQueries() {
			whole := names(f.search(q).Resources)
			for _, q.Count = range []int{1, 2, 7, 22, 23, 24} {
				got := names(f.all(q))
				if !slices.Equal(got, whole) {
					f.Errorf("%s in pages of %d: %v, want %v", name, q.Count, got, whole)
				}
				if slices.Sort(got); !slices.Equal(got, want) {
					f.Errorf("%s in pages of %d: %v", name, q.Count, got)
				}
				if first := f.search(q); len(first.Resources) != min(q.Count, 23) || (first.Next == "") != (q.Count >= 23) || first.Total != 23 {
					f.Errorf("%s: first page of %d has %d, next %q, total %d", name, q.Count, len(first.Resources), first.Next, first.Total)
				}
			}
		}
	}},
	{"paging never repeats or loses a resource that did not change", func(f *fixture) {
		rng := rand.New(rand.NewPCG(1, 2))
		for name, q := range pagedQueries() {
			prefix := "Patient/" + name
			still := map[string]bool{}
			for i := range 40 {
				f.write(put(fmt.Sprintf("%s-%d", prefix, i), fmt.Sprintf("n=%d", i%9), "all=x"))
				still[fmt.Sprintf("%s-%d", prefix, i)] = i%2 == 0
			}
			q.Count = 3
			seen := map[string]int{}
			for {
				page := f.search(q)
				for _, r := range page.Resources {
					seen[r.Key.String()]++
				}
				for range 3 {
					victim := fmt.Sprintf("%s-%d", prefix, rng.IntN(20)*2+1) // odd ones change
					if rng.IntN(3) == 0 {
						f.write(del(victim))
					} else {
						f.write(put(victim, fmt.Sprintf("n=%d", rng.IntN(9)), "all=x", "half=x"))
					}
				}
				f.clock.add(time.Millisecond)
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			for key, unchanged := range still {
				if unchanged && seen[key] != 1 {
					f.Errorf("%s: %s was seen %d times", name, key, seen[key])
				}
			}
		}
	}},
	{"a cursor belongs to its query", func(f *fixture) {
		fill(f, 5)
		q := query("Patient")
		q.Count = 2
		next := f.search(q).Next
		for _, identity := range []string{"", "tes", "tesT", "test ", "other"} {
			q.Identity, q.Cursor = identity, next
			_, err := f.s.Search(f.Context(), q)
			f.wantKind(err, fhir.Invalid)
		}
		q.Identity = "test"
		if got := len(f.search(q).Resources); got != 2 {
			f.Errorf("%d resources", got)
		}
	}},
	{"a tampered cursor is invalid", func(f *fixture) {
		fill(f, 5)
		q := query("Patient")
		q.Count = 2
		next := f.search(q).Next
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for i := range next {
			other := alphabet[(strings.IndexByte(alphabet, next[i])+1)%len(alphabet)]
			q.Cursor = next[:i] + string(other) + next[i+1:]
			_, err := f.s.Search(f.Context(), q)
			f.wantKind(err, fhir.Invalid)
		}
		for _, q.Cursor = range []string{"x", "AAAA", next[1:], next[:len(next)-1], next + "A", next + "\n", strings.Repeat("A", 500), "ä"} {
			_, err := f.s.Search(f.Context(), q)
			f.wantKind(err, fhir.Invalid)
		}
	}},
	{"another store's cursor is invalid", func(f *fixture) {
		fill(f, 5)
		other := newFixture(f.T, f.open)
		fill(other, 5)
		q := query("Patient")
		q.Count = 2
		q.Cursor = other.search(q).Next
		_, err := f.s.Search(f.Context(), q)
		f.wantKind(err, fhir.Invalid)
	}},
	{"a cursor expires", func(f *fixture) {
		fill(f, 5)
		q := query("Patient")
		q.Count = 2
		q.Cursor = f.search(q).Next
		f.clock.add(PageLifetime - time.Second)
		f.search(q)
		f.clock.add(2 * time.Second)
		_, err := f.s.Search(f.Context(), q)
		f.wantKind(err, fhir.Expired)
	}},
	{"a page has 0 to 1,000 resources", func(f *fixture) {
		for _, count := range []int{-1, 1001} {
			_, err := f.s.Search(f.Context(), search.Query{Count: count})
			f.wantKind(err, fhir.Invalid)
		}
	}},
}
