package profiles

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/starling-fhir/starling/fhir/resource"
)

// definitions returns the profiles, decoded, by id.
func definitions(tb testing.TB) map[string]*profile {
	tb.Helper()
	list, err := Definitions()
	if err != nil {
		tb.Fatal(err)
	}
	byID := map[string]*profile{}
	for _, d := range list {
		root, err := resource.Decode(d.JSON)
		if err != nil {
			tb.Fatal(err)
		}
		byID[d.ID] = &profile{Definition: d, root: root, differential: root.Get("differential").List("element"), snapshot: root.Get("snapshot").List("element")}
	}
	return byID
}

// profile is a definition with its elements.
type profile struct {
	Definition
	root                   *resource.Node
	differential, snapshot []resource.Node
}

func TestDefinitionsPassTheGate(t *testing.T) {
	gate, err := resource.NewGate()
	if err != nil {
		t.Fatal(err)
	}
	for id, p := range definitions(t) {
		if err := gate.Check(p.root); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestDefinitionsSayWhatTheyAre(t *testing.T) {
	urls := map[string]bool{}
	for id, p := range definitions(t) {
		for member, want := range map[string]string{
			"url": Base + id, "fhirVersion": "4.0.1", "publisher": "Starling", "kind": "resource", "derivation": "constraint",
			"baseDefinition": "http://hl7.org/fhir/StructureDefinition/" + p.Type, "status": "active",
		} {
			if got := p.root.Str(member); got != want {
				t.Errorf("%s: %s is %q, want %q", id, member, got, want)
			}
		}
		for _, member := range []string{"version", "date", "title", "description", "purpose", "copyright"} {
			if p.root.Str(member) == "" {
				t.Errorf("%s has no %s", id, member)
			}
		}
		if strings.Contains(string(p.JSON), "loinc.org") && !strings.Contains(p.root.Str("copyright"), "copyright © 1995-2026, Regenstrief") {
			t.Errorf("%s uses LOINC without its notice", id)
		}
		if urls[p.URL] {
			t.Errorf("%s is there twice", p.URL)
		}
		urls[p.URL] = true
	}
	if len(urls) == 0 {
		t.Error("no definitions")
	}
}

func TestSupportedNamesEveryProfileUnderItsType(t *testing.T) {
	supported, err := Supported()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for typ, urls := range supported {
		for _, url := range urls {
			n++
			if p := definitions(t)[strings.TrimPrefix(url, Base)]; p == nil || p.Type != typ {
				t.Errorf("%s is not a profile on %s", url, typ)
			}
		}
	}
	if want := len(definitions(t)); n != want {
		t.Errorf("%d supported profiles, want %d", n, want)
	}
}

func TestBrokenDefinitionsAreRefused(t *testing.T) {
	const snapshot = `{"element":[{"id":"Patient","path":"Patient"}]}`
	for _, test := range []struct{ name, definition, snapshot, want string }{
		{"sound", `{"id":"p","url":"` + Base + `p","type":"Patient"}`, snapshot, ""},
		{"an id unlike its file", `{"id":"q","url":"` + Base + `q","type":"Patient"}`, snapshot, `its id is "q"`},
		{"a url of others", `{"id":"p","url":"http://hl7.org/p","type":"Patient"}`, snapshot, `want "` + Base + `p"`},
		{"an unknown type", `{"id":"p","url":"` + Base + `p","type":"Genome"}`, snapshot, `"Genome" is no resource type`},
		{"without snapshot", `{"id":"p","url":"` + Base + `p","type":"Patient"}`, "", "does not exist"},
		{"no JSON", `{"id":`, snapshot, "definitions/p.json"},
		{"a snapshot that is no JSON", `{"id":"p","url":"` + Base + `p","type":"Patient"}`, "{", "definitions/p.json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fsys := fstest.MapFS{"definitions/p.json": {Data: []byte(test.definition)}}
			if test.snapshot != "" {
				fsys["definitions/snapshots/p.json"] = &fstest.MapFile{Data: []byte(test.snapshot)}
			}
			list, err := definitionsOf(fsys)
			if test.want == "" {
				if err != nil || len(list) != 1 || !strings.Contains(string(list[0].JSON), `"snapshot":`+test.snapshot) {
					t.Errorf("%v, %v", list, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// elementID is the form of an element's id: names, each with an optional slice.
// https://hl7.org/fhir/R4/elementdefinition.html#id
var elementID = regexp.MustCompile(`^[A-Z][A-Za-z]+(\.[a-z][A-Za-z]*(\[x\])?(:[A-Za-z0-9-]+)?)*$`)

// sliceOf is the slice name in each step of an id.
var sliceOf = regexp.MustCompile(`:[A-Za-z0-9-]+`)

func TestElementsAreThoseOfR4(t *testing.T) {
	schema, err := resource.LoadSchema()
	if err != nil {
		t.Fatal(err)
	}
	for id, p := range definitions(t) {
		for _, list := range [][]resource.Node{p.differential, p.snapshot} {
			seen := map[string]bool{}
			for i := range list {
				e := &list[i]
				eid, path := e.Str("id"), e.Str("path")
				base, ok := schema.Element(path)
				switch {
				case !ok:
					t.Errorf("%s: %s is no element of R4", id, path)
					continue
				case !elementID.MatchString(eid):
					t.Errorf("%s: id %q has not the form of one", id, eid)
				case sliceOf.ReplaceAllString(eid, "") != path:
					t.Errorf("%s: id %q does not fit path %q", id, eid, path)
				case seen[eid]:
					t.Errorf("%s: %s is there twice", id, eid)
				}
				seen[eid] = true
				last := eid[strings.LastIndexByte(eid, '.')+1:]
				if _, name, sliced := strings.Cut(last, ":"); sliced != (e.Get("sliceName") != nil) || e.Str("sliceName") != name {
					t.Errorf("%s: %s has the slice name %q", id, eid, e.Str("sliceName"))
				}
				narrows(t, id, e, &base)
			}
		}
	}
}

// narrows checks that an element allows nothing that the base does not.
func narrows(t *testing.T, id string, e *resource.Node, base *resource.Element) {
	t.Helper()
	eid := e.Str("id")
	if !strings.Contains(eid, ".") {
		return // the root
	}
	least, most := cardinality(e, base)
	if e.Get("sliceName") == nil && least < base.Min {
		t.Errorf("%s: %s has min %d, R4 has %d", id, eid, least, base.Min)
	}
	if base.Max != resource.Unbounded && (most == resource.Unbounded || most > base.Max) {
		t.Errorf("%s: %s has max %d, R4 has %d", id, eid, most, base.Max)
	}
	if most != resource.Unbounded && least > most {
		t.Errorf("%s: %s has min %d above max %d", id, eid, least, most)
	}
	types := e.List("type")
	for i := range types {
		code := types[i].Str("code")
		if strings.HasPrefix(code, "http://hl7.org/fhirpath/") {
			continue // how R4 writes the types of ids and addresses
		}
		at := slices.IndexFunc(base.Types, func(t resource.Type) bool { return t.Name == code })
		if at < 0 {
			t.Errorf("%s: %s may be a %s, in R4 it may not", id, eid, code)
			continue
		}
		targets := types[i].List("targetProfile")
		for j := range targets {
			target := strings.TrimPrefix(targets[j].Text, "http://hl7.org/fhir/StructureDefinition/")
			if allowed := base.Types[at].Targets; len(allowed) > 0 && !slices.Contains(allowed, target) {
				t.Errorf("%s: %s may refer to %s, in R4 it may not", id, eid, target)
			}
		}
	}
}

func TestDifferentialsAreInOrder(t *testing.T) {
	for id, p := range definitions(t) {
		order := map[string]int{}
		for i := range p.snapshot {
			order[p.snapshot[i].Str("id")] = i
		}
		last := -1
		for i := range p.differential {
			eid := p.differential[i].Str("id")
			at, ok := order[eid]
			switch {
			case !ok:
				t.Errorf("%s: %s is not in the snapshot: run go generate", id, eid)
			case at <= last:
				t.Errorf("%s: %s stands too late in the differential", id, eid)
			}
			last = max(last, at)
		}
	}
}

func TestSnapshotsHoldTheDifferentials(t *testing.T) {
	for id, p := range definitions(t) {
		whole := map[string]*resource.Node{}
		for i := range p.snapshot {
			whole[p.snapshot[i].Str("id")] = &p.snapshot[i]
		}
		for i := range p.differential {
			diff := &p.differential[i]
			eid := diff.Str("id")
			for _, f := range diff.Fields {
				got := whole[eid].Get(f.Name)
				if f.Name == "constraint" {
					for j := range f.Node.Items {
						if !hasRule(got, &f.Node.Items[j], p.URL) {
							t.Errorf("%s: the snapshot of %s lacks rule %s: run go generate", id, eid, f.Node.Items[j].Str("key"))
						}
					}
					continue
				}
				if got == nil || string(got.JSON()) != string(f.Node.JSON()) {
					t.Errorf("%s: %s of %s is not that of the differential: run go generate", id, f.Name, eid)
				}
			}
		}
	}
}

// hasRule reports whether a snapshot has a rule, with its source.
func hasRule(list, rule *resource.Node, source string) bool {
	return slices.ContainsFunc(list.Each(), func(r resource.Node) bool {
		return r.Str("key") == rule.Str("key") && r.Str("expression") == rule.Str("expression") && r.Str("severity") == rule.Str("severity") && r.Str("source") == source
	})
}

func TestSnapshotsAreWhole(t *testing.T) {
	schema, err := resource.LoadSchema()
	if err != nil {
		t.Fatal(err)
	}
	for id, p := range definitions(t) {
		var got []string
		for i := range p.snapshot {
			e := &p.snapshot[i]
			for _, member := range []string{"id", "path", "short", "definition", "min", "max", "base"} {
				if e.Get(member) == nil {
					t.Errorf("%s: %s has no %s in the snapshot", id, e.Str("id"), member)
				}
			}
			if !strings.Contains(e.Str("id"), ":") {
				got = append(got, e.Str("path"))
			}
		}
		root, _ := schema.Element(p.Type)
		for _, path := range family(schema, root) {
			if !slices.Contains(got, path) {
				t.Errorf("%s: the snapshot has no %s", id, path)
			}
		}
		// Each slice has what is below its element.
		for i := range p.snapshot {
			e := &p.snapshot[i]
			if e.Get("sliceName") == nil {
				continue
			}
			element, _ := schema.Element(e.Str("path"))
			for _, path := range family(schema, element)[1:] {
				if want := e.Str("id") + strings.TrimPrefix(path, e.Str("path")); !slices.ContainsFunc(p.snapshot, func(n resource.Node) bool { return n.Str("id") == want }) {
					t.Errorf("%s: the snapshot has no %s", id, want)
				}
			}
		}
	}
}

// family lists the paths of an element and of what R4 defines below it in the
// same resource, in order; data types are not entered.
func family(schema *resource.Schema, e resource.Element) []string {
	list := []string{e.Path}
	inside := !strings.Contains(e.Path, ".") || slices.ContainsFunc(e.Types, func(t resource.Type) bool { return t.Name == "BackboneElement" || t.Name == "Element" })
	if !inside || e.Content != "" {
		return list
	}
	for _, child := range schema.Children(e) {
		if strings.HasPrefix(child.Path, e.Path+".") {
			list = append(list, family(schema, child)...)
		}
	}
	return list
}

func TestClaims(t *testing.T) {
	d := definitions(t)["starling-genotype"].Definition
	for _, test := range []struct {
		name, profile string
		want          bool
	}{
		{"without a version", Base + "starling-genotype", true},
		{"of this version", Base + "starling-genotype|" + d.Version, true},
		{"of another version", Base + "starling-genotype|0.0.9", false},
		{"another profile", Base + "starling-haplotype", false},
		{"an address that goes on", Base + "starling-genotype-2", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, err := resource.Decode([]byte(`{"resourceType":"Observation","meta":{"profile":["` + test.profile + `"]}}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := d.claims(root); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
	if d.claims(&resource.Node{}) {
		t.Error("a resource without meta claims a profile")
	}
}
