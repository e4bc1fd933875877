package pgx

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// termsFile is knowledge/terms.json: the words laboratories use for phenotypes
// and for what they saw, in several languages. What is not listed cannot be
// read, and is never taken for normal.
type termsFile struct {
	Source  string `json:"source"`
	Version string `json:"version"`
	Date    string `json:"date"`
	Licence string `json:"licence"`
	Terms   []struct {
		Term          string   `json:"term"`
		LOINC         string   `json:"loinc"` // answer code
		Abbreviations []string `json:"abbreviations"`
		Synonyms      []string `json:"synonyms"`
	} `json:"terms"`
	GeneTerms []struct {
		Gene  string   `json:"gene"`
		Says  string   `json:"says"`
		Terms []string `json:"terms"` // several if the words leave it open
	} `json:"gene_terms"`
	// Scales are terms in order: "poor to normal" has intermediate in between.
	Scales [][]string            `json:"scales"`
	Words  map[wordKind][]string `json:"words"`
}

// wordKind is a class of words with one meaning.
type wordKind string

const (
	indeterminateWord wordKind = "indeterminate"
	positiveWord      wordKind = "positive"
	negativeWord      wordKind = "negative"
	heterozygousWord  wordKind = "heterozygous"
	homozygousWord    wordKind = "homozygous"
	hemizygousWord    wordKind = "hemizygous"
	homoplasmicWord   wordKind = "homoplasmic"
	heteroplasmicWord wordKind = "heteroplasmic"
	referenceWord     wordKind = "reference"
	labelWord         wordKind = "labels"  // before a value: "Genotype: *1/*2"
	nounWord          wordKind = "nouns"   // after a term: "Poor Metabolizer phenotype"
	betweenWord       wordKind = "between" // between two possible terms: "normal to intermediate"
	orWord            wordKind = "or"      // between two possible genotypes: "*1/*2 or *3/*4"
	duplicationWord   wordKind = "duplication"
)

// termTable finds the meaning of words.
type termTable struct {
	terms   map[string][]string            // folded phrase -> standard terms
	byGene  map[string]map[string][]string // the same, for one gene
	words   map[string]wordKind            // folded word -> kind
	scales  [][]string
	between []string
	or      []string
	labels  []string // longest first
	nouns   []string
	unsure  []string // indeterminate words, to be found inside a text
}

// indeterminate is the phenotype of a result that no table gives a meaning.
const indeterminate = "Indeterminate"

func loadTerms(fsys fs.FS, genes geneTable) (termTable, error) {
	const name = "terms.json"
	var file termsFile
	table := termTable{terms: map[string][]string{}, byGene: map[string]map[string][]string{}, words: map[string]wordKind{}}
	if err := readJSON(fsys, name, &file); err != nil {
		return table, err
	}
	if file.Source == "" || file.Version == "" || file.Date == "" || file.Licence == "" {
		return table, fmt.Errorf("%s: source, version, date or licence is missing", name)
	}
	table.scales = file.Scales
	known := map[string]bool{}
	for _, t := range file.Terms {
		known[t.Term] = true
		for _, says := range slices.Concat([]string{t.Term, t.LOINC}, t.Abbreviations, t.Synonyms) {
			key := fold(says)
			if key == "" {
				continue // a term without a LOINC answer
			}
			if table.terms[key] != nil {
				return table, fmt.Errorf("%s: %q is there twice", name, says)
			}
			table.terms[key] = []string{t.Term}
		}
	}
	for _, t := range file.GeneTerms {
		g := genes.gene(t.Gene)
		if g == nil {
			return table, fmt.Errorf("%s: %q: no gene %q", name, t.Says, t.Gene)
		}
		if table.byGene[g.Symbol] == nil {
			table.byGene[g.Symbol] = map[string][]string{}
		}
		key := fold(t.Says)
		if table.byGene[g.Symbol][key] != nil || len(t.Terms) == 0 {
			return table, fmt.Errorf("%s: %q for %s is empty or there twice", name, t.Says, t.Gene)
		}
		for _, term := range t.Terms {
			if !g.terms[term] {
				return table, fmt.Errorf("%s: %q is not a phenotype of %s", name, term, t.Gene)
			}
		}
		table.byGene[g.Symbol][key] = t.Terms
	}
	for _, term := range slices.Concat(file.Scales...) {
		if !known[term] {
			return table, fmt.Errorf("%s: %q on a scale is not a term", name, term)
		}
	}
	for _, g := range genes.list {
		for term := range g.terms {
			if !known[term] {
				return table, fmt.Errorf("%s: %s has the phenotype %q, which is not a term", name, g.Symbol, term)
			}
		}
	}
	return table, table.addWords(file.Words)
}

