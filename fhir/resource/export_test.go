package resource

import "testing"

// SchemaProblems follows every reference inside the definitions and lists what
// leads nowhere.
func SchemaProblems(tb testing.TB) []string {
	tb.Helper()
	s, err := LoadSchema()
	if err != nil {
		tb.Fatal(err)
	}
	unlisted := map[string]bool{ // R4 refers to code systems outside FHIR for these
		"http://hl7.org/fhir/ValueSet/currencies": true,
		"http://hl7.org/fhir/ValueSet/mimetypes":  true,
		"http://hl7.org/fhir/ValueSet/ucum-units": true,
		"http://loinc.org/vs/LL379-9":             true,
	}
	var problems []string
	for path, e := range s.elements {
		if e.Content != "" && s.children[e.Content] == nil {
			problems = append(problems, path+" repeats "+e.Content+", which is not there")
		}
		for _, t := range e.Types {
			if first := t.Name[0]; first >= 'A' && first <= 'Z' && s.children[t.Name] == nil {
				problems = append(problems, path+" has the unknown type "+t.Name)
			}
			for _, target := range t.Targets {
				if !KnownType(target) {
					problems = append(problems, path+" points at the unknown type "+target)
				}
			}
		}
		if e.Strength == "required" && s.codes[e.ValueSet] == nil && !unlisted[e.ValueSet] {
			problems = append(problems, path+" is bound to "+e.ValueSet+", which has no codes")
		}
	}
	return problems
}
