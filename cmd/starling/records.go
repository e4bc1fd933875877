package main

import (
	"context"

	"github.com/starling-fhir/starling/fhir/rest"
	"github.com/starling-fhir/starling/fhir/search"
)

// records lets the CDS services read from this server's own store, in process.
// Without authentication they may see everything, as everybody may.
type records struct {
	api *rest.Server
}

// Query answers a FHIR query such as "Observation?patient=p1". complete is
// false if there was more than the answer holds.
func (r records) Query(ctx context.Context, query string) (resources [][]byte, complete bool, err error) {
	found, complete, err := r.api.Query(ctx, search.FullAccess(), query)
	if err != nil {
		return nil, false, err
	}
	resources = make([][]byte, 0, len(found))
	for _, res := range found {
		resources = append(resources, res.JSON)
	}
	return resources, complete, nil
}
