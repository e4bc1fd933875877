package rest

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// maxValueSetDeep is how deep value sets may be made of others.
const maxValueSetDeep = 16

// codeSet are the codes of a value set. A code that is all of its system stands
// for every code there is, known or not.
type codeSet map[search.Coding]bool

// whole is every code of a system.
func whole(system string) search.Coding { return search.Coding{System: system} }

func (set codeSet) has(c search.Coding) bool { return set[c] || set[whole(c.System)] }

// Codes returns the codes of a value set: those its expansion lists, or what its
// definition comes to. R4's own that list their codes are known without being
// stored.
//
// https://hl7.org/fhir/R4/valueset.html
func (l *lookup) Codes(valueSet string) ([]search.Coding, error) {
	set, err := l.valueSet(valueSet, nil)
	if err != nil {
		return nil, err
	}
	// The codes of a whole system are not told one by one beside it.
	out := slices.Collect(maps.Keys(set))
	out = slices.DeleteFunc(out, func(c search.Coding) bool { return c.Code != "" && set[whole(c.System)] })
	if len(out) > maxCodes {
		return nil, fhir.Errorf(fhir.TooLarge, "the value set has more than %d codes", maxCodes)
	}
	slices.SortFunc(out, func(a, b search.Coding) int {
		return cmp.Or(strings.Compare(a.System, b.System), strings.Compare(a.Code, b.Code))
	})
	return out, nil
}

// valueSet works out the codes of one value set; inside are those that it is a
// part of.
func (l *lookup) valueSet(name string, inside []string) (codeSet, error) {
	if slices.Contains(inside, name) {
		return nil, fhir.Errorf(fhir.Invalid, "the value set %s is made of itself", fhir.Clip(name))
	}
	if len(inside) == maxValueSetDeep {
		return nil, fhir.Errorf(fhir.TooCostly, "value sets are made of others more than %d deep", maxValueSetDeep)
	}
	root, err := l.findValueSet(name)
	if err != nil {
		return nil, err
	}
	if root == nil {
		if listed := l.server.schema.CodesBySystem(name); listed != nil {
			set := make(codeSet)
			for system, codes := range listed {
				for _, code := range codes {
					set[search.Coding{System: system, Code: code}] = true
				}
			}
			return set, nil
		}
		return nil, fhir.Errorf(fhir.Invalid, "there is no value set %s; store it, with its codes", fhir.Clip(name))
	}
	if set, ok := expansion(root); ok {
		return set, nil
	}
	compose := root.Get("compose")
	if compose == nil {
		return nil, fhir.Errorf(fhir.NotSupported, "the value set %s neither lists all of its codes in an expansion nor has a definition (compose)", fhir.Clip(name))
	}
	set, err := l.compose(compose, append(inside[:len(inside):len(inside)], name))
	if err != nil {
		return nil, explained(err, "the value set "+fhir.Clip(name)+" cannot be worked out: ")
	}
	return set, nil
}

// explained puts words in front of what an error says.
func explained(err error, words string) error {
	if kind := fhir.KindOf(err); kind == fhir.NotSupported || kind == fhir.Invalid {
		return fhir.Errorf(kind, "%s%s", words, err.Error())
	}
	return err
}

func (l *lookup) findValueSet(name string) (*resource.Node, error) {
	id, relative := strings.CutPrefix(strings.TrimPrefix(name, l.server.basePrefix), "ValueSet/")
	if relative && !strings.Contains(id, "|") {
		key, err := fhir.ParseKey("ValueSet", id)
		if err != nil {
			return nil, err
		}
		root, err := l.byID(key)
		if root == nil && err == nil {
			return nil, fhir.Errorf(fhir.Invalid, "there is no %s", key)
		}
		return root, err
	}
	return l.byURL("ValueSet", name)
}

