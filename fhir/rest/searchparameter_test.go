package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// withDefiner makes a server index what clients define.
func withDefiner(cfg *Config) { cfg.Definer, _ = cfg.Store.(store.Definer) }

// defining is an api that indexes what clients define once told to.
func defining(t *testing.T, change ...func(*Config)) *api {
	t.Helper()
	return newAPI(t, append([]func(*Config){withDefiner}, change...)...)
}

// index does what KeepIndex does when something is pending.
func (a *api) index() {
	a.tb.Helper()
	if err := a.server.indexPending(a.tb.Context(), func(Indexing) {}); err != nil {
		a.tb.Fatal(err)
	}
}

// parameter is a SearchParameter of Patient.
func parameter(id, expression string, members ...string) string {
	return fmt.Sprintf(`{"resourceType":"SearchParameter","id":%[1]q,"url":"http://example.org/%[1]s","name":"n","status":"active","description":"d","code":%[1]q,"base":["Patient"],"type":"token","expression":%[2]q%[3]s}`,
		id, expression, strings.Join(members, ""))
}

func coloured(id, colour string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"extension":[{"url":"http://example.org/eye","valueCode":%q}]}`, id, colour)
}

const eyes = "Patient.extension('http://example.org/eye').value"

// matches is how many resources a search finds, -1 if it fails.
func (a *api) matches(path string) int {
	a.tb.Helper()
	rec := a.do(call{"GET", path, nil, ""})
	if rec.Code != 200 {
		return -1
	}
	var bundle struct{ Total int }
	if err := json.Unmarshal(rec.Body.Bytes(), &bundle); err != nil {
		a.tb.Fatal(err)
	}
	return bundle.Total
}

// says checks an answer's status and that its body has some text.
func says(t *testing.T, rec *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	if rec.Code != status || !strings.Contains(rec.Body.String(), text) {
		t.Errorf("status %d, want %d with %q: %s", rec.Code, status, text, rec.Body)
	}
	if rec.Body.Len() > 0 {
		valid(t, rec.Body.Bytes())
	}
}

// TestASearchParametersLife follows a definition from its creation to its end.
func TestASearchParametersLife(t *testing.T) {
	a := defining(t)
	for i := range 5 {
		a.must("PUT", fmt.Sprintf("/Patient/old%d", i), coloured(fmt.Sprintf("old%d", i), []string{"blue", "green"}[i%2]))
	}
	says(t, a.do(call{"GET", "/Patient?eye=blue", nil, ""}), 400, "not a search parameter of Patient")

	a.must("PUT", "/SearchParameter/eye", parameter("eye", eyes))
	a.must("PUT", "/Patient/new", coloured("new", "blue"))
	for _, headers := range [][]string{nil, {"Prefer: handling=lenient"}} {
		rec := a.do(call{"GET", "/Patient?eye=blue", headers, ""})
		says(t, rec, 503, "still being indexed, 0 of 5 resources")
		if rec.Header().Get("Retry-After") == "" {
			t.Error("nothing says when to come back")
		}
	}
	says(t, a.do(call{"GET", "/SearchParameter/eye/$status", nil, ""}), 200, `"indexing"`)
	if statement := a.must("GET", "/metadata", "").Body.String(); strings.Contains(statement, "http://example.org/eye") {
		t.Error("the CapabilityStatement has it before it can be searched by")
	}

	a.index()
	says(t, a.do(call{"GET", "/SearchParameter/eye/$status", nil, ""}), 200, `"ready"`)
	if got := a.matches("/Patient?eye=blue&_total=accurate"); got != 4 {
		t.Errorf("%d have blue eyes, want 4", got)
	}
	if got := a.matches("/Patient?eye:missing=true&_total=accurate"); got != 0 {
		t.Errorf("%d have none", got)
	}
	if statement := a.must("GET", "/metadata", "").Body.String(); !strings.Contains(statement, "http://example.org/eye") {
		t.Error("the CapabilityStatement has not got it")
	}
	a.must("PUT", "/Patient/new", coloured("new", "green"))
	if got := a.matches("/Patient?eye=blue&_total=accurate"); got != 3 {
		t.Errorf("%d have blue eyes after one has changed, want 3", got)
	}
	a.must("PUT", "/Patient?eye=nobody", `{"resourceType":"Patient","active":true}`)

	// Another expression is indexed anew.
	a.must("PUT", "/SearchParameter/eye", parameter("eye", "Patient.gender"))
	says(t, a.do(call{"GET", "/Patient?eye=blue", nil, ""}), 503, "still being indexed")
	a.index()
	if got := a.matches("/Patient?eye=blue&_total=accurate"); got != 0 {
		t.Errorf("%d are found by the expression before", got)
	}

	// Another text about it is not.
	a.must("PUT", "/SearchParameter/eye", parameter("eye", "Patient.gender", `,"purpose":"to tell people"`))
	says(t, a.do(call{"GET", "/Patient?eye=blue", nil, ""}), 200, "searchset")

	a.must("PATCH", "/SearchParameter/eye", `[{"op":"replace","path":"/status","value":"retired"}]`, "Content-Type: application/json-patch+json")
	says(t, a.do(call{"GET", "/Patient?eye=blue", nil, ""}), 400, "not a search parameter of Patient")
	says(t, a.do(call{"GET", "/SearchParameter/eye/$status", nil, ""}), 200, `"inactive"`)
	a.must("PUT", "/SearchParameter/eye", parameter("eye", eyes))
	a.index()
	if got := a.matches("/Patient?eye=green&_total=accurate"); got != 3 {
		t.Errorf("%d have green eyes, want 3", got)
	}
	a.must("DELETE", "/SearchParameter/eye", "")
	says(t, a.do(call{"GET", "/Patient?eye=blue", nil, ""}), 400, "not a search parameter of Patient")
	says(t, a.do(call{"GET", "/SearchParameter/eye/$status", nil, ""}), 410, "deleted")
	a.index()
	if d, err := a.server.Definer.Definitions(t.Context()); err != nil || len(d.Pending) > 0 {
		t.Errorf("definitions %+v, %v", d, err)
	}
}

// TestSearchParametersThatCannotBeUsed are refused, and nothing is written.
func TestSearchParametersThatCannotBeUsed(t *testing.T) {
	a := defining(t)
	a.must("PUT", "/SearchParameter/eye", parameter("eye", eyes))
	for _, test := range []struct {
		name string
		call call
		text string
	}{
		{"an element there is none of", call{"PUT", "/SearchParameter/x", nil, parameter("x", "Patient.eyes")}, `has no element \"eyes\"`},
		{"a function nobody understands", call{"POST", "/SearchParameter", nil, parameter("x", "Patient.name.first()")}, "the function first() is not understood"},
		{"a name of FHIR's own", call{"PUT", "/SearchParameter/gender", nil, parameter("gender", "Patient.contact.gender")}, "FHIR's own"},
		{"a composite", call{"POST", "/SearchParameter", nil, strings.Replace(parameter("x", "Patient"), `"token"`, `"composite"`, 1)}, "composite"},
		{"a name that is taken", call{"PUT", "/SearchParameter/two", nil, strings.Replace(parameter("two", "Patient.gender"), `"code":"two"`, `"code":"eye"`, 1)}, "has a search parameter eye already"},
		{"a url that is taken", call{"PUT", "/SearchParameter/two", nil, strings.Replace(parameter("two", "Patient.gender"), "example.org/two", "example.org/eye", 1)}, "has this url"},
		{"a patch", call{"PATCH", "/SearchParameter/eye", []string{"Content-Type: application/json-patch+json"}, `[{"op":"replace","path":"/expression","value":"Patient.eyes"}]`}, `has no element \"eyes\"`},
		{"one of a transaction", call{"POST", "", nil, bundleOf("transaction", entryOf("", "PUT", "Patient/p", coloured("p", "blue")), entryOf("", "PUT", "SearchParameter/x", parameter("x", "Patient.eyes")))}, "Bundle.entry[1].resource.expression"},
		{"two of a transaction with one name", call{"POST", "", nil, bundleOf("transaction", entryOf("", "PUT", "SearchParameter/x", parameter("x", "Patient.gender")),
			entryOf("", "PUT", "SearchParameter/y", strings.Replace(parameter("y", "Patient.gender"), `"code":"y"`, `"code":"x"`, 1)))}, "already"},
	} {
		t.Run(test.name, func(t *testing.T) { says(t, a.do(test.call), 422, test.text) })
	}
	if got := a.matches("/SearchParameter?_total=accurate"); got != 1 {
		t.Errorf("%d are stored", got)
	}
	if got := a.matches("/Patient?_total=accurate"); got != 0 {
		t.Errorf("%d patients are stored", got)
	}
	// What has no effect is not judged.
	a.must("PUT", "/SearchParameter/x", strings.Replace(parameter("x", "Patient.eyes"), "active", "draft", 1))
	// FHIR's own definitions can be stored.
	a.must("PUT", "/SearchParameter/individual-gender", `{"resourceType":"SearchParameter","id":"individual-gender","url":"http://hl7.org/fhir/SearchParameter/individual-gender","name":"gender","status":"active","description":"d","code":"gender","base":["Patient"],"type":"token","expression":"Patient.gender"}`)
	says(t, a.do(call{"GET", "/SearchParameter/individual-gender/$status", nil, ""}), 200, "built-in")
}

