package rest

import (
	"slices"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
)

// canonicalWorld stores two versions of a questionnaire, another one, and
// responses that name them in different ways.
func (a *api) canonicalWorld(headers ...string) {
	a.tb.Helper()
	put := func(path, body string) { a.must("PUT", path, body, headers...) }
	questionnaire := func(id, url, version string) {
		put("/Questionnaire/"+id, `{"resourceType":"Questionnaire","id":"`+id+`","status":"active","url":"`+url+`","version":"`+version+`"}`)
	}
	questionnaire("one", "http://h/q", "1.0")
	questionnaire("two", "http://h/q", "2.0")
	questionnaire("other", "http://h/other", "1.0")
	put("/Patient/ada", `{"resourceType":"Patient","id":"ada"}`)
	response := func(id, canonical string) {
		put("/QuestionnaireResponse/"+id, `{"resourceType":"QuestionnaireResponse","id":"`+id+`","status":"completed","questionnaire":"`+canonical+`","subject":{"reference":"Patient/ada"}}`)
	}
	response("any", "http://h/q")
	response("first", "http://h/q|1.0")
	response("never", "http://h/q|9")
	response("part", "http://h/q|2.0#item")
	response("relative", "Questionnaire/other")
	response("ours", testBase+"/Questionnaire/other")
	response("away", "http://elsewhere/q")
	put("/Device/net", `{"resourceType":"Device","id":"net","url":"http://h/q"}`)
	put("/Library/uses", `{"resourceType":"Library","id":"uses","status":"active","type":{"text":"x"},"relatedArtifact":[{"type":"depends-on","resource":"http://h/q|1.0"}]}`)
}

// TestCanonicalIncludes follows references by canonical, both ways:
// https://hl7.org/fhir/R4/references.html#canonical.
func TestCanonicalIncludes(t *testing.T) {
	a := newAPI(t)
	a.canonicalWorld()
	const forth, back = "_include=QuestionnaireResponse:questionnaire", "_revinclude=QuestionnaireResponse:questionnaire"
	for _, test := range []struct {
		name, query string
		want        []string
	}{
		{"without a version every version comes", "/QuestionnaireResponse?_id=any&" + forth, []string{"Questionnaire/one", "Questionnaire/two"}},
		{"with a version that one", "/QuestionnaireResponse?_id=first&" + forth, []string{"Questionnaire/one"}},
		{"a version that is not there brings nothing", "/QuestionnaireResponse?_id=never&" + forth, nil},
		{"a part of a version brings the version", "/QuestionnaireResponse?_id=part&" + forth, []string{"Questionnaire/two"}},
		{"a relative one is a literal reference", "/QuestionnaireResponse?_id=relative&" + forth, []string{"Questionnaire/other"}},
		{"so is one below our base", "/QuestionnaireResponse?_id=ours&" + forth, []string{"Questionnaire/other"}},
		{"what is elsewhere stays there", "/QuestionnaireResponse?_id=away&" + forth, nil},
		{"of the type that is named", "/QuestionnaireResponse?_id=any&" + forth + ":Questionnaire", []string{"Questionnaire/one", "Questionnaire/two"}},
		{"with all other references", "/QuestionnaireResponse?_id=first&_include=*", []string{"Patient/ada", "Questionnaire/one"}},
		{"all, of one type", "/QuestionnaireResponse?_id=first&_include=QuestionnaireResponse:*:Patient", []string{"Patient/ada"}},
		{"of any type, but no address of a device", "/Library?_id=uses&_include=Library:depends-on", []string{"Questionnaire/one"}},
		{
			"on from what was included", "/Patient?_id=ada&_revinclude=QuestionnaireResponse:subject&_include:iterate=QuestionnaireResponse:questionnaire",
			[]string{
				"Questionnaire/one", "Questionnaire/other", "Questionnaire/two", "QuestionnaireResponse/any", "QuestionnaireResponse/away", "QuestionnaireResponse/first",
				"QuestionnaireResponse/never", "QuestionnaireResponse/ours", "QuestionnaireResponse/part", "QuestionnaireResponse/relative",
			},
		},
		{"back: who names this version, or none", "/Questionnaire?_id=one&" + back, []string{"QuestionnaireResponse/any", "QuestionnaireResponse/first"}},
		{"back to the other version", "/Questionnaire?_id=two&" + back, []string{"QuestionnaireResponse/any", "QuestionnaireResponse/part"}},
		{"back by literal references", "/Questionnaire?_id=other&" + back, []string{"QuestionnaireResponse/ours", "QuestionnaireResponse/relative"}},
		{"back by all parameters", "/Questionnaire?_id=one&_revinclude=Library:*", []string{"Library/uses"}},
		{"a device is not named by its address", "/Device?_id=net&_revinclude=Library:*", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := a.shown(call{"GET", test.query, nil, ""}).of("include"); !slices.Equal(got, test.want) {
				t.Errorf("%s brings %v, want %v", test.query, got, test.want)
			}
		})
	}
}

// TestCanonicalIncludesOfOthers: what the caller may not read or find does not
// come along by its canonical.
func TestCanonicalIncludesOfOthers(t *testing.T) {
	access := map[string]search.Access{}
	for _, scopes := range []string{"patient/*.rs", "patient/QuestionnaireResponse.rs", "patient/QuestionnaireResponse.rs user/Questionnaire.s", "user/Questionnaire.rs", "all"} {
		access[scopes] = scoped(t, scopes)
	}
	a := newAPI(t, func(c *Config) {
		c.Authorize = func(c echo.Context) (search.Access, error) { return access[c.Request().Header.Get("Scopes")], nil }
	})
	a.canonicalWorld("Scopes: all")
	a.must("PUT", "/QuestionnaireResponse/hers", `{"resourceType":"QuestionnaireResponse","id":"hers","status":"completed","questionnaire":"http://h/q|1.0","subject":{"reference":"Patient/bea"}}`, "Scopes: all")
	for _, test := range []struct {
		scopes, query string
		want          []string
	}{
		{"all", "/Questionnaire?_id=one&_revinclude=QuestionnaireResponse:questionnaire", []string{"QuestionnaireResponse/any", "QuestionnaireResponse/first", "QuestionnaireResponse/hers"}},
		{"user/Questionnaire.rs", "/Questionnaire?_id=one&_revinclude=QuestionnaireResponse:questionnaire", nil},
		{"patient/QuestionnaireResponse.rs", "/QuestionnaireResponse?_id=first&_include=QuestionnaireResponse:questionnaire", nil},
		{"patient/QuestionnaireResponse.rs user/Questionnaire.s", "/QuestionnaireResponse?_id=first&_include=QuestionnaireResponse:questionnaire", nil},
		{"patient/*.rs", "/Questionnaire?_id=one&_revinclude=QuestionnaireResponse:questionnaire", []string{"QuestionnaireResponse/any", "QuestionnaireResponse/first"}},
	} {
		got := a.shown(call{"GET", test.query, []string{"Scopes: " + test.scopes}, ""})
		if !slices.Equal(got.of("include"), test.want) || got.told() != "" {
			t.Errorf("%s, %s: brings %v, want %v; %s", test.scopes, test.query, got.of("include"), test.want, got.told())
		}
	}
}
