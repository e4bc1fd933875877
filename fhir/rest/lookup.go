package rest

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// Limits of what one search may look up before it is carried out.
const (
	maxLookedUp = 64 // resources: value sets, code systems, lists
	maxCodes    = search.MaxRanges
	maxMembers  = search.MaxRanges
	maxTree     = 5_000 // resources of a hierarchy
	maxTreeDeep = 64
)

// lookup answers what a search needs to know of stored resources, as its caller
// sees them. It serves one search, and reads nothing twice.
type lookup struct {
	server *Server
	r      *request
	found  map[string]*resource.Node // by "Type url|version" or "Type/id"
}

var _ search.Lookup = (*lookup)(nil)

func (s *Server) lookup(r *request) *lookup {
	return &lookup{server: s, r: r, found: make(map[string]*resource.Node)}
}

// keep remembers what was read under a name.
func (l *lookup) keep(name string, res *fhir.Resource) (*resource.Node, error) {
	root, err := resource.Decode(res.JSON)
	if err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
	}
	l.found[name] = root
	return root, nil
}

// room returns an error once a search has looked up too much.
func (l *lookup) room() error {
	if len(l.found) >= maxLookedUp {
		return fhir.Errorf(fhir.TooCostly, "the search needs more than %d value sets, code systems and lists", maxLookedUp)
	}
	return nil
}

// byID reads a resource; nil if the caller sees none.
func (l *lookup) byID(key fhir.Key) (*resource.Node, error) {
	if root := l.found[key.String()]; root != nil {
		return root, nil
	}
	if err := l.room(); err != nil {
		return nil, err
	}
	res, err := l.server.Store.Read(l.r.ctx, key)
	switch {
	case err != nil && fhir.KindOf(err) == fhir.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	case res.Deleted() || !l.r.access.Sees(res):
		return nil, nil
	}
	return l.keep(key.String(), res)
}

// byURL finds a conformance resource by its canonical URL, with or without
// "|version"; of several versions the newest. It is nil if the caller can find
// none.
func (l *lookup) byURL(typ, canonical string) (*resource.Node, error) {
	name := typ + " " + canonical
	if root := l.found[name]; root != nil {
		return root, nil
	}
	if err := l.room(); err != nil {
		return nil, err
	}
	canonicalURL, version, _ := strings.Cut(canonical, "|")
	criteria, err := l.server.registry().Parse([]string{typ}, "url="+url.QueryEscape(valueEscapes.Replace(canonicalURL)), search.ParseOptions{})
	if err != nil {
		return nil, err
	}
	q := l.r.access.Narrow(criteria.Query)
	q.Count, q.Total = queryPage, search.TotalNone
	page, err := l.server.Store.Search(l.r.ctx, q)
	if err != nil {
		return nil, err
	}
	if page.Next != "" {
		return nil, fhir.Errorf(fhir.TooCostly, "more than %d resources of type %s have this URL", queryPage, typ)
	}
	var best *resource.Node
	var bestVersion string
	for _, res := range page.Resources {
		root, err := resource.Decode(res.JSON)
		if err != nil {
			return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
		}
		own := root.Str("version")
		if root.Str("url") != canonicalURL || version != "" && own != version {
			continue
		}
		if best != nil && compareVersions(own, bestVersion) == 0 {
			return nil, fhir.Errorf(fhir.Invalid, "several resources of type %s have this URL and the same version: name one as %s/id", typ, typ)
		}
		if best == nil || compareVersions(own, bestVersion) > 0 {
			best, bestVersion = root, own
		}
	}
	if best != nil {
		l.found[name] = best
	}
	return best, nil
}

// valueEscapes writes what has a meaning in the value of a search parameter,
// https://hl7.org/fhir/R4/search.html#escaping.
var valueEscapes = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)

