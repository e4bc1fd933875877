package rest

import (
	"cmp"
	"strconv"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// vread serves GET [base]/[type]/[id]/_history/[version],
// https://hl7.org/fhir/R4/http.html#vread.
func (s *Server) vread(r *request) (*answer, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	version, err := strconv.ParseInt(r.version, 10, 64)
	if err != nil || version < 1 || !fhir.ValidID(r.version) {
		return nil, fhir.Errorf(fhir.NotFound, "there is no such version: versions are whole numbers from 1")
	}
	res, err := s.visibleVersion(r, key, version)
	if err != nil {
		return nil, err
	}
	if err := r.visible(res); err != nil {
		return nil, err
	}
	return s.version(r, res)
}

// visibleVersion returns a version, which may be a deletion, if the caller may
// see it; else the error is NotFound as if there were none.
func (s *Server) visibleVersion(r *request, key fhir.Key, version int64) (*fhir.Resource, error) {
	absent := fhir.Errorf(fhir.NotFound, "there is no %s/_history/%d", key, version)
	res, err := s.Store.ReadVersion(r.ctx, key, version)
	if err != nil {
		return nil, cmp.Or(unlessAbsent(err), error(absent))
	}
	if ok, err := s.sees(r.ctx, r.access, res); err != nil || !ok {
		return nil, cmp.Or(err, error(absent))
	}
	if r.access.Scope(search.CanRead).Of(key.Type).Whole {
		return res, nil
	}
	// What was filed under the wrong patient and moved is no longer theirs. Read
	// now, and not before: else it could be moved in between.
	newest, err := s.Store.Read(r.ctx, key)
	if err != nil {
		return nil, err
	}
	if ok, err := s.sees(r.ctx, r.access, newest); err != nil || !ok {
		return nil, cmp.Or(err, error(absent))
	}
	return res, nil
}
