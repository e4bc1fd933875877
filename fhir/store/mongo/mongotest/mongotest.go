// Package mongotest gives tests databases of their own on a MongoDB replica set.
package mongotest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The variables that tests heed.
const (
	// URIVariable names a replica set that tests may make databases in.
	URIVariable = "STARLING_TEST_MONGODB_URI"
	// StandaloneVariable names a server that is no member of a replica set.
	StandaloneVariable = "STARLING_TEST_MONGODB_STANDALONE_URI"
	// StoreVariable says on which store end-to-end tests run: "mongodb", or
	// nothing for the embedded one.
	StoreVariable = "STARLING_TEST_STORE"
)

// dropTime is how long dropping a database may take: longer than a transaction
// that a killed program left open lasts.
const dropTime = 90 * time.Second

// Chosen reports whether end-to-end tests are to run on MongoDB.
func Chosen() bool { return os.Getenv(StoreVariable) == "mongodb" }

// Base returns the URI of the replica set, without a database. Without one the
// test is skipped; in CI it fails.
func Base(tb testing.TB) string {
	tb.Helper()
	return needed(tb, URIVariable, "a MongoDB replica set that tests may make databases in")
}

// URI returns the URI of a database that nobody else uses and that is dropped
// behind the test; see [Base].
func URI(tb testing.TB) string {
	tb.Helper()
	base := Base(tb)
	name := "starling-test-" + strings.ToLower(rand.Text()[:13])
	client, err := mongo.Connect(options.Client().ApplyURI(base).SetTimeout(dropTime))
	if err != nil {
		tb.Fatalf("%s cannot be used", URIVariable) // the error may quote a password
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), dropTime)
		defer cancel()
		if err := client.Database(name).Drop(ctx); err != nil {
			tb.Errorf("dropping %s: %v", name, err)
		}
		if err := client.Disconnect(ctx); err != nil {
			tb.Errorf("disconnecting: %v", err)
		}
	})
	return WithDatabase(base, name)
}

// Standalone returns the URI of a server without a replica set.
func Standalone(tb testing.TB) string {
	tb.Helper()
	return needed(tb, StandaloneVariable, "a MongoDB server that is no member of a replica set")
}

func needed(tb testing.TB, variable, what string) string {
	tb.Helper()
	value := os.Getenv(variable)
	switch {
	case value != "":
	case os.Getenv("CI") != "":
		tb.Fatalf("%s is not set, and CI must run these tests: it names %s", variable, what)
	default:
		tb.Skipf("%s is not set: it would name %s", variable, what)
	}
	return value
}

// WithDatabase puts the name of a database into a URI.
func WithDatabase(uri, name string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	hosts, query, hasQuery := strings.Cut(rest, "?")
	hosts, _, _ = strings.Cut(hosts, "/")
	out := scheme + "://" + hosts + "/" + name
	if hasQuery {
		out += "?" + query
	}
	return out
}
