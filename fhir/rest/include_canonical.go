package rest

import (
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// Includes by canonical: QuestionnaireResponse.questionnaire names the
// Questionnaire whose url is the same, and whose version is, if it names one.
//
// https://hl7.org/fhir/R4/references.html#canonical

// canonicals are what references by canonical name, "url" or "url|version", by
// the type that may have it.
type canonicals map[string]map[string]bool

// add takes up what a reference of a type may name.
func (c canonicals) add(known *search.Registry, in search.Include, typ string, ref search.Reference) {
	name := ref.URL
	if ref.Version != "" {
		name += "|" + ref.Version
	}
	for _, to := range canonicalTargets(known, in, typ, ref.Param) {
		if c[to] == nil {
			c[to] = make(map[string]bool)
		}
		c[to][name] = true
	}
}

// canonicalTargets lists the types with a canonical URL that a parameter can name
// and an include asks for.
func canonicalTargets(known *search.Registry, in search.Include, typ, param string) []string {
	params := known.Params(typ)
	i := slices.IndexFunc(params, func(p *search.Param) bool { return p.Name == param })
	if i < 0 {
		return nil
	}
	types := params[i].Targets
	if len(types) == 0 {
		types = resource.Types()
	}
	return slices.DeleteFunc(slices.Clone(types), func(to string) bool {
		return in.Target != "" && in.Target != to || !known.HasCanonical(to)
	})
}

// named adds what is named by canonicals.
func (g *gathering) named(in search.Include, names canonicals, scope *search.Scope) error {
	for _, typ := range resource.Types() {
		if _, ok := scope.Clauses(typ); !ok || len(names[typ]) == 0 {
			continue
		}
		var all []string
		for name := range names[typ] {
			all = append(all, name)
		}
		slices.Sort(all)
		for part := range slices.Chunk(all, 500) {
			query := store.GatherQuery{
				Referring: []store.Referring{{Type: typ, Clause: search.Named(part...)}},
				Limit:     maxIncluded, Scope: scope,
			}
			if err := g.gather(in, query); err != nil {
				return err
			}
		}
	}
	return nil
}

// trulyReferring leaves out what names another version of the canonicals that
// were looked for.
func (g *gathering) trulyReferring(in search.Include, found []*fhir.Resource, from []source) ([]*fhir.Resource, error) {
	keys := make(map[fhir.Key]bool)
	versions := make(map[string]map[string]bool) // by URL
	for _, src := range from {
		if in.Target != "" && in.Target != src.Type {
			continue
		}
		keys[src.Key] = true
		if src.url != "" {
			if versions[src.url] == nil {
				versions[src.url] = make(map[string]bool)
			}
			versions[src.url][src.version] = true
		}
	}
	known := g.server.registry()
	var out []*fhir.Resource
	for _, res := range found {
		refs, err := known.References(res, in.Param)
		if err != nil {
			return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
		}
		if slices.ContainsFunc(refs, func(ref search.Reference) bool {
			return keys[ref.Key] || ref.Canonical && versions[ref.URL] != nil && (ref.Version == "" || versions[ref.URL][ref.Version])
		}) {
			out = append(out, res)
		}
	}
	return out, nil
}
