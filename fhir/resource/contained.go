package resource

import "github.com/starling-fhir/starling/fhir"

// localUse is a use of "#id".
type localUse struct {
	id     string
	inside *Node // the contained resource that the use is in, nil outside of any
}

// containedResource checks an entry of contained.
//
// https://hl7.org/fhir/R4/references.html#contained
func (c *checker) containedResource(n *Node) {
	if c.inside != nil {
		c.add("invariant", "a contained resource must not contain another one (dom-2)")
		return
	}
	sh := c.typeOf(n)
	if sh == nil {
		return
	}
	id := n.Get("id")
	if id == nil {
		c.add("required", "a contained resource needs an id")
	} else if first := c.local(id.Text); first != nil && first != n {
		c.add("duplicate", "another contained resource has the id "+quote(id.Text))
	}
	meta := n.Get("meta")
	if meta.Get("versionId") != nil || meta.Get("lastUpdated") != nil {
		c.add("invariant", "a contained resource must not have meta.versionId or meta.lastUpdated (dom-4)")
	}
	if meta.Get("security") != nil {
		c.add("invariant", "a contained resource must not have meta.security (dom-5)")
	}
	c.inside = n
	c.traceShape(sh)
	c.object(sh, n, nil)
	c.inside = nil
}

// local returns the first contained resource with an id, or nil.
func (c *checker) local(id string) *Node {
	for i := range c.contained {
		if other := c.contained[i].Get("id"); other != nil && other.Kind == String && other.Text == id {
			return &c.contained[i]
		}
	}
	return nil
}

// unusedContained reports contained resources that nothing refers to and that
// do not refer to their container either (dom-3).
func (c *checker) unusedContained() {
	for i := range c.contained {
		n := &c.contained[i]
		id := n.Str("id")
		if id == "" || c.local(id) != n || c.shapes[n.Str("resourceType")] == nil {
			continue // reported
		}
		used := false
		for _, use := range c.uses {
			used = used || use.id == id || use.id == "" && use.inside == n
		}
		if used {
			continue
		}
		c.place = append(c.place, step{"contained", c.root.index("contained"), i})
		c.add("invariant", "nothing in the resource refers to #"+fhir.Clip(id)+" (dom-3)")
		c.place = c.place[:len(c.place)-1]
	}
}

// reference checks a Reference: that it says something, that its text is well
// formed, that a contained target exists, and that the target's type is
// allowed.
//
// https://hl7.org/fhir/R4/references.html
func (c *checker) reference(m *member, n *Node) {
	text := n.Get("reference")
	if text == nil && n.Get("identifier") == nil && n.Get("display") == nil &&
		n.Get("extension") == nil && n.Get("_reference") == nil && n.Get("_display") == nil {
		c.add("invariant", "a reference needs at least one of reference, identifier and display")
		return
	}
	declared := n.Str("type")
	if !KnownType(declared) {
		declared = "" // a logical model's URL; nothing is known about it
	}
	if problem := targetProblem(declared, m.targets); problem != "" {
		c.at("type", n.index("type"), "value", problem)
		return
	}
	if text == nil || text.Kind != String || text.Text == "" {
		return
	}
	kind, typ, problem := parseReference(text.Text)
	if kind == referenceLocal {
		typ, problem = c.localTarget(text.Text[1:])
	}
	if problem == "" {
		problem = targetProblem(typ, m.targets)
	}
	if problem == "" && declared != "" && typ != "" && typ != declared {
		problem = "refers to the type " + typ + ", but type says " + declared
	}
	if problem != "" {
		c.at("reference", n.index("reference"), "value", quote(text.Text)+" "+problem)
	}
}

// localTarget returns the type of what "#id" points at.
func (c *checker) localTarget(id string) (typ, problem string) {
	c.uses = append(c.uses, localUse{id, c.inside})
	if id == "" && c.inside != nil {
		return c.root.Str("resourceType"), ""
	}
	target := c.local(id)
	if target == nil {
		return "", "points at a contained resource that is not there (ref-1)"
	}
	return target.Str("resourceType"), ""
}

// index returns where the member called name stands in n; len(n.Fields) if it is
// not there.
func (n *Node) index(name string) int {
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return i
		}
	}
	return len(n.Fields)
}
