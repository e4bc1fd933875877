package mongo

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// openSeveral opens a database as several servers do, all at the same moment.
func openSeveral(t *testing.T, n int, opts Options) []*Store {
	t.Helper()
	database := testDatabase(t)
	uri := testURI(t)
	t.Cleanup(func() { dropDatabase(t, database) })
	out := make([]*Store, n)
	errs := make([]error, n)
	opts.Database = database
	together(n, func(i int) { out[i], errs[i] = Open(t.Context(), uri, opts) })
	for i, s := range out {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		t.Cleanup(func() { _ = s.Close() })
	}
	return out
}

func together(n int, run func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			run(i)
		})
	}
	close(start)
	all.Wait()
}

func TestServersThatStartTogetherShareOneDatabase(t *testing.T) {
	servers := openSeveral(t, 4, Options{})
	for _, s := range servers[1:] {
		if string(s.secret) != string(servers[0].secret) {
			t.Error("two servers have different secrets")
		}
	}
	for i, s := range servers {
		write(t, s, create(fmt.Sprintf("Patient/%d", i), "all=x"))
	}
	q := search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("all", "x")}, Count: 1, Total: search.TotalAccurate, Identity: "q"}
	var seen []string
	for i := 0; ; i++ {
		page, err := servers[i%len(servers)].Search(t.Context(), q)
		if err != nil || page.Total != 4 {
			t.Fatalf("total %d, %v", page.Total, err)
		}
		seen = append(seen, page.Resources[0].ID)
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if slices.Sort(seen); !slices.Equal(seen, []string{"0", "1", "2", "3"}) {
		t.Errorf("pages from different servers hold %v", seen)
	}
}

func TestConditionalCreatesOnDifferentServersLeaveOneResource(t *testing.T) {
	servers := openSeveral(t, 3, Options{})
	for round := range 5 {
		value := fmt.Sprint(round)
		condition := &store.Condition{Query: search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("identifier", value)}}}
		errs := make([]error, 64)
		together(64, func(i int) {
			c := create(fmt.Sprintf("Patient/%d-%d", round, i), "identifier="+value)
			c.Condition = condition
			_, errs[i] = servers[i%3].Write(t.Context(), []store.Change{c})
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if fhir.KindOf(err) != fhir.Conflict {
				t.Errorf("%v", err)
			}
		}
		page, err := servers[0].Search(t.Context(), search.Query{Types: []string{"Patient"}, Where: condition.Query.Where, Count: 9})
		if err != nil || won != 1 || len(page.Resources) != 1 {
			t.Errorf("%d creates succeeded, %d resources are there, %v", won, len(page.Resources), err)
		}
	}
}

func TestUpdatesOnDifferentServersAreNotLost(t *testing.T) {
	servers := openSeveral(t, 3, Options{})
	write(t, servers[0], create("Patient/1"))
	const each = 8
	var refused sync.Map
	together(9, func(i int) {
		s := servers[i%3]
		for done := 0; done < each; {
			now, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "1"})
			if err != nil {
				t.Error(err)
				return
			}
			c := put(fhir.Update, "Patient/1", fmt.Sprintf("n=%d", now.Version))
			c.IfVersion = now.Version
			_, err = s.Write(t.Context(), []store.Change{c})
			switch {
			case err == nil:
				done++
			case fhir.KindOf(err) == fhir.VersionMismatch:
				refused.Store(fmt.Sprint(i, now.Version), true)
			default:
				t.Errorf("%v", err)
				return
			}
		}
	})
	history, err := servers[1].History(t.Context(), store.HistoryQuery{Type: "Patient", ID: "1", Count: 1000})
	if err != nil || len(history.Resources) != 9*each+1 {
		t.Fatalf("%d versions, want %d, %v", len(history.Resources), 9*each+1, err)
	}
	for i := 1; i < len(history.Resources); i++ {
		if a, b := history.Resources[i-1], history.Resources[i]; a.Version != b.Version+1 || a.Updated.Before(b.Updated) {
			t.Errorf("version %d of %v before version %d of %v", b.Version, b.Updated, a.Version, a.Updated)
		}
	}
}

