package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// checkChunk is how many resources are checked between two commands.
const checkChunk = 50

// Check compares resources with history and what is derived from both: native
// documents, index entries, compartments and counts; see [store.Checker]. Servers
// may go on writing meanwhile. What both collections hold of one version but
// disagree about is reported and left alone.
func (s *Store) Check(ctx context.Context, repair bool, report func(store.Finding)) (int64, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return 0, err
	}
	defer s.gate.Leave()
	c := &checking{s: s, repair: repair, report: report, counts: map[string]int64{}}
	if err := c.run(ctx); err != nil {
		return c.looked, fault(ctx, err, "checking the store")
	}
	return c.looked, nil
}

type checking struct {
	s      *Store
	repair bool
	report func(store.Finding)
	looked int64
	counts map[string]int64 // living resources by type
}

func (c *checking) run(ctx context.Context) error {
	before, err := c.s.readClock(ctx)
	if err != nil {
		return err
	}
	for last := ""; ; {
		keys, err := c.keys(ctx, c.s.resources, "_id", last, bson.D{})
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		if err := c.chunk(ctx, keys); err != nil {
			return err
		}
		last = keys[len(keys)-1]
	}
	if err := c.orphans(ctx); err != nil {
		return err
	}
	return c.counted(ctx, before)
}

// keys returns keys behind one, in order.
func (c *checking) keys(ctx context.Context, in *mongo.Collection, field, behind string, more bson.D) ([]string, error) {
	filter := append(bson.D{{Key: field, Value: bson.D{{Key: "$gt", Value: behind}}}}, more...)
	cursor, err := c.s.ask(ctx, in, mongo.Pipeline{
		{{Key: "$match", Value: filter}},
		{{Key: "$sort", Value: bson.D{{Key: field, Value: 1}}}},
		{{Key: "$limit", Value: checkChunk}},
		{{Key: "$project", Value: bson.D{{Key: field, Value: 1}}}},
	}, checkChunk)
	if err != nil {
		return nil, err
	}
	var keys []string
	return keys, each(ctx, cursor, func(raw bson.Raw) error {
		key, ok := raw.Lookup(field).StringValueOK()
		if !ok {
			return errDocument
		}
		keys = append(keys, key)
		return nil
	})
}

// checked is one resource with what both collections hold of it.
type checked struct {
	key      string
	current  *resourceDoc
	currentE error // of decoding current
	versions []*versionDoc
	broken   []int64      // versions that cannot be read
	newest   *versionDoc  // with raw
	json     []byte       // of newest; nil for a deletion
	wrong    []string     // what is wrong and can be mended
	beyond   []string     // what is wrong and cannot
	want     *resourceDoc // what current should be
}

