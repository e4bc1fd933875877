package resource

import (
	"slices"
	"strconv"

	"github.com/starling-fhir/starling/fhir"
)

// maxXMLProblems ends the reading of a text that has so many.
const maxXMLProblems = 100

// DecodeXML reads a resource in XML, https://hl7.org/fhir/R4/xml.html, into the
// tree that [Decode] makes of its JSON form. It is strict: elements must be R4's,
// in R4's order and namespace, with R4's attributes. Comments, processing
// instructions and xsi:schemaLocation are passed over. Whether the resource is
// valid is not its business; see [Gate.Check].
//
// The error is Invalid and lists what is wrong with line, column and FHIRPath, or
// TooLarge beyond [MaxValues].
func DecodeXML(data []byte) (*Node, error) {
	all, err := shapes()
	if err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "the embedded definitions are broken")
	}
	d := xmlDecoder{shapes: all}
	if d.xmlScanner, err = newXMLScanner(data); err != nil {
		return nil, err
	}
	root, err := d.document()
	switch {
	case err != nil && fhir.KindOf(err) == fhir.TooLarge:
		return nil, err
	case err != nil:
		d.problems = append(d.problems, err.(*fhir.Error).Issues...) //nolint:errorlint,forcetypeassert // fail made it
		fallthrough
	case len(d.problems) > 0:
		return nil, &fhir.Error{Kind: fhir.Invalid, Issues: d.problems}
	}
	return &root, nil
}

// xmlDecoder builds the tree. Like the decoder of JSON it collects members and
// items on stacks until their number is known.
type xmlDecoder struct {
	xmlScanner

	shapes   map[string]*shape
	path     []pathStep
	values   int
	problems []fhir.Issue // what does not keep from reading on

	fields []Field
	items  []Node // of the list that is being read, nested ones above
	twins  []Node // the halves that go with items: of given those of _given

	fieldSlab []Field
	itemSlab  []Node
}

// problem notes what is wrong at a position. The error is not nil when there is
// too much of it.
func (d *xmlDecoder) problem(pos int, text string) error {
	d.problems = append(d.problems, fhir.Issue{
		Severity: fhir.SeverityError, Code: "structure", Message: d.placed(pos, text), Expression: pathOf(d.path),
	})
	if len(d.problems) == maxXMLProblems {
		return d.fail(pos, "there are too many problems; the rest was not read")
	}
	return nil
}

// pathOf writes steps as FHIRPath.
func pathOf(path []pathStep) string {
	var out []byte
	for i, step := range path {
		if i > 0 {
			out = append(out, '.')
		}
		out = append(out, step.name...)
		if step.index >= 0 {
			out = strconv.AppendInt(append(out, '['), int64(step.index), 10)
			out = append(out, ']')
		}
	}
	return string(out)
}

// count counts a value against MaxValues.
func (d *xmlDecoder) count() error {
	if d.values++; d.values > MaxValues {
		return fhir.Errorf(fhir.TooLarge, "more than %d values", MaxValues)
	}
	return nil
}

// document reads everything.
func (d *xmlDecoder) document() (Node, error) {
	kind, err := d.content()
	if err != nil {
		return Node{}, err
	}
	if kind == xmlEOF {
		return Node{}, d.fail(d.pos, "there is no element")
	}
	root, err := d.resource(1)
	if err != nil {
		return Node{}, err
	}
	_, err = d.content() // nothing but the end
	return root, err
}

// content reads up to the next start or end of an element. What may stand in
// between is passed over, text is a problem.
func (d *xmlDecoder) content() (xmlKind, error) {
	for {
		kind, err := d.next()
		if err != nil {
			return 0, err
		}
		switch kind {
		case xmlStart, xmlEnd, xmlEOF:
			return kind, nil
		case xmlChars, xmlCDATA:
			if blank(d.text) {
				continue
			}
			if err := d.problem(d.start, "there must be no text here: values stand in the attribute value"); err != nil {
				return 0, err
			}
		}
	}
}

func blank(s string) bool {
	for i := range len(s) {
		if !xmlSpace(s[i]) {
			return false
		}
	}
	return true
}

// skip reads the rest of the element whose start was read last.
func (d *xmlDecoder) skip() error {
	for depth := 1; depth > 0; {
		kind, err := d.next()
		switch {
		case err != nil:
			return err
		case kind == xmlStart:
			depth++
		case kind == xmlEnd:
			depth--
		}
	}
	return nil
}

