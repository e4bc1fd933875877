package resource_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/fhir/resource"
)

const referring = `{"resourceType":"Observation","implicitRules":"urn:uuid:rules","status":"final",
"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"urn:uuid:a&amp;b\">x</a> href=\"no\" <img class='c' src='urn:uuid:img' alt=\"src\"/><!-- <a href=\"urn:uuid:no\"> --></div>"},
"contained":[{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"urn:uuid:org"}}],
"extension":[{"url":"http://example.org/e","valueReference":{"reference":"urn:uuid:ext"}},{"url":"http://example.org/n","extension":[{"url":"inner","valueOid":"urn:oid:1.2.3"},{"url":"u","valueUuid":"urn:uuid:u"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"x"}]},
"_status":{"extension":[{"url":"http://example.org/s","valueReference":{"reference":"urn:uuid:status"}}]},
"subject":{"reference":"urn:uuid:subject","identifier":{"assigner":{"reference":"urn:uuid:assigner"}}},
"performer":[{"reference":"urn:uuid:p0"},{"display":"none"}],"unknown":{"reference":"urn:uuid:no"},
"valueString":"urn:uuid:no"}`

func TestEachReference(t *testing.T) {
	n := decode(t, referring)
	got := make(map[string]string)
	resource.EachReference(n, func(path string, ref *resource.Node) {
		got[path] = ref.Str("reference")
		ref.Set("reference", resource.Text("Patient/1"))
	})
	want := map[string]string{
		"Observation.contained[0].managingOrganization": "urn:uuid:org",
		"Observation.extension[0].value":                "urn:uuid:ext",
		"Observation.status.extension[0].value":         "urn:uuid:status",
		"Observation.subject":                           "urn:uuid:subject",
		"Observation.subject.identifier.assigner":       "urn:uuid:assigner",
		"Observation.performer[0]":                      "urn:uuid:p0",
		"Observation.performer[1]":                      "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text := string(n.JSON()); strings.Contains(text, "urn:uuid:p0") || !strings.Contains(text, `"performer":[{"reference":"Patient/1"}`) {
		t.Errorf("the change is not in the tree: %s", text)
	}
}

func TestEachReferenceInBundle(t *testing.T) {
	n := decode(t, `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"}},{"resource":{"resourceType":"Parameters","parameter":[{"name":"x","resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:s"}}}]}},{"resource":{"resourceType":"Nobody","subject":{"reference":"urn:uuid:no"}}}]}`)
	var got []string
	resource.EachReference(n, func(path string, ref *resource.Node) { got = append(got, path+"="+ref.Str("reference")) })
	if diff := cmp.Diff([]string{"Bundle.entry[1].resource.parameter[0].resource.subject=urn:uuid:s"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEachURI(t *testing.T) {
	n := decode(t, referring)
	var got []string
	resource.EachURI(n, func(path string, uri *resource.Node) {
		got = append(got, path+"="+uri.Text)
		uri.Text = strings.Replace(uri.Text, "urn:uuid:", "https://example.org/?a&b=", 1)
	})
	want := []string{
		"Observation.implicitRules=urn:uuid:rules",
		"Observation.text.div=urn:uuid:a&b",
		"Observation.text.div=urn:uuid:img",
		"Observation.extension[0].url=http://example.org/e",
		"Observation.extension[1].url=http://example.org/n",
		"Observation.extension[1].extension[0].url=inner",
		"Observation.extension[1].extension[0].value=urn:oid:1.2.3",
		"Observation.extension[1].extension[1].url=u",
		"Observation.extension[1].extension[1].value=urn:uuid:u",
		"Observation.code.coding[0].system=http://loinc.org",
		"Observation.status.extension[0].url=http://example.org/s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	div := n.Path("text", "div").Text
	wantDiv := `<div xmlns="http://www.w3.org/1999/xhtml"><a href="https://example.org/?a&amp;b=a&amp;b">x</a> href="no" <img class='c' src='https://example.org/?a&amp;b=img' alt="src"/><!-- <a href="urn:uuid:no"> --></div>`
	if div != wantDiv {
		t.Errorf("narrative is now\n%s\nwant\n%s", div, wantDiv)
	}
}
