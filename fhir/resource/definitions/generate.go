//go:build ignore

// Generate makes elements.tsv and codes.tsv from HL7's package hl7.fhir.r4.core
// 4.0.1 (CC0-1.0):
//
//	npm pack hl7.fhir.r4.core@4.0.1 && tar xzf hl7.fhir.r4.core-4.0.1.tgz
//	go run fhir/resource/definitions/generate.go -package ./package -out fhir/resource/definitions
//
// elements.tsv has the snapshot elements of every resource and complex data type
// (no profiles, no logical models). codes.tsv has the codes of the value sets
// that required bindings name, expanded from the package's own ValueSets and
// CodeSystems. A value set that draws on a code system which R4 does not list
// (currencies, MIME types, UCUM, LOINC's LL379-9) is left out.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type structure struct {
	ResourceType string `json:"resourceType"`
	Name         string `json:"name"`
	Kind         string `json:"kind"`
	Derivation   string `json:"derivation"`
	Snapshot     struct {
		Element []element `json:"element"`
	} `json:"snapshot"`
}

type element struct {
	Path             string      `json:"path"`
	Min              int         `json:"min"`
	Max              string      `json:"max"`
	Type             []typeOf    `json:"type"`
	ContentReference string      `json:"contentReference"`
	IsSummary        bool        `json:"isSummary"`
	IsModifier       bool        `json:"isModifier"`
	Binding          *valueBound `json:"binding"`
}

type typeOf struct {
	Code          string   `json:"code"`
	TargetProfile []string `json:"targetProfile"`
	Extension     []struct {
		URL      string `json:"url"`
		ValueURL string `json:"valueUrl"`
	} `json:"extension"`
}

type valueBound struct {
	Strength string `json:"strength"`
	ValueSet string `json:"valueSet"`
}

type valueSet struct {
	URL     string `json:"url"`
	Compose struct {
		Include []include `json:"include"`
		Exclude []include `json:"exclude"`
	} `json:"compose"`
}

type include struct {
	System   string            `json:"system"`
	ValueSet []string          `json:"valueSet"`
	Concept  []concept         `json:"concept"`
	Filter   []json.RawMessage `json:"filter"`
}

type concept struct {
	Code    string    `json:"code"`
	Concept []concept `json:"concept"`
}

type codeSystem struct {
	URL     string    `json:"url"`
	Content string    `json:"content"`
	Concept []concept `json:"concept"`
}

func main() {
	log.SetFlags(0)
	from := flag.String("package", "package", "folder with the unpacked package hl7.fhir.r4.core")
	out := flag.String("out", ".", "folder to write to")
	flag.Parse()

	structures := read[structure](*from, "StructureDefinition-*.json")
	elements, bound := elementRows(structures)
	write(filepath.Join(*out, "elements.tsv"), "path\tmin\tmax\ttypes\tcontent\tbinding\tflags", elements)

	sets := make(map[string]valueSet)
	for _, set := range read[valueSet](*from, "ValueSet-*.json") {
		sets[set.URL] = set
	}
	systems := make(map[string]codeSystem)
	for _, system := range read[codeSystem](*from, "CodeSystem-*.json") {
		systems[system.URL] = system
	}
	write(filepath.Join(*out, "codes.tsv"), "valueset\tsystem\tcodes", codeRows(bound, sets, systems))
}

// read reads all files that match a pattern.
func read[T any](folder, pattern string) []T {
	paths, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(paths) == 0 {
		log.Fatalf("no %s in %s: %v", pattern, folder, err)
	}
	all := make([]T, len(paths))
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		if err := json.Unmarshal(data, &all[i]); err != nil {
			log.Fatalf("%s: %v", path, err)
		}
	}
	return all
}

