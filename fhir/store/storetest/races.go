package storetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

var raceCases = []testCase{
	{"of 64 updates of one version at once one succeeds", func(f *fixture) {
		for round := range 5 {
			name := fmt.Sprintf("Patient/%d", round)
			f.write(put(name, "n=start", fmt.Sprintf("round=%d", round)))
			errs := make([]error, 64)
			together(64, func(i int) {
				c := put(name, fmt.Sprintf("n=%d", i), fmt.Sprintf("round=%d", round))
				c.IfVersion = 1
				_, errs[i] = f.s.Write(f.Context(), []store.Change{c})
			})
			winner := -1
			for i, err := range errs {
				switch {
				case err != nil:
					f.wantKind(err, fhir.VersionMismatch)
				case winner >= 0:
					f.Errorf("updates %d and %d succeeded", winner, i)
				default:
					winner = i
				}
			}
			if winner < 0 {
				f.Fatal("no update succeeded")
			}
			if got := f.read(name).Version; got != 2 {
				f.Errorf("version %d", got)
			}
			f.find(query("Patient", is("round", fmt.Sprint(round)), is("n", fmt.Sprint(winner))), name)
		}
	}},
	{"of 64 updates and deletions of one version at once one succeeds", func(f *fixture) {
		f.write(put("Patient/1", "n=start"))
		errs := make([]error, 64)
		together(64, func(i int) {
			c := put("Patient/1", fmt.Sprintf("n=%d", i))
			if i%2 == 0 {
				c = del("Patient/1")
			}
			c.IfVersion = 1
			_, errs[i] = f.s.Write(f.Context(), []store.Change{c})
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				f.wantKind(err, fhir.VersionMismatch)
			}
		}
		if got := f.read("Patient/1"); won != 1 || got.Version != 2 {
			f.Errorf("%d succeeded, the newest version is %d", won, got.Version)
		}
	}},
	{"64 conditional creates with alternatives at once leave one resource", func(f *fixture) {
		condition := &store.Condition{Query: query("Patient", eitherOf(all(is("identifier", "a")), all(is("identifier", "b"))))}
		errs := make([]error, 64)
		together(64, func(i int) {
			c := put(fmt.Sprintf("Patient/%d", i), "identifier="+[]string{"a", "b"}[i%2])
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
		if page := f.search(condition.Query); won != 1 || page.Total != 1 {
			f.Errorf("%d creates succeeded, %d resources", won, page.Total)
		}
	}},
	{"whoever loses a conditional create finds what the winner made", func(f *fixture) {
		q := query("Patient", is("identifier", "1"))
		var mu sync.Mutex
		found := map[string]bool{}
		together(64, func(i int) {
			for {
				page, err := f.s.Search(f.Context(), q)
				if err != nil {
					f.Errorf("Search: %v", err)
					return
				}
				if len(page.Resources) > 0 {
					mu.Lock()
					defer mu.Unlock()
					for _, name := range names(page.Resources) {
						found[name] = true
					}
					return
				}
				c := put(fmt.Sprintf("Patient/%d", i), "identifier=1")
				c.IfNone, c.Condition = true, &store.Condition{Query: q}
				if _, err := f.s.Write(f.Context(), []store.Change{c}); err != nil && fhir.KindOf(err) != fhir.Conflict {
					f.Errorf("Write: %v", err)
					return
				}
			}
		})
		if len(found) != 1 {
			f.Errorf("found %v", found)
		}
	}},
	{"paging joins to their end while others write loses and repeats nothing", func(f *fixture) {
		// Every write alters a patient together with its observation and device,
		// so that each moment has the same matches.
		const n = 30
		write := func(i, round int) error {
			_, err := f.s.Write(f.Context(), writeAll(i, round))
			return err
		}
		var want []string
		for i := range n {
			if err := write(i, i); err != nil {
				f.Fatal(err)
			}
			want = append(want, fmt.Sprintf("Patient/%d", i))
		}
		slices.Sort(want)
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				for round := w; ; round++ {
					select {
					case <-stop:
						return
					default:
					}
					if err := write(round*7%n, round%10); err != nil {
						f.Errorf("Write: %v", err)
						return
					}
				}
			})
		}
		for name, q := range joinedQueries() {
			for _, q.Count = range []int{4, 13} {
				pages := f.pages(q)
				var got []string
				for _, page := range pages {
					got = append(got, names(page.Resources)...)
					if page.Total != n {
						f.Errorf("%s: total %d", name, page.Total)
					}
				}
				if slices.Sort(got); !slices.Equal(got, want) {
					f.Errorf("%s in pages of %d: %v", name, q.Count, got)
				}
			}
		}
		close(stop)
		writers.Wait()
	}},
}
