package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/internal/golden"
)

// bundleOf puts entries into a Bundle.
func bundleOf(typ string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + typ + `","entry":[` + strings.Join(entries, ",") + `]}`
}

// entryOf makes an entry; extra is further members of its request.
func entryOf(fullURL, method, url, body string, extra ...string) string {
	var b strings.Builder
	b.WriteString(`{`)
	if fullURL != "" {
		fmt.Fprintf(&b, `"fullUrl":%q,`, fullURL)
	}
	if body != "" {
		fmt.Fprintf(&b, `"resource":%s,`, body)
	}
	fmt.Fprintf(&b, `"request":{"method":%q,"url":%q`, method, url)
	for _, e := range extra {
		b.WriteString("," + e)
	}
	b.WriteString(`}}`)
	return b.String()
}

// observationOf makes an Observation about somebody; more is its id and further
// members, if it has any.
func observationOf(subject string, more ...string) string {
	members := []string{`{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"` + subject + `"}`}
	for i, member := range more {
		if i == 0 {
			member = `"id":"` + member + `"`
		}
		members = append(members, member)
	}
	return strings.Join(members, ",") + "}"
}

const plain = `{"resourceType":"Patient","active":true}`

const plainAda = `{"resourceType":"Patient","id":"ada"}`

func TestTransaction(t *testing.T) {
	const one, two = "urn:uuid:11111111-1111-4111-8111-111111111111", "urn:uuid:22222222-2222-4222-8222-222222222222"
	full := []string{"Prefer: return=representation"}
	tests := []struct {
		name    string
		bundle  string
		headers []string
		status  int
		golden  string
	}{
		{"links by urn", bundleOf("transaction",
			entryOf(one, "POST", "Observation", observationOf(two)),
			entryOf(two, "POST", "Patient", `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"`+one+`\">weight</a></div>"},"link":[{"other":{"reference":"`+two+`"},"type":"seealso"}]}`),
		), full, 200, "transaction-urn.json"},
		{"links by web address", bundleOf("transaction",
			entryOf("http://elsewhere.example/r4/Patient/9", "POST", "Patient", plain),
			entryOf("http://elsewhere.example/r4/Observation/1", "POST", "Observation", observationOf("Patient/9")),
			entryOf("http://elsewhere.example/r4/Observation/2", "POST", "Observation", observationOf("http://elsewhere.example/r4/Patient/9")),
			entryOf(one, "POST", "Observation", observationOf("Patient/9")),
		), full, 200, "transaction-url.json"},
		{"all methods in FHIR's order", bundleOf("transaction",
			entryOf("", "GET", "Patient/new", ""),
			entryOf("", "PUT", "Patient/new", `{"resourceType":"Patient","id":"new"}`),
			entryOf("", "GET", "Patient?identifier=1815", ""),
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","identifier":[{"value":"1815"}]}`, `"ifNoneExist":"identifier=1815"`),
			entryOf("", "DELETE", "Patient/ada", ""),
			entryOf("", "GET", "Observation/weight/_history/1", ""),
		), nil, 200, "transaction-order.json"},
		{"reads that would fail", bundleOf("transaction",
			entryOf("", "POST", "Patient", `{"resourceType":"Patient"}`),
			entryOf("", "DELETE", "Patient/ada", ""),
			entryOf("", "GET", "Patient/ada", ""),
			entryOf("", "GET", "Patient/nobody", ""),
			entryOf("", "GET", "Patient/bob", ""),
			entryOf("", "GET", "Patient/ada/_history/9", ""),
			entryOf("", "GET", "Observation/weight", ""),
		), nil, 400, "transaction-reads.json"},
		{"conditional reference", bundleOf("transaction",
			entryOf("", "POST", "Observation", observationOf("Patient?identifier=http://hospital.example/mrn|1815")),
		), full, 200, "transaction-conditional-reference.json"},
		{"conditional reference to what the transaction makes", bundleOf("transaction",
			entryOf(one, "POST", "Patient", `{"resourceType":"Patient","identifier":[{"value":"77"}]}`, `"ifNoneExist":"identifier=77"`),
			entryOf("", "POST", "Observation", observationOf("Patient?identifier=77")),
		), full, 200, "transaction-conditional-reference-new.json"},
		{"conditional references to plain creates and updates", bundleOf("transaction",
			entryOf("", "POST", "Observation", observationOf("Patient?identifier=a|71")),
			entryOf("", "POST", "Observation", observationOf("Patient?identifier=72&active=true")),
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","identifier":[{"system":"a","value":"71"}]}`),
			entryOf("", "PUT", "Patient/p72", `{"resourceType":"Patient","id":"p72","active":true,"identifier":[{"system":"a","value":"72"}]}`),
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","active":false,"identifier":[{"system":"a","value":"72"}]}`),
		), full, 200, "transaction-conditional-reference-plain.json"},
		{"conditional reference to what the transaction makes and what is there", bundleOf("transaction",
			entryOf("", "POST", "Observation", observationOf("Patient?identifier=1815")),
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","identifier":[{"value":"1815"}]}`),
		), nil, 412, "transaction-conditional-reference-two.json"},
		{"conditional reference to what the transaction deletes", bundleOf("transaction",
			entryOf("", "DELETE", "Patient?identifier=1815", ""),
			entryOf("", "POST", "Observation", observationOf("Patient?identifier=1815")),
		), nil, 412, "transaction-conditional-reference-gone.json"},
		{"conditional reference to what the transaction changes", bundleOf("transaction",
			entryOf("", "PUT", "Patient/ada", plainAda),
			entryOf("", "POST", "Observation", observationOf("Patient?identifier=1815")),
		), nil, 412, "transaction-conditional-reference-gone.json"},
		{"conditional reference to nothing", bundleOf("transaction",
			entryOf("", "POST", "Patient", plain),
			entryOf("", "POST", "Observation", observationOf("Patient?identifier=none")),
		), nil, 412, "transaction-conditional-reference-none.json"},
		{"conditional writes", bundleOf("transaction",
			entryOf(one, "POST", "Patient", plain, `"ifNoneExist":"identifier=1815"`),
			entryOf("", "PUT", "Patient?identifier=1817", plain),
			entryOf("", "DELETE", "Patient?identifier=1818", ""),
			entryOf("", "POST", "Observation", observationOf(one)),
		), full, 200, "transaction-conditional.json"},
		{"version", bundleOf("transaction", entryOf("", "PUT", "Patient/ada", adaV1, `"ifMatch":"W/\"2\""`)), nil, 200, "transaction-match.json"},
		{"old version", bundleOf("transaction",
			entryOf("", "POST", "Patient", plain),
			entryOf("", "PUT", "Patient/ada", adaV1, `"ifMatch":"W/\"1\""`)), nil, 412, "transaction-mismatch.json"},
		{"outcomes", bundleOf("transaction", entryOf("", "POST", "Patient", plain)), []string{"Prefer: return=OperationOutcome"}, 200, "transaction-outcome.json"},
		{"one resource twice", bundleOf("transaction",
			entryOf("", "PUT", "Patient/ada", adaV1),
			entryOf("", "DELETE", "Patient?identifier=1815", "")), nil, 400, "transaction-twice.json"},
		{"what is not there twice", bundleOf("transaction",
			entryOf("", "PUT", "Patient/none", `{"resourceType":"Patient","id":"none"}`),
			entryOf("", "DELETE", "Patient/none", "")), nil, 400, "transaction-twice-none.json"},
		{"one identity twice", bundleOf("transaction",
			entryOf("", "POST", "Patient", plain, `"ifNoneExist":"identifier=a|1"`),
			entryOf("", "POST", "Patient", plain, `"ifNoneExist":"identifier=a%7C1"`)), nil, 400, "transaction-identity-twice.json"},
		{"one identity twice, spelt differently", bundleOf("transaction",
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","identifier":[{"system":"a","value":"1"}]}`, `"ifNoneExist":"identifier=a|1"`),
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","identifier":[{"system":"a","value":"1"}]}`, `"ifNoneExist":"identifier=1"`)), nil, 400, "transaction-identity-spelt.json"},
		{"one identity by POST and by PUT", bundleOf("transaction",
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","identifier":[{"system":"a","value":"1"}]}`),
			entryOf("", "PUT", "Patient?identifier=a|1", `{"resourceType":"Patient","identifier":[{"system":"a","value":"1"}]}`)), nil, 400, "transaction-identity-put.json"},
		{"URLs from the host and from the root", bundleOf("transaction",
			entryOf("", "GET", "/Patient/ada", ""),
			entryOf("", "GET", "/fhir/Patient/ada", ""),
			entryOf("", "GET", testBase+"/Patient/ada", ""),
			entryOf("", "HEAD", "Patient/ada", "")), nil, 200, "transaction-urls.json"},
		{"one fullUrl twice", bundleOf("transaction",
			entryOf(one, "POST", "Patient", plain),
			entryOf(one, "POST", "Patient", plain)), nil, 400, "transaction-url-twice.json"},
		{"dangling references", bundleOf("transaction",
			entryOf(one, "POST", "Patient", plain),
			entryOf("", "POST", "Observation", observationOf(two)),
			entryOf("", "POST", "Observation", observationOf("urn:oid:1.2.3"))), nil, 400, "transaction-dangling.json"},
		{"many faults at once", bundleOf("transaction",
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","active":1}`),
			entryOf("", "POST", "Pateint", plain),
			entryOf("", "PUT", "Patient/ada", plain),
			entryOf("", "PATCH", "Patient/ada", plain),
			entryOf("", "POST", "Patient", ""),
			`{"resource":`+plain+`}`,
			entryOf("", "FETCH", "Patient", ""),
			entryOf("", "GET", "Patient?nmae=x", ""),
			entryOf("", "GET", "http://elsewhere.example/r4/Patient/9", ""),
			`{"rescource":{},"request":{"method":"GET","url":"Patient/ada"}}`,
			`7`), nil, 400, "transaction-faults.json"},
		{"a bundle in a bundle", bundleOf("transaction", entryOf("", "POST", "/", bundleOf("batch"))), nil, 400, "transaction-nested.json"},
		{"empty", `{"resourceType":"Bundle","type":"transaction"}`, nil, 200, "transaction-empty.json"},
		{"not carried out", bundleOf("collection", `{"resource":`+plain+`}`), nil, 400, "bundle-type.json"},
		{"no type", `{"resourceType":"Bundle"}`, nil, 400, "bundle-no-type.json"},
		{"no bundle", plain, nil, 400, "bundle-other.json"},
		{"unknown member", `{"resourceType":"Bundle","type":"batch","entries":[]}`, nil, 400, "bundle-member.json"},

		{"batch", bundleOf("batch",
			entryOf("", "POST", "Patient", `{"resourceType":"Patient","active":1}`),
			entryOf("", "GET", "Patient/ada", ""),
			entryOf("", "GET", "Patient/ada", "", `"ifNoneMatch":"W/\"2\""`),
			entryOf("", "GET", testBase+"/Observation?code=29463-7&_summary=count", ""),
			entryOf("", "PUT", "Patient/eve", `{"resourceType":"Patient","id":"eve"}`),
			entryOf("", "DELETE", "Patient/bob", ""),
			entryOf("", "GET", "Patient/nobody", ""),
			entryOf(one, "POST", "Observation", observationOf(two))), nil, 200, "batch.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.seed()
			a.frozen.Store(true)
			check(t, a.do(call{"POST", "", test.headers, test.bundle}), test.status, nil, test.golden)
			if test.status != 200 && a.total("Patient")+a.total("Observation") != 3 {
				t.Error("something was stored")
			}
		})
	}
}

// TestAnswersAreBounded: searches of a batch that ask for everything again and
// again must not fill the memory; its writes are carried out all the same.
func TestAnswersAreBounded(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Limits.Answer = 3000 })
	a.seed()
	entries := slices.Repeat([]string{entryOf("", "GET", "Observation", "")}, 200)
	entries = append(entries, entryOf("", "PUT", "Patient/new", `{"resourceType":"Patient","id":"new"}`))
	rec := a.must("POST", "", bundleOf("batch", entries...))
	if n := strings.Count(rec.Body.String(), `"too-costly"`); n < 197-runtime.GOMAXPROCS(0) || n > 199 {
		t.Errorf("%d of 200 searches were refused", n)
	}
	if !strings.Contains(rec.Body.String(), `"201 Created"`) {
		t.Errorf("the write was refused: %.300s", rec.Body)
	}
	valid(t, rec.Body.Bytes())
}