// compareVersions orders business versions as people number them: 2.10 is newer
// than 2.9. None is older than any.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y string
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		n, errN := strconv.Atoi(x)
		m, errM := strconv.Atoi(y)
		order := strings.Compare(x, y)
		if errN == nil && errM == nil {
			order = cmp.Compare(n, m)
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// Members returns the entries of a List that have not left it, as
// https://hl7.org/fhir/R4/search.html#list means them, or the members of a Group.
func (l *lookup) Members(list string) ([]fhir.Key, error) {
	typ, id, _ := strings.Cut(list, "/")
	key, err := fhir.ParseKey(typ, id)
	if err != nil {
		return nil, err
	}
	root, err := l.byID(key)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, fhir.Errorf(fhir.Invalid, "there is no %s", key)
	}
	entries, item, left := "entry", "item", "deleted"
	if typ == "Group" {
		entries, item, left = "member", "entity", "inactive"
	}
	known := make(map[fhir.Key]bool)
	var keys []fhir.Key
	for _, entry := range root.List(entries) {
		if gone := entry.Get(left); gone != nil && gone.Text == "true" {
			continue
		}
		key, _, ok := l.server.ownReference(entry.Path(item, "reference"))
		if !ok || known[key] {
			continue
		}
		known[key] = true
		if keys = append(keys, key); len(keys) > maxMembers {
			return nil, fhir.Errorf(fhir.TooLarge, "the list has more than %d entries", maxMembers)
		}
	}
	return keys, nil
}

// ownReference reads the text of a literal reference to a resource of this
// server, relative or below its base.
func (s *Server) ownReference(text *resource.Node) (key fhir.Key, version string, ok bool) {
	if text == nil || text.Kind != resource.String {
		return fhir.Key{}, "", false
	}
	path := strings.TrimPrefix(text.Text, s.basePrefix)
	path, version, versioned := strings.Cut(path, "/_history/")
	typ, id, _ := strings.Cut(path, "/")
	if !resource.KnownType(typ) || !fhir.ValidID(id) || versioned && !fhir.ValidID(version) {
		return fhir.Key{}, "", false
	}
	return fhir.Key{Type: typ, ID: id}, version, true
}

// parents are the parameters with which resources of a type name the one of the
// same type that they are a part of, for :above and :below of references.
var parents = map[string]string{
	"CarePlan":      "part-of",
	"Encounter":     "part-of",
	"Location":      "partof",
	"Organization":  "partof",
	"Procedure":     "part-of",
	"ResearchStudy": "partof",
	"Specimen":      "parent",
	"Task":          "part-of",
}

// Hierarchy follows the parent of a resource upwards, or its parts downwards,
// through what the caller sees. A circle ends where it began.
func (l *lookup) Hierarchy(key fhir.Key, above bool) ([]fhir.Key, error) {
	param := parents[key.Type]
	if param == "" {
		return nil, fhir.Errorf(fhir.NotSupported, ":above and :below know no hierarchy of %s: no search parameter names the %s it is a part of", key.Type, key.Type)
	}
	keys, level := []fhir.Key{key}, []fhir.Key{key}
	known := map[fhir.Key]bool{key: true}
	for deep := 0; len(level) > 0; deep++ {
		if deep == maxTreeDeep {
			return nil, fhir.Errorf(fhir.TooCostly, "the hierarchy of %s is deeper than %d levels", key, maxTreeDeep)
		}
		next, err := l.nextLevel(param, level, above)
		if err != nil {
			return nil, err
		}
		level = slices.DeleteFunc(next, func(key fhir.Key) bool { return known[key] })
		for _, key := range level {
			known[key] = true
		}
		if keys = append(keys, level...); len(keys) > maxTree {
			return nil, fhir.Errorf(fhir.TooCostly, "the hierarchy of %s has more than %d resources", key, maxTree)
		}
	}
	return keys, nil
}

// nextLevel returns the parents or the parts of resources of one type, each once.
func (l *lookup) nextLevel(param string, level []fhir.Key, above bool) ([]fhir.Key, error) {
	typ := level[0].Type
	asked := store.GatherQuery{Keys: level, Limit: maxTree, Scope: l.r.access.Scope(search.CanRead)}
	if !above {
		asked = store.GatherQuery{
			Referring: []store.Referring{{Type: typ, Clause: search.RefersTo(param, level...)}},
			Limit:     maxTree, Scope: l.r.access.Scope(search.CanSearch),
		}
	}
	found, more, err := l.server.Store.Gather(l.r.ctx, asked)
	if err != nil {
		return nil, err
	}
	if more {
		return nil, fhir.Errorf(fhir.TooCostly, "the hierarchy has more than %d resources", maxTree)
	}
	var next []fhir.Key
	for _, res := range found {
		if !above {
			next = append(next, res.Key)
			continue
		}
		refs, err := l.server.registry().References(res, param)
		if err != nil {
			return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
		}
		for _, ref := range refs {
			if ref.Key.Type == typ && !slices.Contains(next, ref.Key) {
				next = append(next, ref.Key)
			}
		}
	}
	return next, nil
}
