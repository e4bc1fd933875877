package rest

import (
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
	absent := fhir.Errorf(fhir.NotFound, "there is no %s/_history/%d", key, version)
	res, err := s.Store.ReadVersion(r.ctx, key, version)
	if fhir.KindOf(err) == fhir.NotFound || err == nil && !r.access.Sees(res) {
		return nil, absent
	}
	if err != nil {
		return nil, err
	}
	if !r.access.Scope(search.CanRead).Of(r.typ).Whole {
		// What was filed under the wrong patient and moved is no longer theirs.
		// Read now, and not before: else it could be moved in between.
		newest, err := s.Store.Read(r.ctx, key)
		if err != nil {
			return nil, err
		}
		if !r.access.Sees(newest) {
			return nil, absent
		}
	}
	if err := r.visible(res); err != nil {
		return nil, err
	}
	return s.version(r, res)
}
