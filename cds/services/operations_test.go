package services

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// shelf answers every query with the same resources.
type shelf []string

func (s shelf) Query(_ context.Context, patientID, query string) ([][]byte, bool, error) {
	if query == "Patient/"+patientID && patientID != "p1" {
		return nil, false, fhir.Errorf(fhir.NotFound, "nobody")
	}
	out := [][]byte{[]byte(`{"resourceType":"Patient","id":"p1"}`)}
	if strings.HasPrefix(query, "Patient/") {
		return out, true, nil
	}
	for _, text := range s {
		out = append(out, []byte(text))
	}
	return out, true, nil
}

// ask calls an operation and writes its answer down in short: parameters with
// their parts, a resource by its id.
func ask(t *testing.T, name, parameters string, resources ...string) (string, error) {
	t.Helper()
	in, err := resource.Decode([]byte(`{"resourceType":"Parameters","parameter":[` + parameters + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range Operations(config(t)) {
		if op.Name != name {
			continue
		}
		out, err := op.Handle(t.Context(), shelf(resources), "", in)
		if err != nil {
			return "", err
		}
		var answer struct {
			Parameter []struct {
				Name     string
				Resource struct{ ID string }
				Part     []struct {
					Name         string
					ValueString  string
					ValueBoolean *bool
					Resource     struct{ ID string }
				}
			}
		}
		if err := json.Unmarshal(out.JSON(), &answer); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, p := range answer.Parameter {
			words := []string{p.Name}
			if p.Resource.ID != "" {
				words = append(words, p.Resource.ID)
			}
			for _, part := range p.Part {
				said := part.ValueString + part.Resource.ID
				if part.Name == "presence" {
					said = "unknown"
					if part.ValueBoolean != nil {
						said = fmt.Sprint(*part.ValueBoolean)
					}
				}
				words = append(words, part.Name+"="+said)
			}
			lines = append(lines, strings.Join(words, " "))
		}
		return strings.Join(lines, "\n"), nil
	}
	t.Fatalf("no operation %s", name)
	return "", nil
}

const subjectP1 = `{"name":"subject","valueString":"Patient/p1"}`

func asking(pairs ...string) string {
	list := []string{subjectP1}
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, `{"name":"`+pairs[i]+`","valueString":"`+pairs[i+1]+`"}`)
	}
	return strings.Join(list, ",")
}

