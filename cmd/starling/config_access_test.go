package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// guardedSettings pass the check and ask for tokens.
func guardedSettings() Settings {
	settings := goodSettings()
	settings.InsecureNoAuth = false
	settings.Issuer = []string{"https://id.example.org/realms/clinic"}
	settings.Audience = []string{"https://fhir.example.org/fhir"}
	settings.TokenAlgorithm = []string{"RS256"}
	settings.ClockSkew, settings.PatientClaim = time.Minute, "patient"
	return settings
}

// TestAccessSettings lists what can be said about who may do what, and what
// must not be.
func TestAccessSettings(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Settings)
		want   string // of the error; "" if it is fine
	}{
		{"a provider and an audience", func(*Settings) {}, ""},
		{"several of both", func(s *Settings) {
			s.Issuer = append(s.Issuer, "https://login.example.com")
			s.Audience = append(s.Audience, "starling")
		}, ""},
		{"any address with tokens", func(s *Settings) { s.Listen, s.MetricsListen = "0.0.0.0:8080", ":9090" }, ""},
		{"a provider on this machine", func(s *Settings) {
			s.Issuer = []string{"http://localhost:8081/realms/x", "http://127.0.0.1", "http://[::1]:2", "http://LOCALHOST"}
		}, ""},
		{"nothing said", func(s *Settings) { s.Issuer, s.Audience = nil, nil }, "--insecure-no-auth"},
		{"no audience", func(s *Settings) { s.Audience = nil }, "--issuer is set and --audience is not"},
		{"no provider", func(s *Settings) { s.Issuer = nil }, "--audience is set and --issuer is not"},
		{"tokens and none", func(s *Settings) { s.InsecureNoAuth = true }, "--issuer asks for tokens"},
		{"an audience and no authentication", func(s *Settings) { s.InsecureNoAuth, s.Issuer = true, nil }, "--audience asks for tokens"},
		{"hook clients and no authentication", func(s *Settings) { s.InsecureNoAuth, s.Issuer, s.Audience, s.HookClients = true, nil, nil, "f" }, "--hook-clients asks for tokens"},
		{"open to the network for no reason", func(s *Settings) { s.InsecureListenAny = true }, "--insecure-listen-any belongs to --insecure-no-auth"},
		{"an address that is none", func(s *Settings) { s.Listen = "8080" }, "is not an address"},
		{"a provider over the network without TLS", func(s *Settings) { s.Issuer = []string{"http://id.example.org"} }, "with https"},
		{"a name that only starts with localhost", func(s *Settings) { s.Issuer = []string{"http://localhost.example.org"} }, "with https"},
		{"a provider without scheme", func(s *Settings) { s.Issuer = []string{"id.example.org"} }, "--issuer"},
		{"a provider with a query", func(s *Settings) { s.Issuer = []string{"https://id.example.org/?realm=x"} }, "--issuer"},
		{"a provider with an empty query", func(s *Settings) { s.Issuer = []string{"https://id.example.org/?"} }, "--issuer"},
		{"a provider with a fragment", func(s *Settings) { s.Issuer = []string{"https://id.example.org/#x"} }, "--issuer"},
		{"a provider with a password", func(s *Settings) { s.Issuer = []string{"https://u:hunter2@id.example.org"} }, "without user"},
		{"a provider twice", func(s *Settings) { s.Issuer = append(s.Issuer, s.Issuer[0]) }, "is given twice"},
		{"an empty audience", func(s *Settings) { s.Audience = []string{" "} }, "--audience"},
		{"an audience behind a comma and a space", func(s *Settings) { s.Audience = []string{"a", " b"} }, "has a space at its start or end"},
		{"an audience twice", func(s *Settings) { s.Audience = []string{"a", "a"} }, "--audience"},
		{"unsigned tokens", func(s *Settings) { s.TokenAlgorithm = []string{"none"} }, "none is not taken"},
		{"a shared secret", func(s *Settings) { s.TokenAlgorithm = []string{"RS256", "HS256"} }, "HS256 is not taken"},
		{"an algorithm misspelt", func(s *Settings) { s.TokenAlgorithm = []string{"rs384"} }, "(did you mean RS384?)"},
		{"an algorithm that is none", func(s *Settings) { s.TokenAlgorithm = []string{"quantum"} }, "choose from RS256, "},
		{"no algorithm", func(s *Settings) { s.TokenAlgorithm = nil }, "--token-algorithm: is empty"},
		{"clocks an hour apart", func(s *Settings) { s.ClockSkew = time.Hour }, "--clock-skew must be from 0s to 5m0s"},
		{"clocks apart backwards", func(s *Settings) { s.ClockSkew = -1 }, "--clock-skew"},
		{"exact clocks", func(s *Settings) { s.ClockSkew = 0 }, ""},
		{"no patient claim", func(s *Settings) { s.PatientClaim = "" }, "--patient-claim"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			settings := guardedSettings()
			test.change(&settings)
			err := settings.check()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is shown: %v", err)
			}
		})
	}
}

