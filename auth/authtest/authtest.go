// Package authtest has an OpenID Connect issuer for tests: a real HTTP server
// with discovery, a key set and signatures, which can rotate its keys, go down
// or be slow. It signs whatever it is asked to, so only tests may use it.
//
// https://openid.net/specs/openid-connect-discovery-1_0.html
package authtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// The paths an issuer answers at.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	KeysPath      = "/keys"
)

// Issuer is an OpenID Connect issuer. Its methods may be called at any time from
// any goroutine.
type Issuer struct {
	tb     testing.TB
	server *httptest.Server
	closed chan struct{}

	mu       sync.Mutex
	now      func() time.Time
	current  keys
	retired  []jose.JSONWebKey // no longer sign, still published
	rotation int
	down     bool
	slow     time.Duration
	handlers map[string]http.HandlerFunc
	requests map[string]int
}

// keys are the private keys of one rotation by the name of their family.
type keys map[string]jose.JSONWebKey

// families gives each algorithm the family of its key.
var families = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384",
}

// NewIssuer starts an issuer, which ends with the test.
func NewIssuer(tb testing.TB) *Issuer {
	tb.Helper()
	i := &Issuer{
		tb: tb, now: time.Now, closed: make(chan struct{}),
		handlers: make(map[string]http.HandlerFunc), requests: make(map[string]int),
	}
	i.handlers[DiscoveryPath] = i.discovery
	i.handlers[KeysPath] = i.publish
	i.current = i.newKeys()
	i.server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	i.server.Start() // what serves reads i.server, so it must be set before
	tb.Cleanup(i.Close)
	return i
}

// Close ends the server; later requests are refused by the operating system.
func (i *Issuer) Close() {
	i.mu.Lock()
	select {
	case <-i.closed:
		i.mu.Unlock()
		return
	default:
		close(i.closed)
	}
	i.mu.Unlock()
	i.server.Close()
}

// URL is the issuer's name: what the claim iss must be.
func (i *Issuer) URL() string { return i.server.URL }

// KeysURL is where the key set is.
func (i *Issuer) KeysURL() string { return i.server.URL + KeysPath }

// Clock replaces the clock by which [Issuer.Token] fills in iat and exp.
func (i *Issuer) Clock(now func() time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = now
}

// Rotate makes new keys. Those before remain published until [Issuer.Retire].
func (i *Issuer) Rotate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, key := range i.current {
		i.retired = append(i.retired, key.Public())
	}
	i.current = i.newKeys()
}

// Retire withdraws all keys but the present ones.
func (i *Issuer) Retire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.retired = nil
}

// SetDown makes the issuer break off every connection, or serve again.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// SetSlow makes every answer wait; 0 makes the issuer fast again.
func (i *Issuer) SetSlow(wait time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.slow = wait
}

// Handle serves a path by a function of the test's own. DiscoveryPath and
// KeysPath can be replaced too; nil brings back what was there.
func (i *Issuer) Handle(path string, handler http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case handler != nil:
		i.handlers[path] = handler
	case path == DiscoveryPath:
		i.handlers[path] = i.discovery
	case path == KeysPath:
		i.handlers[path] = i.publish
	default:
		delete(i.handlers, path)
	}
}

// Requests returns how many requests there have been for a path.
func (i *Issuer) Requests(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

// KeySet returns the published key set as JSON.
func (i *Issuer) KeySet() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	set := jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{}, i.retired...)}
	for _, family := range []string{"RSA", "P-256", "P-384"} {
		key := i.current[family]
		set.Keys = append(set.Keys, key.Public())
	}
	return i.json(set)
}

// Metadata returns the discovery document as the issuer serves it.
func (i *Issuer) Metadata() map[string]any {
	return map[string]any{
		"issuer":                                i.URL(),
		"authorization_endpoint":                i.URL() + "/authorize",
		"token_endpoint":                        i.URL() + "/token",
		"jwks_uri":                              i.KeysURL(),
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"grant_types_supported":                 []string{"authorization_code", "client_credentials"},
		"code_challenge_methods_supported":      []string{"S256", "plain"},
		"id_token_signing_alg_values_supported": []string{"RS256", "RS384", "ES256", "ES384"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "private_key_jwt"},
	}
}

// Public returns the public key that belongs to an algorithm.
func (i *Issuer) Public(algorithm string) jose.JSONWebKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := i.current[families[algorithm]]
	return key.Public()
}

// Option changes how a token is made.
type Option func(*recipe)

type recipe struct {
	algorithm string
	keyID     *string
	header    map[string]any
	key       any
	payload   []byte
}

// Algorithm signs with RS256 (the default), RS384, RS512, PS256, PS384, PS512,
// ES256 or ES384.
func Algorithm(name string) Option { return func(r *recipe) { r.algorithm = name } }