// TestATransactionDefinesAndUses: what comes with a definition is indexed by it.
func TestATransactionDefinesAndUses(t *testing.T) {
	a := defining(t)
	a.must("POST", "", bundleOf("transaction",
		entryOf("", "PUT", "Patient/p", coloured("p", "blue")), entryOf("", "PUT", "SearchParameter/eye", parameter("eye", eyes)),
		entryOf("", "PUT", "SearchParameter/shoe", parameter("shoe", "Patient.extension('http://example.org/shoe').value"))))
	a.index()
	if got := a.matches("/Patient?eye=blue&shoe:missing=true&_total=accurate"); got != 1 {
		t.Errorf("%d are found", got)
	}
	// One name can go from one definition to another.
	a.must("POST", "", bundleOf("transaction", entryOf("", "DELETE", "SearchParameter/eye", ""),
		entryOf("", "PUT", "SearchParameter/other", strings.Replace(parameter("other", eyes), `"code":"other"`, `"code":"eye"`, 1))))
	a.index()
	if got := a.matches("/Patient?eye=blue&_total=accurate"); got != 1 {
		t.Errorf("%d are found by the other definition", got)
	}
}

// TestWhoMayDefine: what is limited to a patient may not, nor who only reads.
func TestWhoMayDefine(t *testing.T) {
	made, err := parts()
	if err != nil {
		t.Fatal(err)
	}
	const everything = search.CanCreate | search.CanRead | search.CanUpdate | search.CanDelete | search.CanSearch
	for _, test := range []struct {
		name   string
		grant  search.Grant
		status int
	}{
		{"who may do everything", search.Grant{Type: "*", Rights: everything}, 201},
		{"who may write search parameters", search.Grant{Type: "SearchParameter", Rights: everything}, 201},
		{"a patient's app", search.Grant{Type: "*", Rights: everything, Patient: "ada"}, 403},
		{"who may only read", search.Grant{Type: "*", Rights: search.CanRead | search.CanSearch}, 403},
		{"who may write patients", search.Grant{Type: "Patient", Rights: everything}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			access := made.registry.Access(test.grant)
			a := defining(t, func(cfg *Config) {
				cfg.Authorize = func(echo.Context) (search.Access, error) { return access, nil }
			})
			if rec := a.do(call{"PUT", "/SearchParameter/eye", nil, parameter("eye", eyes)}); rec.Code != test.status {
				t.Errorf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			if d, err := a.server.Definer.Definitions(t.Context()); err != nil || (len(d.Pending) > 0) != (test.status == 201) {
				t.Errorf("definitions %+v, %v", d, err)
			}
		})
	}
}

