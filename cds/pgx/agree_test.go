package pgx

import (
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRule05AllPopulationsAgree: where every population's row says the same, the
// open question does not matter and the advice says so.
func TestRule05AllPopulationsAgree(t *testing.T) {
	const name = "guidelines/cpic-cyp2c19-and-voriconazole.json"
	same := fstest.MapFS{}
	err := fs.WalkDir(Files(), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Files(), file)
		if file == name { // children and adults now have the same options
			data = []byte(strings.ReplaceAll(string(data), `"isavuconazole", `, ""))
		}
		same[file] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := loadDrugs(same)
	if err != nil {
		t.Fatal(err)
	}
	advice, _ := table.advise(one(ordering(voriconazoleCode, orally)), []Finding{cyp2c19UM})
	if len(advice) != 1 {
		t.Fatalf("%d advice", len(advice))
	}
	is(t, &advice[0], Recommend, Warning)
	says(t, &advice[0], "This holds for every indication and age group the guideline names.")
	if len(advice[0].Rows) != 1 || advice[0].Rows[0].Population != "" {
		t.Errorf("rows %v", advice[0].Rows)
	}
}

// TestEveryResultHasARow looks up what every pair of alleles gives, for every
// drug of its gene: the guidelines' tables have no holes. Siponimod is the
// exception: its label names six diplotypes.
func TestEveryResultHasARow(t *testing.T) {
	k, err := Load(Files())
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(Files(), "genes/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d gene files, %v", len(names), err)
	}
	looked := 0
	for _, name := range names {
		var file struct{ Alleles []struct{ Name string } }
		data, err := fs.ReadFile(Files(), name)
		if err == nil {
			err = json.Unmarshal(data, &file)
		}
		if err != nil {
			t.Fatal(err)
		}
		gene := strings.TrimSuffix(path.Base(name), ".json")
		near := len(file.Alleles)
		if near > 60 {
			near = 4 // neighbours only: the functions repeat
		}
		for i, a := range file.Alleles {
			for _, b := range file.Alleles[i:min(i+near, len(file.Alleles))] {
				report := Report{Reference: "Observation/1", Gene: gene, Kind: Genotype, Values: []string{a.Name + "/" + b.Name}, Status: "final", Date: now}
				for _, f := range k.Find([]Report{report}, nil, Patient{}, now) {
					looked += len(f.Candidates)
					k.drugs.needRows(t, f)
				}
			}
		}
	}
	if looked < 1000 {
		t.Errorf("only %d results were looked up", looked)
	}
}

// needRows fails for drugs whose rows have no key for a finding.
func (t *drugTable) needRows(tb testing.TB, f Finding) {
	tb.Helper()
	for _, c := range f.Candidates {
		if f.State != Known || c.Phenotype == "Indeterminate" {
			continue
		}
		for _, d := range t.drugs {
			vocab := d.vocab[f.Gene]
			if vocab == nil || d.Name == "siponimod" {
				continue
			}
			if !slices.ContainsFunc(c.Keys, func(key string) bool { return vocab[key] }) {
				tb.Errorf("%s has no row for %s %s", d.Name, f.Gene, candidateWords(c))
			}
		}
	}
}
