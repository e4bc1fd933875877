package storetest

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

var joinPropertyCases = []testCase{
	{"joins, alternatives and scopes equal a naive scan over random graphs", func(f *fixture) {
		// One store serves all draws; each begins with what earlier ones left deleted.
		l := f.limits()
		left := &graph{f: f, l: l, docs: map[fhir.Key][]search.Entry{}}
		rapid.Check(f.T, func(t *rapid.T) {
			left.clear(t)
			left.write(t)
			t.Repeat(map[string]func(*rapid.T){
				"write":  left.write,
				"search": left.search,
				"gather": left.gather,
			})
		})
	}},
}

// graph is a store of resources that refer to each other, as a map.
type graph struct {
	f    *fixture
	l    limits
	docs map[fhir.Key][]search.Entry
}

var (
	graphTypes = []string{"Condition", "Encounter", "Medication", "Observation", "Patient"}
	graphType  = rapid.SampledFrom(graphTypes)
	graphLink  = rapid.SampledFrom([]string{"r", "s"})
	graphValue = rapid.SampledFrom([]string{"p", "q"})
)

func drawKey(t *rapid.T, label string) fhir.Key {
	return fhir.Key{Type: graphType.Draw(t, label), ID: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, label+" id")}
}

func (g *graph) clear(t *rapid.T) {
	var changes []store.Change
	for k := range g.docs {
		changes = append(changes, store.Change{Key: k, Method: fhir.Delete})
	}
	clear(g.docs)
	if _, err := g.f.s.Write(g.f.Context(), changes); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func (g *graph) write(t *rapid.T) {
	var changes []store.Change
	used := map[fhir.Key]bool{}
	for range rapid.IntRange(1, 8).Draw(t, "changes") {
		k := drawKey(t, "key")
		if used[k] {
			continue
		}
		used[k] = true
		if rapid.IntRange(0, 5).Draw(t, "delete") == 0 {
			changes = append(changes, store.Change{Key: k, Method: fhir.Delete})
			continue
		}
		c := store.Change{Key: k, Method: fhir.Update, Body: body(k, "x")}
		for range rapid.IntRange(0, 3).Draw(t, "values") {
			c.Entries = append(c.Entries, search.Entry{Param: graphValue.Draw(t, "param"), Value: smallValue.Draw(t, "value")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "references") {
			param, target := graphLink.Draw(t, "link"), drawKey(t, "target")
			c.Entries = append(c.Entries, search.Entry{Param: param, Value: search.RefersTo(param, target).Ranges[0].From})
		}
		if rapid.IntRange(0, 5).Draw(t, "a URL") == 0 {
			c.Entries = append(c.Entries, search.Entry{Param: "r", Value: []byte("\x52http://elsewhere/Patient/a\x00")})
		}
		var patients []string
		if k.Type != "Medication" {
			patients = rapid.SampledFrom([][]string{nil, {"a"}, {"b"}, {"a", "b"}}).Draw(t, "patients")
		}
		changes = append(changes, g.l.within(c, patients...))
	}
	if _, err := g.f.s.Write(g.f.Context(), changes); err != nil {
		t.Fatalf("Write: %v", err)
	}
	for _, c := range changes {
		if c.Method == fhir.Delete {
			delete(g.docs, c.Key)
		} else {
			g.docs[c.Key] = c.Entries
		}
	}
}

// drawTypes draws some types, sorted, often all of them.
func drawTypes(t *rapid.T, label string, least int) (types []string) {
	for _, typ := range graphTypes {
		if rapid.IntRange(0, 2).Draw(t, label+" "+typ) == 0 {
			types = append(types, typ)
		}
	}
	if len(types) < least {
		types = []string{graphType.Draw(t, label)}
	}
	return types
}

func drawClauses(t *rapid.T, least, most, depth int) []search.Clause {
	list := []search.Clause{}
	for range rapid.IntRange(least, most).Draw(t, "clauses") {
		list = append(list, drawClause(t, depth))
	}
	return list
}

// drawClause draws a tree of clauses of a depth.
func drawClause(t *rapid.T, depth int) search.Clause {
	c := search.Clause{Not: rapid.IntRange(0, 3).Draw(t, "not") == 0}
	if rapid.IntRange(0, 5).Draw(t, "typed") == 0 {
		c.Types = drawTypes(t, "of type", 1)
	}
	form := 0
	if depth > 0 {
		form = rapid.IntRange(0, 3).Draw(t, "form")
	}
	switch form {
	case 1, 2:
		c.Param = graphLink.Draw(t, "param")
		c.Join = &search.Join{
			Reverse: rapid.Bool().Draw(t, "reverse"), Types: drawTypes(t, "others", 1), Where: drawClauses(t, 0, 2, depth-1),
		}
	case 3:
		c.Any = [][]search.Clause{}
		for range rapid.IntRange(0, 3).Draw(t, "lists") {
			c.Any = append(c.Any, drawClauses(t, 0, 2, depth-1))
		}
	default:
		c.Param = rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "param")
		for range rapid.IntRange(0, 2).Draw(t, "ranges") {
			c.Ranges = append(c.Ranges, drawRange(t))
		}
		if c.Param == "r" {
			c.Ranges = append(c.Ranges, search.RefersTo("r", drawKey(t, "refers to")).Ranges...)
		}
	}
	return c
}

func (g *graph) drawScope(t *rapid.T) search.Access {
	const read = search.CanRead | search.CanSearch
	return rapid.SampledFrom([]search.Access{
		search.FullAccess(), search.FullAccess(), g.l.to("a"), g.l.to("a", "b"), g.l.to(),
		g.l.r.Access(search.Grant{Type: "Observation", Rights: read}, search.Grant{Type: "Patient", Rights: read, Patient: "b"}),
		g.l.r.Access(search.Grant{Type: "*", Rights: read, Patient: "b"}, search.Grant{Type: "Condition", Rights: read}),
	}).Draw(t, "access")
}

// sees reports whether a resource is there and inside the scope.
func (g *graph) sees(scope *search.Scope, k fhir.Key) bool {
	entries, there := g.docs[k]
	clauses, reached := scope.Clauses(k.Type)
	return there && reached && g.holdAll(nil, k, entries, clauses)
}

// holdAll and hold say what search.Clause says, over the resources themselves.
func (g *graph) holdAll(scope *search.Scope, k fhir.Key, entries []search.Entry, where []search.Clause) bool {
	return !slices.ContainsFunc(where, func(c search.Clause) bool { return !g.hold(scope, k, entries, c) })
}

func (g *graph) hold(scope *search.Scope, k fhir.Key, entries []search.Entry, c search.Clause) bool {
	switch {
	case len(c.Types) > 0 && !slices.Contains(c.Types, k.Type):
		return c.Not
	case c.Join != nil:
		return c.Not != g.joined(scope, k, entries, c)
	case c.Any != nil:
		return c.Not != slices.ContainsFunc(c.Any, func(list []search.Clause) bool { return g.holdAll(scope, k, entries, list) })
	}
	return search.Match(k.Type, entries, c)
}

func (g *graph) joined(scope *search.Scope, k fhir.Key, entries []search.Entry, c search.Clause) bool {
	refers := func(from []search.Entry, to fhir.Key) bool {
		return slices.ContainsFunc(from, func(e search.Entry) bool {
			target, ok := search.Refers(e.Value)
			return ok && e.Param == c.Param && target == to
		})
	}
	for other, others := range g.docs {
		if !slices.Contains(c.Join.Types, other.Type) || !g.sees(scope, other) {
			continue
		}
		linked := c.Join.Reverse && refers(others, k) || !c.Join.Reverse && refers(entries, other)
		if linked && g.holdAll(scope, other, others, c.Join.Where) {
			return true
		}
	}
	return false
}

func (g *graph) search(t *rapid.T) {
	q := search.Query{Types: drawTypes(t, "types", 0), Where: drawClauses(t, 0, 2, 3), Count: rapid.IntRange(1, 6).Draw(t, "count"), Identity: "graph"}
	q = g.drawScope(t).Narrow(q)
	q.Total = search.TotalAccurate
	for range rapid.IntRange(0, 2).Draw(t, "sorts") {
		q.Sort = append(q.Sort, search.Sort{Param: graphValue.Draw(t, "sort"), Range: drawRange(t), Desc: rapid.Bool().Draw(t, "desc")})
	}
	docs := maps.Clone(g.docs) // as of the first page
	var want []string
	for k, entries := range docs {
		if (len(q.Types) == 0 || slices.Contains(q.Types, k.Type)) && g.sees(q.Scope, k) && g.holdAll(q.Scope, k, entries, q.Where) {
			want = append(want, k.String())
		}
	}
	var earlier, last *search.Page
	var got []fhir.Key
	for range 1000 {
		page, err := g.f.s.Search(g.f.Context(), q)
		if err != nil {
			t.Fatalf("Search: %v", err)
		}
		if page.Total != int64(len(want)) {
			t.Fatalf("total %d, want %d", page.Total, len(want))
		}
		if len(page.Resources) > q.Count || (page.Prev == "") != (len(got) == 0) {
			t.Fatalf("a page of %d, asked for %d; before it %q", len(page.Resources), q.Count, page.Prev)
		}
		for _, r := range page.Resources {
			got = append(got, r.Key)
		}
		earlier, last = last, page
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
		if rapid.IntRange(0, 3).Draw(t, "write meanwhile") == 0 {
			g.write(t)
		}
	}
	for i := 1; i < len(got); i++ {
		if before(docs[got[i]], docs[got[i-1]], q.Sort) {
			t.Fatalf("%s comes before %s, against the sort", got[i-1], got[i])
		}
	}
	found := make([]string, len(got))
	for i := range got {
		found[i] = got[i].String()
	}
	slices.Sort(found)
	if slices.Sort(want); !slices.Equal(found, want) {
		t.Fatalf("found %v, want %v", found, want)
	}
	if earlier == nil {
		return
	}
	q.Cursor, q.Back = last.Prev, true
	page, err := g.f.s.Search(g.f.Context(), q)
	if err != nil {
		t.Fatalf("Search back: %v", err)
	}
	if !slices.Equal(names(page.Resources), names(earlier.Resources)) {
		t.Fatalf("back are %v, on the way there %v", names(page.Resources), names(earlier.Resources))
	}
}

func (g *graph) gather(t *rapid.T) {
	q := store.GatherQuery{Limit: rapid.IntRange(1, 20).Draw(t, "limit"), Scope: g.drawScope(t).Scope(search.CanSearch)}
	for range rapid.IntRange(0, 4).Draw(t, "keys") {
		q.Keys = append(q.Keys, drawKey(t, "key"))
	}
	for range rapid.IntRange(0, 2).Draw(t, "referring") {
		clause := search.RefersTo(graphLink.Draw(t, "param"), drawKey(t, "to"), drawKey(t, "or to"))
		q.Referring = append(q.Referring, store.Referring{Type: graphType.Draw(t, "type"), Clause: clause})
	}
	var want []string
	for k, entries := range g.docs {
		asked := slices.Contains(q.Keys, k) || slices.ContainsFunc(q.Referring, func(r store.Referring) bool {
			return r.Type == k.Type && search.Match(k.Type, entries, r.Clause)
		})
		if asked && g.sees(q.Scope, k) {
			want = append(want, k.String())
		}
	}
	slices.Sort(want)
	found, more, err := g.f.s.Gather(g.f.Context(), q)
	if err != nil {
		t.Fatalf("Gather: %v", err)
	}
	if got, all := names(found), len(want); more != (all > q.Limit) || !slices.Equal(got, want[:min(all, q.Limit)]) {
		t.Fatalf("gathered %v, more: %t; want %d of %v", got, more, q.Limit, want)
	}
}
