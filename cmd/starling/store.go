package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/fhir/store/embedded"
	"github.com/starling-fhir/starling/fhir/store/mongo"
)

// storeKind is a kind of store that a --store value can name.
type storeKind int

const (
	folderStore storeKind = iota
	mongoStore
)

// kindOfStore says which kind of store a --store value names. The error goes on
// behind a flag's name and quotes nothing that could be a password.
func kindOfStore(value string) (storeKind, error) {
	scheme, _, isURI := strings.Cut(value, "://")
	switch {
	case value == "":
		return 0, errors.New("is empty; give a folder, such as ./data, or mongodb://HOST/DATABASE")
	case !isURI:
		return folderStore, nil
	case scheme == "mongodb", scheme == "mongodb+srv":
		return mongoStore, nil
	}
	return 0, fmt.Errorf("is of an unknown kind, %s://; give a folder, such as ./data, or mongodb://HOST/DATABASE", fhir.Clip(scheme))
}

// storeToOpen says which store to open, and how.
type storeToOpen struct {
	name     string // a --store value
	registry *search.Registry
	// defined says that the registry holds already what the store's own resources
	// define, and will when all of them are there.
	defined bool
	clock   func() time.Time
	log     *slog.Logger
	// pageLifetime is how long pages can be followed; 0 is the store's default.
	pageLifetime time.Duration
	onRebuild    func(done, total int64)
	// mustExist refuses to make a store where none is.
	mustExist bool
	// importing opens the target of a copy that has not ended too.
	importing bool
	// metrics, if set, count a database's commands and connections.
	metrics *mongoMetrics
}

// open opens the store: one case a kind.
func (o storeToOpen) open(ctx context.Context) (store.Store, error) {
	kind, err := kindOfStore(o.name)
	if err != nil {
		return nil, err
	}
	switch kind {
	case mongoStore:
		return o.openMongo(ctx)
	default:
		return o.openFolder()
	}
}

func (o storeToOpen) openFolder() (store.Store, error) {
	if o.mustExist {
		there, err := embedded.Exists(o.name)
		if err != nil {
			return nil, err
		}
		if !there {
			return nil, fhir.Errorf(fhir.NotFound, "there is no store in this folder")
		}
	}
	opened, err := embedded.Open(o.name, embedded.Options{
		Indexer: o.registry, Customize: o.customize, Clock: o.clock, Logger: o.log,
		PageLifetime: o.pageLifetime, OnRebuild: o.onRebuild, Importing: o.importing,
	})
	if err != nil {
		return nil, err // opened would be a Store that is not nil
	}
	return opened, nil
}

func (o storeToOpen) openMongo(ctx context.Context) (store.Store, error) {
	opts := mongo.Options{
		Indexer: o.registry, Customize: o.customize, Clock: o.clock, Logger: o.log,
		PageLifetime: o.pageLifetime, OnRebuild: o.onRebuild, Importing: o.importing,
	}
	if o.metrics != nil {
		opts.Monitor, opts.PoolMonitor = mongo.Observer(o.observe), mongo.PoolObserver(o.metrics.connected)
	}
	if o.mustExist {
		there, err := mongo.Exists(ctx, o.name, opts)
		if err != nil {
			return nil, o.standalone(ctx, err)
		}
		if !there {
			return nil, fhir.Errorf(fhir.NotFound, "there is no store in this database")
		}
	}
	opened, err := mongo.Open(ctx, o.name, opts)
	if err != nil {
		return nil, o.standalone(ctx, err) // opened would be a Store that is not nil
	}
	return opened, nil
}

// customize returns what makes index entries, for the search parameters that are
// stored: those that clients define count too.
func (o storeToOpen) customize(stored [][]byte) (store.Indexer, error) {
	if o.defined {
		return o.registry, nil
	}
	return o.registry.WithStored(stored), nil
}

// standalone returns a better error if the server that could not be reached is
// one that is no member of a replica set.
func (o storeToOpen) standalone(ctx context.Context, err error) error {
	if mongo.Unreachable(err) {
		if found := mongo.Standalone(ctx, o.name); found != nil {
			return found
		}
	}
	return err
}

// observe counts a command and, at the level debug, logs it.
func (o storeToOpen) observe(c mongo.Command) {
	o.metrics.command(c)
	o.log.Debug("mongodb", "command", c.Name, "collection", c.Collection,
		"duration_ms", float64(c.Took.Microseconds())/1000, "code", c.Code)
}

// The pauses between attempts to reach a database.
const (
	firstStorePause = 500 * time.Millisecond
	lastStorePause  = 10 * time.Second
)

// openStore opens the store that --store names. A database that cannot be
// reached is tried again until ctx ends: servers start in any order, and
// /readyz and the log say what is missing. Everything else ends the start.
func (s *server) openStore(ctx context.Context, registry *search.Registry) (store.Store, error) {
	o := storeToOpen{
		name: s.settings.Store, registry: registry, clock: s.main.Now, log: s.log,
		pageLifetime: s.settings.PageLifetime, onRebuild: s.rebuilding(),
	}
	if kind, err := kindOfStore(o.name); err == nil && kind == mongoStore {
		o.metrics = newMongoMetrics(s.metrics.registry)
	}
	for pause := firstStorePause; ; pause = min(2*pause, lastStorePause) {
		opened, err := o.open(ctx)
		if err == nil {
			s.health.set(stateStarting, "")
			return opened, nil
		}
		if ctx.Err() != nil || !mongo.Unreachable(err) {
			return nil, err
		}
		s.health.set(stateStarting, "the database cannot be reached; it is tried again")
		s.log.Warn("the database cannot be reached; it is tried again", "store", mask(o.name), "error", storeReason(err), "pause_seconds", pause.Seconds())
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// storeReason is what an error of a store says to people: its message without its
// cause, which may be long.
func storeReason(err error) string {
	var known *fhir.Error
	if errors.As(err, &known) && known.Message != "" {
		return known.Message
	}
	return err.Error()
}

// rebuilding returns a function that shows how far a rebuild of the index is:
// in /readyz each time, in the log every 10 seconds.
func (s *server) rebuilding() func(done, total int64) {
	var logged time.Time
	return func(done, total int64) {
		s.health.set(stateStarting, fmt.Sprintf("rebuilding the index: %d of %d", done, total))
		if now := s.main.Now(); now.Sub(logged) >= 10*time.Second {
			logged = now
			s.log.Info("rebuilding the index", "done", done, "total", total)
		}
	}
}
