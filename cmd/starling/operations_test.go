package main

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/auth/authtest"
)

// TestGenomicOperations asks the program about a patient's genes, over HTTP, as
// everybody and as two patients.
func TestGenomicOperations(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	server := guard(t, issuer, "--store", newStore(t))
	system := issuer.Token(claims("system/*.cruds"))
	put := func(path, body string) {
		t.Helper()
		if code, _, answer := server.do(http.MethodPut, path, body, as(system)...); code != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, code, answer)
		}
	}
	put("/fhir/Patient/p1", `{"resourceType":"Patient","id":"p1"}`)
	put("/fhir/Patient/p2", `{"resourceType":"Patient","id":"p2"}`)
	put("/fhir/Observation/g1", `{"resourceType":"Observation","id":"g1","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"GE"}]}],`+
		`"code":{"coding":[{"system":"http://loinc.org","code":"84413-4"}]},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2026-02-03",`+
		`"valueCodeableConcept":{"text":"CYP2C19 *1/*2"}}`)
	own := issuer.Token(claims("patient/*.rs", "patient", "p1"))
	other := issuer.Token(claims("patient/*.rs", "patient", "p2"))
	imported := `{"resourceType":"Parameters","parameter":[{"name":"status","valueCode":"final"},{"name":"file","valueBase64Binary":"` + base64.StdEncoding.EncodeToString([]byte(tpmtFile)) + `"}]}`
	for _, test := range []struct {
		name, token, method, path, body string
		code                            int
		want                            string
	}{
		{"with GET", system, http.MethodGet, "/fhir/Patient/$find-subject-haplotypes?subject=Patient/p1&genes=HGNC:2621", "", 200, `"id":"g1"`},
		{"on the patient", system, http.MethodGet, "/fhir/Patient/p1/$find-subject-specific-haplotypes?haplotypes=CYP2C19*2", "", 200, `{"name":"presence","valueBoolean":true}`},
		{"with POST", system, http.MethodPost, "/fhir/Patient/$find-subject-variants", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"p1"},{"name":"ranges","valueString":"NC_000010.11:1-2"}]}`, 200, `"valueCode":"unknown"`},
		{"one's own", own, http.MethodGet, "/fhir/Patient/p1/$find-subject-haplotypes?genes=CYP2C19", "", 200, `"id":"g1"`},
		{"somebody else's", other, http.MethodGet, "/fhir/Patient/p1/$find-subject-haplotypes?genes=CYP2C19", "", 404, `"code":"not-found"`},
		{"somebody who is not there", other, http.MethodGet, "/fhir/Patient/p9/$find-subject-haplotypes?genes=CYP2C19", "", 404, `"code":"not-found"`},
		{"calling alleles of nothing", system, http.MethodPost, "/fhir/Patient/p1/$call-star-alleles", `{"resourceType":"Parameters"}`, 200, `"resourceType":"Parameters"`},
		{"importing a file", system, http.MethodPost, "/fhir/Patient/p2/$import-vcf", imported, 200, `{"name":"alleles","valueString":"*1/*3A or *3B/*3C"}`},
		{"importing it again", system, http.MethodPost, "/fhir/Patient/p2/$import-vcf", imported, 412, "imported for this patient before"},
		{"calling what was imported", system, http.MethodPost, "/fhir/Patient/p2/$call-star-alleles", `{"resourceType":"Parameters"}`, 200, `{"name":"written","valueInteger":1}`},
		{"calling it again", system, http.MethodPost, "/fhir/Patient/p2/$call-star-alleles", `{"resourceType":"Parameters"}`, 200, `{"name":"written","valueInteger":1}`},
		{"one genotype was written", system, http.MethodGet, "/fhir/Observation?patient=p2&code=84413-4&_summary=count", "", 200, `"total":1`},
		{"who may only read imports nothing", own, http.MethodPost, "/fhir/Patient/p1/$import-vcf", imported, 403, "forbidden"},
		{"with GET nothing is written", system, http.MethodGet, "/fhir/Patient/p2/$call-star-alleles", "", 405, ""},
		{"what if with GET", own, http.MethodGet, "/fhir/Patient/p1/$pgx-what-if?drug=clopidogrel&genotype=CYP2C19%20*2/*2", "", 200, `"name":"assumed"`},
		{"what if with POST", system, http.MethodPost, "/fhir/Patient/p1/$pgx-what-if", `{"resourceType":"Parameters","parameter":[{"name":"drug","valueString":"clopidogrel"}]}`, 200, `"evidence","valueString":"Observation/g1"`},
		{"what if, of somebody else", other, http.MethodGet, "/fhir/Patient/p1/$pgx-what-if?drug=clopidogrel", "", 404, `"code":"not-found"`},
		{"what if without a drug", own, http.MethodGet, "/fhir/Patient/p1/$pgx-what-if", "", 400, "the parameter drug is missing"},
		{"a report", own, http.MethodGet, "/fhir/Patient/p1/$pgx-report", "", 200, `"type":"collection"`},
		{"a report as a page", own, http.MethodGet, "/fhir/Patient/p1/$pgx-report?format=html", "", 200, "<h1>Pharmacogenomic report</h1>"},
		{"a card for the wallet", own, http.MethodGet, "/fhir/Patient/p1/$pgx-report?format=wallet", "", 200, "<h1>My medicines and my genes</h1>"},
		{"a report of somebody else", other, http.MethodGet, "/fhir/Patient/p1/$pgx-report", "", 404, `"code":"not-found"`},
		{"a page about somebody else", other, http.MethodGet, "/fhir/Patient/p1/$pgx-report?format=html", "", 404, `"code":"not-found"`},
		{"a report in no format", own, http.MethodGet, "/fhir/Patient/p1/$pgx-report?format=pdf", "", 400, "the parameter format is"},
		{"nothing asked", system, http.MethodGet, "/fhir/Patient/p1/$find-subject-haplotypes", "", 400, "the parameter genes is missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, _, body := server.do(test.method, test.path, test.body, as(test.token)...)
			if code != test.code || !strings.Contains(body, test.want) {
				t.Errorf("%d %s, want %d with %s", code, body, test.code, test.want)
			}
		})
	}
}
