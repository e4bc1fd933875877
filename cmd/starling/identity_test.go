package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/auth/authtest"
)

// audience is whom the tokens of these tests are for.
const audience = "https://fhir.example.org/fhir"

// guard starts a server that asks for tokens of an issuer, with a store of its
// own unless args say otherwise, and waits until it is ready.
func guard(t testing.TB, issuer *authtest.Issuer, args ...string) *running {
	t.Helper()
	return start(t, exec.Command(binary(t), append([]string{
		"serve", "--issuer", issuer.URL(), "--audience", audience,
		"--listen", "127.0.0.1:0", "--store", newStore(t), "--log-format", "json",
	}, args...)...))
}

// claims are those of a token with scopes, and more as name, value pairs.
func claims(scope string, more ...any) map[string]any {
	all := map[string]any{"aud": audience, "scope": scope}
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

// as returns the header pairs of a request with a token.
func as(token string) []string { return []string{"Authorization", "Bearer " + token} }

// seed stores two patients, p1secret and p2secret, each with observations, and
// what belongs to nobody.
func seed(t testing.TB, r *running, token string) {
	t.Helper()
	var entries []string
	put := func(key, body string) {
		typ, id, _ := strings.Cut(key, "/")
		entries = append(entries, fmt.Sprintf(`{"request":{"method":"PUT","url":%q},"resource":{"resourceType":%q,"id":%q,%s}}`, key, typ, id, body))
	}
	for n, patient := range []string{"p1secret", "p2secret"} {
		put("Patient/"+patient, `"name":[{"family":"Quillfeather"}]`)
		for i := range 2 + n {
			put(fmt.Sprintf("Observation/o%d-%s", i, patient), `"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/`+patient+`"}`)
		}
	}
	put("Medication/m1", `"code":{"text":"clopidogrel"}`)
	put("Group/g1", `"type":"person","actual":true,"member":[{"entity":{"reference":"Patient/p1secret"}},{"entity":{"reference":"Patient/p2secret"}}]`)
	bundle := `{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(entries, ",") + `]}`
	if status, _, body := r.do("POST", "/fhir", bundle, as(token)...); status != 200 {
		t.Fatalf("seed: %d %s", status, body)
	}
}

// TestTokens asks a server that wants tokens for one thing of each kind, with
// tokens of each kind.
func TestTokens(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	r := guard(t, issuer, "--cors-origin", "https://app.example")
	system := issuer.Token(claims("system/*.cruds"))
	seed(t, r, system)

	tokens := map[string]string{
		"":                 "",
		"system":           system,
		"system read":      issuer.Token(claims("system/*.rs")),
		"patient":          issuer.Token(claims("patient/*.cruds launch/patient openid", "patient", "p1secret"), authtest.Algorithm("ES384")),
		"patient v1":       issuer.Token(claims("patient/Observation.read", "patient", "p1secret")),
		"patient reads":    issuer.Token(claims("patient/*.rs", "patient", "p1secret")),
		"no patient":       issuer.Token(claims("patient/*.cruds")),
		"practitioner":     issuer.Token(claims("user/*.cruds", "fhirUser", "Practitioner/d1")),
		"user is patient":  issuer.Token(claims("user/*.rs", "fhirUser", "Patient/p1secret")),
		"user is nobody":   issuer.Token(claims("user/*.cruds")),
		"granular":         issuer.Token(claims("patient/Observation.rs?category=x", "patient", "p1secret")),
		"letters unsorted": issuer.Token(claims("system/*.sr")),
		"expired":          issuer.Token(claims("system/*.cruds", "exp", time.Now().Add(-time.Hour).Unix())),
		"future":           issuer.Token(claims("system/*.cruds", "nbf", time.Now().Add(time.Hour).Unix())),
		"for another":      issuer.Token(claims("system/*.cruds", "aud", "https://other.example.org")),
		"for nobody":       issuer.Token(claims("system/*.cruds", "aud", nil)),
		"unsigned":         issuer.Unsigned(claims("system/*.cruds")),
		"public key":       issuer.Token(claims("system/*.cruds"), authtest.Algorithm("HS256"), authtest.SignedWith(issuer.KeySet())),
		"stranger":         authtest.NewIssuer(t).Token(claims("system/*.cruds")),
		"forged":           authtest.NewIssuer(t).Token(claims("system/*.cruds", "iss", issuer.URL())),
		"unknown key":      issuer.Token(claims("system/*.cruds"), authtest.KeyID("+/=")),
		"long":             strings.Repeat("x", 32<<10),
		"no token at all":  "Patient/p1secret",
	}
	const invalid, scope = `Bearer error="invalid_token", error_description="the access token is not valid"`, `Bearer error="insufficient_scope"`
	own := `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1secret"}}`
	foreign := strings.ReplaceAll(own, "p1secret", "p2secret")
	tests := []struct {
		token, method, path, body string
		status                    int
		challenge                 string
		want, lacks               string // in the body
	}{
		{"", "GET", "/fhir/Patient/p1secret", "", 401, "Bearer", "OperationOutcome", "p1secret"},
		{"", "GET", "/fhir/Patient", "", 401, "Bearer", "OperationOutcome", "Quillfeather"},
		{"", "POST", "/fhir/Patient", `{"resourceType":"Patient"}`, 401, "Bearer", "OperationOutcome", ""},
		{"", "POST", "/fhir", `{"resourceType":"Bundle","type":"batch"}`, 401, "Bearer", "OperationOutcome", ""},
		{"", "GET", "/fhir/_history", "", 401, "Bearer", "OperationOutcome", "Quillfeather"},
		{"", "GET", "/fhir/metadata", "", 200, "", "SMART-on-FHIR", ""},
		{"", "GET", "/fhir/.well-known/smart-configuration", "", 200, "", issuer.URL() + "/token", ""},
		{"expired", "GET", "/fhir/metadata", "", 200, "", "SMART-on-FHIR", ""},
		{"", "GET", "/", "", 200, "", "smart-configuration", ""},
		{"", "GET", "/livez", "", 200, "", "alive", ""},
		{"", "GET", "/readyz", "", 200, "", "ready", ""},
		{"", "GET", "/metrics", "", 200, "", "go_goroutines", "p1secret"},
		{"", "GET", "/cds-services", "", 401, "Bearer", "OperationOutcome", "order-select"},

		{"system", "GET", "/fhir/Patient/p2secret", "", 200, "", "Quillfeather", ""},
		{"system", "GET", "/fhir/Observation?_summary=count", "", 200, "", `"total":5`, ""},
		{"system", "GET", "/fhir/Group/g1", "", 200, "", "p1secret", ""},
		{"system", "GET", "/cds-services", "", 401, "Bearer", "OperationOutcome", "order-select"},
		{"system read", "GET", "/fhir/Patient/p2secret", "", 200, "", "Quillfeather", ""},
		{"system read", "POST", "/fhir/Patient", `{"resourceType":"Patient"}`, 403, scope, "OperationOutcome", ""},
		{"system read", "DELETE", "/fhir/Patient/p2secret", "", 403, scope, "OperationOutcome", ""},
		{"practitioner", "GET", "/fhir/Patient/p2secret", "", 200, "", "Quillfeather", ""},
		{"practitioner", "POST", "/fhir/Patient", `{"resourceType":"Patient","name":[{"text":"new"}]}`, 201, "", "new", ""},

		{"patient", "GET", "/fhir/Patient/p1secret", "", 200, "", "Quillfeather", ""},
		{"patient", "GET", "/fhir/Patient/p2secret", "", 404, "", "OperationOutcome", "Quillfeather"},
		{"patient", "GET", "/fhir/Observation/o1-p1secret", "", 200, "", "29463-7", ""},
		{"patient", "GET", "/fhir/Observation/o1-p2secret", "", 404, "", "OperationOutcome", "29463-7"},
		{"patient", "GET", "/fhir/Observation/o1-p2secret/_history/1", "", 404, "", "OperationOutcome", "29463-7"},
		{"patient", "GET", "/fhir/Observation/o1-p2secret/_history", "", 404, "", "OperationOutcome", "29463-7"},
		{"patient", "GET", "/fhir/Observation?_total=accurate", "", 200, "", `"total":2`, "p2secret"},
		{"patient", "GET", "/fhir/Observation?_summary=count", "", 200, "", `"total":2`, "p2secret"},
		{"patient", "GET", "/fhir/Observation?patient=p2secret", "", 200, "", `"Bundle"`, "29463-7"},
		{"patient", "GET", "/fhir/Patient?family=quillfeather", "", 200, "", "Patient/p1secret", "p2secret"},
		{"patient", "GET", "/fhir/_history", "", 200, "", "p1secret", "p2secret"},
		{"patient", "GET", "/fhir/Observation/_history", "", 200, "", "p1secret", "p2secret"},
		{"patient", "GET", "/fhir/Medication/m1", "", 200, "", "clopidogrel", ""},
		{"patient", "GET", "/fhir/StructureDefinition?_summary=count", "", 200, "", `"Bundle"`, ""},
		{"patient", "GET", "/fhir/Group/g1", "", 403, scope, "OperationOutcome", "p2secret"},
		{"patient", "PUT", "/fhir/Medication/m1", `{"resourceType":"Medication","id":"m1"}`, 403, scope, "OperationOutcome", ""},
		{"patient", "POST", "/fhir/Observation", own, 201, "", "p1secret", ""},
		{"patient", "POST", "/fhir/Observation", foreign, 403, scope, "OperationOutcome", ""},
		{"patient", "PUT", "/fhir/Observation/o1-p2secret", strings.Replace(own, `"status"`, `"id":"o1-p2secret","status"`, 1), 404, "", "OperationOutcome", ""},
		{"patient", "DELETE", "/fhir/Observation/o1-p2secret", "", 0, "", "", "29463-7"}, // 204 or 404, as for what is not there: below
		{
			"patient", "POST", "/fhir",
			`{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/p2secret"}},{"request":{"method":"GET","url":"Observation?_summary=count"}},{"request":{"method":"GET","url":"Patient/p1secret"}}]}`,
			200, "", `"total":3`, "p2secret\",\"meta",
		},
		{
			"patient", "POST", "/fhir",
			`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + own + `,"request":{"method":"POST","url":"Observation"}},{"resource":` + foreign + `,"request":{"method":"POST","url":"Observation"}}]}`,
			403, scope, "OperationOutcome", "",
		},
		{
			"patient", "POST", "/fhir",
			`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + own + `,"request":{"method":"POST","url":"Observation"}},{"request":{"method":"GET","url":"Observation?_summary=count"}}]}`,
			200, "", `"total":4`, "",
		},
		{"patient v1", "GET", "/fhir/Observation/o1-p1secret", "", 200, "", "29463-7", ""},
		{"patient v1", "GET", "/fhir/Patient/p1secret", "", 403, scope, "OperationOutcome", "Quillfeather"},
		{"patient v1", "POST", "/fhir/Observation", own, 403, scope, "OperationOutcome", ""},
		{"patient reads", "PUT", "/fhir/Observation/o1-p1secret", strings.Replace(own, `"status"`, `"id":"o1-p1secret","status"`, 1), 403, scope, "OperationOutcome", ""},
		{"user is patient", "GET", "/fhir/Patient?_summary=count", "", 200, "", `"total":1`, ""},
		{"user is patient", "GET", "/fhir/Patient/p2secret", "", 404, "", "OperationOutcome", "Quillfeather"},

		{"no patient", "GET", "/fhir/Patient/p1secret", "", 403, scope, "OperationOutcome", "Quillfeather"},
		{"user is nobody", "GET", "/fhir/Patient/p1secret", "", 403, scope, "OperationOutcome", "Quillfeather"},
		{"granular", "GET", "/fhir/Observation", "", 403, scope, "OperationOutcome", "29463-7"},
		{"letters unsorted", "GET", "/fhir/Patient", "", 403, scope, "OperationOutcome", "Quillfeather"},
		{"expired", "GET", "/fhir/Patient", "", 401, `Bearer error="invalid_token", error_description="the access token has expired"`, "expired", "Quillfeather"},
		{"future", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"for another", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"for nobody", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"unsigned", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"public key", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"stranger", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"forged", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"unknown key", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"long", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"no token at all", "GET", "/fhir/Patient", "", 401, invalid, "not valid", "Quillfeather"},
		{"", "GET", "/fhir/Patient?access_token=" + system, "", 401, "Bearer", "OperationOutcome", "Quillfeather"},
	}
	for _, test := range tests {
		name := fmt.Sprintf("%s: %s %.60s", test.token, test.method, test.path)
		var header []string
		if test.token != "" {
			if tokens[test.token] == "" {
				t.Fatalf("no token %q", test.token)
			}
			header = as(tokens[test.token])
		}
		status, got, body := r.do(test.method, test.path, test.body, header...)
		if test.status != 0 && status != test.status || got.Get("WWW-Authenticate") != test.challenge || !strings.Contains(body, test.want) || test.lacks != "" && strings.Contains(body, test.lacks) {
			t.Errorf("%s: status %d, want %d; challenge %q, want %q; body with %q and without %q:\n%.600s",
				name, status, test.status, got.Get("WWW-Authenticate"), test.challenge, test.want, test.lacks, body)
		}
	}
	if status, _, _ := r.do("GET", "/fhir/Observation/o1-p2secret", "", as(system)...); status != 200 {
		t.Errorf("another patient's observation is gone: %d", status)
	}
	for path, want := range map[string]string{"/fhir/metadata": "*", "/fhir/.well-known/smart-configuration": "*", "/fhir/Patient/p1secret": ""} {
		if _, header, _ := r.do("GET", path, "", append(as(system), "Origin", "https://evil.example")...); header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%s: origins allowed %q, want %q", path, header.Get("Access-Control-Allow-Origin"), want)
		}
	}
	_, _, figures := r.do("GET", "/metrics", "")
	for _, check := range []string{"credentials", "expiry", "audience", "issuer", "signature", "scope", "algorithm"} {
		if !strings.Contains(figures, fmt.Sprintf("starling_auth_refused_total{check=%q}", check)) {
			t.Errorf("no refusal is counted for the check %s:\n%s", check, strings.Join(regexp.MustCompile(`starling_auth.*`).FindAllString(figures, -1), "\n"))
		}
	}
	r.stop()
	log := r.logs.all()
	for name, token := range tokens {
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 8 && strings.Contains(log, part) {
				t.Errorf("the log holds a part of the token %q", name)
			}
		}
	}
	for _, secret := range []string{"p1secret", "p2secret", "Quillfeather"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %s:\n%s", secret, log)
		}
	}
	for _, want := range []string{`"check":"audience"`, `"msg":"tokens are asked for"`, "CDS Hooks answer 401 to everybody"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, "no authentication") {
		t.Error("the log says that there is no authentication")
	}
}

