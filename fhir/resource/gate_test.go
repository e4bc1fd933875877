package resource_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

func newGate(tb testing.TB) *resource.Gate {
	tb.Helper()
	g, err := resource.NewGate()
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func decode(tb testing.TB, text string) *resource.Node {
	tb.Helper()
	n, err := resource.Decode([]byte(text))
	if err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	return n
}

// files returns the inputs of a folder in testdata by name.
func files(tb testing.TB, folder string) map[string]string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
	if err != nil {
		tb.Fatal(err)
	}
	texts := make(map[string]string)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if strings.HasSuffix(name, ".outcome") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		texts[name] = string(data)
	}
	if len(texts) == 0 {
		tb.Fatalf("no files in testdata/%s", folder)
	}
	return texts
}

func TestGateAcceptsGoodResources(t *testing.T) {
	g := newGate(t)
	for name, text := range files(t, "good") {
		t.Run(name, func(t *testing.T) {
			n := decode(t, text)
			before := string(n.JSON())
			for range 2 { // the second time the structure is known
				if err := g.Check(n); err != nil {
					t.Error(outcome(t, err))
				}
			}
			if string(n.JSON()) != before {
				t.Error("the check changed the resource")
			}
		})
	}
}

// TestGateOutcomes compares everything the gate finds with a golden file: each
// problem with its place and words, in order.
func TestGateOutcomes(t *testing.T) {
	g := newGate(t)
	for name, text := range files(t, "bad") {
		t.Run(name, func(t *testing.T) {
			err := g.Check(decode(t, text))
			if fhir.KindOf(err) != fhir.Invalid || err == nil {
				t.Fatalf("got %v, want an error of kind Invalid", err)
			}
			golden.JSON(t, filepath.Join("testdata", "bad", name+".outcome.json"), []byte(outcome(t, err)))
		})
	}
}

// outcome writes an error's issues as JSON.
func outcome(tb testing.TB, err error) string {
	tb.Helper()
	var e *fhir.Error
	if !errors.As(err, &e) {
		tb.Fatalf("not a *fhir.Error: %v", err)
	}
	type issue struct {
		Severity   string `json:"severity"`
		Code       string `json:"code"`
		Expression string `json:"expression"`
		Text       string `json:"text"`
	}
	issues := make([]issue, 0, len(e.Issues))
	for _, i := range e.Issues {
		issues = append(issues, issue{string(i.Severity), i.Code, i.Expression, i.Message})
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(issues); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

func TestGateIsSafeForConcurrentUse(t *testing.T) {
	g := newGate(t)
	good, bad := files(t, "good"), files(t, "bad")
	want := make(map[string]string)
	for name, text := range bad {
		want[name] = outcome(t, g.Check(decode(t, text)))
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for name, text := range good {
				if err := g.Check(decode(t, text)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for name, text := range bad {
				if got := outcome(t, g.Check(decode(t, text))); got != want[name] {
					t.Errorf("%s: got %s, want %s", name, got, want[name])
				}
			}
		})
	}
	wait.Wait()
}

func TestGateSizeLimit(t *testing.T) {
	g := newGate(t)
	const chunk = 1 << 20
	text := strings.Repeat("x", chunk-100)
	notes := func(count int) string {
		return `{"resourceType":"Observation","status":"final","code":{"text":"x"},"note":[` +
			strings.TrimSuffix(strings.Repeat(`{"text":"`+text+`"},`, count), ",") + `]}`
	}
	if err := g.Check(decode(t, notes(4))); err != nil {
		t.Errorf("4 MiB: %v", err)
	}
	if err := g.Check(decode(t, notes(6))); fhir.KindOf(err) != fhir.TooLarge {
		t.Errorf("6 MiB: kind %v (%v), want TooLarge", fhir.KindOf(err), err)
	}
	// Escapes make a text longer than it looks.
	quotes := `{"resourceType":"Observation","status":"final","code":{"text":"x"},"note":[` +
		strings.TrimSuffix(strings.Repeat(`{"text":"`+strings.Repeat(`\"`, chunk-100)+`"},`, 3), ",") + `]}`
	for range 2 {
		if err := g.Check(decode(t, quotes)); fhir.KindOf(err) != fhir.TooLarge {
			t.Errorf("6 MiB of escapes: kind %v (%v), want TooLarge", fhir.KindOf(err), err)
		}
	}
	// In a Bundle the limit is for each resource.
	bundle := `{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + notes(4) + `},{"resource":` + notes(4) + `}]}`
	if err := g.Check(decode(t, bundle)); err != nil {
		t.Errorf("a Bundle of 8 MiB: %v", err)
	}
	bundle = `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient"}},{"resource":` + notes(6) + `}]}`
	err := g.Check(decode(t, bundle))
	var e *fhir.Error
	if !errors.As(err, &e) || e.Issues[0].Expression != "Bundle.entry[1].resource" || e.Issues[0].Code != "too-long" {
		t.Errorf("a Bundle with 6 MiB in one resource: %v", err)
	}
}

func TestGateListsAtMostSoMany(t *testing.T) {
	g := newGate(t)
	text := `{"resourceType":"Patient","name":[` + strings.Repeat(`{"fam":1},`, 100_000) + `{"fam":1}]}`
	err := g.Check(decode(t, text))
	var e *fhir.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	last := e.Issues[len(e.Issues)-1]
	if len(e.Issues) != 201 || last.Message != "99801 more problems are not listed" {
		t.Errorf("%d issues, the last: %s", len(e.Issues), last.Message)
	}
}

func TestCheckShell(t *testing.T) {
	g := newGate(t)
	n := decode(t, `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient","gender":"x"},"request":{"method":"POST","url":"Patient"}}]}`)
	if err := g.CheckShell(n); err != nil {
		t.Errorf("the shell is fine, but %v", err)
	}
	if err := g.Check(n); err == nil {
		t.Error("the whole is not fine")
	}
}

func TestGateOfNothing(t *testing.T) {
	g := newGate(t)
	for _, n := range []*resource.Node{nil, {}, {Kind: resource.Object}} {
		if err := g.Check(n); fhir.KindOf(err) != fhir.Invalid || err == nil {
			t.Errorf("got %v", err)
		}
	}
}
