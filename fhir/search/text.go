package search

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Full-text search: _text looks at the words of the narrative, _content at those
// of all text in the resource. R4 leaves the language to the server:
// https://hl7.org/fhir/R4/search.html#content. Ours is described in
// docs/reference/search-values.md.

// The parameters of full-text search. They have no expression.
const (
	narrativeParam = "_text"
	contentParam   = "_content"
)

// textParams are their definitions. R4 calls them strings, but they are compared
// as no string is.
var textParams = map[string]bool{
	"http://hl7.org/fhir/SearchParameter/DomainResource-text": true,
	"http://hl7.org/fhir/SearchParameter/Resource-content":    true,
}

// Limits of the text index.
const (
	// maxWords is how many different words of a resource are found, under each
	// of the two parameters: the first.
	maxWords = 2_000
	// maxWordText is the longest word in bytes; of a longer one a prefix is
	// kept, and a hash.
	maxWordText = 64
	// maxWordPrefix is the longest prefix that can be looked for.
	maxWordPrefix = maxWordText - hashText
)

// indexWords adds the entries of the text parameters that a type has.
func (x *extraction) indexWords(set *typeParams) {
	narrative, content := wordList{}, wordList{}
	last := ""
	texts(x.root, func(text string, own bool) {
		if text == last && !own {
			return // the display of a code is often its text too
		}
		last = text
		eachWord(text, func(word string) {
			content.add(word)
			if own {
				narrative.add(word)
			}
		})
	})
	x.words(set.byName[narrativeParam], narrative.distinct())
	x.words(set.byName[contentParam], content.distinct())
}

// words adds entries as far as there is room: they never refuse a resource.
func (x *extraction) words(p *Param, words []string) {
	if p == nil {
		return // Bundle and Parameters have no narrative
	}
	for _, word := range words[:min(len(words), max(0, maxEntries-x.used-len(x.entries)))] {
		x.add(p, appendText(x.value(classTextWord), word, maxWordText))
	}
}

// wordList gathers different words, the first maxWords of them.
type wordList struct {
	words []string
	seen  map[string]bool // once there are many
}

// fewWords is up to where words are compared by sorting in the end.
const fewWords = 256

func (l *wordList) add(word string) {
	switch {
	case l.seen == nil && len(l.words) < fewWords:
		l.words = append(l.words, word)
		return
	case l.seen == nil:
		words := l.words
		l.words, l.seen = nil, make(map[string]bool, 2*fewWords)
		for _, w := range words {
			l.add(w)
		}
	}
	if len(l.words) < maxWords && !l.seen[word] {
		l.seen[word] = true
		l.words = append(l.words, word)
	}
}

func (l *wordList) distinct() []string {
	if l.seen != nil {
		return l.words
	}
	slices.Sort(l.words)
	return slices.Compact(l.words)
}

// textClause reads a value of _text or _content, decoded, and returns the folded
// words that a match should have, those to be found as a prefix with a '*'.
func textClause(param, value string) (Clause, []string, error) {
	r := textReader{param: param}
	var alternatives [][]Clause
	for _, part := range splitEscaped(value, ',') {
		r.tokens = textTokens(unescape(part))
		c, err := r.alternatives(0)
		if err == nil && len(r.tokens) > 0 {
			err = fhir.Errorf(fhir.Invalid, "a ) closes nothing")
		}
		if err != nil {
			return Clause{}, nil, explain(err, param)
		}
		alternatives = append(alternatives, []Clause{c})
	}
	return eitherOf(alternatives), unique(r.words), nil
}

// textReader reads words joined by AND, OR and NOT.
type textReader struct {
	param  string
	tokens []string
	words  []string
	terms  int
	not    bool // what is read is negated
}

// Limits of a text query.
const (
	maxTextTerms = 64
	maxTextDepth = 16
)

// textTokens splits a query into words and parentheses.
func textTokens(text string) []string {
	var out []string
	start := -1
	flush := func(end int) {
		if start >= 0 {
			out = append(out, text[start:end])
		}
		start = -1
	}
	for i, r := range text {
		switch {
		case r == '(' || r == ')':
			flush(i)
			out = append(out, string(r))
		case unicode.IsSpace(r):
			flush(i)
		case start < 0:
			start = i
		}
	}
	flush(len(text))
	return out
}

// operator reports whether the next token is a word such as AND, in any case.
func (r *textReader) operator(word string) bool {
	if len(r.tokens) > 0 && strings.EqualFold(r.tokens[0], word) {
		r.tokens = r.tokens[1:]
		return true
	}
	return false
}

// alternatives reads what stands between ORs.
func (r *textReader) alternatives(depth int) (Clause, error) {
	var all [][]Clause
	for {
		list, err := r.together(depth)
		if err != nil {
			return Clause{}, err
		}
		all = append(all, list)
		if !r.operator("OR") {
			return eitherOf(all), nil
		}
	}
}

// together reads what must all be there: AND may be left away.
func (r *textReader) together(depth int) ([]Clause, error) {
	var list []Clause
	for {
		c, err := r.operand(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, c...)
		if r.operator("AND") {
			continue
		}
		if len(r.tokens) == 0 || r.tokens[0] == ")" || strings.EqualFold(r.tokens[0], "OR") {
			return list, nil
		}
	}
}

