package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/internal/golden"
)

// TestAdviceSettings checks that a site's settings reach the cards, and that
// names nobody knows stop the start.
func TestAdviceSettings(t *testing.T) {
	order, err := os.ReadFile(filepath.Join(golden.Root(t), "examples", "order-select", "jonas-ehr-clopidogrel-prefetch.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, `"indicator":"warning"`},
		{[]string{"--severity", "clopidogrel=critical"}, `"indicator":"critical"`},
		{[]string{"--off-drug", "clopidogrel"}, `"cards":[]`},
		{[]string{"--off-gene", "CYP2C19"}, `"cards":[]`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			server := serve(t, test.args...)
			code, _, body := server.do(http.MethodPost, "/cds-services/pgx-order-select", string(order), "Content-Type", "application/json")
			if code != http.StatusOK || !strings.Contains(body, test.want) {
				t.Errorf("%d, want %s in\n%s", code, test.want, body)
			}
		})
	}
	r := starling(t, "serve", "--insecure-no-auth", "--listen", "127.0.0.1:0", "--store", t.TempDir(), "--off-gene", "CYP2D7")
	if r.code != exitUsage || !strings.Contains(r.stderr, `"CYP2D7" is not the symbol of a gene`) {
		t.Errorf("exit code %d, want %d:\n%s", r.code, exitUsage, r.stderr)
	}
}