// TestALargeTransactionEndsBesideSmallWrites has two servers write small things
// without pause while the third writes a bundle of 3,419 entries.
func TestALargeTransactionEndsBesideSmallWrites(t *testing.T) {
	servers := openSeveral(t, 3, Options{Timeout: time.Minute})
	stop := make(chan struct{})
	var writers sync.WaitGroup
	small := make([]int, 2)
	for i := range small {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := servers[i].Write(t.Context(), []store.Change{create(fmt.Sprintf("Observation/%d-%d", i, n), "code=a")}); err != nil {
					t.Errorf("a small write: %v", err)
					return
				}
				small[i]++
			}
		})
	}
	text := make([]byte, 3000)
	for i := range text {
		text[i] = "abcdefghijklmnop"[(i*i+i/7)%16]
	}
	var large []store.Change
	for i := range 3419 {
		c := create(fmt.Sprintf("Encounter/%d", i), "code=a", fmt.Sprintf("n=%d", i))
		c.Body.Tail = fmt.Appendf(nil, `},"text":%q}`, text)
		large = append(large, c)
	}
	out, err := servers[2].Write(t.Context(), large)
	close(stop)
	writers.Wait()
	if err != nil || len(out) != len(large) {
		t.Fatalf("%d versions, %v", len(out), err)
	}
	for i, n := range small {
		page, err := servers[2].Search(t.Context(), search.Query{
			Types: []string{"Observation"}, Total: search.TotalAccurate, Where: []search.Clause{is("code", "a")},
		})
		if err != nil || n == 0 || page.Total != int64(small[0]+small[1]) {
			t.Errorf("server %d wrote %d; %d are there, %v", i, n, page.Total, err)
		}
	}
	now, err := servers[0].readClock(t.Context())
	if err != nil || now.Counts["Encounter"] != int64(len(large)) {
		t.Errorf("%v, %v", now, err)
	}
}

// TestHistoryPolledFromAnotherServerMissesNothing has three servers with clocks
// that differ.
func TestHistoryPolledFromAnotherServerMissesNothing(t *testing.T) {
	database := testDatabase(t)
	var servers []*Store
	for i := range 3 {
		skew := time.Duration(i-1) * 30 * time.Second
		servers = append(servers, openTest(t, database, Options{Clock: func() time.Time { return time.Now().Add(skew) }}))
	}
	const each = 20
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(6, func(w int) {
			for i := range each {
				if _, err := servers[w%3].Write(t.Context(), []store.Change{put(fhir.Update, fmt.Sprintf("Patient/%d-%d", w, i%7))}); err != nil {
					t.Errorf("Write: %v", err)
				}
			}
		})
	}()
	seen := map[string]bool{}
	newest := time.Time{}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		h := store.HistoryQuery{Since: newest, Count: 50}
		for {
			page, err := servers[1].History(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Resources {
				seen[fmt.Sprintf("%s@%d", r.Key, r.Version)] = true
				if r.Updated.After(newest) {
					newest = r.Updated
				}
			}
			if h.Cursor = page.Next; h.Cursor == "" {
				break
			}
		}
	}
	if len(seen) != 6*each {
		t.Errorf("polling saw %d versions, want %d", len(seen), 6*each)
	}
}

// definitions is an Indexer that indexes the text of a made-up resource's
// "text" under its own hash.
type definitions struct {
	hash string
	err  error
}

func (d definitions) Hash() string { return d.hash }

func (d definitions) Index(json []byte) ([]search.Entry, []string, error) {
	doc, err := native(json)
	if err != nil || d.err != nil {
		return nil, nil, errors.Join(err, d.err)
	}
	for _, e := range doc {
		if e.Key == "text" {
			return []search.Entry{{Param: d.hash, Value: []byte(e.Value.(string))}}, []string{d.hash}, nil
		}
	}
	return nil, nil, nil
}

