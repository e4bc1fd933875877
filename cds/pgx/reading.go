package pgx

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// bases are the letters of DNA.
const bases = "ACGT"

// reported is one copy of a gene as a laboratory names it. The row is nil if
// our tables do not have the allele: its function is then unknown.
type reported struct {
	name string
	row  *allele
}

// genotype is one possible reading of a result: the copies of a gene.
type genotype struct {
	copies []reported
	// hemizygous: the laboratory says that this one copy is all there is.
	hemizygous bool
	// open: the other copy was not reported.
	open bool
}

// reading is what one report says about one gene. At most one of genotypes,
// phenotypes or scores, and statuses is filled.
type reading struct {
	genotypes  []genotype
	phenotypes []string
	scores     []score
	statuses   map[string]AlleleStatus
	typed      []hlaAllele // HLA alleles named as present
	// doubt says why a result that was understood has no meaning.
	doubt string
	// said are phenotype terms given beside a genotype.
	said  []string
	notes []string
}

func (r reading) empty() bool {
	return len(r.genotypes) == 0 && len(r.phenotypes) == 0 && len(r.scores) == 0 &&
		len(r.statuses) == 0 && len(r.typed) == 0 && r.doubt == ""
}

// read reads a report's value; ok is false if no spelling of it is understood.
// Its spellings must agree: a contradiction among them is a doubt.
func (t *geneTable) read(g *gene, report Report) (out reading, ok bool) {
	words := t.bareWords(report.Values)
	for _, value := range report.Values {
		if slices.Contains(bareKinds, t.terms.kind(value)) && t.terms.phenotypes(g, value) == nil && g.Naming != hlaNaming {
			continue // applied below
		}
		r, understood := t.readValue(g, tidy(value), report)
		switch {
		case !understood && t.terms.saysIndeterminate(value):
			out.doubt = saysIndeterminate
		case understood && out.empty():
			out = r
		case understood:
			out.agree(r)
		}
	}
	if g.Naming == hlaNaming {
		g.applyPresence(words, &out)
	} else {
		t.applyWords(g, words, &out)
	}
	if value, isScore := reportedScore(g, report); isScore {
		if len(out.phenotypes) > 0 {
			out.said, out.phenotypes = append(out.said, out.phenotypes...), nil
		}
		out.agree(reading{scores: []score{value}})
	}
	out.notes = unique(out.notes)
	return out, !out.empty()
}

// agree merges another spelling of the same result.
func (r *reading) agree(o reading) {
	r.doubt = firstOf(r.doubt, o.doubt)
	r.said = append(r.said, o.said...)
	r.notes = append(r.notes, o.notes...)
	const contradiction = "the spellings of this result contradict each other"
	switch {
	case len(r.genotypes) > 0 && len(o.genotypes) > 0:
		switch both := commonGenotypes(r.genotypes, o.genotypes); {
		case len(both) > 0:
			r.genotypes = both
		case partOf(r.genotypes, o.genotypes): // "*2" beside "*2/*17"
			r.genotypes = o.genotypes
		case !partOf(o.genotypes, r.genotypes):
			r.genotypes = slices.Concat(r.genotypes, o.genotypes)
			r.doubt = contradiction
		}
	case len(r.genotypes) > 0:
		r.said = append(r.said, o.phenotypes...)
	case len(o.genotypes) > 0:
		r.said = append(r.said, r.phenotypes...)
		r.genotypes, r.phenotypes = o.genotypes, nil
	case len(r.phenotypes) > 0 && len(o.phenotypes) > 0:
		both := slices.DeleteFunc(slices.Clone(r.phenotypes), func(term string) bool { return !slices.Contains(o.phenotypes, term) })
		if len(both) == 0 {
			both = slices.Concat(r.phenotypes, o.phenotypes)
			r.doubt = contradiction
		}
		r.phenotypes = both
	case len(r.scores) > 0 && len(o.scores) > 0:
		if !slices.Equal(r.scores, o.scores) {
			r.doubt = contradiction
		}
	case len(r.scores) > 0:
		r.said = append(r.said, o.phenotypes...)
	case len(o.scores) > 0:
		r.said = append(r.said, r.phenotypes...)
		r.scores, r.phenotypes = o.scores, nil
	}
	if r.statuses == nil {
		r.statuses = o.statuses
	}
	for name, status := range o.statuses {
		r.statuses[name] = r.statuses[name].and(status)
	}
	if len(o.typed) > len(r.typed) {
		r.typed = o.typed
	}
}

