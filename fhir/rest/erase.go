package rest

import (
	"fmt"
	"net/http"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// eraseHistory serves DELETE [base]/[type]/[id]/_history: every version but the
// newest is removed for good. It needs a setting, and the right to delete all
// resources of the type: versions may have been in other records.
//
// https://hl7.org/fhir/R5/http.html#delete-history, which R4 does not have yet.
func (s *Server) eraseHistory(r *request) (*answer, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	if scope := r.access.Scope(search.CanDelete); !scope.Of(r.typ).Whole {
		return nil, fhir.Errorf(fhir.Forbidden, "not allowed: to remove a history needs the right to delete every %s", r.typ)
	}
	match, err := parseMatch(r.ifMatch)
	if err != nil {
		return nil, err
	}
	erased, err := s.Store.Erase(r.ctx, key, match.version)
	if err != nil {
		return nil, unseen(err, key)
	}
	s.Logger.Info("history removed", "type", r.typ, "versions", erased, "request", r.trace)
	if r.prefer.content == "OperationOutcome" {
		return &answer{status: http.StatusOK, body: information(fmt.Sprintf("%d versions of %s were removed for good; the newest is left", erased, key)), outcome: true}, nil
	}
	return &answer{status: http.StatusNoContent}, nil
}
