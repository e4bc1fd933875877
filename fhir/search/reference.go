package search

import (
	"bytes"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Reference parameters: https://hl7.org/fhir/R4/search.html#reference, on
// Reference, canonical and uri elements.

// link is what a reference points at.
type link struct {
	key     fhir.Key // of a relative reference to a resource
	url     string   // else: an absolute URL, a URN or a canonical
	version string
}

// parseLink reads the text of a reference. ok is false for a reference to a
// contained resource.
//
// https://hl7.org/fhir/R4/references.html#literal
func parseLink(s string) (link, bool) {
	if s == "" || s[0] == '#' {
		return link{}, false
	}
	if !absolute(s) {
		if key, version, ok := relative(s); ok {
			return link{key: key, version: version}, true
		}
	}
	if base, version, ok := cutHistory(s); ok && absolute(s) {
		return link{url: base, version: version}, true
	}
	url, version, _ := strings.Cut(s, "|")
	return link{url: url, version: version}, true
}

// absolute reports whether s starts with a scheme: "http:", "urn:".
func absolute(s string) bool {
	i := strings.IndexAny(s, ":/")
	return i > 0 && s[i] == ':'
}

// relative reads Type/id or Type/id/_history/version.
func relative(s string) (key fhir.Key, version string, ok bool) {
	if base, v, found := cutHistory(s); found {
		s, version = base, v
	}
	typ, id, found := strings.Cut(s, "/")
	if !found || !fhir.ValidID(id) || !resource.KnownType(typ) {
		return fhir.Key{}, "", false
	}
	return fhir.Key{Type: typ, ID: id}, version, true
}

func cutHistory(s string) (base, version string, ok bool) {
	const history = "/_history/"
	i := strings.LastIndex(s, history)
	if i < 0 || !fhir.ValidID(s[i+len(history):]) {
		return s, "", false
	}
	return s[:i], s[i+len(history):], true
}

// targetType returns the type a reference points at, or "": from its literal,
// from the contained resource it names, or from Reference.type.
func targetType(root, n *resource.Node) string {
	literal := n.Str("reference")
	if id, ok := strings.CutPrefix(literal, "#"); ok {
		for i, list := 0, root.List("contained"); i < len(list); i++ {
			if list[i].Str("id") == id {
				return list[i].Str("resourceType")
			}
		}
		return ""
	}
	base, _, _ := cutHistory(literal)
	if i := strings.LastIndexByte(base, '/'); i > 0 {
		typ := base[strings.LastIndexByte(base[:i], '/')+1 : i]
		if resource.KnownType(typ) {
			return typ
		}
	}
	return n.Str("type")
}

// indexReference adds the entries of a reference parameter.
func indexReference(x *extraction, p *Param, typ string, n *resource.Node) {
	switch typ {
	case "Reference":
		if l, ok := linkOf(typ, n); ok {
			x.link(p, l)
		}
		if id := n.Get("identifier"); id != nil && id.Str("value") != "" {
			v := appendText(x.value(classReferenceIdentifier), id.Str("system"), maxCodeText)
			x.add(p, appendText(v, id.Str("value"), maxCodeText))
		}
	case "Resource": // Bundle.composition and Bundle.message point at an entry
		if key := (fhir.Key{Type: n.Str("resourceType"), ID: n.Str("id")}); fhir.ValidID(key.ID) {
			x.link(p, link{key: key})
		}
	default: // canonical, uri
		if l, ok := linkOf(typ, n); ok {
			x.link(p, l)
		}
	}
}

// linkOf reads what an element of a type refers to literally.
func linkOf(typ string, n *resource.Node) (link, bool) {
	switch {
	case typ == "Reference":
		return parseLink(n.Str("reference"))
	case n.Kind == resource.String: // canonical, uri
		return parseLink(n.Text)
	}
	return link{}, false
}

func (x *extraction) link(p *Param, l link) {
	if x.base != "" {
		// What is below our own base is found in both its forms.
		if rest, ok := strings.CutPrefix(l.url, x.base); ok {
			if key, _, ok := relative(rest); ok {
				x.link(p, link{key: key, version: l.version})
			}
		}
	}
	if p.compartment && l.key.Type == "Patient" {
		x.patient(l.key.ID)
	}
	x.add(p, l.appendAny(x.value))
	if l.version != "" {
		x.add(p, l.appendVersion(x.value))
	}
}

// appendAny makes the value that finds l whatever the version.
func (l link) appendAny(value func(class byte) []byte) []byte {
	if l.url == "" {
		return appendText(appendText(value(classReference), l.key.Type, maxCodeText), l.key.ID, maxCodeText)
	}
	return appendText(value(classReferenceURL), l.url, maxURIText)
}

// appendVersion makes the value that finds this version of l.
func (l link) appendVersion(value func(class byte) []byte) []byte {
	if l.url == "" {
		v := appendText(appendText(value(classReferenceVersion), l.key.Type, maxCodeText), l.key.ID, maxCodeText)
		return appendText(v, l.version, maxVersionText)
	}
	v := appendText(value(classReferenceURLVersion), l.url, maxURIText-maxVersionText)
	return appendText(v, l.version, maxVersionText)
}

// referenceRanges reads a value of a reference search: Type/id, id, an absolute
// URL or a canonical, with or without a version. base is our own address: what
// starts with it is the same as the relative reference.
func referenceRanges(params []*Param, text, base string) ([]Range, error) {
	if l, ok := localLink(text, base); ok {
		return ownRanges(l, base), nil
	}
	l, ok := parseLink(text)
	anyText := canBeURL(params)
	if !ok || !absolute(text) && !fhir.ValidID(text) && !anyText {
		return nil, fhir.Errorf(fhir.Invalid, "%q is not a reference: write Type/id with a type that exists, id or a URL", fhir.Clip(text))
	}
	var out []Range
	if absolute(text) || anyText {
		out = append(out, l.exact())
	}
	if !fhir.ValidID(text) {
		return out, nil
	}
	for _, typ := range targets(params) {
		out = append(out, ownRanges(link{key: fhir.Key{Type: typ, ID: text}}, base)...)
	}
	return out, nil
}

// localLink reads a reference to a resource of ours.
func localLink(text, base string) (link, bool) {
	if base != "" {
		if rest, ok := strings.CutPrefix(text, base+"/"); ok {
			text = rest
		}
	}
	key, version, ok := relative(text)
	return link{key: key, version: version}, ok
}

// exact selects what l names: any version unless it names one.
func (l link) exact() Range {
	value := func(class byte) []byte { return []byte{class} }
	if l.version != "" {
		return exactly(l.appendVersion(value))
	}
	return exactly(l.appendAny(value))
}

// canBeURL reports whether a parameter looks at canonical or uri elements,
// which may hold any text.
func canBeURL(params []*Param) bool {
	for _, p := range params {
		if p.has("canonical") || p.has("uri") {
			return true
		}
	}
	return false
}

// targets returns the types that any of params may point at.
func targets(params []*Param) []string {
	var out []string
	for _, p := range params {
		if len(p.Targets) == 0 {
			return resource.Types()
		}
		out = append(out, p.Targets...)
	}
	return unique(out)
}

// typedRanges reads a value of a reference search with the name of a type as its
// modifier: Observation?subject:Patient=23 is subject=Patient/23. What the
// reference says of its type counts, so a URL must say it too.
//
// https://hl7.org/fhir/R4/search.html#reference
func typedRanges(params []*Param, typ, text, base string) ([]Range, error) {
	if fhir.ValidID(text) {
		return referenceRanges(params, typ+"/"+text, base)
	}
	n := resource.Node{Kind: resource.Object, Fields: []resource.Field{{Name: "reference", Node: resource.Text(text)}}}
	if l, ok := localLink(text, base); ok && l.key.Type != typ || !ok && targetType(&n, &n) != typ {
		return nil, fhir.Errorf(fhir.Invalid, "%q is not a reference to a %s: with :%s write its id", fhir.Clip(text), typ, typ)
	}
	return referenceRanges(params, text, base)
}

// identifierRanges reads a value of :identifier: a token search on
// Reference.identifier. https://hl7.org/fhir/R4/search.html#reference
func identifierRanges(_ *parser, _ []*Param, value string) ([]Range, error) {
	parts := splitParts(value)
	all := []byte{classReferenceIdentifier}
	switch {
	case len(parts) > 2 || len(parts) == 2 && parts[0] == "" && parts[1] == "":
		return nil, fhir.Errorf(fhir.Invalid, "an identifier is written value, system|value, |value or system|, not %q", fhir.Clip(value))
	case len(parts) == 2 && parts[1] == "":
		return []Range{prefixed(appendText(all, parts[0], maxCodeText))}, nil
	case len(parts) == 2:
		return []Range{exactly(appendText(appendText(all, parts[0], maxCodeText), parts[1], maxCodeText))}, nil
	}
	// Whatever the system: only the whole class has them all.
	want := appendText(nil, parts[0], maxCodeText)
	r := prefixed(all)
	r.Keep = func(entry []byte) bool {
		_, value := cutText(entry[1:])
		return bytes.Equal(value, want)
	}
	return []Range{r}, nil
}

// referenceHierarchy reads a value of :above or :below of a reference: to a
// resource, which its type's parameter for the parent puts into a hierarchy, or
// to a canonical with the beginning of a version.
//
// https://hl7.org/fhir/R4/search.html#recursive
func (p *parser) referenceHierarchy(params []*Param, text string, above bool) ([]Range, error) {
	l, local := localLink(text, p.opts.Base)
	if !local && fhir.ValidID(text) && hasLiterals(params) {
		types := targets(params)
		if len(types) != 1 {
			return nil, fhir.Errorf(fhir.Invalid, "%q can be of several types: write Type/id", fhir.Clip(text))
		}
		l, local = link{key: fhir.Key{Type: types[0], ID: text}}, true
	}
	if !local {
		return canonicalRanges(params, text, above)
	}
	look, err := p.lookup()
	if err != nil {
		return nil, err
	}
	keys, err := look.Hierarchy(l.key, above)
	if err != nil {
		return nil, err
	}
	if len(keys) > MaxRanges/2 {
		return nil, fhir.Errorf(fhir.TooLarge, "the hierarchy of %s has more than %d resources", l.key, MaxRanges/2)
	}
	var out []Range
	for _, key := range keys {
		out = append(out, ownRanges(link{key: key}, p.opts.Base)...)
	}
	return out, nil
}

// canonicalRanges selects the references to a canonical whose version begins with
// the one asked for, whole parts of it; above is the reverse.
//
// https://hl7.org/fhir/R4/references.html#canonical
func canonicalRanges(params []*Param, text string, above bool) ([]Range, error) {
	if !canBeURL(params) || !absolute(text) {
		return nil, fhir.Errorf(fhir.Invalid, "%q is not a reference to a resource of this server, which alone can have others above or below it: write Type/id", fhir.Clip(text))
	}
	url, version, _ := strings.Cut(text, "|")
	switch {
	case version == "":
		return []Range{link{url: url}.exact()}, nil
	case len(version) > maxVersionText-hashText-1:
		return nil, fhir.Errorf(fhir.Invalid, "the version is longer than %d bytes", maxVersionText-hashText-1)
	}
	out := []Range{link{url: url, version: version}.exact()}
	if above {
		for i := len(version) - 1; i > 0; i-- {
			if version[i] == '.' || version[i] == '-' {
				out = append(out, link{url: url, version: version[:i]}.exact())
			}
		}
		return out, nil
	}
	for _, next := range []string{".", "-"} {
		from := link{url: url, version: version + next}.exact().From
		out = append(out, prefixed(from[:len(from)-1])) // without the end of the text
	}
	return out, nil
}

// ownRanges selects a reference to a resource of ours, relative or below base.
func ownRanges(l link, base string) []Range {
	if base == "" {
		return []Range{l.exact()}
	}
	return []Range{l.exact(), link{url: base + "/" + l.key.String(), version: l.version}.exact()}
}
