package search

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Limits of one search. Beyond them the error is TooLarge.
const (
	MaxQueryBytes = 64 << 10 // of the query string or form body
	MaxCriteria   = 64       // parameters that select resources
	MaxValues     = 1_000    // values of one parameter, joined by commas
	MaxRanges     = 20_000   // index ranges of one parameter: a bare id may need one for each type it can have
)

// ParseOptions say how a search is read.
type ParseOptions struct {
	// Lenient is the client's "Prefer: handling=lenient": unknown and unbuilt
	// parameters are ignored instead of refused. Bad values and modifiers are
	// refused all the same.
	// https://hl7.org/fhir/R4/search.html#errors
	Lenient bool
	// Base is our own FHIR base URL without a slash at its end. References
	// that start with it equal relative ones. Empty means none do.
	Base string
	// Now is for ap on dates, whose width is 10 % of the gap between the date
	// and now. Zero makes ap the overlap of the dates as written.
	Now time.Time
	// Lookup answers what has to be known of stored resources to read a search.
	// Without one, what needs it is NotSupported.
	Lookup Lookup
	// Explain allows _explain, which is an unknown parameter without it.
	Explain bool
}

// Lookup answers what modifiers and _list need to know of stored resources, as
// far as the asker may see them. The error is Invalid for what is not there, and
// NotSupported for what cannot be worked out from what is stored.
type Lookup interface {
	// Codes returns the codes of a value set, named by its canonical URL, with or
	// without a version, or as ValueSet/id: for :in and :not-in.
	Codes(valueSet string) ([]Coding, error)
	// Subsumes returns the codes below a code, or with above those above it, and
	// the code itself, by the hierarchy of its stored code system: for :below and
	// :above.
	Subsumes(code Coding, above bool) ([]Coding, error)
	// Members returns what a List, or the Group that a List may stand for, has as
	// its entries: for _list.
	Members(list string) ([]fhir.Key, error)
	// Hierarchy returns the resource and all below it, or with above all above it,
	// by the parameter with which resources of its type name their parent: for
	// :below and :above of references.
	Hierarchy(key fhir.Key, above bool) ([]fhir.Key, error)
}

// Coding is a code of a system. An empty Code means every code of the system.
type Coding struct {
	System, Code string
}

// Include asks for resources that go along with those found: _include and
// _revinclude, https://hl7.org/fhir/R4/search.html#include.
type Include struct {
	// Reverse is _revinclude: what refers to the resources. Else what they refer to.
	Reverse bool
	Type    string // whose parameter it is; "*" for _include=*
	Param   string // a reference parameter of Type; "*" for all of them
	Target  string // the only type that is referred to; "" for any
	// Iterate applies it to what was included too.
	Iterate bool
}

// Request is a search as it was understood.
type Request struct {
	Query Query
	// Criteria is the normalised form of what selects resources: decoded,
	// escaped in one way, sorted, modifiers kept. Equal criteria of conditional
	// interactions have equal Criteria. Empty means everything is selected.
	Criteria string
	// Self is the query string of what was used, for the self link, without
	// the page's cursor.
	Self     string
	Ignored  []string // names of parameters that were ignored, as sent
	Summary  string   // "", "true", "text", "data", "count" or "false"
	Elements []string // of _elements; empty means all
	Format   string   // of _format, as sent
	Pretty   bool
	Includes []Include
	// Text are the folded words that _text and _content looked for, each once: a
	// match's score tells how well it fits them. Empty without such a search.
	Text []string
	// Contained says which contained resources to search: "", "true" or "both";
	// ContainedType whether to return the "container" or the "contained".
	Contained, ContainedType string
}

// Parse reads the query string of a search URL or the body of a POST to
// _search. types are the resource types the URL names, empty for the whole
// system, where _type may name some: then only the parameters that all of them
// have are known.
//
// The error is Invalid for what cannot be understood, NotSupported for what
// FHIR knows and this server has not built, TooLarge beyond the limits. Several
// faults are several issues of one error.
//
// https://hl7.org/fhir/R4/search.html
func (r *Registry) Parse(types []string, rawQuery string, opts ParseOptions) (*Request, error) {
	if len(rawQuery) > MaxQueryBytes {
		return nil, fhir.Errorf(fhir.TooLarge, "the search is longer than %d bytes", MaxQueryBytes)
	}
	pairs, err := splitQuery(rawQuery)
	if err != nil {
		return nil, err
	}
	opts.Base = strings.TrimSuffix(opts.Base, "/")
	p := &parser{registry: r, opts: opts, seen: map[string]bool{}}
	p.request.Query.Count = DefaultCount
	if err := p.scope(types, pairs); err != nil {
		return nil, err
	}
	for _, pair := range pairs {
		if err := p.parameter(pair); err != nil {
			if p.problems = append(p.problems, err); len(p.problems) == maxProblems || fhir.KindOf(err) == fhir.TooLarge {
				break
			}
		}
	}
	if len(p.problems) > 0 {
		return nil, together(p.problems)
	}
	return p.finish(), nil
}