// resource reads a resource whose start was read last. depth is that of its
// object in the tree.
func (d *xmlDecoder) resource(depth int) (Node, error) {
	name := d.tag.local
	sh := d.shapes[name]
	uri, _ := d.namespace(d.tag.prefix)
	var wrong string
	switch {
	case uri != fhirNamespace:
		wrong = "<" + fhir.Clip(d.tag.name) + "> is not in the namespace " + fhirNamespace
	case sh == nil || !sh.resource:
		wrong = quote(name) + " is not an R4 resource type" + nearType(name)
	}
	if wrong != "" {
		if err := d.problem(d.start, wrong); err != nil {
			return Node{}, err
		}
		return Node{}, d.skip()
	}
	if len(d.path) == 0 {
		d.path = append(d.path, pathStep{name, -1})
	}
	d.fields = append(d.fields, Field{"resourceType", Text(name)})
	if err := d.count(); err != nil {
		return Node{}, err
	}
	n, err := d.object(sh, depth, len(d.fields)-1)
	return n, err
}

// object reads the attributes and children of an element into an object. The
// fields from base on are in it already.
func (d *xmlDecoder) object(sh *shape, depth, base int) (Node, error) {
	if depth > MaxDepth {
		return Node{}, d.fail(d.start, "nested deeper than "+strconv.Itoa(MaxDepth)+" levels")
	}
	if err := d.count(); err != nil {
		return Node{}, err
	}
	if err := d.attributes(sh); err != nil {
		return Node{}, err
	}
	var present *member // whose elements are being read
	items := len(d.items)
	for {
		kind, err := d.content()
		if err != nil {
			return Node{}, err
		}
		if kind == xmlEnd {
			break
		}
		m, err := d.member(sh, present)
		if err != nil {
			return Node{}, err
		}
		if m == nil {
			if err := d.skip(); err != nil {
				return Node{}, err
			}
			continue
		}
		if m != present {
			d.finish(present, items)
			present = m
		}
		if err := d.child(m, depth, len(d.items)-items); err != nil {
			return Node{}, err
		}
	}
	d.finish(present, items)
	fields := cut(&d.fieldSlab, d.fields[base:])
	d.fields = d.fields[:base]
	return Node{Kind: Object, Fields: fields}, nil
}

// attributes adds the attributes of an element to the fields.
func (d *xmlDecoder) attributes(sh *shape) error {
	for i := range d.tag.attributes {
		a := &d.tag.attributes[i]
		uri, _ := d.namespace(a.prefix)
		m := sh.members[a.local]
		switch {
		case a.prefix != "" && uri == instanceNamespace && (a.local == "schemaLocation" || a.local == "noNamespaceSchemaLocation"):
			continue
		case a.prefix == "" && m != nil && sh.xmlAttribute(m):
			if err := d.count(); err != nil {
				return err
			}
			d.fields = append(d.fields, Field{m.name, Text(a.value)})
			continue
		}
		if err := d.problem(a.at, "<"+fhir.Clip(d.tag.name)+"> must not have the attribute "+fhir.Clip(a.local)+
			attributeHint(sh, m, a.local)); err != nil {
			return err
		}
	}
	return nil
}

func attributeHint(sh *shape, m *member, name string) string {
	switch {
	case name == "value":
		return ": only primitive elements have a value"
	case m != nil:
		return ": it is an element, <" + name + ` value="…"/>`
	case sh.resource:
		return ": a resource has no attributes"
	}
	return ""
}

// member returns what the element whose start was read last is, nil if it cannot
// stand here, which is noted. present is the member before it.
func (d *xmlDecoder) member(sh *shape, present *member) (*member, error) {
	name := d.tag.local
	uri, _ := d.namespace(d.tag.prefix)
	m := sh.members[name]
	want := fhirNamespace
	if m != nil && m.xhtml() {
		want = xhtmlNamespace
	}
	var wrong string
	switch {
	case m == nil:
		wrong = sh.unknown("element", name)
	case uri != want:
		wrong = "<" + fhir.Clip(d.tag.name) + "> is not in the namespace " + want
	case sh.xmlAttribute(m):
		wrong = name + " is an attribute, not an element"
	case present == nil || m.bit > present.bit || m == present && m.repeats:
		return m, nil
	case m == present:
		wrong = "<" + name + "> is there twice, but does not repeat"
	case m.bit == present.bit:
		wrong = m.element + " may have only one type, found both " + present.name + " and " + name
	default:
		wrong = "<" + name + "> must stand before <" + present.name + ">: elements have an order in XML"
	}
	return nil, d.problem(d.start, wrong)
}

