package pgx

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// result is one laboratory result on a genotype, perhaps put together from
// several reports.
type result struct {
	genotypes []genotype
	doubt     string // why it has no meaning; "" if it has one
	reports   []Report
}

// name tells results apart for a reader: laboratory and date.
func (r result) name() string { return nameReport(r.reports[0]) }

func nameReport(r Report) string {
	name := firstOf(r.Laboratory, "A laboratory")
	if !r.Date.IsZero() {
		name += " (" + r.Date.Format(time.DateOnly) + ")"
	}
	return name
}

// day is the report's date as ISO text, "" if unknown.
func (r Report) day() string {
	if r.Date.IsZero() {
		return ""
	}
	return r.Date.Format(time.DateOnly)
}

// set is what holds the parts of one result together: laboratory and day.
func (r Report) set() string { return r.Laboratory + "\x00" + r.day() }

// isHaplotype reports whether the evidence is one allele of a pair.
func (e labEvidence) isHaplotype() bool {
	return e.report.Kind == Haplotype && len(e.reading.genotypes) > 0 && e.reading.doubt == "" &&
		!slices.ContainsFunc(e.reading.genotypes, func(gt genotype) bool { return !gt.open })
}

// genotypes turns evidence into results: genotypes as they are, haplotypes of
// one laboratory and day as pairs. Haplotypes that a genotype contains only
// support it.
func (c *geneCase) genotypes(counted []labEvidence) []result {
	var results []result
	var sets []string
	haplotypes := map[string][]labEvidence{}
	for _, e := range counted {
		switch {
		case e.isHaplotype():
			key := e.report.set()
			if haplotypes[key] == nil {
				sets = append(sets, key)
			}
			haplotypes[key] = append(haplotypes[key], e)
		case len(e.reading.genotypes) > 0 || e.reading.doubt != "":
			results = append(results, c.result(e.reading.genotypes, e.reading.doubt, e.report))
		}
	}
	whole := slices.Clone(results)
	for _, key := range sets {
		parts := haplotypes[key]
		if !supported(parts, whole) {
			results = append(results, c.join(parts))
		}
	}
	return results
}

// supported reports whether results contain all the haplotypes already.
func supported(parts []labEvidence, results []result) bool {
	return len(results) > 0 && !slices.ContainsFunc(parts, func(e labEvidence) bool {
		name := e.reading.genotypes[0].copies[0].name
		return !slices.ContainsFunc(results, func(r result) bool {
			return slices.ContainsFunc(r.genotypes, func(gt genotype) bool {
				return slices.ContainsFunc(gt.copies, func(c reported) bool { return c.name == name })
			})
		})
	})
}

// join makes one result of the haplotypes of one laboratory and day.
func (c *geneCase) join(parts []labEvidence) result {
	var reports []Report
	for _, e := range parts {
		reports = append(reports, e.report)
	}
	if len(parts) > 2 { // repeated resources
		seen := map[string]bool{}
		parts = slices.DeleteFunc(slices.Clone(parts), func(e labEvidence) bool {
			name := joinGenotypes(e.reading.genotypes)
			repeated := seen[name]
			seen[name] = true
			return repeated
		})
	}
	switch len(parts) {
	case 1:
		return c.result(parts[0].reading.genotypes, "", reports...)
	case 2:
		var pairs []genotype
		for _, a := range parts[0].reading.genotypes {
			for _, b := range parts[1].reading.genotypes {
				pairs = append(pairs, genotype{copies: []reported{a.copies[0], b.copies[0]}})
			}
		}
		if reports[0].day() == "" {
			c.note("Put together from two haplotype results without a date.")
		} else {
			c.note("Put together from two haplotype results of one laboratory and day.")
		}
		return c.result(distinctGenotypes(pairs), "", reports...)
	}
	return result{doubt: fmt.Sprintf("%d different haplotypes were reported", len(parts)), reports: reports}
}

