package mongo

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// A sorted page sorts all matches by the least (with Desc: greatest) element of
// ix in the sort key's range, because a field with several values cannot be
// sorted by value through an index. So it costs as much as there are matches,
// and there may be MaxCandidates of them.
//
// In pipelines the value of sort key i is k<i>, and n<i> is 1 if there is none,
// which puts it last in both directions.

func nameK(i int) string { return fmt.Sprintf("k%d", i) }
func nameN(i int) string { return fmt.Sprintf("n%d", i) }

// sortFields are the values of the sort keys.
func (p *paging) sortFields() bson.D {
	var fields bson.D
	for i, key := range p.q.Sort {
		var any bson.A
		for _, typ := range p.sel.types {
			if from, to, ok := bounds(typ, key.Param, &key.Range); ok {
				any = append(any, within(from, to))
			}
		}
		if len(any) == 0 {
			fields = append(fields, bson.E{Key: nameK(i), Value: bson.D{{Key: "$literal", Value: nil}}})
			continue
		}
		pick := "$min"
		if key.Desc {
			pick = "$max"
		}
		// What is before the value must not count: several types may be sorted
		// together.
		value := bson.D{{Key: pick, Value: elementsWhere(bson.D{{Key: "$or", Value: any}})}}
		fields = append(fields, bson.E{Key: nameK(i), Value: afterType(value, p.sel.types)})
	}
	return fields
}

// afterType takes the type off an element, so that the elements of several
// types compare by parameter and value.
func afterType(value bson.D, types []string) any {
	if len(types) == 1 {
		return value
	}
	return bson.D{{Key: "$let", Value: bson.D{
		{Key: "vars", Value: bson.D{{Key: "v", Value: value}}},
		{Key: "in", Value: bson.D{{Key: "$cond", Value: bson.A{
			bson.D{{Key: "$eq", Value: bson.A{bson.D{{Key: "$ifNull", Value: bson.A{"$$v", nil}}}, nil}}},
			nil,
			bson.D{{Key: "$substrBytes", Value: bson.A{"$$v", bson.D{{Key: "$indexOfBytes", Value: bson.A{"$$v", literal("\x00")}}}, -1}}},
		}}}},
	}}}
}

// sortedStages finds a page in the order of the sort keys, or with Back against
// it, from where it starts; nil for all.
func (p *paging) sortedStages(from *start) bson.A {
	stages := p.both(p.sel, hitFields(p.sortFields()...), func(string) ([]bson.D, bson.A) { return nil, nil })
	var none, order bson.D
	for i, key := range p.q.Sort {
		up := p.order()
		if key.Desc {
			up = -up
		}
		none = append(none, bson.E{Key: nameN(i), Value: bson.D{{Key: "$cond", Value: bson.A{
			bson.D{{Key: "$eq", Value: bson.A{bson.D{{Key: "$ifNull", Value: bson.A{"$" + nameK(i), nil}}}, nil}}}, 1, 0,
		}}}})
		order = append(order, bson.E{Key: nameN(i), Value: p.order()}, bson.E{Key: nameK(i), Value: up})
	}
	order = append(order, bson.E{Key: "_id", Value: p.order()})
	stages = append(stages, bson.D{{Key: "$addFields", Value: none}})
	if from != nil {
		stages = append(stages, bson.D{{Key: "$match", Value: p.behindValues(from)}})
	}
	return append(stages,
		bson.D{{Key: "$sort", Value: order}}, bson.D{{Key: "$limit", Value: p.q.Count + 1}},
		bson.D{{Key: "$project", Value: hitFields()}})
}

// behindValues is the filter for what comes behind the values of a resource, or
// with Back before them.
func (p *paging) behindValues(from *start) bson.D {
	var any bson.A
	same := bson.A{}
	alternative := func(e bson.E) {
		any = append(any, bson.D{{Key: "$and", Value: append(slices.Clone(same), bson.D{e})}})
	}
	for i, key := range p.q.Sort {
		value, has := from.values.Lookup(nameK(i)).StringValueOK()
		if !has {
			if p.q.Back {
				alternative(bson.E{Key: nameN(i), Value: 0})
			}
			same = append(same, bson.D{{Key: nameN(i), Value: 1}})
			continue
		}
		if !p.q.Back {
			alternative(bson.E{Key: nameN(i), Value: 1})
		}
		beyond := "$gt"
		if key.Desc != p.q.Back {
			beyond = "$lt"
		}
		same = append(same, bson.D{{Key: nameN(i), Value: 0}})
		alternative(bson.E{Key: nameK(i), Value: bson.D{{Key: beyond, Value: value}}})
		same = append(same, bson.D{{Key: nameK(i), Value: value}})
	}
	further := p.further()
	if from.inclusive {
		further += "e"
	}
	alternative(bson.E{Key: "_id", Value: bson.D{{Key: further, Value: from.key}}})
	return bson.D{{Key: "$or", Value: any}}
}

