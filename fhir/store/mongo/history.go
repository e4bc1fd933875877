package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// History returns versions, newest first; see [store.Store]. It is two commands:
// the page's versions by name, in one snapshot with the clock, and then whole.
//
// What becomes visible after an answer is never older than the newest version in
// it, since lastUpdated grows with logical time and an answer holds all versions
// up to one logical time.
func (s *Store) History(ctx context.Context, h store.HistoryQuery) (*search.Page, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if h.Count < 1 || h.Count > maxPage {
		return nil, fhir.Errorf(fhir.Invalid, "a page of history has 1 to %d versions, not %d", maxPage, h.Count)
	}
	if h.ID != "" && h.Type == "" {
		return nil, fhir.Errorf(fhir.Invalid, "the history of an id needs its type")
	}
	page, err := s.historyPage(ctx, &h)
	if err != nil {
		s.complain(err)
		return nil, fault(ctx, err, "reading history")
	}
	return page, nil
}

// past is one page of a history.
type past struct {
	s     *Store
	h     *store.HistoryQuery
	at    int64 // the logical time of the first page; 0 for now
	last  place // the end of the page before; zero on the first
	clock *clock
	hits  []versionHit
}

// versionHit is one version of a page.
type versionHit struct {
	Key     string    `bson:"key"`
	Version int64     `bson:"version"`
	Size    int64     `bson:"size"`
	Updated time.Time `bson:"updated"`
}

func (s *Store) historyPage(ctx context.Context, h *store.HistoryQuery) (*search.Page, error) {
	identity := fmt.Sprintf("history %s %s/%s %d %d", h.Scope.ID(), h.Type, h.ID, stamp(h.Since), stamp(h.At))
	p := &past{s: s, h: h}
	if h.Cursor != "" {
		var err error
		if p.last, err = s.open(h.Cursor, identity); err != nil {
			return nil, err
		}
		p.at = p.last.t
	}
	if err := p.find(ctx, h.Count+1); err != nil {
		return nil, err
	}
	if h.ID != "" && len(p.hits) == 0 {
		if err := p.exists(ctx); err != nil {
			return nil, err
		}
	}
	page := &search.Page{Total: -1}
	more := len(p.hits) > h.Count
	hits := make([]hit, 0, h.Count)
	size := int64(0)
	for i, v := range p.hits[:min(len(p.hits), h.Count)] {
		if size >= store.MaxPageBytes {
			p.hits, more = p.hits[:i], true
			break
		}
		size += v.Size
		hits = append(hits, hit{Key: v.Key, Version: v.Version})
	}
	var err error
	if page.Resources, err = s.versions(ctx, hits); err != nil {
		return nil, err
	}
	if more {
		last := p.hits[len(hits)-1]
		at := p.at
		if at == 0 {
			at = p.clock.Now
		}
		page.Next, err = s.seal(identity, place{t: at, moment: last.Updated.UnixMilli(), total: -1, key: last.Key, version: last.Version})
	}
	return page, err
}

// stamp is a time for a cursor's identity; 0 for none.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// since returns the first millisecond at or after a time: versions have whole
// milliseconds, so one made in an earlier one was made before.
func since(t time.Time) time.Time {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return fromMillis(max(ms, 0))
}

// exists returns an error if there never was the resource, as far as the asker
// may know: an empty history may also be due to its bounds.
func (p *past) exists(ctx context.Context) error {
	h := *p.h
	h.Since, h.At = time.Time{}, time.Time{}
	all := &past{s: p.s, h: &h}
	if err := all.find(ctx, 1); err != nil {
		return err
	}
	if len(all.hits) == 0 {
		return fhir.Errorf(fhir.NotFound, "%s is not known", fhir.Key{Type: h.Type, ID: h.ID})
	}
	return nil
}

// find reads the clock and the names of up to n versions in one command.
func (p *past) find(ctx context.Context, n int) error {
	for {
		p.hits = nil
		stages, types, some := p.stages(n)
		pipeline := mongo.Pipeline{atClock}
		if some {
			pipeline = append(pipeline, unionWith(historyName, stages))
		}
		page := &paging{s: p.s, q: &search.Query{}, collection: p.s.snapshot}
		err := page.read(ctx, pipeline, n, func(raw bson.Raw) error {
			var v versionHit
			if err := bson.Unmarshal(raw, &v); err != nil {
				return damaged(historyName, raw.Lookup("_id"), err)
			}
			p.hits = append(p.hits, v)
			return nil
		})
		if err != nil {
			return err
		}
		p.clock = page.clock
		if p.h.Type != "" || p.h.Scope == nil || !p.clock.moreThan(types) {
			return nil
		}
	}
}

