package search

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// This file reads the FHIRPath of search parameters that clients define. It
// understands what the compiler can follow, see compile.go, with any spacing,
// quotes and parentheses:
//
//	Patient.extension('http://…').value.ofType(Coding)
//	Observation.component.where(code.exists()) is refused
//	(Patient.contact.name | Patient.name).family
//
// and says of everything else what it does not understand.
// https://hl7.org/fhirpath/N1/

// Limits of an expression.
const (
	maxExpressionBytes = 4_000
	maxExpressionTerms = 64
	maxExpressionSteps = 64 // of one term
	maxExpressionDepth = 16 // of parentheses
)

// path is one term of a union: where it starts and the steps from there.
type path struct {
	// root is the type it starts with, "" if it starts with an element.
	root  string
	steps []step
}

// of reports whether the path is about resources of a type.
func (p path) of(typ string) bool {
	return p.root == "" || p.root == typ || p.root == "Resource" || p.root == "DomainResource"
}

// String writes the path in one spelling.
func (p path) String() string {
	out := p.root
	for _, s := range p.steps {
		if out != "" && s.kind != stepIndex {
			out += "."
		}
		out += s.source
	}
	return out
}

// parsePaths reads an expression. The error is Unprocessable.
func parsePaths(expression string) ([]path, error) {
	if len(expression) > maxExpressionBytes {
		return nil, unclear("the expression is longer than %d bytes", maxExpressionBytes)
	}
	tokens, err := tokens(expression)
	if err != nil {
		return nil, err
	}
	p := &pathParser{tokens: tokens}
	paths, err := p.union(0)
	if err == nil && p.peek() != "" {
		err = unclear("%q is not expected here", fhir.Clip(p.peek()))
	}
	return paths, err
}

func unclear(format string, args ...any) error {
	return fhir.Errorf(fhir.Unprocessable, format, args...)
}

// tokens splits an expression into names, numbers, quoted texts and signs.
func tokens(s string) ([]string, error) {
	var out []string
	for i := 0; i < len(s); {
		start := i
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case isWord(c) && c != '%':
			for i < len(s) && isWord(s[i]) && s[i] != '%' {
				i++
			}
		case c == '\'' || c == '`':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' {
					return nil, unclear("a text with a backslash is not understood: %s", fhir.Clip(s[start:]))
				}
			}
			if i == len(s) {
				return nil, unclear("a text has no end: %s", fhir.Clip(s[start:]))
			}
			i++
		case strings.IndexByte("|.()[]=", c) >= 0:
			i++
		default:
			return nil, unclear("%s is not understood", fhir.Clip(s[start:]))
		}
		out = append(out, s[start:i])
	}
	return out, nil
}

type pathParser struct {
	tokens []string
	at     int
}

func (p *pathParser) peek() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

func (p *pathParser) next() string {
	token := p.peek()
	p.at++
	return token
}

func (p *pathParser) want(token string) error {
	if got := p.next(); got != token {
		if got == "" {
			return unclear("the expression ends where %q should follow", token)
		}
		return unclear("%q stands where %q should follow", fhir.Clip(got), token)
	}
	return nil
}

// union reads terms joined by '|'.
func (p *pathParser) union(depth int) ([]path, error) {
	if depth > maxExpressionDepth {
		return nil, unclear("more than %d parentheses inside one another", maxExpressionDepth)
	}
	var out []path
	for {
		terms, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		if out = append(out, terms...); len(out) > maxExpressionTerms {
			return nil, unclear("more than %d terms", maxExpressionTerms)
		}
		if p.peek() != "|" {
			return out, nil
		}
		p.next()
	}
}

// term reads a path, with parentheses around its beginning or not, and what
// follows: more of the path, "as Type".
func (p *pathParser) term(depth int) ([]path, error) {
	var paths []path
	switch head := p.peek(); {
	case head == "(":
		p.next()
		var err error
		if paths, err = p.union(depth + 1); err != nil {
			return nil, err
		}
		if err := p.want(")"); err != nil {
			return nil, err
		}
	case isName(head) && p.following() != "(":
		p.next()
		if head[0] >= 'A' && head[0] <= 'Z' {
			paths = []path{{root: head}}
		} else {
			paths = []path{{steps: []step{{kind: stepChild, text: head, source: head}}}}
		}
	default:
		steps, err := p.step()
		if err != nil {
			return nil, err
		}
		paths = []path{{steps: steps}}
	}
	for {
		var steps []step
		var err error
		switch p.peek() {
		case ".":
			p.next()
			steps, err = p.step()
		case "[":
			steps, err = p.index()
		case "as":
			p.next()
			steps, err = p.typed(p.next())
		default:
			return paths, nil
		}
		if err != nil {
			return nil, err
		}
		for i := range paths {
			if len(paths[i].steps)+len(steps) > maxExpressionSteps {
				return nil, unclear("more than %d steps", maxExpressionSteps)
			}
			paths[i].steps = append(slices.Clip(paths[i].steps), steps...)
		}
	}
}

