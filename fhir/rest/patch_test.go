package rest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/starling-fhir/starling/internal/golden"
)

const jsonPatchHeader = "Content-Type: " + jsonPatchMedia

// TestPatch sends patches as a client does.
func TestPatch(t *testing.T) {
	const (
		gender    = `[{"op":"add","path":"/gender","value":"female"}]`
		generated = `{"resourceType":"Patient","id":"told","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Born 1965</div>"},"birthDate":"1965"}`
	)
	path := pathPatch(`add; Patient; name=gender; {"valueCode":"female"}`)
	told := strings.Replace(generated, "generated", "additional", 1)
	tests := []struct {
		name    string
		call    call
		status  int
		headers []string
		golden  string
	}{
		{"json patch", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, gender}, 200, []string{`ETag: W/"3"`}, "json.json"},
		{"fhirpath patch", call{"PATCH", "/Patient/ada", nil, path}, 200, []string{`ETag: W/"3"`}, "json.json"},
		{"the answer of a prefer header", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader, "Prefer: return=OperationOutcome"}, gender}, 200, nil, "outcome.json"},
		{"decimals stay", call{"PATCH", "/Observation/weight", []string{jsonPatchHeader}, `[{"op":"replace","path":"/status","value":"amended"}]`}, 200, nil, "decimal.json"},
		{"the right version", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader, `If-Match: W/"2"`}, gender}, 200, []string{`ETag: W/"3"`}, "json.json"},
		{"a wrong version", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader, `If-Match: W/"1"`}, gender}, 412, nil, "version.json"},
		{"not this version", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader, `If-None-Match: W/"2"`}, gender}, 412, nil, "none-match.json"},
		{"not another version", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader, `If-None-Match: W/"1"`}, gender}, 200, nil, "json.json"},
		{"nothing changes", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `[{"op":"test","path":"/active","value":true}]`}, 200, []string{`ETag: W/"2"`}, "unchanged.json"},
		{"what the server writes does not count", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `[{"op":"replace","path":"/meta/versionId","value":"77"}]`}, 200, []string{`ETag: W/"2"`}, "unchanged.json"},
		{"nobody", call{"PATCH", "/Patient/nobody", []string{jsonPatchHeader}, gender}, 404, nil, "nobody.json"},
		{"what was deleted", call{"PATCH", "/Patient/bob", []string{jsonPatchHeader}, gender}, 410, nil, "deleted.json"},
		{"a test that fails", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `[{"op":"test","path":"/active","value":false}]`}, 422, nil, "test.json"},
		{"a path that leads nowhere", call{"PATCH", "/Patient/ada", nil, pathPatch(`replace; Patient.gender; {"valueCode":"female"}`)}, 422, nil, "nowhere.json"},
		{"a result that is not valid", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `[{"op":"add","path":"/gender","value":"boy"},{"op":"add","path":"/nmae","value":[]},{"op":"add","path":"/sex","value":"x"}]`}, 400, nil, "invalid.json"},
		{"another id", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `[{"op":"replace","path":"/id","value":"eve"}]`}, 422, nil, "id.json"},
		{"another type", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `[{"op":"replace","path":"","value":{"resourceType":"Observation","id":"ada"}}]`}, 422, nil, "type.json"},
		{"the id by fhirpath", call{"PATCH", "/Patient/ada", nil, pathPatch(`delete; Patient.id`)}, 422, nil, "id.json"},
		{"a member twice", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `[{"op":"add","path":"/name/0","value":{"family":"A","family":"B"}}]`}, 400, nil, "twice.json"},
		{"no json", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `[`}, 400, nil, "syntax.json"},
		{"an object as json patch", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, `{}`}, 400, nil, "object.json"},
		{"a json patch as json", call{"PATCH", "/Patient/ada", []string{"Content-Type: application/json"}, gender}, 400, nil, "media.json"},
		{"no body", call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, ``}, 400, nil, "empty.json"},
		{"a resource", call{"PATCH", "/Patient/ada", nil, adaV2}, 400, nil, "resource.json"},
		{"a merge patch", call{"PATCH", "/Patient/ada", []string{"Content-Type: application/merge-patch+json"}, `{}`}, 415, []string{"Accept-Patch: " + patchFormats}, "merge.json"},
		{"fhirpath patch as xml", call{"PATCH", "/Patient/ada", []string{"Content-Type: application/fhir+xml", "Accept: application/fhir+json"}, `<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>` +
			`<part><name value="type"/><valueCode value="add"/></part><part><name value="path"/><valueString value="Patient"/></part>` +
			`<part><name value="name"/><valueString value="gender"/></part><part><name value="value"/><valueCode value="female"/></part></parameter></Parameters>`}, 200, nil, "xml.json"},
		{"options", call{"OPTIONS", "/Patient/ada", nil, ""}, 204, []string{"Accept-Patch: " + patchFormats}, ""},
		{"by criteria", call{"PATCH", "/Patient?identifier=http://hospital.example/mrn|1815", []string{jsonPatchHeader}, gender}, 200, []string{`ETag: W/"3"`}, "criteria.json"},
		{"by criteria that match nothing", call{"PATCH", "/Patient?identifier=1", []string{jsonPatchHeader}, gender}, 404, nil, "criteria-none.json"},
		{"by criteria that match two", call{"PATCH", "/Observation?code=29463-7", []string{jsonPatchHeader}, `[]`}, 412, nil, "criteria-two.json"},
		{"by no criteria", call{"PATCH", "/Patient", []string{jsonPatchHeader}, gender}, 400, nil, "criteria-empty.json"},
		{"a narrative made of the data goes", call{"PATCH", "/Patient/told", []string{jsonPatchHeader}, `[{"op":"replace","path":"/birthDate","value":"1966"}]`}, 200, nil, "narrative.json"},
		{"a narrative stays if the data do", call{"PATCH", "/Patient/told", []string{jsonPatchHeader}, `[{"op":"add","path":"/language","value":"en"}]`}, 200, nil, "narrative-kept.json"},
		{"a narrative that says more is not left behind", call{"PATCH", "/Patient/more", []string{jsonPatchHeader}, `[{"op":"replace","path":"/birthDate","value":"1966"}]`}, 422, nil, "narrative-more.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.seed()
			a.must("PUT", "/Patient/told", generated)
			a.must("PUT", "/Patient/more", strings.Replace(told, "told", "more", 1))
			rec := a.do(test.call)
			file := ""
			if test.golden != "" {
				file = filepath.Join("patch", test.golden)
			}
			check(t, rec, test.status, test.headers, file)
		})
	}
}

