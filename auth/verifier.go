package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// MaxClockSkew is the most that clocks may differ: more would keep tokens alive
// that their issuer has ended.
const MaxClockSkew = 5 * time.Minute

// maxVerified is how many verified tokens are kept.
const maxVerified = 2000

// Config is what a Verifier needs. Every field without a stated default is
// required.
type Config struct {
	// Issuers are the authorization servers whose tokens are taken, by the exact
	// text of their claim iss: URLs with https (http only within this machine).
	// The first is the one that clients are sent to.
	Issuers []string
	// Audiences are the values of which a token's claim aud must have one.
	Audiences []string
	// Algorithms are those that tokens may be signed with, of
	// [SignatureAlgorithms]. Default: all of them.
	Algorithms []string
	// ClockSkew is how far the clocks of issuers and of this server may differ:
	// 0 to 5 minutes.
	ClockSkew time.Duration
	// PatientClaim is the claim with the logical id of the patient in context.
	// Default "patient".
	PatientClaim string
	Registry     *search.Registry
	// Base is the absolute URL of this server's FHIR API.
	Base string
	// HTTP fetches metadata and keys. Default: a client of its own. Redirects to
	// other servers are never followed, and every fetch is bounded.
	HTTP   *http.Client
	Clock  func() time.Time
	Logger *slog.Logger
	// OnRefused is told the check that a refused token did not pass; may be nil.
	OnRefused func(check string)
}

// SignatureAlgorithms returns the algorithms that tokens may be signed with, all
// of them with a pair of keys: with HMAC whoever can check a token could make
// one. https://www.rfc-editor.org/rfc/rfc7518#section-3.1
func SignatureAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// Verifier says what the bearer of an access token may do. It may be used by
// many goroutines.
type Verifier struct {
	issuers      []*issuer
	audiences    []string
	algorithms   []string
	skew         time.Duration
	patientClaim string
	registry     *search.Registry
	base         string
	clock        func() time.Time
	logger       *slog.Logger
	onRefused    func(string)
	fetch        *fetcher
	checks       []check
	verified     *lru.Cache[[sha256.Size]byte, verified]
}

// verified is a token that passed all checks.
type verified struct {
	access     search.Access
	issuer     *issuer
	generation uint64 // of the issuer's keys; others may no longer hold the one
	expires    time.Time
}

// New makes a Verifier. It asks nobody anything yet.
func New(cfg Config) (*Verifier, error) {
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = SignatureAlgorithms()
	}
	if cfg.PatientClaim == "" {
		cfg.PatientClaim = "patient"
	}
	if cfg.OnRefused == nil {
		cfg.OnRefused = func(string) {}
	}
	switch {
	case len(cfg.Issuers) == 0:
		return nil, errors.New("auth: an issuer is required")
	case len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, ""):
		return nil, errors.New("auth: an audience is required, and it must not be empty")
	case cfg.Registry == nil || cfg.Clock == nil || cfg.Logger == nil || cfg.Base == "":
		return nil, errors.New("auth: Registry, Base, Clock and Logger are required")
	case cfg.ClockSkew < 0 || cfg.ClockSkew > MaxClockSkew:
		return nil, fmt.Errorf("auth: the clock skew must be from 0 to %s", MaxClockSkew)
	}
	for _, name := range cfg.Algorithms {
		if !slices.Contains(SignatureAlgorithms(), name) {
			return nil, fmt.Errorf("auth: %q cannot be allowed; the signature algorithms are %s", name, strings.Join(SignatureAlgorithms(), ", "))
		}
	}
	v := &Verifier{
		audiences: slices.Clone(cfg.Audiences), algorithms: slices.Clone(cfg.Algorithms),
		skew: cfg.ClockSkew, patientClaim: cfg.PatientClaim, registry: cfg.Registry, base: cfg.Base,
		clock: cfg.Clock, logger: cfg.Logger, onRefused: cfg.OnRefused,
		fetch: newFetcher(cfg.HTTP), checks: checks(),
	}
	for i, name := range cfg.Issuers {
		if err := CheckIssuer(name); err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
		if slices.Contains(cfg.Issuers[:i], name) {
			return nil, fmt.Errorf("auth: the issuer %q is named twice", name)
		}
		v.issuers = append(v.issuers, newIssuer(name, v.fetch, cfg.Clock, cfg.Logger))
	}
	var err error
	v.verified, err = lru.New[[sha256.Size]byte, verified](maxVerified)
	return v, err
}

