package rest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
)

func TestReferencesOnWrite(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Integrity.Write = true })
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Patient/ada", adaV2)
	a.must("PUT", "/Patient/gone", `{"resourceType":"Patient","id":"gone"}`)
	a.must("DELETE", "/Patient/gone", "")
	for _, test := range []struct {
		name, body string
		missing    string // "" takes it
	}{
		{"what is there", observationOf("Patient/ada"), ""},
		{"by our own URL", observationOf(testBase + "/Patient/ada"), ""},
		{"what was never there", observationOf("Patient/none"), "Observation.subject.reference"},
		{"by our own URL, not there", observationOf(testBase + "/Patient/none"), "Observation.subject.reference"},
		{"what was deleted", observationOf("Patient/gone"), "Observation.subject.reference"},
		{"a version", observationOf("Patient/ada/_history/1"), ""},
		{"a version that never was", observationOf("Patient/ada/_history/7"), "Observation.subject.reference"},
		{"a version that is no number", observationOf("Patient/ada/_history/x"), "Observation.subject.reference"},
		{"a version that is a deletion", observationOf("Patient/gone/_history/2"), "Observation.subject.reference"},
		{"on another server", observationOf("http://elsewhere.example/fhir/Patient/none"), ""},
		{"a logical one", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"identifier":{"value":"7"}}}`, ""},
		{"a contained one", `{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p"}],"status":"final","code":{"text":"x"},"subject":{"reference":"#p"}}`, ""},
		{
			"from a contained resource", `{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"Organization/none"}}],"status":"final","code":{"text":"x"},"subject":{"reference":"#p"}}`,
			"Observation.contained[0].managingOrganization.reference",
		},
		{"in a list", observationOf("Patient/ada", "o", `"performer":[{"reference":"Patient/ada"},{"reference":"Practitioner/none"}]`), "Observation.performer[1].reference"},
		{"in an extension", observationOf("Patient/ada", "o", `"extension":[{"url":"http://e.org/x","valueReference":{"reference":"Device/none"}}]`), "Observation.extension[0].value.reference"},
		{"to itself", `{"resourceType":"Patient","link":[{"other":{"reference":"Patient/ada"},"type":"seealso"}]}`, ""},
		{"inside of a stored Bundle", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"http://elsewhere.example/fhir/Observation/1","resource":` + observationOf("Patient/none") + `}]}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			typ := strings.Split(test.body, `"`)[3]
			rec := a.do(call{"POST", "/" + typ, nil, test.body})
			if test.missing == "" {
				if rec.Code != http.StatusCreated {
					t.Errorf("status %d: %s", rec.Code, rec.Body)
				}
				return
			}
			if rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), test.missing) {
				t.Errorf("status %d, want 422 at %s: %s", rec.Code, test.missing, rec.Body)
			}
		})
	}
	t.Run("within a transaction", func(t *testing.T) {
		const id = "urn:uuid:11111111-1111-4111-8111-111111111111"
		a.must("POST", "", bundleOf("transaction", entryOf("", "POST", "Observation", observationOf(id)), entryOf(id, "POST", "Patient", plain)))
		a.must("POST", "", bundleOf("transaction", entryOf("", "POST", "Observation", observationOf("Patient/new")), entryOf("", "PUT", "Patient/new", `{"resourceType":"Patient","id":"new"}`)))
		rec := a.do(call{"POST", "", nil, bundleOf("transaction", entryOf("", "POST", "Observation", observationOf("Patient/new")), entryOf("", "DELETE", "Patient/new", ""))})
		if rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), "Bundle.entry[0].resource.subject.reference") {
			t.Errorf("what the transaction deletes: status %d: %s", rec.Code, rec.Body)
		}
	})
	t.Run("a deletion is free", func(t *testing.T) {
		a.must("DELETE", "/Patient/ada", "")
	})
}

func TestReferencesOnDelete(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Integrity.Delete = true })
	a.hospital()
	for _, test := range []struct {
		path, says string // "" deletes it
	}{
		{"/Practitioner/doc", "resources of 3 types refer to it (Observation, Patient, Provenance)"},
		{"/Patient/bea", "resources of 1 type refer to it (Observation)"},
		{"/Observation?_id=a1", "resources of 2 types refer to it (Observation, Provenance)"},
		{"/Observation/b1", ""},
		{"/Patient/bea", ""},
		{"/Observation?_id=a2", ""},
		{"/Patient/never", ""},
	} {
		rec := a.do(call{method: "DELETE", path: test.path})
		if test.says == "" {
			if rec.Code != http.StatusNoContent {
				t.Errorf("%s: status %d: %s", test.path, rec.Code, rec.Body)
			}
		} else if rec.Code != http.StatusConflict || !strings.Contains(rec.Body.String(), test.says) {
			t.Errorf("%s: status %d: %s", test.path, rec.Code, rec.Body)
		}
	}
	// Together with what refers to it.
	a.must("POST", "", bundleOf("transaction", entryOf("", "DELETE", "Provenance/p1", ""), entryOf("", "DELETE", "Observation/a1", "")))
	// What is changed in the same transaction refers no longer.
	a.must("POST", "", bundleOf("transaction", entryOf("", "DELETE", "Practitioner/doc", ""), entryOf("", "PUT", "Patient/ada", plainAda)))
	rec := a.do(call{"POST", "", nil, bundleOf("transaction", entryOf("", "DELETE", "Patient/ada", ""), entryOf("", "POST", "Condition", `{"resourceType":"Condition","subject":{"reference":"Patient/ada"}}`), entryOf("", "DELETE", "Encounter/visit", ""))})
	if rec.Code != http.StatusConflict || !strings.Contains(rec.Body.String(), "Condition") {
		t.Errorf("what the transaction itself writes: status %d: %s", rec.Code, rec.Body)
	}
	// A reference to somebody who is not there is no fault here.
	a.must("POST", "/Observation", observationOf("Patient/none"))
}

