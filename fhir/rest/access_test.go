package rest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// scoped returns what scopes such as "patient/Observation.rs user/Group.r"
// allow somebody whose patient is Patient/ada. "all" is everything.
func scoped(tb testing.TB, scopes string) search.Access {
	tb.Helper()
	if scopes == "all" {
		return search.FullAccess()
	}
	made, err := parts()
	if err != nil {
		tb.Fatal(err)
	}
	letters := map[rune]search.Rights{
		'c': search.CanCreate, 'r': search.CanRead, 'u': search.CanUpdate, 'd': search.CanDelete, 's': search.CanSearch,
	}
	var grants []search.Grant
	for scope := range strings.FieldsSeq(scopes) {
		who, rest, _ := strings.Cut(scope, "/")
		typ, rights, _ := strings.Cut(rest, ".")
		g := search.Grant{Type: typ}
		if who == "patient" {
			g.Patient = "ada"
		}
		for _, letter := range rights {
			g.Rights |= letters[letter]
		}
		grants = append(grants, g)
	}
	return made.registry.Access(grants...)
}

// newGuarded is newAPI with callers of several kinds: the header Scopes says what
// the caller may do; without it they may do everything.
func newGuarded(tb testing.TB, change ...func(*Config)) *api {
	tb.Helper()
	return newAPI(tb, append([]func(*Config){func(c *Config) {
		c.Authorize = func(c echo.Context) (search.Access, error) {
			if scopes, sent := c.Request().Header["Scopes"]; sent {
				return scoped(tb, scopes[0]), nil
			}
			return search.FullAccess(), nil
		}
	}}, change...)...)
}

// as is do with scopes.
func (a *api) as(scopes string, in call) *httptest.ResponseRecorder {
	in.headers = append(slices.Clone(in.headers), "Scopes: "+scopes)
	return a.do(in)
}

func observation(id, subject string, more ...string) string {
	if id != "" {
		id = `"id":"` + id + `",`
	}
	return `{"resourceType":"Observation",` + id + `"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/` + subject + `"}` + strings.Join(more, "") + `}`
}

// records stores the resources of the tests below: own is of Patient/ada,
// other of Patient/bea, both of the two.
func (a *api) records() {
	a.tb.Helper()
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Patient/bea", `{"resourceType":"Patient","id":"bea"}`)
	a.must("PUT", "/Observation/own-1", observation("own-1", "ada"))
	a.must("PUT", "/Observation/other", observation("other", "bea"))
	a.must("PUT", "/Observation/both1", observation("both1", "ada", `,"performer":[{"reference":"Patient/bea"}]`))
	a.must("PUT", "/Observation/gone1", observation("gone1", "ada"))
	a.must("DELETE", "/Observation/gone1", "")
	a.must("PUT", "/Medication/a-med", `{"resourceType":"Medication","id":"a-med"}`)
	a.must("PUT", "/Group/a-grp", `{"resourceType":"Group","id":"a-grp","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/ada"}}]}`)
}

