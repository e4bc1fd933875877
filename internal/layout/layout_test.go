package layout

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/starling-fhir/starling/internal/golden"
)

// TestTree holds the tree of this repository against its rules.
func TestTree(t *testing.T) {
	breaches, err := Ours().Check(os.DirFS(golden.Root(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, breach := range breaches {
		t.Error(breach)
	}
}

// TestModule keeps the module's name in the rules true: with another one no
// import of our own would be checked.
func TestModule(t *testing.T) {
	mod, err := os.ReadFile(golden.Root(t) + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	if want := "module " + Ours().Module; first != want {
		t.Errorf("go.mod starts with %q, the rules say %q", first, want)
	}
}

// TestBreaches shows that each kind of breach is found, on trees broken on
// purpose.
func TestBreaches(t *testing.T) {
	rules := Rules{
		Module: "example.org/bird",
		Packages: []Package{
			{Path: "cmd/bird", Anything: true},
			{Path: "song"},
			{Path: "nest", Imports: []string{"song"}, Tests: []string{"egg"}},
			{Path: "egg"},
			{Path: "internal/golden"},
		},
		Fences: []Fence{
			{Import: "example.com/heavy", In: []string{"nest"}, Tests: []string{"egg"}, Why: "heavy stays in the nest"},
			{Import: "log", Exact: true, Why: "log/slog is the log"},
		},
		TopLevel: []string{"go.mod", "*.test"},
	}
	const generator = "//go:build ignore\n\npackage main\n"
	tests := []struct {
		name string
		file string
		code string
		want string // the breach; "" if the file is fine
	}{
		{"a row's import", "nest/a.go", `import "example.org/bird/song"`, ""},
		{"an import beside the row", "song/a.go", `import "example.org/bird/nest"`, `song/a.go: imports example.org/bird/nest: not in the row of song`},
		{"the module's root", "song/a.go", `import "example.org/bird"`, `song/a.go: imports example.org/bird: not in the row of song`},
		{"a package without a row", "util/a.go", ``, `util/a.go: util has no row in the table of packages`},
		{"a folder below a row", "nest/twig/a.go", ``, `nest/twig/a.go: nest/twig has no row in the table of packages`},
		{"the program", "cmd/bird/a.go", `import "example.org/bird/nest"`, ""},
		{"a test's import", "nest/a_test.go", `import "example.org/bird/egg"`, ""},
		{"a test's import in other code", "nest/a.go", `import "example.org/bird/egg"`, `nest/a.go: imports example.org/bird/egg: not in the row of nest`},
		{"a test of the package from outside", "nest/a_test.go", `import "example.org/bird/nest"`, ""},
		{"the test helper in other code", "nest/a.go", `import "example.org/bird/internal/golden"`, `nest/a.go: imports example.org/bird/internal/golden: not in the row of nest`},
		{"a heavy dependency at home", "nest/a.go", `import "example.com/heavy/part"`, ""},
		{"a heavy dependency outside", "song/a.go", `import "example.com/heavy"`, `song/a.go: imports example.com/heavy: heavy stays in the nest`},
		{"a heavy dependency in a test", "egg/a_test.go", `import "example.com/heavy"`, ""},
		{"a heavy dependency in another test", "song/a_test.go", `import "example.com/heavy"`, `song/a_test.go: imports example.com/heavy: heavy stays in the nest`},
		{"a longer name", "song/a.go", `import "example.com/heavyweight"`, ""},
		{"the old log", "song/a.go", `import "log"`, `song/a.go: imports log: log/slog is the log`},
		{"the new log", "song/a.go", `import "log/slog"`, ""},
		{"C", "song/a.go", `import "C"`, `song/a.go: imports C: the binary is static: no C`},
		{"a file for another system", "song/a_windows.go", `import "example.org/bird/nest"`, `song/a_windows.go: imports example.org/bird/nest: not in the row of song`},
		{"test data", "nest/testdata/a.go", `import "example.org/bird/egg"`, ""},
		{"a generator", "nest/data/generate.go", generator, ""},
		{"an unknown top-level entry", "misc.txt", ``, `misc.txt: not an entry the root folder may have`},
		{"a known top-level entry", "go.mod", ``, ""},
		{"a pattern of entries", "nest.test", ``, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := test.code
			if strings.HasSuffix(test.file, ".go") && test.code != generator {
				data = "package x\n" + test.code + "\n"
			}
			got, err := rules.Check(fstest.MapFS{test.file: {Data: []byte(data)}})
			if err != nil {
				t.Fatal(err)
			}
			got = slices.DeleteFunc(got, func(s string) bool { return s == "util: not an entry the root folder may have" })
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTable shows that a table that contradicts itself is refused.
func TestTable(t *testing.T) {
	rules := Rules{Packages: []Package{
		{Path: "a", Imports: []string{"b"}},
		{Path: "b", Imports: []string{"a", "gone"}},
	}}
	got, err := rules.Check(fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a: its row leads back to itself",
		"b: its row names gone, which has no row",
		"b: its row leads back to itself",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("breaches (-want +got):\n%s", diff)
	}
}
