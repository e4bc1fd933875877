package rest

import (
	"net/url"
	"testing"
	"time"
)

// FuzzHistoryParameters: whatever a history is asked for, it is understood alike
// again from its own self link, or refused.
func FuzzHistoryParameters(f *testing.F) {
	for _, query := range []string{"_at=2026-01", "_at=2026-01-02T03:04Z&_count=2", "_since=2026-01-02&_cursor=.~x", "_summary=true&_elements=a,b", "_at=2026-01-02T03:04:05.5+01:00", "_cursor=."} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		h, err := parseHistory(query)
		if err != nil {
			return
		}
		if h.until.Before(h.At) || h.at.back {
			t.Errorf("%q: from %s until %s, cursor %+v", query, h.At, h.until, h.at)
		}
		cursor := ""
		if h.at.String() != "" {
			cursor = "&_cursor=" + url.QueryEscape(h.at.String())
		}
		again, err := parseHistory(h.self + cursor)
		if err != nil {
			t.Fatalf("%q: its self link %q is refused: %v", query, h.self+cursor, err)
		}
		if !again.At.Equal(h.At) || !again.until.Equal(h.until) || again.Count != h.Count || again.at != h.at || again.self != h.self ||
			!again.Since.Truncate(time.Millisecond).Equal(h.Since.Truncate(time.Millisecond)) {
			t.Errorf("%q: %+v, again %+v", query, h, again)
		}
	})
}

// FuzzCursors: a cursor that is read is written as it was.
func FuzzCursors(f *testing.F) {
	for _, text := range []string{"", ".", "~", "~abc", ".~abc", "..", "~~a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err == nil && c.String() != text {
			t.Errorf("%q is written as %q", text, c.String())
		}
	})
}
