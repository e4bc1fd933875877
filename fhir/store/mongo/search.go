package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

const (
	// maxPage is the largest page, of searches and of history.
	maxPage = 1000
	// cheapRows is how many resources a cheap total may cost, as
	// [search.TotalCheap] says.
	cheapRows = 10_000
)

// Search answers a query; see [store.Store]. It is two commands: the keys of the
// page with the total, and the versions. A later page of a sorted query needs
// the values it begins behind, so it reads keys and versions together. Before
// them comes one command for each step of a join; see join.go for more.
func (s *Store) Search(ctx context.Context, q search.Query) (*search.Page, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if q.Count < 0 || q.Count > maxPage {
		return nil, fhir.Errorf(fhir.Invalid, "a page has 0 to %d resources, not %d", maxPage, q.Count)
	}
	if q.Back && q.Cursor == "" {
		return nil, fhir.Errorf(fhir.Invalid, "going back needs the cursor of a page to go back from")
	}
	q.Total = q.Counting()
	from := place{moment: s.opts.Clock().UnixMilli(), total: -1}
	identity := "search " + q.Scope.ID() + " " + q.Identity
	if q.Cursor != "" {
		if from, err = s.open(q.Cursor, identity); err != nil {
			return nil, err
		}
		if s.opts.Clock().UnixMilli()-from.moment > s.opts.PageLifetime.Milliseconds() {
			return nil, store.Expired()
		}
	}
	page, err := s.search(ctx, &q, from, identity)
	if err != nil {
		s.complain(err)
		return nil, fault(ctx, err, "searching")
	}
	return page, nil
}

func (s *Store) search(ctx context.Context, q *search.Query, from place, identity string) (*search.Page, error) {
	p := &paging{s: s, q: q, collection: s.snapshot, at: from.t, last: hit{Key: from.key, Version: from.version}, next: hit{Key: from.nextKey, Version: from.nextVersion}, total: -1}
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	total := from.total
	if q.Cursor == "" {
		total = p.total
	}
	page := &search.Page{Total: total, Resources: p.resources}
	var err error
	if page.Resources == nil {
		p.cut()
		if page.Resources, err = s.versions(ctx, p.hits); err != nil {
			return nil, err
		}
	}
	if q.Explain {
		page.Plans = p.explain(ctx)
	}
	if len(p.hits) == 0 {
		return page, nil
	}
	behind := p.after
	if q.Back {
		behind = p.last
	}
	hits := append(p.hits[:len(p.hits):len(p.hits)], behind)
	link := func(there bool, i int) string {
		if !there || err != nil {
			return ""
		}
		at := p.at
		if at == 0 {
			at = p.clock.Now
		}
		var cursor string
		cursor, err = s.seal(identity, place{
			t: at, moment: from.moment, total: total,
			key: hits[i].Key, version: hits[i].Version, nextKey: hits[i+1].Key, nextVersion: hits[i+1].Version,
		})
		return cursor
	}
	page.Prev = link(p.more && q.Back || q.Cursor != "" && !q.Back, 0)
	page.Next = link(p.more || q.Back, len(p.hits)-1)
	return page, err
}

// hit is one resource of a page.
type hit struct {
	Key     string `bson:"_id"`
	Version int64  `bson:"version"`
	Size    int64  `bson:"size"`
}

// paging finds the hits of one page.
type paging struct {
	s          *Store
	q          *search.Query
	sel        *selection
	collection *mongo.Collection // history, as this page reads it; resources inside a transaction
	inside     bool              // of a transaction
	at         int64             // the logical time of the first page; 0 for now
	last       hit               // what the page is behind, or with Back before; zero on the first
	next       hit               // what comes directly behind last; zero for nothing

	clock     *clock
	hits      []hit
	more      bool             // there are hits behind these, with Back before them
	after     hit              // the first of these
	total     int64            // -1 if it was not counted
	tests     int              // how many commands have tested candidates of joins
	resources []*fhir.Resource // of the hits, if they were read with them
}

// run finds the hits. Should there be types it did not know of, it begins again.
func (p *paging) run(ctx context.Context) error {
	for {
		types := p.q.Types
		if len(types) == 0 {
			types = p.s.knownTypes()
		}
		p.sel = p.s.newSelection(p.q, types)
		if err := p.join(ctx, p.sel); err != nil {
			return err
		}
		if err := p.find(ctx); err != nil {
			return err
		}
		if p.clock.Swept > p.at && p.at > 0 {
			return store.Expired()
		}
		if len(p.q.Types) > 0 || !p.clock.moreThan(types) {
			return nil
		}
	}
}

func (p *paging) find(ctx context.Context) error {
	p.hits, p.more, p.after, p.total, p.resources = nil, false, hit{}, -1, nil
	sorted := len(p.q.Sort) > 0
	switch keep := slices.ContainsFunc(p.q.Sort, func(k search.Sort) bool { return k.Range.Keep != nil }); {
	case p.sel.filter == nil:
		return p.nothing(ctx)
	case !p.sel.exact || keep:
		return p.kept(ctx)
	case sorted && p.last.Key != "":
		return p.sortedBehind(ctx)
	case sorted:
		return p.keys(ctx, p.sortedStages(nil))
	}
	return p.keys(ctx, p.unsortedStages())
}