// chunk checks resources, each as it is in one snapshot.
func (c *checking) chunk(ctx context.Context, keys []string) error {
	all := make(map[string]*checked, len(keys))
	for _, key := range keys {
		all[key] = &checked{key: key}
	}
	in := bson.D{{Key: "$in", Value: keys}}
	cursor, err := c.s.ask(ctx, c.s.snapshot, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "key", Value: in}}}},
		{{Key: "$sort", Value: bson.D{{Key: "key", Value: 1}, {Key: "version", Value: 1}}}},
		{{Key: "$project", Value: servedFields}},
		unionWith(resourcesName, bson.A{bson.D{{Key: "$match", Value: bson.D{{Key: "_id", Value: in}}}}}),
	}, checkChunk)
	if err != nil {
		return err
	}
	err = each(ctx, cursor, func(raw bson.Raw) error {
		id, _ := raw.Lookup("_id").StringValueOK()
		if one := all[id]; one != nil {
			one.current = &resourceDoc{}
			one.currentE = bson.Unmarshal(raw, one.current)
			return nil
		}
		key, _ := raw.Lookup("key").StringValueOK()
		if one := all[key]; one != nil {
			c.version(one, raw)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if all[key].current == nil {
			continue // removed by hand since it was listed: the orphans will tell
		}
		c.looked++
		if err := c.judge(ctx, all[key]); err != nil {
			return err
		}
	}
	return nil
}

// version looks at one version. Only the newest one's bytes are kept.
func (c *checking) version(one *checked, raw bson.Raw) {
	d := &versionDoc{}
	number, _ := raw.Lookup("version").AsInt64OK()
	if err := bson.Unmarshal(raw, d); err != nil {
		one.broken = append(one.broken, number)
		return
	}
	res, err := c.s.version(raw)
	if err != nil {
		one.broken = append(one.broken, d.Version)
		res = &fhir.Resource{}
	}
	if one.newest != nil {
		one.newest.Raw = nil
	}
	one.newest, one.json = d, res.JSON
	one.versions = append(one.versions, d)
}

// judge finds out what is wrong with one resource.
func (c *checking) judge(ctx context.Context, one *checked) error {
	for _, n := range one.broken {
		one.beyond = append(one.beyond, fmt.Sprintf("version %d in history cannot be read", n))
	}
	for i, v := range one.versions {
		want := one.versions[0].Erased + int64(i) + 1
		switch {
		case v.Version != want:
			one.beyond = append(one.beyond, fmt.Sprintf("version %d comes in history where version %d should be", v.Version, want))
		case i > 0 && one.versions[i-1].Updated.After(v.Updated):
			one.beyond = append(one.beyond, fmt.Sprintf("version %d in history is older than the version before it", v.Version))
		case i > 0 && one.versions[i-1].To != v.T:
			one.beyond = append(one.beyond, fmt.Sprintf("version %d in history does not say when it was replaced", v.Version-1))
		}
		if len(one.beyond) > 0 {
			break
		}
	}
	switch {
	case one.newest == nil:
		one.beyond = append(one.beyond, "history has no version of it")
	case one.newest.To != 0:
		one.beyond = append(one.beyond, "history says that its newest version was replaced")
	case len(one.beyond) == 0:
		if err := c.compare(one); err != nil {
			return err
		}
	}
	typ, _ := splitKey(one.key)
	if one.newest != nil && one.newest.Method != string(fhir.Delete) || one.newest == nil && one.currentE == nil && !one.current.Deleted {
		c.counts[typ]++
	}
	return c.settle(ctx, one)
}

// compare makes the document that resources should have, and names what differs.
func (c *checking) compare(one *checked) error {
	v := one.newest
	want := &resourceDoc{
		Key: one.key, Type: v.Type, ID: v.ID, Version: v.Version, T: v.T, Updated: v.Updated, Method: v.Method,
		Deleted: v.Method == string(fhir.Delete), Size: int64(len(one.json)), Raw: v.Raw, Patients: v.Patients,
	}
	one.want = want
	have := one.current
	if one.currentE != nil {
		have = &resourceDoc{}
		one.wrong = append(one.wrong, "its document has fields of other types than the store writes")
	}
	if !want.Deleted {
		if err := c.derive(want, one.json, have); err != nil {
			return err
		}
	}
	if !slices.Equal(v.Patients, want.Patients) {
		one.wrong = append(one.wrong, "history has it in other compartments than its content gives")
	}
	if one.currentE != nil {
		return nil
	}
	if have.Version != want.Version || have.T != want.T || !have.Updated.Equal(want.Updated) || have.Method != want.Method || have.Deleted != want.Deleted ||
		have.Type != want.Type || have.ID != want.ID || have.Size != want.Size {
		one.wrong = append(one.wrong, "its document says otherwise than history which version is the newest")
	} else if json, err := c.s.codec.unpack(have.Raw); !want.Deleted && (err != nil || len(json) == 0) {
		one.wrong = append(one.wrong, "raw cannot be read")
	} else if !want.Deleted && !bytes.Equal(json, one.json) {
		one.beyond = append(one.beyond, "raw differs from that of the same version in history")
	}
	if !slices.Equal(have.Patients, want.Patients) || have.Patient != want.Patient {
		one.wrong = append(one.wrong, "patient and patients are not its compartments")
	}
	if !slices.Equal(have.IX, want.IX) {
		one.wrong = append(one.wrong, "ix holds other index entries than its content gives")
	}
	if !sameNative(have.Resource, want.Resource) {
		one.wrong = append(one.wrong, "resource is not what raw says")
	}
	return nil
}

// derive fills in what follows from a version's bytes. Without an Indexer, index
// entries and compartments are taken as they are.
func (c *checking) derive(want *resourceDoc, json []byte, have *resourceDoc) error {
	if doc, err := native(json); err == nil {
		stampNative(doc, strconv.FormatInt(want.Version, 10), string(fhir.AppendInstant(nil, want.Updated)))
		want.Resource = doc
	}
	want.IX = have.IX
	if c.s.opts.Indexer != nil {
		entries, patients, err := c.s.opts.Indexer.Index(json)
		if err != nil {
			return fhir.Wrap(fhir.Internal, err, "%s cannot be indexed", want.Key)
		}
		want.IX = stamped(want.Type, elements(want.Type, entries), want.Updated)
		want.Patients = slices.Compact(slices.Sorted(slices.Values(patients)))
	}
	if len(want.Patients) == 1 {
		want.Patient = want.Patients[0]
	}
	_, err := want.marshal() // which leaves out a native document that is too large
	return err
}

func sameNative(a, b bson.D) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	x, errX := bson.Marshal(a)
	y, errY := bson.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// settle reports what is wrong with one resource and mends it if it can.
func (c *checking) settle(ctx context.Context, one *checked) error {
	key := fhir.Key{}
	key.Type, key.ID = splitKey(one.key)
	mended := false
	if c.repair && len(one.wrong) > 0 && len(one.beyond) == 0 {
		// Without the version, which may be what is wrong: the newest version in
		// history must still be the one that was compared.
		err := c.s.transact(ctx, func(ctx context.Context) error {
			n, err := c.s.history.CountDocuments(ctx, bson.D{{Key: "key", Value: one.key}, {Key: "version", Value: bson.D{{Key: "$gt", Value: one.want.Version}}}})
			switch {
			case err != nil:
				return err
			case n > 0:
				return errChanged
			}
			doc, err := one.want.marshal()
			if err != nil {
				return err
			}
			_, err = c.s.history.UpdateOne(ctx, bson.D{{Key: "_id", Value: versionID(one.key, one.want.Version)}},
				bson.D{{Key: "$set", Value: bson.D{{Key: "patients", Value: one.want.Patients}}}})
			if err != nil {
				return err
			}
			_, err = c.s.resources.ReplaceOne(ctx, bson.D{{Key: "_id", Value: one.key}}, doc, options.Replace().SetUpsert(true))
			return err
		})
		if errors.Is(err, errChanged) {
			return nil // written anew meanwhile, and so mended
		}
		if err != nil {
			return err
		}
		mended = true
	}
	for _, text := range one.wrong {
		c.report(store.Finding{Key: key, Text: text, Mended: mended})
	}
	for _, text := range one.beyond {
		c.report(store.Finding{Key: key, Text: text})
	}
	return nil
}

var errChanged = errors.New("changed meanwhile")

// orphans finds versions in history of resources that are not there.
func (c *checking) orphans(ctx context.Context) error {
	for last := ""; ; {
		keys, err := c.keys(ctx, c.s.history, "key", last, bson.D{{Key: "to", Value: bson.D{{Key: "$exists", Value: false}}}})
		if err != nil || len(keys) == 0 {
			return err
		}
		last = keys[len(keys)-1]
		there := map[string]bool{}
		cursor, err := c.s.ask(ctx, c.s.resources, mongo.Pipeline{
			{{Key: "$match", Value: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: keys}}}}}}, {{Key: "$project", Value: bson.D{{Key: "_id", Value: 1}}}},
		}, len(keys))
		if err != nil {
			return err
		}
		err = each(ctx, cursor, func(raw bson.Raw) error {
			id, _ := raw.Lookup("_id").StringValueOK()
			there[id] = true
			return nil
		})
		if err != nil {
			return err
		}
		for _, key := range slices.Compact(keys) {
			if there[key] {
				continue
			}
			if err := c.orphan(ctx, key); err != nil {
				return err
			}
		}
	}
}

