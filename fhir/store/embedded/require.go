package embedded

import (
	"github.com/starling-fhir/starling/fhir"
)

// requirement is a resource that a change needs to be there, as it was when the
// change was prepared.
type requirement struct {
	key   fhir.Key
	typ   uint16 // 0 if there was none of the type
	alive bool
}

// prepareRequired looks the resources up that a change requires.
func (s *Store) prepareRequired(c *change) error {
	c.required = make([]requirement, len(c.Requires))
	for i, key := range c.Requires {
		r := &c.required[i]
		r.key = key
		if err := s.look(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) look(r *requirement) error {
	r.typ, _ = s.types.number(r.key.Type)
	if r.typ == 0 {
		return nil
	}
	h, err := findHead(s.db, r.typ, r.key.ID)
	r.alive = h.version > 0 && !h.deleted
	return err
}

// required checks that what a change requires is there when the write of changes
// is done. The caller holds the commit lock.
func (s *Store) required(c *change, changes []*change, base uint64) error {
	if len(c.required) > 0 && changes[0].among == nil {
		among := make(map[fhir.Key]bool, len(changes))
		for _, other := range changes {
			among[other.Key] = other.Method != fhir.Delete
		}
		changes[0].among = among
	}
	for i := range c.required {
		r := &c.required[i]
		alive, written := changes[0].among[r.key]
		if !written {
			if r.typ == 0 || s.recent.maybe(r.typ, r.key.ID, base) {
				if err := s.look(r); err != nil {
					return err
				}
			}
			alive = r.alive
		}
		if !alive {
			return fhir.Errorf(fhir.Conflict, "%s refers to %s, which is not there", c.Key, r.key)
		}
	}
	return nil
}
