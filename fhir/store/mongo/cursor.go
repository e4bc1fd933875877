package mongo

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/starling-fhir/starling/fhir"
)

// A cursor is where a page ended. It is encrypted with a key made of the
// database's secret and its own salt, and bound to the query and the scope, so
// that every server can open it, nobody else can read or alter it, and it serves
// no other query. All are of one length:
//
//	mark, salt, four numbers, the key and its length, tag
const (
	cursorMark  = 1
	cursorSalt  = 24
	cursorHead  = 1 + cursorSalt
	cursorKey   = 64 + 1 + 64 // the longest key
	cursorClear = 4*8 + 1 + cursorKey
	cursorSize  = cursorHead + cursorClear + 16
)

// cursorCode has one text for each cursor: other bits at the end are refused.
var cursorCode = base64.RawURLEncoding.Strict()

// place is where a page ended.
type place struct {
	t       int64  // the logical time of the first page
	moment  int64  // of a search: when its first page was made; of a history: the last version's lastUpdated; in milliseconds
	total   int64  // of the first page; -1 if it was not counted
	key     string // of the page's last resource
	version int64
}

func (s *Store) seal(identity string, p place) (string, error) {
	head := make([]byte, cursorHead, cursorSize)
	head[0] = cursorMark
	if _, err := rand.Read(head[1:]); err != nil {
		return "", err
	}
	box, err := s.cursorBox(head)
	if err != nil {
		return "", err
	}
	var clear [cursorClear]byte
	for i, n := range []int64{p.t, p.moment, p.total, p.version} {
		binary.BigEndian.PutUint64(clear[8*i:], uint64(n))
	}
	clear[32] = byte(copy(clear[33:], p.key))
	return cursorCode.EncodeToString(box.Seal(head, make([]byte, box.NonceSize()), clear[:], []byte(identity))), nil
}

// open returns what seal was given. The error is Invalid for a cursor that is
// not ours or belongs to another query.
func (s *Store) open(cursor, identity string) (place, error) {
	bad := fhir.Errorf(fhir.Invalid, "the page cursor is not one of this server's for this search")
	if len(cursor) != cursorCode.EncodedLen(cursorSize) {
		return place{}, bad
	}
	b, err := cursorCode.DecodeString(cursor)
	if err != nil || len(b) != cursorSize || b[0] != cursorMark {
		return place{}, bad
	}
	box, err := s.cursorBox(b[:cursorHead])
	if err != nil {
		return place{}, err
	}
	clear, err := box.Open(nil, make([]byte, box.NonceSize()), b[cursorHead:], []byte(identity))
	if err != nil || len(clear) != cursorClear || int(clear[32]) > cursorKey {
		return place{}, bad
	}
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(clear[8*i:])) }
	return place{t: number(0), moment: number(1), total: number(2), version: number(3), key: string(clear[33 : 33+int(clear[32])])}, nil
}

// cursorBox returns the cipher of the one cursor that starts with head. Since
// its key is used once, its nonce can be zero.
func (s *Store) cursorBox(head []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, s.secret, head, "page cursor", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func expired() error {
	return fhir.Errorf(fhir.Expired, "this page is no longer kept; search again")
}
