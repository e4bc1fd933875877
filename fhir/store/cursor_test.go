package store_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

func sealer() store.Sealer {
	return store.Sealer{Secret: bytes.Repeat([]byte("s"), 32), Mark: 3, Size: 16}
}

// TestSealer: what was sealed comes back, and no two cursors of one place are
// alike but in their length.
func TestSealer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "place")
		identity := rapid.String().Draw(t, "identity")
		one, err := sealer().Seal(identity, place)
		if err != nil {
			t.Fatal(err)
		}
		two, err := sealer().Seal(identity, place)
		if err != nil || one == two || len(one) != sealer().Len() || len(two) != sealer().Len() {
			t.Fatalf("%s and %s (%v)", one, two, err)
		}
		if got, err := sealer().Open(one, identity); err != nil || !bytes.Equal(got, place) {
			t.Fatalf("%x (%v), want %x", got, err, place)
		}
		at := rapid.IntRange(0, len(one)-1).Draw(t, "altered")
		altered := []byte(one)
		altered[at] ^= 1
		if got, err := sealer().Open(string(altered), identity); fhir.KindOf(err) != fhir.Invalid {
			t.Fatalf("altered at %d: %x, %v", at, got, err)
		}
	})
}

func TestSealerRefuses(t *testing.T) {
	good, err := sealer().Seal("mine", make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	other, mark, size := sealer(), sealer(), sealer()
	other.Secret, mark.Mark, size.Size = bytes.Repeat([]byte("x"), 32), 4, 17
	tests := []struct {
		name     string
		sealer   store.Sealer
		cursor   string
		identity string
	}{
		{"nothing", sealer(), "", "mine"},
		{"another query's", sealer(), good, "yours"},
		{"another store's", other, good, "mine"},
		{"another layout's", mark, good, "mine"},
		{"one of another length", size, good, "mine"},
		{"one cut short", sealer(), good[:len(good)-1], "mine"},
		{"one with padding", sealer(), good + "=", "mine"},
		{"what is no base64", sealer(), "!" + good[1:], "mine"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if place, err := test.sealer.Open(test.cursor, test.identity); err == nil || fhir.KindOf(err) != fhir.Invalid {
				t.Errorf("%x, %v", place, err)
			}
		})
	}
}
