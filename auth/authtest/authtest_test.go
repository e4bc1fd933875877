package authtest

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

func TestTokensAreSignedByPublishedKeys(t *testing.T) {
	i := NewIssuer(t)
	for algorithm := range families {
		before := i.Token(map[string]any{"sub": "somebody", "iat": nil}, Algorithm(algorithm))
		jws, err := jose.ParseSignedCompact(before, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		payload, err := jws.Verify(fetchKeys(t, i))
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil || claims["sub"] != "somebody" || claims["iss"] != i.URL() || claims["iat"] != nil {
			t.Errorf("%s: claims %v, error %v", algorithm, claims, err)
		}
	}
}

func TestRetiredKeysAreNoLongerPublished(t *testing.T) {
	i := NewIssuer(t)
	first := i.Public("RS256").KeyID
	i.Rotate()
	if set := fetchKeys(t, i); len(set.Key(first)) != 1 || len(set.Key(i.Public("RS256").KeyID)) != 1 {
		t.Errorf("after a rotation both the old and the new key should be published: %v", set)
	}
	i.Retire()
	if set := fetchKeys(t, i); len(set.Key(first)) != 0 || len(set.Key(i.Public("RS256").KeyID)) != 1 {
		t.Errorf("after the retirement only the new key should be published: %v", set)
	}
	if n := i.Requests(KeysPath); n != 2 {
		t.Errorf("%d requests counted, want 2", n)
	}
}

func TestSwitches(t *testing.T) {
	i := NewIssuer(t)
	i.SetDown(true)
	if resp, err := http.Get(i.KeysURL()); err == nil {
		resp.Body.Close()
		t.Error("an issuer that is down answered")
	}
	i.SetDown(false)
	i.SetSlow(time.Hour)
	client := http.Client{Timeout: 20 * time.Millisecond}
	if resp, err := client.Get(i.KeysURL()); err == nil {
		resp.Body.Close()
		t.Error("a slow issuer answered at once")
	}
	i.SetSlow(0)
	i.Handle(KeysPath, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	resp, err := http.Get(i.KeysURL())
	if err != nil || resp.StatusCode != http.StatusTeapot {
		t.Errorf("the test's own handler was not used: %v %v", resp, err)
	}
	resp.Body.Close()
	i.Handle(KeysPath, nil)
	fetchKeys(t, i)
}

func fetchKeys(t *testing.T, i *Issuer) jose.JSONWebKeySet {
	t.Helper()
	resp, err := http.Get(i.KeysURL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	return set
}
