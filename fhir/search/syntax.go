package search

import (
	"net/url"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// pair is one parameter of a query string, decoded.
type pair struct {
	name, value string
}

func (p pair) String() string { return escape(p.name) + "=" + escape(p.value) }

// escape escapes what a query string needs escaped, and always alike.
func escape(s string) string { return readable.Replace(url.QueryEscape(s)) }

// readable undoes escapes that a query string can do without.
var readable = strings.NewReplacer("%3A", ":", "%2F", "/", "%2C", ",", "%24", "$")

func splitQuery(raw string) ([]pair, error) {
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil || !validText(name) || !validText(value) {
			return nil, fhir.Errorf(fhir.Invalid, "%q is not a well-formed part of a query: check its %% escapes, which must be UTF-8", fhir.Clip(part))
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, nil
}

func validText(s string) bool {
	return strings.ToValidUTF8(s, "") == s && strings.IndexByte(s, 0) < 0
}

// splitEscaped splits at separators that no backslash stands before, and keeps
// escapes.
//
// https://hl7.org/fhir/R4/search.html#escaping
func splitEscaped(s string, separator byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case separator:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// splitParts splits at '|' and resolves escapes.
func splitParts(s string) []string {
	parts := splitEscaped(s, '|')
	for i := range parts {
		parts[i] = unescape(parts[i])
	}
	return parts
}

// unescape resolves \, \| \$ and \\. Any other backslash stands for itself.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,|$\`, s[i+1]) >= 0 {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
