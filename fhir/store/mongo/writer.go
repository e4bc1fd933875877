package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

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
	tx.redefine()
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
	set := bson.D{{Key: "now", Value: tx.next.Now}, {Key: "at", Value: tx.next.At}}
	update := bson.D{{Key: "$set", Value: append(set, tx.redefined()...)}}
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
