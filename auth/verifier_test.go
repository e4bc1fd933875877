package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/auth/authtest"
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

const (
	testBase     = "https://fhir.example.org/fhir"
	testAudience = "https://fhir.example.org/fhir"
	testPatient  = "made-up-patient-7"
	testSubject  = "made-up-subject-8"
)

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logs is a log that tests read.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// site is a verifier with its surroundings.
type site struct {
	*Verifier
	tb      testing.TB
	clock   *clock
	logs    *logs
	mu      sync.Mutex
	refused []string
}

var testRegistry = sync.OnceValues(search.NewRegistry)

// newSite makes a verifier of the issuers' tokens. When the test ends, its log
// must hold no token that it used and nobody's name.
func newSite(tb testing.TB, change func(*Config), issuers ...*authtest.Issuer) *site {
	tb.Helper()
	s := &site{tb: tb, clock: newClock(), logs: &logs{}}
	registry, err := testRegistry()
	if err != nil {
		tb.Fatal(err)
	}
	cfg := Config{
		Audiences: []string{"another-audience", testAudience}, ClockSkew: time.Minute, Registry: registry, Base: testBase,
		Clock: s.clock.Now, Logger: slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnRefused: func(check string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refused = append(s.refused, check)
		},
	}
	for _, i := range issuers {
		i.Clock(s.clock.Now)
		cfg.Issuers = append(cfg.Issuers, i.URL())
	}
	if change != nil {
		change(&cfg)
	}
	s.Verifier, err = New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.fetch.close)
	tb.Cleanup(func() { s.neverLogged(testPatient, testSubject, "patient/", "eyJ") }) // a token begins with eyJ
	return s
}

func (s *site) neverLogged(secrets ...string) {
	s.tb.Helper()
	for _, secret := range secrets {
		if strings.Contains(s.logs.String(), secret) {
			s.tb.Errorf("the log holds %q:\n%s", secret, s.logs)
		}
	}
}

func (s *site) lastRefused() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) == 0 {
		return ""
	}
	return s.refused[len(s.refused)-1]
}

