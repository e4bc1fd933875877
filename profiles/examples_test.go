package profiles

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// examples reads the files of examples/good or examples/bad by their names.
func examples(tb testing.TB, folder string) map[string]*resource.Node {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join("examples", folder, "*.json"))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no examples in %s: %v", folder, err)
	}
	files := map[string]*resource.Node{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		if files[strings.TrimSuffix(filepath.Base(name), ".json")], err = resource.Decode(data); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	return files
}

// claims reports whether a resource says in meta.profile that it meets a profile,
// with this version or without one.
func (d *Definition) claims(root *resource.Node) bool {
	list := root.Get("meta").List("profile")
	return slices.ContainsFunc(list, func(n resource.Node) bool { return n.Text == d.URL || n.Text == d.URL+"|"+d.Version })
}

// claimed is the profile of ours that an example claims.
func claimed(tb testing.TB, all map[string]*profile, name string, example *resource.Node) *profile {
	tb.Helper()
	for _, p := range all {
		if p.claims(example) {
			return p
		}
	}
	tb.Fatalf("%s claims no profile of ours", name)
	return nil
}

// atGate puts every example through the gate of writes.
func atGate(t *testing.T, files map[string]*resource.Node) {
	t.Helper()
	gate, err := resource.NewGate()
	if err != nil {
		t.Fatal(err)
	}
	for name, example := range files {
		if err := gate.Check(example); err != nil {
			t.Errorf("%s is not sound R4: %v", name, err)
		}
	}
}

func TestGoodExamplesKeepEveryRule(t *testing.T) {
	all, files := definitions(t), examples(t, "good")
	atGate(t, files)
	shown := map[string]bool{}
	for name, example := range files {
		p := claimed(t, all, name, example)
		shown[p.ID] = true
		for _, elements := range [][]resource.Node{p.differential, p.snapshot} {
			if got := newChecker(t, elements).check(t, example, p.URL); len(got) > 0 {
				t.Errorf("%s breaks %v", name, got)
			}
		}
	}
	for id := range all {
		if !shown[id] {
			t.Errorf("%s has no good example", id)
		}
	}
}

func TestBadExamplesAreSoundR4AndBreakOneRule(t *testing.T) {
	all, files := definitions(t), examples(t, "bad")
	atGate(t, files)
	for _, row := range badExamples {
		example := files[row.file]
		if example == nil {
			t.Errorf("there is no %s.json", row.file)
			continue
		}
		delete(files, row.file)
		p := claimed(t, all, row.file, example)
		if want := "starling-" + row.file[:strings.IndexByte(row.file, '.')]; p.ID != want {
			t.Errorf("%s claims %s", row.file, p.ID)
		}
		want := []broken{{row.element, row.rule}}
		for kind, elements := range map[string][]resource.Node{"differential": p.differential, "snapshot": p.snapshot} {
			if got := newChecker(t, elements).check(t, example, p.URL); !slices.Equal(got, want) {
				t.Errorf("%s: by the %s it breaks %v, want %v", row.file, kind, got, want)
			}
		}
	}
	for name := range files {
		t.Errorf("%s.json is in no row", name)
	}
}

// ruleless are rules that cannot be broken alone, each with the reason.
var ruleless = map[string]string{
	"starling-therapeutic-implication Observation.value[x] max": "R4's own obs-7 forbids a value beside the component that the profile requires",
}

func TestEveryRuleHasABadExample(t *testing.T) {
	for id, p := range definitions(t) {
		var want, got []string
		c := newChecker(t, p.differential)
		for i := range p.differential {
			for _, rule := range c.rules(&p.differential[i], p.URL) {
				if ruleless[id+" "+rule.element+" "+rule.rule] == "" {
					want = append(want, rule.element+" "+rule.rule)
				}
			}
		}
		for _, row := range badExamples {
			if "starling-"+row.file[:strings.IndexByte(row.file, '.')] == id && !slices.Contains(got, row.element+" "+row.rule) {
				got = append(got, row.element+" "+row.rule)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rules (-) and what the bad examples break (+):\n%s", id, diff)
		}
	}
}

// A checker that sees nothing would pass the good examples.
func TestCheckerKnowsEmptyResources(t *testing.T) {
	for id, p := range definitions(t) {
		root, err := resource.Decode([]byte(`{"resourceType":"` + p.Type + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := newChecker(t, p.differential).check(t, root, p.URL); len(got) == 0 {
			t.Errorf("%s accepts an empty %s", id, p.Type)
		}
	}
}

// profileOf is the profile that a resource of the demo should meet, by its type
// and code; nil if there is none for it.
func profileOf(all map[string]*profile, root *resource.Node) *profile {
	for _, p := range all {
		if p.Type != root.Str("resourceType") {
			continue
		}
		if p.Type != "Observation" {
			return p
		}
		for i := range p.differential {
			if p.differential[i].Str("id") == "Observation.code" && matches(root.Get("code"), p.differential[i].Get("patternCodeableConcept")) {
				return p
			}
		}
	}
	return nil
}

// The demo's patients are what a laboratory should send.
func TestPatientsOfTheDemoMeetTheProfiles(t *testing.T) {
	all := definitions(t)
	names, err := filepath.Glob(filepath.Join(golden.Root(t), "examples", "patients", "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no patients: %v", err)
	}
	met := map[string]int{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := resource.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		entries := bundle.List("entry")
		for i := range entries {
			root := entries[i].Get("resource")
			p := profileOf(all, root)
			if p == nil {
				continue
			}
			met[p.ID]++
			if root.Get("meta") != nil && !p.claims(root) {
				t.Errorf("%s: %s/%s does not claim %s", filepath.Base(name), root.Str("resourceType"), root.Str("id"), p.ID)
			}
			if got := newChecker(t, p.differential).check(t, root, p.URL); len(got) > 0 {
				t.Errorf("%s: %s/%s breaks %v of %s", filepath.Base(name), root.Str("resourceType"), root.Str("id"), got, p.ID)
			}
		}
	}
	for id := range all {
		if met[id] == 0 {
			t.Logf("the demo has nothing for %s", id)
		}
	}
	if met["starling-genotype"] == 0 || met["starling-patient"] == 0 {
		t.Errorf("the demo has only %v", met)
	}
}
