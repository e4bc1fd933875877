package search

import (
	"bytes"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Composite parameters: https://hl7.org/fhir/R4/search.html#combining. Each
// pair (or triple) of elements that stand together gives one entry. The first
// component of every R4 composite is a token; it comes code first, so that
// searches with and without a system are ranges of the same class.

// component is one part of a composite parameter.
type component struct {
	typ    Type
	name   string // of the parameter that defines it
	start  *trie  // from the composite's element, or from the resource
	atRoot bool
	params []*Param // the part as a parameter of its own, for its value syntax
}

// Forms of a number, quantity or date inside a composite. Points come first,
// so that a comparison with points is a range.
const (
	formPoint    byte = 1 // one bound
	formInterval byte = 2 // low, high
	// A quantity of a known UCUM code has a second entry.
	formCanonicalPoint    byte = 3 // text kind of unit, one bound
	formCanonicalInterval byte = 4 // text kind of unit, low, high
)

// indexComposite adds the entries of the element n of a composite.
func indexComposite(x *extraction, p *Param, _ string, n *resource.Node) {
	var parts [maxComponents][][]byte
	pairs := 1
	for i := len(p.components) - 1; i >= 0; i-- { // the last is most often absent
		parts[i] = x.parts(&p.components[i], n)
		if pairs *= len(parts[i]); pairs == 0 {
			return
		}
		if pairs > maxEntries {
			x.tooMany = true
			return
		}
	}
	for pair := range pairs {
		v := x.value(classComposite)
		for i := range p.components {
			v = append(v, parts[i][pair%len(parts[i])]...)
			pair /= len(parts[i])
		}
		x.add(p, v)
	}
}

// maxComponents is the most components a composite of R4 has.
const maxComponents = 3

// parts returns the encoded values of one component of the element n.
func (x *extraction) parts(c *component, n *resource.Node) [][]byte {
	var out [][]byte
	if c.atRoot {
		n = x.root
	}
	w := walker{root: x.root, visit: func(l *leaf, n *resource.Node) {
		out = appendParts(out, c.typ, l.typ, n)
	}}
	w.walk(n, 0, c.start)
	return out
}

// appendParts appends what one element says as a component.
func appendParts(out [][]byte, kind Type, typ string, n *resource.Node) [][]byte {
	switch kind {
	case TypeToken:
		return appendTokenParts(out, typ, n)
	case TypeString:
		if folded := fold(n.Text); n.Kind == resource.String && folded != "" {
			out = append(out, appendText(nil, folded, maxCodeText))
		}
	case TypeReference:
		literal := n.Text
		if typ == "Reference" {
			literal = n.Str("reference")
		}
		if l, ok := parseLink(literal); ok {
			out = append(out, l.part())
		}
	case TypeDate:
		if span, ok := dateSpanOf(n, typ); ok {
			out = append(out, formed(span.interval()))
		}
	case TypeNumber:
		if i, ok := numberInterval(n, typ); ok {
			out = append(out, formed(i))
		}
	case TypeQuantity:
		if a, ok := amountOf(n, typ); ok {
			v := formed(a.interval())
			for _, s := range []string{a.unit, a.code, a.system} {
				v = appendText(v, s, maxCompositeUnit)
			}
			out = append(out, v)
			if kind, canonical, ok := a.canonical(); ok {
				bounds := formed(canonical)
				v := appendText([]byte{bounds[0] + formCanonicalPoint - formPoint}, kind, maxCompositeUnit)
				out = append(out, append(v, bounds[1:]...))
			}
		}
	}
	return out
}

func appendTokenParts(out [][]byte, typ string, n *resource.Node) [][]byte {
	one := func(system, code string) {
		if code != "" {
			v := appendText(nil, code, maxCompositeText)
			out = append(out, appendText(v, system, maxCompositeText))
		}
	}
	switch typ {
	case "CodeableConcept":
		for i, codings := 0, n.List("coding"); i < len(codings); i++ {
			one(codings[i].Str("system"), codings[i].Str("code"))
		}
	case "Coding":
		one(n.Str("system"), n.Str("code"))
	case "Identifier":
		one(n.Str("system"), n.Str("value"))
	case "string":
		one("", strings.ToLower(n.Text))
	default:
		one("", n.Text)
	}
	return out
}

// part is a link as a component: its target whatever the version.
func (l link) part() []byte {
	if l.url == "" {
		return appendText(nil, l.key.String(), maxCodeText)
	}
	return appendText(nil, l.url, maxCodeText)
}

func formed(i interval) []byte {
	if i.point() {
		return append([]byte{formPoint}, i.low...)
	}
	return append(append([]byte{formInterval}, i.low...), i.high...)
}

// matcher compares one component of an entry. It returns whether it matches
// and the bytes behind it.
type matcher func(b []byte) (ok bool, rest []byte)

// compositeRanges reads a value of a composite search: the components' values
// joined by '$'.
func compositeRanges(p *Param, values [][]string, opts ParseOptions) ([]Range, error) {
	if len(values) != len(p.components) {
		var names []string
		for _, c := range p.components {
			names = append(names, c.name)
		}
		return nil, fhir.Errorf(fhir.Invalid, "%s takes %d values joined by $: %s", p.Name, len(p.components), strings.Join(names, "$"))
	}
	matchers := make([]matcher, len(values))
	head := []byte{classComposite}
	narrowed := false // whether head has all of the first component
	var narrow []Range
	for i, parts := range values {
		c := &p.components[i]
		var err error
		switch c.typ {
		case TypeToken:
			var exact []byte
			matchers[i], exact, narrowed, err = c.token(parts, i == 0)
			if i == 0 {
				head = append(head, exact...)
			}
		case TypeString:
			matchers[i], err = stringMatcher(strings.Join(parts, "|"))
		case TypeReference:
			matchers[i], err = c.reference(strings.Join(parts, "|"), opts.Base)
		default:
			var value quantityValue
			matchers[i], value, err = c.ordered(parts, opts)
			if err == nil && i == 1 && narrowed {
				narrow = value.pointRanges(head)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	keep := func(value []byte) bool {
		rest := value[1:]
		for _, m := range matchers {
			ok, after := m(rest)
			if !ok {
				return false
			}
			rest = after
		}
		return true
	}
	if narrow == nil {
		narrow = []Range{prefixed(head)}
	}
	for i := range narrow {
		narrow[i].Keep = keep
	}
	return narrow, nil
}

// token reads a token component. exact is what entries that match begin with,
// if it is the first; whole says that it is the complete component.
func (c *component) token(parts []string, first bool) (m matcher, exact []byte, whole bool, err error) {
	if _, err := tokenRanges(c.params, parts); err != nil {
		return nil, nil, false, err
	}
	system, code, hasSystem := "", parts[0], len(parts) == 2
	if hasSystem {
		system, code = parts[0], parts[1]
	}
	if system != "" && c.params[0].implies(system) && c.params[0].systemless {
		system = ""
	}
	if c.params[0].hasOnly("string") {
		code = strings.ToLower(code)
	}
	wantCode := appendText(nil, code, maxCompositeText)
	wantSystem := appendText(nil, system, maxCompositeText)
	m = func(b []byte) (bool, []byte) {
		gotCode, rest := cutText(b)
		gotSystem, rest := cutText(rest)
		ok := (code == "" || bytes.Equal(gotCode, wantCode[:len(wantCode)-1])) &&
			(!hasSystem || bytes.Equal(gotSystem, wantSystem[:len(wantSystem)-1]))
		return ok, rest
	}
	if !first || code == "" {
		return m, nil, false, nil
	}
	if hasSystem {
		return m, append(wantCode, wantSystem...), true, nil
	}
	return m, wantCode, false, nil
}

func stringMatcher(text string) (matcher, error) {
	if _, err := stringRanges(nil, text); err != nil {
		return nil, err
	}
	want := []byte(fold(text))
	return func(b []byte) (bool, []byte) {
		got, rest := cutText(b)
		return bytes.HasPrefix(got, want), rest
	}, nil
}

func (c *component) reference(text, base string) (matcher, error) {
	if _, err := referenceRanges(c.params, text, base); err != nil {
		return nil, err
	}
	want := map[string]bool{}
	add := func(l link) {
		part := l.part()
		want[string(part[:len(part)-1])] = true
	}
	switch l, ok := localLink(text, base); {
	case ok:
		add(l)
		if base != "" {
			add(link{url: base + "/" + l.key.String()})
		}
	case fhir.ValidID(text):
		for _, typ := range targets(c.params) {
			add(link{key: fhir.Key{Type: typ, ID: text}})
		}
	default:
		l, _ := parseLink(text)
		add(l)
	}
	return func(b []byte) (bool, []byte) {
		got, rest := cutText(b)
		return want[string(got)], rest
	}, nil
}

// ordered reads a date, number or quantity component.
func (c *component) ordered(parts []string, opts ParseOptions) (matcher, quantityValue, error) {
	var q quantityValue
	var err error
	end := numberEnd
	switch c.typ {
	case TypeDate:
		end = instantEnd
		q.comparison, err = dateComparison(strings.Join(parts, "|"), opts.Now)
	case TypeNumber:
		q.comparison, err = numberComparison(strings.Join(parts, "|"))
	default:
		q, err = parseQuantity(parts)
	}
	if err != nil {
		return nil, quantityValue{}, err
	}
	if c.typ == TypeQuantity {
		return q.matches, q, nil
	}
	return func(b []byte) (bool, []byte) {
		value, rest, ok := cutFormed(b, end)
		return ok && q.holds(value), rest
	}, q, nil
}

// matches is the matcher of a quantity component.
func (q quantityValue) matches(b []byte) (ok bool, rest []byte) {
	if len(b) == 0 {
		return false, nil
	}
	is := func(got []byte, want string) bool {
		encoded := appendText(nil, want, maxCompositeUnit)
		return bytes.Equal(got, encoded[:len(encoded)-1])
	}
	if b[0] >= formCanonicalPoint {
		kind, bounds := cutText(b[1:])
		value, rest, ok := cutBounds(b[0] == formCanonicalInterval, bounds, numberEnd)
		return ok && q.kind != "" && is(kind, q.kind) && q.holds(value), rest
	}
	value, rest, ok := cutFormed(b, numberEnd)
	var got [3][]byte // unit, code, system
	for i := range got {
		got[i], rest = cutText(rest)
	}
	switch {
	case !ok || q.kind != "" || !q.holds(value):
		return false, rest
	case q.unit != "":
		return is(got[0], q.unit) || is(got[1], q.unit), rest
	case q.code != "":
		return is(got[1], q.code) && is(got[2], q.system), rest
	}
	return true, rest
}

// cutFormed splits off what formed encoded.
func cutFormed(b []byte, end func([]byte) int) (value interval, rest []byte, ok bool) {
	if len(b) < 2 {
		return interval{}, nil, false
	}
	return cutBounds(b[0] == formInterval, b[1:], end)
}

// cutBounds splits off one bound, or two.
func cutBounds(two bool, b []byte, end func([]byte) int) (value interval, rest []byte, ok bool) {
	if len(b) == 0 {
		return interval{}, nil, false
	}
	n := end(b)
	value.low, b = b[:n], b[n:]
	value.high = value.low
	if two {
		n = end(b)
		value.high, b = b[:n], b[n:]
	}
	return value, b, true
}

// pointRanges narrows the entries that begin with head to the points the value
// can hold for, and all intervals.
func (q quantityValue) pointRanges(head []byte) []Range {
	base, intervals := append(bytes.Clone(head), formPoint), append(bytes.Clone(head), formInterval)
	if q.kind != "" {
		kind := appendText(nil, q.kind, maxCompositeUnit)
		base = append(append(bytes.Clone(head), formCanonicalPoint), kind...)
		intervals = append(append(bytes.Clone(head), formCanonicalInterval), kind...)
	}
	at := func(bound []byte) []byte { return append(bytes.Clone(base), bound...) }
	points := prefixed(base)
	switch q.prefix {
	case equal, approximately:
		points = Range{From: at(q.low), To: prefixEnd(at(q.high))}
	case greater, greaterOrEqual, startsAfter:
		points.From = at(q.low)
	case less, lessOrEqual, endsBefore:
		points.To = prefixEnd(at(q.high))
	}
	return []Range{points, prefixed(intervals)}
}
