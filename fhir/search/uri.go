package search

import (
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// URI parameters: https://hl7.org/fhir/R4/search.html#uri. They match exactly
// unless a modifier says otherwise. A canonical is found with its version and without, and so is a resource by
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

// pathRanges reads a value of :above or :below on a URL. Below a URL is what
// continues it behind a '/', '?' or '#', and what it names itself; a version
// prefix behind '|' has below it what continues it behind a '.' or '-'. URLs
// above are the reverse.
//
// https://hl7.org/fhir/R4/search.html#uri: both "only apply to URLs, and not URNs".
func pathRanges(text string, above bool) ([]Range, error) {
	if isURN(text) || !absolute(text) {
		return nil, fhir.Errorf(fhir.Invalid, "%q is not a URL with a path: :above and :below do not apply to URNs and relative URLs", fhir.Clip(text))
	}
	if len(text) > maxURIText-hashText-1 {
		return nil, fhir.Errorf(fhir.Invalid, "the URL is longer than %d bytes", maxURIText-hashText-1)
	}
	if above {
		var out []Range
		for _, end := range ancestors(text) {
			out = append(out, uriRange(text[:end]))
		}
		return out, nil
	}
	url, _, versioned := strings.Cut(text, "|")
	next := "/?#"
	switch {
	case versioned:
		next = ".-"
	case strings.HasSuffix(url, "/"):
		return []Range{prefixed(append([]byte{classURI}, text...))}, nil
	}
	out := []Range{uriRange(text)}
	for i := range len(next) {
		out = append(out, prefixed(append(append([]byte{classURI}, text...), next[i])))
	}
	return out, nil
}

// isURN reports whether a text is a URN, whose scheme is written in any case.
func isURN(text string) bool { return len(text) >= 4 && strings.EqualFold(text[:4], "urn:") }

// ancestors returns the ends of a URL and of those above it, without and with the
// '/' behind them, up to the host.
func ancestors(text string) []int {
	from := strings.IndexByte(text, ':') + 1
	if strings.HasPrefix(text[from:], "//") {
		from += 2
	}
	ends := []int{len(text)}
	for i := len(text) - 1; i > from; i-- {
		switch text[i] {
		case '/':
			ends = append(ends, i+1, i)
		case '?', '#', '|':
			ends = append(ends, i)
		}
	}
	return ends
}
