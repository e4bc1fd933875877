package pgx

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/internal/golden"
)

// TestCallsOfPharmCAT compares the best pairs with what PharmCAT reports of its
// own example files.
func TestCallsOfPharmCAT(t *testing.T) {
	k := whole(t)
	// PharmCAT takes c.- and star alleles of these from definitions that are not
	// free, or reads a man's one copy of the X chromosome from two equal ones.
	skipped := map[string]bool{"NAT2": true, "CYP3A4": true, "MT-RNR1": true}
	for _, name := range []string{"pharmcat.example", "pharmcat.example2"} {
		t.Run(name, func(t *testing.T) {
			calls := map[string]Call{}
			sample := readExample(t, k, golden.Shared(t, "samples", "vcf", name+".vcf"))
			for _, c := range sample.Calls(Female) {
				calls[c.Gene] = c
			}
			report, err := os.ReadFile(golden.Shared(t, "samples", "vcf", name+".report.tsv"))
			if err != nil {
				t.Fatal(err)
			}
			compared := 0
			for line := range strings.Lines(string(report)) {
				cells := strings.Split(strings.TrimRight(line, "\n"), "\t")
				if len(cells) < 12 || cells[10] != "no" || skipped[cells[0]] {
					continue
				}
				gene, want := cells[0], cells[1]
				var best []string
				score := 0
				for _, d := range calls[gene].Diplotypes {
					if d.Best {
						best, score = append(best, d.String()), d.Score
					}
				}
				if len(calls[gene].Variants) == 0 && len(best) == 0 {
					t.Errorf("%s: nothing was called: %s", gene, calls[gene].NoCall)
				}
				if !slices.Contains(best, want) {
					t.Errorf("%s: %v, PharmCAT says %s", gene, best, want)
				}
				if cells[11] != strconv.Itoa(score) {
					t.Logf("%s %s: score %d, PharmCAT's is %s", gene, want, score, cells[11])
				}
				compared++
			}
			if compared < 12 {
				t.Errorf("only %d genes were compared", compared)
			}
		})
	}
}

// readExample reads a VCF file as plain as PharmCAT's examples are.
func readExample(t *testing.T, k *Knowledge, path string) *Sample {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sample, err := k.NewSample("GRCh38")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		cells := strings.Fields(line)
		if strings.HasPrefix(line, "#") || len(cells) < 10 {
			continue
		}
		v := Variant{Chromosome: cells[0], Ref: cells[3], Alts: strings.Split(cells[4], ",")}
		if v.Position, err = strconv.Atoi(cells[1]); err != nil {
			t.Fatal(err)
		}
		genotype, _, _ := strings.Cut(cells[9], ":")
		v.Phased = strings.Contains(genotype, "|")
		for _, allele := range strings.FieldsFunc(genotype, func(r rune) bool { return r == '/' || r == '|' }) {
			n, err := strconv.Atoi(allele)
			if err != nil {
				n = -1
			}
			v.Genotype = append(v.Genotype, n)
		}
		sample.Add(v)
	}
	return sample
}
