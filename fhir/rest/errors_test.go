package rest

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/internal/golden"
)

// TestErrors: every way to fail has the status and the issue code that R4 gives
// it, with the headers that belong to it. https://hl7.org/fhir/R4/http.html
func TestErrors(t *testing.T) {
	none := func(*Config) {}
	whole := func(c *Config) { c.Integrity = Integrity{Write: true, Delete: true} }
	long := strings.Repeat("x", 70<<10)
	tests := []struct {
		name    string
		config  func(*Config)
		call    call
		status  int
		code    string
		headers []string // "Name: value"; "Name" for any value
	}{
		{"no such resource", none, call{"GET", "/Patient/none", nil, ""}, 404, "not-found", nil},
		{"no such version", none, call{"GET", "/Patient/ada/_history/9", nil, ""}, 404, "not-found", nil},
		{"no such type", none, call{"GET", "/Patent/ada", nil, ""}, 404, "not-found", nil},
		{"no such URL", none, call{"GET", "/Patient/ada/x/y/z", nil, ""}, 404, "not-found", nil},
		{"no such operation", none, call{"GET", "/Patient/$fly", nil, ""}, 400, "not-supported", nil},
		{"deleted", none, call{"GET", "/Patient/bob", nil, ""}, 410, "deleted", nil},
		{"a deleted version", none, call{"GET", "/Patient/bob/_history/2", nil, ""}, 410, "deleted", nil},
		{"a method of no use here", none, call{"DELETE", "/metadata", nil, ""}, 405, "not-supported", []string{"Allow: GET, HEAD, OPTIONS"}},
		{"a method of no use to a version", none, call{"PUT", "/Patient/ada/_history/1", nil, adaV1}, 405, "not-supported", []string{"Allow: GET, HEAD, OPTIONS"}},
		{"a method nobody knows", none, call{"PROPFIND", "/Patient/ada", nil, ""}, 405, "not-supported", []string{"Allow"}},
		{"TRACE", none, call{"TRACE", "/Patient/ada", nil, ""}, 405, "not-supported", []string{"Allow"}},
		{"no format in common", none, call{"GET", "/Patient/ada", []string{"Accept: image/png"}, ""}, 406, "not-supported", nil},
		{"no such _format", none, call{"GET", "/Patient/ada?_format=ttl", nil, ""}, 406, "not-supported", nil},
		{"a body of another type", none, call{"POST", "/Patient", []string{"Content-Type: text/csv"}, "a,b"}, 415, "not-supported", nil},
		{"a body of another charset", none, call{"POST", "/Patient", []string{"Content-Type: application/fhir+json; charset=latin1"}, adaV1}, 415, "not-supported", nil},
		{"a body in another compression", none, call{"POST", "/Patient", []string{"Content-Encoding: br"}, adaV1}, 415, "not-supported", nil},
		{"the id in the body is another", none, call{"PUT", "/Patient/eve", nil, adaV1}, 400, "invalid", nil},
		{"broken JSON", none, call{"POST", "/Patient", nil, "{"}, 400, "structure", nil},
		{"broken XML", none, call{"POST", "/Patient", []string{"Content-Type: application/fhir+xml", "Accept: application/fhir+json"}, "<"}, 400, "structure", nil},
		{"an unknown element", none, call{"POST", "/Patient", nil, `{"resourceType":"Patient","nmae":[]}`}, 400, "structure", nil},
		{"a code that is none", none, call{"POST", "/Patient", nil, `{"resourceType":"Patient","gender":"m"}`}, 400, "code-invalid", nil},
		{"an unknown search parameter", none, call{"GET", "/Patient?nmae=x", nil, ""}, 400, "invalid", nil},
		{"a date that is none", none, call{"GET", "/Patient?birthdate=yesterday", nil, ""}, 400, "invalid", nil},
		{"a broken escape", none, call{"GET", "/Patient?name=%zz", nil, ""}, 400, "invalid", nil},
		{"a bad Prefer", none, call{"POST", "/Patient", []string{"Prefer: return=all"}, adaV1}, 400, "invalid", nil},
		{"a bad handling", none, call{"GET", "/Patient", []string{"Prefer: handling=lax"}, ""}, 400, "invalid", nil},
		{"a bad _pretty", none, call{"GET", "/Patient/ada?_pretty=maybe", nil, ""}, 400, "invalid", nil},
		{"criteria about other resources", none, call{"PUT", "/Observation?subject:Patient.name=Quill", nil, strings.Replace(weight, `"id":"weight",`, "", 1)}, 400, "not-supported", nil},
		{"criteria about what refers to it", none, call{"POST", "/Patient", []string{"If-None-Exist: _has:Observation:subject:status=final"}, adaV1}, 400, "not-supported", nil},
		{"If-Match of another version", none, call{"PUT", "/Patient/ada", []string{`If-Match: W/"7"`}, adaV1}, 412, "conflict", nil},
		{"If-Match of what is absent", none, call{"PUT", "/Patient/eve", []string{`If-Match: W/"1"`}, strings.Replace(adaV1, `"ada"`, `"eve"`, 1)}, 412, "conflict", nil},
		{"If-None-Match of what is there", none, call{"PUT", "/Patient/ada", []string{"If-None-Match: *"}, adaV1}, 412, "duplicate", nil},
		{"criteria of several", none, call{"DELETE", "/Observation?status=final", nil, ""}, 412, "multiple-matches", nil},
		{"a body too large", func(c *Config) { c.Limits.Body = 100 }, call{"POST", "/Observation", nil, weight}, 413, "too-long", nil},
		{"a URL too long", none, call{"GET", "/Patient?name=" + long, nil, ""}, 414, "too-long", nil},
		{"a path too long", none, call{"GET", "/Patient/" + long, nil, ""}, 414, "too-long", nil},
		{"a reference to nothing", whole, call{"POST", "/Observation", nil, strings.Replace(weight, "Patient/ada", "Patient/none", 1)}, 422, "not-found", nil},
		{"what is referred to", whole, call{"DELETE", "/Patient/ada", nil, ""}, 409, "conflict", nil},
		{"nobody", func(c *Config) {
			c.Authorize = func(echo.Context) (search.Access, error) {
				return search.Access{}, fhir.Errorf(fhir.Unauthenticated, "no token")
			}
		}, call{"GET", "/Patient/ada", nil, ""}, 401, "login", []string{"WWW-Authenticate: Bearer"}},
		{"somebody else", func(c *Config) {
			c.Authorize = func(echo.Context) (search.Access, error) { return search.Access{}, nil }
		}, call{"GET", "/Patient/ada", nil, ""}, 403, "forbidden", []string{`WWW-Authenticate: Bearer error="insufficient_scope"`}},
		{"too many at once", func(c *Config) { c.Limits.Requests = -1 }, call{"GET", "/Patient/ada", nil, ""}, 429, "throttled", []string{"Retry-After: 1"}},
		{"no time", func(c *Config) { c.Limits.Timeout = time.Nanosecond }, call{"GET", "/Patient/ada", nil, ""}, 504, "timeout", []string{"Retry-After: 5"}},
		{"no time for a search", func(c *Config) { c.Limits.Timeout = time.Nanosecond }, call{"GET", "/Patient?name=Quill", nil, ""}, 504, "timeout", []string{"Retry-After: 5"}},
		{"no time for a write", func(c *Config) { c.Limits.Timeout = time.Nanosecond }, call{"DELETE", "/Patient/ada", nil, ""}, 504, "timeout", []string{"Retry-After: 5"}},
		{"a panic", func(c *Config) {
			c.Authorize = func(echo.Context) (search.Access, error) { panic("Ada Quill") }
		}, call{"GET", "/Patient/ada", nil, ""}, 500, "exception", nil},
		{"a fault", func(c *Config) {
			c.Authorize = func(echo.Context) (search.Access, error) {
				return search.Access{}, fmt.Errorf("Ada Quill")
			}
		}, call{"GET", "/Patient/ada", nil, ""}, 500, "exception", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			seeded := newAPI(t)
			seeded.seed()
			a := newAPI(t, func(c *Config) {
				c.Store = seeded.server.Store
				test.config(c)
			})
			rec := a.do(test.call)
			if rec.Code != test.status {
				t.Errorf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			body := rec.Body.String()
			valid(t, rec.Body.Bytes())
			root, err := resource.Decode(rec.Body.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if issues := root.List("issue"); root.Str("resourceType") != "OperationOutcome" || issues[0].Str("code") != test.code || issues[0].Str("severity") != "error" {
				t.Errorf("want the code %s: %s", test.code, body)
			}
			for _, line := range test.headers {
				name, want, _ := strings.Cut(line, ": ")
				if got := rec.Header().Get(name); got == "" || want != "" && got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			for _, leaked := range []string{"goroutine", ".go:", "runtime", "Ada Quill"} {
				if strings.Contains(body, leaked) {
					t.Errorf("the answer tells %q: %s", leaked, body)
				}
			}
			if test.status == 500 && (!strings.Contains(body, "request test") || !strings.Contains(a.log.String(), "Ada Quill")) {
				t.Errorf("the log or the answer does not help: %s\n%s", body, a.log)
			}
			if test.call.method != "GET" {
				return
			}
			test.call.method = "HEAD"
			if head := a.do(test.call); head.Code != rec.Code || head.Body.Len() != 0 || head.Header().Get("Content-Length") != rec.Header().Get("Content-Length") {
				t.Errorf("HEAD: status %d with %d bytes, GET %d", head.Code, head.Body.Len(), rec.Code)
			}
		})
	}
}

// TestErrorsInXML: who speaks XML hears of errors in XML.
func TestErrorsInXML(t *testing.T) {
	a := newAPI(t)
	for name, in := range map[string]call{
		"asked for":       {"GET", "/Patient/none", []string{"Accept: application/fhir+xml"}, ""},
		"by _format":      {"GET", "/Patient/none?_format=xml", nil, ""},
		"as the body is":  {"POST", "/Patient", []string{"Content-Type: application/fhir+xml"}, `<Patient xmlns="http://hl7.org/fhir"><x/></Patient>`},
		"a method of 405": {"DELETE", "/metadata", []string{"Accept: text/xml"}, ""},
	} {
		rec := a.do(in)
		root, err := resource.DecodeXML(rec.Body.Bytes())
		if err != nil || root.Str("resourceType") != "OperationOutcome" {
			t.Errorf("%s: status %d, %v: %s", name, rec.Code, err, rec.Body)
		}
	}
	// What XML cannot hold is told in JSON.
	rec := a.do(call{"GET", "/Patient/_history?a%01=1&a%01=2&_format=xml", nil, ""})
	if rec.Code != 400 || !strings.HasPrefix(rec.Body.String(), `{"resourceType":"OperationOutcome"`) {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

// TestErrorsPage: docs/reference/errors.md has the table of the code.
func TestErrorsPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(golden.Root(t), "docs", "reference", "errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, kind := range slices.Sorted(maps.Keys(outcomes)) {
		o := outcomes[kind]
		wait := ""
		if seconds := retryAfterSeconds[kind]; seconds > 0 {
			wait = strconv.Itoa(seconds) + " s"
		}
		rows = append(rows, fmt.Sprintf("| %d %s | `%s` | %s | %s |", o.status, http.StatusText(o.status), o.code, o.when, wait))
	}
	slices.Sort(rows)
	table := strings.Join(rows, "\n")
	if !strings.Contains(string(page), table) {
		t.Errorf("docs/reference/errors.md lacks this table:\n%s", table)
	}
	if n := strings.Count(string(page), "\n| 4") + strings.Count(string(page), "\n| 5"); n != len(rows) {
		t.Errorf("the page has %d rows of statuses, the code %d", n, len(rows))
	}
}
