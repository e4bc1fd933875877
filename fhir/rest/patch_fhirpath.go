package rest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// pathOperation is one operation of a FHIRPath Patch.
type pathOperation struct {
	kind  string // add, insert, delete, replace or move
	path  *pathExpr
	name  string         // add: the element to add
	value *resource.Node // add, insert, replace: the part called value
	index int            // insert
	// source and destination are the indexes of a move.
	source, destination int
	where               string // such as "Parameters.parameter[2]"
}

// pathOperations are the kinds of operation with the parts they need beside type
// and path.
var pathOperations = map[string][]string{
	"add": {"name", "value"}, "insert": {"value", "index"}, "delete": nil,
	"replace": {"value"}, "move": {"source", "destination"},
}

// parseFHIRPathPatch reads the Parameters of a FHIRPath Patch,
// https://hl7.org/fhir/R4/fhirpatch.html. The error is Invalid, NotSupported for a
// path beyond what is understood, TooLarge beyond maxPatchOperations.
func (s *Server) parseFHIRPathPatch(root *resource.Node) (patcher, error) {
	if typ := root.Str("resourceType"); typ != "Parameters" {
		return nil, fhir.Errorf(fhir.Invalid, "a patch is a list of operations (%s) or a Parameters resource (FHIRPath Patch); to replace the whole resource use PUT", jsonPatchMedia)
	}
	if err := s.Gate.CheckShell(root); err != nil {
		return nil, err
	}
	list := root.List("parameter")
	if len(list) > maxPatchOperations {
		return nil, tooManyOperations(len(list))
	}
	operations := make([]pathOperation, len(list))
	var problems []error
	for i := range list {
		where := "Parameters.parameter[" + strconv.Itoa(i) + "]"
		operation, err := parsePathOperation(&list[i], where)
		problems = append(problems, at(err, where))
		operations[i] = operation
	}
	if err := merge(problems); err != nil {
		return nil, err
	}
	return func(target *resource.Node) error {
		budget, walk := maxPatchValues, newPathWalk(s.schema, target)
		for i := range operations {
			if err := operations[i].apply(walk, &budget); err != nil {
				return at(err, operations[i].where)
			}
		}
		return nil
	}, nil
}