// stages find the page; some is false if nothing can be seen.
func (p *past) stages(n int) (stages bson.A, types []string, some bool) {
	h := p.h
	match := bson.A{bson.D{{Key: "version", Value: bson.D{{Key: "$gte", Value: 1}}}}} // not the clock
	add := func(e ...bson.E) { match = append(match, bson.D(e)) }
	order := bson.D{{Key: "updated", Value: -1}, {Key: "type", Value: -1}, {Key: "id", Value: -1}, {Key: "version", Value: -1}}
	switch {
	case h.ID != "":
		add(bson.E{Key: "key", Value: h.Type + "/" + h.ID})
		order = bson.D{{Key: "version", Value: -1}} // which goes with time
	case h.Type != "":
		add(bson.E{Key: "type", Value: h.Type})
		order = append(order[:1:1], order[2:]...)
	}
	if p.at > 0 {
		add(bson.E{Key: "t", Value: bson.D{{Key: "$lte", Value: p.at}}})
	}
	if !h.Since.IsZero() {
		add(bson.E{Key: "updated", Value: bson.D{{Key: "$gte", Value: since(h.Since)}}})
	}
	if !h.At.IsZero() {
		at := fromMillis(h.At.UnixMilli())
		add(bson.E{Key: "updated", Value: bson.D{{Key: "$lte", Value: at}}})
		current := bson.A{bson.D{{Key: "to", Value: bson.D{{Key: "$exists", Value: false}}}}, bson.D{{Key: "ended", Value: bson.D{{Key: "$gt", Value: at}}}}}
		if p.at > 0 {
			current = append(current, bson.D{{Key: "to", Value: bson.D{{Key: "$gt", Value: p.at}}}})
		}
		add(bson.E{Key: "$or", Value: current})
	}
	if p.last.key != "" {
		match = append(match, p.behind())
	}
	scope, newest, types, some := p.scope()
	if !some {
		return nil, types, false
	}
	if scope != nil {
		match = append(match, scope)
	}
	stages = bson.A{bson.D{{Key: "$match", Value: bson.D{{Key: "$and", Value: match}}}}, bson.D{{Key: "$sort", Value: order}}}
	stages = append(stages, newest...)
	return append(stages, bson.D{{Key: "$limit", Value: n}}, bson.D{{Key: "$project", Value: bson.D{
		{Key: "key", Value: 1}, {Key: "version", Value: 1}, {Key: "size", Value: 1}, {Key: "updated", Value: 1},
	}}}), types, true
}

// behind is the filter for versions behind the page before.
func (p *past) behind() bson.D {
	key, moment := p.last.key, fromMillis(p.last.moment)
	if p.h.ID != "" {
		return bson.D{{Key: "version", Value: bson.D{{Key: "$lt", Value: p.last.version}}}}
	}
	typ, id := splitKey(key)
	var any bson.A
	same := bson.D{}
	for _, e := range []bson.E{{Key: "updated", Value: moment}, {Key: "type", Value: typ}, {Key: "id", Value: id}, {Key: "version", Value: p.last.version}} {
		any = append(any, append(same[:len(same):len(same)], bson.E{Key: e.Key, Value: bson.D{{Key: "$lt", Value: e.Value}}}))
		same = append(same, e)
	}
	return bson.D{
		{Key: "updated", Value: bson.D{{Key: "$lte", Value: moment}}}, // for the index
		{Key: "$or", Value: any},
	}
}

// scope is the filter for versions that the asker may see, and the stages that
// leave out those of resources whose newest version it may not, as of now: on
// later pages too. Types are those it was made for.
func (p *past) scope() (filter bson.D, newest bson.A, types []string, some bool) {
	if p.h.Scope == nil {
		return nil, nil, nil, true
	}
	types = []string{p.h.Type}
	if p.h.Type == "" {
		types = p.s.knownTypes()
	}
	whole := bson.A{}
	var any, seen bson.A
	for _, typ := range types {
		switch part := p.h.Scope.Of(typ); {
		case part.Whole:
			whole = append(whole, typ)
		case len(part.Patients) == 0:
		case typ == "Patient":
			any = append(any, bson.D{{Key: "type", Value: typ}, {Key: "id", Value: bson.D{{Key: "$in", Value: part.Patients}}}})
			seen = append(seen, bson.D{{Key: "type", Value: typ}})
		default:
			in := bson.D{{Key: "$in", Value: part.Patients}}
			any = append(any, bson.D{{Key: "type", Value: typ}, {Key: "patients", Value: in}})
			seen = append(seen, bson.D{{Key: "type", Value: typ}, {Key: "newest.patients", Value: in}})
		}
	}
	if len(whole) > 0 {
		any = append(any, bson.D{{Key: "type", Value: bson.D{{Key: "$in", Value: whole}}}})
		seen = append(seen, bson.D{{Key: "type", Value: bson.D{{Key: "$in", Value: whole}}}})
	}
	if len(any) == 0 {
		return nil, nil, types, false
	}
	if len(any) == len(whole) || len(any) == 1 && len(whole) > 0 {
		return bson.D{{Key: "$or", Value: any}}, nil, types, true
	}
	current := bson.A{
		bson.D{{Key: "$match", Value: bson.D{{Key: "$expr", Value: bson.D{{Key: "$eq", Value: bson.A{"$key", "$$key"}}}}}}},
		bson.D{{Key: "$match", Value: bson.D{{Key: "to", Value: bson.D{{Key: "$exists", Value: false}}}}}},
		bson.D{{Key: "$project", Value: bson.D{{Key: "patients", Value: 1}}}},
	}
	newest = bson.A{
		bson.D{{Key: "$project", Value: bson.D{
			{Key: "key", Value: 1}, {Key: "type", Value: 1}, {Key: "version", Value: 1}, {Key: "size", Value: 1}, {Key: "updated", Value: 1},
		}}},
		bson.D{{Key: "$lookup", Value: bson.D{
			{Key: "from", Value: historyName}, {Key: "let", Value: bson.D{{Key: "key", Value: "$key"}}}, {Key: "pipeline", Value: current}, {Key: "as", Value: "newest"},
		}}},
		bson.D{{Key: "$match", Value: bson.D{{Key: "$or", Value: seen}}}},
	}
	return bson.D{{Key: "$or", Value: any}}, newest, types, true
}
