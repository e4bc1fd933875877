package store

import (
	"bytes"
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// Archive is what a store offers beside [Store] so that all it holds can be
// copied into another one, of its own kind or not: every version of every
// resource, deletions too, byte for byte. storetest says it in tests.
//
// A copy goes through the versions in the order of their places. It can stop at
// any time, killed too, and go on: the target remembers how far it came.
type Archive interface {
	// Identity names the store as long as its data lasts, so that a copy that is
	// taken up again is known to have the same source. It is no secret.
	Identity(ctx context.Context) (string, error)

	// Size is about how many versions there are, for telling how far a copy is.
	Size(ctx context.Context) (int64, error)

	// Export returns versions behind a place in ascending order of their
	// places, at most limit (1 to 1,000) and fewer behind the one that fills
	// MaxPageBytes. None means that there are no more. Entries are nil. What is
	// written while a copy is under way may be left out if its place is not
	// behind that of a version already returned.
	Export(ctx context.Context, behind Place, limit int) ([]Version, error)

	// BeginImport makes an empty store the target of a copy of the store with
	// the given identity, or takes such a copy up again, and returns the place
	// of the last version that was imported; the zero Place for none. From then
	// on only a program that copies may open the store, until EndImport. The
	// error is Conflict if the store holds anything else.
	BeginImport(ctx context.Context, source string) (Place, error)

	// Import writes versions as they are, durably: key, version, lastUpdated,
	// method, compartments and bytes. Versions of one resource come in order
	// and without a gap; the first one need not be version 1, because those before
	// it may have been erased. What is there already is left alone, so a batch can
	// come again. The error is Conflict if another version is there under the
	// same number, Invalid for a gap or a body without its stamps, TooLarge for
	// what is beyond the limits. The place of the last version is remembered.
	Import(ctx context.Context, versions []Version) error

	// EndImport makes the store an ordinary one. Its next write gets a
	// lastUpdated that is not earlier than any imported one.
	EndImport(ctx context.Context) error
}

// Version is a version on its way from one store to another.
type Version struct {
	*fhir.Resource
	// Newest says that the source had no later version when it was exported.
	Newest bool
	// Entries are the index entries, without _lastUpdated, of a version that is
	// the newest and no deletion. Others have none: an index knows only what is
	// current. Whoever copies makes them, by the definitions of the target.
	Entries []search.Entry
}

// Place returns where the version stands in the order of a copy.
func (v Version) Place() Place {
	return Place{Updated: v.Updated.UnixMilli(), Type: v.Key.Type, ID: v.Key.ID, Version: v.Version}
}

// Body takes the stamps out of a version's bytes; stamping it again gives the
// same bytes. ok is false if they are not there.
func (v Version) Body() (body fhir.Body, ok bool) {
	stamps := fhir.Body{}.Stamp(v.Version, v.Updated)
	at := bytes.Index(v.JSON, stamps)
	if at < 0 {
		return fhir.Body{}, false
	}
	return fhir.Body{Head: v.JSON[:at], Tail: v.JSON[at+len(stamps):]}, true
}

// Place is where a version stands among all versions of a store: they are
// ordered by lastUpdated, type, id and version, so those of one resource by
// their number. The zero Place is before all.
type Place struct {
	Updated  int64 // milliseconds since 1970
	Type, ID string
	Version  int64
}

// Compare returns -1, 0 or 1 as p is before, equal to or behind q.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Updated, q.Updated), cmp.Compare(p.Type, q.Type), cmp.Compare(p.ID, q.ID), cmp.Compare(p.Version, q.Version))
}

// Earlier returns a place a while before p and before everything of that
// moment. Whoever takes a copy up again from a source that may have been
// written to starts there: what was stamped then may have become visible since.
func (p Place) Earlier(while time.Duration) Place {
	return Place{Updated: max(0, p.Updated-while.Milliseconds())}
}

// String writes the place for a person, without the resource's id.
func (p Place) String() string {
	if p == (Place{}) {
		return "the beginning"
	}
	return time.UnixMilli(p.Updated).UTC().Format("2006-01-02T15:04:05.000Z") + " " + p.Type + " version " + strconv.FormatInt(p.Version, 10)
}
