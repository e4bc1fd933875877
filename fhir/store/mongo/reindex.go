package mongo

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// reindexChunk is how many resources are indexed anew in one transaction.
const reindexChunk = 200

// The definitions that the index is kept by are part of the clock, which every
// transaction moves: so none can pass that was made by others. How far older
// resources are is in a document of its own, because the clock has no time for it.

// revision names the definitions of the clock.
func (c *clock) revision() string { return c.Index + "." + strconv.FormatInt(c.Generation, 10) }

// ofProgram is the part of an Indexer's hash that only another program changes.
func ofProgram(hash string) string {
	own, _, _ := strings.Cut(hash, "+")
	return own
}

// isCurrent returns an error if the index is that of another version of the
// program, or not kept by a revision of the definitions; "" stands for any.
func (s *Store) isCurrent(c *clock, revision string) error {
	switch {
	case s.opts.Indexer != nil && c.Index == "":
		return otherIndex() // it is being rebuilt
	case s.opts.Indexer != nil && ofProgram(c.Index) != ofProgram(s.indexHash):
		return otherIndex()
	case revision != "" && revision != c.revision():
		return store.OtherRevision()
	}
	return nil
}

// customize asks for the Indexer of what is stored.
func (s *Store) customize(ctx context.Context) error {
	if s.opts.Customize == nil {
		return nil
	}
	var stored [][]byte
	for last := ""; ; {
		chunk, err := s.heads(ctx, "SearchParameter", last)
		if err != nil {
			return fault(ctx, err, "reading the search parameters that are stored")
		}
		if len(chunk) == 0 {
			break
		}
		for _, d := range chunk {
			if last = d.Key; !d.Deleted {
				res, err := s.resource(d.version())
				if err != nil {
					return damaged(resourcesName, d.Key, err)
				}
				stored = append(stored, res.JSON)
			}
		}
	}
	ix, err := s.opts.Customize(stored)
	if err != nil {
		return err
	}
	s.opts.Indexer, s.indexHash = ix, ix.Hash()
	return nil
}

// heads reads resources of a type behind a key, deletions too, in the order of
// their keys.
func (s *Store) heads(ctx context.Context, typ, behind string) (chunk []*resourceDoc, err error) {
	from := max(behind, typ+"/")
	cursor, err := s.ask(ctx, s.resources, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: from}, {Key: "$lt", Value: typ + "0"}}}}}},
		{{Key: "$sort", Value: bson.D{{Key: "_id", Value: 1}}}},
		{{Key: "$limit", Value: reindexChunk}},
		{{Key: "$project", Value: bson.D{{Key: "resource", Value: 0}}}},
	}, reindexChunk)
	if err != nil {
		return nil, err
	}
	size := 0
	err = each(ctx, cursor, func(raw bson.Raw) error {
		d := &resourceDoc{}
		if err := bson.Unmarshal(raw, d); err != nil {
			return damaged(resourcesName, raw.Lookup("_id"), err)
		}
		chunk = append(chunk, d)
		if size += len(d.Raw); size > 32<<20 {
			return errEnough
		}
		return nil
	})
	return chunk, err
}

// version is what a document of resources is served from.
func (d *resourceDoc) version() *versionDoc {
	return &versionDoc{
		VID: versionID(d.Key, d.Version), Key: d.Key, Type: d.Type, ID: d.ID, Version: d.Version, T: d.T,
		Updated: d.Updated, Method: d.Method, Size: d.Size, Raw: d.Raw, Patients: d.Patients,
	}
}

// reindexDoc is the document of meta that says how far older resources are.
type reindexDoc struct {
	Revision string `bson:"revision"` // that it is about
	Done     int64  `bson:"done"`
	Total    int64  `bson:"total"`
	Last     string `bson:"last"` // key of the last resource that was looked at
}

const reindexID = "reindex"

