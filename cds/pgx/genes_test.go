package pgx

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/starling-fhir/starling/internal/golden"
)

// knowledge returns the embedded genes and terms.
func knowledge(tb testing.TB) *Knowledge {
	tb.Helper()
	genes, err := loadGenes(Files())
	if err != nil {
		tb.Fatal(err)
	}
	return &Knowledge{genes: genes}
}

// final is a laboratory's final report of one gene.
func final(gene string, values ...string) Report {
	return Report{
		Reference: "Observation/" + strings.ToLower(gene), Gene: gene, Values: values, Status: "final",
		Laboratory: "Laboratory A", Date: time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC),
	}
}

var today = time.Date(2026, 2, 1, 9, 0, 0, 0, time.UTC)

// find returns the finding on one gene.
func find(tb testing.TB, k *Knowledge, patient Patient, reports ...Report) Finding {
	tb.Helper()
	findings := k.Find(reports, nil, patient, today)
	if len(findings) != 1 {
		tb.Fatalf("%d findings, want 1", len(findings))
	}
	return findings[0]
}

func phenotypes(f Finding) []string {
	var out []string
	for _, c := range f.Candidates {
		out = append(out, c.Phenotype)
	}
	return unique(out)
}

func diplotypes(f Finding) []string {
	var out []string
	for _, c := range f.Candidates {
		out = append(out, c.Diplotype)
	}
	return unique(out)
}

var stateNames = [...]string{"no result", "known", "indeterminate", "conflicting", "unreadable", "unconfirmed"}

// TestSpellings reads every spelling the documentation promises. The expected
// readings are in the golden file, one line a candidate.
func TestSpellings(t *testing.T) {
	k := knowledge(t)
	got := map[string][]string{}
	for gene, values := range spellings {
		for _, value := range values {
			f := find(t, k, Patient{}, final(gene, value))
			lines := []string{stateNames[f.State]}
			for _, c := range f.Candidates {
				lines = append(lines, strings.Join([]string{c.Diplotype, c.Score, c.Phenotype, "keys " + strings.Join(c.Keys, " & ")}, " | "))
			}
			got[gene+": "+value] = append(lines, f.Notes...)
		}
	}
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	golden.JSON(t, filepath.Join("testdata", "spellings.json"), data)
}

