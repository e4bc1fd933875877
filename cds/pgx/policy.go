package pgx

import (
	"fmt"
	"slices"
	"strings"
)

// NewPolicy makes a site's policy (Rules of use 21): genes and drugs to leave
// out, and severities of the form "codeine=info" or, for one rule,
// "clopidogrel-acs-pci-3=critical". The error names what the knowledge does not
// have: a misspelt name must not leave a card on, or off, in silence.
func (k *Knowledge) NewPolicy(offGenes, offDrugs, severity []string) (Policy, error) {
	p := Policy{OffGenes: map[string]bool{}, OffDrugs: map[string]bool{}, Severity: map[string]Indicator{}}
	for _, symbol := range offGenes {
		if !slices.ContainsFunc(k.Genes(), func(g Gene) bool { return g.Symbol == symbol }) {
			return Policy{}, fmt.Errorf("%q is not the symbol of a gene that is known here", symbol)
		}
		p.OffGenes[symbol] = true
	}
	for _, name := range offDrugs {
		if k.drugs.byName[name] == nil {
			return Policy{}, fmt.Errorf("%q is not the name of a drug that is known here", name)
		}
		p.OffDrugs[name] = true
	}
	for _, setting := range severity {
		name, level, ok := strings.Cut(setting, "=")
		indicator := slices.Index([]string{"info", "warning", "critical"}, level)
		if !ok || indicator < 0 {
			return Policy{}, fmt.Errorf("%q is not a severity such as codeine=info, with info, warning or critical", setting)
		}
		if k.drugs.byName[name] == nil && !k.hasRule(name) {
			return Policy{}, fmt.Errorf("%q is neither a drug nor a rule that is known here", name)
		}
		p.Severity[name] = Indicator(indicator)
	}
	return p, nil
}

func (k *Knowledge) hasRule(id string) bool {
	return slices.ContainsFunc(k.drugs.drugs, func(d *drug) bool {
		return slices.ContainsFunc(d.rows, func(r *rule) bool { return r.ID == id })
	})
}
