package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// TestServe asks a real server for one thing of each kind.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, "--store", dir, "--cors-origin", "https://app.example")
	big := `{"resourceType":"Patient","id":"secretid","name":[{"family":"` + strings.Repeat("Quill", 1000) + `"}]}`
	tests := []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string // in the body
	}{
		{"alive", "GET", "/livez", "", nil, 200, "alive"},
		{"ready", "GET", "/readyz", "", nil, 200, "ready"},
		{"statement", "GET", "/fhir/metadata", "", nil, 200, `"CapabilityStatement"`},
		{"base URL in the statement", "GET", "/fhir/metadata", "", nil, 200, r.url + "/fhir"},
		{"write", "PUT", "/fhir/Patient/secretid", big, nil, 201, "secretid"},
		{"read", "GET", "/fhir/Patient/secretid", "", nil, 200, "Quill"},
		{"search", "GET", "/fhir/Patient?family=quill", "", nil, 200, "Quill"},
		{"not there", "GET", "/fhir/Patient/nobody", "", nil, 404, "OperationOutcome"},
		{"discovery", "GET", "/cds-services", "", nil, 200, `"order-select"`},
		{"home for programs", "GET", "/", "", nil, 200, `"url": "` + r.url + `/fhir/metadata"`},
		{"home for people", "GET", "/", "", []string{"Accept", "text/html"}, 200, "<h1>Starling</h1>"},
		{"nowhere", "GET", "/Patient/secretid", "", nil, 404, "OperationOutcome"},
		{"metrics", "GET", "/metrics", "", nil, 200, `http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",http_route="/*"} 1`},
		{"writes", "GET", "/metrics", "", nil, 200, `starling_resource_writes_total{type="Patient"} 1`},
		{"searches", "GET", "/metrics", "", nil, 200, `starling_search_duration_seconds_count{type="Patient"} 1`},
		{"operations, that which stores the profiles too", "GET", "/metrics", "", nil, 200, `starling_store_operation_duration_seconds_count{op="write"} 2`},
		{"build", "GET", "/metrics", "", nil, 200, `starling_build_info{`},
		{"no pprof here", "GET", "/debug/pprof/", "", nil, 404, "OperationOutcome"},
		{"another name", "GET", "/fhir/Patient/secretid", "", []string{"Host", "evil.example"}, 421, "OperationOutcome"},
		{"localhost", "GET", "/fhir/Patient/secretid", "", []string{"Host", "localhost:1"}, 200, "Quill"},
	}
	for _, test := range tests {
		status, _, body := r.do(test.method, test.path, test.body, test.header...)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s: status %d, want %d with %q in:\n%.600s", test.name, status, test.status, test.want, body)
		}
	}

	if _, header, body := r.do("GET", "/fhir/Patient/secretid", "", "Accept-Encoding", "gzip"); header.Get("Content-Encoding") != "gzip" || len(body) > 1000 {
		t.Errorf("a large answer is not compressed: %v, %d bytes", header, len(body))
	}
	if _, header, _ := r.do("GET", "/fhir/Patient/nobody", "", "Accept-Encoding", "gzip"); header.Get("Content-Encoding") != "" {
		t.Errorf("a small answer is compressed: %v", header)
	}
	if _, header, _ := r.do("GET", "/fhir/metadata", "", "Origin", "https://evil.example"); header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("the CapabilityStatement is kept from some origins: %v", header)
	}
	for _, path := range []string{"/fhir/Patient/secretid", "/cds-services"} {
		if _, header, _ := r.do("GET", path, "", "Origin", "https://app.example"); header.Get("Access-Control-Allow-Origin") != "https://app.example" {
			t.Errorf("%s: no CORS for a listed origin: %v", path, header)
		}
		if _, header, _ := r.do("GET", path, "", "Origin", "https://evil.example"); header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: CORS for another origin: %v", path, header)
		}
	}
	if _, header, _ := r.do("GET", "/fhir/Patient/secretid", "", "X-Request-Id", "abc-1"); header.Get("X-Request-Id") != "abc-1" {
		t.Errorf("the caller's request id is not kept: %v", header)
	}

	r.stop()
	log := r.logs.all()
	for _, hidden := range []string{"secretid", "Quill", "quill", "nobody"} {
		if strings.Contains(log, hidden) {
			t.Errorf("the log has %q:\n%s", hidden, log)
		}
	}
	for _, want := range []string{`"route":"/fhir/:type/:id"`, `"request":"abc-1"`, `"msg":"stopped"`, "no authentication"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}

	again := serve(t, "--store", dir)
	if status, _, body := again.do("GET", "/fhir/Patient/secretid", ""); status != 200 || !strings.Contains(body, "Quill") {
		t.Errorf("after a restart: status %d", status)
	}
	again.stop()
}

