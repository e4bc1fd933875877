package store

import (
	"context"
	"sync"

	"github.com/starling-fhir/starling/fhir"
)

// Gate lets the calls of a store in until it is shut and then waits for those
// inside. The zero Gate is open.
type Gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

// Enter is refused when the gate is shut, Unavailable, or the caller has given
// up, Timeout. Who was let in must leave.
func (g *Gate) Enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return Cancelled(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fhir.Errorf(fhir.Unavailable, "the store is closed")
	}
	g.inside.Add(1)
	return nil
}

// Leave is for who was let in.
func (g *Gate) Leave() { g.inside.Done() }

// Shut returns when nobody is inside any more; false if it was shut before.
func (g *Gate) Shut() bool {
	g.mu.Lock()
	was := g.closed
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
	return !was
}

// Cancelled is the error of a call whose context has ended.
func Cancelled(ctx context.Context) error {
	return fhir.Wrap(fhir.Timeout, ctx.Err(), "the request was cancelled or ran out of time")
}
