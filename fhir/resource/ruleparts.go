package resource

// Conditions that only one or two rules need.

// measured: a value needs a code, and a system must be UCUM.
func measured(n *Node) bool {
	return (!has(n, "value") || has(n, "code")) && (!has(n, "system") || n.Str("system") == ucum)
}

// positive: a value is above 0.
func positive(n *Node) bool {
	value := n.Get("value")
	return value == nil || value.Kind != Number || float(value) > 0
}

// wholeOnes: a code is 1 and a value has no decimal point.
func wholeOnes(n *Node) bool {
	if has(n, "code") && n.Str("code") != "1" {
		return false
	}
	value := n.Get("value")
	return value == nil || value.Kind != Number || validInteger(value.Text)
}

// ucumWithValue: a code needs the system UCUM and a value.
func ucumWithValue(n *Node) bool {
	return !has(n, "code") || n.Str("system") == ucum && has(n, "value")
}

func periodInOrder(n *Node) bool { return inOrder(n.Str("start"), n.Str("end")) }

// inOrder reports whether a moment is not after another. Moments that are
// absent or not valid are in order; what is not valid is reported elsewhere.
func inOrder(start, end string) bool {
	return !validDateTime(start) || !validDateTime(end) || notAfter(start, end)
}

// rangeInOrder compares only ends with the same unit.
func rangeInOrder(n *Node) bool {
	low, high := n.Get("low"), n.Get("high")
	from, to := low.Get("value"), high.Get("value")
	if from == nil || to == nil || from.Kind != Number || to.Kind != Number {
		return true
	}
	if low.Str("code") != high.Str("code") || low.Str("unit") != high.Str("unit") {
		return true
	}
	return float(from) <= float(to)
}

func ratioComplete(n *Node) bool {
	numerator, denominator := has(n, "numerator"), has(n, "denominator")
	return numerator == denominator && (numerator || has(n, "extension"))
}

// offsetWithWhen: an offset needs a when that is not a meal itself.
func offsetWithWhen(n *Node) bool {
	offset := n.Get("offset")
	if offset == nil || offset.Text == "0" { // 0 says nothing
		return true
	}
	when := n.List("when")
	for i := range when {
		if isOneOf(when[i].Text, []string{"C", "CM", "CD", "CV"}) {
			return false
		}
	}
	return len(when) > 0
}

// entriesHave: in Bundles of some types entries have a member (always, if must
// is set), in others they do not.
func entriesHave(name string, must bool, types ...string) condition {
	return func(n *Node) bool {
		ours := isOneOf(n.Str("type"), types)
		return everyItem("entry", func(entry *Node) bool {
			if has(entry, name) {
				return ours
			}
			return !ours || !must
		})(n)
	}
}

func fullURLsUnique(n *Node) bool {
	if n.Str("type") == "history" {
		return true
	}
	entries := n.List("entry")
	seen := make(map[[2]string]bool, len(entries))
	for i := range entries {
		url := entries[i].Str("fullUrl")
		if url == "" {
			continue
		}
		key := [2]string{url, entries[i].Get("resource").Get("meta").Str("versionId")}
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

func documentIdentified(n *Node) bool {
	id := n.Get("identifier")
	return n.Str("type") != "document" || id.Str("system") != "" && id.Str("value") != ""
}

func firstEntryIs(bundleType, resourceType string) condition {
	return func(n *Node) bool {
		if n.Str("type") != bundleType {
			return true
		}
		entries := n.List("entry")
		return len(entries) > 0 && entries[0].Get("resource").Str("resourceType") == resourceType
	}
}

func notHome(n *Node) bool { return n.Str("use") != "home" }

// noValueBesideSameCode is obs-7: an observation with a value must have no
// component with one of its own codings.
func noValueBesideSameCode(n *Node) bool {
	components := n.List("component")
	if len(components) == 0 || !has(n, "value[x]") {
		return true
	}
	own := n.Get("code").List("coding")
	for i := range components {
		codings := components[i].Get("code").List("coding")
		for j := range codings {
			for k := range own {
				if equalNodes(&own[k], &codings[j]) {
					return false
				}
			}
		}
	}
	return true
}

// equalNodes compares two values; the order of members does not count.
func equalNodes(a, b *Node) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Items {
		if !equalNodes(&a.Items[i], &b.Items[i]) {
			return false
		}
	}
	for i := range a.Fields {
		other := b.Get(a.Fields[i].Name)
		if other == nil || !equalNodes(&a.Fields[i].Node, other) {
			return false
		}
	}
	return true
}

func linkIDsUnique(n *Node) bool {
	seen := make(map[string]bool)
	var unique func(n *Node) bool
	unique = func(n *Node) bool {
		return everyItem("item", func(item *Node) bool {
			id := item.Str("linkId")
			if id != "" && seen[id] {
				return false
			}
			seen[id] = true
			return unique(item)
		})(n)
	}
	return unique(n)
}