// maxProblems is how many faults of a search are told at once.
const maxProblems = 20

// together makes one error of all that is wrong with a search. Its kind is the
// one they share, else Invalid.
func together(problems []error) error {
	if len(problems) == 1 {
		return problems[0]
	}
	all := &fhir.Error{Kind: fhir.KindOf(problems[0])}
	for _, problem := range problems {
		if fhir.KindOf(problem) != all.Kind {
			all.Kind = fhir.Invalid
		}
	}
	for _, problem := range problems {
		issue := fhir.Issue{Message: problem.Error()}
		if kind := fhir.KindOf(problem); kind != all.Kind {
			issue.Code = issueCodes[kind]
		}
		all.Issues = append(all.Issues, issue)
	}
	return all
}

// issueCodes are the codes of faults that stand beside others, by
// https://hl7.org/fhir/R4/valueset-issue-type.html.
var issueCodes = map[fhir.Kind]string{
	fhir.NotSupported: "not-supported",
	fhir.TooLarge:     "too-long",
}

// pair is one parameter of a query string, decoded.
type pair struct {
	name, value string
}

func (p pair) String() string { return escape(p.name) + "=" + escape(p.value) }

// escape escapes what a query string needs escaped, and always alike.
func escape(s string) string { return readable.Replace(url.QueryEscape(s)) }

// readable undoes escapes that a query string can do without.
var readable = strings.NewReplacer("%3A", ":", "%2F", "/", "%2C", ",", "%24", "$")

