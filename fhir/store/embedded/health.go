package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
)

// pebbleLogger hands pebble's own words on. They name files and errors, never
// keys or values.
type pebbleLogger struct{ log *slog.Logger }

func (l pebbleLogger) Infof(format string, args ...any) {
	if !l.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	l.log.Debug("pebble", "text", fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("pebble", "text", fmt.Sprintf(format, args...))
}

// Fatalf must not return: pebble calls it when going on would lose data, for
// instance when the log cannot be written. The process ends by a panic, after
// saying why.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.log.Error("the store must stop so as not to lose data", "text", text)
	panic("store: " + text)
}

// healthEvents logs what an operator should know of.
func healthEvents(log *slog.Logger) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) { log.Error("store: background work failed and will be tried again", "error", err) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Error("store: a file is damaged; restore the folder from a backup", "file", info.Path)
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			log.Warn("store: the disk is slow", "operation", info.OpType.String(), "took", info.Duration)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			log.Warn("store: writes wait for the disk", "reason", info.Reason)
		},
		WriteStallEnd: func() { log.Info("store: writes go on") },
	}
}

// minFreeBytes is the space on disk below which writes are refused: pebble
// needs some to tidy up, and a full disk would stop it for good.
const minFreeBytes = 128 << 20

// diskGuard knows whether there is space to write.
type diskGuard struct {
	fs   vfs.FS
	dir  string
	full atomic.Bool
}

func (d *diskGuard) watch(fs vfs.FS, dir string) { d.fs, d.dir = fs, dir }

// look asks the file system. One that cannot say is never full.
func (d *diskGuard) look() {
	usage, err := d.fs.GetDiskUsage(d.dir)
	d.full.Store(err == nil && usage.AvailBytes < minFreeBytes)
}

func (d *diskGuard) check() error {
	if d.full.Load() {
		return fhir.Errorf(fhir.Unavailable, "the disk of the store is full: less than %d MiB are free", minFreeBytes>>20)
	}
	return nil
}
