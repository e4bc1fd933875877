package rest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

func TestNegotiation(t *testing.T) {
	tests := []struct {
		name, accept, query string
		status              int
		want                string // Content-Type without charset
	}{
		{"nothing asked", "", "", 200, "application/fhir+json"},
		{"anything", "*/*", "", 200, "application/fhir+json"},
		{"FHIR's own", "application/fhir+json", "", 200, "application/fhir+json"},
		{"with the version", "application/fhir+json; fhirVersion=4.0", "", 200, "application/fhir+json"},
		{"another version", "application/fhir+json; fhirVersion=3.0", "", 406, ""},
		{"generic", "application/json", "", 200, "application/json"},
		{"the old spelling", "application/json+fhir", "", 200, "application/json+fhir"},
		{"text", "text/json", "", 200, "text/json"},
		{"best of several", "application/fhir+xml;q=0.7, application/json;q=0.5, application/fhir+json;q=0.9", "", 200, "application/fhir+json"},
		{"the first of equals", "application/xml, application/fhir+json", "", 200, "application/xml"},
		{"by name before anything", "*/*, application/fhir+xml", "", 200, "application/fhir+xml"},
		{"a range before anything", "*/*;q=0.1, text/*;q=0.5", "", 200, "text/json"},
		{"the most exact range counts", "text/*, text/json;q=0.1", "", 200, "text/xml"},
		{"a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", 200, "application/fhir+json"},
		{"XML", "application/fhir+xml", "", 200, "application/fhir+xml"},
		{"generic XML", "application/xml", "", 200, "application/xml"},
		{"XML as text", "text/xml", "", 200, "text/xml"},
		{"the old spelling of XML", "application/xml+fhir", "", 200, "application/xml+fhir"},
		{"Turtle", "text/turtle", "", 406, ""},
		{"a picture", "image/png", "", 406, ""},
		{"another charset", "application/fhir+json; charset=latin1", "", 406, ""},
		{"_format wins", "application/fhir+xml", "?_format=json", 200, "application/fhir+json"},
		{"_format wins over what cannot be", "image/png", "?_format=xml", 200, "application/fhir+xml"},
		{"_format with a plus", "", "?_format=application/fhir+json", 200, "application/fhir+json"},
		{"_format XML", "", "?_format=xml", 200, "application/fhir+xml"},
		{"_format XML as text", "", "?_format=text/xml", 200, "text/xml"},
		{"_format XML with a plus", "", "?_format=application/fhir%2Bxml", 200, "application/fhir+xml"},
		{"_format Turtle", "", "?_format=ttl", 406, ""},
		{"_format HTML", "", "?_format=html", 406, ""},
		{"_format of another version", "", "?_format=application/fhir%2Bjson%3BfhirVersion%3D5.0", 406, ""},
		{"_format with the version, as it is", "", "?_format=application/fhir+xml;fhirVersion=4.0", 200, "application/fhir+xml"},
		{"_format of another version, as it is", "", "?_format=application/fhir+json;fhirVersion=5.0", 406, ""},
		{"JSON refused", "application/fhir+json;q=0", "", 406, ""},
		{"JSON refused, anything else", "application/fhir+json;q=0, */*;q=0.1", "", 200, "application/json"},
		{"an unreadable weight", "application/json;q=high", "", 200, "application/json"},
		{"an empty list", ", ,", "", 200, "application/fhir+json"},
		{"bad _pretty", "", "?_pretty=maybe", 400, ""},
	}
	a := newAPI(t)
	a.seed()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			if test.accept != "" {
				headers = []string{"Accept: " + test.accept}
			}
			rec := a.do(call{"GET", "/Patient/ada" + test.query, headers, ""})
			if rec.Code != test.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			want := test.want
			if want == "" {
				want = "application/fhir+json"
				if !strings.Contains(rec.Body.String(), `"OperationOutcome"`) {
					t.Errorf("no OperationOutcome: %s", rec.Body)
				}
			}
			if got := rec.Header().Get("Content-Type"); got != want+"; charset=utf-8" {
				t.Errorf("Content-Type %q, want %s", got, want)
			}
		})
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestBadInput(t *testing.T) {
	small := func(c *Config) { c.Limits = Limits{Body: 1 << 20, Values: 20_000, Entries: 10} }
	gz := []string{"Content-Encoding: gzip"}
	big := `{"resourceType":"Patient","name":[{"family":"` + strings.Repeat("x", 2<<20) + `"}]}`
	tests := []struct {
		name   string
		call   call
		status int
		golden string
	}{
		{"no body", call{"POST", "/Patient", nil, ""}, 400, "bad-no-body.json"},
		{"broken JSON", call{"POST", "/Patient", nil, "{\n  \"resourceType\": \"Patient\",\n  \"name\": [{\"family\": \"Quill\"]\n}"}, 400, "bad-json.json"},
		{"text behind", call{"POST", "/Patient", nil, plain + "x"}, 400, "bad-json-behind.json"},
		{"member twice", call{"POST", "/Patient", nil, `{"resourceType":"Patient","active":true,"active":false}`}, 400, "bad-json-twice.json"},
		{"a list", call{"POST", "/Patient", nil, "[]"}, 400, "bad-list.json"},
		{"10,000 levels", call{"POST", "/Patient", nil, strings.Repeat(`{"a":[`, 5000) + strings.Repeat("]}", 5000)}, 400, "bad-deep.json"},
		{"invalid UTF-8", call{"POST", "/Patient", nil, "{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"\xff\xfe\"}]}"}, 400, "bad-utf8.json"},
		{"wrong types", call{"POST", "/Patient", nil, `{"resourceType":"Patient","name":{"family":["x"]},"active":"true","birthDate":7}`}, 400, "bad-types.json"},
		{"body too large", call{"POST", "/Patient", nil, big}, 413, "bad-large.json"},
		{"body too large when unpacked", call{"POST", "/Patient", gz, zipped(big)}, 413, "bad-large.json"},
		{"too many values", call{"POST", "", nil, `{"resourceType":"Bundle","type":"batch","entry":[` + strings.Repeat("{},", 20_000) + "{}]}"}, 413, "bad-values.json"},
		{"too many entries", call{"POST", "", nil, bundleOf("batch", strings.Split(strings.Repeat("{} ", 11), " ")[:11]...)}, 413, "bad-entries.json"},
		{"not gzip", call{"POST", "/Patient", gz, plain}, 400, "bad-gzip.json"},
		{"half a gzip", call{"POST", "/Patient", gz, zipped(plain)[:20]}, 400, "bad-gzip-half.json"},
		{"another encoding", call{"POST", "/Patient", []string{"Content-Encoding: br"}, plain}, 415, "bad-encoding.json"},
		{"XML", call{"POST", "/Patient", []string{"Content-Type: application/fhir+xml", "Accept: application/fhir+json"}, "<Patient/>"}, 400, "bad-xml.json"},
		{"Turtle", call{"POST", "/Patient", []string{"Content-Type: text/turtle"}, "[] a fhir:Patient ."}, 415, "bad-turtle.json"},
		{"a form", call{"POST", "/Patient", []string{"Content-Type: application/x-www-form-urlencoded"}, plain}, 415, "bad-form.json"},
		{"bad id", call{"PUT", "/Patient/a%20b", nil, plain}, 400, "bad-id.json"},
		{"id too long", call{"GET", "/Patient/" + strings.Repeat("x", 65), nil, ""}, 400, "bad-id-long.json"},
		{"bad preference", call{"POST", "/Patient", []string{"Prefer: return=nothing"}, plain}, 400, "bad-prefer.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t, small)
			check(t, a.do(test.call), test.status, nil, test.golden)
			if n := a.total("Patient"); n != 0 {
				t.Error("something was stored")
			}
		})
	}
}

