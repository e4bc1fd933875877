package mongo

import (
	"context"
	"flag"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/fhir/store/mongo/mongotest"
	"github.com/starling-fhir/starling/fhir/store/storetest"
)

// TestMain asks for fewer random cases than usual, since each is many commands;
// -rapid.checks says otherwise.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// testURI is a replica set that tests may make databases in.
func testURI(tb testing.TB) string {
	tb.Helper()
	return mongotest.Base(tb)
}

// testDatabase is a name of its own; the database is dropped behind the test.
func testDatabase(tb testing.TB) string {
	return "starling-test-" + strconv.FormatUint(rand.Uint64(), 36)
}

// openTest opens a store in a database and drops it behind the test.
func openTest(tb testing.TB, database string, opts Options) *Store {
	tb.Helper()
	opts.Database = database
	if opts.PageLifetime == 0 {
		opts.PageLifetime = storetest.PageLifetime
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Open(tb.Context(), testURI(tb), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = s.Close() // some tests close it themselves
		dropDatabase(tb, database)
	})
	return s
}

func dropDatabase(tb testing.TB, database string) {
	tb.Helper()
	s := &Store{log: slog.New(slog.DiscardHandler), opts: Options{Database: database}}
	s.opts.fill()
	if err := s.connect(testURI(tb)); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.db.Drop(ctx); err != nil {
		tb.Error(err)
	}
	_ = s.client.Disconnect(ctx)
}

func TestStore(t *testing.T) {
	testURI(t)
	storetest.Run(t, func(tb testing.TB, clock func() time.Time) store.Store {
		return openTest(tb, testDatabase(tb), Options{Clock: clock})
	})
}
