package services

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// span is a stretch of a sequence, counted from zero, the end left out:
// NC_000010.11:94781858-94781859.
type span struct {
	sequence string
	from, to int
}

var spanText = regexp.MustCompile(`^(N[CGMT]_[0-9]+\.[0-9]+):([0-9]{1,10})-([0-9]{1,10})$`)

func readSpan(text string) (span, error) {
	m := spanText.FindStringSubmatch(text)
	if m == nil {
		return span{}, fhir.Errorf(fhir.Invalid, "%q is no range; it is written NC_000010.11:94781858-94781859, counted from zero, the end left out", fhir.Clip(text))
	}
	from, err1 := strconv.Atoi(m[2])
	to, err2 := strconv.Atoi(m[3])
	if err1 != nil || err2 != nil || to <= from {
		return span{}, fhir.Errorf(fhir.Invalid, "the range %q ends before it begins", fhir.Clip(text))
	}
	return span{m[1], from, to}, nil
}

// on is where a variant is.
func (v *seenVariant) on() span {
	return span{v.sequence(), v.variant.Position - 1, max(v.variant.Position-1+len(v.variant.Ref), v.variant.End)}
}

// sequence is the accession of the chromosome a variant is on.
func (v *seenVariant) sequence() string {
	if strings.HasPrefix(v.variant.Chromosome, "NC_") {
		return v.variant.Chromosome
	}
	name := strings.TrimPrefix(strings.ToLower(v.variant.Chromosome), "chr")
	n, err := strconv.Atoi(name)
	switch {
	case name == "x":
		n = 23
	case name == "y":
		n = 24
	case err != nil:
		return ""
	}
	accession := "NC_" + strings.Repeat("0", 6-len(strconv.Itoa(n))) + strconv.Itoa(n)
	version, ok := thirtyEight[accession]
	if !ok {
		return ""
	}
	if v.assembly == "GRCh37" {
		version--
	}
	return accession + "." + strconv.Itoa(version)
}

func (s span) overlaps(o span) bool {
	return s.sequence == o.sequence && s.from < o.to && o.from < s.to
}

// carries reports whether a variant is on a copy: something other than the
// reference was seen.
func (v *seenVariant) carries() bool {
	return v.called && slices.ContainsFunc(v.variant.Genotype, func(n int) bool { return n > 0 })
}

// covered reports whether all of a span was looked at and could be called.
func (q *question) covered(s span) bool {
	var examined []span
	for _, v := range q.stretches() {
		on := v.on()
		switch {
		case !v.called && on.overlaps(s):
			return false
		case v.called && on.overlaps(s):
			examined = append(examined, on)
		}
	}
	slices.SortFunc(examined, func(a, b span) int { return a.from - b.from })
	at := s.from
	for _, e := range examined {
		if e.from <= at {
			at = max(at, e.to)
		}
	}
	return at >= s.to
}

// findVariants answers $find-subject-variants: which variants are in ranges.
func findVariants(q *question) error {
	ranges, err := q.required("ranges", "NC_000010.11:94781858-94781859")
	if err != nil {
		return err
	}
	include, err := q.flagged("includeVariants")
	if err != nil {
		return err
	}
	phasing, err := q.flagged("includePhasing")
	if err != nil {
		return err
	}
	for _, text := range ranges {
		s, err := readSpan(text)
		if err != nil {
			return err
		}
		var there []string
		answer := no
		for i := range q.seen {
			v := &q.seen[i]
			switch {
			case v.problem != "" && v.gene == "":
				answer = notKnown // it may be here
			case v.problem == "" && v.on().overlaps(s) && v.carries():
				there = append(there, v.ref)
			case v.problem == "" && v.on().overlaps(s) && !v.called:
				answer = notKnown
			}
		}
		switch {
		case len(there) > 0:
			answer = yes
		case !q.covered(s):
			answer = notKnown
		}
		parts := []resource.Node{part("rangeItem", "valueString", resource.Text(text)), presencePart(answer)}
		if include {
			parts = append(parts, q.resources("variant", there)...)
		}
		if include && phasing {
			parts = append(parts, q.resources("sequencePhaseRelationship", q.phasesOf(there))...)
		}
		q.out = append(q.out, group("variants", parts))
	}
	return nil
}