// claims are those of a token that a patient's app has; some can be replaced.
func claims(more ...any) map[string]any {
	all := map[string]any{"sub": testSubject, "aud": testAudience, "scope": "openid patient/*.rs", "patient": testPatient}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

// authorize asks with Authorization headers.
func (s *site) authorize(headers ...string) (search.Access, http.Header, error) {
	req := httptest.NewRequest(http.MethodGet, "/fhir/Patient", nil)
	for _, value := range headers {
		req.Header.Add("Authorization", value)
	}
	rec := httptest.NewRecorder()
	access, err := s.Authorize(echo.New().NewContext(req, rec))
	return access, rec.Header(), err
}

// bearer asks with a token.
func (s *site) bearer(token string) error {
	_, _, err := s.authorize("Bearer " + token)
	return err
}

func otherKey(tb testing.TB) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// tokenCase is a kind of token and the first check it fails; "" if it is good.
type tokenCase struct {
	name  string
	token string
	fails string
}

// tokenCases are tokens of all kinds, at the time of clock. The site must take
// ES256, ES384, RS256 and RS384.
func tokenCases(tb testing.TB, i, other *authtest.Issuer, clock *clock) []tokenCase {
	now := clock.Now().Unix()
	good := i.Token(claims())
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	public := i.Public("RS256")
	der, err := x509.MarshalPKIXPublicKey(public.Key)
	if err != nil {
		tb.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	publicJWK, err := public.MarshalJSON()
	if err != nil {
		tb.Fatal(err)
	}
	raw := func(text string) string { return i.Token(nil, authtest.Payload([]byte(text))) }
	whole := func(more string) string {
		return `{"iss":"` + i.URL() + `","aud":"` + testAudience + `","scope":"patient/*.rs","patient":"` + testPatient + `"` + more + `}`
	}
	b64 := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return []tokenCase{
		{"a good token by RS256", good, ""},
		{"a good token by RS384", i.Token(claims(), authtest.Algorithm("RS384")), ""},
		{"a good token by ES256", i.Token(claims(), authtest.Algorithm("ES256")), ""},
		{"a good token by ES384", i.Token(claims(), authtest.Algorithm("ES384")), ""},
		{"a good token of the other issuer", other.Token(claims()), ""},
		{"several audiences", i.Token(claims("aud", []string{"somebody", testAudience})), ""},
		{"the type of RFC 9068", i.Token(claims(), authtest.Header("typ", "at+JWT")), ""},
		{"no type", i.Token(claims(), authtest.Header("typ", nil)), ""},
		{"times with fractions", raw(whole(`,"exp":` + "1772600800.5" + `,"iat":1772600000.25`)), ""},
		{"scopes as scp list", i.Token(claims("scope", nil, "scp", []string{"patient/Observation.read"})), ""},
		{"no key id, one key that fits", i.Token(claims(), authtest.KeyID("")), ""},

		{"expired within the skew", i.Token(claims("exp", now-59)), ""},
		{"expired", i.Token(claims("exp", now-60)), "expiry"},
		{"expired long ago", i.Token(claims("exp", -1e9)), "expiry"},
		{"no expiry", i.Token(claims("exp", nil)), "expiry"},
		{"an expiry that is text", raw(whole(`,"exp":"1772600800"`)), "expiry"},
		{"an expiry without end", raw(whole(`,"exp":1e300`)), "expiry"},
		{"an expiry in milliseconds", i.Token(claims("exp", (now+300)*1000)), "expiry"},
		{"not yet valid, within the skew", i.Token(claims("nbf", now+60)), ""},
		{"not yet valid", i.Token(claims("nbf", now+61)), "not-before"},
		{"issued in the future, within the skew", i.Token(claims("iat", now+60)), ""},
		{"issued in the future", i.Token(claims("iat", now+61)), "issued-at"},
		{"no time of issue", i.Token(claims("iat", nil)), ""},

		{"another audience", i.Token(claims("aud", "https://elsewhere.example.org")), "audience"},
		{"other audiences", i.Token(claims("aud", []string{"a", "b", "c", "d", "e", "f"})), "audience"},
		{"an audience that begins like ours", i.Token(claims("aud", testAudience+"/")), "audience"},
		{"our audience in another case", i.Token(claims("aud", strings.ToUpper(testAudience))), "audience"},
		{"no audience", i.Token(claims("aud", nil)), "audience"},
		{"no audiences", i.Token(claims("aud", []string{})), "audience"},
		{"an audience that is a number", i.Token(claims("aud", 7)), "signature"}, // go-oidc cannot read it

		{"unsigned", i.Unsigned(claims()), "algorithm"},
		{"unsigned, with the case changed", i.Token(claims(), authtest.Header("alg", "nOnE")), "algorithm"},
		{"HMAC with the public key as PEM", i.Token(claims(), authtest.Header("alg", "HS256"), authtest.SignedWith(publicPEM)), "algorithm"},
		{"HMAC with the public key as DER", i.Token(claims(), authtest.Header("alg", "HS256"), authtest.SignedWith(der)), "algorithm"},
		{"HMAC with the public key as JWK", i.Token(claims(), authtest.Header("alg", "HS256"), authtest.SignedWith(publicJWK)), "algorithm"},
		{"HMAC that calls itself RS256", i.Token(claims(), authtest.SignedWith(publicPEM)), "signature"},
		{"an algorithm that is not allowed", i.Token(claims(), authtest.Algorithm("PS256")), "algorithm"},
		{"an algorithm that does not fit the key", i.Token(claims(), authtest.Header("alg", "ES256")), "signature"},
		{"no algorithm", i.Token(claims(), authtest.Header("alg", nil)), "algorithm"},
		{"signed by another key", i.Token(claims(), authtest.SignedWith(otherKey(tb))), "signature"},
		{"a changed payload", head + "." + b64(whole(`,"exp":9999999999`)) + "." + signature, "signature"},
		{"a changed signature", head + "." + payload + "." + flip(signature), "signature"},
		{"no signature", head + "." + payload + ".", "signature"},
		{"an unknown key id", i.Token(claims(), authtest.KeyID("nobody+/=")), "signature"},
		{"a key id that is a number", i.Token(claims(), authtest.Header("kid", 7)), "header"},
		{
			"a key that the token brings itself", i.Token(claims(), authtest.KeyID("mine"),
				authtest.Header("jwk", map[string]any{"kty": "RSA", "n": b64("x"), "e": "AQAB"})), "signature",
		},
		{"a critical extension", i.Token(claims(), authtest.Header("crit", []string{"exp"})), "header"},
		{"an empty list of critical extensions", i.Token(claims(), authtest.Header("crit", []string{})), "header"},
		{"a payload that is not encoded", i.Token(claims(), authtest.Header("b64", false)), "header"},
		{"a logout token", i.Token(claims(), authtest.Header("typ", "logout+jwt")), "header"},
		{"bound to a key of the client", i.Token(claims("cnf", map[string]string{"jkt": "x"})), "binding"},

		{"bound to null", raw(whole(`,"exp":9999999999,"cnf":null`)), "binding"},
		{"by an issuer that is not configured", i.Token(claims("iss", "https://evil.example.org")), "issuer"},
		{"with a slash behind the issuer", i.Token(claims("iss", i.URL()+"/")), "issuer"},
		{"without issuer", i.Token(claims("iss", nil)), "issuer"},
		{"with an issuer that is a list", i.Token(claims("iss", []string{i.URL()})), "issuer"},
		{"signed by one issuer in the name of the other", i.Token(claims("iss", other.URL())), "signature"},
		{
			"signed by one issuer in the name of the other with its key id",
			i.Token(claims("iss", other.URL()), authtest.KeyID(other.Public("RS256").KeyID)), "signature",
		},

		{"an expiry that comes twice", raw(whole(`,"exp":1,"exp":9999999999`)), "form"},
		{"an issuer that comes twice", raw(whole(`,"exp":9999999999,"iss":"x"`)), "form"},
		{"an issuer that comes in another case too", raw(whole(`,"exp":9999999999,"ISS":"https://evil.example.org"`)), "signature"},
		{"a patient that comes twice", raw(whole(`,"exp":9999999999,"patient":"x"`)), "form"},
		{"a payload that is a list", raw(`[]`), "form"},
		{"a payload that is null", raw(`null`), "form"},
		{"a payload with more behind it", raw(whole(`,"exp":9999999999`) + "{}"), "form"},
		{"an algorithm that comes twice", b64(`{"alg":"none","alg":"RS256"}`) + "." + payload + "." + signature, "form"},
		{"a token of 1 MB", i.Token(claims("padding", strings.Repeat("x", 1<<20))), "length"},
		{"a token of a little more than the most", good + strings.Repeat("A", maxToken), "length"},
		{"nothing", "", "form"},
		{"two parts", head + "." + payload, "form"},
		{"four parts", good + ".AAAA", "form"},
		{"encrypted", head + ".AAAA.AAAA.AAAA.AAAA", "form"},
		{"opaque", "mF_9.B5f-4.1JqM", "form"},
		{"the JSON form", `{"payload":"` + payload + `","protected":"` + head + `","signature":"` + signature + `"}`, "form"},
		{"a line break within", head + "\n." + payload + "." + signature, "form"},
		{"padding", head + "=." + payload + "." + signature, "form"},

		{"no scopes", i.Token(claims("scope", nil)), "scope"},
		{"only unknown scopes", i.Token(claims("scope", "openid profile patient/Observation.sr patient/Observation.rs?category=x")), "scope"},
		{"scopes of a patient without a patient", i.Token(claims("patient", nil)), "scope"},
		{"a patient that is no id", i.Token(claims("patient", "../7")), "scope"},
		{"a patient that is a list", i.Token(claims("patient", []string{testPatient})), "scope"},
		{"scopes of a user who is nobody", i.Token(claims("scope", "user/*.rs")), "scope"},
		{"scopes that are a number", i.Token(claims("scope", 7)), "scope"},
		{"an unknown resource type", i.Token(claims("scope", "system/Nothing.rs")), "scope"},
	}
}

// flip changes the first character of a signature.
func flip(signature string) string {
	if signature[0] == 'A' {
		return "B" + signature[1:]
	}
	return "A" + signature[1:]
}

// TestTokens checks what requests with all kinds of tokens are answered, and
// that a report on them says the same.
func TestTokens(t *testing.T) {
	i, other := authtest.NewIssuer(t), authtest.NewIssuer(t)
	s := newSite(t, func(c *Config) { c.Algorithms = []string{"ES256", "ES384", "RS256", "RS384"} }, i, other)
	for _, test := range tokenCases(t, i, other, s.clock) {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second time it could be kept
				access, header, err := s.authorize("Bearer " + test.token)
				challenge := header.Get("WWW-Authenticate")
				switch {
				case test.fails == "":
					if err != nil || challenge != "" {
						t.Fatalf("refused: %v (check %s)", err, s.lastRefused())
					}
					if access.Allow("read", "Observation") != nil || access.Allow("create", "Observation") == nil {
						t.Error("the access is not that of the scopes")
					}
					continue
				case err == nil:
					t.Fatal("accepted")
				case access.Allow("batch", "") == nil:
					t.Error("an access came with the error")
				}
				kind, want := fhir.Unauthenticated, `Bearer error="invalid_token", error_description="the access token is not valid"`
				switch {
				case test.token == "":
					want = "Bearer"
				case test.fails == "scope":
					kind, want = fhir.Forbidden, `Bearer error="insufficient_scope"`
				case strings.HasPrefix(test.name, "expired"):
					want = `Bearer error="invalid_token", error_description="the access token has expired"`
				}
				if fhir.KindOf(err) != kind || challenge != want {
					t.Errorf("error %v of kind %d with %s; want kind %d with %s", err, fhir.KindOf(err), challenge, kind, want)
				}
				if test.token != "" && s.lastRefused() != test.fails {
					t.Errorf("refused by the check %s, want %s", s.lastRefused(), test.fails)
				}
			}
			report := s.Inspect(t.Context(), test.token)
			first := ""
			for _, c := range report.Checks {
				if !c.OK && !c.Skipped && first == "" {
					first = c.Name
				}
				if c.Detail == "" || c.OK && c.Skipped {
					t.Errorf("the check %+v says nothing or contradicts itself", c)
				}
				if strings.Contains(c.Detail, testPatient) || strings.Contains(c.Detail, testSubject) {
					t.Errorf("the check %+v names somebody", c)
				}
			}
			if report.OK() != (test.fails == "") || first != test.fails {
				t.Errorf("the report finds %q first, want %q: %+v", first, test.fails, report.Checks)
			}
			if len(report.Checks) != len(s.checks) {
				t.Errorf("%d checks in the report, want all %d", len(report.Checks), len(s.checks))
			}
		})
	}
	if n := i.Requests(authtest.KeysPath); n > 1+unknownBurst {
		t.Errorf("the tokens made this server fetch the keys %d times", n)
	}
}

