package rest

import (
	"cmp"
	"context"
	"errors"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// resolve finds out which resource each write is about and makes its change.
// Deletions come first, as in https://hl7.org/fhir/R4/http.html#trules: what a
// transaction deletes, its other conditions no longer see.
func (s *Server) resolve(ctx context.Context, access search.Access, u *unit) error {
	gone := make(map[fhir.Key]bool)
	phase := func(deletions bool) error {
		return parallel(ctx, len(u.writes), func(i int) error {
			w := u.writes[i]
			if (w.method == fhir.Delete) != deletions {
				return nil
			}
			w.key, w.change, w.result, w.created = fhir.Key{}, nil, nil, false
			if w.criteria != nil {
				return w.entry.place(s.resolveCriteria(ctx, access, u, w, gone))
			}
			return w.entry.place(s.resolveKey(ctx, access, u, w))
		})
	}
	if err := phase(true); err != nil {
		return err
	}
	for _, w := range u.writes {
		if w.method == fhir.Delete && w.change != nil {
			gone[w.key] = true
		}
	}
	if err := phase(false); err != nil {
		return err
	}
	return u.distinct()
}

// resolveKey prepares a write whose resource is known: a create, or an update,
// patch or deletion by id.
func (s *Server) resolveKey(ctx context.Context, access search.Access, u *unit, w *write) error {
	if w.method == fhir.Create {
		w.key, w.created = fhir.Key{Type: w.typ, ID: w.newID}, true
		w.change = &store.Change{Key: w.key, Method: w.method, IfNone: true}
		return nil
	}
	w.key = fhir.Key{Type: w.typ, ID: w.id}
	if w.patch != nil {
		return s.resolvePatch(ctx, access, u, w)
	}
	now, err := s.stored(ctx, w.key)
	if err != nil {
		return err
	}
	if now, err = s.judge(ctx, access, w, now); err != nil {
		return err
	}
	exists := now != nil && !now.Deleted()
	if !exists && (w.match.any || w.match.version != 0) {
		return fhir.Errorf(fhir.VersionMismatch, "If-Match names a version, but there is no %s", w.key)
	}
	if w.method == fhir.Delete {
		if w.result = now; !exists {
			return nil
		}
		return w.replace(now, nil)
	}
	if exists {
		return w.replace(now, nil)
	}
	switch {
	case now != nil && w.limited():
		return fhir.Errorf(fhir.Deleted, "%s was deleted; this access may not bring it back", w.key)
	case w.limited():
		return notFound(w.key)
	}
	w.created = true
	w.change = &store.Change{Key: w.key, Method: w.method, IfNone: w.fresh}
	return nil
}

// replace makes the change of a resource that is there.
func (w *write) replace(now *fhir.Resource, condition *store.Condition) error {
	version, err := w.expect(now)
	if err != nil {
		return err
	}
	if w.fresh && w.judged() {
		return fhir.Errorf(fhir.Duplicate, "%s is there already", now.Key)
	}
	w.change = &store.Change{Key: now.Key, Method: w.method, IfVersion: version, IfNone: w.fresh, Condition: condition}
	return nil
}

// resolveCriteria prepares a conditional write.
// https://hl7.org/fhir/R4/http.html#cond-update and the sections around it.
func (s *Server) resolveCriteria(ctx context.Context, access search.Access, u *unit, w *write, gone map[fhir.Key]bool) error {
	found, condition, err := s.matches(ctx, access, w.criteria, gone)
	if err != nil {
		return err
	}
	if found == nil && (w.match.any || w.match.version != 0) {
		return fhir.Errorf(fhir.VersionMismatch, "If-Match names a version, but the criteria match nothing")
	}
	if found != nil {
		w.key, w.result = found.Key, found
		if w.method != fhir.Create && !w.scope.Owns(found.Key, found.Patients) {
			return w.notOwned(found)
		}
	}
	switch {
	case w.method == fhir.Create && found != nil: // it is there: nothing to do
	case w.method == fhir.Create:
		w.key, w.created = fhir.Key{Type: w.typ, ID: w.newID}, true
		w.change = &store.Change{Key: w.key, Method: w.method, IfNone: true, Condition: condition}
	case w.patch != nil && found == nil:
		return fhir.Errorf(fhir.NotFound, "nothing matches the criteria, so there is nothing to patch")
	case w.patch != nil:
		if ok, err := s.sees(ctx, access, found); err != nil || !ok {
			return cmp.Or(err, error(fhir.Errorf(fhir.NotFound, "nothing matches the criteria, so there is nothing to patch")))
		}
		if err := w.replace(found, condition); err != nil {
			return err
		}
		return s.applyPatch(u, w, found)
	case w.method == fhir.Delete && found == nil: // nothing to do
	case w.method == fhir.Delete:
		return w.replace(found, condition)
	case found != nil:
		if w.fresh {
			return fhir.Errorf(fhir.PreconditionFail, "If-None-Match: * demands that nothing matches the criteria, but something does")
		}
		if w.id != "" && w.id != found.ID {
			return fhir.Errorf(fhir.Invalid, "the resource has another id than the one that the criteria match")
		}
		return w.replace(found, condition)
	case w.id != "" && w.limited():
		return fhir.Errorf(fhir.Forbidden, "not allowed: to choose the id of a new %s; the criteria match none, and without an id in the body the server chooses one", w.typ)
	default:
		id := w.id // the resource's own
		if id == "" {
			id = w.newID
		}
		w.key, w.created = fhir.Key{Type: w.typ, ID: id}, true
		now, err := s.stored(ctx, w.key)
		switch {
		case err != nil:
			return err
		case now != nil && !now.Deleted():
			// It may have been written since the search.
			if found, _, err := s.matches(ctx, access, w.criteria, gone); err != nil {
				return err
			} else if found != nil {
				return fhir.Errorf(fhir.Conflict, "another write got in between; try again")
			}
			return fhir.Errorf(fhir.Duplicate, "%s is there already, but the criteria do not match it", w.key)
		}
		w.change = &store.Change{Key: w.key, Method: w.method, IfNone: true, Condition: condition}
	}
	return nil
}

// matches returns the one resource that criteria select, leaving out gone ones,
// or nil, and the condition under which that stays so. More than one is
// MultipleMatches.
func (s *Server) matches(ctx context.Context, access search.Access, criteria *search.Request, gone map[fhir.Key]bool) (*fhir.Resource, *store.Condition, error) {
	q := access.Narrow(criteria.Query)
	q.Count, q.Total, q.Cursor, q.Sort = 2, search.TotalNone, "", nil
	page, err := s.Store.Search(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	condition := &store.Condition{Query: q}
	var left []*fhir.Resource
	for _, res := range page.Resources {
		condition.Keys = append(condition.Keys, res.Key)
		if !gone[res.Key] {
			left = append(left, res)
		}
	}
	switch {
	case len(left) > 1, page.Next != "":
		return nil, nil, fhir.Errorf(fhir.MultipleMatches, "the criteria match more than one resource")
	case len(left) == 1:
		return left[0], condition, nil
	}
	return nil, condition, nil
}

// distinct refuses two writes of one resource, and two conditional creates that
// would make two resources of one identity.
func (u *unit) distinct() error {
	if len(u.writes) < 2 {
		return nil
	}
	keys := make(map[fhir.Key]*write, len(u.writes))
	criteria := make(map[string]*write)
	var problems []error
	for _, w := range u.writes {
		// Even if it is not there, or stays as it is.
		claims := w.method == fhir.Delete && w.criteria == nil || w.patch != nil
		if w.change == nil && !claims {
			continue
		}
		if first := keys[w.key]; first != nil {
			problems = append(problems, w.entry.place(fhir.Errorf(fhir.Invalid, "%s also writes %s; a transaction may write each resource once", first.entry.where(), w.key)))
			continue
		}
		keys[w.key] = w
		if w.criteria == nil || !w.created {
			continue
		}
		identity := w.typ + "?" + w.criteria.Criteria
		if first := criteria[identity]; first != nil {
			problems = append(problems, w.entry.place(fhir.Errorf(fhir.Invalid, "%s has the same criteria and nothing matches them yet; a transaction may create it once", first.entry.where())))
			continue
		}
		criteria[identity] = w
	}
	return merge(problems)
}

// notFound is the answer for what is not there and for what the caller may not
// see.
func notFound(key fhir.Key) error {
	return fhir.Errorf(fhir.NotFound, "there is no %s", key)
}

// merge makes one error of several. Its issues are those of all; its kind is
// the one they share, else Forbidden if one of them is that, else Invalid. An
// error that is not the client's stands for all.
func merge(problems []error) error {
	var all *fhir.Error
	for _, problem := range problems {
		if problem == nil {
			continue
		}
		var ours *fhir.Error
		if !errors.As(problem, &ours) {
			return problem
		}
		switch ours.Kind {
		case fhir.Internal, fhir.Conflict, fhir.Unavailable, fhir.Timeout:
			return problem
		}
		if all == nil {
			all = &fhir.Error{Kind: ours.Kind, Cause: ours.Cause}
		}
		switch {
		case all.Kind == ours.Kind, all.Kind == fhir.Forbidden:
		case ours.Kind == fhir.Forbidden:
			all.Kind = fhir.Forbidden
		default:
			all.Kind = fhir.Invalid
		}
		all.Issues = append(all.Issues, issuesOf(ours)...)
	}
	if all == nil {
		return nil // not the nil pointer: that would be an error
	}
	return all
}