func (p *pathParser) following() string {
	if p.at+1 < len(p.tokens) {
		return p.tokens[p.at+1]
	}
	return ""
}

func isName(token string) bool {
	for i := range len(token) {
		if !isWord(token[i]) || token[i] == '%' {
			return false
		}
	}
	return token != "" && (token[0] < '0' || token[0] > '9')
}

// step reads an element's name or a function.
func (p *pathParser) step() ([]step, error) {
	name := p.next()
	if len(name) > 2 && name[0] == '`' {
		name = name[1 : len(name)-1]
	}
	switch {
	case name == "":
		return nil, unclear("the expression ends where the name of an element should follow")
	case !isName(name):
		return nil, unclear("%q stands where the name of an element should follow", fhir.Clip(name))
	case p.peek() != "(":
		return []step{{kind: stepChild, text: name, source: name}}, nil
	}
	p.next()
	var steps []step
	var err error
	switch name {
	case "as", "ofType":
		steps, err = p.typed(p.next())
	case "where":
		steps, err = p.conditions()
	case "extension":
		var url string
		if url, err = p.text("extension"); err == nil {
			steps = []step{{kind: stepChild, text: "extension", source: "extension"}, equals("url", url)}
		}
	default:
		return nil, unclear("the function %s() is not understood; as(), ofType(), where() and extension() are", fhir.Clip(name))
	}
	if err != nil {
		return nil, err
	}
	return steps, p.want(")")
}

func (p *pathParser) index() ([]step, error) {
	p.next()
	digits := p.next()
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 {
		return nil, unclear("%q is not an index", fhir.Clip(digits))
	}
	source := "[" + strconv.Itoa(n) + "]"
	return []step{{kind: stepIndex, index: n, source: source}}, p.want("]")
}

// typed reads the name of a type.
func (p *pathParser) typed(name string) ([]step, error) {
	if name == "FHIR" && p.peek() == "." {
		p.next()
		name = p.next()
	}
	if !isName(name) {
		return nil, unclear("%q stands where a type should follow", fhir.Clip(name))
	}
	return []step{{kind: stepAs, text: name, source: "as(" + name + ")"}}, nil
}

// conditions reads what stands in where(): equalities joined by "and", or
// "resolve() is Type".
func (p *pathParser) conditions() ([]step, error) {
	var steps []step
	for {
		name := p.next()
		if !isName(name) {
			return nil, unclear("%q stands where the name of an element should follow", fhir.Clip(name))
		}
		if name == "resolve" && p.peek() == "(" {
			p.next()
			if err := p.want(")"); err != nil {
				return nil, err
			}
			if err := p.want("is"); err != nil {
				return nil, err
			}
			typ := p.next()
			if !resource.KnownType(typ) {
				return nil, unclear("%q is not a resource type", fhir.Clip(typ))
			}
			steps = append(steps, step{kind: stepResolve, text: typ, source: "where(resolve() is " + typ + ")"})
		} else {
			if sign := p.peek(); sign != "=" {
				return nil, unclear("where(%s %s …) is not understood; where(name = 'text') is, and where(resolve() is Type)", fhir.Clip(name), fhir.Clip(sign))
			}
			p.next()
			value, err := p.text("where")
			if err != nil {
				return nil, err
			}
			steps = append(steps, equals(name, value))
		}
		if p.peek() != "and" {
			return steps, nil
		}
		p.next()
	}
}

// text reads a quoted text.
func (p *pathParser) text(in string) (string, error) {
	token := p.next()
	if len(token) < 3 || token[0] != '\'' {
		return "", unclear("%s(): %q stands where a text in single quotes should follow", in, fhir.Clip(token))
	}
	return token[1 : len(token)-1], nil
}

func equals(name, value string) step {
	return step{kind: stepEquals, text: name, value: value, source: fmt.Sprintf("where(%s='%s')", name, value)}
}

// follow goes along a path from the root of the compiler's type. Of a choice of
// types those count that the path can be followed from.
func (c *compiler) follow(p path) (spots []spot, resolved []string, err error) {
	spots = []spot{c.rootSpot()}
	for _, s := range p.steps {
		var next []spot
		var failed error
		for _, at := range spots {
			to, err := c.step(at, s)
			if err != nil {
				failed = err
			}
			next = append(next, to...)
		}
		switch {
		case len(next) == 0 && failed != nil:
			return nil, nil, unclear("%s: %v", fhir.Clip(p.String()), failed)
		case len(next) == 0:
			return nil, nil, unclear("%s: nothing is left after %s: no element there has that type", fhir.Clip(p.String()), s.source)
		case s.kind == stepResolve:
			resolved = append(resolved, s.text)
		}
		spots = next
	}
	return spots, resolved, nil
}
