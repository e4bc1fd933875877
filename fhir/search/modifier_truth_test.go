package search

import (
	"fmt"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// TestMissing: ":missing=true will return all the resources that don't have a
// value", for parameters of every type but composites.
func TestMissing(t *testing.T) {
	docs := map[string]string{
		"full": `{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"a"}]},"subject":{"reference":"Patient/1"},
			"effectiveDateTime":"2020","valueQuantity":{"value":1},"meta":{"profile":["http://p"]}}`,
		"bare":    `{"resourceType":"Observation"}`,
		"string":  `{"resourceType":"Observation","valueString":"x"}`,
		"dashes":  `{"resourceType":"Observation","valueString":"--"}`,
		"logical": `{"resourceType":"Observation","subject":{"display":"somebody"}}`,
		"risk":    `{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":0.5}]}`,
		"no risk": `{"resourceType":"RiskAssessment"}`,
	}
	var rows []verdict
	for param, with := range map[string]string{
		"status": "full", "code": "full", "subject": "full", "date": "full", "value-quantity": "full", "_profile": "full", "value-string": "string",
	} {
		rows = append(rows,
			verdict{with, param + ":missing=false", true}, verdict{with, param + ":missing=true", false},
			verdict{"bare", param + ":missing=false", false}, verdict{"bare", param + ":missing=true", true})
	}
	rows = append(rows,
		verdict{"risk", "probability:missing=false", true}, verdict{"risk", "probability:missing=true", false},
		verdict{"no risk", "probability:missing=false", false}, verdict{"no risk", "probability:missing=true", true},
		// An element that gives no value to search for is there all the same.
		verdict{"dashes", "value-string:missing=true", false}, verdict{"logical", "subject:missing=true", false},
		verdict{"full", "_lastUpdated:missing=true", false}, verdict{"full", "_lastUpdated:missing=false", true},
	)
	testTruth(t, "https://hl7.org/fhir/R4/search.html#modifiers", docs, rows)
}

// TestStringModifiers: ":contains … at any position", ":exact … the entire
// supplied parameter, including casing and accents", ":text" by words.
func TestStringModifiers(t *testing.T) {
	long := strings.Repeat("alpha ", 100) + "Glucose müßte " + strings.Repeat("omega ", 100) + "ende"
	solid := strings.Repeat("z", 700) + "needle" + strings.Repeat("ö", 700)
	docs := map[string]string{
		"severine": `{"resourceType":"Patient","name":[{"family":"van den Åsberg","given":["Severine","Eve-Marie"]}]}`,
		"long":     `{"resourceType":"ValueSet","description":"` + long + `"}`,
		"solid":    `{"resourceType":"ValueSet","description":"` + solid + `"}`,
	}
	testTruth(t, "https://hl7.org/fhir/R4/search.html#string", docs, []verdict{
		{"severine", "given:contains=eve", true},
		{"severine", "given:contains=VERÍN", true},
		{"severine", "given:contains=eve marie", true},
		{"severine", "given:contains=adam", false},
		{"severine", "given:contains=adam,rine", true},
		{"severine", "family:contains=asber", true},
		{"severine", "family:contains=severine", false},
		{"severine", "given:exact=Severine", true},
		{"severine", "given:exact=severine", false},
		{"severine", "given:exact=Sever", false},
		{"severine", "given:exact=Séverine", false},
		{"severine", "given:exact=Eve-Marie", true},
		{"severine", "given:exact=Eve Marie", false},
		{"severine", "family:exact=van den Åsberg", true},
		{"severine", "family:exact=van den Asberg", false},
		{"severine", "family:exact=Åsberg", false}, // a word of it
		{"severine", "name:exact=Eve-Marie,Nobody", true},
		{"severine", "family:text=asberg", true},
		{"severine", "family:text=asb den", true}, // words in any order
		{"severine", "family:text=sberg", false},
		{"severine", "family:text=asberg eve", false},
		{"severine", "name:text=asberg eve", true},
		{"severine", "name:text=nobody,eve", true},
		{"severine", "name:text=nobody here,asberg marie", true},

		// Longer than an entry can be.
		{"long", "description:contains=glucose musste", true},
		{"long", "description:contains=lucose", true},
		{"long", "description:contains=alpha glucose", true},
		{"long", "description:contains=omega ende", true},
		{"long", "description:contains=omega glucose", false},
		{"long", "description:text=ende gluc alpha", true},
		{"long", "description:text=lucose", false},
		{"long", "description:exact=" + long, true},
		{"long", "description:exact=" + long + ".", false},
		{"long", "description=alpha alpha", true},
		{"long", "description=glucose", false},
		{"solid", "description:contains=zneedleo", true},
		{"solid", "description:contains=" + strings.Repeat("z", 50) + "needle" + strings.Repeat("o", 150), true},
		{"solid", "description:contains=" + strings.Repeat("o", maxPrefixText), true},
		{"solid", "description:contains=needlez", false},
	})
}

// TestPiecesHoldEveryPart looks for every part of long texts.
func TestPiecesHoldEveryPart(t *testing.T) {
	for name, text := range map[string]string{
		"words": strings.Repeat("wort für wort ", 150), "one word": strings.Repeat("abcdefghij", 120), "three bytes": strings.Repeat("漢字仮名", 90),
	} {
		folded := fold(text)
		doc := `{"resourceType":"ValueSet","description":"` + text + `"}`
		w := newWorld(t, doc)
		for from := 0; from < len(folded); from += 7 {
			part := strings.ToValidUTF8(folded[from:min(from+maxPrefixText-from%5, len(folded))], "")
			if fold(part) == "" {
				continue
			}
			if len(w.find(t, "ValueSet", "description:contains="+escape(part))) != 1 {
				t.Fatalf("%s: the part at %d is not found: %q", name, from, part)
			}
		}
	}
}

const codedDocs = `{"coding":[{"system":"http://snomed.info/sct","code":"22298006","display":"Myocardial infarction"}],"text":"Severe heart attack"}`

// TestTokenModifiers has :not, :text, :in, :not-in, :above, :below and :of-type.
func TestTokenModifiers(t *testing.T) {
	docs := map[string]string{
		"attack":  `{"resourceType":"Condition","code":` + codedDocs + `}`,
		"two":     `{"resourceType":"Condition","code":{"coding":[{"system":"http://snomed.info/sct","code":"22298006"},{"system":"http://loinc.org","code":"L1"}]}}`,
		"other":   `{"resourceType":"Condition","code":{"coding":[{"system":"http://snomed.info/sct","code":"73211009"}]}}`,
		"disease": `{"resourceType":"Condition","code":{"coding":[{"system":"http://snomed.info/sct","code":"64572001"}]}}`,
		"local":   `{"resourceType":"Condition","code":{"coding":[{"code":"heart"}]}}`,
		"none":    `{"resourceType":"Condition"}`,
		"woman":   `{"resourceType":"Patient","gender":"female"}`,
		"unknown": `{"resourceType":"Patient","gender":"unknown"}`,
		"nobody":  `{"resourceType":"Patient"}`,
		"marked": `{"resourceType":"Patient","identifier":[{"system":"http://h","value":"446053","type":{"coding":[
			{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"},{"system":"http://x","code":"Y"}],"text":"Medical record number"}}]}`,
	}
	const mr = "http://terminology.hl7.org/CodeSystem/v2-0203|MR"
	const cardiac = "http://hospital.example/ValueSet/cardiac"
	testTruth(t, "https://hl7.org/fhir/R4/search.html#token", docs, []verdict{
		// "all resources that do not have a matching item", those without any too.
		{"woman", "gender:not=male", true},
		{"woman", "gender:not=female", false},
		{"woman", "gender:not=male,female", false},
		{"woman", "gender:not=male,unknown", true},
		{"nobody", "gender:not=male", true},
		{"two", "code:not=L1", false}, // one of its items matches
		{"two", "code:not=" + sct + "|L1", true},
		{"two", "code:not=" + sct + "|", false},
		{"none", "code:not=L1", true},

		// "the text portion of a CodeableConcept or the display portion of a Coding"
		{"attack", "code:text=heart", true},
		{"attack", "code:text=HEART att", true},
		{"attack", "code:text=attack severe", true},
		{"attack", "code:text=eart", false},
		{"attack", "code:text=infarction", true},
		{"attack", "code:text=22298006", false},
		{"attack", "code:text=stroke,myocard", true},
		{"none", "code:text=heart", false},
		{"marked", "identifier:text=medical rec", true}, // Identifier.type.text
		{"marked", "identifier:text=446053", false},

		{"attack", "code:in=" + cardiac, true},
		{"two", "code:in=" + cardiac, true},
		{"other", "code:in=" + cardiac, false},
		{"none", "code:in=" + cardiac, false},
		{"local", "code:in=" + cardiac, true}, // a code without a system
		{"attack", "code:in=ValueSet/cardiac", true},
		{"attack", "code:in=" + testBase + "/ValueSet/cardiac", true},
		{"attack", "code:in=http://hospital.example/ValueSet/empty", false},
		{"attack", "code:in=http://hospital.example/ValueSet/empty," + cardiac, true},
		{"two", "code:in=http://hospital.example/ValueSet/loinc", true}, // all codes of a system
		{"attack", "code:in=http://hospital.example/ValueSet/loinc", false},
		{"attack", "code:not-in=" + cardiac, false},
		{"other", "code:not-in=" + cardiac, true},
		{"none", "code:not-in=" + cardiac, true},
		{"other", "code:not-in=http://hospital.example/ValueSet/empty", true},
		{"woman", "gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", true}, // a code whose element implies the system
		{"unknown", "gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", false},

		{"attack", "code:below=" + sct + "|56265001", true},
		{"attack", "code:below=" + sct + "|22298006", true},
		{"disease", "code:below=" + sct + "|56265001", false},
		{"disease", "code:above=" + sct + "|56265001", true},
		{"attack", "code:above=" + sct + "|56265001", false},
		{"attack", "code:above=" + sct + "|22298006", true},
		{"attack", "code:below=" + sct + "|56265001," + sct + "|64572001", true},
		{"woman", "gender:below=female", true},

		{"marked", "identifier:of-type=" + mr + "|446053", true},
		{"marked", "identifier:of-type=http://x|Y|446053", true}, // "if any of the type codes match"
		{"marked", "identifier:of-type=http://x|MR|446053", false},
		{"marked", "identifier:of-type=" + mr + "|446054", false},
		{"marked", "identifier:of-type=" + mr + "|1," + mr + "|446053", true},
	})
}

// TestReferenceModifiers has :[type], :identifier, :above and :below.
func TestReferenceModifiers(t *testing.T) {
	docs := map[string]string{
		"of patient": `{"resourceType":"Observation","subject":{"reference":"Patient/23"}}`,
		"of group":   `{"resourceType":"Observation","subject":{"reference":"Group/23"}}`,
		"ours":       `{"resourceType":"Observation","subject":{"reference":"` + testBase + `/Patient/23"}}`,
		"elsewhere":  `{"resourceType":"Observation","subject":{"reference":"http://other.example/fhir/Patient/23"}}`,
		"logical":    `{"resourceType":"Observation","subject":{"identifier":{"system":"http://h/mrn","value":"12345"}}}`,
		"no system":  `{"resourceType":"Observation","subject":{"identifier":{"value":"12345"}}}`,
		"in room":    `{"resourceType":"Procedure","location":{"reference":"Location/room"}}`,
		"in house":   `{"resourceType":"Procedure","location":{"reference":"Location/house"}}`,
		"of base":    `{"resourceType":"Library","relatedArtifact":[{"type":"depends-on","resource":"http://h/Library/base|1.2.3"}]}`,
		"of base 1":  `{"resourceType":"Library","relatedArtifact":[{"type":"depends-on","resource":"http://h/Library/base|1"}]}`,
		"of base 12": `{"resourceType":"Library","relatedArtifact":[{"type":"depends-on","resource":"http://h/Library/base|12"}]}`,
		"of any":     `{"resourceType":"Library","relatedArtifact":[{"type":"depends-on","resource":"http://h/Library/base"}]}`,
	}
	testTruth(t, "https://hl7.org/fhir/R4/search.html#reference", docs, []verdict{
		{"of patient", "subject:Patient=23", true},
		{"of patient", "subject:Patient=Patient/23", true},
		{"of patient", "subject:Group=23", false},
		{"of group", "subject:Patient=23", false},
		{"of group", "subject:Group=7,23", true},
		{"ours", "subject:Patient=23", true},
		{"ours", "subject:Patient=" + testBase + "/Patient/23", true},
		{"elsewhere", "subject:Patient=23", false},
		{"elsewhere", "subject:Patient=http://other.example/fhir/Patient/23", true},
		{"of patient", "subject=23", true},
		{"of group", "subject=23", true},

		{"logical", "subject:identifier=http://h/mrn|12345", true},
		{"logical", "subject:identifier=12345", true},
		{"logical", "subject:identifier=http://h/mrn|", true},
		{"logical", "subject:identifier=|12345", false},
		{"logical", "subject:identifier=http://h/other|12345", false},
		{"logical", "subject:identifier=1234", false},
		{"no system", "subject:identifier=|12345", true},
		{"no system", "subject:identifier=12345", true},
		{"no system", "subject:identifier=http://h/mrn|12345,http://h/mrn|", false},
		{"of patient", "subject:identifier=23", false},
		{"logical", "subject=12345", false},

		{"in room", "location:below=house", true}, // https://hl7.org/fhir/R4/search.html#recursive
		{"in room", "location:below=Location/floor", true},
		{"in room", "location:below=room", true},
		{"in house", "location:below=floor", false},
		{"in house", "location:above=room", true},
		{"in room", "location:above=house", false},
		{"in room", "location:below=" + testBase + "/Location/house", true},

		{"of base", "depends-on:below=http://h/Library/base|1", true}, // https://hl7.org/fhir/R4/references.html#canonical
		{"of base", "depends-on:below=http://h/Library/base|1.2", true},
		{"of base", "depends-on:below=http://h/Library/base|1.2.3", true},
		{"of base", "depends-on:below=http://h/Library/base|1.2.3.4", false},
		{"of base 12", "depends-on:below=http://h/Library/base|1", false},
		{"of base", "depends-on:below=http://h/Library/base", true},
		{"of any", "depends-on:below=http://h/Library/base", true},
		{"of any", "depends-on:below=http://h/Library/base|1", false},
		{"of base 1", "depends-on:above=http://h/Library/base|1.2.3", true},
		{"of base", "depends-on:above=http://h/Library/base|1.2.3", true},
		{"of base 12", "depends-on:above=http://h/Library/base|1.2.3", false},
	})
}

// TestURIModifiers: "any value set with a URL that starts with", and "a URL that
// forms a left-match of the specific URL".
func TestURIModifiers(t *testing.T) {
	url := func(s string) string { return `{"resourceType":"ValueSet","url":"` + s + `"}` }
	docs := map[string]string{
		"acme": url("http://acme.org/fhir"), "slash": url("http://acme.org/fhir/"), "123": url("http://acme.org/fhir/ValueSet/123"), "host": url("http://acme.org"),
		"fhirs": url("http://acme.org/fhirs"), "history": url("http://acme.org/fhir/ValueSet/123/_history/5"), "other": url("http://other.org/fhir/ValueSet/123"),
		"urn": url("urn:oid:1.2.3.4"), "version": `{"resourceType":"ValueSet","url":"http://acme.org/v","version":"2.1.0"}`,
		"profiled": `{"resourceType":"Patient","meta":{"profile":["http://acme.org/p/base|2.1"]}}`,
	}
	testTruth(t, "https://hl7.org/fhir/R4/search.html#uri", docs, []verdict{
		{"123", "url:below=http://acme.org/fhir/", true},
		{"123", "url:below=http://acme.org/fhir", true},
		{"123", "url:below=http://acme.org/fhir/ValueSet/12", false}, // not a whole segment
		{"123", "url:below=http://acme.org/fhir/ValueSet/123", true},
		{"123", "url:below=http://acme.org", true},
		{"123", "url:below=http://ACME.org", false},
		{"slash", "url:below=http://acme.org/fhir", true},
		{"acme", "url:below=http://acme.org/fhir", true},
		{"acme", "url:below=http://acme.org/fhir/", false},
		{"fhirs", "url:below=http://acme.org/fhir", false},
		{"other", "url:below=http://acme.org/fhir", false},
		{"other", "url:below=http://acme.org/fhir,http://other.org", true},
		{"urn", "url:below=http://acme.org", false},
		{"version", "url:below=http://acme.org/v|2", true},
		{"version", "url:below=http://acme.org/v|2.1.0", true},
		{"version", "url:below=http://acme.org/v|1", false},
		{"profiled", "_profile:below=http://acme.org/p", true},
		{"profiled", "_profile:below=http://acme.org/p/base|2", true},
		{"profiled", "_profile:below=http://acme.org/p/base|3", false},

		{"acme", "url:above=http://acme.org/fhir/ValueSet/123/_history/5", true},
		{"slash", "url:above=http://acme.org/fhir/ValueSet/123/_history/5", true},
		{"host", "url:above=http://acme.org/fhir/ValueSet/123/_history/5", true},
		{"123", "url:above=http://acme.org/fhir/ValueSet/123/_history/5", true},
		{"history", "url:above=http://acme.org/fhir/ValueSet/123/_history/5", true},
		{"history", "url:above=http://acme.org/fhir/ValueSet/123", false},
		{"fhirs", "url:above=http://acme.org/fhir/ValueSet/123", false},
		{"other", "url:above=http://acme.org/fhir/ValueSet/123", false},
	})
}

// TestModifierErrors: each refusal says what to do instead.
func TestModifierErrors(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		types, query string
		kind         fhir.Kind
		says         string
	}{
		{"Patient", "gender:missing=yes", fhir.Invalid, `"yes" is neither true nor false`},
		{"Patient", "gender:missing=true,false", fhir.Invalid, "is neither true nor false"},
		{"Patient", "gender:not=", fhir.Invalid, "has no value"},
		{"Patient", "gender:text=x", fhir.Invalid, "It has: "},
		{"Patient", "identifier:in=http://x", fhir.Invalid, "It has: "},
		{"Patient", "gender:of-type=a|b|c", fhir.Invalid, "It has: "},
		{"Patient", "identifier:ofType=a|b|c", fhir.Invalid, "It has: of-type, "},
		{"Patient", "identifier:of-type=b|c", fhir.Invalid, "all three"},
		{"Patient", "identifier:of-type=a||c", fhir.Invalid, "all three"},
		{"Patient", "name:not=x", fhir.Invalid, "It has: "},
		{"Patient", "name:contains=-", fhir.Invalid, "no letter or digit"},
		{"Patient", "name:exact=-", fhir.Invalid, "no letter or digit"},
		{"Patient", "name:contains=" + strings.Repeat("x", maxPrefixText+1), fhir.Invalid, "longer than"},
		{"Condition", "code:not:in=x", fhir.Invalid, "takes one modifier"},
		{"Observation", "subject:Patient:identifier=x", fhir.Invalid, "stands behind a '.'"},
		{"Observation", "subject:Medication=1", fhir.Invalid, "subject cannot refer to Medication, only to Device, Group, Location, Patient"},
		{"Observation", "subject:Patiant=1", fhir.Invalid, "Device, Group, Location, Patient"},
		{"Observation", "subject:Patient=Group/1", fhir.Invalid, "is not a reference to a Patient"},
		{"Observation", "subject:Patient=http://x/1", fhir.Invalid, "is not a reference to a Patient"},
		{"Observation", "subject:identifier=a|b|c", fhir.Invalid, "an identifier is written"},
		{"Observation", "subject:identifier=|", fhir.Invalid, "an identifier is written"},
		{"Library", "depends-on:identifier=x", fhir.Invalid, "It has: "},
		{"Observation", "subject:below=1", fhir.Invalid, "write Type/id"},
		{"Observation", "subject:below=Patient/1", fhir.NotSupported, "no hierarchy"},
		{"Observation", "subject:below=http://x|1", fhir.Invalid, "write Type/id"},
		{"Condition", "code:below=22298006", fhir.Invalid, "write system|code"},
		{"Condition", "code:below=" + sct + "|", fhir.Invalid, "write system|code"},
		{"Condition", "code:below=http://x|1", fhir.Invalid, "there is no code system"},
		{"Condition", "code:in=http://x", fhir.Invalid, "there is no value set"},
		{"ValueSet", "url:below=urn:oid:1.2", fhir.Invalid, "do not apply to URNs"},
		{"ValueSet", "url:above=URN:oid:1.2", fhir.Invalid, "do not apply to URNs"},
		{"ValueSet", "url:below=ValueSet/1", fhir.Invalid, "relative URLs"},
		{"ValueSet", "url:above=http://x/" + strings.Repeat("/", 10_000), fhir.Invalid, "longer than"},
		{"Patient", "birthdate:not=2000", fhir.Invalid, "It has: missing"},
		{"RiskAssessment", "probability:above=1", fhir.Invalid, "It has: missing"},
		{"Observation", "value-quantity:exact=1", fhir.Invalid, "It has: missing"},
		{"Observation", "code-value-quantity:not=1", fhir.Invalid, "takes no modifier"},
	} {
		_, err := parse(t, test.types, test.query, w.options())
		if err == nil || fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s?%s:\n got %v (kind %d)\nwant kind %d saying %q", test.types, fhir.Clip(test.query), err, fhir.KindOf(err), test.kind, test.says)
		}
	}
}

