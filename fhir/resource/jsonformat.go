package resource

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/google/fhir/go/jsonformat"

	"github.com/starling-fhir/starling/fhir"
)

// problem is one error of jsonformat.
type problem struct {
	path        string // such as "Patient.contained[0].Observation.valueQuantity"
	details     string
	diagnostics string
}

// unmarshal lets jsonformat read a resource and returns what it objects to. A
// panic in it is an objection too: what it cannot read is not stored.
func unmarshal(reader *jsonformat.Unmarshaller, text []byte) (problems []problem) {
	defer func() {
		if recover() != nil {
			// The panic's value may quote the resource; it goes nowhere.
			problems = append(problems, problem{details: "cannot be read as an R4 resource"})
		}
	}()
	_, err := reader.Unmarshal(text)
	return problemsOf(err)
}

// problemsOf takes the errors of jsonformat apart. Their type is in a package
// that cannot be imported, and its Error method leaves out the diagnostics, so
// the fields are read by reflection:
//
//	type UnmarshalError struct{ Path, Details, Diagnostics string; … }
//	type UnmarshalErrorList []*UnmarshalError
func problemsOf(err error) []problem {
	if err == nil {
		return nil
	}
	v := reflect.ValueOf(err)
	if v.Kind() == reflect.Slice {
		var all []problem
		for i := range v.Len() {
			if e, ok := v.Index(i).Interface().(error); ok {
				all = append(all, problemsOf(e)...)
			}
		}
		return all
	}
	if v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		path, details, diagnostics := field(v, "Path"), field(v, "Details"), field(v, "Diagnostics")
		if details != "" {
			return []problem{{path, details, diagnostics}}
		}
	}
	return []problem{{details: fmt.Sprintf("cannot be read as an R4 resource (%T)", err)}}
}

func field(pointer reflect.Value, name string) string {
	if f := pointer.Elem().FieldByName(name); f.IsValid() && f.Kind() == reflect.String {
		return f.String()
	}
	return ""
}

// message puts jsonformat's words for developers into words for people.
func (p problem) message() string {
	text := p.details
	if p.diagnostics != "" {
		text += ": " + fhir.Clip(p.diagnostics)
	}
	return "is refused by the R4 JSON reader: " + text
}

func (p problem) code() string {
	if strings.HasPrefix(p.details, "unknown") || strings.HasPrefix(p.details, "expected array") {
		return "structure"
	}
	return "value"
}

// locate turns a path of jsonformat into a place in the tree. Its paths name
// the type after contained ("contained[0].Observation.status"), JSON members
// ("valueQuantity", "_birthDate"), and in part the fields of its protos
// ("observation.value.quantity", "subject.uri"). What cannot be followed ends
// the place at the last element that can. c.place leads to the resource itself.
func (c *checker) locate(path string) []step {
	place := slices.Clone(c.place)
	sh, n := c.shapes[c.root.Str("resourceType")], c.root
	parts := strings.Split(path, ".")
	for _, part := range parts[1:] {
		name, item := cutIndex(part)
		bare := strings.TrimPrefix(name, "_")
		if sh == nil {
			break
		}
		m := sh.members[bare]
		if m == nil {
			m = c.presentChoice(sh, n, bare)
		}
		if m == nil {
			if strings.EqualFold(bare, n.Str("resourceType")) {
				continue // the type of a contained resource
			}
			break
		}
		i := n.index(name)
		if i == len(n.Fields) {
			i = n.index(m.name)
		}
		if i == len(n.Fields) {
			i = n.index("_" + m.name)
		}
		if i == len(n.Fields) {
			break
		}
		n = &n.Fields[i].Node
		s := step{m.element, i, -1}
		if item >= 0 && n.Kind == Array && item < len(n.Items) {
			n, s.item = &n.Items[item], item
		}
		place = append(place, s)
		switch {
		case m.nested:
			sh = c.shapes[n.Str("resourceType")]
		case m.primitive != nil:
			sh = c.shapes["Element"]
		default:
			sh = m.shape
		}
	}
	return place
}

// presentChoice returns the member by which a choice element is present.
func (c *checker) presentChoice(sh *shape, n *Node, element string) *member {
	for i := range n.Fields {
		m := sh.members[strings.TrimPrefix(n.Fields[i].Name, "_")]
		if m != nil && m.element == element {
			return m
		}
	}
	return nil
}

// cutIndex splits "name[2]" into "name" and 2; without index it gives -1.
func cutIndex(part string) (name string, index int) {
	name, rest, ok := strings.Cut(part, "[")
	if !ok {
		return part, -1
	}
	i, err := strconv.Atoi(strings.TrimSuffix(rest, "]"))
	if err != nil {
		return part, -1
	}
	return name, i
}
