package search

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// TestExtract compares the entries of made-up resources with what they were
// when somebody last read them.
func TestExtract(t *testing.T) {
	r := testRegistry(t)
	for name, doc := range ownResources(t) {
		t.Run(name, func(t *testing.T) {
			entries, patients, err := r.Index(doc)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			fmt.Fprintf(&out, "patients: %s\n", strings.Join(patients, " "))
			for _, e := range entries {
				fmt.Fprintln(&out, e)
			}
			golden.Text(t, filepath.Join("testdata", "entries", name+".txt"), []byte(out.String()))
		})
	}
}

func TestExtractRefusals(t *testing.T) {
	r := testRegistry(t)
	if _, _, err := r.Index([]byte(`{"resourceType":"Patience"}`)); fhir.KindOf(err) != fhir.Invalid {
		t.Errorf("unknown type: %v", err)
	}
	if _, _, err := r.Index([]byte(`{"resourceType":`)); fhir.KindOf(err) != fhir.Invalid {
		t.Errorf("broken JSON: %v", err)
	}
	if _, _, err := r.Extract(&resource.Node{Kind: resource.Array}); fhir.KindOf(err) != fhir.Invalid {
		t.Errorf("no object: %v", err)
	}
}

// TestTooManyEntries builds resources just within and beyond the limit.
func TestTooManyEntries(t *testing.T) {
	group := func(members int) *resource.Node {
		member := make([]resource.Node, members)
		for i := range member {
			reference := resource.Text(fmt.Sprintf("Device/d%d", i))
			entity := resource.Node{Kind: resource.Object, Fields: []resource.Field{{Name: "reference", Node: reference}}}
			member[i] = resource.Node{Kind: resource.Object, Fields: []resource.Field{{Name: "entity", Node: entity}}}
		}
		return &resource.Node{Kind: resource.Object, Fields: []resource.Field{
			{Name: "resourceType", Node: resource.Text("Group")},
			{Name: "member", Node: resource.Node{Kind: resource.Array, Items: member}},
		}}
	}
	r := testRegistry(t)
	entries, _, err := r.Extract(group(maxEntries))
	if err != nil || len(entries) != maxEntries {
		t.Errorf("at the limit: %d entries, %v", len(entries), err)
	}
	if _, _, err := r.Extract(group(maxEntries + 1)); fhir.KindOf(err) != fhir.TooLarge {
		t.Errorf("beyond the limit: %v", err)
	}
}

// TestCompositeLimit has so many pairs that they alone go beyond the limit,
// which must be noticed before they are made.
func TestCompositeLimit(t *testing.T) {
	var codings strings.Builder
	for i := range 300 {
		fmt.Fprintf(&codings, `,{"code":"c%d"}`, i)
	}
	list := codings.String()[1:]
	doc := `{"resourceType":"Observation","code":{"coding":[` + list + `]},"valueCodeableConcept":{"coding":[` + list + `]}}`
	if _, _, err := testRegistry(t).Index([]byte(doc)); fhir.KindOf(err) != fhir.TooLarge {
		t.Errorf("90,000 pairs: %v", err)
	}
}

// TestExtractIsStable checks that entries are sorted, unique, within the cap and
// the same each time.
func TestExtractIsStable(t *testing.T) {
	r := testRegistry(t)
	for name, doc := range ownResources(t) {
		first, _, err := r.Index(doc)
		if err != nil {
			t.Fatal(err)
		}
		second, _, _ := r.Index(doc)
		if !slices.EqualFunc(first, second, func(a, b Entry) bool { return a.Param == b.Param && string(a.Value) == string(b.Value) }) {
			t.Errorf("%s: the second extraction differs", name)
		}
		for i, e := range first {
			if len(e.Value) > maxEntryBytes {
				t.Errorf("%s: %s has %d bytes", name, e, len(e.Value))
			}
			if i > 0 && first[i-1].Param+"\x00"+string(first[i-1].Value) >= e.Param+"\x00"+string(e.Value) {
				t.Errorf("%s: entry %d (%s) is not behind the one before", name, i, e)
			}
		}
	}
}

