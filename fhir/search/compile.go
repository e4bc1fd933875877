package search

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir/resource"
)

// R4's search parameters use a small part of FHIRPath,
// https://hl7.org/fhir/R4/fhirpath.html: paths, unions, "as" (also on
// collections, where it means ofType), where() on an equality or on
// "resolve() is", an index, and once exists() and "!= false". The compiler
// turns all parameters of a resource type into one tree of JSON member names,
// so that a resource is walked once.

// trie is a place in a resource with what is wanted of it.
type trie struct {
	branches []branch
	guards   []guard
	leaves   []*leaf
}

// branch leads to a member of an object.
type branch struct {
	name string
	next *trie
}

// guard leads on from a node that passes a test.
type guard struct {
	source string // as in the expression; equal sources are shared
	pass   func(root, n *resource.Node, index int) bool
	next   *trie
}

// leaf is a parameter that wants a node of a data type.
type leaf struct {
	param *Param
	typ   string
	index func(x *extraction, p *Param, typ string, n *resource.Node)
}

func (t *trie) child(name string) *trie {
	for i := range t.branches {
		if t.branches[i].name == name {
			return t.branches[i].next
		}
	}
	next := &trie{}
	t.branches = append(t.branches, branch{name, next})
	return next
}

func (t *trie) guarded(source string, pass func(root, n *resource.Node, index int) bool) *trie {
	for i := range t.guards {
		if t.guards[i].source == source {
			return t.guards[i].next
		}
	}
	next := &trie{}
	t.guards = append(t.guards, guard{source, pass, next})
	return next
}

func (t *trie) wants(p *Param, typ string) *leaf {
	for _, l := range t.leaves {
		if l.param == p && l.typ == typ {
			return l
		}
	}
	l := &leaf{param: p, typ: typ}
	t.leaves = append(t.leaves, l)
	return l
}

// spot is where a path has led to: a place and the type found there.
type spot struct {
	at   *trie
	path string // of the element whose children come next: "Observation.component", "HumanName"
	typ  string // data type, or the path for an element with children of its own
	def  resource.Element
}

// compiler compiles expressions for one resource type.
type compiler struct {
	schema  *resource.Schema
	typ     string // "Observation", or "Resource" for what all types have
	root    *trie
	systems map[string][]string // of value sets
}

func (c *compiler) rootSpot() spot {
	return spot{at: c.root, path: c.typ, typ: c.typ}
}

// terms splits an expression at its top-level '|' and keeps the terms of this
// resource type. A term that starts with an element name, as in
// InsurancePlan-name, is of any type.
func (c *compiler) terms(expression string) []string {
	var out []string
	for term := range strings.SplitSeq(expression, " | ") {
		term = strings.TrimSpace(term)
		head := strings.TrimLeft(term, "(")
		name, _, _ := strings.Cut(head, ".")
		name, _, _ = strings.Cut(name, " ")
		switch {
		case name == c.typ, name == "Resource", name == "DomainResource":
			out = append(out, term)
		case name != "" && name[0] >= 'a' && name[0] <= 'z':
			out = append(out, term)
		}
	}
	return out
}

// evaluate compiles one term and returns where it leads, with the resource
// types that its "resolve() is" allows.
func (c *compiler) evaluate(start spot, term string) (spots []spot, resolved []string, err error) {
	spots = []spot{start}
	steps, err := parseTerm(term)
	if err != nil {
		return nil, nil, err
	}
	for i, s := range steps {
		if i == 0 && s.kind == stepChild && (s.text == c.typ || s.text == "Resource" || s.text == "DomainResource") {
			continue
		}
		var next []spot
		for _, at := range spots {
			to, err := c.step(at, s)
			if err != nil {
				return nil, nil, err
			}
			next = append(next, to...)
		}
		if s.kind == stepResolve {
			resolved = append(resolved, s.text)
		}
		if len(next) == 0 {
			return nil, nil, fmt.Errorf("%q: nothing left after %q", term, s.text)
		}
		spots = next
	}
	return spots, resolved, nil
}

// step follows one step from one spot.
func (c *compiler) step(at spot, s step) ([]spot, error) {
	switch s.kind {
	case stepChild:
		return c.child(at, s.text)
	case stepAs:
		// FHIRPath names are case-sensitive, but one definition says DateTime.
		if strings.EqualFold(at.typ, s.text) {
			return []spot{at}, nil
		}
		return nil, nil
	case stepEquals:
		name, want := s.text, s.value
		at.at = at.at.guarded(s.source, func(_, n *resource.Node, _ int) bool { return n.Str(name) == want })
	case stepResolve:
		want := s.text
		at.at = at.at.guarded(s.source, func(root, n *resource.Node, _ int) bool { return targetType(root, n) == want })
	case stepIndex:
		want := s.index
		at.at = at.at.guarded(s.source, func(_, _ *resource.Node, index int) bool { return index == want })
	}
	return []spot{at}, nil
}