// expansion returns the codes that an expansion lists; ok is false if it is not
// there or only a part.
//
// https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.expansion
func expansion(root *resource.Node) (set codeSet, ok bool) {
	list := root.Get("expansion")
	if list == nil {
		return nil, false
	}
	for _, extension := range list.List("extension") {
		if strings.HasSuffix(extension.Str("url"), "/valueset-toocostly") || strings.HasSuffix(extension.Str("url"), "/valueset-unclosed") {
			return nil, false
		}
	}
	for _, parameter := range list.List("parameter") {
		if name := parameter.Str("name"); name == "filter" || name == "offset" {
			return nil, false
		}
	}
	if offset := list.Get("offset"); offset != nil && offset.Text != "0" {
		return nil, false
	}
	set = make(codeSet)
	listed := set.contains(list.List("contains"))
	if total := list.Get("total"); total != nil && total.Text != strconv.Itoa(listed) || total == nil && listed == 0 {
		return nil, false
	}
	return set, true
}

// contains takes up listed codes and those inside of them, and counts them.
// Abstract ones are headings, no codes to use.
func (set codeSet) contains(list []resource.Node) (listed int) {
	for i := range list {
		entry := &list[i]
		listed++
		if abstract := entry.Get("abstract"); entry.Str("code") != "" && (abstract == nil || abstract.Text != "true") {
			set[search.Coding{System: entry.Str("system"), Code: entry.Str("code")}] = true
		}
		listed += set.contains(entry.List("contains"))
	}
	return listed
}

