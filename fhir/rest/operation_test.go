package rest

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/internal/golden"
)

// chart stores a small record: an encounter with its people and places, vital
// signs with a panel, and something of another patient.
func (a *api) chart() {
	a.tb.Helper()
	for _, stored := range [][2]string{
		{"Organization/clinic", `{"resourceType":"Organization","id":"clinic","name":"Clinic"}`},
		{"Organization/group", `{"resourceType":"Organization","id":"group","name":"Group","partOf":{"reference":"Organization/clinic"}}`},
		{"Practitioner/dr", `{"resourceType":"Practitioner","id":"dr","name":[{"family":"Roe"}]}`},
		{"Practitioner/unused", `{"resourceType":"Practitioner","id":"unused"}`},
		{"Location/ward", `{"resourceType":"Location","id":"ward","managingOrganization":{"reference":"Organization/group"}}`},
		{"Medication/pill", `{"resourceType":"Medication","id":"pill","manufacturer":{"reference":"Organization/clinic"}}`},
		{"Patient/ada", strings.Replace(adaV1, `"active":true`, `"active":true,"generalPractitioner":[{"reference":"Practitioner/dr"}]`, 1)},
		{"Patient/bea", `{"resourceType":"Patient","id":"bea"}`},
		{"Encounter/visit", `{"resourceType":"Encounter","id":"visit","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"subject":{"reference":"Patient/ada"},"period":{"start":"2025-03-01","end":"2025-03-02"},"location":[{"location":{"reference":"` + testBase + `/Location/ward"}}]}`},
		{"MedicationRequest/order", `{"resourceType":"MedicationRequest","id":"order","status":"active","intent":"order","medicationReference":{"reference":"Medication/pill"},"subject":{"reference":"Patient/ada"},"encounter":{"reference":"Encounter/visit"},"authoredOn":"2025-03-02","requester":{"reference":"Practitioner/dr"}}`},
		{"Condition/undated", `{"resourceType":"Condition","id":"undated","subject":{"reference":"Patient/ada"},"code":{"text":"x"}}`},
		{"Observation/other", observation("other", "bea", `,"effectiveDateTime":"2025-03-02","category":[{"text":"v"}]`)},
		{"Observation/w1", vital("w1", "29463-7", "2025-01-01", "71.50", "kg")},
		{"Observation/w2", vital("w2", "29463-7", "2025-03-01", "72.0", "kg")},
		{"Observation/w3", vital("w3", "29463-7", "2025-03-02", "73000", "g")},
		{"Observation/t1", vital("t1", "8310-5", "2025-03-01T08:00:00Z", "37.1", "Cel")},
		{"Observation/t2", vital("t2", "8310-5", "2025-03-01T08:00:00Z", "37.3", "Cel")},
		{"Observation/bp", strings.Replace(vital("bp", "85354-9", "2025-03-02", "", ""), `"status"`, `"component":[`+
			`{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}},`+
			`{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":80,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}}],"encounter":{"reference":"Encounter/visit"},"status"`, 1)},
	} {
		a.must("PUT", "/"+stored[0], stored[1])
	}
}

