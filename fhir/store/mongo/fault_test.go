package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

func TestOpenRefusesAnURIThatCannotBeAndKeepsThePassword(t *testing.T) {
	// A server that closes every connection, as a firewall may.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for _, test := range []struct {
		name, uri string
		kind      fhir.Kind
		says      string
	}{
		{"no host", "mongodb://user:hunter2@", fhir.Invalid, "mongodb://user:password@"},
		{"an unescaped password", "mongodb://user:hunter2/@%zz@host/", fhir.Invalid, "percent-encoded"},
		{"another scheme", "postgres://user:hunter2@host/", fhir.Invalid, "mongodb://"},
		{"options that contradict each other", "mongodb://user:hunter2@127.0.0.1:1,127.0.0.1:2/?directConnection=true", fhir.Invalid, ""},
		{"nobody listens", "mongodb://user:hunter2@127.0.0.1:1/?replicaSet=rs0", fhir.Unavailable, "mongod --replSet rs0"},
		{"connections are closed", "mongodb://user:hunter2@" + listener.Addr().String() + "/?replicaSet=rs0", fhir.Unavailable, "rs.initiate()"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			s, err := Open(t.Context(), test.uri, Options{ConnectTimeout: 300 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
				t.Errorf("kind %d: %v", fhir.KindOf(err), err)
			}
			if strings.Contains(err.Error()+log.String(), "hunter2") {
				t.Errorf("the password shows: %v %s", err, log.String())
			}
		})
	}
}

func TestHelloIsThatOfAReplicaSet(t *testing.T) {
	for _, test := range []struct {
		name  string
		hello hello
		says  string // "" for fine
	}{
		{"a replica set", hello{SetName: "rs0", MaxWireVersion: 21}, ""},
		{"a router", hello{Msg: "isdbgrid", MaxWireVersion: 21}, ""},
		{"a standalone server", hello{MaxWireVersion: 21}, "`mongod --replSet rs0 …`, then once `mongosh --eval 'rs.initiate()'`"},
		{"an old server", hello{SetName: "rs0", MaxWireVersion: 9}, "5.0"},
	} {
		err := test.hello.check()
		if test.says == "" && err != nil || test.says != "" && (fhir.KindOf(err) != fhir.Unavailable || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestErrorsHaveKinds(t *testing.T) {
	code := func(n int32) error { return mongo.CommandError{Code: n, Message: "Patient/secret"} }
	for _, test := range []struct {
		name string
		err  error
		want fhir.Kind
	}{
		{"wrong password", code(18), fhir.Unavailable},
		{"no rights", code(13), fhir.Unavailable},
		{"disk full", code(14031), fhir.Unavailable},
		{"disk full while writing many", mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{{WriteError: mongo.WriteError{Code: 14031}}}}, fhir.Unavailable},
		{"maxTimeMS", code(50), fhir.Timeout},
		{"no primary", code(10107), fhir.Unavailable},
		{"a shard without a primary", code(133), fhir.Unavailable},
		{"shutting down", code(91), fhir.Unavailable},
		{"killed by an operator", code(11601), fhir.Unavailable},
		{"a cursor that is gone", code(43), fhir.Unavailable},
		{"a snapshot that is gone", code(239), fhir.Unavailable},
		{"a chunk that moved to another shard", code(250), fhir.Unavailable},
		{"overloaded", code(433), fhir.Unavailable},
		{"no majority", mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}, fhir.Unavailable},
		{"a transaction too long", code(290), fhir.TooLarge},
		{"a transaction too large", code(257), fhir.TooLarge},
		{"a transaction too large for the cache", code(388), fhir.TooLarge},
		{"no memory to sort", code(292), fhir.TooCostly},
		{"conflicts without end", code(112), fhir.Unavailable},
		{"a foreign duplicate", mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 11000}}}, fhir.Internal},
		{"connection lost", mongo.CommandError{Labels: []string{"NetworkError"}, Wrapped: io.EOF}, fhir.Unavailable},
		{"a commit without an answer", mongo.CommandError{Labels: []string{"UnknownTransactionCommitResult"}, Code: 50}, fhir.Unavailable},
		{"disconnected", mongo.ErrClientDisconnected, fhir.Unavailable},
		{"unknown", errors.New("?"), fhir.Internal},
		{"ours", fhir.Errorf(fhir.Conflict, "x"), fhir.Conflict},
	} {
		err := fault(t.Context(), test.err, "writing")
		if fhir.KindOf(err) != test.want {
			t.Errorf("%s: kind %d, want %d: %v", test.name, fhir.KindOf(err), test.want, err)
		}
		var e *fhir.Error
		if !errors.As(err, &e) || strings.Contains(e.Message, "secret") {
			t.Errorf("%s: the caller is told %v", test.name, err)
		}
	}
}

