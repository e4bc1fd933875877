package rest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// Integrity says which references this server keeps whole: those among its own
// resources, by their literal URLs. The zero Integrity lets everything be.
//
// https://hl7.org/fhir/R4/http.html#integrity
type Integrity struct {
	// Write refuses what refers to a resource that is not there.
	Write bool
	// Delete refuses to delete what another resource refers to.
	Delete bool
}

// pointer is a literal reference of a resource that is about to be written.
type pointer struct {
	target
	text, path string
	w          *write
}

// pointers collects the references to resources of this server in what a unit
// writes. Resources inside of a Bundle or Parameters refer to one another first:
// they are not looked at.
func (s *Server) pointers(u *unit) []pointer {
	var found []pointer
	for _, w := range u.writes {
		if w.change == nil || w.root == nil {
			continue
		}
		typ := w.root.Str("resourceType")
		resource.EachReference(w.root, func(path string, ref *resource.Node) {
			key, version, ok := s.ownReference(ref.Get("reference"))
			if !ok || (typ == "Bundle" || typ == "Parameters") && strings.Contains(path, ".resource.") {
				return
			}
			p := pointer{target: target{Key: key}, text: ref.Str("reference"), path: path + ".reference", w: w}
			if version != "" {
				n, err := strconv.ParseInt(version, 10, 64)
				if p.version = n; err != nil || n < 1 {
					p.version = -1 // no version of ours
				}
			}
			found = append(found, p)
		})
	}
	return found
}

// keepReferences checks the references of a unit, and lets the store check at
// the commit that their targets are still there and that nothing new refers to
// what is deleted.
func (s *Server) keepReferences(ctx context.Context, access search.Access, u *unit) error {
	if s.Integrity == (Integrity{}) {
		return nil
	}
	pointers := s.pointers(u)
	living, err := s.living(ctx, access, u, pointers)
	if err != nil {
		return err
	}
	var problems []error
	for _, p := range pointers {
		switch ok, err := s.resolves(ctx, access, p, living); {
		case err != nil:
			return err
		case !ok && s.Integrity.Write:
			problems = append(problems, p.w.entry.place(&fhir.Error{Kind: fhir.Unprocessable, Issues: []fhir.Issue{{
				Code: "not-found", Expression: p.path,
				Message: "there is no " + fhir.Clip(p.text) + ", and this server takes only references to what is there. Create it first, or together with this in a transaction",
			}}}))
		case ok && p.version == 0 && !slices.Contains(p.w.change.Requires, p.Key) && p.Key != p.w.key:
			p.w.change.Requires = append(p.w.change.Requires, p.Key)
		}
	}
	if len(problems) > 0 {
		return merge(problems)
	}
	if !s.Integrity.Delete {
		return nil
	}
	for _, w := range u.writes {
		if w.method == fhir.Delete && w.change != nil {
			if err := s.unreferenced(ctx, access, u, w, pointers); err != nil {
				return w.entry.place(err)
			}
		}
	}
	return nil
}

// living returns which targets are there, as the caller may know: what they
// cannot see by any right is as absent as what is not there.
func (s *Server) living(ctx context.Context, access search.Access, u *unit, pointers []pointer) (map[fhir.Key]bool, error) {
	living, asked := make(map[fhir.Key]bool), make(map[fhir.Key]bool)
	for _, w := range u.writes {
		if w.change != nil {
			living[w.key], asked[w.key] = w.method != fhir.Delete, true
		}
	}
	var keys []fhir.Key
	for _, p := range pointers {
		if !asked[p.Key] {
			asked[p.Key] = true
			keys = append(keys, p.Key)
		}
	}
	for len(keys) > 0 {
		part := keys[:min(len(keys), 500)]
		found, more, err := s.Store.Gather(ctx, store.GatherQuery{Keys: part, Limit: len(part)})
		if err != nil {
			return nil, err
		}
		for _, res := range found {
			living[res.Key] = seesSomehow(access, res)
		}
		keys = keys[len(part):]
		if more { // they were too large to come all at once
			for _, key := range part {
				if _, answered := living[key]; !answered {
					keys = append(keys, key)
				}
			}
		}
	}
	return living, nil
}

// seesSomehow reports whether any right of the caller reaches a resource.
func seesSomehow(access search.Access, res *fhir.Resource) bool {
	for _, right := range []search.Rights{search.CanRead, search.CanSearch, search.CanUpdate, search.CanCreate, search.CanDelete} {
		if access.Scope(right).Sees(res) {
			return true
		}
	}
	return false
}

