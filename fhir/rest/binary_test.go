package rest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir/search"
)

func binaryOf(id, contentType, data, more string) string {
	return fmt.Sprintf(`{"resourceType":"Binary","id":%q,"contentType":%q%s,"data":%q}`, id, contentType, more, base64.StdEncoding.EncodeToString([]byte(data)))
}

// TestBinaryRead: only who asks for FHIR's formats by name gets the resource.
// https://hl7.org/fhir/R4/binary.html#rest
func TestBinaryRead(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Binary/pdf", binaryOf("pdf", "application/pdf", "%PDF-1.4 x", ""))
	a.must("PUT", "/Binary/page", binaryOf("page", "text/html; charset=utf-8", "<script>alert(1)</script>", ""))
	a.must("PUT", "/Binary/json", binaryOf("json", "application/json", `{"a": 1}`, ""))
	a.must("PUT", "/Binary/odd", binaryOf("odd", "nonsense", "x", ""))
	a.must("PUT", "/Binary/empty", `{"resourceType":"Binary","id":"empty","contentType":"text/plain"}`)
	tests := []struct {
		name, path, accept string
		status             int
		contentType        string
		body               string // "" for the resource
	}{
		{"nothing asked", "/Binary/pdf", "", 200, "application/pdf", "%PDF-1.4 x"},
		{"anything", "/Binary/pdf", "*/*", 200, "application/pdf", "%PDF-1.4 x"},
		{"its own type", "/Binary/pdf", "application/pdf", 200, "application/pdf", "%PDF-1.4 x"},
		{"its kind", "/Binary/pdf", "application/*", 200, "application/pdf", "%PDF-1.4 x"},
		{"another type", "/Binary/pdf", "image/png", 406, "application/fhir+json; charset=utf-8", ""},
		{"FHIR in JSON", "/Binary/pdf", "application/fhir+json", 200, "application/fhir+json; charset=utf-8", ""},
		{"FHIR in XML", "/Binary/pdf", "application/fhir+xml", 200, "application/fhir+xml; charset=utf-8", ""},
		{"either, FHIR by name", "/Binary/pdf", "application/pdf, application/fhir+json", 200, "application/fhir+json; charset=utf-8", ""},
		{"FHIR before anything", "/Binary/pdf", "application/fhir+json, */*;q=0.1", 200, "application/fhir+json; charset=utf-8", ""},
		{"JSON, which it is not", "/Binary/pdf", "application/json", 200, "application/json; charset=utf-8", ""},
		{"JSON, which it is", "/Binary/json", "application/json", 200, "application/json", `{"a": 1}`},
		{"by _format", "/Binary/pdf?_format=json", "application/pdf", 200, "application/fhir+json; charset=utf-8", ""},
		{"by _format XML", "/Binary/pdf?_format=xml", "", 200, "application/fhir+xml; charset=utf-8", ""},
		{"an unknown _format", "/Binary/pdf?_format=pdf", "", 406, "application/fhir+json; charset=utf-8", ""},
		{"a page", "/Binary/page", "text/html,application/xhtml+xml,*/*;q=0.8", 200, "text/html; charset=utf-8", "<script>alert(1)</script>"},
		{"a type that is none", "/Binary/odd", "", 200, "application/octet-stream", "x"},
		{"no data", "/Binary/empty", "", 200, "text/plain", ""},
		{"an old version", "/Binary/pdf/_history/1", "", 200, "application/pdf", "%PDF-1.4 x"},
		{"not there", "/Binary/none", "image/png", 404, "application/fhir+json; charset=utf-8", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			if test.accept != "" {
				headers = []string{"Accept: " + test.accept}
			}
			rec := a.do(call{"GET", test.path, headers, ""})
			if rec.Code != test.status || rec.Header().Get("Content-Type") != test.contentType {
				t.Fatalf("status %d and %q, want %d and %q: %s", rec.Code, rec.Header().Get("Content-Type"), test.status, test.contentType, rec.Body)
			}
			raw := test.status == 200 && !strings.Contains(test.contentType, "fhir") && !strings.HasSuffix(test.contentType, "json; charset=utf-8")
			if !raw {
				if !strings.Contains(rec.Body.String(), "resourceType") && !strings.Contains(rec.Body.String(), "<Binary xmlns") {
					t.Errorf("not a resource: %s", rec.Body)
				}
				return
			}
			if rec.Body.String() != test.body {
				t.Errorf("the body is %q, want %q", rec.Body, test.body)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment",
				"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "no-store", "ETag": `W/"1"`,
			} {
				if got := rec.Header().Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if rec.Header().Get("Last-Modified") == "" {
				t.Error("there is no Last-Modified")
			}
		})
	}
	if rec := a.do(call{"HEAD", "/Binary/pdf", nil, ""}); rec.Code != 200 || rec.Body.Len() != 0 || rec.Header().Get("Content-Length") != "10" {
		t.Errorf("HEAD: status %d, %s bytes, body %q", rec.Code, rec.Header().Get("Content-Length"), rec.Body)
	}
	if rec := a.do(call{"GET", "/Binary/pdf", []string{`If-None-Match: W/"1"`}, ""}); rec.Code != 304 {
		t.Errorf("If-None-Match: status %d", rec.Code)
	}
}

