package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// Page sizes of a history.
const (
	historyCount    = 20
	historyCountMax = 1000
)

// history serves GET [base]/[type]/[id]/_history, and the same of a type or the
// whole system, https://hl7.org/fhir/R4/http.html#history.
func (s *Server) history(r *request) (*answer, error) {
	h, self, err := parseHistory(r.query)
	if err != nil {
		return nil, err
	}
	path := "_history"
	right := search.CanSearch
	switch {
	case r.id != "":
		key, err := r.key()
		if err != nil {
			return nil, err
		}
		h.Type, h.ID = key.Type, key.ID
		path = key.String() + "/_history"
		right = search.CanRead
	case r.typ != "":
		h.Type = r.typ
		path = r.typ + "/_history"
	}
	h.Scope = r.access.Scope(right)
	page, err := s.Store.History(r.ctx, h)
	if err != nil {
		return nil, unseen(err, fhir.Key{Type: h.Type, ID: h.ID})
	}
	b := newSearchset("history", page.Total, page.Resources)
	b.link("self", s.basePrefix+path, self, h.Cursor)
	if page.Next != "" {
		b.link("next", s.basePrefix+path, self, page.Next)
	}
	for _, res := range page.Resources {
		b.version(s.basePrefix, res)
	}
	return &answer{status: http.StatusOK, body: b.bytes()}, nil
}

// parseHistory reads the parameters of a history, and returns them normalised
// for links.
func parseHistory(rawQuery string) (h store.HistoryQuery, self string, err error) {
	h.Count = historyCount
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return h, "", fhir.Errorf(fhir.Invalid, "the query of the URL has a broken %%-escape")
	}
	used := make(url.Values)
	for name, values := range query {
		value := values[0]
		if len(values) > 1 {
			return h, "", fhir.Errorf(fhir.Invalid, "%s may be given once", fhir.Clip(name))
		}
		switch name {
		case "_format", "_pretty":
		case "_count":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return h, "", fhir.Errorf(fhir.Invalid, "_count must be a whole number from 1 to %d, not %q", historyCountMax, fhir.Clip(value))
			}
			h.Count = min(n, historyCountMax)
			value = strconv.Itoa(h.Count)
		case "_since":
			if h.Since, err = parseInstant(value); err != nil {
				return h, "", fhir.Errorf(fhir.Invalid, "_since must be an instant such as 2026-01-31T12:00:00Z, not %q", fhir.Clip(value))
			}
			value = string(fhir.AppendInstant(nil, h.Since))
		case "_at":
			// A date would ask for what was current at any moment of the day.
			if h.At, err = parseInstant(value); err != nil || len(value) <= len(time.DateOnly) {
				return h, "", fhir.Errorf(fhir.Invalid, "_at must be an instant such as 2026-01-31T12:00:00Z, not %q", fhir.Clip(value))
			}
			value = string(fhir.AppendInstant(nil, h.At))
		case "_cursor":
			h.Cursor = value
			continue
		default:
			return h, "", fhir.Errorf(fhir.Invalid, "unknown parameter %q; a history knows _at, _count, _format, _pretty and _since", fhir.Clip(name))
		}
		used.Set(name, value)
	}
	return h, used.Encode(), nil
}

// parseInstant reads a moment. A date alone is its first moment in UTC. The
// plus sign of a zone arrives as a space where a client did not escape it.
func parseInstant(text string) (time.Time, error) {
	text = strings.ReplaceAll(text, " ", "+")
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			return day, nil
		}
	}
	return t.UTC(), err
}