// start is where a later page of a sorted search starts.
type start struct {
	values    bson.Raw // under the sort keys
	key       string
	inclusive bool // with the resource itself
}

// starts reads where a page starts: the values of the resource that it is behind,
// or with Back before, as it was at the first page's time. If that version was
// erased, what came directly behind it does as well: nothing that is left lies
// between them. It is nil if nothing came behind it, and the error Expired if that
// was erased too.
func (p *paging) starts(ctx context.Context) (*start, error) {
	var newest, versions bson.A
	for _, h := range []hit{p.last, p.next} {
		newest = append(newest, bson.D{{Key: "_id", Value: h.Key}, {Key: "version", Value: h.Version}})
		versions = append(versions, versionID(h.Key, h.Version))
	}
	fields := p.sortFields()
	found := map[string]bson.Raw{}
	err := p.read(ctx, mongo.Pipeline{
		atClock,
		unionWith(resourcesName, bson.A{
			bson.D{{Key: "$match", Value: bson.D{{Key: "$or", Value: newest}}}},
			bson.D{{Key: "$project", Value: fields}},
		}),
		unionWith(historyName, bson.A{
			bson.D{{Key: "$match", Value: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: versions}}}, {Key: "ix", Value: bson.D{{Key: "$exists", Value: true}}}}}},
			bson.D{{Key: "$project", Value: append(bson.D{{Key: "_id", Value: "$key"}}, fields...)}},
		}),
	}, 4, func(raw bson.Raw) error {
		key, _ := raw.Lookup("_id").StringValueOK()
		found[key] = slices.Clone(raw)
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case p.clock.Swept > p.at:
		return nil, store.Expired()
	case found[p.last.Key] != nil:
		return &start{values: found[p.last.Key], key: p.last.Key}, nil
	case p.next.Key == "":
		return nil, nil
	case found[p.next.Key] != nil:
		return &start{values: found[p.next.Key], key: p.next.Key, inclusive: !p.q.Back}, nil
	}
	return nil, store.Expired()
}

// sortedBehind finds a later page: first where it starts, then the page with its
// versions.
func (p *paging) sortedBehind(ctx context.Context) error {
	from, err := p.starts(ctx)
	if err != nil {
		return err
	}
	p.resources = []*fhir.Resource{}
	if from == nil && !p.q.Back {
		return nil
	}
	// The clock was read; what is swept from now on is still there for a while.
	seen := p.clock
	stages := append(p.sortedStages(from),
		bson.D{{Key: "$addFields", Value: bson.D{{Key: "vid", Value: bson.D{{Key: "$concat", Value: bson.A{"$_id", "/", bson.D{{Key: "$toString", Value: "$version"}}}}}}}}},
		bson.D{{Key: "$lookup", Value: bson.D{{Key: "from", Value: historyName}, {Key: "localField", Value: "vid"}, {Key: "foreignField", Value: "_id"}, {Key: "as", Value: "found"}}}},
	)
	size := int64(0)
	err = p.read(ctx, mongo.Pipeline{atClock, unionWith(resourcesName, stages)}, p.q.Count+1, func(raw bson.Raw) error {
		if size >= store.MaxPageBytes {
			p.more = true
			p.after.Key, _ = raw.Lookup("_id").StringValueOK()
			p.after.Version, _ = raw.Lookup("version").AsInt64OK()
			return errEnough
		}
		before := len(p.hits)
		if err := p.hit(raw); err != nil || len(p.hits) == before {
			return err
		}
		found, ok := raw.Lookup("found", "0").DocumentOK()
		if !ok {
			return damaged(historyName, p.hits[before].Key, fmt.Errorf("version %d is missing", p.hits[before].Version))
		}
		res, err := p.s.version(found)
		if err == nil {
			p.resources = append(p.resources, res)
			size += int64(len(res.JSON))
		}
		return err
	})
	if p.clock == nil {
		p.clock = seen
	}
	if p.q.Back {
		slices.Reverse(p.hits)
		slices.Reverse(p.resources)
	}
	return err
}
