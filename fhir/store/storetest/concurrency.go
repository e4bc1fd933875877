package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// together runs n functions at the same time and waits for them.
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

var concurrencyCases = []testCase{
	{"64 identical conditional creates at once leave one resource", func(f *fixture) {
		for round := range 10 {
			value := fmt.Sprintf("identifier=%d", round)
			condition := &store.Condition{Query: query("Patient", is("identifier", fmt.Sprint(round)))}
			errs := make([]error, 64)
			together(64, func(i int) {
				c := put(fmt.Sprintf("Patient/%d-%d", round, i), value)
				c.Method, c.IfNone, c.Condition = fhir.Create, true, condition
				_, errs[i] = f.s.Write(f.Context(), []store.Change{c})
			})
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else {
					f.wantKind(err, fhir.Conflict)
				}
			}
			if won != 1 {
				f.Errorf("%d creates succeeded", won)
			}
			if got := f.search(query("Patient", condition.Query.Where...)).Resources; len(got) != 1 {
				f.Errorf("%d resources", len(got))
			}
		}
	}},
	{"of 32 creates of one id at once one succeeds", func(f *fixture) {
		var mu sync.Mutex
		won := 0
		together(32, func(int) {
			c := put("Patient/1", "code=a")
			c.IfNone = true
			_, err := f.s.Write(f.Context(), []store.Change{c})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if fhir.KindOf(err) != fhir.Duplicate {
				f.Errorf("error %v", err)
			}
		})
		if won != 1 {
			f.Errorf("%d creates succeeded", won)
		}
		f.find(query("Patient", is("code", "a")), "Patient/1")
	}},
	{"of updates of one version at once one succeeds, and none is lost", func(f *fixture) {
		f.write(put("Patient/1", "n=0"))
		const writers, each = 8, 10
		together(writers, func(int) {
			for done := 0; done < each; {
				now, err := f.s.Read(f.Context(), key("Patient/1"))
				if err != nil {
					f.Errorf("Read: %v", err)
					return
				}
				c := put("Patient/1", fmt.Sprintf("n=%d", now.Version))
				c.IfVersion = now.Version
				_, err = f.s.Write(f.Context(), []store.Change{c})
				switch {
				case err == nil:
					done++
				case fhir.KindOf(err) != fhir.VersionMismatch:
					f.Errorf("Write: %v", err)
					return
				}
			}
		})
		if got := f.read("Patient/1").Version; got != writers*each+1 {
			f.Errorf("version %d, want %d", got, writers*each+1)
		}
		f.find(query("Patient", between("n", "", "")), "Patient/1")
		f.find(query("Patient", is("n", fmt.Sprint(writers*each))), "Patient/1")
	}},
	{"a write is seen whole or not at all, and by its writer at once", func(f *fixture) {
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					page, err := f.s.Search(f.Context(), query("Patient", between("round", "", "")))
					if err != nil {
						f.Errorf("Search: %v", err)
						return
					}
					texts := map[string]bool{}
					for _, r := range page.Resources {
						_, text, _ := bytes.Cut(r.JSON, []byte(`"text":`))
						texts[string(text)] = true
					}
					if len(texts) > 1 || len(page.Resources)%5 != 0 || page.Total != int64(len(page.Resources)) {
						f.Errorf("a search saw %d resources, total %d, of %v", len(page.Resources), page.Total, texts)
						return
					}
				}
			})
		}
		for round := range 50 {
			var changes []store.Change
			for i := range 5 {
				changes = append(changes, put(fmt.Sprintf("Patient/%d", i), fmt.Sprintf("round=%d", round)))
			}
			f.write(changes...)
			for i := range 5 {
				if got := f.read(fmt.Sprintf("Patient/%d", i)).Version; got != int64(round+1) {
					f.Errorf("version %d after writing version %d", got, round+1)
				}
			}
		}
		close(stop)
		readers.Wait()
	}},
	{"polling history since the newest version seen misses nothing", func(f *fixture) {
		const writers, each = 6, 40
		seen := map[string]bool{}
		newest := time.Time{}
		poll := func() bool {
			h := store.HistoryQuery{Since: newest, Count: 50}
			for {
				page, err := f.s.History(f.Context(), h)
				if err != nil {
					f.Errorf("History: %v", err)
					return false
				}
				for _, r := range page.Resources {
					seen[fmt.Sprintf("%s@%d", r.Key, r.Version)] = true
					if r.Updated.After(newest) {
						newest = r.Updated
					}
				}
				if h.Cursor = page.Next; h.Cursor == "" {
					return true
				}
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			together(writers, func(w int) {
				for i := range each {
					if _, err := f.s.Write(f.Context(), []store.Change{put(fmt.Sprintf("Patient/%d-%d", w, i%7))}); err != nil {
						f.Errorf("Write: %v", err)
					}
					f.clock.add(300 * time.Microsecond)
				}
			})
		}()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			if !poll() {
				break
			}
		}
		<-done
		if len(seen) != writers*each {
			f.Errorf("polling saw %d versions, want %d", len(seen), writers*each)
		}
	}},
	{"paging while others write sees one moment", func(f *fixture) {
		// Two resources always change together; every page sequence must see
		// them equal.
		const pairs = 20
		write := func(i, n int) error {
			_, err := f.s.Write(f.Context(), []store.Change{
				put(fmt.Sprintf("Patient/a%d", i), fmt.Sprintf("n=%03d", n), "all=x"),
				put(fmt.Sprintf("Patient/b%d", i), fmt.Sprintf("n=%03d", n), "all=x"),
			})
			return err
		}
		for i := range pairs {
			if err := write(i, i); err != nil {
				f.Fatal(err)
			}
		}
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := write(n%pairs, n%1000); err != nil {
					f.Errorf("Write: %v", err)
					return
				}
			}
		})
		for _, q := range pagedQueries() {
			q.Count = 3
			versions := map[string]int64{}
			for _, r := range f.all(q) {
				if _, twice := versions[r.ID]; twice {
					f.Errorf("%s was seen twice", r.ID)
				}
				versions[r.ID] = r.Version
			}
			if len(versions) != 2*pairs {
				f.Errorf("%d resources, want %d", len(versions), 2*pairs)
			}
			for i := range pairs {
				if a, b := versions[fmt.Sprint("a", i)], versions[fmt.Sprint("b", i)]; a != b {
					f.Errorf("one search saw versions %d and %d of a pair", a, b)
				}
			}
		}
		close(stop)
		writer.Wait()
	}},
	{"Close waits for writes under way", func(f *fixture) {
		results := make([]error, 16)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() {
				_, results[i] = f.s.Write(f.Context(), []store.Change{put(fmt.Sprintf("Patient/%d", i))})
			})
		}
		if err := f.s.Close(); err != nil {
			f.Errorf("Close: %v", err)
		}
		all.Wait()
		if i := slices.IndexFunc(results, func(err error) bool {
			return err != nil && fhir.KindOf(err) != fhir.Unavailable
		}); i >= 0 {
			f.Errorf("Write: %v", results[i])
		}
	}},
}
