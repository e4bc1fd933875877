//go:build ignore

// Generate writes parameters.tsv and the tables of compartments from HL7's
// definitions of R4 4.0.1 (CC0-1.0), and code-systems.tsv from the table of
// codes beside fhir/resource. Run it in fhir/search:
//
//	go run definitions/generate.go search-parameters.json compartmentdefinition-patient.json ../resource/definitions/codes.tsv
//
// The first is in https://hl7.org/fhir/R4/definitions.json.zip, the second on
// https://hl7.org/fhir/R4/compartmentdefinition.html; beside it must be those of
// the other compartments, named alike.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
)

type parameter struct {
	URL, Code, Type, Expression, Description string
	Base, Target                             []string
	Component                                []struct{ Definition, Expression string }
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: go run definitions/generate.go search-parameters.json compartmentdefinition-patient.json codes.tsv")
	}
	params, err := readParameters(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("definitions/parameters.tsv", []byte(parametersTable(params)), 0o644); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"patient", "encounter", "relatedperson", "practitioner", "device"} {
		table, err := compartmentTable(strings.Replace(os.Args[2], "-patient.", "-"+name+".", 1))
		if err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile("definitions/"+name+"-compartment.tsv", []byte(table), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	systems, err := systemsTable(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("definitions/code-systems.tsv", []byte(systems), 0o644); err != nil {
		log.Fatal(err)
	}
}

func readParameters(path string) ([]parameter, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []parameter
	var bundle struct {
		Entry []struct{ Resource parameter }
	}
	if err := json.Unmarshal(data, &bundle); err != nil {
		return nil, err
	}
	for _, e := range bundle.Entry {
		list = append(list, e.Resource)
	}
	return list, nil
}

func parametersTable(params []parameter) string {
	slices.SortFunc(params, func(a, b parameter) int { return strings.Compare(a.URL, b.URL) })
	var out strings.Builder
	out.WriteString("url\tcode\ttype\tbase\ttarget\texpression\tcomponents\tdescription\n")
	for _, p := range params {
		var components []string
		for _, c := range p.Component {
			components = append(components, c.Definition+" "+clean(c.Expression))
		}
		slices.Sort(p.Target)
		fmt.Fprintf(&out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.URL, p.Code, p.Type,
			strings.Join(p.Base, " "), strings.Join(p.Target, " "),
			clean(p.Expression), strings.Join(components, "; "), description(p))
	}
	return out.String()
}

// bullet is one line of the description of a parameter with several bases.
var bullet = regexp.MustCompile(`^\* \[(\w+)\]\([^)]*\):?\s*(.*)$`)

// description returns plain text, or for several bases "Type: text" joined by
// " || ".
func description(p parameter) string {
	if !strings.HasPrefix(p.Description, "Multiple Resources:") {
		return clean(p.Description)
	}
	var out []string
	for line := range strings.Lines(p.Description) {
		if m := bullet.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			out = append(out, m[1]+": "+clean(m[2]))
		}
	}
	return strings.Join(out, " || ")
}

func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

func compartmentTable(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var definition struct {
		Resource []struct {
			Code  string
			Param []string
		}
	}
	if err := json.Unmarshal(data, &definition); err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString("type\tparams\n")
	for _, r := range definition.Resource {
		if len(r.Param) > 0 {
			fmt.Fprintf(&out, "%s\t%s\n", r.Code, strings.Join(r.Param, " "))
		}
	}
	return out.String(), nil
}

// systemsTable keeps the first two columns of codes.tsv: which code systems a
// value set draws from.
func systemsTable(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		cells := strings.SplitN(line, "\t", 3)
		fmt.Fprintf(&out, "%s\t%s\n", cells[0], cells[1])
	}
	return out.String(), nil
}
