package search

// containedParam is the parameter of a container under which the entries of its
// contained resources of a type are.
func containedParam(typ, name string) string { return "#" + typ + "." + name }
