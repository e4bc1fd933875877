package search

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
)

// registry is compiled once for all tests.
var registry = sync.OnceValues(NewRegistry)

func testRegistry(tb testing.TB) *Registry {
	tb.Helper()
	r, err := registry()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// ownResources are made-up resources of testdata/resources by name.
func ownResources(tb testing.TB) map[string][]byte {
	tb.Helper()
	paths, err := filepath.Glob("testdata/resources/*.json")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no test resources: %v", err)
	}
	docs := map[string][]byte{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		docs[strings.TrimSuffix(filepath.Base(path), ".json")] = data
	}
	return docs
}

func decode(tb testing.TB, doc string) *resource.Node {
	tb.Helper()
	root, err := resource.Decode([]byte(doc))
	if err != nil {
		tb.Fatalf("%v in %s", err, doc)
	}
	return root
}
