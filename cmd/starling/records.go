package main

import (
	"context"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

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

	mu sync.Mutex
	// access is that of the patients asked about last: a call asks some 15
	// queries at once, and to make an access takes longer than most of them.
	access *simplelru.LRU[string, search.Access]
}

// mostAccess is how many patients' access is kept, some 30 kB each.
const mostAccess = 64

func newRecords(api *rest.Server, registry *search.Registry) (*records, error) {
	access, err := simplelru.NewLRU[string, search.Access](mostAccess, nil)
	return &records{api: api, registry: registry, access: access}, err
}

// Query answers a FHIR query such as "Observation?patient=p1". complete is
// false if there was more than the answer holds.
func (r *records) Query(ctx context.Context, patientID, query string) (resources [][]byte, complete bool, err error) {
	if !fhir.ValidID(patientID) { // a grant without a patient would have no limit
		return nil, false, fhir.Errorf(fhir.NotFound, "there is no patient of this id")
	}
	return found(ctx, r.api, r.of(patientID), query)
}

// found returns the JSON of what a query finds for whoever has the access.
func found(ctx context.Context, api *rest.Server, access search.Access, query string) (resources [][]byte, complete bool, err error) {
	list, complete, err := api.Query(ctx, access, query)
	if err != nil {
		return nil, false, err
	}
	resources = make([][]byte, 0, len(list))
	for _, res := range list {
		resources = append(resources, res.JSON)
	}
	return resources, complete, nil
}

// of returns the access to the records of a patient.
func (r *records) of(patientID string) search.Access {
	r.mu.Lock()
	defer r.mu.Unlock()
	if access, ok := r.access.Get(patientID); ok {
		return access
	}
	access := r.registry.Access(search.Grant{Type: "*", Rights: search.CanRead | search.CanSearch, Patient: patientID})
	r.access.Add(strings.Clone(patientID), access)
	return access
}
