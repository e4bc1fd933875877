package search

import (
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
)

// TestEveryParameterIsCompiled counts the definitions: all but the exclusions
// are compiled for every type they are for, and no exclusion is.
func TestEveryParameterIsCompiled(t *testing.T) {
	r := testRegistry(t)
	rows, err := readRows()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1375 {
		t.Errorf("%d definitions, R4 has 1,375", len(rows))
	}
	excluded := 0
	for _, row := range rows {
		bases := row.base
		if slices.Contains(bases, "Resource") || slices.Contains(bases, "DomainResource") {
			bases = resource.Types()
		}
		if slices.Contains(row.base, "DomainResource") { // what these are not
			bases = slices.DeleteFunc(bases, func(typ string) bool { return typ == "Bundle" || typ == "Binary" || typ == "Parameters" })
		}
		reason, isExcluded := exclusions[row.url]
		if isExcluded {
			excluded++
			if len(reason) < 20 {
				t.Errorf("%s: the reason %q says little", row.url, reason)
			}
			if row.expression != "" && row.typ != string(TypeSpecial) {
				t.Errorf("%s is excluded though it has an expression", row.url)
			}
		}
		for _, base := range bases {
			p := r.types[base].byName[row.code]
			switch {
			case isExcluded && p != nil:
				t.Errorf("%s is an exclusion, and compiled for %s", row.url, base)
			case isExcluded:
			case p == nil || p.URL != row.url:
				t.Errorf("%s is not compiled for %s", row.url, base)
			case row.code != lastUpdatedParam && !textParams[row.url] && row.typ != string(TypeComposite) && len(p.types) == 0:
				t.Errorf("%s leads nowhere in %s", row.url, base)
			}
		}
	}
	if excluded != len(exclusions) {
		t.Errorf("%d of %d exclusions are definitions of R4", excluded, len(exclusions))
	}
}

// readableTypes lists the data types that each parameter type can read. A new
// combination needs code that makes its entries.
var readableTypes = map[Type]string{
	TypeNumber:    "decimal integer Range",
	TypeDate:      "date dateTime instant Period Timing",
	TypeString:    "string markdown HumanName HumanName.family Address",
	TypeToken:     "boolean code Coding CodeableConcept Identifier ContactPoint string uri id",
	TypeReference: "Reference Resource canonical uri",
	TypeQuantity:  "Quantity Age Duration Money Range SampledData",
	TypeURI:       "uri url canonical",
	TypeSpecial:   "Location.position",
}

// unreadableTypes are data types that definitions lead to and that say nothing
// a parameter of that type could compare; they give a presence entry.
var unreadableTypes = map[string]string{
	"date string":          "words such as \"last spring\"",
	"date Age":             "an age is no date without a birth date",
	"date Range":           "a range of ages is none either",
	"token Quantity":       "Group.value is a token; a characteristic's number has no code",
	"token Range":          "as token Quantity",
	"token Reference":      "as token Quantity",
	"reference Attachment": "Consent.source[x] as an attachment refers to no resource",
}

func TestEveryDataTypeIsRead(t *testing.T) {
	used := map[string]bool{}
	for typ, set := range testRegistry(t).types {
		for _, p := range set.params {
			params := []*Param{p}
			for _, c := range p.components {
				params = append(params, c.params...)
			}
			for _, p := range params {
				for _, dataType := range p.types {
					combination := string(p.Type) + " " + dataType
					used[combination] = true
					if !slices.Contains(strings.Fields(readableTypes[p.Type]), dataType) && unreadableTypes[combination] == "" {
						t.Errorf("%s.%s: no code makes %s entries of a %s", typ, p.Name, p.Type, dataType)
					}
				}
			}
		}
	}
	for combination, reason := range unreadableTypes {
		if !used[combination] {
			t.Errorf("nothing is read as %s any more: %s", combination, reason)
		}
	}
	for kind, list := range readableTypes {
		for dataType := range strings.FieldsSeq(list) {
			if !used[string(kind)+" "+dataType] {
				t.Errorf("no parameter reads a %s as %s", dataType, kind)
			}
		}
	}
}

// TestHash checks that the hash stays the same for the same definitions and
// changes with them.
func TestHash(t *testing.T) {
	first := testRegistry(t)
	second, err := NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	if first.Hash() != second.Hash() || len(first.Hash()) != 32 {
		t.Errorf("hashes %q and %q", first.Hash(), second.Hash())
	}
	second.types["Patient"].root.child("gender").wants(second.types["Patient"].byName["birthdate"], "date")
	if second.fingerprint() == first.Hash() {
		t.Error("another definition has the same hash")
	}
}

func TestParams(t *testing.T) {
	r := testRegistry(t)
	params := r.Params("Observation")
	if !slices.IsSortedFunc(params, func(a, b *Param) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the parameters are not sorted")
	}
	at := slices.IndexFunc(params, func(p *Param) bool { return p.Name == "code" })
	if at < 0 {
		t.Fatal("Observation has no code")
	}
	p := params[at]
	if p.Type != TypeToken || p.URL != "http://hl7.org/fhir/SearchParameter/clinical-code" ||
		p.Expression != "Observation.code" || p.Description != "The code of the observation type" {
		t.Errorf("%+v", *p)
	}
	if r.Params("Nothing") != nil {
		t.Error("an unknown type has parameters")
	}
	if common := r.Params(""); len(common) != 7 {
		t.Errorf("%d parameters are common to all types: %v", len(common), common)
	}
	for typ, targets := range map[string]string{"Observation": "Patient", "Appointment": "Patient"} {
		if got := strings.Join(r.types[typ].byName["patient"].Targets, " "); got != targets {
			t.Errorf("%s.patient points at %q, want %q", typ, got, targets)
		}
	}
}

// TestBrokenExpressions checks that a definition the compiler does not
// understand stops the start.
func TestBrokenExpressions(t *testing.T) {
	schema, err := resource.LoadSchema()
	if err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		"Patient.nothing":                  "no element",
		"Practitioner.name":                "no term",
		"Patient.name.where(use = use)":    "not a function",
		"Patient.name.first()":             "not a function",
		"(Patient.deceased as dateTime":    "parenthesis",
		"(Patient.deceased)":               "expected",
		"Patient.name[x]":                  "bad index",
		"Patient.name.where(use='a'":       "parenthesis",
		"Patient..name":                    "expected a name",
		"Patient.name + Patient.id":        "expected",
		"(Patient.deceased as Quantity)":   "nothing left",
		"Patient.link.other.where(x is y)": "not a function",
	} {
		c := &compiler{schema: schema, typ: "Patient", root: &trie{}}
		err := c.compile(&Param{Name: "x", Type: TypeToken, URL: "u", Expression: expression})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something about %q", expression, err, want)
		}
	}
}
