package rest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

const (
	shippedSet  = `{"resourceType":"ValueSet","id":"shipped","meta":{"versionId":"77"},"url":"https://starling.example/vs","status":"active"}`
	shippedCode = `{"resourceType":"CodeSystem","id":"shipped","url":"https://starling.example/cs","status":"active","content":"complete"}`
)

func TestInstall(t *testing.T) {
	a := newAPI(t)
	install := func(what string, want int) {
		t.Helper()
		changed, err := a.server.Install(t.Context(), [][]byte{[]byte(shippedSet), []byte(shippedCode)})
		if err != nil || changed != want {
			t.Errorf("%s: %d changed, %v; want %d", what, changed, err, want)
		}
	}
	version := func(want string) {
		t.Helper()
		rec := a.must("GET", "/ValueSet/shipped", "")
		if got := rec.Header().Get("ETag"); got != want || !strings.Contains(rec.Body.String(), "starling.example/vs") {
			t.Errorf("version %s, want %s: %s", got, want, rec.Body)
		}
	}
	install("into an empty store", 2)
	version(`W/"1"`)
	install("a second time", 0)
	version(`W/"1"`)
	a.must("PUT", "/ValueSet/shipped", strings.Replace(shippedSet, "/vs", "/edited", 1))
	install("after an edit", 1)
	version(`W/"3"`)
	a.must("DELETE", "/ValueSet/shipped", "")
	install("after a deletion", 1)
	version(`W/"5"`)
	if rec := a.must("GET", "/ValueSet?url=https://starling.example/vs", ""); !strings.Contains(rec.Body.String(), `"total":1`) {
		t.Errorf("a search does not find it: %s", rec.Body)
	}
}

func TestInstallRefuses(t *testing.T) {
	for name, docs := range map[string][]string{
		"no JSON":           {"{"},
		"no id":             {`{"resourceType":"ValueSet","status":"active"}`},
		"an unknown type":   {`{"resourceType":"ValueSte","id":"x"}`},
		"what is not valid": {shippedCode, `{"resourceType":"ValueSet","id":"x","status":"new"}`},
		"one twice":         {shippedCode, shippedCode},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			var raw [][]byte
			for _, doc := range docs {
				raw = append(raw, []byte(doc))
			}
			if _, err := a.server.Install(t.Context(), raw); fhir.KindOf(err) != fhir.Invalid {
				t.Errorf("the error is %v", err)
			}
			if n := a.total("CodeSystem"); n != 0 {
				t.Error("something was stored")
			}
		})
	}
}

// rivalled is a store into which somebody writes just before the first write.
type rivalled struct {
	store.Store
	rival  func()
	writes atomic.Int64
}

func (r *rivalled) Write(ctx context.Context, changes []store.Change) ([]*fhir.Resource, error) {
	if r.writes.Add(1) == 1 {
		r.rival()
	}
	return r.Store.Write(ctx, changes)
}

func TestInstallLosesARace(t *testing.T) {
	for name, rival := range map[string]string{"another server": shippedSet, "a client": strings.Replace(shippedSet, "/vs", "/edited", 1)} {
		t.Run(name, func(t *testing.T) {
			seen := &rivalled{}
			a := newAPI(t, func(c *Config) { seen.Store, c.Store = c.Store, seen })
			seen.rival = func() { a.must("PUT", "/ValueSet/shipped", rival) }
			if _, err := a.server.Install(t.Context(), [][]byte{[]byte(shippedSet)}); err != nil {
				t.Fatal(err)
			}
			if rec := a.must("GET", "/ValueSet/shipped", ""); !strings.Contains(rec.Body.String(), "/vs") {
				t.Errorf("got %s", rec.Body)
			}
		})
	}
}

func TestSeveralServersInstallAtOnce(t *testing.T) {
	a := newAPI(t)
	var wait sync.WaitGroup
	var changed atomic.Int64
	for range 16 {
		wait.Go(func() {
			n, err := a.server.Install(t.Context(), [][]byte{[]byte(shippedSet), []byte(shippedCode)})
			if err != nil {
				t.Error(err)
			}
			changed.Add(int64(n))
		})
	}
	wait.Wait()
	if n := changed.Load(); n != 2 {
		t.Errorf("%d resources were written, want 2", n)
	}
	a.must("GET", "/ValueSet/shipped/_history/1", "")
}