func TestCredentials(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	token := i.Token(claims())
	for _, test := range []struct {
		name    string
		headers []string
		ok      bool
	}{
		{"no header", nil, false},
		{"a bearer token", []string{"Bearer " + token}, true},
		{"the scheme in another case", []string{"bEARER " + token}, true},
		{"several spaces", []string{"Bearer   " + token}, true},
		{"no token", []string{"Bearer"}, false},
		{"an empty token", []string{"Bearer "}, false},
		{"no scheme", []string{token}, false},
		{"another scheme", []string{"Basic " + token}, false},
		{"a tab", []string{"Bearer\t" + token}, false},
		{"two headers", []string{"Bearer " + token, "Bearer " + token}, false},
		{"two headers, one of them empty", []string{"", "Bearer " + token}, false},
		{"two in one header", []string{"Bearer " + token + ", Bearer " + token}, false},
		{"something behind the token", []string{"Bearer " + token + " x"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, header, err := s.authorize(test.headers...)
			if (err == nil) != test.ok {
				t.Errorf("error %v, want success %v", err, test.ok)
			}
			if err != nil && (fhir.KindOf(err) != fhir.Unauthenticated || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer")) {
				t.Errorf("error %v with %s", err, header.Get("WWW-Authenticate"))
			}
		})
	}
	req := httptest.NewRequest(http.MethodGet, "/fhir/Patient?access_token="+token, nil)
	if _, err := s.Authorize(echo.New().NewContext(req, httptest.NewRecorder())); fhir.KindOf(err) != fhir.Unauthenticated {
		t.Errorf("a token in the URL gives %v", err)
	}
}