// TestPatchHistory: the version that a patch makes says so.
func TestPatchHistory(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PATCH", "/Patient/ada", `[{"op":"remove","path":"/active"}]`, jsonPatchHeader)
	rec := a.must("GET", "/Patient/ada/_history", "")
	valid(t, rec.Body.Bytes())
	if !strings.Contains(rec.Body.String(), `"request":{"method":"PATCH","url":"Patient/ada"}`) {
		t.Errorf("the history does not tell of the patch: %s", rec.Body)
	}
}

// binary is a JSON Patch as an entry of a bundle has it.
func binary(patch string) string {
	return `{"resourceType":"Binary","contentType":"` + jsonPatchMedia + `","data":"` + base64.StdEncoding.EncodeToString([]byte(patch)) + `"}`
}

func TestPatchInBundles(t *testing.T) {
	good := []string{
		entryOf("", "PATCH", "Patient/ada", binary(`[{"op":"add","path":"/gender","value":"female"}]`)),
		entryOf("", "PATCH", "Observation/weight", pathPatch(`replace; Observation.status; {"valueCode":"amended"}`), `"ifMatch":"W/\"1\""`),
		entryOf("urn:uuid:77777777-7777-4777-8777-777777777777", "POST", "Practitioner", `{"resourceType":"Practitioner"}`),
		entryOf("", "PATCH", "Observation?_id=weight-2", pathPatch(`add; Observation; name=performer; {"valueReference":{"reference":"urn:uuid:77777777-7777-4777-8777-777777777777"}}`)),
	}
	tests := []struct {
		name, body string
		status     int
		golden     string
	}{
		{"transaction", bundleOf("transaction", good...), 200, "transaction.json"},
		{"batch", bundleOf("batch", good[0], good[1], entryOf("", "PATCH", "Patient/nobody", binary("[]")), entryOf("", "PATCH", "Patient/ada", `{"resourceType":"Patient"}`)), 200, "batch.json"},
		{"one of them fails", bundleOf("transaction", good[0], entryOf("", "PATCH", "Observation/weight", binary(`[{"op":"remove","path":"/note"}]`))), 422, "transaction-fails.json"},
		{"a patch and an update of one resource", bundleOf("transaction", good[0], entryOf("", "PUT", "Patient/ada", adaV1)), 400, "transaction-twice.json"},
		{"a patch that changes nothing and an update", bundleOf("transaction", entryOf("", "PATCH", "Patient/ada", binary("[]")), entryOf("", "PUT", "Patient/ada", adaV1)), 400, "transaction-twice.json"},
		{"a binary of another kind", bundleOf("transaction", entryOf("", "PATCH", "Patient/ada", `{"resourceType":"Binary","contentType":"text/plain","data":"eA=="}`)), 415, "binary-type.json"},
		{"a binary without data", bundleOf("transaction", entryOf("", "PATCH", "Patient/ada", `{"resourceType":"Binary","contentType":"`+jsonPatchMedia+`"}`)), 400, "binary-empty.json"},
		{"a reference to no entry", bundleOf("transaction", entryOf("", "PATCH", "Observation/weight", pathPatch(`add; Observation; name=performer; {"valueReference":{"reference":"urn:uuid:77777777-7777-4777-8777-777777777777"}}`))), 400, "dangling.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.seed()
			a.frozen.Store(true) // entries of a batch are served side by side
			rec := a.do(call{"POST", "", nil, test.body})
			if rec.Code != test.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			golden.JSON(t, filepath.Join("testdata", "patch", test.golden), rec.Body.Bytes())
			if test.status != 200 && a.must("GET", "/Patient/ada", "").Header().Get("ETag") != `W/"2"` {
				t.Error("a transaction that failed has changed something")
			}
		})
	}
}

