package rest

import (
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// cursor is what _cursor holds: a store's cursor, and what it is a cursor of.
type cursor struct {
	second bool   // of the second search or history, which follows the first one
	back   bool   // the page before it is meant
	place  string // the store's; "" is the beginning
}

// The marks stand before the store's cursor, whose letters they are not, nor
// need they be escaped in a URL.
const (
	markSecond = "."
	markBack   = "~"
)

// String writes the cursor as _cursor has it.
func (c cursor) String() string {
	text := c.place
	if c.back {
		text = markBack + text
	}
	if c.second {
		text = markSecond + text
	}
	return text
}

var errCursor = fhir.Errorf(fhir.Invalid, "the cursor belongs to another search: take the links of a page as they are")

// parseCursor reads a value of _cursor.
func parseCursor(text string) (c cursor, err error) {
	text, c.second = strings.CutPrefix(text, markSecond)
	c.place, c.back = strings.CutPrefix(text, markBack)
	if c.back && c.place == "" {
		return c, errCursor
	}
	return c, nil
}
