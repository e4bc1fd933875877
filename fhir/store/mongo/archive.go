package mongo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// maxExport is how many versions one Export returns at most.
const maxExport = 1000

// copyPlace is how far a copy into this store is.
type copyPlace struct {
	Updated int64  `bson:"updated"`
	Type    string `bson:"type"`
	ID      string `bson:"id"`
	Version int64  `bson:"version"`
}

// Identity names the store; see [store.Archive]. It comes from the secret that
// was made with the database, and does not tell it.
func (s *Store) Identity(context.Context) (string, error) {
	sum := sha256.Sum256(append([]byte("identity of the store\x00"), s.secret...))
	return hex.EncodeToString(sum[:16]), nil
}

// Size counts the versions; see [store.Archive].
func (s *Store) Size(ctx context.Context) (int64, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	n, err := s.history.CountDocuments(ctx, bson.D{{Key: "key", Value: bson.D{{Key: "$gt", Value: ""}}}})
	return n, fault(ctx, err, "counting versions")
}

// Export returns versions behind a place; see [store.Archive].
func (s *Store) Export(ctx context.Context, behind store.Place, limit int) ([]store.Version, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if limit < 1 || limit > maxExport {
		return nil, fhir.Errorf(fhir.Invalid, "an export returns 1 to %d versions, not %d", maxExport, limit)
	}
	out, err := s.export(ctx, behind, limit)
	if err != nil {
		s.complain(err)
		return nil, fault(ctx, err, "exporting")
	}
	return out, nil
}

func (s *Store) export(ctx context.Context, behind store.Place, limit int) ([]store.Version, error) {
	filter := bson.D{{Key: "version", Value: bson.D{{Key: "$gte", Value: 1}}}}
	if behind != (store.Place{}) {
		var any bson.A
		same := bson.D{}
		moment := fromMillis(behind.Updated)
		for _, e := range []bson.E{{Key: "updated", Value: moment}, {Key: "type", Value: behind.Type}, {Key: "id", Value: behind.ID}, {Key: "version", Value: behind.Version}} {
			any = append(any, append(same[:len(same):len(same)], bson.E{Key: e.Key, Value: bson.D{{Key: "$gt", Value: e.Value}}}))
			same = append(same, e)
		}
		filter = append(filter, bson.E{Key: "updated", Value: bson.D{{Key: "$gte", Value: moment}}}, bson.E{Key: "$or", Value: any})
	}
	cursor, err := s.ask(ctx, s.history, mongo.Pipeline{
		{{Key: "$match", Value: filter}},
		{{Key: "$sort", Value: bson.D{{Key: "updated", Value: 1}, {Key: "type", Value: 1}, {Key: "id", Value: 1}, {Key: "version", Value: 1}}}},
		{{Key: "$limit", Value: limit}},
		{{Key: "$project", Value: servedFields}},
	}, limit)
	if err != nil {
		return nil, err
	}
	var out []store.Version
	size := 0
	err = each(ctx, cursor, func(raw bson.Raw) error {
		if size >= store.MaxPageBytes {
			return errEnough
		}
		res, err := s.version(raw)
		if err != nil {
			return err
		}
		out = append(out, store.Version{Resource: res, Newest: raw.Lookup("to").IsZero()})
		size += len(res.JSON)
		return nil
	})
	return out, err
}

// BeginImport makes the store the target of a copy; see [store.Archive].
func (s *Store) BeginImport(ctx context.Context, source string) (store.Place, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.Place{}, err
	}
	defer leave()
	_, err = s.history.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: clockID}, {Key: "source", Value: nil}, {Key: "counts", Value: bson.D{}}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "source", Value: source}}}})
	var c *clock
	if err == nil {
		c, err = s.readClock(ctx)
	}
	switch {
	case err != nil:
		return store.Place{}, fault(ctx, err, "beginning a copy")
	case c.Source == nil:
		return store.Place{}, fhir.Errorf(fhir.Conflict, "the target is not empty; give a new one")
	case *c.Source != source:
		return store.Place{}, fhir.Errorf(fhir.Conflict, "the target holds an unfinished copy of another store")
	case c.Place == nil:
		return store.Place{}, nil
	}
	return store.Place(*c.Place), nil
}

// EndImport makes the store an ordinary one; see [store.Archive].
func (s *Store) EndImport(ctx context.Context) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	_, err = s.history.UpdateOne(ctx, bson.D{{Key: "_id", Value: clockID}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: "source", Value: ""}, {Key: "place", Value: ""}}}})
	return fault(ctx, err, "ending a copy")
}

