// Package storetest tests the contract of package store. Every implementation
// runs it unchanged:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(tb testing.TB, clock func() time.Time) store.Store { … })
//	}
//
// Each rule is one named case in [cases]. Entries are made by hand as plain
// bytes, because a store never interprets them.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// PageLifetime is how long the stores under test must keep pages.
const PageLifetime = 15 * time.Minute

// Run tests the stores that open returns: each empty, with its clock, keeping
// pages for PageLifetime. Run closes them.
func Run(t *testing.T, open func(tb testing.TB, clock func() time.Time) store.Store) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, open)
			c.run(f)
		})
	}
}

// testCase is one rule of the contract.
type testCase struct {
	name string
	run  func(f *fixture)
}

// cases lists every rule.
func cases() []testCase {
	return slices.Concat(writeCases, readCases, historyCases, searchCases, alternativesCases, joinCases, pagingCases, backCases, gatherCases, explainCases,
		limitCases, concurrencyCases, requiresCases, eraseCases, raceCases, propertyCases, joinPropertyCases, archiveCases, reindexCases,
		scopeCases, joinScopeCases, scopeHistoryCases, scopePropertyCases)
}

// fixture is one store under test. Its helpers fail the test on any error.
type fixture struct {
	*testing.T
	s     store.Store
	clock *clock
	open  func(tb testing.TB, clock func() time.Time) store.Store
}

func newFixture(t *testing.T, open func(testing.TB, func() time.Time) store.Store) *fixture {
	f := &fixture{T: t, clock: newClock(), open: open}
	f.s = open(t, f.clock.now)
	t.Cleanup(func() { _ = f.s.Close() }) // some cases close it themselves
	return f
}

// clock is a clock that only moves when told.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// key reads "Patient/1".
func key(text string) fhir.Key {
	typ, id, _ := bytes.Cut([]byte(text), []byte("/"))
	return fhir.Key{Type: string(typ), ID: string(id)}
}

// body makes a body that holds some text.
func body(k fhir.Key, text string) fhir.Body {
	return fhir.Body{
		Head: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"meta":{`, k.Type, k.ID),
		Tail: fmt.Appendf(nil, `},"text":%q}`, text),
	}
}

// entries reads "code=a": one entry each.
func entries(texts ...string) []search.Entry {
	var out []search.Entry
	for _, text := range texts {
		param, value, _ := bytes.Cut([]byte(text), []byte("="))
		out = append(out, search.Entry{Param: string(param), Value: value})
	}
	return out
}

// put is a change that writes a resource with the given entries.
func put(name string, texts ...string) store.Change {
	k := key(name)
	return store.Change{Key: k, Method: fhir.Update, Body: body(k, fmt.Sprint(texts)), Entries: entries(texts...)}
}

// del is a change that deletes a resource.
func del(name string) store.Change {
	return store.Change{Key: key(name), Method: fhir.Delete}
}

// is selects one value.
func is(param, value string) search.Clause {
	return search.Clause{Param: param, Ranges: []search.Range{{From: []byte(value), To: []byte(value + "\x00")}}}
}

// between selects from <= value < to; an empty to has no end.
func between(param, from, to string) search.Clause {
	r := search.Range{From: []byte(from)}
	if to != "" {
		r.To = []byte(to)
	}
	return search.Clause{Param: param, Ranges: []search.Range{r}}
}

// anyOf selects resources that one of the clauses, all of one parameter, selects.
func anyOf(clauses ...search.Clause) search.Clause {
	out := search.Clause{Param: clauses[0].Param}
	for _, c := range clauses {
		out.Ranges = append(out.Ranges, c.Ranges...)
	}
	return out
}

func not(c search.Clause) search.Clause {
	c.Not = true
	return c
}

// query asks for one type.
func query(typ string, where ...search.Clause) search.Query {
	return search.Query{Types: []string{typ}, Where: where, Count: 100, Total: search.TotalAccurate, Identity: "test"}
}

func (f *fixture) write(changes ...store.Change) []*fhir.Resource {
	f.Helper()
	out, err := f.s.Write(f.Context(), changes)
	if err != nil {
		f.Fatalf("Write: %v", err)
	}
	if len(out) != len(changes) {
		f.Fatalf("Write returned %d versions for %d changes", len(out), len(changes))
	}
	return out
}

// refuse writes what must fail with a kind because of one change.
func (f *fixture) refuse(kind fhir.Kind, index int, changes ...store.Change) {
	f.Helper()
	_, err := f.s.Write(f.Context(), changes)
	f.wantKind(err, kind)
	var ce *store.ChangeError
	if !errors.As(err, &ce) {
		f.Fatalf("the error is %T, want a *store.ChangeError", err)
	}
	if ce.Index != index {
		f.Errorf("the error blames change %d, want %d", ce.Index, index)
	}
}

func (f *fixture) wantKind(err error, kind fhir.Kind) {
	f.Helper()
	if err == nil {
		f.Fatalf("no error, want kind %d", kind)
	}
	if got := fhir.KindOf(err); got != kind {
		f.Fatalf("error of kind %d, want %d: %v", got, kind, err)
	}
}

func (f *fixture) read(name string) *fhir.Resource {
	f.Helper()
	res, err := f.s.Read(f.Context(), key(name))
	if err != nil {
		f.Fatalf("Read %s: %v", name, err)
	}
	return res
}

func (f *fixture) search(q search.Query) *search.Page {
	f.Helper()
	page, err := f.s.Search(f.Context(), q)
	if err != nil {
		f.Fatalf("Search: %v", err)
	}
	return page
}

// names returns the keys of resources, in order.
func names(resources []*fhir.Resource) []string {
	out := []string{}
	for _, r := range resources {
		out = append(out, r.Key.String())
	}
	return out
}

// find checks that a query gives exactly these resources, in any order, and
// counts them right.
func (f *fixture) find(q search.Query, want ...string) {
	f.Helper()
	page := f.search(q)
	got := names(page.Resources)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.Errorf("found %v, want %v", got, want)
	}
	if page.Total != int64(len(want)) {
		f.Errorf("total %d, want %d", page.Total, len(want))
	}
}

// ordered checks that a query gives exactly these resources in this order.
func (f *fixture) ordered(q search.Query, want ...string) {
	f.Helper()
	if got := names(f.search(q).Resources); !slices.Equal(got, want) {
		f.Errorf("found %v, want %v", got, want)
	}
}

// all pages through a query and returns every resource.
func (f *fixture) all(q search.Query) []*fhir.Resource {
	f.Helper()
	var out []*fhir.Resource
	for range 10_000 {
		page := f.search(q)
		if len(page.Resources) > q.Count {
			f.Fatalf("a page of %d resources, asked for %d", len(page.Resources), q.Count)
		}
		out = append(out, page.Resources...)
		if page.Next == "" {
			return out
		}
		if len(page.Resources) == 0 {
			f.Fatal("an empty page has a next one")
		}
		q.Cursor = page.Next
	}
	f.Fatal("paging does not end")
	return nil
}
