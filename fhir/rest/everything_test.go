package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// bundled is what tests look at of a searchset.
type bundled struct {
	Link []struct{ Relation, URL string }
	// Entry has the resources in order.
	Entry []struct {
		FullURL string
		Search  struct{ Mode string }
	}
}

// urls returns the entries of a mode, "" for all, below the base.
func (b *bundled) urls(mode string) []string {
	var out []string
	for _, e := range b.Entry {
		if mode == "" || e.Search.Mode == mode {
			out = append(out, strings.TrimPrefix(e.FullURL, testBase+"/"))
		}
	}
	return out
}

func (b *bundled) next() string {
	for _, l := range b.Link {
		if l.Relation == "next" {
			return strings.TrimPrefix(l.URL, testBase)
		}
	}
	return ""
}

func searchsetOf(t *testing.T, body []byte) *bundled {
	t.Helper()
	valid(t, body)
	var b bundled
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatal(err)
	}
	return &b
}

// TestEverythingInPages: whatever the page size, the pages have the matches of the
// whole, each once and in its order, and beside them what they refer to.
func TestEverythingInPages(t *testing.T) {
	a := newAPI(t)
	a.chart()
	for _, query := range []string{"", "start=2025-03-01", "_type=Observation,Practitioner", "_type=Practitioner"} {
		whole := searchsetOf(t, a.must("GET", "/Patient/ada/$everything?"+query, "").Body.Bytes())
		for count := 1; count < 8; count++ {
			var matches, along []string
			next := "/Patient/ada/$everything?" + query + "&_count=" + strconv.Itoa(count)
			for next != "" {
				page := searchsetOf(t, a.must("GET", next, "").Body.Bytes())
				if n := len(page.urls("match")); n > count {
					t.Fatalf("%q: a page of %d has %d matches", query, count, n)
				}
				matches = append(matches, page.urls("match")...)
				along = append(along, page.urls("include")...)
				next = page.next()
			}
			if !slices.Equal(matches, whole.urls("match")) {
				t.Errorf("%q by %d: %v, want %v", query, count, matches, whole.urls("match"))
			}
			slices.Sort(along)
			want := whole.urls("include")
			slices.Sort(want)
			if got := slices.Compact(along); !slices.Equal(got, want) {
				t.Errorf("%q by %d goes along: %v, want %v", query, count, got, want)
			}
		}
	}
}

// TestEverythingAccess: of a record only what the caller may see is told, and
// nothing of it depends on the rest.
func TestEverythingAccess(t *testing.T) {
	tests := []struct {
		name, scopes, path string
		status             int
		want               string // entries
	}{
		{"their own", "patient/*.rs", "/Patient/ada/$everything?_type=Patient,Condition,Practitioner", 200, "Patient/ada Condition/undated Practitioner/dr"},
		{"some types", "patient/Patient.rs patient/Condition.rs", "/Patient/ada/$everything", 200, "Patient/ada Condition/undated"},
		{"not what they may only search", "patient/Patient.rs patient/Practitioner.s", "/Patient/ada/$everything", 200, "Patient/ada"},
		{"another's", "patient/*.rs", "/Patient/bea/$everything", 404, ""},
		{"all that they may see", "patient/*.rs", "/Patient/$everything?_type=Patient,Condition", 200, "Patient/ada Condition/undated"},
		{"all for a user", "user/*.rs", "/Patient/$everything?_type=Patient,Condition", 200, "Patient/ada Patient/bea Condition/undated"},
		{"without the right to search", "patient/*.r", "/Patient/ada/$everything", 403, ""},
		{"without the right to read the patient", "patient/Condition.rs patient/Patient.s", "/Patient/ada/$everything", 404, ""},
		{"an encounter", "patient/Encounter.rs patient/Location.rs", "/Encounter/visit/$everything", 200, "Encounter/visit Location/ward"},
	}
	a := newGuarded(t)
	a.chart()
	for _, test := range tests {
		rec := a.as(test.scopes, call{"GET", test.path, nil, ""})
		if rec.Code != test.status {
			t.Errorf("%s: status %d, want %d: %s", test.name, rec.Code, test.status, rec.Body)
			continue
		}
		if rec.Code == 200 {
			if got := strings.Join(searchsetOf(t, rec.Body.Bytes()).urls(""), " "); got != test.want {
				t.Errorf("%s: %s, want %s", test.name, got, test.want)
			}
		}
	}
}

// faulty is a store whose searches fail after some have gone well.
type faulty struct {
	store.Store
	left atomic.Int64
}

func (f *faulty) Search(ctx context.Context, q search.Query) (*search.Page, error) {
	if f.left.Add(-1) < 0 {
		return nil, fhir.Errorf(fhir.Unavailable, "the disk is gone")
	}
	return f.Store.Search(ctx, q)
}

