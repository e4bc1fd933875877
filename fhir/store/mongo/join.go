package mongo

import (
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// A join is answered from one of two sides.
//
// From the inner side: one command finds the others that match, as far as the
// scope sees them, at the page's moment; their keys, or those they refer to,
// become a part of the filter. That is one command for each step of a chain, and
// all the page needs if there are at most maxOthers of them.
//
// From the outer side, if there are more: candidates are read in order, by all
// other clauses, and one command a step tests what testChunk of them refer to.
// For that the others must be few or the candidates must mostly match: after
// maxTests commands the search is TooCostly.
//
// With a scope the sizes of what it sees decide, never the statistics, which tell
// of everybody: else it would show in refusals how much there is of others.
const (
	maxOthers = 10_000
	// maxElements is how many keys the filter of one selection may hold, of all
	// its types and joins together. A command holds it up to four times, at most
	// 170 bytes each, and may have 16 MB.
	maxElements = 20_000
	// rowsPerKey is how many more resources may refer to the keys of a reverse
	// join than there may be keys.
	rowsPerKey = 10
	testChunk  = 5_000
	maxTests   = 100
	// fewCandidates is how many candidates are cheaper to test than many others
	// are to find.
	fewCandidates = 1_000
)

// joined is a join with what is known of the others.
type joined struct {
	clause *search.Clause // any of those with this join
	others *selection
	// open says that not all of the others are known, so that candidates must be
	// tested. Then found holds what tested candidates refer to, of asked.
	open  bool
	found map[string]bool // keys that match: others, or with Reverse those they refer to
	asked map[string]bool
}

// join returns the join of a clause.
func (sel *selection) join(c *search.Clause) *joined {
	if j := sel.joinOf(c); j != nil {
		return j
	}
	j := &joined{clause: c, open: true, found: map[string]bool{}, asked: map[string]bool{}}
	j.others = sel.s.newSelection(&search.Query{Types: c.Join.Types, Where: c.Join.Where, Scope: sel.query.Scope}, c.Join.Types)
	sel.joins = append(sel.joins, j)
	return j
}

// joinOf finds a join that was made ready before. Clauses of several types, and
// alternatives, share it.
func (sel *selection) joinOf(c *search.Clause) *joined {
	for _, j := range sel.joins {
		if j.clause.Join == c.Join && (!c.Join.Reverse || j.clause.Param == c.Param) {
			return j
		}
	}
	return nil
}

// bound is the condition that a resource is joined, under a parameter; see
// [term.bound].
func (j *joined) bound(typ, param, id string, upper bool) condition {
	if j.open {
		return condition{always: upper}
	}
	var values []string
	for key := range j.found {
		switch {
		case !j.clause.Join.Reverse:
			values = append(values, reference(typ, param, key))
		case strings.HasPrefix(key, typ+"/"):
			values = append(values, key)
		}
	}
	if !j.clause.Join.Reverse {
		return oneOf("ix", values)
	}
	// What was deleted still has its key.
	return allOf([]condition{oneOf(id, values), {filter: bson.D{{Key: "ix", Value: existence(typ)}}}})
}

// reference is the element of a reference to a resource.
func reference(typ, param, key string) string {
	var k fhir.Key
	k.Type, k.ID = splitKey(key)
	return element(typ, param, search.RefersTo(param, k).Ranges[0].From)
}

// references are the elements between which those of references lie that name a
// resource of ours.
func references(typ, param string) (from, to string) {
	class := search.RefersTo(param, fhir.Key{Type: "A", ID: "a"}).Ranges[0].From[0]
	return element(typ, param, []byte{class}), element(typ, param, []byte{class + 1})
}

// holds reports whether a candidate is joined, under a parameter.
func (j *joined) holds(param string, c *candidate) bool {
	if j.clause.Join.Reverse {
		return j.found[c.Hit.Key]
	}
	return slices.ContainsFunc(c.entries, func(e search.Entry) bool {
		key, ok := search.Refers(e.Value)
		return e.Param == param && ok && j.found[key.String()]
	})
}

// share is about how many resources of a type are joined.
func (j *joined) share(known *sample, typ string) float64 {
	if j.clause.Join.Reverse {
		return float64(len(j.found))
	}
	others := 0.0
	for _, t := range j.others.asked {
		others += known.Resources(t)
	}
	return known.Resources(typ) * float64(len(j.found)) / max(1, others)
}

// join finds the others of a selection's joins, the deepest first, where that is
// the way to go, and makes the filter.
func (p *paging) join(ctx context.Context, sel *selection) error {
	sel.choose()
	for _, j := range sel.joins {
		if sel.filter == nil {
			return nil // whatever is joined, nothing can match
		}
		if err := p.join(ctx, j.others); err != nil {
			return err
		}
		room := sel.room()
		if room < 1 || !p.innerFirst(sel, j, room) {
			continue
		}
		known, err := p.findOthers(ctx, j, nil, room)
		if err != nil {
			return err
		}
		if known {
			j.open = false
			sel.choose()
		} else {
			clear(j.found)
		}
	}
	return nil
}

// room is how many others of one more join the filter can hold.
func (sel *selection) room() int {
	left := maxElements
	for _, j := range sel.joins {
		left -= len(j.found) * len(sel.types)
	}
	most := maxOthers
	if sel.s.othersLimit > 0 {
		most = sel.s.othersLimit
	}
	return min(most, left/len(sel.types))
}

// innerFirst reports whether to look for the others of a join, of which there is
// room for some, before the resources that are joined with them.
func (p *paging) innerFirst(outer *selection, j *joined, room int) bool {
	if p.q.Scope != nil {
		return true
	}
	many := float64(room)
	if j.clause.Join.Reverse {
		many *= rowsPerKey
	}
	return j.others.rows <= 2*many && (outer.rows > fewCandidates || j.others.rows <= max(float64(room)/4, 4*outer.rows))
}

// findOthers finds the others of a join that are among some keys, or refer to
// them. Nil means all, of which there is room for some; known is false if there
// are more.
func (p *paging) findOthers(ctx context.Context, j *joined, among []string, room int) (known bool, err error) {
	sel := j.others
	if sel.filter == nil {
		return true, nil
	}
	limit := room + 1
	if among != nil {
		if p.tests++; p.tests > maxTests {
			return false, tooManyJoined()
		}
		limit = p.s.opts.MaxCandidates + 1
	}
	read := p.readExact
	if !sel.exact {
		read = p.readCandidates
	}
	n, err := read(ctx, j, among, limit)
	switch {
	case err != nil:
		return false, err
	case n < limit:
		p.settle()
		return true, nil
	case among != nil:
		return false, tooManyJoined()
	}
	p.settle()
	return false, nil
}

func tooManyJoined() error {
	return fhir.Errorf(fhir.TooCostly, "too many resources on both sides of a chain or _has would have to be looked at; add a parameter that selects fewer on either side, or ask for them without _total")
}

// settle makes what is read from now on be of the moment of what was read.
func (p *paging) settle() {
	if p.at == 0 && !p.inside {
		p.at = p.clock.Now
	}
}

// restriction is the filter for others that are among keys or refer to them.
func (j *joined) restriction(id string, among []string) []bson.D {
	if among == nil {
		return nil
	}
	if !j.clause.Join.Reverse {
		return []bson.D{oneOf(id, slices.Clone(among)).filter}
	}
	return []bson.D{j.referring("ix", among)}
}

// referring is the filter for a field that holds a reference to one of the keys.
func (j *joined) referring(field string, keys []string) bson.D {
	var elements []string
	for _, typ := range j.others.types {
		for _, key := range keys {
			elements = append(elements, reference(typ, j.clause.Param, key))
		}
	}
	return oneOf(field, elements).filter
}

// readExact finds others that the filter alone decides about and returns how many
// there are, at most limit.
func (p *paging) readExact(ctx context.Context, j *joined, among []string, limit int) (int, error) {
	if j.clause.Join.Reverse {
		return p.readReferred(ctx, j, among, limit)
	}
	stages := p.both(j.others, bson.D{{Key: "version", Value: 1}}, func(id string) ([]bson.D, bson.A) { return j.restriction(id, among), nil })
	stages = append(stages, bson.D{{Key: "$limit", Value: limit}})
	n := 0
	err := p.candidates(ctx, stages, min(limit, 2*maxOthers), func(raw bson.Raw) error {
		key, _ := raw.Lookup("_id").StringValueOK()
		j.found[key] = true
		n++
		return nil
	})
	return n, err
}

// readReferred is readExact for what others refer to. The database makes one of
// all equal references.
func (p *paging) readReferred(ctx context.Context, j *joined, among []string, limit int) (int, error) {
	var any bson.A
	for _, typ := range j.others.types {
		from, to := references(typ, j.clause.Param)
		any = append(any, within(from, to))
	}
	fields := bson.D{{Key: "r", Value: elementsWhere(bson.D{{Key: "$or", Value: any}})}}
	stages := p.both(j.others, fields, func(id string) ([]bson.D, bson.A) { return j.restriction(id, among), nil })
	rows := rowsPerKey * limit
	if among == nil {
		stages = append(stages, bson.D{{Key: "$limit", Value: rows}})
	}
	// Each element comes once, with how many of the others have it; and once
	// those without any, so that all of the others are counted.
	stages = append(stages,
		bson.D{{Key: "$unwind", Value: bson.D{{Key: "path", Value: "$r"}, {Key: "preserveNullAndEmptyArrays", Value: true}}}},
		bson.D{{Key: "$group", Value: bson.D{{Key: "_id", Value: "$r"}, {Key: "n", Value: bson.D{{Key: "$sum", Value: 1}}}}}},
	)
	if among != nil {
		stages = append(stages, bson.D{{Key: "$match", Value: j.referring("_id", among)}})
	}
	stages = append(stages, bson.D{{Key: "$limit", Value: limit + 1}})
	seen, n := int64(0), 0
	err := p.candidates(ctx, stages, min(limit, 2*maxOthers), func(raw bson.Raw) error {
		count, _ := raw.Lookup("n").AsInt64OK()
		seen += count
		el, ok := raw.Lookup("_id").StringValueOK()
		if !ok {
			return nil
		}
		n++
		_, e, err := parseElement(el)
		if key, refers := search.Refers(e.Value); err == nil && refers {
			j.found[key.String()] = true
		}
		return nil
	})
	if among == nil && seen >= int64(rows) {
		n = limit
	}
	return min(n, limit), err
}

// readCandidates finds others that must be looked at and returns how many were,
// at most limit; also limit if they refer to as many.
func (p *paging) readCandidates(ctx context.Context, j *joined, among []string, limit int) (int, error) {
	sel := j.others
	var more []string
	if j.clause.Join.Reverse {
		more = append(more, j.clause.Param)
	}
	fields := hitFields(candidateFields(sel, more...)...)
	stages := p.both(sel, fields, func(id string) ([]bson.D, bson.A) { return j.restriction(id, among), nil })
	stages = append(stages, bson.D{{Key: "$limit", Value: limit}})
	b := &batch{p: p, sel: sel, take: func(c *candidate) {
		if !sel.matches(c) {
			return
		}
		if !j.clause.Join.Reverse {
			j.found[c.Hit.Key] = true
			return
		}
		for _, e := range c.entries {
			key, ok := search.Refers(e.Value)
			if name := key.String(); ok && e.Param == j.clause.Param && (among == nil || j.asked[name]) {
				j.found[name] = true
			}
		}
	}}
	n := 0
	err := p.candidates(ctx, stages, min(limit, 2*cheapRows), func(raw bson.Raw) error {
		if n++; among == nil && len(j.found) >= limit {
			n = limit
			return errEnough
		}
		c, err := readCandidate(raw, nil)
		if err != nil {
			return err
		}
		return b.add(ctx, c)
	})
	if err == nil {
		err = b.end(ctx)
	}
	if among == nil && len(j.found) >= limit {
		n = limit
	}
	return n, err
}

// batch gathers candidates until enough are there to test what they refer to.
type batch struct {
	p    *paging
	sel  *selection
	take func(*candidate)
	all  []*candidate
	size int // of their entries
}

func (b *batch) add(ctx context.Context, c *candidate) error {
	b.all = append(b.all, c)
	b.size += len(c.entries)
	if len(b.all) < testChunk && b.size < rowsPerKey*testChunk && b.sel.anyOpen() {
		return nil
	}
	return b.end(ctx)
}

// end tests and takes what is left.
func (b *batch) end(ctx context.Context) error {
	if err := b.p.test(ctx, b.sel, b.all); err != nil {
		return err
	}
	for _, c := range b.all {
		b.take(c)
	}
	b.all, b.size = b.all[:0], 0
	return nil
}

func (sel *selection) anyOpen() bool {
	return slices.ContainsFunc(sel.joins, func(j *joined) bool { return j.open })
}

// test finds the others that candidates are joined with, of joins that are open.
func (p *paging) test(ctx context.Context, sel *selection, all []*candidate) error {
	for _, j := range sel.joins {
		if !j.open {
			continue
		}
		p.settle() // at the moment of the candidates
		var among []string
		ask := func(key string) {
			if !j.asked[key] {
				j.asked[key] = true
				among = append(among, key)
			}
		}
		for _, c := range all {
			if j.clause.Join.Reverse {
				ask(c.Hit.Key)
				continue
			}
			for _, e := range c.entries {
				if key, ok := search.Refers(e.Value); ok && slices.Contains(j.others.types, key.Type) {
					ask(key.String())
				}
			}
		}
		chunk := testChunk
		if j.clause.Join.Reverse {
			chunk = max(1, testChunk/max(1, len(j.others.types)))
		}
		for some := range slices.Chunk(among, chunk) {
			if _, err := p.findOthers(ctx, j, some, 0); err != nil {
				return err
			}
		}
	}
	return nil
}
