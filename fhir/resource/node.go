// Package resource turns JSON into a tree and back, and decides whether a tree
// is a valid R4 resource. It is the only importer of google/fhir's jsonformat,
// and knows neither HTTP nor any store.
//
// The tree keeps what the sender wrote: member order, the exact text of
// numbers. One decode serves the gate, index extraction and patches. Start
// with [Decode], [Gate.Check] and [NewBody].
//
// What R4 says about elements is a table ([Schema], made from HL7's package),
// compiled to shapes (shape.go) that one walk follows (check.go). The walk
// checks:
//
//   - members: unknown, misspelt, wrong JSON type, missing, empty, null, two
//     types of one choice (check.go);
//   - primitives: their formats, dates that exist (primitive.go, moment.go);
//   - codes of required bindings, in the right case, also in Codings and
//     CodeableConcepts;
//   - references: their form, the type of their target, contained resources
//     (reference.go, contained.go);
//   - narratives: well-formed, no scripts (narrative.go);
//   - invariants, as a table (rules.go).
//
// Then jsonformat reads the resource as a second opinion, once for each
// structure ([Gate], trace.go). Not checked: profiles, slices, extensible and
// weaker bindings, codes of systems that R4 does not list, and what only the
// store knows, such as whether the target of a reference exists.
package resource

// NodeKind is the JSON type of a Node.
type NodeKind uint8

// The JSON types.
const (
	Null NodeKind = iota
	Bool
	Number
	String
	Array
	Object
)

// Node is one JSON value. The zero Node is null.
type Node struct {
	Kind NodeKind
	// Text is the decoded text of a String, the literal of a Number as sent,
	// and "true" or "false" for a Bool.
	Text   string
	Fields []Field // of an Object, in the order sent
	Items  []Node  // of an Array
}

// Field is one member of an Object.
type Field struct {
	Name string
	Node Node
}

// Get returns the member called name, or nil if n is nil, not an Object or has
// no such member. The pointer is into n: writing through it changes n.
func (n *Node) Get(name string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return &n.Fields[i].Node
		}
	}
	return nil
}

// Path follows names through Objects; nil if one is missing.
func (n *Node) Path(names ...string) *Node {
	for _, name := range names {
		n = n.Get(name)
	}
	return n
}

// Str returns the text of a String member, or "".
func (n *Node) Str(name string) string {
	if m := n.Get(name); m != nil && m.Kind == String {
		return m.Text
	}
	return ""
}

// Each returns the elements of an Array, n itself as the only element if it is
// another non-null value, and nothing if n is nil or null. Readers of foreign
// data use it where senders confuse one value with a list of one.
func (n *Node) Each() []Node {
	switch {
	case n == nil || n.Kind == Null:
		return nil
	case n.Kind == Array:
		return n.Items
	}
	return []Node{*n}
}

// List returns the elements of the member called name, as [Node.Each] does.
func (n *Node) List(name string) []Node { return n.Get(name).Each() }

// Set replaces the member called name, or appends it. n must be an Object.
func (n *Node) Set(name string, value Node) {
	if m := n.Get(name); m != nil {
		*m = value
		return
	}
	n.Fields = append(n.Fields, Field{name, value})
}

// Remove deletes the member called name, if there is one.
func (n *Node) Remove(name string) {
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			n.Fields = append(n.Fields[:i], n.Fields[i+1:]...)
			return
		}
	}
}

// Text returns a String node.
func Text(s string) Node { return Node{Kind: String, Text: s} }