func TestOtherDefinitionsRebuildTheIndexOnce(t *testing.T) {
	database := testDatabase(t)
	old := openTest(t, database, Options{Indexer: definitions{hash: "v1"}})
	for i := range 700 {
		if i%100 == 0 {
			var changes []store.Change
			for j := range 100 {
				c := put(fhir.Update, fmt.Sprintf("Patient/%d", i+j), "x=y")
				c.Entries = []search.Entry{{Param: "v1", Value: []byte("[x=y]")}}
				changes = append(changes, c)
			}
			write(t, old, changes...)
		}
	}
	write(t, old, put(fhir.Update, "Patient/7", "x=z"))
	write(t, old, store.Change{Key: fhir.Key{Type: "Patient", ID: "8"}, Method: fhir.Delete})
	first, err := old.Search(t.Context(), search.Query{Types: []string{"Patient"}, Count: 10, Identity: "q"})
	if err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	rebuilt, total := int64(0), int64(0)
	progress := func(done, of int64) {
		mu.Lock()
		defer mu.Unlock()
		if done >= rebuilt { // the server that waits hears it later
			rebuilt, total = done, max(total, of)
		}
	}
	servers := make([]*Store, 2)
	together(2, func(i int) {
		var err error
		servers[i], err = Open(t.Context(), testURI(t), Options{Database: database, Indexer: definitions{hash: "v2"}, OnRebuild: progress})
		if err != nil {
			t.Error(err)
		}
	})
	for _, s := range servers {
		if s == nil {
			t.FailNow()
		}
		defer s.Close()
		page, err := s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("v2", "[x=y]")}, Total: search.TotalAccurate})
		if err != nil || page.Total != 698 {
			t.Errorf("total %d, %v", page.Total, err)
		}
		page, err = s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("v1", "[x=y]")}, Total: search.TotalAccurate})
		if err != nil || page.Total != 0 {
			t.Errorf("by the old definitions: total %d, %v", page.Total, err)
		}
	}
	if rebuilt != 702 || total != 702 {
		t.Errorf("progress ended at %d of %d versions", rebuilt, total)
	}
	if res, err := servers[0].ReadVersion(t.Context(), fhir.Key{Type: "Patient", ID: "8"}, 2); err != nil || !slices.Equal(res.Patients, []string{"v2"}) {
		t.Errorf("a deletion is in the compartments %v, %v", res, err)
	}
	_, err = servers[0].Search(t.Context(), search.Query{Types: []string{"Patient"}, Count: 10, Identity: "q", Cursor: first.Next})
	if fhir.KindOf(err) != fhir.Expired {
		t.Errorf("a page from before the rebuild: %v", err)
	}

	t.Run("a server of the old definitions neither searches nor writes, but reads", func(t *testing.T) {
		_, err := old.Search(t.Context(), search.Query{Types: []string{"Patient"}, Count: 1})
		if fhir.KindOf(err) != fhir.Unavailable {
			t.Errorf("search: %v", err)
		}
		for range 2 {
			_, err = old.Write(t.Context(), []store.Change{create("Patient/new")})
			if fhir.KindOf(err) != fhir.Unavailable {
				t.Errorf("write: %v", err)
			}
		}
		if _, err := old.Read(t.Context(), fhir.Key{Type: "Patient", ID: "1"}); err != nil {
			t.Errorf("read: %v", err)
		}
	})
	t.Run("a rebuild that fails is made again", func(t *testing.T) {
		broken := definitions{hash: "v3", err: errors.New("broken")}
		if _, err := Open(t.Context(), testURI(t), Options{Database: database, Indexer: broken}); err == nil {
			t.Fatal("it was opened")
		}
		s := openTest(t, database, Options{Indexer: definitions{hash: "v3"}})
		page, err := s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("v3", "[x=y]")}, Total: search.TotalAccurate})
		if err != nil || page.Total != 698 {
			t.Errorf("total %d, %v", page.Total, err)
		}
	})
}

// TestSweepingRemovesWhatNoPageNeeds counts the index entries of history.
func TestSweepingRemovesWhatNoPageNeeds(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := openTest(t, testDatabase(t), Options{Clock: func() time.Time { return now }})
	for i := range 6 {
		write(t, s, put(fhir.Update, fmt.Sprintf("Patient/%d", i), "all=x"))
	}
	q := search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("all", "x")}, Count: 2, Identity: "q"}
	first, err := s.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		write(t, s, put(fhir.Update, fmt.Sprintf("Patient/%d", i), "all=y"))
	}
	kept := func(want int64) {
		t.Helper()
		for range 3 {
			if err := s.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		n, err := s.history.CountDocuments(t.Context(), bson.D{{Key: "ix", Value: bson.D{{Key: "$exists", Value: true}}}})
		if err != nil || n != want {
			t.Errorf("%d replaced versions have index entries, want %d, %v", n, want, err)
		}
	}
	kept(6)
	q.Cursor = first.Next
	if page, err := s.Search(t.Context(), q); err != nil || len(page.Resources) != 2 || page.Resources[0].Version != 1 {
		t.Errorf("the second page: %+v, %v", page, err)
	}
	now = now.Add(s.opts.PageLifetime + 2*sweepMargin)
	write(t, s, put(fhir.Update, "Patient/0", "all=z"))
	kept(1)
}
