package mongo

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

const (
	// maxBatch and maxBatchChanges are how many Writes, and changes of several
	// Writes, share a transaction.
	maxBatch        = 128
	maxBatchChanges = 500
	// maxWriteBytes is how much one Write may hold, so that its transaction ends
	// well within the 60 seconds that MongoDB gives it.
	maxWriteBytes = 128 << 20
)

// change is one change made ready for its transaction: all that does not depend
// on the time of the commit.
type change struct {
	*store.Change
	key      string
	patients []string // sorted, each once
	ix       []string // without _lastUpdated
	resource bson.D   // the native document with room for the stamps; nil if there can be none
}

// pending is a Write that waits for the committer.
type pending struct {
	ctx     context.Context //nolint:containedctx // it ends with the call that waits
	changes []*change
	byKey   map[fhir.Key]*change
	taken   atomic.Bool // by the committer or by the caller giving up
	done    chan struct{}
	results []*fhir.Resource
	err     error
}

// change returns the change of a key; nil if there is none.
func (p *pending) change(key fhir.Key) *change { return p.byKey[key] }

// Write applies all changes or none; see [store.Store].
func (s *Store) Write(ctx context.Context, changes []store.Change) ([]*fhir.Resource, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if len(changes) == 0 {
		return nil, nil
	}
	p := &pending{ctx: ctx, changes: make([]*change, len(changes)), byKey: make(map[fhir.Key]*change, len(changes)), done: make(chan struct{})}
	first := make(map[fhir.Key]int, len(changes))
	size := 0
	for i := range changes {
		key := changes[i].Key
		if j, twice := first[key]; twice {
			return nil, &store.ChangeError{Index: i, Err: fhir.Errorf(fhir.Invalid, "%s is changed twice, by changes %d and %d", key, j, i)}
		}
		first[key] = i
		if p.changes[i], err = prepare(&changes[i]); err != nil {
			return nil, &store.ChangeError{Index: i, Err: err}
		}
		p.byKey[key] = p.changes[i]
		if size += len(changes[i].Body.Head) + len(changes[i].Body.Tail); size > maxWriteBytes {
			return nil, fhir.Errorf(fhir.TooLarge, "one transaction may hold %d MiB; send it in parts", maxWriteBytes>>20)
		}
	}
	if _, err := store.RedefinitionOf(changes); err != nil {
		return nil, err
	}
	select {
	case s.queue <- p:
	case <-ctx.Done():
		return nil, store.Cancelled(ctx)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		if p.taken.CompareAndSwap(false, true) {
			return nil, store.Cancelled(ctx)
		}
		<-p.done // its transaction is under way and knows the context
	}
	return p.results, p.err
}

// prepare refuses what no store may keep and returns the change made ready.
func prepare(c *store.Change) (*change, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	ready := &change{Change: c, key: c.Key.String()}
	if c.Method == fhir.Delete {
		return ready, nil
	}
	ready.patients = slices.Compact(slices.Sorted(slices.Values(c.Patients)))
	ready.ix = elements(c.Key.Type, c.Entries)
	// The stamps of this text are replaced when the version gets its own.
	if doc, err := native(c.Body.Stamp(0, fromMillis(0))); err == nil {
		ready.resource = doc
	}
	return ready, nil
}

// commits is the committer: it takes the Writes that wait and gives them
// transactions, one after the other. That is no loss, since the clock lets no
// two transactions pass at once, and it lets Writes share one.
func (s *Store) commits() {
	defer s.workers.Done()
	for {
		var batch []*pending
		select {
		case <-s.life.Done():
			return // the gate let all Writes leave before
		case p := <-s.queue:
			batch = append(batch, p)
		}
	more:
		for len(batch) < maxBatch {
			select {
			case p := <-s.queue:
				batch = append(batch, p)
			default:
				break more
			}
		}
		batch = slices.DeleteFunc(batch, func(p *pending) bool { return !p.taken.CompareAndSwap(false, true) })
		for len(batch) > 0 {
			now, later := independent(batch)
			s.commitAll(now)
			batch = later
		}
	}
}

// independent parts the Writes that may share a transaction from those that
// come after it: none may change what another one before it requires, changes or
// has a condition on, because all are judged before all changes of a transaction.
func independent(batch []*pending) (now, later []*pending) {
	keys, types := map[string]bool{}, map[string]bool{}
	changes := 0
	for _, p := range batch {
		changes += len(p.changes)
		alone := len(now) > 0 && (p.redefinition() != nil || now[0].redefinition() != nil)
		if len(now) > 0 && (alone || changes > maxBatchChanges || p.dependsOn(keys, types)) {
			changes -= len(p.changes)
			later = append(later, p)
		} else {
			now = append(now, p)
		}
		// What waits counts too: Writes of one key keep their order.
		for _, c := range p.changes {
			keys[c.key], types[c.Key.Type] = true, true
		}
	}
	return now, later
}

func (p *pending) dependsOn(keys, types map[string]bool) bool {
	for _, c := range p.changes {
		if keys[c.key] || slices.ContainsFunc(c.Requires, func(key fhir.Key) bool { return keys[key.String()] }) {
			return true
		}
		if c.Condition == nil {
			continue
		}
		if len(c.Condition.Query.Types) == 0 && len(types) > 0 {
			return true
		}
		for _, typ := range c.Condition.Query.Types {
			if types[typ] {
				return true
			}
		}
	}
	return false
}

// commitAll gives Writes a common transaction and tells them how it went. Should
// it fail for what may be the fault of one, each gets its own.
func (s *Store) commitAll(batch []*pending) {
	ctx, cancel := batch[0].ctx, context.CancelFunc(func() {})
	if len(batch) > 1 {
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
	}
	err := s.commit(ctx, batch)
	ended := ctx.Err() != nil
	err = fault(ctx, err, "writing")
	cancel()
	if err != nil && len(batch) > 1 && !ended && fhir.KindOf(err) != fhir.Unavailable {
		for _, p := range batch {
			p.results, p.err = nil, nil
			s.commitAll([]*pending{p})
		}
		return
	}
	for _, p := range batch {
		if err != nil {
			p.results, p.err = nil, err
		}
		if p.err != nil {
			s.complain(p.err)
		}
		close(p.done)
	}
}

// complain logs which document is damaged; the caller is not told.
func (s *Store) complain(err error) {
	if errors.Is(err, errDocument) {
		s.log.Error("store: a stored document is not as the store writes it; run `starling check`", "error", err)
	}
}