// TestHowFarTheIndexIsIsNotToldToALimitedCaller: it tells of others' data.
func TestHowFarTheIndexIsIsNotToldToALimitedCaller(t *testing.T) {
	made, err := parts()
	if err != nil {
		t.Fatal(err)
	}
	access := search.FullAccess()
	a := defining(t, func(cfg *Config) {
		cfg.Authorize = func(echo.Context) (search.Access, error) { return access, nil }
	})
	a.must("PUT", "/Patient/ada", coloured("ada", "blue"))
	a.must("PUT", "/Patient/bea", coloured("bea", "blue"))
	a.must("PUT", "/SearchParameter/eye", parameter("eye", eyes))
	ask := func() string {
		return a.do(call{"GET", "/Patient?eye=blue", nil, ""}).Body.String() + a.do(call{"GET", "/SearchParameter/eye/$status", nil, ""}).Body.String()
	}
	if text := ask(); !strings.Contains(text, "0 of 2") || !strings.Contains(text, `"total"`) {
		t.Errorf("who sees all is told %s", text)
	}
	access = made.registry.Access(search.Grant{Type: "*", Rights: search.CanRead | search.CanSearch, Patient: "ada"})
	before := ask()
	if !strings.Contains(before, "still being indexed") || strings.Contains(before, `"total"`) {
		t.Errorf("a patient's app is told %s", before)
	}
	access = search.FullAccess()
	a.must("PUT", "/SearchParameter/eye-2", parameter("eye-2", eyes)) // counts anew
	a.must("PUT", "/Patient/cyd", coloured("cyd", "blue"))
	access = made.registry.Access(search.Grant{Type: "*", Rights: search.CanRead | search.CanSearch, Patient: "ada"})
	if after := ask(); after != before {
		t.Errorf("with another patient stored a patient's app is told %s, before %s", after, before)
	}
}

