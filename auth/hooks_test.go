package auth

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starling-fhir/starling/auth/authtest"
	"github.com/starling-fhir/starling/internal/golden"
)

const (
	hookRoot    = "https://cds.example.org"
	hookService = hookRoot + "/cds-services/pgx-order-select"
	ehr         = "https://ehr.example.org"
)

// hookWorld is Hooks with a client "ehr" whose keys are fetched, and what was
// logged and counted.
type hookWorld struct {
	testing.TB
	*Hooks
	ehr     *authtest.Issuer
	now     atomic.Int64 // Unix seconds
	log     bytes.Buffer
	logging sync.Mutex
	refused []string
	ids     atomic.Int64
}

// Write makes the log safe for goroutines.
func (w *hookWorld) Write(p []byte) (int, error) {
	w.logging.Lock()
	defer w.logging.Unlock()
	return w.log.Write(p)
}

func (w *hookWorld) logged() string {
	w.logging.Lock()
	defer w.logging.Unlock()
	return w.log.String()
}

func (w *hookWorld) clock() time.Time { return time.Unix(w.now.Load(), 0) }

// newHookWorld makes Hooks whose clients may be changed before.
func newHookWorld(tb testing.TB, change ...func(*hookWorld, *HooksConfig)) *hookWorld {
	tb.Helper()
	w := &hookWorld{TB: tb, ehr: authtest.NewIssuer(tb)}
	w.now.Store(1_770_000_000)
	w.ehr.Clock(w.clock)
	cfg := HooksConfig{
		Clients: []HookClient{{Name: "ehr", Issuer: ehr, JKUs: []string{w.ehr.KeysURL()}, Audiences: []string{"the-name-typed-in"}, SharesPatientIDs: true}},
		BaseURL: hookRoot + "/", ClockSkew: time.Minute, Clock: w.clock,
		Logger:    slog.New(slog.NewTextHandler(w, nil)),
		OnRefused: func(check string) { w.refused = append(w.refused, check) },
	}
	for _, c := range change {
		c(w, &cfg)
	}
	h, err := NewHooks(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(h.fetch.close)
	w.Hooks = h
	return w
}

// token makes a good token of the EHR, but for changes.
func (w *hookWorld) token(changes map[string]any, options ...authtest.Option) string {
	now := w.now.Load()
	claims := map[string]any{"iss": ehr, "sub": nil, "aud": hookService, "iat": now, "exp": now + 300, "jti": w.ids.Add(1)}
	claims["jti"] = "id-" + strings.Repeat("x", int(w.ids.Load()))
	maps.Copy(claims, changes)
	return w.ehr.Token(claims, append([]authtest.Option{authtest.Algorithm("ES384")}, options...)...)
}

// call authenticates a call of the service.
func (w *hookWorld) call(token string) (HookClient, error) {
	r := httptest.NewRequest(http.MethodPost, "https://anything.example.net/cds-services/pgx-order-select", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return w.Authenticate(r)
}

// checkOf returns the check an error names; "" for no error.
func checkOf(err error) string {
	var refused interface{ Check() string }
	if errors.As(err, &refused) {
		return refused.Check()
	}
	if err != nil {
		return "an error without a check: " + err.Error()
	}
	return ""
}

// withKeys makes the client's keys agreed on instead of fetched.
func withKeys(w *hookWorld, cfg *HooksConfig) { cfg.Clients[0].Keys = w.ehr.KeySet() }

// allowing sets the client's algorithms.
func allowing(names ...string) func(*hookWorld, *HooksConfig) {
	return func(_ *hookWorld, cfg *HooksConfig) { cfg.Clients[0].Algorithms = names }
}

// TestN13ClientTokens has the vectors N13 and more, each with fetched keys and
// with keys that were agreed on.
func TestN13ClientTokens(t *testing.T) {
	const now = 1_770_000_000
	type claims = map[string]any
	token := func(changes claims, options ...authtest.Option) func(*hookWorld) string {
		return func(w *hookWorld) string { return w.token(changes, options...) }
	}
	// confused signs by HMAC with what everybody can know.
	confused := func(secret func(w *hookWorld) []byte) func(*hookWorld) string {
		return func(w *hookWorld) string {
			return w.token(nil, authtest.Algorithm("RS256"), authtest.Header("alg", "HS256"), authtest.SignedWith(secret(w)))
		}
	}
	tests := []struct {
		name  string
		token func(*hookWorld) string
		check string // that fails; "" passes
	}{
		// The vectors of N13.
		{"expired", token(claims{"iat": now - 400, "exp": now - 61}), "expiry"},
		{"issued in the future", token(claims{"iat": now + 61}), "issued-at"},
		{"not valid before a future time", token(claims{"nbf": now + 61}), "not-before"},
		{"for somebody else", token(claims{"aud": "sand_man"}), "audience"},
		{"for a list that has us", token(claims{"aud": []string{"https://other.example.org", hookService}}), ""},
		{"an unknown kid", token(nil, authtest.KeyID("another")), "kid"},
		{"a kid with + / =", token(nil, authtest.Header("cty", "x")), ""}, // authtest's have these
		{"unsigned, alg none", func(w *hookWorld) string { return w.ehr.Unsigned(claims{"iss": ehr, "aud": hookService, "jti": "n"}) }, "algorithm"},
		{"alg none with a signature", token(nil, authtest.Header("alg", "none")), "algorithm"},
		{"alg None", token(nil, authtest.Header("alg", "None")), "algorithm"},
		{"HS256 with the public key in PEM as the secret", confused(func(w *hookWorld) []byte {
			der, err := x509.MarshalPKIXPublicKey(w.ehr.Public("RS256").Key)
			if err != nil {
				t.Fatal(err)
			}
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		}), "algorithm"},
		{"HS256 with the public key as JSON as the secret", confused(func(w *hookWorld) []byte {
			text, err := json.Marshal(w.ehr.Public("RS256"))
			if err != nil {
				t.Fatal(err)
			}
			return text
		}), "algorithm"},
		{"HS384 with the key set as the secret", func(w *hookWorld) string {
			return w.token(nil, authtest.Header("alg", "HS384"), authtest.SignedWith(w.ehr.KeySet()))
		}, "algorithm"},
		{"an unlisted iss", token(claims{"iss": "https://stranger.example.org"}), "issuer"},
		{"an unlisted jku", token(nil, authtest.Header("jku", "https://stranger.example.org/jwks.json")), "jku"},

		// Signatures.
		{"RS384", token(nil, authtest.Algorithm("RS384")), ""},
		{"RS256 without being allowed", token(nil, authtest.Algorithm("RS256")), "algorithm"},
		{"ES256 without being allowed", token(nil, authtest.Algorithm("ES256")), "algorithm"},
		{"PS384 without being allowed", token(nil, authtest.Algorithm("PS384")), "algorithm"},
		{"no alg", token(nil, authtest.Header("alg", nil)), "algorithm"},
		{"alg a list", token(nil, authtest.Header("alg", []string{"ES384"})), "algorithm"},
		{"no kid", token(nil, authtest.KeyID("")), "kid"},
		{"kid a number", token(nil, authtest.Header("kid", 7)), "kid"},
		{"the kid of a key of another kind", func(w *hookWorld) string { return w.token(nil, authtest.KeyID(w.ehr.Public("RS384").KeyID)) }, "kid"},
		{"the kid in another case", func(w *hookWorld) string {
			return w.token(nil, authtest.KeyID(strings.ToLower(w.ehr.Public("ES384").KeyID)))
		}, "kid"},
		{"the kid URL-encoded", func(w *hookWorld) string {
			return w.token(nil, authtest.KeyID(strings.ReplaceAll(w.ehr.Public("ES384").KeyID, "+", "%2B")))
		}, "kid"},
		{"a foreign key by our kid", func(w *hookWorld) string {
			key := authtest.NewIssuer(t)
			return key.Token(claims{"iss": ehr, "aud": hookService, "iat": now, "exp": now + 300, "jti": "f"}, authtest.Algorithm("ES384"), authtest.KeyID(w.ehr.Public("ES384").KeyID))
		}, "signature"},
		{"a key embedded in the header", func(w *hookWorld) string {
			stranger := authtest.NewIssuer(t)
			return stranger.Token(claims{"iss": ehr, "aud": hookService, "iat": now, "exp": now + 300, "jti": "f"}, authtest.Algorithm("ES384"),
				authtest.KeyID(w.ehr.Public("ES384").KeyID), authtest.Header("jwk", stranger.Public("ES384")))
		}, "signature"},
		{"other claims under the signature", func(w *hookWorld) string {
			parts, others := strings.Split(w.token(nil), "."), strings.Split(w.token(nil), ".")
			return parts[0] + "." + others[1] + "." + parts[2]
		}, "signature"},
		{"a signature cut short", func(w *hookWorld) string { s := w.token(nil); return s[:len(s)-8] }, "signature"},

		// The header.
		{"typ in lower case", token(nil, authtest.Header("typ", "jwt")), ""},
		{"no typ", token(nil, authtest.Header("typ", nil)), "type"},
		{"the typ of an access token", token(nil, authtest.Header("typ", "at+jwt")), "type"},
		{"typ a number", token(nil, authtest.Header("typ", 1)), "type"},
		{"an extension that must be understood", token(nil, authtest.Header("crit", []string{"exp"})), "header"},
		{"a payload that is not encoded", token(nil, authtest.Header("b64", false), authtest.Header("crit", []string{"b64"})), "header"},
		{"the listed jku", func(w *hookWorld) string { return w.token(nil, authtest.Header("jku", w.ehr.KeysURL())) }, ""},
		{"the listed jku with a query", func(w *hookWorld) string { return w.token(nil, authtest.Header("jku", w.ehr.KeysURL()+"?x")) }, "jku"},
		{"the listed jku with a slash", func(w *hookWorld) string { return w.token(nil, authtest.Header("jku", w.ehr.KeysURL()+"/")) }, "jku"},
		{"jku a list", token(nil, authtest.Header("jku", []string{"x"})), "jku"},

		// iss and aud.
		{"iss with a slash", token(claims{"iss": ehr + "/"}), "issuer"},
		{"iss in another case", token(claims{"iss": strings.ToUpper(ehr)}), "issuer"},
		{"no iss", token(claims{"iss": nil}), "issuer"},
		{"iss a list", token(claims{"iss": []string{ehr}}), "issuer"},
		{"aud with a slash", token(claims{"aud": hookService + "/"}), ""},
		{"aud with two slashes", token(claims{"aud": hookService + "//"}), "audience"},
		{"aud the base of the services", token(claims{"aud": hookRoot + "/cds-services"}), ""},
		{"aud a name of the client's", token(claims{"aud": "the-name-typed-in"}), ""},
		{"aud a name of the client's in another case", token(claims{"aud": "The-Name-Typed-In"}), "audience"},
		{"aud another service", token(claims{"aud": hookRoot + "/cds-services/other"}), "audience"},
		{"aud the feedback of the service", token(claims{"aud": hookService + "/feedback"}), "audience"},
		{"aud the root", token(claims{"aud": hookRoot}), "audience"},
		{"aud by the Host header", token(claims{"aud": "https://anything.example.net/cds-services/pgx-order-select"}), "audience"},
		{"aud by http", token(claims{"aud": strings.Replace(hookService, "https", "http", 1)}), "audience"},
		{"aud in another case", token(claims{"aud": strings.ToUpper(hookService)}), "audience"},
		{"no aud", token(claims{"aud": nil}), "audience"},
		{"aud empty", token(claims{"aud": ""}), "audience"},
		{"aud a slash", token(claims{"aud": "/"}), "audience"},
		{"aud an empty list", token(claims{"aud": []string{}}), "audience"},
		{"aud a list of numbers", token(claims{"aud": []any{hookService, 7}}), "audience"},

		// Times.
		{"expired within the skew", token(claims{"iat": now - 300, "exp": now - 59}), ""},
		{"expired at the skew", token(claims{"iat": now - 300, "exp": now - 60}), "expiry"},
		{"issued in the future within the skew", token(claims{"iat": now + 60}), ""},
		{"not before, within the skew", token(claims{"nbf": now + 60}), ""},
		{"what a large EHR sends: 900 s, nbf five minutes before iat, sub", token(claims{"exp": now + 900, "nbf": now - 300, "sub": "a-build-record"}), ""},
		{"a life of 15 minutes and the skew", token(claims{"exp": now + 960}), ""},
		{"a longer life", token(claims{"exp": now + 961}), "lifetime"},
		{"a long life that is nearly over", token(claims{"iat": now - 3600, "exp": now + 60}), "lifetime"},
		{"ends before it was issued", token(claims{"iat": now + 30, "exp": now + 30}), "lifetime"},
		{"fractions of a second", token(claims{"iat": now + 0.5, "exp": now + 300.25}), ""},
		{"no exp", token(claims{"exp": nil}), "expiry"},
		{"no iat", token(claims{"iat": nil}), "issued-at"},
		{"exp a string", token(claims{"exp": "1770000300"}), "expiry"},
		{"a life of ten thousand years", token(claims{"exp": 300_000_000_000}), "expiry"},
		{"exp beyond all numbers", token(nil, authtest.Payload([]byte(`{"iss":"`+ehr+`","aud":"`+hookService+`","iat":1770000000,"exp":1e400,"jti":"x"}`))), "expiry"},
		{"nbf a truth value", token(claims{"nbf": true}), "not-before"},

		// jti and form.
		{"no jti", token(claims{"jti": nil}), "jti"},
		{"jti empty", token(claims{"jti": ""}), "jti"},
		{"jti a number", token(claims{"jti": 7}), "jti"},
		{"claims that nobody knows", token(claims{"tenant": "t", "fhirUser": "x", "extension": claims{"a": 1}}), ""},
		{"a claim twice", token(nil, authtest.Payload([]byte(`{"iss":"`+ehr+`","iss":"`+ehr+`"}`))), "form"},
		{"a list as the payload", token(nil, authtest.Payload([]byte(`[]`))), "form"},
		{"no JSON as the payload", token(nil, authtest.Payload([]byte(`x`))), "form"},
		{"two parts", func(*hookWorld) string { return "e30.e30" }, "form"},
		{"encrypted", func(*hookWorld) string { return "e30.e30.e30.e30.e30" }, "form"},
		{"not base64url", func(w *hookWorld) string { return strings.Replace(w.token(nil), ".", "=.", 1) }, "form"},
		{"a megabyte", func(w *hookWorld) string { return w.token(claims{"x": strings.Repeat("x", 1<<20)}) }, "form"},
	}
	for _, keys := range []struct {
		name   string
		change []func(*hookWorld, *HooksConfig)
	}{{"fetched", nil}, {"agreed on", []func(*hookWorld, *HooksConfig){withKeys}}} {
		w := newHookWorld(t, keys.change...)
		for _, test := range tests {
			t.Run(test.name+", keys "+keys.name, func(t *testing.T) {
				w.refused = nil
				made := test.token(w)
				report := w.Inspect(t.Context(), made, hookService)
				client, err := w.call(made)
				if got := checkOf(err); got != test.check {
					t.Fatalf("failed at %q, want %q: %v", got, test.check, err)
				}
				if (err == nil) != (client.Name == "ehr" && client.SharesPatientIDs) {
					t.Errorf("client %+v", client)
				}
				if err != nil && (len(w.refused) != 1 || w.refused[0] != test.check) {
					t.Errorf("counted %q", w.refused)
				}
				for _, c := range report.Checks { // the first that failed is the one that calls fail at
					if !c.OK {
						if c.Name != test.check {
							t.Errorf("the report fails at %s: %s", c.Name, c.Detail)
						}
						break
					}
				}
				if report.OK() != (test.check == "") {
					t.Errorf("report %+v", report)
				}
				if err == nil {
					if _, err := w.call(made); checkOf(err) != "replay" { // a replayed jti
						t.Errorf("used twice: %v", err)
					}
				}
				secrets(t, made, w.logged())
				if err != nil {
					secrets(t, made, err.Error())
				}
				for _, c := range report.Checks {
					secrets(t, made, c.Detail)
				}
			})
		}
		if n := w.ehr.Requests(authtest.KeysPath); keys.change != nil && n > 0 {
			t.Errorf("%d requests for keys that were agreed on", n)
		}
	}
}

// secrets wants no part of a token in a text.
func secrets(tb testing.TB, token, text string) {
	tb.Helper()
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(text, part[:min(len(part), 40)]) {
			tb.Errorf("a part of the token is in %.300q", text)
		}
	}
	if strings.Contains(text, "id-xxx") {
		tb.Errorf("the jti is in %.300q", text)
	}
}

func TestAlgorithmsOfAClient(t *testing.T) {
	for _, keys := range [][]func(*hookWorld, *HooksConfig){nil, {withKeys}} {
		for _, name := range []string{"RS256", "ES256", "PS256", "RS384", "ES384"} {
			w := newHookWorld(t, append([]func(*hookWorld, *HooksConfig){allowing("RS256", "ES256", "PS256", "ES384")}, keys...)...)
			_, err := w.call(w.token(nil, authtest.Algorithm(name)))
			want := ""
			if name == "RS384" { // what is listed counts, not what is usual
				want = "algorithm"
			}
			if checkOf(err) != want {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAuthorizationHeader(t *testing.T) {
	w := newHookWorld(t)
	for _, test := range []struct {
		name   string
		header []string
		check  string
	}{
		{"none", nil, "credentials"},
		{"another scheme", []string{"Basic dXNlcjpwYXNz"}, "credentials"},
		{"no token", []string{"Bearer "}, "credentials"},
		{"two", []string{"Bearer a.b.c", "Bearer a.b.c"}, "credentials"},
		{"no JWT", []string{"Bearer opaque"}, "form"},
		{"the scheme in lower case", []string{"bearer " + w.token(nil)}, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/cds-services/pgx-order-select", nil)
		r.Header["Authorization"] = test.header
		if _, err := w.Authenticate(r); checkOf(err) != test.check {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// Each address takes tokens for itself and for the base of the services, never
// for another one, whatever the request says about its host.
func TestAudienceIsTheAddressThatIsCalled(t *testing.T) {
	w := newHookWorld(t)
	paths := []string{"/cds-services", "/cds-services/a", "/cds-services/a/feedback", "/cds-services/b"}
	for _, called := range paths {
		for _, meant := range paths {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://evil.example.net"+called, nil)
			r.Header.Set("X-Forwarded-Host", "evil.example.net")
			r.Header.Set("Authorization", "Bearer "+w.token(map[string]any{"aud": hookRoot + meant}))
			_, err := w.Authenticate(r)
			if ok := called == meant || meant == "/cds-services"; ok != (err == nil) {
				t.Errorf("a token for %s at %s: %v", meant, called, err)
			}
		}
	}
}

// Without a base URL only the audiences that are listed count.
func TestAudienceWithoutBaseURL(t *testing.T) {
	w := newHookWorld(t, func(_ *hookWorld, cfg *HooksConfig) { cfg.BaseURL = "" })
	for aud, want := range map[string]string{"the-name-typed-in": "", "/cds-services": "audience", "/cds-services/pgx-order-select": "audience", hookService: "audience"} {
		if _, err := w.call(w.token(map[string]any{"aud": aud})); checkOf(err) != want {
			t.Errorf("%s: %v", aud, err)
		}
		if got := w.Inspect(t.Context(), w.token(map[string]any{"aud": aud}), "").OK(); got != (want == "") {
			t.Errorf("%s: report %v", aud, got)
		}
	}
}

// What a stranger writes never gets into the log, and what a client writes does
// where it helps to find its mistake.
func TestWhatTheLogSays(t *testing.T) {
	w := newHookWorld(t)
	stranger := authtest.NewIssuer(t)
	for _, claims := range []map[string]any{
		{"iss": "Jane Doe"},
		{"iss": ehr, "aud": "Jane Doe", "jti": "j"},
		{"iss": ehr, "tenant": "Jane Doe"},
	} {
		for _, header := range []string{"typ", "alg", "kid", "jku", "crit"} {
			_, err := w.call(stranger.Token(claims, authtest.Algorithm("ES384"), authtest.Header(header, "Jane Doe")))
			if err == nil || strings.Contains(err.Error()+w.logged(), "Jane") {
				t.Errorf("%s: %v\n%s", header, err, w.logged())
			}
		}
	}
	_, err := w.call(w.token(map[string]any{"aud": "sand_man"}))
	for _, want := range []string{"client ehr", "audience", `"sand_man"`, hookRoot + "/cds-services"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %s", err, want)
		}
	}
}

func TestInspectSaysWhatWasNotChecked(t *testing.T) {
	w := newHookWorld(t)
	report := w.Inspect(t.Context(), "nothing", "")
	if report.OK() || len(report.Checks) != len(hookChecks()) || report.Checks[0].Skipped {
		t.Errorf("report %+v", report)
	}
	for _, c := range report.Checks[1:] {
		if !c.Skipped || c.OK || !strings.Contains(c.Detail, "form") && !strings.Contains(c.Detail, "failed") {
			t.Errorf("check %+v", c)
		}
	}
	// A token of a stranger: its times can be judged all the same.
	report = w.Inspect(t.Context(), w.token(map[string]any{"iss": "https://stranger.example.org", "exp": 1}), hookService)
	states := map[string]string{}
	for _, c := range report.Checks {
		states[c.Name] = map[bool]string{true: "passed", false: "failed"}[c.OK]
		if c.Skipped {
			states[c.Name] = "skipped"
		}
	}
	for name, want := range map[string]string{"form": "passed", "issuer": "failed", "keys": "skipped", "audience": "skipped", "expiry": "failed", "issued-at": "passed", "replay": "skipped"} {
		if states[name] != want {
			t.Errorf("%s: %s, want %s", name, states[name], want)
		}
	}
	// Without a URL a token for any service passes, and is not used up.
	token := w.token(nil)
	for range 2 {
		if report := w.Inspect(t.Context(), " "+token+"\n", ""); !report.OK() {
			t.Errorf("report %+v", report)
		}
	}
	for _, address := range []string{hookRoot + "/cds-services/other", "https://elsewhere.example.org/cds-services/pgx-order-select"} {
		if w.Inspect(t.Context(), token, address).OK() {
			t.Errorf("passes for %s", address)
		}
	}
	if _, err := w.call(token); err != nil {
		t.Error(err)
	}
	if report := w.Inspect(t.Context(), token, ""); report.OK() || report.Checks[len(report.Checks)-1].OK {
		t.Errorf("a used token passes: %+v", report)
	}
}

func TestNewHooksRefuses(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	symmetric := []byte(`{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`)
	nameless := bytes.ReplaceAll(issuer.KeySet(), []byte(`"kid"`), []byte(`"xid"`))
	good := HookClient{Name: "ehr", Issuer: ehr, Keys: issuer.KeySet()}
	tests := []struct {
		name   string
		change func(*HooksConfig)
		want   string
	}{
		{"no clock", func(c *HooksConfig) { c.Clock = nil }, "required"},
		{"a skew of an hour", func(c *HooksConfig) { c.ClockSkew = time.Hour }, "clock skew"},
		{"a skew below zero", func(c *HooksConfig) { c.ClockSkew = -1 }, "clock skew"},
		{"no name", func(c *HooksConfig) { c.Clients[0].Name = "" }, "a name and an issuer"},
		{"no issuer", func(c *HooksConfig) { c.Clients[0].Issuer = "" }, "a name and an issuer"},
		{"no keys", func(c *HooksConfig) { c.Clients[0].Keys = nil }, "keys are required"},
		{"no audience at all", func(c *HooksConfig) { c.BaseURL = "" }, "audience"},
		{"an empty audience", func(c *HooksConfig) { c.Clients[0].Audiences = []string{""} }, "empty"},
		{"an empty tenant", func(c *HooksConfig) { c.Clients[0].Tenants = []string{"a", ""} }, "empty"},
		{"HMAC", func(c *HooksConfig) { c.Clients[0].Algorithms = []string{"HS256"} }, "cannot be allowed"},
		{"none", func(c *HooksConfig) { c.Clients[0].Algorithms = []string{"none"} }, "cannot be allowed"},
		{"a secret key", func(c *HooksConfig) { c.Clients[0].Keys = symmetric }, "secret key"},
		{"keys without ids", func(c *HooksConfig) { c.Clients[0].Keys = nameless }, "have no kid"},
		{"keys for other algorithms", func(c *HooksConfig) { c.Clients[0].Algorithms = []string{"ES512", "EdDSA"} }, "none of its keys"},
		{"no keys in the set", func(c *HooksConfig) { c.Clients[0].Keys = []byte(`{"keys":[]}`) }, "no keys"},
		{"no set", func(c *HooksConfig) { c.Clients[0].Keys = []byte(`x`) }, "JWK set"},
		{"a jku by http", func(c *HooksConfig) { c.Clients[0].JKUs = []string{"http://ehr.example.org/jwks"} }, "jku"},
		{"a jku that is a file", func(c *HooksConfig) { c.Clients[0].JKUs = []string{"file:///etc/passwd"} }, "jku"},
		{"a jku with a password", func(c *HooksConfig) { c.Clients[0].JKUs = []string{"https://a:b@ehr.example.org/jwks"} }, "jku"},
		{"a jku with a fragment", func(c *HooksConfig) { c.Clients[0].JKUs = []string{"https://ehr.example.org/jwks#"} }, "jku"},
		{"a jku without a host", func(c *HooksConfig) { c.Clients[0].JKUs = []string{"https://:8443/jwks"} }, "jku"},
		{"a name twice", func(c *HooksConfig) { o := good; o.Issuer = "x"; c.Clients = append(c.Clients, o) }, "has this name"},
		{"an issuer twice", func(c *HooksConfig) { o := good; o.Name = "x"; c.Clients = append(c.Clients, o) }, "same issuer"},
		{"a tenant twice", func(c *HooksConfig) {
			o := good
			o.Name, o.Tenants, c.Clients[0].Tenants = "x", []string{"a", "b"}, []string{"b"}
			c.Clients = append(c.Clients, o)
		}, "same issuer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := HooksConfig{Clients: []HookClient{good}, BaseURL: hookRoot, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)}
			if _, err := NewHooks(cfg); err != nil {
				t.Fatal(err)
			}
			cfg.Clients = []HookClient{good}
			test.change(&cfg)
			if _, err := NewHooks(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one about %q", err, test.want)
			}
		})
	}
}

// Without clients nobody may call.
func TestNoClients(t *testing.T) {
	w := newHookWorld(t, func(_ *hookWorld, cfg *HooksConfig) { cfg.Clients = nil })
	if _, err := w.call(w.token(nil)); checkOf(err) != "issuer" {
		t.Error(err)
	}
	if report := w.Inspect(context.Background(), w.token(nil), ""); report.OK() || !strings.Contains(report.Checks[3].Detail, "no clients at all") {
		t.Errorf("report %+v", report)
	}
}

// TestTheDocumentedChecksOfClients checks that the page names every check, in
// order.
func TestTheDocumentedChecksOfClients(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(golden.Root(t), "docs", "reference", "cds-hooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	rest := string(text)
	for _, c := range hookChecks() {
		_, after, found := strings.Cut(rest, "\n| `"+c.name+"` |")
		if !found {
			t.Fatalf("the check %s is missing, or not in its place", c.name)
		}
		rest = after
	}
}