// TestNobodyWasLetIn: an identity that was forgotten opens nothing.
func TestNobodyWasLetIn(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/cds-services", nil)
	if client, err := (identity{}).client(r); err == nil || client != nil {
		t.Errorf("CDS Hooks: %+v, %v", client, err)
	}
	if access, err := (identity{}).authorize(echo.New().NewContext(r, httptest.NewRecorder())); err == nil || access.Allow("read", "Patient") == nil {
		t.Errorf("FHIR: %v", err)
	}
}

// TestPublicRoot: the CDS services are beside the FHIR API as clients see it.
func TestPublicRoot(t *testing.T) {
	for base, want := range map[string]string{
		"https://fhir.example.org/fhir": "https://fhir.example.org", "https://example.org/pgx/fhir": "https://example.org/pgx",
		"https://example.org:8443/r4": "https://example.org:8443", "https://fhir.example.org": "https://fhir.example.org",
	} {
		if got := publicRoot(base); got != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
	}
}

// TestSaysWho: the log says at the start what is asked for, and what of it may
// not be meant.
func TestSaysWho(t *testing.T) {
	const local, far, figures, counts = "links name an address of this machine only", "without TLS", "figures and profiles ask for no token", "/metrics asks for no token"
	tests := []struct {
		name     string
		settings func(*Settings)
		addr     string
		want     []string
	}{
		{"on this machine", func(*Settings) {}, "127.0.0.1:8080", nil},
		{"behind a proxy", func(s *Settings) { s.BaseURL, s.MetricsListen = "https://fhir.example.org/fhir", "127.0.0.1:9090" }, "0.0.0.0:8080", nil},
		{"figures behind a proxy", func(s *Settings) { s.BaseURL = "https://fhir.example.org/fhir" }, "127.0.0.1:8080", []string{counts}},
		{"nobody said what it is called", func(*Settings) {}, "0.0.0.0:8080", []string{local, counts}},
		{"without TLS", func(s *Settings) { s.BaseURL = "http://fhir.example.org/fhir" }, "0.0.0.0:8080", []string{far, counts}},
		{"open figures", func(s *Settings) { s.MetricsListen = ":9090" }, "127.0.0.1:8080", []string{figures}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			settings := guardedSettings()
			settings.LogFormat = "json"
			test.settings(&settings)
			m, _, stderr := testMain()
			s := newServer(m, &settings)
			s.log = newLogger(stderr, &settings)
			s.base = cmp.Or(settings.BaseURL, "http://127.0.0.1:8080/fhir")
			s.sayWho(test.addr)
			for _, warning := range []string{local, far, figures, counts} {
				if said, want := strings.Contains(stderr.String(), warning), slices.Contains(test.want, warning); said != want {
					t.Errorf("%q: said %v, want %v:\n%s", warning, said, want, stderr)
				}
			}
			if !strings.Contains(stderr.String(), "https://id.example.org/realms/clinic") {
				t.Errorf("the provider is not named:\n%s", stderr)
			}
		})
	}
}

