package search

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// Criteria are the parameters that select resources. What stands behind the
// steps of a chain or of _has is a criterion too, of other types: both are read
// by the same functions, at another place.

// place is what a criterion is asked of.
type place struct {
	types []string      // sorted; empty means all
	sets  []*typeParams // of each type; what all have in common, if types is empty
	// loose: the criterion selects among those of the types that have the
	// parameter, as behind an untyped reference. Else all types must have it.
	loose bool
	depth int // of chains and _has
}

// place returns the place of the types, which exist.
func (r *Registry) place(types []string) place {
	if len(types) == 0 {
		return place{sets: []*typeParams{r.common}}
	}
	at := place{types: types, sets: make([]*typeParams, 0, len(types))}
	for _, typ := range types {
		at.sets = append(at.sets, r.types[typ])
	}
	return at
}

// meaning is what a name stands for at a place: parameters of one type.
type meaning struct {
	types  []string // that have it; empty means all
	params []*Param // of each of the types
}

// holding is a clause and the types at its place that it is about.
type holding struct {
	types  []string
	clause Clause
}

// criterion reads one criterion: a parameter's name with what may stand behind
// it (a modifier, a chain), or _has, and the values. The error is an unusable
// one if a lenient search may go on without it.
func (p *parser) criterion(at place, name, value string) (Clause, error) {
	at.loose = false
	held, err := p.holdings(at, name, value)
	if err != nil {
		return Clause{}, err
	}
	return held[0].clause, nil
}

// holdings reads one criterion. At a loose place it may mean several things,
// each to some of the types; else there is one.
func (p *parser) holdings(at place, name, value string) ([]holding, error) {
	if expression, ok := strings.CutPrefix(name, "_has:"); ok {
		h, err := p.has(at, expression, value)
		return []holding{h}, err
	}
	step, rest, chained := strings.Cut(name, ".")
	head, modifier, modified := strings.Cut(step, ":")
	if at.depth > 0 && p.isResult(head) {
		return nil, fhir.Errorf(fhir.Invalid, "%s shapes the answer: it stands alone, not behind a reference", head)
	}
	if read := wholeReader(head); read != nil {
		if modified || chained {
			return nil, fhir.Errorf(fhir.Invalid, "%s takes neither a modifier nor a chain", head)
		}
		c, err := read(p, at, value)
		return []holding{{at.types, c}}, err
	}
	meanings, err := p.meanings(at, head)
	if err != nil {
		return nil, err
	}
	if value == "" {
		return nil, unusable{fhir.Errorf(fhir.Invalid, "%s has no value", fhir.Clip(name))}
	}
	var out []holding
	var firstErr error
	for _, m := range meanings {
		if err := p.count(); err != nil {
			return nil, err
		}
		var c Clause
		switch {
		case chained:
			c, err = p.chain(at, m, modifier, rest, value)
		case modified:
			c, err = p.modified(m.params, modifier, value)
		case head == "_text" || head == "_content":
			c, err = p.text(at, head, value)
		default:
			c, err = p.clause(m.params, value)
		}
		switch kind := fhir.KindOf(err); {
		case err == nil:
			out = append(out, holding{m.types, c})
		case kind != fhir.Invalid && kind != fhir.NotSupported:
			return nil, err
		case firstErr == nil:
			firstErr = err
		}
	}
	// A value that one of the meanings can be read with is that one's.
	if len(out) == 0 {
		return nil, firstErr
	}
	return out, nil
}

// count counts a predicate.
func (p *parser) count() error {
	if p.clauses++; p.clauses > MaxClauses {
		return fhir.Errorf(fhir.TooLarge, "the search has more than %d predicates, those in chains and alternatives counted", MaxClauses)
	}
	return nil
}

// wholeReader returns what reads a criterion that is no parameter of a resource;
// else nil.
func wholeReader(name string) func(p *parser, at place, value string) (Clause, error) {
	switch name {
	case "_has":
		return func(*parser, place, string) (Clause, error) { return Clause{}, errHas }
	case "_list":
		return readList
	case "_filter":
		return readFilter
	case "_query", "_score":
		return func(*parser, place, string) (Clause, error) {
			return Clause{}, unusable{fhir.Errorf(fhir.NotSupported, "%s is not supported by this server: %s", name, unbuilt[name])}
		}
	}
	return nil
}

// unbuilt are words of R4 that this server does not have, with the reason.
var unbuilt = map[string]string{
	"_query": "there are no named queries; write the search with parameters",
	"_score": "it is no parameter; the score of a match is in entry.search.score of a search with _text or _content",
}

// readFilter reads _filter, which stands by itself.
func readFilter(p *parser, at place, value string) (Clause, error) {
	if at.depth > 0 {
		return Clause{}, fhir.Errorf(fhir.Invalid, "_filter stands alone, not behind a reference: write the chain inside of the expression")
	}
	return p.filter(value)
}

// text reads _text or _content. Words looked for in other resources do not count
// for the score of a match.
func (p *parser) text(at place, name, value string) (Clause, error) {
	c, words, err := textClause(name, value)
	if err == nil && at.depth == 0 {
		p.request.Text = unique(append(p.request.Text, words...))
	}
	return c, err
}

