package rest

import (
	"strconv"

	"github.com/starling-fhir/starling/fhir"
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
	res, err := s.Store.ReadVersion(r.ctx, key, version)
	if fhir.KindOf(err) == fhir.NotFound || err == nil && !r.access.Sees(res) {
		return nil, fhir.Errorf(fhir.NotFound, "there is no %s/_history/%d", key, version)
	}
	if err != nil {
		return nil, err
	}
	if err := r.visible(res); err != nil {
		return nil, err
	}
	return s.version(r, res)
}
