package pgx

import "testing"

// TestIndicationCodes holds the code sets against cases a reviewer is sure of.
func TestIndicationCodes(t *testing.T) {
	const sct, icd10, cm = "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm"
	for _, test := range []struct {
		set, system, code string
		want              bool
	}{
		{"acs", sct, "394659003", true},
		{"acs", sct, "401314000", true},
		{"acs", sct, "401303003", true},
		{"acs", sct, "22298006", true},
		{"acs", sct, "4557003", true},
		{"acs", cm, "I20.0", true},
		{"acs", cm, "I21.4", true},
		{"acs", icd10, "I22.9", true},
		{"acs", cm, "I24.9", true},
		{"acs", cm, "I20.9", false},
		{"acs", cm, "I25.2", false},
		{"acs", cm, "I24.1", false},
		{"acs", sct, "399211009", false},
		{"pci", sct, "415070008", true},
		{"pci", sct, "36969009", true},
		{"pci", cm, "Z95.5", true},
		{"pci", cm, "Z98.61", true},
		{"pci", cm, "Z95.1", false},
		{"neurovascular", sct, "230690007", true},
		{"neurovascular", sct, "266257000", true},
		{"neurovascular", sct, "422504002", true},
		{"neurovascular", cm, "I63.9", true},
		{"neurovascular", cm, "G45.9", true},
		{"neurovascular", cm, "I65.21", true},
		{"neurovascular", cm, "G45.4", false},
		{"stroke_or_tia", cm, "I63.9", true},
		{"stroke_or_tia", cm, "I61.9", true},
		{"stroke_or_tia", cm, "Z86.73", true},
		{"stroke_or_tia", cm, "I65.21", false},
		{"stroke_or_tia", cm, "G45.4", false},
		{"intracranial_haemorrhage", cm, "I61.9", true},
		{"intracranial_haemorrhage", cm, "Z86.79", false},
		{"liver_transplant", cm, "Z94.4", true},
		{"liver_transplant", sct, "18027006", true},
		{"liver_transplant", cm, "Z94.0", false},
		{"stem_cell_transplant", cm, "Z94.81", true},
		{"stem_cell_transplant", cm, "Z94.84", true},
		{"stem_cell_transplant", sct, "23719005", true},
		{"malignancy", cm, "C50.9", true},
		{"malignancy", cm, "D12.6", false},
		{"pregnancy", cm, "O09.90", true},
		{"pregnancy", cm, "Z3A.20", true},
	} {
		set := drugs(t).sets[test.set]
		if set == nil {
			t.Fatalf("no set %q", test.set)
		}
		if got := set.has([]Code{{System: test.system, Code: test.code}}); got != test.want {
			t.Errorf("%s has %s %s: %v", test.set, test.system, test.code, got)
		}
	}
}

// TestRule11CarotidStenosisIsNoStroke: prasugrel is ruled out by a stroke or
// TIA, not by a narrowed artery alone.
func TestRule11CarotidStenosisIsNoStroke(t *testing.T) {
	in := one(ordering(clopidogrelTablet, because("I21.4")))
	in.Patient.Conditions = []Coded{icd("I65.21")}
	says(t, advised(t, in, cyp2c19PM), "options: prasugrel or ticagrelor")
	in.Patient.Conditions = []Coded{icd("Z86.73")}
	a := advised(t, in, cyp2c19PM)
	says(t, a, "options: ticagrelor", "Prasugrel is left out of the options: prior stroke or TIA is recorded")
}
