package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/fhir/store/embedded"
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
		return 0, fmt.Errorf("is empty; give a folder, such as ./data, or mongodb://HOST/DATABASE")
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
	clock    func() time.Time
	log      *slog.Logger
	// pageLifetime is how long pages can be followed; 0 is the store's default.
	pageLifetime time.Duration
	onRebuild    func(done, total int64)
	// mustExist refuses to make a store where none is.
	mustExist bool
	// importing opens the target of a copy that has not ended too.
	importing bool
}

// open opens the store: one case a kind.
func (o storeToOpen) open(ctx context.Context) (store.Store, error) {
	kind, err := kindOfStore(o.name)
	if err != nil {
		return nil, err
	}
	switch kind {
	case folderStore:
		if o.mustExist {
			if there, err := embedded.Exists(o.name); err != nil {
				return nil, err
			} else if !there {
				return nil, fhir.Errorf(fhir.NotFound, "there is no store in this folder")
			}
		}
		opened, err := embedded.Open(o.name, embedded.Options{
			Indexer: o.registry, Clock: o.clock, Logger: o.log,
			PageLifetime: o.pageLifetime, OnRebuild: o.onRebuild, Importing: o.importing,
		})
		if err != nil {
			return nil, err // opened would be a Store that is not nil
		}
		return opened, nil
	default:
		return nil, fmt.Errorf("not yet")
	}
}

// openStore opens the store that --store names.
func (s *server) openStore(ctx context.Context, registry *search.Registry) (store.Store, error) {
	return storeToOpen{
		name: s.settings.Store, registry: registry, clock: s.main.Now, log: s.log,
		pageLifetime: s.settings.PageLifetime, onRebuild: s.rebuilding(),
	}.open(ctx)
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
