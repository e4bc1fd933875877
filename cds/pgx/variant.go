package pgx

import (
	"regexp"
	"slices"
	"strings"
)

// accession is a reference sequence before a c., m. or n. description.
var accession = regexp.MustCompile(`(?i)\b(?:NM_|NR_|NG_|LRG_|ENST|NC_012920)[\w.]*(?:\([^)]*\))?:([cmn]\.)`)

// snvValue is one position with both letters: "rs9923231 C/T", "-1639 GA".
var snvValue = regexp.MustCompile(`^(.*?\S)\s*[:=]?\s*\(?([ACGT])\s*[/|]?\s*([ACGT])\)?$`)

// readSNVs reads genotypes given as positions with letters. Letters may be
// those of the forward strand or of the gene's; where both fit and differ, both
// are candidates.
func (t *geneTable) readSNVs(g *gene, value string) (reading, bool) {
	if len(g.byRSID) == 0 {
		return reading{}, false
	}
	value, said := g.unlabelled(t.terms.labels, value), ""
	if open := strings.LastIndex(value, " ("); open > 0 && strings.HasSuffix(value, ")") {
		if inner := value[open+2 : len(value)-1]; t.terms.phenotypes(g, inner) != nil || t.terms.kind(inner) != "" {
			value, said = value[:open], inner
		}
	}
	possible := []genotype{{}}
	parts := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' })
	for _, part := range parts {
		pairs := g.snvPairs(strings.TrimSpace(part))
		if pairs == nil || len(possible)*len(pairs) > 16 {
			return reading{}, false
		}
		var next []genotype
		for _, gt := range possible {
			for _, pair := range pairs {
				next = append(next, genotype{copies: slices.Concat(gt.copies, pair)})
			}
		}
		possible = next
	}
	var r reading
	for _, gt := range possible {
		one, doubt := g.fromSites(gt.copies, len(g.byRSID) == 1)
		if doubt != "" {
			r.doubt = doubt
			continue
		}
		r.genotypes = append(r.genotypes, one)
	}
	r.genotypes = distinctGenotypes(r.genotypes)
	if len(possible) > 1 {
		r.notes = append(r.notes, "The letters fit both strands; which one the laboratory means was not said.")
	}
	if len(g.byRSID) > 1 && !g.ReferenceNeverInferred {
		r.notes = append(r.notes, "Only single positions were reported; the others are taken as without a variant.")
	}
	if slices.ContainsFunc(possible, func(gt genotype) bool { return g.unphased(gt.copies) }) {
		r.notes = append(r.notes, unphasedNote)
	}
	return r, len(parts) > 0 && t.remark(g, said, &r)
}

// snvPairs returns the pairs of alleles one position's letters may mean; nil if
// they mean none.
func (g *gene) snvPairs(part string) [][]reported {
	m := snvValue.FindStringSubmatch(part)
	var rows []*allele
	geneStrand := false
	switch {
	case m == nil:
		if m = snvValue.FindStringSubmatch("- " + part); m == nil || len(g.bySite) == 0 && len(g.byRSID) != 1 || g.Naming == starNaming {
			return nil
		}
		for _, only := range g.byRSID { // "C/T" where only one position is ever tested
			rows = only
		}
	default:
		id := strings.TrimRight(m[1], " :=(")
		rows = g.byRSID[strings.ToLower(id)]
		if site := g.bySite[compact(id)]; site != nil {
			rows = []*allele{site}
		}
		if row := g.byName[compact(id)]; rows == nil && row != nil && row.SNV != nil {
			rows, geneStrand = []*allele{row}, strings.HasPrefix(compact(id), "c.")
		}
	}
	if len(rows) == 0 {
		return nil
	}
	letters := map[string]reported{rows[0].SNV.Ref: {g.reference.Name, g.reference}}
	for _, row := range rows {
		letters[row.SNV.Alt] = reported{row.Name, row}
	}
	var pairs [][]reported
	seen := map[string]bool{}
	for _, reverse := range []bool{false, true} {
		if geneStrand && reverse != (g.Strand == "-") {
			continue
		}
		x, y := m[2], m[3]
		if reverse {
			x, y = complement(x), complement(y)
		}
		a, okA := letters[x]
		b, okB := letters[y]
		key := genotype{copies: []reported{a, b}}.String()
		if okA && okB && !seen[key] {
			seen[key] = true
			pairs = append(pairs, []reported{a, b})
		}
	}
	return pairs
}

// fromSites makes a genotype of the alleles seen at single positions. All
// reference is a result only if the gene has no other position.
func (g *gene) fromSites(seen []reported, only bool) (genotype, string) {
	var variants []reported
	for _, r := range seen {
		if r.row != g.reference {
			variants = append(variants, r)
		}
	}
	if len(variants) == 0 && !only {
		return genotype{}, "only single positions were reported, all without a variant; the others are unknown"
	}
	return g.assemble(variants), ""
}

// assemble makes a genotype of variant copies whose phase is unknown: missing
// copies are the reference, and of more than two the worst two count.
func (g *gene) assemble(variants []reported) genotype {
	copied := slices.Clone(variants)
	slices.SortStableFunc(copied, func(a, b reported) int { return g.badness(a) - g.badness(b) })
	if len(copied) == 1 && g.ReferenceNeverInferred {
		return genotype{copies: copied, open: true}
	}
	for len(copied) < 2 {
		copied = append(copied, reported{g.reference.Name, g.reference})
	}
	return genotype{copies: copied[:2]}
}

// unphasedNote says what is assumed of variants of unknown phase.
const unphasedNote = "Whether the variants stand on one copy or on both was not said; they are counted as on both."

