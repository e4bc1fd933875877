package pgx

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewPolicy(t *testing.T) {
	k := whole(t)
	got, err := k.NewPolicy([]string{"CYP2D6"}, []string{"abacavir"}, []string{"codeine=info", "clopidogrel-acs-pci-3=critical"})
	if err != nil {
		t.Fatal(err)
	}
	want := Policy{
		OffGenes: map[string]bool{"CYP2D6": true}, OffDrugs: map[string]bool{"abacavir": true},
		Severity: map[string]Indicator{"codeine": Info, "clopidogrel-acs-pci-3": Critical},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		genes, drugs, severity []string
		want                   string
	}{
		{genes: []string{"CYP2D7"}, want: `"CYP2D7" is not the symbol of a gene`},
		{genes: []string{"cyp2d6"}, want: `"cyp2d6" is not the symbol of a gene`},
		{drugs: []string{"Plavix"}, want: `"Plavix" is not the name of a drug`},
		{severity: []string{"codeine"}, want: "not a severity"},
		{severity: []string{"codeine=none"}, want: "not a severity"},
		{severity: []string{"coedine=info"}, want: `"coedine" is neither a drug nor a rule`},
	} {
		if _, err := k.NewPolicy(test.genes, test.drugs, test.severity); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v %v %v: error %v, want %q", test.genes, test.drugs, test.severity, err, test.want)
		}
	}
}
