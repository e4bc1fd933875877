package layout

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Rules is everything Check holds a tree against.
type Rules struct {
	Module   string
	Packages []Package
	Fences   []Fence
	TopLevel []string
}

// Ours returns the rules of this module.
func Ours() Rules {
	return Rules{
		Module:   "github.com/starling-fhir/starling",
		Packages: Packages(),
		Fences:   Fences(),
		TopLevel: TopLevel(),
	}
}

// Check returns every breach of the rules in a tree, one sentence each, in the
// order of the files. Folders called testdata and hidden ones are not read, nor
// are generators: files with the build constraint "ignore", which belong to no
// package.
func (r Rules) Check(tree fs.FS) ([]string, error) {
	breaches, err := r.checkTop(tree)
	if err != nil {
		return nil, err
	}
	breaches = append(breaches, r.checkTable()...)
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			base := entry.Name()
			if name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || name == "bin" || name == "data") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		found, err := r.checkFile(tree, name)
		breaches = append(breaches, found...)
		return err
	})
	return breaches, err
}

// checkTop compares the entries of the root folder with the table.
func (r Rules) checkTop(tree fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		return nil, err
	}
	var breaches []string
	for _, entry := range entries {
		known := slices.ContainsFunc(r.TopLevel, func(pattern string) bool {
			ok, err := path.Match(pattern, entry.Name())
			return ok && err == nil
		}) || slices.ContainsFunc(r.Packages, func(p Package) bool {
			first, _, _ := strings.Cut(p.Path, "/")
			return first == entry.Name()
		})
		if !known {
			breaches = append(breaches, fmt.Sprintf("%s: not an entry the root folder may have", entry.Name()))
		}
	}
	return breaches, nil
}

// checkTable finds mistakes in the table itself: an import of a package that
// has no row, and cycles.
func (r Rules) checkTable() []string {
	var breaches []string
	for _, p := range r.Packages {
		for _, name := range slices.Concat(p.Imports, p.Tests) {
			if _, ok := r.row(name); !ok {
				breaches = append(breaches, fmt.Sprintf("%s: its row names %s, which has no row", p.Path, name))
			}
		}
		if r.reaches(p.Path, p.Path, map[string]bool{}) {
			breaches = append(breaches, fmt.Sprintf("%s: its row leads back to itself", p.Path))
		}
	}
	return breaches
}

// reaches reports whether the rows lead from one package to another.
func (r Rules) reaches(from, to string, seen map[string]bool) bool {
	row, _ := r.row(from)
	for _, next := range row.Imports {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if r.reaches(next, to, seen) {
				return true
			}
		}
	}
	return false
}

func (r Rules) row(pkg string) (Package, bool) {
	i := slices.IndexFunc(r.Packages, func(p Package) bool { return p.Path == pkg })
	if i < 0 {
		return Package{}, false
	}
	return r.Packages[i], true
}

// checkFile checks the imports of one Go file.
func (r Rules) checkFile(tree fs.FS, name string) ([]string, error) {
	pkg := path.Dir(name)
	source, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(source, []byte("//go:build ignore\n")) {
		return nil, nil
	}
	row, ok := r.row(pkg)
	if !ok {
		return []string{fmt.Sprintf("%s: %s has no row in the table of packages", name, pkg)}, nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	test := strings.HasSuffix(name, "_test.go")
	var breaches []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if why := r.refuses(row, imported, test); why != "" {
			breaches = append(breaches, fmt.Sprintf("%s: imports %s: %s", name, imported, why))
		}
	}
	return breaches, nil
}

// refuses says why a package may not import something; "" if it may.
func (r Rules) refuses(row Package, imported string, test bool) string {
	if imported == "C" {
		return "the binary is static: no C"
	}
	if own, ok := strings.CutPrefix(imported+"/", r.Module+"/"); ok {
		own = strings.TrimSuffix(own, "/")
		allowed := row.Anything || slices.Contains(row.Imports, own) ||
			test && (own == row.Path || own == "internal/golden" || slices.Contains(row.Tests, own))
		if !allowed {
			return fmt.Sprintf("not in the row of %s", row.Path)
		}
		return ""
	}
	for _, fence := range r.Fences {
		below := !fence.Exact && strings.HasPrefix(imported, fence.Import+"/")
		if imported != fence.Import && !below {
			continue
		}
		if !slices.Contains(fence.In, row.Path) && !(test && slices.Contains(fence.Tests, row.Path)) {
			return fence.Why
		}
	}
	return ""
}
