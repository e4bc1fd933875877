package mongo

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// TestConcernsHoldWhateverTheURISays reads what is really sent.
func TestConcernsHoldWhateverTheURISays(t *testing.T) {
	var mu sync.Mutex
	sent := map[string]string{}
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		mu.Lock()
		defer mu.Unlock()
		for _, field := range []string{"readConcern", "writeConcern", "$readPreference"} {
			sent[e.CommandName+" "+field] = e.Command.Lookup(field).String()
		}
	}}
	uri := testURI(t)
	sep := "&"
	if !strings.Contains(uri, "?") {
		sep = "?"
	}
	uri += sep + "w=0&readConcernLevel=local&readPreference=secondaryPreferred&retryWrites=false"
	var log bytes.Buffer
	database := testDatabase(t)
	t.Cleanup(func() { dropDatabase(t, database) })
	s, err := Open(t.Context(), uri, Options{Database: database, Monitor: monitor, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.Contains(log.String(), "read preference") {
		t.Errorf("nothing says that the read preference is not used: %s", log.String())
	}
	write(t, s, create("Patient/1", "code=a"))
	if _, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "1"}); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	delete(sent, "aggregate readConcern")
	mu.Unlock()
	if _, err := s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Total: search.TotalAccurate}); err != nil { // the keys alone
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for field, want := range map[string]string{
		"commitTransaction writeConcern": `"majority"`,
		"find readConcern":               `"majority"`,
		"aggregate readConcern":          `"snapshot"`,
	} {
		if !strings.Contains(sent[field], want) {
			t.Errorf("%s is %s, want %s", field, sent[field], want)
		}
	}
	if !strings.Contains(sent["commitTransaction writeConcern"], `"j": true`) && !strings.Contains(sent["commitTransaction writeConcern"], `"j":true`) {
		t.Errorf("commits are without journal: %s", sent["commitTransaction writeConcern"])
	}
	for field, value := range sent {
		if strings.Contains(value, "secondary") {
			t.Errorf("%s is %s", field, value)
		}
	}
}

func TestSortingTooManyIsTooCostly(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{MaxCandidates: 20})
	var changes []store.Change
	for i := range 40 {
		changes = append(changes, create(fmt.Sprintf("Observation/%d", i), "all=x", fmt.Sprintf("n=%02d", i)))
	}
	write(t, s, changes...)
	keep := search.Clause{Param: "n", Ranges: []search.Range{{Keep: func([]byte) bool { return true }}}}
	few := search.Clause{Param: "n", Ranges: []search.Range{{From: []byte("10"), To: []byte("30")}}}
	byN := []search.Sort{{Param: "n"}}
	for _, test := range []struct {
		name string
		q    search.Query
		kind fhir.Kind
		want int
	}{
		{"sorting all", search.Query{Sort: byN, Total: search.TotalNone}, fhir.TooCostly, 0},
		{"sorting what needs a second look", search.Query{Sort: byN, Where: []search.Clause{keep}}, fhir.TooCostly, 0},
		{"counting what needs a second look", search.Query{Where: []search.Clause{keep}, Total: search.TotalAccurate}, fhir.TooCostly, 0},
		{"sorting as many as allowed", search.Query{Sort: byN, Where: []search.Clause{few}}, 0, 5},
		{"all without sorting", search.Query{Total: search.TotalAccurate}, 0, 5},
		{"a page of what needs a second look", search.Query{Where: []search.Clause{keep}, Total: search.TotalNone}, 0, 5},
	} {
		test.q.Types, test.q.Count = []string{"Observation"}, 5
		page, err := s.Search(t.Context(), test.q)
		if test.want == 0 {
			if err == nil || fhir.KindOf(err) != test.kind {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil || len(page.Resources) != test.want {
			t.Errorf("%s: %v, %v", test.name, page, err)
		}
	}
}
