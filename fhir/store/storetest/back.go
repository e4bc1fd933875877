package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// pages returns all pages of a query, in order.
func (f *fixture) pages(q search.Query) (out []*search.Page) {
	f.Helper()
	for range 10_000 {
		page := f.search(q)
		out = append(out, page)
		if q.Cursor = page.Next; q.Cursor == "" {
			return out
		}
	}
	f.Fatal("paging does not end")
	return nil
}

// goBack goes from the last page of a query to the first, checks that each
// page is the one that was there on the way, and that its Next leads on again.
func (f *fixture) goBack(name string, q search.Query) {
	f.Helper()
	there := f.pages(q)
	if there[0].Prev != "" {
		f.Errorf("%s: the first page has one before it", name)
	}
	prev := there[len(there)-1].Prev
	for i := len(there) - 2; i >= 0; i-- {
		if prev == "" {
			f.Fatalf("%s: page %d of %d has none before it", name, i+2, len(there))
		}
		q.Cursor, q.Back = prev, true
		page := f.search(q)
		if got, want := names(page.Resources), names(there[i].Resources); !slices.Equal(got, want) || page.Total != there[i].Total {
			f.Errorf("%s: back on page %d are %v, total %d; on the way there %v, total %d", name, i+1, got, page.Total, want, there[i].Total)
		}
		prev = page.Prev
		if q.Cursor, q.Back = page.Next, false; q.Cursor == "" {
			f.Fatalf("%s: back on page %d there is none behind it", name, i+1)
		}
		again := f.search(q)
		if got, want := names(again.Resources), names(there[i+1].Resources); !slices.Equal(got, want) || again.Total != there[i+1].Total {
			f.Errorf("%s: after going back, page %d has %v, want %v", name, i+2, got, want)
		}
	}
	if prev != "" {
		f.Errorf("%s: back on the first page there is one before it", name)
	}
}

// joinedQueries are queries of fill's patients with alternatives and joins.
func joinedQueries() map[string]search.Query {
	sorted := query("Patient", has("Observation", "subject", is("code", "a")))
	sorted.Sort = []search.Sort{desc(sortBy("n"))}
	return map[string]search.Query{
		"alternatives": query("Patient", eitherOf(all(is("half", "x")), all(is("all", "x")))),
		"join":         query("Patient", chain("link", "Device")),
		"reverse":      query("Patient", has("Observation", "subject", is("code", "a"))),
		"joined, down": sorted,
		"not joined":   query("Patient", not(chain("link", "Unheard"))),
	}
}

// fillJoined is fill with an observation and a device for each patient.
func fillJoined(f *fixture, n int) {
	f.write(put("Device/1", "all=x"))
	for i := range n {
		patient := fmt.Sprintf("Patient/%d", i)
		texts := []string{fmt.Sprintf("n=%d", i*7%10), "all=x", to("link", "Device/1")}
		if i%2 == 0 {
			texts = append(texts, "half=x")
		}
		f.write(put(patient, texts...), put(fmt.Sprintf("Observation/%d", i), "code=a", to("subject", patient)))
	}
}

