package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/cds/services"
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/rest"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store/embedded"
)

const recordsBase = "https://starling.example.org/fhir"

// clinic is a FHIR API over a store, and the CDS service that reads from it.
type clinic struct {
	testing.TB
	echo     *echo.Echo
	records  *records
	advising cds.Service
}

// newClinic makes a clinic in a new folder.
func newClinic(tb testing.TB) *clinic {
	tb.Helper()
	fail := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	registry, err := search.NewRegistry()
	fail(err)
	registry = registry.WithBase(recordsBase)
	gate, err := resource.NewGate()
	fail(err)
	clock := func() time.Time { return time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC) }
	quiet := slog.New(slog.DiscardHandler)
	data, err := embedded.Open(tb.TempDir(), embedded.Options{Indexer: registry, Clock: clock, Logger: quiet})
	fail(err)
	tb.Cleanup(func() { fail(data.Close()) })
	api, err := rest.New(rest.Config{
		Store: data, Registry: registry, Gate: gate, Base: recordsBase, Clock: clock, NewID: timeOrderedID, Logger: quiet,
		Authorize: func(echo.Context) (search.Access, error) { return search.FullAccess(), nil },
	})
	fail(err)
	knowledge, err := pgx.Load(pgx.Files())
	fail(err)
	c := &clinic{TB: tb, echo: echo.New()}
	c.records, err = newRecords(api, registry)
	fail(err)
	c.echo.HTTPErrorHandler = api.HandleError
	api.Register(c.echo.Group(fhirPath))
	c.advising = services.All(services.Config{
		Knowledge: knowledge, Records: c.records, RecordsTimeout: time.Minute, Clock: clock, Logger: quiet,
		NewID: func() string { return "00000000-0000-4000-8000-000000000000" },
	})[0]
	return c
}

// do sends all in one transaction: "Type/id" -> resource, "" to delete it.
func (c *clinic) do(changes map[string]string) {
	c.Helper()
	var entries []string
	for url, res := range changes {
		if res == "" {
			entries = append(entries, fmt.Sprintf(`{"request":{"method":"DELETE","url":%q}}`, url))
			continue
		}
		typ, id, _ := strings.Cut(url, "/")
		res = fmt.Sprintf(`{"resourceType":%q,"id":%q,`, typ, id) + strings.TrimPrefix(res, "{")
		entries = append(entries, fmt.Sprintf(`{"resource":%s,"request":{"method":"PUT","url":%q}}`, res, url))
	}
	r := httptest.NewRequest(http.MethodPost, fhirPath, strings.NewReader(`{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`))
	r.Header.Set("Content-Type", "application/fhir+json")
	w := httptest.NewRecorder()
	c.echo.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		c.Fatalf("%d %s\n%s", w.Code, w.Body, entries)
	}
}

