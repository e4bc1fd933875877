package embedded

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

// A cursor is where a page ended: the place, never the values found there, so
// that no patient data gets into a URL. Even a place would tell how many writes
// and documents there are, of others too. So it is encrypted, the same place
// another way each time, and bound to the query and scope it belongs to; it
// cannot be read, altered nor used for another one. All are of one length:
//
//	mark, salt, fields as 8 bytes each, tag
//
// Every cursor has a key of its own, made of the store's secret and the salt, so
// that no number of them wears a key out. https://www.rfc-editor.org/rfc/rfc5869
//
// cursorMark is its first byte; another layout gets another one. Cursors of
// mark 1, which were signed only, are no longer taken.
const (
	cursorMark   = 2
	cursorSalt   = 24
	cursorFields = 5
	cursorHead   = 1 + cursorSalt
	cursorSize   = cursorHead + 8*cursorFields + 16
)

// cursorCode has one text for each cursor: other bits at the end are refused.
var cursorCode = base64.RawURLEncoding.Strict()

func (s *Store) sealCursor(identity string, fields [cursorFields]uint64) (string, error) {
	head := make([]byte, cursorHead, cursorSize)
	head[0] = cursorMark
	if _, err := rand.Read(head[1:]); err != nil {
		return "", err
	}
	box, err := s.cursorBox(head)
	if err != nil {
		return "", err
	}
	var clear [8 * cursorFields]byte
	for i, f := range fields {
		binary.BigEndian.PutUint64(clear[8*i:], f)
	}
	return cursorCode.EncodeToString(box.Seal(head, make([]byte, box.NonceSize()), clear[:], []byte(identity))), nil
}

// openCursor returns what sealCursor was given. The error is Invalid for a
// cursor that is not ours or belongs to another query.
func (s *Store) openCursor(cursor, identity string) (fields [cursorFields]uint64, err error) {
	bad := fhir.Errorf(fhir.Invalid, "the page cursor is not one of this server's for this search")
	if len(cursor) != cursorCode.EncodedLen(cursorSize) {
		return fields, bad
	}
	b, err := cursorCode.DecodeString(cursor)
	if err != nil || len(b) != cursorSize || b[0] != cursorMark {
		return fields, bad
	}
	box, err := s.cursorBox(b[:cursorHead])
	if err != nil {
		return fields, err
	}
	clear, err := box.Open(nil, make([]byte, box.NonceSize()), b[cursorHead:], []byte(identity))
	if err != nil {
		return fields, bad
	}
	for i := range fields {
		fields[i] = binary.BigEndian.Uint64(clear[8*i:])
	}
	return fields, nil
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
		return place{}, expired()
	}
	return p, nil
}

func expired() error {
	return fhir.Errorf(fhir.Expired, "this page is no longer kept; search again")
}
