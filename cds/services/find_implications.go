package services

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/fhir/resource"
)

// findTxImplications answers $find-subject-tx-implications: what laboratories
// reported the patient's genes to mean for treatments. Each parameter narrows
// the answer; of several values any will do. Advice of this server is not part of
// it: that is what the hooks give.
func findTxImplications(q *question) error {
	treatments, err := q.texts("treatments")
	if err != nil {
		return err
	}
	conditions, err := q.texts("conditions")
	if err != nil {
		return err
	}
	rests, limited, err := q.evidenceAsked()
	if err != nil {
		return err
	}
	var implications, behind []string
	for _, r := range q.ofType("Observation") {
		if q.about(&result{node: r.node, ref: r.ref}) != implication || withdrawn[r.node.Str("status")] {
			continue
		}
		if len(treatments) > 0 && !q.mentions(r.node, treatments, "51963-7", "associated-therapy") ||
			len(conditions) > 0 && !q.mentions(r.node, conditions, "81259-4", "") {
			continue
		}
		derived := q.derivedRefs(r.node)
		if limited && !slices.ContainsFunc(derived, func(ref string) bool { return slices.Contains(rests, ref) }) {
			continue
		}
		implications = append(implications, r.ref)
		behind = append(behind, derived...)
	}
	q.out = append(q.out, q.resources("implication", implications)...)
	for _, kind := range []struct {
		name  string
		about subject
	}{{"variant", variant}, {"haplotype", haplotype}, {"genotype", genotype}} {
		var refs []string
		for _, ref := range behind {
			if i, ok := q.byRef[ref]; ok && q.about(&result{node: q.all[i].node, ref: ref}) == kind.about {
				refs = append(refs, ref)
			}
		}
		q.out = append(q.out, q.resources(kind.name, refs)...)
	}
	return nil
}

// evidenceAsked are the results that the parameters variants, ranges and
// haplotypes name; limited is false if none of them is there.
func (q *question) evidenceAsked() (refs []string, limited bool, err error) {
	variants, err := q.texts("variants")
	if err != nil {
		return nil, false, err
	}
	ranges, err := q.texts("ranges")
	if err != nil {
		return nil, false, err
	}
	haplotypes, err := q.texts("haplotypes")
	if err != nil {
		return nil, false, err
	}
	for _, text := range variants {
		a, err := q.readAsked(text)
		if err != nil {
			return nil, false, err
		}
		for i := range q.seen {
			if v := &q.seen[i]; q.same(a, v) && v.carries() {
				refs = append(refs, v.ref)
			}
		}
	}
	for _, text := range ranges {
		s, err := readSpan(text)
		if err != nil {
			return nil, false, err
		}
		for i := range q.seen {
			if v := &q.seen[i]; v.problem == "" && v.carries() && v.on().overlaps(s) {
				refs = append(refs, v.ref)
			}
		}
	}
	for _, text := range haplotypes {
		symbol, allele, err := q.haplotype(text)
		if err != nil {
			return nil, false, err
		}
		refs = append(refs, q.reported(pgx.Haplotype, symbol, allele)...)
		refs = append(refs, q.reported(pgx.Genotype, symbol, allele)...)
	}
	return refs, len(variants)+len(ranges)+len(haplotypes) > 0, nil
}

// mentions reports whether a component of an implication, by LOINC or IG code,
// has one of the values: code, system|code, or its words whatever their case.
func (q *question) mentions(n *resource.Node, wanted []string, loincCode, igCode string) bool {
	components := n.List("component")
	for i := range components {
		code := components[i].Get("code")
		if !hasCode(code, loinc, loincCode) && (igCode == "" || !hasCode(code, tbdCodes, igCode)) {
			continue
		}
		v, _ := value(&components[i], "value")
		names := []string{strings.ToLower(words(v))}
		for _, c := range codes(v) {
			names = append(names, strings.ToLower(c.System+"|"+c.Code), strings.ToLower(c.Code), strings.ToLower(c.Display))
		}
		if slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(names, strings.ToLower(w)) }) {
			return true
		}
	}
	return false
}
