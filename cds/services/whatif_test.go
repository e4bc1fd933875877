package services

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// folder answers queries with the resources of their type.
type folder struct {
	resources []string
	forbidden string // a type the caller may not read
	partly    string // a type of which there is more
}

func (f folder) Query(_ context.Context, patientID, query string) ([][]byte, bool, error) {
	typ, _, _ := strings.Cut(strings.ReplaceAll(query, "?", "/"), "/")
	if typ == f.forbidden {
		return nil, false, fhir.Errorf(fhir.Forbidden, "the token does not reach %s", typ)
	}
	var out [][]byte
	for _, text := range f.resources {
		if !strings.Contains(text, `"resourceType":"`+typ+`"`) {
			continue
		}
		if strings.HasPrefix(query, typ+"/") && !strings.Contains(text, `"id":"`+strings.TrimPrefix(query, typ+"/")+`"`) {
			continue
		}
		out = append(out, []byte(text))
	}
	if strings.HasPrefix(query, "Patient/") && len(out) == 0 {
		return nil, false, fhir.Errorf(fhir.NotFound, "there is no %s/%s", typ, patientID)
	}
	return out, typ != f.partly, nil
}

// labResult is a laboratory's final genotype.
func labResult(id, value, laboratory, date string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"84413-4"}]},"subject":{"reference":"Patient/p1"},` +
		`"effectiveDateTime":"` + date + `","performer":[{"display":"` + laboratory + `"}],"valueCodeableConcept":{"text":"` + value + `"}}`
}

func takes(id, code, name string) string {
	return `{"resourceType":"MedicationStatement","id":"` + id + `","status":"active","subject":{"reference":"Patient/p1"},"medicationCodeableConcept":{"coding":[{"system":"` + rxnorm + `","code":"` + code + `"}],"text":"` + name + `"}}`
}

const (
	somebody = `{"resourceType":"Patient","id":"p1","birthDate":"1960-05-04","name":[{"use":"official","given":["Ada"],"family":"Example"}]}`
	hostile  = `{"resourceType":"Patient","id":"p1","birthDate":"1960-05-04","name":[{"text":"<script>alert(1)</script> \"& Co\""}]}`
)

// rich is a patient with results of several genes, a problem, an allergy and a
// drug that inhibits.
func rich() folder {
	return folder{resources: []string{
		somebody,
		labResult("g1", "CYP2C19 *2/*2", "Example Laboratory", "2026-02-03"),
		labResult("g2", "CYP2D6 *1/*1", "Example Laboratory", "2026-02-03"),
		labResult("g3", "TPMT *1/*3A", "Example Laboratory", "2026-02-03"),
		labResult("g4", "HLA-B *57:01 positive", "Example Laboratory", "2025-11-30"),
		`{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/p1"},"clinicalStatus":{"coding":[{"code":"active"}]},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"I21.4"}],"text":"NSTEMI"}}`,
		`{"resourceType":"AllergyIntolerance","id":"a1","patient":{"reference":"Patient/p1"},"code":{"coding":[{"system":"` + rxnorm + `","code":"1116632"}],"text":"ticagrelor"}}`,
		takes("m1", "32937", "paroxetine"),
	}}
}

func conflicting() folder {
	return folder{resources: []string{
		somebody,
		labResult("g1", "CYP2C19 *2/*2", "Example Laboratory", "2026-02-03"),
		labResult("g2", "CYP2C19 *1/*1", "Other Laboratory", "2026-03-04"),
	}}
}

// perform calls an operation; the error is that of the call.
func perform(c Config, records Records, name, id string, parameters ...string) (*resource.Node, error) {
	in, err := resource.Decode([]byte(`{"resourceType":"Parameters","parameter":[` + strings.Join(parameters, ",") + `]}`))
	if err != nil {
		return nil, err
	}
	for _, op := range Operations(c) {
		if op.Name == name {
			return op.Handle(context.Background(), records, id, in)
		}
	}
	return nil, fmt.Errorf("no operation %s", name)
}

func says(name, value string) string {
	return fmt.Sprintf(`{"name":%q,"valueString":%q}`, name, value)
}

// sound checks an answer as the API checks what it is sent.
func sound(tb testing.TB, n *resource.Node) {
	tb.Helper()
	gate, err := resource.NewGate()
	if err != nil {
		tb.Fatal(err)
	}
	if err := gate.Check(n); err != nil {
		tb.Errorf("the answer is no valid resource: %v", err)
	}
}

