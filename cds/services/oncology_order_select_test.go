package services

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// biomarkers answers a request body by oncology-order-select alone.
func biomarkers(tb testing.TB, c Config, body []byte) (*cds.Response, []byte) {
	tb.Helper()
	var call cds.Call
	h, err := cds.NewHandler([]cds.Service{oncologyOrderSelect(c)}, cds.Options{NewID: c.NewID, Clock: c.Clock, OnCall: func(done cds.Call) { call = done }})
	if err != nil {
		tb.Fatal(err)
	}
	w := serve(h, "POST", "/cds-services/oncology-order-select", body)
	if w.Code != 200 {
		tb.Fatalf("status %d: %s", w.Code, w.Body)
	}
	for _, fault := range call.Faults {
		tb.Errorf("the answer had to be mended: %s", fault)
	}
	return &cds.Response{Reasons: call.Reasons}, w.Body.Bytes()
}

// TestOncologyGolden posts every testdata/oncology-order-select/<case>/request.json.
func TestOncologyGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/oncology-order-select/*/request.json")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			response, answer := biomarkers(t, config(t), body)
			golden.JSON(t, filepath.Join(dir, "response.json"), answer)
			var why strings.Builder
			for _, r := range response.Reasons {
				why.WriteString(strings.TrimSpace(r.Code+" "+r.Subject) + "\n")
			}
			golden.Text(t, filepath.Join(dir, "reasons.txt"), []byte(why.String()))
			lintResponse(t, answer)
			cards := node(t, string(answer)).List("cards")
			for i := range cards {
				if cards[i].Get("suggestions") != nil {
					t.Error("a card suggests an order")
				}
			}
		})
	}
}

// tumourObservation is an Observation about the tumour, in words.
func tumourObservation(code, value string) string {
	return `{"resourceType":"Observation","id":"o1","status":"final","subject":{"reference":"Patient/p1"},"bodySite":{"text":"tumour"},"effectiveDateTime":"2026-05-02","code":` +
		code + `,"value` + value + `}`
}

// TestBiomarkerSpellings reads results as laboratories write them.
func TestBiomarkerSpellings(t *testing.T) {
	loincCode := func(code string) string { return `{"coding":[{"system":"http://loinc.org","code":"` + code + `"}]}` }
	text := func(s string) string { return `{"text":"` + s + `"}` }
	str := func(s string) string { return `String":"` + s + `"` }
	for _, test := range []struct {
		name, drug, row, observation, want string
	}{
		{"a change in the words of the answer", "sotorasib", "KRAS G12C", tumourObservation(text("KRAS sequencing"), str("p.G12C mutation detected")), "found"},
		{"a change that is denied", "sotorasib", "KRAS G12C", tumourObservation(text("KRAS sequencing"), str("G12C not detected")), "not-found"},
		{"another change at the same codon", "sotorasib", "KRAS G12C", tumourObservation(text("KRAS sequencing"), str("p.Gly12Asp")), "cannot-tell"},
		{"wild type without saying where", "panitumumab", "KRAS and NRAS wild type", tumourObservation(text("KRAS"), str("wild type")), "cannot-tell"},
		{"MSI-H by code", "dostarlimab", "MSI-H or dMMR", tumourObservation(loincCode("81695-9"), `CodeableConcept":`+loincCode("LA26203-2")), "found"},
		{"stable by code", "dostarlimab", "MSI-H or dMMR", tumourObservation(loincCode("81695-9"), `CodeableConcept":`+loincCode("LA14122-8")), "not-found"},
		{"MSI-L is not MSI-H", "dostarlimab", "MSI-H or dMMR", tumourObservation(loincCode("81695-9"), str("MSI-L")), "not-found"},
		{"mismatch repair in words", "dostarlimab", "MSI-H or dMMR", tumourObservation(text("Mismatch repair proteins"), str("deficient (loss of MLH1)")), "found"},
		{"mismatch repair indeterminate", "dostarlimab", "MSI-H or dMMR", tumourObservation(text("Mismatch repair proteins"), str("indeterminate")), "cannot-tell"},
		{"burden of ten", "pembrolizumab", "tumour mutational burden of 10 or more mutations per megabase", tumourObservation(loincCode("94076-7"), `Quantity":{"value":10,"unit":"mutations/Mb"}`), "found"},
		{"burden in another unit", "pembrolizumab", "tumour mutational burden of 10 or more mutations per megabase", tumourObservation(loincCode("94076-7"), `Quantity":{"value":10,"unit":"%"}`), "cannot-tell"},
		{"burden with a bound that does not tell", "pembrolizumab", "tumour mutational burden of 10 or more mutations per megabase", tumourObservation(loincCode("94076-7"), `Quantity":{"value":12,"comparator":"<","unit":"mut/Mb"}`), "cannot-tell"},
		{"burden as UCUM", "pembrolizumab", "tumour mutational burden of 10 or more mutations per megabase", tumourObservation(loincCode("94076-7"), `Quantity":{"value":250,"system":"http://unitsofmeasure.org","code":"1/1000000{Base}"}`), "found"},
		{"PD-L1 is shown, never compared", "pembrolizumab", "PD-L1 (label cut-offs vary)", tumourObservation(text("PD-L1 22C3 tumor proportion score"), `Quantity":{"value":80,"unit":"%"}`), "cannot-tell"},
		{"HER2 3+", "trastuzumab", "HER2 amplification or IHC 3+", tumourObservation(text("HER2 IHC"), str("3+")), "found"},
		{"HER2 2+ does not say", "trastuzumab", "HER2 amplification or IHC 3+", tumourObservation(text("HER2 IHC"), str("2+")), "cannot-tell"},
		{"HER2 not amplified", "trastuzumab", "HER2 amplification or IHC 3+", tumourObservation(text("HER2 FISH"), str("not amplified")), "not-found"},
		{"ALK by FISH", "alectinib", "ALK rearrangement", tumourObservation(text("ALK rearrangement by FISH"), str("positive")), "found"},
		{"a fusion and its partner", "alectinib", "ALK rearrangement", tumourObservation(text("Fusion panel"), str("EML4::ALK detected")), "found"},
		{"no rearrangement", "alectinib", "ALK rearrangement", tumourObservation(text("ALK rearrangement by FISH"), str("not detected")), "not-found"},
		{"the Philadelphia chromosome", "imatinib", "BCR::ABL1 (Philadelphia chromosome)", tumourObservation(text("Karyotype"), str("t(9;22) detected")), "found"},
		{"exon 19 deletion in words", "osimertinib", "EGFR exon 19 deletion", tumourObservation(text("EGFR exon 19 deletion"), str("detected")), "found"},
		{"exon 19 deletion as HGVS", "osimertinib", "EGFR exon 19 deletion", tumourObservation(text("EGFR"), str("p.Glu746_Ala750del detected")), "found"},
		{"deletion of 17p", "venetoclax", "deletion of 17p (TP53)", tumourObservation(text("FISH panel: del(17p)"), str("positive")), "found"},
		{"FLT3 ITD", "quizartinib", "FLT3 internal tandem duplication", tumourObservation(text("FLT3-ITD"), str("positive")), "found"},
		{"nothing about it", "quizartinib", "FLT3 internal tandem duplication", tumourObservation(text("Haemoglobin"), str("normal")), "not-tested"},
	} {
		t.Run(test.name, func(t *testing.T) {
			order := order("mr1", `"medicationCodeableConcept":{"text":"`+test.drug+`"}`)
			body := call([]string{order}, "[]", nil)
			request := `{"hook":"order-select","hookInstance":"d1577c69-dfbe-44ad-ba6d-3e05e953b2ea","context":` + string(body.Context) + `,"prefetch":{"genomics":` + bundle(test.observation) + `}}`
			_, answer := biomarkers(t, config(t), []byte(request))
			root := node(t, string(answer))
			cards := root.List("cards")
			if len(cards) != 1 {
				t.Fatalf("%d cards: %s", len(cards), answer)
			}
			if got := standingOf(&cards[0], test.row); got != test.want {
				t.Errorf("%s stands as %q, want %q\n%s", test.row, got, test.want, cards[0].Str("detail"))
			}
		})
	}
}

// standingOf finds how a row of a card stands, by what it asks for.
func standingOf(card *resource.Node, asks string) string {
	rows := card.Path("extension", evidenceMember).List("rows")
	for i := range rows {
		if rows[i].Str("asks") == asks {
			return rows[i].Str("standing")
		}
	}
	return ""
}