// meanings finds the parameters of a name. At a loose place those that differ
// in type are several meanings.
func (p *parser) meanings(at place, name string) ([]meaning, error) {
	if len(at.sets) == 1 {
		if found := at.sets[0].byName[name]; found != nil {
			return []meaning{{at.types, []*Param{found}}}, nil
		}
	}
	var out []meaning
	for i, set := range at.sets {
		found := set.byName[name]
		switch {
		case found != nil:
			out = withMeaning(out, at.types[i], found)
		case !at.loose:
			return nil, p.unknown(at, name)
		}
	}
	switch {
	case len(out) == 0:
		return nil, p.unknown(at, name)
	case len(out) > 1 && !at.loose:
		return nil, fhir.Errorf(fhir.Invalid, "%s does not mean the same for all types searched: it is a %s parameter of %s and a %s parameter of %s",
			name, out[0].params[0].Type, out[0].types[0], out[1].params[0].Type, out[1].types[0])
	}
	return out, nil
}

// withMeaning adds a type's parameter to the meaning it has, or a new one.
func withMeaning(all []meaning, typ string, found *Param) []meaning {
	for i := range all {
		if first := all[i].params[0]; first.Type == found.Type && (found.Type != TypeComposite || first.URL == found.URL) {
			all[i].types = append(all[i].types, typ)
			all[i].params = append(all[i].params, found)
			return all
		}
	}
	return append(all, meaning{[]string{typ}, []*Param{found}})
}

// unknown is the error for a name that no parameter has, or not of all types.
func (p *parser) unknown(at place, name string) error {
	for _, set := range at.sets {
		if reason := set.excluded[name]; reason != "" && set.byName[name] == nil {
			return unusable{fhir.Errorf(fhir.NotSupported, "%s is not supported by this server: %s", name, reason)}
		}
	}
	if p.unknowns++; p.unknowns > maxProblems {
		// Nobody reads that many, and near names cost time to find.
		return unusable{fhir.Errorf(fhir.Invalid, "%q is not a search parameter here", fhir.Clip(name))}
	}
	names := p.names(at)
	where := "all types searched"
	switch {
	case len(at.types) == 0:
		where = "every type; a search of the whole system can name types with _type"
	case len(at.types) == 1:
		where = at.types[0]
	case at.loose && len(at.types) <= 8:
		where = strings.Join(at.types, ", ")
	case at.loose:
		where = "any type that the reference can point at"
	}
	if p.listed {
		return unusable{fhir.Errorf(fhir.Invalid, "%q is not a search parameter of %s%s", fhir.Clip(name), where, hint(name, names))}
	}
	p.listed = true
	shown, more := fhir.NearestFirst(name, names), ""
	if most := 100; len(shown) > most {
		shown, more = shown[:most], ", …"
	}
	return unusable{fhir.Errorf(fhir.Invalid, "%q is not a search parameter of %s%s. Known are: %s%s",
		fhir.Clip(name), where, hint(name, names), strings.Join(shown, ", "), more)}
}

// names returns the names of all parameters that can be used at a place.
func (p *parser) names(at place) []string {
	var names []string
	for i, set := range at.sets {
		if i > 0 && !at.loose {
			break
		}
		for name := range set.byName {
			if at.loose || !slices.ContainsFunc(at.sets, func(s *typeParams) bool { return s.byName[name] == nil }) {
				names = append(names, name)
			}
		}
	}
	names = append(names, criterionNames...)
	if at.depth == 0 {
		names = append(names, p.resultNames()...)
	}
	return unique(names)
}

// criterionNames are criteria that are no parameters of a resource.
var criterionNames = []string{"_filter", "_has", "_list"}

// clause reads the values of one parameter: alternatives joined by commas.
//
// https://hl7.org/fhir/R4/search.html#combining
func (p *parser) clause(params []*Param, text string) (Clause, error) {
	return p.eachValue(params, text, func(value string) ([]Range, error) { return p.ranges(params, value) })
}

// eachValue reads values joined by commas, each still escaped, by a function.
func (p *parser) eachValue(params []*Param, text string, read func(value string) ([]Range, error)) (Clause, error) {
	c := Clause{Param: params[0].Name}
	values, err := splitValues(text)
	if err != nil {
		return Clause{}, err
	}
	for _, value := range values {
		ranges, err := read(value)
		if err != nil {
			return Clause{}, err
		}
		if c.Ranges = append(c.Ranges, ranges...); len(c.Ranges) > MaxRanges {
			return Clause{}, fhir.Errorf(fhir.TooLarge, "the values need more than %d look-ups: write references as Type/id", MaxRanges)
		}
	}
	return c, p.countRanges(len(c.Ranges))
}

// countRanges counts ranges of the whole search.
func (p *parser) countRanges(n int) error {
	if p.ranged += n; p.ranged > MaxAllRanges {
		return fhir.Errorf(fhir.TooLarge, "the search needs more than %d look-ups altogether: write references as Type/id, and fewer values", MaxAllRanges)
	}
	return nil
}

// splitValues splits values joined by commas, each still escaped.
func splitValues(text string) ([]string, error) {
	values := splitEscaped(text, ',')
	if len(values) > MaxValues {
		return nil, fhir.Errorf(fhir.TooLarge, "more than %d values", MaxValues)
	}
	if slices.Contains(values, "") {
		return nil, fhir.Errorf(fhir.Invalid, "a value is empty: a comma inside a value is written \\,")
	}
	return values, nil
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
	case TypeSpecial:
		return nearRanges(value)
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