// TestStatusByScope asks every interaction about what is the caller's own,
// another patient's, absent, of an open type and of a refused type. What is
// another patient's must look as what is absent does.
func TestStatusByScope(t *testing.T) {
	interactions := map[string]func(typ, id, body string) call{
		"read":  func(typ, id, _ string) call { return call{"GET", "/" + typ + "/" + id, nil, ""} },
		"head":  func(typ, id, _ string) call { return call{"HEAD", "/" + typ + "/" + id, nil, ""} },
		"vread": func(typ, id, _ string) call { return call{"GET", "/" + typ + "/" + id + "/_history/1", nil, ""} },
		"past":  func(typ, id, _ string) call { return call{"GET", "/" + typ + "/" + id + "/_history", nil, ""} },
		"since": func(typ, id, _ string) call {
			return call{"GET", "/" + typ + "/" + id + "/_history?_since=2999-01-01", nil, ""}
		},
		"search": func(typ, id, _ string) call { return call{"GET", "/" + typ + "?_id=" + id, nil, ""} },
		"post": func(typ, id, _ string) call {
			return call{"POST", "/" + typ + "/_search", []string{"Content-Type: application/x-www-form-urlencoded"}, "_id=" + id}
		},
		"system": func(typ, id, _ string) call { return call{"GET", "?_type=" + typ + "&_id=" + id, nil, ""} },
		"type history": func(typ, _, _ string) call {
			return call{"GET", "/" + typ + "/_history?_since=2999-01-01", nil, ""}
		},
		"update": func(typ, id, body string) call { return call{"PUT", "/" + typ + "/" + id, nil, body} },
		"if match": func(typ, id, body string) call {
			return call{"PUT", "/" + typ + "/" + id, []string{"If-Match: *"}, body}
		},
		"if none": func(typ, id, body string) call {
			return call{"PUT", "/" + typ + "/" + id, []string{"If-None-Match: *"}, body}
		},
		"old version": func(typ, id, body string) call {
			return call{"PUT", "/" + typ + "/" + id, []string{`If-Match: W/"999"`}, body}
		},
		"delete": func(typ, id, _ string) call { return call{"DELETE", "/" + typ + "/" + id, nil, ""} },
		"delete match": func(typ, id, _ string) call {
			return call{"DELETE", "/" + typ + "/" + id, []string{"If-Match: *"}, ""}
		},
		"create": func(typ, _, body string) call { return call{"POST", "/" + typ, nil, body} },
		"create if": func(typ, id, body string) call {
			return call{"POST", "/" + typ, []string{"If-None-Exist: _id=" + id}, body}
		},
		"update if": func(typ, id, body string) call { return call{"PUT", "/" + typ + "?_id=" + id, nil, withoutID(body)} },
		"update id": func(typ, id, body string) call { return call{"PUT", "/" + typ + "?_id=" + id, nil, body} },
		"delete if": func(typ, id, _ string) call { return call{"DELETE", "/" + typ + "?_id=" + id, nil, ""} },
		"transaction": func(typ, id, body string) call {
			return call{"POST", "", nil, bundleOf("transaction", entryOf("", "PUT", typ+"/"+id, body))}
		},
		"reference": func(_, id, _ string) call {
			return call{"POST", "/Observation", nil, observation("", "ada", `,"hasMember":[{"reference":"Observation?_id=`+id+`"}]`)}
		},
	}
	// Columns: own, other's, absent, open type, refused type.
	tests := []struct{ scopes, interaction, want string }{
		{"", "read", "403 403 403 403 403"},
		{"", "search", "403 403 403 403 403"},
		{"", "create", "403 403 403 403 403"},
		{"", "transaction", "403 403 403 403 403"},

		{"patient/*.rs", "read", "200 404 404 200 403"},
		{"patient/*.rs", "head", "200 404 404 200 403"},
		{"patient/*.rs", "vread", "200 404 404 200 403"},
		{"patient/*.rs", "past", "200 404 404 200 403"},
		{"patient/*.rs", "since", "200 404 404 200 403"},
		{"patient/*.rs", "search", "200 200 200 200 403"},
		{"patient/*.rs", "post", "200 200 200 200 403"},
		{"patient/*.rs", "system", "200 200 200 200 403"},
		{"patient/*.rs", "type history", "200 200 200 200 403"},
		{"patient/*.rs", "update", "403 403 403 403 403"},
		{"patient/*.rs", "delete", "403 403 403 403 403"},
		{"patient/*.rs", "create", "403 403 403 403 403"},
		{"patient/*.rs", "create if", "403 403 403 403 403"},
		{"patient/*.rs", "update if", "403 403 403 403 403"},
		{"patient/*.rs", "delete if", "403 403 403 403 403"},
		{"patient/*.rs", "transaction", "403 403 403 403 403"},

		{"patient/*.r", "search", "403 403 403 403 403"},
		{"patient/*.r", "type history", "403 403 403 403 403"},
		{"patient/*.r", "past", "200 404 404 200 403"},
		{"patient/*.s", "read", "403 403 403 403 403"},
		{"patient/*.s", "past", "403 403 403 403 403"},
		{"patient/*.s", "type history", "200 200 200 200 403"},
		{"patient/Patient.rs", "read", "403 403 403 403 403"},
		{"patient/Patient.rs", "system", "403 403 403 403 403"},

		{"patient/*.cruds", "update", "200 404 404 403 403"},
		{"patient/*.cruds", "if match", "200 412 412 403 403"},
		{"patient/*.cruds", "if none", "412 404 404 403 403"},
		{"patient/*.cruds", "old version", "412 412 412 403 403"},
		{"patient/*.cruds", "delete", "204 204 204 403 403"},
		{"patient/*.cruds", "delete match", "204 412 412 403 403"},
		{"patient/*.cruds", "create", "201 201 201 403 403"},
		{"patient/*.cruds", "create if", "200 201 201 403 403"},
		{"patient/*.cruds", "update if", "200 201 201 403 403"},
		{"patient/*.cruds", "update id", "200 403 403 403 403"},
		{"patient/*.cruds", "delete if", "204 204 204 403 403"},
		{"patient/*.cruds", "transaction", "200 404 404 403 403"},
		{"patient/*.cruds", "reference", "201 412 412 412 412"},

		{"patient/*.c", "create", "201 201 201 403 403"},
		{"patient/*.c", "create if", "403 403 403 403 403"},
		{"patient/*.cs", "create if", "200 201 201 403 403"},
		{"patient/*.c", "reference", "403 403 403 403 403"},
		{"patient/*.u", "update", "200 404 404 403 403"},
		{"patient/*.u", "update if", "403 403 403 403 403"},
		{"patient/*.us", "update if", "200 201 201 403 403"},
		{"patient/*.us", "update id", "200 403 403 403 403"},
		{"patient/*.d", "delete", "204 204 204 403 403"},
		{"patient/*.d", "delete if", "403 403 403 403 403"},
		{"patient/*.ds", "delete if", "204 204 204 403 403"},

		// What may be read as a whole may be refused openly.
		{"user/*.rs patient/*.cud", "read", "200 200 404 200 200"},
		{"user/*.rs patient/*.cud", "update", "200 403 404 403 403"},
		{"user/*.rs patient/*.cud", "delete", "204 403 204 403 403"},
		{"user/*.rs patient/*.cud", "update if", "200 403 201 403 403"},
		{"user/*.rs patient/*.cud", "delete if", "204 403 204 403 403"},
		// Who may update all of a type may choose ids, seen or not.
		{"patient/*.rs user/*.cud", "update", "200 200 201 200 200"},
		{"patient/*.rs user/*.cud", "delete", "204 204 204 204 204"},
		{"patient/*.rs user/*.cud", "read", "200 404 404 200 403"},

		{"user/*.cruds", "read", "200 200 404 200 200"},
		{"user/*.cruds", "update", "200 200 201 200 200"},
		{"user/*.cruds", "update id", "200 200 201 200 200"},
		{"user/*.cruds", "if match", "200 200 412 200 200"},
		{"user/Observation.cruds", "update", "200 200 201 403 403"},
		{"user/Observation.rs", "read", "200 200 404 403 403"},
		{"user/Observation.rs", "update", "403 403 403 403 403"},
	}
	a := newGuarded(t)
	for _, test := range tests {
		t.Run(test.interaction+" with "+test.scopes, func(t *testing.T) {
			a.records()
			targets := []struct{ typ, id, body string }{
				{"Observation", "own-1", observation("own-1", "ada")},
				{"Observation", "other", observation("other", "ada")},
				{"Observation", "", ""}, // absent: never used before
				{"Medication", "a-med", `{"resourceType":"Medication","id":"a-med"}`},
				{"Group", "a-grp", `{"resourceType":"Group","id":"a-grp","type":"person","actual":true}`},
			}
			targets[2].id = "n" + strconv.Itoa(1000+slices.Index(tests, test))
			targets[2].body = observation(targets[2].id, "ada")
			var got []string
			var answers [5]string
			for i, target := range targets {
				rec := a.as(test.scopes, interactions[test.interaction](target.typ, target.id, target.body))
				got = append(got, strconv.Itoa(rec.Code))
				answers[i] = strings.ReplaceAll(plainAnswer(rec), target.id, "THEID")
				if rec.Code == 403 && rec.Header().Get("WWW-Authenticate") != `Bearer error="insufficient_scope"` {
					t.Errorf("%s: a 403 with WWW-Authenticate: %s", target.typ, rec.Header().Get("WWW-Authenticate"))
				}
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("statuses %s, want %s\n%s", got, test.want, strings.Join(answers[:], "\n"))
			}
			if strings.Contains(test.scopes, "user/") {
				return
			}
			if diff := cmp.Diff(answers[2], answers[1]); diff != "" {
				t.Errorf("what is another patient's looks otherwise than what is absent:\n%s", diff)
			}
		})
	}
}