var backCases = []testCase{
	{"Back gives the page before", func(f *fixture) {
		fill(f, 11)
		for name, q := range pagedQueries() {
			for _, q.Count = range []int{1, 3, 5, 10, 11, 12} {
				f.goBack(fmt.Sprintf("%s in pages of %d", name, q.Count), q)
			}
		}
	}},
	{"Back gives the page before of joins and alternatives", func(f *fixture) {
		fillJoined(f, 11)
		for name, q := range joinedQueries() {
			for _, q.Count = range []int{1, 4, 11} {
				f.goBack(fmt.Sprintf("%s in pages of %d", name, q.Count), q)
			}
		}
	}},
	{"Back over several types, whole and sorted", func(f *fixture) {
		for i := range 5 {
			f.write(put(fmt.Sprintf("Patient/%d", i), fmt.Sprintf("n=%d", i)), put(fmt.Sprintf("Device/%d", i), fmt.Sprintf("n=%d", 9-i)), put(fmt.Sprintf("Group/%d", i)))
		}
		q := query("")
		for _, q.Types = range [][]string{nil, {"Device", "Patient"}} {
			for _, q.Sort = range [][]search.Sort{nil, {sortBy("n")}, {desc(sortBy("n"))}} {
				for _, q.Count = range []int{1, 2, 4, 7} {
					f.goBack(fmt.Sprintf("%v, %d keys, pages of %d", q.Types, len(q.Sort), q.Count), q)
				}
			}
		}
	}},
	{"Back under a scope", func(f *fixture) {
		l := f.limits()
		for i := range 9 {
			f.write(l.within(put(fmt.Sprintf("Observation/%d", i), fmt.Sprintf("n=%d", i%4)), "a"), l.within(put(fmt.Sprintf("Observation/b%d", i), fmt.Sprintf("n=%d", i%4)), "b"),
				put(fmt.Sprintf("Medication/%d", i), fmt.Sprintf("n=%d", i%3)))
		}
		for _, types := range [][]string{{"Observation"}, nil} {
			for _, sort := range [][]search.Sort{nil, {sortBy("n")}} {
				q := query("")
				q.Types, q.Sort, q.Count = types, sort, 4
				f.goBack(fmt.Sprintf("%v, %d keys", types, len(sort)), l.to("a").Narrow(q))
			}
		}
	}},
	{"Back when the page size changes", func(f *fixture) {
		fill(f, 10)
		for _, sort := range [][]search.Sort{nil, {sortBy("n")}} {
			q := query("Patient")
			q.Sort = sort
			whole := names(f.search(q).Resources)
			q.Count = 4
			q.Cursor = f.search(q).Next
			q.Cursor, q.Back = f.search(q).Prev, true // before the 5th
			q.Count = 3
			page := f.search(q)
			if got := names(page.Resources); !slices.Equal(got, whole[1:4]) || page.Prev == "" {
				f.Errorf("the three before are %v, want %v; before them %q", got, whole[1:4], page.Prev)
			}
			q.Cursor = page.Prev
			page = f.search(q)
			if got := names(page.Resources); !slices.Equal(got, whole[:1]) || page.Prev != "" || page.Next == "" {
				f.Errorf("the first page is %v, want %v; before it %q", got, whole[:1], page.Prev)
			}
			q.Count = 5
			q.Cursor, q.Back = page.Next, false
			if got := names(f.search(q).Resources); !slices.Equal(got, whole[1:6]) {
				f.Errorf("behind the first page are %v, want %v", got, whole[1:6])
			}
		}
	}},
	{"Back sees the moment of the first page", func(f *fixture) {
		for _, sort := range [][]search.Sort{nil, {sortBy("n")}} {
			fill(f, 9)
			q := query("Patient", is("all", "x"))
			q.Sort, q.Count = sort, 3
			first := f.search(q)
			q.Cursor = first.Next
			second := f.search(q)
			f.write(put("Patient/0", "all=y"), del("Patient/1"), put("Patient/-", "n=0", "all=x"), put("Patient/2", "n=9", "all=x"), put("Patient/8", "n=0", "all=x"))
			q.Cursor, q.Back = second.Prev, true
			if page := f.search(q); !slices.Equal(names(page.Resources), names(first.Resources)) || page.Total != 9 {
				f.Errorf("back are %v, total %d; the first page was %v", names(page.Resources), page.Total, names(first.Resources))
			}
			f.write(del("Patient/-"))
		}
	}},
	{"Back needs a cursor of its query", func(f *fixture) {
		fill(f, 6)
		for _, sort := range [][]search.Sort{nil, {sortBy("n")}} {
			q := query("Patient")
			q.Sort, q.Count, q.Back = sort, 2, true
			_, err := f.s.Search(f.Context(), q)
			f.wantKind(err, fhir.Invalid)
			q.Back = false
			q.Cursor = f.search(q).Next
			prev := f.search(q).Prev
			q.Cursor, q.Back, q.Identity = prev, true, "other"
			_, err = f.s.Search(f.Context(), q)
			f.wantKind(err, fhir.Invalid)
			q.Identity, q.Cursor = "test", prev[1:]
			_, err = f.s.Search(f.Context(), q)
			f.wantKind(err, fhir.Invalid)
			q.Cursor = prev
			f.clock.add(PageLifetime + time.Second)
			_, err = f.s.Search(f.Context(), q)
			f.wantKind(err, fhir.Expired)
		}
	}},
	{"a cursor back is as long as one on", func(f *fixture) {
		l := f.limits()
		for i := range 12 {
			f.write(l.within(put(fmt.Sprintf("Observation/%d", i), fmt.Sprintf("n=%0*d", 1+i*20, i)), "a"))
		}
		lengths := map[int]bool{}
		for _, sort := range [][]search.Sort{nil, {sortBy("n")}} {
			q := l.to("a").Narrow(query("Observation"))
			q.Sort, q.Count = sort, 5
			for _, page := range f.pages(q) {
				for _, cursor := range []string{page.Next, page.Prev} {
					if cursor != "" {
						lengths[len(cursor)] = true
					}
				}
			}
		}
		if len(lengths) != 1 {
			f.Errorf("cursors have lengths %v", lengths)
		}
	}},
	{"going back while others write sees one moment", func(f *fixture) {
		const n = 24
		write := func(i, round int) error {
			_, err := f.s.Write(f.Context(), writeAll(i, round))
			return err
		}
		for i := range n {
			if err := write(i, i); err != nil {
				f.Fatal(err)
			}
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := write(round%n, round%10); err != nil {
					f.Errorf("Write: %v", err)
					return
				}
			}
		}()
		for name, q := range pagedQueries() {
			q.Count = 7
			f.goBack(name, q)
		}
		for name, q := range joinedQueries() {
			q.Count = 7
			f.goBack(name, q)
		}
		close(stop)
		<-done
	}},
}

// writeAll writes a patient anew with what joinedQueries and pagedQueries ask for.
func writeAll(i, n int) []store.Change {
	patient := fmt.Sprintf("Patient/%d", i)
	return []store.Change{
		put(patient, fmt.Sprintf("n=%d", n), "all=x", to("link", "Device/1")),
		put(fmt.Sprintf("Observation/%d", i), "code=a", to("subject", patient)), put("Device/1"),
	}
}
