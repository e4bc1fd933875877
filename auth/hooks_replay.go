package auth

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// mostUsed is how many used tokens of an issuer are remembered: 290 calls a
// second with tokens of 15 minutes. It takes some 20 MB at most.
const mostUsed = 1 << 18

// sweepEvery is how often used tokens that have expired are forgotten.
const sweepEvery = time.Minute

// The reasons for which a token cannot be used.
var (
	errUsed       = errors.New("it was used before: each call needs a token of its own, with its own jti")
	errTooLate    = errors.New("it expired meanwhile")
	errTooManyOne = errors.New("too many tokens of this issuer are alive at once to tell whether this one was used before; they should live for a shorter time")
)

// usedTokens remembers the ids of an issuer's tokens that were used, each until
// the token expires. It is in memory only: a restart forgets them, and so does
// not know another process.
type usedTokens struct {
	most int

	mu    sync.Mutex
	until map[[16]byte]time.Time // by a hash of the id
	sweep time.Time              // when to forget those that have expired
}

func newUsedTokens(most int) *usedTokens {
	return &usedTokens{most: most, until: make(map[[16]byte]time.Time)}
}

func (u *usedTokens) key(id string) [16]byte {
	sum := sha256.Sum256([]byte(id))
	return [16]byte(sum[:16])
}

// use marks a token as used. Of several at once only one succeeds. Nothing is
// forgotten before it has expired: when there is no room, the error is
// errTooManyOne.
func (u *usedTokens) use(id string, until time.Time, clock func() time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := clock() // within the lock: what was forgotten cannot be used again
	if !now.Before(until) {
		return errTooLate
	}
	if !now.Before(u.sweep) || len(u.until) >= u.most {
		u.forget(now)
	}
	key := u.key(id)
	before, known := u.until[key]
	if known && now.Before(before) {
		return errUsed
	}
	if !known && len(u.until) >= u.most {
		return errTooManyOne
	}
	u.until[key] = until
	return nil
}

// peek says whether a token was used, without using it.
func (u *usedTokens) peek(id string, clock func() time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if until, used := u.until[u.key(id)]; used && clock().Before(until) {
		return errUsed
	}
	return nil
}

// forget drops those that have expired. It looks at all of them, so it runs once
// in sweepEvery; when there is no room, once in a second.
func (u *usedTokens) forget(now time.Time) {
	if wait := u.sweep.Sub(now); wait > sweepEvery-time.Second && wait <= sweepEvery {
		return // it has just been done
	}
	for key, until := range u.until {
		if !now.Before(until) {
			delete(u.until, key)
		}
	}
	u.sweep = now.Add(sweepEvery)
}