// TestWhatEndsByItself: at the start these are waited for, all others end it.
func TestWhatEndsByItself(t *testing.T) {
	code := func(n int32) error { return mongo.CommandError{Code: n} }
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"a connection lost", mongo.CommandError{Labels: []string{"NetworkError"}, Wrapped: io.EOF}, true},
		{"an election", code(10107), true},
		{"a shard without a primary", fhir.Wrap(fhir.Unavailable, code(133), "preparing the database"), true},
		{"a server that shuts down", code(91), true},
		{"a wrong password", code(18), false},
		{"no rights", code(13), false},
		{"a full disk", code(14031), false},
		{"a newer format", fhir.Errorf(fhir.Unavailable, "the database is of format 99"), false},
	} {
		if got := Unreachable(test.err); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestANewerFormatIsRefused(t *testing.T) {
	database := testDatabase(t)
	s := openTest(t, database, Options{})
	if _, err := s.meta.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "starling"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "format", Value: 99}}}}); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), testURI(t), Options{Database: database})
	if fhir.KindOf(err) != fhir.Unavailable || !strings.Contains(err.Error(), "format 99") {
		t.Errorf("%v", err)
	}
}

// TestDocumentsEditedByHand breaks documents one by one. Nothing may panic, the
// caller is told nothing of what is stored, and the log names the key.
func TestDocumentsEditedByHand(t *testing.T) {
	var log bytes.Buffer
	database := testDatabase(t)
	s := openTest(t, database, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	both := func(id string, update bson.D) {
		t.Helper()
		for _, edit := range []struct {
			in *mongo.Collection
			id string
		}{{s.resources, "Patient/" + id}, {s.history, "Patient/" + id + "/1"}} {
			if _, err := edit.in.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: edit.id}}, update); err != nil {
				t.Fatal(err)
			}
		}
	}
	set := func(field string, value any) bson.D {
		return bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: value}}}}
	}
	for name, update := range map[string]bson.D{
		"noraw":    {{Key: "$unset", Value: bson.D{{Key: "raw", Value: ""}}}},
		"badzstd":  set("raw", []byte("not zstd")),
		"textraw":  set("raw", "text"),
		"bomb":     set("raw", s.codec.pack(make([]byte, 64<<20))),
		"version":  set("version", "one"),
		"updated":  set("updated", "yesterday"),
		"id":       set("id", "other"),
		"type":     set("type", 7),
		"patients": set("patients", "p"),
	} {
		t.Run(name, func(t *testing.T) {
			log.Reset()
			key := fhir.Key{Type: "Patient", ID: name}
			write(t, s, create(key.String(), "name="+name))
			both(name, update)
			check := func(doing string, err error) {
				t.Helper()
				if fhir.KindOf(err) != fhir.Internal || err == nil {
					t.Errorf("%s: %v", doing, err)
					return
				}
				var e *fhir.Error
				if errors.As(err, &e); strings.Contains(e.Message, name) {
					t.Errorf("%s: the caller is told %q", doing, e.Message)
				}
				if !strings.Contains(log.String(), key.String()) {
					t.Errorf("%s: the log does not name the document: %s", doing, log.String())
				}
			}
			_, err := s.Read(t.Context(), key)
			check("read", err)
			_, err = s.ReadVersion(t.Context(), key, 1)
			check("vread", err)
			_, err = s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("name", name)}, Count: 1})
			check("search", err)
		})
	}
	t.Run("a healthy neighbour is served", func(t *testing.T) {
		write(t, s, create("Patient/fine", "name=fine"))
		if _, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "fine"}); err != nil {
			t.Error(err)
		}
	})
	t.Run("an edited native document is never served", func(t *testing.T) {
		want := write(t, s, create("Patient/native"))[0]
		both("native", set("resource", bson.D{{Key: "resourceType", Value: "Lie"}}))
		got, err := s.Read(t.Context(), want.Key)
		if err != nil || !bytes.Equal(got.JSON, want.JSON) {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("a clock that is gone", func(t *testing.T) {
		if _, err := s.history.DeleteOne(t.Context(), bson.D{{Key: "_id", Value: clockID}}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Write(t.Context(), []store.Change{put(fhir.Update, "Patient/x")})
		if fhir.KindOf(err) != fhir.Internal || err == nil {
			t.Errorf("write: %v", err)
		}
		_, err = s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Count: 1})
		if fhir.KindOf(err) != fhir.Internal || err == nil {
			t.Errorf("search: %v", err)
		}
	})
}

// TestForeignWriters inserts documents behind the store's back.
func TestForeignWriters(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	if _, err := s.resources.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/r"}, {Key: "note", Value: "mine"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.history.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/h/1"}, {Key: "note", Value: "mine"}}); err != nil {
		t.Fatal(err)
	}
	for _, change := range []store.Change{
		create("Patient/r"), put(fhir.Update, "Patient/r"), create("Patient/h"), put(fhir.Update, "Patient/h"),
	} {
		_, err := s.Write(t.Context(), []store.Change{create("Patient/beside"), change})
		if fhir.KindOf(err) != fhir.Internal || err == nil {
			t.Errorf("%s %s: %v", change.Method, change.Key, err)
		}
	}
	if _, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "beside"}); fhir.KindOf(err) != fhir.NotFound {
		t.Errorf("a refused write left something: %v", err)
	}
	write(t, s, create("Patient/fine"))
	for _, c := range []*mongo.Collection{s.resources, s.history} {
		if n, err := c.CountDocuments(t.Context(), bson.D{{Key: "note", Value: "mine"}}); err != nil || n != 1 {
			t.Errorf("%s: %d foreign documents are left, %v", c.Name(), n, err)
		}
	}
}