// TestPatchAccess: what the caller may not see is as absent, and a patch cannot
// move what they may change out of their record or into it.
func TestPatchAccess(t *testing.T) {
	a := newGuarded(t)
	a.records()
	const note = `[{"op":"add","path":"/note","value":[{"text":"n"}]}]`
	moved := `[{"op":"replace","path":"/subject/reference","value":"Patient/bea"}]`
	const all = "patient/Observation.cruds"
	tests := []struct {
		name, scopes, path, patch string
		status                    int
	}{
		{"own", all, "/Observation/own-1", note, 200},
		{"another patient's", all, "/Observation/other", note, 404},
		{"absent", all, "/Observation/absent", note, 404},
		{"of two patients", all, "/Observation/both1", note, 403},
		{"deleted", all, "/Observation/gone1", note, 410},
		{"moved away", all, "/Observation/own-1", moved, 403},
		{"by criteria", all, "/Observation?_id=own-1", note, 200},
		{"another's by criteria", all, "/Observation?_id=other", note, 404},
		{"without the right to change", "patient/Observation.rs", "/Observation/own-1", note, 403},
		{"without the right to read", "patient/Observation.u", "/Observation/own-1", note, 403},
		{"of another type", all, "/Condition/x", note, 403},
	}
	for _, test := range tests {
		rec := a.as(test.scopes, call{"PATCH", test.path, []string{jsonPatchHeader}, test.patch})
		if rec.Code != test.status {
			t.Errorf("%s: status %d, want %d: %s", test.name, rec.Code, test.status, rec.Body)
		}
	}
	other := a.as(all, call{"PATCH", "/Observation/other", []string{jsonPatchHeader, `If-Match: W/"9"`}, "[]"})
	absent := a.as(all, call{"PATCH", "/Observation/absen", []string{jsonPatchHeader, `If-Match: W/"9"`}, "[]"})
	if got := strings.ReplaceAll(other.Body.String(), "other", "absen"); got != absent.Body.String() || other.Code != absent.Code {
		t.Errorf("what may not be seen differs from what is not there:\n%s\n%s", other.Body, absent.Body)
	}
}