// advice answers an order of each drug, by a caller who shares our ids and sends
// nothing: the cards, and the reasons for those that are not there.
func (c *clinic) advice(patientID string) string {
	c.Helper()
	var all strings.Builder
	for _, order := range []string{
		`"medicationReference":{"reference":"Medication/clopidogrel"}`,
		`"medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"2670"}],"text":"codeine"}`,
		`"medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"36567"}],"text":"simvastatin"}`,
	} {
		request := &cds.Request{
			Hook: "order-select", HookInstance: "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", Client: &cds.Client{SharesPatientIDs: true},
			Context: json.RawMessage(`{"patientId":"` + patientID + `","draftOrders":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"MedicationRequest","id":"o",
				"status":"draft","intent":"order","subject":{"reference":"Patient/` + patientID + `"},` + order + `}}]}}`),
		}
		response, err := c.advising.Answer(c.Context(), request)
		if err != nil {
			c.Fatal(err)
		}
		text, err := json.MarshalIndent(response, "", " ")
		if err != nil {
			c.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n%v\n", text, response.Reasons)
	}
	return all.String()
}

// genotype is a Genotype of a gene, with more members.
func genotype(subject, gene, value, more string) string {
	return `{"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"GE"}]}],
		"code":{"coding":[{"system":"http://loinc.org","code":"84413-4"}]},"subject":{"reference":"` + subject + `"},"effectiveDateTime":"2026-01-10","valueString":"` + value + `",` + more + `
		"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"48018-6"}]},"valueCodeableConcept":{"coding":[{"system":"http://www.genenames.org","code":"` + gene + `"}]}}]}`
}

// ownRecords are the records of patient p1, some of which lean on what may be
// another patient's, and what belongs to nobody.
func ownRecords() map[string]string {
	return map[string]string{
		"Patient/p1":             `{"birthDate":"1960-01-01","link":[{"other":{"reference":"Patient/other-1"},"type":"seealso"}]}`,
		"Medication/clopidogrel": `{"code":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"309362"}],"text":"clopidogrel 75 MG Oral Tablet"}}`,
		"Organization/lab":       `{"name":"Northgate Genomics"}`,
		"Observation/own-1":      genotype("Patient/p1", "HGNC:2621", "*2/*2", `"performer":[{"reference":"Organization/lab"}],"specimen":{"reference":"Specimen/s-1"},`),
		"Observation/own-2":      genotype("Patient/p1", "HGNC:2625", "*4/*4", `"derivedFrom":[{"reference":"Observation/r-1"}],`),
		"Condition/own":          `{"subject":{"reference":"Patient/p1"},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"I21.4"}]}}`,
	}
}

// TestRecordsReachOnePatient asks the records of p1 for all kinds of things.
func TestRecordsReachOnePatient(t *testing.T) {
	c := newClinic(t)
	own := ownRecords()
	maps.Copy(own, map[string]string{
		"Patient/other-1": `{"birthDate":"1970-01-01"}`,
		"Specimen/s-1":    `{"subject":{"reference":"Patient/other-1"}}`,
		"Specimen/s-own":  `{"subject":{"reference":"Patient/p1"}}`,
		"Observation/r-1": genotype("Patient/other-1", "HGNC:2625", "*1/*1", ""),
		"Group/g":         `{"type":"person","actual":true,"member":[{"entity":{"reference":"Patient/p1"}},{"entity":{"reference":"Patient/other-1"}}]}`,
		"Practitioner/d":  `{"gender":"female"}`,
	})
	c.do(own)
	tests := []struct {
		query string
		want  string // ids; "-" is not found, "x" another refusal
	}{
		{"Patient/p1", "p1"},
		{"Observation?patient=p1", "own-1 own-2"},
		{"Specimen/s-own", "s-own"},
		{"Organization/lab", "lab"},
		{"Medication/clopidogrel", "clopidogrel"},
		{"Practitioner/d", "d"},
		{"Patient/other-1", "-"},
		{"Patient/nobody", "-"},
		{"Specimen/s-1", "-"},
		{"Observation/r-1", "-"},
		{"Observation?patient=other-1", ""},
		{"Observation?patient=Patient/other-1,Patient/p1", "own-1 own-2"},
		{"Patient?birthdate=1970-01-01", ""},
		{"Observation", "own-1 own-2"},
		{"Patient", "p1"},
		{"Specimen?_id=s-1,s-own", "s-own"},
		{"Group/g", "x"},
		{"Group?member=Patient/p1", "x"},
	}
	for _, test := range tests {
		found, complete, err := c.records.Query(t.Context(), "p1", test.query)
		var ids []string
		for _, data := range found {
			var res struct{ ID string }
			if err := json.Unmarshal(data, &res); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, res.ID)
		}
		slices.Sort(ids)
		got := strings.Join(ids, " ")
		if err != nil {
			got = map[bool]string{true: "-", false: "x"}[fhir.KindOf(err) == fhir.NotFound]
		}
		if got != test.want || err == nil && !complete {
			t.Errorf("%s: %q, want %q; complete %v, error %v", test.query, got, test.want, complete, err)
		}
	}
	for _, id := range []string{"", "*", "p1,other-1", "Patient/p1", "p1 "} { // no id has no limit
		if found, _, err := c.records.Query(t.Context(), id, "Patient"); err == nil || len(found) > 0 {
			t.Errorf("%q: %d found, %v", id, len(found), err)
		}
	}
}

