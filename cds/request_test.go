package cds

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestN20PatientOfTokenAndContext is vector N20: what a token says about the
// patient must be what the context says.
func TestN20PatientOfTokenAndContext(t *testing.T) {
	tests := []struct {
		name, claimed, context string // JSON values; "" is left out
		refusedFor             string // "" is let pass
	}{
		{"the same id", `"p1"`, `"p1"`, ""},
		{"the token's with its type", `"Patient/p1"`, `"p1"`, ""},
		{"the context's with its type", `"p1"`, `"Patient/p1"`, ""},
		{"both with their type", `"Patient/p1"`, `"Patient/p1"`, ""},
		{"the same id spelt with an escape", `"p\u0031"`, `"p1"`, ""},
		{"no patient in the token", "", `"p1"`, ""},
		{"null in the token", "null", `"p1"`, ""},
		{"nothing in the token", `""`, `"p1"`, ""},
		{"a hook without a patient", `"p1"`, "", ""},

		{"another id", `"p2"`, `"p1"`, "different patients"},
		{"another id with its type", `"Patient/p2"`, `"p1"`, "different patients"},
		{"another id in the context, with its type", `"p1"`, `"Patient/p2"`, "different patients"},
		{"an id in another case", `"P1"`, `"p1"`, "different patients"},
		{"a type in another case", `"patient/p1"`, `"p1"`, "different patients"},
		{"another type", `"Practitioner/p1"`, `"p1"`, "different patients"},
		{"a longer id", `"p10"`, `"p1"`, "different patients"},
		{"the type twice", `"Patient/Patient/p1"`, `"Patient/p1"`, "different patients"},
		{"the type alone", `"Patient/"`, `"p1"`, "different patients"},
		{"a blank behind the id", `"p1 "`, `"p1"`, "different patients"},
		{"a blank alone", `" "`, `"p1"`, "different patients"},
		{"an address elsewhere", `"https://other.example.org/Patient/p1"`, `"p1"`, "different patients"},
		{"a version of the patient", `"Patient/p1/_history/1"`, `"p1"`, "different patients"},
		{"a number in the token", `1`, `"1"`, "fhirAuthorization.patient: must be"},
		{"a list in the token", `["p1"]`, `"p1"`, "fhirAuthorization.patient: must be"},
		{"a reference in the token", `{"reference":"Patient/p1"}`, `"p1"`, "fhirAuthorization.patient: must be"},
		{"a truth value in the token", `true`, `"p1"`, "fhirAuthorization.patient: must be"},
		{"two in the token, the last the same", `"p2","patient":"p1"`, `"p1"`, "two members of one name"},
		{"two in the token, the last empty", `"p2","patient":null`, `"p1"`, "two members of one name"},
		{"two in the context, the last the same", `"p1"`, `"p2","patientId":"p1"`, "two members of one name"},
		{"a number in the context", `"1"`, `1`, "context.patientId: must be"},
		{"a list in the context", `"p1"`, `["p1"]`, "context.patientId: must be"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			member := func(name, value string) string {
				if value == "" {
					return ""
				}
				return `,"` + name + `":` + value
			}
			body := `{"hook":"order-select","hookInstance":"` + instance + `","fhirServer":"https://ehr.example.org/fhir",
				"context":{"userId":"Practitioner/a"` + member("patientId", test.context) + `},
				"fhirAuthorization":{"access_token":"t","token_type":"Bearer","expires_in":300,"scope":"s","subject":"s"` + member("patient", test.claimed) + `}}`
			c := start(t, Options{}, testServices()...)
			w := c.do("POST", "/cds-services/card", body)
			if test.refusedFor == "" {
				if w.Code != 200 {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
				return
			}
			if w.Code != 400 || !strings.Contains(w.Body.String(), test.refusedFor) {
				t.Errorf("status %d, want 400 and %q: %s", w.Code, test.refusedFor, w.Body)
			}
			if strings.Contains(w.Body.String(), "p1") || strings.Contains(c.log.String(), "p1") {
				t.Errorf("a patient is named: %s\n%s", w.Body, &c.log)
			}
		})
	}
}

// Names of members count as they are written: what the service will read is what
// was compared.
func TestMembersInAnotherCase(t *testing.T) {
	body := request(`{"context":{"patientId":"p1","PATIENTID":"p2"},"CONTEXT":{"patientId":"p2"},"fhirServer":"https://ehr.example.org","fhirAuthorization":{"access_token":"t","patient":"p1","PATIENT":"p2"}}`)
	r, _, err := readRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	var context map[string]json.RawMessage
	if err := json.Unmarshal(r.Context, &context); err != nil || string(context["patientId"]) != `"p1"` || r.Authorization.Patient != "p1" {
		t.Errorf("context %s, token for %q", r.Context, r.Authorization.Patient)
	}
	if _, _, err := readRequest([]byte(strings.Replace(body, `"patient":"p1"`, `"patient":"p2"`, 1))); err == nil {
		t.Error("another patient was let pass")
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(request(`{}`)))
	f.Add([]byte(request(`{"prefetch":{"a":null,"b":{"resourceType":"Bundle"},"c":"<html>"},"extension":{}}`)))
	f.Add([]byte(request(`{"fhirServer":"https://ehr.example.org","fhirAuthorization":{"access_token":"t","expires_in":1e300,"patient":"Patient/p1"}}`)))
	f.Add([]byte(`{"hook":"\ud800","hookInstance":"\u0000","context":{}}`))
	f.Add([]byte(strings.Repeat(`{"a":[`, 80)))
	f.Fuzz(func(t *testing.T, body []byte) {
		request, _, err := readRequest(body)
		if err != nil {
			if kindOf(err) != Invalid {
				t.Errorf("error of kind %d: %v", kindOf(err), err)
			}
			return
		}
		if request.Hook == "" || request.HookInstance == "" || !isObject(request.Context) {
			t.Errorf("accepted %+v", request)
		}
		if request.Authorization == nil {
			return
		}
		if request.FHIRServer == "" {
			t.Error("accepted an authorization without a server")
		}
		var context map[string]json.RawMessage
		if err := json.Unmarshal(request.Context, &context); err != nil {
			t.Fatal(err)
		}
		if claimed := request.Authorization.Patient; claimed != "" && !absent(context["patientId"]) && PatientID(text(context["patientId"])) != PatientID(claimed) {
			t.Errorf("accepted a token for %q in a context of %s", claimed, context["patientId"])
		}
	})
}
