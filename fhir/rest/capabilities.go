package rest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// capabilities serves GET [base]/metadata,
// https://hl7.org/fhir/R4/http.html#capabilities.
func (s *Server) capabilities(r *request) (*answer, error) {
	if mode, _ := firstOf(r.query, "mode"); mode != "" && mode != "full" && mode != "normative" {
		return nil, fhir.Errorf(fhir.NotSupported, "metadata of mode %q is not supported, only full", fhir.Clip(mode))
	}
	return &answer{status: http.StatusOK, body: s.currentStatement()}, nil
}

// statement is a CapabilityStatement and what of it may change while the server
// runs.
type statement struct {
	at       endpoints
	registry *search.Registry
	json     []byte
}

// currentStatement returns the CapabilityStatement. It is made anew only when
// the authorization server, or a search parameter, has become known or has changed.
func (s *Server) currentStatement() []byte {
	at, registry := s.endpoints(), s.registry()
	last := s.statement.Load()
	if last == nil || last.at != at || last.registry != registry {
		last = &statement{at, registry, s.capabilityStatement(at)}
		s.statement.Store(last)
	}
	return last.json
}

// object makes a node of name and value pairs. A zero value is left out.
func object(pairs ...resource.Field) resource.Node {
	pairs = slices.DeleteFunc(pairs, func(f resource.Field) bool {
		return f.Node.Kind == resource.Null || f.Node.Kind == resource.String && f.Node.Text == ""
	})
	return resource.Node{Kind: resource.Object, Fields: pairs}
}

func text(name, value string) resource.Field {
	return resource.Field{Name: name, Node: resource.Text(value)}
}

func flag(name string, value bool) resource.Field {
	word := "false"
	if value {
		word = "true"
	}
	return resource.Field{Name: name, Node: resource.Node{Kind: resource.Bool, Text: word}}
}

// list is a member with several values; without any it is left out.
func list(name string, items []resource.Node) resource.Field {
	if len(items) == 0 {
		return resource.Field{Name: name}
	}
	return resource.Field{Name: name, Node: resource.Node{Kind: resource.Array, Items: items}}
}

func texts(values ...string) []resource.Node {
	items := make([]resource.Node, len(values))
	for i, value := range values {
		items[i] = resource.Text(value)
	}
	return items
}

// capabilityStatement derives the statement from the table of interactions and
// the registry of search parameters.
//
// https://hl7.org/fhir/R4/capabilitystatement.html
func (s *Server) capabilityStatement(at endpoints) []byte {
	var types []resource.Node
	for _, typ := range resource.Types() {
		types = append(types, s.typeCapabilities(typ))
	}
	rest := object(
		text("mode", "server"),
		text("documentation", "All R4 resource types, in JSON and XML. An unknown search parameter is an error, unless Prefer: handling=lenient is sent. "+
			"Every write keeps history. Transactions are atomic. "+
			"_include and _revinclude take :iterate. Searches know _summary, _elements, _total, _count, _sort by any parameter with an order, _contained and _containedType."),
		resource.Field{Name: "security", Node: s.securityCapabilities(at)},
		list("resource", types),
		list("interaction", codes(s.codes(false))),
		list("searchParam", append(s.searchParams(""), wholeSearchParams()...)),
		list("operation", s.operations("")),
		list("compartment", texts(s.compartmentDefinitions()...)),
	)
	root := object(
		text("resourceType", "CapabilityStatement"),
		text("status", "active"),
		text("date", string(fhir.AppendInstant(nil, s.Clock()))),
		text("kind", "instance"),
		resource.Field{Name: "software", Node: object(text("name", "Starling"), text("version", s.Version))},
		resource.Field{Name: "implementation", Node: object(text("description", "Starling FHIR R4 server"), text("url", s.Base))},
		text("fhirVersion", "4.0.1"),
		list("format", texts(fhirJSON, fhirXML, "json", "xml")),
		list("patchFormat", texts(strings.Split(patchFormats, ", ")...)),
		list("rest", []resource.Node{rest}),
	)
	return root.JSON()
}

// typeCapabilities is the part about one resource type.
func (s *Server) typeCapabilities(typ string) resource.Node {
	has := func(method, path string) bool {
		return slices.ContainsFunc(s.table, func(row interaction) bool { return row.Method == method && row.Path == path })
	}
	fields := []resource.Field{
		text("type", typ),
		text("profile", "http://hl7.org/fhir/StructureDefinition/"+typ),
		list("supportedProfile", texts(s.Profiles[typ]...)),
		list("interaction", codes(s.codes(true))),
		text("versioning", "versioned"),
		flag("readHistory", has(http.MethodGet, "/:type/:id/_history/:version")),
		flag("updateCreate", true),
		flag("conditionalCreate", true),
		text("conditionalRead", "full-support"),
		flag("conditionalUpdate", has(http.MethodPut, "/:type")),
	}
	if has(http.MethodDelete, "/:type") {
		fields = append(fields, text("conditionalDelete", "single"))
	}
	policy := []string{"literal", "logical", "local"}
	if s.Integrity.Write {
		policy = append(policy, "enforced")
	}
	fields = append(fields,
		list("referencePolicy", texts(policy...)),
		list("searchInclude", texts(s.includes(typ)...)),
		list("searchRevInclude", texts(s.revIncludes(typ)...)),
		list("searchParam", s.searchParams(typ)),
		list("operation", s.operations(typ)))
	return object(fields...)
}

// codes lists the interactions of types, or of the whole system, each once.
// "capabilities" is not among R4's codes for either.
func (s *Server) codes(types bool) []string {
	var names []string
	for _, row := range s.table {
		if strings.HasPrefix(row.Path, "/:type") != types || row.Code == "capabilities" || row.Operation != "" || row.Compartment != "" {
			continue
		}
		for _, code := range []string{row.Code, row.Also} {
			if code != "" && !slices.Contains(names, code) {
				names = append(names, code)
			}
		}
	}
	return names
}

func codes(names []string) []resource.Node {
	items := make([]resource.Node, len(names))
	for i, name := range names {
		items[i] = object(text("code", name))
	}
	return items
}

// searchParams lists the parameters of a type, or those of all types, that can be
// searched by.
func (s *Server) searchParams(typ string) []resource.Node {
	var items []resource.Node
	registry := s.registry()
	for _, p := range registry.Params(typ) {
		if !registry.Ready(typ, p.Name) {
			continue
		}
		items = append(items, object(
			text("name", p.Name),
			text("definition", p.URL),
			text("type", string(p.Type)),
			text("documentation", describeParam(p)),
		))
	}
	return items
}