// commonGenotypes returns the genotypes that both lists hold.
func commonGenotypes(a, b []genotype) []genotype {
	var out []genotype
	for _, gt := range a {
		if slices.ContainsFunc(b, func(o genotype) bool { return o.String() == gt.String() }) {
			out = append(out, gt)
		}
	}
	return out
}

// partOf reports whether a names only one allele and b, in each of its
// genotypes, has it.
func partOf(a, b []genotype) bool {
	return len(a) == 1 && a[0].open && !slices.ContainsFunc(b, func(gt genotype) bool {
		return !slices.ContainsFunc(gt.copies, func(c reported) bool { return c.name == a[0].copies[0].name })
	})
}

// bareKinds are the words that say something of what other values name.
var bareKinds = []wordKind{
	positiveWord, negativeWord, indeterminateWord, heterozygousWord, homozygousWord, hemizygousWord, homoplasmicWord, heteroplasmicWord,
}

// bareWords are the values that are nothing but a listed word, such as
// "negative" or "LA6706-1" for heterozygous.
func (t *geneTable) bareWords(values []string) []wordKind {
	var kinds []wordKind
	for _, value := range values {
		if kind := t.terms.kind(value); slices.Contains(bareKinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return unique(kinds)
}

// applyWords applies bare words to what the other values name: a variant that
// is absent, or how many copies carry it.
func (t *geneTable) applyWords(g *gene, words []wordKind, r *reading) {
	for _, kind := range words {
		switch kind {
		case negativeWord:
			if len(r.genotypes) > 0 || r.doubt != "" {
				r.genotypes = nil
				r.doubt = "says that a variant was not found; others are unknown"
			}
		case indeterminateWord:
			r.doubt = saysIndeterminate
		case heterozygousWord, homozygousWord, hemizygousWord:
			for i := range r.genotypes {
				r.genotypes[i] = g.zygosity(r.genotypes[i], kind)
			}
		}
	}
}

// zygosity completes a genotype of which only one allele was named.
func (g *gene) zygosity(gt genotype, kind wordKind) genotype {
	if !gt.open || len(gt.copies) != 1 {
		return gt
	}
	one := gt.copies[0]
	switch kind {
	case homozygousWord:
		return genotype{copies: []reported{one, one}}
	case hemizygousWord:
		return genotype{copies: gt.copies, hemizygous: true}
	case heterozygousWord:
		if g.reference != nil && (g.Naming == variantNaming || one.row != nil && one.row.SNV != nil) {
			return g.assemble([]reported{one})
		}
	}
	return gt
}

const saysIndeterminate = "the laboratory reports it as indeterminate"

// longestValue is how many bytes a result may have to be read, and mostGenotypes
// how many possibilities it may leave: more is a text, or nonsense.
const (
	longestValue  = 1000
	mostGenotypes = 64
)

// readValue reads one spelling.
func (t *geneTable) readValue(g *gene, value string, report Report) (reading, bool) {
	if value == "" || len(value) > longestValue {
		return reading{}, false
	}
	if g.Naming == hlaNaming {
		return t.readHLA(g, value, report)
	}
	if terms := t.terms.phenotypes(g, value); terms != nil {
		if slices.Equal(terms, []string{indeterminate}) {
			return reading{doubt: saysIndeterminate}, true
		}
		return reading{phenotypes: terms}, true
	}
	if r, ok := t.readScore(g, value, report.Kind == Phenotype && scoreUnit(report)); ok {
		return r, true
	}
	if r, ok := t.readSNVs(g, value); ok {
		return r, true
	}
	if g.Naming == starNaming {
		return t.readStars(g, value)
	}
	return t.readVariants(g, value)
}

// decimalComma finds "1,5".
var decimalComma = regexp.MustCompile(`(\d),(\d)`)

// readScore reads "Activity score: 1.0", "AS 1.5", "≥3.0" and either order of
// "1.0 (Intermediate Metabolizer)". A bare number is a score only where a
// phenotype is reported.
func (t *geneTable) readScore(g *gene, value string, bare bool) (reading, bool) {
	if g.Method != byScore {
		return reading{}, false
	}
	value = decimalComma.ReplaceAllString(value, "$1.$2")
	text := t.terms.plain(g, value)
	s, err := parseScore(text)
	if err == nil && (bare || s.atLeast || !s.known || len(text) < len(fold(value))) {
		if !s.known {
			return reading{doubt: saysIndeterminate}, true
		}
		return reading{scores: []score{s}}, len(g.rows(s)) > 0
	}
	for _, sep := range []string{"(", ",", ";"} {
		first, second, ok := strings.Cut(strings.TrimSuffix(value, ")"), sep)
		if !ok {
			continue
		}
		for _, order := range [][2]string{{first, second}, {second, first}} {
			terms := t.terms.phenotypes(g, order[1])
			if r, isScore := t.readScore(g, strings.TrimSpace(order[0]), true); isScore && terms != nil {
				r.said = append(r.said, terms...)
				return r, true
			}
		}
	}
	return reading{}, false
}

// reportedScore is the activity score a report gives as a number.
func reportedScore(g *gene, report Report) (score, bool) {
	if g.Method != byScore || report.Kind != Phenotype || report.Quantity == nil || !scoreUnit(report) {
		return score{}, false
	}
	s, err := parseScore(strconv.FormatFloat(*report.Quantity, 'f', -1, 64))
	return s, err == nil && len(g.rows(s)) > 0
}

// scoreUnit reports whether a report's number may be a score: scores have no
// unit.
func scoreUnit(report Report) bool {
	return slices.Contains([]string{"", "1", "{score}", "{activity score}"}, report.Unit)
}

// remark reads what stands behind or beside a genotype; ok is false if it has
// words that are not listed.
func (t *geneTable) remark(g *gene, text string, r *reading) bool {
	text = strings.Trim(text, " ,;:()[]")
	if text == "" {
		return true
	}
	if t.terms.kind(text) == indeterminateWord {
		r.doubt = saysIndeterminate
		return true
	}
	if terms := t.terms.phenotypes(g, text); terms != nil {
		r.said = append(r.said, terms...)
		if slices.Equal(terms, []string{indeterminate}) {
			r.doubt = saysIndeterminate
		}
		return true
	}
	if s, ok := t.readScore(g, text, false); ok && len(s.scores) == 1 {
		r.said = append(r.said, g.byScore[s.scores[0]])
		return true
	}
	if kind := t.terms.kind(text); kind == heterozygousWord || kind == homozygousWord {
		for i, one := range r.genotypes {
			if len(one.copies) == 2 && (one.copies[0].name == one.copies[1].name) != (kind == homozygousWord) {
				return false
			}
			r.genotypes[i] = g.zygosity(one, kind)
		}
		return true
	}
	// Two remarks: "heterozygous, Intermediate Metabolizer".
	for _, sep := range []string{";", ",", "("} {
		if a, b, ok := strings.Cut(text, sep); ok {
			return t.remark(g, a, r) && t.remark(g, b, r)
		}
	}
	return false
}

// String writes the genotype in its normal form: copies in natural order.
func (gt genotype) String() string {
	names := make([]string, 0, 2)
	for _, c := range gt.copies {
		names = append(names, c.name)
	}
	slices.SortFunc(names, natural)
	if gt.open {
		names = append(names, "?")
	}
	return strings.Join(names, "/")
}

// plainer maps the characters laboratories use in place of plain ones.
var plainer = strings.NewReplacer(
	"\\", "", "∗", "*", "＊", "*", "⁎", "*", "×", "x", "–", "-", "‐", "-", "−", "-", "‑", "-",
	">=", "≥", "≧", "≥", "／", "/", "∕", "/", "⁄", "/", "\"", "", "“", "", "”", "", "`", "",
)

// tidy brings a value to one set of characters: plain stars, slashes and
// spaces, no quotes, no Markdown escapes.
func tidy(value string) string {
	value = plainer.Replace(value)
	return strings.Join(strings.FieldsFunc(value, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u200b' || r == '\ufeff'
	}), " ")
}

// compact is the form in which allele names are compared: no spaces, one case.
func compact(name string) string {
	return strings.ToLower(strings.ReplaceAll(tidy(name), " ", ""))
}

// natural compares as people sort: runs of digits by their value.
func natural(a, b string) int {
	for a != "" && b != "" {
		i, j := digits(a), digits(b)
		if i > 0 && j > 0 {
			x, y := strings.TrimLeft(a[:i], "0"), strings.TrimLeft(b[:j], "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			a, b = a[i:], b[j:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// digits counts the ASCII digits at the start of s.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
