package mongo

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// forbidden are the stages that MongoDB refuses in a transaction, with error
// 263. The test engine takes them, so only this test can tell.
//
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/unionWith/#restrictions,
// https://www.mongodb.com/docs/manual/core/transactions-operations/
var forbidden = []string{
	"$collStats", "$currentOp", "$indexStats", "$listLocalSessions", "$listSessions", "$merge", "$out", "$planCacheStats", "$unionWith",
}

// allowed are the commands that may be in a transaction, of those the store has
// a use for, and inSnapshot those that may have read concern "snapshot" without
// one.
//
// https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/
var (
	allowed = []string{
		"aggregate", "find", "getMore", "killCursors", "insert", "update", "delete", "findAndModify", "commitTransaction", "abortTransaction",
	}
	inSnapshot = []string{"aggregate", "find", "distinct"}
)

// TestTransactionStages runs every kind of write, a search and a history, and
// looks at what the driver sends within transactions, with snapshots without
// one, and at the fields of every command.
func TestTransactionStages(t *testing.T) {
	var mu sync.Mutex
	seen, bad := map[string]bool{}, map[string]bool{}
	stage := regexp.MustCompile(`"(\$[A-Za-z]+)"`)
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		mu.Lock()
		defer mu.Unlock()
		fields := map[string]bool{}
		elements, err := e.Command.Elements()
		if err != nil {
			bad[err.Error()] = true
		}
		for _, field := range elements {
			if fields[field.Key()] {
				bad[e.CommandName+" with two of "+field.Key()] = true
			}
			fields[field.Key()] = true
		}
		if auto, ok := e.Command.Lookup("autocommit").BooleanOK(); !ok || auto { // not in a transaction
			if level, _ := e.Command.Lookup("readConcern", "level").StringValueOK(); level == "snapshot" {
				seen["a snapshot"] = true
				if !slices.Contains(inSnapshot, e.CommandName) {
					bad[e.CommandName+" with a snapshot"] = true
				}
			}
			return
		}
		seen[e.CommandName] = true
		if !slices.Contains(allowed, e.CommandName) {
			bad[e.CommandName] = true
		}
		for _, m := range stage.FindAllStringSubmatch(e.Command.String(), -1) {
			if slices.Contains(forbidden, m[1]) {
				bad[e.CommandName+" with "+m[1]] = true
			}
		}
	}}
	s := openTest(t, testDatabase(t), Options{Monitor: monitor})
	change := func(id string, method fhir.Method) store.Change {
		return store.Change{
			Key: fhir.Key{Type: "Patient", ID: id}, Method: method,
			Body:    fhir.Body{Head: []byte(`{"resourceType":"Patient","id":"` + id + `","meta":{`), Tail: []byte(`}}`)},
			Entries: []search.Entry{{Param: "name", Value: []byte("a" + id)}},
		}
	}
	under := func(c store.Change, keep func([]byte) bool, values ...string) store.Change {
		clause := search.Clause{Param: "name"}
		for _, v := range values {
			clause.Ranges = append(clause.Ranges, search.Range{From: []byte(v), To: []byte(v + "\x00"), Keep: keep})
		}
		c.Condition = &store.Condition{Query: search.Query{Types: []string{"Patient"}, Where: []search.Clause{clause}, Identity: "x"}}
		return c
	}
	many := func(n int, prefix string) (changes []store.Change) {
		for i := range n {
			changes = append(changes, under(change(prefix+string(rune('a'+i)), fhir.Update), nil, prefix+string(rune('a'+i))+"?"))
		}
		return changes
	}
	requiring := change("6", fhir.Create)
	requiring.IfNone, requiring.Requires = true, []fhir.Key{{Type: "Patient", ID: "2"}}
	for _, changes := range [][]store.Change{
		{change("1", fhir.Create)},
		{change("1", fhir.Update)},
		{under(change("2", fhir.Create), nil, "nobody")},
		{under(change("3", fhir.Create), nil, "nobody", "no-one")},
		{under(change("4", fhir.Create), func([]byte) bool { return true }, "nobody")},
		many(20, "m"),
		{{Key: fhir.Key{Type: "Patient", ID: "1"}, Method: fhir.Delete}},
		{requiring},
	} {
		if _, err := s.Write(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	// After another server's write the clock is held.
	other := openTest(t, s.db.Name(), Options{})
	write(t, other, change("5", fhir.Update))
	write(t, s, change("5", fhir.Update))
	// What is wrong is mended in a transaction.
	if _, err := s.resources.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/5"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "patient", Value: "x"}}}}); err != nil {
		t.Fatal(err)
	}
	if found := check(t, s, true); len(found) != 1 || !strings.Contains(found[0], "(true)") {
		t.Errorf("%v", found)
	}
	copyInto(t, s)
	q := search.Query{Types: []string{"Patient"}, Count: 2, Identity: "q", Sort: []search.Sort{{Param: "name"}}, Total: search.TotalAccurate}
	for range 2 {
		page, err := s.Search(t.Context(), q)
		if err != nil || page.Next == "" {
			t.Fatalf("%v, %v", page, err)
		}
		q.Cursor = page.Next
	}
	if _, err := s.History(t.Context(), store.HistoryQuery{Type: "Patient", Count: 2}); err != nil {
		t.Fatal(err)
	}
	joined := search.Query{Types: []string{"Patient"}, Where: []search.Clause{chain("link", "Patient", is("name", "a")), has("Patient", "link")}, Count: 2, Explain: true}
	for _, s.othersLimit = range []int{0, 1} {
		if _, err := s.Search(t.Context(), joined); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Gather(t.Context(), store.GatherQuery{Keys: []fhir.Key{{Type: "Patient", ID: "2"}}, Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Erase(t.Context(), fhir.Key{Type: "Patient", ID: "5"}, 0); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, what := range []string{"aggregate", "update", "insert", "delete", "findAndModify", "commitTransaction", "abortTransaction", "a snapshot"} {
		if !seen[what] {
			t.Errorf("%s was not sent, so nothing is tested of it", what)
		}
	}
	for what := range bad {
		t.Errorf("MongoDB refuses this, in a transaction with error 263: %s", what)
	}
}

// copyInto copies a store into another one that has the same monitor.
func copyInto(t *testing.T, from *Store) {
	t.Helper()
	to := openTest(t, testDatabase(t), Options{Monitor: from.opts.Monitor})
	versions, err := from.Export(t.Context(), store.Place{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.BeginImport(t.Context(), "a source"); err != nil {
		t.Fatal(err)
	}
	if err := to.Import(t.Context(), versions); err != nil {
		t.Fatal(err)
	}
}
