package rest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// pathPatch writes a FHIRPath Patch. An operation is "type; path", then
// "name=…", "index=…", "source=…", "destination=…" and last "value" with the JSON
// members of that part.
func pathPatch(operations ...string) string {
	var list []string
	for _, operation := range operations {
		pieces := strings.SplitN(operation, "; ", 3)
		parts := []string{
			`{"name":"type","valueCode":"` + pieces[0] + `"}`,
			`{"name":"path","valueString":` + quoted(pieces[1]) + `}`,
		}
		rest := ""
		if len(pieces) > 2 {
			rest = pieces[2]
		}
		for rest != "" && !strings.HasPrefix(rest, "{") {
			piece, after, _ := strings.Cut(rest, "; ")
			name, value, _ := strings.Cut(piece, "=")
			if rest = after; name == "name" {
				parts = append(parts, `{"name":"name","valueString":`+quoted(value)+`}`)
				continue
			}
			parts = append(parts, `{"name":"`+name+`","valueInteger":`+value+`}`)
		}
		if rest != "" {
			parts = append(parts, `{"name":"value",`+rest[1:])
		}
		list = append(list, `{"name":"operation","part":[`+strings.Join(parts, ",")+`]}`)
	}
	if len(list) == 0 {
		return `{"resourceType":"Parameters"}`
	}
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(list, ",") + `]}`
}