var spellings = map[string][]string{
	"ABCG2": {"rs2231142 G/T", "rs2231142 T/T", "rs2231142 reference (G)/rs2231142 reference (G)", "c.421C>A heterozygous", "421 C/A", "Q141K homozygous", "C/C", "rs2231142 G/A"},
	"CACNA1S": {
		"Reference/Reference", "c.520C>T heterozygous", "c.3257G>A/Reference", "R1086H", "NM_000069.3:c.3257G>A heterozygous", "rs772226819 G/A", "c.999A>G/Reference",
		"Not susceptible", "Malignant Hyperthermia Susceptibility",
	},
	"CFTR": {
		"F508del/G551D", "G551D/F508del", "G551D heterozygous", "F508del/F508del", "3849+10kbC->T/F508del", "3849+10kbC>T/W1282X", "R117H", "rs75527207 G/A",
		"ivacaftor non-responsive CFTR sequence/ivacaftor non-responsive CFTR sequence", "ivacaftor responsive in CF patients",
	},
	"CYP1A2": {"*1A/*1F", "*1F/*99", "*1A/*1A"},
	"CYP2B6": {"*6/*6", "CYP2B6*4/*4", "*1/*16", "*1/*50", "*1/*4", "*3/*1", "Ultrarapid Metabolizer"},
	"CYP2C19": {
		"CYP2C19*1/*2", "*1/*2", "CYP2C19 *1/*2", "CYP2C19*1/CYP2C19*2", "*1|*2", "*2/*1", "* 2 / *1", "Genotype: *2/*17", "CYP2C19 Genotype *1/*2", "CYP2C19: *2/*2", "∗2／∗2", "\\*2/\\*3",
		"*2.001/*1.002", "*2A/*1A", "*1/*2 or *3/*4", "*1/*17, *2/*3", "*2/*2 (Poor Metabolizer)", "*2/*2 Poor Metabolizer", "*1/*1 (Poor Metabolizer)", "*17/*17", "*1/*9", "*9/*2", "*1/*42", "*1/*40", "*1/*12",
		"*2", "*2 homozygous", "*2/*2 (indeterminate)", "*2/*2, inconclusive", "CYP2D6*1/*2", "1/2", "*1/*2 probably", "*1/*2x2", "normal",
		"LA9657-3", "PM", "poor metaboliser", "Slow Metabolizer", "CYP2C19 Rapid Metabolizer", "Intermediate metabolizer (IM)", "likely intermediate metabolizer", "Likely Poor Metabolizer", "extensive metabolizer", "EM",
		"langsamer Metabolisierer", "métaboliseur lent", "metabolizador intermedio", "metabolizzatore ultrarapido", "Normal to Intermediate Metabolizer", "intermediate or poor metabolizer", "NM/IM", "poor to normal metabolizer", "Poor Metabolizer (NM)",
		"possible intermediate metabolizer", "Indeterminate", "no call", "super fast",
	},
	"CYP2C9": {"*1/*3", "*2/*2", "*3/*3", "*1/*35B", "*1/*7", "CYP2C9*2/CYP2C9*1", "Activity score: 1.5", "0", "AS 1.25", "n/a", "3", "Normal Metabolizer", "Rapid Metabolizer"},
	"CYP2D6": {
		"*1/*2", "*4/*41", "*1/*41", "*4/*4", "*5/*4", "*1x2/*4", "*1X2/*4", "*1×2/*4", "*1xN/*4", "*1xn/*1", "*1x≥3/*2", "*1x>=3/*2", "*1x3/*2", "*2x2/*1", "*1dup/*4", "(*1/*4)x2", "CYP2D6 (*1/*4)x2", "(*1/*4)xN", "(*1/*4)x3", "(*2)x2/*4", "*1/*4, duplication",
		"*36+*10/*1", "*10+*36/*10", "CYP2D6*68+CYP2D6*4/CYP2D6*1", "*13+*68x2+*4/*1", "*36xN+*10/*1", "*36+*99/*1", "*10xN/*1", "*41x3/*4", "*10x3/*1", "*4A/*10B", "*14A/*1", "*10C/*1", "*4.013/*2.001", "*4/*4 (indeterminate)", "*1/*150", "*1/*22",
		"Activity Score 1.25 (Normal Metabolizer)", "AS: 0.625", "≥3.0", ">=2.5", "1.1", "3.5", "9", "1,5", "Ultrarapid Metabolizer", "UM", "Poor metabolizer, activity score 0", "*1/*4 (activity score 1.0)",
	},
	"CYP3A4": {"*1/*22", "*1B/*1", "*1G/*1", "*20/*22", "*1/*2"},
	"CYP3A5": {"*1/*3", "*3/*3", "*1/*1", "*1/*8", "*3/*9", "CYP3A5*1D/*3C", "CYP3A5 expresser", "CYP3A5 non-expresser", "expresser, heterozygous"},
	"CYP4F2": {"*1/*3", "*1/*99"},
	"DPYD": {
		"c.1905+1G>A (*2A)/Reference", "Reference/Reference", "Reference / c.1905+1G>A (*2A)", "*1/*2A", "DPYD*1/DPYD*2A", "*2A/*2A", "*1/*1", "*13/*1", "IVS14+1G>A heterozygous", "c.1905+1G>A heterozygous", "c.1905+1G>A homozygous", "heterozygous c.1905+1G>A", "c.1905+1G>A",
		"NM_000110.4:c.1905+1G>A heterozygous", "NM_000110.4(DPYD):c.2846A>T heterozygous", "NC_000001.11:g.97450058C>T heterozygous", "c.[1905+1G>A];[=]", "c.[1905+1G>A];[2846A>T]", "c.[1905+1G>A(;)2846A>T]", "c.1905+1G>A heterozygous, c.2846A>T heterozygous",
		"rs3918290 C/T", "rs3918290 G/A", "rs3918290 CT", "rs3918290 C/C", "rs67376798 A/T", "rs67376798 A/A", "c.2846A>T A/A", "rs3918290 C/T; rs67376798 T/T", "rs3918290 heterozygous", "D949V heterozygous",
		"c.1129-5923C>G, c.1236G>A (HapB3)/Reference", "HapB3/Reference", "c.1236G>A heterozygous", "c.85T>C (*9A)/c.1627A>G (*5)", "[c.85T>C (*9A) + c.1905+1G>A (*2A)]/Reference",
		"c.9999A>G heterozygous", "Reference/c.9999A>G", "rs999 heterozygous", "*2A/*99", "c.1905+1G>A not detected", "wild type/wild type", "no variants detected", "wt/*2A", "DPYD: *1/*1, AS 2.0", "Poor Metabolizer", "Activity score 1.0", "0.5",
	},
	"G6PD":  {"B (reference)/B (reference)", "B/A-", "A- 202A_376G/B (reference)", "A-/A-", "Mediterranean/Y", "A- hemizygous", "Mediterranean", "Mediterranean Haplotype/B", "Telti/Kobe / B", "Telti/B", "Canton/B (reference)", "A/B", "Gond/B", "Santiago de Cuba, Morioka/Santiago", "Atlantis/B", "202G>A_376A>G_1264C>G/B", "Deficient", "Variable", "WHO class I", "G6PD deficiency", "normal"},
	"HLA-A": {"A*31:01 positive", "HLA-A*31:01 negative", "*31:01 not detected", "HLA-A*03:01:01:01+HLA-A*30:01:01", "HLA-A*24:02", "A*31:01:02N/A*02:01", "hla#3.31.0#HLA-A*03:01:01:01+HLA-A*30:01:01"},
	"HLA-B": {
		"HLA-B*57:01 negative", "HLA-B*57:01", "B*15:02:01/B*40:01", "*15:02/*57:01", "HLA-B*58:01 positive", "positive for HLA-B*58:01", "B*57", "B*57 negative", "B*57/B*40:01", "B*15:AB", "B*57:01N/B*07:02", "B*57:01Q/B*07:02", "hla#3.23.0#HLA-B*15:01:01G+HLA-B*57:01:01G", "hla#3.23.0#HLA-B*15:01/HLA-B*15:02+HLA-B*07:02",
		"HLA-B*57:01 detected, HLA-B*15:02 not detected", "HLA-B*44:02 positive", "B57", "HLA-B*57:01: nicht nachgewiesen", "positive", "*57:01 (negative)", "HLA-B*57:01 carrier", "B*5701",
	},
	"IFNL3":   {"rs12979860 C/T", "rs12979860 T/T", "rs12979860 CC", "C/T", "rs12979860 reference (C)/rs12979860 variant (T)", "rs8099917 T/G"},
	"MT-RNR1": {"m.1555A>G", "1555A>G", "A1555G", "m.1555A>G homoplasmic", "m.1494C>T heteroplasmic", "m.827A>G", "Reference", "m.1555A>G, m.827A>G", "m.827A>G + m.1189T>C", "NC_012920.1:m.1095T>C", "m.1555A>G not detected", "m.3243A>G", "m.961T>del+Cn"},
	"NAT2":    {"*5/*6", "*4/*4", "*5B/*6A", "*1/*5", "slow acetylator", "Rapid acetylator", "intermediate acetylator", "langsamer Acetylierer", "Normal Metabolizer", "*10/*5"},
	"NUDT15":  {"*1/*3", "*1/*2", "*3/*3", "*1/*4", "*5/*1", "*1/*11", "NUDT15*1/*1", "*3/*12"},
	"RYR1":    {"c.7300G>A/Reference", "c.7300G>A heterozygous", "c.7300G>A", "Reference/Reference", "c.97A>G heterozygous, c.418G>A heterozygous, c.51_53del heterozygous", "c.99999A>G/Reference", "c.7300G>A/c.99999A>G", "c.7042_7044delGAG/Reference", "c.14422_14423delinsAA heterozygous", "negative", "MHS", "Uncertain Susceptibility", "normal"},
	"SLCO1B1": {"*1/*5", "*5/*15", "*1A/*1B", "*17/*1", "*45.001/*1", "*37/*20", "*14/*14", "*1/*2", "*5/*43", "*1/*50", "rs4149056 T/C", "rs4149056 C/C", "521TC", "c.521T>C heterozygous", "rs4149056 T/T", "Poor Function", "LA25394-0", "Decreased function", "intermediate function", "Intermediate Metabolizer"},
	"TPMT":    {"*1/*3A", "*3A/*3C", "*1S/*1", "*3B/*3C", "*8/*2", "*1/*8", "*3A/*9", "heterozygous", "low activity", "normal activity", "Intermediate metabolizer"},
	"UGT1A1":  {"*1/*28", "*28/*28", "(TA)6/(TA)7", "TA6/TA7", "(TA)7/(TA)7", "(TA)5/(TA)8", "A(TA)7TAA/A(TA)6TAA", "*1/*80+*28", "*28+*80/*28", "*80/*28", "*6/*28", "*1/*36", "*60/*28"},
	"VKORC1":  {"VKORC1 -1639 G>A", "-1639 G>A heterozygous", "-1639G>A homozygous", "rs9923231 C/T", "rs9923231 T/T", "VKORC1 rs9923231 G/A", "-1639 GA", "-1639AA", "G/A", "A/A", "c.-1639G>A heterozygous", "rs9923231 C/A", "-1639 AG", "rs9923231 reference (C)/rs9923231 variant (T)"},
}

