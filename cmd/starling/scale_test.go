package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/starling-fhir/starling/internal/golden"
)

// BenchmarkScale asks whether searches stay as fast as the data grows: it loads
// the Synthea set as often as STARLING_SCALE says, one number after the other,
// every copy with ids of its own, and measures the same searches on each size:
//
//	make bench-scale                  # 1, 4 and 16 copies: 3.1 million resources, 10 GB of disk
//	make bench-scale SCALE="1 16 64"  # 12.2 million resources: 40 GB of disk and two hours
//
// It prints a table with p50 and throughput of each size, and how many times the
// first size's the last one's is.
func BenchmarkScale(b *testing.B) {
	set := golden.Shared(b, "samples", "synthea", "all617-r4-2019.tar.zst")
	sizes := scaleSizes(b)
	folder := b.TempDir()
	var table scaleTable
	copies := 0
	for b.Loop() {
		for _, size := range sizes {
			server := serve(b, "--store", folder)
			for ; copies < size; copies++ {
				loadAll(b, server, set)
				fmt.Fprintf(os.Stderr, "loaded copy %d of %d\n", copies+1, sizes[len(sizes)-1])
			}
			settle(b, server)
			server.stop()
			server = serve(b, "--store", folder)
			settle(b, server)
			table.add(size, scaleFigures(b, server))
			fmt.Fprintf(os.Stderr, "%d copies: %d bytes of disk, peak memory %.0f MB\n", size, diskBytes(b, folder), peakMB(b, server))
			server.stop()
		}
	}
	fmt.Fprintln(os.Stderr, table.markdown())
	for name, figures := range table.rows {
		b.ReportMetric(ratio(figures, true), strings.ReplaceAll(name, " ", "-")+"-p50-times")
	}
}

