package rest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// Clients define search parameters of their own with resources of type
// SearchParameter, https://hl7.org/fhir/R4/searchparameter.html. Which ones are
// in force is what the store says: a change of theirs is committed together with
// the resource that makes it (store.Redefinition), and from then on the store
// accepts only what was indexed by them. So servers that share a store need not
// hear of each other: whoever is late is refused, learns, and does it again.

// Indexing tells how far the index is.
type Indexing struct {
	// Parameters are those that cannot be searched by yet.
	Parameters  []search.Parameter
	Done, Total int64 // of the resources to look at
}

// parameters are the search parameters that this server knows of.
type parameters struct {
	current  atomic.Pointer[inForce]
	learning sync.Mutex
	// wake tells KeepIndex that there is something to index.
	wake chan struct{}
	done atomic.Int64
	all  atomic.Int64
}

// inForce are the search parameters at a revision of the definitions. It is never
// changed once made.
type inForce struct {
	registry *search.Registry
	at       store.Definitions
	// defined are the stored definitions, in the order in which they count, and
	// refused says by id why one has no effect.
	defined []search.Definition
	refused map[string]error
}

// registry returns the search parameters in force.
func (s *Server) registry() *search.Registry {
	if now := s.parameters.current.Load(); now != nil {
		return now.registry
	}
	return s.Registry
}