// TestBinaryWrite: what is sent is the content, unless it is a Binary resource.
func TestBinaryWrite(t *testing.T) {
	resourceForm := binaryOf("b", "text/plain", "hello", "")
	tests := []struct {
		name, method, contentType, body string
		context                         string // X-Security-Context
		status                          int
		stored                          string // a part of the resource as it is stored
	}{
		{"a PDF", "POST", "application/pdf", "%PDF", "", 201, `"contentType":"application/pdf","data":"JVBERg=="`},
		{"with parameters", "POST", "text/plain;  charset=utf-8", "ü", "", 201, `"contentType":"text/plain; charset=utf-8","data":"w7w="`},
		{"under an id", "PUT", "image/png", "\x89PNG", "", 201, `"contentType":"image/png","data":"iVBORw=="`},
		{"with a context", "POST", "text/plain", "x", "Patient/ada", 201, `"securityContext":{"reference":"Patient/ada"},"data"`},
		{"with a context of this server", "POST", "text/plain", "x", testBase + "/Patient/ada", 201, `"securityContext":{"reference":"Patient/ada"},"data"`},
		{"with a context that is none", "POST", "text/plain", "x", "a b", 400, ""},
		{"a resource", "PUT", "application/fhir+json", resourceForm, "", 201, `"contentType":"text/plain","data":"aGVsbG8="`},
		{"a resource as JSON", "PUT", "application/json", resourceForm, "", 201, `"contentType":"text/plain","data":"aGVsbG8="`},
		{"a resource in XML", "PUT", "application/fhir+xml", `<Binary xmlns="http://hl7.org/fhir"><id value="b"/><contentType value="text/plain"/><data value="aGVsbG8="/></Binary>`, "", 201, `"contentType":"text/plain","data":"aGVsbG8="`},
		{"a resource with a context in the header", "PUT", "application/fhir+json", resourceForm, "Patient/ada", 201, `"securityContext":{"reference":"Patient/ada"}`},
		{"a resource with another context", "PUT", "application/fhir+json", binaryOf("b", "text/plain", "x", `,"securityContext":{"reference":"Patient/bea"}`), "Patient/ada", 400, ""},
		{"another resource is content", "POST", "application/fhir+json", `{"resourceType":"Patient"}`, "", 201, `"contentType":"application/fhir+json","data":"eyJyZXNvdXJjZVR5cGUiOiJQYXRpZW50In0="`},
		{"any JSON is content", "POST", "application/json", `[1, 2]`, "", 201, `"contentType":"application/json","data":"WzEsIDJd"`},
		{"any XML is content", "POST", "text/xml", `<a/>`, "", 201, `"contentType":"text/xml","data":"PGEvPg=="`},
		{"broken FHIR is not", "POST", "application/fhir+json", `{"resourceType":`, "", 400, ""},
		{"broken FHIR in XML is not", "POST", "application/fhir+xml", `<Binary`, "", 400, ""},
		{"another version of FHIR", "POST", "application/fhir+json; fhirVersion=5.0", resourceForm, "", 415, ""},
		{"no media type", "POST", "nothing at all", "x", "", 415, ""},
		{"a word that is no media type", "POST", "nonsense", "x", "", 415, ""},
		{"nothing", "POST", "image/png", "", "", 400, ""},
		{"too much", "POST", "image/png", strings.Repeat("x", maxRawBinary+1), "", 413, ""},
		{"as much as there may be", "POST", "image/png", strings.Repeat("x", maxRawBinary), "", 201, `"contentType":"image/png"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			path := "/Binary"
			if test.method == "PUT" {
				path += "/b"
			}
			headers := []string{"Content-Type: " + test.contentType}
			if test.context != "" {
				headers = append(headers, "X-Security-Context: "+test.context)
			}
			rec := a.do(call{test.method, path, headers, test.body})
			if rec.Code != test.status {
				t.Fatalf("status %d, want %d: %.300s", rec.Code, test.status, rec.Body)
			}
			if test.stored == "" {
				return
			}
			at := strings.TrimPrefix(rec.Header().Get("Location"), testBase)
			got := a.must("GET", at, "", "Accept: application/fhir+json")
			if !strings.Contains(got.Body.String(), test.stored) {
				t.Errorf("stored is %.300s, want %s in it", got.Body, test.stored)
			}
			if want := strings.TrimPrefix(test.context, testBase+"/"); got.Header().Get("X-Security-Context") != want {
				t.Errorf("X-Security-Context is %q, want %q", got.Header().Get("X-Security-Context"), want)
			}
		})
	}
}

// TestBinaryInBundles: in a Bundle a Binary is a resource, both ways.
func TestBinaryInBundles(t *testing.T) {
	a := newAPI(t)
	a.must("POST", "", bundleOf("transaction", entryOf("", "PUT", "Binary/b", binaryOf("b", "text/plain", "x", ""))))
	rec := a.must("POST", "", bundleOf("batch", entryOf("", "GET", "Binary/b", "")))
	valid(t, rec.Body.Bytes())
	if !strings.Contains(rec.Body.String(), `"data":"eA=="`) {
		t.Errorf("the answer has no resource: %s", rec.Body)
	}
}

// TestBinaryContext: a Binary is there for who sees its securityContext, and for
// nobody else; without one, for who may read Binaries without a limit.
func TestBinaryContext(t *testing.T) {
	a := newGuarded(t)
	a.records()
	context := func(reference string) string { return `,"securityContext":{"reference":"` + reference + `"}` }
	for id, more := range map[string]string{
		"own": context("Patient/ada"), "own-obs": context("Observation/own-1"), "others": context("Patient/bea"), "others-obs": context("Observation/other"),
		"dangling": context("Patient/nobody"), "elsewhere": context("https://other.example/fhir/Patient/ada"), "nested": context("Binary/own"), "plain": "",
	} {
		a.must("PUT", "/Binary/"+id, binaryOf(id, "text/plain", "x", more))
	}
	ids := []string{"own", "own-obs", "others", "others-obs", "dangling", "elsewhere", "nested", "plain"}
	tests := []struct{ scopes, sees string }{
		{"all", "own own-obs others others-obs dangling elsewhere nested plain"},
		{"system/*.cruds", "own own-obs others others-obs dangling elsewhere nested plain"},
		{"patient/*.cruds", "own own-obs"},
		{"patient/Binary.rs", ""},
		{"patient/Binary.r patient/Patient.r", "own"},
		{"patient/Patient.r", ""},
		{"user/Binary.rs", "plain"},
		{"user/Binary.cruds user/Patient.rs", "own others dangling plain"},
		{"user/Binary.r patient/Observation.r", "own-obs plain"},
	}
	for _, test := range tests {
		t.Run(test.scopes, func(t *testing.T) {
			seen := strings.Fields(test.sees)
			whole := test.scopes == "all" || test.scopes == "system/*.cruds"
			for _, id := range ids {
				visible := false
				for _, s := range seen {
					visible = visible || s == id
				}
				for _, path := range []string{"/Binary/" + id, "/Binary/" + id + "/_history/1"} {
					rec := a.as(test.scopes, call{"GET", path, nil, ""})
					want := 404
					if visible {
						want = 200
					} else if test.scopes == "patient/Patient.r" {
						want = 403
					}
					if rec.Code != want {
						t.Errorf("GET %s: status %d, want %d: %s", path, rec.Code, want, rec.Body)
					}
					if visible {
						continue
					}
					absent := a.as(test.scopes, call{"GET", strings.Replace(path, id, "none", 1), nil, ""})
					if got, want := strings.ReplaceAll(rec.Body.String(), id, "none"), absent.Body.String(); got != want || rec.Code != absent.Code {
						t.Errorf("GET %s says %s, but of what is not there %s", path, got, want)
					}
				}
				if whole {
					continue
				}
				// The others learn nothing by lists.
				for _, path := range []string{"/Binary?_id=" + id, "/Binary/" + id + "/_history", "/Binary/_history", "?_type=Binary", "/_history"} {
					if rec := a.as(test.scopes, call{"GET", path, nil, ""}); strings.Contains(rec.Body.String(), `"resourceType":"Binary"`) {
						t.Errorf("GET %s shows a Binary: %s", path, rec.Body)
					}
				}
			}
		})
	}
}

// TestEverythingWithAttachments: a record brings along the attachments that the
// caller could read one by one, and tells nothing of the others.
func TestEverythingWithAttachments(t *testing.T) {
	a := newGuarded(t)
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Patient/bea", `{"resourceType":"Patient","id":"bea"}`)
	var attached []string
	for id, context := range map[string]string{"own": "Patient/ada", "letter": "DocumentReference/d", "others": "Patient/bea", "plain": ""} {
		more := ""
		if context != "" {
			more = `,"securityContext":{"reference":"` + context + `"}`
		}
		a.must("PUT", "/Binary/"+id, binaryOf(id, "text/plain", "secret", more))
		attached = append(attached, `{"attachment":{"url":"Binary/`+id+`"}}`)
	}
	a.must("PUT", "/DocumentReference/d", `{"resourceType":"DocumentReference","id":"d","status":"current","subject":{"reference":"Patient/ada"},"content":[`+strings.Join(attached, ",")+`]}`)
	for scopes, want := range map[string]string{
		"system/*.rs":             "Binary/letter Binary/others Binary/own Binary/plain",
		"patient/*.rs":            "Binary/letter Binary/own",
		"patient/*.rs user/*.cud": "Binary/letter Binary/own",
		"user/Binary.rs user/Patient.rs user/DocumentReference.rs": "Binary/letter Binary/others Binary/own Binary/plain",
		"patient/Patient.rs patient/DocumentReference.rs":          "",
		"patient/Patient.rs patient/Binary.rs":                     "",
	} {
		for _, count := range []string{"", "?_count=1", "?_type=DocumentReference,Binary", "?_type=Binary"} {
			var got []string
			for next := "/Patient/ada/$everything" + count; next != ""; {
				page := searchsetOf(t, a.as(scopes, call{"GET", next, nil, ""}).Body.Bytes())
				for _, url := range page.urls("") {
					if strings.HasPrefix(url, "Binary/") {
						got = append(got, url)
					}
				}
				next = page.next()
			}
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				t.Errorf("%s%s: %v, want %s", scopes, count, got, want)
			}
		}
	}
}

// TestBinaryContextOfWrites: who may change Binaries only by their context
// changes none that they do not see, and cannot tell it from one that is absent.
func TestBinaryContextOfWrites(t *testing.T) {
	const scopes = "user/Binary.cruds user/Patient.rs patient/Observation.rs"
	a := newGuarded(t)
	a.records()
	context := func(reference string) string { return `,"securityContext":{"reference":"` + reference + `"}` }
	a.must("PUT", "/Binary/hidden", binaryOf("hidden", "text/plain", "secret", context("Observation/other")))
	a.must("PUT", "/Binary/seen", binaryOf("seen", "text/plain", "x", context("Patient/bea")))
	tests := []struct {
		name   string
		call   call
		status int
	}{
		{"update what is hidden", call{"PUT", "/Binary/hidden", nil, binaryOf("hidden", "text/plain", "y", "")}, 404},
		{"update what is absent", call{"PUT", "/Binary/absent", nil, binaryOf("absent", "text/plain", "y", "")}, 404},
		{"delete what is hidden", call{"DELETE", "/Binary/hidden", nil, ""}, 204},
		{"delete what is absent", call{"DELETE", "/Binary/absent", nil, ""}, 204},
		{"update what is seen", call{"PUT", "/Binary/seen", nil, binaryOf("seen", "text/plain", "y", context("Patient/ada"))}, 200},
		{"give it a context that is not seen", call{"PUT", "/Binary/seen", nil, binaryOf("seen", "text/plain", "y", context("Observation/other"))}, 403},
		{"create one", call{"POST", "/Binary", nil, binaryOf("", "text/plain", "y", context("Patient/ada"))}, 201},
		{"create one with a context that is not seen", call{"POST", "/Binary", nil, binaryOf("", "text/plain", "y", context("Observation/other"))}, 403},
		{"delete what is seen", call{"DELETE", "/Binary/seen", nil, ""}, 204},
	}
	for _, test := range tests {
		test.call.body = strings.Replace(test.call.body, `"id":"",`, "", 1)
		if rec := a.as(scopes, test.call); rec.Code != test.status {
			t.Errorf("%s: status %d, want %d: %s", test.name, rec.Code, test.status, rec.Body)
		}
	}
	if rec := a.must("GET", "/Binary/hidden", ""); rec.Body.String() != "secret" {
		t.Errorf("the hidden Binary was changed: %s", rec.Body)
	}
	if a := scoped(t, scopes); a.Scope(search.CanSearch).Of("Binary").Whole {
		t.Error("the caller finds all Binaries")
	}
}
