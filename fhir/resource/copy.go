package resource

import "strings"

// copyDirective says how the copy of a resource that jsonformat reads differs
// from the tree. Only what the walk has checked in full, and jsonformat would
// refuse although R4 allows it, is changed:
//
//   - null in a list of primitives (jsonformat with json-iterator v1.1.11 or
//     later refuses it) becomes {} or a sibling's value;
//   - leap seconds become second 59;
//   - decimals with exponents or many digits become 1;
//   - canonical URLs that no URI reader can read lose their version;
//   - base64 with line breaks and narratives become short ones;
//   - resources inside a Bundle or Parameters are left out, because each is
//     checked by itself.
//
// The tree itself, and so what is stored, is never changed.
type copyDirective struct {
	nulls    bool
	replaced map[*Node]string
	dropped  map[*Node]bool
}

func (d *copyDirective) replace(n *Node, text string) {
	if d.replaced == nil {
		d.replaced = make(map[*Node]string)
	}
	d.replaced[n] = text
}

func (d *copyDirective) drop(n *Node) {
	if d.dropped == nil {
		d.dropped = make(map[*Node]bool)
	}
	d.dropped[n] = true
}

// differs reports whether the copy is not simply the resource.
func (d *copyDirective) differs() bool { return d.nulls || d.replaced != nil || d.dropped != nil }

// append appends the copy of n to dst.
func (d *copyDirective) append(dst []byte, n *Node) []byte { return d.value(dst, n, false) }

func (d *copyDirective) value(dst []byte, n *Node, under bool) []byte {
	switch n.Kind {
	case Object:
		return d.object(dst, n)
	case Array:
		return d.array(dst, n, under)
	case String:
		if text, ok := d.replaced[n]; ok {
			return appendString(dst, text)
		}
	case Number:
		if text, ok := d.replaced[n]; ok {
			return append(dst, text...)
		}
	}
	return n.Append(dst)
}

func (d *copyDirective) object(dst []byte, n *Node) []byte {
	dst = append(dst, '{')
	first := true
	for i := range n.Fields {
		f := &n.Fields[i]
		under := strings.HasPrefix(f.Name, "_")
		if d.dropped[&f.Node] || f.Node.Kind == Array && !under && allNull(f.Node.Items) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendString(dst, f.Name), ':')
		dst = d.value(dst, &f.Node, under)
	}
	return append(dst, '}')
}

func (d *copyDirective) array(dst []byte, n *Node, under bool) []byte {
	dst = append(dst, '[')
	for i := range n.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		item := &n.Items[i]
		if item.Kind == Null && under {
			dst = append(dst, '{', '}')
			continue
		}
		if item.Kind == Null {
			item = firstValue(n.Items)
		}
		dst = d.value(dst, item, false)
	}
	return append(dst, ']')
}

func allNull(items []Node) bool { return len(items) > 0 && firstValue(items) == nil }

// firstValue returns the first item that is not null, or nil.
func firstValue(items []Node) *Node {
	for i := range items {
		if items[i].Kind != Null {
			return &items[i]
		}
	}
	return nil
}
