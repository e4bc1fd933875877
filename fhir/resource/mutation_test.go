package resource_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir/resource"
)

// TestMutatedResources damages good resources at random and asks, as FuzzGate
// does: whatever the gate still accepts, jsonformat must accept with all its
// checks, and what jsonformat accepted must not depend on what came before.
func TestMutatedResources(t *testing.T) {
	gate, reader := newGate(t), newReader(t)
	texts := files(t, "good")
	names := make([]string, 0, len(texts))
	for name := range texts {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(t *rapid.T) {
		n, err := resource.Decode([]byte(texts[rapid.SampledFrom(names).Draw(t, "resource")]))
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "mutations") {
			mutate(t, n)
		}
		err = gate.Check(n)
		fresh, newErr := resource.NewGate()
		if newErr != nil {
			t.Fatal(newErr)
		}
		if again := fresh.Check(n); (err == nil) != (again == nil) {
			t.Fatalf("%s: a gate that has seen others says %v, a fresh one %v", n.JSON(), err, again)
		}
		if err == nil {
			if problems := reader.Read(n); len(problems) > 0 {
				t.Fatalf("the gate accepts %s, jsonformat refuses it: %v", n.JSON(), problems)
			}
		}
	})
}

// mutate changes one node of a tree.
func mutate(t *rapid.T, root *resource.Node) {
	var nodes []*resource.Node
	var collect func(n *resource.Node)
	collect = func(n *resource.Node) {
		nodes = append(nodes, n)
		for i := range n.Fields {
			collect(&n.Fields[i].Node)
		}
		for i := range n.Items {
			collect(&n.Items[i])
		}
	}
	collect(root)
	n := nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "node")]
	other := *nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "other")]
	switch rapid.IntRange(0, 7).Draw(t, "change") {
	case 0: // another value
		values := []string{`null`, `true`, `0`, `-1.5`, `""`, `"x"`, `{}`, `[]`, `[null]`, `{"id":"x"}`, `"2026-01-01"`, `"#p"`, `"Patient/1"`, `"urn:uuid:x"`, `"final"`}
		v, err := resource.Decode([]byte(rapid.SampledFrom(values).Draw(t, "value")))
		if err != nil {
			t.Fatal(err)
		}
		*n = *v
	case 1: // a value from elsewhere
		if contains(&other, n) {
			return
		}
		*n = clone(other)
	case 2: // in a list
		*n = resource.Node{Kind: resource.Array, Items: []resource.Node{*n}}
	case 3: // out of a list
		if len(n.Items) > 0 {
			*n = n.Items[0]
		}
	case 4: // a list longer
		if n.Kind == resource.Array {
			n.Items = append(slices.Clip(n.Items), clone(other))
		}
	case 5: // a member less
		if len(n.Fields) > 0 {
			n.Remove(n.Fields[rapid.IntRange(0, len(n.Fields)-1).Draw(t, "member")].Name)
		}
	case 6: // a member more
		if n.Kind == resource.Object && n.Get(memberNames[0]) == nil {
			n.Set(rapid.SampledFrom(memberNames).Draw(t, "name"), clone(other))
		}
	case 7: // a member renamed
		if len(n.Fields) > 0 {
			name := rapid.SampledFrom(memberNames).Draw(t, "name")
			if n.Get(name) == nil {
				n.Fields[rapid.IntRange(0, len(n.Fields)-1).Draw(t, "member")].Name = name
			}
		}
	}
}

var memberNames = []string{
	"id", "extension", "_status", "status", "resourceType", "valueString", "_valueString", "valueReference", "Active", "active",
	"contained", "reference", "_reference", "value", "url", "text", "div", "name", "_given", "given", "resource", "meta", "unknown", "",
}

func clone(n resource.Node) resource.Node {
	n.Fields, n.Items = slices.Clone(n.Fields), slices.Clone(n.Items)
	for i := range n.Fields {
		n.Fields[i].Node = clone(n.Fields[i].Node)
	}
	for i := range n.Items {
		n.Items[i] = clone(n.Items[i])
	}
	return n
}

// contains reports whether a tree holds a node.
func contains(tree, n *resource.Node) bool {
	for i := range tree.Fields {
		if &tree.Fields[i].Node == n || contains(&tree.Fields[i].Node, n) {
			return true
		}
	}
	for i := range tree.Items {
		if &tree.Items[i] == n || contains(&tree.Items[i], n) {
			return true
		}
	}
	return false
}
