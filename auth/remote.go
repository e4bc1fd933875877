package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How long fetched keys are used.
const (
	// A set is fetched anew when its Cache-Control says so, but not before
	// minFresh and not after maxFresh, which is also what counts without one. So
	// a withdrawn key verifies nothing after maxFresh.
	minFresh = 30 * time.Second
	maxFresh = 5 * time.Minute
	// keepWhileDown is how long keys are used when they cannot be fetched anew.
	keepWhileDown = 4 * time.Hour
	// After a failure the next try waits from minRetry to maxRetry.
	minRetry = time.Second
	maxRetry = 30 * time.Second
	// Keys that are not in the set make it be fetched anew at once, but not more
	// than unknownBurst times in a row and then once in unknownEvery.
	unknownEvery = 10 * time.Second
	unknownBurst = 3
)

// errAllWithdrawn is the outcome of a fetch that worked and brought no key: the
// party has withdrawn those it had.
var errAllWithdrawn = errors.New("the JWK set has no key that can be used")

// keysUnavailableError says that a party's keys cannot be had at the moment, so
// that a token can be neither accepted nor refused.
type keysUnavailableError struct {
	party string // as configured
	cause error
}

// Error returns the text for the log.
func (e *keysUnavailableError) Error() string {
	return fmt.Sprintf("the keys of %s cannot be had: %v", e.party, e.cause)
}

// Unwrap returns the cause.
func (e *keysUnavailableError) Unwrap() error { return e.cause }

// remoteKeys is the key set of one party that is fetched over HTTP and kept.
type remoteKeys struct {
	party  string // for the log: the configured name of whose keys they are
	denied string // for the log: what becomes of its tokens without keys
	fetch  *fetcher
	locate func(ctx context.Context) (url string, err error)
	clock  func() time.Time
	logger *slog.Logger

	mu         sync.Mutex
	set        keySet
	generation uint64 // 0 as long as there has been no set
	fetched    time.Time
	freshUntil time.Time
	flight     *flight // nil if nothing is being fetched
	failures   int     // since the last success
	retryAt    time.Time
	err        error  // of the last fetch
	meanwhile  string // what the log said last of a failure
	unknown    *rate.Limiter
}

// newRemoteKeys makes the cache of a key set. denied says for the log what becomes
// of the party's tokens without keys. locate says where the set is; it is called
// at every fetch, within the fetch's time.
func newRemoteKeys(party, denied string, fetch *fetcher, locate func(context.Context) (string, error), clock func() time.Time, logger *slog.Logger) *remoteKeys {
	return &remoteKeys{
		party: party, denied: denied, fetch: fetch, locate: locate, clock: clock, logger: logger,
		unknown: rate.NewLimiter(rate.Every(unknownEvery), unknownBurst),
	}
}

// at is the locate of a fixed address.
func at(url string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return url, nil }
}

// verify is what [keySource] says. A key that is not in the set, or does not
// verify, may be new: the set is then fetched anew, a bounded number of times.
func (k *remoteKeys) verify(ctx context.Context, token string, algorithms []string) ([]byte, error) {
	set, generation, err := k.present(ctx)
	if err != nil {
		return nil, err
	}
	payload, refused := set.verify(token, algorithms)
	if !errors.Is(refused, errNoKey) && !errors.Is(refused, errSignature) {
		return payload, refused
	}
	newer, changed, err := k.renewed(ctx, generation)
	switch {
	case err != nil && errors.Is(refused, errNoKey):
		return nil, err // it may be the new key of a party that is down
	case err != nil || !changed:
		return nil, refused
	}
	return newer.verify(token, algorithms)
}

// vouches is what [keySource] says.
func (k *remoteKeys) vouches(ctx context.Context) (uint64, error) {
	_, generation, err := k.present(ctx)
	return generation, err
}

// present returns the keys to verify with now. It fetches them if they are not
// fresh, and returns those it has if that fails.
func (k *remoteKeys) present(ctx context.Context) (keySet, uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock()
	if now.Before(k.freshUntil) {
		return k.set, k.generation, nil
	}
	if k.flight != nil || !now.Before(k.retryAt) {
		// Nobody waits for a party that is down while its keys still count.
		k.await(ctx, !k.usable(now) || k.failures == 0)
	}
	if k.usable(k.clock()) {
		return k.set, k.generation, nil
	}
	return keySet{}, 0, k.unavailable()
}

// renewed returns the keys after they were fetched anew because generation did
// not do; changed is false if there are no other ones.
func (k *remoteKeys) renewed(ctx context.Context, generation uint64) (set keySet, changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.generation != generation {
		return k.set, true, nil
	}
	now := k.clock()
	switch {
	case k.flight == nil && k.failures > 0 && now.Before(k.retryAt):
		return keySet{}, false, k.unavailable()
	case k.flight == nil && !k.unknown.AllowN(now, 1):
		return k.set, false, nil
	}
	k.await(ctx, true)
	if k.generation == generation && (k.failures > 0 || k.flight != nil) {
		return keySet{}, false, k.unavailable()
	}
	return k.set, k.generation != generation, nil
}

