package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/starling-fhir/starling/auth/authtest"
)

// signed returns a token by a key, and the public key as JSON.
func signed(t *testing.T, algorithm jose.SignatureAlgorithm, key any, public any, id string) (token string, jwk string) {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err = jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: id})
	if err != nil {
		t.Fatal(err)
	}
	return token, string(text)
}

func TestKeysOfEveryAlgorithm(t *testing.T) {
	rsaKey := otherKey(t)
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve := func(c elliptic.Curve) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ecKeys := map[string]*ecdsa.PrivateKey{"ES256": curve(elliptic.P256()), "ES384": curve(elliptic.P384()), "ES512": curve(elliptic.P521())}
	for _, algorithm := range SignatureAlgorithms() {
		var key, public any = rsaKey, &rsaKey.PublicKey
		if ec := ecKeys[algorithm]; ec != nil {
			key, public = ec, &ec.PublicKey
		}
		if algorithm == "EdDSA" {
			key, public = edKey, edPublic
		}
		token, jwk := signed(t, jose.SignatureAlgorithm(algorithm), key, public, "a+b/c=")
		set, skipped, err := parseKeySet([]byte(`{"keys":[` + jwk + `]}`))
		if err != nil || len(skipped) > 0 {
			t.Fatalf("%s: %v %v", algorithm, err, skipped)
		}
		if _, err := set.verify(token, []string{algorithm}); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		others := slices.DeleteFunc(SignatureAlgorithms(), func(name string) bool { return name == algorithm })
		if _, err := set.verify(token, others); err == nil {
			t.Errorf("%s is accepted although it is not allowed", algorithm)
		}
		for _, other := range others {
			rsaPair := strings.ContainsAny(algorithm[:1], "RP") && strings.ContainsAny(other[:1], "RP")
			if fits(set.keys[0], other) != rsaPair {
				t.Errorf("a key for %s fits %s: %v", algorithm, other, !rsaPair)
			}
		}
	}
}

