package rest

import "github.com/starling-fhir/starling/fhir"

// delete serves DELETE [base]/[type]/[id], https://hl7.org/fhir/R4/http.html#delete.
// Deleting what is not there succeeds too.
func (s *Server) delete(r *request) (*write, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	w, err := newWrite(r, fhir.Delete)
	if err != nil {
		return nil, err
	}
	w.id = key.ID
	return w, nil
}

// deleteConditional serves DELETE [base]/[type]?[criteria] for criteria that
// match at most one resource, https://hl7.org/fhir/R4/http.html#3.1.0.7.1.
func (s *Server) deleteConditional(r *request) (*write, error) {
	criteria, err := s.parseCriteria(r.access, r.typ, r.query)
	if err != nil {
		return nil, err
	}
	w, err := newWrite(r, fhir.Delete)
	if err != nil {
		return nil, err
	}
	w.criteria = criteria
	return w, nil
}
