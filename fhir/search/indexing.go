package search

import (
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Indexing returns a registry whose searches say by which definitions they were
// read (Query.Revision), and that refuses parameters whose entries a store still
// lacks for older resources. progress tells how far the store is.
func (r *Registry) Indexing(revision string, lacking []Parameter, progress func() (done, total int64)) *Registry {
	out := *r
	out.revision, out.progress, out.indexing = revision, progress, nil
	for _, p := range lacking {
		if r.custom[p] == "" {
			continue
		}
		if out.indexing == nil {
			out.indexing = map[Parameter]bool{}
		}
		out.indexing[p] = true
	}
	return &out
}

// Revision is what Indexing was told.
func (r *Registry) Revision() string { return r.revision }

// Ready reports whether a parameter can be searched by.
func (r *Registry) Ready(typ, name string) bool { return !r.indexing[Parameter{typ, name}] }

// refuseUnready returns an error if a search needs a parameter that is still being
// indexed: half an answer would look like a whole one. So it is for lenient searches
// too. What clients define is not known of contained resources at all.
func (r *Registry) refuseUnready(req *Request) error {
	q := &req.Query
	if req.Contained != "" {
		if name := find(req.innerTypes, req.inner, func(typ, name string) bool { return r.custom[Parameter{typ, name}] != "" }); name != "" {
			return fhir.Errorf(fhir.NotSupported, "_contained: %s is defined by a SearchParameter of this server, and those are not looked for in contained resources", name)
		}
	}
	if len(r.indexing) == 0 {
		return nil
	}
	lacks := func(typ, name string) bool { return r.indexing[Parameter{typ, name}] }
	if name := find(q.Types, q.Where, lacks); name != "" {
		return r.stillIndexing(name)
	}
	for _, s := range q.Sort {
		if anyType(q.Types, s.Param, lacks) {
			return r.stillIndexing(s.Param)
		}
	}
	for _, i := range req.Includes {
		if !i.Reverse {
			continue // is read off the resources
		}
		for p := range r.indexing {
			if p.Type == i.Type && (i.Param == p.Name || i.Param == "*") {
				return r.stillIndexing(p.Name)
			}
		}
	}
	return nil
}

func (r *Registry) stillIndexing(name string) error {
	done, total := r.progress()
	return fhir.Errorf(fhir.Unavailable, "the search parameter %s is still being indexed, %d of %d resources are done; search again later", name, done, total)
}

// find returns the first parameter in clauses, asked of some types (none: all),
// that is one of those looked for; "" for none.
func find(types []string, where []Clause, is func(typ, name string) bool) string {
	for i := range where {
		c := &where[i]
		asked := types
		if len(c.Types) > 0 {
			asked = c.Types
		}
		for _, list := range c.Any {
			if name := find(asked, list, is); name != "" {
				return name
			}
		}
		if c.Join != nil {
			if name := find(c.Join.Types, c.Join.Where, is); name != "" {
				return name
			}
			if c.Join.Reverse {
				asked = c.Join.Types
			}
		}
		if c.Param != "" && anyType(asked, c.Param, is) {
			return c.Param
		}
	}
	return ""
}

func anyType(types []string, name string, is func(typ, name string) bool) bool {
	if len(types) == 0 {
		types = slices.Concat(resource.Types(), []string{""})
	}
	return slices.ContainsFunc(types, func(typ string) bool { return is(typ, name) })
}
