package resource

import (
	"slices"
	"testing"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"
)

// SchemaProblems follows every reference inside the definitions and lists what
// leads nowhere.
func SchemaProblems(tb testing.TB) []string {
	tb.Helper()
	s, err := LoadSchema()
	if err != nil {
		tb.Fatal(err)
	}
	unlisted := map[string]bool{ // R4 refers to code systems outside FHIR for these
		"http://hl7.org/fhir/ValueSet/currencies": true,
		"http://hl7.org/fhir/ValueSet/mimetypes":  true,
		"http://hl7.org/fhir/ValueSet/ucum-units": true,
		"http://loinc.org/vs/LL379-9":             true,
	}
	var problems []string
	for path, e := range s.elements {
		if e.Content != "" && s.children[e.Content] == nil {
			problems = append(problems, path+" repeats "+e.Content+", which is not there")
		}
		for _, t := range e.Types {
			if first := t.Name[0]; first >= 'A' && first <= 'Z' && s.children[t.Name] == nil {
				problems = append(problems, path+" has the unknown type "+t.Name)
			}
			for _, target := range t.Targets {
				if !KnownType(target) {
					problems = append(problems, path+" points at the unknown type "+target)
				}
			}
		}
		if e.Strength == "required" && s.codes[e.ValueSet] == nil && !unlisted[e.ValueSet] {
			problems = append(problems, path+" is bound to "+e.ValueSet+", which has no codes")
		}
	}
	return problems
}

// Walk returns what the walk alone finds in a resource, each as "place: message".
func Walk(root *Node) []string {
	all, err := shapes()
	if err != nil {
		panic(err)
	}
	var found findings
	c := checker{shapes: all, root: root, found: &found}
	if sh := c.typeOf(root); sh != nil {
		c.resource(sh, root)
	}
	var out []string
	for _, f := range found.list {
		out = append(out, expression(root.Str("resourceType"), f.place)+": "+f.message)
	}
	return out
}

// Reader is jsonformat with all its checks on.
type Reader struct{ full *jsonformat.Unmarshaller }

// NewReader returns a Reader.
func NewReader() (*Reader, error) {
	full, err := jsonformat.NewUnmarshaller("UTC", fhirversion.R4)
	return &Reader{full}, err
}

// Read gives jsonformat the copy of a resource that the gate would give it, and
// returns what it objects to, each as "place: message".
func (r *Reader) Read(root *Node) []string {
	all, err := shapes()
	if err != nil {
		panic(err)
	}
	var found findings
	c := checker{shapes: all, root: root, found: &found}
	sh := c.typeOf(root)
	if sh == nil {
		return []string{": no shape"}
	}
	c.resource(sh, root)
	text := c.copy.append(nil, root)
	c.place = nil
	var out []string
	for _, p := range unmarshal(r.full, text) {
		out = append(out, expression(root.Str("resourceType"), c.locate(p.path))+": "+p.details+" "+p.diagnostics)
	}
	for _, inside := range c.nested {
		out = append(out, r.Read(inside.node)...)
	}
	slices.Sort(out)
	return out
}

// Unmarshal is the guarded call of a jsonformat reader, here of one that panics.
func Unmarshal(reader *jsonformat.Unmarshaller, text []byte) []string {
	var out []string
	for _, p := range unmarshal(reader, text) {
		out = append(out, p.message())
	}
	return out
}

// RuleKeys returns the keys of all rules.
func RuleKeys() []string {
	var keys []string
	for i := range rules {
		keys = append(keys, rules[i].key)
	}
	return keys
}

// RuleURLs returns the page of each rule.
func RuleURLs() map[string]string {
	urls := make(map[string]string)
	for i := range rules {
		urls[rules[i].key] = rules[i].url()
	}
	return urls
}

// NarrativeProblem is tested by itself.
var NarrativeProblem = narrativeProblem

// Forget makes the gate read every structure anew.
func (g *Gate) Forget() {
	g.accepted.mu.Lock()
	defer g.accepted.mu.Unlock()
	g.accepted.set, g.accepted.bytes = nil, 0
}
