package search

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir/resource"
)

//go:generate go run definitions/generate.go search-parameters.json compartmentdefinition-patient.json ../resource/definitions/codes.tsv

// definitions are HL7's search parameters and the Patient compartment of R4
// 4.0.1 (CC0-1.0), laid out by definitions/generate.go, and units.tsv: the units
// of https://ucum.org/ucum that clinical data use, with their values from there.
// unit-codes.tsv are codes that are often met.
//
//go:embed definitions/*.tsv
var definitions embed.FS

// Registry holds the compiled search parameters. It does not change and is
// safe for concurrent use.
type Registry struct {
	types  map[string]*typeParams
	common *typeParams // what every type has
	hash   string
	base   string // of our own FHIR API, with a slash at its end; "" if unknown
	source *definitionSource

	// Of a registry with parameters that clients define, see With: the one
	// without, and what decides about the entries of each of them.
	own    *Registry
	custom map[Parameter]string
	// What a store says of its index, see Indexing.
	revision string
	indexing map[Parameter]bool
	progress func() (done, total int64)
}

// typeParams are the parameters of one resource type.
type typeParams struct {
	root   *trie
	params []*Param // sorted by name
	byName map[string]*Param
	// excluded are the names of parameters without entries, with the reason.
	excluded map[string]string
}

// row is one line of parameters.tsv.
type row struct {
	url, code, typ, expression, description string
	base, target                            []string
	components                              []componentRow
}

type componentRow struct {
	definition, expression string
}

// NewRegistry compiles the R4 search parameters. It fails only if the embedded
// definitions are broken.
func NewRegistry() (*Registry, error) {
	schema, err := resource.LoadSchema()
	if err != nil {
		return nil, err
	}
	rows, err := readRows()
	if err != nil {
		return nil, err
	}
	if _, err := unitTable(); err != nil {
		return nil, err
	}
	if _, err := textTrees(); err != nil {
		return nil, err
	}
	systems, err := readLists("code-systems.tsv")
	if err != nil {
		return nil, err
	}
	compartment, err := readLists("patient-compartment.tsv")
	if err != nil {
		return nil, err
	}
	r := &Registry{
		types:  make(map[string]*typeParams, 160),
		source: &definitionSource{schema: schema, systems: systems, compartment: compartment, byBase: map[string][]*row{}, urls: map[string]bool{}},
	}
	for i := range rows {
		r.source.urls[rows[i].url] = true
		for _, base := range rows[i].base {
			r.source.byBase[base] = append(r.source.byBase[base], &rows[i])
		}
	}
	for _, typ := range resource.Types() {
		if r.types[typ], _, err = r.source.build(typ); err != nil {
			return nil, err
		}
	}
	if r.common, _, err = r.source.build(""); err != nil {
		return nil, err
	}
	r.hash = r.fingerprint()
	return r, nil
}

// WithBase returns a registry for a server with that FHIR base URL: its Extract
// and Index take an absolute reference below the base for one to a resource of
// our own. The hash stays: which references are our own is decided when a
// resource is written, and does not change when the server moves.
func (r *Registry) WithBase(base string) *Registry {
	out := *r
	out.base = ""
	if base != "" {
		out.base = strings.TrimSuffix(base, "/") + "/"
	}
	return &out
}

// compileAll compiles the parameters of the compiler's type, composites last
// because they refer to others.
func (c *compiler) compileAll(rows []*row, compartment []string) (*typeParams, error) {
	t := &typeParams{root: c.root, byName: map[string]*Param{}, excluded: map[string]string{}}
	byURL := map[string]*Param{}
	var composites []*row
	for _, row := range rows {
		if reason := exclusions[row.url]; reason != "" {
			t.excluded[row.code] = reason
			continue
		}
		if row.typ == string(TypeComposite) {
			composites = append(composites, row)
			continue
		}
		p := row.param(c.typ)
		p.compartment = slices.Contains(compartment, p.Name)
		switch {
		case textParams[p.URL]:
			p.Type = TypeSpecial
		case p.Name != lastUpdatedParam:
			if err := c.compile(p); err != nil {
				return nil, err
			}
		}
		byURL[p.URL] = p
		if err := t.add(p); err != nil {
			return nil, err
		}
	}
	for _, row := range composites {
		p := row.param(c.typ)
		find := func(url string) (*Param, bool) {
			of, ok := byURL[url]
			return of, ok
		}
		if err := c.compileComposite(p, row.components, find); err != nil {
			return nil, err
		}
		if err := t.add(p); err != nil {
			return nil, err
		}
	}
	for _, name := range compartment {
		if t.byName[name] == nil {
			return nil, fmt.Errorf("the Patient compartment names %s.%s, which is no search parameter", c.typ, name)
		}
	}
	t.sort()
	return t, nil
}

