package embedded

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// The benchmarks run on made-up observations that are about as large as
// Synthea's, in body and in entries: of benchPatients patients, each written
// together with its observations.
const (
	benchPatients     = 600
	benchObservations = 316 // a patient; 190,200 resources in all
	benchCodes        = 60
)

func benchObservation(p, i int, rng *rand.Rand) store.Change {
	id := fmt.Sprintf("%08x-%04x-4000-8000-%012x", rng.Uint32(), i, rng.Uint64()&max48)
	patient := fmt.Sprintf("Patient/%08d-aaaa-4bbb-8ccc-%012d", p, p)
	code := strconv.Itoa(10000 + i%benchCodes)
	day := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:00.000", 1990+rng.IntN(35), 1+rng.IntN(12), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60))
	value := fmt.Sprintf("%.4f", rng.Float64()*300)
	encounter := fmt.Sprintf("Encounter/%08d-%04d-4ddd-8eee-%012d", p, i/8, p)
	c := store.Change{Key: fhir.Key{Type: "Observation", ID: id}, Method: fhir.Create, Patients: []string{patient[8:]}}
	c.Body.Head = fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"meta":{`, id)
	c.Body.Tail = fmt.Appendf(nil, `,"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]},"status":"final",`+
		`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"laboratory"}]}],`+
		`"code":{"coding":[{"system":"http://loinc.org","code":%q,"display":"An observation of something in some specimen [Mass/volume]"}],"text":"An observation of something in some specimen [Mass/volume]"},`+
		`"subject":{"reference":%q},"encounter":{"reference":%q},"effectiveDateTime":"%sZ","issued":"%sZ",`+
		`"valueQuantity":{"value":%s,"unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL"}}`, code, patient, encounter, day, day, value)
	add := func(param string, values ...string) {
		for _, v := range values {
			c.Entries = append(c.Entries, search.Entry{Param: param, Value: []byte(v)})
		}
	}
	add("_id", "c"+id)
	add("_profile", "uhttp://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab")
	c.Entries = append(c.Entries, inRecord(patient[8:]))
	add("status", "cfinal", "shttp://hl7.org/fhir/observation-status|final")
	add("category", "claboratory", "shttp://terminology.hl7.org/CodeSystem/observation-category|laboratory")
	for _, param := range []string{"code", "combo-code"} {
		add(param, "c"+code, "shttp://loinc.org|"+code)
	}
	for _, param := range []string{"subject", "patient"} {
		add(param, benchReference(patient[8:]))
	}
	add("encounter", "r"+encounter)
	add("date", "l"+day+day, "h"+day+day)
	for _, param := range []string{"value-quantity", "combo-value-quantity"} {
		for _, unit := range []string{"", "mg/dL", "http://unitsofmeasure.org|mg/dL"} {
			add(param, "l"+unit+"\x00"+value, "h"+unit+"\x00"+value)
		}
	}
	add("code-value-quantity", "s"+code+"\x00"+value)
	for _, param := range []string{"status", "category", "code", "subject", "encounter", "date", "value-quantity"} {
		add(param, "!") // presence
	}
	return c
}

// benchReference is the value of a reference to a patient, as package search
// makes it, so that it knows a query that names its patient.
func benchReference(patient string) string { return "\x50Patient\x00" + patient + "\x00" }

// inRecord is the entry by which a scope finds what is in a compartment.
func inRecord(patient string) search.Entry {
	clause := search.InPatients(patient)
	return search.Entry{Param: clause.Param, Value: clause.Ranges[0].From}
}

func benchBundle(p int, rng *rand.Rand) []store.Change {
	id := fmt.Sprintf("%08d-aaaa-4bbb-8ccc-%012d", p, p)
	patient := textChange("Patient", id, "someone")
	patient.Patients = []string{id}
	patient.Entries = []search.Entry{{Param: "_id", Value: []byte("c" + id)}, inRecord(id)}
	changes := []store.Change{patient}
	for i := range benchObservations {
		changes = append(changes, benchObservation(p, i, rng))
	}
	return changes
}

func one(param, value string) search.Clause {
	return search.Clause{Param: param, Ranges: []search.Range{{From: []byte(value), To: []byte(value + "\x00")}}}
}

