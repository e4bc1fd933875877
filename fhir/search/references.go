package search

import (
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
