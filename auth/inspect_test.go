package auth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/auth/authtest"
)

func TestWhatScopesGrantInWords(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	for _, test := range []struct {
		name    string
		claims  map[string]any
		granted []string
		ignored []string
	}{
		{
			"a patient's app", claims("scope", "openid patient/Observation.rs patient/Medication.cruds patient/Group.rs patient/Nothing.rs patient/*.r"),
			[]string{
				"patient/*.r = read: what is in the compartment of the patient in the token's context; and, to read and search only, who and what takes part in care, and knowledge",
				"patient/Medication.cruds = read, search: Medication, all of it; no patient owns it, so the rest of the scope is ignored",
				"patient/Observation.rs = read, search: Observation in the compartment of the patient in the token's context",
			},
			[]string{
				"openid = it is not about resources",
				"patient/Group.rs = what is limited to a patient does not reach Group in this way: it is not part of the record of one patient",
				"patient/Nothing.rs = there is no such resource type",
			},
		},
		{
			"a clinician", claims("patient", nil, "fhirUser", "Practitioner/1", "scope", "user/*.write user/Patient.read patient/*.rs"),
			[]string{"user/*.cud = create, update, delete: every type, all of it", "user/Patient.rs = read, search: Patient, all of it"},
			[]string{"patient/*.rs = the token has no patient in its context"},
		},
		{
			"a patient who signed in", claims("patient", nil, "fhirUser", "Patient/"+testPatient, "scope", "user/Observation.rs user/Practitioner.rs"),
			[]string{
				"user/Observation.rs = read, search: Observation in the compartment of the patient who the user is",
				"user/Practitioner.rs = read, search: Practitioner, all of it",
			},
			nil,
		},
		{
			"nobody", claims("patient", nil, "scope", "user/Observation.rs"), nil,
			[]string{"user/Observation.rs = the token does not say by fhirUser that its user is a Practitioner, a PractitionerRole or a Patient of this server"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.Inspect(t.Context(), " "+i.Token(test.claims)+"\n")
			var granted, ignored []string
			for _, g := range r.Granted {
				granted = append(granted, g.Text+" = "+g.Meaning)
			}
			for _, g := range r.Ignored {
				ignored = append(ignored, g.Text+" = "+g.Reason)
			}
			if diff := cmp.Diff(test.granted, granted); diff != "" {
				t.Errorf("granted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.ignored, ignored); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
			if r.OK() != (len(test.granted) > 0) {
				t.Errorf("OK is %v, with %d scopes that grant something", r.OK(), len(test.granted))
			}
			if text := fmt.Sprintf("%+v", r); strings.Contains(text, testPatient) || strings.Contains(text, testSubject) || strings.Contains(text, "eyJ") {
				t.Errorf("the report names somebody, or holds the token: %s", text)
			}
		})
	}
}

// TestAReportSaysWhatToDo checks the words for what goes wrong most often when a
// server is connected to an OpenID provider.
func TestAReportSaysWhatToDo(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	for _, test := range []struct {
		name  string
		token string
		check string
		says  string
	}{
		{"a slash too many", i.Token(claims("iss", i.URL()+"/")), "issuer", "names must be equal to the last slash"},
		{"another audience", i.Token(claims("aud", "account")), "audience", `it is for "account", which is none of the configured audiences: ["another-audience" "` + testAudience + `"]`},
		{"no audience", i.Token(claims("aud", nil)), "audience", "it has no aud"},
		{"opaque", "abcdef", "form", "opaque"},
		{"an old one", i.Token(claims("exp", s.clock.Now().Unix()-3600)), "expiry", "it expired 1h0m0s ago"},
		{"a fast clock", i.Token(claims("iat", s.clock.Now().Unix()+3600)), "issued-at", "compare the clocks"},
		{"an unusable patient", i.Token(claims("patient", 7)), "scope", "patient is not a string"},
		{"nothing", "", "form", "a signed token has 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.Inspect(t.Context(), test.token)
			for _, c := range r.Checks {
				if c.Name == test.check && (c.OK || c.Skipped || !strings.Contains(c.Detail, test.says)) {
					t.Errorf("%+v does not say %q", c, test.says)
				}
			}
			if r.OK() {
				t.Error("the report finds the token good")
			}
		})
	}
}

// TestAReportRunsWhatItCan checks that later checks are not lost behind an
// earlier one that fails, and that those which make no sense then are skipped.
func TestAReportRunsWhatItCan(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	r := s.Inspect(t.Context(), i.Token(claims("iss", "https://elsewhere.example.org", "exp", 1, "aud", "x")))
	got := make(map[string]string)
	for _, c := range r.Checks {
		switch {
		case c.Skipped:
			got[c.Name] = "skipped"
		case !c.OK:
			got[c.Name] = "failed"
		}
	}
	want := map[string]string{"issuer": "failed", "keys": "skipped", "signature": "skipped", "expiry": "failed", "audience": "failed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

func TestChecksStandAfterWhatTheyNeed(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range checks() {
		for _, need := range c.needs {
			if !seen[need] {
				t.Errorf("%s needs %s, which comes later or never", c.name, need)
			}
		}
		if seen[c.name] {
			t.Errorf("%s stands there twice", c.name)
		}
		seen[c.name] = true
	}
}
