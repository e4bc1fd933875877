package search

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Definition is a search parameter that a client defines with a SearchParameter
// resource, https://hl7.org/fhir/R4/searchparameter.html.
type Definition struct {
	ID     string // of the resource
	Active bool   // its status; what is not active has no effect
	URL    string
	Code   string
	Type   Type
	Base   []string
	Target []string

	description, derivedFrom, expression string
	paths                                []path
}

// Parameter names a search parameter of a resource type.
type Parameter struct{ Type, Name string }

// codeForm is what a name in a search URL can be made of.
var codeForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// ReadDefinition reads a SearchParameter resource that the gate accepted. The
// error, Unprocessable, names the elements that are not understood. What is not
// active is not judged.
func ReadDefinition(root *resource.Node) (Definition, error) {
	d := Definition{
		ID: root.Str("id"), Active: root.Str("status") == "active", URL: root.Str("url"), Code: root.Str("code"), Type: Type(root.Str("type")),
		description: root.Str("description"), derivedFrom: root.Str("derivedFrom"), expression: root.Str("expression"),
	}
	for i, list := 0, root.List("base"); i < len(list); i++ {
		d.Base = append(d.Base, list[i].Text)
	}
	for i, list := 0, root.List("target"); i < len(list); i++ {
		if list[i].Text == "Resource" || list[i].Text == "Any" {
			d.Target = nil
			break
		}
		d.Target = append(d.Target, list[i].Text)
	}
	d.Base, d.Target = unique(d.Base), unique(d.Target)
	if !d.Active {
		return d, nil
	}
	return d, d.check()
}

// check judges what needs no other definition, and reads the expression.
func (d *Definition) check() error {
	var issues []fhir.Issue
	refuse := func(element, format string, args ...any) {
		issues = append(issues, fhir.Issue{Code: "business-rule", Message: fmt.Sprintf(format, args...), Expression: "SearchParameter." + element})
	}
	if !codeForm.MatchString(d.Code) {
		refuse("code", "%q cannot be the name of a parameter: it is made of letters, digits, '-' and '_', begins with a letter and has 64 characters at most", fhir.Clip(d.Code))
	}
	switch d.Type {
	case TypeComposite:
		refuse("type", "composite parameters cannot be defined here: search with both parameters instead")
	case TypeSpecial:
		refuse("type", "special parameters cannot be defined: what they mean is in no definition")
	default:
		if suited[d.Type] == nil {
			refuse("type", "%q is not a type of search parameter", fhir.Clip(string(d.Type)))
		}
	}
	for _, base := range d.Base {
		if base != "Resource" && base != "DomainResource" && !resource.KnownType(base) {
			refuse("base", "%q is not a resource type", fhir.Clip(base))
		}
	}
	if len(d.Base) == 0 {
		refuse("base", "no resource type is named")
	}
	for _, target := range d.Target {
		if !resource.KnownType(target) {
			refuse("target", "%q is not a resource type", fhir.Clip(target))
		}
	}
	var err error
	if d.expression == "" {
		refuse("expression", "without an expression nothing can be found")
	} else if d.paths, err = parsePaths(d.expression); err != nil {
		refuse("expression", "%v", err)
	}
	return refused(issues)
}

func refused(issues []fhir.Issue) error {
	if len(issues) == 0 {
		return nil
	}
	return &fhir.Error{Kind: fhir.Unprocessable, Issues: issues}
}

// suited are the data types that each type of parameter can look at.
//
// https://hl7.org/fhir/R4/search.html#table
var suited = map[Type][]string{
	TypeNumber:    {"decimal", "integer", "positiveInt", "unsignedInt", "Range"},
	TypeDate:      {"date", "dateTime", "instant", "Period", "Timing"},
	TypeString:    {"string", "markdown", "HumanName", familyType, "Address", "code", "id", "uri", "url"},
	TypeToken:     {"Coding", "CodeableConcept", "Identifier", "ContactPoint", "code", "boolean", "string", "id", "uri", "url", "canonical", "oid", "uuid", "integer", "positiveInt", "unsignedInt"},
	TypeReference: {"Reference", "canonical", "uri", "url"},
	TypeQuantity:  {"Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration", "Money", "Range", "SampledData"},
	TypeURI:       {"uri", "url", "canonical", "oid", "uuid"},
}

// definitionSource is what a registry is compiled from.
type definitionSource struct {
	schema      *resource.Schema
	systems     map[string][]string // of value sets
	compartment map[string][]string // parameters by type
	byBase      map[string][]*row
	urls        map[string]bool // of FHIR's own definitions
}

// compiler returns a new compiler for a type; "" is what all types have.
func (s *definitionSource) compiler(typ string) *compiler {
	if typ == "" {
		typ = "Resource"
	}
	return &compiler{schema: s.schema, typ: typ, root: &trie{}, systems: s.systems}
}

// isDomain reports whether a type is a DomainResource: Bundle, Parameters and
// Binary are none.
func (s *definitionSource) isDomain(typ string) bool {
	_, narrative := s.schema.Element(typ + ".text")
	return narrative
}

