package resource

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/starling-fhir/starling/fhir"
)

// MaxDepth is the deepest nesting of objects and arrays Decode accepts.
const MaxDepth = 64

// Decode reads one JSON value. It is strict, https://www.rfc-editor.org/rfc/rfc8259:
// no comments, no trailing text, valid UTF-8, no lone surrogates, and no object
// with two members of one name. The error is Invalid and says where.
func Decode(data []byte) (*Node, error) {
	d := decoder{data: data}
	var root Node
	d.space()
	if err := d.value(&root, 0); err != nil {
		return nil, err
	}
	d.space()
	if d.pos < len(d.data) {
		return nil, d.fail("text after the end of the JSON value")
	}
	return &root, nil
}

type decoder struct {
	data []byte
	pos  int
	path []string // names of the open members, for messages
}

// fail makes an error at the present position.
func (d *decoder) fail(problem string) error {
	line, column := 1, 1
	for _, c := range d.data[:min(d.pos, len(d.data))] {
		if c == '\n' {
			line, column = line+1, 1
		} else {
			column++
		}
	}
	where := ""
	for i, name := range d.path {
		if i > 0 && name[0] != '[' {
			where += "."
		}
		where += name
	}
	return &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
		Severity:   fhir.SeverityError,
		Code:       "structure",
		Message:    "invalid JSON at line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column) + ": " + problem,
		Expression: where,
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

func (d *decoder) value(n *Node, depth int) error {
	if d.pos >= len(d.data) {
		return d.fail("unexpected end")
	}
	switch c := d.data[d.pos]; {
	case c == '{':
		return d.object(n, depth+1)
	case c == '[':
		return d.array(n, depth+1)
	case c == '"':
		text, err := d.string()
		n.Kind, n.Text = String, text
		return err
	case c == '-' || c >= '0' && c <= '9':
		return d.number(n)
	case c == 't':
		return d.word(n, Bool, "true")
	case c == 'f':
		return d.word(n, Bool, "false")
	case c == 'n':
		return d.word(n, Null, "null")
	}
	return d.fail("a value cannot start with " + strconv.QuoteRune(d.rune()))
}

// rune returns the character at the present position, for messages.
func (d *decoder) rune() rune {
	r, _ := utf8.DecodeRune(d.data[d.pos:])
	return r
}

func (d *decoder) object(n *Node, depth int) error {
	if depth > MaxDepth {
		return d.fail("nested deeper than " + strconv.Itoa(MaxDepth) + " levels")
	}
	n.Kind = Object
	d.pos++
	d.space()
	if d.pos < len(d.data) && d.data[d.pos] == '}' {
		d.pos++
		return nil
	}
	fields := make([]Field, 0, 8)
	var seen map[string]bool // only for objects with many members
	for {
		if d.pos >= len(d.data) || d.data[d.pos] != '"' {
			return d.fail("expected a member name in quotes")
		}
		name, err := d.string()
		if err != nil {
			return err
		}
		if seen == nil && len(fields) >= 24 {
			seen = make(map[string]bool, 64)
			for i := range fields {
				seen[fields[i].Name] = true
			}
		}
		twice := seen[name]
		if seen != nil {
			seen[name] = true
		} else {
			for i := range fields {
				twice = twice || fields[i].Name == name
			}
		}
		if twice {
			return d.fail("member " + strconv.Quote(clip(name)) + " appears twice in one object")
		}
		d.space()
		if d.pos >= len(d.data) || d.data[d.pos] != ':' {
			return d.fail("expected ':' after member name")
		}
		d.pos++
		d.space()
		fields = append(fields, Field{Name: name})
		d.path = append(d.path, nameOr(name))
		if err := d.value(&fields[len(fields)-1].Node, depth); err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
		d.space()
		if d.pos >= len(d.data) {
			return d.fail("unexpected end inside an object")
		}
		switch d.data[d.pos] {
		case ',':
			d.pos++
			d.space()
		case '}':
			d.pos++
			n.Fields = fields
			return nil
		default:
			return d.fail("expected ',' or '}'")
		}
	}
}

// nameOr keeps an empty member name visible in a path.
func nameOr(name string) string {
	if name == "" {
		return `""`
	}
	return clip(name)
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

func (d *decoder) array(n *Node, depth int) error {
	if depth > MaxDepth {
		return d.fail("nested deeper than " + strconv.Itoa(MaxDepth) + " levels")
	}
	n.Kind = Array
	d.pos++
	d.space()
	if d.pos < len(d.data) && d.data[d.pos] == ']' {
		d.pos++
		return nil
	}
	items := make([]Node, 0, 2)
	d.path = append(d.path, "")
	for {
		items = append(items, Node{})
		if err := d.item(&items[len(items)-1], len(items)-1, depth); err != nil {
			return err
		}
		d.space()
		if d.pos >= len(d.data) {
			return d.fail("unexpected end inside an array")
		}
		switch d.data[d.pos] {
		case ',':
			d.pos++
			d.space()
		case ']':
			d.pos++
			d.path = d.path[:len(d.path)-1]
			n.Items = items
			return nil
		default:
			return d.fail("expected ',' or ']'")
		}
	}
}

func (d *decoder) item(n *Node, index, depth int) error {
	top := len(d.path) - 1
	d.path[top] = "[" + strconv.Itoa(index) + "]"
	return d.value(n, depth)
}

func (d *decoder) word(n *Node, kind NodeKind, word string) error {
	if len(d.data)-d.pos < len(word) || string(d.data[d.pos:d.pos+len(word)]) != word {
		return d.fail("not a JSON value")
	}
	d.pos += len(word)
	n.Kind = kind
	if kind == Bool {
		n.Text = word
	}
	return nil
}

func (d *decoder) number(n *Node) error {
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
		return d.fail("not a number")
	}
	if d.pos < len(d.data) && d.data[d.pos] == '.' {
		d.pos++
		if !digits() {
			return d.fail("a number needs digits after the point")
		}
	}
	if d.pos < len(d.data) && (d.data[d.pos] == 'e' || d.data[d.pos] == 'E') {
		d.pos++
		if d.pos < len(d.data) && (d.data[d.pos] == '+' || d.data[d.pos] == '-') {
			d.pos++
		}
		if !digits() {
			return d.fail("a number needs digits in its exponent")
		}
	}
	n.Kind, n.Text = Number, string(d.data[start:d.pos])
	return nil
}

func (d *decoder) string() (string, error) {
	d.pos++ // the opening quote
	start := d.pos
	ascii := true
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			raw := d.data[start:d.pos]
			if !ascii && !utf8.Valid(raw) {
				return "", d.fail("text is not valid UTF-8")
			}
			d.pos++
			return string(raw), nil
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
	v, err := strconv.ParseUint(string(d.data[d.pos:d.pos+4]), 16, 32)
	if err != nil {
		return 0, false
	}
	d.pos += 4
	return rune(v), true
}