func TestVerifiedTokensAreKeptUntilTheyExpire(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	token := i.Token(claims("exp", s.clock.Now().Unix()+100))
	if err := s.bearer(token); err != nil {
		t.Fatal(err)
	}
	if s.verified.Len() != 1 {
		t.Errorf("%d tokens are kept, want 1", s.verified.Len())
	}
	s.clock.Advance(159 * time.Second)
	if err := s.bearer(token); err != nil {
		t.Errorf("within the skew: %v", err)
	}
	s.clock.Advance(time.Second)
	if err := s.bearer(token); fhir.KindOf(err) != fhir.Unauthenticated || s.lastRefused() != "expiry" {
		t.Errorf("after its time: %v", err)
	}
	if s.verified.Len() != 0 {
		t.Errorf("%d tokens are kept after their time", s.verified.Len())
	}
}

// TestAPatientsAccess checks that the narrowing to the patient arrives in the
// access; what it does is tested in fhir/search and fhir/rest.
func TestAPatientsAccess(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	for _, test := range []struct {
		name   string
		claims map[string]any
		own    bool
		others bool
	}{
		{"a patient's scope", claims(), true, false},
		{"a patient as a relative reference", claims("patient", "Patient/"+testPatient), true, false},
		{"a user who is a practitioner", claims("scope", "user/*.rs", "fhirUser", "https://elsewhere.example.org/r4/Practitioner/1"), true, true},
		{"a user who is the patient", claims("scope", "user/*.rs", "patient", nil, "fhirUser", "Patient/"+testPatient), true, false},
		{"a user who is a patient here", claims("scope", "user/*.rs", "patient", nil, "fhirUser", testBase+"/Patient/"+testPatient), true, false},
		{"a system", claims("scope", "system/Observation.r", "patient", nil), true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			access, _, err := s.authorize("Bearer " + i.Token(test.claims))
			if err != nil {
				t.Fatal(err)
			}
			observation := func(patient string) *fhir.Resource {
				return &fhir.Resource{Key: fhir.Key{Type: "Observation", ID: "1"}, Patients: []string{patient}}
			}
			if own, others := access.Sees(observation(testPatient)), access.Sees(observation("somebody-else")); own != test.own || others != test.others {
				t.Errorf("sees the patient's %v and others' %v, want %v and %v", own, others, test.own, test.others)
			}
		})
	}
	renamed := newSite(t, func(c *Config) { c.PatientClaim = "urn:ehr:patient" }, i)
	if err := renamed.bearer(i.Token(claims("urn:ehr:patient", testPatient, "patient", nil))); err != nil {
		t.Errorf("a patient in the claim that is set: %v", err)
	}
	if err := renamed.bearer(i.Token(claims())); fhir.KindOf(err) != fhir.Forbidden {
		t.Errorf("a patient in another claim than the one that is set: %v", err)
	}
	elsewhere := claims("scope", "user/*.rs", "patient", nil, "fhirUser", "https://elsewhere.example.org/r4/Patient/"+testPatient)
	if err := s.bearer(i.Token(elsewhere)); fhir.KindOf(err) != fhir.Forbidden {
		t.Errorf("a patient of another server is let in here: %v", err)
	}
}