// TestServersOfOneStoreLearnOfDefinitions: a server that has not heard of a
// definition neither writes without its entries nor answers half.
func TestServersOfOneStoreLearnOfDefinitions(t *testing.T) {
	a := defining(t)
	cfg := a.server.Config
	other, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	e.HTTPErrorHandler = other.HandleError
	other.Register(e.Group("/fhir"))
	b := &api{tb: t, server: other, handler: e, log: a.log, frozen: a.frozen}

	a.must("PUT", "/SearchParameter/eye", parameter("eye", eyes))
	a.index()
	b.must("PUT", "/Patient/p", coloured("p", "blue")) // it learns by being refused
	if got := a.matches("/Patient?eye=blue&_total=accurate"); got != 1 {
		t.Errorf("%d are found of what the other server wrote", got)
	}
	if got := b.matches("/Patient?eye=blue&_total=accurate"); got != 1 {
		t.Errorf("the other server finds %d", got)
	}
	a.must("DELETE", "/SearchParameter/eye", "")
	a.must("PUT", "/Patient/q", coloured("q", "blue"))
	says(t, b.do(call{"GET", "/Patient?eye=blue", nil, ""}), 400, "not a search parameter")

	// It is defined again, and only one of them knows that it is not ready.
	a.must("PUT", "/SearchParameter/eye", parameter("eye", eyes))
	a.index()
	if err := other.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.must("DELETE", "/SearchParameter/eye", "")
	a.must("PUT", "/SearchParameter/eye", parameter("eye", eyes))
	says(t, b.do(call{"GET", "/Patient?eye=blue", nil, ""}), 503, "still being indexed")
	a.index()
	if err := other.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.matches("/Patient?eye=blue&_total=accurate"); got != 2 {
		t.Errorf("the other server finds %d, want 2", got)
	}
}

// TestDefinitionsAmongWrites: whatever is written while a parameter is defined and
// indexed, it finds all in the end.
func TestDefinitionsAmongWrites(t *testing.T) {
	a := defining(t)
	const writers, each = 6, 25
	ctx, stop := context.WithCancel(t.Context())
	var indexing, all sync.WaitGroup
	indexing.Go(func() { a.server.KeepIndex(ctx, nil) })
	var failed atomic.Int64
	for w := range writers {
		all.Go(func() {
			for i := range each {
				id := fmt.Sprintf("p%d-%d", w, i)
				if rec := a.do(call{"PUT", "/Patient/" + id, nil, coloured(id, "blue")}); rec.Code != 201 {
					failed.Add(1)
					t.Errorf("status %d: %s", rec.Code, rec.Body)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 4 {
			id := fmt.Sprintf("eye%d", i)
			if rec := a.do(call{"PUT", "/SearchParameter/" + id, nil, parameter(id, eyes)}); rec.Code != 201 {
				t.Errorf("status %d: %s", rec.Code, rec.Body)
			}
		}
	})
	all.Wait()
	a.index()
	stop()
	indexing.Wait()
	for i := range 4 {
		if got := a.matches(fmt.Sprintf("/Patient?eye%d=blue&_total=accurate&_count=1", i)); got != writers*each {
			t.Errorf("%d are found by eye%d, want %d", got, i, writers*each)
		}
	}
}

// TestWithoutADefiner: definitions are stored and have no effect.
func TestWithoutADefiner(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/SearchParameter/eye", parameter("eye", eyes))
	says(t, a.do(call{"GET", "/Patient?eye=blue", nil, ""}), 400, "not a search parameter")
	says(t, a.do(call{"GET", "/SearchParameter/eye/$status", nil, ""}), 200, "unsupported")
}
