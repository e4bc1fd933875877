package rest

import (
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// patchValue is a value of a FHIRPath Patch, ready for its place.
type patchValue struct {
	member string        // its name in JSON, such as "valueQuantity"
	node   resource.Node // null if there are only extensions
	under  resource.Node // what stands beside a primitive, or null
}

// put sets the value in an object that has none of that name.
func (v patchValue) put(object *resource.Node) {
	if v.node.Kind != resource.Null {
		object.Set(v.member, v.node)
	}
	if v.under.Kind != resource.Null {
		object.Set("_"+v.member, v.under)
	}
}

// insert puts the value into the list of its name. The list beside it keeps step.
func (v patchValue) insert(object *resource.Node, index int) {
	length := listLength(object, v.member)
	for _, half := range [...]struct {
		name string
		node resource.Node
	}{{v.member, v.node}, {"_" + v.member, v.under}} {
		list := object.Get(half.name)
		if list == nil {
			if half.node.Kind == resource.Null {
				continue
			}
			object.Set(half.name, resource.Node{Kind: resource.Array})
			list = object.Get(half.name)
		}
		pad(list, length)
		insertItem(list, index, half.node)
	}
}

// families are types whose values may stand for each other in a patch, because
// clients write the general one where the special one is meant, or cannot tell.
// The gate looks at the text in its place.
var families = [][]string{
	{"string", "code", "id", "markdown", "xhtml"},
	{"uri", "url", "canonical", "oid", "uuid"},
	{"dateTime", "date", "instant"},
	{"integer", "positiveInt", "unsignedInt"},
	{"Quantity", "Age", "Count", "Distance", "Duration"},
}

// typeFor returns which of an element's types a value of a type is: that one, or
// else the only one of its family; "" if none.
func typeFor(e *resource.Element, typ string) string {
	names := typesOf(e)
	if slices.Contains(names, typ) {
		return typ
	}
	for _, family := range families {
		if !slices.Contains(family, typ) {
			continue
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(family, name) })
		if len(names) == 1 {
			return names[0]
		}
	}
	return ""
}

// read makes the value of an operation for an element. The error is
// Unprocessable if the type is wrong there.
func (o *pathOperation) read(w *pathWalk, e *resource.Element, budget *int) (patchValue, error) {
	return w.readValue(o.value, e, budget, 0)
}

// readValue reads one part: a value[x], a resource, or, for what has no type of
// its own, parts for its members.
func (w *pathWalk) readValue(part *resource.Node, e *resource.Element, budget *int, depth int) (patchValue, error) {
	if depth > maxPathDepth {
		return patchValue{}, fhir.Errorf(fhir.TooLarge, "the parts of a value are nested deeper than %d levels", maxPathDepth)
	}
	if members := part.List("part"); len(members) > 0 {
		return w.readParts(members, e, budget, depth)
	}
	if res := part.Get("resource"); res != nil {
		if !slices.Contains(typesOf(e), "Resource") {
			return patchValue{}, wrongType(e, "a resource")
		}
		node, ok := cloneNode(res, budget)
		if !ok {
			return patchValue{}, tooMuchPatched()
		}
		return patchValue{member: memberName(e, "Resource"), node: node}, nil
	}
	for i := range part.Fields {
		name, _ := strings.CutPrefix(part.Fields[i].Name, "_")
		if !strings.HasPrefix(name, "value") {
			continue
		}
		declared, ok := w.schema.Element("Parameters.parameter." + name)
		if !ok || len(declared.Types) != 1 {
			continue
		}
		typ := typeFor(e, declared.Types[0].Name)
		if typ == "" {
			return patchValue{}, wrongType(e, name)
		}
		out := patchValue{member: memberName(e, typ)}
		for _, half := range [...]struct {
			from string
			to   *resource.Node
		}{{name, &out.node}, {"_" + name, &out.under}} {
			if n := part.Get(half.from); n != nil {
				if *half.to, ok = cloneNode(n, budget); !ok {
					return patchValue{}, tooMuchPatched()
				}
			}
		}
		return out, nil
	}
	return patchValue{}, fhir.Errorf(fhir.Invalid, "the part \"value\" has no value")
}

// readParts makes an object of parts that are called as its members.
func (w *pathWalk) readParts(members []resource.Node, e *resource.Element, budget *int, depth int) (patchValue, error) {
	types := typesOf(e)
	if len(types) != 1 || primitiveType(types[0]) || types[0] == "Resource" {
		return patchValue{}, wrongType(e, "parts")
	}
	at := spot{typ: types[0], path: childrenPath(e, types[0]), index: -1}
	out := patchValue{member: memberName(e, types[0]), node: resource.Node{Kind: resource.Object}}
	for i := range members {
		name := members[i].Str("name")
		child, err := w.define(&at, name)
		if err != nil {
			return out, err
		}
		value, err := w.readValue(&members[i], &child, budget, depth+1)
		if err != nil {
			return out, err
		}
		switch present := out.node.Get(value.member) != nil || out.node.Get("_"+value.member) != nil; {
		case child.Repeats():
			value.insert(&out.node, listLength(&out.node, value.member))
		case present:
			return out, unfit("business-rule", child.Path+" is there twice, but it does not repeat")
		default:
			value.put(&out.node)
		}
	}
	return out, nil
}

func wrongType(e *resource.Element, found string) error {
	var wanted []string
	for _, typ := range typesOf(e) {
		switch typ {
		case "BackboneElement", "Element":
			wanted = append(wanted, "parts for its members")
		case "Resource":
			wanted = append(wanted, "resource")
		default:
			wanted = append(wanted, "value"+strings.ToUpper(typ[:1])+typ[1:])
		}
	}
	if len(wanted) > 6 {
		wanted = append(wanted[:6], "…")
	}
	return unfit("value", "the value is "+fhir.Clip(found)+", but "+e.Path+" takes "+strings.Join(wanted, ", "))
}
