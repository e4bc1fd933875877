package rest

import (
	"context"
	"net/http"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// Operation is an operation that somebody else brings along, with
// [Config.Operations]: those of genomics, which this package knows nothing of.
//
// https://hl7.org/fhir/R4/operations.html
type Operation struct {
	Name string // without '$', such as "find-subject-variants"
	Type string // the resource type it belongs to
	// Instance says that it is called on one resource, /Type/id/$name; else on
	// the type, /Type/$name.
	Instance   bool
	Definition string // the canonical URL of its OperationDefinition; may be empty
	// Writes says that it changes what is stored: then it needs POST.
	Writes bool
	// As is the interaction whose right a caller needs, such as "search-type".
	As string
	// Handle carries it out. Its answer is a resource.
	Handle func(ctx context.Context, call Call) (*resource.Node, error)
}

// Call is one call of an operation.
type Call struct {
	Access search.Access
	ID     string // of the instance
	// Parameters is a resource of that type: the body of a POST, or what the query
	// of a GET says, each value as a valueString. Its parts are as sent.
	Parameters *resource.Node
}

// takesParameters reports whether an operation is called with a body.
func (row *interaction) takesParameters() bool {
	return row.Operation != "" && row.Method == http.MethodPost
}
