package fhir

import (
	"errors"
	"fmt"
)

// Kind says what went wrong, in words that neither HTTP nor a database owns.
// fhir/rest turns a kind into a status and an issue code, in one table.
type Kind int

// The kinds of error.
const (
	Internal         Kind = iota // a fault of ours; its cause is logged, never shown
	Invalid                      // the request or resource cannot be read or breaks the base rules
	NotSupported                 // known to FHIR, not offered here
	NotFound                     // there never was such a thing
	Deleted                      // there was; its newest version is a deletion
	VersionMismatch              // If-Match names another version than the newest
	PreconditionFail             // a condition of the request does not hold
	MultipleMatches              // conditional criteria select more than one resource
	Conflict                     // a concurrent write got in between; try again
	InUse                        // something refers to what is to be deleted
	Duplicate                    // something of this identity is there already
	Unprocessable                // understood, but breaks a rule beyond the base ones
	TooLarge                     // beyond a documented limit
	TooCostly                    // a search the store will not run
	URITooLong                   // a URL beyond a documented limit
	Expired                      // a page cursor is too old
	MethodNotAllowed             // no such interaction on this URL
	NotAcceptable                // no common response format
	UnsupportedMedia             // the request body's type is not understood
	Unauthenticated              // no valid credentials
	Forbidden                    // valid credentials that do not allow this
	Throttled                    // too many requests
	Unavailable                  // the store cannot be reached or is shutting down
	Timeout                      // the deadline passed
)

// Severity of an Issue. https://hl7.org/fhir/R4/valueset-issue-severity.html
type Severity string

// The severities in use.
const (
	SeverityError       Severity = "error"
	SeverityWarning     Severity = "warning"
	SeverityInformation Severity = "information"
)

// Issue is one finding about a resource or request.
type Issue struct {
	Severity Severity
	// Code is from https://hl7.org/fhir/R4/valueset-issue-type.html; empty
	// means the code that belongs to the error's kind.
	Code string
	// Message is for people. It must not hold patient data beyond what the
	// caller just sent.
	Message string
	// Expression is a FHIRPath such as "Patient.name[0].given[1]"; may be empty.
	Expression string
}

// Error is an error with a kind. Message and Issues are shown to the caller;
// Cause is only logged.
type Error struct {
	Kind    Kind
	Message string
	Issues  []Issue // optional; when set they are shown instead of Message
	Cause   error   // optional
}

// Error returns the text for logs: the message and the cause.
func (e *Error) Error() string {
	text := e.Message
	if text == "" && len(e.Issues) > 0 {
		text = e.Issues[0].Message
		if e.Issues[0].Expression != "" {
			text = e.Issues[0].Expression + ": " + text
		}
		if len(e.Issues) > 1 {
			text = fmt.Sprintf("%s (and %d more)", text, len(e.Issues)-1)
		}
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an error of a kind with a message for the caller.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of a kind with a message for the caller and a cause for
// the log.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// KindOf returns the kind of err: Internal if it is not an *Error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