func TestWhatIf(t *testing.T) {
	for _, test := range []struct {
		name       string
		records    folder
		parameters []string
	}{
		{"recorded", rich(), []string{says("drug", rxnorm+"|32968")}},
		{"another-genotype", rich(), []string{says("drug", "clopidogrel"), says("genotype", "CYP2C19 *1/*1")}},
		{"without-an-inhibitor", rich(), []string{says("drug", "codeine"), says("without", "paroxetine")}},
		{"with-an-inhibitor-and-a-dose", conflicting(), []string{says("drug", "codeine"), says("genotype", "CYP2D6 *1/*1"), says("with", "paroxetine"), says("dose", "60 mg")}},
		{"nothing-on-record", folder{resources: []string{somebody}}, []string{says("drug", "carbamazepine")}},
		{"contradicting-results", conflicting(), []string{says("drug", "clopidogrel"), says("drug", "citalopram")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := perform(config(t), test.records, "pgx-what-if", "p1", test.parameters...)
			if err != nil {
				t.Fatal(err)
			}
			sound(t, out)
			golden.JSON(t, "testdata/pgx-what-if/"+test.name+".json", out.JSON())
		})
	}
}

func TestWhatIfNamesTheParameterThatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name       string
		parameters []string
		want       string
	}{
		{"no drug", nil, "the parameter drug is missing"},
		{"a drug nobody knows", []string{says("drug", "nonsensium")}, `the parameter drug: "nonsensium" is not`},
		{"a drug of another vocabulary", []string{says("drug", "http://snomed.info/sct|108979001")}, "the parameter drug:"},
		{"a name that is not a parameter", []string{says("drug", "codeine"), says("genotypes", "CYP2D6 *1/*1")}, `"genotypes" is not a parameter`},
		{"a gene nobody knows", []string{says("drug", "codeine"), says("genotype", "BRCA1 *1/*1")}, "the parameter genotype:"},
		{"no genotype", []string{says("drug", "codeine"), says("genotype", "CYP2D6 whatever")}, "the parameter genotype:"},
		{"one allele", []string{says("drug", "codeine"), says("genotype", "CYP2D6 *4")}, "the parameter genotype:"},
		{"two genes", []string{says("drug", "codeine"), says("genotype", "CYP2D6 CYP2C19 *1/*1")}, "the parameter genotype:"},
		{"a gene twice", []string{says("drug", "codeine"), says("genotype", "CYP2D6 *1/*1"), says("genotype", "CYP2D6 *1/*4")}, "is the second one of CYP2D6"},
		{"a dose without unit", []string{says("drug", "codeine"), says("dose", "60")}, "the parameter dose"},
		{"no dose", []string{says("drug", "codeine"), says("dose", "0 mg")}, "the parameter dose"},
		{"a dose of two drugs", []string{says("drug", "codeine"), says("drug", "tramadol"), says("dose", "60 mg")}, "the parameter dose"},
		{"an inhibitor nobody knows", []string{says("drug", "codeine"), says("with", "nonsensium")}, "the parameter with:"},
		{"leaving out what nobody knows", []string{says("drug", "codeine"), says("without", "nonsensium")}, "the parameter without:"},
		{"another patient than the URL's", []string{says("drug", "codeine"), says("subject", "p2")}, "the parameter subject"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := perform(config(t), rich(), "pgx-what-if", "p1", test.parameters...)
			if fhir.KindOf(err) != fhir.Invalid || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("%v (kind %v), want %q", err, fhir.KindOf(err), test.want)
			}
		})
	}
}

// An allele that no table has leaves the gene without a meaning: it is not taken
// for a normal one.
func TestAssumingAnUnknownAlleleIsIndeterminate(t *testing.T) {
	out, err := perform(config(t), rich(), "pgx-what-if", "p1", says("drug", "codeine"), says("genotype", "CYP2D6 *1/*9999"))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(out.JSON()); !strings.Contains(text, `{"name":"state","valueCode":"indeterminate"}`) || !strings.Contains(text, "no genotype-based advice on codeine") {
		t.Error(text)
	}
}

func TestPersonalOperationsOnNobody(t *testing.T) {
	for name, parameters := range map[string][]string{"pgx-what-if": {says("drug", "codeine")}, "pgx-report": nil} {
		if _, err := perform(config(t), rich(), name, "p2", parameters...); fhir.KindOf(err) != fhir.NotFound {
			t.Errorf("%s: %v, want NotFound", name, err)
		}
	}
}

