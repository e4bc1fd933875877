package resource

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"

	"github.com/starling-fhir/starling/fhir"
)

// MaxSize is the most bytes a resource may have as compact JSON: 5 MiB. A Bundle
// or Parameters that carries resources may be larger, each of them may not.
const MaxSize = 5 << 20

// bigSize is from where on jsonformat reads one resource at a time: it needs up
// to 60 times a resource's size in memory.
const bigSize = 256 << 10

// Gate decides whether a tree is a valid R4 resource. It is safe for concurrent
// use.
//
// Two readers look at every resource. The first is a walk along the element
// definitions of R4, which finds all problems at once, knows where they are and
// says them in words. The second is google/fhir's jsonformat, an independent
// implementation of the JSON format: what it refuses is refused here too, even
// if the walk found nothing.
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
	if !deep {
		nested = nil
	}
	if size > MaxSize && nested == nil {
		return &fhir.Error{Kind: fhir.TooLarge, Issues: []fhir.Issue{{
			Severity:   fhir.SeverityError,
			Code:       "too-long",
			Message:    tooLarge(size),
			Expression: root.Str("resourceType"),
		}}}
	}
	for len(nested) > 0 {
		next := nested[0]
		nested = nested[1:]
		more, size := g.one(next.node, next.place, &found)
		if size > MaxSize && len(more) == 0 {
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
// are still to be checked, and its size as compact JSON as far as it matters: 0
// if it is certainly below MaxSize.
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
	before := len(found.list)
	c.resource(sh, n)
	clean := len(found.list) == before && found.more == 0

	const worstEscape = len(`\u0000`)
	known := clean && g.accepted.has(c.trace)
	if !known || c.weight > MaxSize/worstEscape {
		text := n.Append(buffers.text[:0])
		size = len(text)
		if c.copy.differs() {
			text = c.copy.append(text[:0], n)
		}
		if !known && len(text) <= MaxSize && !found.full() {
			g.read(text, &c, found.list[before:])
			if clean && len(found.list) == before {
				g.accepted.add(c.trace)
			}
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

// read gives a resource to jsonformat and adds what it finds beyond known.
func (g *Gate) read(text []byte, c *checker, known []finding) {
	if len(text) > bigSize {
		g.big <- struct{}{}
		defer func() { <-g.big }()
	}
	base := len(c.place)
	for _, p := range unmarshal(g.reader, text) {
		place := c.locate(p.path, base)
		if !explained(place, base, known) {
			c.found.add(place, p.code(), p.message())
		}
	}
}

// explained reports whether known has a problem at a place or at something
// around it, short of the whole resource, whose place has base steps.
func explained(place []step, base int, known []finding) bool {
	for _, k := range known {
		same := len(k.place) == len(place)
		around := len(k.place) < len(place) && len(k.place) > base
		if (same || around) && comparePlaces(k.place, place[:len(k.place)]) == 0 {
			return true
		}
	}
	return false
}
