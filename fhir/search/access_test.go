package search

import (
	"testing"

	"github.com/starling-fhir/starling/fhir"
)

func TestFullAccess(t *testing.T) {
	a := FullAccess()
	q := mustParse(t, "Patient", "gender=male").Query
	if err := a.Allow("delete", "Patient"); err != nil || !a.Sees(&fhir.Resource{}) {
		t.Errorf("full access does not allow everything: %v", err)
	}
	if narrowed := a.Narrow(q); narrowed.Identity != q.Identity || len(narrowed.Where) != 1 {
		t.Errorf("full access narrows: %+v", narrowed)
	}
}

// TestNoAccess checks that the zero Access lets nothing through, and that
// narrowing leaves the caller's query as it was.
func TestNoAccess(t *testing.T) {
	var a Access
	if fhir.KindOf(a.Allow("read", "Patient")) != fhir.Forbidden || fhir.KindOf(a.Allow("search-system", "")) != fhir.Forbidden {
		t.Error("the zero Access allows something")
	}
	if a.Sees(&fhir.Resource{}) {
		t.Error("the zero Access sees something")
	}
	q := mustParse(t, "Patient", "gender=female").Query
	q.Where = append(make([]Clause, 0, 8), q.Where...) // room that Narrow must not write into
	narrowed := a.Narrow(q)
	if narrowed.Identity == q.Identity {
		t.Error("a page of one access could be continued with another")
	}
	if len(q.Where) != 1 || len(q.Where[:2]) == 2 && q.Where[:2][1].Param != "" {
		t.Error("the caller's query was changed")
	}
	for _, typ := range []string{"Patient", "Observation", "Medication"} {
		if _, ok := narrowed.WhereOf(typ); ok {
			t.Errorf("a narrowed query still selects %s", typ)
		}
	}
}