func (t *termTable) addWords(words map[wordKind][]string) error {
	for kind, list := range words {
		for _, word := range list {
			key := fold(word)
			switch kind {
			case labelWord:
				t.labels = append(t.labels, key)
				continue
			case nounWord:
				t.nouns = append(t.nouns, key)
				continue
			case betweenWord:
				t.between = append(t.between, " "+key+" ")
				continue
			case orWord:
				t.or = append(t.or, " "+word+" ")
				continue
			case indeterminateWord:
				t.unsure = append(t.unsure, key)
			}
			if key == "" || t.words[key] != "" {
				return fmt.Errorf("terms.json: word %q is empty or there twice", word)
			}
			t.words[key] = kind
		}
	}
	longestFirst := func(a, b string) int { return len(b) - len(a) }
	slices.SortStableFunc(t.labels, longestFirst)
	slices.SortStableFunc(t.between, longestFirst)
	slices.Sort(t.nouns)
	return nil
}

// kind returns the class of a word, "" if it is not listed.
func (t *termTable) kind(text string) wordKind { return t.words[fold(text)] }

// saysIndeterminate reports whether a text says in listed words, anywhere, that
// no result could be given.
func (t *termTable) saysIndeterminate(text string) bool {
	padded := " " + fold(text) + " "
	return slices.ContainsFunc(t.unsure, func(word string) bool { return strings.Contains(padded, " "+word+" ") })
}

// phenotypes returns the standard terms a phrase may mean for a gene, nil if it
// is not listed or not a phenotype of that gene.
func (t *termTable) phenotypes(g *gene, text string) []string {
	phrase := t.plain(g, text)
	for _, whole := range []string{phrase, fold(text)} { // "G6PD deficiency" is a phrase itself
		if terms := t.phrase(g, whole); terms != nil {
			return terms
		}
	}
	// "Poor Metabolizer (PM)": both say the same.
	if open := strings.IndexByte(phrase, '('); open > 0 && strings.HasSuffix(phrase, ")") {
		outer, inner := t.phrase(g, t.plain(g, phrase[:open])), t.phrase(g, t.plain(g, phrase[open+1:len(phrase)-1]))
		if outer != nil && slices.Equal(outer, inner) {
			return outer
		}
		return nil
	}
	for _, word := range append(slices.Clone(t.between), "/") {
		left, right, ok := strings.Cut(phrase, word)
		if !ok {
			continue
		}
		second := t.phrase(g, strings.TrimSpace(right))
		first := t.phrase(g, strings.TrimSpace(left))
		if i := strings.LastIndexByte(right, ' '); first == nil && i >= 0 { // "normal to intermediate metabolizer"
			first = t.phrase(g, strings.TrimSpace(left)+right[i:])
		}
		if first != nil && second != nil {
			return t.span(g, unique(slices.Concat(first, second)))
		}
	}
	return nil
}

// span adds the terms that lie between those given.
func (t *termTable) span(g *gene, terms []string) []string {
	for _, scale := range t.scales {
		low, high := len(scale), -1
		for _, term := range terms {
			i := slices.Index(scale, term)
			if i < 0 {
				low, high = len(scale), -1
				break
			}
			low, high = min(low, i), max(high, i)
		}
		for i := low + 1; i < high; i++ {
			if g.terms[scale[i]] && !slices.Contains(terms, scale[i]) {
				terms = append(terms, scale[i])
			}
		}
	}
	return terms
}

// plain folds a phrase and takes off the gene, labels before and nouns after it.
func (t *termTable) plain(g *gene, text string) string {
	s := fold(text)
	for {
		before := s
		for _, name := range append(slices.Clone(t.labels), fold(g.Symbol)) {
			if rest, ok := strings.CutPrefix(s, name+" "); ok {
				s = strings.TrimLeft(rest, " :=")
			} else if rest, ok := strings.CutPrefix(s, name+":"); ok {
				s = strings.TrimLeft(rest, " :=")
			}
		}
		for _, noun := range t.nouns {
			s = strings.TrimSuffix(s, " "+noun)
		}
		if s == before {
			return s
		}
	}
}

func (t *termTable) phrase(g *gene, folded string) []string {
	terms := t.byGene[g.Symbol][folded]
	if terms == nil {
		terms = t.terms[folded]
	}
	for _, term := range terms {
		if !g.terms[term] && term != indeterminate {
			return nil
		}
	}
	return terms
}

// fold brings words to one form for comparison: no accents, lower case, hyphens
// as spaces, single spaces, no punctuation at the ends.
func fold(text string) string {
	var b strings.Builder
	space := false
	for _, r := range norm.NFKD.String(text) {
		switch {
		case unicode.Is(unicode.Mn, r):
			continue
		case unicode.IsSpace(r) || r == '-' || r == '_' || r == '‐' || r == '–' || r == ',':
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Trim(b.String(), " .:;\"'")
}

// unique removes repetitions and keeps the order.
func unique[T comparable](list []T) []T {
	var out []T
	for _, item := range list {
		if !slices.Contains(out, item) {
			out = append(out, item)
		}
	}
	return out
}
