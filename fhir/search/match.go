package search

import (
	"bytes"
	"slices"

	"github.com/starling-fhir/starling/fhir"
)

// Match reports whether a resource of a type with these entries satisfies a
// clause. It is what a store must agree with: tests compare the two, and a store
// may use it on a resource whose entries it has at hand. A Join is about other
// resources: it holds for none.
func Match(typ string, entries []Entry, c Clause) bool {
	switch {
	case len(c.Types) > 0 && !slices.Contains(c.Types, typ):
		return c.Not
	case c.Join != nil:
		return c.Not
	case c.Any != nil:
		return c.Not != slices.ContainsFunc(c.Any, func(all []Clause) bool {
			return !slices.ContainsFunc(all, func(c Clause) bool { return !Match(typ, entries, c) })
		})
	}
	for _, e := range entries {
		if e.Param != c.Param {
			continue
		}
		for _, r := range c.Ranges {
			if r.Contains(e.Value) {
				return !c.Not
			}
		}
	}
	return c.Not
}

// Contains reports whether a value lies in the range.
func (r Range) Contains(value []byte) bool {
	return bytes.Compare(value, r.From) >= 0 &&
		(r.To == nil || bytes.Compare(value, r.To) < 0) &&
		(r.Keep == nil || r.Keep(value))
}

// Present selects the resources that have a value for a parameter.
func Present(param string) Clause {
	return Clause{Param: param, Ranges: []Range{{From: []byte{classPresent}}}}
}

// InPatients selects the resources in the compartments of any of the patients.
func InPatients(ids ...string) Clause {
	c := Clause{Param: compartments.Name}
	for _, id := range ids {
		c.Ranges = append(c.Ranges, exactly(appendText([]byte{classTokenCode}, "Patient/"+id, maxCodeText)))
	}
	return c
}

// withIDs selects the resources that have one of the logical ids.
func withIDs(ids ...string) Clause {
	c := Clause{Param: "_id"}
	for _, id := range ids {
		c.Ranges = append(c.Ranges, exactly(appendText([]byte{classTokenCode}, id, maxCodeText)))
	}
	return c
}

// RefersTo selects the resources that refer to any of the keys under a
// parameter, with or without a version.
func RefersTo(param string, keys ...fhir.Key) Clause {
	c := Clause{Param: param}
	for _, key := range keys {
		c.Ranges = append(c.Ranges, link{key: key}.exact())
	}
	return c
}

// Refers returns the key that an entry of a reference parameter points at; ok is
// false for entries of other forms: URLs, identifiers, versions.
func Refers(value []byte) (key fhir.Key, ok bool) {
	if len(value) == 0 || value[0] != classReference {
		return fhir.Key{}, false
	}
	typ, rest := cutText(value[1:])
	id, _ := cutText(rest)
	return fhir.Key{Type: string(typ), ID: string(id)}, true
}

// RefersVersion returns the key and version that an entry of a reference
// parameter points at, which has another entry without the version; ok is false
// for entries of other forms.
func RefersVersion(value []byte) (key fhir.Key, version string, ok bool) {
	if len(value) == 0 || value[0] != classReferenceVersion {
		return fhir.Key{}, "", false
	}
	typ, rest := cutText(value[1:])
	id, rest := cutText(rest)
	of, _ := cutText(rest)
	return fhir.Key{Type: string(typ), ID: string(id)}, string(of), true
}
