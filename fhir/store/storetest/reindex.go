package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// wordIndexer makes entries out of the text of a resource that put wrote, under
// the parameters it knows.
type wordIndexer struct {
	hash   string
	params []string
	calls  *atomic.Int64
	// before, if set, is called before each resource is indexed.
	before func(name string)
}

func (x wordIndexer) Hash() string { return x.hash }

func (x wordIndexer) Index(text []byte) ([]search.Entry, []string, error) {
	var res struct{ ResourceType, ID, Text string }
	if err := json.Unmarshal(text, &res); err != nil {
		return nil, nil, err
	}
	if x.calls != nil {
		x.calls.Add(1)
	}
	if x.before != nil {
		x.before(res.ResourceType + "/" + res.ID)
	}
	return x.entries(strings.Fields(strings.Trim(res.Text, "[]"))...), []string{"nobody"}, nil
}

// entries keeps of "code=a" those under known parameters.
func (x wordIndexer) entries(texts ...string) []search.Entry {
	return slices.DeleteFunc(entries(texts...), func(e search.Entry) bool { return !slices.Contains(x.params, e.Param) })
}

// put writes a resource with the entries that the indexer makes.
func (x wordIndexer) put(name string, texts ...string) store.Change {
	c := put(name, texts...)
	c.Entries = x.entries(texts...)
	return c
}

// definer returns the store as a Definer.
func (f *fixture) definer() store.Definer {
	f.Helper()
	d, ok := f.s.(store.Definer)
	if !ok {
		f.Fatalf("%T is no store.Definer", f.s)
	}
	return d
}

func (f *fixture) definitions() store.Definitions {
	f.Helper()
	d, err := f.definer().Definitions(f.Context())
	if err != nil {
		f.Fatalf("Definitions: %v", err)
	}
	return d
}

// redefine changes the definitions to those of an indexer.
func (f *fixture) redefine(x wordIndexer, changed ...search.Parameter) {
	f.Helper()
	c := x.put("SearchParameter/"+x.hash, "code=z")
	c.Revision = f.definitions().Revision
	c.Redefine = &store.Redefinition{Hash: x.hash, Changed: changed}
	f.write(c)
}

func (f *fixture) reindex(x wordIndexer) {
	f.Helper()
	if err := f.definer().Reindex(f.Context(), x, nil); err != nil {
		f.Fatalf("Reindex: %v", err)
	}
}

var (
	plainIndexer = wordIndexer{hash: "plain", params: []string{"code", "all"}}
	nickIndexer  = wordIndexer{hash: "nick", params: []string{"code", "all", "nick"}}
	nick         = search.Parameter{Type: "Patient", Name: "nick"}
)

// nicknames writes n patients whose nicknames are not indexed, and then defines
// them.
func nicknames(f *fixture, n int) {
	var changes []store.Change
	for i := range n {
		changes = append(changes, plainIndexer.put(fmt.Sprintf("Patient/%04d", i), "all=x", "nick=n"+fmt.Sprint(i%2)))
	}
	f.write(changes...)
	f.redefine(nickIndexer, nick)
}

