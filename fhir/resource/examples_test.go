package resource_test

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// roundTrip takes resources through decoder, gate and encoder, and counts them.
type roundTrip struct {
	gate             *resource.Gate
	reader           *resource.Reader
	seen, ran        int
	refused, unequal int
	met              map[string]bool // exclusions
}

func newRoundTrip(tb testing.TB) *roundTrip {
	return &roundTrip{gate: newGate(tb), reader: newReader(tb), met: make(map[string]bool)}
}

// run checks one resource: it is accepted, jsonformat with all its checks agrees,
// and what would be stored has the same content - or it is excluded and refused.
func (r *roundTrip) run(t *testing.T, data []byte) {
	t.Helper()
	r.seen++
	if r.seen%everyNth != 0 {
		return
	}
	n, err := resource.Decode(data)
	if err != nil {
		t.Errorf("example %d: %v", r.seen, err)
		return
	}
	r.ran++
	name := n.Str("resourceType") + "/" + n.Str("id")
	exclusion, excluded := exclusions[name]
	r.met[name] = excluded
	err = r.gate.Check(n)
	switch {
	case excluded && err == nil:
		t.Errorf("%s is listed as refused (%s) but passes", name, exclusion.reason)
	case excluded:
		r.refused++
		var e *fhir.Error
		if !errors.As(err, &e) || !strings.Contains(allMessages(e), exclusion.message) {
			t.Errorf("%s is refused, but not with %q: %v", name, exclusion.message, err)
		}
		return
	case err != nil:
		r.refused++
		t.Errorf("%s is refused: %s", name, outcome(t, err))
		return
	}
	if problems := r.reader.Read(n); len(problems) > 0 {
		t.Errorf("%s passes, but jsonformat refuses it: %v", name, problems)
	}
	stored := resource.NewBody(n, n.Str("id")).Stamp(1, time.Unix(0, 0))
	got, err := resource.Decode(stored)
	if err != nil {
		t.Errorf("%s: what is stored is not JSON: %v", name, err)
		return
	}
	if got.Str("resourceType") != n.Str("resourceType") || got.Str("id") != n.Str("id") {
		t.Errorf("%s is stored as %s/%s", name, got.Str("resourceType"), got.Str("id"))
	}
	if !same(content(n), content(got)) {
		r.unequal++
		t.Errorf("%s changed: %s", name, stored)
	}
}

func allMessages(e *fhir.Error) string {
	var all []string
	for _, i := range e.Issues {
		all = append(all, i.Message)
	}
	return strings.Join(all, "\n")
}

// content returns what a resource holds besides what the server sets, in order:
// the members of meta, then the others.
func content(n *resource.Node) *resource.Node {
	meta, rest := resource.Node{Kind: resource.Object}, resource.Node{Kind: resource.Object}
	if m := n.Get("meta"); m != nil {
		for _, f := range m.Fields {
			switch f.Name {
			case "versionId", "lastUpdated", "_versionId", "_lastUpdated":
			default:
				meta.Fields = append(meta.Fields, f)
			}
		}
	}
	for _, f := range n.Fields {
		switch f.Name {
		case "resourceType", "id", "meta":
		default:
			rest.Fields = append(rest.Fields, f)
		}
	}
	return &resource.Node{Kind: resource.Array, Items: []resource.Node{meta, rest}}
}

// same compares two trees: numbers by their text, members in their order.
func same(a, b *resource.Node) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Fields) != len(b.Fields) || len(a.Items) != len(b.Items) {
		return false
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name || !same(&a.Fields[i].Node, &b.Fields[i].Node) {
			return false
		}
	}
	for i := range a.Items {
		if !same(&a.Items[i], &b.Items[i]) {
			return false
		}
	}
	return true
}

// TestOfficialExamples runs all examples of the npm package
// hl7.fhir.r4.examples@4.0.1 (CC0-1.0), which STARLING_R4_EXAMPLES names
// unpacked.
func TestOfficialExamples(t *testing.T) {
	folder := golden.R4Examples(t)
	if folder == "" {
		t.Skip("STARLING_R4_EXAMPLES does not name a folder with the unpacked package hl7.fhir.r4.examples@4.0.1")
	}
	r := newRoundTrip(t)
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" || entry.Name() == "package.json" || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			r.run(t, data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d examples, %d run, %d refused", r.seen, r.ran, r.refused)
	if r.seen != 5306 {
		t.Errorf("%d examples in the package, want 5306", r.seen)
	}
	for name := range exclusions {
		if everyNth == 1 && !r.met[name] {
			t.Errorf("%s is excluded, but not among the examples", name)
		}
	}
}

// TestSampleExamples runs the official examples among the development samples.
func TestSampleExamples(t *testing.T) {
	file, err := os.Open(golden.Shared(t, "samples", "examples", "r4-examples-ndjson.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacked.Close()
	r := newRoundTrip(t)
	archive := tar.NewReader(unpacked)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg || !strings.HasSuffix(header.Name, ".ndjson") {
			continue
		}
		lines := bufio.NewReader(archive)
		for {
			line, err := lines.ReadBytes('\n')
			if len(strings.TrimSpace(string(line))) > 0 {
				r.run(t, line)
			}
			if err != nil {
				break
			}
		}
	}
	t.Logf("%d examples, %d run, %d refused", r.seen, r.ran, r.refused)
	if r.seen < 700 {
		t.Errorf("%d examples found, want at least 700", r.seen)
	}
}

// TestOwnExamplesRoundTrip does the same with the repository's own resources.
func TestOwnExamplesRoundTrip(t *testing.T) {
	r := newRoundTrip(t)
	for _, text := range files(t, "good") {
		r.seen = everyNth - 1
		r.run(t, []byte(text))
	}
}
