package rest

import (
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// checkType returns a NotFound error with the nearest names if R4 has no such
// resource type.
func checkType(name string) error {
	if resource.KnownType(name) {
		return nil
	}
	return fhir.Errorf(fhir.NotFound, "R4 has no resource type %q%s", fhir.Clip(name), didYouMean(name))
}

// didYouMean returns "; did you mean …?" or "".
func didYouMean(name string) string {
	if near := fhir.Nearest(name, resource.Types()); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
