package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
)

const metals = `{"resourceType":"CodeSystem","id":"metals","url":"http://e.org/metals","version":"2","status":"active","content":"complete",` +
	`"property":[{"code":"parent","type":"code"},{"code":"colour","type":"string"},{"code":"noble","type":"boolean"},{"code":"inactive","type":"boolean"}],"concept":[` +
	`{"code":"metal","concept":[{"code":"gold","display":"Gold","property":[{"code":"colour","valueString":"yellow"},{"code":"noble","valueBoolean":true}]},` +
	`{"code":"iron","display":"Iron","concept":[{"code":"steel","display":"Steel"}]}]},` +
	`{"code":"electrum","property":[{"code":"parent","valueCode":"gold"},{"code":"colour","valueString":"yellow"}]},` +
	`{"code":"tin","property":[{"code":"inactive","valueBoolean":true}]}]}`

// terminology stores code systems, and an Observation for each code.
func (a *api) terminology() {
	a.tb.Helper()
	a.must("PUT", "/CodeSystem/metals", metals)
	a.must("PUT", "/CodeSystem/parts", `{"resourceType":"CodeSystem","id":"parts","url":"http://e.org/parts","status":"active","content":"complete","hierarchyMeaning":"part-of","concept":[{"code":"hand","concept":[{"code":"thumb"}]}]}`)
	a.must("PUT", "/CodeSystem/piece", `{"resourceType":"CodeSystem","id":"piece","url":"http://e.org/piece","status":"active","content":"fragment","concept":[{"code":"x"}]}`)
	for _, code := range []string{"metal", "gold", "iron", "steel", "electrum", "tin"} {
		a.must("PUT", "/Observation/"+code, observationOf("Patient/x", code, `"category":[{"coding":[{"system":"http://e.org/metals","code":"`+code+`"}]}]`))
	}
	a.must("PUT", "/Observation/alien", observationOf("Patient/x", "alien", `"category":[{"coding":[{"system":"http://e.org/metals","code":"unheard-of"}]}]`))
}

// valueSetOf makes a ValueSet whose members stand in one text.
func valueSetOf(id, members string) string {
	return `{"resourceType":"ValueSet","id":"` + id + `","url":"http://e.org/vs/` + id + `","status":"active",` + members + `}`
}

