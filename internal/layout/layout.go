// Package layout holds the rules of the tree: which packages there are, what
// each may import, and where heavy dependencies live. Only its test uses it.
//
// The rules are two tables, [Packages] and [Fences]. They are checked against
// the import lines of the source files, so a rule also holds for files that a
// build tag or another operating system leaves out.
package layout

// Package is one row: a package and what it may import from this module.
type Package struct {
	Path    string   // relative to the module's root
	For     string   // what it is for, in a few words
	Imports []string // packages of this module
	// Tests lists what its test files may import beside Imports. Every test
	// may import internal/golden and the package itself.
	Tests []string
	// Anything lifts the rule: only the program that wires everything has it.
	Anything bool
}

// Packages returns every package the tree may hold. Dependencies point one way:
// cmd -> features -> contracts -> fhir.
func Packages() []Package {
	return []Package{
		{Path: "cmd/starling", For: "the program: settings, wiring, subcommands", Anything: true},

		{Path: "fhir", For: "shared words: Key, Resource, Error, Kind"},
		{Path: "fhir/resource", For: "JSON tree, schema and gate", Imports: []string{"fhir"}},
		{
			Path: "fhir/search", For: "search URLs to queries, resources to index entries",
			Imports: []string{"fhir", "fhir/resource"},
			Tests:   []string{"fhir/store"},
		},
		{Path: "fhir/store", For: "the contract of a store", Imports: []string{"fhir", "fhir/search"}},
		{
			Path: "fhir/store/storetest", For: "tests every store must pass",
			Imports: []string{"fhir", "fhir/search", "fhir/store"},
			Tests:   []string{"fhir/resource"},
		},
		{
			Path: "fhir/store/embedded", For: "the default store: one folder",
			Imports: []string{"fhir", "fhir/search", "fhir/store"},
			Tests:   []string{"fhir/resource", "fhir/store/storetest"},
		},
		{
			Path: "fhir/store/mongo", For: "the MongoDB store",
			Imports: []string{"fhir", "fhir/search", "fhir/store"},
			Tests:   []string{"fhir/resource", "fhir/store/storetest", "fhir/store/mongo/mongotest"},
		},
		{Path: "fhir/store/mongo/mongotest", For: "databases for tests"},
		{
			Path: "fhir/rest", For: "the REST API",
			Imports: []string{"fhir", "fhir/resource", "fhir/search", "fhir/store"},
			Tests:   []string{"fhir/store/embedded", "fhir/store/mongo", "fhir/store/mongo/mongotest"},
		},
		{
			Path: "fhir/bulk", For: "export and import jobs",
			Imports: []string{"fhir", "fhir/resource", "fhir/search", "fhir/store"},
			Tests:   []string{"fhir/store/embedded"},
		},

		{Path: "cds", For: "the CDS Hooks protocol"},
		{
			Path: "cds/services", For: "decision-support services",
			Imports: []string{"fhir", "fhir/resource", "cds", "cds/oncology", "cds/pgx", "cds/pgx/vcf"},
		},
		{Path: "cds/pgx", For: "genotype to phenotype to advice, pure"},
		{Path: "cds/oncology", For: "tumour findings beside what labels ask for, pure", Imports: []string{"cds/pgx"}},
		{Path: "cds/pgx/vcf", For: "VCF files to variants", Imports: []string{"cds/pgx"}},

		{
			Path: "auth", For: "tokens and scopes to access", Imports: []string{"fhir", "fhir/search"},
			Tests: []string{"auth/authtest"},
		},
		{Path: "auth/authtest", For: "an OpenID issuer for tests"},
		{Path: "auth/audit", For: "audit events", Imports: []string{"fhir", "fhir/resource"}},
		{
			Path: "profiles", For: "profiles and their validator", Imports: []string{"fhir", "fhir/resource"},
			Tests: []string{"fhir/search", "cds", "cds/pgx", "cds/services"},
		},

		{Path: "examples", For: "the made-up patients of the demo, embedded"},

		{Path: "internal/golden", For: "test helpers: golden files"},
		{Path: "internal/layout", For: "these rules"},
	}
}

// Fence keeps a dependency at home: only the packages of In may import a path
// that starts with Import. Nobody may if In is empty.
type Fence struct {
	Import string
	// Exact leaves paths below Import alone.
	Exact bool
	In    []string
	// Tests lists packages whose test files may import it too.
	Tests []string
	Why   string
}

// Fences returns the fenced dependencies. They hold for test files as well.
func Fences() []Fence {
	return []Fence{
		{
			Import: "github.com/google/fhir", In: []string{"fhir/resource"},
			Why: "slow to build and it alters what it reads: the gate alone needs it",
		},
		{
			Import: "github.com/cockroachdb/pebble", In: []string{"fhir/store/embedded"},
			Why: "no error or type of a database may show above its store",
		},
		{
			Import: "go.mongodb.org", In: []string{"fhir/store/mongo", "fhir/store/mongo/mongotest"},
			Why: "no error or type of a database may show above its store",
		},
		{
			Import: "github.com/labstack/echo", In: []string{"fhir/rest", "cds", "auth", "cmd/starling"},
			Tests: []string{"cds/services"},
			Why:   "routing stays at the edge",
		},
		{
			Import: "net/http", In: []string{"fhir/rest", "cds", "auth", "auth/authtest", "cmd/starling"}, Tests: []string{"cds/services"},
			Why: "what is not at the edge does not know HTTP",
		},
		{
			Import: "github.com/gofhir/fhirpath", In: []string{"profiles"}, Tests: []string{"fhir/search"},
			Why: "search has its own extractor; this one is its test oracle",
		},
		{
			Import: "github.com/coreos/go-oidc", In: []string{"auth"},
			Why: "who a caller is, is decided in one place",
		},
		{
			Import: "github.com/go-jose", In: []string{"auth", "auth/authtest"}, Tests: []string{"cmd/starling"},
			Why: "who a caller is, is decided in one place",
		},
		{Import: "github.com/alecthomas/kong", In: []string{"cmd/starling"}, Why: "settings are read in one place"},
		{Import: "gopkg.in/yaml.v3", In: []string{"cmd/starling"}, Why: "settings are read in one place"},
		{Import: "github.com/prometheus", In: []string{"cmd/starling"}, Why: "packages report through hooks they declare"},
		{Import: "github.com/schollz/progressbar", In: []string{"cmd/starling"}, Why: "only commands talk to a terminal"},
		{Import: "golang.org/x/term", In: []string{"cmd/starling"}, Why: "only commands talk to a terminal"},
		{Import: "github.com/pkg/errors", Why: "the standard errors package wraps"},
		{Import: "log", Exact: true, Why: "log/slog is the log"},
	}
}

// TopLevel returns the entries the root folder may have beside the packages, as
// patterns of path.Match.
func TopLevel() []string {
	return []string{
		".ci", ".git", ".github", ".gitattributes", ".gitignore", ".dockerignore", ".editorconfig", ".golangci.yml",
		".cache", "bin", "data", "*.test", "*.prof", "coverage.out", // not committed
		"deploy", "docs", "examples", "web",
		"CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "Makefile", "README.md",
		"SECURITY.md", "SOURCES.md", "go.mod", "go.sum",
	}
}
