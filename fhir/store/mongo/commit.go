package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	if err := tx.readHeads(ctx); err != nil {
		return err
	}
	if s.opts.Indexer != nil && tx.now.Index == "" {
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

// readHeads reads in one command the newest versions of all that is changed,
// unless it is fresh, and of what changes require. MongoDB has no $unionWith in
// transactions that could bring the clock along.
func (tx *transaction) readHeads(ctx context.Context) error {
	var keys []string
	for _, p := range tx.batch {
		for _, c := range p.changes {
			if !tx.fresh {
				keys = append(keys, c.key)
			}
			for _, key := range c.Requires {
				keys = append(keys, key.String())
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
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
		if err := tx.made(p); err != nil {
			return err
		}
		work := false
		for i, c := range p.changes {
			if p.err != nil {
				break
			}
			h := tx.head(c)
			err := precondition(c, h)
			if err == nil {
				err = tx.requirements(p, c)
			}
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

// requirements checks that all is there, when a Write is done, that one of its
// changes requires.
func (tx *transaction) requirements(p *pending, c *change) error {
	for _, key := range c.Requires {
		there := tx.heads[key.String()] != nil && tx.heads[key.String()].alive()
		if own := p.change(key); own != nil {
			there = own.Method != fhir.Delete
		}
		if !there {
			return fhir.Errorf(fhir.Conflict, "%s refers to %s, which is not there", c.Key, key)
		}
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
