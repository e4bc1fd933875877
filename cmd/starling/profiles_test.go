package main

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/profiles"
)

// TestProfilesAreServed: the profiles that the program reads by are resources to
// find and read, the CapabilityStatement names them, what claims them is found
// by _profile, and each is as shipped again after a restart.
func TestProfilesAreServed(t *testing.T) {
	definitions, err := profiles.Definitions()
	if err != nil || len(definitions) == 0 {
		t.Fatal(definitions, err)
	}
	dir := t.TempDir()
	r := serve(t, "--store", dir)
	_, _, statement := r.do("GET", "/fhir/metadata", "")
	var told struct {
		Rest []struct {
			Resource []struct {
				Type             string
				SupportedProfile []string
			}
		}
	}
	if err := json.Unmarshal([]byte(statement), &told); err != nil || len(told.Rest) != 1 {
		t.Fatalf("%v: %.300s", err, statement)
	}
	supported := map[string][]string{}
	for _, res := range told.Rest[0].Resource {
		supported[res.Type] = res.SupportedProfile
	}
	for _, d := range definitions {
		if !slices.Contains(supported[d.Type], d.URL) {
			t.Errorf("the CapabilityStatement does not name %s for %s", d.URL, d.Type)
		}
		status, _, body := r.do("GET", "/fhir/StructureDefinition?url="+url.QueryEscape(d.URL), "")
		if status != 200 || !strings.Contains(body, `"total":1`) || !strings.Contains(body, `"id":"`+d.ID+`"`) {
			t.Errorf("%s: %d %.300s", d.URL, status, body)
		}
		if status, _, body := r.do("GET", "/fhir/StructureDefinition/"+d.ID, ""); status != 200 || !strings.Contains(body, `"snapshot"`) {
			t.Errorf("%s: %d %.300s", d.ID, status, body)
		}
	}
	d := definitions[0]
	claim := `{"resourceType":"` + d.Type + `","id":"claims","meta":{"profile":["` + d.URL + `"]}`
	switch d.Type {
	case "Observation":
		claim += `,"status":"final","code":{"text":"x"}`
	case "MolecularSequence":
		claim += `,"coordinateSystem":0`
	}
	if status, _, body := r.do("PUT", "/fhir/"+d.Type+"/claims", claim+"}"); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	if _, _, body := r.do("GET", "/fhir/"+d.Type+"?_profile="+url.QueryEscape(d.URL), ""); !strings.Contains(body, `"id":"claims"`) {
		t.Errorf("search by _profile: %.300s", body)
	}
	if _, _, body := r.do("GET", "/fhir/"+d.Type+"?_profile=https://example.org/other", ""); strings.Contains(body, `"id":"claims"`) {
		t.Errorf("search by another _profile: %.300s", body)
	}
	if status, _, _ := r.do("DELETE", "/fhir/StructureDefinition/"+d.ID, ""); status != 204 {
		t.Errorf("delete: %d", status)
	}
	r.stop()

	again := serve(t, "--store", dir)
	if status, header, _ := again.do("GET", "/fhir/StructureDefinition/"+d.ID, ""); status != 200 || header.Get("ETag") != `W/"3"` {
		t.Errorf("what was deleted is not there again: %d %v", status, header)
	}
	if len(definitions) > 1 {
		if status, header, _ := again.do("GET", "/fhir/StructureDefinition/"+definitions[1].ID, ""); status != 200 || header.Get("ETag") != `W/"1"` {
			t.Errorf("what was not touched has a new version: %d %v", status, header)
		}
	}
	again.stop()
}