func (s *Store) readReindex(ctx context.Context, c *clock) (*reindexDoc, error) {
	var d reindexDoc
	_, err := decodeOne(s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: reindexID}}), &d)
	if err == nil && d.Revision != c.revision() {
		d = reindexDoc{Revision: c.revision(), Total: c.ToIndex}
	}
	return &d, err
}

func (c *clock) definitions() *store.Definitions {
	return &store.Definitions{Revision: c.revision(), Hash: c.Index, Pending: c.Pending}
}

// Definitions returns what the index is kept by; see [store.Definer].
func (s *Store) Definitions(ctx context.Context) (store.Definitions, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.Definitions{}, err
	}
	defer leave()
	c, err := s.readClock(ctx)
	if err != nil {
		return store.Definitions{}, fault(ctx, err, "reading the clock")
	}
	d := c.definitions()
	if len(d.Pending) > 0 {
		far, err := s.readReindex(ctx, c)
		if err != nil {
			return store.Definitions{}, fault(ctx, err, "reading how far the index is")
		}
		d.Done, d.Total = far.Done, far.Total
	}
	return *d, nil
}

// Reindex makes entries of older resources anew; see [store.Definer].
func (s *Store) Reindex(ctx context.Context, ix store.Indexer, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	step := func(run func(ctx context.Context) error) error {
		ctx, leave, err := s.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
		return fault(ctx, run(ctx), "making index entries anew")
	}
	needed := func() (need bool, err error) {
		err = step(func(ctx context.Context) error {
			c, err := s.readClock(ctx)
			if err != nil {
				return err
			}
			need = len(c.Pending) > 0
			return s.isOf(c, ix)
		})
		return need, err
	}
	waiting := func(l leaseState) { progress(l.Done, l.Total) }
	err := s.withLease(ctx, "reindex", needed, waiting, func(l *lease) error {
		for more := true; more; {
			err := step(func(ctx context.Context) (err error) {
				more, err = s.reindexSome(ctx, ix, l, progress)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return fault(ctx, err, "making index entries anew")
}

func (s *Store) isOf(c *clock, ix store.Indexer) error {
	if c.Index != ix.Hash() {
		return store.OtherRevision()
	}
	return nil
}

// reindexSome looks at the next resources, or finds that there are none.
func (s *Store) reindexSome(ctx context.Context, ix store.Indexer, l *lease, progress func(done, total int64)) (more bool, err error) {
	c, err := s.readClock(ctx)
	if err != nil {
		return false, err
	}
	if err := s.isOf(c, ix); err != nil {
		return false, err
	}
	far, err := s.readReindex(ctx, c)
	if err != nil {
		return false, err
	}
	var chunk []*resourceDoc
	for _, typ := range c.definitions().PendingTypes() {
		if typ+"0" <= far.Last { // all of it was looked at
			continue
		}
		if chunk, err = s.heads(ctx, typ, far.Last); err != nil {
			return false, err
		}
		if len(chunk) > 0 {
			break
		}
	}
	models, err := s.indexAnew(ctx, ix, chunk)
	if err != nil {
		return false, err
	}
	for _, d := range chunk {
		if far.Last = d.Key; !d.Deleted {
			far.Done++
		}
	}
	far.Total = max(far.Total, far.Done)
	if len(chunk) == 0 {
		far.Total = far.Done
	}
	err = s.transact(ctx, func(ctx context.Context) error { return s.writeAnew(ctx, c, far, models, len(chunk) == 0) })
	if err != nil {
		return false, err
	}
	held, err := l.renew(ctx, far.Done, far.Total)
	switch {
	case err != nil:
		return false, err
	case !held:
		return false, fhir.Errorf(fhir.Unavailable, "indexing took so long between two steps that another server took it over")
	}
	progress(far.Done, far.Total)
	return len(chunk) > 0, nil
}

// indexAnew works out the updates of resources whose entries are not as they
// should be.
func (s *Store) indexAnew(ctx context.Context, ix store.Indexer, chunk []*resourceDoc) ([]mongo.WriteModel, error) {
	updates := make([]mongo.WriteModel, len(chunk))
	var workers errgroup.Group
	workers.SetLimit(max(1, runtime.GOMAXPROCS(0)/2)) // requests come first
	for i, d := range chunk {
		if d.Deleted {
			continue
		}
		workers.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			res, err := s.resource(d.version())
			if err != nil {
				return damaged(resourcesName, d.Key, err)
			}
			entries, _, err := ix.Index(res.JSON)
			if err != nil {
				return fhir.Wrap(fhir.Internal, err, "%s version %d cannot be indexed", d.Key, d.Version)
			}
			if want := stamped(d.Type, elements(d.Type, entries), d.Updated); !slices.Equal(want, d.IX) {
				// A newer version has the new entries.
				updates[i] = mongo.NewUpdateOneModel().
					SetFilter(bson.D{{Key: "_id", Value: d.Key}, {Key: "version", Value: d.Version}}).
					SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "ix", Value: want}}}})
			}
			return nil
		})
	}
	err := workers.Wait()
	return slices.DeleteFunc(updates, func(u mongo.WriteModel) bool { return u == nil }), err
}