// TestEveryAlleleIsRead reads each row of each gene's table as the laboratory
// would write it.
func TestEveryAlleleIsRead(t *testing.T) {
	k := knowledge(t)
	for _, g := range k.genes.list {
		for _, a := range g.Alleles {
			want := a.Name
			if a.Is != "" {
				want = a.Is
			}
			for _, name := range append([]string{a.Name}, a.Aliases...) {
				switch {
				case g.Naming == hlaNaming:
					if f := find(t, k, Patient{}, final(g.Symbol, name)); f.AlleleStatus(want) != AllelePositive {
						t.Errorf("%s %s: status %d", g.Symbol, name, f.AlleleStatus(want))
					}
				case g.Ploidy == mitochondrial:
					if f := find(t, k, Patient{}, final(g.Symbol, name)); !slices.Equal(diplotypes(f), []string{want}) {
						t.Errorf("%s %q gives %q", g.Symbol, name, diplotypes(f))
					}
				default:
					f := find(t, k, Patient{}, final(g.Symbol, name+"/"+name))
					if !slices.Equal(diplotypes(f), []string{want + "/" + want}) {
						t.Errorf("%s %q gives %q", g.Symbol, name, diplotypes(f))
						continue
					}
					if row := g.byName[compact(name)]; f.Candidates[0].Alleles[0].Function != row.Function {
						t.Errorf("%s %q has function %q, want %q", g.Symbol, name, f.Candidates[0].Alleles[0].Function, row.Function)
					}
				}
			}
		}
	}
}