func TestKeySets(t *testing.T) {
	good := otherKey(t)
	token, jwk := signed(t, jose.RS256, good, &good.PublicKey, "k1")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	sized := func(bits int) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), bits-1, 1), E: 65537}
	}
	public := func(key jose.JSONWebKey) string {
		text, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	with := func(more string) string { return strings.TrimSuffix(jwk, "}") + "," + more + "}" }
	for _, test := range []struct {
		name string
		keys []string
		want error // of verifying the token
		says string
	}{
		{"the key", []string{jwk}, nil, ""},
		{"for signatures by this algorithm", []string{with(`"use":"sig","alg":"RS256"`)}, nil, ""},
		{"unknown members", []string{with(`"x-note":{"a":1}`)}, nil, ""},
		{"for another algorithm", []string{with(`"alg":"RS384"`)}, errNoKey, ""},
		{"for encryption", []string{with(`"use":"enc"`)}, errNoKey, "not for signatures"},
		{"to verify", []string{with(`"key_ops":["verify"]`)}, nil, ""},
		{"to encrypt", []string{with(`"key_ops":["encrypt","wrapKey"]`)}, errNoKey, "do not have verify"},
		{"what it is for is no list", []string{with(`"key_ops":"verify"`)}, errNoKey, "key_ops"},
		{
			"junk beside it",
			[]string{`{}`, `7`, `"x"`, `null`, `[]`, `{"kty":"RSA"}`, `{"kty":"AKP","alg":"?"}`, `{"kty":"OKP","crv":"X25519","x":"AA"}`, `{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`, jwk},
			nil, "keys[0]",
		},
		{"a weak key", []string{public(jose.JSONWebKey{Key: &weak.PublicKey, KeyID: "k1"})}, errNoKey, "1024 bits"},
		{"a key of the largest size", []string{public(jose.JSONWebKey{Key: sized(maxRSABits), KeyID: "k1"})}, errSignature, ""},
		{"a larger key", []string{public(jose.JSONWebKey{Key: sized(maxRSABits + 1), KeyID: "k1"})}, errNoKey, "RSA key of more than 4096 bits"},
		{"a private key", []string{public(jose.JSONWebKey{Key: good, KeyID: "k1"})}, errNoKey, "secret key"},
		{"a symmetric key", []string{`{"kty":"oct","kid":"k1","k":"AAAA"}`}, errNoKey, "secret key"},
		{"an id without end", []string{public(jose.JSONWebKey{Key: &good.PublicKey, KeyID: strings.Repeat("k", maxKeyIDLen+1)})}, errNoKey, "its id is too long"},
		{"another key of its id in front", []string{public(jose.JSONWebKey{Key: &otherKey(t).PublicKey, KeyID: "k1"}), jwk}, nil, ""},
		{"another key under its id", []string{public(jose.JSONWebKey{Key: &otherKey(t).PublicKey, KeyID: "k1"})}, errSignature, ""},
		{"too many keys of its id", []string{jwk, jwk, jwk, jwk, jwk}, errNoKey, ""},
		{"no keys", nil, errNoKey, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, skipped, err := parseKeySet([]byte(`{"keys":[` + strings.Join(test.keys, ",") + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := set.verify(token, []string{"RS256", "RS384"}); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if text := strings.Join(skipped, "\n"); !strings.Contains(text, test.says) || test.says == "" && text != "" {
				t.Errorf("skipped %q, want %q", text, test.says)
			}
		})
	}
}

func TestWhatIsNoKeySet(t *testing.T) {
	for _, text := range []string{"", "x", "[]", "{}", `{"keys":{}}`, `{"keys":null}`, `null`} {
		if _, _, err := parseKeySet([]byte(text)); err == nil {
			t.Errorf("%q is taken for a key set", text)
		}
	}
}

func TestWithoutKeyIDOnlyOneKeyMayFit(t *testing.T) {
	one, two := otherKey(t), otherKey(t)
	token, first := signed(t, jose.RS256, one, &one.PublicKey, "")
	_, second := signed(t, jose.RS256, two, &two.PublicKey, "b")
	for keys, want := range map[string]error{first: nil, first + "," + second: errNoKey, second: errSignature} {
		set, _, err := parseKeySet([]byte(`{"keys":[` + keys + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set.verify(token, []string{"RS256"}); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
}

// TestTheOrderOfKeysIsNoChange is about issuers that publish their keys in
// another order each time.
func TestTheOrderOfKeysIsNoChange(t *testing.T) {
	one, two := otherKey(t), otherKey(t)
	_, first := signed(t, jose.RS256, one, &one.PublicKey, "a")
	_, second := signed(t, jose.RS256, two, &two.PublicKey, "b")
	digest := func(keys ...string) [32]byte {
		set, _, err := parseKeySet([]byte(`{"keys":[` + strings.Join(keys, ",") + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		return set.digest
	}
	if digest(first, second) != digest(second, first) {
		t.Error("another order counts as other keys")
	}
	if digest(first) == digest(first, second) || digest(first) == digest(strings.Replace(first, `"a"`, `"c"`, 1)) {
		t.Error("other keys or ids count as the same")
	}
}

func TestKeysStayFreshAsLongAsTheySay(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                            maxFresh,
		"max-age=60":                  time.Minute,
		"public, max-age=60, x":       time.Minute,
		"Max-Age=\"60\"":              time.Minute,
		"max-age=0":                   minFresh,
		"max-age=-5":                  minFresh,
		"max-age=-9999999999999999":   minFresh, // in nanoseconds more than an int
		"max-age=99999999999999999":   maxFresh,
		"max-age=9999999999999999999": maxFresh, // more than an int
		"max-age=x":                   maxFresh,
		"no-store":                    minFresh,
		"max-age=60, no-cache":        minFresh,
	} {
		if got := freshness(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	i.Handle(authtest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "%s", i.KeySet())
	})
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{0, 1}, {59 * time.Second, 1}, {time.Second, 2}, {30 * time.Second, 2}} {
		s.clock.Advance(step.wait)
		if err := s.bearer(i.Token(claims())); err != nil {
			t.Fatal(err)
		}
		if n := i.Requests(authtest.KeysPath); n != step.want {
			t.Errorf("%d fetches after another %s, want %d", n, step.wait, step.want)
		}
	}
}

// TestKeysThatAreNotUsed: the log says which of the published keys are not used,
// and why, once.
func TestKeysThatAreNotUsed(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	i.Handle(authtest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Replace(string(i.KeySet()), `{"keys":[`, `{"keys":[{"kty":"oct","kid":"a","k":"c2Vuc2l0aXZl"},`, 1))
	})
	for range 3 {
		if err := s.bearer(i.Token(claims())); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(maxFresh)
	}
	if text := s.logs.String(); strings.Count(text, `"a published key is not used"`) != 1 || !strings.Contains(text, `"reason":"keys[0]: it is a secret key`) {
		t.Errorf("the log does not say it once:\n%s", text)
	}
	s.neverLogged("c2Vuc2l0aXZl")
}

// TestKeysThatCameMeanwhile: who looked at older keys than those that are there
// makes nobody ask for newer ones.
func TestKeysThatCameMeanwhile(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	if err := s.bearer(i.Token(claims())); err != nil {
		t.Fatal(err)
	}
	keys := s.issuers[0].keys
	set, changed, err := keys.renewed(t.Context(), keys.generation-1)
	if err != nil || !changed || len(set.keys) == 0 || i.Requests(authtest.KeysPath) != 1 {
		t.Errorf("changed %v, %d keys, error %v, %d fetches", changed, len(set.keys), err, i.Requests(authtest.KeysPath))
	}
}

func TestFailuresMakeTheNextTryWait(t *testing.T) {
	last := time.Duration(0)
	for failures := 1; failures < 100; failures++ {
		wait := backoff(failures)
		if wait < minRetry || wait > maxRetry || wait < last {
			t.Fatalf("after %d failures: %s", failures, wait)
		}
		last = wait
	}
	if last != maxRetry {
		t.Errorf("after many failures: %s", last)
	}
}

func TestFixedKeys(t *testing.T) {
	key := otherKey(t)
	token, jwk := signed(t, jose.RS256, key, &key.PublicKey, "a")
	keys, err := newStaticKeys([]byte(`{"keys":[` + jwk + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.verify(t.Context(), token, []string{"RS256"}); err != nil {
		t.Error(err)
	}
	for _, text := range []string{`{"keys":[]}`, fmt.Sprintf(`{"keys":[%s,{}]}`, jwk), "x"} {
		if _, err := newStaticKeys([]byte(text)); err == nil {
			t.Errorf("%.20s… is taken", text)
		}
	}
}
