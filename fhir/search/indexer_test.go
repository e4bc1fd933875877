package search_test

import (
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// A store makes its index anew with the registry.
var _ store.Indexer = (*search.Registry)(nil)
