package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// misfile writes a patient under index entries that are not its own: what a
// faulty program or a hand in the database may leave.
func misfile(t *testing.T, where string) {
	t.Helper()
	registry, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	s, err := storeToOpen{name: where, registry: registry, clock: time.Now}.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Write(t.Context(), []store.Change{{
		Key: fhir.Key{Type: "Patient", ID: "misfiled"}, Method: fhir.Create, Patients: []string{"misfiled"},
		Body:    fhir.Body{Head: []byte(`{"resourceType":"Patient","id":"misfiled","meta":{`), Tail: []byte(`},"gender":"female"}`)},
		Entries: []search.Entry{{Param: "gender", Value: []byte("nonsense")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCheck finds a resource that its index files wrongly, and mends it.
func TestCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	checkFindsAndMends(t, dir)
}

func checkFindsAndMends(t *testing.T, where string) {
	t.Helper()
	if run := starling(t, "check", "--store", where); run.code != exitFailed || !strings.Contains(run.stderr, "there is no store in this") {
		t.Errorf("a store that is not there: exit code %d\n%s", run.code, run.stderr)
	}
	misfile(t, where)
	steps := []struct {
		args []string
		code int
		want string
	}{
		{nil, exitFailed, "1 found wrong, 0 mended"},
		{[]string{"--repair"}, exitOK, "1 found wrong, 1 mended"},
		{nil, exitOK, "1 resource checked, 0 found wrong, 0 mended"},
	}
	for _, step := range steps {
		run := starling(t, append([]string{"check", "--store", where}, step.args...)...)
		if run.code != step.code || !strings.Contains(run.stdout, step.want) {
			t.Errorf("check %v: exit code %d, want %d and %q in\n%s\n%s", step.args, run.code, step.code, step.want, run.stdout, run.stderr)
		}
		if strings.Contains(run.stdout+run.stderr, "nonsense") {
			t.Errorf("a finding shows what is stored:\n%s", run.stdout)
		}
	}
	server := serve(t, "--store", where)
	if _, _, body := server.do("GET", "/fhir/Patient?gender=female&_summary=count", ""); !strings.Contains(body, `"total":1`) {
		t.Errorf("the mended resource is not found: %s", body)
	}
	if kind, err := kindOfStore(where); err == nil && kind == folderStore {
		if run := starling(t, "check", "--store", where); run.code != exitFailed || !strings.Contains(run.stderr, "in use") {
			t.Errorf("a store that is in use: exit code %d\n%s", run.code, run.stderr)
		}
	}
	server.stop()
}

func TestCheckUsage(t *testing.T) {
	run := starling(t, "check", "--store", "postgres://me:hunter2@localhost/x")
	if run.code != exitUsage || !strings.Contains(run.stderr, "unknown kind, postgres://") || strings.Contains(run.stderr, "hunter2") {
		t.Errorf("exit code %d\n%s", run.code, run.stderr)
	}
}
