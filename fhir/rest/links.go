package rest

import (
	"context"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// link is a place in a resource that names another one in a way that only holds
// within the request: by the fullUrl of an entry or by criteria. What was sent
// is kept, because each attempt to commit may find another target.
type link struct {
	sent string
	// node is the text of a Reference.reference. It is nil for another URL,
	// which is then the one with this number in the order of [resource.EachURI].
	node   *resource.Node
	number int
	path   string // such as "Observation.subject.reference"
}

// collect finds the links of a write's resource.
func (u *unit) collect(w *write) []link {
	var links []link
	base := ""
	if w.entry != nil {
		base = restBase(w.entry.fullURL)
	}
	resource.EachReference(w.root, func(path string, ref *resource.Node) {
		text := ref.Get("reference")
		if text == nil || text.Kind != resource.String || enclosed(w.root, path) {
			return
		}
		if u.target(text.Text, base) != nil || isConditional(text.Text) || u.dangles(w, text.Text) {
			links = append(links, link{sent: text.Text, node: text, path: path + ".reference"})
		}
	})
	if len(u.urls) == 0 {
		return links
	}
	number := 0
	resource.EachURI(w.root, func(path string, uri *resource.Node) {
		if u.replaceable(path, uri.Text) && !enclosed(w.root, path) {
			links = append(links, link{sent: uri.Text, number: number, path: path})
		}
		number++
	})
	return links
}

// enclosed reports whether a place is inside an entry of a Bundle. What
// is stored as a Bundle, such as a document, is kept as it was made: its resources
// refer to each other, and their links are not those of a transaction around it.
func enclosed(root *resource.Node, path string) bool {
	return root.Str("resourceType") == "Bundle" && strings.HasPrefix(path, "Bundle.entry")
}

// target returns the write of the entry that a URL names, or nil. base is the
// base URL of the fullUrl beside which a relative one stands.
//
// https://hl7.org/fhir/R4/bundle.html#references
func (u *unit) target(text, base string) *write {
	if len(u.urls) == 0 {
		return nil
	}
	if w := u.urls[text]; w != nil {
		return w
	}
	if base != "" && !strings.Contains(text, ":") {
		return u.urls[base+text]
	}
	return nil
}

// replaceable says whether a URL outside a Reference is the identity of an
// entry. Only in a narrative can that be a web address: elsewhere a fullUrl such
// as http://example.org/StructureDefinition/x is as often the canonical URL of a
// definition, which must stay.
func (u *unit) replaceable(path, text string) bool {
	if u.urls[text] == nil {
		return false
	}
	return strings.HasPrefix(text, "urn:") || strings.HasSuffix(path, ".div")
}

// dangles says whether a reference of an entry names another entry that is not
// there.
func (u *unit) dangles(w *write, text string) bool {
	return w.entry != nil &&
		(strings.HasPrefix(text, "urn:uuid:") || strings.HasPrefix(text, "urn:oid:")) &&
		u.urls[text] == nil && !w.had[text]
}

// isConditional says whether a reference is a search, such as
// Patient?identifier=http://example.org|1.
func isConditional(text string) bool {
	typ, _, found := strings.Cut(text, "?")
	return found && resource.KnownType(typ)
}

// restBase returns what stands before "Type/id" in a fullUrl that is the URL of
// a resource on some server, else "".
func restBase(fullURL string) string {
	if !strings.HasPrefix(fullURL, "http://") && !strings.HasPrefix(fullURL, "https://") {
		return ""
	}
	parts := strings.Split(fullURL, "/")
	if n := len(parts); n > 4 && resource.KnownType(parts[n-2]) && fhir.ValidID(parts[n-1]) {
		return strings.Join(parts[:n-2], "/") + "/"
	}
	return ""
}

// rewrite puts the targets of a write's links in their places. references are
// the conditional ones, resolved.
func (u *unit) rewrite(w *write, references map[string]fhir.Key) error {
	if len(w.links) == 0 {
		return nil
	}
	base := ""
	if w.entry != nil {
		base = restBase(w.entry.fullURL)
	}
	var problems []error
	numbered := make(map[int]string)
	for _, l := range w.links {
		text := l.sent
		switch target := u.target(l.sent, base); {
		case target != nil && target.key != (fhir.Key{}):
			text = target.key.String()
		case l.node != nil && isConditional(l.sent):
			text = references[l.sent].String()
		case l.node != nil && u.dangles(w, l.sent):
			problems = append(problems, u.dangling(l))
		}
		if l.node != nil {
			l.node.Text = text
		} else {
			numbered[l.number] = text
		}
	}
	if len(numbered) > 0 {
		number := 0
		resource.EachURI(w.root, func(_ string, uri *resource.Node) {
			if text, ok := numbered[number]; ok {
				uri.Text = text
			}
			number++
		})
	}
	return merge(problems)
}

func (u *unit) dangling(l link) error {
	message := "no entry of the transaction has the fullUrl " + fhir.Clip(l.sent)
	if u.batch {
		message = "entries of a batch cannot refer to each other; send a transaction"
	}
	return &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
		Code: "not-found", Message: message, Expression: l.path,
	}}}
}