// TestEveryRuleIsReached finds alleles for each phenotype rule and each score
// row, and reads them as a report.
func TestEveryRuleIsReached(t *testing.T) {
	k := knowledge(t)
	for _, g := range k.genes.list {
		with := map[string]string{}
		for _, a := range g.Alleles {
			if a.Is == "" && (with[a.Function] == "" || g.byName[compact(with[a.Function])].Disputed != "") {
				with[a.Function] = a.Name
			}
		}
		for _, rule := range g.Phenotypes {
			patient, value := Patient{}, with[rule.Functions[0]]
			if len(rule.Functions) == 2 {
				value += "/" + with[rule.Functions[1]]
			} else {
				patient.BirthSex = Male
			}
			f := find(t, k, patient, final(g.Symbol, value))
			if len(f.Candidates) == 0 || f.Candidates[0].Phenotype != rule.Phenotype {
				t.Errorf("%s %s (%v): %q, want %q", g.Symbol, value, rule.Functions, phenotypes(f), rule.Phenotype)
			}
		}
		unknown := g.candidate(genotype{copies: []reported{{name: "?"}, {name: "?"}}})
		reached := map[string]bool{unknown.Score: true}
		for i, a := range g.Alleles {
			for _, b := range g.Alleles[i:] {
				if g.Method != byScore || a.Is != "" || b.Is != "" {
					continue
				}
				one := g.candidate(genotype{copies: []reported{{a.Name, a}, {b.Name, b}}})
				reached[one.Score] = true
			}
		}
		for _, row := range g.Scores {
			if !reached[row.Score] {
				t.Errorf("%s: no diplotype has the score %s", g.Symbol, row.Score)
			}
		}
	}
}