// TestServeSecondAddress has figures and probes beside the public address, and
// only there.
func TestServeSecondAddress(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	second := free.Addr().String()
	free.Close()
	r := serve(t, "--metrics-listen", second)
	if status, _, _ := r.do("GET", "/metrics", ""); status != 404 {
		t.Errorf("/metrics on the public address: %d", status)
	}
	r.url = "http://" + second
	for path, want := range map[string]string{"/metrics": "go_goroutines", "/readyz": "ready", "/livez": "alive", "/debug/pprof/": "goroutine"} {
		if status, _, body := r.do("GET", path, ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: status %d: %.200s", path, status, body)
		}
	}
	if status, _, body := r.do("GET", "/debug/pprof/cmdline", ""); status != 404 || strings.Contains(body, second) {
		t.Errorf("the command line, which may hold a password: status %d: %.200s", status, body)
	}
	if status, _, _ := r.do("GET", "/metrics", "", "Host", "rebound.example"); status != 421 {
		t.Errorf("another name on the second address: %d, want 421", status)
	}
	if status, _, _ := r.do("GET", "/fhir/metadata", ""); status != 404 {
		t.Errorf("the API is on the second address: %d", status)
	}
	r.stop()
}

// TestForeignPages: a browser may not write for a page of an origin that nobody
// listed, also where it does not ask first: a post without a Content-Type.
func TestForeignPages(t *testing.T) {
	tests := []struct {
		name, method, path string
		settings           func(*Settings)
		header             [2]string
		want               int
	}{
		{"a foreign page", "POST", "/fhir/Patient", nil, [2]string{"Origin", "https://evil.example"}, 403},
		{"a page without origin", "POST", "/fhir/Patient", nil, [2]string{"Origin", "null"}, 403},
		{"what browsers say of themselves", "POST", "/fhir/Patient", nil, [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a hook call", "POST", "/cds-services/pgx-order-select", nil, [2]string{"Origin", "https://evil.example"}, 403},
		{"a delete", "DELETE", "/fhir/Patient/p", nil, [2]string{"Origin", "https://evil.example"}, 403},
		{"no page", "POST", "/fhir/Patient", nil, [2]string{}, 503},
		{"the server's own page", "POST", "/fhir/Patient", nil, [2]string{"Origin", "http://127.0.0.1:1"}, 503},
		{"a page of the base URL", "POST", "/fhir/Patient", func(s *Settings) { s.BaseURL = "https://fhir.example/fhir" }, [2]string{"Origin", "https://fhir.example"}, 503},
		{"a listed page", "POST", "/fhir/Patient", func(s *Settings) { s.CORSOrigin = []string{"https://app.example"} }, [2]string{"Origin", "https://app.example"}, 503},
		{"a page not listed", "POST", "/fhir/Patient", func(s *Settings) { s.CORSOrigin = []string{"https://app.example"} }, [2]string{"Origin", "https://app.example:8443"}, 403},
		{"all pages", "POST", "/fhir/Patient", func(s *Settings) { s.CORSOrigin = []string{"*"} }, [2]string{"Origin", "https://evil.example"}, 503},
		{"a foreign page that reads", "GET", "/fhir/Patient", nil, [2]string{"Origin", "https://evil.example"}, 503},
		{"a foreign page that asks", "OPTIONS", "/fhir/Patient", nil, [2]string{"Origin", "https://evil.example"}, 503},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, _, stderr := testMain()
			settings := goodSettings()
			if test.settings != nil {
				test.settings(&settings)
			}
			s := newServer(m, &settings)
			s.log, s.metrics = newLogger(stderr, &settings), newMetrics(thisBuild())
			s.base = cmp.Or(settings.BaseURL, "http://127.0.0.1:1/fhir")
			handler, err := s.publicHandler("127.0.0.1:1")
			if err != nil {
				t.Fatal(err)
			}
			rec := httptest.NewRecorder()
			req := httptest.NewRequestWithContext(t.Context(), test.method, "http://127.0.0.1:1"+test.path, nil)
			if test.header[0] != "" {
				req.Header.Set(test.header[0], test.header[1])
			}
			handler.ServeHTTP(rec, req) // what gets through is told that the server is starting
			if rec.Code != test.want || !strings.Contains(rec.Body.String(), "OperationOutcome") {
				t.Errorf("status %d, want %d: %s", rec.Code, test.want, rec.Body)
			}
		})
	}
}