// endless is a body that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestEndlessBody(t *testing.T) {
	a := newAPI(t)
	from := &endless{}
	rec := httptest.NewRecorder()
	a.handler.ServeHTTP(rec, httptest.NewRequest("POST", "/fhir/Patient", from))
	if rec.Code != 413 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if from.read > 70<<20 {
		t.Errorf("%d bytes were read", from.read)
	}
	if !a.server.working.TryAcquire(a.server.Limits.Working) {
		t.Error("the request still holds a share of the working limit")
	}
}

func TestLargeBodyIsRefusedUnread(t *testing.T) {
	a := newAPI(t)
	from := &endless{}
	r := httptest.NewRequest("POST", "/fhir/", from)
	r.ContentLength = 100 << 20
	rec := httptest.NewRecorder()
	a.handler.ServeHTTP(rec, r)
	if rec.Code != 413 || from.read > 0 {
		t.Errorf("status %d, %d bytes were read", rec.Code, from.read)
	}
}

func TestBusyWithOtherBodies(t *testing.T) {
	a := newAPI(t)
	if !a.server.working.TryAcquire(a.server.Limits.Working) {
		t.Fatal("the limit is in use")
	}
	defer a.server.working.Release(a.server.Limits.Working)
	large := strings.Repeat(" ", smallBody) + plain
	rec := a.do(call{"POST", "/Patient", []string{"Content-Encoding: gzip"}, zipped(large)})
	check(t, rec, 429, []string{"Retry-After: 1"}, "busy.json")
	// Small writes pass, known in length or not.
	a.must("POST", "/Patient", plain)
	a.must("POST", "/Patient", zipped(plain), "Content-Encoding: gzip")
}

