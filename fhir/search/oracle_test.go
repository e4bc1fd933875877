package search

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofhir/fhirpath"
	"github.com/gofhir/fhirpath/types"
	"github.com/klauspost/compress/zstd"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// The compiled parameters must find what a general FHIRPath engine finds.

// TestAgainstFHIRPath compares every parameter on resources of our own.
func TestAgainstFHIRPath(t *testing.T) {
	o := newOracle(t)
	for name, doc := range ownResources(t) {
		o.compare(t, name, doc)
	}
	o.report(t)
}

// TestAgainstFHIRPathOnExamples compares every parameter on HL7's examples: all
// 5,306 if STARLING_R4_EXAMPLES names an unpacked npm package
// hl7.fhir.r4.examples@4.0.1, else the sample beside the repository. Under the
// race detector it takes every twentieth.
func TestAgainstFHIRPathOnExamples(t *testing.T) {
	o := newOracle(t)
	number := 0
	eachExample(t, func(name string, doc []byte) {
		number++
		if raceEnabled && number%20 != 0 {
			return
		}
		o.compare(t, name, doc)
	})
	o.report(t)
}

// oracle compares the compiled parameters with gofhir/fhirpath.
type oracle struct {
	registry  *Registry
	compiled  map[string]*fhirpath.Expression
	resources int
	values    int
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	return &oracle{registry: testRegistry(t), compiled: map[string]*fhirpath.Expression{}}
}

func (o *oracle) report(t *testing.T) {
	t.Helper()
	if o.resources == 0 || o.values == 0 {
		t.Fatal("nothing was compared")
	}
	t.Logf("%d resources, %d values compared", o.resources, o.values)
}

func (o *oracle) compare(t *testing.T, name string, doc []byte) {
	t.Helper()
	root, err := resource.Decode(doc)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	set := o.registry.types[root.Str("resourceType")]
	if set == nil {
		t.Fatalf("%s: unknown type %q", name, root.Str("resourceType"))
	}
	o.resources++
	got := map[string][]string{}
	w := walker{root: root, visit: func(l *leaf, n *resource.Node) {
		text := nodeText(n)
		if l.typ == "boolean" && l.param.Name == "deceased" {
			text = boolText(isTruth(n, "deceased"))
		}
		got[l.param.Name] = append(got[l.param.Name], text)
	}}
	w.walk(root, 0, set.root)
	for _, p := range set.params {
		if p.Name == lastUpdatedParam || textParams[p.URL] {
			continue
		}
		want := o.evaluate(t, doc, root, p.Expression)
		have := unique(got[p.Name])
		o.values += len(want)
		same := slices.Equal(have, want)
		if reason := knownDifferences[name+" "+p.Name]; reason != "" {
			if same {
				t.Errorf("%s, %s: no difference any more: %s", name, p.Name, reason)
			}
			continue
		}
		if !same {
			t.Errorf("%s, %s.%s (%s):\n  compiled %q\n  fhirpath %q", name, root.Str("resourceType"), p.Name, p.Expression, clipAll(have), clipAll(want))
		}
	}
}

func clipAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fhir.Clip(s)
	}
	return out
}

// asOperator and asFunction are what R4 expressions write for ofType.
var (
	asOperator = regexp.MustCompile(`\(([\w.]+) as (\w+)\)`)
	asFunction = regexp.MustCompile(`\.as\((\w+)\)`)
)

// standard rewrites an R4 expression in strict FHIRPath.
func standard(expression string) string {
	expression = asOperator.ReplaceAllString(expression, "$1.ofType($2)")
	return asFunction.ReplaceAllString(expression, ".ofType($1)")
}

func (o *oracle) evaluate(t *testing.T, doc []byte, root *resource.Node, expression string) []string {
	t.Helper()
	e := o.compiled[expression]
	if e == nil {
		var err error
		if e, err = fhirpath.Compile(standard(expression)); err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		o.compiled[expression] = e
	}
	result, err := e.EvaluateWithOptions(doc, fhirpath.WithResolver(stub{root}))
	if err != nil {
		t.Errorf("%s: %v", expression, err)
	}
	var out []string
	for _, v := range result {
		out = append(out, valueText(t, v))
	}
	return unique(out)
}

// stub resolves a reference to an empty resource of the type it names.
type stub struct{ root *resource.Node }

func (s stub) Resolve(_ context.Context, reference string) ([]byte, error) {
	n := resource.Node{Kind: resource.Object, Fields: []resource.Field{{Name: "reference", Node: resource.Text(reference)}}}
	typ := targetType(s.root, &n)
	if typ == "" {
		return nil, errors.New("not resolvable")
	}
	return []byte(`{"resourceType":"` + typ + `"}`), nil
}

// valueText makes one text of a FHIRPath value: compact JSON of an object, the
// text of a primitive.
func valueText(t *testing.T, v types.Value) string {
	t.Helper()
	if o, ok := v.(*types.ObjectValue); ok {
		n, err := resource.Decode(o.Data())
		if err != nil {
			t.Fatal(err)
		}
		return string(n.JSON())
	}
	return v.String()
}

// zeroOffset is how the engine writes "Z".
var zeroOffset = regexp.MustCompile(`(T[\d:.]+)[+-]00:00$`)

func nodeText(n *resource.Node) string {
	if n.Kind == resource.Object {
		return string(n.JSON())
	}
	return zeroOffset.ReplaceAllString(n.Text, "${1}Z")
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// knownDifferences are where the engine and the compiled parameters differ, by
// resource and parameter, with the reason.
var knownDifferences = map[string]string{
	"observation-date date":    "gofhir/fhirpath v1.4.0 cuts seconds to milliseconds",
	"appointment practitioner": "a URN says no type: we take Reference.type, which a resolver never sees",
}

// eachExample calls visit for each of HL7's R4 examples at hand.
func eachExample(t *testing.T, visit func(name string, doc []byte)) {
	t.Helper()
	if dir := golden.R4Examples(t); dir != "" {
		eachFile(t, dir, visit)
		return
	}
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
	archive := tar.NewReader(unpacked)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			if isResource(line) {
				visit(header.Name, bytes.TrimSpace(line))
			}
		}
	}
}

func eachFile(t testing.TB, dir string, visit func(name string, doc []byte)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".json") {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && isResource(data) {
			visit(filepath.Base(path), data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isResource tells resources from the package's own index files.
func isResource(doc []byte) bool {
	var head struct{ ResourceType string }
	return json.Unmarshal(doc, &head) == nil && resource.KnownType(head.ResourceType)
}
