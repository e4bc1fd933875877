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
	Done  int64 `bson:"done"`
	Total int64 `bson:"total"`
}

// tryLease takes a lease if nobody holds it; else it returns nil and what its
// holder says.
func (s *Store) tryLease(ctx context.Context, name string) (*lease, leaseState, error) {
	l := &lease{s: s, id: "lease." + name, holder: rand.Text()}
	now, err := s.serverTime(ctx)
	if err != nil {
		return nil, leaseState{}, err
	}
	// If the lease is held, this would insert a second document of its name.
	_, err = s.meta.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: l.id}, {Key: "until", Value: bson.D{{Key: "$lt", Value: now}}}},
		bson.D{{Key: "$set", Value: bson.D{
			{Key: "holder", Value: l.holder}, {Key: "until", Value: now.Add(leaseTime)}, {Key: "done", Value: int64(0)}, {Key: "total", Value: int64(0)},
		}}}, options.UpdateOne().SetUpsert(true))
	if err == nil {
		return l, leaseState{}, nil
	}
	var state leaseState
	if mongo.IsDuplicateKeyError(err) {
		_, err = decodeOne(s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: l.id}}), &state)
	}
	return nil, state, err
}

// serverTime is the time of the database.
func (s *Store) serverTime(ctx context.Context) (time.Time, error) {
	var h struct {
		LocalTime time.Time `bson:"localTime"`
	}
	err := s.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h)
	return h.LocalTime, err
}

// renew keeps the lease and says how far the work is. It reports whether the
// lease is still held.
func (l *lease) renew(ctx context.Context, done, total int64) (bool, error) {
	now, err := l.s.serverTime(ctx)
	if err != nil {
		return false, err
	}
	res, err := l.s.meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: l.id}, {Key: "holder", Value: l.holder}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "until", Value: now.Add(leaseTime)}, {Key: "done", Value: done}, {Key: "total", Value: total}}}})
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
