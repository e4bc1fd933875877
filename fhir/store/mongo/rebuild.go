package mongo

import (
	"context"
	"runtime"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/starling-fhir/starling/fhir"
)

// rebuildChunk is how many versions are indexed between two commands.
const rebuildChunk = 500

// rebuildIfStale makes the index anew if it was made by other definitions than
// the Indexer's, or waits for the server that does. From the first moment on, no
// server of other definitions can write or search.
func (s *Store) rebuildIfStale(ctx context.Context) error {
	if s.opts.Indexer == nil {
		return nil
	}
	needed := func() (bool, error) { return s.isStale(ctx) }
	waiting := func(l leaseState) {
		if s.opts.OnRebuild != nil && l.Total > 0 {
			s.opts.OnRebuild(l.Done, l.Total)
		}
	}
	err := s.withLease(ctx, "rebuild", needed, waiting, func(l *lease) error {
		s.log.Info("store: the search definitions have changed; rebuilding the index")
		if err := s.rebuild(ctx, l); err != nil {
			return err
		}
		s.log.Info("store: the index is rebuilt")
		return nil
	})
	return fault(ctx, err, "rebuilding the index")
}

// isStale reports whether the index was made by other definitions than those of
// this program and of what is stored. Another server may change what is stored
// between the two looks at it: then they are taken again.
func (s *Store) isStale(ctx context.Context) (bool, error) {
	last := ""
	for {
		if err := s.customize(ctx); err != nil {
			return false, err
		}
		c, err := s.readClock(ctx)
		if err != nil || c.Index == s.indexHash {
			return false, err
		}
		looked := c.revision() + " " + s.indexHash
		if looked == last {
			return true, nil
		}
		last = looked
	}
}

// rebuild goes through all versions in the order of their keys. Nobody writes
// meanwhile: the clock has no hash.
func (s *Store) rebuild(ctx context.Context, l *lease) error {
	// Pages of older moments end here: only the newest versions get an index.
	// Moving the clock makes transactions that are under way fail.
	_, err := s.history.UpdateOne(ctx, bson.D{{Key: "_id", Value: clockID}}, mongo.Pipeline{{{Key: "$set", Value: bson.D{
		{Key: "index", Value: ""},
		{Key: "now", Value: bson.D{{Key: "$add", Value: bson.A{"$now", int64(1)}}}},
		{Key: "swept", Value: bson.D{{Key: "$add", Value: bson.A{"$now", int64(1)}}}},
	}}}})
	if err != nil {
		return err
	}
	total, err := s.history.EstimatedDocumentCount(ctx)
	if err != nil {
		return err
	}
	total = max(total-1, 0) // the clock is no version
	r := &rebuilding{s: s, ctx: ctx, l: l, total: total}
	for last := (versionDoc{}); ; {
		chunk, err := r.next(last)
		if err != nil {
			return err
		}
		if len(chunk) == 0 {
			break
		}
		if err := r.index(chunk); err != nil {
			return err
		}
		last = *chunk[len(chunk)-1].doc
	}
	res, err := s.history.UpdateOne(ctx, bson.D{{Key: "_id", Value: clockID}, {Key: "index", Value: ""}},
		bson.D{
			{Key: "$set", Value: bson.D{{Key: "index", Value: s.indexHash}}},
			{Key: "$inc", Value: bson.D{{Key: "generation", Value: int64(1)}}},
			{Key: "$unset", Value: bson.D{{Key: "pending", Value: ""}}},
		})
	if err == nil && res.MatchedCount != 1 {
		return fhir.Errorf(fhir.Unavailable, "another version of the program began to rebuild the index too; run only one")
	}
	return err
}

type rebuilding struct {
	s           *Store
	ctx         context.Context //nolint:containedctx // it lives as long as the rebuild
	l           *lease
	done, total int64
	// before are the compartments of the version before, which a deletion has.
	before    []string
	beforeKey string
}

// indexed is one version on its way into the index.
type indexed struct {
	doc      *versionDoc
	ix       []string
	patients []string
}