// learn finds out which definitions the store keeps its index by, and makes them
// those in force here. It does nothing if they are already.
func (s *Server) learn(ctx context.Context) error {
	if s.Definer == nil {
		return nil
	}
	s.parameters.learning.Lock()
	defer s.parameters.learning.Unlock()
	for attempt := 1; ; attempt++ {
		at, err := s.Definer.Definitions(ctx)
		if err != nil {
			return err
		}
		s.parameters.done.Store(at.Done)
		s.parameters.all.Store(at.Total)
		now := s.parameters.current.Load()
		if now != nil && now.at.Revision == at.Revision && slices.Equal(now.at.Pending, at.Pending) {
			return nil
		}
		next, err := s.compile(ctx, at)
		if err != nil {
			return err
		}
		if at.Hash == "" || at.Hash == next.registry.Hash() {
			s.parameters.current.Store(next)
			if len(at.Pending) > 0 {
				s.wakeIndexer()
			}
			return nil
		}
		// The resources were read a moment later than the definitions.
		if attempt == attempts {
			return fhir.Errorf(fhir.Unavailable, "the index is kept by another version of the program; upgrade all servers of the store to the same version")
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// compile compiles what is stored.
func (s *Server) compile(ctx context.Context, at store.Definitions) (*inForce, error) {
	next := &inForce{at: at, refused: map[string]error{}}
	q := search.Query{Types: []string{"SearchParameter"}, Count: 1000, Total: search.TotalNone, Identity: "search parameters"}
	for {
		page, err := s.Store.Search(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, res := range page.Resources {
			root, err := resource.Decode(res.JSON)
			if err != nil {
				return nil, err
			}
			d, err := search.ReadDefinition(root)
			if err != nil {
				next.refused[res.ID] = err
				continue
			}
			next.defined = append(next.defined, d)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	search.SortDefinitions(next.defined)
	registry, errs := s.Registry.With(next.defined)
	for i, d := range next.defined {
		if errs[i] != nil {
			next.refused[d.ID] = errs[i]
		}
	}
	next.registry = registry.Indexing(at.Revision, at.Pending, s.parameters.progress)
	return next, nil
}

func (p *parameters) progress() (done, total int64) { return p.done.Load(), p.all.Load() }

// redefined is what the writes of a unit make of the definitions.
type redefined struct {
	registry *search.Registry // to index what is written with
	revision string           // of the definitions before
	by       *write           // the change that brings the new ones; nil if they stay
	change   *store.Redefinition
}

// redefine finds out what the writes of a unit make of the definitions. The error
// is Unprocessable for a SearchParameter that cannot be used.
func (s *Server) redefine(u *unit) (*redefined, error) {
	now := s.parameters.current.Load()
	if now == nil {
		return &redefined{registry: s.Registry}, nil
	}
	out := &redefined{registry: now.registry, revision: now.at.Revision}
	changed := map[string]*write{}
	for _, w := range u.writes {
		if w.typ == "SearchParameter" && w.change != nil {
			changed[w.key.ID] = w
			out.by = w
		}
	}
	if out.by == nil {
		return out, nil
	}
	var definitions []search.Definition
	for _, d := range now.defined {
		if changed[d.ID] == nil {
			definitions = append(definitions, d)
		}
	}
	others := len(definitions) // those that are there already count first
	var problems []error
	for id, w := range changed {
		if w.root == nil {
			continue
		}
		d, err := search.ReadDefinition(w.root)
		if err != nil {
			problems = append(problems, w.entry.place(err))
			continue
		}
		d.ID = id
		definitions = append(definitions, d)
	}
	search.SortDefinitions(definitions[others:])
	_, errs := s.Registry.With(definitions)
	for i := others; i < len(definitions); i++ {
		if errs[i] != nil {
			problems = append(problems, changed[definitions[i].ID].entry.place(errs[i]))
		}
	}
	if err := merge(problems); err != nil {
		return nil, err
	}
	search.SortDefinitions(definitions)
	registry, _ := s.Registry.With(definitions)
	if registry.Hash() == now.registry.Hash() {
		out.by = nil
		return out, nil
	}
	out.registry = registry
	out.change = &store.Redefinition{Hash: registry.Hash(), Changed: registry.Changed(now.registry)}
	return out, nil
}

// mark says in a change by which definitions it was made.
func (d *redefined) mark(w *write) {
	w.change.Revision = d.revision
	if w == d.by {
		w.change.Redefine = d.change
	}
}

func (s *Server) wakeIndexer() {
	select {
	case s.parameters.wake <- struct{}{}:
	default: // it is awake
	}
}

const (
	// learnEvery is how often a server asks whether another one has changed the
	// definitions; searches and writes by older ones are refused in between.
	learnEvery = 2 * time.Second
	// indexAgain is how long it waits after indexing has failed.
	indexAgain = 5 * time.Second
	// tellEvery is how often the log tells how far it is.
	tellEvery = 10 * time.Second
)

// KeepIndex brings the index up to the search parameters that clients define,
// whenever they have changed, until ctx ends. Parameters can be searched by when
// it is done with them. tell, which may be nil, hears how far it is.
func (s *Server) KeepIndex(ctx context.Context, tell func(Indexing)) {
	if s.Definer == nil {
		return
	}
	if tell == nil {
		tell = func(Indexing) {}
	}
	ticker := time.NewTicker(learnEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := s.indexPending(ctx, tell); err != nil && ctx.Err() == nil {
			s.Logger.Warn("search parameters cannot be indexed; it is tried again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(indexAgain):
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-s.parameters.wake:
		}
	}
}

// indexPending indexes what is pending.
func (s *Server) indexPending(ctx context.Context, tell func(Indexing)) error {
	for {
		if err := s.learn(ctx); err != nil {
			return err
		}
		now := s.parameters.current.Load()
		if len(now.at.Pending) == 0 {
			return nil
		}
		started, told := s.Clock(), s.Clock()
		s.Logger.Info("indexing search parameters", "parameters", len(now.at.Pending), "done", now.at.Done, "total", now.at.Total)
		err := s.Definer.Reindex(ctx, now.registry, func(done, total int64) {
			s.parameters.done.Store(done)
			s.parameters.all.Store(total)
			tell(Indexing{Parameters: now.at.Pending, Done: done, Total: total})
			if at := s.Clock(); at.Sub(told) >= tellEvery {
				told = at
				s.Logger.Info("indexing search parameters", "parameters", len(now.at.Pending), "done", done, "total", total)
			}
		})
		switch {
		case fhir.KindOf(err) == fhir.Conflict: // they have changed meanwhile
			continue
		case err != nil:
			return err
		}
		if err := s.learn(ctx); err != nil {
			return err
		}
		tell(Indexing{})
		s.Logger.Info("search parameters are indexed", "parameters", len(now.at.Pending), "seconds", s.Clock().Sub(started).Seconds())
	}
}

// parameterStatus serves GET [base]/SearchParameter/[id]/$status: whether a
// parameter can be searched by.
func (s *Server) parameterStatus(r *request, in *inputs) (*answer, error) {
	if err := in.done(); err != nil {
		return nil, err
	}
	res, err := s.current(r)
	if err != nil {
		return nil, err
	}
	if err := s.learn(r.ctx); err != nil {
		return nil, err
	}
	root, err := resource.Decode(res.JSON)
	if err != nil {
		return nil, err
	}
	status, message := s.statusOf(root)
	parts := []resource.Node{object(text("name", "status"), text("valueCode", status)), object(text("name", "message"), text("valueString", message))}
	if status == "indexing" && s.countsFor(r) {
		done, total := s.parameters.progress()
		for _, part := range []struct {
			name  string
			value int64
		}{{"done", done}, {"total", total}} {
			parts = append(parts, object(text("name", part.name), resource.Field{
				Name: "valueUnsignedInt", Node: resource.Node{Kind: resource.Number, Text: strconv.FormatInt(part.value, 10)},
			}))
		}
	}
	body := object(text("resourceType", "Parameters"), list("parameter", parts))
	return &answer{status: http.StatusOK, body: body.JSON()}, nil
}

// tellIndexing tells how far the index is with the parameter of a search, if the
// caller may know how many resources there are.
func (s *Server) tellIndexing(r *request, err error) error {
	var indexing *search.StillIndexing
	if errors.As(err, &indexing) && s.countsFor(r) {
		return indexing.Told()
	}
	return err
}

// countsFor reports whether the caller may find everything that is being indexed.
func (s *Server) countsFor(r *request) bool {
	now, scope := s.parameters.current.Load(), r.access.Scope(search.CanSearch)
	return now != nil && !slices.ContainsFunc(now.at.PendingTypes(), func(typ string) bool { return !scope.Of(typ).Whole })
}

// statusOf says what becomes of a stored SearchParameter.
func (s *Server) statusOf(root *resource.Node) (status, message string) {
	now := s.parameters.current.Load()
	d, err := search.ReadDefinition(root)
	if now == nil {
		return "unsupported", "this server does not index search parameters that clients define"
	}
	if err == nil {
		err = now.refused[d.ID]
	}
	defined := now.registry.Defined(d)
	switch {
	case err != nil:
		return "refused", "it has no effect: " + err.Error()
	case !d.Active:
		return "inactive", "it has no effect: its status is not active"
	case len(defined) == 0:
		return "built-in", "it has no effect: one of FHIR's own search parameters says the same"
	case slices.ContainsFunc(defined, func(p search.Parameter) bool { return !now.registry.Ready(p.Type, p.Name) }):
		return "indexing", "resources that are stored already are being indexed"
	}
	return "ready", "it can be searched by"
}
