package search_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// TestClaims: each modifier and prefix that a parameter of any type is said to
// take, it takes; and no other.
func TestClaims(t *testing.T) {
	r, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	values := map[search.Type]string{
		search.TypeToken: "a", search.TypeString: "a", search.TypeReference: "a", search.TypeURI: "http://e.org/a",
		search.TypeDate: "2020", search.TypeSpecial: "1|1|1|km", search.TypeComposite: "a$a", search.TypeNumber: "1", search.TypeQuantity: "1",
	}
	modified := map[string]string{"missing": "true", "of-type": "http://e.org|MR|1", "identifier": "http://e.org|1"}
	all := []string{"missing", "exact", "contains", "text", "not", "in", "not-in", "above", "below", "of-type", "identifier"}
	for _, typ := range resource.Types() {
		for _, p := range r.Params(typ) {
			claimed := "," + strings.Join(p.Modifiers(), ",") + ","
			for _, modifier := range all {
				value := values[p.Type]
				if other := modified[modifier]; other != "" {
					value = other
				}
				_, err := r.Parse([]string{typ}, p.Name+":"+modifier+"="+url.QueryEscape(value), search.ParseOptions{})
				refused := err != nil && strings.Contains(err.Error(), "modifier")
				if claims := strings.Contains(claimed, ","+modifier+","); claims == refused {
					t.Errorf("%s.%s:%s: said to be taken: %v; %v", typ, p.Name, modifier, claims, err)
				}
			}
			for _, prefix := range p.Type.Prefixes() {
				if _, err := r.Parse([]string{typ}, p.Name+"="+prefix+values[p.Type], search.ParseOptions{}); err != nil {
					t.Errorf("%s.%s=%s: %v", typ, p.Name, prefix, err)
				}
			}
		}
	}
}