// Import writes versions as they are; see [store.Archive].
func (s *Store) Import(ctx context.Context, versions []store.Version) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if len(versions) == 0 {
		return nil
	}
	in := &importer{s: s, versions: versions}
	for i := range versions {
		c, err := importable(&versions[i])
		if err != nil {
			return err
		}
		in.changes = append(in.changes, c)
	}
	if err := s.transact(ctx, in.run); err != nil {
		s.complain(err)
		return fault(ctx, err, "importing")
	}
	return nil
}

// importable refuses what no store may keep and returns the version as a change.
func importable(v *store.Version) (*change, error) {
	if v.Updated.UnixMilli() < 0 || v.Version < 1 {
		return nil, fhir.Errorf(fhir.Invalid, "%s version %d has a time or number that cannot be kept", v.Key, v.Version)
	}
	change := &store.Change{Key: v.Key, Method: v.Method, Entries: v.Entries, Patients: v.Patients}
	if !v.Deleted() {
		var ok bool
		if change.Body, ok = v.Body(); !ok {
			return nil, fhir.Errorf(fhir.Invalid, "the body of %s version %d does not say its versionId and lastUpdated where the server writes them", v.Key, v.Version)
		}
	}
	c, err := prepare(change)
	if err == nil && v.Deleted() {
		c.patients = slices.Compact(slices.Sorted(slices.Values(v.Patients)))
	}
	return c, err
}

// importer is one batch on its way. All its versions share a logical time: those
// that are replaced within it are visible at none.
type importer struct {
	s        *Store
	versions []store.Version
	changes  []*change

	now   clock
	tips  map[string]*importTip
	known map[string]*versionDoc // what is in the batch or stored
	order []*versionDoc          // what is new
	delta map[string]int64
}

// importTip is the newest version of a resource as the batch has it.
type importTip struct {
	before, version int64 // of the newest version stored, and with the batch
	aliveBefore     bool
	change          *change
	source          *store.Version // of the newest version in the batch
}

// run is one attempt.
func (in *importer) run(ctx context.Context) error {
	in.tips, in.known, in.order, in.delta = map[string]*importTip{}, map[string]*versionDoc{}, nil, map[string]int64{}
	if err := in.read(ctx); err != nil {
		return err
	}
	if in.now.Source == nil {
		return fhir.Errorf(fhir.Conflict, "no copy into this store has begun")
	}
	for i := range in.versions {
		if err := in.add(&in.versions[i], in.changes[i]); err != nil {
			return err
		}
	}
	return in.write(ctx)
}

// read reads the clock, the heads of all keys and the versions that may be there
// already: those of the batch and the newest ones.
func (in *importer) read(ctx context.Context) error {
	tx := &transaction{s: in.s, heads: map[string]*head{}, batch: []*pending{{changes: in.changes}}}
	if err := tx.readClock(ctx); err != nil {
		return err
	}
	if err := tx.readHeads(ctx); err != nil {
		return err
	}
	in.now = tx.now
	var ids []string
	for _, v := range in.versions {
		ids = append(ids, versionID(v.Key.String(), v.Version))
	}
	for key, h := range tx.heads {
		in.tips[key] = &importTip{before: h.Version, version: h.Version, aliveBefore: h.alive()}
		ids = append(ids, versionID(key, h.Version))
	}
	cursor, err := in.s.ask(ctx, in.s.history, theVersions(ids), len(ids))
	if err != nil {
		return err
	}
	return each(ctx, cursor, func(raw bson.Raw) error {
		d := &versionDoc{}
		if err := bson.Unmarshal(raw, d); err != nil {
			return damaged(historyName, raw.Lookup("_id"), err)
		}
		in.known[d.VID] = d
		return nil
	})
}

func (in *importer) add(v *store.Version, c *change) error {
	key := c.key
	tip := in.tips[key]
	if tip == nil {
		tip = &importTip{}
		in.tips[key] = tip
	}
	id := versionID(key, v.Version)
	switch {
	case v.Version <= tip.version:
		return in.compare(v, c, in.known[id])
	case tip.version > 0 && v.Version != tip.version+1:
		return fhir.Errorf(fhir.Invalid, "version %d of %s comes behind version %d: the source lacks one, or has removed it since the copy began; copy into a new store", v.Version, v.Key, tip.version)
	}
	t := in.now.Now + 1
	if tip.version > 0 {
		before := in.known[versionID(key, tip.version)]
		if before == nil {
			return damaged(historyName, versionID(key, tip.version), errMissing)
		}
		if before.Updated.After(v.Updated) {
			return fhir.Errorf(fhir.Invalid, "version %d of %s is older than the version before it", v.Version, v.Key)
		}
		before.To, before.Ended = t, &v.Updated
	}
	d := &versionDoc{
		VID: id, Key: key, Type: v.Type, ID: v.ID, Version: v.Version, T: t, Updated: v.Updated,
		Method: string(v.Method), Size: int64(len(v.JSON)), Patients: c.patients,
	}
	if !v.Deleted() {
		d.Raw = in.s.codec.pack(v.JSON)
	}
	if tip.version == 0 {
		d.Erased = v.Version - 1 // the source lacks what was before
	}
	tip.version, tip.change, tip.source = v.Version, c, v
	in.known[id] = d
	in.order = append(in.order, d)
	return nil
}

