package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/starling-fhir/starling/auth/authtest"
	"github.com/starling-fhir/starling/internal/golden"
)

// inspect runs token inspect with a token on standard input.
func inspect(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"token", "inspect"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// TestTokenInspect prints what the server would think of tokens, in words, and
// never what is in them.
func TestTokenInspect(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	settings := filepath.Join(folder(t, map[string]string{
		"settings.yaml": "store: /srv/starling\nlisten: 0.0.0.0:8080\nbase-url: https://fhir.example.org/fhir\nissuer: " + issuer.URL() + "\naudience: " + audience + "\n",
	}), "settings.yaml")
	tests := []struct {
		name, token string
		code        int
		want        []string // in the output
	}{
		{"good", issuer.Token(claims("system/*.rs openid", "sub", "jane.secret")), exitOK, []string{"ok   signature", "ok   system/*.rs: read, search: every type, all of it", "-    openid: grants nothing: it is not about resources", "The server takes this token."}},
		{"with the word Bearer", "Bearer " + issuer.Token(claims("system/*.rs")) + "\r\n", exitOK, []string{"The server takes this token."}},
		{"a patient's", issuer.Token(claims("patient/Observation.rs patient/Group.rs", "patient", "p1secret")), exitOK, []string{"ok   patient/Observation.rs: read, search: Observation in the compartment of the patient in the token's context", "-    patient/Group.rs: grants nothing: "}},
		{"expired", issuer.Token(claims("system/*.rs", "exp", time.Now().Add(-time.Hour).Unix())), exitFailed, []string{"FAIL expiry", "it expired 1h0m", "ok   signature", "The server does not take this token."}},
		{"for another server", issuer.Token(claims("system/*.rs", "aud", "account")), exitFailed, []string{"FAIL audience", `it is for "account"`, audience}},
		{"of another provider", authtest.NewIssuer(t).Token(claims("system/*.rs")), exitFailed, []string{"FAIL issuer", "-    signature"}},
		{"without scopes", issuer.Token(claims("openid profile", "patient", "p1secret")), exitFailed, []string{"FAIL scope", "-    profile: grants nothing"}},
		{"a patient's without patient", issuer.Token(claims("patient/*.rs")), exitFailed, []string{"-    patient/*.rs: grants nothing: the token has no patient in its context"}},
		{"opaque", "2YotnFZFEjr1zCsicMWpAA", exitFailed, []string{"FAIL form", "-    issuer"}},
		{"with an escape sequence in a scope", issuer.Token(claims("system/*.rs \x1b[31mred")), exitOK, []string{"[31mred: grants nothing"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := inspect(t, test.token, "--config", settings)
			if got.code != test.code || got.stderr != "" {
				t.Errorf("exit code %d, want %d: %s", got.code, test.code, got.stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("no %q in\n%s", want, got.stdout)
				}
			}
			for part := range strings.SplitSeq(strings.TrimSpace(strings.TrimPrefix(test.token, "Bearer ")), ".") {
				if strings.Contains(got.stdout, part) {
					t.Errorf("a part of the token is printed:\n%s", got.stdout)
				}
			}
			for _, hidden := range []string{"p1secret", "jane", "\x1b"} {
				if strings.Contains(got.stdout, hidden) {
					t.Errorf("%q is printed:\n%s", hidden, got.stdout)
				}
			}
		})
	}

	issuer.SetDown(true)
	if got := inspect(t, issuer.Token(claims("system/*.rs")), "--config", settings); got.code != exitFailed || !strings.Contains(got.stdout, "FAIL keys") || !strings.Contains(got.stdout, "it answers 503 until it gets the keys") {
		t.Errorf("a provider that is down: %+v", got)
	}
}

// TestTokenInspectPage keeps the page that docs/how-to/openid.md shows.
func TestTokenInspectPage(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	issued := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	m, stdout, stderr := testMain()
	m.Now = func() time.Time { return issued.Add(time.Minute) }
	m.Stdin = strings.NewReader(issuer.Token(claims(
		"openid launch/patient patient/Patient.r patient/Observation.rs patient/Observation.rs?category=laboratory", "patient", "p1",
		"aud", []string{"account", audience}, "iat", issued.Unix(), "exp", issued.Add(5*time.Minute).Unix(),
	)))
	if code := m.Run(t.Context(), []string{"token", "inspect", "--issuer", issuer.URL(), "--audience", audience}); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	page := strings.ReplaceAll(stdout.String(), issuer.URL(), "https://id.example.org/realms/clinic")
	page = regexp.MustCompile(`\d+ bytes`).ReplaceAllString(page, "1180 bytes")
	path := filepath.Join(golden.Root(t), "docs", "how-to", "openid.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```\nok .*?```\n")
	if !block.Match(text) {
		t.Fatal("docs/how-to/openid.md shows no page of token inspect")
	}
	golden.Text(t, path, block.ReplaceAllLiteral(text, []byte("```\n"+page+"```\n")))
}

// TestTokenInspectHook checks the token of a CDS client, and uses none up.
func TestTokenInspectHook(t *testing.T) {
	ehr := authtest.NewIssuer(t)
	file := filepath.Join(folder(t, map[string]string{
		"clients.yaml": "- name: north\n  issuer: https://north.example.org\n  key-file: north.json\n", "north.json": string(signingKeys(t, ehr)),
	}), "clients.yaml")
	const service = "https://cds.example.org/cds-services/pgx-order-select"
	token := func(aud string) string {
		return ehr.Token(map[string]any{"iss": "https://north.example.org", "aud": aud, "jti": uuid.NewString()}, authtest.Algorithm("ES384"))
	}
	args := []string{"--hook", "--hook-clients", file, "--base-url", "https://cds.example.org/fhir"}
	tests := []struct {
		name, token string
		args        []string
		code        int
		want        string
	}{
		{"good", token(service), nil, exitOK, "The server takes this token, once."},
		{"for the address that is called", token(service), []string{"--called", service}, exitOK, "ok   audience"},
		{"for another address", token(service), []string{"--called", service + "/feedback"}, exitFailed, "FAIL audience"},
		{"for another server", token("https://other.example.org"), nil, exitFailed, "FAIL audience"},
		{"of nobody", ehr.Token(map[string]any{"iss": "https://west.example.org", "aud": service}), nil, exitFailed, "FAIL issuer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := inspect(t, test.token, append(args, test.args...)...)
			if got.code != test.code || !strings.Contains(got.stdout, test.want) || got.stderr != "" {
				t.Errorf("exit code %d, want %d with %q:\n%s%s", got.code, test.code, test.want, got.stdout, got.stderr)
			}
		})
	}
}

