package search

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/starling-fhir/starling/fhir"
)

// The grammar of https://hl7.org/fhir/R4/search_filter.html, read into a tree
// that knows nothing of parameters yet.

// filterNode is an expression.
type filterNode struct {
	at   int    // where it starts, in bytes
	join string // "and", "or" or "not" of nodes; "" for a test
	of   []*filterNode

	// A test.
	path    []filterStep
	compare string
	value   string
	quoted  bool // the value was a JSON string
}

// filterStep is one name of a path.
type filterStep struct {
	at   int
	name string
	// typ is the type of what a reference points at: subject:Patient.
	typ string
	// where must hold for what the step leads to: name[filter].
	where *filterNode
}

// filterOperators are the comparisons of R4.
const filterOperators = " eq ne co sw ew gt lt ge le ap sa eb pr po ss sb in ni re "

// maxFilterDepth is how deep parentheses, brackets and negations can stand in
// one another.
const maxFilterDepth = 32

// filterReader reads an expression.
type filterReader struct {
	text  string
	at    int
	depth int
}

func readFilterTree(text string) (*filterNode, error) {
	r := &filterReader{text: text}
	n, err := r.expression()
	if err != nil {
		return nil, err
	}
	if r.at < len(r.text) {
		return nil, r.fail(r.at, "%q has nothing to close", r.text[r.at:r.at+1])
	}
	return n, nil
}

// fail says what is wrong at a place, counted in characters from 1.
func (r *filterReader) fail(at int, format string, args ...any) error {
	return filterError(r.text, at, fhir.Errorf(fhir.Invalid, format, args...))
}

// filterError puts the place in front of an error.
func filterError(text string, at int, err error) error {
	character := utf8.RuneCountInString(text[:min(at, len(text))]) + 1
	return &fhir.Error{Kind: fhir.KindOf(err), Message: fhir.Errorf(fhir.Invalid, "_filter, character %d: %s", character, err).Error()}
}

func (r *filterReader) space() {
	rest := strings.TrimLeftFunc(r.text[r.at:], unicode.IsSpace)
	r.at = len(r.text) - len(rest)
}

// word returns the word that starts here without taking it.
func (r *filterReader) word() string {
	end := strings.IndexFunc(r.text[r.at:], func(c rune) bool { return unicode.IsSpace(c) || c == '(' || c == ')' || c == ']' })
	if end < 0 {
		return r.text[r.at:]
	}
	return r.text[r.at : r.at+end]
}

// expression reads operands joined by "and" and "or", from left to right: none
// of the two binds stronger.
func (r *filterReader) expression() (*filterNode, error) {
	if r.depth++; r.depth > maxFilterDepth {
		return nil, filterError(r.text, r.at, fhir.Errorf(fhir.TooLarge, "more than %d parentheses or brackets within one another", maxFilterDepth))
	}
	defer func() { r.depth-- }()
	left, err := r.operand()
	for err == nil {
		r.space()
		join := r.word()
		if join != "and" && join != "or" {
			break
		}
		r.at += len(join)
		var right *filterNode
		if right, err = r.operand(); err != nil {
			break
		}
		if left.join == join {
			left.of = append(left.of, right)
		} else {
			left = &filterNode{at: left.at, join: join, of: []*filterNode{left, right}}
		}
	}
	if err != nil {
		return nil, err
	}
	if r.at < len(r.text) && r.text[r.at] != ')' && r.text[r.at] != ']' {
		return nil, r.fail(r.at, "expected \"and\", \"or\" or the end, not %q", fhir.Clip(r.word()))
	}
	return left, nil
}