// TestADeadlineWithinATransactionLeavesNothing ends contexts at every moment of
// a write.
func TestADeadlineWithinATransactionLeavesNothing(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	var changes []store.Change
	for i := range 300 {
		changes = append(changes, put(fhir.Update, fmt.Sprintf("Observation/%d", i), "code=a"))
	}
	refused := 0
	for wait := time.Millisecond; ; wait = wait * 3 / 2 {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err := s.Write(ctx, changes)
		cancel()
		page, searchErr := s.Search(t.Context(), search.Query{Types: []string{"Observation"}, Total: search.TotalAccurate})
		if searchErr != nil {
			t.Fatal(searchErr)
		}
		if err == nil {
			if page.Total != 300 {
				t.Errorf("%d resources of 300", page.Total)
			}
			break
		}
		refused++
		if fhir.KindOf(err) != fhir.Timeout {
			t.Errorf("after %v: %v", wait, err)
		}
		if page.Total != 0 {
			t.Fatalf("a write that ran out of time after %v left %d resources", wait, page.Total)
		}
	}
	if refused == 0 {
		t.Error("no write ran out of time")
	}
}

// TestAWriteWithoutAServerIsTriedOnce: who asks hears of it when no server was
// found for as long as one is looked for, not at the end of the request.
func TestAWriteWithoutAServerIsTriedOnce(t *testing.T) {
	s := &Store{log: slog.New(slog.DiscardHandler)}
	s.opts.fill()
	if err := s.connect("mongodb://127.0.0.1:1/?replicaSet=rs0&serverSelectionTimeoutMS=50"); err != nil {
		t.Fatal(err)
	}
	defer s.client.Disconnect(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is under way
	attempts := 0
	err := s.transact(t.Context(), func(ctx context.Context) error {
		attempts++
		_, err := s.meta.InsertOne(ctx, bson.D{{Key: "_id", Value: "x"}})
		return err
	})
	if err := fault(t.Context(), err, "writing"); fhir.KindOf(err) != fhir.Unavailable || !hasLabel(err, labelTransient) {
		t.Errorf("%v", err)
	}
	if attempts != 1 {
		t.Errorf("%d attempts", attempts)
	}
	attempts = 0
	err = s.transact(t.Context(), func(context.Context) error {
		if attempts++; attempts < 3 {
			return mongo.CommandError{Code: 112, Labels: []string{labelTransient}}
		}
		return errProbe
	})
	if attempts != 3 || !errors.Is(err, errProbe) {
		t.Errorf("a conflict was tried %d times: %v", attempts, err)
	}
}

// TestTheProbeLeavesNothing checks that finding out about transactions does not
// write.
func TestTheProbeLeavesNothing(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	if err := s.probe(t.Context()); err != nil {
		t.Error(err)
	}
	n, err := s.meta.CountDocuments(t.Context(), bson.D{{Key: "probe", Value: true}})
	if err != nil || n != 0 {
		t.Errorf("%d probes are left, %v", n, err)
	}
}