// unphased reports whether different variants were seen whose phase is unknown.
func (g *gene) unphased(seen []reported) bool {
	first := ""
	for _, r := range seen {
		switch {
		case r.row == g.reference:
		case first == "":
			first = r.name
		case r.name != first:
			return true
		}
	}
	return false
}

// badness orders alleles worst first; unknown stands before the last, which is
// the harmless one.
func (g *gene) badness(r reported) int {
	if r.row != nil {
		if i := slices.Index(g.WorstFirst, r.row.Function); i >= 0 {
			return 2 * i
		}
	}
	return 2*(len(g.WorstFirst)-1) - 1
}

// strand is what a value says of one copy of the gene.
type strand struct {
	alleles  []reported
	zygosity []wordKind // beside each allele; "" if not said
	absent   bool       // something was said not to be there
	none     bool       // "Y": there is no such copy
	pending  wordKind   // a zygosity said before its allele
}

// readVariants reads alleles named as HGVS, rsIDs or proper names, by copies
// ("A/B") or with their zygosity ("A heterozygous").
func (t *geneTable) readVariants(g *gene, value string) (reading, bool) {
	value = g.unlabelled(t.terms.labels, unbracket(accession.ReplaceAllString(value, "$1")))
	var r reading
	for _, alternative := range splitWords(value, t.terms.or) {
		one := variantParser{g: g, table: t, text: alternative}
		if !one.parse(&r) {
			return reading{}, false
		}
		genotypes, doubt := one.genotypes(&r)
		if genotypes == nil && doubt == "" {
			return reading{}, false
		}
		r.genotypes = append(r.genotypes, genotypes...)
		r.doubt = firstOf(r.doubt, doubt)
	}
	r.genotypes = distinctGenotypes(r.genotypes)
	return r, len(r.genotypes) > 0 || r.doubt != ""
}

// unlabelled takes the gene's symbol and labels like "Genotype:" off the
// beginning of a value and of its copies.
func (g *gene) unlabelled(labels []string, value string) string {
	for changed := true; changed; {
		changed = false
		for _, label := range append([]string{g.Symbol}, labels...) {
			if len(value) > len(label) && strings.EqualFold(value[:len(label)], label) && strings.IndexByte(" :*", value[len(label)]) >= 0 {
				value, changed = strings.TrimLeft(value[len(label):], " :"), true
			}
		}
	}
	for _, sep := range []string{"/", "|"} {
		for _, behind := range []string{g.Symbol + " ", g.Symbol + ":"} {
			value = strings.ReplaceAll(value, sep+" "+behind, sep)
			value = strings.ReplaceAll(value, sep+behind, sep)
		}
		value = strings.ReplaceAll(value, sep+g.Symbol+"*", sep+"*")
	}
	return value
}

// unbracket rewrites HGVS alleles, "c.[85T>C];[=]", as copies, "c.85T>C/=".
// https://hgvs-nomenclature.org/stable/recommendations/DNA/alleles/
func unbracket(value string) string {
	open, end := strings.Index(value, "["), strings.LastIndex(value, "]")
	if open < 0 || end < open {
		return value
	}
	prefix := strings.TrimSpace(value[:open])
	kind := ""
	if len(prefix) >= 2 && strings.HasSuffix(prefix, ".") {
		kind, prefix = prefix[len(prefix)-2:], prefix[:len(prefix)-2]
	}
	parts, sep, behind := strings.Split(value[open+1:end], "];["), "/", ""
	if len(parts) == 1 && strings.Contains(parts[0], "(;)") { // phase unknown: each on one copy
		parts, sep, behind = strings.Split(parts[0], "(;)"), ", ", " het"
	}
	for i, part := range parts {
		variants := strings.Split(part, ";") // on the same copy
		for j, v := range variants {
			if v = strings.TrimSpace(v); v != "=" && kind != "" && !strings.HasPrefix(v, kind) {
				v = kind + v
			}
			variants[j] = v
		}
		parts[i] = strings.Join(variants, " + ") + behind
	}
	return prefix + strings.Join(parts, sep) + value[end+1:]
}

// splitWords cuts a text at any of the words, in whatever case.
func splitWords(text string, words []string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(text); {
		n := 0
		for _, word := range words {
			if len(text)-i >= len(word) && strings.EqualFold(text[i:i+len(word)], word) {
				n = len(word)
				break
			}
		}
		if n == 0 {
			i++
			continue
		}
		parts = append(parts, text[start:i])
		i += n
		start = i
	}
	return append(parts, text[start:])
}

// complement is the base on the other strand.
func complement(base string) string {
	switch base {
	case "A":
		return "T"
	case "T":
		return "A"
	case "C":
		return "G"
	}
	return "C"
}

// match finds the longest allele name or alias at a position of a text, spaces
// aside. The row is nil if there is none.
func (g *gene) match(text string, at int) (row *allele, end int) {
	key := make([]byte, 0, g.longest)
	for i := at; i < len(text) && len(key) < g.longest; i++ {
		if text[i] == ' ' {
			continue
		}
		c := text[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		key = append(key, c)
		if found := g.byName[string(key)]; found != nil && boundary(text, i) {
			row, end = found, i+1
		}
	}
	return row, end
}

// boundary reports whether a name may end with the byte at i.
func boundary(text string, i int) bool {
	if i+1 >= len(text) {
		return true
	}
	next := text[i+1]
	if isAlphanumeric(next) || next == '>' || next == '.' || next == '_' || next >= 0x80 {
		return !isAlphanumeric(text[i]) && text[i] != '-' && text[i] != '.' && next < 0x80
	}
	return next != '-' && next != '+' || i+2 >= len(text) || !isAlphanumeric(text[i+2])
}
