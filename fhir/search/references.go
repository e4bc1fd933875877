package search

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Reference is what an element of a reference parameter points at.
type Reference struct {
	// Param is the parameter's name.
	Param string
	// Key is the resource of ours that it names, relative or below our own base;
	// zero for others.
	Key fhir.Key
	// URL is what the others name: an absolute URL, a URN or a canonical.
	URL string
	// Version is what it says of the version; "" for any. Of a canonical it is the
	// business version.
	Version string
}

// References returns what a resource refers to under a reference parameter, or
// for "*" under all of them, each once, in the order of the elements. References
// to contained resources and by identifier are not among them. The resource's
// JSON is read as it is stored; the error is Invalid if it cannot be.
func (r *Registry) References(res *fhir.Resource, param string) ([]Reference, error) {
	set := r.types[res.Type]
	if set == nil || param != "*" && (set.byName[param] == nil || set.byName[param].Type != TypeReference) {
		return nil, nil
	}
	root, err := resource.Decode(res.JSON)
	if err != nil {
		return nil, err
	}
	var out []Reference
	seen := map[Reference]bool{}
	w := walker{root: root, visit: func(l *leaf, n *resource.Node) {
		if l.param.Type != TypeReference || param != "*" && l.param.Name != param || l.typ == "Resource" {
			return // a Resource is no reference: it is there itself
		}
		to, ok := linkOf(l.typ, n)
		if !ok {
			return
		}
		ref := Reference{Param: l.param.Name, Key: to.key, URL: to.url, Version: to.version}
		if key, ok := r.ours(to.url); ok {
			ref.Key, ref.URL = key, ""
		}
		if !seen[ref] {
			seen[ref] = true
			out = append(out, ref)
		}
	}}
	w.walk(root, 0, set.root)
	return out, nil
}

// ours returns the key of a resource of ours by its URL below our own base.
func (r *Registry) ours(url string) (fhir.Key, bool) {
	rest, ok := strings.CutPrefix(url, r.base)
	if !ok || r.base == "" {
		return fhir.Key{}, false
	}
	key, version, ok := relative(rest)
	return key, ok && version == ""
}

// Canonicals returns the types of the resources that a reference parameter can
// name by their canonical URL, sorted: none, if no element of it does that.
//
// https://hl7.org/fhir/R4/references.html#canonical
func (r *Registry) Canonicals(typ, param string) []string {
	set := r.types[typ]
	if set == nil || set.byName[param] == nil || set.byName[param].Type != TypeReference || !canBeURL([]*Param{set.byName[param]}) {
		return nil
	}
	return slices.DeleteFunc(targets([]*Param{set.byName[param]}), func(target string) bool {
		url := r.types[target].byName[canonicalParam]
		return url == nil || url.Type != TypeURI
	})
}

// HasURL selects the resources of the types of Canonicals that have a canonical
// URL for their own, and if version is not "" this business version.
func HasURL(url, version string) Clause {
	if version != "" {
		url += "|" + version
	}
	return Clause{Param: canonicalParam, Ranges: []Range{uriRange(url)}}
}

// RefersToURL selects the resources that refer to a canonical URL under a
// parameter, with or without a version, whichever it is.
func RefersToURL(param, url string) Clause {
	return Clause{Param: param, Ranges: []Range{link{url: url}.exact()}}
}