// total is the number of resources of a type.
func (a *api) total(typ string) int {
	a.tb.Helper()
	p := a.page("/" + typ + "?_summary=count&_total=accurate")
	if p.Total == nil {
		a.tb.Fatal("no total")
	}
	return *p.Total
}

func TestBundleWhoseEntry2999Fails(t *testing.T) {
	entries := make([]string, 3000)
	for i := range entries {
		entries[i] = entryOf("", "POST", "Patient", plain)
	}
	entries[2999] = entryOf("", "POST", "Patient", `{"resourceType":"Patient","name":[{"family":"Elm"},{"family":7}]}`)
	a := newAPI(t)
	rec := a.do(call{"POST", "", nil, bundleOf("transaction", entries...)})
	check(t, rec, 400, nil, "transaction-2999.json")
	if n := a.total("Patient"); n != 0 {
		t.Errorf("%d patients were stored", n)
	}

	entries[2999] = entryOf("", "POST", "Patient", plain)
	a.must("POST", "", bundleOf("transaction", entries...))
	if n := a.total("Patient"); n != 3000 {
		t.Errorf("%d patients are stored, want 3000", n)
	}
}

// TestTransactionIsAllOrNothing makes transactions of sound and faulty entries
// and looks whether all or none of the sound ones are there.
func TestTransactionIsAllOrNothing(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Patient/ada", adaV1)
	faults := []string{
		entryOf("", "POST", "Patient", `{"resourceType":"Patient","active":1}`),
		entryOf("", "PUT", "Patient/ada", adaV1, `"ifMatch":"W/\"99\""`),
		entryOf("", "POST", "Observation", observationOf("urn:uuid:33333333-3333-4333-8333-333333333333")),
		entryOf("", "POST", "Observation", observationOf("Patient?identifier=none")),
		entryOf("", "GET", "Patient?nonsense=1", ""),
	}
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		var entries, ids []string
		for i := range rapid.IntRange(1, 6).Draw(t, "sound") {
			id := fmt.Sprintf("r%d-%d", run, i)
			ids = append(ids, id)
			entries = append(entries, entryOf("", "PUT", "Patient/"+id, fmt.Sprintf(`{"resourceType":"Patient","id":%q}`, id)))
		}
		faulty := rapid.Bool().Draw(t, "faulty")
		if faulty {
			entries = append(entries, rapid.SampledFrom(faults).Draw(t, "fault"))
		}
		entries = rapid.Permutation(entries).Draw(t, "order")
		rec := a.do(call{"POST", "", nil, bundleOf("transaction", entries...)})
		if faulty != (rec.Code >= 400) {
			t.Fatalf("faulty %v, status %d: %s", faulty, rec.Code, rec.Body)
		}
		for _, id := range ids {
			if there := a.do(call{method: "GET", path: "/Patient/" + id}).Code == 200; there == faulty {
				t.Fatalf("faulty %v, but %s is there: %v", faulty, id, there)
			}
		}
	})
}

