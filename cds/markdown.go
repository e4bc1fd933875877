package cds

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns text for a card's detail such that GitHub-flavoured Markdown
// shows it as it is: star alleles keep their stars, a table cell stays one
// cell, and what a user typed becomes neither markup nor a link. What is plain
// where it stands ("G>A", "1.25 mg") stays as it is, for those who read the
// source. Line breaks become spaces.
//
// https://github.github.com/gfm/#backslash-escapes
func Escape(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	var out strings.Builder
	out.Grow(len(text) + len(text)/4)
	for i, r := range text {
		next := rune(-1) // the end of the line
		if after := i + utf8.RuneLen(r); after < len(text) {
			next, _ = utf8.DecodeRuneInString(text[after:])
		}
		apart := next == ' ' || next == -1 // a marker of a list stands apart
		switch {
		case unicode.IsControl(r):
			continue
		case strings.ContainsRune("\\`*_[]<|~@$", r),
			r == '&' && (next == '#' || unicode.IsLetter(next)), // no entity
			i == 0 && strings.ContainsRune("#=>", r),
			i == 0 && (r == '-' || r == '+') && (apart || next == r),
			r == ':' && strings.HasPrefix(text[i:], "://"),                                         // no autolink
			r == '.' && i >= 3 && strings.EqualFold(text[i-3:i], "www"),                            // no autolink
			(r == '.' || r == ')') && apart && i > 0 && strings.Trim(text[:i], "0123456789") == "": // no ordered list
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return out.String()
}

// Shorten cuts text to at most most code points, on a word where it can, and
// puts an ellipsis at the cut. It never cuts inside what a reader sees as one
// character: combining marks, emoji sequences and flags stay whole.
func Shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	const ellipsis = "…"
	room := max(most-1, 0)
	cut := room
	for cut > 0 && !unicode.IsSpace(runes[cut]) {
		cut--
	}
	if cut < room/2 { // one very long word
		cut = room
		for cut > 0 && !boundary(runes, cut) {
			cut--
		}
		if cut == 0 {
			cut = room
		}
	}
	return strings.TrimRightFunc(string(runes[:cut]), func(r rune) bool {
		return unicode.IsSpace(r) || r == ',' || r == ';' || r == ':' || r == '('
	}) + ellipsis
}

const (
	zeroWidthJoiner = '\u200d'
	skinTones       = '\U0001F3FB' // the first of five
	tags            = '\U000E0020' // the first; they spell flags
	regional        = '\U0001F1E6' // indicator A; two make a flag
)

// boundary reports whether text may be cut before runes[i]. It covers the
// common rules of https://www.unicode.org/reports/tr29/#Grapheme_Cluster_Boundaries.
func boundary(runes []rune, i int) bool {
	r, before := runes[i], runes[i-1]
	switch {
	case unicode.In(r, unicode.M), r == zeroWidthJoiner, before == zeroWidthJoiner,
		r >= skinTones && r < skinTones+5, r >= tags && r <= '\U000E007F':
		return false
	case isRegional(r) && isRegional(before):
		n := 0
		for j := i - 1; j >= 0 && isRegional(runes[j]); j-- {
			n++
		}
		return n%2 == 0
	}
	return true
}

func isRegional(r rune) bool { return r >= regional && r <= '\U0001F1FF' }
