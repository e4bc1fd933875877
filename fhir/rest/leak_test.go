package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/fhir/store/embedded"
	"github.com/starling-fhir/starling/fhir/store/mongo"
	"github.com/starling-fhir/starling/fhir/store/mongo/mongotest"
)

// TestLeaks asks two servers the same random questions for somebody limited to
// Patient/ada. One of them also stores other patients' data, written in between.
// Every answer must be the same, byte for byte: see leaks.ask. The variable
// STARLING_LEAK_REQUESTS says how many requests there are, STARLING_LEAK_SEED
// with what seed to begin, STARLING_TEST_STORE on which store.
func TestLeaks(t *testing.T) {
	requests, seed := number(t, "STARLING_LEAK_REQUESTS", 4000), number(t, "STARLING_LEAK_SEED", 1)
	statuses := make(map[string]int)
	for asked := 0; asked < requests; seed++ {
		l := newLeaks(t, uint64(seed), nil)
		// Stores grow in a round: those of the next one are new.
		for range min(leakRound, requests-asked) {
			asked++
			if err := l.step(); err != nil {
				t.Fatalf("STARLING_LEAK_SEED=%d, request %d: %v", seed, asked, err)
			}
		}
		for status, n := range l.statuses {
			statuses[status] += n
		}
		l.close()
	}
	t.Logf("answers: %v", statuses)
	if requests < 4000 {
		return
	}
	// Otherwise the answers could be equal because nothing is ever asked well.
	for _, status := range []string{
		"read 200", "read 404", "read 403", "read 410", "vread 200", "vread 404", "history 200", "history 404", "search 200", "search 400",
		"search 403", "compartment 200", "compartment 404", "page 200", "old page 400", "create 201", "create 403", "create 200", "update 200", "update 404", "update 403", "update 412",
		"update by criteria 200", "update by criteria 403", "delete 204", "delete 412", "transaction 200", "transaction 403", "transaction 404",
		"transaction 412", "batch 200", "bad 400", "too costly", "everything 200", "everything 404", "lastn 200", "stats 200", "meta 200", "meta 404",
		"validate 200", "status 200", "explain 200", "explain 403", "erase 403", "patch 200", "patch 404", "patch 403", "patch 412", "patch by criteria 200",
		"search 503",
	} {
		if statuses[status] == 0 {
			t.Errorf("there was no answer %q", status)
		}
	}
	if statuses["delete 409"]+statuses["delete by criteria 409"] == 0 {
		t.Error("no deletion was refused for what refers to the resource")
	}
}

// leakRound is how many requests two stores serve before others take over.
const leakRound = 1000

func number(t *testing.T, variable string, otherwise int) int {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number", variable, text)
	}
	return n
}

// TestLeaksAreSeen breaks the store in ways a mistake could: each must show in
// the answers soon.
func TestLeaksAreSeen(t *testing.T) {
	for name, broken := range map[string]careless{
		"a search outside of the scope":    {search: true},
		"a history outside of the scope":   {history: true},
		"a total of everything":            {total: true},
		"a resource in a wrong record":     {read: true},
		"a version in a wrong record":      {version: true},
		"a cursor that tells where":        {cursor: true},
		"whether a foreign id was deleted": {deleted: true},
		"what goes along, of anybody":      {gather: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLeaks(t, 1, &broken)
			defer l.close()
			for range 5000 {
				if err := l.step(); err != nil {
					return
				}
			}
			t.Error("nothing was noticed")
		})
	}
}

// hush is in every text, identifier and many an id of other patients' data, and
// in nothing that is ever asked: no answer may hold it.
const hush = "hush"

// leaks are two servers, alike but for other patients' data.
type leaks struct {
	tb            testing.TB
	rnd           *rand.Rand
	now           atomic.Int64 // milliseconds; what both clocks show
	with, without *world
	statuses      map[string]int
	oldPages      []pages
}

// pages is a link to a page, as each of the servers gave it.
type pages struct{ with, without string }

// world is one of the servers.
type world struct {
	store   store.Store
	folder  string // of the store, if it has one
	handler http.Handler
	server  *Server // that serves it
	// shared serves those who write what both have, and keeps no reference whole:
	// others' data must not decide whether they can.
	shared http.Handler
	// foreign serves the other patients over the same store, with ids of its
	// own, so that theirs do not change what the next id of the handler is.
	foreign http.Handler
	log     *lines
}

