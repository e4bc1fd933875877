package resource

import (
	"github.com/starling-fhir/starling/fhir"
)

// Append appends n as compact JSON: members in their order, numbers as sent.
func (n *Node) Append(dst []byte) []byte {
	switch n.Kind {
	case Bool, Number:
		return append(dst, n.Text...)
	case String:
		return appendString(dst, n.Text)
	case Array:
		dst = append(dst, '[')
		for i := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = n.Items[i].Append(dst)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i := range n.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = n.Fields[i].append(dst)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func (f *Field) append(dst []byte) []byte {
	dst = appendString(dst, f.Name)
	dst = append(dst, ':')
	return f.Node.Append(dst)
}

func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		start = i + 1
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// NewBody lays out a resource for storing under an id: resourceType, id and
// meta first, then the other members in their order. versionId and lastUpdated
// of the sender are dropped; the store stamps its own.
func NewBody(root *Node, id string) fhir.Body {
	head := make([]byte, 0, 128)
	head = append(head, `{"resourceType":`...)
	head = appendString(head, root.Str("resourceType"))
	head = append(head, `,"id":`...)
	head = appendString(head, id)
	head = append(head, `,"meta":{`...)
	tail := make([]byte, 0, 1024)
	if meta := root.Get("meta"); meta != nil {
		for i := range meta.Fields {
			switch meta.Fields[i].Name {
			case "versionId", "lastUpdated", "_versionId", "_lastUpdated":
				continue
			}
			tail = append(tail, ',')
			tail = meta.Fields[i].append(tail)
		}
	}
	tail = append(tail, '}')
	for i := range root.Fields {
		switch root.Fields[i].Name {
		case "resourceType", "id", "meta":
			continue
		}
		tail = append(tail, ',')
		tail = root.Fields[i].append(tail)
	}
	tail = append(tail, '}')
	return fhir.Body{Head: head, Tail: tail}
}

// JSON returns n as compact JSON.
func (n *Node) JSON() []byte { return n.Append(nil) }
