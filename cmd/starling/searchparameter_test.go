package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/starling-fhir/starling/fhir/store/mongo/mongotest"
)

// colouredPatients writes patients from..to-1, every third with green eyes.
func colouredPatients(t *testing.T, server *running, from, to int) {
	t.Helper()
	var entries []string
	for i := from; i < to; i++ {
		colour := "blue"
		if i%3 == 0 {
			colour = "green"
		}
		entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"p%[1]d","extension":[{"url":"http://example.org/eye","valueCode":%[2]q}]},"request":{"method":"PUT","url":"Patient/p%[1]d"}}`, i, colour))
	}
	status, _, body := server.do(http.MethodPost, fhirPath, `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
	if status != http.StatusOK {
		t.Fatalf("status %d: %.300s", status, body)
	}
}

// define creates a search parameter for the colour of eyes.
func define(t *testing.T, server *running, code string) {
	t.Helper()
	status, _, body := server.do(http.MethodPut, fhirPath+"/SearchParameter/"+code, fmt.Sprintf(
		`{"resourceType":"SearchParameter","id":%[1]q,"url":"http://example.org/%[1]s","name":"n","status":"active","description":"d","code":%[1]q,"base":["Patient"],"type":"token","expression":"Patient.extension('http://example.org/eye').value"}`, code))
	if status != http.StatusCreated {
		t.Fatalf("status %d: %s", status, body)
	}
}

// wantMatches checks how many resources a search finds.
func wantMatches(t *testing.T, server *running, search string, want int) {
	t.Helper()
	status, _, body := server.do(http.MethodGet, fhirPath+"/"+search+"&_summary=count", "")
	var bundle struct{ Total int }
	if err := json.Unmarshal([]byte(body), &bundle); status != http.StatusOK || err != nil || bundle.Total != want {
		t.Errorf("%s: status %d, want %d matches: %.300s", search, status, want, body)
	}
}

// parameterState returns the status that $status tells.
func parameterState(t *testing.T, server *running, code string) string {
	t.Helper()
	status, _, body := server.do(http.MethodGet, fhirPath+"/SearchParameter/"+code+"/$status", "")
	var parameters struct {
		Parameter []struct{ Name, ValueCode string }
	}
	if err := json.Unmarshal([]byte(body), &parameters); status != http.StatusOK || err != nil || len(parameters.Parameter) == 0 {
		t.Fatalf("status %d: %s", status, body)
	}
	return parameters.Parameter[0].ValueCode
}

// TestSearchParametersOfClients defines one while the server runs, and another
// that is still being indexed when the server is killed.
func TestSearchParametersOfClients(t *testing.T) {
	const patients = 1500
	where := newStore(t)
	server := serve(t, "--store", where)
	colouredPatients(t, server, 0, patients)
	define(t, server, "eye")
	server.logs.wait(t, "search parameters are indexed")
	if state := parameterState(t, server, "eye"); state != "ready" {
		t.Errorf("the parameter is %s", state)
	}
	wantMatches(t, server, "Patient?eye=green", patients/3)
	colouredPatients(t, server, patients, patients+3)
	wantMatches(t, server, "Patient?eye=green", patients/3+1)
	define(t, server, "eye-2")
	server.signal(syscall.SIGKILL)
	server.end()

	server = serve(t, "--store", where)
	for parameterState(t, server, "eye-2") == "indexing" {
		if status, _, body := server.do(http.MethodGet, fhirPath+"/Patient?eye-2=green", ""); status != http.StatusOK && (status != http.StatusServiceUnavailable || !strings.Contains(body, "still being indexed")) {
			t.Fatalf("status %d: %.300s", status, body)
		}
	}
	wantMatches(t, server, "Patient?eye=green", patients/3+1)
	wantMatches(t, server, "Patient?eye-2=green", patients/3+1)
	if text := server.logs.all(); strings.Contains(text, "rebuilding the index") {
		t.Errorf("the start made the whole index anew:\n%s", text)
	}
	server.stop()

	if run := starling(t, "check", "--store", where, "--base-url", "http://127.0.0.1:1/fhir"); run.code != exitOK {
		t.Errorf("the store is not as it should be: %s%s", run.stdout, run.stderr)
	}
	server = serve(t, "--store", where)
	wantMatches(t, server, "Patient?eye-2=green", patients/3+1)
	if text := server.logs.all(); strings.Contains(text, "rebuilding the index") || strings.Contains(text, "indexing search parameters") {
		t.Errorf("a start has something to index:\n%s", text)
	}
	if status, _, body := server.do(http.MethodDelete, fhirPath+"/SearchParameter/eye", ""); status >= 300 {
		t.Fatalf("status %d: %s", status, body)
	}
	if status, _, body := server.do(http.MethodGet, fhirPath+"/Patient?eye=green", ""); status != http.StatusBadRequest || !strings.Contains(body, "not a search parameter") {
		t.Errorf("status %d after the definition was deleted: %.300s", status, body)
	}
	server.stop()
}

// TestSearchParametersOfSeveralServers: all servers of a database learn of a
// definition that one of them was given.
func TestSearchParametersOfSeveralServers(t *testing.T) {
	const patients = 600
	all := servers(t, 2, mongotest.URI(t))
	colouredPatients(t, all[0], 0, patients)
	define(t, all[0], "eye")
	colouredPatients(t, all[1], patients, patients+300) // it has not heard of the definition
	for _, server := range all {
		server.logs.wait(t, "search parameters are indexed")
		wantMatches(t, server, "Patient?eye=green", (patients+300)/3)
	}
	if status, _, body := all[1].do(http.MethodDelete, fhirPath+"/SearchParameter/eye", ""); status >= 300 {
		t.Fatalf("status %d: %s", status, body)
	}
	if status, _, body := all[0].do(http.MethodGet, fhirPath+"/Patient?eye=green", ""); status != http.StatusBadRequest {
		t.Errorf("status %d on the server that has not heard of the deletion: %.300s", status, body)
	}
}
