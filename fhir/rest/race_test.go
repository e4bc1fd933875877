package rest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// together sends a request from n clients at once and counts the statuses.
func (a *api) together(n int, request func(i int) call) map[int]int {
	a.tb.Helper()
	var wait sync.WaitGroup
	start := make(chan struct{})
	codes := sync.Map{}
	for i := range n {
		wait.Go(func() {
			<-start
			codes.Store(i, a.do(request(i)).Code)
		})
	}
	close(start)
	wait.Wait()
	counts := map[int]int{}
	codes.Range(func(_, code any) bool {
		counts[code.(int)]++
		return true
	})
	return counts
}

func TestParallelConditionalCreatesLeaveOne(t *testing.T) {
	a := newAPI(t)
	const clients = 64
	counts := a.together(clients, func(int) call {
		return call{
			"POST", "/Patient",
			[]string{"If-None-Exist: identifier=http://hospital.example/mrn|1815"},
			`{"resourceType":"Patient","identifier":[{"system":"http://hospital.example/mrn","value":"1815"}]}`,
		}
	})
	if counts[http.StatusCreated] != 1 || counts[http.StatusOK] != clients-1 {
		t.Errorf("statuses %v, want one 201 and %d 200", counts, clients-1)
	}
	if n := a.total("Patient"); n != 1 {
		t.Errorf("%d patients", n)
	}
}

func TestParallelConditionalCreatesInTransactionsLeaveOne(t *testing.T) {
	a := newAPI(t)
	const clients = 32
	counts := a.together(clients, func(int) call {
		return call{"POST", "", nil, bundleOf("transaction",
			entryOf("urn:uuid:66666666-6666-4666-8666-666666666666", "POST", "Patient",
				`{"resourceType":"Patient","identifier":[{"value":"1815"}]}`, `"ifNoneExist":"identifier=1815"`),
			entryOf("", "POST", "Observation", observationOf("urn:uuid:66666666-6666-4666-8666-666666666666")))}
	})
	if counts[http.StatusOK] != clients {
		t.Errorf("statuses %v, want %d 200", counts, clients)
	}
	if n := a.total("Patient"); n != 1 {
		t.Fatalf("%d patients", n)
	}
	// Whoever lost the race must have linked to the winner's patient.
	id := a.page("/Patient").Entry[0].Resource.ID
	if p := a.page("/Observation?_summary=count&subject=Patient/" + id); *p.Total != clients {
		t.Errorf("%d Observations are about the one patient, want %d", *p.Total, clients)
	}
}

func TestParallelConditionalUpdatesWithAnID(t *testing.T) {
	a := newAPI(t)
	const clients = 32
	counts := a.together(clients, func(int) call {
		return call{"PUT", "/Patient?identifier=http://hospital.example/mrn|1815", nil, adaV1}
	})
	if counts[http.StatusCreated] != 1 || counts[http.StatusOK] != clients-1 {
		t.Errorf("statuses %v, want one 201 and %d 200", counts, clients-1)
	}
}

// blind is a store whose first search sees nothing, as if what is there had been
// written just after it.
type blind struct {
	store.Store
	searched atomic.Bool
}

func (b *blind) Search(ctx context.Context, q search.Query) (*search.Page, error) {
	if !b.searched.Swap(true) {
		return &search.Page{Total: -1}, nil
	}
	return b.Store.Search(ctx, q)
}

// TestWrittenBetweenSearchAndRead: a conditional update with an id must not take
// what a rival has just made for something else.
func TestWrittenBetweenSearchAndRead(t *testing.T) {
	seen := &blind{}
	seen.searched.Store(true)
	a := newAPI(t, func(c *Config) { seen.Store, c.Store = c.Store, seen })
	a.must("PUT", "/Patient/ada", adaV1)
	seen.searched.Store(false)
	rec := a.do(call{"PUT", "/Patient?identifier=1815", nil, adaV2})
	if rec.Code != 200 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

func TestParallelUpdatesOfOneVersion(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Patient/ada", adaV1)
	const clients = 32
	counts := a.together(clients, func(i int) call {
		return call{"PUT", "/Patient/ada", []string{`If-Match: W/"1"`}, fmt.Sprintf(`{"resourceType":"Patient","id":"ada","multipleBirthInteger":%d}`, i)}
	})
	if counts[http.StatusOK] != 1 || counts[http.StatusPreconditionFailed] != clients-1 {
		t.Errorf("statuses %v, want one 200 and %d 412", counts, clients-1)
	}
}
