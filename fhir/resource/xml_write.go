package resource

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// deeper is how much deeper than MaxDepth a resource may stand in an answer: in
// the entries of a Bundle or a parameter, in a Bundle.
const deeper = 16

// XML returns a resource, given as JSON of ours, as an XML document: elements in
// R4's order, numbers as written. indent lays it out for people; a narrative
// stays as it is. The entries of a Bundle are taken one after the other, so that
// a large one needs no tree of the whole.
//
// The error is NotAcceptable for what XML cannot hold, Internal for what is no
// R4 resource.
func XML(json []byte, indent bool) ([]byte, error) {
	all, err := shapes()
	if err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "the embedded definitions are broken")
	}
	w := xmlWriter{shapes: all, indent: indent, out: make([]byte, 0, len(json)+len(json)/4+128)}
	w.out = append(w.out, `<?xml version="1.0" encoding="UTF-8"?>`...)
	d := decoder{data: string(json), deepest: MaxDepth + deeper}
	root, entries, err := d.bundle(func(n *Node) { w.entry(n) })
	if err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "an answer cannot be written as XML")
	}
	if entries {
		// What has been written are the entries: they go where their place is.
		entry := w.out
		w.out = append(make([]byte, 0, len(entry)+4096), entry[:len(`<?xml version="1.0" encoding="UTF-8"?>`)]...)
		w.entries = entry[len(w.out):]
	}
	w.resource(&root, 0)
	if w.indent {
		w.out = append(w.out, '\n')
	}
	return w.out, w.err
}

// bundle reads a resource. If it is a Bundle whose entries stand behind its
// resourceType, each entry is given to do instead of being kept.
func (d *decoder) bundle(do func(*Node)) (root Node, entries bool, err error) {
	d.space()
	typ, isBundle := `{"resourceType":"Bundle"`, false
	if isBundle = strings.HasPrefix(d.data[d.pos:], typ); isBundle {
		d.each = do
	}
	root, err = d.value(0)
	if err == nil {
		if d.space(); d.pos < len(d.data) {
			err = d.fail("text after the end of the JSON value")
		}
	}
	return root, isBundle && root.Get("entry") != nil, err
}

// xmlWriter writes a tree as XML.
type xmlWriter struct {
	out     []byte
	shapes  map[string]*shape
	indent  bool
	order   []ordered // of the objects being written, nested ones behind
	entries []byte    // of the Bundle, written already
	err     error     // the first
}

// ordered is a field of an object in the order of XML.
type ordered struct {
	member *member
	under  bool // "_name"
	node   *Node
}

// fail notes that the tree is no R4 resource.
func (w *xmlWriter) fail(what string) {
	if w.err == nil {
		w.err = fhir.Errorf(fhir.Internal, "an answer cannot be written as XML: %s", what)
	}
}

// line begins a line at a depth.
func (w *xmlWriter) line(depth int) {
	if !w.indent {
		return
	}
	w.out = append(w.out, '\n')
	for range depth {
		w.out = append(w.out, ' ', ' ')
	}
}

// entry writes an entry of the Bundle that is the root.
func (w *xmlWriter) entry(n *Node) {
	w.object("entry", w.shapes["Bundle.entry"], n, nil, 1)
}

// resource writes a resource. Depth 0 is the root.
func (w *xmlWriter) resource(n *Node, depth int) {
	name := n.Str("resourceType")
	sh := w.shapes[name]
	if sh == nil || !sh.resource {
		w.fail("it is no R4 resource")
		return
	}
	w.line(depth)
	w.out = append(append(w.out, '<'), name...)
	if depth == 0 {
		w.out = append(w.out, ` xmlns="`+fhirNamespace+`"`...)
	}
	w.children(name, sh, n, depth)
}

// object writes an element with what is in an object. value is the value of a
// primitive, whose id and extensions n holds; n is nil if there are none.
func (w *xmlWriter) object(name string, sh *shape, n, value *Node, depth int) {
	w.line(depth)
	w.out = append(append(w.out, '<'), name...)
	if n == nil || n.Kind == Null {
		w.attribute("value", value)
		w.out = append(w.out, '/', '>')
		return
	}
	if n.Kind != Object {
		w.fail(name + " is no object")
		return
	}
	for i := range n.Fields {
		if m := sh.members[n.Fields[i].Name]; m != nil && sh.xmlAttribute(m) {
			w.attribute(m.name, &n.Fields[i].Node)
		}
	}
	if value != nil {
		w.attribute("value", value)
	}
	w.children(name, sh, n, depth)
}

