package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/starling-fhir/starling/fhir/store/mongo/mongotest"
)

// release builds the program once for all tests of this package, as a release
// is built: without cgo.
var release = sync.OnceValues(func() (string, error) { return compile("starling", "CGO_ENABLED=0", "-trimpath") })

// program builds the program that the tests run: the release, or under the race
// detector one that has the detector in it too.
var program = sync.OnceValues(func() (string, error) {
	if !raceDetector {
		return release()
	}
	return compile("starling-race", "CGO_ENABLED=1", "-race")
})

func compile(name, env string, flags ...string) (string, error) {
	path := filepath.Join(programDir, name)
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, ".")...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

var programDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "starling")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programDir = dir
	// A program that finds a data race ends at once, which fails its test.
	if err := os.Setenv("GORACE", "halt_on_error=1"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// binary returns the path of the program to run.
func binary(t testing.TB) string { return built(t, program) }

func built(t testing.TB, compiled func() (string, error)) string {
	t.Helper()
	path, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// result is how a run of the program ended.
type result struct {
	code           int
	stdout, stderr string
}

// starling runs the program to its end.
func starling(t *testing.T, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// running is a server process.
type running struct {
	t    testing.TB
	cmd  *exec.Cmd
	url  string // http://127.0.0.1:port
	logs *logLines
}

// logLines collects a process's log and tells when a message appears.
type logLines struct {
	mu      sync.Mutex
	changed *sync.Cond
	lines   []map[string]any
	text    strings.Builder
	closed  bool
}

func newLogLines(in io.Reader) *logLines {
	l := &logLines{}
	l.changed = sync.NewCond(&l.mu)
	go func() {
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			var line map[string]any
			err := json.Unmarshal(scanner.Bytes(), &line)
			l.mu.Lock()
			l.text.WriteString(scanner.Text() + "\n")
			if err == nil {
				l.lines = append(l.lines, line)
			}
			l.changed.Broadcast()
			l.mu.Unlock()
		}
		l.mu.Lock()
		l.closed = true
		l.changed.Broadcast()
		l.mu.Unlock()
	}()
	return l
}

// wait returns the first line with a message; it fails if the log ends first.
func (l *logLines) wait(t testing.TB, msg string) map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for next := 0; ; {
		for ; next < len(l.lines); next++ {
			if l.lines[next]["msg"] == msg {
				return l.lines[next]
			}
		}
		if l.closed {
			t.Fatalf("the log ended without %q:\n%s", msg, l.text.String())
		}
		l.changed.Wait()
	}
}

// end waits until the log ends.
func (l *logLines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed {
		l.changed.Wait()
	}
}

// all returns the log so far.
func (l *logLines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newStore returns the --store value of a store that is not there yet: a folder,
// or a database if the tests are to run on MongoDB.
func newStore(t testing.TB) string {
	t.Helper()
	if mongotest.Chosen() {
		return mongotest.URI(t)
	}
	return t.TempDir()
}

// serve starts a server on a free port with a store of its own, unless args say
// otherwise, and waits until it is ready.
func serve(t testing.TB, args ...string) *running {
	t.Helper()
	cmd := exec.Command(binary(t), append([]string{"serve", "--insecure-no-auth", "--listen", "127.0.0.1:0", "--store", newStore(t), "--log-format", "json"}, args...)...)
	return start(t, cmd)
}

// start starts a command that serves and waits until it is ready. At the end of
// the test the process is gone.
func start(t testing.TB, cmd *exec.Cmd) *running {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, cmd: cmd, logs: newLogLines(stderr)}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	r.url = fmt.Sprintf("http://%s", r.logs.wait(t, "listening")["addr"])
	r.logs.wait(t, "ready")
	return r
}

// signal sends a signal.
func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// end waits for the process and returns its exit code, -1 if a signal ended it.
func (r *running) end() int {
	r.logs.end()     // Wait would cut it off
	_ = r.cmd.Wait() // the code says it
	return r.cmd.ProcessState.ExitCode()
}

// stop ends the server as a supervisor would.
func (r *running) stop() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitOK {
		r.t.Errorf("exit code %d:\n%s", code, r.logs.all())
	}
}

// do sends a request and returns the status, header and body.
func (r *running) do(method, path, body string, header ...string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}
