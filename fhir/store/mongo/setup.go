package mongo

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/starling-fhir/starling/fhir"
)

// format is the layout of the collections. A program refuses newer ones.
const format = 1

// index is one row of the table of indexes.
type index struct {
	collection string
	name       string
	fields     []string // "-" in front: descending
	partial    bool     // documents without the first field are left out
	why        string
}

// arrays are the fields that hold several values. Two of them cannot be in one
// index: MongoDB refuses the second document that has both (error 171), and a
// test refuses the table.
var arrays = []string{"ix", "patients"}

// indexes are all indexes but those of _id.
var indexes = []index{
	{resourcesName, "ix", []string{"ix", "_id"}, false, "searches; of one value in the order of pages"},
	{resourcesName, "patients", []string{"patients", "type", "_id"}, true, "people's own queries: all of one patient"},
	{historyName, "instance", []string{"key", "-version"}, false, "history of a resource"},
	{historyName, "type", []string{"type", "-updated", "-id", "-version"}, false, "history of a type"},
	{historyName, "system", []string{"updated", "type", "id", "version"}, false, "history of everything, either way"},
	{historyName, "ix", []string{"ix", "key"}, true, "later pages: what was replaced since the first one"},
	{historyName, "replaced", []string{"ended", "to"}, true, "sweeping index entries that no page needs"},
}

// arrays counts the fields that hold several values.
func (x index) arrays() int {
	n := 0
	for _, f := range x.fields {
		if slices.Contains(arrays, strings.TrimPrefix(f, "-")) {
			n++
		}
	}
	return n
}

func (x index) model() mongo.IndexModel {
	keys := bson.D{}
	for _, f := range x.fields {
		order := 1
		if f[0] == '-' {
			f, order = f[1:], -1
		}
		keys = append(keys, bson.E{Key: f, Value: order})
	}
	opts := options.Index().SetName(x.name)
	if x.partial {
		opts.SetPartialFilterExpression(bson.D{{Key: x.fields[0], Value: bson.D{{Key: "$exists", Value: true}}}})
	}
	return mongo.IndexModel{Keys: keys, Options: opts}
}

// setUp makes what the database lacks, or waits until another server has. It
// refuses a database of a newer format and one that is the target of a copy.
func (s *Store) setUp(ctx context.Context) error {
	ready := false
	needed := func() (bool, error) {
		var err error
		ready, err = s.readSetUp(ctx)
		return err == nil && !ready, err
	}
	err := s.withLease(ctx, "setup", needed, nil, func(*lease) error { return s.makeAll(ctx) })
	if err == nil && !ready {
		_, err = s.readSetUp(ctx)
	}
	if err != nil {
		return fault(ctx, err, "preparing the database")
	}
	c, err := s.readClock(ctx)
	if err != nil {
		return fault(ctx, err, "reading the clock")
	}
	if c.Source != nil && !s.opts.Importing {
		return fhir.Errorf(fhir.Conflict,
			"the database %q is being copied into, and that has not ended; run the same `starling migrate` again, or drop the database", s.db.Name())
	}
	return nil
}

// setUpDoc is the document of meta that says what the database is. It is written
// last.
type setUpDoc struct {
	Format int    `bson:"format"`
	Secret []byte `bson:"secret"`
}

// readSetUp reports whether the database is ready, and then takes its secret.
func (s *Store) readSetUp(ctx context.Context) (bool, error) {
	raw, err := s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: "starling"}}).Raw()
	if err == mongo.ErrNoDocuments { //nolint:errorlint // the driver's documented sentinel, never wrapped
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var d setUpDoc
	if err := bson.Unmarshal(raw, &d); err != nil {
		return false, damaged(metaName, "starling", err)
	}
	switch {
	case d.Format > format:
		return false, fhir.Errorf(fhir.Unavailable,
			"the database %q is of format %d; this program knows formats up to %d: run the newer version of it", s.db.Name(), d.Format, format)
	case d.Format < 1 || len(d.Secret) < 32:
		return false, damaged(metaName, "starling", fmt.Errorf("format %d, a secret of %d bytes", d.Format, len(d.Secret)))
	}
	s.secret = d.Secret
	return true, nil
}

// makeAll makes collections and indexes, then the clock, then the document that
// says so. Each can be made again after an interruption.
func (s *Store) makeAll(ctx context.Context) error {
	for _, name := range []string{resourcesName, historyName} {
		if err := s.db.CreateCollection(ctx, name); err != nil && !hasCode(err, codeNamespaceExists) {
			return err
		}
		var models []mongo.IndexModel
		for _, x := range indexes {
			if x.collection == name {
				models = append(models, x.model())
			}
		}
		if _, err := s.db.Collection(name).Indexes().CreateMany(ctx, models); err != nil {
			return err
		}
	}
	upsert := options.UpdateOne().SetUpsert(true)
	_, err := s.history.UpdateOne(ctx, bson.D{{Key: "_id", Value: clockID}}, bson.D{{Key: "$setOnInsert", Value: bson.D{
		{Key: "now", Value: int64(0)},
		{Key: "at", Value: time.Unix(0, 0)},
		{Key: "counts", Value: bson.D{}},
		{Key: "index", Value: s.indexHash},
		{Key: "swept", Value: int64(0)},
	}}}, upsert)
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	_, err = s.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: "starling"}}, bson.D{{Key: "$setOnInsert", Value: bson.D{
		{Key: "format", Value: int32(format)}, {Key: "secret", Value: secret},
	}}}, upsert)
	return err
}

const codeNamespaceExists = 48
