package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// head is what a transaction must know of a resource's newest version. The zero
// head means there never was one.
type head struct {
	Key      string    `bson:"_id"`
	Version  int64     `bson:"version"`
	Updated  time.Time `bson:"updated"`
	Deleted  bool      `bson:"deleted"`
	Patients []string  `bson:"patients"`
	IX       []string  `bson:"ix"`
}

func (h *head) alive() bool { return h.Version > 0 && !h.Deleted }

// rivalMemory is how long after another server's write the clock is read rather
// than remembered.
const rivalMemory = 2 * time.Second

// commit gives Writes one transaction. It sets results and errors that concern
// one Write; the error it returns concerns all.
func (s *Store) commit(ctx context.Context, batch []*pending) error {
	tx := &transaction{s: s, batch: batch, fresh: true}
	for _, p := range batch {
		for _, c := range p.changes {
			tx.fresh = tx.fresh && c.Method == fhir.Create && c.IfNone && c.Condition == nil
		}
	}
	err := s.transact(ctx, tx.run)
	switch {
	case errors.Is(err, errNothing):
		return nil
	case err != nil:
		s.now.trusted = false
		if errors.Is(err, errAgain) {
			return fhir.Errorf(fhir.Unavailable, "too many writers want the same at once; try again")
		}
		return err
	}
	s.now.clock = tx.next
	s.now.trusted = true
	s.sawTypes(&tx.next)
	return nil
}

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("nothing to write")

// transaction is one transaction on its way. Every attempt begins anew.
type transaction struct {
	s     *Store
	batch []*pending
	// fresh says that no resource is there yet, which is assumed of creates with
	// ids of ours; the unique _id tells if that is wrong.
	fresh bool

	attempts  int
	now, next clock
	read      bool // now was read in the transaction
	heads     map[string]*head
	work      []*pending
}

// run is one attempt.
func (tx *transaction) run(ctx context.Context) error {
	s := tx.s
	tx.now, tx.read = s.now.clock, false
	tx.heads, tx.work = map[string]*head{}, nil
	for _, p := range tx.batch {
		p.results, p.err = nil, nil
	}
	tx.attempts++
	contended := tx.attempts > 1 || time.Since(s.now.rival) < rivalMemory
	if tx.attempts > 1 {
		s.now.rival = time.Now()
	}
	if contended {
		if err := tx.holdClock(ctx); err != nil {
			return err
		}
	}
	if !tx.read && !s.now.trusted {
		if err := tx.readClock(ctx); err != nil {
			return err
		}
	}
	if !tx.fresh {
		if err := tx.readHeads(ctx); err != nil {
			return err
		}
	}
	if s.opts.Indexer != nil && tx.now.Index != s.indexHash {
		return otherIndex()
	}
	if tx.now.Source != nil {
		return fhir.Errorf(fhir.Unavailable, "another store is being copied into this one")
	}
	if err := tx.judge(ctx); err != nil {
		return err
	}
	if len(tx.work) == 0 {
		return errNothing
	}
	return tx.write(ctx)
}

// holdClock takes the clock before anything else, so that a long transaction is
// not overtaken by short ones again and again: from here on theirs fail and try
// again.
func (tx *transaction) holdClock(ctx context.Context) error {
	tx.now = clock{}
	ok, err := decodeOne(tx.s.history.FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: clockID}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "held", Value: int64(1)}}}}), &tx.now)
	if err == nil && !ok {
		return damaged(historyName, clockID, errMissing)
	}
	tx.read = err == nil
	return err
}

// readClock reads the clock in the transaction. One that is remembered does as
// well: if it is wrong, it cannot be moved, and the transaction begins again.
func (tx *transaction) readClock(ctx context.Context) error {
	cursor, err := tx.s.ask(ctx, tx.s.history, mongo.Pipeline{atClock}, 1)
	if err != nil {
		return err
	}
	err = each(ctx, cursor, func(raw bson.Raw) error {
		tx.now, tx.read = clock{}, true
		if err := bson.Unmarshal(raw, &tx.now); err != nil {
			return damaged(historyName, clockID, err)
		}
		return nil
	})
	if err == nil && !tx.read {
		return damaged(historyName, clockID, errMissing)
	}
	return err
}