// resolves reports whether a reference has a target. One that names a version
// needs that version, which may be an old one.
func (s *Server) resolves(ctx context.Context, access search.Access, p pointer, living map[fhir.Key]bool) (bool, error) {
	if p.version == 0 {
		return living[p.Key], nil
	}
	if p.version < 0 {
		return false, nil
	}
	res, err := s.Store.ReadVersion(ctx, p.Key, p.version)
	if err != nil && fhir.KindOf(err) != fhir.NotFound {
		return false, err
	}
	if err != nil || res.Deleted() || !seesSomehow(access, res) {
		return false, nil
	}
	newest, err := s.Store.Read(ctx, p.Key)
	if err != nil {
		return false, err
	}
	return seesSomehow(access, newest), nil
}

// unreferenced returns an error if something refers to what a write deletes and
// will still do so when the unit is done. To a caller who is limited to a patient
// only what they may find counts; others are told how many types refer, and the
// names of those that they may search.
func (s *Server) unreferenced(ctx context.Context, access search.Access, u *unit, w *write, pointers []pointer) error {
	q := s.referring(w.key)
	if w.limited() {
		q = access.Narrow(q)
	}
	// What the unit itself writes is judged by what it will be.
	replaced := make(map[string][]string)
	for _, other := range u.writes {
		if other.change != nil {
			replaced[other.typ] = append(replaced[other.typ], other.key.ID)
		}
	}
	for typ, ids := range replaced {
		criteria, err := s.registry().Parse([]string{typ}, "_id="+strings.Join(ids, ","), search.ParseOptions{})
		if err != nil {
			return err
		}
		for _, c := range criteria.Query.Where {
			c.Types, c.Not = []string{typ}, true
			q.Where = append(q.Where, c)
		}
	}
	q.Count, q.Total = queryPage, search.TotalNone
	page, err := s.Store.Search(ctx, q)
	if err != nil {
		return err
	}
	types := make(map[string]bool)
	for _, res := range page.Resources {
		types[res.Type] = true
	}
	for _, p := range pointers {
		if p.Key == w.key && p.w != w {
			types[p.w.typ] = true
		}
	}
	if len(types) > 0 {
		return referenced(access, w.key, types, page.Next != "")
	}
	return w.only(q)
}

// referring finds everything that refers to a resource by a search parameter.
func (s *Server) referring(key fhir.Key) search.Query {
	types := make(map[string][]string) // by parameter
	for _, typ := range resource.Types() {
		for _, p := range s.registry().Params(typ) {
			if p.Type == search.TypeReference && (len(p.Targets) == 0 || slices.Contains(p.Targets, key.Type)) {
				types[p.Name] = append(types[p.Name], typ)
			}
		}
	}
	either := search.Clause{}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		c := search.RefersTo(name, key)
		c.Types = types[name]
		either.Any = append(either.Any, []search.Clause{c})
	}
	return search.Query{Types: resource.Types(), Where: []search.Clause{either}, Identity: "referring " + key.String()}
}

// only makes the store check at the commit that a query still finds nothing,
// beside what the write's own condition does.
func (w *write) only(q search.Query) error {
	q.Count, q.Sort, q.Total = 0, nil, search.TotalCheap
	if own := w.change.Condition; own != nil {
		// Both at once: what the criteria select, or what refers.
		either := search.Clause{Any: [][]search.Clause{typed(own.Query), q.Where}}
		w.change.Condition = &store.Condition{Query: search.Query{Types: q.Types, Where: []search.Clause{either}, Scope: q.Scope}, Keys: own.Keys}
		if own.Query.Scope.ID() != q.Scope.ID() && (q.Scope != nil || !own.Query.Scope.Of(w.typ).Whole) {
			return fhir.Errorf(fhir.NotSupported, "this server keeps references whole, and cannot delete by criteria with this access: delete by id")
		}
		return nil
	}
	w.change.Condition = &store.Condition{Query: q}
	return nil
}

// typed makes a query's clauses hold for its types alone.
func typed(q search.Query) []search.Clause {
	where := slices.Clone(q.Where)
	for i := range where {
		if where[i].Not {
			where[i] = search.Clause{Any: [][]search.Clause{{where[i]}}}
		}
		where[i].Types = q.Types
	}
	return where
}

// referenced is the error for what may not be deleted.
func referenced(access search.Access, key fhir.Key, types map[string]bool, more bool) error {
	var names []string
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		if access.Allow("search-type", typ) == nil {
			names = append(names, typ)
		}
	}
	count := strconv.Itoa(len(types))
	if more {
		count = "at least " + count
	}
	message := fmt.Sprintf("%s cannot be deleted: resources of %s types refer to it", key, count)
	if len(types) == 1 && !more {
		message = fmt.Sprintf("%s cannot be deleted: resources of 1 type refer to it", key)
	}
	if len(names) > 0 {
		message += " (" + strings.Join(names, ", ") + ")"
	}
	return &fhir.Error{Kind: fhir.InUse, Message: message + ". Delete or change those first, or together with it in a transaction"}
}
