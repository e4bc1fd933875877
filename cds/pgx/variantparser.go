package pgx

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// variantLike is what looks like the name of a variant, though our tables do
// not have it: HGVS, legacy intron and protein names, star names. Numbers of
// other catalogues are not names.
var variantLike = regexp.MustCompile(
	`^(?:[cgmnp]\.\S*\d|[Nn][CMRGP]_\d+\S*:|\*\d|IVS\d|\d+[+-]\d|\d*(?:[ACGT]+\d*>|[ACGT]?\d+[ACGT]?>)|[A-Z](?:[a-z]{2})?\d+(?:[A-Z*](?:[a-z]{2})?|del|fs|dup|ins)|\d+(?:_\d+)?(?:del|ins|dup))`)

// variantParser reads one possible genotype named by variants:
//
//	genotype = strand [ ( "/" | "|" ) strand ] [ "(" remark ")" ]
//	strand   = item { ( "," | ";" | "+" | "&" | " " ) item }
//	item     = allele | reference word | zygosity word | presence word | "Y"
type variantParser struct {
	g       *gene
	table   *geneTable
	text    string
	strands []strand
}

// parse reads the text; remarks go to the reading. It is false if anything is
// left that is not understood.
func (p *variantParser) parse(r *reading) bool {
	p.strands = []strand{{}}
	for at := 0; at < len(p.text); {
		if strings.IndexByte(" ,;+&", p.text[at]) >= 0 {
			at++
			continue
		}
		if p.text[at] == '/' || p.text[at] == '|' {
			if len(p.strands) == 2 {
				return false
			}
			p.strands = append(p.strands, strand{})
			at++
			continue
		}
		end := p.item(at, r)
		if end <= at {
			return false
		}
		at = end
	}
	for _, s := range p.strands {
		if s.pending != "" || len(s.alleles) == 0 && !s.none {
			return false
		}
	}
	return true
}

// item reads what stands at a position and returns where it ends; the position
// itself means that it cannot be read.
func (p *variantParser) item(at int, r *reading) int {
	s := &p.strands[len(p.strands)-1]
	if row, end := p.g.match(p.text, at); row != nil {
		s.add(reported{row.Name, row})
		return end
	}
	if end, row := p.rsid(at); end > at {
		s.add(row)
		return end
	}
	if p.text[at] == '(' {
		end := strings.IndexByte(p.text[at:], ')')
		if end < 0 {
			return at
		}
		inner := p.text[at+1 : at+end]
		if !p.word(s, inner, r) {
			return at
		}
		return at + end + 1
	}
	// The longest run of words that is listed, then a name with a digit in it.
	run := p.text[at:]
	if i := strings.IndexAny(run, "/|,;("); i >= 0 {
		run = run[:i]
	}
	for words := strings.TrimRight(run, " "); words != ""; {
		if p.word(s, words, r) {
			return at + len(words)
		}
		i := strings.LastIndexByte(words, ' ')
		if i < 0 {
			break
		}
		words = strings.TrimRight(words[:i], " ")
	}
	name, _, _ := strings.Cut(run, " ")
	name = strings.TrimRight(name, ":")
	if strings.HasSuffix(name, "=") && strings.HasPrefix(name, "c.") { // HGVS: as the reference here
		s.add(p.g.asReference(name))
		return at + len(name)
	}
	if len(name) <= 80 && variantLike.MatchString(name) {
		s.add(reported{name: name})
		return at + len(name)
	}
	return at
}

// rsid reads a dbSNP number. One that several alleles share, or that no allele
// has, is an allele without a row.
func (p *variantParser) rsid(at int) (int, reported) {
	text := p.text[at:]
	if len(text) < 3 || !strings.EqualFold(text[:2], "rs") || digits(text[2:]) == 0 {
		return at, reported{}
	}
	end := 2 + digits(text[2:])
	id := "rs" + text[2:end]
	if rows := p.g.byRSID[id]; len(rows) == 1 {
		return at + end, reported{rows[0].Name, rows[0]}
	}
	return at + end, reported{name: id}
}

// word applies a listed word or a remark to the strand.
func (p *variantParser) word(s *strand, text string, r *reading) bool {
	switch kind := p.table.terms.kind(text); kind {
	case referenceWord:
		s.add(p.g.asReference(text))
	case heterozygousWord, homozygousWord, hemizygousWord, homoplasmicWord, heteroplasmicWord:
		if n := len(s.alleles); n > 0 && s.zygosity[n-1] == "" {
			s.zygosity[n-1] = kind
		} else if s.pending == "" {
			s.pending = kind
		} else {
			return false
		}
	case positiveWord:
		return len(s.alleles) > 0 // says no more than the name itself
	case negativeWord:
		s.absent = true
		return len(s.alleles) > 0
	case indeterminateWord:
		r.doubt = saysIndeterminate
	default:
		if text == "=" {
			s.add(p.g.asReference(text))
			return true
		}
		if text == "Y" && p.g.Ploidy == xLinked && len(p.strands) == 2 {
			s.none = true
			return true
		}
		said := p.table.terms.phenotypes(p.g, text)
		if score, ok := p.table.readScore(p.g, text, false); ok && len(score.scores) == 1 {
			said = []string{p.g.byScore[score.scores[0]]}
		}
		if said == nil || len(s.alleles) == 0 {
			return false
		}
		r.said = append(r.said, said...)
	}
	return true
}

