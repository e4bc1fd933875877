//go:build ignore

// Generate makes definitions/snapshots from the differentials in definitions and
// HL7's package hl7.fhir.r4.core 4.0.1 (CC0-1.0):
//
//	npm pack hl7.fhir.r4.core@4.0.1 && tar xzf hl7.fhir.r4.core-4.0.1.tgz
//	cd profiles && go run definitions/generate.go -package ../package
//
// A snapshot has every element of the base in its order; what a differential
// says of one is laid over it; a slice is a copy of its element and what is
// below, behind them. Where a differential goes into a data type, the elements
// of that type are copied in. Mappings, XPath expressions and long comments of
// the base stay away: they are HL7's, and the base has them.
//
// https://hl7.org/fhir/R4/profiling.html#snapshot
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// element keeps its members as they are written; the order is set on writing.
type element map[string]json.RawMessage

type structure struct {
	ID       string `json:"id"`
	URL      string `json:"url"`
	Type     string `json:"type"`
	Snapshot struct {
		Element []element `json:"element"`
	} `json:"snapshot"`
	Differential struct {
		Element []element `json:"element"`
	} `json:"differential"`
}

// members are the members of an element in R4's order; pattern[x] and fixed[x]
// stand where R4 has them.
// https://hl7.org/fhir/R4/elementdefinition.html
var members = []string{
	"id", "path", "representation", "sliceName", "slicing", "short", "definition", "comment", "requirements", "min", "max", "base",
	"contentReference", "type", "meaningWhenMissing", "orderMeaning", "fixedUri", "patternCode", "patternCodeableConcept", "maxLength", "condition", "constraint",
	"mustSupport", "isModifier", "isModifierReason", "isSummary", "binding", "mapping",
}

// dropped are the members of the base that are left out.
var dropped = []string{"mapping", "comment", "requirements", "alias", "example", "extension"}

func main() {
	from := flag.String("package", "package", "the unpacked folder of hl7.fhir.r4.core 4.0.1")
	flag.Parse()
	names, err := filepath.Glob("definitions/*.json")
	if err != nil || len(names) == 0 {
		log.Fatal("no definitions here: run it in the folder profiles")
	}
	for _, name := range names {
		profile, err := load(name)
		if err != nil {
			log.Fatal(err)
		}
		s, err := snapshot(*from, profile)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		if err := write(filepath.Join("definitions", "snapshots", filepath.Base(name)), s); err != nil {
			log.Fatal(err)
		}
	}
}

func load(name string) (*structure, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	s := new(structure)
	return s, json.Unmarshal(data, s)
}

func (e element) text(member string) string {
	var s string
	_ = json.Unmarshal(e[member], &s) // absent is ""
	return s
}

func quote(s string) json.RawMessage {
	data, _ := json.Marshal(s)
	return data
}

// base reads the elements of an R4 type, trimmed.
func base(from, typ string) ([]element, error) {
	s, err := load(filepath.Join(from, "StructureDefinition-"+typ+".json"))
	if err != nil {
		return nil, err
	}
	for _, e := range s.Snapshot.Element {
		for _, member := range dropped {
			delete(e, member)
		}
		var rules []map[string]any
		if json.Unmarshal(e["constraint"], &rules) == nil {
			for _, r := range rules {
				delete(r, "xpath")
				delete(r, "extension")
				if r["source"] == nil {
					r["source"] = s.URL
				}
			}
			if e["constraint"], err = marshal(rules); err != nil {
				return nil, err
			}
		}
	}
	return s.Snapshot.Element, nil
}

func marshal(v any) (json.RawMessage, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSpace(out.Bytes()), err
}

// snapshot lays the differential over the base.
func snapshot(from string, profile *structure) ([]element, error) {
	list, err := base(from, profile.Type)
	if err != nil {
		return nil, err
	}
	for _, diff := range profile.Differential.Element {
		id := diff.text("id")
		at := find(list, id)
		if at < 0 && diff["sliceName"] != nil {
			if list, err = slice(list, id, diff.text("sliceName")); err != nil {
				return nil, err
			}
			at = find(list, id)
		}
		if at < 0 {
			parent := id[:strings.LastIndexByte(id, '.')]
			if list, err = unfold(from, list, parent); err != nil {
				return nil, err
			}
			at = find(list, id)
		}
		if at < 0 {
			return nil, fmt.Errorf("%s is not in the base", id)
		}
		if err := lay(list[at], diff, profile.URL); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
	}
	return list, nil
}

