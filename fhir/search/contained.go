package search

import (
	"bytes"
	"slices"
	"strings"
)

// Contained resources have entries of their own, under the container and under
// parameters that no search can name: what Medication.code finds of a contained
// Medication is under "#Medication.code" of the MedicationRequest around it.
// They put nothing into a compartment: only the container's own references do.

// containedParam is the parameter of a container under which the entries of its
// contained resources of a type are.
func containedParam(typ, name string) string { return "#" + typ + "." + name }

// inside is what was gathered of the contained resources of one container.
type inside []insideOne

type insideOne struct {
	typ string
	set *typeParams
	*extraction
}

// contained gathers the entries of what a resource contains, but its words. They
// count for the container's limit.
func (r *Registry) contained(x *extraction) inside {
	var out inside
	used := len(x.entries)
	for i, list := 0, x.root.List("contained"); i < len(list); i++ {
		typ := list[i].Str("resourceType")
		set := r.types[typ]
		if set == nil {
			continue
		}
		one := insideOne{typ, set, &extraction{root: &list[i], base: r.base, used: used}}
		one.walk(x.root, set)
		used += len(one.entries)
		x.tooMany = x.tooMany || one.tooMany
		out = append(out, one)
	}
	x.used = used - len(x.entries) // for its words, which come last
	return out
}

// sorted adds the words of the contained resources as far as there is room
// beside the container's entries, and returns all entries, sorted and without
// duplicates.
func (in inside) sorted(container *extraction) []Entry {
	used := container.used + len(container.entries)
	var out []Entry
	for _, one := range in {
		before := len(one.entries)
		one.used = used - before
		one.indexWords(one.set)
		used += len(one.entries) - before
		for _, e := range one.extraction.sorted() {
			if p := one.set.byName[e.Param]; p != nil && p.custom {
				continue // their containers are not indexed anew when it is defined
			}
			out = append(out, Entry{containedParam(one.typ, e.Param), e.Value})
		}
	}
	slices.SortFunc(out, func(a, b Entry) int {
		if c := strings.Compare(a.Param, b.Param); c != 0 {
			return c
		}
		return bytes.Compare(a.Value, b.Value)
	})
	return slices.CompactFunc(out, func(a, b Entry) bool { return a.Param == b.Param && bytes.Equal(a.Value, b.Value) })
}
