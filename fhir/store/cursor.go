package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/starling-fhir/starling/fhir"
)

// Sealer makes page cursors of what a store must know to go on: the place where
// a page ended, never the values found there, so that no patient data gets into
// a URL. Even a place would tell how many writes and resources there are, of
// others too. So it is encrypted, the same place another way each time, and
// bound to the query and scope it belongs to: it cannot be read, altered nor used
// for another one. A cursor is
//
//	mark, salt of 24 bytes, place, tag of 16 bytes
//
// in base64. Each has a key of its own, made of the store's secret and the salt,
// so that no number of them wears a key out.
// https://www.rfc-editor.org/rfc/rfc5869
type Sealer struct {
	Secret []byte // the store's, 32 bytes
	Mark   byte   // of the layout of places: another layout gets another one
	Size   int    // of every place, in bytes: so all cursors are of one length
}

const (
	cursorHead = 1 + 24 // mark and salt
	cursorTag  = 16
)

// cursorCode has one text for each cursor: other bits at the end are refused.
var cursorCode = base64.RawURLEncoding.Strict()

// Len is the length of every cursor.
func (s Sealer) Len() int { return cursorCode.EncodedLen(cursorHead + s.Size + cursorTag) }

// Seal makes a cursor of a place, which must have s.Size bytes. identity names
// the query and the scope.
func (s Sealer) Seal(identity string, place []byte) (string, error) {
	head := make([]byte, cursorHead, cursorHead+s.Size+cursorTag)
	head[0] = s.Mark
	if _, err := rand.Read(head[1:]); err != nil {
		return "", err
	}
	box, err := s.box(head)
	if err != nil {
		return "", err
	}
	return cursorCode.EncodeToString(box.Seal(head, make([]byte, box.NonceSize()), place, []byte(identity))), nil
}

// Open returns the place that Seal was given. The error is Invalid for a cursor
// that is not ours or belongs to another query.
func (s Sealer) Open(cursor, identity string) (place []byte, err error) {
	bad := fhir.Errorf(fhir.Invalid, "the page cursor is not one of this server's for this search")
	if len(cursor) != s.Len() {
		return nil, bad
	}
	b, err := cursorCode.DecodeString(cursor)
	if err != nil || b[0] != s.Mark {
		return nil, bad
	}
	box, err := s.box(b[:cursorHead])
	if err != nil {
		return nil, err
	}
	if place, err = box.Open(nil, make([]byte, box.NonceSize()), b[cursorHead:], []byte(identity)); err != nil {
		return nil, bad
	}
	return place, nil
}

// box returns the cipher of the one cursor that starts with head. Since its key
// is used once, its nonce can be zero.
func (s Sealer) box(head []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, s.Secret, head, "page cursor", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Expired is the error for a cursor whose pages are no longer kept.
func Expired() error {
	return fhir.Errorf(fhir.Expired, "this page is no longer kept; search again")
}