// TestTreesWaitForEachOther: a large body waits for the trees of others, within
// its time, and gives its share back; a small one does not wait.
func TestTreesWaitForEachOther(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Limits.Timeout = 50 * time.Millisecond })
	many := strings.Repeat(`{"system":"phone","value":"1"},`, smallTree/3)
	large := `{"resourceType":"Patient","telecom":[` + strings.TrimSuffix(many, ",") + `]}`
	all := int64(a.server.Limits.Values)
	if !a.server.values.TryAcquire(all) {
		t.Fatal("the limit is in use")
	}
	if rec := a.do(call{"POST", "/Patient", nil, large}); rec.Code != 504 {
		t.Errorf("status %d, want 504: %.200s", rec.Code, rec.Body)
	}
	if rec := a.do(call{"POST", "/Patient", nil, plain}); rec.Code != 201 {
		t.Errorf("a small body: status %d: %s", rec.Code, rec.Body)
	}
	a.server.values.Release(all)
	_ = a.do(call{"POST", "/Patient", nil, large}) // stored, or out of time on a slow machine
	if !a.server.values.TryAcquire(all) {
		t.Error("a share was not given back")
	}
}

func TestGzipBody(t *testing.T) {
	a := newAPI(t)
	a.must("POST", "/Patient", zipped(plain), "Content-Encoding: gzip")
	if n := a.total("Patient"); n != 1 {
		t.Errorf("%d patients", n)
	}
}

func TestResourceTooLargeToStore(t *testing.T) {
	a := newAPI(t)
	body := `{"resourceType":"Patient","name":[{"family":"` + strings.Repeat("x", store.MaxResourceBytes) + `"}]}`
	rec := a.do(call{"POST", "/Patient", nil, body})
	if rec.Code != 413 {
		t.Errorf("status %d: %.300s", rec.Code, rec.Body)
	}
}

// failing is a store that answers with an error, or panics.
type failing struct {
	store.Store
	read func(context.Context) (*fhir.Resource, error)
}

func (f failing) Read(ctx context.Context, _ fhir.Key) (*fhir.Resource, error) { return f.read(ctx) }

func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		err    error // nil: panic
		status int
		retry  string
		golden string
	}{
		{"a fault of ours", errors.New("secret detail"), 500, "", "fault-internal.json"},
		{"a panic", nil, 500, "", "fault-internal.json"},
		{"the deadline", context.DeadlineExceeded, 504, "5", "fault-timeout.json"},
		{"no store", fhir.Errorf(fhir.Unavailable, "the store is shutting down"), 503, "5", "fault-unavailable.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t, func(c *Config) {
				c.Store = failing{c.Store, func(context.Context) (*fhir.Resource, error) {
					if test.err == nil {
						panic("secret detail")
					}
					return nil, test.err
				}}
			})
			rec := a.do(call{"GET", "/Patient/ada", nil, ""})
			check(t, rec, test.status, nil, test.golden)
			if got := rec.Header().Get("Retry-After"); got != test.retry {
				t.Errorf("Retry-After %q, want %q", got, test.retry)
			}
			if test.status == 500 && !strings.Contains(a.log.String(), "secret detail") {
				t.Errorf("the log does not say what happened: %s", a.log)
			}
			if strings.Contains(a.log.String(), "Patient/ada") {
				t.Errorf("the log names a patient: %s", a.log)
			}
		})
	}
}