// readHeads reads the newest versions of all keys in one command. MongoDB has no
// $unionWith in transactions that could bring the clock along.
func (tx *transaction) readHeads(ctx context.Context) error {
	var keys []string
	for _, p := range tx.batch {
		for _, c := range p.changes {
			keys = append(keys, c.key)
		}
	}
	cursor, err := tx.s.ask(ctx, tx.s.resources, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: keys}}}}}},
		{{Key: "$project", Value: bson.D{
			{Key: "version", Value: 1}, {Key: "updated", Value: 1}, {Key: "deleted", Value: 1}, {Key: "patients", Value: 1}, {Key: "ix", Value: 1},
		}}},
	}, len(keys))
	if err != nil {
		return err
	}
	return each(ctx, cursor, func(raw bson.Raw) error {
		id, _ := raw.Lookup("_id").StringValueOK()
		h := &head{}
		if err := bson.Unmarshal(raw, h); err != nil {
			return damaged(resourcesName, id, err)
		}
		if h.Version < 1 {
			return damaged(resourcesName, id, fmt.Errorf("version %d", h.Version))
		}
		tx.heads[id] = h
		return nil
	})
}

// judge checks preconditions and conditions, and keeps the Writes that have
// something to write. The others get their results.
func (tx *transaction) judge(ctx context.Context) error {
	held, err := tx.conditions(ctx)
	if err != nil {
		return err
	}
	for _, p := range tx.batch {
		work := false
		for i, c := range p.changes {
			h := tx.head(c)
			err := precondition(c, h)
			if err == nil && c.Condition != nil && !held[c] {
				err = fhir.Errorf(fhir.Conflict, "another write changed what the condition finds; try again")
			}
			if err != nil {
				p.err = &store.ChangeError{Index: i, Err: err}
				break
			}
			work = work || !c.noop(h)
		}
		switch {
		case p.err != nil:
		case work:
			tx.work = append(tx.work, p)
		default:
			p.results = tx.results(p)
		}
	}
	return nil
}

func (tx *transaction) head(c *change) *head {
	if h := tx.heads[c.key]; h != nil {
		return h
	}
	return &head{Key: c.key}
}

// noop reports whether a change deletes what is not there.
func (c *change) noop(h *head) bool { return c.Method == fhir.Delete && !h.alive() }

// precondition checks a change's IfVersion and IfNone.
func precondition(c *change, h *head) error {
	switch {
	case c.IfVersion != 0 && !h.alive():
		return fhir.Errorf(fhir.VersionMismatch, "%s is not there, so it is not at version %d", c.Key, c.IfVersion)
	case c.IfVersion != 0 && h.Version != c.IfVersion:
		return fhir.Errorf(fhir.VersionMismatch, "%s is at version %d, not %d", c.Key, h.Version, c.IfVersion)
	case c.IfNone && h.alive():
		return fhir.Errorf(fhir.Duplicate, "%s is there already", c.Key)
	}
	return nil
}

// results returns what Write promises for each change of a Write that is, or
// needs not be, written.
func (tx *transaction) results(p *pending) []*fhir.Resource {
	out := make([]*fhir.Resource, len(p.changes))
	for i, c := range p.changes {
		h := tx.head(c)
		res := &fhir.Resource{Key: c.Key, Version: h.Version + 1, Updated: tx.next.At, Method: c.Method, Patients: c.patients}
		switch {
		case c.noop(h) && h.Version == 0:
			continue
		case c.noop(h):
			res.Version, res.Updated, res.Patients = h.Version, h.Updated.UTC(), h.Patients
		case c.Method == fhir.Delete:
			res.Patients = h.Patients
		default:
			res.JSON = c.Body.Stamp(res.Version, res.Updated)
		}
		out[i] = res
	}
	return out
}

