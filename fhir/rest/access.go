package rest

import (
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// What a caller may see and do is decided by [search.Access]. This file says
// what that means for requests about stored resources. The rule above all: to a
// caller who may not see a resource every answer is, byte for byte, the one it
// would be without that resource.

// writeRights are the rights that writes need.
var writeRights = map[fhir.Method]search.Rights{
	fhir.Create: search.CanCreate, fhir.Update: search.CanUpdate, fhir.Patch: search.CanUpdate, fhir.Delete: search.CanDelete,
}

// limited reports whether the caller may write only some resources of the type.
// Such a caller may not choose ids: whether one is taken must not show.
func (w *write) limited() bool { return !w.scope.Of(w.typ).Whole }

// sees returns what of a stored version a write may know: now, or nil if that
// is as absent to the caller. Who may not read may still know what they may
// change. The error is Forbidden for what is there, but not theirs to change.
func (w *write) sees(access search.Access, now *fhir.Resource) (*fhir.Resource, error) {
	switch {
	case now == nil || w.scope.Owns(now.Key, now.Patients):
		return now, nil
	case !access.Sees(now) && !w.scope.Sees(now):
		return nil, nil
	case now.Deleted():
		return now, nil // as such; nobody changes it
	}
	return nil, w.notOwned(now)
}

// notOwned is the error for a resource that may be seen, but not changed.
func (w *write) notOwned(res *fhir.Resource) error {
	verb := "update"
	if w.method == fhir.Delete {
		verb = "delete"
	}
	return fhir.Errorf(fhir.Forbidden, "not allowed: %s of %s, which is not altogether in the record that this access is limited to", verb, res.Key)
}

// owns returns an error unless what is about to be written lies altogether
// where the caller may write. Changes that made it so are judged here too, such
// as another subject.
func (w *write) owns(patients []string) error {
	if w.scope.Owns(w.key, patients) {
		return nil
	}
	return fhir.Errorf(fhir.Forbidden, "not allowed: this %s would not be altogether in the record that this access is limited to; it must be about that patient and no other", w.typ)
}

// expect returns the version that must still be the newest when the write is
// committed, 0 if any will do. To a limited caller it is always the version
// that was judged: otherwise somebody could move the resource to another
// patient's record in between, and it would be overwritten there. So it is for a
// patch, which was made out of that version.
func (w *write) expect(now *fhir.Resource) (int64, error) {
	switch {
	case w.match.version != 0 && w.judged() && w.match.version != now.Version:
		return 0, fhir.Errorf(fhir.VersionMismatch, "%s is at version %d, not %d", now.Key, now.Version, w.match.version)
	case w.match.any, w.judged():
		return now.Version, nil
	}
	return w.match.version, nil
}

// judged reports whether a write holds for the version it was resolved with only.
func (w *write) judged() bool { return w.patch != nil || w.rehearsed || w.limited() }

// overtaken reports whether the store refused a write because of what happened
// since it was resolved, so that it must be resolved again. Then the caller may
// not even see the resource any more.
func (w *write) overtaken(err error) bool {
	switch fhir.KindOf(err) {
	case fhir.Duplicate:
		// Just now nothing had that id: the criteria must be asked again.
		return w.criteria != nil
	case fhir.VersionMismatch:
		return w.match.version == 0 || w.judged()
	}
	return false
}

// findable returns an error if a conditional reference of the unit selects one
// of its own resources that the caller could not find once it is written.
func (u *unit) findable(access search.Access, references map[string]fhir.Key) error {
	scope := access.Scope(search.CanSearch)
	if scope == nil || len(references) == 0 {
		return nil
	}
	targets := make(map[fhir.Key]bool, len(references))
	for _, key := range references {
		targets[key] = true
	}
	var problems []error
	for _, w := range u.writes {
		if w.change == nil || w.root == nil || !targets[w.key] {
			continue
		}
		if !scope.Sees(&fhir.Resource{Key: w.key, Patients: w.change.Patients}) {
			problems = append(problems, w.entry.place(fhir.Errorf(fhir.Forbidden, "not allowed: a conditional reference selects this %s, which this access may not search", w.typ)))
		}
	}
	return merge(problems)
}

// askTypes asks access for each type that a search names. A search of the whole
// system that names none is narrowed to what may be searched.
func (r *request) askTypes(req *search.Request) error {
	for _, typ := range req.Query.Types {
		if err := r.access.Allow("search-type", typ); err != nil {
			return err
		}
	}
	return nil
}
