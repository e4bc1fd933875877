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
	if err := s.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	if q.Count < 0 || q.Count > maxPage {
		return nil, fhir.Errorf(fhir.Invalid, "a page has 0 to %d resources, not %d", maxPage, q.Count)
	}

	q.Total = q.Counting()
	now := s.visible.Load()
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
		return nil, expired()
	}
	v := &view{ctx: ctx, r: snapshot, t: from.t}
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
	var hits []found
	var more bool
	var err error
	total := from.total
	count := q.Cursor == "" && q.Total != search.TotalNone && total < 0
	w := walk{s: s, v: v, q: q, from: from}
	if count {
		w.budget = cheapRows
		if q.Total == search.TotalAccurate {
			w.budget = math.MaxInt64
		}
	}
	if len(q.Sort) > 0 {
		hits, more, err = w.sorted()
	} else {
		hits, more, err = w.unsorted()
	}
	if err != nil || v.err != nil {
		return nil, err
	}
	if count && !w.gaveUp {
		total = w.total
	}

	page := &search.Page{Total: total, Resources: make([]*fhir.Resource, 0, len(hits))}
	for i, size := 0, 0; i < len(hits); i++ {
		if size >= store.MaxPageBytes {
			hits, more = hits[:i], true
			break
		}
		hit := hits[i]
		row, version, ok := v.version(hit.doc)
		if !ok {
			return nil, v.err
		}
		res := row.resource(s.types.name(hit.typ), version)
		if !q.Scope.Sees(res) {
			return nil, errRow // the index and the version disagree on compartments
		}
		page.Resources = append(page.Resources, res)
		size += len(res.JSON)
	}
	if more && len(hits) > 0 {
		end := from
		end.total = total
		end.typ, end.doc = hits[len(hits)-1].typ, hits[len(hits)-1].doc
		page.Next, err = s.sealPlace(searchIdentity(&q), end)
	}
	return page, err
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

// walk finds the documents of a page and, on the way, how many there are.
type walk struct {
	s    *Store
	v    *view
	q    search.Query
	from place
	// budget is how many index rows counting may cost; 0 means do not count.
	budget int64
	total  int64
	gaveUp bool
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
	if len(w.q.Types) == 0 {
		return w.s.types.sorted()
	}
	return slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(w.q.Types))), func(name string) bool {
		_, known := w.s.types.number(name)
		return !known
	})
}

// candidates plans the search of one type.
func (w *walk) candidates(name string) (*candidates, error) {
	where, ok := w.q.WhereOf(name)
	if !ok {
		return &candidates{v: w.v}, nil
	}
	return w.s.candidates(w.v, name, where)
}

// unsorted walks by type name and document number.
func (w *walk) unsorted() (hits []found, more bool, err error) {
	begun := ""
	if w.from.doc != 0 {
		begun = w.s.types.name(w.from.typ)
	}
	for _, name := range w.typeNames() {
		if name < begun {
			continue
		}
		typ, _ := w.s.types.number(name)
		c, err := w.candidates(name)
		if err != nil {
			return nil, false, err
		}
		doc := uint64(0)
		if name == begun {
			doc = w.from.doc + 1
		}
		for {
			next, ok := c.next(doc)
			if !ok {
				break
			}
			doc = next + 1
			w.total++
			if len(hits) < w.q.Count {
				hits = append(hits, found{typ, next})
				continue
			}
			more = true
			if !w.counting() {
				return hits, more, w.v.err
			}
		}
		if w.v.err != nil {
			return nil, false, w.v.err
		}
	}
	return hits, more, nil
}

// keys returns the keys of a query's first page at logical time t.
func (s *Store) keys(ctx context.Context, r pebble.Reader, t uint64, q search.Query) ([]fhir.Key, error) {
	v := &view{ctx: ctx, r: r, t: t}
	w := walk{s: s, v: v, q: q}
	hits, _, err := w.unsorted()
	var keys []fhir.Key
	for _, hit := range hits {
		row, _, ok := v.version(hit.doc)
		if !ok {
			break
		}
		keys = append(keys, fhir.Key{Type: s.types.name(hit.typ), ID: string(row.id)})
	}
	if closeErr := v.close(); err == nil {
		err = closeErr
	}
	return keys, err
}