// write moves the clock and writes all versions.
func (tx *transaction) write(ctx context.Context) error {
	s := tx.s
	tx.next = tx.now
	tx.next.Now++
	tx.next.At = fromMillis(max(s.opts.Clock().UnixMilli(), tx.now.At.UnixMilli(), 0))
	tx.next.Counts = make(map[string]int64, len(tx.now.Counts)+1)
	maps.Copy(tx.next.Counts, tx.now.Counts)
	w := writer{tx: tx, delta: map[string]int64{}}
	for _, p := range tx.work {
		p.results = tx.results(p)
		for i, c := range p.changes {
			h := tx.head(c)
			if c.noop(h) {
				continue
			}
			if err := w.add(c, h, p.results[i]); err != nil {
				if len(tx.batch) == 1 {
					return &store.ChangeError{Index: i, Err: err}
				}
				return err // each Write is tried alone
			}
		}
	}
	for typ, n := range w.delta {
		tx.next.Counts[typ] += n
	}
	if err := tx.writeHistory(ctx, &w); err != nil {
		return err
	}
	return tx.writeResources(ctx, &w)
}

// fewVersions is up to how many versions one update command moves the clock and
// writes them; more are inserted by a command of their own, which is faster.
const fewVersions = 8

// writeHistory moves the clock, adds the new versions and marks those they
// replace. The clock comes first: whoever waits for it has done nothing in vain.
func (tx *transaction) writeHistory(ctx context.Context, w *writer) error {
	models := append([]mongo.WriteModel{tx.moveClock(w.delta)}, w.replaced...)
	few := len(w.versions) <= fewVersions
	if few {
		for i, id := range w.versionIDs {
			// An upsert that only inserts: what is there would be left alone, and
			// missed below.
			models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: id}}).
				SetUpdate(bson.D{{Key: "$setOnInsert", Value: w.versions[i]}}).SetUpsert(true))
		}
	}
	res, err := tx.s.history.BulkWrite(ctx, models)
	if err != nil {
		return tx.duplicate(err)
	}
	want := int64(1 + len(w.replaced))
	if few {
		want += int64(len(w.versions)) - res.UpsertedCount
	}
	switch {
	case few && res.UpsertedCount != int64(len(w.versions)) && !tx.fresh:
		return tx.strangers()
	case res.MatchedCount != want && !tx.read || few && res.UpsertedCount != int64(len(w.versions)):
		return tx.surprised()
	case res.MatchedCount != want:
		tx.s.log.Warn("store: history lacks a version that resources has; run `starling check`")
	}
	if few {
		return nil
	}
	docs := make([]any, len(w.versions))
	for i := range w.versions {
		docs[i] = w.versions[i]
	}
	if _, err := tx.s.history.InsertMany(ctx, docs); err != nil {
		return tx.duplicate(err)
	}
	return nil
}

func (tx *transaction) writeResources(ctx context.Context, w *writer) error {
	if len(w.inserts) > 0 {
		if _, err := tx.s.resources.InsertMany(ctx, w.inserts); err != nil {
			return tx.duplicate(err)
		}
	}
	if len(w.replaces) == 0 {
		return nil
	}
	res, err := tx.s.resources.BulkWrite(ctx, w.replaces)
	if err != nil {
		return err
	}
	if res.MatchedCount != int64(len(w.replaces)) {
		return errAgain // somebody else than a server writes here
	}
	return nil
}

// surprised begins again with what is really there.
func (tx *transaction) surprised() error {
	tx.fresh = false
	tx.s.now.trusted = false
	return errAgain
}

// duplicate handles the error of an insert. A resource that is there although it
// was taken for new is looked at in the next attempt; one that cannot be there
// was written by somebody else.
func (tx *transaction) duplicate(err error) error {
	switch {
	case !mongo.IsDuplicateKeyError(err):
		return err
	case tx.fresh || !tx.read:
		return tx.surprised()
	}
	return tx.strangers()
}

// strangers is the error of documents that somebody else than a server wrote.
func (tx *transaction) strangers() error {
	return damaged(historyName+" and "+resourcesName, tx.keysInvolved(), errors.New("one of them has a version that the other lacks"))
}

func (tx *transaction) keysInvolved() string {
	var keys []string
	for _, p := range tx.work {
		for _, c := range p.changes {
			keys = append(keys, c.key)
		}
	}
	if len(keys) > 10 {
		keys = append(keys[:10], "…")
	}
	return fmt.Sprint(keys)
}

