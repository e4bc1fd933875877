package rest

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// codeSystem is a stored CodeSystem, with its hierarchy.
//
// https://hl7.org/fhir/R4/codesystem.html
type codeSystem struct {
	url, name string
	codes     []string // in the order of the resource
	concepts  map[string]*resource.Node
	above     map[string][]string // the parents of a code
	below     map[string][]string // its children
	// defined are the codes of the properties that concepts may have.
	defined map[string]bool
	// flat says why the hierarchy says nothing about subsumption; usually "".
	flat string
}

// codeSystem finds a stored CodeSystem, by its URL with or without "|version",
// and checks that it lists its codes.
func (l *lookup) codeSystem(canonical string) (*codeSystem, error) {
	root, err := l.byURL("CodeSystem", canonical)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, fhir.Errorf(fhir.NotSupported, "the CodeSystem %s is not stored here: store it with its concepts", fhir.Clip(canonical))
	}
	if content := root.Str("content"); content != "complete" {
		return nil, fhir.Errorf(fhir.NotSupported, "the stored CodeSystem %s does not list all of its codes: its content is %q, not complete", fhir.Clip(canonical), content)
	}
	return newCodeSystem(root)
}

func newCodeSystem(root *resource.Node) (*codeSystem, error) {
	cs := &codeSystem{
		url: root.Str("url"), name: fhir.Clip(root.Str("url")), concepts: make(map[string]*resource.Node),
		above: make(map[string][]string), below: make(map[string][]string), defined: make(map[string]bool),
	}
	if meaning := root.Str("hierarchyMeaning"); meaning != "" && meaning != "is-a" {
		cs.flat = "its hierarchy means " + meaning + ", not is-a"
	}
	up, down := []string{"parent", "subsumedBy"}, []string{"child"}
	for _, p := range root.List("property") {
		cs.defined[p.Str("code")] = true
		switch _, name, _ := strings.Cut(p.Str("uri"), "concept-properties#"); name {
		case "parent":
			up = append(up, p.Str("code"))
		case "child":
			down = append(down, p.Str("code"))
		}
	}
	if err := cs.add(root.List("concept"), ""); err != nil {
		return nil, err
	}
	for _, code := range cs.codes {
		for _, p := range cs.concepts[code].List("property") {
			other := p.Str("valueCode")
			switch name := p.Str("code"); {
			case other == "" || cs.concepts[other] == nil:
			case slices.Contains(up, name):
				cs.relate(other, code)
			case slices.Contains(down, name):
				cs.relate(code, other)
			}
		}
	}
	return cs, nil
}

// add takes up concepts and those inside of them.
func (cs *codeSystem) add(list []resource.Node, parent string) error {
	for i := range list {
		concept := &list[i]
		code := concept.Str("code")
		if cs.concepts[code] != nil {
			return fhir.Errorf(fhir.NotSupported, "the stored CodeSystem %s has a code twice", cs.name)
		}
		cs.concepts[code] = concept
		cs.codes = append(cs.codes, code)
		if parent != "" {
			cs.relate(parent, code)
		}
		if err := cs.add(concept.List("concept"), code); err != nil {
			return err
		}
	}
	return nil
}

func (cs *codeSystem) relate(parent, child string) {
	if !slices.Contains(cs.below[parent], child) {
		cs.below[parent] = append(cs.below[parent], child)
		cs.above[child] = append(cs.above[child], parent)
	}
}

// reach returns a code and everything that one of the directions leads to from
// it. A circle ends where it began.
func (cs *codeSystem) reach(code string, direction map[string][]string) ([]string, error) {
	if cs.flat != "" {
		return nil, fhir.Errorf(fhir.NotSupported, "the CodeSystem %s says nothing about which code is below which: %s", cs.name, cs.flat)
	}
	if cs.concepts[code] == nil {
		return nil, fhir.Errorf(fhir.Invalid, "the CodeSystem %s has no code %q", cs.name, fhir.Clip(code))
	}
	reached := []string{code}
	known := map[string]bool{code: true}
	for i := 0; i < len(reached); i++ {
		for _, next := range direction[reached[i]] {
			if !known[next] {
				known[next] = true
				reached = append(reached, next)
			}
		}
	}
	return reached, nil
}

// property returns the values of a property of a code, as text. A Coding is its
// code, and also system|code.
func (cs *codeSystem) property(code, name string) []string {
	concept := cs.concepts[code]
	switch name {
	case "code":
		return []string{code}
	case "display":
		if display := concept.Str("display"); display != "" {
			return []string{display}
		}
		return nil
	case "parent":
		return cs.above[code]
	case "child":
		return cs.below[code]
	}
	var values []string
	for _, p := range concept.List("property") {
		if p.Str("code") != name {
			continue
		}
		for _, f := range p.Fields {
			if !strings.HasPrefix(f.Name, "value") {
				continue
			}
			if f.Node.Kind == resource.Object {
				values = append(values, f.Node.Str("code"), f.Node.Str("system")+"|"+f.Node.Str("code"))
			} else {
				values = append(values, f.Node.Text)
			}
		}
	}
	return values
}

// inactive reports whether a code is not for use any more.
//
// https://hl7.org/fhir/R4/codesystem-concept-properties.html
func (cs *codeSystem) inactive(code string) bool {
	if slices.Contains(cs.property(code, "inactive"), "true") {
		return true
	}
	return slices.ContainsFunc(cs.property(code, "status"), func(status string) bool {
		return status == "inactive" || status == "retired"
	})
}

// Subsumes returns a code and those below or above it.
func (l *lookup) Subsumes(code search.Coding, above bool) ([]search.Coding, error) {
	if code.System == "" {
		return nil, fhir.Errorf(fhir.Invalid, "write system|code: which codes are above or below %q is said by its code system", fhir.Clip(code.Code))
	}
	cs, err := l.codeSystem(code.System)
	if err != nil {
		return nil, err
	}
	direction := cs.below
	if above {
		direction = cs.above
	}
	reached, err := cs.reach(code.Code, direction)
	if err != nil {
		return nil, err
	}
	if len(reached) > maxCodes {
		return nil, fhir.Errorf(fhir.TooLarge, "more than %d codes are meant", maxCodes)
	}
	out := make([]search.Coding, len(reached))
	for i, c := range reached {
		out[i] = search.Coding{System: code.System, Code: c}
	}
	return out, nil
}
