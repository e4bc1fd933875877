package rest

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/fhir/store/embedded"
	"github.com/starling-fhir/starling/fhir/store/mongo"
	"github.com/starling-fhir/starling/fhir/store/mongo/mongotest"
	"github.com/starling-fhir/starling/internal/golden"
)

const testBase = "http://starling.test/fhir"

// parts are slow to make and safe to share.
var parts = sync.OnceValues(func() (made struct {
	gate     *resource.Gate
	registry *search.Registry
}, err error,
) {
	if made.gate, err = resource.NewGate(); err != nil {
		return made, err
	}
	made.registry, err = search.NewRegistry()
	return made, err
})

// api is a server over an empty store of its own, with a clock that goes on a
// second each time it is read, and ids that count.
type api struct {
	tb      testing.TB
	server  *Server
	handler http.Handler
	log     *lines
	// frozen stops the clock, for requests whose parts run side by side.
	frozen *atomic.Bool
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openStore opens an empty store: the embedded one, or MongoDB if the tests are
// to run on that.
func openStore(tb testing.TB, registry *search.Registry, clock func() time.Time) (opened store.Store) {
	tb.Helper()
	var err error
	if mongotest.Chosen() {
		opened, err = mongo.Open(tb.Context(), mongotest.URI(tb), mongo.Options{Indexer: registry, Clock: clock})
	} else {
		opened, err = embedded.Open(tb.TempDir(), embedded.Options{Indexer: registry, Clock: clock, NoSync: true})
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := opened.Close(); err != nil {
			tb.Error(err)
		}
	})
	return opened
}

func newAPI(tb testing.TB, change ...func(*Config)) *api {
	tb.Helper()
	made, err := parts()
	if err != nil {
		tb.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	var ticks, ids atomic.Int64
	frozen := &atomic.Bool{}
	clock := func() time.Time {
		if !frozen.Load() {
			ticks.Add(1)
		}
		return start.Add(time.Duration(ticks.Load()) * time.Second)
	}
	opened := openStore(tb, made.registry, clock)
	log := &lines{}
	cfg := Config{
		Store:     opened,
		Registry:  made.registry,
		Gate:      made.gate,
		Base:      testBase,
		Authorize: func(echo.Context) (search.Access, error) { return search.FullAccess(), nil },
		Clock:     func() time.Time { return start },
		NewID:     func() string { return fmt.Sprintf("id-%d", ids.Add(1)) },
		Logger:    slog.New(slog.NewTextHandler(log, nil)),
		Origins:   []string{"https://app.example.org"},
		Version:   "test",
	}
	for _, f := range change {
		f(&cfg)
	}
	server, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	e := echo.New()
	e.HTTPErrorHandler = server.HandleError
	server.Register(e.Group("/fhir"))
	return &api{tb: tb, server: server, handler: e, log: log, frozen: frozen}
}

// call is one request; headers are "Name: value" lines.
type call struct {
	method, path string
	headers      []string
	body         string
}

func (a *api) do(in call) *httptest.ResponseRecorder {
	var body io.Reader
	if in.body != "" {
		body = strings.NewReader(in.body)
	}
	r := httptest.NewRequest(in.method, "/fhir"+in.path, body)
	r.Header.Set("X-Request-Id", "test")
	if in.body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for _, line := range in.headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	a.handler.ServeHTTP(rec, r)
	return rec
}

// must sends a request that has to succeed.
func (a *api) must(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	a.tb.Helper()
	rec := a.do(call{method, path, headers, body})
	if rec.Code >= 300 {
		a.tb.Fatalf("%s %s: status %d: %s", method, path, rec.Code, rec.Body)
	}
	return rec
}

const (
	adaV1 = `{"resourceType":"Patient","id":"ada","identifier":[{"system":"http://hospital.example/mrn","value":"1815"}],"active":true,"name":[{"family":"Quill","given":["Ada"]}],"birthDate":"1965-12-10"}`
	adaV2 = `{"resourceType":"Patient","id":"ada","identifier":[{"system":"http://hospital.example/mrn","value":"1815"}],"active":true,"name":[{"family":"Quill-Byrne","given":["Ada"]}],"birthDate":"1965-12-10"}`
	bob   = `{"resourceType":"Patient","id":"bob","name":[{"family":"Moss"}]}`
	// The value's trailing zero must survive.
	weight = `{"resourceType":"Observation","id":"weight","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/ada"},"effectiveDateTime":"2025-11-30","valueQuantity":{"value":71.50,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}`
)

// seed stores two versions of Patient/ada, a deleted Patient/bob and two
// Observations.
func (a *api) seed() {
	a.tb.Helper()
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Patient/ada", adaV2)
	a.must("PUT", "/Patient/bob", bob)
	a.must("DELETE", "/Patient/bob", "")
	a.must("PUT", "/Observation/weight", weight)
	a.must("PUT", "/Observation/weight-2", strings.Replace(strings.Replace(weight, `"weight"`, `"weight-2"`, 1), "71.50", "72.0", 1))
}

// valid passes an answer through the gate: what the server says must be as sound
// as what it takes.
func valid(tb testing.TB, body []byte) {
	tb.Helper()
	root, err := resource.Decode(body)
	if err != nil {
		tb.Errorf("the answer is not JSON: %v\n%s", err, body)
		return
	}
	made, _ := parts()
	if err := made.gate.Check(root); err != nil {
		tb.Errorf("the answer is not valid FHIR: %v\n%s", err, body)
	}
}

// check compares an answer with what a row of a table wants.
func check(t *testing.T, rec *httptest.ResponseRecorder, status int, headers []string, file string) {
	t.Helper()
	if rec.Code != status {
		t.Errorf("status %d, want %d: %s", rec.Code, status, rec.Body)
	}
	for _, line := range headers {
		name, want, _ := strings.Cut(line, ": ")
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if file == "" {
		if rec.Body.Len() > 0 {
			t.Errorf("there is a body: %s", rec.Body)
		}
		return
	}
	valid(t, rec.Body.Bytes())
	golden.JSON(t, filepath.Join("testdata", file), rec.Body.Bytes())
}
