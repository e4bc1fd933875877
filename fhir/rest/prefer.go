package rest

import (
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// prefer is the Prefer header, https://hl7.org/fhir/R4/http.html#ops and
// https://hl7.org/fhir/R4/search.html#errors.
type prefer struct {
	// content is "minimal", "representation", "OperationOutcome" or "": the
	// interaction's own way.
	content string
	// lenient asks to ignore unknown search parameters.
	lenient bool
}

// parsePrefer reads all Prefer headers. Preferences it does not know are
// ignored, as RFC 7240 wants; unknown values of known ones are Invalid.
func parsePrefer(headers []string) (prefer, error) {
	var p prefer
	for _, part := range strings.FieldsFunc(strings.Join(headers, ","), func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "return":
			switch value {
			case "minimal", "representation", "OperationOutcome":
				p.content = value
			default:
				return p, fhir.Errorf(fhir.Invalid, "Prefer: return=%s: allowed are minimal, representation and OperationOutcome", fhir.Clip(value))
			}
		case "handling":
			switch value {
			case "lenient":
				p.lenient = true
			case "strict":
				p.lenient = false
			default:
				return p, fhir.Errorf(fhir.Invalid, "Prefer: handling=%s: allowed are strict and lenient", fhir.Clip(value))
			}
		}
	}
	return p, nil
}