// TestServeDrains: a request under way when the signal comes is answered and
// kept; the program then ends with 0.
func TestServeDrains(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, "--store", dir)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := one("late")
	fmt.Fprintf(conn, "PUT /fhir/Patient/late HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r.signal(syscall.SIGTERM) // the handler waits for the body now
	r.logs.wait(t, "stopping")
	fmt.Fprint(conn, body)
	res, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Errorf("status %d", res.StatusCode)
	}
	if code := r.end(); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, r.logs.all())
	}
	again := serve(t, "--store", dir)
	if status, _, _ := again.do("GET", "/fhir/Patient/late", ""); status != 200 {
		t.Errorf("the late patient is not there: %d", status)
	}
	again.stop()
}

// TestServeDrainDelay: behind a load balancer the server says first that it is
// about to go; a second signal ends it at once.
func TestServeDrainDelay(t *testing.T) {
	r := serve(t, "--drain-delay", "1h")
	r.signal(syscall.SIGINT)
	r.logs.wait(t, "stopping")
	if status, _, body := r.do("GET", "/readyz", ""); status != 503 || !strings.Contains(body, "stopping") {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if status, _, _ := r.do("GET", "/fhir/metadata", ""); status != 200 {
		t.Errorf("requests are refused already: %d", status)
	}
	if got := starling(t, "ping", "--url", r.url); got.code != exitFailed || !strings.Contains(got.stderr, "stopping") {
		t.Errorf("ping: %+v", got)
	}
	r.signal(syscall.SIGTERM)
	if code := r.end(); code == exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestPing is the health check of a container.
func TestPing(t *testing.T) {
	r := serve(t)
	if got := starling(t, "ping", "--url", r.url); got.code != exitOK || got.stdout != "ready\n" {
		t.Errorf("ping: %+v", got)
	}
	m, stdout, stderr := testMain()
	m.Env = env(map[string]string{"STARLING_LISTEN": strings.TrimPrefix(r.url, "http://")})
	if code := m.Run(t.Context(), []string{"ping"}); code != exitOK {
		t.Errorf("ping by STARLING_LISTEN: exit code %d, %s%s", code, stdout, stderr)
	}
	r.stop()
	if got := starling(t, "ping", "--url", r.url); got.code != exitFailed || !strings.Contains(got.stderr, "no answer") {
		t.Errorf("ping of a stopped server: %+v", got)
	}
}

// TestServeRefuses lists starts that must fail, with what is said.
func TestServeRefuses(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"file": "x"}), "file")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"serve"}, exitUsage, "--issuer https://"},
		{[]string{"serve", "--insecure-no-auth", "--store", "postgres://me:secret@localhost/x"}, exitUsage, "unknown kind, postgres://"},
		{[]string{"serve", "--insecure-no-auth", "--listen", "0.0.0.0:0"}, exitUsage, "--insecure-listen-any"},
		{[]string{"serve", "--insecure-no-auth", "--listen", taken.Addr().String(), "--store", t.TempDir()}, exitFailed, "or give another with --listen"},
		{[]string{"serve", "--insecure-no-auth", "--listen", "127.0.0.1:0", "--store", file}, exitFailed, "store"},
	}
	for _, test := range tests {
		m, _, stderr := testMain()
		if code := m.Run(t.Context(), test.args); code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q: exit code %d, want %d with %q:\n%s", test.args, code, test.code, test.want, stderr)
		}
	}
}

// TestWarnsEveryMinute: the warning of an open address comes at once and with
// each minute, as long as the server runs; that of a loopback address once.
func TestWarnsEveryMinute(t *testing.T) {
	tests := []struct {
		addr string
		want int
	}{{"192.0.2.1:8080", 4}, {"127.0.0.1:8080", 1}}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			m, _, stderr := testMain()
			settings := goodSettings()
			s := newServer(m, &settings)
			s.log = newLogger(stderr, &settings)
			// The bubble's clock stands still until nothing else can happen.
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute+time.Second)
			defer cancel()
			if err := s.warn(ctx, test.addr); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(stderr.String(), "no authentication"); got != test.want {
				t.Errorf("%s: %d warnings in three minutes, want %d", test.addr, got, test.want)
			}
		})
	}
}

// TestServeWarns: open to the network on purpose, the server says so.
func TestServeWarns(t *testing.T) {
	r := serve(t, "--listen", "0.0.0.0:0", "--insecure-listen-any")
	if line := r.logs.wait(t, "no authentication: everybody who reaches this address can read and change everything"); line["level"] != "WARN" {
		t.Errorf("%v", line)
	}
	r.stop()
}