// TestCompartments names the Patient compartments of the test resources.
func TestCompartments(t *testing.T) {
	want := map[string]string{
		"patient":              "maren maren-old", // itself, and the patient it is linked to
		"patient-plain":        "plain",
		"observation-glucose":  "maren maren-father", // subject and performer
		"observation-pressure": "",                   // a contained subject is nobody's
		"molecular-sequence":   "maren",
		"condition":            "maren", // as asserter; the absolute subject may be elsewhere
		"group":                "maren",
		"appointment":          "maren",
		"bundle":               "",
		"library":              "",
	}
	r := testRegistry(t)
	docs := ownResources(t)
	for name, patients := range want {
		entries, got, err := r.Index(docs[name])
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != patients {
			t.Errorf("%s: compartments %q, want %q", name, got, patients)
		}
		for _, id := range got {
			if !Match("", entries, InPatients("nobody", id)) {
				t.Errorf("%s: InPatients(%q) does not select it", name, id)
			}
		}
		if Match("", entries, InPatients("nobody")) || Match("", entries, InPatients()) {
			t.Errorf("%s: is in a compartment it is not in", name)
		}
	}
}

// TestOwnReferences: an absolute reference below the own base is a relative one.
func TestOwnReferences(t *testing.T) {
	const base = "https://fhir.example.org/fhir"
	plain := testRegistry(t)
	own := plain.WithBase(base + "/")
	if own.Hash() != plain.Hash() {
		t.Error("the base changes the hash: moving a server would rebuild its index")
	}
	for reference, want := range map[string]struct {
		patients string
		finds    []string // searches, of a server with the base and of one that moved
	}{
		base + "/Patient/p1":                        {"p1", []string{"Patient/p1", "p1", base + "/Patient/p1"}},
		base + "/Patient/p1/_history/2":             {"p1", []string{"Patient/p1", "Patient/p1/_history/2", base + "/Patient/p1/_history/2"}},
		base + "/Group/p1":                          {"", []string{"Group/p1", base + "/Group/p1"}},
		base + "/Nonsense/p1":                       {"", []string{base + "/Nonsense/p1"}},
		"https://fhir.example.org/fhirs/Patient/p1": {"", []string{"https://fhir.example.org/fhirs/Patient/p1"}},
		"https://elsewhere.example/fhir/Patient/p1": {"", []string{"https://elsewhere.example/fhir/Patient/p1"}},
		"Patient/p1":                                {"p1", []string{"Patient/p1", "p1", base + "/Patient/p1"}},
	} {
		doc := []byte(`{"resourceType":"Observation","id":"o","subject":{"reference":"` + reference + `"}}`)
		entries, patients, err := own.Index(doc)
		if err != nil || strings.Join(patients, " ") != want.patients {
			t.Errorf("%s: compartments %q, %v, want %q", reference, patients, err, want.patients)
		}
		for _, query := range want.finds {
			request, err := own.Parse([]string{"Observation"}, "subject="+query, ParseOptions{Base: base})
			if err != nil || !Match("", entries, request.Query.Where[0]) {
				t.Errorf("subject=%s does not find %s: %v", query, reference, err)
			}
		}
		if _, patients, _ := plain.Index(doc); len(patients) > 0 && strings.Contains(reference, ":") {
			t.Errorf("%s: without a base nothing absolute is our own, but compartments are %q", reference, patients)
		}
	}
}

func TestPresent(t *testing.T) {
	entries, _, err := testRegistry(t).Index(ownResources(t)["observation-pressure"])
	if err != nil {
		t.Fatal(err)
	}
	for param, want := range map[string]bool{
		"code": true, "subject": true /* contained: no entry but presence */, "value-quantity": false, "component-value-quantity": true,
		"component-data-absent-reason": true, "encounter": false,
	} {
		if got := Match("", entries, Present(param)); got != want {
			t.Errorf("%s present: %t, want %t", param, got, want)
		}
	}
}
