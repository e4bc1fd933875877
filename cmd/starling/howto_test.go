package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/starling-fhir/starling/auth/authtest"
	"github.com/starling-fhir/starling/internal/golden"
)

// howTo returns a page of docs/how-to, and its first YAML block.
func howTo(t *testing.T, name string) (page, block string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden.Root(t), "docs", "how-to", name))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no YAML", name)
	}
	return string(text), string(found[1])
}

// TestOpenIDPage: the settings of the page are ten lines at most and good ones,
// and every check that a token can fail is explained.
func TestOpenIDPage(t *testing.T) {
	page, block := howTo(t, "openid.md")
	if n := strings.Count(block, "\n"); n > 10 {
		t.Errorf("the settings are %d lines", n)
	}
	known := map[string]bool{}
	for _, flag := range commandFlags(t, "serve") {
		known[flag.Name] = isSetting(flag)
	}
	values, err := parseSettings([]byte(block), known)
	if err != nil {
		t.Fatal(err)
	}
	settings := guardedSettings()
	settings.Issuer, settings.Audience = []string{values["issuer"]}, []string{values["audience"]}
	settings.Listen, settings.BaseURL, settings.MetricsListen = values["listen"], values["base-url"], values["metrics-listen"]
	settings.CORSOrigin, settings.HookClients = []string{values["cors-origin"]}, values["hook-clients"]
	if err := settings.check(); err != nil {
		t.Error(err)
	}

	issuer := authtest.NewIssuer(t)
	m, stdout, stderr := testMain()
	m.Stdin = strings.NewReader(issuer.Token(claims("system/*.rs", "exp", time.Now().Add(time.Minute).Unix())))
	if code := m.Run(t.Context(), []string{"token", "inspect", "--issuer", issuer.URL(), "--audience", audience}); code != exitOK {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	checks := regexp.MustCompile(`(?m)^ok +([a-z-]+)  `).FindAllStringSubmatch(stdout.String(), -1)
	if len(checks) < 10 {
		t.Fatalf("found %d checks in\n%s", len(checks), stdout)
	}
	_, table, _ := strings.Cut(page, "| check | means |")
	for _, check := range append(checks, []string{"", "credentials"}) {
		if !strings.Contains(table, "`"+check[1]+"`") {
			t.Errorf("the check %s is not explained", check[1])
		}
	}
}

// TestHookClientsPage: the file of the page can be read.
func TestHookClientsPage(t *testing.T) {
	page, block := howTo(t, "hook-clients.md")
	dir := folder(t, map[string]string{"clients.yaml": block, "south.jwks.json": string(signingKeys(t, authtest.NewIssuer(t)))})
	clients, err := readHookClients(filepath.Join(dir, "clients.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(clients) != 2 || !clients[0].SharesPatientIDs || clients[1].SharesPatientIDs {
		t.Errorf("%+v", clients)
	}
	for _, setting := range clientSettings(dir) {
		if !strings.Contains(page, "| `"+setting.name+"` |") {
			t.Errorf("%s is not explained", setting.name)
		}
	}
}

// TestContainerPage: the variables of the page that take the place of those of
// deploy/compose.yaml are settings.
func TestContainerPage(t *testing.T) {
	_, block := howTo(t, "run-in-docker.md")
	known := map[string]bool{}
	for _, flag := range commandFlags(t, "serve") {
		known[envName(flag.Name)] = isSetting(flag)
	}
	for line := range strings.Lines(block) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), ":"); !known[name] {
			t.Errorf("%s is no setting", name)
		}
	}
}