// build compiles FHIR's own parameters of a type.
func (s *definitionSource) build(typ string) (*typeParams, *compiler, error) {
	c := s.compiler(typ)
	rows := slices.Concat(s.byBase["Resource"], s.byBase[typ])
	if s.isDomain(typ) {
		rows = append(rows, s.byBase["DomainResource"]...)
	}
	set, err := c.compileAll(rows, s.compartment[typ])
	return set, c, err
}

// With returns a registry that has, beside FHIR's own, the active ones of some
// definitions, and no others. Of each definition it says what is wrong, nil if
// nothing is; one that is refused has no effect. They count in their order: of two
// with the same name the later one is refused. The errors are Unprocessable.
//
// A definition with the URL of one of FHIR's own, or that is derived from one and
// says the same under the same name, is there already: it has no effect.
func (r *Registry) With(definitions []Definition) (*Registry, []error) {
	out := *r
	own := r.own
	if own == nil {
		own = r
	}
	out.own, out.types, out.common = own, maps.Clone(own.types), own.common
	out.custom = nil
	w := &widening{own: own, names: map[Parameter]string{}, urls: map[string]bool{}}
	for i := range definitions {
		w.urls[definitions[i].URL] = w.urls[definitions[i].URL] || definitions[i].Active
	}
	errs := make([]error, len(definitions))
	seen := map[string]bool{}
	for i := range definitions {
		d := &definitions[i]
		if !d.Active {
			continue
		}
		if d.paths == nil {
			if errs[i] = d.check(); errs[i] != nil {
				continue
			}
		}
		if seen[d.URL] {
			errs[i] = refused([]fhir.Issue{{Code: "duplicate", Message: "another active SearchParameter has this url", Expression: "SearchParameter.url"}})
			continue
		}
		seen[d.URL] = true
		errs[i] = w.add(d)
	}
	for typ := range w.wider {
		set, err := w.compile(typ)
		if err != nil {
			// Each was compiled alone before: nothing is left that can fail.
			errs = append(errs, fhir.Wrap(fhir.Internal, err, "the parameters of %s cannot be compiled", typ))
			continue
		}
		if typ == "" {
			out.common = set
		} else {
			out.types[typ] = set
		}
	}
	for name, print := range w.prints {
		if out.custom == nil {
			out.custom = map[Parameter]string{}
		}
		out.custom[name] = print
	}
	if out.custom == nil {
		out.hash = own.hash
	} else {
		out.hash = own.hash + "+" + out.fingerprint()[:16]
	}
	return &out, errs
}

// WithStored returns a registry with the parameters that stored resources of type
// SearchParameter define, as JSON, as far as they can be used. The order of the
// resources does not matter.
func (r *Registry) WithStored(stored [][]byte) *Registry {
	var definitions []Definition
	for _, json := range stored {
		root, err := resource.Decode(json)
		if err != nil {
			continue
		}
		if d, err := ReadDefinition(root); err == nil {
			definitions = append(definitions, d)
		}
	}
	SortDefinitions(definitions)
	out, _ := r.With(definitions)
	return out
}

// SortDefinitions brings definitions into the order in which stored ones count:
// that of their ids.
func SortDefinitions(definitions []Definition) {
	slices.SortFunc(definitions, func(a, b Definition) int { return strings.Compare(a.ID, b.ID) })
}

