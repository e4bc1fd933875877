package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// relearn is how old an issuer's metadata may get before it is fetched anew with
// the keys.
const relearn = time.Hour

// smartPath is where a server says what it offers to SMART apps.
const smartPath = "/.well-known/smart-configuration"

// issuer is one authorization server whose tokens are taken.
type issuer struct {
	name  string // exactly what the claim iss must be
	keys  *remoteKeys
	fetch *fetcher
	clock func() time.Time

	mu       sync.Mutex
	metadata *metadata // nil until the issuer has answered
	learned  time.Time
	smart    *metadata // of its SMART document; nil if it has none

	// Of the fetches of its SMART document, which are one after the other.
	smartDue      time.Time
	smartFailures int // in a row
	logger        *slog.Logger
}

// metadata is what an issuer says about itself.
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
// https://www.rfc-editor.org/rfc/rfc8414#section-2
// https://hl7.org/fhir/smart-app-launch/conformance.html#metadata
type metadata struct {
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	RegistrationEndpoint  string   `json:"registration_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	ManagementEndpoint    string   `json:"management_endpoint"`
	GrantTypes            []string `json:"grant_types_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	Scopes                []string `json:"scopes_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	// Capabilities are those of SMART, from the issuer's own SMART document.
	Capabilities []string `json:"capabilities"`
}

func newIssuer(name string, fetch *fetcher, clock func() time.Time, logger *slog.Logger) *issuer {
	i := &issuer{name: name, fetch: fetch, clock: clock, logger: logger}
	i.keys = newRemoteKeys(name, "its tokens are answered 503", fetch, i.locate, clock, logger)
	return i
}

// CheckIssuer finds out whether a text can be the URL of an issuer,
// https://openid.net/specs/openid-connect-core-1_0.html#IssuerIdentifier. The
// error quotes the text unless it has a user.
func CheckIssuer(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return fmt.Errorf("the issuer %q is not an absolute URL", text)
	case u.User != nil:
		return errors.New("an issuer has a user name or password in its URL: leave it out")
	case strings.ContainsAny(text, "?#"):
		return fmt.Errorf("the issuer %q has a query or a fragment", text)
	case !isSecure(u):
		return fmt.Errorf("the issuer %q is not a URL with https; http is taken only within this machine", text)
	}
	return nil
}

// isSecure reports whether what is fetched from a URL cannot be changed on its
// way: by https, or within this machine.
func isSecure(u *url.URL) bool {
	switch u.Scheme {
	case "https":
		return true
	case "http":
		ip := net.ParseIP(u.Hostname())
		return strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
	}
	return false
}

// known returns what the issuer says about itself, in its SMART document too;
// nil if it has never answered.
func (i *issuer) known() *metadata {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.metadata == nil || i.smart == nil || i.smart.TokenEndpoint != i.metadata.TokenEndpoint {
		return i.metadata // or the SMART document is about another server
	}
	both := *i.metadata
	both.Capabilities = i.smart.Capabilities
	both.Scopes = union(both.Scopes, i.smart.Scopes)
	both.GrantTypes = union(both.GrantTypes, i.smart.GrantTypes)
	both.ChallengeMethods = union(both.ChallengeMethods, i.smart.ChallengeMethods)
	both.TokenAuthMethods = union(both.TokenAuthMethods, i.smart.TokenAuthMethods)
	both.TokenAuthAlgorithms = union(both.TokenAuthAlgorithms, i.smart.TokenAuthAlgorithms)
	if both.ManagementEndpoint == "" {
		both.ManagementEndpoint = i.smart.ManagementEndpoint
	}
	return &both
}

// locate returns where the issuer's keys are, by its metadata, which it fetches
// if it is not fresh.
func (i *issuer) locate(ctx context.Context) (string, error) {
	i.mu.Lock()
	before, learned := i.metadata, i.learned
	i.mu.Unlock()
	if before != nil && i.clock().Sub(learned) < relearn {
		return before.JWKSURI, nil
	}
	found, err := i.discover(ctx)
	switch {
	case err != nil && before != nil:
		return before.JWKSURI, nil // its keys may still be where they were
	case err != nil:
		return "", err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.metadata, i.learned = found, i.clock()
	return found.JWKSURI, nil
}

// discover fetches the issuer's metadata.
func (i *issuer) discover(ctx context.Context) (*metadata, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.fetch.client), i.name)
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return nil, fmt.Errorf("its discovery document is that of the issuer %s; configure exactly that name if you mean it", quoted(mismatch.Discovered))
	}
	if err != nil {
		return nil, err
	}
	var found metadata
	if err := provider.Claims(&found); err != nil {
		return nil, errors.New("its discovery document has members of a wrong type")
	}
	if found.JWKSURI == "" {
		return nil, errors.New("its discovery document has no jwks_uri")
	}
	u, err := url.Parse(found.JWKSURI)
	switch {
	case err != nil || u.Host == "" || u.User != nil || !isSecure(u):
		return nil, errors.New("the jwks_uri of its discovery document is not an absolute URL with https, without user")
	case u.Scheme == "http" && strings.HasPrefix(i.name, "https:"):
		// What answers within this machine is not for others to call.
		return nil, errors.New("the jwks_uri of its discovery document is without https, which the issuer itself has")
	}
	found.Capabilities = nil // only a SMART document has them
	return &found, nil
}

// learnSMART fetches the issuer's SMART document if it is time to, and returns
// when it is again: soon if the issuer did not answer, in an hour if it did, also
// if it has none, as most. It is not for several goroutines.
func (i *issuer) learnSMART(ctx context.Context) (next time.Time) {
	now := i.clock()
	if now.Before(i.smartDue) {
		return i.smartDue
	}
	body, _, err := i.fetch.get(ctx, strings.TrimSuffix(i.name, "/")+smartPath)
	if err != nil && ctx.Err() == nil && !errors.As(err, new(answerError)) {
		i.smartFailures++
		if i.smartFailures == 1 { // not at every try
			i.logger.Warn("cannot get what the issuer offers to apps", "issuer", i.name, "error", err,
				"meanwhile", "smart-configuration has what is known from before and from its discovery document")
		}
		i.smartDue = now.Add(backoff(i.smartFailures))
		return i.smartDue
	}
	i.smartFailures, i.smartDue = 0, now.Add(relearn)
	var smart metadata
	if err != nil || json.Unmarshal(body, &smart) != nil {
		return i.smartDue
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.smart = &smart
	return i.smartDue
}
