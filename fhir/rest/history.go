package rest

import (
	"net/http"
	"net/url"
	"slices"
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

// historyPages is how many pages of a store one answer looks at, at most, when it
// has to leave out what is newer than the period asked for.
const historyPages = 8

// historyAsked is what the parameters of a history ask for.
type historyAsked struct {
	store.HistoryQuery
	// until is the end of the period of _at, whose start is HistoryQuery.At. If it
	// is later, versions made in between count too.
	until time.Time
	at    cursor
	shown view
	self  string // the parameters, normalised for links
}

// history serves GET [base]/[type]/[id]/_history, and the same of a type or the
// whole system, https://hl7.org/fhir/R4/http.html#history.
func (s *Server) history(r *request) (*answer, error) {
	h, err := parseHistory(r.query)
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
	var types []string
	if h.Type != "" {
		types = []string{h.Type}
	}
	if err := s.checkElements(types, h.shown.elements); err != nil {
		return nil, err
	}
	h.Scope = r.access.Scope(right)
	versions, next, err := s.historyPage(r, h)
	if err != nil {
		return nil, unseen(err, fhir.Key{Type: h.Type, ID: h.ID})
	}
	b := newSearchset("history", -1, versions)
	b.link("self", s.basePrefix+path, h.self, h.at.String())
	if h.at != (cursor{}) {
		b.link("first", s.basePrefix+path, h.self, "")
	}
	if next != (cursor{}) {
		b.link("next", s.basePrefix+path, h.self, next.String())
	}
	for _, res := range versions {
		json := res.JSON
		if !res.Deleted() {
			if json, err = s.show(h.shown, json, true); err != nil {
				return nil, err
			}
		}
		b.version(s.basePrefix, res, json)
	}
	return &answer{status: http.StatusOK, body: b.bytes()}, nil
}

// historyPage asks the store for a page. What was current at some moment of a
// period is what was made in it, and behind that what was current at its start:
// two histories, one after the other.
//
// https://hl7.org/fhir/R4/http.html#history: "Only include resource versions that
// were current at some point during the time period specified in the date time
// value".
func (s *Server) historyPage(r *request, h historyAsked) (versions []*fhir.Resource, next cursor, err error) {
	q := h.HistoryQuery
	q.Cursor = h.at.place
	if !h.until.After(h.At) || h.at.second {
		page, err := s.Store.History(r.ctx, q)
		if err != nil {
			return nil, cursor{}, err
		}
		if h.at.second { // what was made at the start itself has been shown
			page.Resources = slices.DeleteFunc(page.Resources, func(res *fhir.Resource) bool { return !res.Updated.Before(h.At) })
		}
		if page.Next != "" {
			next = cursor{second: h.at.second, place: page.Next}
		}
		return page.Resources, next, nil
	}
	q.At = time.Time{}
	if q.Since.Before(h.At) {
		q.Since = h.At
	}
	for range historyPages {
		page, err := s.Store.History(r.ctx, q)
		if err != nil {
			return nil, cursor{}, err
		}
		for _, res := range page.Resources {
			if res.Updated.Before(h.until) {
				versions = append(versions, res)
			}
		}
		if page.Next == "" {
			if len(versions) >= h.Count {
				return versions, cursor{second: true}, nil
			}
			h.at, h.Count = cursor{second: true}, h.Count-len(versions)
			rest, next, err := s.historyPage(r, h)
			return append(versions, rest...), next, err
		}
		q.Cursor = page.Next
		if len(versions) > 0 {
			break
		}
	}
	return versions, cursor{place: q.Cursor}, nil
}

// parseHistory reads the parameters of a history.
func parseHistory(rawQuery string) (h historyAsked, err error) {
	h.Count = historyCount
	query, err := queryValues(rawQuery)
	if err != nil {
		return h, err
	}
	used := make(url.Values)
	for name, values := range query {
		value := values[0]
		if len(values) > 1 {
			return h, fhir.Errorf(fhir.Invalid, "%s may be given once", fhir.Clip(name))
		}
		switch name {
		case "_format", "_pretty":
		case "_count":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return h, fhir.Errorf(fhir.Invalid, "_count must be a whole number from 1 to %d, not %q", historyCountMax, fhir.Clip(value))
			}
			h.Count = min(n, historyCountMax)
			value = strconv.Itoa(h.Count)
		case "_since":
			if h.Since, _, err = parsePeriod(value); err != nil {
				return h, fhir.Errorf(fhir.Invalid, "_since must be an instant such as 2026-01-31T12:00:00Z, not %q", fhir.Clip(value))
			}
			value = string(fhir.AppendInstant(nil, h.Since))
		case "_at":
			if h.At, h.until, err = parsePeriod(value); err != nil {
				return h, fhir.Errorf(fhir.Invalid, "_at must be a date or an instant such as 2026-01-31T12:00:00Z, not %q", fhir.Clip(value))
			}
			value = strings.ReplaceAll(value, " ", "+")
		case "_cursor":
			if h.at, err = parseCursor(value); err != nil {
				return h, err
			}
			continue
		case "_list", "_sort":
			return h, fhir.Errorf(fhir.NotSupported, "%s is not supported for a history, which has the newest versions first; it knows %s", name, historyParameters)
		default:
			switch ok, err := h.shown.parameter(name, value); {
			case err != nil:
				return h, err
			case !ok:
				return h, fhir.Errorf(fhir.Invalid, "unknown parameter %q; a history knows %s", fhir.Clip(name), historyParameters)
			}
		}
		used.Set(name, value)
	}
	if h.at.back || h.at.second && !h.until.After(h.At) {
		return h, errCursor
	}
	h.self = used.Encode()
	return h, nil
}

const historyParameters = "_at, _count, _elements, _format, _pretty, _since and _summary"

// periods are the ways to write a moment or a period, the longest period last.
var periods = []struct {
	layout string
	end    func(time.Time) time.Time
}{
	{time.RFC3339, func(t time.Time) time.Time { return t.Add(time.Second) }},
	{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{time.DateOnly, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
}

// parsePeriod reads a date or a moment: from is its first moment, until the one
// behind its last, both in UTC, which also is the zone of dates. A moment with
// fractions of a second is no period: until equals from. The plus sign of a zone
// arrives as a space where a client did not escape it.
//
// https://hl7.org/fhir/R4/search.html#date
func parsePeriod(text string) (from, until time.Time, err error) {
	text = strings.ReplaceAll(text, " ", "+")
	for _, p := range periods {
		if from, err = time.Parse(p.layout, text); err == nil {
			from = from.UTC()
			if strings.Contains(text, ".") {
				return from, from, nil
			}
			return from, p.end(from), nil
		}
	}
	return time.Time{}, time.Time{}, err
}
