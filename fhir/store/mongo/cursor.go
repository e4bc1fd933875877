package mongo

import (
	"encoding/binary"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// A cursor holds five numbers and two keys with their lengths. The secret is the
// database's, so that every server can open it.
const (
	cursorMark    = 2
	cursorKey     = 64 + 1 + 64 // the longest key
	cursorNumbers = 5 * 8
	cursorSize    = cursorNumbers + 2*(1+cursorKey)
)

// place is where a page ended.
type place struct {
	t       int64  // the logical time of the first page
	moment  int64  // of a search: when its first page was made; of a history: the last version's lastUpdated; in milliseconds
	total   int64  // of the first page; -1 if it was not counted
	key     string // of the page's last resource, or for going back its first
	version int64
	// What comes directly behind that one; "" if nothing does. It takes the place
	// of one whose version was erased. Of a history: nothing.
	nextKey     string
	nextVersion int64
}

func (s *Store) cursors() store.Sealer {
	return store.Sealer{Secret: s.secret, Mark: cursorMark, Size: cursorSize}
}

func (s *Store) seal(identity string, p place) (string, error) {
	var clear [cursorSize]byte
	for i, n := range []int64{p.t, p.moment, p.total, p.version, p.nextVersion} {
		binary.BigEndian.PutUint64(clear[8*i:], uint64(n))
	}
	for i, key := range []string{p.key, p.nextKey} {
		at := clear[cursorNumbers+i*(1+cursorKey):]
		at[0] = byte(copy(at[1:1+cursorKey], key))
	}
	return s.cursors().Seal(identity, clear[:])
}

// open returns what seal was given.
func (s *Store) open(cursor, identity string) (place, error) {
	clear, err := s.cursors().Open(cursor, identity)
	if err != nil {
		return place{}, err
	}
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(clear[8*i:])) }
	p := place{t: number(0), moment: number(1), total: number(2), version: number(3), nextVersion: number(4)}
	for i, key := range []*string{&p.key, &p.nextKey} {
		at := clear[cursorNumbers+i*(1+cursorKey):]
		n := int(at[0])
		if n > cursorKey {
			return place{}, fhir.Errorf(fhir.Internal, "a page cursor of this server holds a key of %d bytes", n)
		}
		*key = string(at[1 : 1+n])
	}
	return p, nil
}
