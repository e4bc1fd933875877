package mongo

import (
	"context"
	"crypto/rand"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A lease is a document of meta that one server at a time holds, by the clock of
// the database, so that servers need not agree on the time. Who dies loses it
// when it runs out.
type lease struct {
	s      *Store
	id     string
	holder string
}

const (
	leaseTime  = 30 * time.Second
	leasePause = 100 * time.Millisecond
)

// leaseState is what others see of a lease: how far its holder's work is.
type leaseState struct {
	Holder string `bson:"holder"`
	Done   int64  `bson:"done"`
	Total  int64  `bson:"total"`
}

// tryLease takes a lease if nobody holds it; else it returns nil and what its
// holder says.
func (s *Store) tryLease(ctx context.Context, name string) (*lease, leaseState, error) {
	l := &lease{s: s, id: "lease." + name, holder: rand.Text()}
	free := bson.D{{Key: "$lt", Value: bson.A{bson.D{{Key: "$ifNull", Value: bson.A{"$until", time.Unix(0, 0)}}}, "$$NOW"}}}
	keep := func(field string, value any) bson.E {
		return bson.E{Key: field, Value: bson.D{{Key: "$cond", Value: bson.A{"$free", value, "$" + field}}}}
	}
	update := mongo.Pipeline{
		{{Key: "$set", Value: bson.D{{Key: "free", Value: free}}}},
		{{Key: "$set", Value: bson.D{keep("holder", l.holder), keep("until", until()), keep("done", int64(0)), keep("total", int64(0))}}},
		{{Key: "$unset", Value: "free"}},
	}
	var state leaseState
	err := s.meta.FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: l.id}}, update,
		options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&state)
	if mongo.IsDuplicateKeyError(err) {
		return nil, leaseState{}, nil // two made the document at once; the other one did
	}
	if err != nil || state.Holder != l.holder {
		return nil, state, err
	}
	return l, state, nil
}

func until() bson.D {
	return bson.D{{Key: "$add", Value: bson.A{"$$NOW", leaseTime.Milliseconds()}}}
}

// renew keeps the lease and says how far the work is. It reports whether the
// lease is still held.
func (l *lease) renew(ctx context.Context, done, total int64) (bool, error) {
	res, err := l.s.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: l.id}, {Key: "holder", Value: l.holder}},
		mongo.Pipeline{{{Key: "$set", Value: bson.D{{Key: "until", Value: until()}, {Key: "done", Value: done}, {Key: "total", Value: total}}}}})
	return err == nil && res.MatchedCount == 1, err
}

// release gives the lease back.
func (l *lease) release(ctx context.Context) error {
	_, err := l.s.meta.DeleteOne(ctx, bson.D{{Key: "_id", Value: l.id}, {Key: "holder", Value: l.holder}})
	return err
}

// withLease runs work while holding a lease, once no other server does, unless
// done says that the work is no longer needed. While it waits, waiting hears how
// far the holder is.
func (s *Store) withLease(ctx context.Context, name string, needed func() (bool, error), waiting func(leaseState), work func(*lease) error) error {
	for {
		if need, err := needed(); err != nil || !need {
			return err
		}
		l, state, err := s.tryLease(ctx, name)
		if err != nil {
			return err
		}
		if l != nil {
			// What was needed may have been done just before the lease was free.
			need, err := needed()
			if err == nil && need {
				err = work(l)
			}
			if releaseErr := l.release(context.WithoutCancel(ctx)); err == nil {
				err = releaseErr
			}
			return err
		}
		if waiting != nil {
			waiting(state)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(leasePause):
		}
	}
}
