package rest

import (
	"slices"
	"strconv"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// What goes along with one page at most. Beyond it the page says so.
const (
	maxIncluded       = 5_000 // resources
	maxIncludedBytes  = store.MaxPageBytes
	maxIncludedRounds = 32 // of :iterate
)

// included are the resources that go along with a page.
type included struct {
	found []*fhir.Resource
	// cut are the includes that would have brought more than the limits allow.
	cut []string
}

// gathering is the work of finding them.
type gathering struct {
	included
	server *Server
	r      *request
	// seen are the versions that are on the page already: each is shown once, and
	// what matches only as a match.
	seen  map[fhir.Key][]int64
	bytes int
}

// include gathers what a search's _include and _revinclude ask for, in rounds:
// the first takes the matches, each further one what the last has found, for
// those that iterate.
//
// Of what is referred to only what the caller may read counts, of what refers
// only what they could also find. What else there is changes nothing.
//
// https://hl7.org/fhir/R4/search.html#include
func (s *Server) include(r *request, includes []search.Include, matches []*fhir.Resource) (included, error) {
	g := &gathering{server: s, r: r, seen: make(map[fhir.Key][]int64, len(matches))}
	for _, res := range matches {
		g.seen[res.Key] = append(g.seen[res.Key], res.Version)
	}
	for round := 0; len(matches) > 0 && len(includes) > 0; round++ {
		if round == maxIncludedRounds {
			for _, in := range includes {
				g.tooMany(in)
			}
			break
		}
		from, err := s.sources(matches)
		if err != nil {
			return included{}, err
		}
		before := len(g.found)
		for _, in := range includes {
			if g.full() {
				g.tooMany(in)
				continue
			}
			if err := g.follow(in, from); err != nil {
				return included{}, err
			}
		}
		matches = g.found[before:]
		includes = slices.DeleteFunc(slices.Clone(includes), func(in search.Include) bool { return !in.Iterate })
	}
	return g.included, nil
}

// source is a resource whose references are followed.
type source struct {
	*fhir.Resource
	entries []search.Entry
}

// target is what a literal reference points at; version is 0 if it names none.
type target struct {
	fhir.Key
	version int64
}

// targets returns what a resource refers to by a reference parameter, or by any
// for "*". Where a reference names a version, that version is meant.
func (s *Server) targets(src source, param string) []target {
	var to []target
	for _, p := range s.registry().Params(src.Type) {
		if p.Type != search.TypeReference || param != "*" && param != p.Name {
			continue
		}
		versioned := make(map[fhir.Key]bool)
		for _, e := range src.entries {
			if e.Param != p.Name {
				continue
			}
			if key, text, ok := search.RefersVersion(e.Value); ok {
				if version, err := strconv.ParseInt(text, 10, 64); err == nil && version > 0 {
					versioned[key] = true
					to = append(to, target{key, version})
				}
			}
		}
		for _, e := range src.entries {
			if e.Param != p.Name {
				continue
			}
			if key, ok := search.Refers(e.Value); ok && !versioned[key] {
				to = append(to, target{Key: key})
			}
		}
	}
	return to
}

// sources reads the references of resources.
func (s *Server) sources(of []*fhir.Resource) ([]source, error) {
	from := make([]source, len(of))
	for i, res := range of {
		entries, _, err := s.registry().Index(res.JSON)
		if err != nil {
			return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
		}
		from[i] = source{res, entries}
	}
	return from, nil
}

func (g *gathering) full() bool { return len(g.found) >= maxIncluded || g.bytes >= maxIncludedBytes }

// tooMany notes that an include is not complete.
func (g *gathering) tooMany(in search.Include) {
	if name := includeName(in); !slices.Contains(g.cut, name) {
		g.cut = append(g.cut, name)
	}
}

// includeName writes an include as it stands in a URL.
func includeName(in search.Include) string {
	name := "_include"
	if in.Reverse {
		name = "_revinclude"
	}
	if in.Iterate {
		name += ":iterate"
	}
	name += "=" + in.Type
	if in.Type != "*" {
		name += ":" + in.Param
	}
	if in.Target != "" {
		name += ":" + in.Target
	}
	return name
}

// follow finds what one include brings.
func (g *gathering) follow(in search.Include, from []source) error {
	if in.Reverse {
		return g.referring(in, from)
	}
	return g.referred(in, from)
}

// referred finds what resources refer to.
func (g *gathering) referred(in search.Include, from []source) error {
	asked := make(map[fhir.Key]bool)
	var keys []fhir.Key
	var versions []target
	for _, src := range from {
		if in.Type != "*" && in.Type != src.Type {
			continue
		}
		for _, to := range g.server.targets(src, in.Param) {
			switch {
			case in.Target != "" && in.Target != to.Type:
			case to.version != 0:
				versions = append(versions, to)
			case !asked[to.Key] && len(g.seen[to.Key]) == 0:
				asked[to.Key] = true
				keys = append(keys, to.Key)
			}
		}
	}
	if err := g.named(in, from); err != nil {
		return err
	}
	scope := g.r.access.Scope(search.CanRead)
	// In parts, so that large resources do not all come at once.
	for part := range slices.Chunk(keys, 500) {
		if g.full() {
			g.tooMany(in)
			return nil
		}
		found, more, err := g.server.Store.Gather(g.r.ctx, store.GatherQuery{Keys: part, Limit: len(part), Scope: scope})
		if err != nil {
			return err
		}
		if g.add(found) || more {
			g.tooMany(in)
		}
	}
	for _, version := range versions {
		if slices.Contains(g.seen[version.Key], version.version) {
			continue
		}
		if g.full() {
			g.tooMany(in)
			return nil
		}
		res, err := g.server.visibleVersion(g.r, version.Key, version.version)
		switch {
		case fhir.KindOf(err) == fhir.NotFound && err != nil:
			continue
		case err != nil:
			return err
		case !res.Deleted():
			g.add([]*fhir.Resource{res})
		}
	}
	return nil
}

// named finds what resources refer to by canonical URLs: of several versions each
// that is meant.
func (g *gathering) named(in search.Include, from []source) error {
	var canonicals []string
	for _, src := range from {
		if in.Type != "*" && in.Type != src.Type {
			continue
		}
		refs, err := g.server.registry().References(src.Resource, in.Param)
		if err != nil {
			return fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
		}
		for _, ref := range refs {
			if !ref.Canonical {
				continue
			}
			name := ref.URL
			if ref.Version != "" {
				name += "|" + ref.Version
			}
			if !slices.Contains(canonicals, name) {
				canonicals = append(canonicals, name)
			}
		}
	}
	if len(canonicals) == 0 {
		return nil
	}
	asked := store.GatherQuery{Limit: min(maxIncluded-len(g.found)+len(g.seen), 10_000), Scope: g.r.access.Scope(search.CanSearch)}
	for _, typ := range resource.Types() {
		if (in.Target == "" || in.Target == typ) && g.server.registry().HasCanonical(typ) {
			asked.Referring = append(asked.Referring, store.Referring{Type: typ, Clause: search.Named(canonicals...)})
		}
	}
	return g.gather(in, asked)
}

// referring finds what refers to resources.
func (g *gathering) referring(in search.Include, from []source) error {
	types := []string{in.Type}
	if in.Type == "*" {
		types = resource.Types()
	}
	scope := g.r.access.Scope(search.CanSearch)
	asked := store.GatherQuery{Limit: min(maxIncluded-len(g.found)+len(g.seen), 10_000), Scope: scope}
	for _, typ := range types {
		if _, ok := scope.Clauses(typ); !ok {
			continue
		}
		for _, p := range g.server.registry().Params(typ) {
			if p.Type != search.TypeReference || in.Param != "*" && in.Param != p.Name {
				continue
			}
			var keys []fhir.Key
			for _, src := range from {
				if (in.Target == "" || in.Target == src.Type) && (len(p.Targets) == 0 || slices.Contains(p.Targets, src.Type)) {
					keys = append(keys, src.Key)
				}
			}
			if urls := g.canonicals(p, in, from); len(urls) > 0 {
				asked.Referring = append(asked.Referring, store.Referring{Type: typ, Clause: search.RefersToURL(p.Name, urls...)})
			}
			if len(keys) > 0 && p.Follows() {
				asked.Referring = append(asked.Referring, store.Referring{Type: typ, Clause: search.RefersTo(p.Name, keys...)})
			}
		}
	}
	return g.gather(in, asked)
}

// canonicals returns the URLs by which a parameter can refer to resources.
func (g *gathering) canonicals(p *search.Param, in search.Include, from []source) []string {
	if p.Follows() || !p.Included() {
		return nil
	}
	var urls []string
	for _, src := range from {
		if in.Target != "" && in.Target != src.Type || len(p.Targets) > 0 && !slices.Contains(p.Targets, src.Type) {
			continue
		}
		if url, _, err := g.server.registry().Canonical(src.Resource); err == nil && url != "" {
			urls = append(urls, url)
		}
	}
	return urls
}

// gather takes up what a query finds, as far as the caller may read it.
func (g *gathering) gather(in search.Include, asked store.GatherQuery) error {
	if len(asked.Referring) == 0 {
		return nil
	}
	found, more, err := g.server.Store.Gather(g.r.ctx, asked)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(res *fhir.Resource) bool { return !g.r.access.Sees(res) })
	if g.add(found) || more {
		g.tooMany(in)
	}
	return nil
}

// add takes up what is not there yet, as far as the limits allow, and reports
// whether something was left out.
func (g *gathering) add(found []*fhir.Resource) (left bool) {
	for _, res := range found {
		if slices.Contains(g.seen[res.Key], res.Version) {
			continue
		}
		if g.full() {
			return true
		}
		g.seen[res.Key] = append(g.seen[res.Key], res.Version)
		g.found = append(g.found, res)
		g.bytes += len(res.JSON)
	}
	return false
}

// incomplete says which includes were cut short.
func (in included) incomplete() []fhir.Issue {
	var issues []fhir.Issue
	for _, name := range in.cut {
		issues = append(issues, fhir.Issue{
			Severity: fhir.SeverityWarning,
			Code:     "incomplete",
			Message: name + " would bring more than goes along with one page, at most " + strconv.Itoa(maxIncluded) + " resources in " +
				strconv.Itoa(maxIncludedRounds) + " rounds. Ask for smaller pages with _count, or search for the resources themselves.",
		})
	}
	return issues
}
