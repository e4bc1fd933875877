package rest

import (
	"net/url"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// readElements reads the parameters of a read: it knows _elements, _format and
// _pretty, and _summary=false, which changes nothing.
func (s *Server) readElements(rawQuery string) ([]string, error) {
	if rawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, fhir.Errorf(fhir.Invalid, "the query of the URL has a broken %%-escape")
	}
	var elements []string
	for name, values := range query {
		switch name {
		case "_format", "_pretty":
		case "_elements":
			for _, value := range values {
				elements = append(elements, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
			}
		case "_summary":
			if values[0] != "false" {
				return nil, fhir.Errorf(fhir.NotSupported, "_summary=%s is not supported on a read; use _elements", fhir.Clip(values[0]))
			}
		default:
			return nil, fhir.Errorf(fhir.Invalid, "unknown parameter %q; a read knows _elements, _format, _pretty and _summary", fhir.Clip(name))
		}
	}
	return elements, nil
}

// checkElements returns an error for a name that is an element of none of the
// types. No types means any: then nothing is checked.
func (s *Server) checkElements(types, elements []string) error {
	for _, name := range elements {
		known := len(types) == 0
		for _, typ := range types {
			top, _, _ := strings.Cut(strings.TrimPrefix(name, typ+"."), ".")
			_, plain := s.schema.Element(typ + "." + top)
			_, choice := s.schema.Element(typ + "." + top + "[x]")
			known = known || plain || choice || top == "resourceType"
		}
		if !known {
			return fhir.Errorf(fhir.Invalid, "_elements: %s has no element %q; it has %s",
				strings.Join(types, " or "), fhir.Clip(name), strings.Join(s.elementNames(types[0]), ", "))
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

// subset returns a resource with only the elements asked for and those that
// must be there, marked as incomplete.
//
// https://hl7.org/fhir/R4/search.html#elements
func (s *Server) subset(json []byte, elements []string) ([]byte, error) {
	root, err := resource.Decode(json)
	if err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
	}
	typ := root.Str("resourceType")
	wanted := make(map[string]bool, len(elements))
	for _, name := range elements {
		name = strings.TrimPrefix(name, typ+".")
		// Only top-level elements are cut out; a deeper path keeps its root.
		name, _, _ = strings.Cut(name, ".")
		wanted[name] = true
	}
	kept := root.Fields[:0]
	for _, f := range root.Fields {
		name := strings.TrimPrefix(f.Name, "_")
		keep := wanted[name] || name == "resourceType" || name == "id" || name == "meta" || name == "implicitRules" || name == "modifierExtension"
		if !keep {
			element, known := s.schema.Element(typ + "." + name)
			keep = known && (element.Min > 0 || wanted[element.Choice()])
		}
		if keep {
			kept = append(kept, f)
		}
	}
	root.Fields = kept
	markSubset(root)
	return root.JSON(), nil
}

// markSubset adds the tag that keeps clients from storing a part as the whole.
func markSubset(root *resource.Node) {
	tag := resource.Node{Kind: resource.Object, Fields: []resource.Field{
		{Name: "system", Node: resource.Text("http://terminology.hl7.org/CodeSystem/v3-ObservationValue")},
		{Name: "code", Node: resource.Text("SUBSETTED")},
	}}
	meta := root.Get("meta")
	if meta == nil {
		root.Set("meta", resource.Node{Kind: resource.Object})
		meta = root.Get("meta")
	}
	tags := meta.List("tag")
	all := append(tags[:len(tags):len(tags)], tag)
	meta.Set("tag", resource.Node{Kind: resource.Array, Items: all})
}
