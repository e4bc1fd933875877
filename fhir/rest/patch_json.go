package rest

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// maxPatchValues is the most JSON values that the operations of one patch may
// put into a resource, added and copied: copies of copies double each time.
const maxPatchValues = 200_000

// jsonOperation is one operation of a JSON Patch,
// https://www.rfc-editor.org/rfc/rfc6902#section-4.
type jsonOperation struct {
	op         string
	path, from []string // the tokens of JSON Pointers
	value      *resource.Node
	// where is the place of the operation, such as "[2]", for messages.
	where string
}

// jsonOperations are the operations with the members they need.
var jsonOperations = map[string]struct{ from, value bool }{
	"add": {value: true}, "remove": {}, "replace": {value: true},
	"move": {from: true}, "copy": {from: true}, "test": {value: true},
}

// parseJSONPatch reads a JSON Patch document. It works on our own tree, so that
// numbers stay as they are written. The error is Invalid and names every fault,
// TooLarge beyond maxPatchOperations.
func parseJSONPatch(root *resource.Node) (patcher, error) {
	if root.Kind != resource.Array {
		return nil, invalid("structure", "", "a JSON Patch is a list of operations")
	}
	if len(root.Items) > maxPatchOperations {
		return nil, tooManyOperations(len(root.Items))
	}
	operations := make([]jsonOperation, len(root.Items))
	var problems []error
	for i := range root.Items {
		where := "[" + strconv.Itoa(i) + "]"
		operation, err := parseJSONOperation(&root.Items[i], where)
		problems = append(problems, err)
		operations[i] = operation
	}
	if err := merge(problems); err != nil {
		return nil, err
	}
	return func(target *resource.Node) error {
		budget := maxPatchValues
		for i := range operations {
			if err := operations[i].apply(target, &budget); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func parseJSONOperation(n *resource.Node, where string) (jsonOperation, error) {
	out := jsonOperation{where: where}
	if n.Kind != resource.Object {
		return out, badOperation("structure", where, "an operation is an object with op and path")
	}
	op := n.Get("op")
	if op == nil || op.Kind != resource.String {
		return out, badOperation("required", where, "an operation must have an op: add, remove, replace, move, copy or test")
	}
	needs, known := jsonOperations[op.Text]
	if !known {
		return out, badOperation("code-invalid", where, strconv.Quote(fhir.Clip(op.Text))+" is not an op; there are add, remove, replace, move, copy and test")
	}
	out.op = op.Text
	var err error
	if out.path, err = parsePointer(n.Get("path"), "path", where); err != nil {
		return out, err
	}
	if needs.from {
		if out.from, err = parsePointer(n.Get("from"), "from", where); err != nil {
			return out, err
		}
	}
	if out.value = n.Get("value"); needs.value && out.value == nil {
		return out, badOperation("required", where, out.op+" must have a value")
	}
	return out, nil
}

// parsePointer reads a JSON Pointer, https://www.rfc-editor.org/rfc/rfc6901.
func parsePointer(n *resource.Node, name, where string) ([]string, error) {
	if n == nil || n.Kind != resource.String {
		return nil, badOperation("required", where, "an operation must have a "+name+", a JSON Pointer such as /name/0/family")
	}
	if n.Text == "" {
		return nil, nil
	}
	if n.Text[0] != '/' {
		return nil, badOperation("value", where, name+" is no JSON Pointer: it must begin with / as in /name/0/family")
	}
	tokens := strings.Split(n.Text[1:], "/")
	if len(tokens) > resource.MaxDepth {
		return nil, badOperation("too-long", where, name+" leads deeper than "+strconv.Itoa(resource.MaxDepth)+" levels")
	}
	for i, token := range tokens {
		for rest := token; ; {
			_, after, escaped := strings.Cut(rest, "~")
			if !escaped {
				break
			}
			if after == "" || after[0] != '0' && after[0] != '1' {
				return nil, badOperation("value", where, name+" is no JSON Pointer: ~ is written ~0, and / inside a name ~1")
			}
			rest = after[1:]
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	}
	return tokens, nil
}

// badOperation is the error of an operation that is not well formed.
func badOperation(code, where, message string) error {
	return invalid(code, "", "operation "+where+": "+message)
}

// fail is the error of an operation that the resource, as it is now, does not
// allow. R4 names no status for that; R5 says 422 for a test that fails,
// https://hl7.org/fhir/R5/http.html#patch, and so does RFC 5789.
func (o *jsonOperation) fail(code, message string) error {
	return &fhir.Error{Kind: fhir.Unprocessable, Issues: []fhir.Issue{{
		Code: code, Message: "operation " + o.where + ", " + o.op + ": " + message,
	}}}
}

func (o *jsonOperation) apply(target *resource.Node, budget *int) error {
	switch o.op {
	case "test":
		found, err := o.find(target, o.path)
		if err != nil {
			return err
		}
		if !sameJSON(found, o.value) {
			return o.fail("business-rule", "there is another value at "+jsonPointer(o.path))
		}
		return nil
	case "remove":
		_, err := o.remove(target, o.path)
		return err
	case "add":
		value, err := o.clone(o.value, budget)
		if err != nil {
			return err
		}
		return o.add(target, o.path, value)
	case "replace":
		found, err := o.find(target, o.path)
		if err != nil {
			return err
		}
		value, err := o.clone(o.value, budget)
		if err != nil {
			return err
		}
		*found = value
		return nil
	case "copy":
		found, err := o.find(target, o.from)
		if err != nil {
			return err
		}
		value, err := o.clone(found, budget)
		if err != nil {
			return err
		}
		return o.add(target, o.path, value)
	}
	if len(o.from) < len(o.path) && equalTokens(o.from, o.path[:len(o.from)]) {
		return o.fail("business-rule", "a value cannot be moved into itself")
	}
	value, err := o.remove(target, o.from)
	if err != nil {
		return err
	}
	return o.add(target, o.path, value)
}

// find returns the value at a pointer.
func (o *jsonOperation) find(n *resource.Node, tokens []string) (*resource.Node, error) {
	for i, token := range tokens {
		switch n.Kind {
		case resource.Object:
			n = n.Get(token)
		case resource.Array:
			index, ok := pointerIndex(token)
			if !ok || index >= len(n.Items) {
				n = nil
			} else {
				n = &n.Items[index]
			}
		default:
			n = nil
		}
		if n == nil {
			return nil, o.fail("not-found", "there is nothing at "+jsonPointer(tokens[:i+1]))
		}
	}
	return n, nil
}

// add puts a value at a pointer: https://www.rfc-editor.org/rfc/rfc6902#section-4.1.
func (o *jsonOperation) add(target *resource.Node, tokens []string, value resource.Node) error {
	if len(tokens) == 0 {
		*target = value
		return nil
	}
	last := len(tokens) - 1
	parent, err := o.find(target, tokens[:last])
	if err != nil {
		return err
	}
	token := tokens[last]
	switch parent.Kind {
	case resource.Object:
		parent.Set(token, value)
		return nil
	case resource.Array:
		index := len(parent.Items)
		if token != "-" {
			at, ok := pointerIndex(token)
			if !ok || at > len(parent.Items) {
				return o.fail("not-found", "the list at "+jsonPointer(tokens[:last])+" has "+strconv.Itoa(len(parent.Items))+" items; "+strconv.Quote(fhir.Clip(token))+" is no place in it")
			}
			index = at
		}
		insertItem(parent, index, value)
		return nil
	}
	return o.fail("not-found", "what is at "+jsonPointer(tokens[:last])+" is neither an object nor a list")
}

// remove takes the value at a pointer out.
func (o *jsonOperation) remove(target *resource.Node, tokens []string) (resource.Node, error) {
	if len(tokens) == 0 {
		return resource.Node{}, o.fail("business-rule", "the resource itself cannot be taken away; use DELETE")
	}
	found, err := o.find(target, tokens)
	if err != nil {
		return resource.Node{}, err
	}
	value, last := *found, len(tokens)-1
	parent, err := o.find(target, tokens[:last])
	if err != nil {
		return resource.Node{}, err
	}
	if parent.Kind == resource.Object {
		removeMember(parent, tokens[last])
		return value, nil
	}
	index, _ := pointerIndex(tokens[last])
	removeItem(parent, index)
	return value, nil
}

// clone copies a value that is put into the resource.
func (o *jsonOperation) clone(n *resource.Node, budget *int) (resource.Node, error) {
	out, ok := cloneNode(n, budget)
	if !ok {
		return out, tooMuchPatched()
	}
	return out, nil
}

// cloneNode copies a tree. ok is false if it has more values than the budget.
func cloneNode(n *resource.Node, budget *int) (out resource.Node, ok bool) {
	if *budget--; *budget < 0 {
		return resource.Node{}, false
	}
	out = resource.Node{Kind: n.Kind, Text: n.Text}
	for i := range n.Items {
		item, ok := cloneNode(&n.Items[i], budget)
		if !ok {
			return out, false
		}
		out.Items = append(out.Items, item)
	}
	for i := range n.Fields {
		member, ok := cloneNode(&n.Fields[i].Node, budget)
		if !ok {
			return out, false
		}
		out.Fields = append(out.Fields, resource.Field{Name: n.Fields[i].Name, Node: member})
	}
	return out, true
}

// insertItem and its siblings never write into the array of another list: the
// decoder cuts lists from one slab, with no room behind them.
func insertItem(list *resource.Node, index int, value resource.Node) {
	items := make([]resource.Node, 0, len(list.Items)+1)
	items = append(append(append(items, list.Items[:index]...), value), list.Items[index:]...)
	list.Items = items
}

func removeItem(list *resource.Node, index int) {
	items := make([]resource.Node, 0, len(list.Items))
	list.Items = append(append(items, list.Items[:index]...), list.Items[index+1:]...)
}

func removeMember(object *resource.Node, name string) {
	fields := make([]resource.Field, 0, len(object.Fields))
	for i := range object.Fields {
		if object.Fields[i].Name != name {
			fields = append(fields, object.Fields[i])
		}
	}
	object.Fields = fields
}

// pointerIndex reads the token of a list's item: digits without leading zeros.
func pointerIndex(token string) (int, bool) {
	if token == "" || len(token) > 9 || token[0] == '0' && token != "0" {
		return 0, false
	}
	for i := range len(token) {
		if token[i] < '0' || token[i] > '9' {
			return 0, false
		}
	}
	index, err := strconv.Atoi(token)
	return index, err == nil
}

// jsonPointer writes tokens as a JSON Pointer for a message.
func jsonPointer(tokens []string) string {
	if len(tokens) == 0 {
		return "the root"
	}
	var text strings.Builder
	for _, token := range tokens {
		text.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1"))
	}
	return fhir.Clip(text.String())
}

func equalTokens(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// sameJSON compares as https://www.rfc-editor.org/rfc/rfc6902#section-4.6 wants:
// members in any order, numbers by what they are worth.
func sameJSON(a, b *resource.Node) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case resource.Number:
		return sameNumber(a.Text, b.Text)
	case resource.Array:
		if len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if !sameJSON(&a.Items[i], &b.Items[i]) {
				return false
			}
		}
		return true
	case resource.Object:
		if len(a.Fields) != len(b.Fields) {
			return false
		}
		for i := range a.Fields {
			other := b.Get(a.Fields[i].Name)
			if other == nil || !sameJSON(&a.Fields[i].Node, other) {
				return false
			}
		}
		return true
	}
	return a.Text == b.Text
}

// sameNumber compares JSON numbers exactly, however large their exponents.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	digitsA, exponentA := plainNumber(a)
	digitsB, exponentB := plainNumber(b)
	return digitsA == digitsB && (digitsA == "" || exponentA.Cmp(exponentB) == 0)
}

// plainNumber returns the significant digits of a JSON number with its sign, ""
// for zero, and the power of ten of the last of them.
func plainNumber(text string) (digits string, exponent *big.Int) {
	exponent = new(big.Int)
	mantissa := text
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		exponent.SetString(strings.TrimPrefix(text[i+1:], "+"), 10)
	}
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent.Sub(exponent, big.NewInt(int64(len(fraction))))
	all := strings.TrimLeft(whole+fraction, "0")
	digits = strings.TrimRight(all, "0")
	exponent.Add(exponent, big.NewInt(int64(len(all)-len(digits))))
	if digits != "" && negative {
		digits = "-" + digits
	}
	return digits, exponent
}