func TestFindSubject(t *testing.T) {
	star2 := "81290-9=NC_000010.11:g.94781859G>A"
	region := studied("r1", "NC_000010.11", [][2]int{{94761000, 94790000}}, [][2]int{{94780600, 94780700}})
	genotype := `{"resourceType":"Observation","id":"g1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"84413-4"}]},"subject":{"reference":"Patient/p1"},` +
		`"effectiveDateTime":"2026-02-03","valueCodeableConcept":{"text":"CYP2C19 *1/*2"}}`
	hap := `{"resourceType":"Observation","id":"h2","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"84414-2"}]},"subject":{"reference":"Patient/p1"},` +
		`"effectiveDateTime":"2026-02-03","valueCodeableConcept":{"text":"CYP2C19 *2"}}`
	tx := `{"resourceType":"Observation","id":"t1","status":"final","code":{"coding":[{"system":"` + tbdCodes + `","code":"therapeutic-implication"}]},"subject":{"reference":"Patient/p1"},` +
		`"derivedFrom":[{"reference":"Observation/g1"}],"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"51963-7"}]},"valueCodeableConcept":{"coding":[{"system":"` + rxnorm + `","code":"32968","display":"clopidogrel"}]}}]}`
	het := observedVariant("v1", isPresent, heterozygousLA, star2)
	for _, test := range []struct {
		name, operation, parameters string
		resources                   []string
		want                        string
	}{
		{"a variant in a range", "find-subject-variants", asking("ranges", "NC_000010.11:94781858-94781859", "includeVariants", "true"), []string{het}, "variants rangeItem=NC_000010.11:94781858-94781859 presence=true variant=v1"},
		{"the range ends before it", "find-subject-variants", asking("ranges", "NC_000010.11:94781850-94781858"), []string{het, region}, "variants rangeItem=NC_000010.11:94781850-94781858 presence=false"},
		{"nobody looked there", "find-subject-variants", asking("ranges", "NC_000010.11:94781850-94781858"), []string{het}, "variants rangeItem=NC_000010.11:94781850-94781858 presence=unknown"},
		{"a part could not be called", "find-subject-variants", asking("ranges", "NC_000010.11:94780000-94781000"), []string{het, region}, "variants rangeItem=NC_000010.11:94780000-94781000 presence=unknown"},
		{"another genome", "find-subject-variants", asking("ranges", "NC_000010.10:94781858-94781859"), []string{het}, "variants rangeItem=NC_000010.10:94781858-94781859 presence=unknown"},
		{"two ranges in one value", "find-subject-variants", asking("ranges", "NC_000010.11:94781858-94781859,NC_000010.11:94761000-94761010"), []string{het, region}, "variants rangeItem=NC_000010.11:94781858-94781859 presence=true\nvariants rangeItem=NC_000010.11:94761000-94761010 presence=false"},
		{"a variant by its g. name", "find-subject-specific-variants", asking("variants", "NC_000010.11:g.94781859G>A"), []string{het}, "variants variantItem=NC_000010.11:g.94781859G>A presence=true variant=v1"},
		{"by SPDI", "find-subject-specific-variants", asking("variants", "NC_000010.11:94781858:G:A"), []string{het}, "variants variantItem=NC_000010.11:94781858:G:A presence=true variant=v1"},
		{"absent", "find-subject-specific-variants", asking("variants", "NC_000010.11:94781858:G:A"), []string{observedVariant("v1", isAbsent, star2)}, "variants variantItem=NC_000010.11:94781858:G:A presence=false"},
		{"not called", "find-subject-specific-variants", asking("variants", "NC_000010.11:94781858:G:A"), []string{observedVariant("v1", isNoCall, star2), region}, "variants variantItem=NC_000010.11:94781858:G:A presence=unknown"},
		{"never looked for", "find-subject-specific-variants", asking("variants", "NC_000010.11:94781858:G:A"), nil, "variants variantItem=NC_000010.11:94781858:G:A presence=unknown"},
		{"haplotypes of a gene", "find-subject-haplotypes", asking("genes", "HGNC:2621"), []string{genotype, hap}, "haplotypes geneItem=HGNC:2621 haplotype=h2 genotype=g1"},
		{"of a gene without results", "find-subject-haplotypes", asking("genes", "http://www.genenames.org|HGNC:2625"), []string{genotype}, "haplotypes geneItem=http://www.genenames.org|HGNC:2625"},
		{"an allele that is there", "find-subject-specific-haplotypes", asking("haplotypes", "CYP2C19*2"), []string{genotype}, "haplotypes haplotypeItem=CYP2C19*2 presence=true genotype=g1"},
		{"an allele that is not", "find-subject-specific-haplotypes", asking("haplotypes", "http://www.pharmvar.org|CYP2C19*3"), []string{genotype}, "haplotypes haplotypeItem=http://www.pharmvar.org|CYP2C19*3 presence=false"},
		{"an allele of a gene that was not tested", "find-subject-specific-haplotypes", asking("haplotypes", "CYP2D6*4"), []string{genotype}, "haplotypes haplotypeItem=CYP2D6*4 presence=unknown"},
		{"an allele beside one copy only", "find-subject-specific-haplotypes", asking("haplotypes", "CYP2C19*3"), []string{hap}, "haplotypes haplotypeItem=CYP2C19*3 presence=unknown"},
		{"implications", "find-subject-tx-implications", subjectP1, []string{genotype, tx}, "implication t1\ngenotype g1"},
		{"of a treatment", "find-subject-tx-implications", asking("treatments", rxnorm+"|32968"), []string{genotype, tx}, "implication t1\ngenotype g1"},
		{"of a treatment by name", "find-subject-tx-implications", asking("treatments", "Clopidogrel"), []string{genotype, tx}, "implication t1\ngenotype g1"},
		{"of another treatment", "find-subject-tx-implications", asking("treatments", "warfarin"), []string{genotype, tx}, ""},
		{"of a haplotype", "find-subject-tx-implications", asking("haplotypes", "CYP2C19*2"), []string{genotype, tx}, "implication t1\ngenotype g1"},
		{"of another haplotype", "find-subject-tx-implications", asking("haplotypes", "CYP2C19*3"), []string{genotype, tx}, ""},
		{"a date range that leaves it out", "find-subject-haplotypes", asking("genes", "HGNC:2621") + `,{"name":"testDateRange","valuePeriod":{"start":"2026-02-04"}}`, []string{genotype}, "haplotypes geneItem=HGNC:2621"},
		{"a date range that ends on its day", "find-subject-haplotypes", asking("genes", "HGNC:2621") + `,{"name":"testDateRange","valuePeriod":{"end":"2026-02-03"}}`, []string{genotype}, "haplotypes geneItem=HGNC:2621 genotype=g1"},
		{"a tumour's, asked for", "find-subject-variants", asking("ranges", "NC_000010.11:94781858-94781859", "genomicSourceClass", "LA6684-0", "includeVariants", "true"), []string{het, observedVariant("v2", isPresent, star2, "48002-0=LA6684-0")}, "variants rangeItem=NC_000010.11:94781858-94781859 presence=true variant=v2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ask(t, test.operation, test.parameters, test.resources...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestFindSubjectRefuses(t *testing.T) {
	for _, test := range []struct {
		name, operation, parameters, want string
		kind                              fhir.Kind
	}{
		{"no subject", "find-subject-haplotypes", `{"name":"genes","valueString":"HGNC:2621"}`, "subject is missing", fhir.Invalid},
		{"two subjects", "find-subject-haplotypes", subjectP1 + "," + subjectP1, "more than once", fhir.Invalid},
		{"another patient", "find-subject-haplotypes", `{"name":"subject","valueString":"p2"},{"name":"genes","valueString":"HGNC:2621"}`, "nobody", fhir.NotFound},
		{"no genes", "find-subject-haplotypes", subjectP1, "genes is missing", fhir.Invalid},
		{"no gene of ours", "find-subject-haplotypes", asking("genes", "BRCA1"), "no gene this server knows", fhir.Invalid},
		{"no range", "find-subject-variants", asking("ranges", "chr10:1-2"), "is no range", fhir.Invalid},
		{"a range turned round", "find-subject-variants", asking("ranges", "NC_000010.11:5-5"), "ends before it begins", fhir.Invalid},
		{"no variant", "find-subject-specific-variants", asking("variants", "rs"), "is no variant", fhir.Invalid},
		{"no haplotype", "find-subject-specific-haplotypes", asking("haplotypes", "*2"), "is no haplotype", fhir.Invalid},
		{"no class", "find-subject-variants", asking("ranges", "NC_000010.11:1-2", "genomicSourceClass", "x"), "genomicSourceClass is", fhir.Invalid},
		{"no boolean", "find-subject-variants", asking("ranges", "NC_000010.11:1-2", "includeVariants", "yes"), "true or false", fhir.Invalid},
		{"no period", "find-subject-variants", asking("testDateRange", "2026"), "is a Period", fhir.Invalid},
		{"a quantity", "find-subject-haplotypes", subjectP1 + `,{"name":"genes","valueQuantity":{"value":1}}`, "of type Quantity", fhir.Invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ask(t, test.operation, test.parameters)
			if fhir.KindOf(err) != test.kind || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
