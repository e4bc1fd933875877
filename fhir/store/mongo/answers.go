package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// each visits the documents of an answer and closes it.
func each(ctx context.Context, cursor *mongo.Cursor, visit func(bson.Raw) error) error {
	var err error
	for err == nil && cursor.Next(ctx) {
		err = visit(cursor.Current)
	}
	if err == nil {
		err = cursor.Err()
	}
	if err == errEnough { //nolint:errorlint // our own, never wrapped
		err = nil
	}
	if closeErr := cursor.Close(context.WithoutCancel(ctx)); err == nil {
		err = closeErr
	}
	return err
}

// errEnough ends a visit early.
var errEnough = errors.New("enough")

// unionWith is the stage that adds what a pipeline on a collection gives. MongoDB
// refuses it in transactions. Its manual leaves the order of the result open; its
// servers give what was there first and then the pipeline's in its order, on
// which pages rely.
func unionWith(collection string, pipeline bson.A) bson.D {
	return bson.D{{Key: "$unionWith", Value: bson.D{{Key: "coll", Value: collection}, {Key: "pipeline", Value: pipeline}}}}
}

// theVersions is the pipeline that reads versions by their _id.
func theVersions(ids []string) mongo.Pipeline {
	return mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}}},
		{{Key: "$project", Value: servedFields}},
	}
}
