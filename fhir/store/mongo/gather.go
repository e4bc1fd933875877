package mongo

import (
	"context"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// Gather returns what goes along with a page; see [store.Store].
func (s *Store) Gather(_ context.Context, _ store.GatherQuery) ([]*fhir.Resource, bool, error) {
	return nil, false, fhir.Errorf(fhir.NotSupported, "included resources are not supported by this store")
}
