package mongo

import (
	"cmp"
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

const (
	// maxGather is the largest limit of Gather.
	maxGather = 10_000
	// maxGatherElements is how many keys and references one command asks for, at
	// most 170 bytes each.
	maxGatherElements = 60_000
)

// Gather returns what goes along with a page; see [store.Store]. It is one
// command, unless very much is asked for, which reads newest versions whole. They
// end behind the one that fills store.MaxPageBytes, as pages do.
func (s *Store) Gather(ctx context.Context, g store.GatherQuery) (found []*fhir.Resource, more bool, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	if g.Limit < 1 || g.Limit > maxGather {
		return nil, false, fhir.Errorf(fhir.Invalid, "1 to %d resources can be gathered, not %d", maxGather, g.Limit)
	}
	for _, r := range g.Referring {
		if r.Clause.Joins() {
			return nil, false, fhir.Errorf(fhir.Invalid, "what refers to resources cannot be selected by a chain or _has")
		}
	}
	gathering := &gathering{s: s, limit: g.Limit}
	gathering.add(&g)
	if err := gathering.run(ctx); err != nil {
		s.complain(err)
		return nil, false, fault(ctx, err, "gathering")
	}
	return gathering.found, gathering.more, nil
}

// gathering is a Gather on its way.
type gathering struct {
	s     *Store
	limit int
	parts []gathered

	found []*fhir.Resource // in order
	more  bool
}

// gathered are resources of one type that are asked for.
type gathered struct {
	sel  *selection
	keys []string // that it must be one of; nil for any
	size int      // how many keys and references it asks for
}

// add makes the parts of a query. Of each type only what the scope sees counts.
func (g *gathering) add(q *store.GatherQuery) {
	part := func(typ string, keys []string, size int, where ...search.Clause) {
		sel := g.s.selectTypes(&search.Query{Types: []string{typ}, Where: where, Scope: q.Scope}, []string{typ})
		if sel.filter != nil {
			g.parts = append(g.parts, gathered{sel, keys, size})
		}
	}
	byType := map[string][]string{}
	var types []string
	for _, key := range q.Keys {
		if byType[key.Type] == nil {
			types = append(types, key.Type)
		}
		byType[key.Type] = append(byType[key.Type], key.String())
	}
	for _, typ := range types {
		for keys := range slices.Chunk(byType[typ], maxGatherElements) {
			part(typ, keys, len(keys))
		}
	}
	for _, r := range q.Referring {
		part(r.Type, nil, len(r.Clause.Ranges), r.Clause)
	}
}

func (g *gathering) run(ctx context.Context) error {
	for len(g.parts) > 0 {
		n, size := 1, g.parts[0].size
		for n < len(g.parts) && size+g.parts[n].size <= maxGatherElements {
			size += g.parts[n].size
			n++
		}
		if err := g.ask(ctx, g.parts[:n]); err != nil {
			return err
		}
		g.parts = g.parts[n:]
	}
	return nil
}

// ask asks for some parts, in one command.
func (g *gathering) ask(ctx context.Context, parts []gathered) error {
	var any []condition
	exact := true
	for _, part := range parts {
		all := []condition{{filter: part.sel.filter, anchored: true}}
		if part.keys != nil {
			all = append([]condition{oneOf("_id", part.keys)}, all...)
		}
		any = append(any, allOf(all))
		exact = exact && part.sel.exact
	}
	stages := bson.A{
		bson.D{{Key: "$match", Value: anyOf(any).filter}},
		bson.D{{Key: "$sort", Value: bson.D{{Key: "_id", Value: 1}}}}, // hence by type and id: "/" is less than what types consist of
	}
	fields := servedFields
	if exact {
		stages = append(stages, bson.D{{Key: "$limit", Value: g.limit + 1}})
	} else {
		fields = append(slices.Clone(fields), bson.E{Key: "ix", Value: 1})
	}
	stages = append(stages, bson.D{{Key: "$project", Value: fields}})
	var found []*fhir.Resource
	size := 0
	// The clock tells whether the index is whole.
	p := &paging{s: g.s, q: &search.Query{}, collection: g.s.snapshot}
	err := p.read(ctx, mongo.Pipeline{atClock, unionWith(resourcesName, stages)}, g.limit+1, func(raw bson.Raw) error {
		if !exact {
			c, err := readCandidate(raw, nil)
			if err != nil || !slices.ContainsFunc(parts, func(part gathered) bool { return part.has(c) }) {
				return err
			}
		}
		if len(found) == g.limit || size >= store.MaxPageBytes {
			g.more = true
			return errEnough
		}
		res, err := g.s.newest(raw)
		if err != nil {
			return err
		}
		found = append(found, res)
		size += len(res.JSON)
		return nil
	})
	if err == nil {
		g.merge(found)
	}
	return err
}

// merge adds what one command found and cuts what is too much.
func (g *gathering) merge(found []*fhir.Resource) {
	if len(g.found) > 0 {
		compare := func(a, b *fhir.Resource) int {
			return cmp.Or(cmp.Compare(a.Key.Type, b.Key.Type), cmp.Compare(a.Key.ID, b.Key.ID))
		}
		found = append(g.found, found...)
		slices.SortStableFunc(found, compare)
		found = slices.CompactFunc(found, func(a, b *fhir.Resource) bool { return a.Key == b.Key })
	}
	size := 0
	for i, res := range found {
		if i == g.limit || size >= store.MaxPageBytes {
			found, g.more = found[:i], true
			break
		}
		size += len(res.JSON)
	}
	g.found = found
}

// has decides about a resource with all its entries.
func (part gathered) has(c *candidate) bool {
	if part.keys != nil && !slices.Contains(part.keys, c.Hit.Key) {
		return false
	}
	terms, asked := part.sel.terms[c.typ]
	return asked && !slices.ContainsFunc(terms, func(t term) bool { return !t.holds(c) })
}
