package services

import (
	"regexp"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/fhir/resource"
)

// spellings lists the ways a value[x] is written, best first: codes of systems
// that spell genotypes, answer codes, displays, text. Codes that are mere
// numbers of a database, and a gene's name alone, say nothing.
func (g *geneIndex) spellings(v *resource.Node) []string {
	if v == nil {
		return nil
	}
	var list []string
	add := func(s string) {
		s = strings.TrimSpace(strings.Trim(strings.TrimSpace(s), `"`))
		if s != "" && g.byName[strings.ToLower(s)] == "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	switch v.Kind {
	case resource.String:
		add(v.Text)
		return list
	case resource.Object, resource.Array:
	default:
		return nil
	}
	all := codes(v)
	for _, c := range all {
		if spells(c) {
			add(c.Code)
		}
	}
	for _, c := range all {
		add(c.Display)
	}
	for _, concept := range v.Each() {
		add(concept.Str("text"))
	}
	return list
}

var (
	answerCode = regexp.MustCompile(`^LA[0-9]+-[0-9]$`)
	// opaque are keys of databases: PharmVar PV00126, PharmGKB PA166128347,
	// IPD-IMGT/HLA HGG00041, ClinVar 638797, SNOMED CT.
	opaque = regexp.MustCompile(`^(?:PV|PA|HGG?|HLA)?[0-9.]+$`)
)

// spells reports whether a code is itself a spelling of a result.
func spells(c pgx.Code) bool {
	if c.Code == "" || opaque.MatchString(c.Code) {
		return false
	}
	if answerCode.MatchString(c.Code) {
		return true
	}
	for _, system := range []string{pharmVar, hlaNames, glString} {
		if strings.Contains(c.System, system) {
			return true
		}
	}
	return starAllele.MatchString(c.Code) || bases.MatchString(c.Code) || term.MatchString(c.Code)
}

var (
	// starAllele is *2, *1x2, *57:01, anywhere in a text.
	starAllele = regexp.MustCompile(`\*\s?[0-9]`)
	// pair is two alleles: *1/*2, *1|*2, *1 / *2, a GL string's *1+*2.
	pair = regexp.MustCompile(`\*\s?[0-9][^/|]*[/|]|\*[0-9:]+[A-Z]?\+`)
	// bases is a genotype at one position: rs12979860 C/T, -1639 G>A, c.1905+1G>A.
	bases = regexp.MustCompile(`(?i)\brs[0-9]+\b.*[ACGT]|-1639|\b[cgm]\.[0-9*-]+.*>|^[ACGT]\s?[/|]\s?[ACGT]$`)
	// term is a phenotype in words of the languages terms.json knows.
	term = regexp.MustCompile(`(?i)metaboli[sz]|métaboli|acetylator|\bfunction\b|expresser|expressor|activity score|susceptib|deficien`)
)

// shape tells from its spellings what a value is; ok is false if it looks like
// no result of a gene.
func shape(said []string) (kind pgx.ReportKind, ok bool) {
	for _, s := range said {
		switch {
		case term.MatchString(s), answerCode.MatchString(s) && phenotypeAnswers[s]:
			return pgx.Phenotype, true
		case pair.MatchString(s), bases.MatchString(s):
			return pgx.Genotype, true
		case starAllele.MatchString(s):
			if strings.Contains(strings.ToLower(s), "itive") || strings.Contains(strings.ToLower(s), "negative") {
				return pgx.Genotype, true // "*57:01 positive"
			}
			return pgx.Haplotype, true
		}
	}
	return 0, false
}

// hlaName is an HLA allele in the name of a test: "HLA-B*57:01 [Presence]".
var hlaName = regexp.MustCompile(`(?i)\bHLA-?\s?([AB])\s?\*?\s?([0-9]{2,3}):?([0-9]{2})\b`)

// hlaAsked is the one allele that a test such as LOINC 50956-2, "HLA-B*57:01
// [Presence]", asks for by its name; "" if it names none or several, or if the
// value names alleles itself.
func hlaAsked(observation *resource.Node, symbol string, said []string) string {
	if len(said) == 0 || slices.ContainsFunc(said, starAllele.MatchString) {
		return ""
	}
	allele := ""
	code := observation.Get("code")
	names := []string{code.Str("text")}
	for _, c := range codes(code) {
		names = append(names, c.Display)
	}
	for _, name := range names {
		for _, m := range hlaName.FindAllStringSubmatch(name, -1) {
			found := "*" + m[2] + ":" + m[3]
			if !strings.EqualFold("HLA-"+m[1], symbol) || (allele != "" && allele != found) {
				return ""
			}
			allele = found
		}
	}
	return allele
}

// phenotypeAnswers are the LOINC answers that say what a gene does, LL3856-3 and
// the function scale of the Genomics Reporting IG.
var phenotypeAnswers = map[string]bool{
	"LA10315-2": true, "LA25390-8": true, "LA25391-6": true, "LA10317-8": true, "LA9657-3": true, "LA10316-0": true,
	"LA25392-4": true, "LA25393-2": true, "LA25395-7": true, "LA25394-0": true,
}

// riskAnswers say that a drug is risky without saying why.
var riskAnswers = map[string]bool{"LA19541-4": true, "LA19542-2": true}
