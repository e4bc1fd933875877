package search

import (
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
)

// TestSearches covers token, string, reference, uri and composite parameters.
func TestSearches(t *testing.T) {
	docs := ownResources(t)
	long := strings.Repeat("x", 600)
	docs["long"] = []byte(`{"resourceType":"Patient","id":"long","identifier":[{"system":"` + long + `","value":"` + long + `1"}],"name":[{"text":"` + long + `"}]}`)
	docs["document"] = []byte(`{"resourceType":"DocumentReference","relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/first"}},{"code":"appends","target":{"reference":"DocumentReference/second"}}]}`)
	docs["profiled"] = []byte(`{"resourceType":"Patient","meta":{"profile":["http://hospital.example/p|1.0"]}}`)
	docs["odd"] = []byte(`{"resourceType":"Observation","code":{"coding":[{"system":"http://a.example/x|y","code":"a,b$c\\d"}]},"valueString":"Smith, John"}`)
	docs["letters"] = []byte(`{"resourceType":"Patient","name":[{"family":"Łukasz"},{"family":"Straße"},{"family":"Æsop"},{"family":"İstanbul"},{"family":"Işık"},{"family":"Γιώργος"}]}`)
	tests := []struct {
		doc, query string
		want       bool
	}{
		// Tokens: https://hl7.org/fhir/R4/search.html#token
		{"observation-glucose", "code=http://loinc.org|2339-0", true},
		{"observation-glucose", "code=2339-0", true},
		{"observation-glucose", "code=http://loinc.org|", true},
		{"observation-glucose", "code=http://loinc.org", false},
		{"observation-glucose", "code=http://lab.example/codes|2339-0", false},
		{"observation-glucose", "code=|2339-0", false}, // it has a system
		{"observation-glucose", "code=2339", false},    // no part of a code
		{"observation-glucose", "code=glu", false},     // case counts
		{"observation-glucose", "code=nope,GLU", true},
		{"observation-glucose", "code=GLU&code=2339-0", true}, // two codings, both there
		{"observation-glucose", "code=GLU&code=nope", false},
		{"observation-pressure", "component-code=|local", true},
		{"observation-pressure", "component-code=local", true},
		{"observation-glucose", "status=final", true},
		{"observation-glucose", "status=|final", true},
		{"observation-glucose", "status=http://hl7.org/fhir/observation-status|final", true}, // the implied system
		{"observation-glucose", "status=http://hl7.org/fhir/observation-status|", true},
		{"observation-glucose", "status=http://other.example|final", false},
		{"observation-glucose", "status=http://other.example|", false},
		{"patient", "identifier=http://hospital.example/mrn|M-0042", true},
		{"patient", "identifier=M-0042", true},
		{"patient", "identifier=|no-system", true},
		{"patient", "identifier=|M-0042", false},
		{"patient", "email=maren@mail.example", true},
		{"patient", "email=Maren@MAIL.example", true},
		{"patient", "gender=Female", true},
		{"patient", "gender=http://hl7.org/fhir/administrative-gender|FEMALE", true},
		{"patient", "gender:not=Female", false},
		{"patient", "telecom=|Maren@mail.example", true},
		{"patient", "email:not=MAREN@mail.example", false},
		{"patient", "telecom=%2B47 555 0100", true},
		{"patient", "phone=maren@mail.example", false},
		{"patient", "active=true", true},
		{"patient", "active=http://hl7.org/fhir/special-values|true", true},
		{"patient", "active=false", false},
		{"patient", "deceased=true", true},
		{"patient-plain", "deceased=true", false},
		{"patient-plain", "deceased=false", true},
		{"long", "deceased=false", true}, // Patient.deceased.exists() is false: the expression gives false
		{"patient", "_id=maren", true},
		{"patient", "_id=Maren", false}, // "matches on _id are always case sensitive"
		{"patient", "_id=other,maren", true},
		{"patient", "_tag=http://hospital.example/tags|study-7", true},
		{"patient", "_security=R", true},
		{"group", "value=true", true},
		{"group", "value=|true", true},
		{"long", "identifier=" + long + "|" + long + "1", true},
		{"long", "identifier=" + long + "1", true},
		{"long", "identifier=" + long + "2", false},
		{"long", "identifier=" + long + "|", true},
		{"odd", `code=http://a.example/x\|y|a\,b\$c\\d`, true},
		{"odd", `code=a\,b\$c\\d`, true},
		{"odd", `code=a\,b`, false},

		// Strings: https://hl7.org/fhir/R4/search.html#string
		{"patient", "given=mar", true},
		{"patient", "given=MAREN", true},
		{"patient", "given=aren", false}, // the start, not the middle
		{"patient", "given=asa", true},
		{"patient", "given=Ása", true}, // combining marks do not count
		{"patient", "family=carreno", true},
		{"patient", "family=Quiñones", true}, // parts of a family name are found independently
		{"patient", "family=carreño  quiñones", true},
		{"patient", "family=nones", false},
		{"patient", "name=quinones", true},
		{"patient", "name=Dr Maren", true},
		{"patient", "name=dr maren asa o'brien", true},
		{"patient", "name=dr maren asa obrien", true},
		{"patient", "name=official", false}, // "does not cover elements such as use and period"
		{"patient", "address=12 elm st", true},
		{"patient", "address=flat", true},
		{"patient", "address-city=ørsta", true},
		{"patient", "address-city=ORSTA", true}, // what has no Ø on its keyboard
		{"letters", "family=lukasz", true},
		{"letters", "family=ŁUKASZ", true},
		{"letters", "family=strasse", true},
		{"letters", "family=STRAẞE", true},
		{"letters", "family=aesop", true},
		{"letters", "family=istanbul", true},
		{"letters", "family=isik", true},
		{"letters", "family=ΓΙΩΡΓΟΣ", true},
		{"letters", "family=ukasz", false},
		{"patient", "address=home", false},
		{"patient", "given=bob,mo", true},
		{"odd", `value-string=smith\, john`, true},
		{"odd", `value-string=smith`, true},
		{"long", "name=" + strings.Repeat("x", maxPrefixText), true},
		{"long", "name=" + strings.Repeat("x", maxPrefixText-1) + "y", false},

		// References: https://hl7.org/fhir/R4/search.html#reference
		{"observation-glucose", "subject=Patient/maren", true},
		{"observation-glucose", "subject=maren", true},
		{"observation-glucose", "patient=maren", true},
		{"observation-glucose", "patient=Patient/maren", true},
		{"observation-glucose", "subject=Device/maren", false},
		{"observation-glucose", "subject=http://starling.example/fhir/Patient/maren", true}, // our own base
		{"observation-glucose", "subject=http://other.example/fhir/Patient/maren", false},
		{"observation-glucose", "subject=Patient/maren/_history/3", true},
		{"observation-glucose", "subject=Patient/maren/_history/2", false},
		{"observation-glucose", "performer=Practitioner/p1,Practitioner/p2", true},
		{"patient", "general-practitioner=http://other.example/fhir/Organization/o9", true},
		{"patient", "general-practitioner=http://other.example/fhir/Organization/o9/_history/2", true},
		{"patient", "general-practitioner=http://other.example/fhir/Organization/o9/_history/1", false},
		{"patient", "general-practitioner=o9", false}, // on another server
		{"patient", "general-practitioner=p1", true},
		{"observation-text", "device=urn:uuid:0b5a2c1e-8a3b-4d0e-9d8b-7a51a6a2c001", true},
		{"condition", "patient=http://hospital.example/fhir/Patient/maren", true},
		{"condition", "patient=Patient/maren", false}, // somebody else's maren
		{"library", "depends-on=http://hospital.example/Library/base", true},
		{"library", "depends-on=http://hospital.example/Library/base%7C1.2", true},
		{"library", "depends-on=http://hospital.example/Library/base%7C1.3", false},
		{"bundle", "composition=Composition/comp", true},
		{"appointment", "practitioner=urn:uuid:5c0f3b0e-1111-4d0e-9d8b-7a51a6a2c001", true},
		{"appointment", "patient=maren", true},
		{"appointment", "patient=l1", false},
		{"composition", "related-ref=Composition/first", true},
		{"composition", "related-id=http://hospital.example/doc|d-1", true},

		// URIs: https://hl7.org/fhir/R4/search.html#uri
		{"value-set", "url=http://hospital.example/ValueSet/genes", true},
		{"value-set", "url=http://hospital.example/valueset/genes", false},
		{"value-set", "url=http://hospital.example/ValueSet", false},
		{"value-set", "url=http://hospital.example/ValueSet/genes|2.1", true}, // a canonical with its version
		{"value-set", "url=http://hospital.example/ValueSet/genes|2.0", false},
		{"profiled", "_profile=http://hospital.example/p", true},
		{"profiled", "_profile=http://hospital.example/p|1.0", true},
		{"profiled", "_profile=http://hospital.example/p|2.0", false},
		{"patient", "_source=http://hospital.example/feed%237", true},
		{"patient", "_profile=http://hospital.example/StructureDefinition/patient", true},

		// Composites: https://hl7.org/fhir/R4/search.html#combining
		{"observation-laboratory", "code-value-quantity=http://loinc.org|2160-0$1.04", true},
		{"observation-laboratory", "code-value-quantity=2160-0$gt1||mg/dL", true},
		{"observation-laboratory", "code-value-quantity=2160-0$gt1|http://unitsofmeasure.org|mg/dL", true},
		{"observation-laboratory", "code-value-quantity=2160-0$gt1||g", false},
		{"observation-laboratory", "code-value-quantity=|2160-0$gt1", false},
		{"observation-laboratory", "code-value-quantity=http://loinc.org|$gt1", true},
		{"observation-laboratory", "code-value-quantity=http://loinc.org|2160-0$lt1", false},
		{"observation-laboratory", "code-value-quantity=x$1,2160-0$gt1", true},
		{"observation-glucose", "code-value-quantity=http://loinc.org|2339-0$gt100", true}, // >= 6.30
		{"observation-pressure", "component-code-value-quantity=8480-6$107", true},
		{"observation-pressure", "combo-code-value-quantity=8480-6$ge107||mm[Hg]", true},
		{"observation-pressure", "combo-code-value-quantity=85354-9$107", false}, // another component's value
		{"observation-pressure", "component-code-value-concept=local$http://snomed.info/sct|17621005", true},
		{"observation-pressure", "component-code-value-concept=8480-6$17621005", false},
		{"observation-date", "code-value-date=http://loinc.org|11778-8$ge2026-10", true},
		{"observation-date", "code-value-date=11778-8$2026", true},
		{"observation-date", "code-value-date=11778-8$sa2026", false},
		{"observation-text", "code-value-string=50398-7$homozygous", true},
		{"observation-text", "code-value-string=50398-7$zygous", false},
		{"molecular-sequence", "chromosome-variant-coordinate=10$le94781858$ge94781859", true},
		{"molecular-sequence", "chromosome-variant-coordinate=10$lt94781858$gt1", false},
		{"molecular-sequence", "chromosome-variant-coordinate=http://terminology.hl7.org/CodeSystem/chromosome-human|10$94842865$94842866", true},
		{"molecular-sequence", "chromosome-variant-coordinate=10$94842865$94781859", false}, // ends of different variants
		{"molecular-sequence", "referenceseqid-window-coordinate=NC_000010.11$ge94760000$lt94860001", true},
		{"group", "characteristic-value=smoker$true", true},
		{"group", "characteristic-value=smoker$false", false},
		{"value-set", "context-type-quantity=age$40", false}, // eq is containment, and 18 to 65 is wider
		{"value-set", "context-type-quantity=age$gt60||a", true},
		{"value-set", "context-type-value=focus$pgx", true},
		{"document", "relationship=replaces$DocumentReference/first", true},
		{"document", "relationship=replaces$first", true},
		{"document", "relationship=appends$first", false},
		{"document", "relationship=http://hl7.org/fhir/document-relationship-type|replaces$first", true},
		{"value-set", "context-type-value=age$pgx", false},
	}
	for _, test := range tests {
		doc, ok := docs[test.doc]
		if !ok {
			t.Fatalf("no resource %q", test.doc)
		}
		if got := finds(t, string(doc), test.query); got != test.want {
			t.Errorf("%s on %s: %t, want %t", fhir.Clip(test.query), test.doc, got, test.want)
		}
	}
}

