package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	sweepEvery      = time.Minute
	statisticsEvery = 5 * time.Minute
	// sweepMargin is how much longer than needed index entries are kept, for
	// servers whose clocks differ.
	sweepMargin = 2 * time.Minute
)

// maintain does in the background what no request should wait for.
func (s *Store) maintain() {
	defer s.workers.Done()
	sweep, statistics := time.NewTicker(sweepEvery), time.NewTicker(statisticsEvery)
	defer sweep.Stop()
	defer statistics.Stop()
	run := func(doing string, work func(context.Context) error) {
		ctx, cancel := context.WithTimeout(s.life, s.opts.Timeout)
		defer cancel()
		if err := work(ctx); err != nil && s.life.Err() == nil {
			s.log.Warn("store: background work failed and will be tried again", "work", doing, "error", err)
		}
	}
	for {
		select {
		case <-s.life.Done():
			return
		case <-sweep.C:
			run("sweeping", s.sweep)
		case <-statistics.C:
			run("statistics", s.sampleEntries)
		}
	}
}

// sweep removes the index entries of replaced versions that no page can need.
// First it says how far it will go, and only the next sweep goes there: a page
// that began before has ended by then. One server at a time sweeps.
func (s *Store) sweep(ctx context.Context) error {
	l, _, err := s.tryLease(ctx, "sweep")
	if err != nil || l == nil {
		return err
	}
	defer l.release(context.WithoutCancel(ctx)) //nolint:errcheck // it runs out by itself
	c, err := s.readClock(ctx)
	if err != nil {
		return err
	}
	if c.Swept > 0 {
		_, err := s.history.UpdateMany(ctx, bson.D{
			{Key: "ended", Value: bson.D{{Key: "$exists", Value: true}}},
			{Key: "to", Value: bson.D{{Key: "$lte", Value: c.Swept}}},
			{Key: "ix", Value: bson.D{{Key: "$exists", Value: true}}},
		}, bson.D{{Key: "$unset", Value: bson.D{{Key: "ix", Value: ""}}}})
		if err != nil {
			return err
		}
	}
	before := s.opts.Clock().Add(-s.opts.PageLifetime - sweepMargin)
	newest, err := s.replacedBefore(ctx, before)
	if err != nil || newest <= c.Swept {
		return err
	}
	_, err = s.history.UpdateOne(ctx, bson.D{{Key: "_id", Value: clockID}}, bson.D{{Key: "$max", Value: bson.D{{Key: "swept", Value: newest}}}})
	return err
}

// replacedBefore returns the newest logical time at which a version was replaced
// before a time, or 0.
func (s *Store) replacedBefore(ctx context.Context, before time.Time) (int64, error) {
	var d struct {
		To int64 `bson:"to"`
	}
	_, err := decodeOne(s.history.FindOne(ctx, bson.D{
		{Key: "ended", Value: bson.D{{Key: "$lt", Value: before}}},
	}, newestReplaced), &d)
	return d.To, err
}

// newestReplaced takes the version that was replaced last.
var newestReplaced = options.FindOne().SetSort(bson.D{{Key: "ended", Value: -1}, {Key: "to", Value: -1}}).SetProjection(bson.D{{Key: "to", Value: 1}})
