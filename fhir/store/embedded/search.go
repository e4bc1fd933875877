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

	from := place{t: s.visible.Load().t, issued: s.opts.Clock().UnixMilli(), total: -1}
	if q.Cursor != "" {
		var err error
		if from, err = s.openPlace(q.Cursor, q.Identity); err != nil {
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

func (s *Store) page(v *view, q search.Query, from place) (*search.Page, error) {
	var hits []found
	var more bool
	var err error
	total := from.total
	if q.Cursor == "" && q.Total != search.TotalNone && len(q.Where) == 0 {
		total = s.countTypes(v, q.Types)
	}
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
		page.Resources = append(page.Resources, res)
		size += len(res.JSON)
	}
	if more && len(hits) > 0 {
		end := from
		end.total = total
		end.typ, end.doc = hits[len(hits)-1].typ, hits[len(hits)-1].doc
		page.Next = s.sealPlace(q.Identity, end)
	}
	return page, nil
}

// countTypes returns the number of living resources of the types at the view's
// time if it is known for that time, else -1.
func (s *Store) countTypes(v *view, types []string) int64 {
	now := s.visible.Load()
	if now.t != v.t {
		return -1
	}
	total := int64(0)
	if len(types) == 0 {
		for _, n := range now.counts {
			total += n
		}
	}
	for _, name := range types {
		if typ, ok := s.types.number(name); ok {
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
		c, err := w.s.candidates(w.v, name, w.q.Where)
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
