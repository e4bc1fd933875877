package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starling-fhir/starling/auth/authtest"
	"github.com/starling-fhir/starling/internal/golden"
)

// BenchmarkServer measures the real program over real HTTP, client and server
// on one machine, with the Synthea sample set loaded:
//
//	go test -run '^$' -bench Server -benchtime 1x -count 3 ./cmd/starling
//
// docs/reference/performance.md holds figures and says how they were made.
func BenchmarkServer(b *testing.B) {
	set := golden.Shared(b, "samples", "synthea", "all617-r4-2019.tar.zst")
	for b.Loop() {
		b.StopTimer()
		folder := b.TempDir()
		server := serve(b, "--store", folder)
		loadAll(b, server, set)
		b.ReportMetric(peakMB(b, server), "load-peak-MB")
		server.stop()
		b.ReportMetric(float64(diskBytes(b, folder))/191_093, "disk-B/resource")

		began := time.Now()
		server = serve(b, "--store", folder)
		b.ReportMetric(time.Since(began).Seconds(), "ready-s")
		settle(b, server)
		b.ReportMetric(peakMB(b, server), "idle-peak-MB")
		ids := patients(b, server)
		b.StartTimer()
		open := noTokens(ids)
		reads(b, server, open, "")
		searches(b, server, open, "")
		orders(b, server)
		server.stop()

		issuer := authtest.NewIssuer(b)
		server = guard(b, issuer, "--store", folder)
		system, patient := systemTokens(issuer, ids), patientTokens(issuer, ids)
		reads(b, server, system, "system-")
		reads(b, server, patient, "patient-")
		searches(b, server, system, "system-")
		searches(b, server, patient, "patient-")
		server.stop()
	}
}

// caller is a patient and the token with which that patient's record is asked
// for; "" for none.
type caller struct{ patient, token string }

func noTokens(ids []string) []caller {
	callers := make([]caller, len(ids))
	for i, id := range ids {
		callers[i] = caller{patient: id}
	}
	return callers
}

// systemTokens gives all callers one token that may see everything.
func systemTokens(issuer *authtest.Issuer, ids []string) []caller {
	token := issuer.Token(claims("system/*.rs", "exp", time.Now().Add(time.Hour).Unix()))
	callers := noTokens(ids)
	for i := range callers {
		callers[i].token = token
	}
	return callers
}

// patientTokens gives each caller a token that may see that patient's record.
func patientTokens(issuer *authtest.Issuer, ids []string) []caller {
	callers := noTokens(ids)
	for i := range callers {
		callers[i].token = issuer.Token(claims("patient/*.rs", "patient", callers[i].patient, "exp", time.Now().Add(time.Hour).Unix()))
	}
	return callers
}

