package mongo

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// clockID is the _id of the clock in history. It is there, not in meta, so that
// one command moves it and writes versions.
const clockID = "clock"

// clock is the document that orders all writes. Its names differ from those of
// versions, so that no query for these finds it.
type clock struct {
	Now    int64            `bson:"now"`    // logical time
	At     time.Time        `bson:"at"`     // lastUpdated of Now
	Counts map[string]int64 `bson:"counts"` // living resources by type
	// Index is the hash of the definitions the index was made with; "" while it
	// is being rebuilt. Only servers of the same definitions may write.
	Index string `bson:"index"`
	// Generation counts the changes of the definitions, and Pending are the
	// parameters for which older resources may have other entries than they give.
	Generation int64              `bson:"generation,omitempty"`
	Pending    []search.Parameter `bson:"pending,omitempty"`
	// ToIndex is how many resources of their types there were at the last change.
	ToIndex int64 `bson:"toIndex,omitempty"`
	// Swept is the newest logical time whose replaced index entries may be gone.
	Swept int64 `bson:"swept"`
	// Source and Place are of an unfinished copy into this store.
	Source *string    `bson:"source,omitempty"`
	Place  *copyPlace `bson:"place,omitempty"`
}

// clockSeen is the clock at some time before. It is trusted if no other server
// has moved it since, as far as is known.
type clockSeen struct {
	clock
	trusted bool
	rival   time.Time // when another server was last seen to write
}

// atClock selects the clock; a pipeline on history that begins with it reads the
// clock in the same snapshot as the rest.
var atClock = bson.D{{Key: "$match", Value: bson.D{{Key: "_id", Value: clockID}}}}

func (s *Store) readClock(ctx context.Context) (*clock, error) {
	var c clock
	ok, err := decodeOne(s.history.FindOne(ctx, bson.D{{Key: "_id", Value: clockID}}), &c)
	switch {
	case err != nil && !ok:
		var answer mongo.ServerError
		if ctx.Err() == nil && !errors.As(err, &answer) && !isUnreachable(err) && !mongo.IsTimeout(err) {
			return nil, damaged(historyName, clockID, err)
		}
		return nil, err
	case !ok:
		return nil, damaged(historyName, clockID, errMissing)
	}
	return &c, nil
}

// decodeClock reads the clock out of an answer and checks that the index is kept
// by the definitions that a search was read by.
func (s *Store) decodeClock(raw bson.Raw, revision string) (*clock, error) {
	var c clock
	if err := bson.Unmarshal(raw, &c); err != nil {
		return nil, damaged(historyName, clockID, err)
	}
	s.sawTypes(&c)
	if err := s.isCurrent(&c, revision); err != nil {
		return nil, err
	}
	return &c, nil
}

func otherIndex() error {
	return fhir.Errorf(fhir.Unavailable, "the index is being made anew, or was by another version of the program; upgrade all servers of the database to the same version")
}

// sawTypes remembers which types there are.
func (s *Store) sawTypes(c *clock) {
	known := s.types.Load()
	if known != nil && len(*known) >= len(c.Counts) {
		return // types only ever become more
	}
	types := slices.Sorted(maps.Keys(c.Counts))
	s.types.Store(&types)
}

// knownTypes returns all types as last seen, sorted.
func (s *Store) knownTypes() []string {
	if types := s.types.Load(); types != nil {
		return *types
	}
	return nil
}

// moreThan reports whether there are types in the clock that a list lacks.
func (c *clock) moreThan(types []string) bool { return len(c.Counts) > len(types) }