// withoutID leaves the id out of a resource.
func withoutID(body string) string {
	return regexp.MustCompile(`"id":"[^"]*",`).ReplaceAllString(body, "")
}

// plainAnswer is an answer as text, without what differs between any two
// requests: times and made-up ids.
func plainAnswer(rec *httptest.ResponseRecorder) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d\n", rec.Code)
	header := rec.Header()
	for _, name := range []string{"ETag", "Location", "Allow", "Content-Type", "Www-Authenticate", "Retry-After"} {
		fmt.Fprintf(&out, "%s: %s\n", name, header.Get(name))
	}
	out.WriteString(rec.Body.String())
	text := regexp.MustCompile(`id-\d+`).ReplaceAllString(out.String(), "MADE")
	return regexp.MustCompile(`2026-01-\d\dT[\d:.]*Z`).ReplaceAllString(text, "THEN")
}

// TestMovedResource: what was filed under the wrong patient and moved is gone
// for the first one, with all its past.
func TestMovedResource(t *testing.T) {
	a := newGuarded(t)
	a.records()
	a.must("PUT", "/Observation/own-1", observation("own-1", "bea"))
	for _, path := range []string{"", "/_history/1", "/_history/2", "/_history"} {
		moved := a.as("patient/*.rs", call{"GET", "/Observation/own-1" + path, nil, ""})
		absent := a.as("patient/*.rs", call{"GET", "/Observation/nobdy" + path, nil, ""})
		if moved.Code != 404 || plainAnswer(moved) != strings.ReplaceAll(plainAnswer(absent), "nobdy", "own-1") {
			t.Errorf("%s: moved %s, absent %s", path, plainAnswer(moved), plainAnswer(absent))
		}
	}
	for _, path := range []string{"/Observation/_history", "/_history", "/Observation"} {
		if rec := a.as("patient/*.rs", call{"GET", path, nil, ""}); rec.Code != 200 || strings.Contains(rec.Body.String(), "Observation/own-1") {
			t.Errorf("%s: %s", path, rec.Body)
		}
	}
}

