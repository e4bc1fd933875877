package rest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// write is one change a client asks for.
type write struct {
	method fhir.Method // Create, Update, Patch or Delete
	typ    string
	// id is the id of the URL, or of the resource in a conditional update; ""
	// where the server chooses.
	id string
	// criteria are the search of a conditional interaction, else nil.
	criteria *search.Request
	match    versionMatch   // If-Match
	fresh    bool           // If-None-Match: *
	root     *resource.Node // nil for a deletion, and for a patch until it is applied
	entry    *entry         // nil for a request of its own
	scope    *search.Scope  // where the caller may write so

	// patch, for that method, makes the resource out of the version that is there.
	patch  patcher
	unless string          // If-None-Match of a patch
	had    map[string]bool // what the version before a patch refers to
	// reply, if set, makes the body of the answer out of the version written.
	reply func(*fhir.Resource) []byte

	links []link
	newID string // the id to use if one must be made
	// rehearsed says that the write is only asked about: then nothing is left for
	// the store to find out.
	rehearsed bool

	// What an attempt to commit found out:
	key     fhir.Key       // zero for a conditional deletion without a match
	change  *store.Change  // nil if there is nothing to do
	result  *fhir.Resource // the newest version; nil if there never was one
	created bool
}

// versionMatch is an If-Match header.
type versionMatch struct {
	version int64 // 0: none asked for
	any     bool  // "*": any version, but there must be one
}

// parseMatch reads If-Match: W/"3", and, as many clients send it, "3" or 3.
// What is no version of ours matches none: the error is VersionMismatch.
func parseMatch(header string) (versionMatch, error) {
	header = strings.TrimSpace(header)
	if header == "" {
		return versionMatch{}, nil
	}
	if header == "*" {
		return versionMatch{any: true}, nil
	}
	text := strings.Trim(strings.TrimPrefix(header, "W/"), `"`)
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 1 {
		return versionMatch{}, fhir.Errorf(fhir.VersionMismatch, `If-Match: %s is no version of this server; it must look like W/"3"`, fhir.Clip(header))
	}
	return versionMatch{version: version}, nil
}

// newWrite fills in what all writes have in common.
func newWrite(r *request, method fhir.Method) (*write, error) {
	match, err := parseMatch(r.ifMatch)
	if err != nil {
		return nil, err
	}
	return &write{method: method, typ: r.typ, match: match, entry: r.entry, scope: r.access.Scope(writeRights[method])}, nil
}

// readResource takes the resource of a create or update; its type must be that
// of the URL.
func (w *write) readResource(r *request) error {
	root, err := r.body()
	if err != nil {
		return err
	}
	name := root.Get("resourceType")
	switch {
	case name == nil || name.Kind != resource.String:
		err = &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{Code: "structure", Message: "the resource has no resourceType"}}}
	case !resource.KnownType(name.Text):
		err = &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
			Code: "structure", Message: checkType(name.Text).Error(), Expression: "Resource.resourceType",
		}}}
	case name.Text != w.typ:
		err = &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
			Message: "this is the URL of " + w.typ + ", but the resource is of type " + name.Text, Expression: name.Text + ".resourceType",
		}}}
	}
	w.root = root
	return err
}

// parseCriteria reads the search of a conditional interaction. It must select
// by something: criteria that are empty or only say how to answer would mean
// everything. The error is Forbidden if the caller may not search the type.
func (s *Server) parseCriteria(access search.Access, typ, query string) (*search.Request, error) {
	if err := access.Allow("search-type", typ); err != nil {
		return nil, err
	}
	req, err := s.registry().Parse([]string{typ}, query, search.ParseOptions{Base: s.Base, Now: s.Clock()})
	if err != nil {
		return nil, err
	}
	if req.Joined() {
		return nil, fhir.Errorf(fhir.NotSupported, "the criteria %q are about other resources too, which could change before this is written: leave out chains and _has", fhir.Clip(query))
	}
	if req.Contained != "" || len(req.Includes) > 0 {
		return nil, fhir.Errorf(fhir.NotSupported, "the criteria of a conditional interaction select resources by what is in them, without _contained, _include and _revinclude")
	}
	if len(req.Query.Where) == 0 {
		return nil, fhir.Errorf(fhir.Invalid, "the criteria %q select nothing in particular; name at least one search parameter", fhir.Clip(query))
	}
	return req, nil
}

// unit is a list of writes that succeed or fail together.
type unit struct {
	writes []*write
	// urls gives each fullUrl of a transaction its write; nil outside of one.
	urls map[string]*write
	// batch says that entries are not linked with each other.
	batch bool
	// rehearsal says that nothing is to be written: whether it could be is asked.
	rehearsal bool
}

// attempts is how often conditions are resolved anew when concurrent writes
// change what they found.
const attempts = 12