// newLeaks opens two stores and fills them. broken, if set, is how the first
// one's store is careless.
func newLeaks(tb testing.TB, seed uint64, broken *careless) *leaks {
	tb.Helper()
	// One processor makes the entries of a batch run one after the other.
	before := runtime.GOMAXPROCS(1)
	tb.Cleanup(func() { runtime.GOMAXPROCS(before) })
	l := &leaks{tb: tb, rnd: rand.New(rand.NewPCG(seed, 1)), statuses: make(map[string]int)}
	l.now.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
	l.with, l.without = l.world(seed, broken), l.world(seed, nil)
	l.fill()
	return l
}

func (l *leaks) world(seed uint64, broken *careless) *world {
	l.tb.Helper()
	made, err := parts()
	if err != nil {
		l.tb.Fatal(err)
	}
	clock := func() time.Time { return time.UnixMilli(l.now.Load()).UTC() }
	w := &world{log: &lines{}}
	// What a search may sort is so little that it shows if others' data counts.
	const sortable = 8
	if mongotest.Chosen() {
		w.store, err = mongo.Open(l.tb.Context(), mongotest.URI(l.tb), mongo.Options{Indexer: made.registry, Clock: clock, MaxCandidates: sortable})
	} else {
		w.folder = l.tb.TempDir()
		w.store, err = embedded.Open(w.folder, embedded.Options{
			Indexer: made.registry, Clock: clock, NoSync: true, MaxCandidates: sortable, CacheBytes: 8 << 20, MemTableBytes: 4 << 20,
		})
	}
	if err != nil {
		l.tb.Fatal(err)
	}
	served := w.store
	if broken != nil {
		broken.Store = w.store
		served = *broken
	}
	access := make(map[string]search.Access)
	for _, scopes := range leakScopes {
		access[scopes] = scoped(l.tb, scopes)
	}
	slow := time.Duration(0) // every search is slow then
	if seed%3 == 0 {
		slow = 1
	}
	serve := func(st store.Store, prefix string, keep Integrity) (*Server, http.Handler) {
		ids := 0
		ticks := time.Duration(0)
		ticking := func() time.Time { ticks++; return clock().Add(ticks % 1000) }
		definer, _ := w.store.(store.Definer)
		server, err := New(Config{
			Store: st, Definer: definer, Registry: made.registry, Gate: made.gate, Base: testBase, Clock: ticking,
			Explain: true, Integrity: keep, HistoryDelete: true, SlowQuery: slow,
			Authorize: func(c echo.Context) (search.Access, error) { return access[c.Request().Header.Get("Scopes")], nil },
			NewID:     func() string { ids++; return prefix + strconv.Itoa(ids) },
			Logger:    slog.New(slog.NewTextHandler(w.log, nil)),
		})
		if err != nil {
			l.tb.Fatal(err)
		}
		e := echo.New()
		e.HTTPErrorHandler = server.HandleError
		server.Register(e.Group("/fhir"))
		return server, e
	}
	w.server, w.handler = serve(served, "made-", Integrity{Write: seed%2 == 0, Delete: seed%2 == 0})
	_, w.shared = serve(w.store, "shared-", Integrity{})
	_, w.foreign = serve(w.store, hush+"-made-", Integrity{})
	return w
}

// close ends the servers, which must not have logged what they must not tell.
func (l *leaks) close() {
	for _, w := range []*world{l.with, l.without} {
		if log := w.log.String(); strings.Contains(log, hush) || strings.Contains(log, "made-") {
			l.tb.Errorf("the log tells of resources: %s", log)
		}
		if err := w.store.Close(); err != nil {
			l.tb.Error(err)
		}
		if w.folder == "" {
			continue
		}
		if err := os.RemoveAll(w.folder); err != nil {
			l.tb.Error(err) // a million requests fill many
		}
	}
}

func serveOne(h http.Handler, scopes string, in call) *httptest.ResponseRecorder {
	a := &api{handler: h}
	return a.as(scopes, in)
}

