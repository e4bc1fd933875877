package mongo

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir/search"
)

// maxExplained is how many types the database is asked about; of others a page's
// plans tell only what we planned.
const maxExplained = 10

// explain returns how the types were searched: our plan, and with the step that
// drives what MongoDB does, if it says. It is one command more a type, which runs
// the search of that type again. A server that explains in other words, or not
// at all, does not make the search fail.
func (p *paging) explain(ctx context.Context) []search.Plan {
	plans := make([]search.Plan, 0, len(p.sel.asked))
	asked := 0
	for _, typ := range p.sel.asked {
		plan := p.sel.plans[typ]
		for i := range plan.Steps {
			p.sel.explainStep(typ, &plan, i)
		}
		if asked < maxExplained && slices.Contains(p.sel.types, typ) {
			asked++
			if said, ok := p.askPlan(ctx, typ, plan); ok {
				plan.Looked = said.looked
				if len(plan.Steps) > 0 && len(said.stages) > 0 {
					at := &plan.Steps[max(0, plan.Drive)]
					at.Role += "; MongoDB: " + strings.Join(said.stages, " | ")
				}
			}
		}
		plans = append(plans, plan)
	}
	return plans
}

// explainStep says how a clause takes part.
func (sel *selection) explainStep(typ string, plan *search.Plan, i int) {
	step := &plan.Steps[i]
	t := sel.term(typ, step.Clause)
	role := "test"
	if i == plan.Drive {
		role = "drive"
	}
	joined := t.join != nil && applies(t.clause, typ)
	switch bound := t.bound(typ, "_id", true); {
	case bound.never():
		role = "nothing matches"
	case joined && t.join.open:
		role = "join, candidates tested"
	case bound.always:
		role = "everything matches"
	case joined:
		role += ", joined with what was found first"
	case !t.exact(typ):
		role += ", and looked at again"
	}
	if joined && !t.join.open {
		step.Found = int64(len(t.join.found))
	}
	step.Role = role
}

// said is what the database says of a search.
type said struct {
	stages []string // of the plans it chose, one of each form: "FETCH < IXSCAN ix"
	looked int64    // keys or documents, whichever were more; -1 if it does not say
}

// askPlan asks the database how it finds the page of one type.
func (p *paging) askPlan(ctx context.Context, typ string, plan search.Plan) (said, bool) {
	f, _ := p.sel.typeFilter(typ, plan, "_id")
	one := &selection{filter: f.filter}
	stages := bson.A{bson.D{{Key: "$match", Value: p.current(one, p.beyond("_id", p.last.Key)...)}}}
	if len(p.q.Sort) > 0 {
		stages = bson.A{bson.D{{Key: "$match", Value: p.current(one)}}}
	} else {
		stages = append(stages, bson.D{{Key: "$sort", Value: bson.D{{Key: "_id", Value: p.order()}}}}, bson.D{{Key: "$limit", Value: p.q.Count + 1}})
	}
	left := p.s.opts.Timeout
	if deadline, has := ctx.Deadline(); has {
		left = time.Until(deadline)
	}
	if left <= 0 {
		return said{}, false
	}
	raw, err := p.s.db.RunCommand(ctx, bson.D{
		{Key: "explain", Value: bson.D{{Key: "aggregate", Value: resourcesName}, {Key: "pipeline", Value: stages}, {Key: "cursor", Value: bson.D{}}}},
		{Key: "verbosity", Value: "executionStats"},
		{Key: "maxTimeMS", Value: left.Milliseconds() + 1},
	}).Raw()
	if err != nil {
		return said{}, false
	}
	return readSaid(raw), true
}

// readSaid reads the answer of explain, of one server or of several shards, in
// the forms of both of MongoDB's engines. Only names of stages and indexes and
// numbers are taken: the rest holds what was asked for.
//
// https://www.mongodb.com/docs/manual/reference/explain-results/
func readSaid(raw bson.Raw) said {
	out := said{looked: -1}
	walk(raw, func(name string, doc bson.Raw) (deeper bool) {
		switch name {
		case "winningPlan":
			if stages := stagesOf(doc); stages != "" && !slices.Contains(out.stages, stages) {
				out.stages = append(out.stages, stages)
			}
			return false
		case "executionStats":
			keys, _ := doc.Lookup("totalKeysExamined").AsInt64OK()
			docs, ok := doc.Lookup("totalDocsExamined").AsInt64OK()
			if ok {
				out.looked = max(out.looked, 0) + max(keys, docs)
			}
			return false
		case "rejectedPlans", "command":
			return false
		}
		return true
	})
	return out
}

// walk visits the documents within one, those in arrays too, by the names of
// their fields, and goes deeper where visit says so.
func walk(doc bson.Raw, visit func(name string, doc bson.Raw) (deeper bool)) {
	fields, err := doc.Elements()
	if err != nil {
		return
	}
	for _, field := range fields {
		switch value := field.Value(); value.Type {
		case bson.TypeEmbeddedDocument:
			if inner := value.Document(); visit(field.Key(), inner) {
				walk(inner, visit)
			}
		case bson.TypeArray:
			if inner := bson.Raw(value.Array()); visit(field.Key(), inner) {
				walk(inner, visit)
			}
		default:
		}
	}
}

// stagesOf writes the stages of a plan from the last to the first: what comes
// after "<" feeds what comes before, several in brackets.
func stagesOf(plan bson.Raw) string {
	if inner, ok := plan.Lookup("queryPlan").DocumentOK(); ok {
		return stagesOf(inner)
	}
	stage, _ := plan.Lookup("stage").StringValueOK()
	if stage == "" {
		return ""
	}
	text := stage
	if index, ok := plan.Lookup("indexName").StringValueOK(); ok {
		text += " " + index
	}
	var feeds []string
	for _, name := range []string{"inputStage", "inputStages", "shards"} {
		value := plan.Lookup(name)
		if inner, ok := value.DocumentOK(); ok {
			feeds = append(feeds, stagesOf(inner))
		}
		inner, ok := value.ArrayOK()
		if !ok {
			continue
		}
		all, err := inner.Values()
		if err != nil {
			continue
		}
		for _, v := range all {
			doc, _ := v.DocumentOK()
			if winner, ok := doc.Lookup("winningPlan").DocumentOK(); ok {
				doc = winner
			}
			feeds = append(feeds, stagesOf(doc))
		}
	}
	slices.Sort(feeds)
	switch feeds = slices.Compact(feeds); len(feeds) {
	case 0:
		return text
	case 1:
		return text + " < " + feeds[0]
	}
	return text + " < [" + strings.Join(feeds, ", ") + "]"
}
