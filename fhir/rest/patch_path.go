package rest

import (
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// The part of FHIRPath that names places in a resource,
// https://hl7.org/fhir/R4/fhirpath.html: paths, indexes, functions that choose
// among elements, and conditions in where(). Whatever computes new values has no
// place that could be patched.

// Limits of one expression.
const (
	maxPathBytes = 4096
	maxPathDepth = 32
)

// pathKind is the kind of a pathExpr.
type pathKind int

const (
	pathLiteral pathKind = iota // 'x', 3, true, @2026-01-01: text and quoted
	pathThis                    // $this, %resource, or the name of the type in front
	pathMember                  // base.name
	pathCall                    // base.name(args)
	pathIndex                   // base[index]
	pathBinary                  // base name args[0], name being an operator
)

// pathExpr is an expression. A base that is nil is the focus: the resource, or
// the element that a where() looks at.
type pathExpr struct {
	kind   pathKind
	base   *pathExpr
	name   string
	index  int
	args   []*pathExpr
	text   string // of a literal
	quoted bool   // the literal is text, or a date
}

// pathFunctions are the functions that are understood, with how many arguments
// they take at least and at most.
var pathFunctions = map[string][2]int{
	"where": {1, 1}, "first": {0, 0}, "last": {0, 0}, "single": {0, 0}, "extension": {1, 1},
	"ofType": {1, 1}, "as": {1, 1}, "exists": {0, 1}, "empty": {0, 0}, "not": {0, 0},
	"startsWith": {1, 1}, "endsWith": {1, 1}, "contains": {1, 1},
}

// parsePath reads an expression. The error is NotSupported for what FHIRPath has
// and this reader has not, Invalid for what is none.
func parsePath(text string) (*pathExpr, error) {
	if len(text) > maxPathBytes {
		return nil, fhir.Errorf(fhir.TooLarge, "a path has at most %d bytes", maxPathBytes)
	}
	p := &pathParser{text: text}
	e, err := p.expression(0, 0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.text) {
		return nil, p.fail("cannot be read from here on")
	}
	return e, nil
}

type pathParser struct {
	text string
	pos  int
}

// fail is the error of what stands at the present position.
func (p *pathParser) fail(problem string) error {
	rest := p.text[min(p.pos, len(p.text)):]
	if rest == "" {
		return fhir.Errorf(fhir.Invalid, "the path %q ends too early: %s", fhir.Clip(p.text), problem)
	}
	return fhir.Errorf(fhir.Invalid, "the path %q: %q %s", fhir.Clip(p.text), fhir.Clip(rest), problem)
}

func (p *pathParser) unsupported(what string) error {
	return fhir.Errorf(fhir.NotSupported, "the path %q: %s is not supported in a patch. Supported are paths, [n], where(), first(), last(), single(), extension(), ofType(), as(), "+
		"and in conditions exists(), empty(), not(), startsWith(), endsWith(), contains(), =, !=, and, or", fhir.Clip(p.text), fhir.Clip(what))
}

func (p *pathParser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// take reads a symbol if it comes next.
func (p *pathParser) take(symbol string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], symbol) {
		return false
	}
	p.pos += len(symbol)
	return true
}

