package mongo

import (
	"context"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// criteriaPerCommand is how many conditions one command asks.
const criteriaPerCommand = 100

// conditions asks all conditions inside the transaction and returns which
// changes' hold. Equal ones are asked once.
func (tx *transaction) conditions(ctx context.Context) (map[*change]bool, error) {
	held := map[*change]bool{}
	var asked []*criteria
	for _, p := range tx.batch {
		for _, c := range p.changes {
			if c.Condition == nil {
				continue
			}
			a := tx.ask(c.Condition)
			a.changes = append(a.changes, c)
			asked = append(asked, a)
		}
	}
	asked, err := merge(asked)
	if err != nil {
		return nil, err
	}
	// What one command asks is of one kind; the first kind is cheaper, and that
	// of nearly all criteria: one identifier.
	var single, other []*criteria
	for _, a := range asked {
		if a.element() != "" {
			single = append(single, a)
		} else {
			other = append(other, a)
		}
	}
	for chunk := range slices.Chunk(single, criteriaPerCommand) {
		all, err := tx.answerSingle(ctx, chunk)
		if err != nil {
			return nil, err
		}
		if !all {
			other = append(other, chunk...)
		}
	}
	for chunk := range slices.Chunk(other, criteriaPerCommand) {
		if err := tx.answer(ctx, chunk); err != nil {
			return nil, err
		}
	}
	for _, a := range asked {
		for _, c := range a.changes {
			held[c] = sameKeys(a.found, c.Condition.Keys)
		}
	}
	return held, nil
}

// criteria is a condition's query and the changes that wait for its answer.
type criteria struct {
	query   search.Query
	sel     *selection
	changes []*change
	found   []string
}

func (tx *transaction) ask(c *store.Condition) *criteria {
	a := &criteria{query: search.Query{Types: c.Query.Types, Where: c.Query.Where, Scope: c.Query.Scope}}
	types := a.query.Types
	if len(types) == 0 {
		types = tx.knownTypes()
	}
	a.sel = tx.s.selectTypes(&a.query, types)
	return a
}

// knownTypes are all types as the transaction sees them: it holds the clock.
func (tx *transaction) knownTypes() []string {
	types := make([]string, 0, len(tx.now.Counts))
	for typ := range tx.now.Counts {
		types = append(types, typ)
	}
	return types
}

// merge joins conditions that ask the same. Those whose ranges have a Keep,
// which cannot be compared, stay apart.
func merge(all []*criteria) ([]*criteria, error) {
	var out []*criteria
	byFilter := map[string]*criteria{}
	for _, a := range all {
		if !a.sel.exact || a.sel.filter == nil {
			out = append(out, a)
			continue
		}
		text, err := bson.Marshal(a.sel.filter)
		if err != nil {
			return nil, err
		}
		if first := byFilter[string(text)]; first != nil {
			first.changes = append(first.changes, a.changes...)
			continue
		}
		byFilter[string(text)] = a
		out = append(out, a)
	}
	return out, nil
}

// element returns the one element of ix that the criteria ask for, or "".
func (a *criteria) element() string {
	if !a.sel.exact || len(a.sel.filter) != 1 || a.sel.filter[0].Key != "ix" {
		return ""
	}
	text, _ := a.sel.filter[0].Value.(string)
	return text
}

// spareAnswers is how many more resources than two for each criteria one command
// reads before the other way, which reads no more than that, is taken.
const spareAnswers = 200

// answerSingle asks criteria of one element each in one command. It reports
// whether it could: too many resources may match.
func (tx *transaction) answerSingle(ctx context.Context, chunk []*criteria) (bool, error) {
	elements := make([]string, len(chunk))
	byElement := make(map[string]*criteria, len(chunk))
	for i, a := range chunk {
		elements[i] = a.element()
		byElement[elements[i]] = a
	}
	limit := 2*len(chunk) + spareAnswers
	cursor, err := tx.s.ask(ctx, tx.s.resources, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "ix", Value: bson.D{{Key: "$in", Value: elements}}}}}},
		{{Key: "$sort", Value: bson.D{{Key: "_id", Value: 1}}}},
		{{Key: "$limit", Value: limit}},
		{{Key: "$project", Value: bson.D{{Key: "ix", Value: elementsWhere(bson.D{{Key: "$in", Value: bson.A{"$$e", bson.D{{Key: "$literal", Value: elements}}}}})}}}},
	}, limit)
	if err != nil {
		return false, err
	}
	n := 0
	err = each(ctx, cursor, func(raw bson.Raw) error {
		var d struct {
			Key string   `bson:"_id"`
			IX  []string `bson:"ix"`
		}
		if err := bson.Unmarshal(raw, &d); err != nil {
			return damaged(resourcesName, raw.Lookup("_id"), err)
		}
		n++
		for _, el := range d.IX {
			if a := byElement[el]; a != nil && len(a.found) < 2 {
				a.found = append(a.found, d.Key)
			}
		}
		return nil
	})
	if err != nil || n < limit {
		return true, err
	}
	for _, a := range chunk {
		a.found = nil
	}
	return false, nil
}

