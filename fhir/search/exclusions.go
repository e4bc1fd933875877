package search

// exclusions are the R4 search parameters that have no index entries, each with
// the reason. A test fails if one of them is compiled all the same.
var exclusions = map[string]string{
	"http://hl7.org/fhir/SearchParameter/Resource-query": "_query names a stored query: it has no expression",
}

// swappedComponents are composites whose definition in R4 4.0.1 gives each of
// its two components the expression of the other.
var swappedComponents = map[string]bool{
	"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship": true, // relatesto: code, relation: target
}
