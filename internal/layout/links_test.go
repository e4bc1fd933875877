package layout

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/internal/golden"
)

// TestLinks follows the links of every page in the repository to files that
// must be there.
func TestLinks(t *testing.T) {
	root := golden.Root(t)
	links := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "data") {
			return fs.SkipDir
		}
		if path.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, target := range linkTargets(string(text)) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if links < 10 {
		t.Errorf("only %d links found: the pattern no longer fits", links)
	}
}

var (
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
)

// linkTargets returns the files that a page links to, without addresses on the
// web, anchors, and what stands in code.
func linkTargets(markdown string) []string {
	var targets []string
	for _, found := range link.FindAllStringSubmatch(fence.ReplaceAllString(markdown, ""), -1) {
		target, _, _ := strings.Cut(found[1], "#")
		if target != "" && !strings.Contains(target, ":") {
			targets = append(targets, target)
		}
	}
	return targets
}

// TestLinkTargets shows what counts as a link to a file.
func TestLinkTargets(t *testing.T) {
	got := linkTargets("[a](b.md#c) [d](https://x.example/e) [f](#g) `[h](i.md)`\n```\n[j](k.md)\n```\n[l](../m/)")
	if strings.Join(got, " ") != "b.md ../m/" {
		t.Errorf("got %q", got)
	}
}