// pinged is a store that only answers Ping.
type pinged struct {
	store.Store
	err error
}

func (p pinged) Ping(context.Context) error { return p.err }

// TestReadiness goes through the states of a server's life.
func TestReadiness(t *testing.T) {
	broken := fhir.Errorf(fhir.Unavailable, "gone")
	tests := []struct {
		name  string
		state state
		note  string
		err   error
		code  int
		want  string
	}{
		{"starting", stateStarting, "", nil, 503, "reading definitions\n"},
		{"rebuilding", stateStarting, "rebuilding the index: 1 of 2", nil, 503, "rebuilding the index: 1 of 2\n"},
		{"ready", stateReady, "", nil, 200, "ready\n"},
		{"store gone", stateReady, "", broken, 503, "the store does not answer\n"},
		{"stopping", stateStopping, "stopping", nil, 503, "stopping\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var h health
			h.set(test.state, test.note)
			h.watch(pinged{err: test.err})
			rec := httptest.NewRecorder()
			h.ready(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
			if rec.Code != test.code || rec.Body.String() != test.want {
				t.Errorf("%d %q, want %d %q", rec.Code, rec.Body, test.code, test.want)
			}
			rec = httptest.NewRecorder()
			h.live(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", nil))
			if rec.Code != 200 {
				t.Errorf("/livez: %d", rec.Code)
			}
		})
	}
}

// TestStarting: until the store is open everything but the probes is 503 with
// an OperationOutcome and a Retry-After.
func TestStarting(t *testing.T) {
	m, _, stderr := testMain()
	settings := goodSettings()
	s := newServer(m, &settings)
	s.log = newLogger(stderr, &settings)
	s.metrics = newMetrics(thisBuild())
	s.base = "http://127.0.0.1:1/fhir"
	handler, err := s.publicHandler("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/fhir/Patient": 503, "/cds-services": 503, "/": 503, "/readyz": 503, "/livez": 200, "/metrics": 200} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1"+path, nil))
		if rec.Code != want {
			t.Errorf("%s: %d, want %d", path, rec.Code, want)
		}
		if strings.HasPrefix(path, "/fhir") {
			var outcome struct{ ResourceType string }
			if err := json.Unmarshal(rec.Body.Bytes(), &outcome); err != nil || outcome.ResourceType != "OperationOutcome" || rec.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %v %s", path, rec.Header(), rec.Body)
			}
		}
	}
}

// TestLoadIntoServer loads a folder of everything into a real server and finds
// it there.
func TestLoadIntoServer(t *testing.T) {
	r := serve(t)
	lines := &strings.Builder{}
	for i := range 1200 {
		fmt.Fprintf(lines, `{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/p%d"},"valueQuantity":{"value":%d.50,"system":"http://unitsofmeasure.org","code":"kg"}}`+"\n", i, i%10, 50+i%40)
	}
	dir := folder(t, map[string]string{
		"people.ndjson.gz":               gz(one("p0") + "\n" + one("p1") + "\n{\"resourceType\":\"Patient\",\"gender\":\"robot\"}"),
		"observations.ndjson":            lines.String(),
		"practitionerInformation17.json": `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Practitioner","id":"d1","identifier":[{"system":"http://x.example","value":"7"}]},"request":{"method":"PUT","url":"Practitioner/d1"}}]}`,
		"Aaron.json": `{"resourceType":"Bundle","type":"transaction","entry":[
			{"fullUrl":"urn:uuid:5d2e29a4-3ba1-4bd2-8e0e-3b1c6a2b6f01","resource":{"resourceType":"Patient","name":[{"family":"Aaron"}]},"request":{"method":"POST","url":"Patient"}},
			{"resource":{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"urn:uuid:5d2e29a4-3ba1-4bd2-8e0e-3b1c6a2b6f01"},"participant":[{"individual":{"reference":"Practitioner?identifier=http://x.example|7"}}]},"request":{"method":"POST","url":"Encounter"}}]}`,
		"broken.json": `{"resourceType":"Bundle","type":"transaction","entry":[
			{"resource":{"resourceType":"Patient","id":"lost"},"request":{"method":"PUT","url":"Patient/lost"}},
			{"resource":{"resourceType":"Patient","id":"bad","birthDate":"yesterday"},"request":{"method":"PUT","url":"Patient/bad"}}]}`,
	})
	got := starling(t, "load", dir, "--to", r.url+"/fhir", "--quiet", "--jobs", "3")
	if got.code != exitPartly {
		t.Errorf("exit code %d", got.code)
	}
	for _, want := range []string{
		"people.ndjson.gz:3 (Patient): Patient.gender",
		"broken.json entry 1 (Patient/bad): ", "[none of its 2 resources is stored]",
		"1205 resources stored, 3 rejected, from 5 files",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("output lacks %q:\n%s%s", want, got.stdout, got.stderr)
		}
	}
	for query, want := range map[string]int{
		"Observation?_summary=count":                           1200,
		"Observation?subject=Patient/p3&_summary=count":        120,
		"Patient?_summary=count":                               3,
		"Encounter?participant=Practitioner/d1&_summary=count": 1,
	} {
		_, _, body := r.do("GET", "/fhir/"+query, "")
		var bundle struct{ Total *int }
		if err := json.Unmarshal([]byte(body), &bundle); err != nil {
			t.Fatal(err)
		}
		if bundle.Total == nil || *bundle.Total != want {
			t.Errorf("%s: want %d in %s", query, want, body)
		}
	}
	// A second load changes nothing but versions: ids are kept.
	file := filepath.Join(dir, "observations.ndjson")
	if got := starling(t, "load", file, "--to", r.url+"/fhir", "--quiet"); got.code != exitOK {
		t.Errorf("second load: %+v", got)
	}
	if _, _, body := r.do("GET", "/fhir/Observation?_summary=count", ""); !strings.Contains(body, `"total":1200`) {
		t.Errorf("after a second load: %s", body)
	}
	r.stop()
	if got := starling(t, "load", file, "--to", r.url+"/fhir", "--quiet", "--retries", "0"); got.code != exitFailed || !strings.Contains(got.stderr, "is it running?") {
		t.Errorf("load without a server: %+v", got)
	}
}

