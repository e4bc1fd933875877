package search

import "github.com/starling-fhir/starling/fhir"

// nearRanges reads a value of Location.near, still escaped.
func nearRanges(value string) ([]Range, error) {
	return nil, fhir.Errorf(fhir.NotSupported, "near is not supported by this server")
}