// TestPatchesSideBySide: without If-Match no patch is lost, however many come at
// once.
func TestPatchesSideBySide(t *testing.T) {
	a := newAPI(t)
	a.frozen.Store(true)
	a.must("PUT", "/Patient/ada", adaV1)
	const clients, each = 4, 8
	var wait sync.WaitGroup
	for client := range clients {
		wait.Go(func() {
			for i := range each {
				value := fmt.Sprintf("%d-%d", client, i)
				body := `[{"op":"add","path":"/identifier/-","value":{"system":"http://example.org","value":"` + value + `"}}]`
				for {
					rec := a.do(call{"PATCH", "/Patient/ada", []string{jsonPatchHeader}, body})
					if rec.Code == http.StatusOK {
						break
					}
					if rec.Code != http.StatusConflict { // told to try again
						t.Errorf("status %d: %s", rec.Code, rec.Body)
						return
					}
				}
			}
		})
	}
	wait.Wait()
	body := a.must("GET", "/Patient/ada", "").Body.String()
	for client := range clients {
		for i := range each {
			if !strings.Contains(body, fmt.Sprintf(`"%d-%d"`, client, i)) {
				t.Errorf("the patch %d-%d is lost", client, i)
			}
		}
	}
}

// FuzzJSONPatch and FuzzFHIRPathPatch send anything as a patch. The server
// answers with valid FHIR and never with a fault of its own, and what it has
// stored is what it says.
func FuzzJSONPatch(f *testing.F) {
	for _, seed := range []string{
		`[{"op":"add","path":"/name/-","value":{"family":"A"}}]`, `[{"op":"remove","path":"/name/0"}]`,
		`[{"op":"copy","from":"/name/0","path":"/name/0"},{"op":"move","from":"/name/1","path":"/contact"}]`,
		`[{"op":"test","path":"/active","value":true},{"op":"replace","path":"","value":{"resourceType":"Patient","id":"ada"}}]`,
		`[{"op":"add","path":"/a~1b/~0","value":1e999}]`, `{}`, `[[]]`,
	} {
		f.Add([]byte(seed))
	}
	fuzzPatch(f, jsonPatchHeader)
}

func FuzzFHIRPathPatch(f *testing.F) {
	for _, seed := range []string{
		pathPatch(`add; Patient; name=gender; {"valueCode":"female"}`, `delete; Patient.name.where(family = 'A' or given.exists()).first()`),
		pathPatch(`insert; Patient.name[0].given; index=0; {"valueString":"A","_valueString":{"id":"x"}}`, `move; Patient.name; source=0; destination=0`),
		pathPatch(`replace; (Patient.deceased as boolean); {"valueDateTime":"2020"}`, `add; Patient.birthDate; name=extension; {"part":[{"name":"url","valueUri":"http://x.example"},{"name":"value","valueCode":"c"}]}`),
		pathPatch(`add; Patient; name=contact; {"part":[{"name":"name","part":[{"name":"given","valueString":"A"}]}]}`),
		pathPatch("delete; Patient.extension('x').`value`.ofType(FHIR.string)"), `{"resourceType":"Parameters"}`,
	} {
		f.Add([]byte(seed))
	}
	fuzzPatch(f, "Content-Type: "+fhirJSON)
}

func fuzzPatch(f *testing.F, header string) {
	f.Helper()
	a := newAPI(f)
	a.must("PUT", "/Patient/ada", adaV1)
	f.Fuzz(func(t *testing.T, document []byte) {
		rec := a.do(call{"PATCH", "/Patient/ada", []string{header}, string(document)})
		if rec.Code >= 500 {
			t.Fatalf("status %d: %s\n%s", rec.Code, rec.Body, a.log)
		}
		valid(t, rec.Body.Bytes())
		if rec.Code == http.StatusOK && rec.Body.String() != a.do(call{"GET", "/Patient/ada", nil, ""}).Body.String() {
			t.Fatalf("the answer is not what is stored: %s", rec.Body)
		}
	})
}

// FuzzPath reads anything as a path.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		`Patient.name[0].given`, `(a as B).c`, `a.where(b = 'c' and d != @2020-01-01 or e.not()).first()`, `%resource.x`, `$this`,
		"a.`b`", `a.extension('x\'y')`, `a[`, `a.where(`, `1 = -2.5`, `a is b`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parsePath(text)
		if (e == nil) == (err == nil) {
			t.Fatalf("%q: %v, %v", text, e, err)
		}
	})
}
