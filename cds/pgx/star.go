package pgx

import (
	"slices"
	"strconv"
	"strings"
)

// starParser reads star-allele diplotypes by this grammar, spaces free:
//
//	list      = diplotype { ( "or" | "," | ";" ) diplotype }
//	diplotype = haplotype [ ( "/" | "|" ) haplotype ] | "(" haplotype "/" haplotype ")" copies
//	haplotype = [ symbol ] unit { "+" unit } | alias | "(" haplotype ")" [ copies ]
//	unit      = "*" number [ letters ] [ "." sub-allele ] [ copies ]
//	copies    = "x" ( "N" | [ "≥" ] number ) | "dup"
type starParser struct {
	g    *gene
	or   []string
	text string
	at   int
}

// mostUnits is how many units a tandem may have; known ones have three.
const mostUnits = 4

// copies is how many copies of an allele stand on one chromosome.
type copies struct {
	n       int // 0 if not said
	orMore  bool
	present bool
}

// readStars reads one or several possible diplotypes and what is said beside
// them.
func (t *geneTable) readStars(g *gene, value string) (reading, bool) {
	p := &starParser{g: g, or: t.terms.or, text: g.unlabelled(t.terms.labels, value)}
	var r reading
	for {
		start := p.at
		found := p.diplotype()
		if found == nil {
			p.at = start
			break
		}
		if r.genotypes = append(r.genotypes, found...); len(r.genotypes) > mostGenotypes {
			return reading{}, false
		}
		behind := p.separator()
		if behind == p.at {
			break
		}
		p.at = behind
	}
	if len(r.genotypes) == 0 {
		return reading{}, false
	}
	rest := strings.Trim(p.text[p.at:], " ,;:()[]")
	if t.terms.kind(rest) == duplicationWord && g.StructuralVariation {
		var duplicated []genotype
		for _, gt := range r.genotypes {
			duplicated = append(duplicated, g.duplicate(gt, copies{n: 2, orMore: true})...)
		}
		r.genotypes, rest = duplicated, ""
	}
	if !t.remark(g, rest, &r) || len(r.genotypes) == 0 {
		return reading{}, false
	}
	r.genotypes = distinctGenotypes(r.genotypes)
	return r, true
}

// separator returns the position behind a separator of diplotypes, or the
// present one.
func (p *starParser) separator() int {
	rest := p.text[p.at:]
	for _, word := range p.or {
		if len(rest) >= len(word) && strings.EqualFold(rest[:len(word)], word) {
			return p.at + len(word)
		}
	}
	trimmed := strings.TrimLeft(rest, " ")
	if strings.HasPrefix(trimmed, ",") || strings.HasPrefix(trimmed, ";") {
		return len(p.text) - len(strings.TrimLeft(trimmed[1:], " "))
	}
	return p.at
}

func (p *starParser) skip() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

// take consumes one of the given bytes.
func (p *starParser) take(any string) bool {
	p.skip()
	if p.at < len(p.text) && strings.IndexByte(any, p.text[p.at]) >= 0 {
		p.at++
		return true
	}
	return false
}

func (p *starParser) diplotype() []genotype {
	p.symbol()
	start := p.at
	if p.take("(") {
		if found := p.pair(); found != nil && p.take(")") {
			if many := p.copies(); many.present && len(found[0].copies) == 2 {
				var out []genotype
				for _, gt := range found {
					out = append(out, p.g.duplicate(gt, many)...)
				}
				return out
			}
			if len(found[0].copies) == 2 && !strings.HasPrefix(p.text[p.at:], "x") {
				return found
			}
		}
		p.at = start
	}
	return p.pair()
}

func (p *starParser) pair() []genotype {
	first := p.haplotype()
	if first == nil {
		return nil
	}
	var out []genotype
	if before := p.at; !p.take("/|") {
		p.at = before
		for _, a := range first {
			out = append(out, genotype{copies: []reported{a}, open: true})
		}
		return out
	}
	second := p.haplotype()
	for _, a := range first {
		for _, b := range second {
			out = append(out, genotype{copies: []reported{a, b}})
		}
	}
	return out
}