// answer asks conditions in one command, each for two resources, the first ones
// in the order of pages: a look-up each beside the clock, which is always there.
// Those that need a Keep are asked one by one.
func (tx *transaction) answer(ctx context.Context, chunk []*criteria) error {
	pipeline := mongo.Pipeline{atClock, {{Key: "$project", Value: bson.D{{Key: "_id", Value: 1}}}}}
	for i, a := range chunk {
		switch {
		case a.sel.filter == nil:
		case !a.sel.exact:
			if err := tx.answerKept(ctx, a); err != nil {
				return err
			}
		default:
			pipeline = append(pipeline, bson.D{{Key: "$lookup", Value: bson.D{
				{Key: "from", Value: resourcesName},
				{Key: "as", Value: "c" + strconv.Itoa(i)},
				{Key: "pipeline", Value: bson.A{
					bson.D{{Key: "$match", Value: a.sel.filter}},
					bson.D{{Key: "$sort", Value: bson.D{{Key: "_id", Value: 1}}}},
					bson.D{{Key: "$limit", Value: 2}},
					bson.D{{Key: "$project", Value: bson.D{{Key: "_id", Value: 1}}}},
				}},
			}}})
		}
	}
	if len(pipeline) == 2 {
		return nil
	}
	cursor, err := tx.s.ask(ctx, tx.s.history, pipeline, 1)
	if err != nil {
		return err
	}
	seen := false
	err = each(ctx, cursor, func(raw bson.Raw) error {
		seen = true
		for i, a := range chunk {
			var d []struct {
				Key string `bson:"_id"`
			}
			found, err := raw.LookupErr("c" + strconv.Itoa(i))
			if err != nil {
				continue // not asked here
			}
			if err := found.Unmarshal(&d); err != nil {
				return err
			}
			for _, one := range d {
				a.found = append(a.found, one.Key)
			}
		}
		return nil
	})
	if err == nil && !seen {
		return damaged(historyName, clockID, errMissing)
	}
	return err
}

// answerKept asks one condition whose ranges have a Keep.
func (tx *transaction) answerKept(ctx context.Context, a *criteria) error {
	q := a.query
	q.Count, q.Total = 2, search.TotalNone
	p := &paging{s: tx.s, q: &q, sel: a.sel, collection: tx.s.resources, inside: true}
	if err := p.kept(ctx); err != nil {
		return err
	}
	for i, h := range p.hits {
		if i < 2 {
			a.found = append(a.found, h.Key)
		}
	}
	return nil
}

// sameKeys reports whether an answer holds exactly the keys.
func sameKeys(found []string, keys []fhir.Key) bool {
	if len(found) != len(keys) {
		return false
	}
	return !slices.ContainsFunc(keys, func(k fhir.Key) bool { return !slices.Contains(found, k.String()) })
}