// loadAll loads the set with the load command and reports its rate.
func loadAll(b *testing.B, server *running, set string) {
	b.Helper()
	cmd := exec.Command(binary(b), "load", "--json", "--to", server.url+"/fhir", set)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("load: %v\n%s", err, out)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var summary struct {
		Event              string  `json:"event"`
		ResourcesPerSecond float64 `json:"resourcesPerSecond"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &summary); err != nil || summary.Event != "summary" {
		b.Fatalf("the last line of load --json is not a summary: %v\n%s", err, lines[len(lines)-1])
	}
	b.ReportMetric(summary.ResourcesPerSecond, "loaded/s")
}

// settle waits until the server has compacted what was loaded: until it uses
// less than a twentieth of a processor for a second, two minutes at most.
func settle(b *testing.B, server *running) {
	b.Helper()
	last := time.Duration(-1)
	for range 120 {
		used := processorTime(b, server)
		if last >= 0 && used-last < 50*time.Millisecond {
			return
		}
		last = used
		time.Sleep(time.Second)
	}
}

// processorTime is what the server has used of the processors so far.
func processorTime(b *testing.B, server *running) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server.cmd.Process.Pid))
	if err != nil {
		b.Skipf("processor time is read from /proc: %v", err)
	}
	// Behind the name in brackets: utime and stime are the 12th and 13th field, in 1/100 s.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// patients returns the ids of all Patients.
func patients(b *testing.B, server *running) []string {
	b.Helper()
	code, _, body := server.do(http.MethodGet, "/fhir/Patient?_count=1000&_elements=id", "")
	if code != http.StatusOK {
		b.Fatalf("search for patients: %d %s", code, body)
	}
	var ids []string
	for _, m := range regexp.MustCompile(`"fullUrl":"[^"]*/Patient/([^"]+)"`).FindAllStringSubmatch(body, -1) {
		ids = append(ids, m[1])
	}
	if len(ids) < 600 {
		b.Fatalf("found %d patients", len(ids))
	}
	return ids
}

// reads measures reads by id: 4 connections, closed loop. kind stands before the
// names of the figures.
func reads(b *testing.B, server *running, callers []caller, kind string) {
	const each = 10_000
	took := closedLoop(b, server, 4, each, func(r *rand.Rand) (path, token string) {
		c := callers[r.IntN(len(callers))]
		return "/fhir/Patient/" + c.patient, c.token
	})
	b.ReportMetric(float64(len(took.all))/took.total.Seconds(), kind+"reads/s")
	b.ReportMetric(took.processor(), kind+"read-cpu-us")
}

// searches measures searches for one patient's observations of one code: 2
// connections, closed loop.
func searches(b *testing.B, server *running, callers []caller, kind string) {
	codes := []string{"8302-2", "29463-7", "55284-4", "2093-3", "4548-4", "72166-2"}
	took := closedLoop(b, server, 2, 2_000, func(r *rand.Rand) (path, token string) {
		c := callers[r.IntN(len(callers))]
		return "/fhir/Observation?patient=" + c.patient + "&code=http://loinc.org%7C" + codes[r.IntN(len(codes))] + "&_count=20", c.token
	})
	b.ReportMetric(took.quantile(0.5).Seconds()*1000, kind+"search-p50-ms")
	b.ReportMetric(took.quantile(0.99).Seconds()*1000, kind+"search-p99-ms")
	b.ReportMetric(took.processor(), kind+"search-cpu-us")
}

// orders measures order-select with prefetch at 100 calls a second, open loop:
// each call's time counts from when it was due, so a stall is not hidden.
func orders(b *testing.B, server *running) {
	body, err := os.ReadFile(filepath.Join(golden.Root(b), "examples", "order-select", "jonas-ehr-clopidogrel-prefetch.json"))
	if err != nil {
		b.Fatal(err)
	}
	const rate, calls = 100, 2_000
	times := make([]time.Duration, calls)
	var wait sync.WaitGroup
	began := time.Now()
	for i := range calls {
		due := began.Add(time.Duration(i) * time.Second / rate)
		time.Sleep(time.Until(due))
		wait.Go(func() {
			if text := get(b, http.MethodPost, server.url+"/cds-services/pgx-order-select", "", body); !strings.Contains(text, "Poor Metabolizer") {
				b.Errorf("no card: %s", text)
			}
			times[i] = time.Since(due)
		})
	}
	wait.Wait()
	slices.Sort(times)
	b.ReportMetric(durations{all: times}.quantile(0.5).Seconds()*1000, "hook-p50-ms")
	b.ReportMetric(durations{all: times}.quantile(0.99).Seconds()*1000, "hook-p99-ms")
}

// durations are sorted times of single requests, and of all of them the wall time
// and the server's processor time.
type durations struct {
	all         []time.Duration
	total, used time.Duration
}

// processor is the server's processor time per request in microseconds.
func (d durations) processor() float64 { return float64(d.used.Microseconds()) / float64(len(d.all)) }

func (d durations) quantile(q float64) time.Duration {
	return d.all[min(len(d.all)-1, int(q*float64(len(d.all))))]
}

func closedLoop(b *testing.B, server *running, connections, each int, request func(*rand.Rand) (path, token string)) durations {
	b.Helper()
	before := processorTime(b, server)
	times := make([][]time.Duration, connections)
	var wait sync.WaitGroup
	began := time.Now()
	for c := range connections {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			for range each {
				path, token := request(random)
				start := time.Now()
				get(b, http.MethodGet, server.url+path, token, nil)
				times[c] = append(times[c], time.Since(start))
			}
		})
	}
	wait.Wait()
	d := durations{total: time.Since(began), used: processorTime(b, server) - before, all: slices.Concat(times...)}
	slices.Sort(d.all)
	return d
}

// client keeps as many connections as the benchmarks use.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

// get sends a request and returns the body of a 200.
func get(b *testing.B, method, url, token string, body []byte) string {
	req, err := http.NewRequestWithContext(b.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return ""
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		b.Error(err)
		return ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Errorf("%s %s: %d %v", method, url, res.StatusCode, err)
	}
	return string(text)
}

// peakMB is the peak resident memory of the server process so far, in MB.
func peakMB(b *testing.B, server *running) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.cmd.Process.Pid))
	if err != nil {
		b.Skipf("peak memory is read from /proc: %v", err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		b.Fatal("no VmHWM in /proc/pid/status")
	}
	kb, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb * 1024 / 1e6
}

// diskBytes is the size of all files in a folder.
func diskBytes(b *testing.B, folder string) int64 {
	b.Helper()
	var sum int64
	err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return sum
}
