package cds

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// Kind says what went wrong with a call. The function outcome gives each its
// HTTP status and issue code.
type Kind int

// The kinds of error.
const (
	Internal         Kind = iota // a fault of ours; its cause is logged, never shown
	Invalid                      // the request breaks the protocol
	Unauthenticated              // no valid credentials
	NotFound                     // no such service
	MethodNotAllowed             // no such method at this address
	MissingData                  // data the service cannot do without was not sent and cannot be read
	TooLarge                     // the body is beyond the limit
	UnsupportedMedia             // the body is not JSON by its type
	Unavailable                  // something the service needs does not answer
)

// outcome gives each kind its status and issue code.
// https://hl7.org/fhir/R4/valueset-issue-type.html
func outcome(kind Kind) (status int, code string) {
	switch kind {
	case Invalid:
		return http.StatusBadRequest, "invalid"
	case Unauthenticated:
		return http.StatusUnauthorized, "login"
	case NotFound:
		return http.StatusNotFound, "not-found"
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed, "not-supported"
	case MissingData:
		return http.StatusPreconditionFailed, "required"
	case TooLarge:
		return http.StatusRequestEntityTooLarge, "too-long"
	case UnsupportedMedia:
		return http.StatusUnsupportedMediaType, "not-supported"
	case Unavailable:
		return http.StatusServiceUnavailable, "transient"
	}
	return http.StatusInternalServerError, "exception"
}

// Error is an error with a kind. Message is shown to the caller; Cause is only
// logged. Neither may hold patient data.
type Error struct {
	Kind    Kind
	Message string
	Cause   error
}

// Error returns the text for logs: the message and the cause.
func (e *Error) Error() string {
	text := e.Message
	if e.Cause != nil {
		if text != "" {
			text += ": "
		}
		text += e.Cause.Error()
	}
	if text == "" {
		return "internal error"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an error of a kind with a message for the caller.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// kindOf returns the kind of err: Internal if it is not an *Error.
func kindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// operationOutcome is the part of the FHIR resource that errors need.
// https://hl7.org/fhir/R4/operationoutcome.html
type operationOutcome struct {
	ResourceType string  `json:"resourceType"`
	Issue        []issue `json:"issue"`
}

type issue struct {
	Severity    string `json:"severity"`
	Code        string `json:"code"`
	Diagnostics string `json:"diagnostics"`
}

// refuse answers err with its status and an OperationOutcome. What went wrong
// inside is not shown.
func (h *Handler) refuse(c echo.Context, err error) error {
	status, code := outcome(kindOf(err))
	message := "internal error; the server's log has the details"
	var e *Error
	if errors.As(err, &e) && e.Kind != Internal && e.Message != "" {
		message = e.Message
	}
	if status == http.StatusUnauthorized {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
	}
	body, err := marshal(operationOutcome{"OperationOutcome", []issue{{"error", code, message}}})
	if err != nil {
		return c.NoContent(status)
	}
	c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	return c.Blob(status, jsonType, body)
}
