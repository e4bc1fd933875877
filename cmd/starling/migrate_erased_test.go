package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/store/mongo/mongotest"
)

// erasedPast fills a store, removes histories in several ways, and defines a
// search parameter: what a copy must not stumble over.
func erasedPast(t *testing.T, where string) {
	t.Helper()
	server := serve(t, "--store", where, "--history-delete")
	define(t, server, "eye")
	for range 3 {
		colouredPatients(t, server, 0, 9) // what does not change makes a version too
	}
	do := func(method, path, body string) {
		if status, _, answer := server.do(method, fhirPath+path, body); status >= 300 {
			t.Fatalf("%s %s: status %d: %s", method, path, status, answer)
		}
	}
	do(http.MethodDelete, "/Patient/p1/_history", "") // begins at its last version
	do(http.MethodDelete, "/Patient/p2", "")
	do(http.MethodDelete, "/Patient/p2/_history", "") // is nothing but a deletion
	do(http.MethodDelete, "/Patient/p3/_history", "")
	colouredPatients(t, server, 3, 4) // goes on behind what is gone
	do(http.MethodDelete, "/Patient/p3", "")
	do(http.MethodDelete, "/Patient/p4/_history", "")
	colouredPatients(t, server, 4, 5)
	do(http.MethodDelete, "/Patient/p4/_history", "") // twice
	server.logs.wait(t, "search parameters are indexed")
	server.stop()
}

// TestMigrateErasedHistories copies a store with erased histories and a search
// parameter of a client into others. The first start of each copy has
// nothing to index, and check finds nothing.
func TestMigrateErasedHistories(t *testing.T) {
	from := t.TempDir()
	erasedPast(t, from)
	for i, to := range copyTargets(t) {
		if run := starling(t, "migrate", "--from", from, "--to", to); run.code != exitOK || !strings.Contains(run.stdout, "0 different") {
			t.Fatalf("copy %d: exit code %d\n%s\n%s", i, run.code, run.stdout, run.stderr)
		}
		if run := starling(t, "check", "--store", to); run.code != exitOK {
			t.Errorf("copy %d: check: %s%s", i, run.stdout, run.stderr)
		}
		server := serve(t, "--store", to, "--history-delete")
		if text := server.logs.all(); strings.Contains(text, "rebuilding the index") || strings.Contains(text, "indexing search parameters") {
			t.Errorf("copy %d: its first start has something to index:\n%s", i, text)
		}
		wantMatches(t, server, "Patient?eye=green", 2)
		for path, want := range map[string]int{
			"/Patient/p0/_history/1": http.StatusOK, "/Patient/p1/_history/2": http.StatusNotFound, "/Patient/p1/_history/3": http.StatusOK,
			"/Patient/p2": http.StatusGone, "/Patient/p2/_history/3": http.StatusNotFound, "/Patient/p3/_history/4": http.StatusOK,
			"/Patient/p3/_history/5": http.StatusGone, "/Patient/p4/_history/3": http.StatusNotFound, "/Patient/p4/_history/4": http.StatusOK,
		} {
			if status, _, body := server.do(http.MethodGet, fhirPath+path, ""); status != want {
				t.Errorf("copy %d: %s: status %d, want %d: %.200s", i, path, status, want, body)
			}
		}
		server.stop()
		from = to
	}
}

// copyTargets are stores to copy a folder into, one after the other, for each pair
// of kinds that there are.
func copyTargets(t *testing.T) []string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "copy")
	if !mongotest.Chosen() {
		return []string{folder}
	}
	return []string{mongotest.URI(t), mongotest.URI(t), folder}
}
