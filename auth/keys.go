package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
)

// Bounds of a key set. Sets of real parties have one to ten keys.
const (
	maxKeys     = 500
	maxSameID   = 4    // keys of one id that are tried
	minRSABits  = 2048 // https://www.rfc-editor.org/rfc/rfc7518#section-3.3
	maxRSABits  = 4096 // go-jose reads no larger ones
	maxKeyIDLen = 1024
)

// The reasons for which a key set does not vouch for a token.
var (
	errNoKey     = errors.New("no key of this id fits the algorithm")
	errSignature = errors.New("the signature is not by the key of this id")
)

// keySource has the public keys of one party.
type keySource interface {
	// verify returns the payload of a token in the compact form if one of the
	// keys has signed it by one of the algorithms. The error is errNoKey,
	// errSignature, a *keysUnavailableError if the keys cannot be had, or says
	// why the token cannot be read.
	verify(ctx context.Context, token string, algorithms []string) (payload []byte, err error)
	// vouches returns a number that changes whenever the keys do, so that a
	// verified token can be kept as long as the keys that verified it. The error
	// is a *keysUnavailableError.
	vouches(ctx context.Context) (generation uint64, err error)
}

// keySet is a JWK set, https://www.rfc-editor.org/rfc/rfc7517#section-5, of the
// keys in it that can verify signatures.
type keySet struct {
	keys []jose.JSONWebKey
	byID map[string][]jose.JSONWebKey
	// digest is the same for the same keys, in whatever order they come.
	digest [sha256.Size]byte
}

// parseKeySet reads a JWK set. Keys that cannot verify signatures, or must not,
// are left out; skipped has a reason for each, which names the key by its place.
func parseKeySet(doc []byte) (set keySet, skipped []string, err error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(doc, &raw); err != nil {
		return keySet{}, nil, errors.New("this is not a JWK set: it is not a JSON object with a list of keys")
	}
	if raw.Keys == nil {
		return keySet{}, nil, errors.New(`this is not a JWK set: it has no "keys"`)
	}
	if len(raw.Keys) > maxKeys {
		return keySet{}, nil, fmt.Errorf("the JWK set has %d keys; %d are allowed", len(raw.Keys), maxKeys)
	}
	set.byID = make(map[string][]jose.JSONWebKey, len(raw.Keys))
	var prints [][]byte
	for at, text := range raw.Keys {
		key, err := parseKey(text)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("keys[%d]: %v", at, err))
			continue
		}
		print, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("keys[%d]: it has no thumbprint", at))
			continue
		}
		set.keys = append(set.keys, key)
		set.byID[key.KeyID] = append(set.byID[key.KeyID], key)
		prints = append(prints, fmt.Appendf(nil, "%x %q %q\n", print, key.KeyID, key.Algorithm))
	}
	slices.SortFunc(prints, slices.Compare)
	set.digest = sha256.Sum256(slices.Concat(prints...))
	return set, skipped, nil
}

// parseKey reads one key. The error never quotes it.
func parseKey(text []byte) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(text); err != nil {
		if errors.Is(err, jose.ErrUnsupportedKeyType) {
			return key, errors.New("its type is not known")
		}
		return key, fmt.Errorf("it cannot be read, or is an RSA key of more than %d bits", maxRSABits)
	}
	// go-jose does not read this member, https://www.rfc-editor.org/rfc/rfc7517#section-4.3.
	var purpose struct {
		Ops []string `json:"key_ops"`
	}
	if err := json.Unmarshal(text, &purpose); err != nil {
		return key, errors.New("its key_ops are not a list of texts")
	}
	switch {
	case key.Use != "" && key.Use != "sig":
		return key, errors.New("it is not for signatures")
	case len(purpose.Ops) > 0 && !slices.Contains(purpose.Ops, "verify"):
		return key, errors.New("its key_ops do not have verify")
	case len(key.KeyID) > maxKeyIDLen:
		return key, errors.New("its id is too long")
	case !key.IsPublic():
		return key, errors.New("it is a secret key, which must not be here: replace the pair and publish only the public key")
	case !key.Valid():
		return key, errors.New("it is not valid")
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key, fmt.Errorf("it has %d bits; %d to %d are allowed", bits, minRSABits, maxRSABits)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return key, errors.New("its type is not known")
	}
	key.Certificates = nil // not needed, and large
	return key, nil
}

// fits reports whether a key can make signatures of an algorithm.
// https://www.rfc-editor.org/rfc/rfc7518#section-3.1
func fits(key jose.JSONWebKey, algorithm string) bool {
	if key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm] == k.Curve.Params().Name
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// candidates returns the keys that may have made a signature: those of the id
// that fit the algorithm; without an id the only one that fits, since a set of
// several must be told apart by ids,
// https://openid.net/specs/openid-connect-core-1_0.html#Signing.
func (s keySet) candidates(id, algorithm string) []jose.JSONWebKey {
	among := s.keys
	if id != "" {
		among = s.byID[id]
	}
	var out []jose.JSONWebKey
	for _, key := range among {
		if fits(key, algorithm) {
			out = append(out, key)
		}
	}
	if id == "" && len(out) > 1 || len(out) > maxSameID {
		return nil
	}
	return out
}

// verify is what [keySource] says, without ever asking anybody.
func (s keySet) verify(token string, algorithms []string) ([]byte, error) {
	allowed := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, name := range algorithms {
		allowed[i] = jose.SignatureAlgorithm(name)
	}
	jws, err := jose.ParseSignedCompact(token, allowed)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errors.New("it is not a signed token in the compact form, or its algorithm is not allowed")
	}
	head := jws.Signatures[0].Protected
	candidates := s.candidates(head.KeyID, head.Algorithm)
	if len(candidates) == 0 {
		return nil, errNoKey
	}
	for i := range candidates {
		// A key embedded in the header is never looked at.
		if payload, err := jws.Verify(candidates[i].Key); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}

// staticKeys are keys that were agreed on beforehand and do not change.
type staticKeys struct{ keySet }

// newStaticKeys reads a JWK set of which every key must be usable.
func newStaticKeys(doc []byte) (staticKeys, error) {
	set, skipped, err := parseKeySet(doc)
	switch {
	case err != nil:
		return staticKeys{}, err
	case len(skipped) > 0:
		return staticKeys{}, fmt.Errorf("the JWK set has a key that cannot be used: %s", skipped[0])
	case len(set.keys) == 0:
		return staticKeys{}, errors.New("the JWK set has no keys")
	}
	return staticKeys{set}, nil
}

func (s staticKeys) verify(_ context.Context, token string, algorithms []string) ([]byte, error) {
	return s.keySet.verify(token, algorithms)
}

func (s staticKeys) vouches(context.Context) (uint64, error) { return 1, nil }
