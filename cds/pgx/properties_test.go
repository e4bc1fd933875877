package pgx

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// alleleNames are the rows of a gene a laboratory can report by name.
func alleleNames(g *gene) []string {
	var names []string
	for _, a := range g.Alleles {
		names = append(names, a.Name)
	}
	return names
}

// pairedGenes are the genes with two copies and no status per allele.
func pairedGenes(k *Knowledge) []*gene {
	return slices.DeleteFunc(slices.Clone(k.genes.list), func(g *gene) bool { return g.Naming == hlaNaming || g.Ploidy == mitochondrial })
}

// A diplotype means the same in either order, and its normal form is read back
// as itself.
func TestDiplotypesAreNormalised(t *testing.T) {
	k := knowledge(t)
	genes := pairedGenes(k)
	rapid.Check(t, func(t *rapid.T) {
		g := rapid.SampledFrom(genes).Draw(t, "gene")
		names := rapid.SampledFrom(alleleNames(g))
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		sep := rapid.SampledFrom([]string{"/", "|", " / "}).Draw(t, "separator")
		read := func(value string) []Candidate {
			return k.Find([]Report{final(g.Symbol, value)}, nil, Patient{}, today)[0].Candidates
		}
		one, other := read(a+sep+b), read(g.Symbol+" "+b+sep+a)
		if len(one) == 0 || len(one) != len(other) {
			t.Fatalf("%d and %d candidates", len(one), len(other))
		}
		for i := range one {
			if !sameCandidate(one[i], other[i]) {
				t.Fatalf("%s%s%s: %+v in one order, %+v in the other", a, sep, b, one[i], other[i])
			}
		}
		again := read(one[0].Diplotype)
		if len(again) == 0 || again[0].Diplotype != one[0].Diplotype || again[0].Phenotype != one[0].Phenotype {
			t.Fatalf("%q is read back as %+v", one[0].Diplotype, again)
		}
	})
}

// Whatever stands beside it, an allele that is not in the tables gives no
// phenotype, unless the other allele decides alone.
func TestUnknownAllelesHaveNoMeaning(t *testing.T) {
	k := knowledge(t)
	genes := pairedGenes(k)
	rapid.Check(t, func(t *rapid.T) {
		g := rapid.SampledFrom(genes).Draw(t, "gene")
		a := rapid.SampledFrom(alleleNames(g)).Draw(t, "allele")
		unknown := rapid.SampledFrom([]string{"*999", "*998x2", "*997+*4"}).Draw(t, "unknown")
		if g.Naming == variantNaming {
			unknown = rapid.SampledFrom([]string{"c.99998A>G", "c.99997_99999del", "rs1"}).Draw(t, "unknown variant")
		}
		f := k.Find([]Report{final(g.Symbol, a+"/"+unknown)}, nil, Patient{}, today)[0]
		row := g.byName[compact(a)]
		for _, c := range f.Candidates {
			if c.Phenotype != indeterminate && !slices.Contains(g.DecidesAlone, row.Function) {
				t.Fatalf("%s %s/%s is %q", g.Symbol, a, unknown, c.Phenotype)
			}
		}
		if f.State != Indeterminate && !slices.Contains(g.DecidesAlone, row.Function) {
			t.Fatalf("%s %s/%s: state %s", g.Symbol, a, unknown, stateNames[f.State])
		}
	})
}

// Words in any order and number give a phenotype only if they are listed.
func TestRandomWordsAreUnreadable(t *testing.T) {
	k := knowledge(t)
	rapid.Check(t, func(t *rapid.T) {
		g := rapid.SampledFrom(k.genes.list).Draw(t, "gene")
		value := rapid.StringMatching(`[a-z]{3,9}( [a-z]{3,9}){1,4} normal`).Draw(t, "value")
		f := k.Find([]Report{final(g.Symbol, value)}, nil, Patient{}, today)[0]
		if len(f.Candidates) > 0 {
			t.Fatalf("%s %q gives %+v", g.Symbol, value, f.Candidates)
		}
	})
}

// Scores add exactly and are written as they are read.
func TestScores(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Custom(func(t *rapid.T) score {
			return score{thousandths: rapid.IntRange(0, 900_000).Draw(t, "thousandths"), atLeast: rapid.Bool().Draw(t, "at least"), known: true}
		})
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		back, err := parseScore(a.String())
		if err != nil || back != a {
			t.Fatalf("%v is read back as %v, %v", a, back, err)
		}
		if sum := a.plus(b); sum != b.plus(a) || sum.thousandths != a.thousandths+b.thousandths || a.plus(score{}).known {
			t.Fatalf("%v + %v = %v", a, b, sum)
		}
	})
	for text, want := range map[string]string{
		"1": "1.0", "1.0": "1.0", "1,25": "1.25", "0.250": "0.25", "0.625": "0.625", "≥3": "≥3.0", ">= 3.0": "≥3.0", "2.000000": "2.0", "N/A": "n/a", "10": "10.0",
	} {
		if got, err := parseScore(text); err != nil || got.String() != want {
			t.Errorf("%q is %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".", "-1", "1.2345", "about 1", "1e1", "1000", "+1", "1 2", "≥", "NaN"} {
		if got, err := parseScore(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// FuzzRead feeds values to every gene's reader. It must not crash, not take
// long, never give candidates without keys, and read its own normal form back.
func FuzzRead(f *testing.F) {
	k := knowledge(f)
	for symbol, values := range spellings {
		i := slices.IndexFunc(k.genes.list, func(g *gene) bool { return g.Symbol == symbol })
		for _, v := range values {
			f.Add(uint8(i), v)
		}
	}
	f.Add(uint8(7), strings.Repeat("*36xN+", 400)+"*10/*1")
	f.Add(uint8(7), strings.Repeat("*1xN/*4xN or ", 400))
	f.Fuzz(func(t *testing.T, index uint8, value string) {
		g := k.genes.list[int(index)%len(k.genes.list)]
		found := k.Find([]Report{final(g.Symbol, value)}, nil, Patient{}, today)[0]
		if len(found.Candidates) > 1000 {
			t.Fatalf("%d candidates", len(found.Candidates))
		}
		for _, c := range found.Candidates {
			if len(c.Keys) == 0 || c.Phenotype == "" && g.Method != byGenotype && g.Naming != hlaNaming {
				t.Fatalf("%s %q: %+v", g.Symbol, value, c)
			}
			for _, key := range c.Keys {
				if key == "" {
					t.Fatalf("%s %q has an empty key: %+v", g.Symbol, value, c)
				}
			}
			if found.State == Known && g.Naming != hlaNaming && c.Diplotype != "" && !strings.Contains(c.Diplotype, "?") {
				again := k.Find([]Report{final(g.Symbol, c.Diplotype)}, nil, Patient{BirthSex: copiesOf(g, c)}, today)[0]
				if !slices.ContainsFunc(again.Candidates, func(o Candidate) bool { return o.Diplotype == c.Diplotype }) {
					t.Fatalf("%s %q gives %q, which is read as %+v", g.Symbol, value, c.Diplotype, again.Candidates)
				}
			}
		}
	})
}

// copiesOf is a sex that has as many copies as a candidate of an X-linked gene.
func copiesOf(g *gene, c Candidate) Sex {
	if g.Ploidy == xLinked && len(c.Alleles) == 1 {
		return Male
	}
	return SexUnknown
}