// TestMovedAndBack: of a time in another patient's record nothing is shown, and
// that version looks like one that never was.
func TestMovedAndBack(t *testing.T) {
	a := newGuarded(t)
	a.records()
	a.must("PUT", "/Observation/own-1", observation("own-1", "bea"))
	a.must("PUT", "/Observation/own-1", observation("own-1", "ada"))
	hidden := a.as("patient/*.rs", call{"GET", "/Observation/own-1/_history/2", nil, ""})
	absent := a.as("patient/*.rs", call{"GET", "/Observation/own-1/_history/9", nil, ""})
	if hidden.Code != 404 || plainAnswer(hidden) != strings.ReplaceAll(plainAnswer(absent), "_history/9", "_history/2") {
		t.Errorf("hidden %s, absent %s", plainAnswer(hidden), plainAnswer(absent))
	}
	for version, want := range map[string]int{"1": 200, "3": 200} {
		if rec := a.as("patient/*.rs", call{"GET", "/Observation/own-1/_history/" + version, nil, ""}); rec.Code != want {
			t.Errorf("version %s: status %d", version, rec.Code)
		}
	}
	history := a.as("patient/*.rs", call{"GET", "/Observation/own-1/_history", nil, ""}).Body.String()
	if strings.Contains(history, "bea") || strings.Count(history, `"fullUrl"`) != 2 {
		t.Errorf("history %s", history)
	}
}

