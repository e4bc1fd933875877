package mongo

import (
	"context"

	"github.com/starling-fhir/starling/fhir"
)

// Erase removes versions for good; see [store.Store].
func (s *Store) Erase(_ context.Context, _ fhir.Key, _ int64) (int64, error) {
	return 0, fhir.Errorf(fhir.NotSupported, "erasing history is not supported by this store")
}