func parsePathOperation(n *resource.Node, where string) (pathOperation, error) {
	out := pathOperation{where: where}
	if name := n.Str("name"); name != "operation" {
		return out, fhir.Errorf(fhir.Invalid, "a parameter of a patch is called operation, not %q", fhir.Clip(name))
	}
	parts := make(map[string]*resource.Node)
	list := n.List("part")
	for i := range list {
		name := list[i].Str("name")
		if parts[name] != nil {
			return out, fhir.Errorf(fhir.Invalid, "the part %q is there twice", fhir.Clip(name))
		}
		parts[name] = &list[i]
	}
	var err error
	if out.kind, err = partText(parts, "type"); err != nil {
		return out, err
	}
	needs, known := pathOperations[out.kind]
	if !known {
		return out, fhir.Errorf(fhir.Invalid, "%q is no type of operation; there are add, insert, delete, replace and move", fhir.Clip(out.kind))
	}
	for name := range parts {
		if name != "type" && name != "path" && !slices.Contains(needs, name) {
			return out, fhir.Errorf(fhir.Invalid, "%s has no part %q; it has type, path%s", out.kind, fhir.Clip(name), strings.Join(append([]string{""}, needs...), ", "))
		}
	}
	text, err := partText(parts, "path")
	if err != nil {
		return out, err
	}
	if out.path, err = parsePath(text); err != nil {
		return out, err
	}
	for _, name := range needs {
		switch name {
		case "name":
			out.name, err = partText(parts, name)
		case "value":
			if out.value = parts[name]; out.value == nil {
				err = missingPart(name)
			}
		case "index":
			out.index, err = partNumber(parts, name)
		case "source":
			out.source, err = partNumber(parts, name)
		case "destination":
			out.destination, err = partNumber(parts, name)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func missingPart(name string) error {
	return fhir.Errorf(fhir.Invalid, "the operation must have a part %q", name)
}

// partText returns the value of a part that is a code or a text.
func partText(parts map[string]*resource.Node, name string) (string, error) {
	part := parts[name]
	if part == nil {
		return "", missingPart(name)
	}
	for _, member := range [...]string{"valueString", "valueCode"} {
		if text := part.Str(member); text != "" {
			return text, nil
		}
	}
	return "", fhir.Errorf(fhir.Invalid, "the part %q must have a valueString (of type: a valueCode)", name)
}

// partNumber returns the value of a part that is an index.
func partNumber(parts map[string]*resource.Node, name string) (int, error) {
	part := parts[name]
	if part == nil {
		return 0, missingPart(name)
	}
	for _, member := range [...]string{"valueInteger", "valueUnsignedInt", "valuePositiveInt"} {
		if n := part.Get(member); n != nil {
			if number, err := strconv.Atoi(n.Text); err == nil && number >= 0 {
				return number, nil
			}
			return 0, fhir.Errorf(fhir.Invalid, "the part %q must not be negative: indexes count from 0", name)
		}
	}
	return 0, fhir.Errorf(fhir.Invalid, "the part %q must have a valueInteger", name)
}

// unfit is the error of an operation that the resource, as it is now, does not
// allow.
func unfit(code, message string) error {
	return &fhir.Error{Kind: fhir.Unprocessable, Issues: []fhir.Issue{{Code: code, Message: message}}}
}

func (o *pathOperation) apply(w *pathWalk, budget *int) error {
	switch o.kind {
	case "add":
		return o.add(w, budget)
	case "insert", "move":
		return o.inList(w, budget)
	}
	found, err := w.places(o.path)
	if err != nil {
		return err
	}
	switch {
	case len(found) > 1:
		return unfit("multiple-matches", o.kind+": the path leads to "+strconv.Itoa(len(found))+" elements; it must lead to one")
	case len(found) == 0 && o.kind == "delete":
		return nil // "path of the element to delete (if found)"
	case len(found) == 0:
		return unfit("not-found", o.kind+": the path leads to nothing; use add for what is not there yet")
	case found[0].in == nil:
		return unfit("business-rule", o.kind+": the path leads to the resource itself; use PUT or DELETE")
	case o.kind == "delete":
		found[0].remove()
		return nil
	}
	value, err := o.read(w, &found[0].element, budget)
	if err != nil {
		return err
	}
	found[0].replace(value)
	return nil
}

// add puts an element behind those of its name, or where there is none.
func (o *pathOperation) add(w *pathWalk, budget *int) error {
	found, err := w.places(o.path)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return unfit("not-found", "add: the path leads to "+strconv.Itoa(len(found))+" elements; it must lead to the one that gets "+fhir.Clip(o.name))
	}
	at := found[0]
	element, err := w.define(at, o.name)
	if err != nil {
		return err
	}
	present, err := w.children(at, choiceOrName(&element))
	if err != nil {
		return err
	}
	value, err := o.read(w, &element, budget)
	if err != nil {
		return err
	}
	if len(present) > 0 && !element.Repeats() {
		return unfit("business-rule", "add: "+fhir.Clip(o.name)+" is there already and does not repeat; use replace")
	}
	object := at.ensure()
	if !element.Repeats() {
		value.put(object)
		return nil
	}
	value.insert(object, listLength(object, value.member))
	return nil
}

// choiceOrName is the name under which all types of an element are found.
func choiceOrName(e *resource.Element) string {
	if choice := e.Choice(); choice != "" {
		return choice
	}
	return memberName(e, "")
}

// inList inserts into a list, or moves inside it. The path is that of the list:
// the one element that has it, and its name.
func (o *pathOperation) inList(w *pathWalk, budget *int) error {
	if o.path.kind != pathMember || o.path.base == nil && w.names(o.path.name) {
		return unfit("business-rule", o.kind+": the path must be that of a list, such as Patient.name")
	}
	owners := []*spot{&w.root}
	if o.path.base != nil {
		var err error
		if owners, err = w.places(o.path.base); err != nil {
			return err
		}
	}
	if len(owners) != 1 {
		return unfit("not-found", o.kind+": what the list is in must be one element, but there are "+strconv.Itoa(len(owners)))
	}
	at := owners[0]
	element, err := w.define(at, o.path.name)
	if err != nil {
		return err
	}
	if !element.Repeats() {
		return unfit("business-rule", o.kind+": "+element.Path+" is not a list; use add or replace")
	}
	member := memberName(&element, "")
	length := 0
	if object := at.object(); object != nil {
		length = listLength(object, member)
	}
	if o.kind == "insert" {
		if o.index > length {
			return unfit("business-rule", "insert: the index is "+strconv.Itoa(o.index)+", but the list has "+strconv.Itoa(length)+" items")
		}
		value, err := o.read(w, &element, budget)
		if err != nil {
			return err
		}
		value.insert(at.ensure(), o.index)
		return nil
	}
	if o.source >= length || o.destination >= length {
		return unfit("business-rule", "move: from "+strconv.Itoa(o.source)+" to "+strconv.Itoa(o.destination)+", but the list has "+strconv.Itoa(length)+" items, counted from 0")
	}
	for _, name := range [...]string{member, "_" + member} {
		if list := at.object().Get(name); list != nil && list.Kind == resource.Array {
			pad(list, length)
			item := list.Items[o.source]
			removeItem(list, o.source)
			insertItem(list, o.destination, item)
		}
	}
	return nil
}

// listLength is how many items a list has, with or without values.
func listLength(object *resource.Node, member string) int {
	length := 0
	for _, name := range [...]string{member, "_" + member} {
		if list := object.Get(name); list != nil {
			length = max(length, len(list.Items))
		}
	}
	return length
}

// pad makes a list as long as the one beside it.
func pad(list *resource.Node, length int) {
	items := make([]resource.Node, max(length, len(list.Items)))
	copy(items, list.Items)
	list.Items = items
}

// remove takes the element out, with what stands beside it.
func (p *spot) remove() {
	for _, name := range [...]string{p.name, "_" + p.name} {
		list := p.in.Get(name)
		switch {
		case list == nil:
		case p.index < 0:
			removeMember(p.in, name)
		case p.index < len(list.Items):
			if removeItem(list, p.index); len(list.Items) == 0 {
				removeMember(p.in, name)
			}
		}
	}
}

// replace puts another element in the place of one.
func (p *spot) replace(value patchValue) {
	if p.index >= 0 {
		for name, node := range map[string]resource.Node{p.name: value.node, "_" + p.name: value.under} {
			list := p.in.Get(name)
			if list == nil {
				if node.Kind == resource.Null {
					continue
				}
				p.in.Set(name, resource.Node{Kind: resource.Array})
				list = p.in.Get(name)
			}
			pad(list, p.index+1)
			list.Items[p.index] = node
		}
		return
	}
	if m := p.in.Get(p.name); m != nil && value.node.Kind != resource.Null {
		*m = value.node
		for i := range p.in.Fields {
			if p.in.Fields[i].Name == p.name {
				p.in.Fields[i].Name = value.member
			}
		}
		removeMember(p.in, "_"+p.name)
		if value.under.Kind != resource.Null {
			p.in.Set("_"+value.member, value.under)
		}
		return
	}
	p.remove()
	value.put(p.in)
}

// ensure returns the object that the element's children are in, and makes it for
// a primitive that has only a value.
func (p *spot) ensure() *resource.Node {
	if object := p.object(); object != nil {
		return object
	}
	name := "_" + p.name
	if p.index < 0 {
		p.in.Set(name, resource.Node{Kind: resource.Object})
		return p.in.Get(name)
	}
	list := p.in.Get(name)
	if list == nil {
		p.in.Set(name, resource.Node{Kind: resource.Array})
		list = p.in.Get(name)
	}
	pad(list, p.index+1)
	list.Items[p.index] = resource.Node{Kind: resource.Object}
	return &list.Items[p.index]
}
