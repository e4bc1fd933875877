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

// howTo returns a page of docs/how-to, and its YAML blocks.
func howTo(t *testing.T, name string) (page string, blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden.Root(t), "docs", "how-to", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(found[1]))
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no YAML", name)
	}
	return string(text), blocks
}

// TestOpenIDPage: the settings of the page are ten lines at most and good ones,
// and every check that a token can fail is explained.
func TestOpenIDPage(t *testing.T) {
	page, blocks := howTo(t, "openid.md")
	block := blocks[0]
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

// TestHookClientsPage: the files of the page can be read.
func TestHookClientsPage(t *testing.T) {
	page, blocks := howTo(t, "hook-clients.md")
	dir := folder(t, map[string]string{"south.jwks.json": string(signingKeys(t, authtest.NewIssuer(t)))})
	for _, block := range blocks {
		path := filepath.Join(dir, "clients.yaml")
		if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		clients, err := readHookClients(path)
		if err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
		for _, client := range clients {
			if want := client.Name == "north" && strings.Contains(block, "shares-patient-ids: true"); client.SharesPatientIDs != want {
				t.Errorf("%s shares patient ids: %v, want %v in\n%s", client.Name, client.SharesPatientIDs, want, block)
			}
		}
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
	_, blocks := howTo(t, "run-in-docker.md")
	known := map[string]bool{}
	for _, flag := range commandFlags(t, "serve") {
		known[envName(flag.Name)] = isSetting(flag)
	}
	for line := range strings.Lines(blocks[0]) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), ":"); !known[name] {
			t.Errorf("%s is no setting", name)
		}
	}
}