// phasesOf are the Sequence Phase Relationships between these variants.
func (q *question) phasesOf(refs []string) []string {
	var list []string
	for _, r := range q.ofType("Observation") {
		if !hasCode(r.node.Get("code"), loinc, "82120-7") || withdrawn[r.node.Str("status")] {
			continue
		}
		if slices.ContainsFunc(q.derivedRefs(r.node), func(ref string) bool { return slices.Contains(refs, ref) }) {
			list = append(list, r.ref)
		}
	}
	return list
}

// derivedRefs are the resources at hand that one was derived from.
func (q *question) derivedRefs(n *resource.Node) []string {
	var list []string
	derived := n.List("derivedFrom")
	for i := range derived {
		if target := q.resolve(derived[i].Str("reference"), n); target != nil {
			list = append(list, target.ref)
		}
	}
	return list
}

// asked is a variant that somebody asks for.
type asked struct {
	text string
	pgx.Variant
	coding string // a c. name, compared as text
}

var spdi = regexp.MustCompile(`^(NC_[0-9]+\.[0-9]+):([0-9]{1,10}):([ACGT]*):([ACGT]*)$`)

// readAsked reads a variant: a g. name of one base, SPDI, a c. name or an rsID
// that alleles are told apart by.
func (q *question) readAsked(text string) (asked, error) {
	a := asked{text: text}
	if m := genomicName.FindStringSubmatch(text); m != nil && m[5] != "" {
		position, err := strconv.Atoi(m[3])
		a.Variant = pgx.Variant{Chromosome: m[1] + "." + m[2], Position: position, Ref: m[4], Alts: []string{m[5]}}
		return a, err
	}
	if m := spdi.FindStringSubmatch(text); m != nil && m[3] != "" && m[4] != "" && m[3] != m[4] {
		position, err := strconv.Atoi(m[2])
		a.Variant = pgx.Variant{Chromosome: m[1], Position: position + 1, Ref: m[3], Alts: []string{m[4]}}
		return a, err
	}
	if strings.Contains(text, ":c.") {
		a.coding = text
		return a, nil
	}
	return a, fhir.Errorf(fhir.Invalid, "%q is no variant that can be looked for: write it as NC_000010.11:g.94781859G>A, as SPDI (NC_000010.11:94781858:G:A) or by its c. name with the transcript", fhir.Clip(text))
}

// same reports whether a result is about the variant asked for.
func (q *question) same(a asked, v *seenVariant) bool {
	if a.coding != "" {
		i, ok := q.byRef[v.ref]
		return ok && slices.Contains(append(codeTexts(componentValue(q.all[i].node, codingHGVS)), words(componentValue(q.all[i].node, codingHGVS))), a.coding)
	}
	return v.problem == "" && v.sequence() == a.Chromosome && v.variant.Position == a.Position && v.variant.Ref == a.Ref &&
		(len(v.variant.Alts) == 0 || v.variant.Alts[0] == a.Alts[0])
}

// findSpecificVariants answers $find-subject-specific-variants.
func findSpecificVariants(q *question) error {
	variants, err := q.required("variants", "NC_000010.11:g.94781859G>A")
	if err != nil {
		return err
	}
	for _, text := range variants {
		a, err := q.readAsked(text)
		if err != nil {
			return err
		}
		answer := notKnown
		if a.coding == "" && q.covered(span{a.Chromosome, a.Position - 1, a.Position - 1 + len(a.Ref)}) {
			answer = no
		}
		var there []string
		for i := range q.seen {
			v := &q.seen[i]
			if !q.same(a, v) {
				continue
			}
			switch {
			case v.carries():
				there = append(there, v.ref)
			case v.called && answer == notKnown:
				answer = no
			case !v.called:
				answer = notKnown
			}
		}
		if len(there) > 0 {
			answer = yes
		}
		q.out = append(q.out, group("variants", append([]resource.Node{
			part("variantItem", "valueString", resource.Text(text)), presencePart(answer),
		}, q.resources("variant", there)...)))
	}
	return nil
}