var reindexCases = []testCase{
	{"definitions change with a write, and what is by others is refused from then on", func(f *fixture) {
		before := f.definitions()
		c := plainIndexer.put("Patient/1", "code=a")
		c.Revision = before.Revision
		f.write(c)
		f.redefine(nickIndexer, nick, search.Parameter{Type: "Device", Name: "nick"}, nick)
		now := f.definitions()
		if now.Hash != "nick" || now.Revision == before.Revision || fmt.Sprint(now.Pending) != "[{Device nick} {Patient nick}]" {
			f.Errorf("definitions %+v, before %+v", now, before)
		}
		c.Key = key("Patient/2")
		f.refuse(fhir.Conflict, 1, put("Patient/3"), c)
		c.Revision = now.Revision
		f.write(c)
		c.Key, c.Revision = key("Patient/4"), ""
		f.write(c)
		q := query("Patient", is("code", "a"))
		q.Revision = before.Revision
		_, err := f.s.Search(f.Context(), q)
		f.wantKind(err, fhir.Conflict)
		q.Revision = now.Revision
		f.find(q, "Patient/1", "Patient/2", "Patient/4")
	}},
	{"changes of the definitions add up, and an undone one has another revision", func(f *fixture) {
		before := f.definitions()
		f.redefine(nickIndexer, nick)
		first := f.definitions().Revision
		f.redefine(wordIndexer{hash: "more"}, search.Parameter{Type: "Device", Name: "size"})
		if now := f.definitions(); fmt.Sprint(now.Pending) != "[{Device size} {Patient nick}]" || !slices.Equal(now.PendingTypes(), []string{"Device", "Patient"}) {
			f.Errorf("pending %v", now.Pending)
		}
		seen := map[string]bool{before.Revision: true, first: true, f.definitions().Revision: true}
		for _, x := range []wordIndexer{nickIndexer, {hash: "more"}, nickIndexer, nickIndexer} {
			f.redefine(x, nick)
			if revision := f.definitions().Revision; seen[revision] {
				f.Errorf("revision %s comes again", revision)
			} else {
				seen[revision] = true
			}
		}
	}},
	{"a write that is refused changes no definitions", func(f *fixture) {
		f.write(put("SearchParameter/nick"))
		before := f.definitions()
		c := put("SearchParameter/nick")
		c.Revision, c.Redefine, c.IfNone = before.Revision, &store.Redefinition{Hash: "nick", Changed: []search.Parameter{nick}}, true
		f.refuse(fhir.Duplicate, 0, c)
		c.IfNone, c.Revision = false, "another"
		f.refuse(fhir.Conflict, 0, c)
		c.Revision = ""
		f.refuse(fhir.Invalid, 0, c)
		c.Revision = before.Revision
		twice := c
		twice.Key = key("SearchParameter/other")
		f.refuse(fhir.Invalid, 1, c, twice)
		if now := f.definitions(); now.Revision != before.Revision || len(now.Pending) > 0 {
			f.Errorf("definitions %+v, before %+v", now, before)
		}
	}},
	{"a deletion can change the definitions too", func(f *fixture) {
		f.redefine(nickIndexer)
		c := del("SearchParameter/nick")
		c.Revision, c.Redefine = f.definitions().Revision, &store.Redefinition{Hash: "plain"}
		f.write(c)
		if now := f.definitions(); now.Hash != "plain" {
			f.Errorf("definitions %+v", now)
		}
	}},
	{"Reindex gives older resources their entries and nothing else", func(f *fixture) {
		l := f.limits()
		first := f.write(l.within(plainIndexer.put("Patient/1", "code=a", "nick=x"), "1"))[0]
		f.clock.add(time.Hour)
		f.write(plainIndexer.put("Patient/2", "code=a", "nick=x"), plainIndexer.put("Patient/3", "nick=x"), plainIndexer.put("Device/1", "nick=x"))
		f.write(plainIndexer.put("Patient/2", "code=b", "nick=y"), del("Patient/3"))
		past := versions(f.history(store.HistoryQuery{Type: "Patient", Count: 100}))
		f.redefine(nickIndexer, nick)
		x := nickIndexer
		x.before = func(name string) {
			if !strings.HasPrefix(name, "Patient/") {
				f.Errorf("%s was looked at", name)
			}
		}
		f.reindex(x)
		if now := f.definitions(); len(now.Pending) > 0 {
			f.Errorf("pending %v", now.Pending)
		}
		f.find(query("Patient", is("nick", "x")), "Patient/1")
		f.find(query("Patient", is("nick", "y")), "Patient/2")
		f.find(query("Patient", is("code", "a")), "Patient/1")
		f.find(query("Patient", not(is("nick", "x"))), "Patient/2")
		f.find(query("Device", is("nick", "x")))
		q := query("Patient")
		q.Sort = []search.Sort{desc(sortBy("nick"))}
		f.ordered(q, "Patient/2", "Patient/1")
		same(f, f.read("Patient/1"), first)
		if got := versions(f.history(store.HistoryQuery{Type: "Patient", Count: 100})); !slices.Equal(got, past) {
			f.Errorf("the history is %v, was %v", got, past)
		}
		low := search.LastUpdated(first.Updated)[0]
		f.find(query("Patient", search.Clause{Param: low.Param, Ranges: []search.Range{{From: low.Value, To: append(bytes.Clone(low.Value), 0)}}}), "Patient/1")
		f.write(nickIndexer.put("Patient/1", "code=a", "nick=z"), del("Patient/2"))
		f.find(query("Patient", between("nick", "", "")), "Patient/1")
		f.find(query("Patient", is("nick", "z")), "Patient/1")
		f.find(query("Patient", is("nick", "x")))
	}},
	{"Reindex takes the entries of a removed parameter away", func(f *fixture) {
		f.redefine(nickIndexer, nick)
		f.reindex(nickIndexer)
		f.write(nickIndexer.put("Patient/1", "code=a", "nick=x"), nickIndexer.put("Patient/2", "nick=x"))
		f.redefine(plainIndexer, nick)
		f.reindex(plainIndexer)
		f.find(query("Patient", between("nick", "", "")))
		f.find(query("Patient", is("code", "a")), "Patient/1")
		f.find(query("Patient"), "Patient/1", "Patient/2")
	}},
	{"Reindex tells how far it is", func(f *fixture) {
		const n = 1300
		nicknames(f, n)
		if now := f.definitions(); now.Done != 0 || now.Total != n {
			f.Errorf("at first %d of %d", now.Done, now.Total)
		}
		var last int64
		err := f.definer().Reindex(f.Context(), nickIndexer, func(done, total int64) {
			if done < last || total != n {
				f.Errorf("%d of %d after %d", done, total, last)
			}
			last = done
		})
		if err != nil || last != n {
			f.Errorf("in the end %d are done: %v", last, err)
		}
		page := f.search(query("Patient", is("nick", "n1")))
		if page.Total != n/2 {
			f.Errorf("%d are found, want %d", page.Total, n/2)
		}
	}},
	{"Reindex goes on where it was stopped", func(f *fixture) {
		const n = 3000
		nicknames(f, n)
		ctx, stop := context.WithCancel(f.Context())
		err := f.definer().Reindex(ctx, nickIndexer, func(done, _ int64) {
			if done >= 1000 {
				stop()
			}
		})
		stop()
		f.wantKind(err, fhir.Timeout)
		half := f.definitions()
		if half.Done < 1000 || half.Done >= n || len(half.Pending) != 1 {
			f.Fatalf("stopped at %d of %d, pending %v", half.Done, half.Total, half.Pending)
		}
		x := nickIndexer
		x.calls = &atomic.Int64{}
		f.reindex(x)
		if got := x.calls.Load(); got > n-half.Done+100 || got == 0 {
			f.Errorf("%d were looked at, %d were left", got, n-half.Done)
		}
		if page := f.search(query("Patient", between("nick", "", ""))); page.Total != n {
			f.Errorf("%d are found, want %d", page.Total, n)
		}
	}},
	{"Reindex by other definitions is a conflict, also when they change meanwhile", func(f *fixture) {
		nicknames(f, 1500)
		f.wantKind(f.definer().Reindex(f.Context(), plainIndexer, nil), fhir.Conflict)
		var once sync.Once
		x := nickIndexer
		x.before = func(string) { once.Do(func() { f.redefine(plainIndexer, nick) }) }
		f.wantKind(f.definer().Reindex(f.Context(), x, nil), fhir.Conflict)
		f.reindex(plainIndexer)
		f.find(query("Patient", between("nick", "", "")))
		if now := f.definitions(); len(now.Pending) > 0 || now.Hash != "plain" {
			f.Errorf("definitions %+v", now)
		}
	}},
	{"Reindex among writes leaves each resource the entries of its newest version", func(f *fixture) {
		const n = 600
		nicknames(f, n)
		revision := f.definitions().Revision
		want := map[string]string{}
		var writers sync.WaitGroup
		var mu sync.Mutex
		for w := range 3 {
			writers.Go(func() {
				for i := w; i < n; i += 9 {
					name, value := fmt.Sprintf("Patient/%04d", i), fmt.Sprintf("w%d", i%5)
					c := nickIndexer.put(name, "all=x", "nick="+value)
					if i%4 == 0 {
						c, value = del(name), ""
					}
					c.Revision = revision
					if _, err := f.s.Write(f.Context(), []store.Change{c}); err != nil {
						f.Errorf("Write: %v", err)
						return
					}
					mu.Lock()
					want[name] = value
					mu.Unlock()
				}
			})
		}
		f.reindex(nickIndexer)
		writers.Wait()
		found := map[string][]string{}
		for i := range n {
			name := fmt.Sprintf("Patient/%04d", i)
			value, written := want[name]
			if !written {
				value = fmt.Sprintf("n%d", i%2)
			}
			if value != "" {
				found[value] = append(found[value], name)
			}
		}
		total := 0
		for value, names := range found {
			q := query("Patient", is("nick", value))
			q.Count = 1000
			f.find(q, names...)
			total += len(names)
		}
		if page := f.search(query("Patient", between("nick", "", ""))); page.Total != int64(total) {
			f.Errorf("%d are found, want %d", page.Total, total)
		}
	}},
	{"pages go on while Reindex works", func(f *fixture) {
		nicknames(f, 40)
		q := query("Patient", is("all", "x"))
		q.Count = 7
		q.Revision = f.definitions().Revision
		for _, q.Sort = range [][]search.Sort{nil, {desc(sortBy("all"))}} {
			first := f.search(q)
			f.reindex(nickIndexer)
			next := q
			next.Cursor = first.Next
			got := append(names(first.Resources), names(f.all(next))...)
			slices.Sort(got)
			if len(slices.Compact(got)) != 40 {
				f.Errorf("%d resources on the pages", len(got))
			}
		}
	}},
	{"two that Reindex at once both return when all is done", func(f *fixture) {
		nicknames(f, 300)
		together(2, func(int) {
			if err := f.definer().Reindex(f.Context(), nickIndexer, nil); err != nil {
				f.Errorf("Reindex: %v", err)
			}
			if page, err := f.s.Search(f.Context(), query("Patient", between("nick", "", ""))); err != nil || page.Total != 300 {
				f.Errorf("found %+v, %v", page, err)
			}
		})
	}},
}