// both sends a request of no interest to both servers: what they share.
func (l *leaks) both(in call) {
	l.tick()
	one, two := serveOne(l.with.shared, "all", in), serveOne(l.without.shared, "all", in)
	if one.Code != two.Code || one.Code >= 500 || one.Code == 400 {
		l.tb.Fatalf("%s %s: status %d and %d: %s", in.method, in.path, one.Code, two.Code, one.Body)
	}
}

// others sends a request about other patients to the one server that has them.
func (l *leaks) others(in call) {
	l.tick()
	if rec := serveOne(l.with.foreign, "all", in); rec.Code >= 500 || rec.Code == 400 {
		l.tb.Fatalf("%s %s: status %d: %s", in.method, in.path, rec.Code, rec.Body)
	}
}

// tick lets time go by, now and then none at all, rarely so much that pages
// expire.
func (l *leaks) tick() {
	switch n := l.rnd.IntN(300); {
	case n == 0:
		l.now.Add(16 * time.Minute.Milliseconds())
	case n < 200:
		l.now.Add(int64(l.rnd.IntN(1500)))
	}
}

// ask sends a request, whose path may differ in its cursor, to both servers. The
// error says in what their answers differ, or that one tells a secret.
func (l *leaks) ask(kind, scopes string, in call, paths pages) (next pages, err error) {
	one, two := in, in
	one.path, two.path = paths.with, paths.without
	a, b := serveOne(l.with.handler, scopes, one), serveOne(l.without.handler, scopes, two)
	l.statuses[kind+" "+strconv.Itoa(a.Code)]++
	if strings.Contains(a.Body.String(), `"too-costly"`) {
		l.statuses["too costly"]++
	}
	got, want := comparable(a), comparable(b)
	switch {
	case got != want:
		err = errors.New("the answers differ")
	case strings.Contains(strings.ToLower(got), hush):
		err = errors.New("the answer holds a secret")
	case a.Code >= 500 && !strings.Contains(got, "still being indexed"):
		err = errors.New("the server has failed")
	}
	if err != nil {
		return pages{}, fmt.Errorf("%w: %s\nscopes %q\n%s %s\n%s\n%s\nwithout (-), with (+) the others' data:\n%s\n%s",
			err, kind, scopes, in.method, paths.with, strings.Join(in.headers, "\n"), in.body, cmp.Diff(want, got), l.with.log)
	}
	relation := "next"
	if l.chance(15) {
		relation = "previous"
	}
	return pages{linkOf(a, relation), linkOf(b, relation)}, nil
}

var cursorText = regexp.MustCompile(`_cursor=[^"&\\]*`)

// comparable is an answer as text: status, all headers, body. Of a cursor, which
// is encrypted and different each time, only the length counts.
func comparable(rec *httptest.ResponseRecorder) string {
	var out strings.Builder
	fmt.Fprintln(&out, rec.Code)
	header := rec.Header()
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&out, "%s: %q\n", name, header[name])
	}
	out.WriteString(cursorText.ReplaceAllStringFunc(rec.Body.String(), func(s string) string {
		return fmt.Sprintf("_cursor=<%d>", len(s))
	}))
	return out.String()
}

// linkOf returns the path of a link of a Bundle, "" if it has none.
func linkOf(rec *httptest.ResponseRecorder, relation string) string {
	if !strings.Contains(rec.Body.String(), `"relation":"`+relation+`"`) {
		return ""
	}
	var bundle struct {
		Link []struct{ Relation, URL string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &bundle); err != nil {
		return ""
	}
	for _, link := range bundle.Link {
		if link.Relation == relation {
			return strings.TrimPrefix(link.URL, testBase)
		}
	}
	return ""
}

// step lets something happen in the stores, then asks one random thing, and all
// further pages of its answer.
func (l *leaks) step() error {
	l.happen()
	kind, in := l.request()
	scopes := leakScopes[l.rnd.IntN(len(leakScopes)-1)]
	paths := pages{in.path, in.path}
	if kind == "old page" {
		paths = l.oldPages[l.rnd.IntN(len(l.oldPages))]
	}
	next, err := l.ask(kind, scopes, in, paths)
	for n := 0; err == nil && next.with != "" && n < 60; n++ {
		if l.oldPages = append(l.oldPages, next); len(l.oldPages) > 50 {
			l.oldPages = l.oldPages[1:]
		}
		l.happen()
		next, err = l.ask("page", scopes, call{method: "GET"}, next)
	}
	return err
}