func TestValueSets(t *testing.T) {
	const system = `"system":"http://e.org/metals"`
	all := []string{"alien", "electrum", "gold", "iron", "metal", "steel", "tin"}
	for _, test := range []struct {
		name, members string
		want          []string // none: refused
		says          string
	}{
		{"listed codes", `"compose":{"include":[{` + system + `,"concept":[{"code":"gold"},{"code":"iron"}]}]}`, []string{"gold", "iron"}, ""},
		{"a whole system, its unknown codes too", `"compose":{"include":[{` + system + `}]}`, all, ""},
		{"what a filter lets pass: is-a", `"compose":{"include":[{` + system + `,"filter":[{"property":"concept","op":"is-a","value":"iron"}]}]}`, []string{"iron", "steel"}, ""},
		{"descendent-of", `"compose":{"include":[{` + system + `,"filter":[{"property":"concept","op":"descendent-of","value":"metal"}]}]}`, []string{"electrum", "gold", "iron", "steel"}, ""},
		{"is-not-a", `"compose":{"include":[{` + system + `,"filter":[{"property":"concept","op":"is-not-a","value":"metal"}]}]}`, []string{"tin"}, ""},
		{"generalizes", `"compose":{"include":[{` + system + `,"filter":[{"property":"concept","op":"generalizes","value":"steel"}]}]}`, []string{"iron", "metal", "steel"}, ""},
		{"in", `"compose":{"include":[{` + system + `,"filter":[{"property":"code","op":"in","value":"tin, gold"}]}]}`, []string{"gold", "tin"}, ""},
		{"equal", `"compose":{"include":[{` + system + `,"filter":[{"property":"colour","op":"=","value":"yellow"}]}]}`, []string{"electrum", "gold"}, ""},
		{"exists", `"compose":{"include":[{` + system + `,"filter":[{"property":"noble","op":"exists","value":"true"}]}]}`, []string{"gold"}, ""},
		{"a regular expression, all of it", `"compose":{"include":[{` + system + `,"filter":[{"property":"display","op":"regex","value":"St.*|Go"}]}]}`, []string{"steel"}, ""},
		{"several filters", `"compose":{"include":[{` + system + `,"filter":[{"property":"concept","op":"is-a","value":"metal"},{"property":"colour","op":"=","value":"yellow"}]}]}`, []string{"electrum", "gold"}, ""},
		{"without what is excluded", `"compose":{"include":[{` + system + `,"concept":[{"code":"gold"},{"code":"iron"}]}],"exclude":[{` + system + `,"concept":[{"code":"iron"}]}]}`, []string{"gold"}, ""},
		{"a system without a code", `"compose":{"include":[{` + system + `}],"exclude":[{` + system + `,"filter":[{"property":"concept","op":"is-a","value":"metal"}]}]}`, []string{"tin"}, ""},
		{"of a version", `"compose":{"include":[{` + system + `,"version":"2","filter":[{"property":"concept","op":"is-a","value":"iron"}]}]}`, []string{"iron", "steel"}, ""},
		{"only what is active", `"compose":{"inactive":false,"include":[{` + system + `,"concept":[{"code":"tin"},{"code":"gold"}]}]}`, []string{"gold"}, ""},
		{"other value sets", `"compose":{"include":[{"valueSet":["http://e.org/vs/base"]}]}`, []string{"gold", "steel"}, ""},
		{"both a system and a value set", `"compose":{"include":[{` + system + `,"valueSet":["http://e.org/vs/base"],"concept":[{"code":"steel"},{"code":"tin"}]}]}`, []string{"steel"}, ""},
		{"its expansion", `"expansion":{"timestamp":"2026-01-01","contains":[{` + system + `,"code":"metal","abstract":true,"contains":[{` + system + `,"code":"tin"}]}]},"compose":{"include":[{` + system + `}]}`, []string{"tin"}, ""},
		{"its definition, where the expansion is a part", `"expansion":{"timestamp":"2026-01-01","total":9,"contains":[{` + system + `,"code":"tin"}]},"compose":{"include":[{` + system + `,"concept":[{"code":"gold"}]}]}`, []string{"gold"}, ""},
		{"a part of an expansion alone", `"expansion":{"timestamp":"2026-01-01","total":9,"contains":[{` + system + `,"code":"tin"}]}`, nil, "neither lists all of its codes"},
		{"a filter over what is not stored", `"compose":{"include":[{"system":"http://e.org/none","filter":[{"property":"concept","op":"is-a","value":"x"}]}]}`, nil, "is not stored here"},
		{"a filter over a fragment", `"compose":{"include":[{"system":"http://e.org/piece","filter":[{"property":"concept","op":"is-a","value":"x"}]}]}`, nil, "does not list all of its codes"},
		{"a hierarchy of parts", `"compose":{"include":[{"system":"http://e.org/parts","filter":[{"property":"concept","op":"is-a","value":"hand"}]}]}`, nil, "part-of, not is-a"},
		{"an unknown property", `"compose":{"include":[{` + system + `,"filter":[{"property":"weight","op":"=","value":"1"}]}]}`, nil, "does not define"},
		{"another version", `"compose":{"include":[{` + system + `,"version":"3","filter":[{"property":"concept","op":"is-a","value":"iron"}]}]}`, nil, "is not stored here"},
		{"a code that is not in the system", `"compose":{"include":[{` + system + `,"filter":[{"property":"concept","op":"is-a","value":"gas"}]}]}`, nil, "has no code"},
		{"a circle", `"compose":{"include":[{"valueSet":["http://e.org/vs/tested"]}]}`, nil, "is made of itself"},
		{"a date in the past", `"compose":{"lockedDate":"2020-01-01","include":[{` + system + `}]}`, nil, "locked to a date"},
		{"nothing", `"name":"N"`, nil, "neither lists all of its codes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.terminology()
			a.must("PUT", "/ValueSet/base", valueSetOf("base", `"compose":{"include":[{`+system+`,"concept":[{"code":"gold"},{"code":"steel"}]}]}`))
			a.must("PUT", "/ValueSet/tested", valueSetOf("tested", test.members))
			for _, name := range []string{"http://e.org/vs/tested", "ValueSet/tested", testBase + "/ValueSet/tested"} {
				in, notIn := "/Observation?_sort=_id&category:in="+url.QueryEscape(name), "/Observation?_sort=_id&category:not-in="+url.QueryEscape(name)
				if test.want == nil {
					if rec := a.do(call{method: "GET", path: in}); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), test.says) {
						t.Errorf("%s: status %d: %s", name, rec.Code, rec.Body)
					}
					continue
				}
				if got := ids(a.shown(call{"GET", in, nil, ""})); !slices.Equal(got, test.want) {
					t.Errorf("in %s: %v, want %v", name, got, test.want)
				}
				rest := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return slices.Contains(test.want, id) })
				if got := ids(a.shown(call{"GET", notIn, nil, ""})); !slices.Equal(got, rest) {
					t.Errorf("not in %s: %v, want %v", name, got, rest)
				}
			}
		})
	}
}