// TestSamples loads published bundles as they are.
func TestSamples(t *testing.T) {
	for _, pattern := range []string{"synthea/*.json", "genomics/*.json"} {
		files, err := filepath.Glob(filepath.Join(golden.Shared(t, "samples"), pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no samples: %v", err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				a := newAPI(t)
				rec := a.must("POST", "", string(data), "Prefer: return=representation")
				var in, out struct {
					Entry []struct{ Resource json.RawMessage }
				}
				if err := errors.Join(json.Unmarshal(data, &in), json.Unmarshal(rec.Body.Bytes(), &out)); err != nil {
					t.Fatal(err)
				}
				if len(in.Entry) != len(out.Entry) {
					t.Errorf("%d entries, %d answers", len(in.Entry), len(out.Entry))
				}
				if i := strings.Index(rec.Body.String(), `"reference":"urn:uuid:`); i >= 0 {
					t.Errorf("a reference was not replaced: %.100s", rec.Body.String()[i:])
				}
			})
		}
	}
}

func TestReferencesHoldAfterATransaction(t *testing.T) {
	const n = 300
	entries := make([]string, 0, 2*n)
	for i := range n {
		urn := fmt.Sprintf("urn:uuid:44444444-4444-4444-8444-%012d", i)
		entries = append(entries, entryOf("", "POST", "Observation", observationOf(urn)), entryOf(urn, "POST", "Patient", plain))
	}
	a := newAPI(t)
	rec := a.must("POST", "", bundleOf("transaction", entries...), "Prefer: return=representation")
	var answer struct {
		Entry []struct {
			Resource struct {
				ID      string
				Subject struct{ Reference string }
			}
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2*n; i += 2 {
		want := "Patient/" + answer.Entry[i+1].Resource.ID
		if got := answer.Entry[i].Resource.Subject.Reference; got != want {
			t.Fatalf("entry %d refers to %s, want %s", i, got, want)
		}
	}
	if found := a.page("/Observation?subject=Patient/" + answer.Entry[1].Resource.ID); len(found.Entry) != 1 {
		t.Errorf("the new reference finds %d Observations, want 1", len(found.Entry))
	}
}
