package resource

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"

	"github.com/starling-fhir/starling/fhir"
)

// MaxSize is the most bytes a resource may have as compact JSON: 5 MiB. Of a
// Bundle or Parameters the gate does not count the resources it carries, each of
// which may have as much: who stores it looks at the whole.
const MaxSize = 5 << 20

// bigSize is from where on jsonformat reads one resource at a time: it needs up
// to 60 times a resource's size in memory.
const bigSize = 256 << 10

// Gate decides whether a tree is a valid R4 resource. It is safe for concurrent
// use.
//
// Two readers look at a resource. The first is a walk along the element
// definitions of R4, which finds all problems at once, knows where they are and
// says them in words. What it accepts goes to the second, google/fhir's
// jsonformat, an independent implementation of the JSON format: what that
// refuses is refused here too.
//
// jsonformat takes some 40 times as long as the walk, so two things are left
// out of it that the tests show to be without effect. Its own checks of
// required elements and reference types are off: the walk makes them more
// strictly. And of resources with the same structure (see trace.go) it reads
// the first: its verdict depends on nothing but the structure and the texts of
// primitives, and the walk has refused every text that it would refuse.
type Gate struct {
	shapes   map[string]*shape
	reader   *jsonformat.Unmarshaller
	accepted traceSet      // structures that jsonformat has read without complaint
	buffers  sync.Pool     // of *buffers
	big      chan struct{} // holds a value while a big resource is read
}

// NewGate compiles the definitions and rules. It fails only if they are broken.
func NewGate() (*Gate, error) {
	all, err := shapes()
	if err != nil {
		return nil, fmt.Errorf("the R4 definitions: %w", err)
	}
	reader, err := jsonformat.NewUnmarshallerWithoutValidation("UTC", fhirversion.R4)
	if err != nil {
		return nil, fmt.Errorf("jsonformat: %w", err)
	}
	return &Gate{
		shapes:  all,
		reader:  reader,
		buffers: sync.Pool{New: func() any { return new(buffers) }},
		big:     make(chan struct{}, 1),
	}, nil
}

// Check reports everything that is wrong with a resource as one *fhir.Error of
// kind Invalid (TooLarge if it is beyond MaxSize), or nil. Its Issues are sorted
// by their place in the resource, and each has a FHIRPath expression. The
// resources of a Bundle or Parameters are checked too, each by itself; an
// expression then leads into them, as in Bundle.entry[3].resource.name[0].
func (g *Gate) Check(root *Node) error { return g.check(root, true) }

// CheckShell is Check without the resources in a Bundle or Parameters, for a
// caller that checks each of them by itself.
func (g *Gate) CheckShell(root *Node) error { return g.check(root, false) }

func (g *Gate) check(root *Node, deep bool) error {
	if root == nil {
		return fhir.Errorf(fhir.Invalid, "there is no resource")
	}
	var found findings
	nested, size := g.one(root, nil, &found)
	if size > MaxSize {
		return &fhir.Error{Kind: fhir.TooLarge, Issues: []fhir.Issue{{
			Severity:   fhir.SeverityError,
			Code:       "too-long",
			Message:    tooLarge(size),
			Expression: root.Str("resourceType"),
		}}}
	}
	for deep && len(nested) > 0 {
		next := nested[0]
		nested = nested[1:]
		more, size := g.one(next.node, next.place, &found)
		if size > MaxSize {
			found.add(next.place, "too-long", tooLarge(size))
		}
		nested = append(nested, more...)
	}
	return found.err(root.Str("resourceType"))
}

func tooLarge(size int) string {
	return "the resource has " + strconv.Itoa(size) + " bytes; the most is " + strconv.Itoa(MaxSize)
}

// one checks one resource at a place. It returns the resources inside it that
// are still to be checked, and its size as compact JSON without them as far as
// it matters: 0 if it is certainly below MaxSize.
func (g *Gate) one(n *Node, place []step, found *findings) (nested []nestedNode, size int) {
	buffers, _ := g.buffers.Get().(*buffers)
	c := checker{
		shapes: g.shapes,
		root:   n,
		found:  found,
		place:  append(buffers.place[:0], place...),
		trace:  buffers.trace[:0],
	}
	sh := c.typeOf(n)
	if sh == nil {
		return nil, 0
	}
	before := found.count()
	c.resource(sh, n)

	const worstEscape = len(`\u0000`)
	read := found.count() == before && !g.accepted.has(c.trace)
	if read || c.weight > MaxSize/worstEscape {
		text := n.Append(buffers.text[:0])
		size = len(text)
		if c.copy.differs() {
			text = c.copy.append(text[:0], n)
		}
		if c.nested != nil {
			size = len(text) // without the resources inside
		}
		if read && size <= MaxSize {
			g.read(text, &c)
		}
		buffers.text = text
	}
	buffers.place, buffers.trace = c.place, c.trace
	if cap(buffers.text) <= bigSize && cap(buffers.trace) <= bigSize {
		g.buffers.Put(buffers)
	}
	return c.nested, size
}

// buffers are what one check needs and the next can use again.
type buffers struct {
	text, trace []byte
	place       []step
}

// read gives a resource to jsonformat, adds what it objects to, and remembers
// the structure if that is nothing.
func (g *Gate) read(text []byte, c *checker) {
	if len(text) > bigSize {
		g.big <- struct{}{}
		defer func() { <-g.big }()
	}
	problems := unmarshal(g.reader, text)
	for _, p := range problems {
		c.found.add(c.locate(p.path), p.code(), p.message())
	}
	if len(problems) == 0 {
		g.accepted.add(c.trace)
	}
}
