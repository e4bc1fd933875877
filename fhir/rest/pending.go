package rest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sort"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// pending are the resources that a transaction is about to write, by type, so
// that its own conditions can see them: conditional references are resolved
// after everything is written, and two entries must not have one identity.
// https://hl7.org/fhir/R4/http.html#trules
type pending map[string]*candidates

// candidates are the resources of one type.
type candidates struct {
	rows    []candidate // sorted by parameter and value
	entries map[*write][]search.Entry
}

type candidate struct {
	search.Entry
	w *write
}

// pending indexes the resources of a unit that conditions may look for.
func (s *Server) pending(ctx context.Context, u *unit, registry *search.Registry) (pending, error) {
	if len(u.writes) < 2 {
		return nil, nil
	}
	p := make(pending)
	want := func(typ string) {
		if p[typ] == nil {
			p[typ] = &candidates{entries: make(map[*write][]search.Entry)}
		}
	}
	for _, w := range u.writes {
		if w.criteria != nil && w.method != fhir.Delete {
			want(w.typ)
		}
		for _, l := range w.links {
			if l.node != nil && isConditional(l.sent) {
				typ, _, _ := strings.Cut(l.sent, "?")
				want(typ)
			}
		}
	}
	if len(p) == 0 {
		return nil, nil
	}
	entries := make([][]search.Entry, len(u.writes))
	err := parallel(ctx, len(u.writes), func(i int) (err error) {
		w := u.writes[i]
		if w.change == nil || w.root == nil || p[w.typ] == nil {
			return nil
		}
		entries[i], _, err = registry.Extract(w.root)
		return w.entry.place(err)
	})
	if err != nil {
		return nil, err
	}
	for i, w := range u.writes {
		if entries[i] == nil {
			continue
		}
		c := p[w.typ]
		c.entries[w] = entries[i]
		for _, e := range entries[i] {
			c.rows = append(c.rows, candidate{e, w})
		}
	}
	for _, c := range p {
		slices.SortFunc(c.rows, func(a, b candidate) int {
			return cmp.Or(strings.Compare(a.Param, b.Param), bytes.Compare(a.Value, b.Value))
		})
	}
	return p, nil
}

// match returns the writes of a type whose resources satisfy criteria.
func (p pending) match(typ string, where []search.Clause) []*write {
	c := p[typ]
	if c == nil || len(where) == 0 {
		return nil
	}
	var found []*write
	for _, r := range where[0].Ranges {
		first := sort.Search(len(c.rows), func(i int) bool {
			row := c.rows[i]
			return cmp.Or(strings.Compare(row.Param, where[0].Param), bytes.Compare(row.Value, r.From)) >= 0
		})
		for _, row := range c.rows[first:] {
			if row.Param != where[0].Param || r.To != nil && bytes.Compare(row.Value, r.To) >= 0 {
				break
			}
			if !r.Contains(row.Value) || slices.Contains(found, row.w) {
				continue
			}
			if !slices.ContainsFunc(where[1:], func(c2 search.Clause) bool { return !search.Match(typ, c.entries[row.w], c2) }) {
				found = append(found, row.w)
			}
		}
		if len(found) > 2 {
			break // more than one and itself: nobody needs to know how many
		}
	}
	return found
}

// identities refuses a conditional write whose criteria select what another
// entry writes: which of the two a later search should find is anybody's guess.
func (u *unit) identities(p pending) error {
	if len(p) == 0 {
		return nil
	}
	var problems []error
	for _, w := range u.writes {
		if w.criteria == nil || w.method == fhir.Delete || !w.created && w.method != fhir.Update && w.method != fhir.Patch {
			continue
		}
		for _, other := range p.match(w.typ, w.criteria.Query.Where) {
			if other.key != w.key {
				problems = append(problems, w.entry.place(fhir.Errorf(fhir.Invalid, "%s writes another resource that the criteria of this entry select; a transaction may have one of them", other.entry.where())))
				break
			}
		}
	}
	return merge(problems)
}

// replaced are the resources whose present content the unit does away with.
func (u *unit) replaced() map[fhir.Key]bool {
	keys := make(map[fhir.Key]bool, len(u.writes))
	for _, w := range u.writes {
		if w.change != nil && !w.created {
			keys[w.key] = true
		}
	}
	return keys
}
