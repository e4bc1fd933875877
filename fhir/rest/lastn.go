package rest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// Limits of $lastn.
const (
	maxLastSearched = 200_000 // observations looked at
	maxLastFound    = 10_000  // observations in the answer
)

// lastN serves Observation/$lastn: the newest observations of each code,
// https://hl7.org/fhir/R4/observation-operation-lastn.html.
func (s *Server) lastN(r *request, in *inputs) (*answer, error) {
	most, err := in.positive("max")
	if err != nil {
		return nil, err
	}
	query, err := lastQuery(in)
	if err != nil {
		return nil, err
	}
	req, err := s.parseSearch(r, query)
	if err != nil {
		return nil, err
	}
	q := req.Query
	q.Sort, q.Cursor, q.Count, q.Total = nil, "", queryPage, search.TotalNone
	q.Identity += "|lastn"
	groups := newLastGroups(max(most, 1), s.basePrefix)
	for looked := 0; ; {
		page, err := s.Store.Search(r.ctx, r.access.Narrow(q))
		if err != nil {
			return nil, err
		}
		for _, res := range page.Resources {
			root, err := resource.Decode(res.JSON)
			if err != nil {
				return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
			}
			groups.add(root, res)
		}
		if looked += len(page.Resources); page.Next == "" {
			break
		}
		if q.Cursor = page.Next; looked > maxLastSearched {
			return nil, fhir.Errorf(fhir.TooCostly, "more than %d observations would have to be looked at; name a code, or a date to begin with", maxLastSearched)
		}
	}
	found := groups.latest()
	if len(found) > maxLastFound {
		return nil, fhir.Errorf(fhir.TooCostly, "the answer has more than %d observations; ask with a smaller max, or for fewer codes", maxLastFound)
	}
	b := newSearchset("searchset", int64(len(found)), nil)
	self := query
	if most > 0 {
		self += "&max=" + strconv.Itoa(most)
	}
	b.link("self", s.basePrefix+"Observation/$lastn", self, "")
	for _, res := range found {
		b.match(s.basePrefix+res.Key.String(), res.JSON, 0)
	}
	if len(req.Ignored) > 0 {
		b.outcome(operationOutcome(ignored(req.Ignored)))
	}
	return &answer{status: http.StatusOK, body: b.bytes()}, nil
}

// lastQuery makes the query of a search out of the parameters, which are those
// of a search. A patient or subject must be among them, and a category or code.
func lastQuery(in *inputs) (string, error) {
	var parts []string
	subject, about := false, false
	for i := range in.list {
		p := &in.list[i]
		if p.used {
			continue
		}
		value := p.text
		if p.node != nil {
			for _, f := range p.node.Fields {
				if strings.HasPrefix(f.Name, "value") {
					value = f.Node.Text
				}
			}
		}
		name, _, _ := strings.Cut(p.name, ":")
		name, _, _ = strings.Cut(name, ".")
		switch name {
		case "_sort", "_count", "_cursor", "_include", "_revinclude", "_summary", "_elements", "_total", "_contained", "_containedType":
			return "", fhir.Errorf(fhir.NotSupported, "$lastn does not take %s: it answers with the newest of each code, all at once", name)
		}
		subject = subject || (name == "subject" || name == "patient") && value != ""
		about = about || (name == "category" || name == "code" || strings.Contains(name, "code-") || strings.HasSuffix(name, "-code")) && value != ""
		parts = append(parts, url.QueryEscape(p.name)+"="+url.QueryEscape(value))
	}
	switch {
	case !subject:
		return "", fhir.Errorf(fhir.Invalid, "$lastn needs a patient or a subject, such as patient=123")
	case !about:
		return "", fhir.Errorf(fhir.Invalid, "$lastn needs a category or a code, such as category=vital-signs")
	}
	return strings.Join(parts, "&"), nil
}

// lastGroups are observations by subject and code. Codes that stand together in one
// observation are the same, and so is what is the same as either of them.
type lastGroups struct {
	most   int
	base   string            // of the server's own references
	parent map[string]string // of each code another one of its group, at last itself
	groups map[string][]latest
}

// latest is an observation with the moment it is of.
type latest struct {
	res  *fhir.Resource
	when time.Time // zero if it has none
}

