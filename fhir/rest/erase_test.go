package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
)

func TestEraseHistory(t *testing.T) {
	limited := scoped(t, "patient/*.cruds")
	a := newAPI(t, func(c *Config) {
		c.HistoryDelete = true
		c.Authorize = func(c echo.Context) (search.Access, error) {
			if c.Request().Header.Get("Scopes") == "limited" {
				return limited, nil
			}
			return search.FullAccess(), nil
		}
	})
	a.seed()
	for _, test := range []struct {
		name    string
		path    string
		headers []string
		status  int
	}{
		{"of nothing", "/Patient/nobody/_history", nil, http.StatusNotFound},
		{"with an old version", "/Patient/ada/_history", []string{`If-Match: W/"1"`}, http.StatusPreconditionFailed},
		{"by somebody limited", "/Patient/ada/_history", []string{"Scopes: limited"}, http.StatusForbidden},
		{"with the newest version", "/Patient/ada/_history", []string{`If-Match: W/"2"`}, http.StatusNoContent},
		{"again", "/Patient/ada/_history", []string{"Prefer: return=OperationOutcome"}, http.StatusOK},
		{"of what was deleted", "/Patient/bob/_history", nil, http.StatusNoContent},
	} {
		if rec := a.do(call{"DELETE", test.path, test.headers, ""}); rec.Code != test.status {
			t.Errorf("%s: status %d, want %d: %s", test.name, rec.Code, test.status, rec.Body)
		}
	}
	if rec := a.do(call{method: "GET", path: "/Patient/ada/_history/1"}); rec.Code != http.StatusNotFound {
		t.Errorf("the erased version: status %d", rec.Code)
	}
	if body := a.must("GET", "/Patient/ada/_history", "").Body.String(); strings.Count(body, `"fullUrl"`) != 1 {
		t.Errorf("the history: %s", body)
	}
	a.must("GET", "/Patient/ada", "")
	if rec := a.do(call{"POST", "", nil, bundleOf("transaction", entryOf("", "DELETE", "Patient/ada/_history", ""))}); rec.Code != http.StatusBadRequest {
		t.Errorf("in a transaction: status %d", rec.Code)
	}
	if rec := a.must("POST", "", bundleOf("batch", entryOf("", "DELETE", "Patient/ada/_history", ""))); !strings.Contains(rec.Body.String(), "204 No Content") {
		t.Errorf("in a batch: %s", rec.Body)
	}
	off := newAPI(t)
	off.seed()
	rec := off.do(call{method: "DELETE", path: "/Patient/ada/_history"})
	if rec.Code != http.StatusMethodNotAllowed || !strings.Contains(rec.Body.String(), "--history-delete") || rec.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("without the setting: status %d, allowed %q: %s", rec.Code, rec.Header().Get("Allow"), rec.Body)
	}
}
