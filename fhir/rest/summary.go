package rest

import (
	"slices"
	"strings"
	"sync"

	"github.com/starling-fhir/starling/fhir/resource"
)

// summary returns what cuts a resource of a type down to one of R4's summaries;
// nil for those that leave nothing out.
//
// https://hl7.org/fhir/R4/search.html#summary
func (s *Server) summary(of, typ string) func(root *resource.Node) {
	switch of {
	case "true":
		return func(root *resource.Node) { s.outlines.of(s.schema, typ).cut(root) }
	case "data":
		return func(root *resource.Node) { root.Remove("text") }
	case "text":
		return func(root *resource.Node) {
			root.Fields = slices.DeleteFunc(root.Fields, func(f resource.Field) bool {
				name := strings.TrimPrefix(f.Name, "_")
				element, known := s.schema.Element(typ + "." + name)
				return name != "text" && !basic(name, element, known)
			})
		}
	}
	return nil
}

// outline is what a summary keeps below one element: each member by its JSON
// name, with what is kept of it in turn, or nil for all of it.
type outline struct {
	members map[string]*outline
}

// outlines are made when first asked for. They are safe for concurrent use.
type outlines struct {
	mu     sync.Mutex
	byPath map[string]*outline
}

// of returns the outline of a resource type.
func (o *outlines) of(schema *resource.Schema, typ string) *outline {
	o.mu.Lock()
	defer o.mu.Unlock()
	root, ok := schema.Element(typ)
	if !ok {
		return nil
	}
	if o.byPath == nil {
		o.byPath = make(map[string]*outline)
	}
	return o.below(schema, root)
}

// below makes the outline of an element's children; nil if it has none, or none
// that can be left out one by one. Of its members those count that R4 marks as
// part of summaries, and those a resource must have or that can change what
// others mean. An extension is shown whole or not at all.
//
// https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.isSummary
func (o *outlines) below(schema *resource.Schema, e resource.Element) *outline {
	at := e.Path
	switch {
	case e.Content != "":
		at = e.Content
	case len(e.Types) == 1 && e.Types[0].Name != "BackboneElement" && e.Types[0].Name != "Element":
		at = e.Types[0].Name
	}
	if at == "Extension" || at == "Meta" || at == "Resource" {
		return nil
	}
	if known, ok := o.byPath[at]; ok {
		return known
	}
	children := schema.Children(e)
	if len(children) == 0 {
		return nil
	}
	made := &outline{members: make(map[string]*outline, len(children))}
	o.byPath[at] = made // before its children, which may be like itself
	for _, child := range children {
		if !child.Summary && !child.Modifier && child.Min == 0 {
			continue
		}
		for _, of := range child.Named() {
			made.members[of.Name] = o.below(schema, of.Element)
		}
	}
	return made
}

// cut removes from an object what the outline does not have. Where nothing would
// be left it is shown whole: an empty object is no FHIR.
func (o *outline) cut(n *resource.Node) {
	if o == nil || n.Kind != resource.Object {
		return
	}
	left := 0
	for i := range n.Fields {
		if _, ok := o.members[strings.TrimPrefix(n.Fields[i].Name, "_")]; ok {
			left++
		}
	}
	if left == 0 {
		return
	}
	n.Fields = slices.DeleteFunc(n.Fields, func(f resource.Field) bool {
		_, ok := o.members[strings.TrimPrefix(f.Name, "_")]
		return !ok && f.Name != "resourceType"
	})
	for i := range n.Fields {
		f := &n.Fields[i]
		below, ok := o.members[f.Name]
		if !ok {
			continue
		}
		if f.Node.Kind != resource.Array {
			below.cut(&f.Node)
			continue
		}
		for j := range f.Node.Items {
			below.cut(&f.Node.Items[j])
		}
	}
}