// TestContainer runs the program as its image does: alone in a root folder that
// cannot be written, as a user without rights, with only /data to write to. It
// answers ping from in there.
func TestContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make the root folder")
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(built(t, release))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "starling"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := free.Addr().String()
	free.Close()
	inside := func(command string) *exec.Cmd {
		cmd := exec.Command("unshare", "--mount", "sh", "-ec", `
			mount --bind "$0" "$0"
			mount -o remount,ro,bind "$0"
			mount -t tmpfs -o uid=65532,gid=65532,mode=700 tmpfs "$0/data"
			if touch "$0/x" 2>/dev/null; then echo "the root folder can be written" >&2; exit 9; fi
			exec env -i STARLING_STORE=/data STARLING_LISTEN=`+listen+` STARLING_INSECURE_NO_AUTH=true STARLING_LOG_FORMAT=json "$(command -v chroot)" --userspec=65532:65532 --groups= "$0" `+command, root)
		return cmd
	}
	if out, err := inside("/starling version").CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ermi") {
			t.Skipf("mounts are not allowed here: %s", out)
		}
		t.Fatalf("%v: %s", err, out)
	}
	r := start(t, inside("/starling serve"))
	if status, _, body := r.do("PUT", "/fhir/Patient/a", one("a")); status != 201 {
		t.Errorf("write: %d %s", status, body)
	}
	if uid, err := os.Stat(fmt.Sprintf("/proc/%d", r.cmd.Process.Pid)); err != nil || uid.Sys().(*syscall.Stat_t).Uid != 65532 {
		t.Errorf("the server runs as %v, %v", uid, err)
	}
	if out, err := inside("/starling ping").CombinedOutput(); err != nil || string(out) != "ready\n" {
		t.Errorf("ping: %v: %s", err, out)
	}
	r.stop()
}

// TestRebuildingIsTold shows the progress of an index rebuild in /readyz at
// once and in the log every 10 seconds.
func TestRebuildingIsTold(t *testing.T) {
	now := time.Unix(1000, 0)
	m, _, stderr := testMain()
	m.Now = func() time.Time { return now }
	settings := goodSettings()
	settings.LogFormat = "json"
	s := newServer(m, &settings)
	s.log = newLogger(stderr, &settings)
	tell := s.rebuilding()
	for i := range int64(21) {
		tell(i, 100)
		now = now.Add(time.Second)
	}
	if got := s.health.text(); got != "rebuilding the index: 20 of 100" {
		t.Errorf("health says %q", got)
	}
	if n := strings.Count(stderr.String(), "rebuilding the index"); n != 3 {
		t.Errorf("%d log lines, want 3:\n%s", n, stderr)
	}
}