// refresh fetches the keys, if nobody is at it, waits for them, and returns when
// they should be fetched anew without being asked for. What fails is in the log.
func (k *remoteKeys) refresh(ctx context.Context) (next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.await(ctx, true)
	if k.failures > 0 {
		return k.retryAt
	}
	// Before they cease to be fresh, so that no request has to wait for them.
	return k.freshUntil.Add(-k.freshUntil.Sub(k.fetched) / 5)
}

// await starts a fetch if there is none and may wait for it. k.mu is held before
// and after, not meanwhile.
func (k *remoteKeys) await(ctx context.Context, wait bool) {
	if k.flight == nil {
		// The fetch ends with land, which takes k.mu: it cannot overtake.
		if k.flight = k.fetch.start(k.load); k.flight == nil {
			k.failures++
			k.err = errors.New("the server is shutting down")
			return
		}
	}
	if !wait {
		return
	}
	fl := k.flight
	k.mu.Unlock()
	fl.wait(ctx)
	k.mu.Lock()
}

// load is one fetch.
func (k *remoteKeys) load(ctx context.Context) {
	url, err := k.locate(ctx)
	var body []byte
	var header http.Header
	if err == nil {
		body, header, err = k.fetch.get(ctx, url)
	}
	var set keySet
	var skipped []string
	if err == nil {
		set, skipped, err = parseKeySet(body)
	}
	if err == nil && len(set.keys) == 0 {
		err = errAllWithdrawn
		if len(skipped) > 0 {
			err = fmt.Errorf("%w: %s", err, skipped[0])
		}
	}
	k.land(set, skipped, header, err)
}

// land takes the outcome of a fetch over.
func (k *remoteKeys) land(set keySet, skipped []string, header http.Header, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock()
	k.flight = nil
	k.err = err
	if err != nil {
		if errors.Is(err, errAllWithdrawn) { // nothing is down: those kept must not be used any longer
			k.fetched, k.freshUntil = time.Time{}, time.Time{}
		}
		k.failures++
		k.retryAt = now.Add(backoff(k.failures))
		meanwhile := k.denied
		if k.usable(now) {
			meanwhile = "the known keys are used until " + k.fetched.Add(keepWhileDown).UTC().Format(time.RFC3339)
		}
		if k.failures == 1 || meanwhile != k.meanwhile { // not at every try
			k.logger.Warn("cannot get keys", "party", k.party, "error", err, "meanwhile", meanwhile)
		}
		k.meanwhile = meanwhile
		return
	}
	if k.failures > 0 {
		k.logger.Info("have keys again", "party", k.party)
	}
	k.failures = 0
	k.fetched, k.freshUntil = now, now.Add(freshness(header))
	k.retryAt = time.Time{}
	if k.generation == 0 || set.digest != k.set.digest {
		k.set = set
		k.generation++
		k.logger.Info("have new keys", "party", k.party, "keys", len(set.keys))
		for _, reason := range skipped[:min(len(skipped), 10)] {
			k.logger.Warn("a published key is not used", "party", k.party, "reason", reason)
		}
	}
}

// usable reports whether there are keys that count, fresh or not. k.mu is held.
func (k *remoteKeys) usable(now time.Time) bool {
	return k.generation != 0 && now.Sub(k.fetched) < keepWhileDown
}

// unavailable says why there are no keys. k.mu is held.
func (k *remoteKeys) unavailable() error {
	cause := k.err
	if cause == nil {
		cause = errors.New("no answer yet")
	}
	return &keysUnavailableError{party: k.party, cause: cause}
}

// repeatedly calls do, and again at the time it returns, until ctx ends. What a
// clock says can be off by hours, so the pause is bounded: do may be called before
// its time.
func repeatedly(ctx context.Context, clock func() time.Time, do func(context.Context) (next time.Time)) {
	for ctx.Err() == nil {
		next := do(ctx)
		pause := time.NewTimer(min(max(next.Sub(clock()), minRetry), maxFresh))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// backoff returns how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	return min(minRetry<<min(failures-1, 10), maxRetry)
}

// freshness returns how long an answer is fresh.
// https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2
func freshness(header http.Header) time.Duration {
	fresh := maxFresh
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			fresh = 0
		case "max-age":
			if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && seconds < int(fresh/time.Second) {
				fresh = time.Duration(max(seconds, 0)) * time.Second
			}
		}
	}
	return max(fresh, minFresh)
}