func find(list []element, id string) int {
	return slices.IndexFunc(list, func(e element) bool { return e.text("id") == id })
}

// below returns the end of an element's family: itself, what is below it, and
// its slices.
func below(list []element, at int) int {
	id := list[at].text("id")
	end := at + 1
	for end < len(list) {
		if next := list[end].text("id"); !strings.HasPrefix(next, id+".") && !strings.HasPrefix(next, id+":") {
			break
		}
		end++
	}
	return end
}

// slice puts a copy of an element and what is below it behind the family.
func slice(list []element, id, name string) ([]element, error) {
	whole := strings.TrimSuffix(id, ":"+name)
	at := find(list, whole)
	if at < 0 {
		return nil, fmt.Errorf("%s has no element to slice", id)
	}
	end := below(list, at)
	var family []element
	for i := at; i < end; i++ {
		old := list[i].text("id")
		if strings.HasPrefix(old, whole+":") {
			break // another slice
		}
		e := clean(list[i])
		e["id"] = quote(id + strings.TrimPrefix(old, whole))
		if i == at {
			e["sliceName"] = quote(name)
			e["min"] = json.RawMessage("0")
			delete(e, "slicing")
		}
		family = append(family, e)
	}
	return slices.Insert(list, end, family...), nil
}

// clean copies an element as the base has it, without what a differential said
// of the whole and does not say of each slice.
func clean(e element) element {
	c := element{}
	for member, value := range e {
		if !slices.Contains([]string{"requirements", "comment", "mapping", "mustSupport"}, member) {
			c[member] = value
		}
	}
	return c
}

// unfold puts the elements of an element's data type below it.
func unfold(from string, list []element, id string) ([]element, error) {
	at := find(list, id)
	if at < 0 {
		return nil, fmt.Errorf("%s is not in the base", id)
	}
	var types []struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(list[at]["type"], &types); err != nil || len(types) != 1 {
		return nil, fmt.Errorf("%s has no single type to go into", id)
	}
	inside, err := base(from, types[0].Code)
	if err != nil {
		return nil, err
	}
	var family []element
	for _, e := range inside[1:] {
		tail := strings.TrimPrefix(e.text("path"), types[0].Code)
		e["id"], e["path"] = quote(id+tail), quote(list[at].text("path")+tail)
		family = append(family, e)
	}
	return slices.Insert(list, at+1, family...), nil
}

// lay puts what the differential says over an element. Constraints add up.
func lay(e, diff element, source string) error {
	for member, value := range diff {
		if member != "constraint" {
			e[member] = value
			continue
		}
		var have, more []map[string]any
		if e[member] != nil {
			if err := json.Unmarshal(e[member], &have); err != nil {
				return err
			}
		}
		if err := json.Unmarshal(value, &more); err != nil {
			return err
		}
		for _, r := range more {
			r["source"] = source
		}
		var err error
		if e[member], err = marshal(append(have, more...)); err != nil {
			return err
		}
	}
	return nil
}

// write writes one element a line.
func write(name string, list []element) error {
	var out bytes.Buffer
	out.WriteString("{\"element\": [\n")
	for i, e := range list {
		out.WriteString("  {")
		left := len(e)
		for _, member := range members {
			value, ok := e[member]
			if !ok {
				continue
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, value); err != nil {
				return err
			}
			fmt.Fprintf(&out, "%q: %s", member, compact.Bytes())
			if left--; left > 0 {
				out.WriteString(", ")
			}
		}
		if left > 0 {
			return fmt.Errorf("%s has a member that is not in the list", e.text("id"))
		}
		out.WriteString("}")
		if i < len(list)-1 {
			out.WriteString(",")
		}
		out.WriteString("\n")
	}
	out.WriteString("]}\n")
	return os.WriteFile(name, out.Bytes(), 0o644)
}
