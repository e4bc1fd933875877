package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	s.issuers[0].keys.refresh(t.Context())
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
		}, map[string]any{"capabilities": []string{"launch-ehr", "launch-standalone", "authorize-post", "client-confidential-asymmetric"}}},
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

// TestWhatBothDocumentsSay: what either document of an issuer says counts, but
// what it offers to apps only its SMART document can say.
func TestWhatBothDocumentsSay(t *testing.T) {
	without := func(names ...string) func(map[string]any) {
		return func(m map[string]any) {
			for _, name := range names {
				delete(m, name)
			}
		}
	}
	for _, test := range []struct {
		name   string
		openID func(map[string]any)
		smart  map[string]any
		member string
		want   string // as JSON
	}{
		{"grant types that are not said", without("grant_types_supported"), nil, "grant_types_supported", `["authorization_code"]`},
		{"grant types that are not said, for programs only", without("grant_types_supported", "authorization_endpoint"), nil, "grant_types_supported", `[]`},
		{"grant types", nil, map[string]any{"grant_types_supported": []string{"client_credentials", "refresh_token"}}, "grant_types_supported", `["authorization_code","client_credentials","refresh_token"]`},
		{"scopes", func(m map[string]any) { m["scopes_supported"] = []string{"openid"} }, map[string]any{"scopes_supported": []string{"openid", "patient/*.rs"}}, "scopes_supported", `["openid","patient/*.rs"]`},
		{"how programs show who they are", nil, map[string]any{"token_endpoint_auth_methods_supported": []string{"none"}}, "token_endpoint_auth_methods_supported", `["client_secret_basic","private_key_jwt","none"]`},
		{"how they sign", nil, map[string]any{"token_endpoint_auth_signing_alg_values_supported": []string{"RS384"}}, "token_endpoint_auth_signing_alg_values_supported", `["RS384"]`},
		{"PKCE", without("code_challenge_methods_supported"), map[string]any{"code_challenge_methods_supported": []string{"plain", "S256"}}, "code_challenge_methods_supported", `["S256"]`},
		{"where apps are managed", func(m map[string]any) { m["management_endpoint"] = "https://id.example.org/a" }, map[string]any{"management_endpoint": "https://id.example.org/b"}, "management_endpoint", `"https://id.example.org/a"`},
		{"capabilities of the wrong document", func(m map[string]any) { m["capabilities"] = []string{"launch-ehr"} }, nil, "capabilities", `["permission-patient","permission-user","permission-v1","permission-v2"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _ := learned(t, test.openID, test.smart)
			doc, _ := configuration(t, s)
			if got, err := json.Marshal(doc[test.member]); err != nil || string(got) != test.want {
				t.Errorf("%s is %s, want %s; error %v", test.member, got, test.want, err)
			}
		})
	}
}

// TestWhenTheSMARTDocumentIsAskedForAgain: an issuer that does not answer is asked
// again soon, and one that does in an hour, whether it has the document or not.
func TestWhenTheSMARTDocumentIsAskedForAgain(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sensitive page", code) }
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   []time.Duration // how long to wait after one try after the other
	}{
		{"it has one", nil, []time.Duration{relearn, relearn}},
		{"it has none", http.NotFound, []time.Duration{relearn, relearn}},
		{"nobody may have it", status(http.StatusUnauthorized), []time.Duration{relearn, relearn}},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>sensitive page") }, []time.Duration{relearn, relearn}},
		{"it is elsewhere", http.RedirectHandler("https://elsewhere.example.org/", http.StatusFound).ServeHTTP, []time.Duration{relearn, relearn}},
		{"a circle", http.RedirectHandler(smartPath, http.StatusFound).ServeHTTP, []time.Duration{relearn, relearn}},
		{"a document without end", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2*maxDocument)) }, []time.Duration{relearn, relearn}},
		{"it is being started", status(http.StatusServiceUnavailable), []time.Duration{minRetry, 2 * minRetry, 4 * minRetry}},
		{"an error of its own", status(http.StatusInternalServerError), []time.Duration{minRetry, 2 * minRetry}},
		{"too many requests", status(http.StatusTooManyRequests), []time.Duration{minRetry, 2 * minRetry}},
		{"the connection breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []time.Duration{minRetry, 2 * minRetry, 4 * minRetry, 8 * minRetry, 16 * minRetry, maxRetry, maxRetry}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := authtest.NewIssuer(t)
			s := newSite(t, nil, i)
			s.issuers[0].keys.refresh(t.Context())
			document := func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"token_endpoint":%q,"capabilities":["launch-standalone"]}`, i.URL()+"/token")
			}
			if test.answer == nil {
				test.answer = document
			}
			i.Handle(smartPath, test.answer)
			for n, want := range test.want {
				asked := i.Requests(smartPath)
				if next := s.issuers[0].learnSMART(t.Context()); !next.Equal(s.clock.Now().Add(want)) {
					t.Fatalf("try %d: next in %s, want %s", n+1, next.Sub(s.clock.Now()), want)
				}
				if i.Requests(smartPath) == asked {
					t.Fatalf("try %d: it was not asked", n+1)
				}
				asked = i.Requests(smartPath)
				s.clock.Advance(want - 1)
				if s.issuers[0].learnSMART(t.Context()); i.Requests(smartPath) != asked {
					t.Fatalf("after try %d it was asked before its time", n+1)
				}
				s.clock.Advance(1)
			}
			fails := test.want[0] != relearn
			if said := strings.Count(s.logs.String(), "cannot get what the issuer offers to apps"); said > 1 || (said == 1) != fails {
				t.Errorf("the log says it %d times:\n%s", said, s.logs)
			}
			s.neverLogged("sensitive")
			i.Handle(smartPath, document)
			s.issuers[0].learnSMART(t.Context())
			if _, text := configuration(t, s); !strings.Contains(text, "launch-standalone") {
				t.Errorf("after it was mended: %s", text)
			}
			i.SetDown(true) // what is known stays
			s.clock.Advance(relearn)
			s.issuers[0].learnSMART(t.Context())
			if _, text := configuration(t, s); !strings.Contains(text, "launch-standalone") {
				t.Errorf("when it is down: %s", text)
			}
		})
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