// TestConfigPrintsAccess: starling config shows the settings about tokens as a
// file would have them.
func TestConfigPrintsAccess(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{
		"settings.yaml": "issuer: [https://id.example.org, http://localhost:8081]\naudience: starling\n",
	}), "settings.yaml")
	m, stdout, stderr := testMain()
	m.Env = env(map[string]string{"STARLING_CLOCK_SKEW": "10s"})
	if code := m.Run(t.Context(), []string{"config", "--config", file, "--hook-clients", "clients.yaml"}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	lines := strings.Split(strings.ReplaceAll(stdout.String(), file, "FILE"), "\n")
	for _, want := range []string{
		"issuer: ['https://id.example.org', 'http://localhost:8081'] # FILE", "audience: [starling] # FILE", "clock-skew: 10s # STARLING_CLOCK_SKEW",
		"token-algorithm: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA] # default",
		"patient-claim: patient # default", "hook-clients: clients.yaml # flag",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, stdout)
		}
	}
}

// TestServeSaysWhatToSet is what somebody reads who starts the server without
// having said who may do what.
func TestServeSaysWhatToSet(t *testing.T) {
	m, stdout, stderr := testMain()
	if code := m.Run(t.Context(), []string{"serve"}); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	want := `starling: serve needs to be told who may do what. Either name an OpenID provider, and whom its tokens are for (docs/how-to/openid.md):
  starling serve --issuer https://id.example.org/realms/clinic --audience https://fhir.example.org/fhir
or let every program of this machine read and change everything, to try it out: starling serve --insecure-no-auth
`
	if diff := cmp.Diff(want, stderr.String()+stdout.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestConfigSaysWhatServeWould: the settings are printed whatever they are, and
// beside them what serve would refuse.
func TestConfigSaysWhatServeWould(t *testing.T) {
	dir := folder(t, map[string]string{"clients.yaml": "- nmae: north\n"})
	provider := []string{"--issuer", "https://id.example.org", "--audience", "starling"}
	for _, test := range []struct {
		name string
		args []string
		want string // on standard error; "" for nothing
	}{
		{"good ones", provider, ""},
		{"nothing said", nil, "serve needs to be told who may do what"},
		{"tokens and none", append(provider, "--insecure-no-auth"), "--issuer asks for tokens"},
		{"a file of clients that is not there", append(provider, "--hook-clients", filepath.Join(dir, "none.yaml")), "no such file"},
		{"a bad file of clients", append(provider, "--hook-clients", filepath.Join(dir, "clients.yaml")), "(did you mean name?)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, stdout, stderr := testMain()
			if code := m.Run(t.Context(), append([]string{"config"}, test.args...)); code != exitOK {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(stdout.String(), "patient-claim: patient # default") {
				t.Errorf("the settings are not printed:\n%s", stdout)
			}
			got := stderr.String()
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
}

// TestConfigPrintsNoPassword: not even one that stands where none may.
func TestConfigPrintsNoPassword(t *testing.T) {
	m, stdout, stderr := testMain()
	code := m.Run(t.Context(), []string{
		"config", "--issuer", "https://u:hush@id.example.org,https://id.example.org/a", "--audience", "https://fhir.example.org/@me?x",
		"--cors-origin", "https://u:hush@app.example.org", "--base-url", "https://u:hu%sh@fhir.example.org/fhir", "--store", "mongodb://u:hush@db/x",
	})
	if code != exitOK || strings.Contains(stdout.String()+stderr.String(), "sh@") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"https://u:xxxxx@id.example.org", "'https://id.example.org/a'", "'https://fhir.example.org/@me?x'"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %s in\n%s", want, stdout)
		}
	}
}
