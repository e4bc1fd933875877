package resource

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/starling-fhir/starling/fhir"
)

// MaxDepth is the deepest nesting of objects and arrays Decode accepts.
const MaxDepth = 64

// MaxValues is the most JSON values, counting every object, list and scalar,
// that Decode accepts in one text. It bounds the memory of a tree: a value takes
// up to 90 bytes, though it may be written in two. A Bundle of 20,000 ordinary
// resources stays below it.
const MaxValues = 2 << 20

// Decode reads one JSON value. It is strict, https://www.rfc-editor.org/rfc/rfc8259:
// no comments, no trailing text, valid UTF-8, no lone surrogates, and no object
// with two members of one name. The error is Invalid and says where, or TooLarge
// beyond MaxValues. The tree shares no memory with data.
func Decode(data []byte) (*Node, error) {
	d := decoder{data: string(data), deepest: MaxDepth}
	d.space()
	root, err := d.value(0)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.pos < len(d.data) {
		return nil, d.fail("text after the end of the JSON value")
	}
	return &root, nil
}

// decoder reads a text that is a string already, so that the texts and names of
// the tree are parts of it and cost no copy each.
type decoder struct {
	data   string
	pos    int
	values int
	// deepest is the deepest nesting allowed.
	deepest int
	path    []pathStep // the open members and items, for messages

	// each, if set, is given the items of the root's member "entry", one after
	// the other, instead of the tree.
	each func(*Node)

	// Members and items wait here, nested ones above those around them, until
	// their object or list is complete and its size known.
	fields []Field
	items  []Node

	// Finished objects and lists are cut from these.
	fieldSlab []Field
	itemSlab  []Node
}

// pathStep is a member's name, or an item's index if the name is "".
type pathStep struct {
	name  string
	index int
}

// fail makes an error at the present position.
func (d *decoder) fail(problem string) error {
	line, column := 1, 1
	for _, c := range []byte(d.data[:min(d.pos, len(d.data))]) {
		if c == '\n' {
			line, column = line+1, 1
		} else {
			column++
		}
	}
	return d.failAs(fhir.Invalid, "structure",
		"invalid JSON at line "+strconv.Itoa(line)+", column "+strconv.Itoa(column)+": "+problem)
}

func (d *decoder) failAs(kind fhir.Kind, code, message string) error {
	var where []byte
	for _, step := range d.path {
		switch {
		case step.name == "":
			where = strconv.AppendInt(append(where, '['), int64(step.index), 10)
			where = append(where, ']')
			continue
		case len(where) > 0:
			where = append(where, '.')
		}
		where = append(where, fhir.Clip(step.name)...)
	}
	return &fhir.Error{Kind: kind, Issues: []fhir.Issue{{
		Severity:   fhir.SeverityError,
		Code:       code,
		Message:    message,
		Expression: string(where),
	}}}
}

func (d *decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *decoder) value(depth int) (Node, error) {
	if d.pos >= len(d.data) {
		return Node{}, d.fail("unexpected end")
	}
	if d.values++; d.values > MaxValues {
		return Node{}, d.failAs(fhir.TooLarge, "too-costly", "more than "+strconv.Itoa(MaxValues)+" JSON values")
	}
	switch c := d.data[d.pos]; {
	case c == '{':
		return d.object(depth + 1)
	case c == '[':
		return d.array(depth + 1)
	case c == '"':
		text, err := d.string()
		return Node{Kind: String, Text: text}, err
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	case c == 't':
		return d.word(Node{Kind: Bool, Text: "true"}, "true")
	case c == 'f':
		return d.word(Node{Kind: Bool, Text: "false"}, "false")
	case c == 'n':
		return d.word(Node{}, "null")
	}
	r, _ := utf8.DecodeRuneInString(d.data[d.pos:])
	return Node{}, d.fail("a value cannot start with " + strconv.QuoteRune(r))
}

