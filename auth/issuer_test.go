package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-fhir/starling/auth/authtest"
	"github.com/starling-fhir/starling/fhir"
)

func TestRotatedKeys(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	before := i.Token(claims("exp", s.clock.Now().Unix()+86400))
	if err := s.bearer(before); err != nil {
		t.Fatal(err)
	}
	i.Rotate()
	if err := s.bearer(i.Token(claims())); err != nil {
		t.Errorf("a token by the new key is refused: %v", err)
	}
	if err := s.bearer(before); err != nil {
		t.Errorf("a token by the old key, which is still published, is refused: %v", err)
	}
	i.Retire()
	s.clock.Advance(maxFresh)
	if err := s.bearer(before); fhir.KindOf(err) != fhir.Unauthenticated || s.lastRefused() != "signature" {
		t.Errorf("a kept token by a withdrawn key: %v", err)
	}
	if err := s.bearer(i.Token(claims())); err != nil {
		t.Errorf("a token by the remaining key is refused: %v", err)
	}
}

// TestAllKeysWithdrawn is about an issuer whose keys have become known to others:
// what it publishes then counts, unlike an error.
func TestAllKeysWithdrawn(t *testing.T) {
	for name, set := range map[string]string{
		"no keys": `{"keys":[]}`, "only keys for something else": `{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			i := authtest.NewIssuer(t)
			s := newSite(t, nil, i)
			kept := i.Token(claims("exp", s.clock.Now().Unix()+86400))
			if err := s.bearer(kept); err != nil {
				t.Fatal(err)
			}
			i.Handle(authtest.KeysPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, set) })
			s.clock.Advance(maxFresh)
			for range 2 { // the second does not ask again
				for what, token := range map[string]string{"a kept token": kept, "a new token": i.Token(claims())} {
					if err := s.bearer(token); fhir.KindOf(err) != fhir.Unavailable {
						t.Errorf("%s by a withdrawn key: %v", what, err)
					}
				}
			}
			i.SetDown(true) // it does not bring them back
			s.clock.Advance(maxRetry)
			if err := s.bearer(kept); fhir.KindOf(err) != fhir.Unavailable {
				t.Errorf("when it is down: %v", err)
			}
			i.SetDown(false)
			i.Rotate()
			i.Retire()
			i.Handle(authtest.KeysPath, nil)
			s.clock.Advance(maxRetry)
			if err := s.bearer(i.Token(claims())); err != nil {
				t.Errorf("with new keys: %v", err)
			}
			if err := s.bearer(kept); fhir.KindOf(err) != fhir.Unauthenticated {
				t.Errorf("a kept token when there are new keys: %v", err)
			}
			if text := s.logs.String(); !strings.Contains(text, "no key that can be used") || !strings.Contains(text, "its tokens are answered 503") || strings.Contains(text, "are used until") {
				t.Errorf("the log does not say it:\n%s", s.logs)
			}
		})
	}
}

// TestMetadataThatAreGone: keys are fetched from where they were when the
// metadata cannot be had any more.
func TestMetadataThatAreGone(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	if err := s.bearer(i.Token(claims())); err != nil {
		t.Fatal(err)
	}
	i.Handle(authtest.DiscoveryPath, http.NotFound)
	i.Rotate()
	i.Retire()
	s.clock.Advance(relearn)
	if err := s.bearer(i.Token(claims())); err != nil || i.Requests(authtest.DiscoveryPath) != 2 {
		t.Errorf("error %v after %d requests for the metadata", err, i.Requests(authtest.DiscoveryPath))
	}
}

// TestKeysReplacedUnderTheirID is about issuers that give their new key the old
// one's id.
func TestKeysReplacedUnderTheirID(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	id := i.Public("RS256").KeyID
	if err := s.bearer(i.Token(claims())); err != nil {
		t.Fatal(err)
	}
	i.Rotate()
	i.Handle(authtest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
		key := i.Public("RS256")
		key.KeyID = id
		text, _ := key.MarshalJSON()
		fmt.Fprintf(w, `{"keys":[%s]}`, text)
	})
	if err := s.bearer(i.Token(claims(), authtest.KeyID(id))); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestUnknownKeysAreAskedForAtABoundedRate(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	for n := range 50 {
		if err := s.bearer(i.Token(claims(), authtest.KeyID(fmt.Sprint("unknown", n)))); fhir.KindOf(err) != fhir.Unauthenticated {
			t.Fatalf("an unknown key: %v", err)
		}
	}
	if n := i.Requests(authtest.KeysPath); n != 1+unknownBurst {
		t.Errorf("%d fetches, want %d", n, 1+unknownBurst)
	}
	s.clock.Advance(unknownEvery)
	for range 5 {
		if s.bearer(i.Token(claims(), authtest.KeyID("unknown"))) == nil {
			t.Error("an unknown key is accepted")
		}
	}
	if n := i.Requests(authtest.KeysPath); n != 2+unknownBurst {
		t.Errorf("%d fetches after a while, want %d", n, 2+unknownBurst)
	}
}

func TestNothingIsFetchedForOthers(t *testing.T) {
	i, stranger := authtest.NewIssuer(t), authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	stranger.Clock(s.clock.Now)
	for _, token := range []string{
		stranger.Token(claims()),
		stranger.Token(claims(), authtest.Header("jku", stranger.KeysURL()), authtest.Header("x5u", stranger.KeysURL())),
		i.Token(claims("iss", stranger.URL())),
	} {
		if err := s.bearer(token); fhir.KindOf(err) != fhir.Unauthenticated || s.lastRefused() != "issuer" {
			t.Errorf("a token of an issuer that is not configured: %v", err)
		}
		s.Inspect(t.Context(), token)
	}
	stolen := stranger.Token(claims("iss", i.URL()), authtest.Header("jku", stranger.KeysURL()))
	if err := s.bearer(stolen); fhir.KindOf(err) != fhir.Unauthenticated || s.lastRefused() != "signature" {
		t.Errorf("a token in the name of a configured issuer: %v", err)
	}
	if n := stranger.Requests(authtest.KeysPath) + stranger.Requests(authtest.DiscoveryPath); n != 0 {
		t.Errorf("the stranger was asked %d times", n)
	}
}

func TestTwoIssuersShareAKeyID(t *testing.T) {
	one, two := authtest.NewIssuer(t), authtest.NewIssuer(t)
	s := newSite(t, nil, one, two)
	if one.Public("ES384").KeyID != two.Public("ES384").KeyID {
		t.Fatal("the issuers of this test should share their key ids")
	}
	for _, i := range []*authtest.Issuer{one, two} {
		if err := s.bearer(i.Token(claims(), authtest.Algorithm("ES384"))); err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	if err := s.bearer(one.Token(claims("iss", two.URL()))); s.lastRefused() != "signature" || err == nil {
		t.Errorf("a key of the other issuer: %v", err)
	}
}

func TestAnIssuerThatIsDownAtStart(t *testing.T) {
	i := authtest.NewIssuer(t)
	i.SetDown(true)
	s := newSite(t, nil, i)
	_, header, err := s.authorize("Bearer " + i.Token(claims()))
	if fhir.KindOf(err) != fhir.Unavailable || header.Get("WWW-Authenticate") != "" || s.lastRefused() != "keys" {
		t.Errorf("while it is down: %v", err)
	}
	var shown *fhir.Error
	if errors.As(err, &shown) && strings.Contains(shown.Message, i.URL()) {
		t.Errorf("the client is told where the issuer is: %s", shown.Message)
	}
	if r := s.Inspect(t.Context(), i.Token(claims())); r.OK() || !strings.Contains(fmt.Sprint(r.Checks), "cannot be had") {
		t.Errorf("the report does not say it: %+v", r)
	}
	asked := i.Requests(authtest.DiscoveryPath)
	for range 100 {
		if s.bearer(i.Token(claims())) == nil {
			t.Error("accepted without keys")
		}
	}
	if n := i.Requests(authtest.DiscoveryPath); n != asked {
		t.Errorf("100 requests within a moment made it be asked %d times", n-asked)
	}
	if n := strings.Count(s.logs.String(), "cannot get keys"); n != 1 {
		t.Errorf("the log says %d times that the keys cannot be had, want once:\n%s", n, s.logs)
	}
	if !strings.Contains(s.logs.String(), `"meanwhile":"its tokens are answered 503"`) {
		t.Errorf("the log does not say what that means:\n%s", s.logs)
	}
	i.SetDown(false)
	s.clock.Advance(maxRetry)
	if err := s.bearer(i.Token(claims())); err != nil {
		t.Errorf("when it is up again: %v", err)
	}
}

func TestAnIssuerThatIsDownLater(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	long := i.Token(claims("exp", s.clock.Now().Unix()+30*86400))
	if err := s.bearer(long); err != nil {
		t.Fatal(err)
	}
	i.SetDown(true)
	s.clock.Advance(keepWhileDown - time.Minute)
	if err := s.bearer(long); err != nil {
		t.Errorf("a kept token while the issuer is down: %v", err)
	}
	if err := s.bearer(i.Token(claims())); err != nil {
		t.Errorf("a new token while the issuer is down: %v", err)
	}
	until := s.clock.Now().Add(time.Minute).Format(time.RFC3339)
	if !strings.Contains(s.logs.String(), `"meanwhile":"the known keys are used until `+until+`"`) || strings.Contains(s.logs.String(), "503") {
		t.Errorf("the log does not say that the known keys are used until %s:\n%s", until, s.logs)
	}
	asked := i.Requests(authtest.KeysPath)
	for range 20 {
		if err := s.bearer(i.Token(claims(), authtest.KeyID("new"))); fhir.KindOf(err) != fhir.Unavailable {
			t.Errorf("a key that is not known while the issuer is down: %v", err)
		}
	}
	if n := i.Requests(authtest.KeysPath) - asked; n > 1 {
		t.Errorf("20 requests within a moment made the issuer be asked %d times", n)
	}
	if err := s.bearer(i.Token(claims(), authtest.SignedWith(otherKey(t)))); fhir.KindOf(err) != fhir.Unauthenticated {
		t.Errorf("a wrong signature while the issuer is down: %v", err)
	}
	s.clock.Advance(time.Minute)
	for _, token := range []string{long, i.Token(claims())} {
		if err := s.bearer(token); fhir.KindOf(err) != fhir.Unavailable {
			t.Errorf("after the keys ceased to count: %v", err)
		}
	}
	if !strings.Contains(s.logs.String(), `"meanwhile":"its tokens are answered 503"`) || strings.Count(s.logs.String(), "cannot get keys") != 2 {
		t.Errorf("the log does not say, once, that the keys ceased to count:\n%s", s.logs)
	}
	i.SetDown(false)
	s.clock.Advance(maxRetry)
	if err := s.bearer(long); err != nil {
		t.Errorf("when the issuer is up again: %v", err)
	}
}

// within answers as issuers do, without a network, so that a test can have a time
// of its own.
type within func(*http.Request) (*http.Response, error)

// RoundTrip is [http.RoundTripper].
func (w within) RoundTrip(req *http.Request) (*http.Response, error) { return w(req) }

// documents answers with what an issuer publishes.
func documents(i *authtest.Issuer, req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	switch req.URL.Path {
	case authtest.DiscoveryPath:
		if err := json.NewEncoder(rec).Encode(i.Metadata()); err != nil {
			return nil, err
		}
	case authtest.KeysPath:
		rec.Body.Write(i.KeySet())
	case smartPath:
		fmt.Fprintf(rec, `{"token_endpoint":%q,"capabilities":["launch-standalone"]}`, i.URL()+"/token")
	default:
		rec.WriteHeader(http.StatusNotFound)
	}
	return rec.Result(), nil
}

// TestASlowIssuer checks that requests wait for a slow issuer for a while only,
// that those of another issuer do not wait at all, and that nothing piles up.
func TestASlowIssuer(t *testing.T) {
	slow, fast := authtest.NewIssuer(t), authtest.NewIssuer(t)
	if _, err := testRegistry(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		s := newSite(t, func(c *Config) {
			c.HTTP = &http.Client{Transport: within(func(req *http.Request) (*http.Response, error) {
				if !strings.HasPrefix(req.URL.String(), slow.URL()) {
					return documents(fast, req)
				}
				asked.Add(1)
				<-req.Context().Done() // for ever, if it is let
				return nil, req.Context().Err()
			})}
		}, slow, fast)
		started := time.Now()
		ask := func(waits time.Duration) {
			if err := s.bearer(slow.Token(claims())); fhir.KindOf(err) != fhir.Unavailable || time.Since(started) != waits {
				t.Errorf("a token of the slow issuer: %v after %s, want %s", err, time.Since(started), waits)
			}
		}
		var waiting sync.WaitGroup
		for range 50 {
			waiting.Go(func() { ask(patience) })
		}
		synctest.Wait()
		if err := s.bearer(fast.Token(claims())); err != nil || time.Since(started) != 0 {
			t.Errorf("a token of the other issuer: %v after %s", err, time.Since(started))
		}
		waiting.Wait()
		ask(patience) // a later one does not wait
		if n := asked.Load(); n != 1 {
			t.Errorf("the slow issuer was asked %d times", n)
		}
		time.Sleep(fetchTimeout)
		ask(patience + fetchTimeout) // nor does one soon after the fetch was given up
		s.clock.Advance(minRetry)
		ask(2*patience + fetchTimeout)
		if n := asked.Load(); n != 2 {
			t.Errorf("the slow issuer was asked %d times, the second time after the first was given up", n)
		}
	})
}

// TestIssuersThatDoNotDo are issuers whose documents cannot be used: their
// tokens are neither accepted nor refused, and the log says why.
func TestIssuersThatDoNotDo(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a server that is not configured was asked")
	}))
	defer elsewhere.Close()
	answer := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, text)
		}
	}
	metadata := func(i *authtest.Issuer, name string, value any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			m := i.Metadata()
			m[name] = value
			if err := json.NewEncoder(w).Encode(m); err != nil {
				t.Error(err)
			}
		}
	}
	many := `{"keys":[` + strings.Repeat(`{"kty":"OKP"},`, maxKeys) + `{}]}`
	for _, test := range []struct {
		name string
		path string
		how  func(i *authtest.Issuer) http.HandlerFunc
		says string
	}{
		{"discovery names another issuer", authtest.DiscoveryPath, func(i *authtest.Issuer) http.HandlerFunc {
			return metadata(i, "issuer", i.URL()+"/")
		}, "its discovery document is that of the issuer"},
		{"discovery names no keys", authtest.DiscoveryPath, func(i *authtest.Issuer) http.HandlerFunc {
			return metadata(i, "jwks_uri", "")
		}, "has no jwks_uri"},
		{"keys over plain http", authtest.DiscoveryPath, func(i *authtest.Issuer) http.HandlerFunc {
			return metadata(i, "jwks_uri", "http://keys.example.org/jwks")
		}, "not an absolute URL with https"},
		{"keys in a file", authtest.DiscoveryPath, func(i *authtest.Issuer) http.HandlerFunc {
			return metadata(i, "jwks_uri", "file:///etc/passwd")
		}, "not an absolute URL with https"},
		{"keys with a password", authtest.DiscoveryPath, func(i *authtest.Issuer) http.HandlerFunc {
			return metadata(i, "jwks_uri", strings.Replace(i.KeysURL(), "://", "://user:sensitive@", 1))
		}, "without user"},
		{"discovery names an issuer without end", authtest.DiscoveryPath, func(i *authtest.Issuer) http.HandlerFunc {
			return metadata(i, "issuer", strings.Repeat("x", 1000)+"sensitive")
		}, "its discovery document is that of the issuer"},
		{"discovery is not JSON", authtest.DiscoveryPath, func(*authtest.Issuer) http.HandlerFunc {
			return answer("<html>sensitive page</html>")
		}, "failed to decode"},
		{"discovery has members of a wrong type", authtest.DiscoveryPath, func(i *authtest.Issuer) http.HandlerFunc {
			return metadata(i, "scopes_supported", 7)
		}, "wrong type"},
		{"no discovery", authtest.DiscoveryPath, func(*authtest.Issuer) http.HandlerFunc { return http.NotFound }, "404"},
		{"an error with a page", authtest.DiscoveryPath, func(*authtest.Issuer) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "sensitive page", http.StatusInternalServerError)
			}
		}, "500"},
		{"discovery elsewhere", authtest.DiscoveryPath, func(*authtest.Issuer) http.HandlerFunc {
			return http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP
		}, "redirects to another server"},
		{"discovery in a circle", authtest.DiscoveryPath, func(*authtest.Issuer) http.HandlerFunc {
			return http.RedirectHandler(authtest.DiscoveryPath, http.StatusFound).ServeHTTP
		}, "redirects more than"},
		{"keys elsewhere", authtest.KeysPath, func(*authtest.Issuer) http.HandlerFunc {
			return http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP
		}, "redirects to another server"},
		{"keys without end", authtest.KeysPath, func(*authtest.Issuer) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `{"keys":[`)
				for range 3 << 10 {
					if _, err := w.Write(make([]byte, 1<<10)); err != nil {
						return
					}
				}
			}
		}, "longer than"},
		{"too many keys", authtest.KeysPath, func(*authtest.Issuer) http.HandlerFunc { return answer(many) }, "keys; 500 are allowed"},
		{"no keys", authtest.KeysPath, func(*authtest.Issuer) http.HandlerFunc { return answer(`{"keys":[]}`) }, "no key that can be used"},
		{"only secret keys", authtest.KeysPath, func(*authtest.Issuer) http.HandlerFunc {
			return answer(`{"keys":[{"kty":"oct","k":"c2Vuc2l0aXZl","kid":"a"}]}`)
		}, "secret key"},
		{"keys that are not JSON", authtest.KeysPath, func(*authtest.Issuer) http.HandlerFunc { return answer(`sensitive`) }, "not a JWK set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := authtest.NewIssuer(t)
			s := newSite(t, nil, i)
			i.Handle(test.path, test.how(i))
			if err := s.bearer(i.Token(claims())); fhir.KindOf(err) != fhir.Unavailable {
				t.Errorf("error %v, want Unavailable", err)
			}
			if !strings.Contains(s.logs.String(), test.says) {
				t.Errorf("the log does not say %q:\n%s", test.says, s.logs)
			}
			s.neverLogged("sensitive", "c2Vuc2l0aXZl")
			i.Handle(test.path, nil)
			s.clock.Advance(maxRetry)
			if err := s.bearer(i.Token(claims())); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
		})
	}
}

func TestEveryFetchEnds(t *testing.T) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[time.Duration]time.Duration{0: fetchTimeout, time.Hour: fetchTimeout, time.Second: time.Second} {
		f := newFetcher(&http.Client{Timeout: set, Jar: jar})
		if f.client.Jar != nil {
			t.Error("cookies are kept")
		}
		if f.client.Timeout != want {
			t.Errorf("with a timeout of %s: %s, want %s", set, f.client.Timeout, want)
		}
		f.close()
	}
}

func TestRedirectsStayWithTheSameServer(t *testing.T) {
	const first = "https://id.example.org/keys"
	for to, followed := range map[string]bool{
		"https://id.example.org/elsewhere?x=1":      true,
		"http://id.example.org/keys":                false, // could be read and changed on its way
		"https://id.example.org:8443/keys":          false,
		"https://id.example.org.evil.net/keys":      false,
		"https://id.example.org@evil.net/keys":      false,
		"https://keys.id.example.org/keys":          false,
		"https://169.254.169.254/latest/meta-data/": false,
	} {
		var via []*http.Request
		for range maxRedirects {
			via = append(via, httptest.NewRequest(http.MethodGet, first, nil))
		}
		if err := sameOrigin(httptest.NewRequest(http.MethodGet, to, nil), via); (err == nil) != followed {
			t.Errorf("%s: %v", to, err)
		}
		if err := sameOrigin(httptest.NewRequest(http.MethodGet, to, nil), append(via, via[0])); err == nil {
			t.Errorf("%s: one more redirect is followed", to)
		}
	}
}

func TestARedirectWithinTheIssuerIsFollowed(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	i.Handle("/moved", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%s", i.KeySet()) })
	i.Handle(authtest.KeysPath, http.RedirectHandler("/moved", http.StatusFound).ServeHTTP)
	if err := s.bearer(i.Token(claims())); err != nil {
		t.Error(err)
	}
}

// TestRunLearns checks that Run learns all there is as soon as the issuer is up,
// that with it no request has to ask, and that it ends with everything it started.
func TestRunLearns(t *testing.T) {
	i := authtest.NewIssuer(t)
	if _, err := testRegistry(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		var asked atomic.Int64
		s := newSite(t, func(c *Config) {
			c.Clock = time.Now // Run's pauses are by the true clock
			c.HTTP = &http.Client{Transport: within(func(req *http.Request) (*http.Response, error) {
				asked.Add(1)
				if !up.Load() {
					return nil, errors.New("it is down")
				}
				return documents(i, req)
			})}
		}, i)
		i.Clock(time.Now)
		s.background()
		time.Sleep(time.Hour)
		if _, err := s.Configuration(); fhir.KindOf(err) != fhir.Unavailable {
			t.Errorf("before the issuer has answered: %v", err)
		}
		if n := asked.Load(); n < 200 || n > 300 {
			t.Errorf("in an hour the issuer was asked %d times, want two documents about every %s", n, maxRetry)
		}
		up.Store(true)
		time.Sleep(maxRetry)
		synctest.Wait()
		if _, text := configuration(t, s); !strings.Contains(text, "launch-standalone") {
			t.Errorf("what the issuer offers to apps is not known: %s", text)
		}
		for range 30 {
			before := asked.Load()
			if err := s.bearer(i.Token(claims())); err != nil || asked.Load() != before {
				t.Fatalf("error %v; the issuer was asked %d times for a request", err, asked.Load()-before)
			}
			time.Sleep(maxFresh)
			synctest.Wait()
		}
	})
}

func TestAfterRunNothingIsFetched(t *testing.T) {
	i := authtest.NewIssuer(t)
	s := newSite(t, nil, i)
	s.fetch.close()
	if err := s.bearer(i.Token(claims())); fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("error %v, want Unavailable", err)
	}
	if n := i.Requests(authtest.DiscoveryPath); n != 0 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// TestKeysWithinTheMachine checks that an issuer elsewhere cannot have this
// server call what answers on its own machine only.
func TestKeysWithinTheMachine(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the machine's own server was asked")
	}))
	defer inside.Close()
	var outside *httptest.Server
	outside = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"token_endpoint":"https://id.example.org/token"}`, outside.URL, inside.URL)
	}))
	defer outside.Close()
	s := newSite(t, func(c *Config) { c.Issuers, c.HTTP = []string{outside.URL}, outside.Client() })
	i := authtest.NewIssuer(t)
	i.Clock(s.clock.Now)
	if err := s.bearer(i.Token(claims("iss", outside.URL))); fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("error %v, want Unavailable", err)
	}
	if !strings.Contains(s.logs.String(), "without https, which the issuer itself has") {
		t.Errorf("the log does not say why:\n%s", s.logs)
	}
}
