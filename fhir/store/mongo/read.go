package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/starling-fhir/starling/fhir"
)

// Read returns the newest version; see [store.Store]. It is one command.
func (s *Store) Read(ctx context.Context, key fhir.Key) (*fhir.Resource, error) {
	return s.readOne(ctx, s.resources, key.String(), s.newest, fhir.Errorf(fhir.NotFound, "%s is not known", key))
}

// ReadVersion returns one version; see [store.Store]. It is one command.
func (s *Store) ReadVersion(ctx context.Context, key fhir.Key, version int64) (*fhir.Resource, error) {
	absent := fhir.Errorf(fhir.NotFound, "%s has no version %d", key, version)
	return s.readOne(ctx, s.history, versionID(key.String(), version), s.version, absent)
}

func (s *Store) readOne(ctx context.Context, from *mongo.Collection, id string,
	decode func(bson.Raw) (*fhir.Resource, error), absent error,
) (*fhir.Resource, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	raw, err := from.FindOne(ctx, bson.D{{Key: "_id", Value: id}}, options.FindOne().SetProjection(servedFields)).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, absent
	}
	if err != nil {
		return nil, fault(ctx, err, "reading")
	}
	res, err := decode(raw)
	if err != nil {
		s.complain(err)
		return nil, err
	}
	return res, nil
}
