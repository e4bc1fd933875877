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
		s, err := Open("/store", Options{FS: vfs.NewMem(), Clock: clock, PageLifetime: storetest.PageLifetime})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}
