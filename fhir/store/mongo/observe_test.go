package mongo

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// TestObserver: what is told of a command names the command and its collection,
// and nothing that is in it.
func TestObserver(t *testing.T) {
	var got []Command
	monitor := Observer(func(c Command) { got = append(got, c) })
	command := func(id int64, doc bson.D) string {
		raw, err := bson.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		name := doc[0].Key
		monitor.Started(context.Background(), &event.CommandStartedEvent{CommandName: name, Command: raw, RequestID: id})
		return name
	}
	finish := func(id int64, name string) event.CommandFinishedEvent {
		return event.CommandFinishedEvent{CommandName: name, RequestID: id, Duration: time.Millisecond}
	}
	find := command(1, bson.D{{Key: "find", Value: "resources"}, {Key: "filter", Value: bson.D{{Key: "_id", Value: "Patient/secret"}}}})
	more := command(2, bson.D{{Key: "getMore", Value: int64(7)}, {Key: "collection", Value: "history"}})
	odd := command(3, bson.D{{Key: "insert", Value: "Patient/secret"}})
	monitor.Succeeded(context.Background(), &event.CommandSucceededEvent{CommandFinishedEvent: finish(2, more)})
	monitor.Failed(context.Background(), &event.CommandFailedEvent{CommandFinishedEvent: finish(1, find), Failure: mongo.CommandError{Code: 112}})
	monitor.Failed(context.Background(), &event.CommandFailedEvent{CommandFinishedEvent: finish(3, odd), Failure: errors.New("connection reset")})
	want := []Command{
		{Name: "getMore", Collection: "history", Took: time.Millisecond},
		{Name: "find", Collection: "resources", Took: time.Millisecond, Code: 112},
		{Name: "insert", Took: time.Millisecond, Code: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
