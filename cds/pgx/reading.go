package pgx

import (
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
// Spellings that are understood must agree, or nothing is.
func (t *geneTable) read(g *gene, report Report) (out reading, ok bool) {
	for _, value := range report.Values {
		r, understood := t.readValue(g, tidy(value), report)
		if !understood {
			if t.terms.saysIndeterminate(value) {
				out.doubt = saysIndeterminate
			}
			continue
		}
		switch {
		case out.empty() || out.doubt != "" && len(out.genotypes) == 0 && len(out.phenotypes) == 0:
			r.doubt = firstOf(r.doubt, out.doubt)
			out = r
		case r.empty():
		case len(out.genotypes) > 0 && len(r.phenotypes) > 0: // a term beside a genotype
			out.said = append(out.said, r.phenotypes...)
		case len(out.genotypes) > 0 && len(r.genotypes) > 0 && !sameGenotypes(out.genotypes, r.genotypes):
			out.doubt = "the spellings of this result contradict each other"
			out.genotypes = append(out.genotypes, r.genotypes...)
		default:
			out.doubt = firstOf(out.doubt, r.doubt)
			out.said = append(out.said, r.said...)
			out.notes = append(out.notes, r.notes...)
		}
	}
	if value, isScore := reportedScore(g, report); isScore && len(out.genotypes) == 0 && len(out.scores) == 0 {
		out.scores, out.said = []score{value}, append(out.said, out.phenotypes...)
		out.phenotypes = nil
	}
	out.notes = unique(out.notes)
	return out, !out.empty()
}

const saysIndeterminate = "the laboratory reports it as indeterminate"

// readValue reads one spelling.
func (t *geneTable) readValue(g *gene, value string, report Report) (reading, bool) {
	if value == "" {
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
	if r, ok := t.readScore(g, value); ok {
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

// readScore reads "Activity score: 1.0", "AS 1.5", "≥3.0" and
// "1.0 (Intermediate Metabolizer)".
func (t *geneTable) readScore(g *gene, value string) (reading, bool) {
	if g.Method != byScore {
		return reading{}, false
	}
	text := t.terms.plain(g, value)
	var said []string
	if open := strings.IndexByte(text, '('); open > 0 && strings.HasSuffix(text, ")") {
		if said = t.terms.phenotypes(g, text[open+1:len(text)-1]); said == nil {
			return reading{}, false
		}
		text = strings.TrimSpace(text[:open])
	}
	s, err := parseScore(text)
	if err != nil {
		return reading{}, false
	}
	if !s.known {
		return reading{doubt: saysIndeterminate, said: said}, true
	}
	return reading{scores: []score{s}, said: said}, len(g.rows(s)) > 0
}

// reportedScore is the activity score a report gives as a number.
func reportedScore(g *gene, report Report) (score, bool) {
	if g.Method != byScore || report.Kind != Phenotype || report.Quantity == nil {
		return score{}, false
	}
	if !slices.Contains([]string{"", "1", "{score}", "{activity score}"}, report.Unit) {
		return score{}, false
	}
	s, err := parseScore(strconv.FormatFloat(*report.Quantity, 'f', -1, 64))
	return s, err == nil && len(g.rows(s)) > 0
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
	if s, ok := t.readScore(g, text); ok && len(s.scores) == 1 {
		r.said = append(r.said, g.byScore[s.scores[0]])
		return true
	}
	if kind := t.terms.kind(text); kind == heterozygousWord || kind == homozygousWord {
		for i, one := range r.genotypes {
			switch {
			case len(one.copies) == 1 && kind == homozygousWord:
				r.genotypes[i] = genotype{copies: []reported{one.copies[0], one.copies[0]}}
			case len(one.copies) == 1:
			case (one.copies[0].name == one.copies[1].name) != (kind == homozygousWord):
				return false
			}
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

// sameGenotypes reports whether two lists hold the same genotypes, whatever
// their order.
func sameGenotypes(a, b []genotype) bool {
	contains := func(list []genotype, g genotype) bool {
		return slices.ContainsFunc(list, func(o genotype) bool { return o.String() == g.String() })
	}
	return len(a) == len(b) && !slices.ContainsFunc(a, func(g genotype) bool { return !contains(b, g) })
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

// tidy brings a value to one set of characters: plain stars, slashes and
// spaces, no quotes, no Markdown escapes.
func tidy(value string) string {
	value = strings.NewReplacer(
		"\\", "", "∗", "*", "＊", "*", "⁎", "*", "×", "x", "–", "-", "‐", "-", "−", "-", "‑", "-",
		">=", "≥", "≧", "≥", "／", "/", "∕", "/", "⁄", "/", "\"", "", "“", "", "”", "", "`", "",
	).Replace(value)
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