// Changed returns the parameters whose entries by r and by another registry are
// not the same, sorted.
func (r *Registry) Changed(other *Registry) []Parameter {
	var out []Parameter
	for name, print := range r.custom {
		if other.custom[name] != print {
			out = append(out, name)
		}
	}
	for name := range other.custom {
		if r.custom[name] == "" {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, compareParameters)
	return out
}

func compareParameters(a, b Parameter) int {
	return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
}

// widening adds definitions to the sets of types.
type widening struct {
	own    *Registry
	urls   map[string]bool // of all active definitions
	names  map[Parameter]string
	wider  map[string][]*Definition // by type; "" is what all types have
	prints map[Parameter]string
}

// types returns the types a definition is for; "" stands for what all have.
func (w *widening) types(d *Definition) []string {
	if slices.Contains(d.Base, "Resource") || slices.Contains(d.Base, "DomainResource") {
		types := resource.Types()
		if slices.Contains(d.Base, "Resource") {
			types = slices.Concat([]string{""}, types)
		} else {
			types = slices.DeleteFunc(slices.Clone(types), func(typ string) bool {
				return !w.own.source.isDomain(typ) && !slices.Contains(d.Base, typ)
			})
		}
		return types
	}
	return d.Base
}

// add judges a definition against all others, and notes it.
func (w *widening) add(d *Definition) error {
	if w.own.source.urls[d.URL] {
		return nil // FHIR's own
	}
	var issues []fhir.Issue
	refuse := func(element, format string, args ...any) {
		if len(issues) < maxProblems {
			issues = append(issues, fhir.Issue{Code: "business-rule", Message: fmt.Sprintf(format, args...), Expression: "SearchParameter." + element})
		}
	}
	if d.derivedFrom != "" {
		url, _, _ := strings.Cut(d.derivedFrom, "|")
		if !w.own.source.urls[url] && !w.urls[url] {
			refuse("derivedFrom", "%q is not the url of a search parameter that is known here", fhir.Clip(d.derivedFrom))
		}
	}
	types := w.types(d)
	prints := map[Parameter]string{}
	same := 0
	for _, typ := range types {
		p, print, err := w.own.source.alone(typ, d)
		if err != nil {
			refuse("expression", "%v", messageOf(err))
			continue
		}
		set := w.own.types[typ]
		if typ == "" {
			set = w.own.common
		}
		name := Parameter{typ, d.Code}
		switch other := set.byName[d.Code]; {
		case other != nil && w.sameAs(typ, d, p, other, print):
			same++
		case other != nil:
			refuse("code", "%s has a search parameter %s of FHIR's own, %s; choose another code", typeName(typ), d.Code, other.URL)
		case set.excluded[d.Code] != "":
			refuse("code", "%s has a search parameter %s of FHIR's own; choose another code", typeName(typ), d.Code)
		case w.names[name] != "":
			refuse("code", "%s has a search parameter %s already, %s; choose another code", typeName(typ), d.Code, fhir.Clip(w.names[name]))
		case d.Code[0] == '_':
			refuse("code", "%s: what begins with '_' is FHIR's own; choose another code", d.Code)
		default:
			prints[name] = print
		}
	}
	if len(issues) == 0 && same > 0 && len(prints) > 0 {
		refuse("code", "%s is a search parameter of FHIR's own for some of the types only; define the others under another code", d.Code)
	}
	if len(issues) > 0 {
		return refused(issues)
	}
	if w.wider == nil {
		w.wider, w.prints = map[string][]*Definition{}, map[Parameter]string{}
	}
	for name, print := range prints {
		w.names[name] = d.URL
		w.wider[name.Type] = append(w.wider[name.Type], d)
		w.prints[name] = print
	}
	return nil
}

func messageOf(err error) string {
	var known *fhir.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

func typeName(typ string) string {
	if typ == "" {
		return "every type"
	}
	return typ
}

// sameAs reports whether a definition that is derived from one of FHIR's own says
// the same.
func (w *widening) sameAs(typ string, d *Definition, p, other *Param, print string) bool {
	url, _, _ := strings.Cut(d.derivedFrom, "|")
	if url != other.URL || p.Type != other.Type {
		return false
	}
	paths, err := parsePaths(other.Expression)
	if err != nil {
		return false
	}
	copied := *d
	copied.paths = paths
	_, want, err := w.own.source.alone(typ, &copied)
	return err == nil && want == print
}

// compile compiles FHIR's own parameters of a type with those of the definitions.
func (w *widening) compile(typ string) (*typeParams, error) {
	set, c, err := w.own.source.build(typ)
	if err != nil {
		return nil, err
	}
	for _, d := range w.wider[typ] {
		p, err := c.define(d)
		if err != nil {
			return nil, err
		}
		if err := set.add(p); err != nil {
			return nil, err
		}
	}
	set.sort()
	return set, nil
}

// alone compiles a definition for a type, apart from all others, and returns a
// text that tells all that its entries depend on.
func (s *definitionSource) alone(typ string, d *Definition) (*Param, string, error) {
	c := s.compiler(typ)
	p, err := c.define(d)
	if err != nil {
		return nil, "", err
	}
	return p, string(c.root.describe(nil)), nil
}

// define adds a definition to the compiler's tree.
func (c *compiler) define(d *Definition) (*Param, error) {
	p := &Param{Name: d.Code, Type: d.Type, URL: d.URL, Description: d.description, Targets: d.Target, custom: true}
	var resolved, expression []string
	every := true
	for _, path := range d.paths {
		if !path.of(c.typ) {
			continue
		}
		expression = append(expression, path.String())
		spots, types, err := c.follow(path)
		if err != nil {
			return nil, err
		}
		suit := slices.DeleteFunc(slices.Clone(spots), func(s spot) bool { return !slices.Contains(suited[d.Type], s.typ) })
		if len(suit) == 0 {
			return nil, unclear("%s is of type %s, which a %s parameter cannot look at; it can at %s",
				fhir.Clip(path.String()), kinds(spots), d.Type, strings.Join(suited[d.Type], ", "))
		}
		for _, s := range suit {
			c.want(s.at, p, s)
		}
		resolved, every = append(resolved, types...), every && len(types) > 0
	}
	if len(expression) == 0 {
		return nil, unclear("no part of the expression is about %s", c.typ)
	}
	p.Expression = strings.Join(expression, " | ")
	if every {
		p.Targets = unique(resolved)
	}
	p.finish()
	return p, nil
}

// kinds lists the types of spots.
func kinds(spots []spot) string {
	var names []string
	for _, s := range spots {
		names = append(names, s.typ)
	}
	names = unique(names)
	if len(names) > 5 {
		names = append(names[:5], "…")
	}
	return strings.Join(names, ", ")
}