// TestOwnValueSets: those of R4 that list their codes need not be stored; one that
// is stored counts instead.
func TestOwnValueSets(t *testing.T) {
	a := newAPI(t)
	a.seed()
	const set = "http://hl7.org/fhir/ValueSet/observation-status"
	if got := a.shown(call{"GET", "/Observation?status:in=" + set, nil, ""}); len(got.Entry) != 2 {
		t.Errorf("%d found", len(got.Entry))
	}
	a.must("PUT", "/ValueSet/own", `{"resourceType":"ValueSet","id":"own","url":"`+set+`","status":"active","compose":{"include":[{"system":"http://hl7.org/fhir/observation-status","concept":[{"code":"amended"}]}]}}`)
	if got := a.shown(call{"GET", "/Observation?status:in=" + set, nil, ""}); len(got.Entry) != 0 {
		t.Errorf("%d found by the stored value set", len(got.Entry))
	}
	rec := a.do(call{method: "GET", path: "/Observation?status:in=http://e.org/none"})
	if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "there is no value set") {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

// TestVersionsOfValueSets: the newest counts unless one is named.
func TestVersionsOfValueSets(t *testing.T) {
	a := newAPI(t)
	a.terminology()
	for i, version := range []string{"1.10", "1.9", "1"} {
		code := []string{"gold", "iron", "tin"}[i]
		a.must("PUT", fmt.Sprintf("/ValueSet/v%d", i), fmt.Sprintf(`{"resourceType":"ValueSet","id":"v%d","url":"http://e.org/vs/v","version":%q,"status":"active","compose":{"include":[{"system":"http://e.org/metals","concept":[{"code":%q}]}]}}`, i, version, code))
	}
	for name, want := range map[string]string{"http://e.org/vs/v": "gold", "http://e.org/vs/v|1.9": "iron", "http://e.org/vs/v|1": "tin"} {
		if got := ids(a.shown(call{"GET", "/Observation?category:in=" + url.QueryEscape(strings.ReplaceAll(name, "|", `\|`)), nil, ""})); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
	a.must("PUT", "/ValueSet/twin", `{"resourceType":"ValueSet","id":"twin","url":"http://e.org/vs/v","version":"1.10","status":"active"}`)
	if rec := a.do(call{method: "GET", path: "/Observation?category:in=http://e.org/vs/v"}); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "the same version") {
		t.Errorf("two of one version: status %d: %s", rec.Code, rec.Body)
	}
}

func TestSubsumption(t *testing.T) {
	a := newAPI(t)
	a.terminology()
	for query, want := range map[string][]string{
		"category:below=http://e.org/metals|iron":     {"iron", "steel"},
		"category:above=http://e.org/metals|steel":    {"iron", "metal", "steel"},
		"category:above=http://e.org/metals|electrum": {"electrum", "gold", "metal"},
		"category:below=http://e.org/metals|metal":    {"electrum", "gold", "iron", "metal", "steel"},
	} {
		if got := ids(a.shown(call{"GET", "/Observation?_sort=_id&" + query, nil, ""})); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for query, says := range map[string]string{
		"category:below=http://e.org/none|x":     "is not stored here",
		"category:below=http://e.org/parts|hand": "part-of, not is-a",
		"category:below=http://e.org/metals|gas": "has no code",
	} {
		if rec := a.do(call{method: "GET", path: "/Observation?" + query}); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), says) {
			t.Errorf("%s: status %d: %s", query, rec.Code, rec.Body)
		}
	}
}

