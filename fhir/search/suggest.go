package search

import (
	"slices"
	"strings"
)

// nearFirst returns names with those that look like wrong in front.
func nearFirst(wrong string, names []string) []string {
	out := slices.Clone(names)
	slices.SortStableFunc(out, func(a, b string) int {
		return min(distance(wrong, a), farther) - min(distance(wrong, b), farther)
	})
	return out
}

// hint returns ` (did you mean "x"?)` if a name is near enough, else "".
func hint(wrong string, names []string) string {
	// At most half of the name may be wrong: "foo" does not look like "_id".
	best, at := min(farther, len(wrong)/2+1), ""
	for _, name := range names {
		if d := distance(wrong, name); d < best {
			best, at = d, name
		}
	}
	if at == "" {
		return ""
	}
	return ` (did you mean "` + at + `"?)`
}

// farther is the distance from which names do not look alike.
const farther = 4

// distance is the number of single-character edits between two names, case
// aside; farther if it is more than that.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a)-len(b) >= farther || len(b)-len(a) >= farther {
		return farther
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], farther)
}

// clip keeps what a message quotes short.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
