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
		from, err := s.sources(matches, includes)
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

// source is a resource whose references are followed, or to which others refer.
type source struct {
	*fhir.Resource
	refs         []search.Reference // what it refers to, if that is asked for
	url, version string             // its canonical, if what refers to it is asked for
}

// sources reads what includes need to know of resources.
func (s *Server) sources(of []*fhir.Resource, includes []search.Include) ([]source, error) {
	reverse := func(in search.Include) bool { return in.Reverse }
	back := slices.ContainsFunc(includes, reverse)
	forth := slices.ContainsFunc(includes, func(in search.Include) bool { return !reverse(in) })
	known := s.registry()
	from := make([]source, len(of))
	for i, res := range of {
		src, err := source{Resource: res}, error(nil)
		if forth {
			src.refs, err = known.References(res, "*")
		}
		if back && err == nil {
			src.url, src.version, err = known.Canonical(res)
		}
		if err != nil {
			return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
		}
		from[i] = src
	}
	return from, nil
}

// target is what a literal reference points at; version is 0 if it names none.
type target struct {
	fhir.Key
	version int64
}

// literal returns the target of a literal reference. A version that none of ours
// can have is as good as none.
func literal(ref search.Reference) target {
	version, err := strconv.ParseInt(ref.Version, 10, 64)
	if err != nil || version < 1 {
		version = 0
	}
	return target{ref.Key, version}
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
	names := make(canonicals)
	for _, src := range from {
		if in.Type != "*" && in.Type != src.Type {
			continue
		}
		for _, ref := range src.refs {
			if in.Param != "*" && in.Param != ref.Param {
				continue
			}
			if ref.Canonical {
				names.add(g.server.registry(), in, src.Type, ref)
				continue
			}
			switch to := literal(ref); {
			case to.Key == fhir.Key{}, in.Target != "" && in.Target != to.Type:
			case to.version != 0:
				versions = append(versions, to)
			case !asked[to.Key] && len(g.seen[to.Key]) == 0:
				asked[to.Key] = true
				keys = append(keys, to.Key)
			}
		}
	}
	scope := g.r.access.Scope(search.CanRead)
	// In parts, so that large resources do not all come at once.
	for part := range slices.Chunk(keys, 500) {
		if err := g.gather(in, store.GatherQuery{Keys: part, Limit: len(part), Scope: scope}); err != nil {
			return err
		}
	}
	if err := g.named(in, names, scope); err != nil {
		return err
	}
	return g.versions(in, versions)
}

// gather asks the store for what an include brings.
func (g *gathering) gather(in search.Include, asked store.GatherQuery) error {
	if g.full() {
		g.tooMany(in)
		return nil
	}
	found, more, err := g.server.Store.Gather(g.r.ctx, asked)
	if err != nil {
		return err
	}
	if g.add(found) || more {
		g.tooMany(in)
	}
	return nil
}

// versions adds the versions that references name.
func (g *gathering) versions(in search.Include, versions []target) error {
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

// referring finds what refers to resources.
func (g *gathering) referring(in search.Include, from []source) error {
	types := []string{in.Type}
	if in.Type == "*" {
		types = resource.Types()
	}
	scope := g.r.access.Scope(search.CanSearch)
	asked := store.GatherQuery{Limit: min(maxIncluded-len(g.found)+len(g.seen), 10_000), Scope: scope}
	byURL := false
	for _, typ := range types {
		if _, ok := scope.Clauses(typ); !ok {
			continue
		}
		for _, p := range g.server.registry().Params(typ) {
			if p.Type != search.TypeReference || in.Param != "*" && in.Param != p.Name {
				continue
			}
			var keys []fhir.Key
			var urls []string
			for _, src := range from {
				if (in.Target == "" || in.Target == src.Type) && (len(p.Targets) == 0 || slices.Contains(p.Targets, src.Type)) {
					keys = append(keys, src.Key)
					if src.url != "" && p.Included() && !slices.Contains(urls, src.url) {
						urls = append(urls, src.url)
					}
				}
			}
			if len(keys) > 0 {
				asked.Referring = append(asked.Referring, store.Referring{Type: typ, Clause: search.RefersTo(p.Name, keys...)})
			}
			if len(urls) > 0 {
				byURL = true
				asked.Referring = append(asked.Referring, store.Referring{Type: typ, Clause: search.RefersToURL(p.Name, urls...)})
			}
		}
	}
	if len(asked.Referring) == 0 {
		return nil
	}
	found, more, err := g.server.Store.Gather(g.r.ctx, asked)
	if err != nil {
		return err
	}
	if byURL {
		if found, err = g.trulyReferring(in, found, from); err != nil {
			return err
		}
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