// BenchmarkLoad measures durable bundles of 317 resources from two writers.
func BenchmarkLoad(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	bundles := make(chan []store.Change)
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for bundle := range bundles {
				if _, err := s.Write(b.Context(), bundle); err != nil {
					b.Error(err)
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	n := 0
	for p := 0; b.Loop(); p++ {
		b.StopTimer()
		bundle := benchBundle(p, rng)
		b.StartTimer()
		bundles <- bundle
		n += len(bundle)
	}
	close(bundles)
	writers.Wait()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "resources/s")
}

// BenchmarkSmallWrites measures durable writes of one resource from as many
// writers as the name says.
func BenchmarkSmallWrites(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(strconv.Itoa(writers), func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			changes := make([]store.Change, b.N)
			rng := rand.New(rand.NewPCG(1, 1))
			for i := range changes {
				changes[i] = benchObservation(i/300, i, rng)
			}
			b.ResetTimer()
			var all sync.WaitGroup
			for w := range writers {
				all.Go(func() {
					for i := w; i < len(changes); i += writers {
						if _, err := s.Write(b.Context(), changes[i:i+1]); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// BenchmarkStall measures what a small write waits while bundles of 3,000
// entries are written one after the other.
func BenchmarkStall(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	var bundles [][]store.Change
	for p := range 8 {
		var bundle []store.Change
		for i := range 3000 {
			bundle = append(bundle, benchObservation(p, i, rng))
		}
		bundles = append(bundles, bundle)
	}
	small := make([]store.Change, 20000)
	for i := range small {
		small[i] = benchObservation(1000, i, rng)
	}
	for b.Loop() {
		done := make(chan struct{})
		var large time.Duration
		go func() {
			defer close(done)
			begin := time.Now()
			for _, bundle := range bundles {
				if _, err := s.Write(b.Context(), bundle); err != nil {
					b.Error(err)
				}
			}
			large = time.Since(begin) / time.Duration(len(bundles))
		}()
		var took []time.Duration
		for running := true; running && len(took) < len(small); {
			select {
			case <-done:
				running = false
			default:
			}
			begin := time.Now()
			if _, err := s.Write(b.Context(), small[len(took):len(took)+1]); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(begin))
		}
		<-done
		slices.Sort(took)
		b.ReportMetric(float64(large.Milliseconds()), "ms/bundle")
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/p50")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
		b.ReportMetric(float64(took[len(took)-1].Microseconds()), "µs/max")
	}
}

// BenchmarkLarge measures reading a store of 190,200 resources.
func BenchmarkLarge(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	var keys []fhir.Key
	begin := time.Now()
	for p := range benchPatients {
		bundle := benchBundle(p, rng)
		for _, c := range bundle {
			keys = append(keys, c.Key)
		}
		if _, err := s.Write(b.Context(), bundle); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("loaded %d resources in %v, one writer", len(keys), time.Since(begin))
	before := s.Stats().DiskBytes
	begin = time.Now()
	if err := s.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d bytes a resource, %d after compaction, which took %v", before/uint64(len(keys)), s.Stats().DiskBytes/uint64(len(keys)), time.Since(begin))

	patient := func() search.Clause {
		p := rng.IntN(benchPatients)
		return one("patient", benchReference(fmt.Sprintf("%08d-aaaa-4bbb-8ccc-%012d", p, p)))
	}
	code := func() search.Clause {
		return one("code", "shttp://loinc.org|"+strconv.Itoa(10000+rng.IntN(benchCodes)))
	}
	year := func() search.Clause {
		from := 1990 + rng.IntN(35)
		return search.Clause{Param: "date", Ranges: []search.Range{{From: fmt.Appendf(nil, "l%d", from), To: fmt.Appendf(nil, "l%d", from+1)}}}
	}
	newest := []search.Sort{{Param: "date", Range: search.Range{From: []byte("l"), To: []byte("m")}, Desc: true}}
	for _, bench := range []struct {
		name string
		q    func() search.Query
	}{
		{"patient+code", func() search.Query { return search.Query{Where: []search.Clause{patient(), code()}} }},
		{"code+patient", func() search.Query { return search.Query{Where: []search.Clause{code(), patient()}} }},
		{"patient+year", func() search.Query { return search.Query{Where: []search.Clause{patient(), year()}} }},
		{"patient sorted by date", func() search.Query { return search.Query{Where: []search.Clause{patient()}, Sort: newest} }},
		{"code", func() search.Query { return search.Query{Where: []search.Clause{code()}} }},
		{"year", func() search.Query { return search.Query{Where: []search.Clause{year()}} }},
		{"code+year", func() search.Query { return search.Query{Where: []search.Clause{code(), year()}} }},
		{"type", func() search.Query { return search.Query{} }},
		{"type sorted by date", func() search.Query { return search.Query{Sort: newest} }},
		{"code sorted by date", func() search.Query { return search.Query{Where: []search.Clause{code()}, Sort: newest} }},
		{"count of a status", func() search.Query {
			return search.Query{Where: []search.Clause{one("status", "cfinal")}, Total: search.TotalAccurate}
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				q := bench.q()
				q.Types, q.Count = []string{"Observation"}, 20
				if _, err := s.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Read(b.Context(), keys[rng.IntN(len(keys))]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("page", func(b *testing.B) {
		q := search.Query{Types: []string{"Observation"}, Count: 100}
		for b.Loop() {
			page, err := s.Search(b.Context(), q)
			if err != nil {
				b.Fatal(err)
			}
			q.Cursor = page.Next
		}
	})
}

// BenchmarkScoped measures what it costs that a patient's app may see one
// patient only: each search without and with the scope, one after the other, on
// a store of 190,200 resources. The ratio is of the two sums.
func BenchmarkScoped(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	registry, err := search.NewRegistry()
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for p := range benchPatients {
		if _, err := s.Write(b.Context(), benchBundle(p, rng)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	var ids []string
	var accesses []search.Access
	for p := range benchPatients {
		ids = append(ids, fmt.Sprintf("%08d-aaaa-4bbb-8ccc-%012d", p, p))
		accesses = append(accesses, registry.Access(search.Grant{Type: "*", Rights: search.CanRead | search.CanSearch, Patient: ids[p]}))
	}
	// As search.Registry makes it of patient=X: the reference, and our own URL.
	patient := func(p int) search.Clause {
		c := one("patient", benchReference(ids[p]))
		c.Ranges = append(c.Ranges, one("", "uhttp://localhost:8080/fhir/Patient/"+ids[p]).Ranges...)
		return c
	}
	code := func() search.Clause {
		return one("code", "shttp://loinc.org|"+strconv.Itoa(10000+rng.IntN(benchCodes)))
	}
	year := func() search.Clause {
		from := 1990 + rng.IntN(35)
		return search.Clause{Param: "date", Ranges: []search.Range{{From: fmt.Appendf(nil, "l%d", from), To: fmt.Appendf(nil, "l%d", from+1)}}}
	}
	if q := accesses[0].Narrow(search.Query{Where: []search.Clause{patient(0)}}); !q.NamesPatient("Observation") {
		b.Fatal("the entries are not those of package search")
	}
	newest := []search.Sort{{Param: "date", Range: search.Range{From: []byte("l"), To: []byte("m")}, Desc: true}}
	for _, bench := range []struct {
		name string
		q    func(p int) search.Query
	}{
		{"patient+code", func(p int) search.Query { return search.Query{Where: []search.Clause{patient(p), code()}} }},
		{"patient", func(p int) search.Query { return search.Query{Where: []search.Clause{patient(p)}} }},
		{"patient+year", func(p int) search.Query { return search.Query{Where: []search.Clause{patient(p), year()}} }},
		{"patient sorted by date", func(p int) search.Query { return search.Query{Where: []search.Clause{patient(p)}, Sort: newest} }},
		{"patient counted", func(p int) search.Query {
			return search.Query{Where: []search.Clause{patient(p)}, Total: search.TotalAccurate}
		}},
		{"code", func(int) search.Query { return search.Query{Where: []search.Clause{code()}} }},
		{"year", func(int) search.Query { return search.Query{Where: []search.Clause{year()}} }},
		{"code sorted by date", func(int) search.Query { return search.Query{Where: []search.Clause{code()}, Sort: newest} }},
		{"all", func(int) search.Query { return search.Query{} }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var took [2]time.Duration
			ask := func(scoped int, q search.Query) {
				begin := time.Now()
				if _, err := s.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
				took[scoped] += time.Since(begin)
			}
			n := 0
			for ; b.Loop(); n++ {
				p := rng.IntN(benchPatients)
				q := bench.q(p)
				q.Types = []string{"Observation"}
				if q.Count = 20; bench.name == "patient counted" {
					q.Count = 0
				}
				// Each is first every other time: who is second finds a warm cache.
				if n%2 == 0 {
					ask(0, q)
					ask(1, accesses[p].Narrow(q))
				} else {
					ask(1, accesses[p].Narrow(q))
					ask(0, q)
				}
			}
			b.ReportMetric(float64(took[0].Nanoseconds())/float64(n), "ns/all")
			b.ReportMetric(float64(took[1].Nanoseconds())/float64(n), "ns/scoped")
			b.ReportMetric(float64(took[1])/float64(took[0]), "ratio")
		})
	}
}