// vital is a vital sign of Patient/ada.
func vital(id, code, when, value, unit string) string {
	quantity := ""
	if value != "" {
		quantity = `,"valueQuantity":{"value":` + value + `,"unit":"` + unit + `","system":"http://unitsofmeasure.org","code":"` + unit + `"}`
	}
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"` + code + `"}]},"subject":{"reference":"Patient/ada"},"effectiveDateTime":"` + when + `"` + quantity + `}`
}

func parametersOf(items ...string) string {
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(items, ",") + `]}`
}

// TestOperations calls each operation of this package, rightly and wrongly.
func TestOperations(t *testing.T) {
	const meta = `{"name":"meta","valueMeta":{"profile":["http://example.org/p"],"tag":[{"system":"http://example.org/t","code":"a","display":"A"}]}}`
	stats := "/Observation/$stats?subject=Patient/ada&coding=http://loinc.org|"
	tests := []struct {
		name   string
		call   call
		status int
		golden string
	}{
		{"an unknown operation", call{"GET", "/Patient/ada/$every", nil, ""}, 400, "unknown.json"},
		{"a wrong method", call{"DELETE", "/Patient/ada/$everything", nil, ""}, 405, "method.json"},
		{"a writing operation with get", call{"GET", "/Patient/ada/$meta-add", nil, ""}, 405, "method-get.json"},
		{"parameters of another type", call{"POST", "/Patient/ada/$everything", nil, adaV1}, 400, "parameters-type.json"},
		{"an unknown parameter", call{"GET", "/Patient/ada/$everything?ende=2020", nil, ""}, 400, "parameter-unknown.json"},
		{"a parameter twice", call{"GET", "/Patient/ada/$everything?_count=1&_count=2", nil, ""}, 400, "parameter-twice.json"},
		{"a parameter of a wrong type", call{"POST", "/Patient/ada/$everything", nil, parametersOf(`{"name":"_count","valueString":"1"}`)}, 400, "parameter-value.json"},

		{"everything", call{"GET", "/Patient/ada/$everything", nil, ""}, 200, "everything.json"},
		{"everything with post and no body", call{"POST", "/Patient/ada/$everything", nil, ""}, 200, "everything.json"},
		{"everything of a time", call{"GET", "/Patient/ada/$everything?start=2025-03-02&end=2025-03-31", nil, ""}, 200, "everything-time.json"},
		{"everything of a time with post", call{"POST", "/Patient/ada/$everything", nil, parametersOf(`{"name":"start","valueDate":"2025-03-02"}`, `{"name":"end","valueDate":"2025-03-31"}`)}, 200, "everything-time.json"},
		{"everything of some types", call{"GET", "/Patient/ada/$everything?_type=Practitioner,Condition", nil, ""}, 200, "everything-types.json"},
		{"everything since", call{"GET", "/Patient/ada/$everything?_since=2026-01-02T03:04:22Z&_type=Observation", nil, ""}, 200, "everything-since.json"},
		{"everything in pages", call{"GET", "/Patient/ada/$everything?_count=3", nil, ""}, 200, ""},
		{"everything of nobody", call{"GET", "/Patient/nobody/$everything", nil, ""}, 404, "read-missing.json"},
		{"everything of no type", call{"GET", "/Patient/ada/$everything?_type=Pateint", nil, ""}, 400, "everything-type.json"},
		{"everything of a bad day", call{"GET", "/Patient/ada/$everything?start=yesterday", nil, ""}, 400, "everything-day.json"},
		{"everything with a bad cursor", call{"GET", "/Patient/ada/$everything?_count=3&_cursor=900.x", nil, ""}, 400, "everything-cursor.json"},
		{"everything of an encounter", call{"GET", "/Encounter/visit/$everything", nil, ""}, 200, "everything-encounter.json"},
		{"everything of all patients", call{"GET", "/Patient/$everything?_type=Patient,Observation", nil, ""}, 200, "everything-all.json"},

		{"lastn", call{"GET", "/Observation/$lastn?patient=ada&category=vital-signs", nil, ""}, 200, "lastn.json"},
		{"lastn with post", call{"POST", "/Observation/$lastn", nil, parametersOf(`{"name":"patient","valueString":"ada"}`, `{"name":"category","valueString":"vital-signs"}`)}, 200, ""},
		{"the last two of a code", call{"GET", "/Observation/$lastn?subject=Patient/ada&code=http://loinc.org|29463-7&max=2", nil, ""}, 200, "lastn-max.json"},
		{"lastn of nobody", call{"GET", "/Observation/$lastn?category=vital-signs", nil, ""}, 400, "lastn-nobody.json"},
		{"lastn of nothing", call{"GET", "/Observation/$lastn?patient=ada", nil, ""}, 400, "lastn-nothing.json"},
		{"lastn with no match", call{"GET", "/Observation/$lastn?patient=ada&category=laboratory", nil, ""}, 200, "lastn-empty.json"},
		{"lastn sorted", call{"GET", "/Observation/$lastn?patient=ada&category=vital-signs&_sort=date", nil, ""}, 400, "lastn-sort.json"},
		{"lastn with max 0", call{"GET", "/Observation/$lastn?patient=ada&category=vital-signs&max=0", nil, ""}, 400, "lastn-zero.json"},

		{"stats converts units", call{"GET", stats + "29463-7&statistic=average,max,min,count,total-count,sum,median,std-dev,variance", nil, ""}, 200, "stats.json"},
		{"the other statistics", call{"GET", stats + "29463-7&statistic=20-percent,80-percent,4-lower,4-upper,4-dev,5-1,5-2,5-3,5-4,skew,kurtosis,regression", nil, ""}, 200, "stats-more.json"},
		{"stats of a panel", call{"GET", stats + "85354-9&statistic=average", nil, ""}, 200, "stats-panel.json"},
		{"stats of components", call{"GET", stats + "8480-6&statistic=max", nil, ""}, 200, "stats-component.json"},
		{"stats of nothing", call{"GET", stats + "1-8&statistic=average,count", nil, ""}, 200, "stats-nothing.json"},
		{"stats of a period, with sources", call{"POST", "/Observation/$stats", nil, parametersOf(
			`{"name":"subject","valueUri":"Patient/ada"}`, `{"name":"code","valueString":"29463-7"}`, `{"name":"system","valueUri":"http://loinc.org"}`,
			`{"name":"period","valuePeriod":{"start":"2025-03-01","end":"2025-03-31"}}`, `{"name":"statistic","valueCode":"average"}`,
			`{"name":"include","valueBoolean":true}`, `{"name":"limit","valuePositiveInt":1}`)}, 200, "stats-period.json"},
		{"stats of the last hours", call{"GET", stats + "29463-7&statistic=count&duration=7400.5", nil, ""}, 200, "stats-duration.json"},
		{"stats without a subject", call{"GET", "/Observation/$stats?statistic=average&coding=a|b", nil, ""}, 400, "stats-subject.json"},
		{"stats without a code", call{"GET", "/Observation/$stats?statistic=average&subject=Patient/ada", nil, ""}, 400, "stats-code.json"},
		{"stats of an unknown kind", call{"GET", stats + "29463-7&statistic=mean", nil, ""}, 400, "stats-kind.json"},

		{"meta", call{"GET", "/Patient/ada/$meta", nil, ""}, 200, "meta.json"},
		{"meta of a version", call{"GET", "/Patient/ada/_history/1/$meta", nil, ""}, 200, "meta.json"},
		{"meta of no version", call{"GET", "/Patient/ada/_history/9/$meta", nil, ""}, 404, "meta-version.json"},
		{"meta-add", call{"POST", "/Patient/ada/$meta-add", nil, parametersOf(meta)}, 200, "meta-add.json"},
		{"meta-add without meta", call{"POST", "/Patient/ada/$meta-add", nil, parametersOf(`{"name":"return","valueString":"x"}`)}, 400, "meta-add-none.json"},
		{"meta-delete of what is not there", call{"POST", "/Patient/ada/$meta-delete", nil, parametersOf(meta)}, 200, "meta.json"},

		{"validate", call{"POST", "/Patient/$validate", nil, bob}, 200, "validate.json"},
		{"validate what is wrong", call{"POST", "/Patient/$validate", nil, `{"resourceType":"Patient","gender":"boy","birthDate":"2026-13-01"}`}, 200, "validate-wrong.json"},
		{"validate in parameters", call{"POST", "/Patient/$validate", nil, parametersOf(`{"name":"resource","resource":{"resourceType":"Patient","gender":"boy"}}`)}, 200, "validate-parameters.json"},
		{"validate what is stored", call{"GET", "/Patient/ada/$validate", nil, ""}, 200, "validate.json"},
		{"validate another type", call{"POST", "/Patient/$validate", nil, weight}, 200, "validate-type.json"},
		{"validate a create", call{"POST", "/Patient/$validate?mode=create", nil, bob}, 200, "validate-create.json"},
		{"validate an update", call{"POST", "/Patient/ada/$validate?mode=update", nil, adaV2}, 200, "validate-update.json"},
		{"validate an update with another id", call{"POST", "/Patient/ada/$validate?mode=update", nil, bob}, 200, "validate-id.json"},
		{"validate an update of another version", call{"POST", "/Patient/ada/$validate?mode=update", []string{`If-Match: W/"7"`}, adaV2}, 200, "validate-match.json"},
		{"validate an update of nothing", call{"POST", "/Patient/new/$validate?mode=update", []string{`If-Match: W/"7"`}, strings.Replace(bob, "bob", "new", 1)}, 200, "validate-match-none.json"},
		{"validate a new version of what must be new", call{"POST", "/Patient/ada/$validate?mode=update", []string{`If-None-Match: *`}, adaV2}, 200, "validate-fresh.json"},
		{"validate a deletion", call{"POST", "/Patient/ada/$validate?mode=delete", nil, ""}, 200, "validate-delete.json"},
		{"validate a deletion of a type", call{"POST", "/Patient/$validate?mode=delete", nil, ""}, 400, "validate-delete-type.json"},
		{"validate with a profile", call{"POST", "/Patient/$validate?profile=http://example.org/p", nil, bob}, 400, "validate-profile.json"},
		{"validate with the base profile", call{"POST", "/Patient/$validate?profile=http://hl7.org/fhir/StructureDefinition/Patient", nil, bob}, 200, "validate.json"},
		{"validate what claims a profile", call{"POST", "/Patient/$validate", nil, `{"resourceType":"Patient","meta":{"profile":["http://example.org/p"]}}`}, 200, "validate-claim.json"},
		{"validate nothing", call{"POST", "/Patient/$validate", nil, ""}, 400, "validate-nothing.json"},
		{"validate in an unknown mode", call{"POST", "/Patient/$validate?mode=insert", nil, bob}, 400, "validate-mode.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.chart()
			rec := a.do(test.call)
			if rec.Code != test.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			valid(t, rec.Body.Bytes())
			if test.golden != "" {
				golden.JSON(t, filepath.Join("testdata", "operations", test.golden), inOrder(t, rec.Body.Bytes()))
			}
		})
	}
}

// inOrder sorts the entries of a record, whose order is the store's own.
func inOrder(t *testing.T, body []byte) []byte {
	t.Helper()
	root, err := resource.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	links := root.Get("link")
	if links == nil || !strings.Contains(string(links.JSON()), "$everything") {
		return body
	}
	slices.SortStableFunc(root.Get("entry").Items, func(a, b resource.Node) int { return strings.Compare(a.Str("fullUrl"), b.Str("fullUrl")) })
	return root.JSON()
}

// TestBroughtOperations: operations from outside are served like our own.
func TestBroughtOperations(t *testing.T) {
	echoed := func(_ context.Context, call Call) (*resource.Node, error) { return call.Parameters, nil }
	a := newGuarded(t, func(c *Config) {
		c.Operations = []Operation{
			{Name: "find-x", Type: "Observation", As: "search-type", Handle: echoed},
			{Name: "mark", Type: "Patient", Instance: true, Writes: true, As: "update", Handle: echoed},
		}
	})
	rec := a.do(call{"GET", "/Observation/$find-x?a=1&b=2&a=3&_format=json", nil, ""})
	const want = `{"resourceType":"Parameters","parameter":[{"name":"a","valueString":"1"},{"name":"b","valueString":"2"},{"name":"a","valueString":"3"}]}`
	if rec.Code != 200 || rec.Body.String() != want {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if rec := a.do(call{"GET", "/Patient/x/$mark", nil, ""}); rec.Code != 405 || rec.Header().Get("Allow") != "OPTIONS, POST" {
		t.Errorf("status %d, Allow %q", rec.Code, rec.Header().Get("Allow"))
	}
	if rec := a.as("patient/Patient.u", call{"POST", "/Patient/x/$mark", nil, want}); rec.Code != 200 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if rec := a.as("patient/Patient.rs", call{"POST", "/Patient/x/$mark", nil, want}); rec.Code != 403 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

// TestPages: an operation may answer a call with a page of this server's own,
// which no web page around it and no script can use, whatever the format asked
// for; in a Bundle it cannot.
func TestPages(t *testing.T) {
	a := newAPI(t, func(c *Config) {
		c.Operations = []Operation{{
			Name: "show", Type: "Patient", As: "search-type",
			Handle: func(_ context.Context, call Call) (*resource.Node, error) { return call.Parameters, nil },
			Page: func(_ context.Context, call Call) (*Page, error) {
				if len(call.Parameters.List("parameter")) == 0 {
					return nil, nil
				}
				return &Page{Media: "text/html; charset=utf-8", Body: []byte("<p>1 &lt; 2</p>")}, nil
			},
		}}
	})
	for _, query := range []string{"?page=1", "?page=1&_format=xml", "?page=1&_pretty=true"} {
		rec := a.do(call{"GET", "/Patient/$show" + query, nil, ""})
		header := rec.Header()
		if rec.Code != 200 || rec.Body.String() != "<p>1 &lt; 2</p>" || header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: status %d, %s: %s", query, rec.Code, header.Get("Content-Type"), rec.Body)
		}
		if !strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'none'; ") || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", query, header)
		}
	}
	if rec := a.do(call{"GET", "/Patient/$show", nil, ""}); rec.Code != 200 || rec.Body.String() != `{"resourceType":"Parameters"}` {
		t.Errorf("without a page: status %d: %s", rec.Code, rec.Body)
	}
	rec := a.do(call{"POST", "", nil, bundleOf("batch", entryOf("", "GET", "Patient/$show?page=1", ""))})
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"status":"400`) || strings.Contains(rec.Body.String(), "<p>") {
		t.Errorf("in a batch: status %d: %s", rec.Code, rec.Body)
	}
}

