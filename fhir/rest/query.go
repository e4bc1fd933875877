package rest

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// mostQueried is the most resources Query returns, and queryPage how many it
// asks the store for at once.
const (
	mostQueried = 10_000
	queryPage   = 1000
)

// Query answers a read ("Patient/123") or a search ("Observation?patient=123")
// in process, for callers inside the server. The same access applies as to a
// request. complete is false if a search found more than it returns, which is
// 10,000 resources or 64 MiB. The error of a read is NotFound or Deleted if there is no
// such resource.
func (s *Server) Query(ctx context.Context, access search.Access, query string) (resources []*fhir.Resource, complete bool, err error) {
	path, rawQuery, _ := strings.Cut(query, "?")
	parts, err := segments(strings.TrimPrefix(path, s.Base))
	if err != nil {
		return nil, false, err
	}
	row, values, err := s.find(http.MethodGet, parts)
	if err != nil {
		return nil, false, err
	}
	r := &request{ctx: ctx, access: access, typ: values["type"], id: values["id"], compartment: compartmentOf(values)}
	if err := r.allow(row); err != nil {
		return nil, false, err
	}
	switch row.Code {
	case "read":
		res, err := s.current(r)
		if err != nil {
			return nil, false, err
		}
		return []*fhir.Resource{res}, true, nil
	case "search-type":
		if err := s.checkCompartment(r); err != nil {
			return nil, false, err
		}
		return s.everyPage(r, rawQuery)
	}
	return nil, false, fhir.Errorf(fhir.NotSupported, "only reads and searches of a type are possible in process")
}

// everyPage follows a search through all its pages. What is included stands
// behind the matches of its page, each once.
func (s *Server) everyPage(r *request, rawQuery string) ([]*fhir.Resource, bool, error) {
	req, err := s.parseSearch(r, rawQuery)
	if err != nil {
		return nil, false, err
	}
	if req.Contained != "" {
		return nil, false, fhir.Errorf(fhir.NotSupported, "_contained is not possible in process")
	}
	q := req.Query
	most := mostQueried
	if _, limited := firstOf(rawQuery, "_count"); limited {
		most = q.Count // the caller wants no more
	}
	q.Total = search.TotalNone
	var all []*fhir.Resource
	shown := make(map[string]bool)
	matches, size, complete := 0, int64(0), true
	take := func(list []*fhir.Resource) {
		for _, res := range list {
			if name := versionPath(res); !shown[name] {
				shown[name] = true
				all = append(all, res)
				size += int64(len(res.JSON))
			}
		}
	}
	for {
		q.Count = min(queryPage, most-matches)
		page, err := s.Store.Search(r.ctx, r.access.Narrow(q))
		if err != nil {
			return nil, false, err
		}
		with, err := s.include(r, req.Includes, page.Resources)
		if err != nil {
			return nil, false, err
		}
		take(page.Resources)
		take(with.found)
		matches += len(page.Resources)
		complete = complete && len(with.cut) == 0
		if page.Next == "" || matches >= most || size >= s.Limits.Answer {
			return all, complete && page.Next == "", nil
		}
		q.Cursor = page.Next
	}
}

// queryValues reads a raw query, in which a semicolon is a character like any
// other, as in _format=application/fhir+json;fhirVersion=4.0. The values are there
// as far as they could be read; the error is Invalid.
//
// https://url.spec.whatwg.org/#concept-urlencoded-parser
func queryValues(rawQuery string) (url.Values, error) {
	values, err := url.ParseQuery(strings.ReplaceAll(rawQuery, ";", "%3B"))
	if err != nil {
		return values, fhir.Errorf(fhir.Invalid, "the query of the URL has a broken %%-escape")
	}
	return values, nil
}

// firstOf returns the first value of a parameter of a raw query, and whether it
// is there.
func firstOf(rawQuery, name string) (string, bool) {
	values, err := queryValues(rawQuery)
	if err != nil || len(values[name]) == 0 {
		return "", false
	}
	return values[name][0], true
}
