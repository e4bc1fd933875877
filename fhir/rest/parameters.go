package rest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// inputs are what an operation was called with: the parameters of a Parameters
// resource, or those of the URL. Each reader of one names its type, and then done
// complains about those that nobody has read.
//
// https://hl7.org/fhir/R4/operations.html#request
type inputs struct {
	list  []input
	names []string // of those that were asked for
}

// input is one parameter.
type input struct {
	name string
	// text is the value in a URL; node is nil then. Else node is the parameter.
	text string
	node *resource.Node
	used bool
}

// maxInputs is the most parameters of one call.
const maxInputs = 1000

// queryInputs reads the parameters of a URL, but for those about the format.
func queryInputs(query string) (*inputs, error) {
	values, err := queryValues(query)
	if err != nil {
		return nil, err
	}
	in := &inputs{}
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if name, err = url.QueryUnescape(name); err != nil || name == "" || name == "_format" || name == "_pretty" {
			continue
		}
		value := values[name][0]
		values[name] = values[name][1:]
		in.list = append(in.list, input{name: name, text: value})
	}
	if len(in.list) > maxInputs {
		return nil, fhir.Errorf(fhir.TooLarge, "an operation takes %d parameters at most", maxInputs)
	}
	return in, nil
}

// postedInputs reads the parameters of a POST: those in its body, and those in
// its URL.
func (s *Server) postedInputs(r *request) (*inputs, error) {
	in, err := queryInputs(r.query)
	if err != nil {
		return nil, err
	}
	root, err := r.parametersBody()
	if err != nil || root == nil {
		return in, err
	}
	if typ := root.Str("resourceType"); typ != "Parameters" {
		return nil, fhir.Errorf(fhir.Invalid, "an operation takes a resource of type Parameters, not %s", fhir.Clip(typ))
	}
	if err := s.Gate.CheckShell(root); err != nil {
		return nil, err
	}
	list := root.List("parameter")
	if len(list) > maxInputs {
		return nil, fhir.Errorf(fhir.TooLarge, "an operation takes %d parameters at most", maxInputs)
	}
	for i := range list {
		in.list = append(in.list, input{name: list[i].Str("name"), node: &list[i]})
	}
	return in, nil
}

// parametersBody returns the resource in the body of a call, nil if there is
// none.
func (r *request) parametersBody() (*resource.Node, error) {
	if r.bodiless {
		return nil, nil
	}
	return r.body()
}

// resource returns the parameters as a resource, for operations from outside.
func (in *inputs) resource() *resource.Node {
	var items []resource.Node
	for i := range in.list {
		if in.list[i].node != nil {
			items = append(items, *in.list[i].node)
			continue
		}
		items = append(items, object(text("name", in.list[i].name), text("valueString", in.list[i].text)))
	}
	root := object(text("resourceType", "Parameters"), list("parameter", items))
	return &root
}

// value returns the node of a parameter's value[x] of a type or of its family.
func (i *input) value(typ string) (*resource.Node, bool) {
	want := resource.Element{Types: []resource.Type{{Name: typ}}}
	for _, f := range i.node.Fields {
		name, isValue := strings.CutPrefix(f.Name, "value")
		if !isValue || name == "" {
			continue
		}
		// The gate has seen that this is a type: only its first letter is unsure.
		for _, found := range [...]string{name, strings.ToLower(name[:1]) + name[1:]} {
			if typeFor(&want, found) != "" {
				return i.node.Get(f.Name), true
			}
		}
	}
	return nil, false
}

// each reads all parameters of a name as values of a type, such as "Coding". In a
// URL a Coding is written system|code, and other complex types cannot be.
func (in *inputs) each(name, typ string) ([]resource.Node, error) {
	if !slices.Contains(in.names, name) {
		in.names = append(in.names, name)
	}
	var out []resource.Node
	for i := range in.list {
		p := &in.list[i]
		if p.name != name {
			continue
		}
		p.used = true
		if p.node == nil {
			node, err := urlValue(name, typ, p.text)
			if err != nil {
				return nil, err
			}
			out = append(out, node)
			continue
		}
		node, ok := p.value(typ)
		if !ok {
			return nil, fhir.Errorf(fhir.Invalid, "the parameter %s must have a value%s", name, strings.ToUpper(typ[:1])+typ[1:])
		}
		out = append(out, *node)
	}
	return out, nil
}