// What the caller may not see, or there is too much of, is not taken for nothing.
func TestWhatIfSaysWhatItCouldNotSee(t *testing.T) {
	for _, records := range []folder{{resources: []string{somebody}, forbidden: "Observation"}, {resources: []string{somebody}, partly: "Observation"}} {
		out, err := perform(config(t), records, "pgx-what-if", "p1", says("drug", "abacavir"))
		if err != nil {
			t.Fatal(err)
		}
		if text := string(out.JSON()); !strings.Contains(text, `"name":"missing"`) || !strings.Contains(text, `"valueCode":"incomplete-evidence"`) {
			t.Errorf("%+v: %s", records, text)
		}
	}
	blind := rich()
	blind.forbidden = "AllergyIntolerance"
	out, err := perform(config(t), blind, "pgx-what-if", "p1", says("drug", "clopidogrel"))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(out.JSON()); strings.Contains(text, "no-genotype-reason-against") || !strings.Contains(text, "could not be checked for allergies") {
		t.Errorf("an alternative is free of objections although allergies could not be read: %s", text)
	}
}

// essence is what an answer says of its drug, apart from where it comes from.
func essence(n *resource.Node) string {
	var b strings.Builder
	list := n.List("parameter")
	for i := range list {
		if list[i].Str("name") != "drug" {
			continue
		}
		for _, p := range list[i].List("part") {
			switch p.Str("name") {
			case "kind", "indicator", "summary", "silence", "row", "settles", "alternative":
				b.Write(append(p.JSON(), '\n'))
			}
		}
	}
	return b.String()
}

// To assume what is on record changes nothing.
func TestAssumingTheRecordedGenotypeChangesNothing(t *testing.T) {
	c := config(t)
	var drugs []string
	for _, d := range c.Knowledge.Coverage().Drugs {
		drugs = append(drugs, d.Name)
	}
	genotypes := map[string][]string{
		"CYP2C19": {"*1/*1", "*1/*2", "*2/*2", "*17/*17", "*1/*17"}, "CYP2D6": {"*1/*1", "*4/*4", "*1/*41", "*1x2/*1", "*1/*10"},
		"TPMT": {"*1/*1", "*1/*3A", "*3A/*3C"}, "NUDT15": {"*1/*1", "*1/*3", "*3/*3"}, "CYP2C9": {"*1/*1", "*2/*3", "*3/*3"}, "SLCO1B1": {"*1/*1", "*1/*5", "*5/*5"},
	}
	genes := []string{"CYP2C19", "CYP2C9", "CYP2D6", "NUDT15", "SLCO1B1", "TPMT"}
	rapid.Check(t, func(t *rapid.T) {
		records := folder{resources: []string{somebody}}
		var assumed []string
		for _, gene := range genes {
			if rapid.Bool().Draw(t, gene+" is on record") {
				value := gene + " " + rapid.SampledFrom(genotypes[gene]).Draw(t, gene)
				records.resources = append(records.resources, labResult("g-"+strings.ToLower(gene), value, "Example Laboratory", "2026-02-03"))
				assumed = append(assumed, says("genotype", value))
			}
		}
		drug := says("drug", rapid.SampledFrom(drugs).Draw(t, "drug"))
		answer := func(parameters ...string) string {
			out, err := perform(c, records, "pgx-what-if", "p1", parameters...)
			if err != nil {
				t.Fatal(err)
			}
			return essence(out)
		}
		if diff := cmp.Diff(answer(drug), answer(append(assumed, drug)...)); diff != "" {
			t.Errorf("%s", diff)
		}
	})
}

// An alternative without an objection was screened in full, and the better stand
// first.
func TestAlternativesAreRanked(t *testing.T) {
	c := config(t)
	f := &finder{config: c, genes: newGeneIndex(c.Knowledge.Genes())}
	p, err := f.personal(t.Context(), rich(), "p1")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, d := range c.Knowledge.Coverage().Drugs {
		in := p.input
		in.Orders = []pgx.Order{{Selected: true, Text: d.Name}}
		var advice *pgx.Advice
		if list, _ := c.Knowledge.Advise(in); len(list) > 0 {
			advice = &list[0]
		}
		last := pgx.NoGeneticReason
		for _, a := range c.Knowledge.Alternatives(in, advice) {
			seen++
			if a.Standing < last {
				t.Errorf("%s: %s stands behind worse ones", d.Name, a.Drug)
			}
			if a.Standing == pgx.NoGeneticReason && !a.Screened {
				t.Errorf("%s: %s was not screened", d.Name, a.Drug)
			}
			if a.Drug == d.Name {
				t.Errorf("%s is its own alternative", d.Name)
			}
			last = a.Standing
		}
	}
	if seen < 50 {
		t.Errorf("only %d alternatives", seen)
	}
}