func TestNewRefusesWhatCannotBeMeant(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no issuer":             func(c *Config) { c.Issuers = nil },
		"an issuer without URL": func(c *Config) { c.Issuers = []string{"clinic"} },
		"plain http":            func(c *Config) { c.Issuers = []string{"http://id.example.org"} },
		"a port without a host": func(c *Config) { c.Issuers = []string{"https://:8443"} },
		"a password":            func(c *Config) { c.Issuers = []string{"https://a:secret@id.example.org"} },
		"a query":               func(c *Config) { c.Issuers = []string{"https://id.example.org/?x"} },
		"a fragment":            func(c *Config) { c.Issuers = []string{"https://id.example.org/#x"} },
		"an issuer twice":       func(c *Config) { c.Issuers = []string{"https://id.example.org", "https://id.example.org"} },
		"no audience":           func(c *Config) { c.Audiences = nil },
		"an empty audience":     func(c *Config) { c.Audiences = []string{""} },
		"none":                  func(c *Config) { c.Algorithms = []string{"RS256", "none"} },
		"HMAC":                  func(c *Config) { c.Algorithms = []string{"HS256"} },
		"too much skew":         func(c *Config) { c.ClockSkew = time.Hour },
		"negative skew":         func(c *Config) { c.ClockSkew = -1 },
		"no clock":              func(c *Config) { c.Clock = nil },
		"no registry":           func(c *Config) { c.Registry = nil },
		"no base":               func(c *Config) { c.Base = "" },
	} {
		t.Run(name, func(t *testing.T) {
			registry, err := testRegistry()
			if err != nil {
				t.Fatal(err)
			}
			cfg := Config{
				Issuers: []string{"https://id.example.org"}, Audiences: []string{"a"}, Registry: registry, Base: testBase,
				Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
			}
			if _, err := New(cfg); err != nil {
				t.Fatal(err)
			}
			change(&cfg)
			if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// background runs the verifier until the test ends.
func (s *site) background() {
	ctx, cancel := context.WithCancel(s.tb.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.tb.Errorf("Run: %v", err)
		}
	})
}