// operand reads a word, a negation or what is in parentheses.
func (r *textReader) operand(depth int) ([]Clause, error) {
	if depth > maxTextDepth {
		return nil, fhir.Errorf(fhir.TooLarge, "more than %d parentheses or negations within one another", maxTextDepth)
	}
	if len(r.tokens) == 0 {
		return nil, fhir.Errorf(fhir.Invalid, "a word is missing at the end")
	}
	token := r.tokens[0]
	negated := strings.EqualFold(token, "NOT")
	if !negated && len(token) > 0 && token[0] == '-' && (len(token) > 1 || len(r.tokens) > 1 && r.tokens[1] == "(") {
		negated = true
		if len(token) > 1 {
			r.tokens = append([]string{"NOT", token[1:]}, r.tokens[1:]...)
		}
	}
	switch {
	case negated:
		r.tokens = r.tokens[1:]
		r.not = !r.not
		list, err := r.operand(depth + 1)
		r.not = !r.not
		if err != nil {
			return nil, err
		}
		c := allOf(list)
		c.Not = !c.Not
		return []Clause{c}, nil
	case token == "(":
		r.tokens = r.tokens[1:]
		c, err := r.alternatives(depth + 1)
		if err != nil {
			return nil, err
		}
		if len(r.tokens) == 0 || r.tokens[0] != ")" {
			return nil, fhir.Errorf(fhir.Invalid, "a ( is not closed")
		}
		r.tokens = r.tokens[1:]
		return []Clause{c}, nil
	case token == ")", strings.EqualFold(token, "AND"), strings.EqualFold(token, "OR"):
		return nil, fhir.Errorf(fhir.Invalid, "a word is missing before %s", token)
	}
	r.tokens = r.tokens[1:]
	return r.word(token)
}

// word reads one word, or the words that one with hyphens is made of.
func (r *textReader) word(token string) ([]Clause, error) {
	if strings.ContainsAny(token, "\"“”") {
		return nil, fhir.Errorf(fhir.NotSupported, "the order of words is not known: without the quotes all words are looked for, in any order")
	}
	stem, prefix := strings.CutSuffix(token, "*")
	if strings.Contains(stem, "*") {
		return nil, fhir.Errorf(fhir.Invalid, "%q: a * can stand only at the end of a word", fhir.Clip(token))
	}
	var words []string
	eachWord(stem, func(word string) { words = append(words, word) })
	if len(words) == 0 {
		return nil, fhir.Errorf(fhir.Invalid, "%q has no letter or digit to search for", fhir.Clip(token))
	}
	if r.terms += len(words); r.terms > maxTextTerms {
		return nil, fhir.Errorf(fhir.TooLarge, "more than %d words", maxTextTerms)
	}
	var list []Clause
	for i, word := range words {
		ranges, text := exactly(appendText([]byte{classTextWord}, word, maxWordText)), word
		if prefix && i == len(words)-1 {
			if len(word) > maxWordPrefix {
				return nil, fhir.Errorf(fhir.Invalid, "the beginning of a word to search for is longer than %d bytes", maxWordPrefix)
			}
			ranges, text = prefixed(append([]byte{classTextWord}, word...)), word+"*"
		}
		if !r.not {
			r.words = append(r.words, text)
		}
		list = append(list, Clause{Param: r.param, Ranges: []Range{ranges}})
	}
	return list, nil
}

// allOf makes one clause of those that must all hold.
func allOf(list []Clause) Clause {
	if len(list) == 1 {
		return list[0]
	}
	return Clause{Any: [][]Clause{list}}
}

// eitherOf makes one clause of alternatives: one by value, if each of them is one
// of the same parameter.
func eitherOf(alternatives [][]Clause) Clause {
	if len(alternatives) == 1 {
		return allOf(alternatives[0])
	}
	first := alternatives[0]
	var ranges []Range
	for _, list := range alternatives {
		if len(list) != 1 || list[0].Param == "" || list[0].Param != first[0].Param || list[0].Not || list[0].Join != nil || !slices.Equal(list[0].Types, first[0].Types) {
			return Clause{Any: alternatives}
		}
		ranges = append(ranges, list[0].Ranges...)
	}
	return Clause{Param: first[0].Param, Types: first[0].Types, Ranges: ranges}
}

// Score says how well a match fits the words that _text and _content looked
// for, as Request.Text has them: the mean over the words of n/(n + 0.5 + L/400),
// where n is how often a word stands in the resource's text and L how many words
// the text has. It is at least 0.001 and at most 1, with three decimals, and
// depends on nothing but the resource and the words.
func (r *Registry) Score(json []byte, words []string) float64 {
	root, err := resource.Decode(json)
	if err != nil || len(words) == 0 {
		return 1
	}
	counts := make([]int, len(words))
	length := 0
	texts(root, func(text string, _ bool) {
		eachWord(text, func(word string) {
			length++
			for i, wanted := range words {
				stem, prefix := strings.CutSuffix(wanted, "*")
				if word == stem || prefix && strings.HasPrefix(word, stem) {
					counts[i]++
				}
			}
		})
	})
	sum := 0.0
	for _, n := range counts {
		sum += float64(n) / (float64(n) + 0.5 + float64(length)/400)
	}
	return math.Max(0.001, math.Round(sum/float64(len(words))*1000)/1000)
}
