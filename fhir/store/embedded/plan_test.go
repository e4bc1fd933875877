package embedded

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

func TestPlans(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem()})
	const many = 5000
	for i := 0; i < many; i += 500 {
		var changes []store.Change
		for j := i; j < i+500; j++ {
			changes = append(changes, textChange("Patient", fmt.Sprint(j), fmt.Sprintf("all half%d few%d n%04d", j%2, j%1000, j)))
		}
		mustWrite(t, s, changes...)
	}
	is := func(word string) search.Clause { return one("word1", word) }
	between := func(from, to string) search.Clause {
		return search.Clause{Param: "word1", Ranges: []search.Range{{From: []byte(from), To: []byte(to)}}}
	}
	not := func(c search.Clause) search.Clause { c.Not = true; return c }
	for _, test := range []struct {
		name  string
		where []search.Clause
		want  string
		total int64
	}{
		{"everything", nil, "Patient: all(5000)", many},
		{"values join as streams", []search.Clause{is("half1"), is("few7")}, "Patient: word1=drive(5000) word1=join(5000)", 5},
		{"a range of one value is a stream", []search.Clause{between("half1", "half2")}, "Patient: word1=drive(5000)", 2500},
		{"a small range is gathered", []search.Clause{is("all"), between("n0010", "n0020")}, "Patient: word1=gather(10) word1=join(5000)", 10},
		{"a large range is tested on what a small stream finds", []search.Clause{is("few7"), between("n0000", "n4500")}, "Patient: word1=drive(5) word1=test(5000)", 5},
		{"of two ranges the small one is gathered", []search.Clause{between("n", "o"), between("n0010", "n0020")}, "Patient: word1=gather(10) word1=test(5000)", 10},
		{"a range alone is gathered", []search.Clause{between("n", "o")}, "Patient: word1=gather(5000)", many},
		{"not of a value rejects by stream", []search.Clause{is("few7"), not(is("half0"))}, "Patient: word1=drive(5000) not word1=reject(0)", 5},
		{"not of a large range is tested", []search.Clause{is("few7"), not(between("n0000", "n4500"))}, "Patient: word1=drive(5000) not word1=test(0)", 0},
		{"a value nobody has", []search.Clause{is("few7"), between("x", "y")}, "Patient: word1=none(0)", 0},
		{"a parameter nobody has", []search.Clause{one("unheard-of", "a"), is("few7")}, "Patient: unheard-of=none(0)", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &view{ctx: t.Context(), r: s.db, t: s.visible.Load().t}
			c := s.walk(v, search.Query{}, place{}).p.plan("Patient", test.where, forth)
			var total int64
			for doc, ok := c.next(0); ok; doc, ok = c.next(doc + 1) {
				total++
			}
			if err := v.close(); err != nil {
				t.Fatal(err)
			}
			if got := c.explain().String(); got != test.want {
				t.Errorf("plan %q, want %q", got, test.want)
			}
			if total != test.total {
				t.Errorf("%d found, want %d", total, test.total)
			}
		})
	}
}
