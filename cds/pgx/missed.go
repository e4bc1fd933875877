package pgx

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// missedAlleles is a row of knowledge/commonly_missed.json: alleles that are
// common in some populations, as somebody published it. What a test did not look
// for can be told; whether a patient has it is never guessed.
type missedAlleles struct {
	Gene    string   `json:"gene"`
	Alleles []string `json:"alleles"`
	// Says is the published fact, in a sentence without its full stop.
	Says     string `json:"says"`
	Citation string `json:"citation"`
	URL      string `json:"url"`
}

// loadMissed reads commonly_missed.json, by gene.
func loadMissed(fsys fs.FS, genes geneTable) (map[string][]missedAlleles, error) {
	var file struct {
		header
		Rows []missedAlleles `json:"rows"`
	}
	const name = "commonly_missed.json"
	if err := readJSON(fsys, name, &file); err != nil {
		return nil, err
	}
	byGene := map[string][]missedAlleles{}
	for i, row := range file.Rows {
		g := genes.gene(row.Gene)
		if g == nil || g.Symbol != row.Gene || len(row.Alleles) == 0 || row.Says == "" || row.Citation == "" || row.URL == "" {
			return nil, fmt.Errorf("%s: row %d: no known gene, or without alleles, says, citation or url", name, i+1)
		}
		for _, allele := range row.Alleles {
			if g.byName[compact(allele)] == nil {
				return nil, fmt.Errorf("%s: row %d: %s has no allele %s", name, i+1, g.Symbol, allele)
			}
		}
		byGene[g.Symbol] = append(byGene[g.Symbol], row)
	}
	return byGene, nil
}

// missedNotes says which commonly missed alleles the tests behind a finding did
// not look for. It is silent where that is not known, because a report does not
// list what was tested or lists it in words that are no alleles, and where it
// does not matter: only a copy that is called normal may hide such an allele.
func (k *Knowledge) missedNotes(g *gene, f *Finding) []string {
	rows := k.missed[g.Symbol]
	normal := slices.ContainsFunc(f.Candidates, func(c Candidate) bool {
		return slices.ContainsFunc(c.Alleles, func(a Allele) bool { return strings.HasPrefix(a.Function, "Normal") })
	})
	if len(rows) == 0 || len(f.Used) == 0 || !normal {
		return nil
	}
	tested := map[*allele]bool{}
	for _, r := range f.Used {
		if len(r.Tested) == 0 {
			return nil
		}
		for _, name := range r.Tested {
			row := g.byName[compact(strings.TrimSpace(strings.TrimPrefix(name, g.Symbol)))]
			if row == nil {
				return nil
			}
			tested[row] = true
		}
	}
	var notes []string
	for _, row := range rows {
		var out []string
		for _, name := range row.Alleles {
			if !tested[g.byName[compact(name)]] {
				out = append(out, name)
			}
		}
		if len(out) > 0 {
			notes = append(notes, fmt.Sprintf("The test of %s did not look for %s, and a copy that has it is reported as another allele. %s (%s).",
				g.Symbol, join(out, "or"), row.Says, row.Citation))
		}
	}
	return notes
}
