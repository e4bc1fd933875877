package rest

import (
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// create serves POST [base]/[type], https://hl7.org/fhir/R4/http.html#create.
// The server chooses the id. With If-None-Exist it is a conditional create.
func (s *Server) create(r *request) (*write, error) {
	w, err := newWrite(r, fhir.Create)
	if err != nil {
		return nil, err
	}
	if r.ifNoneExist != "" {
		query := strings.TrimPrefix(strings.TrimSpace(r.ifNoneExist), s.basePrefix)
		if before, after, found := strings.Cut(query, "?"); found && (before == "" || before == r.typ) {
			query = after // some clients send the whole search URL
		}
		if w.criteria, err = s.parseCriteria(r.access, r.typ, query); err != nil {
			return nil, err
		}
	}
	return w, w.readResource(r)
}