func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// patched applies a patch to a resource as the server does, without the gate.
func patched(t *testing.T, s *Server, before, document string) (string, error) {
	t.Helper()
	n, err := resource.Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	apply, err := s.parseFHIRPathPatch(n)
	if n.Kind == resource.Array {
		apply, err = parseJSONPatch(n)
	}
	if err != nil {
		return "", err
	}
	root, err := resource.Decode([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	if err := apply(root); err != nil {
		return "", err
	}
	prune(root)
	return string(root.JSON()), nil
}

func patient(members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"resourceType":"Patient"` + members + `}`
}

// identifiers is a list of identifiers with these values.
func identifiers(values ...string) string {
	items := make([]string, len(values))
	for i, value := range values {
		items[i] = `{"system":"http://example.org","value":"` + value + `"}`
	}
	return `"identifier":[` + strings.Join(items, ",") + `]`
}

// TestFHIRPathPatch has the cases of HL7's suite for FHIRPath Patch in our words,
// and those its rules imply: https://hl7.org/fhir/R4/fhirpatch.html.
func TestFHIRPathPatch(t *testing.T) {
	const contact = `"contact":[{"name":{"text":"a name"},"gender":"male"}]`
	four := patient(identifiers("1", "2", "3", "4"))
	tests := []struct {
		name   string
		before string
		patch  string
		want   string
	}{
		{"nothing to do", patient(`"birthDate":"1920-01-01"`), pathPatch(), patient(`"birthDate":"1920-01-01"`)},
		{"replace a primitive", patient(`"birthDate":"1920-01-01"`), pathPatch(`replace; Patient.birthDate; {"valueDate":"1930-01-01"}`), patient(`"birthDate":"1930-01-01"`)},
		{"delete a primitive", patient(`"birthDate":"1920-01-01"`), pathPatch(`delete; Patient.birthDate`), patient("")},
		{"add a primitive", patient(""), pathPatch(`add; Patient; name=birthDate; {"valueDate":"1930-01-01"}`), patient(`"birthDate":"1930-01-01"`)},
		{"replace inside a list", patient(contact), pathPatch(`replace; Patient.contact[0].gender; {"valueCode":"female"}`), patient(`"contact":[{"name":{"text":"a name"},"gender":"female"}]`)},
		{"replace two levels down", patient(contact), pathPatch(`replace; Patient.contact[0].name.text; {"valueString":"the name"}`), patient(`"contact":[{"name":{"text":"the name"},"gender":"male"}]`)},
		{"delete inside a list", patient(contact), pathPatch(`delete; Patient.contact[0].gender`), patient(`"contact":[{"name":{"text":"a name"}}]`)},
		{"delete all there is, and its parent goes too", patient(contact), pathPatch(`delete; Patient.contact[0].name.text`), patient(`"contact":[{"gender":"male"}]`)},
		{"add inside a list", patient(`"contact":[{"name":{"text":"a name"}}]`), pathPatch(`add; Patient.contact[0]; name=gender; {"valueCode":"male"}`), patient(contact)},
		{"add a complex value", patient(""), pathPatch(`add; Patient; name=maritalStatus; {"valueCodeableConcept":{"text":"married"}}`), patient(`"maritalStatus":{"text":"married"}`)},
		{"replace a complex value, its id too", patient(`"maritalStatus":{"id":"1","text":"married"}`), pathPatch(`replace; Patient.maritalStatus; {"valueCodeableConcept":{"id":"2","text":"not married"}}`), patient(`"maritalStatus":{"id":"2","text":"not married"}`)},
		{"delete a complex value", patient(`"maritalStatus":{"text":"married"}`), pathPatch(`delete; Patient.maritalStatus`), patient("")},
		{"add an element without a type of its own", patient(""), pathPatch(`add; Patient; name=contact; {"part":[{"name":"name","valueHumanName":{"text":"a name"}}]}`), patient(`"contact":[{"name":{"text":"a name"}}]`)},
		{"parts may repeat and nest", patient(""), pathPatch(`add; Patient; name=contact; {"part":[{"name":"telecom","valueContactPoint":{"system":"phone","value":"1"}},{"name":"telecom","part":[{"name":"system","valueCode":"fax"},{"name":"value","valueString":"2"}]}]}`), patient(`"contact":[{"telecom":[{"system":"phone","value":"1"},{"system":"fax","value":"2"}]}]`)},
		{"delete an element without a type of its own", patient(`"contact":[{"name":{"text":"a name"}}]`), pathPatch(`delete; Patient.contact[0]`), patient("")},
		{"the contents of a list", patient(identifiers("1", "2")), pathPatch(`replace; Patient.identifier[0].value; {"valueString":"2"}`, `replace; Patient.identifier[1].value; {"valueString":"1"}`), patient(identifiers("2", "1"))},
		{"insert at the end", patient(identifiers("1", "2")), pathPatch(`insert; Patient.identifier; index=2; {"valueIdentifier":{"system":"http://example.org","value":"3"}}`), patient(identifiers("1", "2", "3"))},
		{"insert in the middle", patient(identifiers("1", "2")), pathPatch(`insert; Patient.identifier; index=1; {"valueIdentifier":{"system":"http://example.org","value":"3"}}`), patient(identifiers("1", "3", "2"))},
		{"insert in front", patient(identifiers("1", "2")), pathPatch(`insert; Patient.identifier; index=0; {"valueIdentifier":{"system":"http://example.org","value":"3"}}`), patient(identifiers("3", "1", "2"))},
		{"insert into a list that is not there yet", patient(""), pathPatch(`insert; Patient.identifier; index=0; {"valueIdentifier":{"system":"http://example.org","value":"3"}}`), patient(identifiers("3"))},
		{"delete the first", patient(identifiers("1", "2", "3")), pathPatch(`delete; Patient.identifier[0]`), patient(identifiers("2", "3"))},
		{"delete the middle", patient(identifiers("1", "2", "3")), pathPatch(`delete; Patient.identifier[1]`), patient(identifiers("1", "3"))},
		{"delete the last", patient(identifiers("1", "2", "3")), pathPatch(`delete; Patient.identifier[2]`), patient(identifiers("1", "2"))},
		{"delete what is not there", patient(identifiers("1")), pathPatch(`delete; Patient.identifier[2]`), patient(identifiers("1"))},
		{"move forward", four, pathPatch(`move; Patient.identifier; source=3; destination=1`), patient(identifiers("1", "4", "2", "3"))},
		{"move to the front", four, pathPatch(`move; Patient.identifier; source=3; destination=0`), patient(identifiers("4", "1", "2", "3"))},
		{"move by one", four, pathPatch(`move; Patient.identifier; source=3; destination=2`), patient(identifiers("1", "2", "4", "3"))},
		{"move to the end", four, pathPatch(`move; Patient.identifier; source=0; destination=3`), patient(identifiers("2", "3", "4", "1"))},
		{"move twice", four, pathPatch(`move; Patient.identifier; source=1; destination=0`, `move; Patient.identifier; source=2; destination=1`), patient(identifiers("2", "3", "1", "4"))},
		{"reverse by moving", four, pathPatch(`move; Patient.identifier; source=3; destination=0`, `move; Patient.identifier; source=3; destination=1`, `move; Patient.identifier; source=3; destination=2`), patient(identifiers("4", "3", "2", "1"))},
		{"where", patient(`"name":[{"use":"usual","family":"A"},{"use":"official","family":"B"}]`), pathPatch(`replace; Patient.name.where(use = 'official').family; {"valueString":"C"}`), patient(`"name":[{"use":"usual","family":"A"},{"use":"official","family":"C"}]`)},
		{"where with and", patient(`"telecom":[{"system":"phone","use":"home","value":"1"},{"system":"phone","use":"work","value":"2"}]`), pathPatch(`delete; Patient.telecom.where(system = 'phone' and use = 'work')`), patient(`"telecom":[{"system":"phone","use":"home","value":"1"}]`)},
		{"where with exists and not", patient(`"name":[{"family":"A","period":{"start":"2020"}},{"family":"B"}]`), pathPatch(`delete; Patient.name.where(period.exists().not())`), patient(`"name":[{"family":"A","period":{"start":"2020"}}]`)},
		{"where looks at numbers by what they are worth", `{"resourceType":"Observation","component":[{"valueQuantity":{"value":1.50}},{"valueQuantity":{"value":2}}]}`, pathPatch(`delete; Observation.component.where((value as Quantity).value = 1.5)`), `{"resourceType":"Observation","component":[{"valueQuantity":{"value":2}}]}`},
		{"first and last", patient(`"name":[{"family":"A"},{"family":"B"}]`), pathPatch(`delete; Patient.name.first()`, `replace; Patient.name.last().family; {"valueString":"C"}`), patient(`"name":[{"family":"C"}]`)},
		{"given names in a list of primitives", patient(`"name":[{"given":["A","B"]}]`), pathPatch(`insert; Patient.name[0].given; index=1; {"valueString":"X"}`, `delete; Patient.name[0].given[0]`), patient(`"name":[{"given":["X","B"]}]`)},
		{"the list of extensions keeps step", patient(`"name":[{"given":["A","B"],"_given":[null,{"id":"b"}]}]`), pathPatch(`insert; Patient.name[0].given; index=0; {"valueString":"X"}`, `move; Patient.name[0].given; source=2; destination=1`), patient(`"name":[{"given":["X","B","A"],"_given":[null,{"id":"b"},null]}]`)},
		{"deleting a primitive takes its extensions along", patient(`"name":[{"given":["A","B"],"_given":[null,{"id":"b"}]}],"birthDate":"1920","_birthDate":{"id":"d"}`), pathPatch(`delete; Patient.name[0].given[1]`, `delete; Patient.birthDate`), patient(`"name":[{"given":["A"]}]`)},
		{"replacing a primitive takes its extensions along", patient(`"birthDate":"1920","_birthDate":{"id":"d"}`), pathPatch(`replace; Patient.birthDate; {"valueDate":"1921","_valueDate":{"id":"e"}}`), patient(`"birthDate":"1921","_birthDate":{"id":"e"}`)},
		{"an extension of a primitive", patient(`"birthDate":"1920"`), pathPatch(`add; Patient.birthDate; name=extension; {"valueExtension":{"url":"http://example.org/t","valueString":"x"}}`), ""},
		{"parts for an extension", patient(`"birthDate":"1920"`), pathPatch(`add; Patient.birthDate; name=extension; {"part":[{"name":"url","valueUri":"http://example.org/t"},{"name":"value","valueString":"x"}]}`), patient(`"birthDate":"1920","_birthDate":{"extension":[{"url":"http://example.org/t","valueString":"x"}]}`)},
		{"extension()", patient(`"extension":[{"url":"http://example.org/a","valueString":"1"},{"url":"http://example.org/b","valueString":"2"}]`), pathPatch(`replace; Patient.extension('http://example.org/b').value; {"valueString":"3"}`), patient(`"extension":[{"url":"http://example.org/a","valueString":"1"},{"url":"http://example.org/b","valueString":"3"}]`)},
		{"a choice is replaced by another type, in its place", `{"resourceType":"Observation","valueString":"x","note":[{"text":"n"}]}`, pathPatch(`replace; Observation.value; {"valueQuantity":{"value":1.50}}`), `{"resourceType":"Observation","valueQuantity":{"value":1.50},"note":[{"text":"n"}]}`},
		{"a choice is added", patient(""), pathPatch(`add; Patient; name=deceased; {"valueBoolean":true}`), patient(`"deceasedBoolean":true`)},
		{"a choice by its name in JSON", patient(`"deceasedBoolean":false`), pathPatch(`replace; Patient.deceasedBoolean; {"valueBoolean":true}`), patient(`"deceasedBoolean":true`)},
		{"ofType", `{"resourceType":"Observation","valueQuantity":{"value":1,"unit":"g"}}`, pathPatch(`replace; Observation.value.ofType(Quantity).unit; {"valueString":"kg"}`), `{"resourceType":"Observation","valueQuantity":{"value":1,"unit":"kg"}}`},
		{"as in front", `{"resourceType":"Observation","valueQuantity":{"value":1,"unit":"g"}}`, pathPatch(`replace; (Observation.value as Quantity).unit; {"valueString":"kg"}`), `{"resourceType":"Observation","valueQuantity":{"value":1,"unit":"kg"}}`},
		{"contained resources", patient(`"contained":[{"resourceType":"Organization","id":"o","name":"A"}]`), pathPatch(`replace; Patient.contained.where(id = 'o').name; {"valueString":"B"}`), patient(`"contained":[{"resourceType":"Organization","id":"o","name":"B"}]`)},
		{"a contained resource is added", patient(""), pathPatch(`add; Patient; name=contained; {"resource":{"resourceType":"Organization","id":"o","name":"A"}}`), patient(`"contained":[{"resourceType":"Organization","id":"o","name":"A"}]`)},
		{"a path without the type in front", patient(`"active":true`), pathPatch(`replace; active; {"valueBoolean":false}`), patient(`"active":false`)},
		{"a date for a dateTime", patient(identifiers("1")), pathPatch(`add; Patient.identifier[0]; name=period; {"part":[{"name":"end","valueDate":"2021-12-01"}]}`), patient(`"identifier":[{"system":"http://example.org","value":"1","period":{"end":"2021-12-01"}}]`)},
		{"text for the narrative", patient(`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"}`), pathPatch(`replace; Patient.text.div; {"valueString":"<div xmlns=\"http://www.w3.org/1999/xhtml\">b</div>"}`), patient(`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">b</div>"}`)},
		{"operations see what those before have done", patient(""), pathPatch(`add; Patient; name=name; {"valueHumanName":{"family":"A"}}`, `add; Patient.name[0]; name=given; {"valueString":"B"}`), patient(`"name":[{"family":"A","given":["B"]}]`)},
		{"text with quotes in a condition", patient(`"name":[{"family":"O'Neil"},{"family":"x"}]`), pathPatch(`delete; Patient.name.where(family = 'O\'Neil')`), patient(`"name":[{"family":"x"}]`)},
	}
	a := newAPI(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := patched(t, a.server, test.before, test.patch)
			if test.want == "" {
				if err == nil {
					t.Fatalf("no error, but %s", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFHIRPathPatchErrors: what cannot be done is said, and where.
func TestFHIRPathPatchErrors(t *testing.T) {
	before := patient(`"name":[{"family":"A"},{"family":"B"}],"active":true,` + identifiers("1"))
	tests := []struct {
		name  string
		patch string
		kind  fhir.Kind
		part  string // of the message
	}{
		{"add to what is not there", pathPatch(`add; Patient.identifier.where(use = 'official').period; name=end; {"valueDate":"2021"}`), fhir.Unprocessable, "0 elements"},
		{"replace what is not there", pathPatch(`replace; Patient.birthDate; {"valueDate":"2021"}`), fhir.Unprocessable, "leads to nothing"},
		{"delete several", pathPatch(`delete; Patient.name`), fhir.Unprocessable, "2 elements"},
		{"replace several", pathPatch(`replace; Patient.name.family; {"valueString":"x"}`), fhir.Unprocessable, "2 elements"},
		{"add what is there and does not repeat", pathPatch(`add; Patient; name=active; {"valueBoolean":false}`), fhir.Unprocessable, "there already"},
		{"an element that does not exist", pathPatch(`add; Patient; name=activ; {"valueBoolean":false}`), fhir.Unprocessable, "no element activ"},
		{"a wrong type", pathPatch(`replace; Patient.active; {"valueString":"true"}`), fhir.Unprocessable, "takes valueBoolean"},
		{"a wrong type for a choice", pathPatch(`add; Patient; name=deceased; {"valueQuantity":{"value":1}}`), fhir.Unprocessable, "valueBoolean, valueDateTime"},
		{"a value for an element with parts", pathPatch(`add; Patient; name=contact; {"valueHumanName":{"text":"x"}}`), fhir.Unprocessable, "parts for its members"},
		{"insert behind the end", pathPatch(`insert; Patient.name; index=3; {"valueHumanName":{"text":"x"}}`), fhir.Unprocessable, "has 2 items"},
		{"insert into what is no list", pathPatch(`insert; Patient.active; index=0; {"valueBoolean":true}`), fhir.Unprocessable, "not a list"},
		{"move out of the list", pathPatch(`move; Patient.name; source=0; destination=2`), fhir.Unprocessable, "has 2 items"},
		{"move in what is no path of a list", pathPatch(`move; Patient.name[0]; source=0; destination=0`), fhir.Unprocessable, "that of a list"},
		{"delete the resource", pathPatch(`delete; Patient`), fhir.Unprocessable, "resource itself"},
		{"another type's path", pathPatch(`delete; Observation.status`), fhir.Unprocessable, "no element Observation"},
		{"a function that is not supported", pathPatch(`delete; Patient.name.select(family)`), fhir.NotSupported, "select()"},
		{"resolve does not leave the resource", pathPatch(`delete; Patient.managingOrganization.resolve().name`), fhir.NotSupported, "resolve()"},
		{"an operator that is not supported", pathPatch(`delete; Patient.name.where(family > 'A')`), fhir.NotSupported, "operator >"},
		{"a path that breaks off", pathPatch(`delete; Patient.name.`), fhir.Invalid, "ends too early"},
		{"a path with rubbish", pathPatch(`delete; Patient.name)`), fhir.Invalid, `")"`},
		{"an unknown operation", pathPatch(`upsert; Patient.name`), fhir.Invalid, "upsert"},
		{"no index", pathPatch(`insert; Patient.name; {"valueHumanName":{"text":"x"}}`), fhir.Invalid, `"index"`},
		{"a negative index", pathPatch(`insert; Patient.name; index=-1; {"valueHumanName":{"text":"x"}}`), fhir.Invalid, "negative"},
		{"no value", pathPatch(`replace; Patient.active`), fhir.Invalid, `"value"`},
		{"a part too many", pathPatch(`delete; Patient.active; {"valueBoolean":true}`), fhir.Invalid, `no part "value"`},
		{"another resource", `{"resourceType":"Patient"}`, fhir.Invalid, "PUT"},
		{"another parameter", `{"resourceType":"Parameters","parameter":[{"name":"op","valueCode":"add"}]}`, fhir.Invalid, `"op"`},
	}
	a := newAPI(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := patched(t, a.server, before, test.patch)
			if err == nil {
				t.Fatalf("no error, but %s", got)
			}
			if fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.part) {
				t.Errorf("kind %d, want %d; message %q must contain %q", fhir.KindOf(err), test.kind, err, test.part)
			}
		})
	}
}

// TestPathCost: a condition inside a condition cannot keep the server busy.
func TestPathCost(t *testing.T) {
	a := newAPI(t)
	before := patient(`"name":[` + strings.Repeat(`{"family":"A"},`, 4000) + `{"family":"B"}]`)
	_, err := patched(t, a.server, before, pathPatch(`delete; Patient.name.where(%resource.name.where(family = 'C').exists())`))
	if fhir.KindOf(err) != fhir.TooCostly {
		t.Errorf("error %v, want one of kind TooCostly", err)
	}
	_, err = patched(t, a.server, before, pathPatch(`delete; `+strings.Repeat("(", 500)+"Patient"+strings.Repeat(")", 500)))
	if fhir.KindOf(err) != fhir.TooLarge {
		t.Errorf("error %v, want one of kind TooLarge", err)
	}
}