// TestTablesAgreeWithTheSources compares our files with the facts they were
// made from.
func TestTablesAgreeWithTheSources(t *testing.T) {
	k := knowledge(t)
	for _, g := range k.genes.list {
		var source struct {
			Alleles []struct {
				Name, Function, Activity string
				DisplayAs                string `json:"display_as"`
			}
		}
		sharedJSON(t, &source, "pgx", "alleles", g.Symbol+".json")
		for _, a := range source.Alleles {
			row := g.byName[compact(a.Name)]
			if i := strings.IndexByte(a.Name, '.'); a.DisplayAs != "" && row == nil && i > 0 {
				row = g.byName[compact(a.Name[:i])]
			} else if a.DisplayAs != "" && row != nil && row.Name != a.DisplayAs {
				t.Errorf("%s %s is %s, want %s", g.Symbol, a.Name, row.Name, a.DisplayAs)
			}
			switch {
			case row == nil:
				t.Errorf("%s %s is missing", g.Symbol, a.Name)
			case a.Function != "" && !strings.EqualFold(a.Function, row.Function):
				t.Errorf("%s %s: function %q, want %q", g.Symbol, a.Name, row.Function, a.Function)
			case a.Activity != row.Activity:
				t.Errorf("%s %s: activity %q, want %q", g.Symbol, a.Name, row.Activity, a.Activity)
			}
		}
		if g.Method != byFunctions && g.Method != byScore {
			continue
		}
		var rules struct {
			Rules  []phenotypeRule
			Scores []scoreRule
		}
		sharedJSON(t, &rules, "pgx", "phenotypes", g.Symbol+".json")
		for _, r := range rules.Rules {
			if got := g.byFunction[functionKey(r.Functions)]; got != r.Phenotype {
				t.Errorf("%s %v: %q, want %q", g.Symbol, r.Functions, got, r.Phenotype)
			}
		}
		for _, r := range rules.Scores {
			if s, err := parseScore(r.Score); err != nil || g.byScore[s] != r.Phenotype || s.String() != r.Score {
				t.Errorf("%s %s: %q, want %q", g.Symbol, r.Score, g.byScore[s], r.Phenotype)
			}
		}
	}
}

// TestEveryPhenotypeIsReadAsReported reads each gene's phenotypes by their
// standard words and, where there is one, by their LOINC answer.
func TestEveryPhenotypeIsReadAsReported(t *testing.T) {
	k := knowledge(t)
	for _, g := range k.genes.list {
		for term := range g.terms {
			if term == indeterminate {
				continue
			}
			report := final(g.Symbol, strings.ToUpper(term))
			report.Kind = Phenotype
			if f := find(t, k, Patient{}, report); f.State != Known || !slices.Equal(phenotypes(f), []string{term}) {
				t.Errorf("%s %q: state %d, %q", g.Symbol, term, f.State, phenotypes(f))
			}
		}
	}
}

// TestGenes checks what readers of resources rely on.
func TestGenes(t *testing.T) {
	genes := knowledge(t).Genes()
	if len(genes) != 24 {
		t.Errorf("%d genes, want 24", len(genes))
	}
	i := slices.IndexFunc(genes, func(g Gene) bool { return g.Symbol == "CYP2C19" })
	if i < 0 || genes[i].HGNC != "HGNC:2621" || !slices.Contains(genes[i].PhenotypeCodes, "79714-2") {
		t.Errorf("CYP2C19 is %+v", genes[max(i, 0)])
	}
}

// TestVersion: the edition is the newest date of any table.
func TestVersion(t *testing.T) {
	k, err := Load(Files())
	if err != nil {
		t.Fatal(err)
	}
	if k.Version < "2026-05-11" || len(k.Version) != len(time.DateOnly) {
		t.Errorf("version %q", k.Version)
	}
}

