package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/fhir/store/embedded"
)

// openStore opens the store that --store names: one case a kind.
func (s *server) openStore(registry *search.Registry) (store.Store, error) {
	switch scheme, _, isURI := strings.Cut(s.settings.Store, "://"); {
	case !isURI:
		opened, err := embedded.Open(s.settings.Store, embedded.Options{
			Indexer: registry, Clock: s.main.Now, Logger: s.log,
			PageLifetime: s.settings.PageLifetime, OnRebuild: s.rebuilding(),
		})
		if err != nil {
			return nil, err // opened would be a Store that is not nil
		}
		return opened, nil
	default:
		return nil, usageError("%s:// is not in this version", scheme)
	}
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