// writeAnew writes what differs and how far the work is, if the definitions are
// still those of c. What is last ends the work.
func (s *Store) writeAnew(ctx context.Context, c *clock, far *reindexDoc, models []mongo.WriteModel, last bool) error {
	now, err := s.readClock(ctx)
	if err != nil {
		return err
	}
	if now.revision() != c.revision() {
		return store.OtherRevision()
	}
	if len(models) > 0 {
		if _, err := s.resources.BulkWrite(ctx, models); err != nil {
			return err
		}
	}
	if last {
		// Whoever changes the definitions moves the clock: one of the two fails.
		res, err := s.history.UpdateOne(ctx,
			bson.D{{Key: "_id", Value: clockID}, {Key: "index", Value: c.Index}, {Key: "generation", Value: c.Generation}},
			bson.D{{Key: "$unset", Value: bson.D{{Key: "pending", Value: ""}}}})
		if err != nil {
			return err
		}
		if res.MatchedCount != 1 {
			return store.OtherRevision()
		}
	}
	_, err = s.meta.ReplaceOne(ctx, bson.D{{Key: "_id", Value: reindexID}}, far, options.Replace().SetUpsert(true))
	return err
}

// redefinition returns the change of the definitions that a Write has, if any.
func (p *pending) redefinition() *store.Redefinition {
	for _, c := range p.changes {
		if c.Redefine != nil {
			return c.Redefine
		}
	}
	return nil
}

// redefine makes the next clock's definitions those that a Write of the
// transaction brings. Such a Write has no company, see independent.
func (tx *transaction) redefine() {
	for _, p := range tx.work {
		for _, c := range p.changes {
			if c.Redefine != nil && !c.noop(tx.head(c)) {
				tx.next.Index = c.Redefine.Hash
				tx.next.Generation++
				tx.next.Pending = c.Redefine.With(tx.now.Pending)
				tx.next.ToIndex = 0
				for _, typ := range tx.next.definitions().PendingTypes() {
					tx.next.ToIndex += tx.next.Counts[typ]
				}
			}
		}
	}
}

// redefined are the fields that moveClock sets beside others.
func (tx *transaction) redefined() bson.D {
	if tx.next.Generation == tx.now.Generation {
		return nil
	}
	return bson.D{
		{Key: "index", Value: tx.next.Index},
		{Key: "generation", Value: tx.next.Generation},
		{Key: "pending", Value: tx.next.Pending},
		{Key: "toIndex", Value: tx.next.ToIndex},
	}
}

// made checks that the changes of a Write were made by the present definitions.
func (tx *transaction) made(p *pending) error {
	for i, c := range p.changes {
		if err := tx.s.isCurrent(&tx.now, c.Revision); err != nil {
			if !tx.read {
				return tx.surprised() // the clock that is remembered may be old
			}
			p.err = &store.ChangeError{Index: i, Err: err}
			return nil
		}
	}
	return nil
}

var _ store.Definer = (*Store)(nil)
