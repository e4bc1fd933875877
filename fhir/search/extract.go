package search

import (
	"bytes"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// maxEntries is the most index entries a resource may have.
const maxEntries = 20_000

// walker takes a tree's nodes to the parameters that want them.
type walker struct {
	root  *resource.Node
	visit func(l *leaf, n *resource.Node)
}

// walk visits what t wants of n, which is the index-th element of its list.
func (w *walker) walk(n *resource.Node, index int, t *trie) {
	switch n.Kind {
	case resource.Null:
		return
	case resource.Array:
		for i := range n.Items {
			w.walk(&n.Items[i], i, t)
		}
		return
	}
	for _, l := range t.leaves {
		w.visit(l, n)
	}
	for i := range t.guards {
		if g := &t.guards[i]; g.pass(w.root, n, index) {
			w.walk(n, index, g.next)
		}
	}
	if len(t.branches) == 0 {
		return
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		for j := range t.branches {
			if t.branches[j].name == f.Name {
				w.walk(&f.Node, 0, t.branches[j].next)
				break
			}
		}
	}
}

// extraction gathers the entries of one resource.
type extraction struct {
	root     *resource.Node
	base     string // of references to ourselves, see Registry.WithBase
	entries  []Entry
	order    []uint64 // of each entry: its parameter's rank and its index
	patients []string
	tooMany  bool
	used     int // entries of the same resource in other extractions

	arena []byte // what values are cut from
}

const arenaSize = 3072

// value starts a value of a class. The caller appends its parts and hands the
// result to add before it starts the next.
func (x *extraction) value(class byte) []byte {
	if cap(x.arena)-len(x.arena) < maxEntryBytes {
		x.arena = make([]byte, 0, arenaSize)
	}
	return append(x.arena[len(x.arena):], class)
}

// add adds an entry whose value was started by value.
func (x *extraction) add(p *Param, v []byte) {
	if x.used+len(x.entries) >= maxEntries {
		x.tooMany = true
		return
	}
	x.arena = x.arena[:len(x.arena)+len(v)]
	x.order = append(x.order, uint64(p.rank)<<32|uint64(len(x.entries)))
	x.entries = append(x.entries, Entry{p.Name, v[:len(v):len(v)]})
}

func (x *extraction) patient(id string) {
	if !slices.Contains(x.patients, id) {
		x.patients = append(x.patients, id)
	}
}

// Extract returns the index entries of a resource, sorted and without
// duplicates, and the ids of the Patient compartments it is in, sorted. The
// resource is one that the gate accepted; what cannot be read is left out.
// _lastUpdated is not among the entries: see LastUpdated.
//
// The error is Invalid for an unknown resource type and TooLarge for a
// resource with more than 20,000 entries.
func (r *Registry) Extract(root *resource.Node) ([]Entry, []string, error) {
	typ := root.Str("resourceType")
	set := r.types[typ]
	if set == nil {
		return nil, nil, fhir.Errorf(fhir.Invalid, "%q is not a resource type", fhir.Clip(typ))
	}
	x := &extraction{root: root, base: r.base, entries: make([]Entry, 0, 48), order: make([]uint64, 0, 48)}
	if id := root.Str("id"); typ == "Patient" && id != "" {
		x.patient(id)
	}
	x.walk(root, set)
	slices.Sort(x.patients)
	for _, id := range x.patients {
		x.add(compartments, appendText(x.value(classTokenCode), "Patient/"+id, maxCodeText))
	}
	inner := r.contained(x)
	x.indexWords(set)
	if inner == nil && !x.tooMany {
		return x.sorted(), x.patients, nil
	}
	entries := inner.sorted(x)
	if x.tooMany {
		return nil, nil, fhir.Errorf(fhir.TooLarge, "the resource has more than %d searchable values", maxEntries)
	}
	return append(entries, x.sorted()...), x.patients, nil
}

// walk gathers what a type's parameters want of the resource. References to what
// it is contained in, or to others in there, lead through container.
func (x *extraction) walk(container *resource.Node, set *typeParams) {
	w := walker{root: container, visit: func(l *leaf, n *resource.Node) {
		before := len(x.entries)
		l.index(x, l.param, l.typ, n)
		if len(x.entries) == before && l.param.Type != TypeComposite {
			x.add(l.param, x.value(classPresent))
		}
	}}
	w.walk(x.root, 0, set.root)
}

// compartments is a parameter of ours under which a resource has an entry for
// each compartment it is in. Searches cannot name it; InPatients does.
var compartments = &Param{Name: "_compartment", Type: TypeToken, systemless: true}

// sorted returns the entries sorted, without duplicates and without presence
// entries beside others.
func (x *extraction) sorted() []Entry {
	slices.Sort(x.order) // by the rank of the parameter
	out := make([]Entry, 0, len(x.entries))
	for i := 0; i < len(x.order); {
		rank, from := x.order[i]>>32, len(out)
		for ; i < len(x.order) && x.order[i]>>32 == rank; i++ {
			out = append(out, x.entries[uint32(x.order[i])])
		}
		group := out[from:]
		if len(group) == 1 {
			continue
		}
		slices.SortFunc(group, func(a, b Entry) int { return bytes.Compare(a.Value, b.Value) })
		group = slices.CompactFunc(group, func(a, b Entry) bool { return bytes.Equal(a.Value, b.Value) })
		if group[0].Value[0] == classPresent && len(group) > 1 {
			group = slices.Delete(group, 0, 1) // its class is the least
		}
		out = out[:from+len(group)]
	}
	return out
}

// Index returns the entries and compartments of a stored resource, for a store
// that makes its index anew.
func (r *Registry) Index(json []byte) ([]Entry, []string, error) {
	root, err := resource.Decode(json)
	if err != nil {
		return nil, nil, err
	}
	return r.Extract(root)
}