func (d *decoder) object(depth int) (Node, error) {
	if depth > d.deepest {
		return Node{}, d.fail("nested deeper than " + strconv.Itoa(d.deepest) + " levels")
	}
	d.pos++
	d.space()
	if d.pos < len(d.data) && d.data[d.pos] == '}' {
		d.pos++
		return Node{Kind: Object}, nil
	}
	base := len(d.fields)
	var seen map[string]bool // only for objects with many members
	for {
		if d.pos >= len(d.data) || d.data[d.pos] != '"' {
			return Node{}, d.fail("expected a member name in quotes")
		}
		name, err := d.string()
		if err != nil {
			return Node{}, err
		}
		if seen, err = d.unique(name, d.fields[base:], seen); err != nil {
			return Node{}, err
		}
		d.space()
		if d.pos >= len(d.data) || d.data[d.pos] != ':' {
			return Node{}, d.fail("expected ':' after member name")
		}
		d.pos++
		d.space()
		step := pathStep{name: name}
		if name == "" {
			step.name = `""`
		}
		d.path = append(d.path, step)
		node, err := d.value(depth)
		if err != nil {
			return Node{}, err
		}
		d.path = d.path[:len(d.path)-1]
		d.fields = append(d.fields, Field{name, node})
		d.space()
		if d.pos >= len(d.data) {
			return Node{}, d.fail("unexpected end inside an object")
		}
		switch d.data[d.pos] {
		case ',':
			d.pos++
			d.space()
		case '}':
			d.pos++
			fields := cut(&d.fieldSlab, d.fields[base:])
			d.fields = d.fields[:base]
			return Node{Kind: Object, Fields: fields}, nil
		default:
			return Node{}, d.fail("expected ',' or '}'")
		}
	}
}

// unique refuses a name that one of the members before has. It returns seen, a
// set of their names that it starts when they are many.
func (d *decoder) unique(name string, before []Field, seen map[string]bool) (map[string]bool, error) {
	const few = 24
	if seen == nil && len(before) < few {
		for i := range before {
			if before[i].Name == name {
				return nil, d.fail("member " + strconv.Quote(fhir.Clip(name)) + " appears twice in one object")
			}
		}
		return nil, nil
	}
	if seen == nil {
		seen = make(map[string]bool, 4*few)
		for i := range before {
			seen[before[i].Name] = true
		}
	}
	if seen[name] {
		return nil, d.fail("member " + strconv.Quote(fhir.Clip(name)) + " appears twice in one object")
	}
	seen[name] = true
	return seen, nil
}

// cut copies list into a piece of a slab. Appending to the piece later does not
// touch its neighbours.
func cut[T any](slab *[]T, list []T) []T {
	const most = 256
	if len(list) > cap(*slab)-len(*slab) {
		if len(list) >= most/4 {
			return append(make([]T, 0, len(list)), list...)
		}
		*slab = make([]T, 0, min(most, max(16, 2*cap(*slab))))
	}
	start := len(*slab)
	*slab = append(*slab, list...)
	return (*slab)[start:len(*slab):len(*slab)]
}

func (d *decoder) array(depth int) (Node, error) {
	if depth > d.deepest {
		return Node{}, d.fail("nested deeper than " + strconv.Itoa(d.deepest) + " levels")
	}
	d.pos++
	d.space()
	if d.pos < len(d.data) && d.data[d.pos] == ']' {
		d.pos++
		return Node{Kind: Array}, nil
	}
	base := len(d.items)
	each := d.each != nil && len(d.path) == 1 && d.path[0].name == "entry"
	d.path = append(d.path, pathStep{})
	for {
		d.path[len(d.path)-1].index = len(d.items) - base
		node, err := d.value(depth)
		if err != nil {
			return Node{}, err
		}
		if each {
			d.each(&node)
			d.values, d.fieldSlab, d.itemSlab = 0, nil, nil
		} else {
			d.items = append(d.items, node)
		}
		d.space()
		if d.pos >= len(d.data) {
			return Node{}, d.fail("unexpected end inside an array")
		}
		switch d.data[d.pos] {
		case ',':
			d.pos++
			d.space()
		case ']':
			d.pos++
			d.path = d.path[:len(d.path)-1]
			items := cut(&d.itemSlab, d.items[base:])
			d.items = d.items[:base]
			return Node{Kind: Array, Items: items}, nil
		default:
			return Node{}, d.fail("expected ',' or ']'")
		}
	}
}

