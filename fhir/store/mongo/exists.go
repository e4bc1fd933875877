package mongo

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Exists reports whether the database that a URI names holds a store. Open would
// make one.
func Exists(ctx context.Context, uri string, opts Options) (bool, error) {
	opts.fill()
	s := &Store{opts: opts, log: opts.Logger}
	var err error
	if s.codec, err = newCodec(); err != nil {
		return false, err
	}
	if err := s.connect(uri); err != nil {
		s.codec.close()
		return false, err
	}
	defer s.disconnect()
	if err := s.findServer(ctx); err != nil {
		return false, err
	}
	there, err := s.readSetUp(ctx)
	if err != nil {
		return false, fault(ctx, err, "looking at the database")
	}
	return there, nil
}

// Unreachable reports whether an error of Open is that no server could be
// reached, or that there is no primary, which may end by itself: a server that
// starts, a network that comes back, an election. A refused password does not.
func Unreachable(err error) bool {
	for _, code := range []int{13, 18, 8000} {
		if hasCode(err, code) {
			return false
		}
	}
	return isUnreachable(err) || slices.ContainsFunc(noPrimary, func(code int) bool { return hasCode(err, code) })
}

// askTime is how long Standalone waits for a server.
const askTime = 2 * time.Second

// Standalone returns an error that says what to do if a server answers at an
// address of the URI that is no member of a replica set. If the URI names a
// replica set, the driver passes such a server over in silence.
func Standalone(ctx context.Context, uri string) error {
	base := options.Client().ApplyURI(uri)
	for _, host := range base.Hosts {
		h, err := askOne(ctx, options.Client().ApplyURI(uri), host)
		if err != nil {
			continue // it is not what it is that keeps this one from answering
		}
		if err := h.check(); err != nil {
			return err
		}
	}
	return nil
}

// askOne asks one server what it is.
func askOne(ctx context.Context, opts *options.ClientOptions, host string) (*hello, error) {
	opts.ReplicaSet = nil
	opts.SetHosts([]string{host}).SetDirect(true).SetServerSelectionTimeout(askTime).SetConnectTimeout(askTime).SetTimeout(2 * askTime)
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, err
	}
	defer client.Disconnect(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is under way
	var h hello
	err = client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h)
	return &h, err
}