// TestTokenSettingsCount: each setting about tokens decides about them, with and
// without it.
func TestTokenSettingsCount(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	issuer.Clock(func() time.Time { return now })
	file := filepath.Join(folder(t, map[string]string{
		"clients.yaml": "- name: north\n  issuer: https://north.example.org\n  key-file: north.json\n", "north.json": string(signingKeys(t, issuer)),
	}), "clients.yaml")
	const service = "https://cds.example.org/cds-services/pgx-order-select"
	old := issuer.Token(claims("system/*.rs", "exp", now.Unix()-30))
	call := issuer.Token(map[string]any{"iss": "https://north.example.org", "aud": service, "jti": "j", "iat": now.Unix() - 60, "exp": now.Unix() - 30}, authtest.Algorithm("RS384"))
	named := issuer.Token(claims("patient/*.rs", "urn:ehr:patient", "p1"))
	provider := []string{"--issuer", issuer.URL(), "--audience", audience}
	client := []string{"--hook", "--hook-clients", file, "--base-url", "https://cds.example.org/fhir"}
	tests := []struct {
		name, token string
		args        []string
		fails       string // "" if it is taken
	}{
		{"a clock 30 s off", old, provider, ""},
		{"a clock 30 s off, with --clock-skew", old, append(provider, "--clock-skew", "10s"), "FAIL expiry"},
		{"a client's clock 30 s off", call, client, ""},
		{"a client's clock 30 s off, with --clock-skew", call, append(client, "--clock-skew", "10s"), "FAIL expiry"},
		{"an algorithm", issuer.Token(claims("system/*.rs")), provider, ""},
		{"an algorithm that --token-algorithm leaves out", issuer.Token(claims("system/*.rs")), append(provider, "--token-algorithm", "RS384,ES384"), "FAIL algorithm"},
		{"the patient in another claim", named, provider, "FAIL scope"},
		{"the patient in another claim, with --patient-claim", named, append(provider, "--patient-claim", "urn:ehr:patient"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, stdout, stderr := testMain()
			m.Now = func() time.Time { return now }
			m.Stdin = strings.NewReader(test.token)
			code := m.Run(t.Context(), append([]string{"token", "inspect"}, test.args...))
			if taken := code == exitOK; taken != (test.fails == "") || !strings.Contains(stdout.String(), test.fails) {
				t.Errorf("exit code %d, want %q in\n%s%s", code, test.fails, stdout, stderr)
			}
		})
	}
}

// TestTokenInspectUsage lists what cannot be looked at.
func TestTokenInspectUsage(t *testing.T) {
	provider := []string{"--issuer", "https://id.example.org", "--audience", audience}
	tests := []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"nothing on standard input", "", provider, "standard input holds no token"},
		{"white space", " \n", provider, "standard input holds no token"},
		{"two lines", "a\nb", provider, "holds more than one word"},
		{"a file of something else", strings.Repeat("x", mostTokenBytes+1), provider, "that is no token"},
		{"no settings", "a", nil, "token inspect needs the settings of the server"},
		{"half of the settings", "a", provider[:2], "--issuer is set and --audience is not"},
		{"a server without authentication", "a", []string{"--insecure-no-auth"}, "looks at no token"},
		{"no clients", "a", append([]string{"--hook"}, provider...), "--hook needs --hook-clients"},
		{"no file of clients", "a", []string{"--hook", "--hook-clients", "/nowhere"}, "--hook-clients: open /nowhere"},
		{"an address without hook", "a", append([]string{"--called", "https://x.example"}, provider...), "--called belongs to --hook"},
		{"the token on the command line", "a", append([]string{"eyJhbGciOi"}, provider...), "token inspect reads the token from standard input"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := inspect(t, test.stdin, test.args...)
			if got.code != exitUsage || !strings.Contains(got.stderr, test.want) || got.stdout != "" || strings.Contains(got.stderr, "eyJ") {
				t.Errorf("exit code %d, want %d with %q:\n%s%s", got.code, exitUsage, test.want, got.stdout, got.stderr)
			}
		})
	}
	m, _, stderr := testMain()
	m.Stdin = brokenReader{}
	if code := m.Run(t.Context(), append([]string{"token", "inspect"}, provider...)); code != exitUsage || !strings.Contains(stderr.String(), "standard input") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// brokenReader cannot be read.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, context.DeadlineExceeded }
