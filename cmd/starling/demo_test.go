package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/examples"
)

// waitWriter collects what is written and tells when a text has come.
type waitWriter struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	text string
	seen chan struct{}
}

func newWaitWriter(text string) *waitWriter {
	return &waitWriter{text: text, seen: make(chan struct{})}
}

func (w *waitWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := strings.Contains(w.buf.String(), w.text)
	w.buf.Write(p)
	if !before && strings.Contains(w.buf.String(), w.text) {
		close(w.seen)
	}
	return len(p), nil
}

func (w *waitWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// runDemo runs the demo until it serves, and returns what it printed.
func runDemo(t *testing.T, args ...string) (stdout string, code int, stderr string) {
	t.Helper()
	out := newWaitWriter("until ^C.")
	m, _, errs := testMain()
	m.Stdout = out
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int)
	go func() {
		done <- m.Run(ctx, append([]string{"demo", "--listen", "127.0.0.1:0", "--store", t.TempDir()}, args...))
	}()
	select {
	case <-out.seen:
		cancel()
		code = <-done
	case code = <-done:
	}
	return out.String(), code, errs.String()
}

// TestDemo is what a newcomer sees first: a card for a poor metabolizer's
// clopidogrel.
func TestDemo(t *testing.T) {
	stdout, code, stderr := runDemo(t)
	if code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	for _, want := range []string{
		"resources of made-up patients in http://127.0.0.1:", "/cds-services/pgx-order-select\n",
		"1 card in ", "[WARNING] CYP2C19 Poor Metabolizer", "*2/*2", "clopidogrel", "Source: CPIC",
		"curl 'http://127.0.0.1:", "-d @examples/order-select/", "There is no authentication", "until ^C.",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("output lacks %q:\n%s", want, stdout)
		}
	}
	for line := range strings.Lines(stdout) {
		if len(line) > 140 && !strings.Contains(line, "http") {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
}

// TestDemoFolder shows a folder of somebody's own.
func TestDemoFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, examples.Files); err != nil {
		t.Fatal(err)
	}
	if stdout, code, stderr := runDemo(t, "--examples", dir); code != exitOK || !strings.Contains(stdout, "-d @"+dir) {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	patients, err := fs.Glob(os.DirFS(dir), "patients/*.json")
	if err != nil || len(patients) == 0 {
		t.Fatal(patients, err)
	}
	bad := `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient","gender":"robot"},"request":{"method":"POST","url":"Patient"}}]}`
	if err := os.WriteFile(filepath.Join(dir, patients[0]), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, code, stderr := runDemo(t, "--examples", dir); code != exitFailed || !strings.Contains(stderr, "rejected "+filepath.Join(dir, patients[0])) {
		t.Errorf("a bad patient: exit code %d:\n%s", code, stderr)
	}
	if _, code, stderr := runDemo(t, "--examples", t.TempDir()); code != exitFailed || !strings.Contains(stderr, "no patients/*.json") {
		t.Errorf("an empty folder: exit code %d:\n%s", code, stderr)
	}
}

// TestPrintCard wraps, unescapes and turns tables into lines.
func TestPrintCard(t *testing.T) {
	var out bytes.Buffer
	printCard(&out, cds.Card{
		Summary: "Avoid it", Indicator: "critical",
		Detail: "**Order**: x\n\nBecause:\n\n- " + strings.Repeat("word ", 30) + "\n\n| Gene | Result | Lab |\n|---|:---:|---|\n| CYP2C19 | \\*2/\\*2 | |\n| A\\|B | 1 | North |\n\nEnd",
		Source: cds.Source{Label: "CPIC"}, Suggestions: []cds.Suggestion{{Label: "Remove"}},
		Links: []cds.Link{{Label: "more", URL: "https://x.example"}},
	})
	want := `  [CRITICAL] Avoid it

    Order: x

    Because:

    - word word word word word word word word word word word word word word word word word
      word word word word word word word word word word word word word

    - gene CYP2C19, result *2/*2
    - gene A|B, result 1, lab North

    End

    ( Remove )

    Source: CPIC
    https://x.example

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOrderOf reads what it can of a hook request.
func TestOrderOf(t *testing.T) {
	for body, want := range map[string][2]string{
		`{"context":{"patientId":"p","draftOrders":{"entry":[{"resource":{"medicationCodeableConcept":{"text":"d"}}}]}}}`: {"p", "d"},
		`{}`:  {"unknown", "a drug"},
		`not`: {"unknown", "a drug"},
	} {
		if patient, drug := orderOf([]byte(body)); patient != want[0] || drug != want[1] {
			t.Errorf("%s: %s, %s", body, patient, drug)
		}
	}
}

// TestCallServiceErrors shows the server's words.
func TestCallServiceErrors(t *testing.T) {
	server := newFakeServer(t)
	if _, err := callService(t.Context(), server.URL+"/nowhere", nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("%v", err)
	}
	server.Close()
	if _, err := callService(t.Context(), server.URL, nil); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