func splitQuery(raw string) ([]pair, error) {
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil || !validText(name) || !validText(value) {
			return nil, fhir.Errorf(fhir.Invalid, "%q is not a well-formed part of a query: check its %% escapes, which must be UTF-8", fhir.Clip(part))
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, nil
}

func validText(s string) bool {
	return strings.ToValidUTF8(s, "") == s && strings.IndexByte(s, 0) < 0
}

// parser reads one search.
type parser struct {
	registry *Registry
	opts     ParseOptions
	sets     []*typeParams // of the types searched
	request  Request
	criteria []string
	results  []string // result parameters that were used, for the self link
	sortKeys string
	seen     map[string]bool // result parameters that were there
	problems []error
	listed   bool // an error has told the known names
}

// scope decides which types are searched.
func (p *parser) scope(types []string, pairs []pair) error {
	types = slices.Clone(types)
	for _, pair := range pairs {
		if pair.name != "_type" {
			continue
		}
		if len(types) > 0 {
			return fhir.Errorf(fhir.Invalid, "_type can be used once, and only where the URL names no type")
		}
		types = append(types, strings.Split(pair.value, ",")...)
	}
	for _, typ := range types {
		set := p.registry.types[typ]
		if set == nil {
			return fhir.Errorf(fhir.Invalid, "%q is not a resource type%s", fhir.Clip(typ), hint(typ, resource.Types()))
		}
	}
	types = unique(types)
	for _, typ := range types {
		p.sets = append(p.sets, p.registry.types[typ])
	}
	if len(types) == 0 {
		p.sets = []*typeParams{p.registry.common}
	} else {
		p.request.Query.Types = types
	}
	return nil
}

// parameter reads one parameter.
func (p *parser) parameter(in pair) error {
	name, modifier, hasModifier := strings.Cut(in.name, ":")
	if read := resultReader(name); read != nil {
		if hasModifier {
			return fhir.Errorf(fhir.Invalid, "%s takes no modifier", name)
		}
		if p.seen[name] {
			return fhir.Errorf(fhir.Invalid, "%s can be given only once", name)
		}
		p.seen[name] = true
		return read(p, in.value)
	}
	if what := unbuilt[name]; what != "" {
		return p.refuse(in.name, fhir.Errorf(fhir.NotSupported, "%s (%s) is not supported by this server", name, what))
	}
	if head, _, chained := strings.Cut(in.name, "."); chained {
		head, _, _ = strings.Cut(head, ":")
		if param, err := p.lookupQuiet(head); err == nil && param.Type == TypeReference {
			return p.refuse(in.name, fhir.Errorf(fhir.NotSupported, "chained parameters such as %s are not supported by this server", fhir.Clip(in.name)))
		}
	}
	params, err := p.lookup(name)
	if err != nil {
		return p.refuse(in.name, err)
	}
	if hasModifier {
		return checkModifier(params[0], modifier)
	}
	if in.value == "" {
		return p.refuse(in.name, fhir.Errorf(fhir.Invalid, "%s has no value", name))
	}
	if len(p.criteria) == MaxCriteria {
		return fhir.Errorf(fhir.TooLarge, "a search can have %d parameters at most", MaxCriteria)
	}
	clause, err := p.clause(params, in.value)
	if err != nil {
		return explain(err, "parameter "+name)
	}
	p.request.Query.Where = append(p.request.Query.Where, clause)
	p.criteria = append(p.criteria, in.String())
	return nil
}

// refuse returns the error of a parameter that cannot be used, unless the
// client wants such parameters ignored.
func (p *parser) refuse(name string, err error) error {
	if !p.opts.Lenient {
		return err
	}
	p.request.Ignored = append(p.request.Ignored, name)
	return nil
}

// explain puts a context in front of an error's message.
func explain(err error, context string) error {
	return &fhir.Error{Kind: fhir.KindOf(err), Message: context + ": " + err.Error()}
}

// lookup finds a parameter that all searched types have, with one type.
func (p *parser) lookup(name string) ([]*Param, error) {
	var params []*Param
	for _, set := range p.sets {
		found := set.byName[name]
		if found == nil {
			if reason := set.excluded[name]; reason != "" {
				return nil, fhir.Errorf(fhir.NotSupported, "%s is not supported by this server: %s", name, reason)
			}
			return nil, p.unknown(name)
		}
		params = append(params, found)
	}
	for _, other := range params[1:] {
		if other.Type != params[0].Type || other.Type == TypeComposite && other.URL != params[0].URL {
			return nil, fhir.Errorf(fhir.Invalid, "%s does not mean the same for all types searched", name)
		}
	}
	return params, nil
}

// unknown is the error for a parameter name that nothing is known by.
func (p *parser) unknown(name string) error {
	names := p.names()
	where := "all types searched"
	switch {
	case len(p.request.Query.Types) == 0:
		where = "every type; a search of the whole system can name types with _type"
	case len(p.request.Query.Types) == 1:
		where = p.request.Query.Types[0]
	}
	if p.listed {
		return fhir.Errorf(fhir.Invalid, "%q is not a search parameter of %s%s", fhir.Clip(name), where, hint(name, names))
	}
	p.listed = true
	return fhir.Errorf(fhir.Invalid, "%q is not a search parameter of %s%s. Known are: %s",
		fhir.Clip(name), where, hint(name, names), strings.Join(fhir.NearestFirst(name, names), ", "))
}

// names returns the names of all parameters that can be used.
func (p *parser) names() []string {
	var names []string
	for name := range p.sets[0].byName {
		if _, err := p.lookupQuiet(name); err == nil {
			names = append(names, name)
		}
	}
	names = append(names, resultNames...)
	slices.Sort(names)
	return names
}

// lookupQuiet is lookup without the cost of a good error.
func (p *parser) lookupQuiet(name string) (*Param, error) {
	for _, set := range p.sets {
		if set.byName[name] == nil {
			return nil, fhir.Errorf(fhir.Invalid, "unknown")
		}
	}
	return p.sets[0].byName[name], nil
}

// modifiers are the modifiers R4 has for each parameter type, besides :missing,
// which is for all but composites, and the type names of references.
//
// https://hl7.org/fhir/R4/search.html#modifiers
var modifiers = map[Type][]string{
	TypeString:    {"exact", "contains", "text"},
	TypeToken:     {"not", "text", "in", "not-in", "above", "below", "of-type"},
	TypeReference: {"identifier", "above", "below"},
	TypeURI:       {"above", "below"},
}

// checkModifier returns the error that a modifier deserves: none is built.
func checkModifier(p *Param, modifier string) error {
	valid := slices.Clone(modifiers[p.Type])
	if p.Type != TypeComposite {
		valid = append(valid, "missing")
	}
	if slices.Contains(valid, modifier) || p.Type == TypeReference && resource.KnownType(modifier) {
		return fhir.Errorf(fhir.NotSupported, "the modifier :%s of %s is not supported by this server", modifier, p.Name)
	}
	if len(valid) == 0 {
		return fhir.Errorf(fhir.Invalid, "%s is a %s parameter, which takes no modifier", p.Name, p.Type)
	}
	return fhir.Errorf(fhir.Invalid, "%q is not a modifier of %s, a %s parameter. FHIR has: %s",
		fhir.Clip(modifier), p.Name, p.Type, strings.Join(fhir.NearestFirst(modifier, valid), ", "))
}

// clause reads the values of one parameter: alternatives joined by commas.
//
// https://hl7.org/fhir/R4/search.html#combining
func (p *parser) clause(params []*Param, text string) (Clause, error) {
	values := splitEscaped(text, ',')
	if len(values) > MaxValues {
		return Clause{}, fhir.Errorf(fhir.TooLarge, "more than %d values", MaxValues)
	}
	c := Clause{Param: params[0].Name}
	for _, value := range values {
		if value == "" {
			return Clause{}, fhir.Errorf(fhir.Invalid, "a value is empty: a comma inside a value is written \\,")
		}
		ranges, err := p.ranges(params, value)
		if err != nil {
			return Clause{}, err
		}
		if c.Ranges = append(c.Ranges, ranges...); len(c.Ranges) > MaxRanges {
			return Clause{}, fhir.Errorf(fhir.TooLarge, "the values need more than %d look-ups: write references as Type/id", MaxRanges)
		}
	}
	return c, nil
}

// ranges reads one value, still escaped.
func (p *parser) ranges(params []*Param, value string) ([]Range, error) {
	switch params[0].Type {
	case TypeToken:
		return tokenRanges(params, splitParts(value))
	case TypeString:
		return stringRanges(params, unescape(value))
	case TypeReference:
		return referenceRanges(params, unescape(value), p.opts.Base)
	case TypeURI:
		return []Range{uriRange(unescape(value))}, nil
	case TypeDate:
		c, err := dateComparison(unescape(value), p.opts.Now)
		return dateClasses.ranges(c), err
	case TypeNumber:
		c, err := numberComparison(unescape(value))
		return numberClasses.ranges(c), err
	case TypeQuantity:
		q, err := parseQuantity(splitParts(value))
		return q.ranges(), err
	case TypeComposite:
		var values [][]string
		for _, part := range splitEscaped(value, '$') {
			if part == "" {
				return nil, fhir.Errorf(fhir.Invalid, "a part of the value is empty: a $ inside a part is written \\$")
			}
			values = append(values, splitParts(part))
		}
		return compositeRanges(params[0], values, p.opts)
	}
	return nil, fhir.Errorf(fhir.NotSupported, "%s parameters are not supported by this server", params[0].Type)
}

// splitEscaped splits at separators that no backslash stands before, and keeps
// escapes.
//
// https://hl7.org/fhir/R4/search.html#escaping
func splitEscaped(s string, separator byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case separator:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// splitParts splits at '|' and resolves escapes.
func splitParts(s string) []string {
	parts := splitEscaped(s, '|')
	for i := range parts {
		parts[i] = unescape(parts[i])
	}
	return parts
}

// unescape resolves \, \| \$ and \\. Any other backslash stands for itself.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,|$\`, s[i+1]) >= 0 {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// finish derives what depends on the whole search.
func (p *parser) finish() *Request {
	q := &p.request.Query
	criteria := slices.Clone(p.criteria)
	slices.Sort(criteria)
	p.request.Criteria = strings.Join(criteria, "&")
	p.request.Self = strings.Join(append(slices.Clone(p.criteria), p.results...), "&")
	if p.request.Summary == "count" || q.Count == 0 {
		q.Count, q.Total = 0, TotalAccurate
	}
	h := sha256.New()
	for _, part := range []string{strings.Join(q.Types, ","), p.request.Criteria, p.sortKeys, strconv.Itoa(int(q.Total))} {
		h.Write([]byte(part))
		h.Write([]byte{'\n'})
	}
	q.Identity = hex.EncodeToString(h.Sum(nil)[:16])
	return &p.request
}
