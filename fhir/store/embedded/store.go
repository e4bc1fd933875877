package embedded

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// Options are a store's settings. The zero Options are good defaults.
type Options struct {
	// Indexer makes entries anew when its Hash is not the one the index was
	// made with. Nil: the index is taken as it is.
	Indexer store.Indexer
	// Customize, if set, gives the Indexer to use, for the resources of type
	// SearchParameter that are stored.
	Customize func(stored [][]byte) (store.Indexer, error)
	// Clock gives lastUpdated and the age of cursors. Nil means time.Now.
	Clock func() time.Time
	// Logger hears of the store's health, never of patients. Nil means silence.
	Logger *slog.Logger
	// FS is where the folder is. Nil means the disk.
	FS vfs.FS
	// NoSync acknowledges writes before they are durable. For tests only.
	NoSync bool
	// PageLifetime is how long a search can be paged through, from its first
	// page on. 0 means 15 minutes.
	PageLifetime time.Duration
	// Importing opens the target of a copy that has not ended too. Only a program
	// that goes on with it sets this; see store.Archive.
	Importing bool
	// OnRebuild hears how far a rebuild of the index is, in resource versions.
	OnRebuild func(done, total int64)
	// CacheBytes is the size of the block cache. 0 means 64 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one write buffer; up to four exist while
	// loading. 0 means 32 MiB.
	MemTableBytes uint64
	// MaxCandidates is how many resources one search may sort when the index
	// does not give their order; beyond that it is TooCostly. 0 means 1,000,000.
	// To find what matches it may look at 200,000 one by one (see tuning).
	MaxCandidates int
}

const (
	defaultPageLifetime  = 15 * time.Minute
	defaultCacheBytes    = 64 << 20
	defaultMemTableBytes = 32 << 20
	defaultMaxCandidates = 1_000_000
)

// Store is a store in one folder. One process at a time may have it open.
type Store struct {
	opts   Options
	log    *slog.Logger
	db     *pebble.DB
	lock   io.Closer
	write  *pebble.WriteOptions
	types  *names
	params *names
	secret []byte

	tuning tuning
	gate   store.Gate
	disk   diskGuard
	// visible is what readers see: the newest durable moment.
	visible atomic.Pointer[moment]
	// nextDoc is the next free document number.
	nextDoc atomic.Uint64
	// swept is the newest t whose superseded rows may be gone. Snapshots
	// before it cannot be read any more.
	swept atomic.Uint64

	// commit is the serial section of Write and guards the fields below.
	commit  sync.Mutex
	newest  *moment
	changed map[uint16]uint64 // per type, the t of its last change since Open
	recent  recent
	failed  error // of the log; no write is possible after it
	// reindexedAt is the logical time of the last change of index rows that was no
	// write: what was prepared before is not to be trusted.
	reindexedAt uint64

	defs       atomic.Pointer[definitions] // changes with the commit lock held
	reindexing chan struct{}               // holds who makes entries anew

	sweeping sync.Mutex
	stop     chan struct{}
	workers  sync.WaitGroup
}

// moment is a state of the store. It is never changed once made.
type moment struct {
	t       uint64
	updated int64   // lastUpdated of t in milliseconds
	counts  []int64 // living resources by type number
}

func (m *moment) count(typ uint16) int64 {
	if int(typ) >= len(m.counts) {
		return 0
	}
	return m.counts[typ]
}