// compare checks that a version that is there already is the same.
func (in *importer) compare(v *store.Version, c *change, have *versionDoc) error {
	if have == nil {
		return damaged(historyName, versionID(c.key, v.Version), errMissing)
	}
	res, err := in.s.resource(have)
	if err != nil {
		return damaged(historyName, have.VID, err)
	}
	if !res.Updated.Equal(v.Updated) || res.Method != v.Method || !slices.Equal(res.Patients, c.patients) || !bytes.Equal(res.JSON, v.JSON) {
		return fhir.Errorf(fhir.Conflict, "the target has another version %d of %s than the source", v.Version, v.Key)
	}
	return nil
}

func (in *importer) write(ctx context.Context) error {
	s := in.s
	at := in.now.At
	closes := []mongo.WriteModel{nil} // room for the clock
	versions := make([]any, len(in.order))
	for i, d := range in.order {
		versions[i] = d
		if d.Updated.After(at) {
			at = d.Updated
		}
	}
	var inserts []any
	var replaces []mongo.WriteModel
	for key, tip := range in.tips {
		if tip.source == nil {
			continue
		}
		doc, err := in.newest(key, tip)
		if err != nil {
			return err
		}
		if tip.before == 0 {
			inserts = append(inserts, doc)
		} else {
			replaces = append(replaces, mongo.NewReplaceOneModel().SetFilter(bson.D{{Key: "_id", Value: key}}).SetReplacement(doc))
			old := in.known[versionID(key, tip.before)]
			closes = append(closes, mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: old.VID}}).
				SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "to", Value: old.To}, {Key: "ended", Value: old.Ended}}}}))
		}
	}
	last := in.versions[len(in.versions)-1].Place()
	set := bson.D{{Key: "now", Value: in.now.Now + 1}, {Key: "at", Value: at}, {Key: "place", Value: copyPlace(last)}}
	for typ, n := range in.delta {
		set = append(set, bson.E{Key: "counts." + typ, Value: in.now.Counts[typ] + n})
	}
	closes[0] = mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: clockID}}).SetUpdate(bson.D{{Key: "$set", Value: set}})
	if _, err := s.history.BulkWrite(ctx, closes); err != nil {
		return err
	}
	if len(versions) > 0 {
		if _, err := s.history.InsertMany(ctx, versions); err != nil {
			return err
		}
	}
	if len(inserts) > 0 {
		if _, err := s.resources.InsertMany(ctx, inserts); err != nil {
			return err
		}
	}
	if len(replaces) > 0 {
		if _, err := s.resources.BulkWrite(ctx, replaces); err != nil {
			return err
		}
	}
	return nil
}

// newest makes the document of resources for the newest version in the batch,
// with an index only if the source has no later one, and counts it.
func (in *importer) newest(key string, tip *importTip) (bson.Raw, error) {
	v, c := tip.source, tip.change
	d := resourceDoc{
		Key: key, Type: v.Type, ID: v.ID, Version: v.Version, T: in.now.Now + 1, Updated: v.Updated, Method: string(v.Method),
		Deleted: v.Deleted(), Size: int64(len(v.JSON)), Raw: in.known[versionID(key, v.Version)].Raw, Patients: c.patients,
	}
	if !d.Deleted && len(c.patients) == 1 {
		d.Patient = c.patients[0]
	}
	if !d.Deleted && v.Newest {
		d.IX = stamped(v.Type, c.ix, v.Updated)
		stampNative(c.resource, strconv.FormatInt(v.Version, 10), string(fhir.AppendInstant(nil, v.Updated)))
		d.Resource = c.resource
	}
	in.delta[v.Type] += 0
	if tip.aliveBefore != !d.Deleted {
		in.delta[v.Type]--
		if !d.Deleted {
			in.delta[v.Type] += 2
		}
	}
	return d.marshal()
}

var _ store.Archive = (*Store)(nil)
