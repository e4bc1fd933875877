package rest

import "github.com/starling-fhir/starling/fhir/search"

// searchPath is the path of a search below the base.
func (r *request) searchPath() string { return r.typ }

// restrict limits a search to the compartment that its URL names.
func (s *Server) restrict(r *request, req *search.Request) error { return nil }
