package pgx

import "testing"

// Rule 3: HLA status is per allele.
func TestRule03HLAStatusIsPerAllele(t *testing.T) {
	k := knowledge(t)
	for _, test := range []struct {
		name   string
		gene   string
		values []string // one report each
		state  State
		want   map[string]AlleleStatus
	}{
		{"one allele tested", "HLA-B", []string{"HLA-B*57:01 negative"}, Known, map[string]AlleleStatus{"*57:01": AlleleNegative, "*15:02": AlleleNoResult, "*58:01": AlleleNoResult}},
		{"fully typed", "HLA-B", []string{"B*15:02:01/B*40:01"}, Known, map[string]AlleleStatus{"*57:01": AlleleNegative, "*15:02": AllelePositive, "*58:01": AlleleNegative}},
		{"half typed", "HLA-B", []string{"HLA-B*40:01"}, NoResult, map[string]AlleleStatus{"*57:01": AlleleNoResult, "*15:02": AlleleNoResult}},
		{"one of two in low resolution", "HLA-B", []string{"B*57/B*40:01"}, Indeterminate, map[string]AlleleStatus{"*57:01": AlleleIndeterminate, "*15:02": AlleleNoResult}},
		{"low resolution", "HLA-B", []string{"B*57"}, Indeterminate, map[string]AlleleStatus{"*57:01": AlleleIndeterminate, "*58:01": AlleleNoResult}},
		{"low resolution, negative", "HLA-B", []string{"B*57 negative"}, Indeterminate, map[string]AlleleStatus{"*57:01": AlleleIndeterminate}},
		{"not expressed", "HLA-A", []string{"A*31:01:02N/A*02:01"}, Known, map[string]AlleleStatus{"*31:01": AlleleNegative}},
		{"questionable", "HLA-A", []string{"A*31:01Q/A*02:01"}, Indeterminate, map[string]AlleleStatus{"*31:01": AlleleIndeterminate}},
		{"group", "HLA-B", []string{"hla#3.23.0#HLA-B*15:01:01G+HLA-B*57:01:01G"}, Known, map[string]AlleleStatus{"*57:01": AllelePositive, "*15:02": AlleleNegative}},
		{"two reports of two alleles", "HLA-B", []string{"HLA-B*57:01 negative", "HLA-B*58:01 positive"}, Known, map[string]AlleleStatus{"*57:01": AlleleNegative, "*58:01": AllelePositive, "*15:02": AlleleNoResult}},
		{"contradiction", "HLA-B", []string{"HLA-B*57:01 negative", "HLA-B*57:01 positive"}, Conflicting, map[string]AlleleStatus{"*57:01": AlleleConflicting}},
		{"coarse beside fine", "HLA-B", []string{"B*57", "HLA-B*57:01 negative"}, Known, map[string]AlleleStatus{"*57:01": AlleleNegative}},
		{"ambiguous GL string", "HLA-B", []string{"hla#3.23.0#HLA-B*15:01/HLA-B*15:02+HLA-B*07:02"}, Indeterminate, map[string]AlleleStatus{"*15:02": AlleleNoResult}},
	} {
		var reports []Report
		for _, v := range test.values {
			reports = append(reports, final(test.gene, v))
		}
		f := find(t, k, Patient{}, reports...)
		if f.State != test.state {
			t.Errorf("%s: state %s, want %s", test.name, stateNames[f.State], stateNames[test.state])
		}
		for allele, status := range test.want {
			if got := f.AlleleStatus(allele); got != status {
				t.Errorf("%s: %s is %d, want %d", test.name, allele, got, status)
			}
		}
	}
	// The name in a code, the result in words: the name alone is not a presence.
	for _, values := range [][]string{
		{"HLA-B*57:01", "Negative"}, {"HLA-B*57:01", "LA9634-2"}, {"HLA-B*57:01", "HLA-B*57:01 not detected"},
	} {
		if f := find(t, k, Patient{}, final("HLA-B", values...)); f.AlleleStatus("*57:01") != AlleleNegative {
			t.Errorf("%q: %d", values, f.AlleleStatus("*57:01"))
		}
	}
	f := find(t, k, Patient{}, with(final("HLA-B", "Positive"), func(r *Report) { r.Tested = []string{"HLA-B*58:01"} }))
	if f.AlleleStatus("*58:01") != AllelePositive || f.AlleleStatus("*57:01") != AlleleNoResult {
		t.Errorf("positive for the one allele tested: %+v", f)
	}
	// Two haplotype results of one day are a full typing.
	haplotype := func(value, id string) Report {
		return with(final("HLA-B", value), func(r *Report) { r.Kind, r.Reference = Haplotype, id })
	}
	f = find(t, k, Patient{}, haplotype("HLA-B*15:01:01G", "1"), haplotype("HLA-B*57:01:01G", "2"))
	if f.AlleleStatus("*57:01") != AllelePositive || f.AlleleStatus("*15:02") != AlleleNegative {
		t.Errorf("two haplotypes: %+v", f.Candidates)
	}
}

// TestRule03Serotypes: an antigen may stand for the risk allele and never
// excludes it.
func TestRule03Serotypes(t *testing.T) {
	k := knowledge(t)
	for _, test := range []struct {
		gene, value, allele string
		want                AlleleStatus
	}{
		{"HLA-B", "B75", "*15:02", AlleleIndeterminate},
		{"HLA-B", "HLA-B75", "*15:02", AlleleIndeterminate},
		{"HLA-B", "B15", "*15:02", AlleleIndeterminate},
		{"HLA-B", "B75/B40", "*15:02", AlleleIndeterminate},
		{"HLA-B", "B17/B40", "*57:01", AlleleIndeterminate},
		{"HLA-B", "B17/B40", "*58:01", AlleleIndeterminate},
		{"HLA-A", "A19/A24", "*31:01", AlleleIndeterminate},
		{"HLA-B", "B27/B44", "*57:01", AlleleNoResult},
		{"HLA-B", "B*75:01/B*40:01", "*15:02", AlleleNegative},
	} {
		f := find(t, k, Patient{}, final(test.gene, test.value))
		if got := f.AlleleStatus(test.allele); got != test.want {
			t.Errorf("%s %s: %s is %d, want %d; notes %q", test.gene, test.value, test.allele, got, test.want, f.Notes)
		}
	}
}