// TestModifiersOfEveryParameter: every parameter of every type takes exactly the
// modifiers of its type and elements, and says so of the others.
func TestModifiersOfEveryParameter(t *testing.T) {
	values := map[string]string{
		"missing": "true", "of-type": "a|b|c", "in": "http://hospital.example/ValueSet/cardiac", "not-in": "http://hospital.example/ValueSet/cardiac",
		"above": "http://snomed.info/sct|22298006", "below": "http://snomed.info/sct|22298006",
	}
	r := testRegistry(t)
	w := newWorld(t)
	asked := 0
	for _, typ := range []string{"Patient", "Observation", "Library", "Location", "Task", "Questionnaire", "RiskAssessment"} {
		for _, p := range r.Params(typ) {
			for _, m := range modifiers() {
				value := values[m.name]
				switch {
				case value == "" && p.Type == TypeReference, m.name == "above" && p.Type == TypeReference, m.name == "below" && p.Type == TypeReference:
					value = "Location/room"
				case value == "" && p.hasOnly("boolean"):
					value = "true"
				case value == "":
					value = "a"
				}
				_, err := r.Parse([]string{typ}, fmt.Sprintf("%s:%s=%s", p.Name, m.name, escape(value)), w.options())
				asked++
				if m.fits(p) != (err == nil) {
					t.Errorf("%s?%s:%s=%s: fits %t, error %v", typ, p.Name, m.name, value, m.fits(p), err)
				}
			}
		}
	}
	if asked < 500 || !resource.KnownType("Task") {
		t.Errorf("only %d asked", asked)
	}
}

// TestPiecesHaveAnEnd: a text of a megabyte, which R4 allows, does not fill the
// index.
func TestPiecesHaveAnEnd(t *testing.T) {
	w := newWorld(t, `{"resourceType":"ValueSet","id":"v","description":"`+strings.Repeat("beginning ", 100)+strings.Repeat("middle ", 150_000)+`end"}`)
	pieces := 0
	for _, e := range w.entries[fhir.Key{Type: "ValueSet", ID: "v"}] {
		if e.Value[0] == classStringPiece {
			pieces++
		}
	}
	if pieces == 0 || pieces > mostPieces {
		t.Errorf("%d pieces", pieces)
	}
	for part, want := range map[string]int{"ning middle": 1, "middle end": 0} {
		if got := len(w.find(t, "ValueSet", "description:contains="+escape(part))); got != want {
			t.Errorf("%q: found %d, want %d", part, got, want)
		}
	}
}
