package search

import "github.com/starling-fhir/starling/fhir"

// For parse.go: what reads _filter, _text, _content, near and contained
// resources, and how it is called.
//
//	p.filter(value string) (Clause, error)                        _filter, decoded, whole value
//	textClause(param, value string) (Clause, []string, error)     _text, _content, decoded, whole value; the words go to Request.Text
//	nearRanges(value string) ([]Range, error)                     one value of a TypeSpecial parameter, still escaped, as ranges gets it
//	containedParam(typ, name string) string                       the parameter of a container that has the entries of its contained T: "#T.name"
//	(r *Registry) Score(json []byte, words []string) float64      of a match, in (0,1], for Request.Text
//	parseQuantity(parts []string) and quantityValue.ranges()      as before; they know UCUM

// filter reads a _filter expression.
//
// https://hl7.org/fhir/R4/search_filter.html
func (p *parser) filter(value string) (Clause, error) {
	return Clause{}, fhir.Errorf(fhir.NotSupported, "_filter is not supported by this server")
}
