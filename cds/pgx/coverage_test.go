package pgx

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/internal/golden"
)

// TestReferenceDrugs holds docs/reference/drugs.md to what the knowledge files
// say. go test ./cds/pgx -run ReferenceDrugs -update rewrites it.
func TestReferenceDrugs(t *testing.T) {
	k, err := Load(Files())
	if err != nil {
		t.Fatal(err)
	}
	c := k.Coverage()
	var page bytes.Buffer
	fmt.Fprintf(&page, "# Drugs and genes\n\nMade from `cds/pgx/knowledge` by `go test ./cds/pgx -run ReferenceDrugs -update`.\n\n")
	fmt.Fprintf(&page, "%d drugs with %d rules of %d guidelines; %d products. Knowledge of %s.\n\n", len(c.Drugs), c.Rules, c.Guidelines, c.Products, k.Version)
	page.WriteString("| drug | RxNorm | genes | populations | rules | products | test first |\n|---|---|---|---|---|---|---|\n")
	for _, d := range c.Drugs {
		test := ""
		if d.Pretest {
			test = "yes"
		}
		fmt.Fprintf(&page, "| [%s](%s) | %s | %s | %s | %d | %d | %s |\n", d.Name, d.URL, d.RxCUI,
			strings.Join(d.Genes, ", "), strings.Join(d.Populations, "; "), d.Rules, d.Products, test)
	}
	fmt.Fprintf(&page, "\nKnown by their ingredient code only, because the product table has none of theirs: %s.\n", strings.Join(c.WithoutProducts, ", "))
	page.WriteString("\n## Genes\n\n| gene | HGNC |\n|---|---|\n")
	for _, g := range k.Genes() {
		fmt.Fprintf(&page, "| %s | %s |\n", g.Symbol, g.HGNC)
	}
	golden.Text(t, filepath.Join("..", "..", "docs", "reference", "drugs.md"), page.Bytes())
}