// moveClock is the update that moves the clock if it still is where it was.
func (tx *transaction) moveClock(delta map[string]int64) mongo.WriteModel {
	inc := bson.D{}
	for typ, n := range delta {
		inc = append(inc, bson.E{Key: "counts." + typ, Value: n})
	}
	slices.SortFunc(inc, func(a, b bson.E) int { return cmp.Compare(a.Key, b.Key) })
	filter := bson.D{{Key: "_id", Value: clockID}, {Key: "now", Value: tx.now.Now}, {Key: "index", Value: tx.now.Index}, {Key: "source", Value: nil}}
	update := bson.D{{Key: "$set", Value: bson.D{{Key: "now", Value: tx.next.Now}, {Key: "at", Value: tx.next.At}}}}
	if len(inc) > 0 {
		update = append(update, bson.E{Key: "$inc", Value: inc})
	}
	return mongo.NewUpdateOneModel().SetFilter(filter).SetUpdate(update)
}

// writer gathers the documents of a transaction.
type writer struct {
	tx         *transaction
	delta      map[string]int64 // by which counts change; 0 makes a type known
	versions   []bson.Raw
	versionIDs []string
	replaced   []mongo.WriteModel
	inserts    []any
	replaces   []mongo.WriteModel
}

// maxDocument is MongoDB's limit for a document, with room for what the server
// adds. https://www.mongodb.com/docs/manual/reference/limits/
const maxDocument = 16<<20 - 16<<10

// add gathers what one change writes. The error is TooLarge.
func (w *writer) add(c *change, h *head, res *fhir.Resource) error {
	t := w.tx.next.Now
	d := resourceDoc{
		Key: c.key, Type: c.Key.Type, ID: c.Key.ID, Version: res.Version, T: t, Updated: res.Updated,
		Method: string(res.Method), Deleted: res.Deleted(), Size: int64(len(res.JSON)), Patients: res.Patients,
	}
	if !res.Deleted() {
		d.Raw = w.tx.s.codec.pack(res.JSON)
		d.IX = stamped(c.Key.Type, c.ix, res.Updated)
		stampNative(c.resource, strconv.FormatInt(res.Version, 10), string(fhir.AppendInstant(nil, res.Updated)))
		d.Resource = c.resource
		if len(res.Patients) == 1 {
			d.Patient = res.Patients[0]
		}
	}
	current, err := d.marshal()
	if err != nil {
		return err
	}
	version, err := bson.Marshal(versionDoc{
		VID: versionID(c.key, res.Version), Key: c.key, Type: d.Type, ID: d.ID, Version: d.Version, T: t,
		Updated: d.Updated, Method: d.Method, Size: d.Size, Raw: d.Raw, Patients: d.Patients,
	})
	if err != nil {
		return err
	}
	w.versions = append(w.versions, version)
	w.versionIDs = append(w.versionIDs, versionID(c.key, res.Version))
	if h.Version == 0 {
		w.inserts = append(w.inserts, current)
	} else {
		w.replaces = append(w.replaces, mongo.NewReplaceOneModel().
			SetFilter(bson.D{{Key: "_id", Value: c.key}, {Key: "version", Value: h.Version}}).SetReplacement(current))
		set := bson.D{{Key: "to", Value: t}, {Key: "ended", Value: res.Updated}}
		if len(h.IX) > 0 {
			set = append(set, bson.E{Key: "ix", Value: h.IX})
		}
		w.replaced = append(w.replaced, mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: versionID(c.key, h.Version)}}).SetUpdate(bson.D{{Key: "$set", Value: set}}))
	}
	switch alive := h.alive(); {
	case alive == !res.Deleted():
		w.delta[c.Key.Type] += 0
	case alive:
		w.delta[c.Key.Type]--
	default:
		w.delta[c.Key.Type]++
	}
	return nil
}

// marshal encodes a document of resources. What is too large for one goes
// without its native form first.
func (d *resourceDoc) marshal() (bson.Raw, error) {
	b, err := bson.Marshal(d)
	if (err != nil || len(b) > maxDocument) && d.Resource != nil {
		d.Resource = nil
		b, err = bson.Marshal(d)
	}
	if err == nil && len(b) > maxDocument {
		return nil, fhir.Errorf(fhir.TooLarge, "%s and its index entries have %d bytes together; a document of the database may have %d", d.Key, len(b), maxDocument)
	}
	return b, err
}

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
