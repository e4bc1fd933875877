package auth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/internal/golden"
)

// TestTheDocumentedTypes checks the lists of types in docs/reference/access.md.
func TestTheDocumentedTypes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(golden.Root(t), "docs", "reference", "access.md"))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := testRegistry()
	if err != nil {
		t.Fatal(err)
	}
	class := func(typ string) string {
		access := registry.Access(search.Grant{Type: typ, Rights: search.CanRead | search.CanCreate, Patient: "p"})
		switch part := access.Scope(search.CanRead).Of(typ); {
		case part.Whole && access.Allow("create", typ) != nil:
			return "open"
		case len(part.Patients) == 1 && access.Allow("create", typ) == nil:
			return "compartment"
		case part.Guarded == search.InContext && access.Allow("create", typ) != nil:
			return "guarded"
		case registry.Params(typ) != nil && access.Allow("batch", "") != nil:
			return "closed"
		}
		return "unknown"
	}
	seen := make(map[string]bool)
	for _, name := range []string{"compartment", "open", "guarded", "closed"} {
		_, rest, found := strings.Cut(string(text), "<!-- types: "+name+" -->")
		list, _, ended := strings.Cut(rest, "<!-- end -->")
		if !found || !ended {
			t.Fatalf("the page has no list of types %q", name)
		}
		for typ := range strings.SplitSeq(strings.ReplaceAll(list, "\n", " "), ",") {
			typ = strings.TrimSpace(typ)
			if got := class(typ); got != name {
				t.Errorf("the page calls %s %s, it is %s", typ, name, got)
			}
			seen[typ] = true
		}
	}
	if len(seen) != 146 { // https://hl7.org/fhir/R4/resourcelist.html without the abstract ones
		t.Errorf("the page names %d types, want all 146", len(seen))
	}
}

// TestTheDocumentedChecks checks that the page names every check, in order.
func TestTheDocumentedChecks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(golden.Root(t), "docs", "reference", "access.md"))
	if err != nil {
		t.Fatal(err)
	}
	rest := string(text)
	for _, c := range checks() {
		_, after, found := strings.Cut(rest, "\n| `"+c.name+"` |")
		if !found {
			t.Fatalf("the check %s is missing, or not in its place", c.name)
		}
		rest = after
	}
}
