package search

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Limits of one search. Beyond them the error is TooLarge.
const (
	MaxQueryBytes = 64 << 10 // of the query string or form body
	MaxCriteria   = 64       // parameters that select resources
	MaxValues     = 1_000    // values of one parameter, joined by commas
	MaxRanges     = 20_000   // index ranges of one parameter: a bare id may need one for each type it can have
	MaxAllRanges  = 60_000   // index ranges of the whole search
	MaxDepth      = 8        // references that one chain or _has follows
	MaxClauses    = 256      // predicates of the whole search, those in chains and alternatives too
	MaxIncludes   = 32       // _include and _revinclude
)

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
			if !ofSearch(err) {
				return nil, err
			}
			if p.problems = append(p.problems, err); len(p.problems) == maxProblems || fhir.KindOf(err) == fhir.TooLarge {
				break
			}
		}
	}
	if len(p.problems) == 0 {
		p.finish()
	}
	if len(p.problems) > 0 {
		return nil, together(p.problems)
	}
	if err := r.refuseUnready(&p.request); err != nil {
		return nil, err
	}
	return &p.request, nil
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

// unusable is the error of a parameter that a lenient client wants ignored:
// nothing is known by its name, or it is not built. Wrong modifiers and values
// are never ignored.
//
// https://hl7.org/fhir/R4/search.html#errors
type unusable struct{ error }

func (u unusable) Unwrap() error { return u.error }

// parser reads one search.
type parser struct {
	registry *Registry
	opts     ParseOptions
	at       place // of the search's own parameters
	request  Request
	criteria []string
	clauses  int      // read so far
	ranged   int      // ranges read so far
	results  []string // result parameters that were used, for the self link
	sortKeys string
	seen     map[string]bool // result parameters and _list, if they were there
	problems []error
	listed   bool // an error has told the known names
	unknowns int  // names that nothing is known by
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
		if p.registry.types[typ] == nil {
			return fhir.Errorf(fhir.Invalid, "%q is not a resource type%s", fhir.Clip(typ), hint(typ, resource.Types()))
		}
	}
	p.at = p.registry.place(unique(types))
	p.request.Query.Types = p.at.types
	return nil
}

// parameter reads one parameter.
func (p *parser) parameter(in pair) error {
	name, modifier, hasModifier := strings.Cut(in.name, ":")
	if name == "_include" || name == "_revinclude" {
		return p.include(in)
	}
	if read := p.resultReader(name); read != nil {
		if hasModifier {
			return fhir.Errorf(fhir.Invalid, "%s takes no modifier, and :%s stands behind it", name, fhir.Clip(modifier))
		}
		if p.seen[name] {
			return fhir.Errorf(fhir.Invalid, "%s can be given only once", name)
		}
		p.seen[name] = true
		return read(p, in.value)
	}
	if len(p.criteria) == MaxCriteria {
		return fhir.Errorf(fhir.TooLarge, "a search can have %d parameters at most", MaxCriteria)
	}
	clause, err := p.criterion(p.at, in.name, in.value)
	var ignorable unusable
	switch {
	case errors.As(err, &ignorable):
		return p.refuse(in.name, ignorable.error)
	case err != nil:
		return explain(err, "parameter "+fhir.Clip(in.name))
	}
	p.request.Query.Where = append(p.request.Query.Where, clause.conjuncts()...)
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

// explain puts a context in front of the message of an error that is about the
// search. Others, of a Lookup, stay as they are, with their causes.
func explain(err error, context string) error {
	if !ofSearch(err) {
		return err
	}
	return &fhir.Error{Kind: fhir.KindOf(err), Message: context + ": " + err.Error()}
}

// ofSearch reports whether an error is about what the client wrote.
func ofSearch(err error) bool {
	switch fhir.KindOf(err) {
	case fhir.Invalid, fhir.NotSupported, fhir.TooLarge:
		return true
	}
	return false
}

// finish derives what depends on the whole search.
func (p *parser) finish() {
	q := &p.request.Query
	criteria := slices.Clone(p.criteria)
	slices.Sort(criteria)
	p.request.Criteria = strings.Join(criteria, "&")
	p.request.Self = strings.Join(append(slices.Clone(p.criteria), p.results...), "&")
	if p.request.Summary == "count" || q.Count == 0 {
		q.Count, q.Total = 0, TotalAccurate
	}
	q.Identity = identity(strings.Join(q.Types, ","), p.request.Criteria, p.sortKeys, strconv.Itoa(int(q.Total)), p.request.Contained)
	p.finishIncludes()
	p.finishContained()
}

// identity names what a query is made of, see Query.Identity.
func identity(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
