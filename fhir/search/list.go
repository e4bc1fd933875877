package search

import (
	"maps"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// readList reads _list: the entries of a List, by its id or a reference to it.
//
// https://hl7.org/fhir/R4/search.html#list
func readList(p *parser, at place, value string) (Clause, error) {
	look, err := p.lookup()
	if err != nil {
		return Clause{}, unusable{err}
	}
	values, err := splitValues(value)
	if err != nil {
		return Clause{}, err
	}
	p.seen["_list"] = true
	var keys []fhir.Key
	for _, value := range values {
		list, err := p.listName(unescape(value))
		if err != nil {
			return Clause{}, err
		}
		members, err := look.Members(list)
		if err != nil {
			return Clause{}, err
		}
		if keys = append(keys, members...); len(keys) > MaxRanges {
			return Clause{}, fhir.Errorf(fhir.TooLarge, "the lists have more than %d entries", MaxRanges)
		}
	}
	return keysClause(keys, at.types), p.countRanges(len(keys))
}

// listName returns the reference to a List.
func (p *parser) listName(text string) (string, error) {
	if strings.HasPrefix(text, "$") {
		return "", fhir.Errorf(fhir.NotSupported, "_list: functional lists such as %s are not kept by this server: name a stored List", fhir.Clip(text))
	}
	if fhir.ValidID(text) {
		return "List/" + text, nil
	}
	l, ok := localLink(text, p.opts.Base)
	if !ok || l.version != "" || l.key.Type != "List" && l.key.Type != "Group" {
		return "", fhir.Errorf(fhir.Invalid, "_list: %q is not the id of a List, nor a reference to one", fhir.Clip(text))
	}
	return l.key.String(), nil
}

// keysClause selects resources by their keys, those of some types; none means
// all.
func keysClause(keys []fhir.Key, types []string) Clause {
	ids := map[string][]string{}
	for _, key := range keys {
		if len(types) == 0 || slices.Contains(types, key.Type) {
			ids[key.Type] = append(ids[key.Type], key.ID)
		}
	}
	var alternatives []Clause
	for _, typ := range slices.Sorted(maps.Keys(ids)) {
		c := withIDs(unique(ids[typ])...)
		if len(types) != 1 {
			c.Types = []string{typ}
		}
		alternatives = append(alternatives, c)
	}
	if len(alternatives) == 0 {
		return withIDs() // of nothing
	}
	return either(alternatives)
}