// compose works out a definition: everything that is included, without what is
// excluded.
//
// https://hl7.org/fhir/R4/valueset.html#compositions
func (l *lookup) compose(compose *resource.Node, inside []string) (codeSet, error) {
	if compose.Get("lockedDate") != nil {
		return nil, fhir.Errorf(fhir.NotSupported, "it is locked to a date, and what was in its code systems then is not known")
	}
	activeOnly := false
	if inactive := compose.Get("inactive"); inactive != nil {
		activeOnly = inactive.Text == "false"
	}
	all := make(codeSet)
	for _, part := range compose.List("include") {
		set, err := l.part(&part, activeOnly, inside)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, set)
	}
	for _, part := range compose.List("exclude") {
		set, err := l.part(&part, false, inside)
		if err != nil {
			return nil, err
		}
		if err := l.exclude(all, set); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// exclude takes codes out of a set.
func (l *lookup) exclude(all, without codeSet) error {
	for c := range without {
		if c.Code != "" && all[whole(c.System)] {
			if err := l.list(all, c.System); err != nil {
				return err
			}
		}
	}
	maps.DeleteFunc(all, func(c search.Coding, _ bool) bool { return without.has(c) })
	return nil
}

// list replaces a whole system by its codes, one by one.
func (l *lookup) list(all codeSet, system string) error {
	cs, err := l.codeSystem(system)
	if err != nil {
		return err
	}
	delete(all, whole(system))
	for _, code := range cs.codes {
		all[search.Coding{System: system, Code: code}] = true
	}
	return nil
}

// part works out one include or exclude: the codes of a system that pass its
// filters and are in all value sets it names.
func (l *lookup) part(part *resource.Node, activeOnly bool, inside []string) (codeSet, error) {
	var set codeSet
	if system := part.Str("system"); system != "" {
		var err error
		if set, err = l.fromSystem(part, system, activeOnly); err != nil {
			return nil, err
		}
	}
	for _, name := range part.List("valueSet") {
		other, err := l.valueSet(name.Text, inside)
		if err != nil {
			return nil, err
		}
		if set == nil {
			set = maps.Clone(other)
			continue
		}
		both := make(codeSet)
		for c := range set {
			if other.has(c) {
				both[c] = true
			}
		}
		for c := range other {
			if set.has(c) {
				both[c] = true
			}
		}
		set = both
	}
	return set, nil
}

// fromSystem takes the codes of a code system that a part of a definition means.
func (l *lookup) fromSystem(part *resource.Node, system string, activeOnly bool) (codeSet, error) {
	set := make(codeSet)
	concepts, filters := part.List("concept"), part.List("filter")
	canonical := system
	if version := part.Str("version"); version != "" {
		canonical += "|" + version
	}
	if len(concepts) == 0 && len(filters) == 0 && !activeOnly && canonical == system {
		set[whole(system)] = true
		return set, nil
	}
	for _, concept := range concepts {
		set[search.Coding{System: system, Code: concept.Str("code")}] = true
	}
	if len(concepts) > 0 && len(filters) == 0 && !activeOnly {
		return set, nil
	}
	cs, err := l.codeSystem(canonical)
	if err != nil {
		return nil, err
	}
	if len(concepts) == 0 {
		for _, code := range cs.codes {
			set[search.Coding{System: system, Code: code}] = true
		}
	}
	for _, filter := range filters {
		pass, err := cs.filter(filter.Str("property"), filter.Str("op"), filter.Str("value"))
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(set, func(c search.Coding, _ bool) bool { return !pass(c.Code) })
	}
	if activeOnly {
		maps.DeleteFunc(set, func(c search.Coding, _ bool) bool { return cs.concepts[c.Code] != nil && cs.inactive(c.Code) })
	}
	return set, nil
}

// filter returns what a filter lets pass.
//
// https://hl7.org/fhir/R4/valueset-filter-operator.html
func (cs *codeSystem) filter(property, op, value string) (pass func(code string) bool, err error) {
	switch op {
	case "is-a", "descendent-of", "is-not-a", "generalizes":
		if property != "concept" && property != "code" {
			return nil, fhir.Errorf(fhir.NotSupported, "its filter %s is about %q, not about concepts", op, fhir.Clip(property))
		}
		direction := cs.below
		if op == "generalizes" {
			direction = cs.above
		}
		list, err := cs.reach(value, direction)
		if err != nil {
			return nil, err
		}
		reached := make(map[string]bool, len(list))
		for _, code := range list {
			reached[code] = true
		}
		return func(code string) bool {
			switch op {
			case "descendent-of":
				return reached[code] && code != value
			case "is-not-a":
				return !reached[code]
			}
			return reached[code]
		}, nil
	}
	switch {
	case property == "concept":
		property = "code"
	case property == "code", property == "display", property == "parent", property == "child", cs.defined[property]:
	default:
		return nil, fhir.Errorf(fhir.NotSupported, "its filter is about the property %q, which the CodeSystem %s does not define", fhir.Clip(property), cs.name)
	}
	has := func(code string, fits func(string) bool) bool {
		return slices.ContainsFunc(cs.property(code, property), fits)
	}
	switch op {
	case "=":
		return func(code string) bool { return has(code, func(have string) bool { return have == value }) }, nil
	case "in", "not-in":
		var values []string
		for text := range strings.SplitSeq(value, ",") {
			values = append(values, strings.TrimSpace(text))
		}
		return func(code string) bool {
			return has(code, func(have string) bool { return slices.Contains(values, have) }) == (op == "in")
		}, nil
	case "exists":
		if value != "true" && value != "false" {
			return nil, fhir.Errorf(fhir.Invalid, "its filter exists has the value %q, which is neither true nor false", fhir.Clip(value))
		}
		return func(code string) bool { return (len(cs.property(code, property)) > 0) == (value == "true") }, nil
	case "regex":
		pattern, err := regexp.Compile("^(?:" + value + ")$")
		if err != nil || len(value) > 1_000 {
			return nil, fhir.Errorf(fhir.NotSupported, "its regular expression cannot be used here: write it as https://github.com/google/re2/wiki/Syntax has it, in at most 1,000 bytes")
		}
		return func(code string) bool { return has(code, pattern.MatchString) }, nil
	}
	return nil, fhir.Errorf(fhir.NotSupported, "its filter %q is not known", fhir.Clip(op))
}
