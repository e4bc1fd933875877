package resource

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/starling-fhir/starling/fhir"
)

// maxFindings is how many problems one check lists; more are only counted, so
// that a hostile resource cannot make an outcome larger than itself.
const maxFindings = 200

// step is one part of the way from the root of a resource to a place in it.
type step struct {
	name  string // the element as FHIRPath names it
	field int    // where its member stands among its object's members
	item  int    // where it stands in an array; -1 if it is in none
}

// finding is one problem at one place.
type finding struct {
	place   []step
	code    string // https://hl7.org/fhir/R4/valueset-issue-type.html
	message string
}

// findings collects problems.
type findings struct {
	list []finding
	more int // found beyond maxFindings
}

// add records a problem. It keeps a copy of place.
func (f *findings) add(place []step, code, message string) {
	if len(f.list) >= maxFindings {
		f.more++
		return
	}
	f.list = append(f.list, finding{slices.Clone(place), code, message})
}

// count returns how many problems were found, listed or not.
func (f *findings) count() int { return len(f.list) + f.more }

func (f *findings) full() bool { return len(f.list) >= maxFindings }

// err returns the findings as one error, sorted by their place in the resource;
// nil if there are none. root is what every expression starts with.
func (f *findings) err(root string) error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b finding) int { return comparePlaces(a.place, b.place) })
	e := &fhir.Error{Kind: fhir.Invalid, Issues: make([]fhir.Issue, 0, len(f.list)+1)}
	for _, found := range f.list {
		issue := fhir.Issue{
			Severity:   fhir.SeverityError,
			Code:       found.code,
			Message:    found.message,
			Expression: expression(root, found.place),
		}
		if !slices.Contains(e.Issues, issue) {
			e.Issues = append(e.Issues, issue)
		}
	}
	if f.more > 0 {
		e.Issues = append(e.Issues, fhir.Issue{
			Severity: fhir.SeverityInformation,
			Code:     "incomplete",
			Message:  strconv.Itoa(f.more) + " more problems are not listed",
		})
	}
	return e
}

// comparePlaces orders places as they stand in the document, a container before
// what it holds.
func comparePlaces(a, b []step) int {
	return slices.CompareFunc(a, b, func(x, y step) int {
		return cmp.Or(cmp.Compare(x.field, y.field), cmp.Compare(x.item, y.item))
	})
}

// expression writes a place as FHIRPath.
func expression(root string, place []step) string {
	out := []byte(root)
	for _, s := range place {
		if len(out) > 0 {
			out = append(out, '.')
		}
		out = append(out, s.name...)
		if s.item >= 0 {
			out = append(out, '[')
			out = strconv.AppendInt(out, int64(s.item), 10)
			out = append(out, ']')
		}
	}
	return string(out)
}
