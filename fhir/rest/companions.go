package rest

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// Limits of what goes along with $everything.
const (
	// maxCompanions is the most resources that go along with one answer.
	maxCompanions = 200_000
	// companionRounds is how many references lead from a record to what goes along:
	// a MedicationRequest's Medication, its manufacturer, what that is part of.
	companionRounds = 3
	// gatherKeys is how many keys are asked for at once.
	gatherKeys = 1000
)

// companions are what a record refers to outside of it: who gave care and where,
// medicines, attachments. Each comes once.
type companions struct {
	rec     *record
	waiting []fhir.Key
	known   map[fhir.Key]bool // asked for already
	// shown are the members of a record that its other members may refer to.
	shown map[fhir.Key]bool
	cut   bool // there were more than maxCompanions
}

func newCompanions(rec *record) *companions {
	return &companions{rec: rec, known: make(map[fhir.Key]bool), shown: make(map[fhir.Key]bool)}
}

// matched notes a member of the record.
func (c *companions) matched(res *fhir.Resource) {
	if !c.rec.members[res.Type] && len(c.shown) < maxCompanions {
		c.shown[res.Key] = true
	}
	c.refersTo(res.JSON)
}

// refersTo notes what a resource refers to. It looks at the stored bytes, where a
// reference is always written alike: that takes a fraction of reading the JSON.
func (c *companions) refersTo(json []byte) {
	c.scan(json, []byte(`"reference":"`), "")
	c.scan(json, []byte(`"url":"`), "Binary") // of attachments
}

// scan notes the values of a member that name a resource of ours, of one type if
// only is set.
func (c *companions) scan(json, member []byte, only string) {
	for {
		i := bytes.Index(json, member)
		if i < 0 {
			return
		}
		json = json[i+len(member):]
		end := bytes.IndexByte(json, '"')
		if end < 0 {
			return
		}
		c.note(json[:end], only)
	}
}

// note notes one reference, if it leads to what may go along.
func (c *companions) note(text []byte, only string) {
	if rest, own := bytes.CutPrefix(text, []byte(c.rec.server.basePrefix)); own {
		text = rest
	}
	typ, id, ok := bytes.Cut(text, []byte{'/'})
	if !ok || only != "" && string(typ) != only {
		return
	}
	id, _, _ = bytes.Cut(id, []byte("/_history/"))
	key := fhir.Key{Type: string(typ), ID: string(id)}
	switch {
	case c.known[key], !c.rec.follows(key):
	case len(c.known) >= maxCompanions:
		c.cut = true
	default:
		c.known[key] = true
		c.waiting = append(c.waiting, key)
	}
}

// follows reports whether a reference leads out of the record to what goes along.
func (rec *record) follows(key fhir.Key) bool {
	if !resource.KnownType(key.Type) || !fhir.ValidID(key.ID) {
		return false
	}
	return !rec.members[key.Type] || rec.also[key]
}

// write adds to the Bundle what goes along, and what that refers to in turn.
func (c *companions) write(ctx context.Context, b *searchset, write func([]byte) error) error {
	for range companionRounds {
		keys := slices.DeleteFunc(c.waiting, func(key fhir.Key) bool { return c.shown[key] })
		c.waiting = nil
		for part := range slices.Chunk(keys, gatherKeys) {
			found, err := c.gather(ctx, part)
			if err != nil {
				return err
			}
			for _, res := range found {
				c.refersTo(res.JSON)
				if c.rec.wants(res.Type) {
					b.include(c.rec.server.basePrefix+res.Key.String(), res.JSON)
				}
				if err := b.flush(write, streamChunk); err != nil {
					return err
				}
			}
		}
	}
	if c.cut {
		b.outcome(operationOutcome([]fhir.Issue{{
			Severity: fhir.SeverityWarning, Code: "incomplete",
			Message: "what is here refers to more than " + strconv.Itoa(maxCompanions) + " other resources; of those beyond, none is here. Ask for fewer patients or a shorter time",
		}}))
	}
	return nil
}

// gather returns what is there of some keys and may be read.
func (c *companions) gather(ctx context.Context, keys []fhir.Key) ([]*fhir.Resource, error) {
	ctx, cancel := context.WithTimeout(ctx, c.rec.server.Limits.Timeout)
	defer cancel()
	s, access := c.rec.server, c.rec.r.access
	scope := access.Scope(search.CanRead)
	found, _, err := s.Store.Gather(ctx, store.GatherQuery{Keys: keys, Limit: gatherKeys, Scope: scope})
	if err != nil {
		return nil, err
	}
	// What guards a Binary is not in the index: those are read one by one.
	for _, key := range keys {
		if !locked(scope, key) {
			continue
		}
		res, err := s.Store.Read(ctx, key)
		switch {
		case err != nil && unlessAbsent(err) == nil:
			continue
		case err != nil:
			return nil, err
		}
		ok, err := s.sees(ctx, access, res)
		if err != nil {
			return nil, err
		}
		if ok && !res.Deleted() {
			found = append(found, res)
		}
	}
	return found, nil
}

// flush writes what has gathered, if it is more than some bytes.
func (b *searchset) flush(write func([]byte) error, beyond int) error {
	if len(b.out) <= beyond {
		return nil
	}
	err := write(b.out)
	b.out = b.out[:0]
	return err
}