// sort brings the parameters into order and ranks them.
func (t *typeParams) sort() {
	slices.SortFunc(t.params, func(a, b *Param) int { return strings.Compare(a.Name, b.Name) })
	for i, p := range t.params {
		p.rank = uint32(i + 1) // _compartment comes before all
	}
}

func (t *typeParams) add(p *Param) error {
	if other := t.byName[p.Name]; other != nil {
		return fmt.Errorf("%s and %s have the same name", p.URL, other.URL)
	}
	t.byName[p.Name] = p
	t.params = append(t.params, p)
	return nil
}

// lastUpdatedParam is indexed by the store, see LastUpdated.
const lastUpdatedParam = "_lastUpdated"

func (r *row) param(typ string) *Param {
	p := &Param{
		Name: r.code, Type: Type(r.typ), URL: r.url, Expression: r.expression,
		Description: r.describe(typ), Targets: r.target,
	}
	if slices.Contains(r.target, "Resource") || slices.Contains(r.target, "Any") {
		p.Targets = nil
	}
	return p
}

// describe returns the description for one type out of "Type: text || …".
func (r *row) describe(typ string) string {
	if len(r.base) == 1 {
		return r.description
	}
	for part := range strings.SplitSeq(r.description, " || ") {
		if text, ok := strings.CutPrefix(part, typ+": "); ok {
			return text
		}
	}
	return ""
}

func readRows() ([]row, error) {
	var rows []row
	err := readTable("parameters.tsv", 8, func(cells []string) error {
		r := row{
			url: cells[0], code: cells[1], typ: cells[2], base: strings.Fields(cells[3]),
			target: strings.Fields(cells[4]), expression: cells[5], description: cells[7],
		}
		if cells[6] != "" {
			for part := range strings.SplitSeq(cells[6], "; ") {
				url, expression, _ := strings.Cut(part, " ")
				r.components = append(r.components, componentRow{url, expression})
			}
		}
		if c := r.components; swappedComponents[r.url] && len(c) == 2 {
			c[0].definition, c[1].definition = c[1].definition, c[0].definition
		}
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

// readLists reads a table of a key and a list.
func readLists(name string) (map[string][]string, error) {
	lists := map[string][]string{}
	err := readTable(name, 2, func(cells []string) error {
		lists[cells[0]] = append(lists[cells[0]], strings.Fields(cells[1])...)
		return nil
	})
	return lists, err
}

// readTable calls each for every data line of an embedded table.
func readTable(name string, columns int, each func(cells []string) error) error {
	data, err := definitions.ReadFile("definitions/" + name)
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if number == 1 {
			continue // the header
		}
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) != columns {
			return fmt.Errorf("%s line %d: %d columns, want %d", name, number, len(cells), columns)
		}
		if err := each(cells); err != nil {
			return fmt.Errorf("%s line %d: %w", name, number, err)
		}
	}
	return nil
}

// Params returns the search parameters of a resource type, sorted by name; for
// "" those that every type has. The result is shared: it must not be changed.
func (r *Registry) Params(typ string) []*Param {
	set := r.common
	if typ != "" {
		set = r.types[typ]
	}
	if set == nil {
		return nil
	}
	return set.params
}

// Hash names the definitions and the encoding: two registries with one hash
// and one base give the same entries for the same resource.
func (r *Registry) Hash() string { return r.hash }

// fingerprint hashes what decides about entries: the places, types and names of
// all parameters, and the units.
func (r *Registry) fingerprint() string {
	h := sha256.New()
	fmt.Fprintln(h, "encoding", encodingVersion)
	units, _ := definitions.ReadFile("definitions/units.tsv")
	h.Write(units)
	names := make([]string, 0, len(r.types))
	for typ := range r.types {
		names = append(names, typ)
	}
	slices.Sort(names)
	var line []byte
	for _, typ := range names {
		line = append(append(line[:0], typ...), '\n')
		line = r.types[typ].root.describe(line)
		for _, p := range r.types[typ].params {
			for _, c := range p.components {
				line = append(append(append(line, p.Name...), '$'), c.name...)
				line = c.start.describe(line)
			}
		}
		h.Write(line)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// describe appends the tree as text.
func (t *trie) describe(dst []byte) []byte {
	for _, l := range t.leaves {
		dst = append(append(append(dst, l.param.Name...), ':'), l.param.Type...)
		dst = append(append(dst, ' '), l.typ...)
		if l.param.compartment {
			dst = append(dst, " compartment"...)
		}
		dst = append(dst, '\n')
	}
	for _, g := range t.guards {
		dst = append(append(append(dst, '('), g.source...), '\n')
		dst = append(g.next.describe(dst), ')')
	}
	for _, b := range t.branches {
		dst = append(append(append(dst, '.'), b.name...), '\n')
		dst = append(b.next.describe(dst), '^')
	}
	return dst
}
