package rest

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// view says how much of a resource an answer shows. The zero view is all of it.
type view struct {
	summary  string   // "true", "text" or "data"; else everything
	elements []string // names of top-level elements; empty means all
}

// whole reports whether the view leaves nothing out.
func (v view) whole() bool {
	return len(v.elements) == 0 && (v.summary == "" || v.summary == "false" || v.summary == "count")
}

// viewParameter reads one of the parameters that say how much to show, outside of
// searches, where package search reads them; ok is false for other names.
//
// https://hl7.org/fhir/R4/http.html#parameters
func (v *view) parameter(name, value string) (ok bool, err error) {
	switch name {
	case "_elements":
		v.elements = append(v.elements, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
	case "_summary":
		switch value {
		case "true", "text", "data", "false":
			v.summary = value
		case "count":
			return true, fhir.Errorf(fhir.Invalid, "_summary=count is for searches; here it is one of true, text, data, false")
		default:
			return true, fhir.Errorf(fhir.Invalid, "_summary: %q is not one of true, text, data, false", fhir.Clip(value))
		}
	default:
		return false, nil
	}
	return true, nil
}

// readView reads the parameters of a read: it knows _elements, _format, _pretty
// and _summary.
func (s *Server) readView(rawQuery, typ string) (view, error) {
	if rawQuery == "" {
		return view{}, nil
	}
	query, err := queryValues(rawQuery)
	if err != nil {
		return view{}, err
	}
	var v view
	for name, values := range query {
		if name == "_format" || name == "_pretty" {
			continue
		}
		for _, value := range values {
			switch ok, err := v.parameter(name, value); {
			case err != nil:
				return view{}, err
			case !ok:
				return view{}, fhir.Errorf(fhir.Invalid, "unknown parameter %q; a read knows _elements, _format, _pretty and _summary", fhir.Clip(name))
			}
		}
	}
	return v, s.checkElements([]string{typ}, v.elements)
}

// elementOf cuts "Type.name.deeper" into the type, "" if there is none, and the
// top-level element: only those are cut out, a deeper path keeps its root.
func elementOf(name string) (typ, element string) {
	if head, rest, ok := strings.Cut(name, "."); ok && resource.KnownType(head) {
		typ, name = head, rest
	}
	element, _, _ = strings.Cut(name, ".")
	return typ, element
}

// checkElements returns an error for a name that is an element of none of the
// types. No types means any: then only names that say their type are checked.
func (s *Server) checkElements(types, elements []string) error {
	for _, name := range elements {
		typ, element := elementOf(name)
		among := types
		if typ != "" {
			among = []string{typ}
		}
		known := len(among) == 0
		for _, typ := range among {
			_, plain := s.schema.Element(typ + "." + element)
			_, choice := s.schema.Element(typ + "." + element + "[x]")
			known = known || plain || choice || element == "resourceType"
		}
		if !known {
			return fhir.Errorf(fhir.Invalid, "_elements: %s has no element %q; it has %s",
				strings.Join(among, " or "), fhir.Clip(name), strings.Join(s.elementNames(among[0]), ", "))
		}
	}
	return nil
}

// elementNames lists the top-level elements of a type.
func (s *Server) elementNames(typ string) []string {
	root, ok := s.schema.Element(typ)
	if !ok {
		return nil
	}
	var names []string
	for _, child := range s.schema.Children(root) {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(child.Path, typ+"."), "[x]"))
	}
	return names
}

// show returns what a view leaves of a resource, marked as incomplete. What is
// found beside what was asked for, such as included resources, is not ours: of
// elements only those that name its type count for it.
//
// https://hl7.org/fhir/R4/search.html#summary and #elements
func (s *Server) show(v view, json []byte, ours bool) ([]byte, error) {
	if v.whole() {
		return json, nil
	}
	root, err := resource.Decode(json)
	if err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
	}
	return s.showTree(v, root, ours, json), nil
}

// showTree is show for a resource that is decoded already; root is changed. json
// is given back if the view concerns other types only.
func (s *Server) showTree(v view, root *resource.Node, ours bool, json []byte) []byte {
	typ := root.Str("resourceType")
	keep := s.summary(v.summary, typ)
	wanted := make(map[string]bool, len(v.elements))
	for _, name := range v.elements {
		if of, element := elementOf(name); of == typ || of == "" && ours {
			wanted[element] = true
		}
	}
	if keep == nil && len(wanted) == 0 {
		return json
	}
	if keep != nil {
		keep(root)
	}
	if len(wanted) > 0 {
		root.Fields = slices.DeleteFunc(root.Fields, func(f resource.Field) bool {
			name := strings.TrimPrefix(f.Name, "_")
			element, known := s.schema.Element(typ + "." + name)
			return !wanted[name] && !basic(name, element, known) && !(known && wanted[element.Choice()])
		})
	}
	markSubset(root)
	return root.JSON()
}

// basic says whether a part of a resource must have a top-level element: it says
// what the resource is, is mandatory, or can change the meaning of the others.
func basic(name string, element resource.Element, known bool) bool {
	switch name {
	case "resourceType", "id", "meta":
		return true
	}
	return known && (element.Min > 0 || element.Modifier)
}

// markSubset adds the tag that keeps clients from storing a part as the whole.
func markSubset(root *resource.Node) {
	const system, code = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED"
	meta := root.Get("meta")
	if meta == nil {
		root.Set("meta", resource.Node{Kind: resource.Object})
		meta = root.Get("meta")
	}
	tags := meta.List("tag")
	if slices.ContainsFunc(tags, func(tag resource.Node) bool { return tag.Str("system") == system && tag.Str("code") == code }) {
		return
	}
	tag := object(text("system", system), text("code", code))
	all := append(tags[:len(tags):len(tags)], tag)
	meta.Set("tag", resource.Node{Kind: resource.Array, Items: all})
}
