package pgx_test

import (
	"fmt"
	"time"

	"github.com/starling-fhir/starling/cds/pgx"
)

// A duplication that the laboratory does not assign to an allele leaves two
// readings; both are kept.
func ExampleKnowledge_Find() {
	knowledge, err := pgx.Load(pgx.Files())
	if err != nil {
		fmt.Println(err)
		return
	}
	reports := []pgx.Report{{
		Reference: "Observation/cyp2d6", Gene: "CYP2D6", Kind: pgx.Genotype,
		Values: []string{"CYP2D6 (*1/*4)x2"}, Status: "final",
	}}
	now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	for _, finding := range knowledge.Find(reports, nil, pgx.Patient{}, now) {
		for _, c := range finding.Candidates {
			fmt.Println(c.Diplotype, c.Score, c.Phenotype)
		}
	}
	// Output:
	// *1x2/*4 2.0 Normal Metabolizer
	// *1/*4x2 1.0 Intermediate Metabolizer
}