func write(path, header string, rows []string) {
	text := header + "\n" + strings.Join(rows, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Println(path, len(rows))
}

// elementRows returns the rows of elements.tsv and the value sets that required
// bindings name.
func elementRows(structures []structure) (rows []string, bound map[string]bool) {
	bound = make(map[string]bool)
	slices.SortFunc(structures, func(a, b structure) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range structures {
		if s.Derivation == "constraint" || s.Kind != "resource" && s.Kind != "complex-type" {
			continue
		}
		for _, e := range s.Snapshot.Element {
			var binding string
			if e.Binding != nil && e.Binding.ValueSet != "" {
				set, _, _ := strings.Cut(e.Binding.ValueSet, "|")
				binding = e.Binding.Strength + " " + set
				if e.Binding.Strength == "required" {
					bound[set] = true
				}
			}
			types := make([]string, len(e.Type))
			for i, t := range e.Type {
				types[i] = t.text()
			}
			rows = append(rows, strings.Join([]string{
				e.Path, fmt.Sprint(e.Min), e.Max, strings.Join(types, ","), e.ContentReference, binding, e.flags(),
			}, "\t"))
		}
	}
	return rows, bound
}

// flags are S for an element of summaries and M for one that can change the
// meaning of others.
//
// https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.isSummary
func (e element) flags() string {
	var flags string
	if e.IsSummary {
		flags += "S"
	}
	if e.IsModifier {
		flags += "M"
	}
	return flags
}

// text writes a type with the resource types it may point at.
func (t typeOf) text() string {
	name := t.Code
	for _, extension := range t.Extension {
		if strings.HasSuffix(extension.URL, "structuredefinition-fhir-type") {
			name = extension.ValueURL // of ids, whose code is a FHIRPath type
		}
	}
	if len(t.TargetProfile) == 0 {
		return name
	}
	targets := make([]string, len(t.TargetProfile))
	for i, profile := range t.TargetProfile {
		targets[i] = profile[strings.LastIndexByte(profile, '/')+1:]
	}
	return name + "(" + strings.Join(targets, "|") + ")"
}

// codeRows expands value sets: a row for each code system of each set.
func codeRows(bound map[string]bool, sets map[string]valueSet, systems map[string]codeSystem) []string {
	var rows []string
	for _, url := range slices.Sorted(maps.Keys(bound)) {
		codes, err := expand(url, sets, systems)
		if err != nil {
			fmt.Printf("left out: %s: %v\n", url, err)
			continue
		}
		for _, system := range slices.Sorted(maps.Keys(codes)) {
			list := slices.Sorted(maps.Keys(codes[system]))
			rows = append(rows, url+"\t"+system+"\t"+strings.Join(list, " "))
		}
	}
	return rows
}

// expand returns the codes of a value set by code system.
func expand(url string, sets map[string]valueSet, systems map[string]codeSystem) (map[string]map[string]bool, error) {
	set, ok := sets[url]
	if !ok {
		return nil, fmt.Errorf("the package has no such value set")
	}
	codes := make(map[string]map[string]bool)
	for _, part := range set.Compose.Include {
		if err := part.apply(sets, systems, func(system, code string) {
			if codes[system] == nil {
				codes[system] = make(map[string]bool)
			}
			codes[system][code] = true
		}); err != nil {
			return nil, err
		}
	}
	for _, part := range set.Compose.Exclude {
		if err := part.apply(sets, systems, func(system, code string) { delete(codes[system], code) }); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// apply calls each with all codes of one part of a value set.
func (part include) apply(sets map[string]valueSet, systems map[string]codeSystem, each func(system, code string)) error {
	switch {
	case len(part.Filter) > 0:
		return fmt.Errorf("filters are not supported")
	case len(part.Concept) > 0:
		for _, c := range part.Concept {
			each(part.System, c.Code)
		}
	case part.System != "":
		system, ok := systems[part.System]
		if !ok || system.Content != "complete" {
			return fmt.Errorf("R4 does not list the codes of %s", part.System)
		}
		eachConcept(system.Concept, func(code string) { each(part.System, code) })
	}
	for _, url := range part.ValueSet {
		codes, err := expand(url, sets, systems)
		if err != nil {
			return err
		}
		for system, list := range codes {
			for code := range list {
				each(system, code)
			}
		}
	}
	return nil
}

func eachConcept(list []concept, each func(code string)) {
	for _, c := range list {
		each(c.Code)
		eachConcept(c.Concept, each)
	}
}