// KeyID puts another kid into the header; "" leaves it out.
func KeyID(id string) Option { return func(r *recipe) { r.keyID = &id } }

// Header puts a member into the header; it wins over what would be there.
func Header(name string, value any) Option { return func(r *recipe) { r.header[name] = value } }

// SignedWith signs with another key: an *rsa.PrivateKey, an *ecdsa.PrivateKey,
// or bytes for an HMAC.
func SignedWith(key any) Option { return func(r *recipe) { r.key = key } }

// Payload is signed as it is, instead of claims.
func Payload(bytes []byte) Option { return func(r *recipe) { r.payload = bytes } }

// Token returns a signed token. Without other claims iss is the issuer, sub is
// "user-1", iat is now and exp is in five minutes; the claims given win, and a
// nil claim is left out.
func (i *Issuer) Token(claims map[string]any, options ...Option) string {
	i.tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	r := recipe{algorithm: "RS256", header: make(map[string]any)}
	for _, option := range options {
		option(&r)
	}
	key := i.current[families[r.algorithm]]
	if r.key == nil {
		r.key = key.Key
	}
	header := map[string]any{"typ": "JWT", "alg": r.algorithm, "kid": key.KeyID}
	if r.keyID != nil {
		header["kid"] = *r.keyID
	}
	if header["kid"] == "" {
		delete(header, "kid")
	}
	maps.Copy(header, r.header)
	if r.payload == nil {
		now := i.now().Unix()
		all := map[string]any{"iss": i.server.URL, "sub": "user-1", "iat": now, "exp": now + 300}
		maps.Copy(all, claims)
		for name, value := range all {
			if value == nil {
				delete(all, name)
			}
		}
		r.payload = i.json(all)
	}
	input := encode(i.json(header)) + "." + encode(r.payload)
	return input + "." + encode(i.sign(r.algorithm, r.key, []byte(input)))
}

// Signed reports whether a token has the signature of one of the present keys. It
// looks at nothing else.
func (i *Issuer) Signed(token string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	var algorithms []jose.SignatureAlgorithm
	for name := range families {
		algorithms = append(algorithms, jose.SignatureAlgorithm(name))
	}
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return false
	}
	for _, key := range i.current {
		if _, err := jws.Verify(key.Public()); err == nil {
			return true
		}
	}
	return false
}

// Unsigned returns a token with the algorithm "none".
func (i *Issuer) Unsigned(claims map[string]any) string {
	token := i.Token(claims, Header("alg", "none"))
	for at := len(token) - 1; ; at-- {
		if token[at] == '.' {
			return token[:at+1]
		}
	}
}

// sign signs by https://www.rfc-editor.org/rfc/rfc7518#section-3 as go-jose does
// it, but any algorithm with any header.
func (i *Issuer) sign(algorithm string, key any, input []byte) []byte {
	i.tb.Helper()
	sum := crypto.SHA256
	switch algorithm[len(algorithm)-3:] {
	case "384":
		sum = crypto.SHA384
	case "512":
		sum = crypto.SHA512
	}
	h := sum.New()
	h.Write(input)
	switch key := key.(type) {
	case []byte:
		return hmacOf(sum, key, input)
	case *rsa.PrivateKey:
		signature, err := signRSA(algorithm, key, sum, h.Sum(nil))
		i.must(err)
		return signature
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		i.must(err)
		size := (key.Curve.Params().BitSize + 7) / 8
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out
	}
	i.tb.Fatalf("authtest: no key for the algorithm %q", algorithm)
	return nil
}

// newKeys makes a key of each family. Their ids hold the characters that
// base64 has and URLs do not like, as those of large EHRs do.
func (i *Issuer) newKeys() keys {
	i.rotation++
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	i.must(err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	i.must(err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	i.must(err)
	out := make(keys)
	for family, key := range map[string]any{"RSA": rsaKey, "P-256": p256, "P-384": p384} {
		out[family] = jose.JSONWebKey{Key: key, KeyID: fmt.Sprintf("%s+%d/key=", family, i.rotation), Use: "sig"}
	}
	return out
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests[r.URL.Path]++
	down, slow, handler := i.down, i.slow, i.handlers[r.URL.Path]
	i.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
			return
		case <-i.closed:
			return
		}
	}
	switch {
	case down:
		panic(http.ErrAbortHandler) // breaks the connection off
	case handler == nil:
		http.NotFound(w, r)
	default:
		handler(w, r)
	}
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(i.json(i.Metadata())) // a client that went away
}

func (i *Issuer) publish(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(i.KeySet())
}

func (i *Issuer) json(v any) []byte {
	b, err := json.Marshal(v)
	i.must(err)
	return b
}

func (i *Issuer) must(err error) {
	if err != nil {
		i.tb.Fatalf("authtest: %v", err)
	}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
