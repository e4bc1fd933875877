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

// maxGather is the largest limit of Gather.
const maxGather = 10_000

// Gather returns what goes along with a page; see [store.Store]. It is one
// command, which reads newest versions whole. They end behind the one that fills
// store.MaxPageBytes, as pages do.
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
	exact bool // the filter decides alone

	found []*fhir.Resource
	size  int
	more  bool
}

// gathered are resources of one type that are asked for.
type gathered struct {
	sel  *selection
	keys []string // that it must be one of; nil for any
}

// add makes the parts of a query. Of each type only what the scope sees counts.
func (g *gathering) add(q *store.GatherQuery) {
	g.exact = true
	part := func(typ string, keys []string, where ...search.Clause) {
		sel := g.s.selectTypes(&search.Query{Types: []string{typ}, Where: where, Scope: q.Scope}, []string{typ})
		if sel.filter != nil {
			g.parts = append(g.parts, gathered{sel, keys})
			g.exact = g.exact && sel.exact
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
		part(typ, byType[typ])
	}
	for _, r := range q.Referring {
		part(r.Type, nil, r.Clause)
	}
}

func (g *gathering) run(ctx context.Context) error {
	if len(g.parts) == 0 {
		return nil
	}
	var any []condition
	for _, part := range g.parts {
		all := []condition{{filter: part.sel.filter, anchored: true}}
		if part.keys != nil {
			all = append([]condition{oneOf("_id", part.keys)}, all...)
		}
		any = append(any, allOf(all))
	}
	stages := bson.A{
		bson.D{{Key: "$match", Value: anyOf(any).filter}},
		bson.D{{Key: "$sort", Value: bson.D{{Key: "_id", Value: 1}}}}, // hence by type and id: "/" is less than what types consist of
	}
	fields := servedFields
	if g.exact {
		stages = append(stages, bson.D{{Key: "$limit", Value: g.limit + 1}})
	} else {
		fields = append(slices.Clone(fields), bson.E{Key: "ix", Value: 1})
	}
	stages = append(stages, bson.D{{Key: "$project", Value: fields}})
	// The clock tells whether the index is whole.
	p := &paging{s: g.s, collection: g.s.snapshot}
	return p.read(ctx, mongo.Pipeline{atClock, unionWith(resourcesName, stages)}, g.limit+1, g.take)
}

// take looks at one resource.
func (g *gathering) take(raw bson.Raw) error {
	if !g.exact {
		c, err := readCandidate(raw, nil)
		if err != nil || !slices.ContainsFunc(g.parts, func(part gathered) bool { return part.has(c) }) {
			return err
		}
	}
	if len(g.found) == g.limit || g.size >= store.MaxPageBytes {
		g.more = true
		return errEnough
	}
	res, err := g.s.newest(raw)
	if err != nil {
		return err
	}
	g.found = append(g.found, res)
	g.size += len(res.JSON)
	return nil
}

// has decides about a resource with all its entries.
func (part gathered) has(c *candidate) bool {
	if part.keys != nil && !slices.Contains(part.keys, c.Hit.Key) {
		return false
	}
	terms, asked := part.sel.terms[c.typ]
	return asked && !slices.ContainsFunc(terms, func(t term) bool { return !t.holds(c) })
}
