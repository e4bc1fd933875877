package services

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/internal/golden"
)

// post sends a request body through the protocol, as an EHR does, and fails the
// test if a card had to be mended.
func post(tb testing.TB, c Config, client *cds.Client, body []byte) (*httptest.ResponseRecorder, cds.Call) {
	tb.Helper()
	return postTo(tb, c, client, "pgx-order-select", body)
}

// postTo is post for any of the services.
func postTo(tb testing.TB, c Config, client *cds.Client, service string, body []byte) (*httptest.ResponseRecorder, cds.Call) {
	tb.Helper()
	var call cds.Call
	h, err := cds.NewHandler(All(c), cds.Options{
		NewID: c.NewID, Clock: c.Clock,
		Client: func(*http.Request) (*cds.Client, error) { return client, nil },
		OnCall: func(done cds.Call) { call = done },
	})
	if err != nil {
		tb.Fatal(err)
	}
	w := serve(h, "POST", "/cds-services/"+service, body)
	for _, fault := range call.Faults {
		tb.Errorf("the answer had to be mended: %s", fault)
	}
	return w, call
}

func serve(h *cds.Handler, method, path string, body []byte) *httptest.ResponseRecorder {
	e := echo.New()
	h.Register(e.Group(""))
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// TestGolden posts every testdata/pgx-order-select/<case>/request.json. Where a
// case has a records.json (a Bundle), that is our own store and the caller
// shares our patient ids.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/pgx-order-select/*/request.json")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := config(t)
			var client *cds.Client
			if stored, err := os.ReadFile(filepath.Join(dir, "records.json")); err == nil {
				c.Records = search(node(t, string(stored)))
				client = &cds.Client{Name: "ehr", SharesPatientIDs: true}
			}
			w, call := post(t, c, client, body)
			if w.Code != 200 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			golden.JSON(t, filepath.Join(dir, "response.json"), w.Body.Bytes())
			var why strings.Builder
			for _, r := range call.Reasons {
				why.WriteString(strings.TrimSpace(r.Code+" "+r.Subject) + "\n")
			}
			golden.Text(t, filepath.Join(dir, "reasons.txt"), []byte(why.String()))
			lintResponse(t, w.Body.Bytes())
		})
	}
}

// search is a store over a Bundle that answers the queries of our sources.
func search(bundle *resource.Node) *records {
	store := &records{answers: map[string][]string{}}
	entries := bundle.List("entry")
	patient := ""
	for i := range entries {
		if r := entries[i].Get("resource"); r.Str("resourceType") == "Patient" {
			patient = r.Str("id")
		}
	}
	for _, src := range sources() {
		query := strings.ReplaceAll(src.query, patientToken, patient)
		typ, _, _ := strings.Cut(strings.Replace(query, "/", "?", 1), "?")
		for i := range entries {
			r := entries[i].Get("resource")
			if r.Str("resourceType") == typ && (typ != "Observation" || answersQuery(r, query)) {
				store.answers[query] = append(store.answers[query], string(r.JSON()))
			}
		}
	}
	return store
}

// answersQuery reports whether an Observation has a code or category that a
// query asks for.
func answersQuery(r *resource.Node, query string) bool {
	for _, c := range append(codes(r.Get("category")), codes(r.Get("code"))...) {
		if strings.Contains(query, c.System+"|"+c.Code) {
			return true
		}
	}
	return false
}

// lintResponse checks an answer against what the protocol and our own rules
// ask, from the outside.
func lintResponse(t testing.TB, body []byte) {
	t.Helper()
	root := node(t, string(body))
	eachNode(root, "", func(path string, n *resource.Node) {
		switch {
		case n.Kind == resource.Null:
			t.Errorf("%s is null", path)
		case n.Kind == resource.String && n.Text == "", n.Kind == resource.Object && len(n.Fields) == 0,
			n.Kind == resource.Array && len(n.Items) == 0 && path != ".cards":
			t.Errorf("%s is empty", path)
		}
	})
	seen := map[string]bool{}
	unique := func(id string) {
		if id == "" || seen[id] {
			t.Errorf("uuid %q is missing or used twice", id)
		}
		seen[id] = true
	}
	cards := root.List("cards")
	for i := range cards {
		card := &cards[i]
		unique(card.Str("uuid"))
		if n := len([]rune(card.Str("summary"))); n == 0 || n > 139 {
			t.Errorf("a summary has %d characters", n)
		}
		if card.Get("source").Str("label") == "" || card.Path("source", "topic") == nil {
			t.Error("a source has no label or topic")
		}
		if bare := bareStar(card.Str("detail")); bare != "" {
			t.Errorf("a star is not escaped: %s", bare)
		}
		if evidence := card.Path("extension", evidenceMember); evidence.Str("kind") == "" || evidence.Get("order") == nil {
			t.Error("a card has no evidence trail")
		}
		suggestions := card.List("suggestions")
		for j := range suggestions {
			unique(suggestions[j].Str("uuid"))
			if suggestions[j].Get("isRecommended") != nil {
				t.Error("a suggestion is preselected")
			}
		}
		for _, reason := range card.List("overrideReasons") {
			if reason.Str("code") == "" || reason.Str("system") == "" || reason.Str("display") == "" {
				t.Error("an override reason is not complete")
			}
		}
	}
}

// bareStar returns the surroundings of a star that Markdown would eat.
func bareStar(detail string) string {
	for i := range len(detail) {
		if detail[i] != '*' {
			continue
		}
		slashes := 0
		for j := i - 1; j >= 0 && detail[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			return detail[max(0, i-20):min(len(detail), i+20)]
		}
	}
	return ""
}

func eachNode(n *resource.Node, path string, visit func(string, *resource.Node)) {
	visit(path, n)
	for i := range n.Fields {
		eachNode(&n.Fields[i].Node, path+"."+n.Fields[i].Name, visit)
	}
	for i := range n.Items {
		eachNode(&n.Items[i], path, visit)
	}
}
