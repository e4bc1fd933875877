package search

import (
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// URI parameters: https://hl7.org/fhir/R4/search.html#uri. They match exactly.

// indexURI adds the entry of a uri parameter.
func indexURI(x *extraction, p *Param, _ string, n *resource.Node) {
	if n.Kind == resource.String && n.Text != "" {
		x.add(p.Name, appendText(x.value(classURI), n.Text, maxURIText))
	}
}

// uriRange reads a value of a uri search.
func uriRange(text string) (Range, error) {
	if text == "" {
		return Range{}, fhir.Errorf(fhir.Invalid, "a URI is missing")
	}
	return exactly(appendText([]byte{classURI}, text, maxURIText)), nil
}
