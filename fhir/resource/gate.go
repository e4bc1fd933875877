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
// if the walk found nothing. It runs without its own checks of required
// elements and reference types, which the walk makes more strictly; the tests
// run it with them.
type Gate struct {
	shapes  map[string]*shape
	reader  *jsonformat.Unmarshaller
	buffers sync.Pool     // of *[]byte
	big     chan struct{} // holds a value while a big resource is read
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
		buffers: sync.Pool{New: func() any { return new([]byte) }},
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
// are still to be checked, and its size as compact JSON.
func (g *Gate) one(n *Node, place []step, found *findings) (nested []nestedNode, size int) {
	c := checker{shapes: g.shapes, root: n, found: found, place: append(make([]step, 0, len(place)+16), place...)}
	sh := c.typeOf(n)
	if sh == nil {
		return nil, 0
	}
	before := len(found.list)
	c.resource(sh, n)

	buffer, _ := g.buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= bigSize {
			g.buffers.Put(buffer)
		}
	}()
	text := n.Append((*buffer)[:0])
	size = len(text)
	if size <= MaxSize || c.nested != nil {
		if c.copy.differs() {
			text = c.copy.append(text[:0], n)
		}
		if len(text) <= MaxSize && !found.full() {
			g.read(text, &c, found.list[before:])
		}
	}
	*buffer = text
	return c.nested, size
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