func TestOperationsThatCannotBeServed(t *testing.T) {
	handle := func(context.Context, Call) (*resource.Node, error) { return nil, nil }
	good := Operation{Name: "x", Type: "Patient", As: "read", Handle: handle}
	tests := []struct {
		name   string
		change func(*Operation)
		part   string // of the error
	}{
		{"a name with a dollar", func(o *Operation) { o.Name = "$x" }, "name"},
		{"an unknown type", func(o *Operation) { o.Type = "Pateint" }, "Pateint"},
		{"no handler", func(o *Operation) { o.Handle = nil }, "Handle"},
		{"no such right", func(o *Operation) { o.As = "look" }, "look"},
		{"one that is there already", func(o *Operation) { o.Name = "meta" }, "two operations"},
	}
	a := newAPI(t)
	for _, test := range tests {
		op := good
		test.change(&op)
		cfg := a.server.Config
		cfg.Operations = []Operation{op}
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), test.part) {
			t.Errorf("%s: error %v must contain %q", test.name, err, test.part)
		}
	}
	cfg := a.server.Config
	cfg.Operations = []Operation{good, good}
	if _, err := New(cfg); err == nil {
		t.Error("two operations of one name are no error")
	}
}

// TestOperationsInBundles: an operation is an entry like any other.
func TestOperationsInBundles(t *testing.T) {
	a := newAPI(t)
	a.chart()
	body := bundleOf("transaction",
		entryOf("", "GET", "Patient/ada/$everything?_type=Condition", ""),
		entryOf("", "POST", "Patient/ada/$meta-add", parametersOf(`{"name":"meta","valueMeta":{"tag":[{"code":"a"}]}}`)),
		entryOf("", "GET", "Observation/$lastn?patient=ada&code=8310-5", ""),
		entryOf("", "POST", "Patient/$validate", `{"resourceType":"Patient","gender":"boy"}`),
		entryOf("", "GET", "Patient/ada/$meta", ""),
	)
	rec := a.do(call{"POST", "", nil, body})
	check(t, rec, http.StatusOK, nil, "operations/bundle.json")

	rec = a.do(call{"POST", "", nil, bundleOf("batch", // with POST, but without parameters
		entryOf("", "POST", "Patient/ada/$everything?_type=Condition", ""),
		entryOf("", "POST", "Patient/ada/$validate?mode=delete", ""),
		entryOf("", "POST", "Patient/ada/$validate", ""),
		entryOf("", "POST", "Patient/ada/$meta-add", ""),
	)})
	check(t, rec, http.StatusOK, nil, "operations/bundle-bodiless.json")
}

