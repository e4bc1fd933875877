package search

import (
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Indexing returns a registry whose searches by parameters that clients define say
// by which definitions they were read (Query.Revision), and that refuses parameters whose entries a store still
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
// too. What clients define is not known of contained resources at all. A search that
// needs such parameters holds for the present definitions only.
func (r *Registry) refuseUnready(req *Request) error {
	if len(r.custom) == 0 {
		return nil
	}
	custom := func(typ, name string) bool { return r.custom[Parameter{typ, name}] != "" }
	if req.Contained != "" {
		if name := find(req.innerTypes, req.inner, custom); name != "" {
			return fhir.Errorf(fhir.NotSupported, "_contained: %s is defined by a SearchParameter of this server, and those are not looked for in contained resources", name)
		}
	}
	if name := r.needs(req, custom); name == "" {
		return nil
	}
	req.Query.Revision = r.revision
	if name := r.needs(req, func(typ, name string) bool { return r.indexing[Parameter{typ, name}] }); name != "" {
		return r.stillIndexing(name)
	}
	return nil
}

// needs returns the first parameter that a search is answered by and that is one
// of those looked for; "" for none.
func (r *Registry) needs(req *Request, is func(typ, name string) bool) string {
	q := &req.Query
	if name := find(q.Types, q.Where, is); name != "" {
		return name
	}
	for _, s := range q.Sort {
		if anyType(q.Types, s.Param, is) {
			return s.Param
		}
	}
	for _, i := range req.Includes {
		for p := range r.custom {
			if i.Reverse && i.Type == p.Type && (i.Param == "*" || i.Param == p.Name) && is(p.Type, p.Name) {
				return p.Name // others are read off the resources
			}
		}
	}
	return ""
}

// StillIndexing is the error, Unavailable, of a search that needs a parameter which
// is still being indexed. Its text does not tell how far that is: who sees a part
// of the resources only must not learn how many there are.
type StillIndexing struct {
	Param       string
	Done, Total int64
}

// Error returns the text for everybody.
func (e *StillIndexing) Error() string { return e.Unwrap().Error() }

// Unwrap returns the error for everybody.
func (e *StillIndexing) Unwrap() error {
	return fhir.Errorf(fhir.Unavailable, "the search parameter %s is still being indexed; search again later", e.Param)
}

// Told returns the error for who may know how many resources there are.
func (e *StillIndexing) Told() error {
	return fhir.Errorf(fhir.Unavailable, "the search parameter %s is still being indexed, %d of %d resources are done; search again later", e.Param, e.Done, e.Total)
}

func (r *Registry) stillIndexing(name string) error {
	e := &StillIndexing{Param: name}
	e.Done, e.Total = r.progress()
	return e
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

// Defined returns the parameters that a definition adds, sorted; none if it is not
// in force, or says what FHIR's own definitions say already.
func (r *Registry) Defined(d Definition) (out []Parameter) {
	for p := range r.custom {
		set := r.common
		if p.Type != "" {
			set = r.types[p.Type]
		}
		if found := set.byName[p.Name]; found != nil && found.custom && found.URL == d.URL && p.Name == d.Code {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, compareParameters)
	return out
}