// orphan restores the document of a resource whose newest version is in history.
func (c *checking) orphan(ctx context.Context, key string) error {
	one := &checked{key: key, current: &resourceDoc{}, wrong: []string{"history has versions of it, but it is missing"}}
	cursor, err := c.s.ask(ctx, c.s.history, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "key", Value: key}}}}, {{Key: "$sort", Value: bson.D{{Key: "version", Value: 1}}}}, {{Key: "$project", Value: servedFields}},
	}, checkChunk)
	if err != nil {
		return err
	}
	if err := each(ctx, cursor, func(raw bson.Raw) error { c.version(one, raw); return nil }); err != nil {
		return err
	}
	c.looked++
	if c.s.opts.Indexer == nil {
		one.beyond = append(one.beyond, "it cannot be restored without the search definitions")
	}
	wrong := one.wrong
	one.currentE = errMissing
	if err := c.judgeOrphan(one, wrong); err != nil {
		return err
	}
	return c.settle(ctx, one)
}

func (c *checking) judgeOrphan(one *checked, wrong []string) error {
	for _, n := range one.broken {
		one.beyond = append(one.beyond, fmt.Sprintf("version %d in history cannot be read", n))
	}
	if one.newest == nil || len(one.beyond) > 0 {
		return nil
	}
	err := c.compare(one)
	one.wrong = wrong
	if err == nil && !one.want.Deleted {
		c.counts[one.want.Type]++
	}
	return err
}

// counted compares the counts of the clock with what is there, if nobody wrote
// meanwhile.
func (c *checking) counted(ctx context.Context, before *clock) error {
	now, err := c.s.readClock(ctx)
	if err != nil || now.Now != before.Now {
		return err
	}
	for typ := range c.counts {
		if _, known := now.Counts[typ]; !known {
			now.Counts[typ] = -1
		}
	}
	for typ, n := range now.Counts {
		if n == c.counts[typ] {
			continue
		}
		found := store.Finding{Text: fmt.Sprintf("%d living %s are counted, %d are there", max(n, 0), typ, c.counts[typ])}
		if c.repair {
			res, err := c.s.history.UpdateOne(ctx, bson.D{{Key: "_id", Value: clockID}, {Key: "now", Value: now.Now}},
				bson.D{{Key: "$set", Value: bson.D{{Key: "counts." + typ, Value: c.counts[typ]}}}})
			if err != nil {
				return err
			}
			found.Mended = res.MatchedCount == 1
		}
		c.report(found)
	}
	return nil
}

var (
	_ store.Checker    = (*Store)(nil)
	_ search.Estimator = (*sample)(nil)
)