// haplotype returns the alleles that one chromosome may carry.
func (p *starParser) haplotype() []reported {
	p.symbol()
	p.skip()
	if p.at < len(p.text) && p.text[p.at] != '*' {
		if row, end := p.g.match(p.text, p.at); row != nil { // "(TA)7"
			p.at = end
			return []reported{{row.Name, row}}
		}
	}
	start := p.at
	if p.take("(") {
		if inner := p.haplotype(); inner != nil && p.take(")") {
			if many := p.copies(); many.present {
				return p.g.multiply(inner, many)
			}
			return inner
		}
		p.at = start
		return nil
	}
	units := p.unit()
	if units == nil {
		return nil
	}
	var parts [][]reported
	for parts = [][]reported{units}; ; parts = append(parts, units) {
		before := p.at
		if !p.take("+") {
			p.at = before
			break
		}
		p.symbol()
		if units = p.unit(); units == nil {
			p.at = before
			break
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	if len(parts) > mostUnits {
		return nil
	}
	return p.g.tandem(parts)
}

// symbol skips the gene's own symbol.
func (p *starParser) symbol() {
	p.skip()
	n := len(p.g.Symbol)
	if p.at+n <= len(p.text) && strings.EqualFold(p.text[p.at:p.at+n], p.g.Symbol) {
		p.at += n
		p.take(":-")
	}
}

func (p *starParser) unit() []reported {
	start := p.at
	if !p.take("*") {
		return nil
	}
	p.skip()
	n := digits(p.text[p.at:])
	number := strings.TrimLeft(p.text[p.at:p.at+n], "0")
	if number == "" || n > 4 {
		p.at = start
		return nil
	}
	p.at += n
	letters := p.letters()
	if p.at < len(p.text) && p.text[p.at] == '.' {
		if m := digits(p.text[p.at+1:]); m > 0 {
			p.at += 1 + m // a sub-allele has the function of its core allele
		}
	}
	one := p.g.star("*"+number, letters)
	if many := p.copies(); many.present {
		return p.g.multiply([]reported{one}, many)
	}
	if p.at < len(p.text) && isAlphanumeric(p.text[p.at]) {
		p.at = start
		return nil
	}
	return []reported{one}
}

// letters reads the letters of *3A; "x" and "dup" begin a number of copies.
func (p *starParser) letters() string {
	end := p.at
	for end < len(p.text) && isLetter(p.text[end]) && end-p.at < 2 {
		end++
	}
	text := strings.ToUpper(p.text[p.at:end])
	if strings.HasPrefix(text, "X") || strings.HasPrefix(text, "DU") {
		return ""
	}
	if end < len(p.text) && isLetter(p.text[end]) { // *1Axx, *1AxN
		text = text[:1]
	}
	if i := strings.IndexByte(text, 'X'); i > 0 {
		text = text[:i]
	}
	p.at += len(text)
	return text
}

// copies reads "x2", "xN", "x≥3", "X 2" and "dup".
func (p *starParser) copies() copies {
	start := p.at
	p.skip()
	rest := strings.ToLower(p.text[p.at:])
	if strings.HasPrefix(rest, "dup") && (len(rest) == 3 || !isLetter(rest[3])) {
		p.at += 3
		return copies{n: 2, orMore: true, present: true}
	}
	if !strings.HasPrefix(rest, "x") {
		p.at = start
		return copies{}
	}
	p.at++
	p.skip()
	many := copies{present: true}
	if strings.HasPrefix(p.text[p.at:], "≥") {
		many.orMore = true
		p.at += len("≥")
		p.skip()
	}
	if p.at < len(p.text) && (p.text[p.at] == 'N' || p.text[p.at] == 'n') && !many.orMore {
		p.at++
		many.n, many.orMore = 2, true
	} else if n := digits(p.text[p.at:]); n > 0 && n < 3 {
		many.n, _ = strconv.Atoi(p.text[p.at : p.at+n])
		p.at += n
	}
	if many.n == 0 || p.at < len(p.text) && isAlphanumeric(p.text[p.at]) {
		p.at = start
		return copies{}
	}
	return many
}

// star finds the row of a star allele.
func (g *gene) star(core, letters string) reported {
	name := core + letters
	row := g.byName[compact(name)]
	if row == nil && letters != "" && g.LettersAreSuballeles {
		row = g.byName[compact(core)]
	}
	if row == nil {
		return reported{name: name}
	}
	return reported{row.Name, row}
}

// multiply returns the rows that several copies of an allele may be. Copy
// numbers are rows of the table, never a multiplication; without a row the
// function is unknown.
func (g *gene) multiply(alleles []reported, many copies) []reported {
	var out []reported
	for _, a := range alleles {
		if many.n == 1 && !many.orMore {
			out = append(out, a)
			continue
		}
		exact := func(n int) *allele { return g.byName[compact(a.name+"x"+strconv.Itoa(n))] }
		open := 0 // the table's "x≥k"
		for k := 2; k <= 9 && open == 0; k++ {
			if g.byName[compact(a.name+"x≥"+strconv.Itoa(k))] != nil {
				open = k
			}
		}
		if !many.orMore {
			row := exact(many.n)
			if row == nil && open > 0 && many.n >= open {
				row = g.byName[compact(a.name+"x≥"+strconv.Itoa(open))]
			}
			out = append(out, rowOr(row, a.name+"x"+strconv.Itoa(many.n)))
			continue
		}
		n := many.n
		for ; exact(n) != nil && (open == 0 || n < open); n++ {
			out = append(out, rowOr(exact(n), ""))
		}
		if open > 0 && n >= open {
			out = append(out, rowOr(g.byName[compact(a.name+"x≥"+strconv.Itoa(open))], ""))
		} else {
			out = append(out, reported{name: a.name + "x≥" + strconv.Itoa(n)})
		}
	}
	return out
}

func rowOr(row *allele, name string) reported {
	if row == nil {
		return reported{name: name}
	}
	return reported{row.Name, row}
}

// duplicate returns what a genotype may be when several copies were found and
// not said of which allele. A number above two may count all copies or those of
// one chromosome.
func (g *gene) duplicate(gt genotype, many copies) []genotype {
	if len(gt.copies) != 2 {
		return nil
	}
	numbers := []copies{many}
	if many.n > 2 && !many.orMore {
		numbers = append(numbers, copies{n: many.n - 1, present: true})
	}
	var out []genotype
	for _, number := range numbers {
		for i, a := range gt.copies {
			for _, b := range g.multiply([]reported{a}, number) {
				out = append(out, genotype{copies: []reported{gt.copies[1-i], b}})
			}
		}
	}
	return distinctGenotypes(out)
}

// tandem finds the rows of several units on one chromosome, in any order.
func (g *gene) tandem(parts [][]reported) []reported {
	combinations := [][]string{nil}
	for _, part := range parts {
		var next [][]string
		for _, names := range combinations {
			for _, unit := range part {
				next = append(next, append(slices.Clone(names), unit.name))
			}
		}
		combinations = next
	}
	var out []reported
	for _, names := range combinations {
		slices.SortFunc(names, natural)
		out = append(out, rowOr(g.tandems[tandemKey(names)], strings.Join(names, "+")))
	}
	return out
}

// tandemKey is the same for all orders of units.
func tandemKey(units []string) string {
	keys := make([]string, 0, len(units))
	for _, u := range units {
		keys = append(keys, compact(u))
	}
	slices.Sort(keys)
	return strings.Join(keys, "+")
}

// distinctGenotypes removes genotypes that are the same in another order.
func distinctGenotypes(list []genotype) []genotype {
	var out []genotype
	seen := map[string]bool{}
	for _, gt := range list {
		if key := gt.String(); !seen[key] {
			seen[key] = true
			out = append(out, gt)
		}
	}
	return out
}

func isLetter(b byte) bool { return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' }

func isAlphanumeric(b byte) bool { return isLetter(b) || b >= '0' && b <= '9' }
