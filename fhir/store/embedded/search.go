package embedded

import (
	"context"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// cheapRows is how many index rows a cheap total may cost, as
// [search.TotalCheap] says.
const cheapRows = 10_000

// found is one resource of an answer.
type found struct {
	typ uint16
	doc uint64
}

// Search answers a query; see [store.Store].
func (s *Store) Search(ctx context.Context, q search.Query) (*search.Page, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if q.Count < 0 || q.Count > maxPage {
		return nil, fhir.Errorf(fhir.Invalid, "a page has 0 to %d resources, not %d", maxPage, q.Count)
	}

	if q.Back && q.Cursor == "" {
		return nil, fhir.Errorf(fhir.Invalid, "a page before another one needs the cursor of that one")
	}
	q.Total = q.Counting()
	now := s.visible.Load()
	// After the moment is chosen: what it holds was made by these or earlier ones.
	if err := s.isCurrent(q.Revision); err != nil {
		return nil, err
	}
	from := place{t: now.t, issued: s.opts.Clock().UnixMilli(), total: -1}
	if q.Cursor != "" {
		var err error
		if from, err = s.openPlace(q.Cursor, searchIdentity(&q)); err != nil {
			return nil, err
		}
	}
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close() //nolint:errcheck // it only gives memory back
	// In this order: what is swept from now on is still in the snapshot.
	if from.t < s.swept.Load() {
		return nil, store.Expired()
	}
	v := &view{ctx: ctx, r: snapshot, t: from.t, most: s.tuning.mostLooked}
	if q.Cursor == "" && q.Total != search.TotalNone && len(q.Where) == 0 {
		from.total = s.countTypes(now, &q)
	}
	page, err := s.page(v, q, from)
	if closeErr := v.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, s.internal(ctx, err, "searching")
	}
	return page, nil
}

// maxPage is the largest page, of searches and of history.
const maxPage = 1000

// searchIdentity is what the cursors of a query are bound to.
func searchIdentity(q *search.Query) string { return q.Scope.ID() + " " + q.Identity }

func (s *Store) page(v *view, q search.Query, from place) (*search.Page, error) {
	total := from.total
	count := q.Cursor == "" && q.Total != search.TotalNone && total < 0
	w := s.walk(v, q, from)
	if count {
		w.budget = cheapRows
		if q.Total == search.TotalAccurate {
			w.budget = math.MaxInt64
		}
	}
	var more bool
	var err error
	if len(q.Sort) > 0 {
		more, err = w.sorted()
	} else {
		more, err = w.unsorted()
	}
	if err != nil || v.err != nil {
		return nil, err
	}
	if count && !w.gaveUp {
		total = w.total
	}
	page := &search.Page{Total: total, Resources: w.resources, Plans: w.plans()}
	return page, w.link(page, more, total)
}

// link gives a page its cursors. The one behind it names its last resource, the
// one before it its first.
func (w *walk) link(page *search.Page, more bool, total int64) (err error) {
	q, end := &w.q, w.from
	end.total = total
	seal := func(at found) string {
		var cursor string
		if err == nil {
			end.typ, end.doc = at.typ, at.doc
			cursor, err = w.s.sealPlace(searchIdentity(q), end)
		}
		return cursor
	}
	switch {
	case len(w.hits) == 0 && q.Back:
		page.Next = seal(found{}) // what is behind nothing begins with the first
	case len(w.hits) == 0:
	case q.Back:
		slices.Reverse(page.Resources)
		if page.Next = seal(w.hits[0]); more {
			page.Prev = seal(w.hits[len(w.hits)-1])
		}
	default:
		if more {
			page.Next = seal(w.hits[len(w.hits)-1])
		}
		if w.from.doc != 0 {
			page.Prev = seal(w.hits[0])
		}
	}
	return err
}

// countTypes returns the number of living resources of the query's types, or -1
// if the query's scope sees only a part of one.
func (s *Store) countTypes(now *moment, q *search.Query) int64 {
	if q.Scope == nil && len(q.Types) == 0 {
		total := int64(0)
		for _, n := range now.counts {
			total += n
		}
		return total
	}
	types := q.Types
	if len(types) == 0 {
		types = s.types.sorted()
	}
	total := int64(0)
	for _, name := range types {
		part := q.Scope.Of(name)
		if len(part.Patients) > 0 {
			return -1
		}
		if typ, ok := s.types.number(name); ok && part.Whole {
			total += now.count(typ)
		}
	}
	return total
}

// walk finds the resources of a page and, on the way, how many there are.
type walk struct {
	s      *Store
	v      *view
	q      search.Query
	p      *planner
	from   place
	course course
	// budget is how many index rows counting may cost; 0 means do not count.
	budget int64
	total  int64
	gaveUp bool

	resources []*fhir.Resource // of the page, in the order they were found
	size      int              // their bytes
	hits      []found          // the same
	planned   []*candidates    // by type, for Query.Explain
	looked    []int64          // the rows looked at when each was planned
}

