package embedded

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// The first byte of a key says which table a row belongs to. The package
// comment describes the tables.
const (
	tableMeta    = 'm'
	tableType    = 'y'
	tableParam   = 'p'
	tableCount   = 'c'
	tableHead    = 'k'
	tableVersion = 'v'
	tableHistory = 'h'
	tableRecord  = 'r'
	tableForward = 'f'
	tableIndex   = 'x'
	tableQueue   = 'q'
)

// The rows of the meta table.
var (
	metaState  = []byte("mstate")  // t, updated, next document number
	metaSecret = []byte("msecret") // encrypts cursors
	metaIndex  = []byte("mindex")  // the Indexer's hash; absent while the index is being rebuilt
	metaSwept  = []byte("mswept")  // the newest t whose superseded rows are gone
	// metaDefinitions is what the index is kept by, and how far older resources are.
	metaDefinitions = []byte("mdefinitions")
)

// existParam is the parameter every living resource has one empty entry of.
const existParam = 0

// Numbers of 48 bits are enough for document numbers, logical times and
// milliseconds since 1970 (until the year 10889), and two bytes shorter than
// 64 bits in every index row.
const (
	num48Len = 6
	max48    = 1<<48 - 1
	tailLen  = 2 * num48Len // document number and time at the end of an index key
)

func append48(dst []byte, n uint64) []byte {
	return append(dst, byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func read48(b []byte) uint64 {
	_ = b[5]
	return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(b[4])<<8 | uint64(b[5])
}

func append16(dst []byte, n uint16) []byte { return append(dst, byte(n>>8), byte(n)) }

// appendValue appends an entry's value such that encoded values sort as the
// values do and none is a prefix of another: 00 becomes 00 FF, the end is 00 01.
func appendValue(dst, value []byte) []byte {
	for {
		i := bytes.IndexByte(value, 0)
		if i < 0 {
			break
		}
		dst = append(dst, value[:i]...)
		dst = append(dst, 0, 0xFF)
		value = value[i+1:]
	}
	dst = append(dst, value...)
	return append(dst, 0, 1)
}

// decodeValue undoes appendValue, reusing dst's space. It returns nil for what
// appendValue cannot have made.
func decodeValue(dst, enc []byte) []byte {
	if len(enc) < 2 {
		return nil
	}
	enc = enc[:len(enc)-2]
	dst = dst[:0]
	for {
		i := bytes.IndexByte(enc, 0)
		if i < 0 {
			return append(dst, enc...)
		}
		if i+1 >= len(enc) {
			return nil
		}
		dst = append(dst, enc[:i+1]...)
		enc = enc[i+2:]
	}
}

// indexPrefix starts every index key of one parameter of one type.
func indexPrefix(dst []byte, typ, param uint16) []byte {
	return append16(append16(append(dst, tableIndex), typ), param)
}

const indexPrefixLen = 5

// indexKey is one entry of one resource from logical time t on.
func indexKey(dst []byte, typ, param uint16, value []byte, doc, t uint64) []byte {
	return append48(append48(appendValue(indexPrefix(dst, typ, param), value), doc), t)
}

// indexTail returns the document number and the time at the end of a key.
func indexTail(key []byte) (doc, from uint64) {
	n := len(key) - tailLen
	return read48(key[n:]), read48(key[n+num48Len:])
}

// liveAt reports whether an index row that began at from, with the row's value
// holding its end, if any, counts at logical time t.
func liveAt(from uint64, value []byte, t uint64) bool {
	return from <= t && (len(value) < num48Len || t < read48(value))
}

func headKey(dst []byte, typ uint16, id string) []byte {
	return append(append16(append(dst, tableHead), typ), id...)
}

// versionKey sorts a document's versions newest first.
func versionKey(dst []byte, doc uint64, version int64) []byte {
	return append48(append48(append(dst, tableVersion), doc), max48-uint64(version))
}

// forwardKey sorts a document's forward rows newest first.
func forwardKey(dst []byte, doc, t uint64) []byte {
	return append48(append48(append(dst, tableForward), doc), max48-t)
}

// historyPrefix starts every history key of one type.
func historyPrefix(dst []byte, typ uint16) []byte { return append16(append(dst, tableHistory), typ) }

// recordPrefix starts every history key of one type in one patient's record.
func recordPrefix(dst []byte, typ uint16, patient string) []byte {
	return appendValue(append16(append(dst, tableRecord), typ), []byte(patient))
}

// appendPlace appends to a prefix what sorts versions by time, id and version.
// Ids hold no byte below '-', so a zero byte ends them in order.
func appendPlace(dst []byte, ms uint64, id string, version int64) []byte {
	dst = append(append(append48(dst, ms), id...), 0)
	return append48(dst, uint64(version))
}

func historyKey(dst []byte, typ uint16, ms uint64, id string, version int64) []byte {
	return appendPlace(historyPrefix(dst, typ), ms, id, version)
}

func recordKey(dst []byte, typ uint16, patient string, ms uint64, id string, version int64) []byte {
	return appendPlace(recordPrefix(dst, typ, patient), ms, id, version)
}

func parseHistoryKey(key []byte) (ms uint64, id []byte, version int64, ok bool) {
	const prefix = 1 + 2
	if len(key) < prefix {
		return 0, nil, 0, false
	}
	return parsePlace(key[prefix:])
}

// parsePlace undoes appendPlace. The id shares b's memory.
func parsePlace(b []byte) (ms uint64, id []byte, version int64, ok bool) {
	end := len(b) - num48Len
	if end < num48Len+1 {
		return 0, nil, 0, false
	}
	return read48(b), b[num48Len : end-1], int64(read48(b[end:])), true
}

func countKey(dst []byte, typ uint16) []byte { return append16(append(dst, tableCount), typ) }

func queueKey(dst []byte, t uint64) []byte { return append48(append(dst, tableQueue), t) }

// after returns the first key behind all keys that start with prefix.
func after(prefix []byte) []byte {
	end := slices.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xFF {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// reader takes a row apart. Its first failure sticks and shows in ok.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.uint()
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func appendBytes[T ~[]byte | ~string](dst []byte, b T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}