// commit carries out the writes of a unit, all or none, and fills in their
// results. When a concurrent write has changed what a condition found, it
// starts again with what is there then.
func (s *Server) commit(ctx context.Context, access search.Access, u *unit) error {
	if err := s.check(ctx, u); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, access, u)
		if fhir.KindOf(err) != fhir.Conflict || attempt == attempts {
			return err
		}
		if err := s.learn(ctx); err != nil {
			return err
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// pause waits a random time, longer with each attempt, so that rivals do not
// meet again.
func pause(ctx context.Context, attempt int) error {
	most := time.Millisecond << min(attempt, 7)
	timer := time.NewTimer(rand.N(most)) //nolint:gosec // spreads rivals, keeps no secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// check does what needs no store: the gate, and the places of links. All
// writes are looked at, so that the client hears of every problem at once.
func (s *Server) check(ctx context.Context, u *unit) error {
	for _, w := range u.writes {
		if w.id == "" && w.method != fhir.Delete && w.patch == nil {
			w.newID = s.NewID()
		}
	}
	return parallel(ctx, len(u.writes), func(i int) error {
		w := u.writes[i]
		if w.root == nil {
			return nil
		}
		w.links = u.collect(w)
		return w.entry.place(s.Gate.Check(w.root))
	})
}

// attempt resolves all conditions and links with what the store holds now, and
// writes.
func (s *Server) attempt(ctx context.Context, access search.Access, u *unit) error {
	if err := s.resolve(ctx, access, u); err != nil {
		return err
	}
	parameters, err := s.redefine(u)
	if err != nil {
		return err
	}
	p, err := s.pending(ctx, u, parameters.registry)
	if err != nil {
		return err
	}
	if err := u.identities(p); err != nil {
		return err
	}
	references, err := s.resolveReferences(ctx, access, u, p)
	if err != nil {
		return err
	}
	err = parallel(ctx, len(u.writes), func(i int) error {
		w := u.writes[i]
		if w.change == nil {
			return nil
		}
		if parameters.mark(w); w.root == nil {
			return nil
		}
		if err := u.rewrite(w, references); err != nil {
			return w.entry.place(err)
		}
		w.root.Set("id", resource.Text(w.key.ID))
		entries, patients, err := parameters.registry.Extract(w.root)
		if err != nil {
			return w.entry.place(err)
		}
		w.change.Entries, w.change.Patients = entries, patients
		w.change.Body = resource.NewBody(w.root, w.key.ID)
		return w.entry.place(s.mayWrite(ctx, access, w, patients))
	})
	if err != nil {
		return err
	}
	if err := u.findable(access, references); err != nil {
		return err
	}
	if err := s.keepReferences(ctx, access, u); err != nil {
		return err
	}
	changes := make([]store.Change, 0, len(u.writes))
	origins := make([]*write, 0, len(u.writes))
	for _, w := range u.writes {
		if w.change != nil {
			changes = append(changes, *w.change)
			origins = append(origins, w)
		}
	}
	if len(changes) == 0 || u.rehearsal {
		return nil
	}
	results, err := s.Store.Write(ctx, changes)
	if err != nil {
		var one *store.ChangeError
		if !errors.As(err, &one) || one.Index < 0 || one.Index >= len(origins) {
			return err
		}
		w := origins[one.Index]
		if w.overtaken(err) {
			return fhir.Wrap(fhir.Conflict, err, "another write got in between; try again")
		}
		return w.entry.place(one.Err)
	}
	for i, w := range origins {
		w.result = results[i]
		w.change = nil // frees the entries
	}
	if parameters.by != nil {
		// Should it fail, the next search or write learns it.
		_ = s.learn(ctx)
	}
	return nil
}

// answer says what became of a write. Who may not read the resource does not get
// it back, not even what they sent.
func (w *write) answer(access search.Access, p prefer) *answer {
	a := &answer{resource: w.result}
	verb := "updated"
	switch {
	case w.method == fhir.Delete:
		a.status = http.StatusNoContent
		if p.content == "OperationOutcome" {
			a.status = http.StatusOK
			a.body, a.outcome = information("deleted, or not there in the first place"), true
		}
		return a
	case w.created:
		a.status, a.located, verb = http.StatusCreated, true, "created"
	case w.method == fhir.Create:
		a.status, a.located, verb = http.StatusOK, true, "found"
	default:
		a.status = http.StatusOK
		if w.patch != nil {
			verb = "patched"
		}
	}
	if w.reply != nil { // which is about the resource, but not the resource
		return &answer{status: a.status, body: w.reply(w.result)}
	}
	switch p.content {
	case "minimal":
	case "OperationOutcome":
		a.body, a.outcome = information(verb+" "+versionPath(w.result)), true
	default:
		if access.Sees(w.result) {
			a.body = w.result.JSON
		}
	}
	return a
}

// information is an OperationOutcome that reports no error.
func information(message string) []byte {
	return operationOutcome([]fhir.Issue{{Severity: fhir.SeverityInformation, Code: "informational", Message: message}})
}
