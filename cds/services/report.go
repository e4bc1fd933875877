package services

import (
	"regexp"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/fhir/resource"
)

// report starts a report with everything but its value.
func (g *genomics) report(r *result, symbol string, kind pgx.ReportKind) pgx.Report {
	report := pgx.Report{Reference: r.ref, Gene: symbol, Kind: kind, Status: g.status(r), OwnCall: ownCall(r.node)}
	report.Source, report.Tumour = g.material(r)
	for _, n := range []*resource.Node{r.node, r.inside, r.report} {
		if report.Date.IsZero() {
			report.Date = firstDate(n, "effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued")
		}
		report.Laboratory = first(report.Laboratory, g.laboratory(n))
	}
	report.Assay = first(words(r.node.Get("method")), words(r.inside.Get("method")))
	report.Tested = g.tested(r)
	components := r.node.List("component")
	for i := range components {
		if hasCode(components[i].Get("code"), loinc, allelicState) {
			v, _ := value(&components[i], "value")
			if homoplasmic := hasCode(v, loinc, "LA6704-6"); homoplasmic || hasCode(v, loinc, "LA6703-8") {
				report.Homoplasmic = &homoplasmic
			}
		}
	}
	return report
}

// laboratory names who reported: an organization rather than a person.
func (g *genomics) laboratory(n *resource.Node) string {
	people := ""
	performers := n.List("performer")
	for i := range performers {
		name := strings.TrimSpace(performers[i].Str("display"))
		reference := performers[i].Str("reference")
		typ := first(performers[i].Str("type"), strings.Split(typeAndID(reference)+"/", "/")[0])
		if target := g.resolve(reference, n); target != nil {
			typ = target.node.Str("resourceType")
			if typ == "Organization" {
				name = first(strings.TrimSpace(target.node.Str("name")), name)
			}
		}
		switch typ {
		case "Practitioner", "PractitionerRole", "Patient", "RelatedPerson":
			people = first(people, name)
		default:
			if name != "" {
				return name
			}
		}
	}
	return people
}

// sourceClasses are the answers to LOINC 48002-0.
var sourceClasses = map[string]pgx.SourceClass{
	"LA6683-2": pgx.Germline, "LA6684-0": pgx.Somatic, "LA10429-1": pgx.Fetal,
	"germline": pgx.Germline, "somatic": pgx.Somatic, "fetal": pgx.Fetal,
}

// material says whose DNA was looked at, and whether a tumour's.
func (g *genomics) material(r *result) (class pgx.SourceClass, tumour bool) {
	components := r.node.List("component")
	for i := range components {
		if hasCode(components[i].Get("code"), loinc, sourceClass) {
			v, _ := value(&components[i], "value")
			class = classOf(v, class)
		}
	}
	if ext := extension(r.node, "http://hl7.org/fhir/StructureDefinition/observation-geneticsGenomicSourceClass"); ext != nil {
		v, _ := value(ext, "value")
		class = classOf(v, class)
	}
	for _, n := range []*resource.Node{r.node, r.inside, r.report} {
		specimens := n.Get("specimen").Each()
		for i := range specimens {
			tumour = tumour || tumourous.MatchString(specimens[i].Str("display"))
			if target := g.resolve(specimens[i].Str("reference"), n); target != nil {
				tumour = tumour || g.tumourSpecimen(target.node)
			}
		}
		tumour = tumour || tumourous.MatchString(words(n.Get("bodySite"))) || tumourous.MatchString(words(n.Get("code"))) && n != r.node
	}
	return class, tumour
}

func classOf(v *resource.Node, before pgx.SourceClass) pgx.SourceClass {
	for _, c := range codes(v) {
		if class, ok := sourceClasses[c.Code]; ok {
			return class
		}
		if class, ok := sourceClasses[strings.ToLower(c.Display)]; ok {
			return class
		}
	}
	if class, ok := sourceClasses[strings.ToLower(words(v))]; ok {
		return class
	}
	return before
}

// tumourous finds words for a tumour.
var tumourous = regexp.MustCompile(`(?i)tumou?r|neoplas|carcinom|metastas|malignan`)

// tumourSpecimen reports whether a Specimen is of a tumour, by its words or by
// v2-0487 TUMOR and SNOMED CT 119376003 (tissue specimen from tumour).
func (g *genomics) tumourSpecimen(n *resource.Node) bool {
	for _, concept := range []*resource.Node{n.Get("type"), n.Path("collection", "bodySite")} {
		for _, c := range codes(concept) {
			if c.Code == "119376003" || c.Code == "258435002" || tumourous.MatchString(c.Code) || tumourous.MatchString(c.Display) {
				return true
			}
		}
		if tumourous.MatchString(words(concept)) {
			return true
		}
	}
	return false
}

// tested lists what the assay looked for, if said: a component called so, and
// the variants a genotype was derived from.
func (g *genomics) tested(r *result) []string {
	var list []string
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	components := r.node.List("component")
	for i := range components {
		code := strings.ToLower(words(components[i].Get("code")))
		if !strings.Contains(code, "tested") || !strings.Contains(code, "allele") && !strings.Contains(code, "variant") {
			continue
		}
		v, _ := value(&components[i], "value")
		if v == nil {
			continue
		}
		for _, s := range strings.FieldsFunc(words(v), func(r rune) bool { return r == ',' || r == ';' }) {
			add(s)
		}
	}
	derived := r.node.List("derivedFrom")
	for i := range derived {
		target := g.resolve(derived[i].Str("reference"), r.node)
		if target != nil && hasCode(target.node.Get("code"), loinc, "69548-6") {
			add(variantName(target.node))
		}
	}
	return list
}
