package search

import (
	"maps"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// Compartments: https://hl7.org/fhir/R4/compartmentdefinition.html. Which
// parameters of a type put its resources into one is in the tables
// definitions/*-compartment.tsv, as HL7 defines it.

// compartmentTypes are the types that R4 4.0.1 defines compartments of.
var compartmentTypes = []string{"Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"}

// itself stands in the tables for the resource that the compartment is of.
const itself = "{def}"

// Compartment returns a clause for the resources of a type that are in a
// compartment, such as Encounter, of the resource with an id; for "*" those of
// all types. It does not say whether that resource exists. The error is NotFound
// if there is no such compartment, Invalid for a bad id and for a type that
// cannot be in it.
//
// https://hl7.org/fhir/R4/http.html#vsearch
func (r *Registry) Compartment(compartment, id, typ string) (Clause, error) {
	table, err := compartmentTable(compartment)
	if err != nil {
		return Clause{}, err
	}
	key, err := fhir.ParseKey(compartment, id)
	if err != nil {
		return Clause{}, err
	}
	if len(table[typ]) == 0 && typ != "*" {
		types := slices.Sorted(maps.Keys(table))
		return Clause{}, fhir.Errorf(fhir.Invalid, "%s is not in the %s compartment%s. Those that are: %s, and * for all of them",
			fhir.Clip(typ), compartment, hint(typ, types), strings.Join(types, ", "))
	}
	if compartment == "Patient" {
		// What is written into a record knows whose it is: that is the same as
		// the table says, with the patient itself.
		return InPatients(id), nil
	}
	types := map[string][]string{} // by parameter
	for member, params := range table {
		if member != typ && typ != "*" {
			continue
		}
		for _, param := range params {
			types[param] = append(types[param], member)
		}
	}
	var alternatives []Clause
	for _, param := range slices.Sorted(maps.Keys(types)) {
		c := Clause{Param: param, Ranges: ownRanges(link{key: key}, strings.TrimSuffix(r.base, "/"))}
		if param == itself {
			c = withIDs(id)
		}
		if typ == "*" {
			c.Types = unique(types[param])
		}
		alternatives = append(alternatives, c)
	}
	return either(alternatives), nil
}

// CompartmentTypes returns the types that can be in a compartment, sorted. The
// error is NotFound if there is no such compartment.
func (r *Registry) CompartmentTypes(compartment string) ([]string, error) {
	table, err := compartmentTable(compartment)
	return slices.Sorted(maps.Keys(table)), err
}

// compartmentTable reads the parameters of a compartment by type.
func compartmentTable(compartment string) (map[string][]string, error) {
	if !slices.Contains(compartmentTypes, compartment) {
		return nil, fhir.Errorf(fhir.NotFound, "there is no %s compartment%s. R4 has those of %s",
			fhir.Clip(compartment), hint(compartment, compartmentTypes), strings.Join(compartmentTypes, ", "))
	}
	table, err := readLists(strings.ToLower(compartment) + "-compartment.tsv")
	if err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "the table of the %s compartment cannot be read", compartment)
	}
	return table, nil
}