// Open opens the store in a folder and makes it if the folder is absent or
// empty. Another process that has it open, a folder of something else and one
// of a newer format are refused. If the Indexer has changed, Open rebuilds the
// index before it returns.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.PageLifetime == 0 {
		opts.PageLifetime = defaultPageLifetime
	}
	if opts.CacheBytes == 0 {
		opts.CacheBytes = defaultCacheBytes
	}
	if opts.MemTableBytes == 0 {
		opts.MemTableBytes = defaultMemTableBytes
	}
	if opts.MaxCandidates == 0 {
		opts.MaxCandidates = defaultMaxCandidates
	}

	s := &Store{
		opts:    opts,
		log:     opts.Logger,
		write:   pebble.Sync,
		tuning:  defaultTuning(),
		changed: map[uint16]uint64{},
		stop:    make(chan struct{}),

		reindexing: make(chan struct{}, 1),
	}
	if opts.NoSync {
		s.write = pebble.NoSync
	}
	lock, err := claimFolder(opts.FS, dir)
	if err != nil {
		return nil, err
	}
	s.lock = lock
	cfg := s.config(opts)
	cfg.Lock = lock
	if opts.FS == vfs.Default {
		cfg.FS = nil // pebble's own default also notices a slow disk
	}
	s.db, err = pebble.Open(databaseFolder(opts.FS, dir), cfg)
	if err != nil {
		return nil, errors.Join(unreadable(err, "the store in %s cannot be opened", dir), lock.Close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(unreadable(err, "the store in %s cannot be read", dir), s.db.Close(), lock.Close())
	}
	if err := s.refuseHalfCopy(dir); err != nil {
		return nil, errors.Join(err, s.db.Close(), lock.Close())
	}
	if err := s.upgrade(dir); err != nil {
		return nil, errors.Join(err, s.db.Close(), lock.Close())
	}
	if err := s.customize(); err != nil {
		return nil, errors.Join(err, s.db.Close(), lock.Close())
	}
	if err := s.rebuildIfStale(); err != nil {
		return nil, errors.Join(err, s.db.Close(), lock.Close())
	}
	if err := s.loadDefinitions(); err != nil {
		return nil, errors.Join(err, s.db.Close(), lock.Close())
	}
	s.disk.watch(opts.FS, dir)
	s.disk.look()
	s.workers.Add(1)
	go s.maintain()
	return s, nil
}

// config says how pebble keeps its tables. Lower levels, which hold nearly all
// data, are compressed with zstd; bloom filters spare reads of absent keys.
func (s *Store) config(opts Options) *pebble.Options {
	cfg := &pebble.Options{
		FS:                          opts.FS,
		CacheSize:                   opts.CacheBytes,
		MemTableSize:                opts.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		FormatMajorVersion:          pebble.FormatNewest,
		L0CompactionThreshold:       2,
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },
		Logger:                      pebbleLogger{s.log},
		EventListener:               healthEvents(s.log),
	}
	cfg.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	for i := range cfg.Levels {
		cfg.Levels[i].BlockSize = 8 << 10
		cfg.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return cfg
}

// load reads what is kept in memory and makes what a new store lacks.
func (s *Store) load() error {
	var err error
	if s.types, err = loadNames(s.db, tableType, s.write); err != nil {
		return err
	}
	if s.params, err = loadNames(s.db, tableParam, s.write); err != nil {
		return err
	}
	if s.secret, err = s.meta(metaSecret); err != nil {
		return err
	}
	if s.secret == nil {
		s.secret = make([]byte, 32)
		if _, err := rand.Read(s.secret); err != nil {
			return err
		}
		if err := s.db.Set(metaSecret, s.secret, s.write); err != nil {
			return err
		}
	}

	now := &moment{}
	state, err := s.meta(metaState)
	if err != nil {
		return err
	}
	if state != nil {
		r := reader{b: state}
		now.t, now.updated = r.uint(), int64(r.uint())
		s.nextDoc.Store(r.uint())
		if r.bad {
			return errRow
		}
	}
	if now.counts, err = s.loadCounts(); err != nil {
		return err
	}
	swept, err := s.meta(metaSwept)
	if err != nil {
		return err
	}
	if len(swept) == num48Len {
		s.swept.Store(read48(swept))
	}
	s.newest = now
	s.recent = newRecent(now.t)
	s.visible.Store(now)
	return nil
}