// urlValue reads a value as it is written in a URL.
func urlValue(name, typ, sent string) (resource.Node, error) {
	wrong := fhir.Errorf(fhir.Invalid, "the parameter %s is of type %s, which %q is not", name, typ, fhir.Clip(sent))
	switch typ {
	case "boolean":
		if sent != "true" && sent != "false" {
			return resource.Node{}, wrong
		}
		return resource.Node{Kind: resource.Bool, Text: sent}, nil
	case "integer", "positiveInt", "unsignedInt":
		if _, err := strconv.Atoi(sent); err != nil {
			return resource.Node{}, wrong
		}
		return resource.Node{Kind: resource.Number, Text: sent}, nil
	case "decimal":
		node, err := resource.Decode([]byte(sent))
		if err != nil || node.Kind != resource.Number {
			return resource.Node{}, wrong
		}
		return *node, nil
	case "Coding":
		system, code, both := strings.Cut(sent, "|")
		if !both {
			system, code = "", sent
		}
		return object(text("system", system), text("code", code)), nil
	}
	if !primitiveType(typ) {
		return resource.Node{}, fhir.Errorf(fhir.Invalid, "the parameter %s is of type %s, which a URL cannot hold; send a Parameters resource with POST", name, typ)
	}
	if sent == "" {
		return resource.Node{}, fhir.Errorf(fhir.Invalid, "the parameter %s has no value", name)
	}
	return resource.Text(sent), nil
}

// one reads a parameter that may be there once; nil if it is not.
func (in *inputs) one(name, typ string) (*resource.Node, error) {
	values, err := in.each(name, typ)
	switch {
	case err != nil || len(values) == 0:
		return nil, err
	case len(values) > 1:
		return nil, fhir.Errorf(fhir.Invalid, "the parameter %s can be given only once", name)
	}
	return &values[0], nil
}

// required is one for a parameter that must be there.
func (in *inputs) required(name, typ string) (*resource.Node, error) {
	value, err := in.one(name, typ)
	if err == nil && value == nil {
		return nil, fhir.Errorf(fhir.Invalid, "the parameter %s, of type %s, is required", name, typ)
	}
	return value, err
}

// text reads an optional parameter as text; "" if it is not there.
func (in *inputs) text(name, typ string) (string, error) {
	value, err := in.one(name, typ)
	if value == nil {
		return "", err
	}
	return value.Text, nil
}

// moment reads an optional date or time as text.
func (in *inputs) moment(name, typ string) (string, error) {
	value, err := in.text(name, typ)
	if err == nil && value != "" && momentOf(value).IsZero() {
		return "", fhir.Errorf(fhir.Invalid, "the parameter %s must be a date or time such as 2026-05-17 or 2026-05-17T13:28:17Z, not %q", name, fhir.Clip(value))
	}
	return value, err
}

// positive reads an optional whole number from 1 on; 0 if it is not there.
func (in *inputs) positive(name string) (int, error) {
	value, err := in.one(name, "positiveInt")
	if value == nil || err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(value.Text)
	if err != nil || n < 1 {
		return 0, fhir.Errorf(fhir.Invalid, "the parameter %s must be a whole number from 1 on", name)
	}
	return n, nil
}

// done returns an error if there are parameters that nobody has read.
func (in *inputs) done() error {
	for i := range in.list {
		if in.list[i].used {
			continue
		}
		if len(in.names) == 0 {
			return fhir.Errorf(fhir.Invalid, "%q is not a parameter of this operation, which has none", fhir.Clip(in.list[i].name))
		}
		return fhir.Errorf(fhir.Invalid, "%q is not a parameter of this operation. There are: %s",
			fhir.Clip(in.list[i].name), strings.Join(fhir.NearestFirst(in.list[i].name, in.names), ", "))
	}
	return nil
}

// outputs makes the Parameters resource of an answer.
func outputs(items ...resource.Node) []byte {
	root := object(text("resourceType", "Parameters"), list("parameter", items))
	return root.JSON()
}

// outputValue is one parameter of an answer, with a member such as "valueMeta".
func outputValue(name, member string, value resource.Node) resource.Node {
	return object(text("name", name), resource.Field{Name: member, Node: value})
}
