package rest

import (
	"net/http"
	"strings"
	"testing"
)

func TestInteractions(t *testing.T) {
	const fhirType = "Content-Type: application/fhir+json; charset=utf-8"
	tests := []struct {
		name    string
		call    call
		status  int
		headers []string
		golden  string // "" wants no body
	}{
		{
			"read",
			call{"GET", "/Patient/ada", nil, ""},
			200,
			[]string{fhirType, `ETag: W/"2"`, "Last-Modified: Fri, 02 Jan 2026 03:04:07 GMT"},
			"read.json",
		},
		{"read keeps the digits of a number", call{"GET", "/Observation/weight", nil, ""}, 200, nil, "read-number.json"},
		{"read of what was never there", call{"GET", "/Patient/nobody", nil, ""}, 404, nil, "read-missing.json"},
		{"read of what was deleted", call{"GET", "/Patient/bob", nil, ""}, 410, nil, "read-deleted.json"},
		{"read with a bad id that was escaped twice", call{"GET", "/Patient/%2561da", nil, ""}, 400, nil, "read-escaped-twice.json"},
		{"read with an escaped id", call{"GET", "/Patient/%61da", nil, ""}, 200, nil, "read.json"},
		{"read with an escaped slash", call{"GET", "/Patient/..%2Fmetadata", nil, ""}, 400, nil, "read-escaped-slash.json"},
		{"read with a bad id", call{"GET", "/Patient/a_b", nil, ""}, 400, nil, "read-bad-id.json"},
		{"read of an unknown type", call{"GET", "/Pateint/ada", nil, ""}, 404, nil, "read-unknown-type.json"},
		{"read pretty", call{"GET", "/Patient/ada?_pretty=true", nil, ""}, 200, nil, "read.json"},
		{"read of some elements", call{"GET", "/Observation/weight?_elements=value", nil, ""}, 200, nil, "read-elements.json"},
		{"read with an unknown parameter", call{"GET", "/Patient/ada?name=x", nil, ""}, 400, nil, "read-parameter.json"},
		{"conditional read, unchanged", call{"GET", "/Patient/ada", []string{`If-None-Match: W/"1", W/"2"`}, ""}, 304, []string{`ETag: W/"2"`}, ""},
		{"conditional read, unquoted", call{"GET", "/Patient/ada", []string{"If-None-Match: 2"}, ""}, 304, nil, ""},
		{"conditional read, changed", call{"GET", "/Patient/ada", []string{`If-None-Match: W/"1"`}, ""}, 200, nil, "read.json"},
		{"conditional read, not since", call{"GET", "/Patient/ada", []string{"If-Modified-Since: Fri, 02 Jan 2026 03:04:07 GMT"}, ""}, 304, nil, ""},
		{"conditional read, since", call{"GET", "/Patient/ada", []string{"If-Modified-Since: Fri, 02 Jan 2026 03:04:06 GMT"}, ""}, 200, nil, "read.json"},
		{"head of a search", call{"HEAD", "/Patient?_id=ada", nil, ""}, 200, []string{fhirType}, ""},
		{"head of what was never there", call{"HEAD", "/Patient/nobody", nil, ""}, 404, nil, ""},
		{"head", call{"HEAD", "/Patient/ada", nil, ""}, 200, []string{`ETag: W/"2"`, fhirType}, ""},
		{"vread", call{"GET", "/Patient/ada/_history/1", nil, ""}, 200, []string{`ETag: W/"1"`}, "vread.json"},
		{"vread of a missing version", call{"GET", "/Patient/ada/_history/9", nil, ""}, 404, nil, "vread-missing.json"},
		{"vread of a version that is no number", call{"GET", "/Patient/ada/_history/x", nil, ""}, 404, nil, "vread-bad.json"},
		{"vread of a deletion", call{"GET", "/Patient/bob/_history/2", nil, ""}, 410, nil, "read-deleted.json"},

		{
			"create",
			call{"POST", "/Patient", nil, `{"resourceType":"Patient","id":"mine","meta":{"versionId":"7","tag":[{"code":"x"}]},"active":false}`},
			201,
			[]string{"Location: " + testBase + "/Patient/id-1/_history/1", `ETag: W/"1"`},
			"create.json",
		},
		{
			"create, minimal",
			call{"POST", "/Patient", []string{"Prefer: return=minimal"}, `{"resourceType":"Patient"}`},
			201,
			[]string{"Location: " + testBase + "/Patient/id-1/_history/1"},
			"",
		},
		{"create, outcome", call{"POST", "/Patient", []string{"Prefer: return=OperationOutcome"}, `{"resourceType":"Patient"}`}, 201, nil, "create-outcome.json"},
		{"create of another type than the URL's", call{"POST", "/Patient", nil, weight}, 400, nil, "create-other-type.json"},
		{"create without a type", call{"POST", "/Patient", nil, `{"active":true}`}, 400, nil, "create-no-type.json"},
		{"create of an unknown type", call{"POST", "/Patient", nil, `{"resourceType":"Pateint"}`}, 400, nil, "create-unknown-type.json"},
		{"create with several faults", call{"POST", "/Patient", nil, `{"resourceType":"Patient","active":"yes","birthDate":"10.12.1965","nme":1}`}, 400, nil, "create-invalid.json"},
		{"create of a collection", call{"POST", "/Bundle", nil, `{"resourceType":"Bundle","type":"collection"}`}, 201, nil, "create-bundle.json"},
		{
			"conditional create, found",
			call{"POST", "/Patient", []string{"If-None-Exist: identifier=http://hospital.example/mrn|1815"}, `{"resourceType":"Patient"}`},
			200,
			[]string{"Location: " + testBase + "/Patient/ada/_history/2", `ETag: W/"2"`},
			"read.json",
		},
		{
			"conditional create, not found",
			call{"POST", "/Patient", []string{"If-None-Exist: identifier=http://hospital.example/mrn|1816"}, `{"resourceType":"Patient"}`},
			201,
			[]string{"Location: " + testBase + "/Patient/id-1/_history/1"},
			"create-conditional.json",
		},
		{"conditional create, several found", call{"POST", "/Observation", []string{"If-None-Exist: code=29463-7"}, weight}, 412, nil, "conditional-multiple.json"},
		{"conditional create, whole URL", call{"POST", "/Patient", []string{"If-None-Exist: " + testBase + "/Patient?identifier=1815"}, `{"resourceType":"Patient"}`}, 200, nil, "read.json"},
		{"conditional create, empty header", call{"POST", "/Patient", []string{"If-None-Exist: "}, `{"resourceType":"Patient"}`}, 400, nil, "conditional-none.json"},
		{"conditional create, no criteria", call{"POST", "/Patient", []string{"If-None-Exist: _format=json"}, `{"resourceType":"Patient"}`}, 400, nil, "conditional-empty.json"},

		{"update", call{"PUT", "/Patient/ada", nil, adaV1}, 200, []string{`ETag: W/"3"`}, "update.json"},
		{
			"update that creates",
			call{"PUT", "/Patient/new.1", nil, `{"resourceType":"Patient","id":"new.1"}`},
			201,
			[]string{"Location: " + testBase + "/Patient/new.1/_history/1"},
			"update-create.json",
		},
		{"update of what was deleted", call{"PUT", "/Patient/bob", nil, bob}, 201, []string{`ETag: W/"3"`}, "update-again.json"},
		{"update with the right version", call{"PUT", "/Patient/ada", []string{`If-Match: W/"2"`}, adaV1}, 200, []string{`ETag: W/"3"`}, "update.json"},
		{"update with an old version", call{"PUT", "/Patient/ada", []string{`If-Match: W/"1"`}, adaV1}, 412, nil, "update-mismatch.json"},
		{"update with a strange version", call{"PUT", "/Patient/ada", []string{`If-Match: W/"abc"`}, adaV1}, 412, nil, "update-strange-version.json"},
		{"update of a version of nothing", call{"PUT", "/Patient/none", []string{`If-Match: W/"1"`}, `{"resourceType":"Patient","id":"none"}`}, 412, nil, "update-match-missing.json"},
		{"update only if there is none", call{"PUT", "/Patient/ada", []string{"If-None-Match: *"}, adaV1}, 412, nil, "update-exists.json"},
		{"update with another id", call{"PUT", "/Patient/ada", nil, bob}, 400, nil, "update-other-id.json"},
		{"update without an id", call{"PUT", "/Patient/ada", nil, `{"resourceType":"Patient"}`}, 400, nil, "update-no-id.json"},
		{"conditional update, found", call{"PUT", "/Patient?identifier=1815", nil, `{"resourceType":"Patient","active":false}`}, 200, []string{`ETag: W/"3"`}, "update-conditional.json"},
		{"conditional update, not found", call{"PUT", "/Patient?identifier=1816", nil, `{"resourceType":"Patient","active":false}`}, 201, nil, "update-conditional-none.json"},
		{
			"conditional update, not found, with an id",
			call{"PUT", "/Patient?identifier=1816", nil, `{"resourceType":"Patient","id":"own"}`},
			201,
			[]string{"Location: " + testBase + "/Patient/own/_history/1"},
			"update-conditional-id.json",
		},
		{"conditional update, not found, with a taken id", call{"PUT", "/Patient?identifier=1816", nil, adaV1}, 412, nil, "update-conditional-taken.json"},
		{"conditional update, other id", call{"PUT", "/Patient?identifier=1815", nil, bob}, 400, nil, "update-conditional-other.json"},
		{"conditional update, several found", call{"PUT", "/Observation?code=29463-7", nil, strings.Replace(weight, `"id":"weight",`, "", 1)}, 412, nil, "conditional-multiple.json"},
		{"conditional update without criteria", call{"PUT", "/Patient", nil, adaV1}, 400, nil, "conditional-none.json"},

		{"delete", call{"DELETE", "/Patient/ada", nil, ""}, 204, []string{`ETag: W/"3"`}, ""},
		{"delete again", call{"DELETE", "/Patient/bob", nil, ""}, 204, []string{`ETag: W/"2"`}, ""},
		{"delete of what was never there", call{"DELETE", "/Patient/nobody", nil, ""}, 204, nil, ""},
		{"delete with an old version", call{"DELETE", "/Patient/ada", []string{`If-Match: W/"1"`}, ""}, 412, nil, "update-mismatch.json"},
		{"delete with an outcome", call{"DELETE", "/Patient/ada", []string{"Prefer: return=OperationOutcome"}, ""}, 200, nil, "delete-outcome.json"},
		{"conditional delete, found", call{"DELETE", "/Patient?identifier=1815", nil, ""}, 204, []string{`ETag: W/"3"`}, ""},
		{"conditional delete, not found", call{"DELETE", "/Patient?identifier=1816", nil, ""}, 204, nil, ""},
		{"conditional delete, several found", call{"DELETE", "/Observation?code=29463-7", nil, ""}, 412, nil, "conditional-multiple.json"},
		{"conditional delete without criteria", call{"DELETE", "/Patient", nil, ""}, 400, nil, "conditional-none.json"},

		{"instance history", call{"GET", "/Patient/ada/_history", nil, ""}, 200, nil, "history.json"},
		{"instance history with a deletion", call{"GET", "/Patient/bob/_history", nil, ""}, 200, nil, "history-deleted.json"},
		{"instance history since", call{"GET", "/Patient/ada/_history?_since=2026-01-02T04:04:07+01:00", nil, ""}, 200, nil, "history-since.json"},
		{"instance history at", call{"GET", "/Patient/ada/_history?_at=2026-01-02T03:04:07Z", nil, ""}, 200, nil, "history-at.json"},
		{"type history", call{"GET", "/Patient/_history?_count=1000", nil, ""}, 200, nil, "history-type.json"},
		{"system history", call{"GET", "/_history?_since=2026-01-02T03:04:10Z", nil, ""}, 200, nil, "history-system.json"},
		{"history of nothing", call{"GET", "/Patient/nobody/_history", nil, ""}, 404, nil, "read-missing.json"},
		{"history with a bad parameter", call{"GET", "/Patient/ada/_history?_since=yesterday", nil, ""}, 400, nil, "history-bad.json"},
		{"instance history on a day", call{"GET", "/Patient/ada/_history?_at=2026-01-02", nil, ""}, 200, nil, "history-at-day.json"},
		{"instance history in a summary", call{"GET", "/Patient/ada/_history?_summary=true&_since=2026-01-02T03:04:07Z", nil, ""}, 200, nil, "history-summary.json"},
		{"history with an order", call{"GET", "/Patient/ada/_history?_sort=_lastUpdated", nil, ""}, 400, nil, "history-sort.json"},
		{"history with an unknown parameter", call{"GET", "/Patient/ada/_history?name=x", nil, ""}, 400, nil, "history-unknown.json"},

		{"operation", call{"GET", "/Patient/ada/$everythin", nil, ""}, 400, nil, "operation.json"},
		{
			"patch",
			call{"PATCH", "/Patient/ada", []string{"Content-Type: application/json-patch+json"}, "[]"},
			200,
			[]string{`ETag: W/"2"`},
			"patch.json",
		},
		{"post to a resource", call{"POST", "/Patient/ada", nil, adaV1}, 405, []string{"Allow: DELETE, GET, HEAD, OPTIONS, PATCH, PUT"}, "method.json"},
		{"get of _search", call{"GET", "/Patient/_search", nil, ""}, 405, []string{"Allow: OPTIONS, POST"}, "method-search.json"},
		{"too many slashes", call{"GET", "/Patient/ada/x/y", nil, ""}, 404, nil, "lost.json"},
		{"options", call{"OPTIONS", "/Patient/ada", nil, ""}, 204, []string{"Allow: DELETE, GET, HEAD, OPTIONS, PATCH, PUT"}, ""},
		{"the base", call{"GET", "", nil, ""}, 200, nil, "base.json"},
		{"the base with a slash", call{"GET", "/", nil, ""}, 200, nil, "base.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.seed()
			rec := a.do(test.call)
			check(t, rec, test.status, test.headers, test.golden)
			if got := rec.Header().Get("X-Request-Id"); got != "test" {
				t.Errorf("X-Request-Id is %q", got)
			}
		})
	}
}

func TestDeletedAndCreatedAgain(t *testing.T) {
	a := newAPI(t)
	a.seed()
	a.must("DELETE", "/Patient?identifier=1815", "")
	rec := a.must("POST", "/Patient", adaV1, "If-None-Exist: identifier=1815")
	if rec.Code != http.StatusCreated {
		t.Errorf("a conditional create after a deletion: status %d", rec.Code)
	}
}

func TestEveryRowIsRouted(t *testing.T) {
	a := newAPI(t)
	for _, row := range a.server.table {
		path := strings.NewReplacer(":type", "Patient", ":id", "x", ":version", "1", ":member", "Observation").Replace(row.Path)
		rec := a.do(call{method: row.Method, path: path})
		if rec.Code == http.StatusMethodNotAllowed || strings.Contains(rec.Body.String(), "no interaction") {
			t.Errorf("%s %s is not routed: %s", row.Method, row.Path, rec.Body)
		}
		if (row.Handle == nil) == (row.Write == nil) {
			t.Errorf("%s %s must have either Handle or Write", row.Method, row.Path)
		}
	}
}
