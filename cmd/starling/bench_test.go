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
		reads(b, server, ids)
		searches(b, server, ids)
		orders(b, server)
		server.stop()
	}
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
	last := -1.0
	for range 120 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server.cmd.Process.Pid))
		if err != nil {
			b.Skipf("processor time is read from /proc: %v", err)
		}
		// Behind the name in brackets: utime and stime are the 12th and 13th field, in 1/100 s.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		user, err1 := strconv.ParseFloat(fields[11], 64)
		system, err2 := strconv.ParseFloat(fields[12], 64)
		if err := errors.Join(err1, err2); err != nil {
			b.Fatal(err)
		}
		used := user + system
		if last >= 0 && used-last < 5 {
			return
		}
		last = used
		time.Sleep(time.Second)
	}
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

// reads measures reads by id: 4 connections, closed loop.
func reads(b *testing.B, server *running, ids []string) {
	const each = 10_000
	took := closedLoop(b, server, 4, each, func(r *rand.Rand) string {
		return "/fhir/Patient/" + ids[r.IntN(len(ids))]
	})
	b.ReportMetric(float64(len(took.all))/took.total.Seconds(), "reads/s")
}

// searches measures searches for one patient's observations of one code: 2
// connections, closed loop.
func searches(b *testing.B, server *running, ids []string) {
	codes := []string{"8302-2", "29463-7", "55284-4", "2093-3", "4548-4", "72166-2"}
	took := closedLoop(b, server, 2, 2_000, func(r *rand.Rand) string {
		return "/fhir/Observation?patient=" + ids[r.IntN(len(ids))] + "&code=http://loinc.org%7C" + codes[r.IntN(len(codes))] + "&_count=20"
	})
	b.ReportMetric(took.quantile(0.5).Seconds()*1000, "search-p50-ms")
	b.ReportMetric(took.quantile(0.99).Seconds()*1000, "search-p99-ms")
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
			if text := get(b, http.MethodPost, server.url+"/cds-services/pgx-order-select", body); !strings.Contains(text, "Poor Metabolizer") {
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

// durations are sorted times of single requests and the wall time of all.
type durations struct {
	all   []time.Duration
	total time.Duration
}

func (d durations) quantile(q float64) time.Duration {
	return d.all[min(len(d.all)-1, int(q*float64(len(d.all))))]
}

func closedLoop(b *testing.B, server *running, connections, each int, path func(*rand.Rand) string) durations {
	b.Helper()
	times := make([][]time.Duration, connections)
	var wait sync.WaitGroup
	began := time.Now()
	for c := range connections {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			for range each {
				start := time.Now()
				get(b, http.MethodGet, server.url+path(random), nil)
				times[c] = append(times[c], time.Since(start))
			}
		})
	}
	wait.Wait()
	d := durations{total: time.Since(began), all: slices.Concat(times...)}
	slices.Sort(d.all)
	return d
}

// client keeps as many connections as the benchmarks use.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

// get sends a request and returns the body of a 200.
func get(b *testing.B, method, url string, body []byte) string {
	req, err := http.NewRequestWithContext(b.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return ""
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
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