func (s *Store) loadCounts() ([]int64, error) {
	counts := make([]int64, len(s.types.known.Load().names))
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableCount}, UpperBound: []byte{tableCount + 1}})
	if err != nil {
		return nil, err
	}
	for it.First(); it.Valid(); it.Next() {
		r := reader{b: it.Value()}
		n := r.uint()
		if len(it.Key()) != 3 || r.bad {
			return nil, errors.Join(errRow, it.Close())
		}
		typ := binary.BigEndian.Uint16(it.Key()[1:])
		if int(typ) >= len(counts) {
			return nil, errors.Join(errRow, it.Close())
		}
		counts[typ] = int64(n)
	}
	return counts, it.Close()
}

func stateRow(m *moment, nextDoc uint64) []byte {
	row := binary.AppendUvarint(nil, m.t)
	row = binary.AppendUvarint(row, uint64(m.updated))
	return binary.AppendUvarint(row, nextDoc)
}

// meta returns a copy of a row, or nil if there is none.
func (s *Store) meta(key []byte) ([]byte, error) { return get(s.db, key) }

// get returns a copy of a row, or nil if there is none.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := append([]byte{}, value...)
	return out, closer.Close()
}

// Ping returns nil if the store can answer.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if _, err := s.meta(metaState); err != nil {
		return unreadable(err, "the store cannot be read")
	}
	return nil
}

// Close waits for what is under way and releases the folder.
func (s *Store) Close() error {
	if !s.gate.Shut() {
		return fhir.Errorf(fhir.Unavailable, "the store is closed")
	}
	close(s.stop)
	s.workers.Wait()
	var flushed error
	if s.failed == nil {
		flushed = s.db.Flush() // so that the next Open has no log to replay
	}
	if err := errors.Join(flushed, s.db.Close(), s.lock.Close()); err != nil {
		return fhir.Wrap(fhir.Internal, err, "closing the store")
	}
	return nil
}

// Compact rewrites the folder to its smallest and fastest form. It takes about
// as long as loading the data did; reads and writes go on meanwhile.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if err := s.db.Flush(); err != nil {
		return s.internal(ctx, err, "flushing the store")
	}
	if err := s.db.Compact(ctx, []byte{0}, []byte{0xFF}, true); err != nil {
		return s.internal(ctx, err, "compacting the store")
	}
	return nil
}

// Stats says how much a store holds.
type Stats struct {
	Resources map[string]int64 // living resources by type
	DiskBytes uint64           // all files, those about to be removed too
	Time      uint64           // logical time: how many writes changed something
}

// Stats returns figures of the moment.
func (s *Store) Stats() Stats {
	now := s.visible.Load()
	stats := Stats{Resources: map[string]int64{}, Time: now.t}
	for typ, n := range now.counts {
		if n > 0 {
			stats.Resources[s.types.name(uint16(typ))] = n
		}
	}
	if s.gate.Enter(context.Background()) == nil {
		stats.DiskBytes = s.db.Metrics().DiskSpaceUsage()
		s.gate.Leave()
	}
	return stats
}

// internal turns an error of pebble's, or of the context, into ours.
func (s *Store) internal(ctx context.Context, err error, doing string) error {
	if ctx.Err() != nil {
		return store.Cancelled(ctx)
	}
	var known *fhir.Error
	if errors.As(err, &known) {
		return err
	}
	return unreadable(err, "%s", doing)
}

// unreadable makes an error of one of pebble's. A damaged folder and a full
// disk are told apart from faults of ours, because people can act on them.
func unreadable(err error, format string, args ...any) error {
	doing := fmt.Sprintf(format, args...)
	switch {
	case pebble.IsCorruptionError(err) || errors.Is(err, errRow):
		return fhir.Wrap(fhir.Unavailable, err, "%s: the folder is damaged; restore it from a backup", doing)
	case vfs.IsNoSpaceError(err):
		return fhir.Wrap(fhir.Unavailable, err, "%s: the disk is full", doing)
	}
	return fhir.Wrap(fhir.Internal, err, "%s", doing)
}

var _ store.Store = (*Store)(nil)