func newLastGroups(most int, base string) *lastGroups {
	return &lastGroups{most: most, base: base, parent: make(map[string]string), groups: make(map[string][]latest)}
}

// root returns the code that stands for a group.
func (g *lastGroups) root(code string) string {
	if g.parent[code] == "" {
		g.parent[code] = code
	}
	for g.parent[code] != code {
		g.parent[code] = g.parent[g.parent[code]]
		code = g.parent[code]
	}
	return code
}

// add puts an observation into the group of its codes.
func (g *lastGroups) add(root *resource.Node, res *fhir.Resource) {
	codes := codesOf(root.Get("code"))
	// What was measured on one patient is not the newest of another.
	if subject := root.Path("subject", "reference"); subject != nil {
		key, _, _ := strings.Cut(strings.TrimPrefix(subject.Text, g.base), "/_history/")
		for i := range codes {
			codes[i] += " of " + key
		}
	}
	first := g.root(codes[0])
	for _, code := range codes[1:] {
		if other := g.root(code); other != first {
			g.parent[other] = first
			g.groups[first] = append(g.groups[first], g.groups[other]...)
			delete(g.groups, other)
		}
	}
	g.groups[first] = append(g.groups[first], latest{res, effectiveOf(root)})
	const slack = 64
	if len(g.groups[first]) > 2*g.most+slack {
		g.groups[first] = g.trim(g.groups[first])
	}
}

// codesOf returns what a CodeableConcept says: its codings, or without any its
// text. There is at least one, be it empty.
func codesOf(concept *resource.Node) []string {
	var codes []string
	for _, coding := range concept.List("coding") {
		if code := coding.Str("code"); code != "" {
			codes = append(codes, "code "+coding.Str("system")+"|"+code)
		}
	}
	if len(codes) == 0 {
		codes = []string{"text " + concept.Str("text")}
	}
	return codes
}

// newerFirst orders observations; those without a moment come last, the ones
// stored later first.
func newerFirst(a, b latest) int {
	return cmp.Or(b.when.Compare(a.when), b.res.Updated.Compare(a.res.Updated), strings.Compare(a.res.ID, b.res.ID))
}

// trim keeps the newest, and those that are as new as the last of them.
func (g *lastGroups) trim(all []latest) []latest {
	slices.SortFunc(all, newerFirst)
	end := min(g.most, len(all))
	for end < len(all) && !all[end].when.IsZero() && all[end].when.Equal(all[end-1].when) {
		end++
	}
	return slices.Clone(all[:end])
}

// latest returns what is left, newest first.
func (g *lastGroups) latest() []*fhir.Resource {
	var all []latest
	for _, group := range g.groups {
		all = append(all, g.trim(group)...)
	}
	slices.SortFunc(all, newerFirst)
	found := make([]*fhir.Resource, len(all))
	for i := range all {
		found[i] = all[i].res
	}
	return found
}

// effectiveOf returns the moment an observation is of: of a date its beginning,
// of a period its end, or its start if it has not ended, of a Timing its last
// event. It is zero if there is none.
func effectiveOf(root *resource.Node) time.Time {
	for _, name := range [...]string{"effectiveDateTime", "effectiveInstant"} {
		if text := root.Str(name); text != "" {
			return momentOf(text)
		}
	}
	if period := root.Get("effectivePeriod"); period != nil {
		return momentOf(cmp.Or(period.Str("end"), period.Str("start")))
	}
	var last time.Time
	for _, event := range root.Get("effectiveTiming").List("event") {
		if when := momentOf(event.Text); when.After(last) {
			last = when
		}
	}
	return last
}

// momentOf returns the beginning of a date or time as FHIR writes it, in UTC where
// it has no zone; zero if it is none.
func momentOf(text string) time.Time {
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02", "2006-01", "2006"} {
		if when, err := time.Parse(layout, text); err == nil {
			return when
		}
	}
	// A leap second is the second after it.
	if at := strings.Index(text, ":60"); at > 0 {
		if when, err := time.Parse(time.RFC3339Nano, text[:at]+":59"+text[at+3:]); err == nil {
			return when.Add(time.Second)
		}
	}
	return time.Time{}
}
