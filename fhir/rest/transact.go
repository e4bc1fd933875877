package rest

import (
	"context"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// Transact carries out a transaction or batch Bundle in process, for callers
// inside the server, with the caller's access. The answer is the Bundle that a
// client would get.
func (s *Server) Transact(ctx context.Context, access search.Access, bundle *resource.Node) (*resource.Node, error) {
	r := &request{ctx: ctx, access: access, body: func() (*resource.Node, error) { return bundle, nil }}
	a, err := s.bundle(r)
	if err != nil {
		return nil, err
	}
	return resource.Decode(a.body)
}