// TestEverythingCutOff: an error in the middle of an answer does not look like
// success, and one before it is told.
func TestEverythingCutOff(t *testing.T) {
	broken := &faulty{}
	a := newAPI(t, func(c *Config) {
		broken.Store = c.Store
		c.Store = broken
	})
	broken.left.Store(1 << 40)
	a.must("PUT", "/Patient/ada", adaV1)
	note := `,"note":[{"text":"` + strings.Repeat("long ", 20_000) + `"}]`
	for i := range 10 {
		id := "note-" + strconv.Itoa(i)
		a.must("PUT", "/Observation/"+id, observation(id, "ada", note))
	}
	server := httptest.NewServer(a.handler)
	defer server.Close()
	get := func(path string) (int, []byte, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/fhir"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, nil, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return answer.StatusCode, body, err
	}
	status, body, err := get("/Patient/ada/$everything")
	if err != nil || status != 200 {
		t.Fatalf("status %d: %v", status, err)
	}
	if n := len(searchsetOf(t, body).Entry); n != 11 {
		t.Errorf("%d entries, want 11", n)
	}
	// Where the failing search stands decides whether something was sent before.
	members, err := a.server.Registry.CompartmentTypes("Patient")
	if err != nil {
		t.Fatal(err)
	}
	broken.left.Store(int64(len(members)) - 2)
	if status, body, err := get("/Patient/ada/$everything"); err == nil {
		t.Errorf("the answer ends as if it were whole: status %d, %d bytes", status, len(body))
	} else if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(a.log.String(), "cut off") {
		t.Errorf("the log does not tell: %s", a.log)
	}
	broken.left.Store(0)
	if status, body, err := get("/Patient/ada/$everything"); err != nil || status != 503 {
		t.Errorf("status %d, error %v: %s", status, err, body)
	}
	// What is wanted whole is answered with the error.
	broken.left.Store(int64(len(members)) - 2)
	if status, body, err := get("/Patient/ada/$everything?_pretty=true"); err != nil || status != 503 {
		t.Errorf("status %d, error %v: %s", status, err, body)
	}
}

// TestEverythingTooLarge: what must be held whole has a limit.
func TestEverythingTooLarge(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Limits.Answer = 4096 })
	a.chart()
	if rec := a.do(call{"GET", "/Patient/ada/$everything", nil, ""}); rec.Code != 200 {
		t.Errorf("streamed: status %d", rec.Code)
	}
	rec := a.do(call{"GET", "/Patient/ada/$everything?_pretty=true", nil, ""})
	if rec.Code != 400 || !strings.Contains(rec.Body.String(), "too-costly") {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	rec = a.do(call{"POST", "", nil, bundleOf("batch", entryOf("", "GET", "Patient/ada/$everything", ""))})
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), "too-costly") {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if rec := a.do(call{"HEAD", "/Patient/ada/$everything", nil, ""}); rec.Code != 200 || rec.Body.Len() > 0 {
		t.Errorf("HEAD: status %d: %s", rec.Code, rec.Body)
	}
}

// TestEverythingXML: another format is made of the whole.
func TestEverythingXML(t *testing.T) {
	a := newAPI(t)
	a.chart()
	rec := a.must("GET", "/Patient/ada/$everything?_format=xml", "")
	if got := rec.Header().Get("Content-Type"); !strings.HasPrefix(got, fhirXML) || !strings.HasPrefix(rec.Body.String(), "<") {
		t.Errorf("Content-Type %q: %.100s", got, rec.Body)
	}
}

// BenchmarkEverything streams a record of 20,000 observations; the figure to look
// at is resources a second.
func BenchmarkEverything(b *testing.B) {
	a := newAPI(b)
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Practitioner/dr", `{"resourceType":"Practitioner","id":"dr"}`)
	const all, batch = 20_000, 1000
	for from := 0; from < all; from += batch {
		entries := make([]string, batch)
		for i := range entries {
			id := "o-" + strconv.Itoa(from+i)
			body := strings.Replace(vital(id, "29463-7", "2025-01-01", "71.50", "kg"), `"status"`, `"performer":[{"reference":"Practitioner/dr"}],"status"`, 1)
			entries[i] = entryOf("", "PUT", "Observation/"+id, body)
		}
		a.must("POST", "", bundleOf("transaction", entries...))
	}
	b.ResetTimer()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/fhir/Patient/ada/$everything", nil)
		out := &counting{header: http.Header{}}
		a.handler.ServeHTTP(out, r)
		if out.status != 200 || out.size < all*300 {
			b.Fatalf("status %d, %d bytes", out.status, out.size)
		}
	}
	b.ReportMetric(float64(all)*float64(b.N)/b.Elapsed().Seconds(), "resources/s")
}

// counting is a response writer that keeps nothing.
type counting struct {
	header http.Header
	status int
	size   int
}

func (c *counting) Header() http.Header    { return c.header }
func (c *counting) WriteHeader(status int) { c.status = status }
func (c *counting) Write(p []byte) (int, error) {
	c.size += len(p)
	return len(p), nil
}