// TestBrokenKnowledgeStopsTheStart breaks one thing at a time.
func TestBrokenKnowledgeStopsTheStart(t *testing.T) {
	const gene = `{"source": "s", "version": "1", "date": "2026-01-01", "licence": "CC0-1.0", "symbol": "CYP2C19", "hgnc": "HGNC:2621",
		"chromosome": "10", "strand": "+", "naming": "star", "ploidy": "diploid", "method": "functions", "lookup": "phenotype",
		"phenotypes": [{"functions": ["Normal function", "Normal function"], "phenotype": "Normal Metabolizer"}],
		"alleles": [{"name": "*1", "function": "Normal function"}]}`
	const terms = `{"source": "s", "version": "1", "date": "2026-01-01", "licence": "CC0-1.0", "terms": [{"term": "Normal Metabolizer"}]}`
	load := func(gene, terms string) error {
		_, err := loadGenes(fstest.MapFS{"genes/CYP2C19.json": {Data: []byte(gene)}, "terms.json": {Data: []byte(terms)}})
		return err
	}
	if err := load(gene, terms); err != nil {
		t.Fatalf("the sound file is refused: %v", err)
	}
	for name, test := range map[string]struct{ file, old, new, want string }{
		"no licence":          {"gene", `"licence": "CC0-1.0", "symbol"`, `"symbol"`, "licence is missing"},
		"unknown member":      {"gene", `"symbol"`, `"colour": "red", "symbol"`, "unknown field"},
		"wrong file name":     {"gene", `"CYP2C19"`, `"CYP2C9"`, "symbol"},
		"allele twice":        {"gene", `[{"name": "*1"`, `[{"name": "*1"}, {"name": "*1"`, "twice"},
		"alias of another":    {"gene", `[{"name": "*1"`, `[{"name": "*2", "aliases": ["*1"]}, {"name": "*1"`, "names both"},
		"unknown row":         {"gene", `[{"name": "*1"`, `[{"name": "*1A", "is": "*9"}, {"name": "*1"`, "not a row"},
		"pair without a rule": {"gene", `[{"name": "*1"`, `[{"name": "*2", "function": "No function"}, {"name": "*1"`, "no phenotype"},
		"unreadable activity": {"gene", `[{"name": "*1"`, `[{"name": "*2", "activity": "about 1"}, {"name": "*1"`, "not an activity score"},
		"rule twice":          {"gene", `"phenotypes": [`, `"phenotypes": [{"functions": ["Normal function", "Normal function"], "phenotype": "Rapid Metabolizer"}, `, "twice"},
		"method without rows": {"gene", `"method": "functions", "lookup": "phenotype"`, `"method": "score", "lookup": "score"`, "rules given"},
		"lookup of another":   {"gene", `"lookup": "phenotype"`, `"lookup": "score"`, "lookup"},
		"two references":      {"gene", `[{"name": "*1"`, `[{"name": "*3", "reference": true}, {"name": "*2", "reference": true}, {"name": "*1"`, "two reference"},
		"unlisted term":       {"terms", `"Normal Metabolizer"`, `"Rapid Metabolizer"`, "not a term"},
		"term twice":          {"terms", `[{"term": "Normal Metabolizer"}`, `[{"term": "Normal Metabolizer", "synonyms": ["normal  metabolizer"]}`, "twice"},
		"word twice":          {"terms", `"terms"`, `"words": {"positive": ["yes"], "negative": ["Yes"]}, "terms"`, "twice"},
		"scale of no terms":   {"terms", `"terms"`, `"scales": [["Slow Metabolizer"]], "terms"`, "not a term"},
		"term for no gene":    {"terms", `"terms"`, `"gene_terms": [{"gene": "NAT9", "says": "slow", "terms": ["Normal Metabolizer"]}], "terms"`, "no gene"},
		"no term for gene":    {"terms", `"terms"`, `"gene_terms": [{"gene": "CYP2C19", "says": "slow", "terms": ["Poor Metabolizer"]}], "terms"`, "not a phenotype"},
	} {
		g, w := gene, terms
		if test.file == "gene" {
			g = strings.Replace(g, test.old, test.new, 1)
		} else {
			w = strings.Replace(w, test.old, test.new, 1)
		}
		if g == gene && w == terms {
			t.Errorf("%s: nothing was broken", name)
		}
		if err := load(g, w); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
}

// sharedJSON reads a development sample, or skips.
func sharedJSON(tb testing.TB, into any, elem ...string) {
	tb.Helper()
	data, err := os.ReadFile(golden.Shared(tb, elem...))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		tb.Fatal(err)
	}
}