// foreign draws a resource that is about other patients, however near it comes to
// p1, and the id it has.
func foreign(rt *rapid.T) (url, res string) {
	subject := rapid.SampledFrom([]string{
		"Patient/other-1", "Patient/other-2", "Patient/p10", "Patient/P1", "https://elsewhere.example.org/fhir/Patient/p1", "Group/p1",
	}).Draw(rt, "subject")
	person := subject
	if strings.HasPrefix(person, "Group") {
		person = "Patient/other-1"
	}
	n := rapid.IntRange(1, 3).Draw(rt, "n")
	switch rapid.IntRange(0, 10).Draw(rt, "kind") {
	case 0:
		gene := rapid.SampledFrom([]string{"HGNC:2621", "HGNC:2625", "HGNC:10959"}).Draw(rt, "gene")
		value := rapid.SampledFrom([]string{"*1/*1", "*17/*17", "*4/*4", "*5/*5"}).Draw(rt, "value")
		more := rapid.SampledFrom([]string{"", `"performer":[{"reference":"Patient/p1"}],`, `"focus":[{"reference":"Patient/p1"}],`, `"hasMember":[{"reference":"Observation/own-1"}],`}).Draw(rt, "more")
		return fmt.Sprintf("Observation/r-%d", n), genotype(subject, gene, value, more)
	case 1:
		return fmt.Sprintf("Specimen/s-%d", n), `{"subject":{"reference":"` + subject + `"},"type":{"text":"tumour"}}`
	case 2:
		return fmt.Sprintf("Patient/other-%d", n), `{"birthDate":"2020-01-01","link":[{"other":{"reference":"Patient/p1"},"type":"seealso"}]}`
	case 3:
		return fmt.Sprintf("Condition/c-%d", n), `{"subject":{"reference":"` + subject + `"},"asserter":{"reference":"Patient/p1"},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"Z94.4"}]}}`
	case 4:
		return fmt.Sprintf("AllergyIntolerance/a-%d", n), `{"patient":{"reference":"` + person + `"},"recorder":{"reference":"Patient/p1"},"code":{"text":"clopidogrel"},
			"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}}`
	case 5:
		return fmt.Sprintf("MedicationRequest/m-%d", n), `{"status":"active","intent":"order","subject":{"reference":"` + subject + `"},"medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"42355"}],"text":"fluvoxamine"}}`
	case 6:
		return fmt.Sprintf("MedicationStatement/m-%d", n), `{"status":"active","subject":{"reference":"` + subject + `"},"informationSource":{"reference":"Patient/p1"},"medicationReference":{"reference":"Medication/clopidogrel"}}`
	case 7:
		return fmt.Sprintf("DiagnosticReport/d-%d", n), `{"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"GE"}]}],"code":{"text":"CYP2C19 *1/*1"},"subject":{"reference":"` + subject + `"},"result":[{"reference":"Observation/own-1"}]}`
	case 8:
		return fmt.Sprintf("Group/g-%d", n), `{"type":"person","actual":true,"member":[{"entity":{"reference":"Patient/p1"}},{"entity":{"reference":"Patient/other-1"}}]}`
	case 9:
		return fmt.Sprintf("Procedure/p-%d", n), `{"status":"completed","subject":{"reference":"` + subject + `"},"performer":[{"actor":{"reference":"Patient/p1"}}],"code":{"text":"liver transplant"}}`
	default:
		return fmt.Sprintf("ServiceRequest/t-%d", n), `{"status":"active","intent":"order","subject":{"reference":"` + subject + `"},"performer":[{"reference":"Patient/p1"}],"code":{"text":"CYP2C19 genotype"}}`
	}
}

// Whatever is stored about other patients, the cards about one are the same,
// byte for byte.
func TestForeignRecordsChangeNoCard(t *testing.T) {
	c := newClinic(t)
	c.do(ownRecords())
	before, nobody := c.advice("p1"), c.advice("nobody")
	for _, want := range []string{"Poor Metabolizer", "Northgate Genomics", "Observation/own-1", "Observation/own-2"} {
		if !strings.Contains(before, want) {
			t.Fatalf("the cards lack %s: %s", want, before)
		}
	}
	same := func(rt *rapid.T) {
		if after := c.advice("p1"); after != before {
			rt.Errorf("the cards of p1 are\n%s\nbefore\n%s", after, before)
		}
		if after := c.advice("nobody"); after != nobody {
			rt.Errorf("the cards of nobody are\n%s\nbefore\n%s", after, nobody)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		changes, undo := map[string]string{}, map[string]string{}
		for range rapid.IntRange(1, 12).Draw(rt, "resources") {
			url, res := foreign(rt)
			changes[url], undo[url] = res, ""
		}
		c.do(changes)
		same(rt)
		c.do(undo)
		same(rt)
	})
}

// BenchmarkRecords measures what narrowing to a patient costs a query.
func BenchmarkRecords(b *testing.B) {
	c := newClinic(b)
	c.do(ownRecords())
	for b.Loop() {
		if _, _, err := c.records.Query(b.Context(), "p1", "Observation?patient=p1&_count=200"); err != nil {
			b.Fatal(err)
		}
	}
}
