package main

import (
	"context"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/rest"
	"github.com/starling-fhir/starling/fhir/search"
)

// records lets the CDS services read from this server's own store, in process:
// the records of the one patient a call is about and what belongs to nobody,
// whoever calls and whatever is asked for.
type records struct {
	api      *rest.Server
	registry *search.Registry
}

// Query answers a FHIR query such as "Observation?patient=p1". complete is
// false if there was more than the answer holds.
func (r records) Query(ctx context.Context, patientID, query string) (resources [][]byte, complete bool, err error) {
	if !fhir.ValidID(patientID) { // a grant without a patient would have no limit
		return nil, false, fhir.Errorf(fhir.NotFound, "there is no patient of this id")
	}
	access := r.registry.Access(search.Grant{Type: "*", Rights: search.CanRead | search.CanSearch, Patient: patientID})
	found, complete, err := r.api.Query(ctx, access, query)
	if err != nil {
		return nil, false, err
	}
	resources = make([][]byte, 0, len(found))
	for _, res := range found {
		resources = append(resources, res.JSON)
	}
	return resources, complete, nil
}
