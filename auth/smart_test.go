package auth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/auth/authtest"
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/internal/golden"
)

// learned makes a site that has learned what an issuer says about itself, with
// its OpenID and its SMART document changed.
func learned(t *testing.T, change func(openID map[string]any), smart map[string]any) (*site, *authtest.Issuer) {
	t.Helper()
	i := authtest.NewIssuer(t)
	serve := func(doc map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(doc); err != nil {
				t.Error(err)
			}
		}
	}
	doc := i.Metadata()
	if change != nil {
		change(doc)
	}
	i.Handle(authtest.DiscoveryPath, serve(doc))
	if smart != nil {
		if smart["token_endpoint"] == nil {
			smart["token_endpoint"] = doc["token_endpoint"]
		}
		i.Handle(smartPath, serve(smart))
	}
	s := newSite(t, nil, i)
	if err := s.issuers[0].keys.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.issuers[0].learnSMART(t.Context())
	return s, i
}

// configuration returns the document that a site serves.
func configuration(t *testing.T, s *site) (doc map[string]any, text string) {
	t.Helper()
	body, err := s.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc, string(body)
}

func TestSMARTConfiguration(t *testing.T) {
	for _, test := range []struct {
		name   string
		golden string
		openID func(map[string]any)
		smart  map[string]any
	}{
		{"a plain OpenID provider", "smart-plain.json", nil, nil},
		{"one without S256", "smart-no-pkce.json", func(m map[string]any) { delete(m, "code_challenge_methods_supported") }, nil},
		{"one for programs only", "smart-backend.json", func(m map[string]any) {
			delete(m, "authorization_endpoint")
			m["grant_types_supported"] = []string{"client_credentials"}
			m["scopes_supported"] = []string{"system/*.rs"}
			m["token_endpoint_auth_signing_alg_values_supported"] = []string{"RS384", "ES384"}
		}, map[string]any{"capabilities": []string{"launch-ehr", "launch-standalone", "client-confidential-asymmetric"}}},
		{"one with a SMART document", "smart-full.json", func(m map[string]any) {
			m["introspection_endpoint"] = "/relative"
			m["revocation_endpoint"] = "javascript://id.example.org/%0aalert(1)"
			m["registration_endpoint"] = "file://id.example.org/etc/passwd"
			m["scopes_supported"] = []string{"openid", "fhirUser", "patient/*.rs", "patient/*.sr", "patient/Observation.rs?category=x", scopeURI + "user/*.read"}
		}, map[string]any{
			"capabilities": []string{
				"launch-standalone", "client-public", "client-confidential-asymmetric", "sso-openid-connect", "context-standalone-patient",
				"permission-offline", "permission-patient", "smart-app-state", "made-up",
			},
			"code_challenge_methods_supported": []string{"S256", "plain"},
			"management_endpoint":              "https://id.example.org/manage",
		}},
		{"one whose SMART document is somebody else's", "smart-plain.json", nil, map[string]any{
			"token_endpoint": "https://elsewhere.example.org/token", "capabilities": []string{"launch-ehr"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, i := learned(t, test.openID, test.smart)
			doc, text := configuration(t, s)
			golden.JSON(t, filepath.Join("testdata", test.golden), []byte(strings.ReplaceAll(text, i.URL(), "https://id.example.org")))
			checkConfiguration(t, doc)
			authorize, token := s.Endpoints()
			if want, _ := doc["authorization_endpoint"].(string); authorize != want || token != doc["token_endpoint"] {
				t.Errorf("endpoints %q and %q differ from the document", authorize, token)
			}
		})
	}
}

// checkConfiguration checks what every such document must keep to.
// https://hl7.org/fhir/smart-app-launch/conformance.html
func checkConfiguration(t *testing.T, doc map[string]any) {
	t.Helper()
	for _, name := range []string{"grant_types_supported", "token_endpoint", "capabilities", "code_challenge_methods_supported"} {
		if doc[name] == nil {
			t.Errorf("%s is required", name)
		}
	}
	for name, value := range doc {
		if text, ok := value.(string); ok {
			if u, err := url.Parse(text); err != nil || !u.IsAbs() || u.Host == "" {
				t.Errorf("%s is %q, no absolute URL", name, text)
			}
		}
	}
	list := func(name string) (out []string) {
		all, _ := doc[name].([]any)
		for _, one := range all {
			out = append(out, one.(string))
		}
		return out
	}
	capabilities := list("capabilities")
	if slices.Contains(list("code_challenge_methods_supported"), "plain") {
		t.Error("plain is offered")
	}
	if sso := slices.Contains(capabilities, "sso-openid-connect"); sso != (doc["issuer"] != nil) || sso != (doc["jwks_uri"] != nil) {
		t.Error("issuer and jwks_uri belong to sso-openid-connect")
	}
	for _, name := range ownCapabilities() {
		if !slices.Contains(capabilities, name) {
			t.Errorf("the capability %s is missing", name)
		}
	}
	if slices.Contains(capabilities, "launch-standalone") && doc["authorization_endpoint"] == nil {
		t.Error("launch-standalone without an authorization endpoint")
	}
	if slices.Contains(capabilities, "client-confidential-asymmetric") &&
		(!slices.Contains(list("token_endpoint_auth_methods_supported"), "private_key_jwt") || len(list("scopes_supported")) == 0) {
		t.Error("client-confidential-asymmetric without what it needs")
	}
}

func TestNoSMARTConfiguration(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	if _, err := s.Configuration(); fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("before the issuer was asked: %v", err)
	}
	if authorize, token := s.Endpoints(); authorize != "" || token != "" {
		t.Errorf("endpoints %q and %q of an issuer that was not asked", authorize, token)
	}
	s, _ = learned(t, func(m map[string]any) { m["token_endpoint"] = "/token" }, nil)
	if _, err := s.Configuration(); fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("an issuer that has no token endpoint: %v", err)
	}
}

func TestTheSMARTDocumentOutlivesNewMetadata(t *testing.T) {
	s, i := learned(t, nil, map[string]any{"capabilities": []string{"launch-standalone"}})
	for range 3 {
		s.clock.Advance(relearn)
		if err := s.bearer(i.Token(claims())); err != nil {
			t.Fatal(err)
		}
		if _, text := configuration(t, s); !strings.Contains(text, "launch-standalone") {
			t.Fatalf("it is forgotten: %s", text)
		}
	}
	if n := i.Requests(authtest.DiscoveryPath); n != 4 {
		t.Errorf("the metadata were fetched %d times, want 4", n)
	}
}
