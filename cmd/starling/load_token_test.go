package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/fhir/resource"
)

// guarded is a FHIR server that takes the tokens of a list and notes which it
// was sent.
type guarded struct {
	*httptest.Server
	mu    sync.Mutex
	good  map[string]int // token -> the status it gets; others get 401
	seen  []string
	seeds int // requests that stored something
	// before is called with each token, before it is looked at.
	before func(token string)
}

func newGuarded(t *testing.T, good map[string]int) *guarded {
	g := &guarded{good: good}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fhir/metadata" {
			fmt.Fprint(w, `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","rest":[{"mode":"server","security":{"service":[{"text":"SMART"}]}}]}`)
			return
		}
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if g.before != nil {
			g.before(token)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen = append(g.seen, token)
		outcome := func(status int, text string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"login","diagnostics":%q}]}`, text)
		}
		switch g.good[token] {
		case 200:
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			bundle, err := resource.Decode(body)
			if err != nil {
				outcome(400, "no JSON")
				return
			}
			if len(bundle.List("entry")) > 0 {
				g.seeds++
			}
			acceptAll(w, bundle)
		case 403:
			outcome(403, "not allowed: batch")
		default:
			outcome(401, "the token has expired")
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// TestLoadWithToken loads into a server that asks for a token.
func TestLoadWithToken(t *testing.T) {
	lines := one("a") + "\n" + one("b") + "\n" + one("c") + "\n"
	tests := []struct {
		name   string
		file   string // content of the token file; "" gives none
		code   int
		seen   []string
		stderr string
	}{
		{"a good token", "good\n", exitOK, []string{"good", "good", "good", "good"}, ""},
		{"with the word Bearer", "  bearer good\r\n\n", exitOK, []string{"good", "good", "good", "good"}, ""},
		{"none", "", exitFailed, []string{""}, "asks for a token; put one into a file and give --token-file FILE"},
		{"an expired one", "old", exitFailed, []string{"old"}, "the token has expired; write a new one into "},
		{"one that allows nothing", "weak", exitFailed, []string{"weak"}, "not allowed: batch; 403 means that the token does not allow it"},
		{"an empty file", " \n", exitUsage, nil, "holds no token"},
		{"more than a token", "good\nbad\n", exitUsage, nil, "holds more than one word"},
		{"a huge file", strings.Repeat("x", mostTokenBytes+1), exitUsage, nil, "that is no token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := newGuarded(t, map[string]int{"good": 200, "weak": 403})
			dir := folder(t, map[string]string{"patients.ndjson": lines, "token": test.file})
			args := []string{"load", filepath.Join(dir, "patients.ndjson"), "--to", server.URL + "/fhir", "--jobs", "1", "--chunk", "1", "--quiet"}
			if test.file != "" {
				args = append(args, "--token-file", filepath.Join(dir, "token"))
			}
			m, stdout, stderr := testMain()
			if code := m.Run(t.Context(), args); code != test.code || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit code %d, want %d with %q:\n%s%s", code, test.code, test.stderr, stdout, stderr)
			}
			if diff := cmp.Diff(test.seen, server.seen); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
			for _, secret := range []string{"weak", "old", "good\nbad"} {
				if strings.Contains(strings.ReplaceAll(stdout.String()+stderr.String(), dir, ""), secret+" ") {
					t.Errorf("the token is shown:\n%s%s", stdout, stderr)
				}
			}
		})
	}
}

// TestLoadWithTokenOfTheEnvironment reads the token that STARLING_TOKEN_FILE
// names.
func TestLoadWithTokenOfTheEnvironment(t *testing.T) {
	server := newGuarded(t, map[string]int{"good": 200})
	dir := folder(t, map[string]string{"a.json": one("a"), "token": "good"})
	m, _, stderr := testMain()
	m.Env = env(map[string]string{"STARLING_TOKEN_FILE": filepath.Join(dir, "token")})
	if code := m.Run(t.Context(), []string{"load", filepath.Join(dir, "a.json"), "--to", server.URL + "/fhir", "--quiet"}); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	m, _, stderr = testMain()
	m.Env = env(map[string]string{"STARLING_TOKEN_FILE": filepath.Join(dir, "nowhere")})
	if code := m.Run(t.Context(), []string{"load", filepath.Join(dir, "a.json"), "--to", server.URL + "/fhir", "--quiet"}); code != exitUsage || !strings.Contains(stderr.String(), "token file: ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestLoadWithTokenOfPipe: a token that comes out of a pipe is read once.
func TestLoadWithTokenOfPipe(t *testing.T) {
	server := newGuarded(t, map[string]int{"good": 200})
	dir := folder(t, map[string]string{"patients.ndjson": one("a") + "\n" + one("b") + "\n"})
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, []byte("good\n"), 0o600) }()
	m, stdout, stderr := testMain()
	code := m.Run(t.Context(), []string{"load", filepath.Join(dir, "patients.ndjson"), "--to", server.URL + "/fhir", "--jobs", "1", "--chunk", "1", "--quiet", "--token-file", pipe})
	if code != exitOK {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// TestLoadTakesNewTokens: a token that ends while a load runs is replaced by the
// one that was written in the meantime, and nothing is lost or sent twice.
func TestLoadTakesNewTokens(t *testing.T) {
	for _, sameDate := range []bool{false, true} {
		t.Run(fmt.Sprintf("same date %v", sameDate), func(t *testing.T) {
			dir := folder(t, map[string]string{"patients.ndjson": one("a") + "\n" + one("b") + "\n" + one("c") + "\n", "token": "token1"})
			file := filepath.Join(dir, "token")
			date := time.Unix(1_000_000, 0)
			if err := os.Chtimes(file, date, date); err != nil {
				t.Fatal(err)
			}
			server := newGuarded(t, map[string]int{"token1": 200})
			requests := 0
			server.before = func(string) {
				server.mu.Lock()
				defer server.mu.Unlock()
				if requests++; requests != 3 {
					return
				}
				// The third request comes with a token that has just ended.
				server.good = map[string]int{"token2": 200}
				if err := os.WriteFile(file, []byte("token2"), 0o600); err != nil {
					t.Error(err)
				}
				if sameDate {
					if err := os.Chtimes(file, date, date); err != nil {
						t.Error(err)
					}
				}
			}
			m, stdout, stderr := testMain()
			code := m.Run(t.Context(), []string{"load", filepath.Join(dir, "patients.ndjson"), "--to", server.URL + "/fhir", "--jobs", "1", "--chunk", "1", "--quiet", "--token-file", file})
			if code != exitOK || !strings.HasPrefix(stdout.String(), "3 resources stored, 0 rejected") {
				t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
			}
			if want := []string{"token1", "token1", "token1", "token2", "token2"}; !slices.Equal(server.seen, want) || server.seeds != 3 {
				t.Errorf("tokens %v, want %v; %d requests stored something, want 3", server.seen, want, server.seeds)
			}
		})
	}
}

// TestLoadStopsWithoutToken: once the token has ended and no other comes, the
// rest is not tried.
func TestLoadStopsWithoutToken(t *testing.T) {
	dir := folder(t, map[string]string{"patients.ndjson": strings.Repeat(one("a")+"\n", 50), "token": "token"})
	server := newGuarded(t, map[string]int{"token": 200})
	requests := 0
	server.before = func(string) {
		server.mu.Lock()
		defer server.mu.Unlock()
		if requests++; requests == 4 {
			server.good = nil
		}
	}
	m, stdout, stderr := testMain()
	code := m.Run(t.Context(), []string{"load", filepath.Join(dir, "patients.ndjson"), "--to", server.URL + "/fhir", "--jobs", "1", "--chunk", "1", "--quiet", "--token-file", filepath.Join(dir, "token")})
	if code != exitFailed || !strings.Contains(stderr.String(), "write a new one into") || !strings.Contains(stdout.String(), "2 resources stored, 1 rejected") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	if requests != 4 {
		t.Errorf("%d requests, want 4", requests)
	}
}

// TestLoadForbidden: what the token does not allow is rejected one by one, with
// what the scopes would have to be.
func TestLoadForbidden(t *testing.T) {
	server := newFakeServer(t)
	server.answer = func(w http.ResponseWriter, _ int, _ *resource.Node) bool {
		fmt.Fprint(w, `{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"403 Forbidden","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden","diagnostics":"not allowed: update on Patient"}]}}}]}`)
		return true
	}
	m, stdout, stderr := testMain()
	code := m.Run(t.Context(), []string{"load", filepath.Join(folder(t, map[string]string{"a.json": one("a")}), "a.json"), "--to", server.URL + "/fhir", "--quiet"})
	if code != exitFailed || !strings.Contains(stdout.String(), "not allowed: update on Patient") || !strings.Contains(stderr.String(), "system/*.cu") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
}

// TestLoadStays: a redirect is not followed, so that no token goes astray.
func TestLoadStays(t *testing.T) {
	elsewhere := newGuarded(t, map[string]int{"good": 200})
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/fhir/metadata", http.StatusMovedPermanently))
	defer server.Close()
	dir := folder(t, map[string]string{"a.json": one("a"), "token": "good"})
	m, _, stderr := testMain()
	code := m.Run(t.Context(), []string{"load", filepath.Join(dir, "a.json"), "--to", server.URL + "/fhir", "--quiet", "--token-file", filepath.Join(dir, "token")})
	if code != exitFailed || !strings.Contains(stderr.String(), "give its own address with --to") || len(elsewhere.seen) > 0 {
		t.Errorf("exit code %d, %v: %s", code, elsewhere.seen, stderr)
	}
}

// TestTokenCrossesNetwork knows where a token could be read on its way.
func TestTokenCrossesNetwork(t *testing.T) {
	for address, want := range map[string]bool{
		"https://fhir.example.org/fhir": false, "http://127.0.0.1:8080/fhir": false, "http://localhost/fhir": false, "http://fhir.example.org/fhir": true,
	} {
		base, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := crossesNetwork(base); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}
