package embedded

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/starling-fhir/starling/fhir"
)

var errRow = errors.New("a row of the store cannot be read")

// head is what a key's row in the head table says: which document the resource
// is and its newest version. The zero head means there never was one.
type head struct {
	doc     uint64
	version int64
	deleted bool
	first   int64 // the oldest version that is kept; 0 means 1, which is never written
}

// oldest is the oldest version that is kept, if there ever was one.
func (h head) oldest() int64 { return max(1, h.first) }

func (h head) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, h.doc)
	flag := uint64(0)
	if h.deleted {
		flag = 1
	}
	dst = binary.AppendUvarint(dst, uint64(h.version)<<1|flag)
	if h.first > 1 {
		dst = binary.AppendUvarint(dst, uint64(h.first))
	}
	return dst
}

func parseHead(b []byte) (head, error) {
	r := reader{b: b}
	h := head{doc: r.uint()}
	v := r.uint()
	h.version, h.deleted = int64(v>>1), v&1 == 1
	if len(r.b) > 0 {
		h.first = int64(r.uint())
		r.bad = r.bad || h.first < 2 || h.first > h.version || len(r.b) > 0
	}
	if r.bad {
		return head{}, errRow
	}
	return h, nil
}

// methods are numbered by their place in this list, from 1.
var methods = [...]fhir.Method{fhir.Create, fhir.Update, fhir.Patch, fhir.Delete}

func methodNumber(m fhir.Method) uint64 {
	for i, known := range methods {
		if m == known {
			return uint64(i + 1)
		}
	}
	return 0
}

// versionRow is one stored version, its body without stamps.
type versionRow struct {
	t        uint64
	updated  int64 // milliseconds since 1970
	typ      uint16
	id       []byte
	method   fhir.Method
	patients []string
	body     fhir.Body
}

func (v *versionRow) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, methodNumber(v.method))
	dst = binary.AppendUvarint(dst, v.t)
	dst = binary.AppendUvarint(dst, uint64(v.updated))
	dst = binary.AppendUvarint(dst, uint64(v.typ))
	dst = appendBytes(dst, v.id)
	dst = binary.AppendUvarint(dst, uint64(len(v.patients)))
	for _, p := range v.patients {
		dst = appendBytes(dst, p)
	}
	dst = appendBytes(dst, v.body.Head)
	return append(dst, v.body.Tail...)
}

// parseVersionTime reads only when a version came to be.
func parseVersionTime(b []byte) (t uint64, updated int64, err error) {
	r := reader{b: b}
	r.uint()
	t, updated = r.uint(), int64(r.uint())
	if r.bad {
		return 0, 0, errRow
	}
	return t, updated, nil
}

// parseVersionID reads only whose version it is.
func parseVersionID(b []byte) (string, error) {
	r := reader{b: b}
	r.uint()
	r.uint()
	r.uint()
	r.uint()
	id := string(r.bytes())
	if r.bad {
		return "", errRow
	}
	return id, nil
}

// parseVersion reads a row. The body and the id share b's memory.
func parseVersion(b []byte) (versionRow, error) {
	r := reader{b: b}
	var v versionRow
	method := r.uint()
	v.t = r.uint()
	v.updated = int64(r.uint())
	v.typ = uint16(r.uint())
	v.id = r.bytes()
	n := r.uint()
	if r.bad || method == 0 || method > uint64(len(methods)) || n > uint64(len(r.b)) {
		return versionRow{}, errRow
	}
	v.method = methods[method-1]
	if n > 0 {
		v.patients = make([]string, n)
		for i := range v.patients {
			v.patients[i] = string(r.bytes())
		}
	}
	v.body.Head = r.bytes()
	v.body.Tail = r.b
	if r.bad {
		return versionRow{}, errRow
	}
	return v, nil
}

// resource returns the version with its stamps. It shares no memory with v.
func (v *versionRow) resource(typ string, version int64) *fhir.Resource {
	res := &fhir.Resource{
		Key:      fhir.Key{Type: typ, ID: string(v.id)},
		Version:  version,
		Updated:  fromMillis(v.updated),
		Method:   v.method,
		Patients: v.patients,
	}
	if v.method != fhir.Delete {
		res.JSON = v.body.Stamp(version, res.Updated)
	}
	return res
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// A forward row lists all entries of one version of a resource: per entry the
// parameter, the logical time from which the entry holds (0: that of the row)
// and the value. Entries are sorted by parameter and value, those of
// _lastUpdated behind all others.
type forwardEntry struct {
	param uint16
	from  uint64
	value []byte
}

func (e forwardEntry) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.param))
	dst = binary.AppendUvarint(dst, e.from)
	return appendBytes(dst, e.value)
}

// eachForward visits the entries of a forward row until visit returns false.
// Values share row's memory.
func eachForward(row []byte, visit func(forwardEntry) bool) error {
	r := reader{b: row}
	for len(r.b) > 0 {
		e := forwardEntry{param: uint16(r.uint()), from: r.uint(), value: r.bytes()}
		if r.bad {
			return errRow
		}
		if !visit(e) {
			return nil
		}
	}
	return nil
}
