package embedded

import (
	"encoding/binary"

	"github.com/starling-fhir/starling/fhir/store"
)

// A cursor holds five numbers. Those of mark 1, which were signed only, are no
// longer taken.
const (
	cursorMark   = 2
	cursorFields = 5
)

func (s *Store) cursors() store.Sealer {
	return store.Sealer{Secret: s.secret, Mark: cursorMark, Size: 8 * cursorFields}
}

func (s *Store) sealCursor(identity string, fields [cursorFields]uint64) (string, error) {
	var place [8 * cursorFields]byte
	for i, f := range fields {
		binary.BigEndian.PutUint64(place[8*i:], f)
	}
	return s.cursors().Seal(identity, place[:])
}

// openCursor returns what sealCursor was given.
func (s *Store) openCursor(cursor, identity string) (fields [cursorFields]uint64, err error) {
	place, err := s.cursors().Open(cursor, identity)
	if err != nil {
		return fields, err
	}
	for i := range fields {
		fields[i] = binary.BigEndian.Uint64(place[8*i:])
	}
	return fields, nil
}

// place is where a page of a search ended.
type place struct {
	t      uint64 // the search's logical time
	issued int64  // when the first page was made, in milliseconds
	total  int64  // of the first page; -1 if it was not counted
	typ    uint16 // of the page's last resource
	doc    uint64
}

func (s *Store) sealPlace(identity string, p place) (string, error) {
	return s.sealCursor("search "+identity, [...]uint64{p.t, uint64(p.issued), uint64(p.total + 1), uint64(p.typ), p.doc})
}

func (s *Store) openPlace(cursor, identity string) (place, error) {
	f, err := s.openCursor(cursor, "search "+identity)
	if err != nil {
		return place{}, err
	}
	p := place{t: f[0], issued: int64(f[1]), total: int64(f[2]) - 1, typ: uint16(f[3]), doc: f[4]}
	if s.opts.Clock().UnixMilli()-p.issued > s.opts.PageLifetime.Milliseconds() {
		return place{}, store.Expired()
	}
	return p, nil
}
