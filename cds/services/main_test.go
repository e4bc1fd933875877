package services

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/fhir/resource"
)

// today is the day of every test.
var today = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// knowledge is loaded once: it never changes.
var knowledge = sync.OnceValues(func() (*pgx.Knowledge, error) { return pgx.Load(pgx.Files()) })

func config(tb testing.TB) Config {
	tb.Helper()
	k, err := knowledge()
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	var lock sync.Mutex
	return Config{
		Knowledge:      k,
		RecordsTimeout: time.Minute,
		Clock:          func() time.Time { return today },
		NewID: func() string {
			lock.Lock()
			defer lock.Unlock()
			n++
			return fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
		},
		Logger: slog.New(slog.DiscardHandler),
	}
}

// service makes the service under test as the handler has it.
func service(c Config) *orderSelect {
	return &orderSelect{id: "pgx-order-select", config: c, advise: c.Knowledge.Advise, genes: newGeneIndex(c.Knowledge.Genes()), edition: "test"}
}

// node decodes JSON.
func node(tb testing.TB, text string) *resource.Node {
	tb.Helper()
	n, err := resource.Decode([]byte(text))
	if err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return n
}

// collect takes in resources as if they had been prefetched.
func collect(tb testing.TB, resources ...string) *evidence {
	tb.Helper()
	ev := &evidence{patientID: "p1", byRef: map[string]int{}}
	for _, text := range resources {
		ev.readPrefetch(json.RawMessage(text), true)
	}
	return ev
}

// bundle makes a searchset.
func bundle(resources ...string) string {
	entries := make([]string, len(resources))
	for i, r := range resources {
		entries[i] = `{"resource":` + r + `}`
	}
	return `{"resourceType":"Bundle","type":"searchset","entry":[` + strings.Join(entries, ",") + `]}`
}

// genotypeOf is a Genotype observation with a value[x].
func genotypeOf(id, gene, value string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"84413-4"}]},
		"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2026-01-10",%s,
		"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"48018-6"}]},"valueCodeableConcept":%s}]}`, id, value, gene)
}

const cyp2c19 = `{"coding":[{"system":"http://www.genenames.org","code":"HGNC:2621","display":"CYP2C19"}]}`

// order is a draft MedicationRequest with a medication[x].
func order(id, medication string) string {
	return fmt.Sprintf(`{"resourceType":"MedicationRequest","id":%q,"status":"draft","intent":"order","subject":{"reference":"Patient/p1"},%s}`, id, medication)
}

const clopidogrel = `"medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"309362","display":"clopidogrel 75 MG Oral Tablet"}],"text":"clopidogrel 75 MG Oral Tablet"}`

// call makes a request of draft orders and prefetch, both as JSON.
func call(orders []string, selections string, prefetch map[string]string) *cds.Request {
	req := &cds.Request{
		Hook: "order-select", HookInstance: "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
		Context: json.RawMessage(`{"userId":"Practitioner/pr1","patientId":"p1","selections":` + selections + `,"draftOrders":` + bundle(orders...) + `}`),
	}
	if prefetch != nil {
		req.Prefetch = map[string]json.RawMessage{}
		for key, value := range prefetch {
			req.Prefetch[key] = json.RawMessage(value)
		}
	}
	return req
}

// records is a store in memory: query -> resources.
type records struct {
	lock    sync.Mutex
	answers map[string][]string
	partly  map[string]bool
	err     error
	asked   []string
	about   []string // the patients it was asked about
}

func (r *records) Query(_ context.Context, patientID, query string) ([][]byte, bool, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.asked = append(r.asked, query)
	r.about = append(r.about, patientID)
	if r.err != nil {
		return nil, false, r.err
	}
	var list [][]byte
	for _, text := range r.answers[query] {
		list = append(list, []byte(text))
	}
	return list, !r.partly[query], nil
}