func TestLists(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	a.must("PUT", "/List/l", `{"resourceType":"List","id":"l","status":"current","mode":"changes","entry":[{"item":{"reference":"Observation/a1"}},{"deleted":true,"item":{"reference":"Observation/a2"}},`+
		`{"item":{"reference":"`+testBase+`/Observation/b1"}},{"item":{"reference":"Patient/ada"}},{"item":{"display":"somebody"}},{"item":{"reference":"http://elsewhere.example/Observation/a2"}}]}`)
	a.must("PUT", "/Group/g", `{"resourceType":"Group","id":"g","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/ada"}},{"entity":{"reference":"Patient/bea"},"inactive":true}]}`)
	for query, want := range map[string][]string{
		"/Observation?_list=l":               {"Observation/a1", "Observation/b1"},
		"/Observation?_list=List/l&code=1-8": {"Observation/a1", "Observation/b1"},
		"/Patient?_list=l":                   {"Patient/ada"},
		"/Patient?_list=Group/g":             {"Patient/ada"},
		"/Encounter?_list=l":                 nil,
		"?_list=l&_type=Observation,Patient": {"Observation/a1", "Observation/b1", "Patient/ada"},
	} {
		if got := a.shown(call{"GET", query, nil, ""}).of("match"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{"/Observation?_list=none", "/Observation?_list=$current-problems"} {
		if rec := a.do(call{method: "GET", path: query}); rec.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, rec.Code)
		}
	}
}

func TestHierarchies(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	for query, want := range map[string][]string{
		"organization:below=Organization/root": {"Patient/ada", "Patient/bea"},
		"organization:below=Organization/leaf": {"Patient/ada", "Patient/bea"},
		"organization:above=Organization/leaf": {"Patient/ada", "Patient/bea"},
		"organization:above=Organization/root": nil,
		"organization=Organization/root":       nil,
	} {
		if got := a.shown(call{"GET", "/Patient?" + query, nil, ""}).of("match"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	// A circle ends.
	a.must("PUT", "/Organization/root", `{"resourceType":"Organization","id":"root","name":"Root","partOf":{"reference":"Organization/leaf"}}`)
	if got := a.shown(call{"GET", "/Patient?organization:below=Organization/branch", nil, ""}); len(got.Entry) != 2 {
		t.Errorf("in a circle: %v", got.of("match"))
	}
	if rec := a.do(call{method: "GET", path: "/Observation?subject:below=Patient/ada"}); rec.Code != http.StatusBadRequest {
		t.Errorf("patients have no hierarchy: status %d", rec.Code)
	}
}

// TestLookupsOfOthers: what the caller cannot see is looked up as what is not
// there.
func TestLookupsOfOthers(t *testing.T) {
	limited := scoped(t, "patient/*.rs")
	a := newAPI(t, func(c *Config) {
		c.Authorize = func(c echo.Context) (search.Access, error) {
			if c.Request().Header.Get("Scopes") == "limited" {
				return limited, nil
			}
			return search.FullAccess(), nil
		}
	})
	a.hospital()
	a.must("PUT", "/List/hers", `{"resourceType":"List","id":"hers","status":"current","mode":"working","subject":{"reference":"Patient/bea"},"entry":[{"item":{"reference":"Observation/a1"}}]}`)
	a.must("PUT", "/List/mine", `{"resourceType":"List","id":"mine","status":"current","mode":"working","subject":{"reference":"Patient/ada"},"entry":[{"item":{"reference":"Observation/a1"}},{"item":{"reference":"Observation/b1"}}]}`)
	hidden := a.do(call{"GET", "/Observation?_list=hers", []string{"Scopes: limited"}, ""})
	absent := a.do(call{"GET", "/Observation?_list=none", []string{"Scopes: limited"}, ""})
	if hidden.Code != http.StatusBadRequest || strings.ReplaceAll(hidden.Body.String(), "hers", "none") != absent.Body.String() {
		t.Errorf("hidden: %s, absent: %s", hidden.Body, absent.Body)
	}
	if got := a.shown(call{"GET", "/Observation?_list=mine", []string{"Scopes: limited"}, ""}).of("match"); !slices.Equal(got, []string{"Observation/a1"}) {
		t.Errorf("the own list: %v", got)
	}
}
