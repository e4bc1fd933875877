package rest

import (
	"net/http"
	"slices"
	"strings"
	"time"

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
	query, err := queryValues(rawQuery)
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
	req, err := s.registry().Parse(types, query, search.ParseOptions{
		Lenient: r.prefer.lenient, Base: s.Base, Now: s.Clock(), Lookup: s.lookup(r), Explain: s.Explain,
	})
	if err != nil {
		return nil, s.tellIndexing(r, err)
	}
	return req, s.restrict(r, req)
}

// checkSearch returns the error that a search of a transaction would give after
// everything is written.
func (s *Server) checkSearch(r *request) error {
	req, err := s.parseSearch(r, r.query)
	if err != nil {
		return err
	}
	return s.permitSearch(r, req)
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
	known := s.registry()
	a, err := s.answerSearch(r, query)
	// The search parameters may have changed, or be ready, and nobody has said so here.
	if kind := fhir.KindOf(err); err != nil && (kind == fhir.Conflict || kind == fhir.Unavailable) {
		if s.learn(r.ctx) == nil && s.registry() != known {
			a, err = s.answerSearch(r, query)
		}
	}
	return a, err
}

// answerSearch answers a search by the search parameters that are known here.
func (s *Server) answerSearch(r *request, query string) (*answer, error) {
	req, err := s.parseSearch(r, query)
	if err != nil {
		return nil, err
	}
	if err := s.permitSearch(r, req); err != nil {
		return nil, err
	}
	a := &answer{status: http.StatusOK, pretty: req.Pretty}
	if req.Format != "" {
		if a.media, err = namedFormat(req.Format); err != nil {
			return nil, err
		}
	}
	at, err := parseCursor(req.Query.Cursor)
	if err != nil {
		return nil, err
	}
	started := s.Clock()
	p, err := s.answerPage(r, req, at)
	took := s.Clock().Sub(started)
	if err != nil {
		return nil, err
	}
	s.noteSlow(r, req, p.Page, took)
	a.body, err = s.searchset(r, req, p, took)
	return a, err
}

// permitSearch returns an error unless the search may be answered to the caller.
func (s *Server) permitSearch(r *request, req *search.Request) error {
	if err := r.askTypes(req); err != nil {
		return err
	}
	if req.Query.Explain {
		if err := r.mayExplain(&req.Query); err != nil {
			return err
		}
		if req.Containers != nil {
			if err := r.mayExplain(req.Containers); err != nil {
				return err
			}
		}
	}
	types := req.Query.Types
	if req.Contained != "" {
		types = nil // of what contains them, which may be anything
	}
	return s.checkElements(types, req.Elements)
}

// searchPage is a page of a search with all that belongs to it.
type searchPage struct {
	*search.Page
	at      cursor // where it begins
	matches []found
	with    included
}

// answerPage finds a page and what goes along with it.
func (s *Server) answerPage(r *request, req *search.Request, at cursor) (p searchPage, err error) {
	p.at = at
	switch {
	case req.Contained != "":
		p.Page, p.matches, err = s.findContained(r, req, at)
		if err == nil && at == (cursor{}) && req.Containers != nil && req.Query.Count > 0 && len(p.matches) == 0 && p.Next == "" {
			// Nothing with an address matches: the answer begins with what is contained.
			p.at = cursor{second: true}
			p.Page, p.matches, err = s.findContained(r, req, p.at)
		}
		return p, err
	case at.second:
		return p, errCursor
	}
	if p.Page, err = s.findPage(r, req, req.Query, at); err != nil {
		return p, err
	}
	p.matches = asFound(p.Resources)
	p.with, err = s.include(r, req.Includes, p.Resources)
	return p, err
}

// findPage asks the store for a page.
func (s *Server) findPage(r *request, req *search.Request, q search.Query, at cursor) (*search.Page, error) {
	q = r.access.Narrow(q)
	q.Cursor, q.Back = at.place, at.back
	q.Explain = q.Explain || s.SlowQuery > 0 && s.slow.wants(req) // for the log alone
	page, err := s.Store.Search(r.ctx, q)
	if err != nil {
		return nil, err
	}
	if req.Summary == "count" {
		page.Resources, page.Next, page.Prev = nil, "", ""
	}
	return page, nil
}

// searchset lays out the answer to a search.
func (s *Server) searchset(r *request, req *search.Request, p searchPage, took time.Duration) ([]byte, error) {
	b := newSearchset("searchset", p.Total, append(slices.Clip(p.Resources), p.with.found...))
	b.pageLinks(strings.TrimSuffix(s.basePrefix+r.searchPath(), "/"), req, p.at, p.Page)
	shown := view{summary: req.Summary, elements: req.Elements}
	for _, m := range p.matches {
		json, err := s.show(shown, m.json, true)
		if err != nil {
			return nil, err
		}
		b.match(s.basePrefix+m.address(), json, s.score(req, m.Resource))
	}
	for _, res := range p.with.found {
		json, err := s.show(shown, res.JSON, false)
		if err != nil {
			return nil, err
		}
		b.include(s.basePrefix+res.Key.String(), json)
	}
	if issues := slices.Concat(ignored(req.Ignored), p.with.incomplete(), explanation(req, p.Page, took)); len(issues) > 0 {
		b.outcome(operationOutcome(issues))
	}
	return b.bytes(), nil
}

// score is how well a match fits the words that a search looked for; 0 if it
// looked for none.
func (s *Server) score(req *search.Request, res *fhir.Resource) float64 {
	if len(req.Text) == 0 {
		return 0
	}
	return s.registry().Score(res.JSON, req.Text)
}

// ignored tells a lenient client what its search did not heed.
func ignored(params []string) []fhir.Issue {
	issues := make([]fhir.Issue, len(params))
	for i, param := range params {
		issues[i] = fhir.Issue{
			Severity: fhir.SeverityWarning,
			Code:     "not-supported",
			Message:  "ignored: " + fhir.Clip(param) + ". The result is that of a search without it.",
		}
	}
	return issues
}

// welcome answers GET [base] for people who open it in a browser.
func (s *Server) welcome() *answer {
	return &answer{status: http.StatusOK, body: information("This is a FHIR R4 server. " +
		"What it offers: " + s.basePrefix + "metadata. A search, for example: " + s.basePrefix + "Patient?_count=10")}
}
