package mongo

import (
	"bytes"
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// candidate is a resource that the filter selects, with the index entries that a
// Keep must be asked about.
type candidate struct {
	Hit     hit      `bson:",inline"`
	IX      []string `bson:"ix"`
	entries []search.Entry
	typ     string
	values  [][]byte // of the sort keys; nil for none
}

// manyElements is above how many parts the database is not asked to pick the
// elements; whole index entries are read.
const manyElements = 60

// kept finds a page of a query with ranges whose Keep only we can ask: about the
// second bound of dates and numbers, and composites. The database selects by the
// ranges, so many at a time; nearly all it selects is right, so one command is
// mostly enough. Joins that are answered from the outer side are tested here too.
func (p *paging) kept(ctx context.Context) error {
	k := &keeping{paging: p, sorted: len(p.q.Sort) > 0, tested: p.sel.anyOpen()}
	if !k.sorted {
		k.behindKey = p.last.Key
	}
	k.counting = p.q.Total != search.TotalNone && p.last.Key == ""
	for {
		more, err := k.chunk(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		p.settle() // the rest as of the same moment
	}
	if k.sorted {
		if err := p.pick(k.all); err != nil {
			return err
		}
	} else if p.q.Back {
		slices.Reverse(p.hits)
	}
	if k.counting {
		p.total = k.n
	}
	return nil
}

// keeping is such a page on its way.
type keeping struct {
	*paging
	sorted, counting bool
	tested           bool   // joins are, so that candidates cost more than a look
	behindKey        string // how far candidates were read, unless sorted
	examined         int
	chunks           int
	n                int64 // matches
	all              []*candidate
}

// limit is how many candidates one command reads.
func (k *keeping) limit() int {
	switch {
	case k.sorted || k.counting && k.q.Total == search.TotalAccurate:
		return k.s.opts.MaxCandidates + 1
	case k.counting && !k.tested:
		return cheapRows + 1
	case k.s.keptChunk > 0:
		return k.s.keptChunk
	case k.tested:
		return min(testChunk, max(4*k.q.Count, fewCandidates)<<min(k.chunks, 10), max(1, k.s.opts.MaxCandidates-k.examined))
	}
	return 4*k.q.Count + 64
}

// chunk reads candidates; more is true if the page needs those behind them.
func (k *keeping) chunk(ctx context.Context) (more bool, err error) {
	limit := k.limit()
	k.chunks++
	stages := k.both(k.sel, hitFields(candidateFields(k.sel, k.sortParams()...)...), func(id string) ([]bson.D, bson.A) {
		if k.sorted {
			return nil, nil
		}
		return k.beyond(id, k.behindKey), bson.A{bson.D{{Key: "$sort", Value: bson.D{{Key: id, Value: k.order()}}}}, bson.D{{Key: "$limit", Value: limit}}}
	})
	if !k.sorted && k.at > 0 {
		stages = append(stages, bson.D{{Key: "$sort", Value: bson.D{{Key: "_id", Value: k.order()}}}})
	}
	stages = append(stages, bson.D{{Key: "$limit", Value: limit}})
	examined := 0
	b := &batch{p: k.paging, sel: k.sel, take: k.take}
	err = k.candidates(ctx, stages, min(limit, 2*cheapRows), func(raw bson.Raw) error {
		examined++
		k.examined++
		if k.examined > k.s.opts.MaxCandidates && (k.sorted || k.counting || k.tested) {
			return tooCostly(k.s.opts.MaxCandidates)
		}
		c, err := readCandidate(raw, k.q.Sort)
		if err != nil || c.Hit.Key == k.behindKey {
			return err
		}
		k.behindKey = c.Hit.Key
		return b.add(ctx, c)
	})
	if err == nil {
		err = b.end(ctx)
	}
	if err != nil || examined < limit {
		return false, err
	}
	k.counting = false // there are more than a cheap total may cost
	return !k.more && k.q.Count > 0, nil
}

// candidates runs stages on resources: with the clock, or within a transaction,
// which has a snapshot of its own, alone.
func (p *paging) candidates(ctx context.Context, stages bson.A, n int, visit func(bson.Raw) error) error {
	if !p.inside {
		return p.read(ctx, mongo.Pipeline{atClock, unionWith(resourcesName, stages)}, n, visit)
	}
	cursor, err := p.s.ask(ctx, p.collection, stages, n)
	if err != nil {
		return err
	}
	return each(ctx, cursor, visit)
}

// take looks at one candidate.
func (k *keeping) take(c *candidate) {
	if !k.sel.matches(c) {
		return
	}
	k.n++
	switch {
	case k.sorted:
		c.entries, c.IX = nil, nil
		k.all = append(k.all, c)
	case len(k.hits) < k.q.Count:
		k.hits = append(k.hits, c.Hit)
	case !k.more:
		k.more, k.after = k.q.Count > 0, c.Hit
	}
}

// sortParams are the parameters of the sort keys.
func (p *paging) sortParams() []string {
	var params []string
	for _, key := range p.q.Sort {
		params = append(params, key.Param)
	}
	return params
}

// candidateFields are the elements of ix that must be looked at: those of the
// selection's own terms and of more parameters.
func candidateFields(sel *selection, more ...string) bson.D {
	var any bson.A
	for _, typ := range sel.types {
		params := append(sel.paramsToAsk(typ), more...)
		slices.Sort(params)
		for _, param := range slices.Compact(params) {
			any = append(any, within(element(typ, param, nil), behind(typ, param)))
		}
	}
	switch {
	case len(any) == 0:
		return nil
	case len(any) > manyElements:
		return bson.D{{Key: "ix", Value: 1}}
	}
	return bson.D{{Key: "ix", Value: elementsWhere(bson.D{{Key: "$or", Value: any}})}}
}

// readCandidate decodes a candidate, with its values under sort keys.
func readCandidate(raw bson.Raw, sort []search.Sort) (*candidate, error) {
	c := &candidate{}
	if err := bson.Unmarshal(raw, c); err != nil {
		return nil, damaged(resourcesName, raw.Lookup("_id"), err)
	}
	c.typ, _ = splitKey(c.Hit.Key)
	for _, el := range c.IX {
		_, e, err := parseElement(el)
		if err != nil {
			return nil, damaged(resourcesName, c.Hit.Key, err)
		}
		c.entries = append(c.entries, e)
	}
	c.values = make([][]byte, len(sort))
	for i, key := range sort {
		for _, e := range c.entries {
			if e.Param != key.Param || !key.Range.Contains(e.Value) {
				continue
			}
			if order := bytes.Compare(e.Value, c.values[i]); c.values[i] == nil || order < 0 && !key.Desc || order > 0 && key.Desc {
				c.values[i] = e.Value
			}
		}
	}
	return c, nil
}

// pick takes the page out of all matches. The error is Expired if it is not
// known where it begins, because that was erased.
func (p *paging) pick(all []*candidate) error {
	slices.SortFunc(all, func(a, b *candidate) int {
		for i, key := range p.q.Sort {
			x, y := a.values[i], b.values[i]
			switch {
			case x == nil && y == nil:
				continue
			case x == nil:
				return 1
			case y == nil:
				return -1
			}
			if order := bytes.Compare(x, y); order != 0 && key.Desc {
				return -order
			} else if order != 0 {
				return order
			}
		}
		return bytes.Compare([]byte(a.Hit.Key), []byte(b.Hit.Key))
	})
	if p.last.Key != "" {
		find := func(key string) int {
			return slices.IndexFunc(all, func(c *candidate) bool { return c.Hit.Key == key })
		}
		begin := find(p.last.Key)
		end := begin
		switch {
		case begin >= 0:
			begin++
		case p.next.Key == "":
			begin, end = len(all), len(all)
		default:
			begin = find(p.next.Key)
			end = begin
		}
		switch {
		case begin < 0:
			return store.Expired()
		case p.q.Back:
			all = all[:end]
		default:
			all = all[begin:]
		}
	}
	if p.more = len(all) > p.q.Count && p.q.Count > 0; p.more {
		p.after = all[p.q.Count].Hit
	}
	if p.q.Back {
		all = all[max(0, len(all)-p.q.Count):]
	}
	for _, c := range all[:min(len(all), p.q.Count)] {
		p.hits = append(p.hits, c.Hit)
	}
	return nil
}
