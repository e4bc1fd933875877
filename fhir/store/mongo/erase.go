package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/starling-fhir/starling/fhir"
)

// Erase removes versions for good; see [store.Store]. It is four commands. It
// does not move the clock, since no search and no history gets anything new by
// it; that the newest version is the newest until the commit is certain because a
// write that replaces it changes the same document.
//
// Nothing of what was erased is kept, not even the values a page was sorted by. A
// sorted search that was to go on between two versions is Expired if both were
// erased meanwhile; see [paging.starts].
func (s *Store) Erase(ctx context.Context, key fhir.Key, ifVersion int64) (int64, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var erased int64
	err = s.transact(ctx, func(ctx context.Context) error {
		erased = 0
		h, err := s.head(ctx, key)
		switch {
		case err != nil:
			return err
		case h.Version == 0:
			return fhir.Errorf(fhir.NotFound, "%s is not known", key)
		case ifVersion != 0 && ifVersion != h.Version:
			return fhir.Errorf(fhir.VersionMismatch, "%s is at version %d, not %d", key, h.Version, ifVersion)
		case h.Version == 1:
			return errNothing
		}
		res, err := s.history.UpdateOne(ctx, bson.D{{Key: "_id", Value: versionID(h.Key, h.Version)}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "erased", Value: h.Version - 1}}}})
		if err != nil {
			return err
		}
		if res.MatchedCount != 1 {
			return damaged(historyName, versionID(h.Key, h.Version), errMissing)
		}
		gone, err := s.history.DeleteMany(ctx, bson.D{{Key: "key", Value: h.Key}, {Key: "version", Value: bson.D{{Key: "$lt", Value: h.Version}}}})
		if err != nil {
			return err
		}
		erased = gone.DeletedCount
		return nil
	})
	if err != nil && !errors.Is(err, errNothing) {
		s.complain(err)
		return 0, fault(ctx, err, "erasing history")
	}
	return erased, nil
}

// head reads what a transaction must know of one resource.
func (s *Store) head(ctx context.Context, key fhir.Key) (*head, error) {
	h := &head{}
	_, err := decodeOne(s.resources.FindOne(ctx, bson.D{{Key: "_id", Value: key.String()}},
		options.FindOne().SetProjection(bson.D{{Key: "version", Value: 1}, {Key: "deleted", Value: 1}})), h)
	return h, err
}

// lost returns an error unless all versions of hits that are missing in out were
// erased since the hits were found.
func (s *Store) lost(ctx context.Context, hits []hit, out []*fhir.Resource) error {
	var keys []string
	for i, h := range hits {
		if out[i] == nil {
			keys = append(keys, h.Key)
		}
	}
	cursor, err := s.ask(ctx, s.history, bson.A{
		bson.D{{Key: "$match", Value: bson.D{{Key: "key", Value: bson.D{{Key: "$in", Value: keys}}}, {Key: "erased", Value: bson.D{{Key: "$gt", Value: 0}}}}}},
		bson.D{{Key: "$group", Value: bson.D{{Key: "_id", Value: "$key"}, {Key: "erased", Value: bson.D{{Key: "$max", Value: "$erased"}}}}}},
	}, len(keys))
	if err != nil {
		return err
	}
	erased := map[string]int64{}
	err = each(ctx, cursor, func(raw bson.Raw) error {
		key, _ := raw.Lookup("_id").StringValueOK()
		erased[key], _ = raw.Lookup("erased").AsInt64OK()
		return nil
	})
	if err != nil {
		return err
	}
	for i, h := range hits {
		if out[i] == nil && h.Version > erased[h.Key] {
			return damaged(historyName, versionID(h.Key, h.Version), errMissing)
		}
	}
	return nil
}
