// Package golden helps tests: it compares JSON with files in testdata and finds
// the optional development samples. Only tests import it.
package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

var update = flag.Bool("update", false, "write what tests got into their golden files")

// JSON compares got with the JSON file at path, which is relative to the test's
// folder. White space does not count; the text of numbers does: 1.50 is not
// 1.5. With -update it writes the file instead.
func JSON(tb testing.TB, path string, got []byte) {
	tb.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		tb.Fatalf("%s: what the test got is not JSON: %v\n%s", path, err, got)
	}
	Text(tb, path, append(bytes.TrimSpace(pretty.Bytes()), '\n'))
}

// Text compares got with the file at path byte for byte. With -update it writes
// the file instead.
func Text(tb testing.TB, path string, got []byte) {
	tb.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("%v (run go test with -update to write it)", err)
	}
	if !bytes.Equal(want, got) {
		tb.Errorf("%s differs (go test -update rewrites it):\n--- want\n%s\n--- got\n%s", path, want, got)
	}
}

// Root returns the root folder of the repository.
func Root(tb testing.TB) string {
	tb.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		tb.Fatal("the test binary does not know where its sources are")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Shared returns the path of a file among the development samples, which stand
// beside the repository in a folder called shared, or where STARLING_SHARED
// says. It skips the test with a message where they are absent.
func Shared(tb testing.TB, elem ...string) string {
	tb.Helper()
	base := os.Getenv("STARLING_SHARED")
	if base == "" {
		base = filepath.Join(filepath.Dir(Root(tb)), "shared")
	}
	path := filepath.Join(append([]string{base}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("development sample %s is not here", filepath.Join(elem...))
	}
	return path
}

// R4Examples returns the folder of HL7's unpacked npm package
// hl7.fhir.r4.examples@4.0.1, which STARLING_R4_EXAMPLES names (make
// r4-examples fetches it), or "" where there is none. In CI there must be one.
func R4Examples(tb testing.TB) string {
	tb.Helper()
	folder := os.Getenv("STARLING_R4_EXAMPLES")
	if folder == "" && os.Getenv("CI") != "" {
		tb.Fatal("STARLING_R4_EXAMPLES is not set, and CI must read the official examples: run make r4-examples first")
	}
	return folder
}