// asReference is a copy on which nothing was found.
func (g *gene) asReference(text string) reported {
	if g.ReferenceNeverInferred {
		return reported{name: text}
	}
	return reported{g.reference.Name, g.reference}
}

func (s *strand) add(r reported) {
	if n := len(s.alleles); n > 0 && s.alleles[n-1].name == r.name && s.zygosity[n-1] == "" && s.pending == "" {
		return // "c.1905+1G>A (*2A)", "HapB3 (c.1236G>A)": two names of one variant
	}
	s.alleles = append(s.alleles, r)
	s.zygosity = append(s.zygosity, s.pending)
	s.pending = ""
}

// genotypes are what the strands may mean; without any, the doubt says why.
func (p *variantParser) genotypes(r *reading) ([]genotype, string) {
	g := p.g
	for _, s := range p.strands {
		if s.absent {
			return nil, fmt.Sprintf("only says that %s was not found; the other variants are unknown", s.alleles[0].name)
		}
	}
	if len(p.strands) == 2 {
		a, b := p.strands[0], p.strands[1]
		if b.none || a.none {
			one := slices.Concat(a.alleles, b.alleles)
			return []genotype{{copies: []reported{g.combine(one)}, hemizygous: true}}, ""
		}
		copies := []reported{g.combine(a.alleles), g.combine(b.alleles)}
		if g.Ploidy == mitochondrial {
			return []genotype{{copies: []reported{g.combine(copies)}}}, ""
		}
		return []genotype{{copies: copies}}, ""
	}
	only := p.strands[0]
	if g.Ploidy == mitochondrial {
		return []genotype{{copies: []reported{g.combine(only.alleles)}}}, ""
	}
	if slices.Contains(only.zygosity, hemizygousWord) {
		return []genotype{{copies: []reported{g.combine(only.alleles)}, hemizygous: true}}, ""
	}
	var copies []reported
	for i, a := range only.alleles {
		switch only.zygosity[i] {
		case homozygousWord:
			copies = append(copies, a, a)
		case heterozygousWord:
			copies = append(copies, a)
		default:
			return g.unsaid(only.alleles)
		}
	}
	if g.unphased(copies) {
		r.notes = append(r.notes, unphasedNote)
	}
	return []genotype{g.assemble(copies)}, ""
}

// unsaid makes genotypes of alleles reported without zygosity.
func (g *gene) unsaid(alleles []reported) ([]genotype, string) {
	ref := reported{g.reference.Name, g.reference}
	if len(alleles) > 1 {
		if slices.ContainsFunc(alleles, func(r reported) bool { return r.row != nil && slices.Contains(g.DecidesAlone, r.row.Function) }) {
			return []genotype{g.assemble(alleles)}, ""
		}
		return nil, "several variants were reported without saying how many copies carry them"
	}
	if a := alleles[0]; len(g.Alleles) == 2 && a.row != nil && a.row != g.reference {
		// One variant is all this gene's test looks for: one copy or both.
		return []genotype{{copies: []reported{a, ref}}, {copies: []reported{a, a}}}, ""
	}
	return []genotype{{copies: alleles, open: true}}, ""
}

// combine makes one copy of the variants on it: the worst of their functions
// counts. An unknown one makes the copy unknown, unless another is the worst
// there is.
func (g *gene) combine(alleles []reported) reported {
	var variants []reported
	for _, a := range alleles {
		if a.row != g.reference && !slices.ContainsFunc(variants, func(o reported) bool { return o.name == a.name }) {
			variants = append(variants, a)
		}
	}
	switch len(variants) {
	case 0:
		return reported{g.reference.Name, g.reference}
	case 1:
		return variants[0]
	}
	slices.SortStableFunc(variants, func(a, b reported) int { return natural(a.name, b.name) })
	var names []string
	for _, v := range variants {
		names = append(names, v.name)
	}
	out := reported{name: strings.Join(names, " + ")}
	worst := slices.MinFunc(variants, func(a, b reported) int { return g.badness(a) - g.badness(b) })
	unknown := slices.ContainsFunc(variants, func(v reported) bool { return v.row == nil || v.row.Function == "" })
	if len(g.WorstFirst) == 0 || worst.row == nil || unknown && worst.row.Function != g.WorstFirst[0] {
		return out
	}
	row := *worst.row
	row.Name, row.Note = out.name, ""
	out.row = &row
	return out
}
