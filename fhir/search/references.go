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
	// Canonical says that URL is a canonical: it names the resource whose url, and
	// version if there is one here, are the same.
	Canonical bool
}

// References returns what a resource refers to under a reference parameter, or
// for "*" under all of them, each once, in the order of the elements. References
// to contained resources and by identifier are not among them. A canonical below
// our own base is there twice: as the key it may be, and as the canonical. The
// resource's JSON is read as it is stored; the error is Invalid if it cannot be.
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
		add := func(ref Reference) {
			if ref.Param = l.param.Name; !seen[ref] {
				seen[ref] = true
				out = append(out, ref)
			}
		}
		key, ours := r.ours(to.url)
		if ours {
			add(Reference{Key: key, Version: to.version})
		}
		switch {
		case l.typ != "Reference" && to.url != "":
			url, version := withoutFragment(to.url, to.version)
			add(Reference{URL: url, Version: version, Canonical: true})
		case !ours:
			add(Reference{Key: to.key, URL: to.url, Version: to.version})
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

// withoutFragment takes "#fragment" off a canonical, which names a part of the
// resource.
//
// https://hl7.org/fhir/R4/references.html#canonical
func withoutFragment(url, version string) (string, string) {
	url, _, _ = strings.Cut(url, "#")
	version, _, _ = strings.Cut(version, "#")
	return url, version
}

// HasCanonical reports whether resources of a type have a canonical URL, by
// which others can refer to them.
func (r *Registry) HasCanonical(typ string) bool {
	set := r.types[typ]
	return set != nil && set.byName[canonicalParam] != nil && !set.byName[canonicalParam].custom
}

// CanPoint reports whether a reference can point at a type: none that refers by
// canonical only points at what has no canonical URL.
func (r *Registry) CanPoint(p *Param, typ string) bool {
	return canPoint(p, []string{typ}) && (hasLiterals([]*Param{p}) || !canBeURL([]*Param{p}) || r.HasCanonical(typ))
}

// Canonical returns a resource's canonical URL and business version, each "" if
// it has none. The error is Invalid if its JSON cannot be read.
func (r *Registry) Canonical(res *fhir.Resource) (url, version string, err error) {
	if !r.HasCanonical(res.Type) {
		return "", "", nil
	}
	root, err := resource.Decode(res.JSON)
	if err != nil {
		return "", "", err
	}
	return root.Str("url"), root.Str("version"), nil
}

// Named selects the resources with any of the canonical URLs, each "url" or
// "url|version". They are of types that HasCanonical.
func Named(canonicals ...string) Clause {
	c := Clause{Param: canonicalParam}
	for _, canonical := range canonicals {
		c.Ranges = append(c.Ranges, uriRange(canonical))
	}
	return c
}

// RefersToURL selects the resources that refer to any of the URLs under a
// parameter, with or without a version.
func RefersToURL(param string, urls ...string) Clause {
	c := Clause{Param: param}
	for _, url := range urls {
		c.Ranges = append(c.Ranges, link{url: url}.exact())
	}
	return c
}
