package mongo

import (
	"encoding/binary"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// A cursor holds four numbers and a key with its length. The secret is the
// database's, so that every server can open it.
const (
	cursorMark = 1
	cursorKey  = 64 + 1 + 64 // the longest key
	cursorSize = 4*8 + 1 + cursorKey
)

// place is where a page ended.
type place struct {
	t       int64  // the logical time of the first page
	moment  int64  // of a search: when its first page was made; of a history: the last version's lastUpdated; in milliseconds
	total   int64  // of the first page; -1 if it was not counted
	key     string // of the page's last resource
	version int64
}

func (s *Store) cursors() store.Sealer {
	return store.Sealer{Secret: s.secret, Mark: cursorMark, Size: cursorSize}
}

func (s *Store) seal(identity string, p place) (string, error) {
	var clear [cursorSize]byte
	for i, n := range []int64{p.t, p.moment, p.total, p.version} {
		binary.BigEndian.PutUint64(clear[8*i:], uint64(n))
	}
	clear[32] = byte(copy(clear[33:], p.key))
	return s.cursors().Seal(identity, clear[:])
}

// open returns what seal was given.
func (s *Store) open(cursor, identity string) (place, error) {
	clear, err := s.cursors().Open(cursor, identity)
	if err != nil {
		return place{}, err
	}
	if int(clear[32]) > cursorKey {
		return place{}, fhir.Errorf(fhir.Internal, "a page cursor of this server holds a key of %d bytes", clear[32])
	}
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(clear[8*i:])) }
	return place{t: number(0), moment: number(1), total: number(2), version: number(3), key: string(clear[33 : 33+int(clear[32])])}, nil
}
