package rest

import (
	"net/http"
	"strings"
	"testing"
)

// richPatient has something of every kind that summaries treat in their own way.
const richPatient = `{"resourceType":"Patient","id":"rich","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Rich</div>"},` +
	`"modifierExtension":[{"url":"http://example.org/changes-everything","valueBoolean":true}],` +
	`"identifier":[{"id":"i","use":"old","system":"http://ids.example","value":"1"}],"active":false,"name":[{"family":"Rich"}],"_birthDate":{"extension":[{"url":"http://example.org/unknown","valueBoolean":true}]},` +
	`"maritalStatus":{"text":"married"},"photo":[{"contentType":"image/png","data":"AAAA"}],` +
	`"contact":[{"modifierExtension":[{"url":"http://example.org/no-longer","valueBoolean":true}],"name":{"family":"Friend"}}],` +
	`"communication":[{"language":{"text":"Welsh"},"preferred":true}],"link":[{"other":{"reference":"Patient/other"},"type":"refer"}]}`

func TestSummaries(t *testing.T) {
	for _, test := range []struct{ name, path, golden string }{
		{"the elements that R4 marks", "/Patient/rich?_summary=true", "summary-true.json"},
		{"the text and what must be there", "/Patient/rich?_summary=text", "summary-text.json"},
		{"all but the text", "/Patient/rich?_summary=data", "summary-data.json"},
		{"everything", "/Patient/rich?_summary=false", "summary-false.json"},
		{"of a version", "/Patient/rich/_history/1?_summary=true", "summary-true.json"},
		{"a part of the elements of a summary", "/Patient/rich?_summary=true&_elements=name,maritalStatus", "summary-elements.json"},
		{"elements named with their type", "/Patient/rich?_elements=Patient.name", "summary-elements.json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.must("PUT", "/Patient/rich", richPatient)
			check(t, a.do(call{"GET", test.path, nil, ""}), http.StatusOK, nil, test.golden)
		})
	}
}

// TestSummaryOfNestedContent: what is below a content reference is cut like what
// it refers to, however deep.
func TestSummaryOfNestedContent(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Questionnaire/q", `{"resourceType":"Questionnaire","id":"q","status":"draft","title":"T","description":"D","item":[{"linkId":"1","type":"group","item":[{"linkId":"1.1","type":"string"}]}]}`)
	if body := a.must("GET", "/Questionnaire/q?_summary=true", "").Body.String(); strings.Contains(body, "linkId") || strings.Contains(body, "description") || !strings.Contains(body, `"title":"T"`) {
		t.Errorf("items are no part of a questionnaire's summary: %s", body)
	}
}

func TestSummaryIsRefused(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Patient/rich", richPatient)
	for path, want := range map[string]string{
		"/Patient/rich?_summary=count":              "is for searches",
		"/Patient/rich?_summary=short":              "is not one of true, text, data, false",
		"/Patient/rich?_elements=nmae":              `has no element`,
		"/Patient/rich?_elements=Observation.value": "",
	} {
		rec := a.do(call{method: "GET", path: path})
		if want == "" {
			if rec.Code != http.StatusOK || strings.Contains(rec.Body.String(), "SUBSETTED") {
				t.Errorf("%s: status %d: %s", path, rec.Code, rec.Body)
			}
		} else if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: status %d: %s", path, rec.Code, rec.Body)
		}
	}
}

// TestSummariesAreValid: of resources that have all sorts of elements every
// summary is sound FHIR.
func TestSummariesAreValid(t *testing.T) {
	a := newAPI(t)
	a.seed()
	a.must("PUT", "/Patient/rich", richPatient)
	for _, path := range []string{"/Patient/rich", "/Observation/weight"} {
		for _, summary := range []string{"true", "text", "data"} {
			valid(t, a.must("GET", path+"?_summary="+summary, "").Body.Bytes())
		}
	}
}
