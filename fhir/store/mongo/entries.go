package mongo

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/starling-fhir/starling/fhir/search"
)

// An element of ix is type, 00, parameter, 00, value. Each byte of the value is
// the character of that number, so that ASCII stays readable and strings, which
// compare by their UTF-8, are in the order of the bytes they stand for. BSON's
// binary values would be ordered by their length first.
//
// "Observation\x00" alone is in the ix of every living Observation.

// existence is the element that every living resource of a type has.
func existence(typ string) string { return typ + "\x00" }

// element is the element of a value under a parameter.
func element(typ, param string, value []byte) string {
	b := make([]byte, 0, len(typ)+len(param)+len(value)+2)
	b = append(b, typ...)
	b = append(b, 0)
	b = append(b, param...)
	b = append(b, 0)
	for _, c := range value {
		b = utf8.AppendRune(b, rune(c))
	}
	return string(b)
}

// behind returns the element that is behind all of a parameter.
func behind(typ, param string) string { return typ + "\x00" + param + "\x01" }

var errElement = errors.New("an element of ix is no index entry")

// parseElement takes an element apart; existence has no parameter.
func parseElement(s string) (typ string, e search.Entry, err error) {
	typ, rest, ok := strings.Cut(s, "\x00")
	if !ok {
		return "", e, errElement
	}
	if rest == "" {
		return typ, e, nil
	}
	param, text, ok := strings.Cut(rest, "\x00")
	if !ok {
		return "", e, errElement
	}
	value := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xFF {
			return "", e, errElement
		}
		value = append(value, byte(r))
	}
	return typ, search.Entry{Param: param, Value: value}, nil
}

// elements returns the ix of a resource but for _lastUpdated: sorted, each once.
func elements(typ string, entries []search.Entry) []string {
	out := make([]string, 0, len(entries)+3)
	out = append(out, existence(typ))
	for _, e := range entries {
		out = append(out, element(typ, e.Param, e.Value))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// stamped returns ix with the elements of lastUpdated.
func stamped(typ string, ix []string, updated time.Time) []string {
	out := slices.Clone(ix)
	for _, e := range search.LastUpdated(updated) {
		out = append(out, element(typ, e.Param, e.Value))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
