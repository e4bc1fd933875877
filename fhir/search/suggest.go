package search

import "github.com/starling-fhir/starling/fhir"

// hint returns ` (did you mean "x"?)` if a name is near enough, else "".
func hint(wrong string, names []string) string {
	if near := fhir.Nearest(wrong, names); near != "" {
		return ` (did you mean "` + near + `"?)`
	}
	return ""
}
