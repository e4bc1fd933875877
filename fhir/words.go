package fhir

import (
	"slices"
	"strings"
)

// Clip keeps what a message quotes of a sender's text short: at most 80 bytes
// of valid UTF-8.
func Clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Nearest returns the one of names that word was most likely meant to be: equal
// but for case, or at most two letters away (one for words of up to four
// letters). It returns "" if none is that near.
func Nearest(word string, names []string) string {
	if len(word) > 64 {
		return ""
	}
	most := 2
	if len(word) <= 4 {
		most = 1
	}
	best, least := "", most+1
	for _, name := range names {
		if strings.EqualFold(word, name) {
			return name
		}
		if d := edits(word, name, least); d < least {
			best, least = name, d
		}
	}
	return best
}

// NearestFirst returns names with those that look like word in front, the
// others in their order.
func NearestFirst(word string, names []string) []string {
	const farther = 4
	folded := strings.ToLower(Clip(word))
	out := slices.Clone(names)
	slices.SortStableFunc(out, func(a, b string) int {
		return edits(folded, strings.ToLower(a), farther) - edits(folded, strings.ToLower(b), farther)
	})
	return out
}

// edits returns how many letters must be inserted, removed, replaced or swapped
// with their neighbour to make a into b, or limit if that is less.
//
// https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance (optimal string alignment)
func edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