// nothing answers a query that nothing can match.
func (p *paging) nothing(ctx context.Context) error {
	p.total = p.totalOf(0)
	return p.read(ctx, mongo.Pipeline{atClock}, 1, func(bson.Raw) error { return nil })
}

// totalOf returns a number if a total was asked for.
func (p *paging) totalOf(n int64) int64 {
	if p.q.Total == search.TotalNone || p.last.Key != "" {
		return -1
	}
	return n
}

// current and past are the filters of what matches at the page's time: resources
// that were not changed since, and versions that were.
func (p *paging) current(sel *selection, more ...bson.D) bson.D {
	all := bson.A{sel.filter}
	if p.at > 0 {
		all = append(all, bson.D{{Key: "t", Value: bson.D{{Key: "$lte", Value: p.at}}}})
	}
	return and(all, more)
}

func (p *paging) past(sel *selection, more ...bson.D) bson.D {
	return and(bson.A{
		sel.former,
		bson.D{{Key: "ix", Value: bson.D{{Key: "$exists", Value: true}}}},
		bson.D{{Key: "t", Value: bson.D{{Key: "$lte", Value: p.at}}}},
		bson.D{{Key: "to", Value: bson.D{{Key: "$gt", Value: p.at}}}},
	}, more)
}

func and(all bson.A, more []bson.D) bson.D {
	for _, m := range more {
		all = append(all, m)
	}
	if len(all) == 1 {
		return all[0].(bson.D) //nolint:forcetypeassert // all of them are
	}
	return bson.D{{Key: "$and", Value: all}}
}

// both is the pipeline over all that a selection has at the page's time. Each
// part goes through stages, which bring it in order and may cut it, and is
// projected.
func (p *paging) both(sel *selection, fields bson.D, parts func(id string) (match []bson.D, stages bson.A)) bson.A {
	match, stages := parts("_id")
	out := append(bson.A{
		bson.D{{Key: "$match", Value: p.current(sel, match...)}},
	}, stages...)
	out = append(out, bson.D{{Key: "$project", Value: fields}})
	if p.at == 0 {
		return out
	}
	match, stages = parts("key")
	past := append(bson.A{bson.D{{Key: "$match", Value: p.past(sel, match...)}}}, stages...)
	past = append(past, bson.D{{Key: "$project", Value: append(bson.D{{Key: "_id", Value: "$key"}}, fields...)}})
	return append(out, unionWith(historyName, past))
}

// hitFields are what a hit needs.
func hitFields(more ...bson.E) bson.D {
	return append(bson.D{{Key: "version", Value: 1}, {Key: "size", Value: 1}}, more...)
}

// unsortedStages finds a page in the order of keys, or with Back against it.
func (p *paging) unsortedStages() bson.A {
	n := p.q.Count + 1
	stages := p.both(p.sel, hitFields(), func(id string) ([]bson.D, bson.A) {
		return p.beyond(id, p.last.Key), bson.A{bson.D{{Key: "$sort", Value: bson.D{{Key: id, Value: p.order()}}}}, bson.D{{Key: "$limit", Value: n}}}
	})
	if p.at > 0 {
		stages = append(stages, bson.D{{Key: "$sort", Value: bson.D{{Key: "_id", Value: p.order()}}}}, bson.D{{Key: "$limit", Value: n}})
	}
	return stages
}

// order is the direction in which a page is walked through: 1, or with Back -1.
func (p *paging) order() int {
	if p.q.Back {
		return -1
	}
	return 1
}

// further is the operator for what comes later in that direction.
func (p *paging) further() string {
	if p.q.Back {
		return "$lt"
	}
	return "$gt"
}

// beyond is the filter for keys that come later than one; "" means all.
func (p *paging) beyond(id, key string) []bson.D {
	if key == "" {
		return nil
	}
	return []bson.D{{{Key: id, Value: bson.D{{Key: p.further(), Value: key}}}}}
}