// operand reads a test, a negation or what is in parentheses.
func (r *filterReader) operand() (*filterNode, error) {
	r.space()
	start := r.at
	if r.word() == "not" {
		r.at += len("not")
		if r.space(); r.at == len(r.text) || r.text[r.at] != '(' {
			return nil, r.fail(r.at, "expected a ( behind \"not\"")
		}
		inner, err := r.parentheses()
		return &filterNode{at: start, join: "not", of: []*filterNode{inner}}, err
	}
	if r.at < len(r.text) && r.text[r.at] == '(' {
		inner, err := r.parentheses()
		if err != nil || inner.join == "not" || inner.join == "" {
			return inner, err
		}
		// A node of its own, so that what follows is not taken into it.
		return &filterNode{at: start, join: "and", of: []*filterNode{inner}}, nil
	}
	return r.test()
}

func (r *filterReader) parentheses() (*filterNode, error) {
	start := r.at
	r.at++
	n, err := r.expression()
	if err != nil {
		return nil, err
	}
	if r.at == len(r.text) || r.text[r.at] != ')' {
		return nil, r.fail(start, "this ( is not closed")
	}
	r.at++
	return n, nil
}

// test reads a path, a comparison and a value.
func (r *filterReader) test() (*filterNode, error) {
	n := &filterNode{at: r.at}
	var err error
	if n.path, err = r.path(); err != nil {
		return nil, err
	}
	r.space()
	n.compare = r.word()
	if n.compare == "" || !strings.Contains(filterOperators, " "+n.compare+" ") {
		return nil, r.fail(r.at, "expected a comparison, one of%s, not %q", strings.TrimRight(filterOperators, " "), fhir.Clip(n.compare))
	}
	r.at += len(n.compare)
	r.space()
	if r.at < len(r.text) && r.text[r.at] == '"' {
		n.quoted = true
		n.value, err = r.quoted()
		return n, err
	}
	end := strings.IndexFunc(r.text[r.at:], func(c rune) bool { return unicode.IsSpace(c) || c == ')' || c == ']' })
	if end < 0 {
		end = len(r.text) - r.at
	}
	if end == 0 {
		return nil, r.fail(r.at, "expected a value")
	}
	n.value = r.text[r.at : r.at+end]
	r.at += end
	return n, nil
}

// quoted reads a JSON string.
func (r *filterReader) quoted() (string, error) {
	start := r.at
	for r.at++; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '\\':
			r.at++
		case '"':
			r.at++
			var value string
			if err := json.Unmarshal([]byte(r.text[start:r.at]), &value); err != nil || !validText(value) {
				return "", r.fail(start, "this is not a well-formed JSON string")
			}
			if value == "" {
				return "", r.fail(start, "the value is empty")
			}
			return value, nil
		}
	}
	return "", r.fail(start, "this \" is not closed")
}

// path reads names joined by '.', each with an optional filter in brackets.
func (r *filterReader) path() ([]filterStep, error) {
	var path []filterStep
	for {
		step := filterStep{at: r.at}
		end := strings.IndexFunc(r.text[r.at:], func(c rune) bool { return !isFilterName(c) })
		if end < 0 {
			end = len(r.text) - r.at
		}
		if end == 0 {
			return nil, r.fail(r.at, "expected the name of a parameter, \"not\" or a (")
		}
		step.name = r.text[r.at : r.at+end]
		if !strings.HasPrefix(step.name, "_has:") {
			step.name, step.typ, _ = strings.Cut(step.name, ":")
		}
		r.at += end
		bracket := r.at < len(r.text) && r.text[r.at] == '['
		if bracket {
			start := r.at
			r.at++
			var err error
			if step.where, err = r.expression(); err != nil {
				return nil, err
			}
			if r.at == len(r.text) || r.text[r.at] != ']' {
				return nil, r.fail(start, "this [ is not closed")
			}
			r.at++
		}
		path = append(path, step)
		if r.at == len(r.text) || r.text[r.at] != '.' {
			if bracket {
				return nil, r.fail(r.at, "expected a . and a name behind the ]")
			}
			return path, nil
		}
		r.at++
	}
}

func isFilterName(c rune) bool {
	return c == '_' || c == '-' || c == ':' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}