// TestOperationsFailTransactions: a transaction fails if one of its operations
// does, but not because it is about what the transaction writes.
func TestOperationsFailTransactions(t *testing.T) {
	entry := entryOf("", "PUT", "Patient/new", `{"resourceType":"Patient","id":"new"}`)
	tests := []struct {
		name, entry string
		status      int
	}{
		{"of nobody", entryOf("", "GET", "Patient/nobody/$everything", ""), 404},
		{"with an unknown parameter", entryOf("", "GET", "Patient/ada/$everything?nmae=x", ""), 400},
		{"without what it needs", entryOf("", "GET", "Observation/$lastn?code=a", ""), 400},
		{"of what is deleted here", entryOf("", "DELETE", "Patient/bea", "") + "," + entryOf("", "GET", "Patient/bea/$meta", ""), 410},
		{"of what is written here", entryOf("", "GET", "Patient/new/$everything", ""), 200},
		{"that finds nothing wrong", entryOf("", "GET", "Patient/ada/$meta", ""), 200},
		{"that finds something wrong", entryOf("", "POST", "Patient/$validate", `{"resourceType":"Patient","gender":"boy"}`), 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.chart()
			rec := a.do(call{"POST", "", nil, bundleOf("transaction", entry, test.entry)})
			if rec.Code != test.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			if stored := a.do(call{"GET", "/Patient/new", nil, ""}).Code == 200; stored != (test.status == 200) {
				t.Errorf("status %d, stored: %v", rec.Code, stored)
			}
		})
	}
}

// TestClinicalDates: each is a search parameter of that type, of the type date.
func TestClinicalDates(t *testing.T) {
	made, err := parts()
	if err != nil {
		t.Fatal(err)
	}
	for typ, name := range clinicalDates {
		found := false
		for _, p := range made.registry.Params(typ) {
			found = found || p.Name == name && p.Type == search.TypeDate
		}
		if !found {
			t.Errorf("%s has no search parameter %s for dates", typ, name)
		}
	}
}