// word reads a literal and returns the node it stands for.
func (d *decoder) word(n Node, word string) (Node, error) {
	if !strings.HasPrefix(d.data[d.pos:], word) {
		return Node{}, d.fail("not a JSON value")
	}
	d.pos += len(word)
	return n, nil
}

func (d *decoder) number() (Node, error) {
	start := d.pos
	digits := func() bool {
		from := d.pos
		for d.pos < len(d.data) && d.data[d.pos] >= '0' && d.data[d.pos] <= '9' {
			d.pos++
		}
		return d.pos > from
	}
	if d.data[d.pos] == '-' {
		d.pos++
	}
	zero := d.pos < len(d.data) && d.data[d.pos] == '0'
	from := d.pos
	if !digits() || zero && d.pos-from > 1 {
		return Node{}, d.fail("not a number")
	}
	if d.pos < len(d.data) && d.data[d.pos] == '.' {
		d.pos++
		if !digits() {
			return Node{}, d.fail("a number needs digits after the point")
		}
	}
	if d.pos < len(d.data) && (d.data[d.pos] == 'e' || d.data[d.pos] == 'E') {
		d.pos++
		if d.pos < len(d.data) && (d.data[d.pos] == '+' || d.data[d.pos] == '-') {
			d.pos++
		}
		if !digits() {
			return Node{}, d.fail("a number needs digits in its exponent")
		}
	}
	return Node{Kind: Number, Text: d.data[start:d.pos]}, nil
}

func (d *decoder) string() (string, error) {
	d.pos++ // the opening quote
	start := d.pos
	ascii := true
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			raw := d.data[start:d.pos]
			if !ascii && !utf8.ValidString(raw) {
				return "", d.fail("text is not valid UTF-8")
			}
			d.pos++
			return raw, nil
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return "", d.fail("control characters must be escaped")
		case c >= 0x80:
			ascii = false
		}
		d.pos++
	}
	return "", d.fail("unexpected end inside a string")
}

// escaped reads the rest of a string from its first backslash on.
func (d *decoder) escaped(start int) (string, error) {
	out := append(make([]byte, 0, 2*(d.pos-start)+32), d.data[start:d.pos]...)
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		switch {
		case c == '"':
			d.pos++
			if !utf8.Valid(out) {
				return "", d.fail("text is not valid UTF-8")
			}
			return string(out), nil
		case c < 0x20:
			return "", d.fail("control characters must be escaped")
		case c != '\\':
			out = append(out, c)
			d.pos++
			continue
		}
		if d.pos+1 >= len(d.data) {
			break
		}
		c = d.data[d.pos+1]
		d.pos += 2
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := d.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", d.fail("unknown escape in a string")
		}
	}
	return "", d.fail("unexpected end inside a string")
}

func (d *decoder) unicode() (rune, error) {
	first, ok := d.hex4()
	if !ok {
		return 0, d.fail(`\u needs four hexadecimal digits`)
	}
	if !utf16.IsSurrogate(first) {
		return first, nil
	}
	if d.pos+1 < len(d.data) && d.data[d.pos] == '\\' && d.data[d.pos+1] == 'u' {
		d.pos += 2
		if second, ok := d.hex4(); ok {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	return 0, d.fail("half of a surrogate pair")
}

func (d *decoder) hex4() (rune, bool) {
	if len(d.data)-d.pos < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(d.data[d.pos:d.pos+4], 16, 32)
	if err != nil {
		return 0, false
	}
	d.pos += 4
	return rune(v), true
}
