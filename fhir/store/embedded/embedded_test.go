package embedded

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

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
		"never gather": {maxStreams: 1, firstProbe: 1, probeGrowth: 2, lastProbe: 1, sortGather: 0, sortScan: 1 << 20},
		"give up":      {maxStreams: 2, firstProbe: 2, probeGrowth: 2, lastProbe: 8, sortGather: 2, sortScan: 3},
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
