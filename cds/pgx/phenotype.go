package pgx

import (
	"fmt"
	"slices"
	"strings"
)

// functionKey is the same for both orders of a pair.
func functionKey(functions []string) string {
	sorted := slices.Clone(functions)
	slices.Sort(sorted)
	return strings.Join(sorted, " + ")
}

// candidates returns what a genotype means: one candidate, or two if sources
// dispute an allele's function.
func (g *gene) candidates(gt genotype) []Candidate {
	out := []Candidate{g.candidate(gt)}
	disputed := genotype{copies: slices.Clone(gt.copies), open: gt.open}
	for i, c := range disputed.copies {
		if c.row != nil && c.row.Disputed != "" {
			row := *c.row
			row.Function, row.Disputed = row.Disputed, ""
			disputed.copies[i].row = &row
		}
	}
	if second := g.candidate(disputed); second.Phenotype != out[0].Phenotype {
		out = append(out, second)
	}
	return out
}

// candidate gives a genotype its alleles, score, phenotype and keys.
func (g *gene) candidate(gt genotype) Candidate {
	sorted := slices.Clone(gt.copies)
	slices.SortStableFunc(sorted, func(a, b reported) int { return natural(a.name, b.name) })
	c := Candidate{Diplotype: gt.String()}
	for _, copied := range sorted {
		a := Allele{Name: copied.name}
		if copied.row != nil {
			a.Function = copied.row.Function
			if copied.row.activity.known {
				value := float64(copied.row.activity.thousandths) / 1000
				a.Activity = &value
			}
		}
		c.Alleles = append(c.Alleles, a)
	}
	switch g.Method {
	case byScore:
		total := g.score(gt)
		c.Score, c.Phenotype = total.String(), g.byScore[total]
	case byFunctions:
		c.Phenotype = g.phenotype(gt)
	case byGenotype:
		if gt.open || slices.ContainsFunc(gt.copies, func(r reported) bool { return r.row == nil }) {
			c.Phenotype = indeterminate
		}
	}
	c.Keys = g.keys(c)
	return c
}

// phenotype applies the gene's function rules.
func (g *gene) phenotype(gt genotype) string {
	var functions []string
	for _, c := range gt.copies {
		if c.row == nil || c.row.Function == "" {
			functions = append(functions, "")
			continue
		}
		if slices.Contains(g.DecidesAlone, c.row.Function) {
			return g.byFunction[functionKey([]string{c.row.Function, c.row.Function})]
		}
		functions = append(functions, c.row.Function)
	}
	if gt.open || len(functions) == 0 || slices.Contains(functions, "") {
		return indeterminate
	}
	return firstOf(g.byFunction[functionKey(functions)], indeterminate)
}

// score sums the activity values of both copies.
func (g *gene) score(gt genotype) score {
	if gt.open || len(gt.copies) != 2 {
		return score{}
	}
	var values [2]score
	for i, c := range gt.copies {
		if c.row != nil {
			values[i] = c.row.activity
		}
	}
	return values[0].plus(values[1])
}

// keys are what guideline rows may match on, the gene's own lookup first.
func (g *gene) keys(c Candidate) []string {
	var keys []string
	for _, key := range []string{c.Score, c.Phenotype, c.Diplotype} {
		if key != "" {
			keys = append(keys, key)
		}
	}
	return unique(keys)
}

// phenotypeCandidates expands reported terms; a score gene's term stands for
// all its scores. On is when the result was made, as an ISO date, "" if unknown.
func (g *gene) phenotypeCandidates(terms []string, on string) (out []Candidate, note string) {
	for _, term := range terms {
		if g.Method != byScore {
			c := Candidate{Phenotype: term}
			c.Keys = g.keys(c)
			out = append(out, c)
			continue
		}
		var rows []score
		if g.Earlier.covers(on) {
			rows, note = g.Earlier.scores[term], g.Earlier.Note
		} else {
			for _, s := range g.scores {
				if g.byScore[s] == term {
					rows = append(rows, s)
				}
			}
		}
		out = append(out, g.scoreCandidates(rows)...)
	}
	return out, note
}

// reportedScores expands reported activity scores to the rows they may be.
func (g *gene) reportedScores(scores []score, on string) (out []Candidate, note string) {
	for _, s := range scores {
		rows := g.rows(s)
		if g.Earlier.covers(on) {
			if then := g.Earlier.scores[s.String()]; then != nil {
				rows = then
			}
			note = g.Earlier.Note
		}
		out = append(out, g.scoreCandidates(rows)...)
	}
	return out, note
}

func (g *gene) scoreCandidates(rows []score) (out []Candidate) {
	for _, s := range rows {
		c := Candidate{Score: s.String(), Phenotype: g.byScore[s]}
		c.Keys = g.keys(c)
		out = append(out, c)
	}
	return out
}

// covers reports whether a result of that day was made under the older rules.
func (e *earlierRules) covers(on string) bool {
	return e != nil && on != "" && on < e.Before
}

// explain says in sentences what a genotype leaves open, and what it rests on.
func (g *gene) explain(gt genotype) []string {
	var notes []string
	for _, c := range gt.copies {
		switch {
		case c.row == nil:
			notes = append(notes, fmt.Sprintf("%s %s is not in the tables used.", g.Symbol, c.name))
		case c.row.Function == "" && g.Method != byGenotype && g.Method != byPresence:
			notes = append(notes, fmt.Sprintf("The function of %s %s has not been assigned.", g.Symbol, c.name))
		}
		if c.row != nil && c.row.Note != "" {
			notes = append(notes, c.row.Note)
		}
		if c.row != nil && c.row.Disputed != "" {
			notes = append(notes, fmt.Sprintf("Sources differ on %s %s: %s or %s.",
				g.Symbol, c.name, strings.ToLower(c.row.Function), strings.ToLower(c.row.Disputed)))
		}
	}
	if gt.open {
		notes = append(notes, fmt.Sprintf("Only one %s allele, %s, was reported.", g.Symbol, gt.copies[0].name))
	}
	if len(notes) > 0 && g.candidate(gt).Phenotype == indeterminate {
		for _, c := range gt.copies { // what is known is not lost: a carrier is a carrier
			if c.row != nil && c.row.Function != "" && len(gt.copies) == 2 {
				notes = append(notes, fmt.Sprintf("%s %s: %s.", g.Symbol, c.name, strings.ToLower(c.row.Function)))
			}
		}
	}
	return unique(notes)
}