// result applies the gene's ploidy to genotypes.
func (c *geneCase) result(genotypes []genotype, doubt string, reports ...Report) result {
	r := result{doubt: doubt, reports: reports}
	for _, gt := range genotypes {
		one, why := c.copies(gt)
		r.genotypes = append(r.genotypes, one)
		r.doubt = firstOf(r.doubt, why)
	}
	for _, report := range reports {
		if c.gene.Ploidy == mitochondrial && report.Homoplasmic != nil && !*report.Homoplasmic {
			c.note("Heteroplasmic: only some mitochondria carry the variant; how many is not weighed here.")
		}
	}
	return r
}

// copies checks a genotype against how many copies the patient has. For genes
// on the X chromosome the laboratory's word counts, then the sex at birth;
// unknown or contradictory is no result.
func (c *geneCase) copies(gt genotype) (genotype, string) {
	switch c.gene.Ploidy {
	case mitochondrial:
		gt.open = false
		return gt, ""
	case diploid:
		if gt.hemizygous {
			return gt, "reported as hemizygous, which this gene cannot be"
		}
		return gt, ""
	}
	sex := c.patient.BirthSex
	switch {
	case len(gt.copies) == 2 && sex == Male:
		return gt, "two alleles were reported, and the sex at birth is male"
	case len(gt.copies) == 2:
		return gt, ""
	case gt.hemizygous && sex == Female:
		return gt, "reported as hemizygous, and the sex at birth is female"
	case gt.hemizygous || sex == Male:
		gt.open = false
		return gt, ""
	case sex == Female:
		return gt, "only one of two alleles was reported"
	}
	return gt, "whether the patient has one or two copies is unknown"
}

// termResult is one laboratory's phenotype or score without a genotype.
type termResult struct {
	candidates []Candidate
	words      string
	report     Report
}

// terms expands reported phenotypes and scores.
func (c *geneCase) terms(counted []labEvidence) []termResult {
	var out []termResult
	for _, e := range counted {
		if e.reading.doubt != "" {
			continue
		}
		one := termResult{report: e.report}
		var notes [2]string
		if len(e.reading.scores) > 0 {
			one.candidates, notes[0] = c.gene.reportedScores(e.reading.scores, e.report.day())
			one.words = "activity score " + e.reading.scores[0].String()
		}
		said := e.reading.phenotypes
		if len(e.reading.genotypes) > 0 || len(e.reading.scores) > 0 {
			said = e.reading.said
		}
		if len(said) > 0 {
			var more []Candidate
			more, notes[1] = c.gene.phenotypeCandidates(unique(said), e.report.day())
			if len(one.candidates) > 0 {
				if narrowed := common(one.candidates, more); len(narrowed) > 0 {
					one.candidates = narrowed
				} else {
					one.candidates = slices.Concat(one.candidates, more)
				}
				one.words += ", "
			} else {
				one.candidates = more
			}
			one.words += strings.Join(unique(said), " or ")
		}
		for _, note := range notes {
			if note != "" {
				c.note("%s", note)
			}
		}
		if len(one.candidates) > 0 {
			out = append(out, one)
		}
	}
	return out
}

// common returns the candidates of a that b has too.
func common(a, b []Candidate) []Candidate {
	var out []Candidate
	for _, one := range a {
		if slices.ContainsFunc(b, func(o Candidate) bool { return sameCandidate(o, one) }) {
			out = append(out, one)
		}
	}
	return out
}

// useTerms takes phenotypes as they are reported, for want of a genotype.
func (c *geneCase) useTerms(terms []termResult) {
	merged := terms[0].candidates
	conflict := false
	for _, t := range terms[1:] {
		if both := common(merged, t.candidates); len(both) > 0 && !conflict {
			merged = both
		} else {
			conflict = true
			merged = slices.Concat(merged, t.candidates)
		}
	}
	for _, one := range merged {
		c.add(one)
	}
	c.settle()
	c.note("Only a phenotype was reported, without the genotype.")
	if conflict {
		c.finding.State = Conflicting
		var parts []string
		for _, t := range terms {
			parts = append(parts, nameReport(t.report)+" reports "+t.words)
		}
		c.note("Results differ: %s.", strings.Join(unique(parts), "; "))
	}
}

