package profiles

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// TestDocs compares docs/reference/profiles.md and the page of each profile
// with the definitions, the examples and what becomes of them. With -update it
// writes the pages.
func TestDocs(t *testing.T) {
	folder := filepath.Join(golden.Root(t), "docs", "reference")
	all, results := definitions(t), outcomes(t)
	golden.Text(t, filepath.Join(folder, "profiles.md"), []byte(index(all)))
	for id, p := range all {
		golden.Text(t, filepath.Join(folder, "profiles", id+".md"), []byte(page(t, p, results)))
	}
	pages, err := os.ReadDir(filepath.Join(folder, "profiles"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range pages {
		if all[strings.TrimSuffix(entry.Name(), ".md")] == nil {
			t.Errorf("docs/reference/profiles/%s is of no profile", entry.Name())
		}
	}
}

// cell escapes words for a cell of a table.
func cell(words string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;", "\n", " ").Replace(words)
}

func index(all map[string]*profile) string {
	var b strings.Builder
	b.WriteString(`# Profiles

Made from ` + "`profiles/`" + ` by ` + "`go test ./profiles -run Docs -update`" + `.

What a resource must hold so that a medication card can be made from it, as FHIR StructureDefinitions. The server holds
them as resources and names them in its CapabilityStatement:

` + "```sh" + `
curl -s http://localhost:8080/fhir/StructureDefinition/starling-genotype
curl -s 'http://localhost:8080/fhir/Observation?_profile=` + Base + `starling-genotype'
` + "```" + `

| profile | of | what it is for | in Genomics Reporting STU3 |
|---|---|---|---|
`)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		p := all[id]
		guide := ""
		if mapping := p.root.List("mapping"); len(mapping) > 0 {
			guide = mapping[0].Str("uri")
			guide = "[" + guide[strings.LastIndexByte(guide, '/')+1:] + "](" + guide + ")"
		}
		fmt.Fprintf(&b, "| [%s](profiles/%s.md) | %s | %s | %s |\n", id, id, p.Type, cell(p.root.Str("description")), guide)
	}
	b.WriteString(`
The canonical URL of a profile is ` + "`" + Base + "`" + ` and its id. It is a name; it need not lead anywhere.

## What the profiles promise

- **They ask for what is read.** Without most of the required elements a result is not found, not used, or in nobody's
  record. The others are asked for because the guide does (two categories) or because a number means nothing without them
  (positions and sequences). Each page has, for every rule, an example that breaks it alone, and what the service answers
  then; the tests compare the pages with the running engine.
- **Nothing is refused for breaking one.** A resource that is sound R4 is stored. What of it cannot be read is not guessed:
  the pages show what is said instead. Starling reads more spellings than the profiles allow, because laboratories write
  many; only what the profiles describe is promised.
- **mustSupport** marks what Starling reads, or keeps for what will be read: a sender that has it should send it. The texts
  say which of the two. Nothing that is sent is lost or changed either way.
- **Open slices**: further categories, components and extensions may be sent.

## Why they stand on R4 and not on the guide

HL7's [Genomics Reporting](http://hl7.org/fhir/uv/genomics-reporting/STU3/) has profiles of the same things. Ours are R4's
own types, narrowed, with a ` + "`mapping`" + ` to the guide element by element. With the guide's profiles as
` + "`baseDefinition`" + ` nothing could be checked without the guide and its terminology, and whoever does not use the guide
could not use ours. The codes are the same, so that one resource can meet both: the good examples claim both profiles. The
extension ` + "`imposeProfile`" + ` is not used for the same reason.

The definitions have snapshots. Those are made from HL7's 4.0.1 definitions without the mappings and long comments of the base.
`)
	return b.String()
}

// page is the page of one profile.
func page(tb testing.TB, p *profile, results map[string]outcome) string {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nMade from `profiles/` by `go test ./profiles -run Docs -update`. [All profiles](../profiles.md).\n\n", p.Title)
	fmt.Fprintf(&b, "%s %s\n\n`%s`, version %s, on %s.\n\n## Elements\n\n| element | how many | what | why it matters to a card |\n|---|---|---|---|\n",
		cell(p.root.Str("description")), cell(p.root.Str("purpose")), p.URL, p.Version, p.Type)
	c := newChecker(tb, p.differential)
	for i := range p.differential {
		e := &p.differential[i]
		id := e.Str("id")
		if !strings.Contains(id, ".") || c.discriminates(id) && e.Get("requirements") == nil {
			continue
		}
		base, _ := c.schema.Element(e.Str("path"))
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", strings.TrimPrefix(id, p.Type+"."), many(e, &base), cell(what(c, e)), cell(strings.TrimSpace(e.Str("requirements")+" "+e.Str("comment"))))
	}
	if rules := constraints(p); rules != "" {
		b.WriteString("\n## Rules\n\n| rule | of | says | if broken |\n|---|---|---|---|\n" + rules)
	}
	kind := strings.TrimPrefix(p.ID, "starling-")
	good := results[kind]
	fmt.Fprintf(&b, "\n## A good example\n\n`profiles/examples/good/%s.json`", kind)
	switch len(good.FoundBy) {
	case 0:
		b.WriteString(", which no prefetch query asks for")
	case 1:
		fmt.Fprintf(&b, ", found by the prefetch query %s", good.FoundBy[0])
	default:
		fmt.Fprintf(&b, ", found by the prefetch queries %s", strings.Join(good.FoundBy, " and "))
	}
	fmt.Fprintf(&b, ". %s the service answers:\n\n", asked(kind))
	for _, line := range good.Said {
		fmt.Fprintf(&b, "- %s\n", cell(line))
	}
	if len(good.Tested) > 0 {
		fmt.Fprintf(&b, "\nThe card of a genotype that rests on it says that the assay looked for %s.\n", strings.Join(good.Tested, ", "))
	}
	fmt.Fprintf(&b, "\n```json\n%s\n```\n", bytes.TrimSpace(file(tb, filepath.Join("examples", "good", kind+".json"))))
	b.WriteString("\n## Bad examples\n\nEach is sound R4 and breaks one rule. They are in `profiles/examples/bad`.\n\n| example | breaks | and then |\n|---|---|---|\n")
	for _, row := range badExamples {
		if name, ok := strings.CutPrefix(row.file, kind+"."); ok {
			fmt.Fprintf(&b, "| %s | `%s` %s | %s |\n", name, strings.TrimPrefix(row.element, p.Type+"."), row.rule, cell(then(good, results[row.file], row.same)))
		}
	}
	return b.String()
}

// asked says what was ordered for an example.
func asked(kind string) string {
	switch kind {
	case "patient":
		return "With CYP2D6 \\*4/\\*4 and G6PD A- on record, to orders for atomoxetine and rasburicase"
	case "haplotype":
		return "With a second one like it, to an order for clopidogrel"
	}
	return "To an order for clopidogrel"
}

func file(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// many is a cardinality as FHIR writes it.
func many(e *resource.Node, base *resource.Element) string {
	least, most := cardinality(e, base)
	if most == resource.Unbounded {
		return fmt.Sprintf("%d..\\*", least)
	}
	return fmt.Sprintf("%d..%d", least, most)
}

// what says what an element is: its words, its code, its types.
func what(c *checker, e *resource.Node) string {
	words := []string{e.Str("short")}
	pattern, _ := fixed(e)
	if pattern == nil && e.Get("sliceName") != nil {
		for i := range c.elements {
			if inside := c.elements[i].Str("id"); strings.HasPrefix(inside, e.Str("id")+".") && c.discriminates(inside) {
				pattern, _ = fixed(&c.elements[i])
			}
		}
	}
	if pattern != nil {
		text := pattern.Text
		if coding := pattern.List("coding"); len(coding) > 0 {
			text = coding[0].Str("system") + "|" + coding[0].Str("code")
		}
		if text != words[0] {
			words = append(words, "`"+text+"`")
		}
	}
	var types []string
	list := e.List("type")
	for i := range list {
		name := list[i].Str("code")
		var targets []string
		for _, target := range list[i].List("targetProfile") {
			targets = append(targets, strings.TrimPrefix(target.Text, "http://hl7.org/fhir/StructureDefinition/"))
		}
		if len(targets) > 0 {
			name += "(" + strings.Join(targets, " or ") + ")"
		}
		types = append(types, name)
	}
	if len(types) > 0 {
		words = append(words, strings.Join(types, ", "))
	}
	return strings.Join(words, "; ")
}

func constraints(p *profile) string {
	var b strings.Builder
	for i := range p.differential {
		e := &p.differential[i]
		rules := e.List("constraint")
		for j := range rules {
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", rules[j].Str("key"), e.Str("id"), cell(rules[j].Str("human")), rules[j].Str("severity"))
		}
	}
	return b.String()
}

// then says what becomes of a bad example beside the good one.
func then(good, bad outcome, same string) string {
	var words []string
	if !slices.Equal(good.FoundBy, bad.FoundBy) {
		if len(bad.FoundBy) == 0 {
			words = append(words, "No query finds it.")
		} else {
			words = append(words, "Found by "+strings.Join(bad.FoundBy, ", ")+" only.")
		}
	}
	if same != "" {
		return strings.Join(append(words, "Same answer: "+same+"."), " ")
	}
	if len(bad.Patients) == 0 {
		words = append(words, "In no patient's record.")
	}
	if !slices.Equal(good.Said, bad.Said) {
		words = append(words, "Answer: "+strings.Join(bad.Said, "; ")+".")
	}
	if len(bad.Sent) > 0 && len(bad.Patients) == 0 {
		words = append(words, "Sent all the same: "+strings.Join(bad.Sent, "; ")+".")
	}
	if len(good.Tested) > 0 && len(bad.Tested) == 0 && len(bad.Patients) > 0 {
		words = append(words, "A genotype that rests on it does not say what was looked for.")
	}
	return strings.Join(words, " ")
}
