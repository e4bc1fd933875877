package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

var limitCases = []testCase{
	{"a resource of 5 MiB is stored, a larger one is TooLarge", func(f *fixture) {
		c := put("Binary/1")
		size := func() int { return len(c.Body.Head) + len(c.Body.Tail) }
		c.Body.Tail = append(c.Body.Tail, bytes.Repeat([]byte(" "), store.MaxResourceBytes-size())...)
		want := f.write(c)[0]
		same(f, f.read("Binary/1"), want)
		c.Body.Tail = append(c.Body.Tail, ' ')
		f.refuse(fhir.TooLarge, 1, put("Patient/1"), c)
		f.find(query("Patient"))
	}},
	{"a page ends at 32 MiB and the next goes on", func(f *fixture) {
		const n, whole = 8, 7 // of 5 MiB; 7 reach the limit
		var want []string
		for i := range n {
			c := put(fmt.Sprintf("Binary/%d", i), "all=x")
			c.Body.Tail = append(c.Body.Tail, bytes.Repeat([]byte(" "), store.MaxResourceBytes-len(c.Body.Head)-len(c.Body.Tail))...)
			f.write(c)
			want = append(want, c.Key.String())
		}
		sorted := query("Binary", is("all", "x"))
		sorted.Sort = []search.Sort{sortBy("all")}
		for _, q := range []search.Query{query("Binary"), sorted} {
			q.Count = 1000
			if first := f.search(q); len(first.Resources) != whole || first.Next == "" || first.Total != n {
				f.Errorf("the first page has %d resources, next %q, total %d", len(first.Resources), first.Next, first.Total)
			}
			got := names(f.all(q))
			if slices.Sort(got); !slices.Equal(got, want) {
				f.Errorf("pages have %v, want %v", got, want)
			}
		}
		h := store.HistoryQuery{Type: "Binary", Count: 1000}
		first, err := f.s.History(f.Context(), h)
		if err != nil || len(first.Resources) != whole || first.Next == "" {
			f.Fatalf("the first page of the history: %v, %v", first, err)
		}
		if got := f.history(h); len(got) != n {
			f.Errorf("the history has %d versions, want %d", len(got), n)
		}
	}},
	{"a resource has at most 20,000 entries", func(f *fixture) {
		c := put("Patient/1")
		for i := range store.MaxEntries {
			c.Entries = append(c.Entries, search.Entry{Param: "n", Value: fmt.Appendf(nil, "%06d", i)})
		}
		f.write(c)
		f.find(query("Patient", is("n", "019999")), "Patient/1")
		c.Entries = append(c.Entries, search.Entry{Param: "n", Value: []byte("x")})
		f.refuse(fhir.TooLarge, 1, put("Patient/2"), c)
		f.find(query("Patient"), "Patient/1")
		f.write(put("Patient/1"))
		f.find(query("Patient", is("n", "019999")))
	}},
	{"an entry has at most 512 bytes", func(f *fixture) {
		long := strings.Repeat("x", store.MaxEntryBytes)
		zeros := strings.Repeat("\x00", store.MaxEntryBytes)
		f.write(put("Patient/1", "n="+long), put("Patient/2", "n="+zeros))
		f.find(query("Patient", is("n", long)), "Patient/1")
		f.find(query("Patient", is("n", zeros)), "Patient/2")
		f.refuse(fhir.TooLarge, 1, put("Patient/3"), put("Patient/4", "n="+long+"x"))
		f.find(query("Patient"), "Patient/1", "Patient/2")
	}},
}
