package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/auth/authtest"
)

// TestHomeWithTokens: the page at the root leads nobody without a token to what
// asks for one, but says that it does.
func TestHomeWithTokens(t *testing.T) {
	status, _, page := guard(t, authtest.NewIssuer(t)).do("GET", "/", "")
	if status != 200 || strings.Contains(page, "/fhir/Patient") ||
		!strings.Contains(page, "/fhir/.well-known/smart-configuration") || !strings.Contains(page, "for clients that sign their calls") {
		t.Errorf("status %d: %s", status, page)
	}
	if _, _, page = serve(t).do("GET", "/", ""); !strings.Contains(page, "/fhir/Patient") || strings.Contains(page, "smart-configuration") {
		t.Errorf("without authentication: %s", page)
	}
}

// TestBaseURLWithSlash: who joins a path to a base URL with a slash at its end is
// served, web pages too, by the same rules.
func TestBaseURLWithSlash(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	r := guard(t, issuer)
	token := issuer.Token(claims("patient/*.cruds", "patient", "p1secret"))
	for _, test := range []struct {
		method, path, token string
		status              int
	}{
		{"GET", "/fhir//metadata", "", 200},
		{"GET", "/fhir//.well-known/smart-configuration", "", 200},
		{"GET", "/fhir//Observation?_count=1", token, 200},
		{"GET", "/fhir///Observation", token, 200},
		{"GET", "/fhir//Observation", "", 401},
		{"GET", "/fhir//%4Fbservation", "", 401},
		{"GET", "/fhir//Observation%2Fx", token, 404},
		{"GET", "/fhir//Group", token, 403},
		{"DELETE", "/fhir//Observation/x", token, 204},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, r.url+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", "https://elsewhere.example")
		if test.token != "" {
			request.Header.Set("Authorization", "Bearer "+test.token)
			request.Header.Del("Origin")
		}
		// Not a client: that would follow a redirect.
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != test.status {
			t.Errorf("%s %s: status %d, want %d", test.method, test.path, answer.StatusCode, test.status)
		}
		if open := answer.Header.Get("Access-Control-Allow-Origin") == "*"; open != (test.status == 200 && test.token == "") {
			t.Errorf("%s: open to every web page: %v", test.path, open)
		}
	}
}
