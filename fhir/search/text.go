package search

import "github.com/starling-fhir/starling/fhir"

// textClause reads a value of _text or _content, decoded.
func textClause(param, value string) (Clause, []string, error) {
	return Clause{}, nil, fhir.Errorf(fhir.NotSupported, "%s is not supported by this server", param)
}

// Score says how well a match fits the words that _text and _content looked
// for: more than 0, at most 1.
func (r *Registry) Score(json []byte, words []string) float64 { return 1 }