// child reads the value of one element of a member and adds it to the items. It
// is the one with this number of its member.
func (d *xmlDecoder) child(m *member, depth, number int) error {
	step := pathStep{m.element, -1}
	if m.repeats {
		step.index = number
		depth++ // the list
		if depth > MaxDepth {
			return d.fail(d.start, "nested deeper than "+strconv.Itoa(MaxDepth)+" levels")
		}
		if number == 0 {
			if err := d.count(); err != nil {
				return err
			}
		}
	}
	d.path = append(d.path, step)
	var value, twin Node
	var err error
	switch {
	case m.nested:
		value, err = d.wrapped(depth + 1)
	case m.shape != nil:
		value, err = d.object(m.shape, depth+1, len(d.fields))
	case m.xhtml():
		if err = d.count(); err == nil {
			value, err = d.div()
		}
	default:
		value, twin, err = d.primitive(m, depth+1)
	}
	if err != nil {
		return err
	}
	d.path = d.path[:len(d.path)-1]
	d.items = append(d.items, value)
	d.twins = append(d.twins, twin)
	return nil
}

// finish makes fields of the items of a member.
func (d *xmlDecoder) finish(m *member, items int) {
	if m == nil {
		return
	}
	values, twins := d.items[items:], d.twins[items:]
	some := func(list []Node) bool {
		return slices.ContainsFunc(list, func(n Node) bool { return n.Kind != Null })
	}
	add := func(name string, list []Node) {
		switch {
		case !m.repeats:
			d.fields = append(d.fields, Field{name, list[0]})
		default:
			d.fields = append(d.fields, Field{name, Node{Kind: Array, Items: cut(&d.itemSlab, list)}})
		}
	}
	if some(values) {
		add(m.name, values)
	}
	if some(twins) {
		add("_"+m.name, twins)
	}
	d.items, d.twins = d.items[:items], d.twins[:items]
}

// wrapped reads the resource inside an element such as <contained>.
func (d *xmlDecoder) wrapped(depth int) (Node, error) {
	for i := range d.tag.attributes {
		if err := d.problem(d.tag.attributes[i].at, "<"+fhir.Clip(d.tag.name)+"> has no attributes: it holds a resource"); err != nil {
			return Node{}, err
		}
	}
	start, name := d.start, d.tag.name
	var found Node
	for number := 0; ; number++ {
		kind, err := d.content()
		if err != nil {
			return Node{}, err
		}
		switch {
		case kind == xmlEnd && number == 0:
			return Node{}, d.problem(start, "<"+fhir.Clip(name)+"> must hold a resource")
		case kind == xmlEnd:
			return found, nil
		case number == 0:
			if found, err = d.resource(depth); err != nil {
				return Node{}, err
			}
			continue
		}
		if err := d.problem(d.start, "<"+fhir.Clip(name)+"> must hold one resource only"); err != nil {
			return Node{}, err
		}
		if err := d.skip(); err != nil {
			return Node{}, err
		}
	}
}

// primitive reads a primitive element: its value, Null if it has none, and its id
// and extensions as an object, Null if it has none of them.
func (d *xmlDecoder) primitive(m *member, depth int) (value, twin Node, err error) {
	start, name := d.start, d.tag.name
	for i := range d.tag.attributes {
		a := &d.tag.attributes[i]
		if a.prefix != "" || a.local != "value" {
			continue
		}
		var ok bool
		if value, ok = m.primitive.node(a.value); !ok {
			if err := d.problem(a.at, literal(&Node{Kind: String, Text: a.value})+" is not "+m.primitive.want); err != nil {
				return value, twin, err
			}
		}
		d.tag.attributes = slices.Delete(d.tag.attributes, i, i+1)
		if err := d.count(); err != nil {
			return value, twin, err
		}
		break
	}
	if len(d.tag.attributes) == 0 && d.tag.empty {
		_, err = d.next() // its end
	} else {
		// Most elements have no more than a value: then no object is counted.
		d.values--
		twin, err = d.object(d.shapes["Element"], depth, len(d.fields))
		if len(twin.Fields) == 0 {
			twin = Node{}
		} else if err == nil {
			err = d.count()
		}
	}
	if err == nil && value.Kind == Null && twin.Kind == Null {
		err = d.problem(start, "<"+fhir.Clip(name)+"> must have a value or extensions")
	}
	return value, twin, err
}

// node returns the value of a primitive as JSON has it.
func (p *primitive) node(text string) (Node, bool) {
	switch p.kind {
	case Bool:
		return Node{Kind: Bool, Text: text}, text == "true" || text == "false"
	case Number:
		d := decoder{data: text}
		if text == "" {
			return Node{Kind: Number}, false
		}
		n, err := d.number()
		return Node{Kind: Number, Text: text}, err == nil && n.Text == text
	}
	return Text(text), true
}
