package rest

import (
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// checkType returns a NotFound error with the nearest names if R4 has no such
// resource type.
func checkType(name string) error {
	if resource.KnownType(name) {
		return nil
	}
	return fhir.Errorf(fhir.NotFound, "R4 has no resource type %q%s", clip(name), suggestion(name))
}

// suggestion returns "; did you mean …?" or "".
func suggestion(name string) string {
	const near = 3 // edits
	if len(name) > 64 {
		return ""
	}
	best, least := "", near+1
	for _, typ := range resource.Types() {
		if d := distance(strings.ToLower(name), strings.ToLower(typ)); d < least {
			best, least = typ, d
		}
	}
	if best == "" || least >= len(name) {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the number of single-byte edits between a and b.
func distance(a, b string) int {
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
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// clip keeps what a message quotes short.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
