package mongo

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// minWireVersion is that of MongoDB 5.0, the first with snapshot reads outside
// of transactions.
const minWireVersion = 13

// maxCommitTime bounds waiting for a majority.
const maxCommitTime = 20 * time.Second

// durable is how every write is acknowledged.
func durable() *writeconcern.WriteConcern {
	journal := true
	return &writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}
}

// connect prepares the client. It does not talk to the server yet.
func (s *Store) connect(uri string) error {
	parsed, err := connstring.ParseAndValidate(uri)
	if err != nil {
		// The driver's texts may quote parts of the URI, the password too.
		if strings.HasPrefix(uri, connstring.SchemeMongoDBSRV+"://") {
			return fhir.Errorf(fhir.Unavailable, "the MongoDB URI cannot be read, or DNS has no SRV record for its host; check the name and the DNS")
		}
		return fhir.Errorf(fhir.Invalid, "the MongoDB URI cannot be read; it should look like mongodb://user:password@host1,host2/database?replicaSet=rs0, with special characters in the password percent-encoded")
	}
	name := s.opts.Database
	if name == "" {
		name = parsed.Database
	}
	if name == "" {
		name = defaultDatabase
	}
	opts := options.Client().ApplyURI(uri).
		SetAppName("starling").
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Majority()).
		SetWriteConcern(durable()).
		SetRetryReads(true).
		SetRetryWrites(true)
	if opts.ReadPreference != nil && parsed.ReadPreference != "" && parsed.ReadPreference != "primary" {
		s.log.Warn("store: the read preference of the URI is not used: what was written must be seen by whoever asks next, so reads go to the primary")
	}
	if opts.Timeout == nil {
		opts.SetTimeout(s.opts.Timeout)
	}
	if opts.ServerSelectionTimeout == nil {
		opts.SetServerSelectionTimeout(s.opts.ConnectTimeout)
	}
	if opts.ConnectTimeout == nil {
		opts.SetConnectTimeout(s.opts.ConnectTimeout)
	}
	if s.opts.Monitor != nil {
		opts.SetMonitor(s.opts.Monitor)
	}
	if s.opts.PoolMonitor != nil {
		opts.SetPoolMonitor(s.opts.PoolMonitor)
	}
	if s.client, err = mongo.Connect(opts); err != nil {
		return fhir.Errorf(fhir.Invalid, "the MongoDB URI cannot be used: its options contradict each other, or a file it names cannot be read")
	}
	s.db = s.client.Database(name)
	s.resources, s.history, s.meta = s.db.Collection(resourcesName), s.db.Collection(historyName), s.db.Collection(metaName)
	s.snapshot = s.db.Collection(historyName, options.Collection().SetReadConcern(readconcern.Snapshot()))
	return nil
}

// hello is what a server says of itself.
// https://www.mongodb.com/docs/manual/reference/command/hello/
type hello struct {
	SetName        string `bson:"setName"`
	Msg            string `bson:"msg"` // "isdbgrid" from a router of a sharded cluster
	MaxWireVersion int    `bson:"maxWireVersion"`
}

// findServer connects and checks what the server is. The error is Unavailable
// and says what to do.
func (s *Store) findServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ConnectTimeout+s.opts.Timeout)
	defer cancel()
	var h hello
	if err := s.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h); err != nil {
		return s.unreachable(ctx, err)
	}
	return h.check()
}

// unreachable says why no server could be asked. A standalone server that the
// URI calls a replica set is told apart: the driver never selects it.
func (s *Store) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil && !isUnreachable(err) {
		return store.Cancelled(ctx)
	}
	for _, code := range []int{13, 18, 8000} {
		if hasCode(err, code) {
			return fhir.Wrap(fhir.Unavailable, err, "the database refuses the user or password of the URI; check them, and authSource")
		}
	}
	return fhir.Wrap(fhir.Unavailable, err,
		"no MongoDB primary answers at the address of the URI; check that it runs, that the address is right and that the replica set has the name the URI gives; a standalone server has no name: %s", makeReplicaSet)
}

// makeReplicaSet is how a standalone server becomes what the store needs.
const makeReplicaSet = "start it with `mongod --replSet rs0 …`, then once `mongosh --eval 'rs.initiate()'`"

func (h *hello) check() error {
	switch {
	case h.SetName == "" && h.Msg != "isdbgrid":
		return fhir.Errorf(fhir.Unavailable, "the MongoDB server is a standalone one, which has no transactions; one node is enough for a replica set: %s", makeReplicaSet)
	case h.MaxWireVersion < minWireVersion:
		return fhir.Errorf(fhir.Unavailable, "the MongoDB server is too old (wire version %d); version 5.0 or later is needed", h.MaxWireVersion)
	}
	return nil
}

// errProbe rolls the probe back.
var errProbe = errors.New("roll back")

// probe checks that a transaction that is rolled back leaves nothing.
func (s *Store) probe(ctx context.Context) error {
	id := bson.NewObjectID()
	doc := bson.D{{Key: "_id", Value: id}, {Key: "probe", Value: true}}
	err := s.transact(ctx, func(ctx context.Context) error {
		if _, err := s.meta.InsertOne(ctx, doc); err != nil {
			return err
		}
		return errProbe
	})
	if !errors.Is(err, errProbe) {
		if hasCode(err, 20) || hasCode(err, 263) || hasCode(err, 303) {
			return fhir.Wrap(fhir.Unavailable, err, "the MongoDB server has no transactions: %s", makeReplicaSet)
		}
		return fault(ctx, err, "trying a transaction")
	}
	var left bson.D
	found, err := decodeOne(s.meta.FindOne(ctx, doc), &left)
	if err != nil {
		return fault(ctx, err, "trying a transaction")
	}
	if found {
		_, err := s.meta.DeleteOne(ctx, doc)
		return errors.Join(fhir.Errorf(fhir.Unavailable, "the MongoDB server keeps what a transaction wrote that was rolled back, so it has no real transactions: %s", makeReplicaSet), err)
	}
	return nil
}
