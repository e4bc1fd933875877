package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
)

func TestCompartments(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	form := []string{"Content-Type: application/x-www-form-urlencoded"}
	for _, test := range []struct {
		name string
		call call
		want []string
	}{
		{"a type in a patient's record", call{"GET", "/Patient/ada/Observation", nil, ""}, []string{"Observation/a1", "Observation/a2"}},
		{"with criteria", call{"GET", "/Patient/ada/Observation?encounter=visit&code=1-8", nil, ""}, []string{"Observation/a1"}},
		{"by form", call{"POST", "/Patient/ada/Observation/_search", form, "encounter=visit"}, []string{"Observation/a1"}},
		{"everything in it", call{"GET", "/Patient/ada/*", nil, ""}, []string{"Encounter/visit", "Observation/a1", "Observation/a2", "Patient/ada"}},
		{"everything of some types", call{"GET", "/Patient/ada/*?_type=Encounter,Patient", nil, ""}, []string{"Encounter/visit", "Patient/ada"}},
		{"everything by form", call{"POST", "/Patient/ada/_search", form, "_type=Encounter"}, []string{"Encounter/visit"}},
		{"of an encounter", call{"GET", "/Encounter/visit/Observation", nil, ""}, []string{"Observation/a1"}},
		{"of a practitioner", call{"GET", "/Practitioner/doc/Observation?_sort=_id", nil, ""}, []string{"Observation/a1"}},
		{"a practitioner's patients", call{"GET", "/Practitioner/doc/Patient", nil, ""}, []string{"Patient/ada"}},
		{"nobody else's", call{"GET", "/Patient/bea/Observation?_id=a1", nil, ""}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := a.shown(test.call)
			if !slices.Equal(got.of("match"), test.want) {
				t.Errorf("found %v, want %v", got.of("match"), test.want)
			}
			if self := got.link("self"); !strings.HasPrefix(self, "/Patient/") && !strings.HasPrefix(self, "/Encounter/") && !strings.HasPrefix(self, "/Practitioner/") {
				t.Errorf("self is %s", self)
			}
		})
	}
}

func TestCompartmentsAreRefused(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	a.must("PUT", "/Patient/gone", `{"resourceType":"Patient","id":"gone"}`)
	a.must("DELETE", "/Patient/gone", "")
	for _, test := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/Patient/nobody/Observation", http.StatusNotFound, "there is no Patient/nobody"},
		{"GET", "/Patient/gone/*", http.StatusGone, "was deleted"},
		{"GET", "/Patient/a_b/Observation", http.StatusBadRequest, "is not a resource id"},
		{"GET", "/Patient/ada/Organization", http.StatusBadRequest, "is not in the Patient compartment"},
		{"GET", "/Patient/ada/Observatoin", http.StatusNotFound, "did you mean Observation"},
		{"GET", "/Observation/a1/Patient", http.StatusNotFound, "no interaction"},
		{"GET", "/Patient/ada/Observation?nonsense=1", http.StatusBadRequest, "nonsense"},
		{"PUT", "/Patient/ada/Observation", http.StatusMethodNotAllowed, "GET, HEAD, OPTIONS"},
	} {
		rec := a.do(call{method: test.method, path: test.path})
		if rec.Code != test.status || !strings.Contains(rec.Body.String(), test.says) {
			t.Errorf("%s %s: status %d, want %d: %s", test.method, test.path, rec.Code, test.status, rec.Body)
		}
	}
	if rec := a.do(call{method: "HEAD", path: "/Patient/ada/Observation"}); rec.Code != http.StatusOK || rec.Body.Len() > 0 {
		t.Errorf("HEAD: status %d, %d bytes", rec.Code, rec.Body.Len())
	}
}

// TestCompartmentPages: the links of a compartment's pages stay in it, in a batch
// too.
func TestCompartmentPages(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	first := a.shown(call{"GET", "/Patient/ada/Observation?_count=1&_sort=_id", nil, ""})
	next := first.link("next")
	if !strings.HasPrefix(next, "/Patient/ada/Observation?") {
		t.Fatalf("next is %q", next)
	}
	if second := a.shown(call{"GET", next, nil, ""}); !slices.Equal(second.of("match"), []string{"Observation/a2"}) {
		t.Errorf("the second page has %v", second.of("match"))
	}
	if rec := a.do(call{method: "GET", path: strings.Replace(next, "/Patient/ada/", "/Patient/bea/", 1)}); rec.Code != http.StatusBadRequest {
		t.Errorf("the cursor of one compartment in another: status %d", rec.Code)
	}
	rec := a.must("POST", "", bundleOf("batch", entryOf("", "GET", "Patient/ada/Observation?encounter=visit", ""), entryOf("", "GET", "Patient/nobody/*", "")))
	if body := rec.Body.String(); strings.Count(body, `"mode":"match"`) != 1 || !strings.Contains(body, "404 Not Found") {
		t.Errorf("in a batch: %s", body)
	}
	found, _, err := a.server.Query(t.Context(), search.FullAccess(), "Patient/ada/Observation?code=1-8")
	if err != nil || len(found) != 2 {
		t.Errorf("in process: %d, %v", len(found), err)
	}
}

// TestCompartmentsOfOthers: whose resource is not visible has no compartment.
func TestCompartmentsOfOthers(t *testing.T) {
	limited, observations := scoped(t, "patient/*.rs"), scoped(t, "patient/Observation.rs")
	a := newAPI(t, func(c *Config) {
		c.Authorize = func(c echo.Context) (search.Access, error) {
			switch c.Request().Header.Get("Scopes") {
			case "limited":
				return limited, nil
			case "observations":
				return observations, nil
			}
			return search.FullAccess(), nil
		}
	})
	a.hospital()
	absent := a.do(call{"GET", "/Patient/nobody/Observation", []string{"Scopes: limited"}, ""})
	hidden := a.do(call{"GET", "/Patient/bea/Observation", []string{"Scopes: limited"}, ""})
	if hidden.Code != http.StatusNotFound || strings.ReplaceAll(hidden.Body.String(), "bea", "nobody") != absent.Body.String() {
		t.Errorf("another patient's: status %d: %s, and absent: %s", hidden.Code, hidden.Body, absent.Body)
	}
	if got := a.shown(call{"GET", "/Patient/ada/*", []string{"Scopes: limited"}, ""}); len(got.of("match")) != 4 {
		t.Errorf("the own record: %v", got.of("match"))
	}
	if got := a.shown(call{"GET", "/Practitioner/doc/Observation", []string{"Scopes: limited"}, ""}); !slices.Equal(got.of("match"), []string{"Observation/a1"}) {
		t.Errorf("a practitioner's: %v", got.of("match"))
	}
	for _, path := range []string{"/Patient/ada/Condition", "/Patient/ada/Observation"} {
		if rec := a.do(call{"GET", path, []string{"Scopes: observations"}, ""}); rec.Code == http.StatusOK {
			t.Errorf("%s without the right to the patient or the type: status %d", path, rec.Code)
		}
	}
}