// child follows an element name. A choice element gives a spot for each type.
func (c *compiler) child(at spot, name string) ([]spot, error) {
	e, ok := c.schema.Element(at.path + "." + name)
	if !ok {
		return nil, fmt.Errorf("%s has no element %q", at.path, name)
	}
	if e.Content != "" {
		return []spot{{at: at.at.child(name), path: e.Content, typ: e.Content, def: e}}, nil
	}
	var out []spot
	for _, t := range e.Types {
		member := name
		if e.Choice() != "" {
			member = name + strings.ToUpper(t.Name[:1]) + t.Name[1:]
		}
		next := spot{at: at.at.child(member), path: t.Name, typ: t.Name, def: e}
		switch {
		case t.Name == "BackboneElement" || t.Name == "Element":
			next.path, next.typ = e.Path, e.Path
		case name == "id" && at.path == c.typ:
			next.typ = "id" // R4 defines it as a string, whose case would not count
		case e.Path == "HumanName.family":
			next.typ = familyType
		}
		out = append(out, next)
	}
	return out, nil
}

// Kinds of step.
const (
	stepChild   = iota // .name
	stepAs             // as T, .as(T), ofType
	stepEquals         // .where(name='value')
	stepResolve        // .where(resolve() is T)
	stepIndex          // [n]
)

// step is one step of a path.
type step struct {
	kind        int
	text, value string
	index       int
	source      string
}

// parseTerm reads one term of a union: a path, or "(path as Type)" followed by
// more of the path.
func parseTerm(term string) ([]step, error) {
	var steps []step
	rest := term
	if inner, ok := strings.CutPrefix(rest, "("); ok {
		end := strings.IndexByte(inner, ')')
		if end < 0 {
			return nil, fmt.Errorf("%q: no closing parenthesis", term)
		}
		path, typ, ok := strings.Cut(inner[:end], " as ")
		if !ok {
			return nil, fmt.Errorf("%q: expected \"as\" in parentheses", term)
		}
		var err error
		if steps, err = parseTerm(path); err != nil {
			return nil, err
		}
		steps = append(steps, step{kind: stepAs, text: typ, source: "as " + typ})
		rest = strings.TrimPrefix(inner[end+1:], ".")
	} else if path, typ, ok := strings.Cut(rest, " as "); ok {
		steps, err := parseTerm(path)
		return append(steps, step{kind: stepAs, text: typ, source: "as " + typ}), err
	}
	for rest != "" {
		n := 0
		for n < len(rest) && isWord(rest[n]) {
			n++
		}
		if n == 0 {
			return nil, fmt.Errorf("%q: expected a name at %q", term, rest)
		}
		name, tail := rest[:n], rest[n:]
		switch {
		case strings.HasPrefix(tail, "("):
			s, after, err := parseCall(name, tail)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", term, err)
			}
			steps, tail = append(steps, s), after
		default:
			steps = append(steps, step{kind: stepChild, text: name, source: name})
		}
		if strings.HasPrefix(tail, "[") {
			digits, after, ok := strings.Cut(tail[1:], "]")
			index, err := strconv.Atoi(digits)
			if !ok || err != nil {
				return nil, fmt.Errorf("%q: bad index", term)
			}
			steps, tail = append(steps, step{kind: stepIndex, index: index, source: "[" + digits + "]"}), after
		}
		if tail == "" {
			break
		}
		if tail[0] != '.' {
			return nil, fmt.Errorf("%q: expected '.' at %q", term, tail)
		}
		rest = tail[1:]
	}
	return steps, nil
}

// parseCall reads the arguments of as() or where() and returns what follows.
func parseCall(name, tail string) (step, string, error) {
	depth, end := 0, -1
	for i := range len(tail) {
		switch tail[i] {
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 && end < 0 {
				end = i
			}
		}
	}
	if end < 0 {
		return step{}, "", fmt.Errorf("no closing parenthesis after %s", name)
	}
	argument, after := strings.TrimSpace(tail[1:end]), tail[end+1:]
	source := name + tail[:end+1]
	switch name {
	case "as", "ofType":
		return step{kind: stepAs, text: argument, source: source}, after, nil
	case "where":
		if typ, ok := strings.CutPrefix(argument, "resolve() is "); ok {
			return step{kind: stepResolve, text: strings.TrimSpace(typ), source: source}, after, nil
		}
		left, right, ok := strings.Cut(argument, "=")
		right = strings.TrimSpace(right)
		if ok && len(right) > 1 && right[0] == '\'' && right[len(right)-1] == '\'' {
			return step{kind: stepEquals, text: strings.TrimSpace(left), value: right[1 : len(right)-1], source: source}, after, nil
		}
	}
	return step{}, "", fmt.Errorf("%s is not a function this compiler knows", source)
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '%'
}

// compile adds a parameter to the tree.
func (c *compiler) compile(p *Param) error {
	terms := c.terms(p.Expression)
	if len(terms) == 0 {
		return fmt.Errorf("%s: no term of %q concerns %s", p.URL, p.Expression, c.typ)
	}
	p.Expression = strings.Join(terms, " | ")
	if path, ok := parseTruth(p.Expression); ok {
		l := c.root.wants(p, "boolean")
		l.index = truth(path)
		p.types, p.systemless, p.systems = []string{"boolean"}, true, []string{specialValues}
		return nil
	}
	var resolved []string
	every := true
	for _, term := range terms {
		spots, types, err := c.evaluate(c.rootSpot(), term)
		if err != nil {
			return fmt.Errorf("%s: %w", p.URL, err)
		}
		resolved = append(resolved, types...)
		every = every && len(types) > 0
		for _, s := range spots {
			c.want(s.at, p, s)
		}
	}
	if every {
		p.Targets = unique(resolved)
	}
	p.finish()
	return nil
}

