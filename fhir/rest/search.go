package rest

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// searchType serves GET [base]/[type]?... and POST [base]/[type]/_search,
// https://hl7.org/fhir/R4/http.html#search.
func (s *Server) searchType(r *request) (*answer, error) {
	return s.search(r)
}

// searchSystem serves GET [base]?... and POST [base]/_search.
func (s *Server) searchSystem(r *request) (*answer, error) {
	if r.form == nil && asksNothing(r.query) {
		return s.welcome(), nil
	}
	return s.search(r)
}

// asksNothing says whether a query has no parameters but those about the
// format.
func asksNothing(rawQuery string) bool {
	query, err := url.ParseQuery(rawQuery)
	query.Del("_format")
	query.Del("_pretty")
	return err == nil && len(query) == 0
}

// parseSearch reads a search's parameters, strictly or as the client prefers.
func (s *Server) parseSearch(r *request, query string) (*search.Request, error) {
	var types []string
	if r.typ != "" {
		types = []string{r.typ}
	}
	return s.Registry.Parse(types, query, search.ParseOptions{Lenient: r.prefer.lenient, Base: s.Base, Now: s.Clock()})
}

// checkSearch returns the error that a search of a transaction would give after
// everything is written.
func (s *Server) checkSearch(r *request) error {
	req, err := s.parseSearch(r, r.query)
	if err != nil {
		return err
	}
	if err := r.askTypes(req); err != nil {
		return err
	}
	return s.checkElements(req.Query.Types, req.Elements)
}

// search answers a search of one type, or of those that _type names.
func (s *Server) search(r *request) (*answer, error) {
	query := r.query
	if r.form != nil {
		form, err := r.form()
		if err != nil {
			return nil, err
		}
		// Parameters may stand in both places; both hold.
		query = strings.Trim(query+"&"+form, "&")
	}
	req, err := s.parseSearch(r, query)
	if err != nil {
		return nil, err
	}
	if err := r.askTypes(req); err != nil {
		return nil, err
	}
	a := &answer{status: http.StatusOK, pretty: req.Pretty}
	if req.Format != "" {
		if a.media, err = namedFormat(req.Format); err != nil {
			return nil, err
		}
	}
	if err := s.checkElements(req.Query.Types, req.Elements); err != nil {
		return nil, err
	}
	page, err := s.Store.Search(r.ctx, r.access.Narrow(req.Query))
	if err != nil {
		return nil, err
	}
	path := s.Base
	if r.typ != "" {
		path = s.basePrefix + r.typ
	}
	found := page.Resources
	if req.Summary == "count" {
		found = nil
	}
	b := newSearchset("searchset", page.Total, found)
	b.link("self", path, req.Self, req.Query.Cursor)
	if req.Query.Cursor != "" {
		b.link("first", path, req.Self, "")
	}
	if page.Next != "" && req.Summary != "count" {
		b.link("next", path, req.Self, page.Next)
	}
	shown := view{summary: req.Summary, elements: req.Elements}
	for _, res := range found {
		json, err := s.show(shown, res.JSON, true)
		if err != nil {
			return nil, err
		}
		b.match(s.basePrefix, res.Key, json)
	}
	if len(req.Ignored) > 0 {
		b.outcome(ignored(req.Ignored))
	}
	a.body = b.bytes()
	return a, nil
}

// ignored tells a lenient client what its search did not heed.
func ignored(params []string) []byte {
	issues := make([]fhir.Issue, len(params))
	for i, param := range params {
		issues[i] = fhir.Issue{
			Severity: fhir.SeverityWarning,
			Code:     "not-supported",
			Message:  "ignored: " + fhir.Clip(param) + ". The result is that of a search without it.",
		}
	}
	return operationOutcome(issues)
}

// welcome answers GET [base] for people who open it in a browser.
func (s *Server) welcome() *answer {
	return &answer{status: http.StatusOK, body: information("This is a FHIR R4 server. " +
		"What it offers: " + s.basePrefix + "metadata. A search, for example: " + s.basePrefix + "Patient?_count=10")}
}
