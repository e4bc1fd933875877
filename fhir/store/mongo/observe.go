package mongo

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Command is what may be told of a command: never a key, a filter or a document.
type Command struct {
	Name       string // "find", "aggregate", "commitTransaction", …
	Collection string // "resources", "history", "meta"; "" for none
	Took       time.Duration
	// Code is the server's error code; 0 if the command succeeded, -1 if there
	// was no answer.
	Code int
}

// Observer returns a monitor that hands on what may be told of each command.
func Observer(on func(Command)) *event.CommandMonitor {
	var under sync.Map // collection by request, until the answer is there
	done := func(e *event.CommandFinishedEvent, code int) {
		command := Command{Name: e.CommandName, Took: e.Duration, Code: code}
		if name, ok := under.LoadAndDelete(e.RequestID); ok {
			command.Collection, _ = name.(string)
		}
		on(command)
	}
	return &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if name, ok := e.Command.Lookup(e.CommandName).StringValueOK(); ok && known(name) {
				under.Store(e.RequestID, name)
			}
			if name, ok := e.Command.Lookup("collection").StringValueOK(); ok && known(name) { // getMore
				under.Store(e.RequestID, name)
			}
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) { done(&e.CommandFinishedEvent, 0) },
		Failed: func(_ context.Context, e *event.CommandFailedEvent) {
			code := -1
			var answer mongo.CommandError
			if errors.As(e.Failure, &answer) {
				code = int(answer.Code)
			}
			done(&e.CommandFinishedEvent, code)
		},
	}
}

// known reports whether a name is that of a collection of ours.
func known(name string) bool { return name == resourcesName || name == historyName || name == metaName }

// PoolObserver returns a monitor that says by how much the number of open
// connections changes.
func PoolObserver(on func(delta int)) *event.PoolMonitor {
	return &event.PoolMonitor{Event: func(e *event.PoolEvent) {
		switch e.Type {
		case event.ConnectionCreated:
			on(1)
		case event.ConnectionClosed:
			on(-1)
		}
	}}
}
