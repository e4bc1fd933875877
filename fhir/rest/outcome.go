package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// outcomes gives each kind of error its HTTP status and its issue code,
// https://hl7.org/fhir/R4/valueset-issue-type.html, and says when it is given:
// docs/reference/errors.md is the table.
var outcomes = map[fhir.Kind]struct {
	status int
	code   string
	when   string
}{
	fhir.Internal:         {http.StatusInternalServerError, "exception", "a fault of the server; its log has the request's id"},
	fhir.Invalid:          {http.StatusBadRequest, "invalid", "the request, the search or the resource cannot be read, or breaks a base rule of R4"},
	fhir.NotSupported:     {http.StatusBadRequest, "not-supported", "known to FHIR, but not offered here"},
	fhir.NotFound:         {http.StatusNotFound, "not-found", "no such resource, version, type or URL, or none that the caller may see"},
	fhir.Deleted:          {http.StatusGone, "deleted", "the resource was deleted; the message names its last version"},
	fhir.VersionMismatch:  {http.StatusPreconditionFailed, "conflict", "If-Match names another version than the newest"},
	fhir.PreconditionFail: {http.StatusPreconditionFailed, "business-rule", "another condition of the request does not hold"},
	fhir.MultipleMatches:  {http.StatusPreconditionFailed, "multiple-matches", "conditional criteria match more than one resource"},
	fhir.Conflict:         {http.StatusConflict, "conflict", "other writes got in between again and again"},
	fhir.InUse:            {http.StatusConflict, "conflict", "something refers to what is to be deleted, and this server keeps references whole"},
	fhir.Duplicate:        {http.StatusPreconditionFailed, "duplicate", "there is a resource of this id already"},
	fhir.Unprocessable:    {http.StatusUnprocessableEntity, "business-rule", "a sound resource that breaks a rule of this server, such as one about references"},
	fhir.TooLarge:         {http.StatusRequestEntityTooLarge, "too-long", "a body, resource or Bundle is beyond a limit"},
	fhir.URITooLong:       {http.StatusRequestURITooLong, "too-long", "the URL has more than 64 KiB"},
	fhir.TooCostly:        {http.StatusBadRequest, "too-costly", "a search or batch that would cost too much; the message says what to add"},
	fhir.Expired:          {http.StatusGone, "expired", "the page's first page is too old; search again"},
	fhir.MethodNotAllowed: {http.StatusMethodNotAllowed, "not-supported", "the URL is known, but not with this method; Allow lists the others"},
	fhir.NotAcceptable:    {http.StatusNotAcceptable, "not-supported", "Accept or _format leaves no format, or XML cannot hold a character of the answer"},
	fhir.UnsupportedMedia: {http.StatusUnsupportedMediaType, "not-supported", "the body's Content-Type, charset or Content-Encoding is not read"},
	fhir.Unauthenticated:  {http.StatusUnauthorized, "login", "no valid token; WWW-Authenticate says more"},
	fhir.Forbidden:        {http.StatusForbidden, "forbidden", "the token does not allow this"},
	fhir.Throttled:        {http.StatusTooManyRequests, "throttled", "too many requests at once, or no memory left for a large body of unknown length"},
	fhir.Unavailable:      {http.StatusServiceUnavailable, "transient", "the store cannot be reached, is full or shuts down"},
	fhir.Timeout:          {http.StatusGatewayTimeout, "timeout", "the request took longer than it may"},
}

// retryAfterSeconds is the Retry-After of the kinds that pass by themselves.
var retryAfterSeconds = map[fhir.Kind]int{
	fhir.Conflict:    1,
	fhir.Throttled:   1,
	fhir.Unavailable: 5,
	fhir.Timeout:     5,
}

// HandleError answers err with an OperationOutcome. It is an
// [echo.HTTPErrorHandler], so Echo's own 404 and 405 look like all others.
// Errors of kind Internal are logged here and nowhere else; the client sees
// only the id under which to find them.
func (s *Server) HandleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	known := s.known(err, c.Path(), requestID(c, s.NewID))
	if seconds, ok := retryAfterSeconds[known.Kind]; ok && c.Response().Header().Get(echo.HeaderRetryAfter) == "" {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(seconds))
	}
	if known.Kind == fhir.Unauthenticated && c.Response().Header().Get(echo.HeaderWWWAuthenticate) == "" {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
	}
	body := s.outcome(known)
	if err := respond(c, outcomes[known.Kind].status, body); err != nil {
		// XML cannot hold what a message quotes. Now the format is JSON.
		err = respond(c, outcomes[known.Kind].status, body)
		s.Logger.Debug("an error is answered in JSON", "route", c.Path(), "error", err)
	}
}

// known turns any error into one with a kind and text fit for clients, and logs
// what they must not see.
func (s *Server) known(err error, route, id string) *fhir.Error {
	var ours *fhir.Error
	var echos *echo.HTTPError
	switch {
	case errors.As(err, &ours) && ours.Kind != fhir.Internal:
		if ours.Kind == fhir.Unavailable || ours.Kind == fhir.Timeout {
			s.Logger.Warn("cannot serve", "route", route, "request", id, "error", err)
		}
		return ours
	case errors.Is(err, context.DeadlineExceeded):
		return fhir.Wrap(fhir.Timeout, err, "this took longer than the server allows; ask for less, or try again")
	case errors.Is(err, context.Canceled):
		return fhir.Wrap(fhir.Unavailable, err, "the request was cancelled")
	case errors.As(err, &echos):
		return fromEcho(echos)
	}
	s.Logger.Error("internal error", "route", route, "request", id, "error", err)
	return fhir.Errorf(fhir.Internal, "internal error; see the server log for request %s", id)
}

