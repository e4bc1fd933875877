package search

import (
	"strings"

	"github.com/starling-fhir/starling/fhir/resource"
)

// URI parameters: https://hl7.org/fhir/R4/search.html#uri. They match exactly.
// A canonical is found with its version and without, and so is a resource by
// the canonical "url|version" under the parameter url.

// indexURI adds the entries of a uri parameter.
func indexURI(x *extraction, p *Param, typ string, n *resource.Node) {
	if n.Kind != resource.String || n.Text == "" {
		return
	}
	x.add(p, appendText(x.value(classURI), n.Text, maxURIText))
	if typ == "canonical" {
		if url, _, versioned := strings.Cut(n.Text, "|"); versioned && url != "" {
			x.add(p, appendText(x.value(classURI), url, maxURIText))
		}
	}
	if version := x.root.Str("version"); version != "" && p.Name == canonicalParam {
		x.add(p, appendText(x.value(classURI), n.Text+"|"+version, maxURIText))
	}
}

// canonicalParam is the parameter that finds conformance and knowledge
// resources by their canonical URL.
// https://hl7.org/fhir/R4/references.html#canonical
const canonicalParam = "url"

// uriRange reads a value of a uri search.
func uriRange(text string) Range {
	return exactly(appendText([]byte{classURI}, text, maxURIText))
}
