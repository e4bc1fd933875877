package mongo

import (
	"context"
	"sync"

	"github.com/starling-fhir/starling/fhir"
)

// gate lets calls in until it is shut and then waits for those inside.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

// enter is refused when the gate is shut or the caller has given up. Who was
// let in must leave.
func (g *gate) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fhir.Errorf(fhir.Unavailable, "the store is closed")
	}
	g.inside.Add(1)
	return nil
}

func (g *gate) leave() { g.inside.Done() }

// shut returns when nobody is inside any more; false if it was shut before.
func (g *gate) shut() bool {
	g.mu.Lock()
	was := g.closed
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
	return !was
}
