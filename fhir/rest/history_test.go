package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
)

// versions lists what a history shows on all its pages, as "Type/id version".
func (a *api) versions(path string) (all []string, pages int) {
	a.tb.Helper()
	for path != "" {
		rec := a.must("GET", path, "")
		valid(a.tb, rec.Body.Bytes())
		root, err := resource.Decode(rec.Body.Bytes())
		if err != nil {
			a.tb.Fatal(err)
		}
		for _, entry := range root.List("entry") {
			etag := entry.Path("response", "etag").Text
			all = append(all, strings.TrimPrefix(entry.Str("fullUrl"), testBase+"/")+" "+strings.Trim(strings.TrimPrefix(etag, "W/"), `"`))
		}
		path = ""
		for _, link := range root.List("link") {
			if link.Str("relation") == "next" {
				path = strings.TrimPrefix(link.Str("url"), testBase)
			}
		}
		if pages++; pages > 30 {
			a.tb.Fatal("the history does not end")
		}
	}
	return all, pages
}

// TestHistoryAt: what was current at some moment of a period, and nothing else.
// The clock of the tests goes on a second with each write: ada has versions of
// :06 and :07, bob is made at :08 and deleted at :09, the Observations are of :10
// and :11, each with .678 behind it.
func TestHistoryAt(t *testing.T) {
	a := newAPI(t)
	a.seed()
	for _, test := range []struct {
		path string
		want []string
	}{
		{"/Patient/_history?_at=2026-01-02T03:04:07.000Z", []string{"Patient/ada 1"}},
		{"/Patient/_history?_at=2026-01-02T03:04:07.678Z", []string{"Patient/ada 2"}},
		{"/Patient/_history?_at=2026-01-02T03:04:07Z", []string{"Patient/ada 2", "Patient/ada 1"}},
		{"/Patient/_history?_at=2026-01-02T03:04:06Z", []string{"Patient/ada 1"}},
		{"/Patient/_history?_at=2026-01-02T03:04:09Z", []string{"Patient/bob 2", "Patient/bob 1", "Patient/ada 2"}},
		{"/Patient/_history?_at=" + url.QueryEscape("2026-01-02T04:04:10+01:00"), []string{"Patient/bob 2", "Patient/ada 2"}},
		{"/Patient/_history?_at=2026-01-02T03:04Z", []string{"Patient/bob 2", "Patient/bob 1", "Patient/ada 2", "Patient/ada 1"}},
		{"/Patient/ada/_history?_at=2026-01-02", []string{"Patient/ada 2", "Patient/ada 1"}},
		{"/Patient/ada/_history?_at=2026-01", []string{"Patient/ada 2", "Patient/ada 1"}},
		{"/Patient/ada/_history?_at=2025", nil},
		{"/Patient/ada/_history?_at=2027", []string{"Patient/ada 2"}},
		{"/Patient/_history?_at=2026-01-02&_since=2026-01-02T03:04:08Z", []string{"Patient/bob 2", "Patient/bob 1"}},
		{"/_history?_at=2026-01-02T03:04:08Z", []string{"Patient/bob 1", "Patient/ada 2"}},
	} {
		for _, count := range []string{"", "&_count=1", "&_count=2"} {
			got, _ := a.versions(test.path + count)
			if !slices.Equal(got, test.want) {
				t.Errorf("%s%s: %v, want %v", test.path, count, got, test.want)
			}
		}
	}
	for _, path := range []string{"/Patient/_history?_at=soon", "/Patient/_history?_at=", "/Patient/_history?_cursor=.", "/Patient/_history?_cursor=~x", "/_history?_list=x"} {
		if rec := a.do(call{method: "GET", path: path}); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", path, rec.Code)
		}
	}
}

// TestHistoryAtLongAgo: what is newer than the period is passed over without end
// of pages or of patience.
func TestHistoryAtLongAgo(t *testing.T) {
	a := newAPI(t)
	a.seed()
	for range 40 {
		a.must("PUT", "/Patient/new", `{"resourceType":"Patient","id":"new"}`)
	}
	got, pages := a.versions("/_history?_at=2026-01-02T03:04:09Z&_count=2")
	if want := []string{"Patient/bob 2", "Patient/bob 1", "Patient/ada 2"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if pages < 3 || pages > 8 {
		t.Errorf("%d pages", pages)
	}
}