// TestHiddenIsAbsent: what a patient's token may not see is answered, but for
// the moment and the request, byte for byte as what was never there.
func TestHiddenIsAbsent(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	r := guard(t, issuer)
	seed(t, r, issuer.Token(claims("system/*.cruds")))
	token := issuer.Token(claims("patient/*.cruds", "patient", "p1secret"))
	body := `{"resourceType":"Observation","id":"ID","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1secret"}}`
	for _, request := range []struct{ method, path, body, header, value string }{
		{"GET", "/fhir/Observation/ID", "", "", ""},
		{"HEAD", "/fhir/Observation/ID", "", "", ""},
		{"GET", "/fhir/Observation/ID/_history", "", "", ""},
		{"GET", "/fhir/Observation/ID/_history/1", "", "", ""},
		{"GET", "/fhir/Observation?_id=ID", "", "", ""},
		{"PUT", "/fhir/Observation/ID", body, "", ""},
		{"PUT", "/fhir/Observation/ID", body, "If-Match", `W/"1"`},
		{"DELETE", "/fhir/Observation/ID", "", "", ""},
		{"DELETE", "/fhir/Observation/ID", "", "If-Match", `W/"1"`},
		{"DELETE", "/fhir/Observation?_id=ID", "", "", ""},
		{"POST", "/fhir", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Observation/ID"}},{"request":{"method":"DELETE","url":"Observation/ID"}}]}`, "", ""},
	} {
		answer := func(id string) string {
			header := append(as(token), "X-Request-Id", "same")
			if request.header != "" {
				header = append(header, request.header, request.value)
			}
			status, got, body := r.do(request.method, strings.ReplaceAll(request.path, "ID", id), strings.ReplaceAll(request.body, "ID", id), header...)
			got.Del("Date")
			text := fmt.Sprint(status, got, body)
			text = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`).ReplaceAllString(text, "NOW")
			text = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(text, "UUID")
			return strings.ReplaceAll(text, id, "ID")
		}
		if hidden, absent := answer("o1-p2secret"), answer("o9-p9secret"); hidden != absent {
			t.Errorf("%s %s %s: what is hidden is answered with\n%s\nwhat is absent with\n%s", request.method, request.path, request.header, hidden, absent)
		}
	}
	r.stop()
}

// TestIssuerDown: a server starts while its provider is down, says 503 to tokens
// and recovers by itself.
func TestIssuerDown(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	issuer.SetDown(true)
	r := guard(t, issuer)
	token := issuer.Token(claims("system/*.cruds"))
	status, header, body := r.do("GET", "/fhir/Patient", "", as(token)...)
	if status != 503 || header.Get("Retry-After") == "" || !strings.Contains(body, "OperationOutcome") {
		t.Errorf("a token of a provider that is down: %d %v %s", status, header, body)
	}
	if status, header, _ := r.do("GET", "/fhir/.well-known/smart-configuration", ""); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("smart-configuration of a provider that is down: %d %v", status, header)
	}
	if status, _, _ := r.do("GET", "/fhir/metadata", ""); status != 200 {
		t.Errorf("the CapabilityStatement: %d", status)
	}
	if status, _, _ := r.do("GET", "/fhir/Patient", ""); status != 401 {
		t.Errorf("no token: %d", status)
	}
	if line := r.logs.wait(t, "cannot get keys"); line["level"] != "WARN" || line["party"] != issuer.URL() || line["meanwhile"] != "its tokens are answered 503" {
		t.Errorf("the log says %v", line)
	}
	issuer.SetDown(false)
	r.logs.wait(t, "have new keys") // by nobody's request
	if status, _, body := r.do("GET", "/fhir/Patient", "", as(token)...); status != 200 {
		t.Errorf("a token when the provider is up: %d %s", status, body)
	}
	if status, _, body := r.do("GET", "/fhir/.well-known/smart-configuration", ""); status != 200 || !strings.Contains(body, issuer.URL()+"/token") {
		t.Errorf("smart-configuration when the provider is up: %d %s", status, body)
	}

	issuer.SetDown(true)
	if status, _, _ := r.do("GET", "/fhir/Patient", "", as(issuer.Token(claims("system/*.rs")))...); status != 200 {
		t.Errorf("a new token while the provider is down again, its keys known: %d", status)
	}
	r.stop()
}

// TestRotation: a provider that makes new keys needs no restart.
func TestRotation(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	r := guard(t, issuer)
	old := issuer.Token(claims("system/*.rs"))
	r.logs.wait(t, "have new keys")
	if status, _, body := r.do("GET", "/fhir/Patient", "", as(old)...); status != 200 {
		t.Errorf("a token before: %d %s", status, body)
	}
	issuer.Rotate()
	if status, _, body := r.do("GET", "/fhir/Patient", "", as(issuer.Token(claims("system/*.rs")))...); status != 200 {
		t.Errorf("a token by the new key: %d %s", status, body)
	}
	if status, _, _ := r.do("GET", "/fhir/Patient", "", as(old)...); status != 200 {
		t.Errorf("a token by the old key, still published: %d", status)
	}
	r.stop()
}

// TestHookClients calls CDS Hooks as an EHR that is known, and as others.
func TestHookClients(t *testing.T) {
	issuer, ehr, other := authtest.NewIssuer(t), authtest.NewIssuer(t), authtest.NewIssuer(t)
	dir := folder(t, map[string]string{
		"clients.yaml": "- name: north\n  issuer: https://north.example.org\n  key-file: north.json\n  shares-patient-ids: true\n" +
			"- name: south\n  issuer: https://south.example.org\n  jku: " + other.KeysURL() + "\n",
		"north.json": string(signingKeys(t, ehr)),
	})
	r := guard(t, issuer, "--hook-clients", filepath.Join(dir, "clients.yaml"))
	seed(t, r, issuer.Token(claims("system/*.cruds")))
	if got := starling(t, "load", "--quiet", "--to", r.url+"/fhir", "--token-file", filepath.Join(folder(t, map[string]string{"token": issuer.Token(claims("system/*.cruds"))}), "token"), examplesDir(t, "patients")); got.code != exitOK {
		t.Fatalf("load: %+v", got)
	}
	const service = "/cds-services/pgx-order-select"
	jwt := func(by *authtest.Issuer, iss, path string, more map[string]any, options ...authtest.Option) string {
		all := map[string]any{"iss": iss, "aud": r.url + path, "jti": uuid.NewString(), "sub": nil}
		maps.Copy(all, more)
		return by.Token(all, append([]authtest.Option{authtest.Algorithm("RS384")}, options...)...)
	}
	const north, south = "https://north.example.org", "https://south.example.org"
	order := string(readExample(t, "order-select", "ada-quill-clopidogrel.json"))

	call := func(method, path, body, token string) (int, string) {
		t.Helper()
		header := []string{"Content-Type", "application/json"}
		if token != "" {
			header = append(header, as(token)...)
		}
		status, _, answer := r.do(method, path, body, header...)
		return status, answer
	}
	status, answer := call("POST", service, order, jwt(ehr, north, service, nil))
	if status != 200 || !strings.Contains(answer, "Poor Metabolizer") {
		t.Fatalf("a known client that shares our patient ids: %d %s", status, answer)
	}
	card := regexp.MustCompile(`"uuid":"([0-9a-f-]{36})"`).FindStringSubmatch(answer)
	if card == nil {
		t.Fatalf("no uuid in %s", answer)
	}
	// Another client's patient may have the same id and be somebody else.
	if status, answer := call("POST", service, order, jwt(other, south, service, nil)); status != 200 || strings.Contains(answer, "Poor Metabolizer") {
		t.Errorf("a known client with patient ids of its own: %d %s", status, answer)
	}
	if status, answer := call("GET", "/cds-services", "", jwt(ehr, north, "/cds-services", nil)); status != 200 || !strings.Contains(answer, "order-select") {
		t.Errorf("discovery: %d %s", status, answer)
	}
	feedback := fmt.Sprintf(`{"feedback":[{"card":%q,"outcome":"overridden","outcomeTimestamp":"2026-02-01T10:01:07Z"}]}`, card[1])
	for range 2 { // the second one tells what was told
		if status, answer := call("POST", service+"/feedback", feedback, jwt(ehr, north, service+"/feedback", nil)); status != 200 {
			t.Errorf("feedback: %d %s", status, answer)
		}
	}
	once := jwt(ehr, north, service, nil)
	if status, _ := call("POST", service, order, once); status != 200 {
		t.Errorf("a fresh token: %d", status)
	}
	refused := []struct{ name, method, path, body, token string }{
		{"replayed", "POST", service, order, once},
		{"no token", "POST", service, order, ""},
		{"discovery without", "GET", "/cds-services", "", ""},
		{"feedback without", "POST", service + "/feedback", feedback, ""},
		{"no such service without", "POST", "/cds-services/none", order, ""},
		{"a token of the provider", "POST", service, order, issuer.Token(claims("system/*.cruds"))},
		{"another client's key", "POST", service, order, jwt(other, north, service, nil)},
		{"an unknown client", "POST", service, order, jwt(ehr, "https://west.example.org", service, nil)},
		{"for another service", "POST", service, order, jwt(ehr, north, "/cds-services/other", nil)},
		{"for another server", "POST", service, order, jwt(ehr, north, service, map[string]any{"aud": "https://other.example.org"})},
		{"expired", "POST", service, order, jwt(ehr, north, service, map[string]any{"exp": time.Now().Add(-time.Hour).Unix(), "iat": time.Now().Add(-2 * time.Hour).Unix()})},
		{"without jti", "POST", service, order, jwt(ehr, north, service, map[string]any{"jti": nil})},
		{"with a jku that is not listed", "POST", service, order, jwt(ehr, north, service, nil, authtest.Header("jku", ehr.KeysURL()))},
	}
	before := ehr.Requests(authtest.KeysPath)
	for _, test := range refused {
		status, answer := call(test.method, test.path, test.body, test.token)
		if status != 401 || strings.Contains(answer, "Poor") || strings.Contains(answer, "order-select") || !strings.Contains(answer, "OperationOutcome") {
			t.Errorf("%s: %d %.300s", test.name, status, answer)
		}
	}
	if after := ehr.Requests(authtest.KeysPath); after != before {
		t.Errorf("keys were fetched %d times from an address that is not listed", after-before)
	}
	// What opens CDS Hooks does not open the FHIR API.
	if status, _, _ := r.do("GET", "/fhir/Patient", "", as(jwt(ehr, north, "/fhir/Patient", nil))...); status != 401 {
		t.Errorf("a client's token at the FHIR API: %d", status)
	}
	_, _, figures := r.do("GET", "/metrics", "")
	for _, want := range []string{
		`starling_hook_feedback_total{outcome="overridden",reason="",service="pgx-order-select"} 1`,
		`starling_auth_refused_total{check="replay"} 1`,
	} {
		if !strings.Contains(figures, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(regexp.MustCompile(`starling_(auth|hook).*`).FindAllString(figures, -1), "\n"))
		}
	}
	r.stop()
	log := r.logs.all()
	for _, secret := range []string{"ada-quill", "Quillfeather", strings.Split(once, ".")[1], strings.Split(once, ".")[2]} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %.20s", secret)
		}
	}
	if !strings.Contains(log, `"client":"north"`) || !strings.Contains(log, `"check":"replay"`) {
		t.Errorf("the log does not say who called, or which check failed:\n%s", log)
	}
}

// signingKeys are the public RSA and P-384 keys of a client.
func signingKeys(t testing.TB, client *authtest.Issuer) []byte {
	t.Helper()
	keys, err := json.Marshal(map[string]any{"keys": []any{client.Public("RS384"), client.Public("ES384")}})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
