package resource

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// condition is true of an object that keeps a rule.
type condition func(n *Node) bool

// has reports whether an element is there, with a value or only extensions. A
// name that ends in [x] stands for a choice of any type.
func has(n *Node, name string) bool {
	choice, ok := strings.CutSuffix(name, "[x]")
	for i := range n.Fields {
		have := strings.TrimPrefix(n.Fields[i].Name, "_")
		if have == name {
			return true
		}
		if ok && len(have) > len(choice) && strings.HasPrefix(have, choice) {
			if c := have[len(choice)]; c >= 'A' && c <= 'Z' {
				return true
			}
		}
	}
	return false
}

// hasValue reports whether a primitive element has a value.
func hasValue(n *Node, name string) bool {
	m := n.Get(name)
	return m != nil && m.Kind != Null
}

// count returns how often an element occurs.
func count(n *Node, name string) int {
	if m := n.Get(name); m != nil && m.Kind == Array {
		return len(m.Items)
	}
	if has(n, name) {
		return 1
	}
	return 0
}

func countAll(n *Node, names []string) int {
	found := 0
	for _, name := range names {
		if has(n, name) {
			found++
		}
	}
	return found
}

// anyOf: at least one of the elements is there.
func anyOf(names ...string) condition {
	return func(n *Node) bool { return countAll(n, names) > 0 }
}

// oneOf: exactly one of the elements is there.
func oneOf(names ...string) condition {
	return func(n *Node) bool { return countAll(n, names) == 1 }
}

// notBoth: at most one of the elements is there.
func notBoth(names ...string) condition {
	return func(n *Node) bool { return countAll(n, names) < 2 }
}

// together: all of the elements are there or none.
func together(names ...string) condition {
	return func(n *Node) bool { found := countAll(n, names); return found == 0 || found == len(names) }
}

// needs: if the first element is there, so is the second.
func needs(name, other string) condition {
	return func(n *Node) bool { return !has(n, name) || has(n, other) }
}

// only: the element is there only if the code of another is one of those given.
func only(name, other string, codes ...string) condition {
	return func(n *Node) bool { return !has(n, name) || isOneOf(n.Str(other), codes) }
}

func isOneOf(s string, list []string) bool {
	return slices.Contains(list, s)
}

// both: all conditions hold.
func both(conditions ...condition) condition {
	return func(n *Node) bool {
		for _, holds := range conditions {
			if !holds(n) {
				return false
			}
		}
		return true
	}
}

// everyItem: the condition holds for all items of a list element.
func everyItem(name string, holds condition) condition {
	return func(n *Node) bool {
		items := n.List(name)
		for i := range items {
			if !holds(&items[i]) {
				return false
			}
		}
		return true
	}
}

// hasCoding reports whether a CodeableConcept has a coding of a system with one
// of some codes.
func hasCoding(concept *Node, system string, codes ...string) bool {
	codings := concept.List("coding")
	for i := range codings {
		if codings[i].Str("system") == system && isOneOf(codings[i].Str("code"), codes) {
			return true
		}
	}
	return false
}

// notNegative: a number, if there, is 0 or more.
func notNegative(name string) condition {
	return func(n *Node) bool {
		m := n.Get(name)
		return m == nil || m.Kind != Number || !strings.HasPrefix(m.Text, "-") || float(m) == 0
	}
}

// float returns a number's nearest float64. Rules use it only to compare
// magnitudes.
func float(n *Node) float64 {
	f, _ := strconv.ParseFloat(n.Text, 64) // out of range gives an infinity, which compares rightly
	return f
}

// notAfter reports whether a moment does not lie after another, as far as both
// are precise: 2026-05 is not after 2026-05-01. A date has no zone, so beside a
// moment that has one it gets a day of tolerance.
func notAfter(start, end string) bool {
	from, fromZone := cutZone(start)
	to, toZone := cutZone(end)
	if fromZone == toZone {
		short := min(len(from), len(to))
		return from[:short] <= to[:short]
	}
	layout := time.RFC3339
	if fromZone == "" || toZone == "" {
		layout = time.DateOnly
		start, end = from[:min(len(layout), len(from))], to[:min(len(layout), len(to))]
	}
	first, err1 := time.Parse(layout, start)
	last, err2 := time.Parse(layout, end)
	if err1 != nil || err2 != nil {
		return true // a month or a year, or a leap second: not precise enough
	}
	if layout == time.DateOnly {
		last = last.AddDate(0, 0, 1)
	}
	return !first.After(last)
}

// cutZone takes the zone from the end of a dateTime.
func cutZone(s string) (moment, zone string) {
	i := strings.IndexByte(s, 'T')
	if i < 0 {
		return s, ""
	}
	if j := strings.IndexAny(s[i:], "Z+-"); j >= 0 {
		return s[:i+j], s[i+j:]
	}
	return s, ""
}