// fromEcho gives an error of Echo or its middleware a kind, by its status.
func fromEcho(err *echo.HTTPError) *fhir.Error {
	switch err.Code {
	case http.StatusNotFound:
		return fhir.Errorf(fhir.NotFound, "there is nothing at this URL")
	case http.StatusMethodNotAllowed:
		return fhir.Errorf(fhir.MethodNotAllowed, "this method is not possible here")
	case http.StatusRequestEntityTooLarge:
		return fhir.Errorf(fhir.TooLarge, "the request is too large")
	case http.StatusRequestURITooLong:
		return fhir.Errorf(fhir.URITooLong, "the URL is too long")
	case http.StatusUnsupportedMediaType:
		return fhir.Errorf(fhir.UnsupportedMedia, "the body's type is not supported")
	case http.StatusUnauthorized:
		return fhir.Errorf(fhir.Unauthenticated, "valid credentials are required")
	case http.StatusForbidden:
		return fhir.Errorf(fhir.Forbidden, "not allowed")
	case http.StatusTooManyRequests:
		return fhir.Errorf(fhir.Throttled, "too many requests; wait before the next one")
	case http.StatusServiceUnavailable:
		return fhir.Errorf(fhir.Unavailable, "the server cannot serve this at the moment")
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return fhir.Errorf(fhir.Timeout, "this took longer than the server allows")
	}
	if err.Code >= 400 && err.Code < 500 {
		return fhir.Errorf(fhir.Invalid, "%v", err.Message)
	}
	return fhir.Errorf(fhir.Internal, "internal error")
}

// outcome makes the OperationOutcome of an error. Its text stands in
// issue.diagnostics.
func (s *Server) outcome(err *fhir.Error) []byte {
	issues := issuesOf(err)
	if more := len(issues) - s.Limits.Issues; more > 0 {
		issues = append(issues[:s.Limits.Issues],
			fhir.Issue{Code: "incomplete", Message: fmt.Sprintf("%d more issues are not listed", more)})
	}
	return operationOutcome(issues)
}

// operationOutcome lists issues, which must have codes.
// https://hl7.org/fhir/R4/operationoutcome.html
func operationOutcome(issues []fhir.Issue) []byte {
	list := make([]resource.Node, 0, len(issues))
	for _, issue := range issues {
		// A message may quote what a URL or header held, which can be any bytes.
		issue.Message = strings.ToValidUTF8(issue.Message, "\ufffd")
		severity := issue.Severity
		if severity == "" {
			severity = fhir.SeverityError
		}
		fields := []resource.Field{
			{Name: "severity", Node: resource.Text(string(severity))},
			{Name: "code", Node: resource.Text(issue.Code)},
		}
		if issue.Message != "" {
			fields = append(fields, resource.Field{Name: "diagnostics", Node: resource.Text(issue.Message)})
		}
		if issue.Expression != "" {
			expression := resource.Node{Kind: resource.Array, Items: []resource.Node{resource.Text(issue.Expression)}}
			fields = append(fields, resource.Field{Name: "expression", Node: expression})
		}
		list = append(list, resource.Node{Kind: resource.Object, Fields: fields})
	}
	root := resource.Node{Kind: resource.Object, Fields: []resource.Field{
		{Name: "resourceType", Node: resource.Text("OperationOutcome")},
		{Name: "issue", Node: resource.Node{Kind: resource.Array, Items: list}},
	}}
	return root.JSON()
}

// at gives the issues of err that name no place this one, a FHIRPath.
func at(err error, expression string) error {
	return relocate(err, func(own string) string {
		if own == "" {
			return expression
		}
		return own
	})
}

// place returns an error about an entry as it looks from outside: the place of
// an issue in the entry's resource, such as "Patient.name[0]", becomes
// "Bundle.entry[3].resource.name[0]", and one without a place gets that of the
// entry. Without an entry it returns err.
func (e *entry) place(err error) error {
	if e == nil {
		return err
	}
	return relocate(err, func(own string) string {
		for i := range len(own) {
			if own[i] == '.' || own[i] == '[' {
				return e.where() + ".resource" + own[i:]
			}
		}
		if own != "" {
			return e.where() + ".resource"
		}
		return e.where()
	})
}

// relocate returns err with other places for its issues.
func relocate(err error, move func(own string) string) error {
	var ours *fhir.Error
	if !errors.As(err, &ours) {
		return err
	}
	moved := &fhir.Error{Kind: ours.Kind, Message: ours.Message, Cause: ours.Cause}
	for _, issue := range issuesOf(ours) {
		issue.Expression = move(issue.Expression)
		moved.Issues = append(moved.Issues, issue)
	}
	return moved
}

// issuesOf returns the issues of an error, each with a code.
func issuesOf(err *fhir.Error) []fhir.Issue {
	if len(err.Issues) == 0 {
		return []fhir.Issue{{Code: outcomes[err.Kind].code, Message: err.Message}}
	}
	issues := slices.Clone(err.Issues)
	for i := range issues {
		if issues[i].Code == "" {
			issues[i].Code = outcomes[err.Kind].code
		}
	}
	return issues
}