func (r *rebuilding) next(last versionDoc) ([]*indexed, error) {
	filter := bson.D{{Key: "key", Value: bson.D{{Key: "$gt", Value: ""}}}}
	if last.Key != "" {
		filter = bson.D{{Key: "key", Value: bson.D{{Key: "$gte", Value: last.Key}}}, {Key: "$or", Value: bson.A{
			bson.D{{Key: "key", Value: bson.D{{Key: "$gt", Value: last.Key}}}},
			bson.D{{Key: "key", Value: last.Key}, {Key: "version", Value: bson.D{{Key: "$gt", Value: last.Version}}}},
		}}}
	}
	cursor, err := r.s.ask(r.ctx, r.s.history, mongo.Pipeline{
		{{Key: "$match", Value: filter}},
		{{Key: "$sort", Value: bson.D{{Key: "key", Value: 1}, {Key: "version", Value: 1}}}},
		{{Key: "$limit", Value: rebuildChunk}},
		{{Key: "$project", Value: servedFields}},
	}, rebuildChunk)
	if err != nil {
		return nil, err
	}
	var out []*indexed
	size := 0
	err = each(r.ctx, cursor, func(raw bson.Raw) error {
		d := &versionDoc{}
		if err := bson.Unmarshal(raw, d); err != nil {
			return damaged(historyName, raw.Lookup("_id"), err)
		}
		out = append(out, &indexed{doc: d})
		if size += len(d.Raw); size > 32<<20 {
			return errEnough
		}
		return nil
	})
	return out, err
}

// index indexes versions in parallel and writes what has changed. Older versions
// only get their compartments right.
func (r *rebuilding) index(chunk []*indexed) error {
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for _, v := range chunk {
		if v.doc.Method == string(fhir.Delete) {
			continue
		}
		workers.Go(func() error {
			res, err := r.s.resource(v.doc)
			if err != nil {
				return damaged(historyName, v.doc.VID, err)
			}
			entries, patients, err := r.s.opts.Indexer.Index(res.JSON)
			if err != nil {
				return fhir.Wrap(fhir.Internal, err, "%s version %d cannot be indexed", v.doc.Key, v.doc.Version)
			}
			v.ix = stamped(v.doc.Type, elements(v.doc.Type, entries), v.doc.Updated)
			v.patients = slices.Compact(slices.Sorted(slices.Values(patients)))
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	var versions, resources []mongo.WriteModel
	for _, v := range chunk {
		deleted := v.doc.Method == string(fhir.Delete)
		switch {
		case deleted && r.beforeKey == v.doc.Key:
			v.patients = r.before
		case deleted: // what was before it was erased
			v.patients = v.doc.Patients
		}
		r.before, r.beforeKey = v.patients, v.doc.Key
		if !slices.Equal(v.patients, v.doc.Patients) {
			versions = append(versions, setFields(v.doc.VID, bson.D{{Key: "patients", Value: v.patients}}))
		}
		if v.doc.To != 0 {
			continue
		}
		set := bson.D{{Key: "patients", Value: v.patients}}
		if !deleted {
			set = append(set, bson.E{Key: "ix", Value: v.ix})
		}
		if len(v.patients) == 1 && !deleted {
			set = append(set, bson.E{Key: "patient", Value: v.patients[0]})
		}
		resources = append(resources, setFields(v.doc.Key, set))
	}
	return r.flush(versions, resources, int64(len(chunk)))
}

func (r *rebuilding) flush(versions, resources []mongo.WriteModel, n int64) error {
	unordered := options.BulkWrite().SetOrdered(false)
	if len(versions) > 0 {
		if _, err := r.s.history.BulkWrite(r.ctx, versions, unordered); err != nil {
			return err
		}
	}
	if len(resources) > 0 {
		if _, err := r.s.resources.BulkWrite(r.ctx, resources, unordered); err != nil {
			return err
		}
	}
	r.done += n
	held, err := r.l.renew(r.ctx, r.done, r.total)
	if err != nil {
		return err
	}
	if !held {
		return fhir.Errorf(fhir.Unavailable, "rebuilding took so long between two steps that another server took it over")
	}
	if r.s.opts.OnRebuild != nil {
		r.s.opts.OnRebuild(r.done, max(r.total, r.done))
	}
	return nil
}

// setFields sets fields of a document and removes those that are empty.
func setFields(id string, set bson.D) mongo.WriteModel {
	update := bson.D{}
	unset := bson.D{}
	kept := bson.D{}
	single := false
	for _, e := range set {
		if list, ok := e.Value.([]string); ok && len(list) == 0 {
			unset = append(unset, bson.E{Key: e.Key, Value: ""})
			continue
		}
		single = single || e.Key == "patient"
		kept = append(kept, e)
	}
	if !single {
		unset = append(unset, bson.E{Key: "patient", Value: ""})
	}
	if len(kept) > 0 {
		update = append(update, bson.E{Key: "$set", Value: kept})
	}
	update = append(update, bson.E{Key: "$unset", Value: unset})
	if len(unset) == 0 {
		update = update[:1]
	}
	return mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: id}}).SetUpdate(update)
}
