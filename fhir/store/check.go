package store

import (
	"context"

	"github.com/starling-fhir/starling/fhir"
)

// Checker is a store that can compare what it derived from resources with the
// resources.
type Checker interface {
	// Check reads the whole store, tells report what is wrong and returns how
	// many resources it looked at. With repair it makes anew what is derived;
	// the resources themselves it never changes. The error is about the check,
	// not about what it found.
	Check(ctx context.Context, repair bool, report func(Finding)) (looked int64, err error)
}

// Finding is something that is wrong in a store.
type Finding struct {
	Key    fhir.Key // the resource; zero if it concerns no single one
	Text   string   // what is wrong; nothing of the resource's content
	Mended bool
}
