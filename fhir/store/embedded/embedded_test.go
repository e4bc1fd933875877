package embedded

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/fhir/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(tb testing.TB, clock func() time.Time) store.Store {
		return openTuned(tb, clock, defaultTuning())
	})
}

// TestStoreWithEveryPlan passes the same suite on plans that small stores
// would not get.
func TestStoreWithEveryPlan(t *testing.T) {
	for name, tuning := range map[string]tuning{
		"never gather": {maxStreams: 1, firstProbe: 1, probeGrowth: 2, lastProbe: 1, patience: 1 << 30, sortGather: 0, sortScan: 1 << 20},
		"give up":      {maxStreams: 2, firstProbe: 2, probeGrowth: 2, lastProbe: 8, patience: 1, sortGather: 2, sortScan: 3},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(tb testing.TB, clock func() time.Time) store.Store {
				return openTuned(tb, clock, tuning)
			})
		})
	}
}

func openTuned(tb testing.TB, clock func() time.Time, tuning tuning) *Store {
	s, err := Open("/store", Options{FS: vfs.NewMem(), Clock: clock, PageLifetime: storetest.PageLifetime})
	if err != nil {
		tb.Fatal(err)
	}
	s.tuning = tuning
	return s
}

// TestCloseLeavesNoLog checks that a clean stop leaves nothing to replay, which
// is what makes the next start quick.
func TestCloseLeavesNoLog(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	body := fhir.Body{Head: []byte(`{"resourceType":"Patient","meta":{`), Tail: append([]byte(`},"note":"`), append(bytes.Repeat([]byte("x"), 100_000), `"}`...)...)}
	if _, err := s.Write(t.Context(), []store.Change{{Key: fhir.Key{Type: "Patient", ID: "p1"}, Method: fhir.Create, Body: body}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	replayed := 0
	db, err := pebble.Open(filepath.Join(dir, "db"), &pebble.Options{
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             pebbleLogger{slog.New(slog.DiscardHandler)},
		EventListener:      &pebble.EventListener{TableCreated: func(pebble.TableCreateInfo) { replayed++ }},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if replayed > 0 {
		t.Errorf("opening it again replayed a log into %d tables", replayed)
	}
}