// TestReferencesOfOthers: to a limited caller what they cannot see is not there,
// neither as a target nor as what refers.
func TestReferencesOfOthers(t *testing.T) {
	limited := scoped(t, "patient/*.cruds")
	a := newAPI(t, func(c *Config) {
		c.Integrity = Integrity{Write: true, Delete: true}
		c.Authorize = func(c echo.Context) (search.Access, error) {
			if c.Request().Header.Get("Scopes") == "limited" {
				return limited, nil
			}
			return search.FullAccess(), nil
		}
	})
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Patient/bea", `{"resourceType":"Patient","id":"bea"}`)
	a.must("PUT", "/Observation/hers", observationOf("Patient/bea", "hers"))
	a.must("PUT", "/Observation/mine", observationOf("Patient/ada", "mine"))
	a.must("PUT", "/Observation/hers-too", observationOf("Patient/bea", "hers-too", `"hasMember":[{"reference":"Observation/mine"}]`))
	own := []string{"Scopes: limited"}
	hidden := a.do(call{"POST", "/Observation", own, observationOf("Patient/ada", "x", `"hasMember":[{"reference":"Observation/hers"}]`)})
	absent := a.do(call{"POST", "/Observation", own, observationOf("Patient/ada", "x", `"hasMember":[{"reference":"Observation/none"}]`)})
	if hidden.Code != http.StatusUnprocessableEntity || strings.ReplaceAll(hidden.Body.String(), "hers", "none") != absent.Body.String() {
		t.Errorf("hidden: %s, absent: %s", hidden.Body, absent.Body)
	}
	if rec := a.do(call{"DELETE", "/Patient/ada", own, ""}); rec.Code != http.StatusConflict {
		t.Errorf("what the own record refers to: status %d: %s", rec.Code, rec.Body)
	}
	if rec := a.do(call{"DELETE", "/Observation/mine", own, ""}); rec.Code != http.StatusNoContent {
		t.Errorf("what only others refer to: status %d: %s", rec.Code, rec.Body)
	}
}

// TestReferencesOnDeleteByCriteria: whoever may search and delete a whole type can
// delete by criteria, whatever else they may not do.
func TestReferencesOnDeleteByCriteria(t *testing.T) {
	some := scoped(t, "system/Patient.cruds")
	a := newAPI(t, func(c *Config) {
		c.Integrity.Delete = true
		c.Authorize = func(c echo.Context) (search.Access, error) {
			if c.Request().Header.Get("Scopes") == "some" {
				return some, nil
			}
			return search.FullAccess(), nil
		}
	})
	a.hospital()
	a.must("PUT", "/Patient/free", `{"resourceType":"Patient","id":"free","active":true}`)
	own := []string{"Scopes: some"}
	if rec := a.do(call{"DELETE", "/Patient?_id=free&active=true", own, ""}); rec.Code != http.StatusNoContent {
		t.Errorf("what nothing refers to: status %d: %s", rec.Code, rec.Body)
	}
	rec := a.do(call{"DELETE", "/Patient?_id=bea", own, ""})
	if body := rec.Body.String(); rec.Code != http.StatusConflict || !strings.Contains(body, "resources of 1 type refer to it") || strings.Contains(body, "Observation") {
		t.Errorf("what a type refers to that the caller may not search: status %d: %s", rec.Code, body)
	}
}

// TestReferencesAtTheCommit: a write and a deletion at the same moment leave no
// reference to nothing.
func TestReferencesAtTheCommit(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Integrity = Integrity{Write: true, Delete: true} })
	for round := range 30 {
		patient := fmt.Sprintf("p%d", round)
		a.must("PUT", "/Patient/"+patient, `{"resourceType":"Patient","id":"`+patient+`"}`)
		var wait sync.WaitGroup
		var wrote, deleted int
		wait.Go(func() { wrote = a.do(call{"POST", "/Observation", nil, observationOf("Patient/" + patient)}).Code })
		wait.Go(func() { deleted = a.do(call{"DELETE", "/Patient/" + patient, nil, ""}).Code })
		wait.Wait()
		gone := a.do(call{method: "GET", path: "/Patient/" + patient}).Code == http.StatusGone
		found := len(a.page("/Observation?subject=Patient/" + patient).Entry)
		switch {
		case wrote == http.StatusCreated && deleted == http.StatusConflict && !gone && found == 1:
		case wrote == http.StatusUnprocessableEntity && deleted == http.StatusNoContent && gone && found == 0:
		default:
			t.Fatalf("round %d: the write was answered %d, the deletion %d; deleted: %v, references: %d", round, wrote, deleted, gone, found)
		}
	}
}
