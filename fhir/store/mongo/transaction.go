package mongo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

const (
	// maxAttempts bounds how often a transaction is tried; mostly its deadline
	// does.
	maxAttempts = 500
	firstPause  = 2 * time.Millisecond
	lastPause   = 150 * time.Millisecond
)

// errAgain aborts an attempt whose assumptions were wrong, so that it is made
// again.
var errAgain = errors.New("try the transaction again")

// transact runs body in a transaction and commits it. Body may run several times
// and must not keep anything of an attempt that failed. Errors are the driver's
// or body's.
func (s *Store) transact(ctx context.Context, body func(ctx context.Context) error) error {
	sess, err := s.client.StartSession(options.Session().SetCausalConsistency(false))
	if err != nil {
		return err
	}
	// What the session still has open is aborted even when ctx has ended.
	defer sess.EndSession(context.WithoutCancel(ctx))
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, sess, body)
		if err == nil {
			return nil
		}
		again := errors.Is(err, errAgain) || hasLabel(err, labelTransient) && !isUnselectable(err)
		if !again || attempt == maxAttempts || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // jitter is no secret
		}
		pause = min(pause*3/2, lastPause)
	}
}

func (s *Store) attempt(ctx context.Context, sess *mongo.Session, body func(ctx context.Context) error) error {
	err := sess.StartTransaction(options.Transaction().
		SetReadConcern(readconcern.Snapshot()).
		SetWriteConcern(durable()).
		SetReadPreference(readpref.Primary()))
	if err != nil {
		return err
	}
	if err := body(mongo.NewSessionContext(ctx, sess)); err != nil {
		abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
		defer cancel()
		_ = sess.AbortTransaction(abort) // what cannot be aborted runs out
		return err
	}
	return s.commitSession(ctx, sess)
}

// commitSession commits. From here on the caller's giving up changes nothing: a
// commit that was sent may have happened. If the answer is lost, committing
// again tells.
func (s *Store) commitSession(ctx context.Context, sess *mongo.Session) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxCommitTime)
	defer cancel()
	pause := firstPause
	for {
		err := sess.CommitTransaction(ctx)
		if err == nil || !hasLabel(err, labelUnknownCommit) || hasCode(err, 50) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // jitter is no secret
		}
		pause = min(pause*2, lastPause)
	}
}
