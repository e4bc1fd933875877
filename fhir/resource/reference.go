package resource

import (
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// referenceKind says how a reference names its target.
type referenceKind int

const (
	referenceRelative    referenceKind = iota // Patient/1, Patient/1/_history/2
	referenceConditional                      // Patient?identifier=s|v, in a transaction
	referenceLocal                            // #p1, or # for the container itself
	referenceAbsolute                         // http://…, urn:uuid:…
)

// parseReference reads the text of Reference.reference. typ is the target's
// type, "" where the text does not tell: for local references and for absolute
// URLs that do not end like those of a FHIR server. problem is "" if the text is
// valid.
//
// https://hl7.org/fhir/R4/references.html#literal
func parseReference(text string) (kind referenceKind, typ, problem string) {
	if strings.HasPrefix(text, "#") {
		return referenceLocal, "", ""
	}
	if scheme, rest, ok := strings.Cut(text, ":"); ok && isScheme(scheme) {
		switch {
		case !validURI(text):
			return referenceAbsolute, "", "is not a URL"
		case scheme == "http" || scheme == "https":
			return referenceAbsolute, typeInURL(rest), ""
		}
		return referenceAbsolute, "", ""
	}
	if typ, _, ok := strings.Cut(text, "?"); ok {
		if !KnownType(typ) {
			return referenceConditional, "", "does not begin with a resource type" + nearType(typ)
		}
		return referenceConditional, typ, ""
	}
	typ, rest, ok := strings.Cut(text, "/")
	if !ok {
		return referenceRelative, "", "is neither Type/id, #id nor an absolute URL"
	}
	if !KnownType(typ) {
		return referenceRelative, "", "does not begin with a resource type" + nearType(typ)
	}
	id, version, ok := strings.Cut(rest, "/_history/")
	if !fhir.ValidID(id) || ok && !fhir.ValidID(version) {
		return referenceRelative, "", "does not end in a valid id (1 to 64 letters, digits, '-' and '.')"
	}
	return referenceRelative, typ, ""
}

func nearType(typ string) string {
	if near := fhir.Nearest(typ, Types()); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// typeInURL returns the resource type in what follows the scheme of a URL such
// as //example.org/fhir/Patient/1/_history/2, or "".
func typeInURL(rest string) string {
	rest, _, _ = strings.Cut(rest, "#")
	path, _, conditional := strings.Cut(rest, "?")
	if !conditional {
		path, _, _ = strings.Cut(path, "/_history/")
		i := strings.LastIndexByte(path, '/')
		if i < 0 || !fhir.ValidID(path[i+1:]) {
			return ""
		}
		path = path[:i]
	}
	if typ := path[strings.LastIndexByte(path, '/')+1:]; KnownType(typ) {
		return typ
	}
	return ""
}

// EachReference calls visit for every Reference in a resource, also inside
// extensions, contained resources, and the resources of a Bundle or Parameters.
// path is where it stands, such as "Observation.subject". visit may change the
// Reference. What the definitions do not know is passed over.
func EachReference(root *Node, visit func(path string, ref *Node)) {
	v := visitor{reference: visit}
	v.resource(root.Str("resourceType"), root)
}

// EachURI calls visit for every value that can hold the URL of a resource
// outside a Reference: elements of type uri, url, canonical, oid and uuid, and
// href and src in a narrative. visit may change the node's Text; a change to an
// attribute is written back into the narrative.
//
// https://hl7.org/fhir/R4/http.html#trules names the places where a transaction
// replaces the identity of a resource.
func EachURI(root *Node, visit func(path string, uri *Node)) {
	v := visitor{uri: visit}
	v.resource(root.Str("resourceType"), root)
}

// visitor walks a tree along its shapes. It calls whichever function is set.
type visitor struct {
	reference func(path string, ref *Node)
	uri       func(path string, uri *Node)
	path      []byte
}

func (v *visitor) resource(path string, n *Node) {
	all, err := shapes()
	if err != nil {
		return // NewGate reports it
	}
	sh := all[n.Str("resourceType")]
	if sh == nil || !sh.resource {
		return
	}
	was := len(v.path)
	if was == 0 {
		v.path = append(v.path, path...)
	}
	v.object(sh, n)
	v.path = v.path[:was]
}

func (v *visitor) object(sh *shape, n *Node) {
	for i := range n.Fields {
		f := &n.Fields[i]
		name, under := strings.CutPrefix(f.Name, "_")
		m := sh.members[name]
		if m == nil {
			continue
		}
		was := len(v.path)
		v.path = append(append(v.path, '.'), m.element...)
		if f.Node.Kind == Array {
			for j := range f.Node.Items {
				at := len(v.path)
				v.path = strconv.AppendInt(append(v.path, '['), int64(j), 10)
				v.path = append(v.path, ']')
				v.member(m, under, &f.Node.Items[j])
				v.path = v.path[:at]
			}
		} else {
			v.member(m, under, &f.Node)
		}
		v.path = v.path[:was]
	}
}

func (v *visitor) member(m *member, under bool, n *Node) {
	switch {
	case m.nested:
		v.resource("", n)
	case under:
		if all, err := shapes(); err == nil {
			v.object(all["Element"], n)
		}
	case m.shape != nil:
		if v.reference != nil && m.reference() && n.Kind == Object {
			v.reference(string(v.path), n)
		}
		v.object(m.shape, n)
	case v.uri == nil || n.Kind != String:
	case m.uri:
		v.uri(string(v.path), n)
	case m.primitive.name == "xhtml":
		n.Text = rewriteLinks(n.Text, func(link string) string {
			node := Text(link)
			v.uri(string(v.path), &node)
			return node.Text
		})
	}
}

// targetProblem says what is wrong with a reference to a type where only others
// are allowed; "" if nothing is.
func targetProblem(typ string, allowed []string) string {
	if typ == "" || allowed == nil || slices.Contains(allowed, typ) {
		return ""
	}
	return "refers to the type " + typ + "; allowed here: " + strings.Join(allowed, ", ")
}