// keys reads the clock, the hits that stages find and, on the first page, their
// total, in one command.
func (p *paging) keys(ctx context.Context, stages bson.A) error {
	pipeline := mongo.Pipeline{atClock}
	if p.q.Count > 0 {
		pipeline = append(pipeline, unionWith(resourcesName, stages))
	}
	limit, counting := p.countLimit()
	if counting {
		count := p.both(p.sel, bson.D{{Key: "version", Value: 1}}, func(string) ([]bson.D, bson.A) { return nil, nil })
		if p.at == 0 {
			count = count[:1] // nothing has to be told apart
		}
		if limit > 0 {
			count = append(count, bson.D{{Key: "$limit", Value: limit + 1}})
		}
		pipeline = append(pipeline, unionWith(resourcesName, append(count, bson.D{{Key: "$count", Value: "n"}})))
	}
	n := int64(0)
	err := p.read(ctx, pipeline, p.q.Count+2, func(raw bson.Raw) error {
		if count := raw.Lookup("n"); !count.IsZero() {
			n, _ = count.AsInt64OK()
			return nil
		}
		return p.hit(raw)
	})
	if err != nil {
		return err
	}
	if p.q.Back {
		slices.Reverse(p.hits)
	}
	switch {
	case len(p.q.Sort) > 0 && counting && n > int64(p.s.opts.MaxCandidates):
		return tooCostly(p.s.opts.MaxCandidates)
	case p.last.Key != "" || p.q.Total == search.TotalNone:
	case p.wholeTypes():
		p.total = 0
		for _, typ := range p.sel.types {
			p.total += p.clock.Counts[typ]
		}
	case p.q.Total == search.TotalCheap && n > cheapRows:
	default:
		p.total = n
	}
	return nil
}

func tooCostly(limit int) error {
	return fhir.Errorf(fhir.TooCostly, "more than %d resources would have to be looked at; narrow the search", limit)
}

// wholeTypes reports whether the query has no clause, so that the clock knows
// its total.
func (p *paging) wholeTypes() bool {
	return !slices.ContainsFunc(p.sel.types, func(typ string) bool { return len(p.sel.where[typ]) > 0 })
}

// countLimit says whether the matches are to be counted and up to how many; 0
// means all. Those of a sorted query are, to know whether it is too costly.
func (p *paging) countLimit() (limit int, counting bool) {
	switch {
	case p.last.Key != "":
		return 0, false
	case len(p.q.Sort) > 0 && p.q.Count > 0:
		return p.s.opts.MaxCandidates, true
	case p.q.Total == search.TotalNone || p.wholeTypes():
		return 0, false
	case p.q.Total == search.TotalCheap:
		return cheapRows, true
	}
	return 0, true
}

// hit adds a hit, or learns that there are more.
func (p *paging) hit(raw bson.Raw) error {
	var h hit
	if err := bson.Unmarshal(raw, &h); err != nil {
		return damaged(resourcesName, raw.Lookup("_id"), err)
	}
	switch {
	case len(p.hits) > 0 && p.hits[len(p.hits)-1].Key == h.Key: // changed while it was read
	case len(p.hits) == p.q.Count:
		p.more, p.after = true, h
	default:
		p.hits = append(p.hits, h)
	}
	return nil
}

// read runs a pipeline that begins with the clock, on the documents behind it.
func (p *paging) read(ctx context.Context, pipeline mongo.Pipeline, n int, visit func(bson.Raw) error) error {
	cursor, err := p.s.ask(ctx, p.collection, pipeline, n)
	if err != nil {
		return err
	}
	p.clock = nil
	err = each(ctx, cursor, func(raw bson.Raw) error {
		if p.clock != nil {
			return visit(raw)
		}
		if id, _ := raw.Lookup("_id").StringValueOK(); id != clockID {
			return damaged(historyName, clockID, errMissing)
		}
		var err error
		revision := ""
		if p.q != nil { // it reads the index
			revision = p.q.Revision
		}
		p.clock, err = p.s.decodeClock(raw, revision)
		return err
	})
	if err == nil && p.clock == nil {
		return damaged(historyName, clockID, errMissing)
	}
	return err
}

// cut ends the page behind the hit that fills it, with Back before it.
func (p *paging) cut() {
	size := int64(0)
	for i := range p.hits {
		at := i
		if p.q.Back {
			at = len(p.hits) - 1 - i
		}
		if size >= store.MaxPageBytes {
			if p.more = true; p.q.Back {
				p.hits = p.hits[at+1:]
			} else {
				p.hits, p.after = p.hits[:at], p.hits[at]
			}
			return
		}
		size += p.hits[at].Size
	}
}

// versions reads versions, in the order of the hits. Those that were erased since
// the hits were found are left out.
func (s *Store) versions(ctx context.Context, hits []hit) ([]*fhir.Resource, error) {
	out := make([]*fhir.Resource, len(hits))
	if len(hits) == 0 {
		return out, nil
	}
	ids := make([]string, len(hits))
	at := make(map[string]int, len(hits))
	for i, h := range hits {
		ids[i] = versionID(h.Key, h.Version)
		at[ids[i]] = i
	}
	cursor, err := s.ask(ctx, s.history, theVersions(ids), len(ids))
	if err != nil {
		return nil, err
	}
	err = each(ctx, cursor, func(raw bson.Raw) error {
		res, err := s.version(raw)
		if err == nil {
			out[at[versionID(res.Key.String(), res.Version)]] = res
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if slices.Contains(out, nil) {
		if err := s.lost(ctx, hits, out); err != nil {
			return nil, err
		}
		out = slices.DeleteFunc(out, func(res *fhir.Resource) bool { return res == nil })
	}
	return out, nil
}
