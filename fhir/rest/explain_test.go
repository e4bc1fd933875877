package rest

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
)

func TestExplain(t *testing.T) {
	limited, typed := scoped(t, "patient/*.rs"), scoped(t, "system/Observation.rs")
	a := newAPI(t, func(c *Config) {
		c.Explain = true
		c.Authorize = func(c echo.Context) (search.Access, error) {
			switch c.Request().Header.Get("Scopes") {
			case "limited":
				return limited, nil
			case "typed":
				return typed, nil
			}
			return search.FullAccess(), nil
		}
	})
	a.hospital()
	for query, want := range map[string][]string{
		"/Observation?patient=ada&code=1-8&_explain=true":          {"searched in", "Observation: ", "patient (", "code (", "looked at"},
		"/Observation?subject:Patient.active=true&_explain=true":   {"subject:Patient(active)"},
		"/Patient?_has:Observation:subject:code=1-8&_explain=true": {"_has:Observation:subject(code)"},
		"/Observation?code:not=1-8&_explain=true":                  {"not code"},
	} {
		got := a.shown(call{"GET", query, nil, ""})
		for _, text := range want {
			if !strings.Contains(got.told(), text) {
				t.Errorf("%s: %q is not told in: %s", query, text, got.told())
			}
		}
		if strings.Contains(got.told(), "1-8") || strings.Contains(got.told(), "ada") {
			t.Errorf("%s: a value is told: %s", query, got.told())
		}
		if plain := a.shown(call{"GET", strings.Replace(query, "&_explain=true", "", 1), nil, ""}); len(plain.of("match")) != len(got.of("match")) || plain.told() != "" {
			t.Errorf("%s: the answer differs: %v", query, got.of("match"))
		}
	}
	for _, test := range []struct {
		scopes, query string
		status        int
	}{
		{"limited", "/Observation?code=1-8&_explain=true", http.StatusForbidden},
		{"limited", "/Observation?code=1-8&_explain=false", http.StatusOK},
		{"typed", "/Observation?code=1-8&_explain=true", http.StatusOK},
		{"typed", "/Observation?subject:Patient.active=true&_explain=true", http.StatusForbidden},
		{"typed", "?_id=a1&_explain=true", http.StatusForbidden},
		{"typed", "/Observation?code=1-8&_contained=true&_explain=true", http.StatusForbidden},
		{"typed", "/Observation?code=1-8&_contained=both&_explain=true", http.StatusForbidden},
	} {
		if rec := a.do(call{"GET", test.query, []string{"Scopes: " + test.scopes}, ""}); rec.Code != test.status {
			t.Errorf("%s, %s: status %d, want %d: %s", test.scopes, test.query, rec.Code, test.status, rec.Body)
		}
	}
	off := newAPI(t)
	if rec := off.do(call{method: "GET", path: "/Observation?_explain=true"}); rec.Code != http.StatusBadRequest {
		t.Errorf("without the setting: status %d", rec.Code)
	}
}

// TestSlowSearches: what takes long is logged, without values and not without end.
func TestSlowSearches(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var now atomic.Int64 // goes on with every look
	var step time.Duration
	a := newAPI(t, func(c *Config) {
		c.SlowQuery = time.Second
		c.Clock = func() time.Time { return start.Add(time.Duration(now.Add(int64(step)))) }
	})
	a.hospital()
	const query = "/Observation?subject:Patient.identifier=http://secret.example|secret&code=secret&_sort=_id&_include=Observation:subject"
	a.must("GET", query, "")
	if log := a.log.String(); strings.Contains(log, "slow") {
		t.Errorf("nothing was slow: %s", log)
	}
	step = time.Second
	a.must("GET", query, "")
	log := a.log.String()
	for _, want := range []string{"slow search", `route="GET /:type"`, "type=Observation", "subject:Patient.identifier code _sort _include", "plan=", "looked=", "seconds=1", "request=test"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log: %s", want, log)
		}
	}
	if strings.Contains(log, "secret") {
		t.Errorf("a value is in the log: %s", log)
	}
	if strings.Count(log, "slow search") != 1 {
		t.Errorf("one search is logged %d times", strings.Count(log, "slow search"))
	}
	if strings.Contains(log, "Observation: ") || !strings.Contains(log, "unknown; that of the next") {
		t.Errorf("the plan of the first one: %s", log)
	}
	// The next one like it is explained, and no other.
	a.must("GET", strings.Replace(query, "&_sort=_id", "", 1), "")
	a.must("GET", strings.Replace(query, "code=secret", "code=other-secret", 1), "")
	log = a.log.String()
	if strings.Count(log, "unknown; that of the next") != 2 || strings.Count(log, "Observation: ") != 1 || strings.Contains(log, "secret") {
		t.Errorf("the plan of the next one: %s", log)
	}
	before := strings.Count(log, "slow search")
	// Many in one minute are told in part.
	a.server.slow.told = maxSlowTold
	a.server.slow.since = start.Add(time.Duration(now.Load()))
	for range 3 {
		a.must("GET", query, "")
	}
	if n := strings.Count(a.log.String(), "slow search"); n != before {
		t.Errorf("%d more are logged", n-before)
	}
	now.Add(int64(2 * time.Minute))
	a.must("GET", query, "")
	if log := a.log.String(); !strings.Contains(log, "not_told=3") {
		t.Errorf("those left out are not told: %s", log)
	}
}