// Run learns the issuers' metadata and keys and keeps them fresh until ctx ends,
// however long an issuer may be down. Requests do without it, but some have to
// wait then, and [Verifier.Configuration] stays unknown. After it nothing is
// fetched any more.
func (v *Verifier) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, i := range v.issuers {
		running.Go(func() { repeatedly(ctx, v.clock, i.keys.refresh) })
	}
	running.Go(func() { repeatedly(ctx, v.clock, v.issuers[0].learnSMART) })
	running.Wait()
	v.fetch.close()
	return nil
}

// Authorize says what the caller of a request may do, by its bearer token. The
// error is Unauthenticated, Forbidden, or Unavailable if the issuer's keys cannot
// be had; it says no more than what the client can do about it. The log says
// which check failed. It sets WWW-Authenticate as
// https://www.rfc-editor.org/rfc/rfc6750#section-3 wants it.
func (v *Verifier) Authorize(c echo.Context) (search.Access, error) {
	token, err := bearer(c.Request().Header)
	if err != nil {
		v.onRefused("credentials")
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
		return search.Access{}, err
	}
	access, refused := v.access(c.Request().Context(), token)
	if refused == nil {
		return access, nil
	}
	v.report(c.Request().Context(), refused)
	challenge, err := refused.answer()
	if challenge != "" {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, challenge)
	}
	return search.Access{}, err
}

// bearer returns the token of a request, which can stand nowhere but in its only
// Authorization header: in a URL it would get into logs.
func bearer(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return "", fhir.Errorf(fhir.Unauthenticated, "an access token is required: Authorization: Bearer …")
	}
	if len(values) > 1 {
		return "", fhir.Errorf(fhir.Unauthenticated, "there is more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", fhir.Errorf(fhir.Unauthenticated, "an access token is required: Authorization: Bearer …")
	}
	return token, nil
}

// access returns what a token allows, from those that were verified before if it
// is one of them.
func (v *Verifier) access(ctx context.Context, token string) (search.Access, *refusal) {
	if len(token) > maxToken { // not worth hashing
		_, _, refused := v.examine(ctx, token, false)
		return search.Access{}, refused
	}
	digest := sha256.Sum256([]byte(token))
	if known, ok := v.verified.Get(digest); ok && v.clock().Before(known.expires) {
		if generation, err := known.issuer.keys.vouches(ctx); err == nil && generation == known.generation {
			return known.access, nil
		}
	}
	e, _, refused := v.examine(ctx, token, false)
	if refused != nil {
		v.verified.Remove(digest)
		return search.Access{}, refused
	}
	v.verified.Add(digest, verified{access: e.access, issuer: e.issuer, generation: e.generation, expires: e.expires})
	return e.access, nil
}

// report writes the one line that a refused token has in the log.
func (v *Verifier) report(ctx context.Context, r *refusal) {
	v.onRefused(r.check.name)
	attrs := []any{"check", r.check.name}
	if r.issuer != nil {
		attrs = append(attrs, "issuer", r.issuer.name) // as configured
	}
	v.logger.WarnContext(ctx, "access token refused", attrs...)
}

// answer returns what a client is told, and the challenge that goes with it.
func (r *refusal) answer() (challenge string, err error) {
	const expired, invalid = "the access token has expired", "the access token is not valid"
	var unavailable *keysUnavailableError
	switch {
	case errors.As(r.err, &unavailable):
		return "", fhir.Wrap(fhir.Unavailable, r.err, "access tokens cannot be checked at the moment; try again later")
	case r.check.kind == fhir.Forbidden:
		return `Bearer error="insufficient_scope"`, fhir.Errorf(fhir.Forbidden, "the scopes of the access token allow nothing here")
	case errors.As(r.err, new(expiredError)):
		return challengeOf(expired), fhir.Errorf(fhir.Unauthenticated, expired)
	}
	return challengeOf(invalid), fhir.Errorf(fhir.Unauthenticated, invalid)
}

func challengeOf(description string) string {
	return fmt.Sprintf(`Bearer error="invalid_token", error_description=%q`, description)
}