// word reads a name, or returns "".
func (p *pathParser) word() string {
	p.space()
	start := p.pos
	for p.pos < len(p.text) && (isNameByte(p.text[p.pos]) || p.pos > start && p.text[p.pos] >= '0' && p.text[p.pos] <= '9') {
		p.pos++
	}
	return p.text[start:p.pos]
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// pathOperators are the operators by how loosely they bind, the loosest first.
var pathOperators = [][]string{{"or"}, {"and"}, {"!=", "="}, {"as"}}

// unbuiltOperators are those of FHIRPath that are not understood.
var unbuiltOperators = []string{"xor", "implies", "in", "is", "div", "mod", "<=", ">=", "<", ">", "|", "+", "-", "*", "/", "&", "~", "!~"}

func (p *pathParser) expression(level, depth int) (*pathExpr, error) {
	if depth > maxPathDepth {
		return nil, fhir.Errorf(fhir.TooLarge, "a path may be nested %d levels deep", maxPathDepth)
	}
	if level == len(pathOperators) {
		return p.path(depth)
	}
	left, err := p.expression(level+1, depth)
	if err != nil {
		return nil, err
	}
	for {
		operator := p.operator(pathOperators[level])
		if operator == "" {
			break
		}
		right, err := p.expression(level+1, depth+1)
		if err != nil {
			return nil, err
		}
		if left = (&pathExpr{kind: pathBinary, name: operator, base: left, args: []*pathExpr{right}}); operator == "as" {
			left = &pathExpr{kind: pathCall, name: "as", base: left.base, args: left.args}
		}
	}
	if level == 0 {
		if operator := p.operator(unbuiltOperators); operator != "" {
			return nil, p.unsupported("the operator " + operator)
		}
	}
	return left, nil
}

// operator reads one of some operators, or returns "".
func (p *pathParser) operator(among []string) string {
	for _, operator := range among {
		before := p.pos
		if !p.take(operator) {
			continue
		}
		if !isNameByte(operator[0]) || p.pos == len(p.text) || !isNameByte(p.text[p.pos]) {
			return operator
		}
		p.pos = before
	}
	return ""
}

// path reads a term and the steps behind it.
func (p *pathParser) path(depth int) (*pathExpr, error) {
	e, err := p.term(depth)
	for err == nil {
		switch {
		case p.take("."):
			e, err = p.step(e, depth)
		case p.take("["):
			p.space()
			start := p.pos
			for p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '9' {
				p.pos++
			}
			index, atoi := strconv.Atoi(p.text[start:p.pos])
			if atoi != nil || !p.take("]") {
				return nil, p.fail("must be a whole number and ]")
			}
			e = &pathExpr{kind: pathIndex, base: e, index: index}
		default:
			return e, nil
		}
	}
	return nil, err
}

// step reads a member or a call behind a dot.
func (p *pathParser) step(base *pathExpr, depth int) (*pathExpr, error) {
	name := p.word()
	if name == "" && p.take("`") {
		end := strings.IndexByte(p.text[p.pos:], '`')
		if end <= 0 {
			return nil, p.fail("has no closing `")
		}
		name = p.text[p.pos : p.pos+end]
		p.pos += end + 1
		return &pathExpr{kind: pathMember, base: base, name: name}, nil
	}
	if name == "" {
		return nil, p.fail("must be the name of an element or a function")
	}
	if !p.take("(") {
		return &pathExpr{kind: pathMember, base: base, name: name}, nil
	}
	arity, known := pathFunctions[name]
	if !known {
		return nil, p.unsupported("the function " + name + "()")
	}
	call := &pathExpr{kind: pathCall, base: base, name: name}
	for !p.take(")") {
		if len(call.args) > 0 && !p.take(",") {
			return nil, p.fail("must be , or )")
		}
		arg, err := p.expression(0, depth+1)
		if err != nil {
			return nil, err
		}
		call.args = append(call.args, arg)
	}
	if len(call.args) < arity[0] || len(call.args) > arity[1] {
		return nil, fhir.Errorf(fhir.Invalid, "the path %q: %s() has %d arguments", fhir.Clip(p.text), name, len(call.args))
	}
	return call, nil
}

// term reads what an expression begins with.
func (p *pathParser) term(depth int) (*pathExpr, error) {
	p.space()
	if p.pos == len(p.text) {
		return nil, p.fail("something is missing")
	}
	switch c := p.text[p.pos]; {
	case c == '(':
		p.pos++
		e, err := p.expression(0, depth+1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, p.fail("must be )")
		}
		return e, nil
	case c == '\'':
		return p.string()
	case c == '@':
		p.pos++
		start := p.pos
		for p.pos < len(p.text) && strings.IndexByte("0123456789-:.TZ+", p.text[p.pos]) >= 0 {
			p.pos++
		}
		return &pathExpr{kind: pathLiteral, text: strings.TrimSuffix(p.text[start:p.pos], "T"), quoted: true}, nil
	case c >= '0' && c <= '9' || c == '-':
		start := p.pos
		p.pos++
		for p.pos < len(p.text) && (p.text[p.pos] >= '0' && p.text[p.pos] <= '9' || p.text[p.pos] == '.') {
			p.pos++
		}
		return &pathExpr{kind: pathLiteral, text: p.text[start:p.pos]}, nil
	case c == '$' || c == '%':
		p.pos++
		if name := p.word(); name != "this" && name != "resource" && name != "context" {
			return nil, p.unsupported(string(c) + name)
		}
		if c == '%' {
			return &pathExpr{kind: pathThis, name: "resource"}, nil
		}
		return &pathExpr{kind: pathThis}, nil
	case !isNameByte(c) && c != '`':
		return nil, p.fail("is nothing that a path can begin with")
	}
	before := p.pos
	if name := p.word(); name == "true" || name == "false" {
		return &pathExpr{kind: pathLiteral, text: name}, nil
	}
	p.pos = before
	return p.step(nil, depth)
}

// pathEscapes are what a character behind a backslash stands for.
var pathEscapes = map[byte]byte{
	'\'': '\'', '"': '"', '`': '`', '\\': '\\', '/': '/', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// string reads text in single quotes.
func (p *pathParser) string() (*pathExpr, error) {
	p.pos++
	var out strings.Builder
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '\'':
			return &pathExpr{kind: pathLiteral, text: out.String(), quoted: true}, nil
		case c != '\\':
			out.WriteByte(c)
		case p.pos < len(p.text):
			escaped := p.text[p.pos]
			p.pos++
			plain, known := pathEscapes[escaped]
			if !known {
				return nil, p.unsupported(`the escape \` + string(escaped))
			}
			out.WriteByte(plain)
		}
	}
	return nil, p.fail("has no closing '")
}