// compare shows where a reported phenotype differs from what the genotype gives
// today. The genotype counts.
func (c *geneCase) compare(terms []termResult) {
	var today []string
	for _, one := range c.finding.Candidates {
		words := firstOf(one.Phenotype, "no phenotype")
		if one.Score != "" {
			words += " (score " + one.Score + ")"
		}
		today = append(today, fmt.Sprintf("%s is %s", one.Diplotype, words))
	}
	for _, t := range terms {
		differs := slices.ContainsFunc(c.finding.Candidates, func(one Candidate) bool {
			return !slices.ContainsFunc(t.candidates, func(o Candidate) bool {
				return o.Phenotype == one.Phenotype && (o.Score == "" || o.Score == one.Score)
			})
		})
		if differs {
			c.finding.Differs = true
			c.note("%s reports %s; by the tables used, %s.", nameReport(t.report), t.words, strings.Join(unique(today), ", "))
		}
	}
}

// weighHLA merges the statuses of HLA alleles: each allele has its own.
func (c *geneCase) weighHLA(counted []labEvidence) {
	f := &c.finding
	var typed []hlaAllele
	statuses := map[string]AlleleStatus{}
	merge := func(more map[string]AlleleStatus) {
		for name, status := range more {
			statuses[name] = statuses[name].and(status)
		}
	}
	sets := map[string][]hlaAllele{}
	var order []string
	for _, e := range counted {
		switch n := len(e.reading.typed); {
		case e.reading.doubt != "":
			c.note("%s: %s.", nameReport(e.report), e.reading.doubt)
			f.Differs = true
		case n == 2:
			merge(c.gene.typedStatuses(e.reading.typed))
			typed = e.reading.typed
		case n == 1:
			key := e.report.set()
			if sets[key] == nil {
				order = append(order, key)
			}
			sets[key] = append(sets[key], e.reading.typed[0])
		default:
			merge(e.reading.statuses)
		}
	}
	for _, key := range order {
		alleles := sets[key]
		if len(alleles) > 2 { // repeated resources
			alleles = slices.CompactFunc(slices.SortedFunc(slices.Values(alleles), func(a, b hlaAllele) int {
				return natural(a.String(), b.String())
			}), func(a, b hlaAllele) bool { return a.String() == b.String() })
		}
		if len(alleles) > 2 {
			c.note("More than two %s alleles were reported by one laboratory on one day.", c.gene.Symbol)
			alleles = alleles[:0:0]
			for _, name := range c.gene.LookedFor {
				if slices.ContainsFunc(sets[key], func(a hlaAllele) bool { return a.is(name) != AlleleNegative }) {
					merge(map[string]AlleleStatus{name: AlleleIndeterminate})
				}
			}
		}
		merge(c.gene.typedStatuses(alleles))
		if typed == nil {
			typed = alleles
		}
	}
	f.State = NoResult
	for _, name := range c.gene.LookedFor {
		switch statuses[name] {
		case AlleleConflicting:
			f.State = Conflicting
			c.note("Results differ: %s%s is reported as present and as absent.", c.gene.Symbol, name)
		case AllelePositive, AlleleNegative:
			if f.State != Conflicting {
				f.State = Known
			}
		case AlleleIndeterminate:
			if f.State == NoResult {
				f.State = Indeterminate
			}
		}
	}
	if len(statuses) > 0 || len(typed) > 0 {
		f.Candidates = []Candidate{c.gene.hlaCandidate(typed, statuses)}
	} else if slices.ContainsFunc(counted, func(e labEvidence) bool { return e.reading.doubt != "" }) {
		f.State = Indeterminate
	}
}

// and combines what two results say of one allele.
func (s AlleleStatus) and(t AlleleStatus) AlleleStatus {
	switch {
	case s == t || t == AlleleNoResult:
		return s
	case s == AlleleNoResult || s == AlleleIndeterminate:
		return t
	case t == AlleleIndeterminate:
		return s
	}
	return AlleleConflicting
}
