package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/internal/golden"
)

// TestExamples follows examples/README.md: it loads the patients, runs every
// curl line, and holds the table of cards to what the server answers. go test
// ./cmd/starling -run Examples -update rewrites the table.
func TestExamples(t *testing.T) {
	root := golden.Root(t)
	server := serve(t)
	if r := starling(t, "load", "--quiet", "--to", server.url+"/fhir", filepath.Join(root, "examples", "patients")); r.code != exitOK {
		t.Fatalf("load: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	readme := filepath.Join(root, "examples", "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("cards", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(root, "examples", "order-select", "*.json"))
		if err != nil || len(files) < 6 {
			t.Fatalf("found %d orders, %v", len(files), err)
		}
		var table strings.Builder
		table.WriteString("| order | card |\n|---|---|\n")
		for _, file := range files {
			order, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code, _, body := server.do(http.MethodPost, "/cds-services/pgx-order-select", string(order), "Content-Type", "application/json")
			var answer struct {
				Cards []struct{ Indicator, Summary string } `json:"cards"`
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
				t.Fatalf("%s: %d %v\n%s", filepath.Base(file), code, err, body)
			}
			said := "none: there is nothing to say"
			if len(answer.Cards) > 0 {
				said = fmt.Sprintf("%s: %s", answer.Cards[0].Indicator, strings.ReplaceAll(answer.Cards[0].Summary, "*", `\*`))
			}
			table.WriteString(fmt.Sprintf("| %s | %s |\n", filepath.Base(file), said))
		}
		now := regexp.MustCompile(`\| order \| card \|\n(\|.*\n)+`).ReplaceAllLiteral(text, []byte(table.String()))
		golden.Text(t, readme, now)
	})

	t.Run("curl lines", func(t *testing.T) {
		curl, err := exec.LookPath("curl")
		if err != nil {
			t.Skip("curl is not here")
		}
		lines := regexp.MustCompile(`(?m)^curl (.*)$`).FindAllStringSubmatch(string(text), -1)
		if len(lines) < 6 {
			t.Fatalf("found %d curl lines", len(lines))
		}
		for _, line := range lines {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", curl+" --fail-with-body --globoff "+strings.ReplaceAll(line[1], "http://localhost:8080", server.url))
			cmd.Dir = root
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s\n%v\n%s", line[0], err, out)
			}
		}
	})
}

// examplesDir returns a folder of the examples.
func examplesDir(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(golden.Root(t), "examples", name)
}

// readExample returns a file of the examples.
func readExample(t testing.TB, folder, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examplesDir(t, folder), name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