func TestStringElementsOfTokensMatchInAnyCase(t *testing.T) {
	// "If the underlying data type is string then the search is not case sensitive."
	// https://hl7.org/fhir/R4/search.html#token
	const doc = `{"resourceType":"Medication","id":"Med","batch":{"lotNumber":"AbC-1"}}`
	for query, want := range map[string]bool{
		"lot-number=AbC-1": true, "lot-number=abc-1": true, "lot-number=ABC-1": true, "lot-number=abc": false,
		"_id=Med": true, "_id=med": false, // an id is no string
	} {
		if got := finds(t, doc, query); got != want {
			t.Errorf("%s: %t, want %t", query, got, want)
		}
	}
}

func TestMatchNot(t *testing.T) {
	entries := []Entry{{"a", []byte("1")}, {"a", []byte("3")}, {"b", []byte("2")}}
	exactly2 := []Range{{From: []byte("2"), To: []byte("3")}}
	tests := []struct {
		clause Clause
		want   bool
	}{
		{Clause{Param: "a", Ranges: exactly2}, false}, // one entry below, one above, none inside
		{Clause{Param: "a", Ranges: exactly2, Not: true}, true},
		{Clause{Param: "b", Ranges: exactly2}, true},
		{Clause{Param: "b", Ranges: exactly2, Not: true}, false},
		{Clause{Param: "c", Ranges: exactly2, Not: true}, true},
		{Clause{Param: "b"}, false},
		{Clause{Param: "b", Not: true}, true},
		{Clause{Param: "b", Ranges: []Range{{From: []byte("0"), Keep: func(v []byte) bool { return v[0] == '9' }}}}, false},
	}
	for i, test := range tests {
		if got := Match("Patient", entries, test.clause); got != test.want {
			t.Errorf("%d: %t, want %t", i, got, test.want)
		}
	}
}