// attribute writes an attribute.
func (w *xmlWriter) attribute(name string, value *Node) {
	switch value.Kind {
	case String, Number, Bool:
	default:
		w.fail(name + " is no primitive")
		return
	}
	if xmlText(value.Text) >= 0 && w.err == nil {
		w.err = notXML("a text of this resource")
	}
	w.out = append(append(append(w.out, ' '), name...), '=', '"')
	w.out = append(appendXMLEscaped(w.out, value.Text, true), '"')
}

// children writes the elements of an object behind its open start tag, and ends
// it.
func (w *xmlWriter) children(name string, sh *shape, n *Node, depth int) {
	base := len(w.order)
	sorted := true
	for i := range n.Fields {
		f := &n.Fields[i]
		if f.Name == "resourceType" && sh.resource {
			continue
		}
		bare, under := strings.CutPrefix(f.Name, "_")
		m := sh.members[bare]
		if m == nil {
			w.fail(sh.path + " has no such element")
			return
		}
		if sh.xmlAttribute(m) {
			continue
		}
		if last := len(w.order) - 1; last >= base && w.order[last].member.bit > m.bit {
			sorted = false
		}
		w.order = append(w.order, ordered{m, under, &f.Node})
	}
	list := w.order[base:]
	if len(list) == 0 {
		w.out = append(w.out, '/', '>')
		return
	}
	if !sorted {
		slices.SortStableFunc(list, func(a, b ordered) int { return a.member.bit - b.member.bit })
	}
	w.out = append(w.out, '>')
	for i := 0; i < len(list); i++ {
		m := list[i].member
		if m.primitive == nil {
			w.complex(m, list[i].node, depth+1)
			continue
		}
		var value, twin *Node
		for j := i; j < len(list) && list[j].member == m; j++ {
			if list[j].under {
				twin = list[j].node
			} else {
				value = list[j].node
			}
			i = j
		}
		w.primitive(m, value, twin, depth+1)
	}
	w.order = w.order[:base]
	w.line(depth)
	w.out = append(append(append(w.out, '<', '/'), name...), '>')
}

// complex writes the elements of a member that is no primitive.
func (w *xmlWriter) complex(m *member, n *Node, depth int) {
	if depth == 1 && m.name == "entry" && w.entries != nil && len(n.Items) == 0 {
		w.out = append(w.out, w.entries...)
		return
	}
	items := []Node{*n}
	if m.repeats {
		items = n.Items
	}
	for i := range items {
		if !m.nested {
			w.object(m.name, m.shape, &items[i], nil, depth)
			continue
		}
		w.line(depth)
		w.out = append(append(append(w.out, '<'), m.name...), '>')
		w.resource(&items[i], depth+1)
		w.line(depth)
		w.out = append(append(append(w.out, '<', '/'), m.name...), '>')
	}
}

// primitive writes the elements of a primitive member. Both halves may be nil.
func (w *xmlWriter) primitive(m *member, value, twin *Node, depth int) {
	if m.xhtml() {
		text := ""
		if value != nil {
			text = value.Text
		}
		div, ok := divXML(text)
		if !ok {
			if w.err == nil {
				w.err = notXML("the narrative of this resource")
			}
			return
		}
		w.line(depth)
		w.out = append(w.out, strings.Trim(div, " \t\r\n")...)
		return
	}
	count := 1
	at := func(n *Node, _ int) *Node { return n }
	if m.repeats {
		count = 0
		for _, half := range []*Node{value, twin} {
			if half != nil {
				count = max(count, len(half.Items))
			}
		}
		at = func(n *Node, i int) *Node {
			if n == nil || i >= len(n.Items) {
				return nil
			}
			return &n.Items[i]
		}
	}
	for i := range count {
		v, t := at(value, i), at(twin, i)
		if v != nil && v.Kind == Null {
			v = nil
		}
		if v == nil && (t == nil || t.Kind == Null) {
			w.fail(m.name + " has neither a value nor extensions")
			return
		}
		w.object(m.name, w.shapes["Element"], t, v, depth)
	}
}
