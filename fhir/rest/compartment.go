package rest

import (
	"net/http"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// Compartments are searched below the resource they are of:
// https://hl7.org/fhir/R4/http.html#vsearch.

// compartments are the types that R4 4.0.1 defines compartments of.
var compartments = []string{"Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"}

// compartmentRows are the searches of one type, and of all types, in a
// compartment.
func (s *Server) compartmentRows() []interaction {
	var rows []interaction
	for _, of := range compartments {
		at := "/" + of + "/:id"
		rows = append(
			rows,
			interaction{Code: "search-system", Compartment: of, Method: http.MethodGet, Path: at + "/*", Handle: s.searchCompartment},
			interaction{Code: "search-system", Compartment: of, Method: http.MethodPost, Path: at + "/_search", Handle: s.searchCompartment},
			interaction{Code: "search-type", Compartment: of, Method: http.MethodGet, Path: at + "/:member", Handle: s.searchCompartment},
			interaction{Code: "search-type", Compartment: of, Method: http.MethodPost, Path: at + "/:member/_search", Handle: s.searchCompartment},
		)
	}
	return rows
}

// inCompartment turns the values of a row's path into those of a search of the
// members' type, "" for all of them.
func (row *interaction) inCompartment(values map[string]string) {
	if row.Compartment == "" {
		return
	}
	values["compartment"], values["type"] = values["id"], values["member"]
	values["of"] = row.Compartment
	delete(values, "id")
}

// compartmentOf returns the resource that values of a path name as a
// compartment's, as sent; zero if there is none.
func compartmentOf(values map[string]string) fhir.Key {
	return fhir.Key{Type: values["of"], ID: values["compartment"]}
}

// searchCompartment serves GET [base]/[compartment]/[id]/[type], the same with *
// for all types, and both with POST _search. The resource that the compartment is
// of must be there, and the caller must be allowed to see it.
func (s *Server) searchCompartment(r *request) (*answer, error) {
	if err := s.checkCompartment(r); err != nil {
		return nil, err
	}
	return s.search(r)
}

// checkCompartment returns an error if the resource of a compartment is not there
// for the caller.
func (s *Server) checkCompartment(r *request) error {
	if r.compartment == (fhir.Key{}) {
		return nil
	}
	key, err := fhir.ParseKey(r.compartment.Type, r.compartment.ID)
	if err != nil {
		return err
	}
	res, err := s.Store.Read(r.ctx, key)
	if err != nil {
		return unseen(err, key)
	}
	return r.visible(res)
}

// searchPath is the path of a search below the base.
func (r *request) searchPath() string {
	if r.compartment == (fhir.Key{}) {
		return r.typ
	}
	if r.typ == "" {
		return r.compartment.String() + "/*"
	}
	return r.compartment.String() + "/" + r.typ
}

// restrict limits a search to the compartment that its URL names.
func (s *Server) restrict(r *request, req *search.Request) error {
	if r.compartment == (fhir.Key{}) {
		return nil
	}
	typ := r.typ
	if typ == "" {
		typ = "*"
	}
	c, err := s.registry().Compartment(r.compartment.Type, r.compartment.ID, typ)
	if err != nil {
		return err
	}
	req.Restrict(r.compartment.String(), c)
	return nil
}