func (s *Store) walk(v *view, q search.Query, from place) *walk {
	return &walk{
		s: s, v: v, q: q, from: from, course: course(q.Back),
		p:         &planner{s: s, v: v, scope: q.Scope, now: s.visible.Load(), count: q.Explain},
		resources: make([]*fhir.Resource, 0, min(q.Count, 20)),
		hits:      make([]found, 0, min(q.Count, 20)),
	}
}

// plans says how the types were searched.
func (w *walk) plans() []search.Plan {
	var plans []search.Plan
	for i, c := range w.planned {
		plan, end := c.explain(), w.v.rows
		if i+1 < len(w.planned) {
			end = w.looked[i+1]
		}
		plan.Looked = end - w.looked[i]
		plans = append(plans, plan)
	}
	return plans
}

// full reports whether the page has all it may have.
func (w *walk) full() bool { return len(w.resources) >= w.q.Count || w.size >= store.MaxPageBytes }

// take reads a match onto the page. It is false if the version is there no more,
// or if the scope does not see it after all, which only a match that was not
// verified may turn out to be.
func (w *walk) take(hit found, name string, verified bool) bool {
	row, version, ok := w.v.version(hit.doc)
	if !ok {
		return false
	}
	res := row.resource(name, version)
	if !w.q.Scope.Sees(res) {
		if verified {
			w.v.fail(errRow) // the index and the version disagree on compartments
		}
		return false
	}
	w.resources = append(w.resources, res)
	w.size += len(res.JSON)
	w.hits = append(w.hits, hit)
	return true
}

// counting reports whether to go on after the page is full.
func (w *walk) counting() bool {
	if w.budget == 0 {
		return false
	}
	if w.v.rows > w.budget {
		w.gaveUp = true
	}
	return !w.gaveUp
}

// typeNames returns the types to search, in order, without those of which
// there never was a resource.
func (w *walk) typeNames() []string {
	names := w.s.types.sorted()
	if len(w.q.Types) > 0 {
		names = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(w.q.Types))), func(name string) bool {
			_, known := w.s.types.number(name)
			return !known
		})
	}
	if w.course == back {
		slices.Reverse(names)
	}
	return names
}

// candidates plans the search of one type. Where the query names the patient
// that the scope is limited to, its own clauses leave nearly nothing over that
// the scope's would not find too: that one is only verified.
func (w *walk) candidates(name string, c course) *candidates {
	where, ok := w.q.WhereOf(name)
	if !ok {
		return &candidates{v: w.v}
	}
	var last []search.Clause
	if len(where) == len(w.q.Where)+1 && w.q.NamesPatient(name) {
		last, where = where[:1], where[1:]
	}
	rows := w.v.rows
	found := w.p.plan(name, where, c)
	if last != nil {
		w.p.verify(found, name, &last[0])
	}
	if w.q.Explain && (len(w.planned) == 0 || w.planned[len(w.planned)-1].plan.Type != name) {
		w.planned, w.looked = append(w.planned, found), append(w.looked, rows)
	}
	return found
}

// unsorted walks by type name and document number.
func (w *walk) unsorted() (more bool, err error) {
	begun := ""
	if w.from.doc != 0 {
		begun = w.s.types.name(w.from.typ)
	}
	for _, name := range w.typeNames() {
		if begun != "" && name != begun && (name < begun) != (w.course == back) {
			continue
		}
		typ, _ := w.s.types.number(name)
		c := w.candidates(name, w.course)
		doc := w.course.start()
		if name == begun {
			doc = w.course.beyond(w.from.doc)
		}
		for {
			next, ok := c.match(doc)
			if !ok {
				break
			}
			doc = w.course.beyond(next)
			if !w.full() {
				// A match on the page is verified by the version that is read
				// for it anyway.
				if w.take(found{typ, next}, name, c.last == nil) {
					w.total++
				}
				if w.v.err != nil {
					return false, w.v.err
				}
				continue
			}
			if !c.verified(next) {
				continue
			}
			w.total++
			more = true
			if !w.counting() {
				return more, w.v.err
			}
		}
		if w.v.err != nil {
			return false, w.v.err
		}
	}
	return more, nil
}

// keys returns the keys of a query's first page at logical time t.
func (s *Store) keys(ctx context.Context, r pebble.Reader, t uint64, q search.Query) ([]fhir.Key, error) {
	v := &view{ctx: ctx, r: r, t: t, most: s.tuning.mostLooked}
	w := s.walk(v, q, place{})
	_, err := w.unsorted()
	var keys []fhir.Key
	for _, res := range w.resources {
		keys = append(keys, res.Key)
	}
	if closeErr := v.close(); err == nil {
		err = closeErr
	}
	return keys, err
}
