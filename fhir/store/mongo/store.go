package mongo

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// Options are a store's settings. The zero Options are good defaults.
type Options struct {
	// Database is where the store is. "" means that of the URI, or "starling".
	Database string
	// Indexer makes entries anew when its Hash is not the one the index was
	// made with. Nil: the index is taken as it is.
	Indexer store.Indexer
	// Customize, if set, gives the Indexer to use in its place, for the resources of
	// type SearchParameter that are stored.
	Customize func(stored [][]byte) (store.Indexer, error)
	// Clock gives lastUpdated and the age of cursors. Nil means time.Now.
	Clock func() time.Time
	// Logger hears of the store's health, never of patients. Nil means silence.
	Logger *slog.Logger
	// PageLifetime is how long a search can be paged through, from its first
	// page on. 0 means 15 minutes. All servers of a database need the same.
	PageLifetime time.Duration
	// OnRebuild hears how far a rebuild of the index is, in resource versions,
	// whichever server does it.
	OnRebuild func(done, total int64)
	// MaxCandidates is how many resources one search may sort; beyond that it is
	// TooCostly. 0 means 1,000,000.
	MaxCandidates int
	// Timeout bounds what has no deadline of its own. 0 means 30 seconds.
	Timeout time.Duration
	// ConnectTimeout is how long Open, and everything else, looks for a server
	// before it fails. 0 means 15 seconds: an election mostly takes up to 12, see
	// https://www.mongodb.com/docs/manual/core/replica-set-elections/.
	ConnectTimeout time.Duration
	// Monitor hears of every command. Its events hold patient data.
	Monitor *event.CommandMonitor
	// PoolMonitor hears of connections.
	PoolMonitor *event.PoolMonitor
	// Importing lets Open take the target of a copy that has not ended.
	Importing bool
}

const (
	defaultDatabase       = "starling"
	defaultPageLifetime   = 15 * time.Minute
	defaultMaxCandidates  = 1_000_000
	defaultTimeout        = 30 * time.Second
	defaultConnectTimeout = 15 * time.Second
)

func (o *Options) fill() {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.PageLifetime == 0 {
		o.PageLifetime = defaultPageLifetime
	}
	if o.MaxCandidates == 0 {
		o.MaxCandidates = defaultMaxCandidates
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
}

// Store is a store in one database. Any number of them may use it at once.
type Store struct {
	opts   Options
	log    *slog.Logger
	client *mongo.Client
	db     *mongo.Database
	// The collections as they are read and written alone, and two of them as a
	// page is searched: in one snapshot.
	resources, history, meta *mongo.Collection
	snapshot                 *mongo.Collection
	secret                   []byte
	indexHash                string
	codec                    codec
	gate                     store.Gate

	// queue is where Writes wait for the committer.
	queue chan *pending
	// now is the clock as the committer last saw it; only the committer uses it.
	now clockSeen
	// types are the types of which there ever was a resource, as last seen.
	types atomic.Pointer[[]string]
	stats statistics
	// keptChunk is how many candidates of a range with a Keep one command reads;
	// 0 means as many as the page makes likely. Any number gives the same answers.
	keptChunk int
	// othersLimit is up to how many others a join is answered from their side; 0
	// means maxOthers. Any number gives the same answers.
	othersLimit int

	life    context.Context // ends with Close
	end     context.CancelFunc
	workers sync.WaitGroup
}

// Open connects to the database that a URI names and makes what it lacks. It is
// refused if there are no transactions, if the database is of a newer format and
// if the half copy of another store is in it. If the Indexer has changed, Open
// rebuilds the index before it returns, or waits for the server that does.
//
// Writes are acknowledged by a majority with journal, and reads go to the
// primary, whatever the URI says. Errors never hold the URI's password.
func Open(ctx context.Context, uri string, opts Options) (*Store, error) {
	opts.fill()
	s := &Store{opts: opts, log: opts.Logger, queue: make(chan *pending, maxBatch)}
	if opts.Indexer != nil {
		s.indexHash = opts.Indexer.Hash()
	}
	var err error
	if s.codec, err = newCodec(); err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "preparing compression")
	}
	if err := s.connect(uri); err != nil {
		s.codec.close()
		return nil, err
	}
	s.life, s.end = context.WithCancel(context.Background())
	err = s.start(ctx)
	if err != nil {
		s.end()
		s.disconnect()
		return nil, err
	}
	s.workers.Add(2)
	go s.commits()
	go s.maintain()
	return s, nil
}

// start finds out what the server is and makes the database ready.
func (s *Store) start(ctx context.Context) error {
	if err := s.findServer(ctx); err != nil {
		return err
	}
	if err := s.setUp(ctx); err != nil {
		return err
	}
	if err := s.probe(ctx); err != nil {
		return err
	}
	if err := s.rebuildIfStale(ctx); err != nil {
		return err
	}
	c, err := s.readClock(ctx)
	if err != nil {
		return fault(ctx, err, "reading the clock")
	}
	s.now = clockSeen{clock: *c, trusted: true}
	s.sawTypes(c)
	return s.sampleEntries(ctx)
}

func (s *Store) disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = s.client.Disconnect(ctx) // nothing is under way any more
	s.codec.close()
}

// enter lets a call in and gives it a deadline, so that no command is without one.
func (s *Store) enter(ctx context.Context) (context.Context, func(), error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, nil, err
	}
	if _, has := ctx.Deadline(); has {
		return ctx, s.gate.Leave, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	return ctx, func() { cancel(); s.gate.Leave() }, nil
}

// Ping returns nil if the store can answer.
func (s *Store) Ping(ctx context.Context) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.db.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err(); err != nil {
		if ctx.Err() != nil {
			return store.Cancelled(ctx)
		}
		return fhir.Wrap(fhir.Unavailable, err, "the database does not answer")
	}
	return nil
}

// Close waits for what is under way and closes all connections.
func (s *Store) Close() error {
	if !s.gate.Shut() {
		return fhir.Errorf(fhir.Unavailable, "the store is closed")
	}
	s.end()
	s.workers.Wait()
	s.disconnect()
	return nil
}

// decodeOne decodes the only document of an answer; ok is false if there is none.
func decodeOne(result *mongo.SingleResult, into any) (ok bool, err error) {
	err = result.Decode(into)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return false, nil
	}
	return err == nil, err
}

// ask runs a pipeline whose answer is expected to have up to n documents, so that
// they come in one piece. It tells the server the deadline, which the driver does
// not with what returns a cursor.
func (s *Store) ask(ctx context.Context, c *mongo.Collection, pipeline any, n int) (*mongo.Cursor, error) {
	left := s.opts.Timeout
	if deadline, has := ctx.Deadline(); has {
		left = time.Until(deadline)
	}
	if left <= 0 {
		return nil, context.DeadlineExceeded
	}
	opts := options.Aggregate().SetAllowDiskUse(true).SetBatchSize(int32(min(n+8, 1<<20)))
	opts.SetCustom(bson.M{"maxTimeMS": left.Milliseconds() + 1}) //nolint:staticcheck // the driver has no other way
	return c.Aggregate(ctx, pipeline, opts)
}

var _ store.Store = (*Store)(nil)
