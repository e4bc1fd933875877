package resource

import "strings"

// nearest returns the one of names that word most likely was meant to be: equal
// but for case, or at most two letters away (one for short words). It returns ""
// if none is near.
func nearest(word string, names []string) string {
	if len(word) > 64 {
		return ""
	}
	most := 2
	if len(word) <= 4 {
		most = 1
	}
	best, distance := "", most+1
	for _, name := range names {
		if strings.EqualFold(word, name) {
			return name
		}
		if d := edits(word, name, distance); d < distance {
			best, distance = name, d
		}
	}
	return best
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