func TestBatchEntryPanics(t *testing.T) {
	a := newAPI(t, func(c *Config) {
		c.Store = failing{c.Store, func(context.Context) (*fhir.Resource, error) { panic("secret detail") }}
	})
	rec := a.must("POST", "", bundleOf("batch", entryOf("", "GET", "Patient/ada", ""), entryOf("", "POST", "Patient", plain)))
	if body := rec.Body.String(); !strings.Contains(body, "500 Internal") || !strings.Contains(body, "201 Created") || strings.Contains(body, "secret") || !strings.Contains(body, "log for request test") {
		t.Errorf("got %s", body)
	}
}

func TestCORS(t *testing.T) {
	a := newAPI(t)
	a.seed()
	const origin = "Origin: https://app.example.org"
	t.Run("preflight", func(t *testing.T) {
		rec := a.do(call{"OPTIONS", "/Patient/ada", []string{origin, "Access-Control-Request-Method: PUT", "Access-Control-Request-Private-Network: true"}, ""})
		check(t, rec, 204, []string{
			"Access-Control-Allow-Origin: https://app.example.org",
			"Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
			"Access-Control-Allow-Private-Network: true",
		}, "")
		if !strings.Contains(rec.Header().Get("Access-Control-Allow-Headers"), "If-Match") {
			t.Error("If-Match is not allowed")
		}
	})
	t.Run("request", func(t *testing.T) {
		rec := a.do(call{"GET", "/Patient/ada", []string{origin}, ""})
		if rec.Header().Get("Access-Control-Allow-Origin") != "https://app.example.org" || !strings.Contains(rec.Header().Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("headers %v", rec.Header())
		}
	})
	t.Run("error", func(t *testing.T) {
		if rec := a.do(call{"GET", "/Patient/nobody", []string{origin}, ""}); rec.Header().Get("Access-Control-Allow-Origin") == "" {
			t.Error("the page cannot read the error")
		}
	})
	t.Run("another origin", func(t *testing.T) {
		if rec := a.do(call{"GET", "/Patient/ada", []string{"Origin: https://evil.example"}, ""}); rec.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Error("another origin is allowed")
		}
	})
}

func TestBaseComesFromTheSetting(t *testing.T) {
	a := newAPI(t)
	r := httptest.NewRequest("POST", "http://evil.example/fhir/Patient", strings.NewReader(plain))
	r.Header.Set("X-Forwarded-Host", "evil.example")
	rec := httptest.NewRecorder()
	a.handler.ServeHTTP(rec, r)
	if got := rec.Header().Get("Location"); !strings.HasPrefix(got, testBase+"/Patient/") {
		t.Errorf("Location %s", got)
	}
}

func TestBadConfig(t *testing.T) {
	good := newAPI(t).server.Config
	for name, spoil := range map[string]func(*Config){
		"no store":     func(c *Config) { c.Store = nil },
		"no authorize": func(c *Config) { c.Authorize = nil },
		"no clock":     func(c *Config) { c.Clock = nil },
		"base":         func(c *Config) { c.Base = "/fhir" },
		"base slash":   func(c *Config) { c.Base = testBase + "/" },
		"limits":       func(c *Config) { c.Limits = Limits{Body: 10, Working: 5} },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDeadlineReachesTheStore(t *testing.T) {
	a := newAPI(t, func(c *Config) {
		c.Limits.Timeout = time.Millisecond
		c.Store = failing{c.Store, func(ctx context.Context) (*fhir.Resource, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
	})
	if rec := a.do(call{"GET", "/Patient/ada", nil, ""}); rec.Code != 504 {
		t.Errorf("status %d", rec.Code)
	}
	// In a batch, what the deadline cuts off says so.
	rec := a.must("POST", "", bundleOf("batch", entryOf("", "GET", "Patient/ada", ""), entryOf("", "GET", "Patient/bob", "")))
	if n := strings.Count(rec.Body.String(), `"status":"504 Gateway Timeout"`); n != 2 {
		t.Errorf("%d entries of 2 say that they were cut off: %s", n, rec.Body)
	}
}