// findHaplotypes answers $find-subject-haplotypes: the haplotypes and genotypes
// that were reported of genes.
func findHaplotypes(q *question) error {
	genes, err := q.required("genes", "HGNC:2621")
	if err != nil {
		return err
	}
	for _, text := range genes {
		symbol, err := q.gene(text)
		if err != nil {
			return err
		}
		parts := []resource.Node{part("geneItem", "valueString", resource.Text(text))}
		parts = append(parts, q.resources("haplotype", q.reported(pgx.Haplotype, symbol, ""))...)
		parts = append(parts, q.resources("genotype", q.reported(pgx.Genotype, symbol, ""))...)
		q.out = append(q.out, group("haplotypes", parts))
	}
	return nil
}

// gene reads a gene: an HGNC id or symbol, with or without its system.
func (q *question) gene(text string) (string, error) {
	_, code, ok := strings.Cut(text, "|")
	if !ok {
		code = text
	}
	if id, isID := hgncNumber(pgx.Code{Code: code, System: hgncName}); isID && q.genes.byHGNC[id] != "" {
		return q.genes.byHGNC[id], nil
	}
	if symbol := q.genes.byName[strings.ToLower(code)]; symbol != "" {
		return symbol, nil
	}
	return "", fhir.Errorf(fhir.Invalid, "%q is no gene this server knows; write it as HGNC:2621 or CYP2C19", fhir.Clip(text))
}

// reported are the results of a kind about a gene, withdrawn ones left out; with
// an allele, those whose spelling names it.
func (q *question) reported(kind pgx.ReportKind, symbol, allele string) []string {
	var list []string
	for _, r := range q.reports {
		if r.Kind != kind || r.Gene != symbol || withdrawn[r.Status] {
			continue
		}
		if allele == "" || slices.ContainsFunc(r.Values, func(v string) bool { return namesAllele(v, allele) }) {
			list = append(list, r.Reference)
		}
	}
	return list
}

// namesAllele reports whether a spelling names an allele: "*2" is in "*1/*2" and
// not in "*22" nor "*1/*2x2".
func namesAllele(spelling, allele string) bool {
	for rest := spelling; ; {
		i := strings.Index(rest, allele)
		if i < 0 {
			return false
		}
		rest = rest[i+len(allele):]
		if rest == "" || strings.ContainsAny(rest[:1], " /|+,;)") {
			return true
		}
	}
}

var haplotypeText = regexp.MustCompile(`^(?:[^|]*\|)?\s*([A-Za-z0-9-]+?)\s*(\*.+|rs[0-9].*|c\..+)$`)

// findSpecificHaplotypes answers $find-subject-specific-haplotypes.
func findSpecificHaplotypes(q *question) error {
	haplotypes, err := q.required("haplotypes", "CYP2C19*2")
	if err != nil {
		return err
	}
	for _, text := range haplotypes {
		symbol, allele, err := q.haplotype(text)
		if err != nil {
			return err
		}
		parts := []resource.Node{part("haplotypeItem", "valueString", resource.Text(text)), presencePart(q.holds(symbol, allele))}
		parts = append(parts, q.resources("haplotype", q.reported(pgx.Haplotype, symbol, allele))...)
		parts = append(parts, q.resources("genotype", q.reported(pgx.Genotype, symbol, allele))...)
		q.out = append(q.out, group("haplotypes", parts))
	}
	return nil
}

func (q *question) haplotype(text string) (symbol, allele string, err error) {
	m := haplotypeText.FindStringSubmatch(text)
	if m == nil {
		return "", "", fhir.Errorf(fhir.Invalid, "%q is no haplotype; write it with its gene, such as CYP2C19*2", fhir.Clip(text))
	}
	symbol, err = q.gene(m[1])
	return symbol, strings.TrimSpace(m[2]), err
}

// holds says whether the patient has an allele: yes if every reading of the
// results does, no if none does, and else it is not known.
func (q *question) holds(symbol, allele string) known {
	finding := pgx.FindingFor(symbol, q.findings)
	with, without := 0, 0
	for _, c := range finding.Candidates {
		switch {
		case len(c.Alleles) == 0, strings.Contains(c.Diplotype, "?"):
			return notKnown
		case slices.ContainsFunc(c.Alleles, func(a pgx.Allele) bool { return a.Name == allele }):
			with++
		default:
			without++
		}
	}
	switch {
	case with > 0 && without == 0:
		return yes
	case with == 0 && without > 0 && finding.State != pgx.Unconfirmed:
		return no
	}
	return notKnown
}