// scaleSizes reads STARLING_SCALE: numbers of copies, growing.
func scaleSizes(b *testing.B) []int {
	b.Helper()
	var sizes []int
	for word := range strings.FieldsSeq(cmp.Or(os.Getenv("STARLING_SCALE"), "1 4 16")) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || len(sizes) > 0 && n <= sizes[len(sizes)-1] {
			b.Fatalf("STARLING_SCALE must be growing numbers of copies, such as 1 4 16; %q is not", word)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// scaleFigure is what was measured of one search on one size.
type scaleFigure struct {
	name string
	p50  time.Duration // seen by a client, two of them asking at once
	rate float64       // of requests, or of what unit says
	unit string
}

// scaleSearches are the searches, with %[1]s a patient of the data and %[2]s
// another value from ask.
var scaleSearches = []struct {
	name, path string
	each       int // requests of each of two clients
	values     []string
}{
	{"patient and code", "/fhir/Observation?patient=%[1]s&code=http://loinc.org%%7C%[2]s&_count=20", 1000, scaleCodes},
	{"patient and date range", "/fhir/Observation?patient=%[1]s&date=ge%[2]s-01-01&date=lt%[2]s-12-31&_count=20", 1000, []string{"2008", "2010", "2012", "2014", "2016"}},
	{"one code of everybody", "/fhir/Observation?code=http://loinc.org%%7C%[2]s&_count=20", 500, scaleCodes},
	{"name prefix", "/fhir/Patient?name=%[2]s&_count=20", 500, []string{"Sm", "Ga", "Mar", "Jo", "Wil"}},
	{"_has", "/fhir/Patient?_has:Observation:patient:code=http://loinc.org%%7C%[2]s&_count=20", 300, scaleCodes},
	{"two-step chain", "/fhir/Procedure?encounter.patient.name=%[2]s&_count=20", 200, []string{"Sm", "Ga", "Mar", "Jo", "Wil"}},
	{"_include", "/fhir/Observation?patient=%[1]s&code=http://loinc.org%%7C%[2]s&_include=Observation:encounter&_count=20", 1000, scaleCodes},
}

var scaleCodes = []string{"8302-2", "29463-7", "55284-4", "2093-3", "4548-4", "72166-2"}

// scaleFigures measures everything on a loaded server.
func scaleFigures(b *testing.B, server *running) []scaleFigure {
	b.Helper()
	ids := patients(b, server)
	var figures []scaleFigure
	for _, search := range scaleSearches {
		took := closedLoop(b, server, 2, search.each, func(r *rand.Rand) (path, token string) {
			return fmt.Sprintf(search.path, ids[r.IntN(len(ids))], search.values[r.IntN(len(search.values))]), ""
		})
		figures = append(figures, scaleFigure{search.name, took.quantile(0.5), float64(len(took.all)) / took.total.Seconds(), "searches/s"})
	}
	return append(figures, countFigure(b, server), everythingFigure(b, server, ids))
}

// countFigure is how fast the resources of a common code are counted.
func countFigure(b *testing.B, server *running) scaleFigure {
	b.Helper()
	path := "/fhir/Observation?code=http://loinc.org%7C72166-2,http://loinc.org%7C55284-4&_summary=count&_total=accurate"
	counted := int64(0)
	took := closedLoop(b, server, 1, 20, func(*rand.Rand) (string, string) { return path, "" })
	var bundle struct {
		Total int64 `json:"total"`
	}
	if err := json.Unmarshal([]byte(get(b, http.MethodGet, server.url+path, "", nil)), &bundle); err != nil || bundle.Total == 0 {
		b.Fatalf("no total: %v", err)
	}
	counted = bundle.Total
	p50 := took.quantile(0.5)
	return scaleFigure{"count of two common codes", p50, float64(counted) / p50.Seconds(), "rows/s"}
}

var resourceEntry = regexp.MustCompile(`"fullUrl":`)

// everythingFigure is how fast whole records stream out.
func everythingFigure(b *testing.B, server *running, ids []string) scaleFigure {
	b.Helper()
	var times []time.Duration
	resources := 0
	for _, id := range ids[:min(60, len(ids))] {
		began := time.Now()
		res, err := client.Get(server.url + "/fhir/Patient/" + url.PathEscape(id) + "/$everything")
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err = cmp.Or(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("$everything: %d %v", res.StatusCode, err)
		}
		times = append(times, time.Since(began))
		resources += len(resourceEntry.FindAll(body, -1))
	}
	sum := time.Duration(0)
	for _, t := range times {
		sum += t
	}
	slices.Sort(times)
	return scaleFigure{"$everything", durations{all: times}.quantile(0.5), float64(resources) / sum.Seconds(), "resources/s"}
}

// scaleTable gathers the figures of all sizes.
type scaleTable struct {
	sizes []int
	names []string
	rows  map[string][]scaleFigure
}

func (t *scaleTable) add(size int, figures []scaleFigure) {
	if t.rows == nil {
		t.rows = map[string][]scaleFigure{}
	}
	t.sizes = append(t.sizes, size)
	for _, f := range figures {
		if !slices.Contains(t.names, f.name) {
			t.names = append(t.names, f.name)
		}
		t.rows[f.name] = append(t.rows[f.name], f)
	}
}

// ratio is how many times the first size's p50, or throughput, the last one's is.
func ratio(figures []scaleFigure, p50 bool) float64 {
	first, last := figures[0], figures[len(figures)-1]
	if p50 {
		return last.p50.Seconds() / first.p50.Seconds()
	}
	return last.rate / first.rate
}

// markdown lays the figures out as docs/reference/performance.md has them.
func (t *scaleTable) markdown() string {
	var out strings.Builder
	out.WriteString("| search |")
	for _, size := range t.sizes {
		fmt.Fprintf(&out, " %dx: p50, throughput |", size)
	}
	out.WriteString(" p50 grows | throughput |\n|---|")
	out.WriteString(strings.Repeat("---|", len(t.sizes)+2))
	for _, name := range t.names {
		fmt.Fprintf(&out, "\n| %s |", name)
		for _, f := range t.rows[name] {
			fmt.Fprintf(&out, " %.2f ms, %.0f %s |", f.p50.Seconds()*1000, f.rate, f.unit)
		}
		fmt.Fprintf(&out, " %.2f times | %.2f times |", ratio(t.rows[name], true), ratio(t.rows[name], false))
	}
	return out.String()
}
