// Package store says what a store must do. storetest says it in tests, and
// every implementation passes them unchanged: embedded (a folder) and mongo.
// What they must do alike in code is here too: [Sealer], [Gate], [Change.Check].
package store

import (
	"context"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// Limits that hold in every store. Beyond them an error is TooLarge.
const (
	MaxResourceBytes = 5 << 20
	MaxEntries       = 20_000 // index entries a resource
	MaxEntryBytes    = 512
	// MaxPageBytes ends a page, of a search or a history, and a round of Gather,
	// behind the resource that reaches it, however many were asked for.
	MaxPageBytes = 32 << 20
)

// Store keeps versions of resources and finds them. Its methods are safe for
// concurrent use and return errors of package fhir, never a driver's. The error
// is Timeout if the context is cancelled or its deadline passes; then a Write
// has not happened unless it was already being made durable.
//
// A write is seen whole or not at all, only once it is durable, and by
// everything that begins after its Write has returned.
type Store interface {
	// Read returns the newest version. The error is NotFound if there never
	// was one; a deletion is returned as such, with no error.
	Read(ctx context.Context, key fhir.Key) (*fhir.Resource, error)

	// ReadVersion returns one version, which may be a deletion. The error is
	// NotFound if there is no such version.
	ReadVersion(ctx context.Context, key fhir.Key, version int64) (*fhir.Resource, error)

	// History returns versions, newest first: in descending order of
	// (lastUpdated, type, id, version). The pages of one history are one
	// snapshot and do not expire. The error is NotFound if ID is set and there
	// never was such a resource, Invalid for a bad Count or a cursor that is not
	// ours or belongs to another history. Total is -1.
	//
	// A version that becomes visible after an answer is never older than the
	// newest version in it. So whoever asks again with Since set to the newest
	// lastUpdated they have seen misses nothing, and sees versions of that
	// millisecond again.
	//
	// With a Scope the answer holds only versions the scope sees, of resources
	// whose newest version it sees too: what was filed under the wrong patient
	// and moved is no longer that patient's, not even on a later page of a
	// history begun before. Pages are as full as others. Nothing of the answer
	// depends on what lies outside; NotFound is about what is inside.
	History(ctx context.Context, h HistoryQuery) (*search.Page, error)

	// Search answers a query. Pages of one query never repeat or lose a
	// resource that did not change meanwhile. Without Sort, and among equals,
	// the order is the store's own, but the same on every page. The total of
	// the first page is repeated on the others. The error is Invalid for a bad
	// Count and for a cursor that is not ours or belongs to another query (by
	// its Identity), Conflict for a Revision that is not the store's, Expired for a
	// cursor whose first page is older than the store keeps pages, TooCostly for a
	// query the store will not run.
	//
	// All pages of one query are of one moment, that of the first: also for the
	// others of a join, and for pages before (Query.Back). Such a page has the last
	// Count resources before its cursor, in the query's order, and its Next goes on
	// with the first one behind it. Back without a cursor is Invalid.
	//
	// With Explain every page has a plan for each of the query's Types. Of its
	// steps, also those inside a join or alternatives, no Role holds a value.
	//
	// With a Scope nothing of the answer depends on what lies outside of it, not
	// its total, pages, cursors nor errors. See search.Query.Counting for totals.
	//
	// A cursor, also one of a history, tells its holder nothing about what is
	// stored: it is encrypted, and all of one kind are of one length. It belongs
	// to the scope it was given under too.
	Search(ctx context.Context, q search.Query) (*search.Page, error)

	// Gather returns what goes along with a page, in one round: the newest versions
	// of the keys it names and of what refers to keys, all of one moment. Each comes
	// once, in the order of types and ids; what is absent, deleted or outside of the
	// scope is left out. It ends at the limit, and behind the resource that reaches
	// MaxPageBytes; more says that there are further ones. The error is Invalid for a
	// limit that is not 1 to 10,000.
	Gather(ctx context.Context, g GatherQuery) (found []*fhir.Resource, more bool, err error)

	// Erase removes every version of a resource but the newest, for good, and
	// returns how many. History, reads of versions and pages begun before then go
	// on without them: a search whose moment one of them was of loses that resource.
	// The newest may be a deletion, which stays in its compartments; versions are
	// numbered on as if nothing had gone. The error is NotFound if there never was
	// the resource, VersionMismatch if ifVersion is not 0 and not the newest version.
	Erase(ctx context.Context, key fhir.Key, ifVersion int64) (int64, error)

	// Write applies all changes or none and returns the new versions in the
	// order of changes, with one lastUpdated for all of them, which is never
	// earlier than that of an earlier write. It is durable when it returns. Two
	// changes of one key are Invalid, and so are bad keys, methods and empty
	// bodies; what is beyond the limits is TooLarge. For errors that concern one
	// change the error is a *ChangeError. It is Unavailable when the disk is full.
	//
	// A change that deletes what is absent or deleted already changes nothing;
	// its result is the newest version: a deletion, or nil if there never was
	// one. A deletion is in the compartments of the version it deletes, whatever
	// the change says. The store keeps none of the caller's memory.
	Write(ctx context.Context, changes []Change) ([]*fhir.Resource, error)

	// Ping returns nil if the store can answer. The error is Unavailable.
	Ping(ctx context.Context) error

	// Close waits for what is under way and releases everything. Later calls
	// of any method are Unavailable.
	Close() error
}

// Change is one change of one resource.
type Change struct {
	Key    fhir.Key
	Method fhir.Method // Delete deletes; every other method writes Body
	Body   fhir.Body   // for a deletion: zero

	// Entries are the resource's index entries without _lastUpdated, which the
	// store adds as it stamps the version. Duplicates are allowed.
	Entries []search.Entry
	// Patients are the ids of the compartments the resource is in.
	Patients []string

	// IfVersion, if not 0, is the version that must be the newest, and not a
	// deletion; else the error is VersionMismatch.
	IfVersion int64
	// IfNone demands that there is no newest version other than a deletion;
	// else the error is Duplicate.
	IfNone bool
	// Condition, if set, must still give the keys it gave; else the error is
	// Conflict. It holds at the moment of the commit, before any change of the
	// same Write, so two writers with the same criteria cannot both see nothing.
	Condition *Condition
	// Revision, if set, names the definitions that Entries were made by; if the store
	// no longer keeps its index by them, the error is Conflict. See [Definer].
	Revision string
	// Redefine, if set, changes the definitions together with the Write. It needs
	// Revision; of one Write one change can have it.
	Redefine *Redefinition
	// Requires are resources that must be there, and not deleted, when the Write
	// is done: from before, or by a change of the same Write, also this one. Else
	// the error is Conflict.
	Requires []fhir.Key
}

// Condition is a conditional interaction's search with the answer it gave. Of
// the query only Types, Where and Scope count; a store asks for two resources.
// A query with a Join is NotSupported: others are not held still by a commit.
type Condition struct {
	Query search.Query
	Keys  []fhir.Key // in any order, at most two
}

// GatherQuery asks for what goes along with a page: included resources.
type GatherQuery struct {
	Keys []fhir.Key
	// Referring asks for the resources of a type that match a clause.
	Referring []Referring
	Limit     int // most resources, 1 to 10,000
	// Scope is what the asker may see; nil means everything.
	Scope *search.Scope
}

// Referring are the resources of one type for which a clause by value holds,
// such as search.RefersTo gives.
type Referring struct {
	Type   string
	Clause search.Clause
}

// ChangeError is an error of Write that one change caused.
type ChangeError struct {
	Index int // into the changes of the call
	Err   error
}

// Error returns the text of the change's error.
func (e *ChangeError) Error() string { return e.Err.Error() }

// Unwrap returns the change's error, which has a kind.
func (e *ChangeError) Unwrap() error { return e.Err }

// HistoryQuery asks for versions. Without Type it is the whole system, without
// ID the whole type.
type HistoryQuery struct {
	Type, ID string
	// Since leaves out versions made before it; zero means no limit.
	Since time.Time
	// At keeps only versions, deletions too, that were the newest of their
	// resource at that time; zero means all.
	At     time.Time
	Count  int // page size, 1 to 1,000
	Cursor string
	// Scope is what the asker may see; nil means everything. A cursor belongs
	// to the scope it was given under.
	Scope *search.Scope
}

// Indexer makes a stored resource's index entries anew. A store calls it when
// its index was made by other definitions than the running ones.
type Indexer interface {
	// Hash changes whenever entries may. What is behind a '+' in it stands for
	// definitions that clients have made, and may change while the store serves.
	Hash() string
	// Index returns the entries and compartments of a stored resource.
	Index(json []byte) ([]search.Entry, []string, error)
}