// resolveReferences finds the targets of all conditional references of a unit,
// each once, among what will be there when the unit is written. One that does
// not select exactly one resource is an error:
// https://hl7.org/fhir/R4/http.html#trules.
func (s *Server) resolveReferences(ctx context.Context, access search.Access, u *unit, p pending) (map[string]fhir.Key, error) {
	type place struct {
		w    *write
		path string
	}
	places := make(map[string]place) // where a reference occurs first
	var texts []string
	for _, w := range u.writes {
		for _, l := range w.links {
			if _, known := places[l.sent]; l.node != nil && !known && isConditional(l.sent) {
				places[l.sent] = place{w, l.path}
				texts = append(texts, l.sent)
			}
		}
	}
	if len(texts) == 0 {
		return nil, nil
	}
	created := make(map[string]fhir.Key) // by conditional writes of the unit
	for _, w := range u.writes {
		if w.criteria != nil && w.method != fhir.Delete && w.patch == nil && w.key != (fhir.Key{}) {
			created[w.typ+"?"+w.criteria.Criteria] = w.key
		}
	}
	replaced := u.replaced()
	keys := make([]fhir.Key, len(texts))
	err := parallel(ctx, len(texts), func(i int) (err error) {
		if keys[i], err = s.resolveReference(ctx, access, texts[i], created, replaced, p); err != nil {
			from := places[texts[i]]
			return from.w.entry.place(at(err, from.path))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	references := make(map[string]fhir.Key, len(texts))
	for i, text := range texts {
		references[text] = keys[i]
	}
	return references, nil
}

func (s *Server) resolveReference(ctx context.Context, access search.Access, text string, created map[string]fhir.Key, replaced map[fhir.Key]bool, p pending) (fhir.Key, error) {
	typ, query, _ := strings.Cut(text, "?")
	criteria, err := s.parseCriteria(access, typ, query)
	if err != nil {
		return fhir.Key{}, err
	}
	if key, ok := created[typ+"?"+criteria.Criteria]; ok {
		return key, nil
	}
	q := access.Narrow(criteria.Query)
	q.Count, q.Total, q.Cursor, q.Sort = min(2+len(replaced), queryPage), search.TotalNone, "", nil
	page, err := s.Store.Search(ctx, q)
	if err != nil {
		return fhir.Key{}, err
	}
	var found []fhir.Key
	for _, res := range page.Resources {
		if !replaced[res.Key] {
			found = append(found, res.Key)
		}
	}
	for _, w := range p.match(typ, criteria.Query.Where) {
		found = append(found, w.key)
	}
	switch {
	case len(found) == 1 && page.Next == "":
		return found[0], nil
	case len(found) == 0 && page.Next == "":
		return fhir.Key{}, &fhir.Error{Kind: fhir.PreconditionFail, Issues: []fhir.Issue{{
			Code: "not-found", Message: "no " + typ + " matches this conditional reference",
		}}}
	}
	return fhir.Key{}, fhir.Errorf(fhir.MultipleMatches, "the criteria match more than one resource")
}