// TestAuthorizeErrors: what Authorize refuses is said in FHIR's words, with the
// headers of RFC 6750, for every method; OPTIONS and what is public do not ask.
func TestAuthorizeErrors(t *testing.T) {
	const bad = `Bearer error="invalid_token", error_description="the token has expired"`
	unauthenticated := fhir.Errorf(fhir.Unauthenticated, "the token has expired")
	tests := []struct {
		name            string
		call            call
		err             error
		header          string // WWW-Authenticate that Authorize sets
		status          int
		challenge, code string
		retry           string
	}{
		{"no token", call{"GET", "/Patient/ada", nil, ""}, unauthenticated, "", 401, "Bearer", "login", ""},
		{"a bad token", call{"GET", "/Patient/ada", nil, ""}, unauthenticated, bad, 401, bad, "login", ""},
		{"a bad token, head", call{"HEAD", "/Patient/ada", nil, ""}, unauthenticated, bad, 401, bad, "", ""},
		{"a bad token, batch", call{"POST", "", nil, bundleOf("batch")}, unauthenticated, bad, 401, bad, "login", ""},
		{"a token without usable scope", call{"GET", "/Patient/ada", nil, ""}, fhir.Errorf(fhir.Forbidden, "the token has no scope for this server"), "", 403, `Bearer error="insufficient_scope"`, "forbidden", ""},
		{"no keys", call{"GET", "/Patient", nil, ""}, fhir.Errorf(fhir.Unavailable, "the issuer does not answer"), "", 503, "", "transient", "5"},
		{"no keys, head", call{"HEAD", "/Patient", nil, ""}, fhir.Errorf(fhir.Unavailable, "the issuer does not answer"), "", 503, "", "", "5"},
		{"options", call{"OPTIONS", "/Patient", nil, ""}, unauthenticated, bad, 204, "", "", ""},
		{"preflight", call{"OPTIONS", "/Patient", []string{"Origin: https://app.example.org", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"}, ""}, unauthenticated, bad, 204, "", "", ""},
		{"metadata", call{"GET", "/metadata", []string{"Authorization: Bearer x"}, ""}, unauthenticated, bad, 200, "", "CapabilityStatement", ""},
		{"an unknown method", call{"POST", "/Patient/ada", nil, "[]"}, unauthenticated, bad, 405, "", "not-supported", ""},
		{"an internal fault", call{"GET", "/Patient", nil, ""}, context.Canceled, "", 503, "", "transient", "5"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t, func(c *Config) {
				c.Authorize = func(c echo.Context) (search.Access, error) {
					if test.header != "" {
						c.Response().Header().Set(echo.HeaderWWWAuthenticate, test.header)
					}
					return search.FullAccess(), test.err
				}
			})
			rec := a.do(test.call)
			if rec.Code != test.status || rec.Header().Get("WWW-Authenticate") != test.challenge || rec.Header().Get("Retry-After") != test.retry {
				t.Errorf("status %d, headers %v", rec.Code, rec.Header())
			}
			if !strings.Contains(rec.Body.String(), test.code) || (test.code == "") != (rec.Body.Len() == 0) {
				t.Errorf("body %s", rec.Body)
			}
			if rec.Body.Len() > 0 {
				valid(t, rec.Body.Bytes())
			}
		})
	}
}

// TestNoAccess: without any grant every row is refused, but what is public.
func TestNoAccess(t *testing.T) {
	a := newGuarded(t)
	a.seed()
	for _, row := range a.server.table {
		path := strings.NewReplacer(":type", "Patient", ":id", "ada", ":version", "1", ":member", "Observation").Replace(row.Path)
		want := 403
		if row.Public {
			want = 200
		}
		if rec := a.as("", call{method: row.Method, path: path, body: plain}); rec.Code != want {
			t.Errorf("%s %s without access: status %d, want %d", row.Method, row.Path, rec.Code, want)
		}
	}
}

// TestQueryInProcess: callers inside the server are narrowed as requests are.
func TestQueryInProcess(t *testing.T) {
	a := newGuarded(t)
	a.records()
	access := scoped(t, "patient/*.rs")
	for query, want := range map[string]string{
		"Observation":                       "both1 own-1",
		"Observation?performer=Patient/bea": "both1",
		"Observation?_id=other":             "",
		"Observation/own-1":                 "own-1",
		"Observation/other":                 "NotFound",
		"Observation/nobdy":                 "NotFound",
		"Group":                             "Forbidden",
	} {
		found, _, err := a.server.Query(t.Context(), access, query)
		var ids []string
		for _, res := range found {
			ids = append(ids, res.ID)
		}
		slices.Sort(ids)
		got := strings.Join(ids, " ")
		switch fhir.KindOf(err) {
		case fhir.NotFound:
			got = "NotFound"
		case fhir.Forbidden:
			got = "Forbidden"
		}
		if got != want {
			t.Errorf("%s: got %q (%v), want %q", query, got, err, want)
		}
	}
}
