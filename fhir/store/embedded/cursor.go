package embedded

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/starling-fhir/starling/fhir"
)

// A cursor is where a page ended: the place, never the values found there, so
// that no patient data gets into a URL. It is signed together with the query it
// belongs to, so it cannot be altered nor used for another one.
//
// cursorMark is its first byte; another layout gets another one.
const (
	cursorMark = 1
	macLen     = 16
)

func (s *Store) sealCursor(identity string, fields ...uint64) string {
	b := []byte{cursorMark}
	for _, f := range fields {
		b = binary.AppendUvarint(b, f)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, s.sign(identity, b)...))
}

// openCursor fills fields with what sealCursor was given. The error is Invalid
// for a cursor that is not ours or belongs to another query.
func (s *Store) openCursor(cursor, identity string, fields ...*uint64) error {
	bad := fhir.Errorf(fhir.Invalid, "the page cursor is not one of this server's for this search")
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= macLen || b[0] != cursorMark || base64.RawURLEncoding.EncodeToString(b) != cursor {
		return bad
	}
	b, mac := b[:len(b)-macLen], b[len(b)-macLen:]
	if !hmac.Equal(mac, s.sign(identity, b)) {
		return bad
	}
	r := reader{b: b[1:]}
	for _, f := range fields {
		*f = r.uint()
	}
	if r.bad || len(r.b) > 0 {
		return bad
	}
	return nil
}

func (s *Store) sign(identity string, payload []byte) []byte {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write(binary.AppendUvarint(nil, uint64(len(identity))))
	mac.Write([]byte(identity))
	mac.Write(payload)
	return mac.Sum(nil)[:macLen]
}

// place is where a page of a search ended.
type place struct {
	t      uint64 // the search's logical time
	issued int64  // when the first page was made, in milliseconds
	total  int64  // of the first page; -1 if it was not counted
	typ    uint16 // of the page's last resource
	doc    uint64
}

func (s *Store) sealPlace(identity string, p place) string {
	return s.sealCursor("search "+identity, p.t, uint64(p.issued), uint64(p.total+1), uint64(p.typ), p.doc)
}

func (s *Store) openPlace(cursor, identity string) (place, error) {
	var t, issued, total, typ, doc uint64
	if err := s.openCursor(cursor, "search "+identity, &t, &issued, &total, &typ, &doc); err != nil {
		return place{}, err
	}
	p := place{t: t, issued: int64(issued), total: int64(total) - 1, typ: uint16(typ), doc: doc}
	if s.opts.Clock().UnixMilli()-p.issued > s.opts.PageLifetime.Milliseconds() {
		return place{}, expired()
	}
	return p, nil
}

func expired() error {
	return fhir.Errorf(fhir.Expired, "this page is no longer kept; search again")
}
