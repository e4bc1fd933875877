package rest

import (
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/internal/golden"
)

// issuer is what is known of an authorization server.
type issuer struct {
	authorize, token string
	configuration    string // "" until the server has answered
}

func (i *issuer) Endpoints() (authorize, token string) { return i.authorize, i.token }

func (i *issuer) Configuration() ([]byte, error) {
	if i.configuration == "" {
		return nil, fhir.Errorf(fhir.Unavailable, "the authorization server has not answered yet")
	}
	return []byte(i.configuration), nil
}

// nobody is an Authorize that lets nobody in.
func nobody(echo.Context) (search.Access, error) {
	return search.Access{}, fhir.Errorf(fhir.Unauthenticated, "the token is not valid")
}

func TestSMARTConfiguration(t *testing.T) {
	const path = "/.well-known/smart-configuration"
	known := &issuer{configuration: `{"token_endpoint":"https://login.example/token"}`}
	tests := []struct {
		name    string
		smart   SMART
		call    call
		status  int
		headers []string
		golden  string
	}{
		{
			"known", known,
			call{"GET", path, nil, ""},
			200,
			[]string{"Content-Type: application/json", "Access-Control-Allow-Origin: *"},
			"smart.json",
		},
		{"whatever is accepted", known, call{"GET", path, []string{"Accept: application/fhir+xml"}, ""}, 200, []string{"Content-Type: application/json"}, "smart.json"},
		{"FHIR accepted", known, call{"GET", path, []string{"Accept: application/fhir+json"}, ""}, 200, []string{"Content-Type: application/json"}, "smart.json"},
		{"with a bad token", known, call{"GET", path, []string{"Authorization: Bearer x"}, ""}, 200, nil, "smart.json"},
		{
			"from a page of any origin", known,
			call{"GET", path, []string{"Origin: https://elsewhere.example"}, ""},
			200,
			[]string{"Access-Control-Allow-Origin: *"},
			"smart.json",
		},
		{
			"preflight of a page of any origin", known,
			call{"OPTIONS", path, []string{"Origin: https://elsewhere.example", "Access-Control-Request-Method: GET"}, ""},
			204,
			[]string{"Access-Control-Allow-Origin: *"},
			"",
		},
		{"with a slash at the end", known, call{"GET", path + "/", []string{"Origin: https://elsewhere.example"}, ""}, 200, []string{"Access-Control-Allow-Origin: *"}, "smart.json"},
		{"head", known, call{"HEAD", path, nil, ""}, 200, []string{"Content-Type: application/json", "Content-Length: 48"}, ""},
		{"options", known, call{"OPTIONS", path, nil, ""}, 204, []string{"Allow: GET, HEAD, OPTIONS"}, ""},
		{"another method", known, call{"PUT", path, nil, "{}"}, 405, []string{"Allow: GET, HEAD, OPTIONS"}, "smart-method.json"},
		{
			"not known yet", &issuer{},
			call{"GET", path, nil, ""},
			503,
			[]string{"Retry-After: 5", "Access-Control-Allow-Origin: *"},
			"smart-unknown.json",
		},
		{"without SMART", nil, call{"GET", path, nil, ""}, 404, []string{"Content-Type: application/fhir+json; charset=utf-8"}, "smart-none.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t, func(c *Config) { c.Authorize, c.Security.SMART = nobody, test.smart })
			rec := a.do(test.call)
			if test.golden != "smart.json" {
				check(t, rec, test.status, test.headers, test.golden)
				return
			}
			for _, line := range test.headers {
				if name, want, _ := strings.Cut(line, ": "); rec.Header().Get(name) != want {
					t.Errorf("%s is %q, want %q", name, rec.Header().Get(name), want)
				}
			}
			if rec.Code != test.status || rec.Body.String() != known.configuration {
				t.Errorf("status %d: %s", rec.Code, rec.Body)
			}
		})
	}
	t.Run("not in a batch", func(t *testing.T) {
		a := newAPI(t, func(c *Config) { c.Security.SMART = known })
		rec := a.must("POST", "", bundleOf("batch", entryOf("", "GET", path[1:], "")))
		golden.JSON(t, "testdata/smart-batch.json", rec.Body.Bytes())
	})
}

// TestCapabilitiesOfSecurity: the statement says where tokens come from as soon
// as that is known, and is made anew only then.
func TestCapabilitiesOfSecurity(t *testing.T) {
	login := &issuer{}
	a := newAPI(t, func(c *Config) {
		c.Authorize = nobody
		c.Security = Security{Description: "Tokens of https://login.example.", SMART: login}
		c.Profiles = map[string][]string{"Patient": {"https://starling.example/StructureDefinition/patient"}}
		c.Origins = nil
	})
	security := func() ([]byte, resource.Node) {
		t.Helper()
		rec := a.do(call{"GET", "/metadata", []string{"Authorization: Bearer x", "Origin: https://elsewhere.example"}, ""})
		if rec.Code != 200 || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Fatalf("status %d, headers %v: %s", rec.Code, rec.Header(), rec.Body)
		}
		valid(t, rec.Body.Bytes())
		root, err := resource.Decode(rec.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		rest := root.List("rest")[0]
		return rest.Get("security").JSON(), rest
	}
	body, rest := security()
	golden.JSON(t, "testdata/security-unknown.json", body)
	for _, typ := range rest.List("resource") {
		profiles := typ.List("supportedProfile")
		if want := typ.Str("type") == "Patient"; (len(profiles) == 1) != want {
			t.Errorf("%s has %d profiles", typ.Str("type"), len(profiles))
		}
	}
	slash := a.do(call{"GET", "/metadata/", []string{"Origin: https://elsewhere.example"}, ""})
	if slash.Code != 200 || slash.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("with a slash at the end: status %d, headers %v", slash.Code, slash.Header())
	}
	login.authorize, login.token = "https://login.example/authorize", "https://login.example/token"
	body, _ = security()
	golden.JSON(t, "testdata/security-known.json", body)
	first := a.server.currentStatement()
	if second := a.server.currentStatement(); &first[0] != &second[0] {
		t.Error("the statement is made at each request")
	}
	login.authorize, login.token = "", "https://elsewhere.example/token"
	body, _ = security()
	golden.JSON(t, "testdata/security-token.json", body)
}

func TestProfilesOfUnknownTypes(t *testing.T) {
	cfg := newAPI(t).server.Config
	cfg.Profiles = map[string][]string{"Pateint": {"https://starling.example/x"}}
	if _, err := New(cfg); err == nil {
		t.Error("no error")
	}
}
