package rest

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
)

// streaming writes the body of an answer that is too large to be held. It may
// call write as often as it likes; what it has written is gone. Once something is
// written its error cannot be told: the connection is cut instead, so that half
// an answer never looks like a whole one.
type streaming func(ctx context.Context, write func([]byte) error) error

// streamChunk is how many bytes a stream gathers before it writes them.
const streamChunk = 256 << 10

// collected runs a stream into memory, for those who want the answer whole: an
// entry of a bundle, and formats that are made of the whole. The error is
// TooCostly beyond Limits.Answer.
func (s *Server) collected(ctx context.Context, stream streaming) ([]byte, error) {
	var out bytes.Buffer
	err := stream(ctx, func(part []byte) error {
		if int64(out.Len()+len(part)) > s.Limits.Answer {
			return fhir.Errorf(fhir.TooCostly, "the answer has more than %d bytes; ask for pages with _count, or for JSON without _pretty in a request of its own, which is sent as it is found", s.Limits.Answer)
		}
		out.Write(part)
		return nil
	})
	return out.Bytes(), err
}

// stream sends a streamed answer. Each piece has the time of a request: a client
// that does not read, or a store that does not answer, ends it.
func (s *Server) stream(c echo.Context, a *answer) error {
	f, ok := c.Get(formatKey).(format)
	if !ok {
		f = defaultFormat
	}
	in := c.Request()
	if in.Method == http.MethodHead {
		c.Response().Header().Set(echo.HeaderContentType, f.contentType)
		return c.NoContent(a.status)
	}
	if f.pretty || f.xml() {
		body, err := s.collected(in.Context(), a.stream)
		if err != nil {
			return err
		}
		return respond(c, a.status, body)
	}
	header := c.Response().Header()
	control := http.NewResponseController(c.Response())
	started := false
	err := a.stream(in.Context(), func(part []byte) error {
		if !started {
			started = true
			header.Set(echo.HeaderCacheControl, "no-store")
			header.Set(echo.HeaderXContentTypeOptions, "nosniff")
			header.Set(echo.HeaderContentType, f.contentType)
			c.Response().WriteHeader(a.status)
		}
		// A deadline of the network is a moment of the real clock. Who cannot set
		// one, such as a recorder, needs none.
		_ = control.SetWriteDeadline(time.Now().Add(s.Limits.Timeout))
		_, err := c.Response().Write(part)
		return err
	})
	if err == nil || !started {
		return err
	}
	if in.Context().Err() == nil {
		known := s.known(err, c.Path(), requestID(c, s.NewID)) // logs what must not be told
		s.Logger.Warn("a streamed answer was cut off", "route", c.Path(), "request", requestID(c, s.NewID), "why", known.Message)
	}
	panic(http.ErrAbortHandler)
}