// want adds a leaf and notes what its type means for the parameter.
func (c *compiler) want(at *trie, p *Param, s spot) {
	l := at.wants(p, s.typ)
	l.index = indexers[p.Type]
	p.types = append(p.types, s.typ)
	switch {
	case s.typ == "boolean":
		p.systems = append(p.systems, specialValues)
	case s.typ == "code" && s.def.ValueSet != "":
		set, _, _ := strings.Cut(s.def.ValueSet, "|")
		p.systems = append(p.systems, c.systems[set]...)
	}
}

// finish sums up the element types of a parameter.
func (p *Param) finish() {
	p.types = unique(p.types)
	p.systems = unique(p.systems)
	p.systemless = p.Type == TypeToken && !slices.ContainsFunc(p.types, func(t string) bool {
		return t == "Coding" || t == "CodeableConcept" || t == "Identifier"
	})
}

// indexers are the functions that make entries, by parameter type. Composites
// have their own.
var indexers = map[Type]func(x *extraction, p *Param, typ string, n *resource.Node){
	TypeNumber:    indexNumber,
	TypeDate:      indexDate,
	TypeString:    indexString,
	TypeToken:     indexToken,
	TypeReference: indexReference,
	TypeQuantity:  indexQuantity,
	TypeURI:       indexURI,
	TypeSpecial:   indexPosition,
}

// parseTruth recognises "X.exists() and X != false".
func parseTruth(expression string) (path string, ok bool) {
	left, right, found := strings.Cut(expression, " and ")
	path, exists := strings.CutSuffix(left, ".exists()")
	_, path, hasPath := strings.Cut(path, ".")
	return path, found && exists && hasPath && strings.HasSuffix(right, "."+path+" != false")
}

// truth indexes a choice element as a boolean: false if it is absent or false,
// else true.
func truth(name string) func(x *extraction, p *Param, typ string, n *resource.Node) {
	return func(x *extraction, p *Param, _ string, n *resource.Node) {
		x.token(p, "", strconv.FormatBool(isTruth(n, name)))
	}
}

func isTruth(n *resource.Node, name string) bool {
	for i := range n.Fields {
		f := &n.Fields[i]
		if strings.HasPrefix(f.Name, name) && f.Node.Kind != resource.Null {
			return f.Node.Kind != resource.Bool || f.Node.Text == "true"
		}
	}
	return false
}

// compileComposite adds a composite to the tree. byURL finds the parameters
// its components refer to.
func (c *compiler) compileComposite(p *Param, parts []componentRow, byURL func(url string) (*Param, bool)) error {
	terms := c.terms(p.Expression)
	if len(terms) == 0 {
		return fmt.Errorf("%s: no term of %q concerns %s", p.URL, p.Expression, c.typ)
	}
	p.Expression = strings.Join(terms, " | ")
	if len(parts) < 2 || len(parts) > maxComponents {
		return fmt.Errorf("%s: %d components", p.URL, len(parts))
	}
	for _, row := range parts {
		of, ok := byURL(row.definition)
		if !ok {
			return fmt.Errorf("%s: component %s is unknown for %s", p.URL, row.definition, c.typ)
		}
		p.components = append(p.components, component{
			typ: of.Type, name: of.Name, start: &trie{},
			atRoot: strings.HasPrefix(row.expression, "%resource."),
			params: []*Param{{Name: of.Name, Type: of.Type, URL: of.URL, Targets: of.Targets}},
		})
	}
	for _, term := range terms {
		spots, _, err := c.evaluate(c.rootSpot(), term)
		if err != nil {
			return fmt.Errorf("%s: %w", p.URL, err)
		}
		for _, s := range spots {
			s.at.wants(p, s.typ).index = indexComposite
			for i := range p.components {
				if err := c.compileComponent(&p.components[i], s, parts[i].expression); err != nil {
					return fmt.Errorf("%s: %w", p.URL, err)
				}
			}
		}
	}
	for i := range p.components {
		p.components[i].params[0].finish()
	}
	return nil
}

// compileComponent adds the paths of a component, relative to the composite's
// element.
func (c *compiler) compileComponent(part *component, from spot, expression string) error {
	start := spot{at: part.start, path: from.path, typ: from.typ}
	if path, ok := strings.CutPrefix(expression, "%resource."); ok {
		start.path, start.typ, expression = c.typ, c.typ, path
	}
	for term := range strings.SplitSeq(expression, " | ") {
		spots, _, err := c.evaluate(start, strings.TrimSpace(term))
		if err != nil {
			return err
		}
		for _, s := range spots {
			c.want(s.at, part.params[0], s)
		}
	}
	return nil
}
