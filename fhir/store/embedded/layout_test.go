package embedded

import (
	"bytes"
	"cmp"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
)

func TestEncodedValuesSortAsValuesAndComeBack(t *testing.T) {
	value := rapid.SliceOf(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xFE, 0xFF}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		x, y := appendValue(nil, a), appendValue(nil, b)
		if bytes.Compare(x, y) != bytes.Compare(a, b) {
			t.Fatalf("%x and %x sort otherwise than %x and %x", x, y, a, b)
		}
		if !bytes.Equal(a, b) && bytes.HasPrefix(x, y) {
			t.Fatalf("%x is a prefix of %x", y, x)
		}
		if got := decodeValue(nil, x); !bytes.Equal(got, a) {
			t.Fatalf("%x comes back as %x", a, got)
		}
	})
}

func TestIndexKeysSortByValueThenDocumentThenTime(t *testing.T) {
	value := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xFF}), 0, 3)
	number := rapid.Uint64Range(0, max48)
	rapid.Check(t, func(t *rapid.T) {
		v, w := value.Draw(t, "v"), value.Draw(t, "w")
		d, e := number.Draw(t, "d"), number.Draw(t, "e")
		x, y := indexKey(nil, 1, 2, v, d, 5), indexKey(nil, 1, 2, w, e, 5)
		want := bytes.Compare(v, w)
		if want == 0 {
			want = cmp.Compare(d, e)
		}
		if got := bytes.Compare(x, y); got != want {
			t.Fatalf("keys of (%x, %d) and (%x, %d) compare as %d, want %d", v, d, w, e, got, want)
		}
		if doc, from := indexTail(x); doc != d || from != 5 {
			t.Fatalf("document %d at %d, want %d at 5", doc, from, d)
		}
	})
}

func TestAfterIsBehindEveryKeyOfAPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "a\x00": "a\x01", "\xff\xff": ""} {
		if got := string(after([]byte(prefix))); got != want {
			t.Errorf("after %q comes %q, want %q", prefix, got, want)
		}
	}
}

// FuzzRows feeds damaged rows to the parsers: they must refuse, not panic.
func FuzzRows(f *testing.F) {
	row := versionRow{t: 7, updated: 9, typ: 1, id: []byte("a"), method: fhir.Update, patients: []string{"p"}, body: fhir.Body{Head: []byte("{"), Tail: []byte("}")}}
	f.Add(row.append(nil))
	f.Add(head{doc: 3, version: 2}.append(nil))
	f.Add(head{doc: 3, version: 5, deleted: true, first: 4}.append(nil))
	f.Add(forwardEntry{param: 1, from: 2, value: []byte("v")}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseVersion(b); err == nil {
			if again, err := parseVersion(v.append(nil)); err != nil || !bytes.Equal(again.body.Tail, v.body.Tail) {
				t.Errorf("a version row does not survive: %v", err)
			}
		}
		if h, err := parseHead(b); err == nil {
			if again, err := parseHead(h.append(nil)); err != nil || again != h {
				t.Errorf("a head does not survive: %v", err)
			}
		}
		_, _, _ = parseVersionTime(b)
		_ = eachForward(b, func(forwardEntry) bool { return true })
		decodeValue(nil, b)
		parseHistoryKey(b)
	})
}

// FuzzCursor feeds cursors of others: none may be taken.
func FuzzCursor(f *testing.F) {
	s := mustOpen(f, Options{FS: vfs.NewMem()})
	genuine, err := s.sealPlace("q", place{t: 1, total: -1, typ: 1, doc: 1})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "AQ", genuine, genuine[1:], genuine + genuine} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		if _, err := s.openPlace(cursor, "other"); fhir.KindOf(err) != fhir.Invalid {
			t.Errorf("cursor %q was taken: %v", cursor, err)
		}
	})
}
