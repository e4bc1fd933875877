package rest

import (
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// update serves PUT [base]/[type]/[id], https://hl7.org/fhir/R4/http.html#update.
// If there is no such resource, it is created under that id, provided that the
// caller may update all resources of the type.
func (s *Server) update(r *request) (*write, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	w, err := newUpdate(r)
	if err != nil {
		return nil, err
	}
	w.id = key.ID
	id := w.root.Str("id")
	switch {
	case id == "":
		err = &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
			Code: "required", Message: "the resource must have the id of the URL, " + key.ID, Expression: r.typ + ".id",
		}}}
	case id != key.ID:
		err = &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
			Message: "the resource's id, " + fhir.Clip(id) + ", is not that of the URL, " + key.ID, Expression: r.typ + ".id",
		}}}
	}
	return w, err
}

// updateConditional serves PUT [base]/[type]?[criteria],
// https://hl7.org/fhir/R4/http.html#cond-update.
func (s *Server) updateConditional(r *request) (*write, error) {
	criteria, err := s.parseCriteria(r.access, r.typ, r.query)
	if err != nil {
		return nil, err
	}
	w, err := newUpdate(r)
	if err != nil {
		return nil, err
	}
	w.criteria = criteria
	if w.id = w.root.Str("id"); w.id != "" {
		_, err = fhir.ParseKey(r.typ, w.id)
	}
	return w, err
}

func newUpdate(r *request) (*write, error) {
	w, err := newWrite(r, fhir.Update)
	if err != nil {
		return nil, err
	}
	switch strings.TrimSpace(r.ifNoneMatch) {
	case "":
	case "*":
		w.fresh = true
	default:
		return nil, fhir.Errorf(fhir.NotSupported, "an update understands If-None-Match with * only")
	}
	return w, w.readResource(r)
}
