package embedded

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// scaleVariable holds how many times the base set BenchmarkScale loads: "1,4,16"
// loads three stores, one after the other, and compares the others with the first.
const scaleVariable = "STARLING_BENCH_SCALES"

// scalePatients is the base: 150 patients with 316 observations each, 47,600
// resources.
const scalePatients = 150

// scaled is a store of the base set, so many times.
type scaled struct {
	s        *Store
	patients int
	rng      *rand.Rand
	// The names that there are.
	patientNames, doctorNames []string
}

func scaleID(p int) string { return fmt.Sprintf("%08d-aaaa-4bbb-8ccc-%012d", p, p) }

var scaleSyllables = strings.Fields("an bel cor dan el far gos han il jor kem lun mar nor ost pel quin ros sal tor ul ven wal xen yor zel")

func scaleName(rng *rand.Rand) string {
	part := func() string { return scaleSyllables[rng.IntN(len(scaleSyllables))] }
	return part() + part() + part()
}

// nameEntries are the entries of a name, as package search makes them.
func nameEntries(name string) []search.Entry {
	return []search.Entry{{Param: "name", Value: []byte("\x40" + name + "\x00" + name + "\x00")}}
}

func openScaled(b *testing.B, times int) *scaled {
	b.Helper()
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	x := &scaled{s: s, patients: times * scalePatients, rng: rand.New(rand.NewPCG(1, 1))}
	for p := range x.patients {
		bundle := benchBundle(p, x.rng)
		doctor := fmt.Sprintf("d%d", p/10)
		x.patientNames = append(x.patientNames, scaleName(x.rng))
		bundle[0].Entries = append(bundle[0].Entries, nameEntries(x.patientNames[p])...)
		bundle[0].Entries = append(bundle[0].Entries, search.Entry{Param: "general-practitioner", Value: search.RefersTo("", fhir.Key{Type: "Practitioner", ID: doctor}).Ranges[0].From})
		if p%10 == 0 {
			d := textChange("Practitioner", doctor, "someone")
			x.doctorNames = append(x.doctorNames, scaleName(x.rng))
			d.Entries = nameEntries(x.doctorNames[p/10])
			bundle = append(bundle, d)
		}
		if p == x.patients/2 { // one patient has it, however many there are
			bundle[7].Entries = append(bundle[7].Entries, search.Entry{Param: "code", Value: []byte("shttp://loinc.org|rare")})
		}
		if _, err := s.Write(b.Context(), bundle); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	return x
}

func (x *scaled) id() string { return scaleID(x.rng.IntN(x.patients)) }
func (x *scaled) patient() search.Clause {
	return search.RefersTo("patient", fhir.Key{Type: "Patient", ID: x.id()})
}

func (x *scaled) code() search.Clause {
	return one("code", "shttp://loinc.org|"+strconv.Itoa(10000+x.rng.IntN(benchCodes)))
}

func (x *scaled) years(n int) search.Clause {
	from := 1990 + x.rng.IntN(35)
	return search.Clause{Param: "date", Ranges: []search.Range{{From: fmt.Appendf(nil, "l%d", from), To: fmt.Appendf(nil, "l%d", from+n)}}}
}

// name selects a beginning that some name has.
func (x *scaled) name(names []string) search.Clause {
	prefix := names[x.rng.IntN(len(names))][:4]
	return search.Clause{Param: "name", Ranges: []search.Range{{From: []byte("\x40" + prefix), To: []byte("\x40" + prefix + "\xff")}}}
}

func has(param, typ string, where ...search.Clause) search.Clause {
	return search.Clause{Param: param, Join: &search.Join{Reverse: true, Types: []string{typ}, Where: where}}
}

func chain(param, typ string, where ...search.Clause) search.Clause {
	return search.Clause{Param: param, Join: &search.Join{Types: []string{typ}, Where: where}}
}

// scaleQueries are the searches whose first page must not take longer for there
// being more data.
var scaleQueries = []struct {
	name, typ string
	where     func(x *scaled) []search.Clause
}{
	{"patient+code", "Observation", func(x *scaled) []search.Clause { return []search.Clause{x.patient(), x.code()} }},
	{"patient+date range", "Observation", func(x *scaled) []search.Clause { return []search.Clause{x.patient(), x.years(2)} }},
	{"token", "Observation", func(x *scaled) []search.Clause { return []search.Clause{x.code()} }},
	{"date range", "Observation", func(x *scaled) []search.Clause { return []search.Clause{x.years(1)} }},
	{"token+date range", "Observation", func(x *scaled) []search.Clause { return []search.Clause{x.code(), x.years(1)} }},
	{"name prefix", "Patient", func(x *scaled) []search.Clause { return []search.Clause{x.name(x.patientNames)} }},
	{"_has, common", "Patient", func(x *scaled) []search.Clause { return []search.Clause{has("patient", "Observation", x.code())} }},
	{"_has, rare", "Patient", func(x *scaled) []search.Clause {
		return []search.Clause{has("patient", "Observation", one("code", "shttp://loinc.org|rare"))}
	}},
	{"_has, none", "Patient", func(x *scaled) []search.Clause {
		return []search.Clause{has("patient", "Observation", x.code(), one("status", "nobody's"))}
	}},
	{"_has of one name", "Patient", func(x *scaled) []search.Clause {
		return []search.Clause{x.name(x.patientNames), has("patient", "Observation", x.code(), x.years(1))}
	}},
	{"chain", "Observation", func(x *scaled) []search.Clause {
		return []search.Clause{chain("patient", "Patient", x.name(x.patientNames))}
	}},
	{"chain of a patient", "Observation", func(x *scaled) []search.Clause {
		return []search.Clause{x.patient(), chain("patient", "Patient", x.name(x.patientNames))}
	}},
	{"two-step chain", "Observation", func(x *scaled) []search.Clause {
		return []search.Clause{chain("patient", "Patient", chain("general-practitioner", "Practitioner", x.name(x.doctorNames)))}
	}},
	{"two-step chain + code", "Observation", func(x *scaled) []search.Clause {
		return []search.Clause{x.code(), chain("patient", "Patient", chain("general-practitioner", "Practitioner", x.name(x.doctorNames)))}
	}},
}

// BenchmarkScale measures p50 of first pages of 20, with the total where it is
// cheap, for each scale, and how many times that of the first scale it is:
//
//	STARLING_BENCH_SCALES=1,4,16 go test -run '^$' -bench Scale ./fhir/store/embedded
func BenchmarkScale(b *testing.B) {
	first := map[string]float64{}
	for text := range strings.SplitSeq(cmp.Or(os.Getenv(scaleVariable), "1"), ",") {
		times, err := strconv.Atoi(text)
		if err != nil || times < 1 {
			b.Fatalf("%s: %q is no number of times", scaleVariable, text)
		}
		b.Run(text+"x", func(b *testing.B) {
			x := openScaled(b, times)
			report := func(b *testing.B, figure float64, unit string) {
				name := b.Name()[strings.LastIndexByte(b.Name(), '/'):]
				if first[name] == 0 {
					first[name] = figure
				}
				b.ReportMetric(figure, unit)
				b.ReportMetric(figure/first[name], "times")
			}
			latency := func(b *testing.B, call func(b *testing.B)) {
				var took []time.Duration
				for b.Loop() {
					begin := time.Now()
					call(b)
					took = append(took, time.Since(begin))
				}
				slices.Sort(took)
				report(b, float64(took[len(took)/2].Nanoseconds())/1e3, "µs/p50")
			}
			for _, query := range scaleQueries {
				b.Run(query.name, func(b *testing.B) {
					latency(b, func(b *testing.B) {
						q := search.Query{Types: []string{query.typ}, Where: query.where(x), Count: 20}
						if _, err := x.s.Search(b.Context(), q); err != nil {
							b.Fatal(err)
						}
					})
				})
			}
			b.Run("include", func(b *testing.B) { latency(b, x.include) })
			for name, call := range map[string]func(*testing.B) int{"count of a code": x.count, "compartment": x.stream} {
				b.Run(name, func(b *testing.B) {
					n := 0
					for b.Loop() {
						n += call(b)
					}
					report(b, float64(n)/b.Elapsed().Seconds(), "resources/s")
				})
			}
		})
	}
}

// include gathers what 20 observations refer to, and what refers to one patient.
func (x *scaled) include(b *testing.B) {
	g := store.GatherQuery{Limit: 1000, Referring: []store.Referring{{Type: "Observation", Clause: x.patient()}}}
	for range 20 {
		g.Keys = append(g.Keys, fhir.Key{Type: "Patient", ID: x.id()})
	}
	found, _, err := x.s.Gather(b.Context(), g)
	if err != nil || len(found) < benchObservations {
		b.Fatalf("%d gathered, %v", len(found), err)
	}
}

// count counts all that have a common code.
func (x *scaled) count(b *testing.B) int {
	q := search.Query{Types: []string{"Observation"}, Where: []search.Clause{one("status", "cfinal")}, Total: search.TotalAccurate}
	page, err := x.s.Search(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	return int(page.Total)
}

// stream reads the compartment of a patient, in pages of 1,000.
func (x *scaled) stream(b *testing.B) (n int) {
	q := search.Query{Types: []string{"Observation"}, Where: []search.Clause{search.InPatients(x.id())}, Count: 1000, Total: search.TotalNone}
	for {
		page, err := x.s.Search(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		n += len(page.Resources)
		if q.Cursor = page.Next; q.Cursor == "" {
			return n
		}
	}
}
