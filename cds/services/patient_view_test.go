package services

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/internal/golden"
)

// TestViewGolden posts every testdata/<service>/<case>/request.json of the
// services of patient-view. Where a case has a records.json, that is our own
// store and the caller shares our patient ids.
func TestViewGolden(t *testing.T) {
	for _, service := range []string{"cardiovascular-risk", "glucose-monitoring"} {
		cases, err := filepath.Glob("testdata/" + service + "/*/request.json")
		if err != nil || len(cases) == 0 {
			t.Fatalf("no cases of %s: %v", service, err)
		}
		for _, path := range cases {
			dir := filepath.Dir(path)
			t.Run(service+"/"+filepath.Base(dir), func(t *testing.T) {
				body, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				c := config(t)
				var client *cds.Client
				if stored, err := os.ReadFile(filepath.Join(dir, "records.json")); err == nil {
					c.Records = viewRecords(t, string(stored))
					client = &cds.Client{Name: "ehr", SharesPatientIDs: true}
				}
				w, call := postTo(t, c, client, service, body)
				if w.Code != 200 {
					t.Fatalf("status %d: %s", w.Code, w.Body)
				}
				golden.JSON(t, filepath.Join(dir, "response.json"), w.Body.Bytes())
				var why strings.Builder
				for _, r := range call.Reasons {
					why.WriteString(strings.TrimSpace(r.Code+" "+r.Subject) + "\n")
				}
				golden.Text(t, filepath.Join(dir, "reasons.txt"), []byte(why.String()))
				lintView(t, w.Body.Bytes())
			})
		}
	}
}

// viewRecords is a store over a Bundle that answers the queries of the services
// of patient-view.
func viewRecords(t *testing.T, bundle string) *records {
	store := &records{answers: map[string][]string{}}
	entries := node(t, bundle).List("entry")
	list := append(riskSources(), glucoseSources()[1])
	list[len(list)-1].query = ownGlucose(list[len(list)-1].query, today.AddDate(0, 0, -cgmDays))
	for _, src := range list {
		query := strings.ReplaceAll(src.query, patientToken, "p1")
		typ, _, _ := strings.Cut(strings.Replace(query, "/", "?", 1), "?")
		for i := range entries {
			if r := entries[i].Get("resource"); r.Str("resourceType") == typ && (typ != "Observation" || answersQuery(r, query)) {
				store.answers[query] = append(store.answers[query], string(r.JSON()))
			}
		}
	}
	return store
}

// lintView checks what the protocol and our own rules ask of every card.
func lintView(t *testing.T, body []byte) {
	t.Helper()
	cards := node(t, string(body)).List("cards")
	if len(cards) > 1 {
		t.Errorf("%d cards", len(cards))
	}
	for i := range cards {
		card := &cards[i]
		if n := len([]rune(card.Str("summary"))); n == 0 || n > 139 || strings.HasSuffix(card.Str("summary"), "…") && card.Path("extension", evidenceMember, "risks") != nil {
			t.Errorf("the summary has %d characters: %s", n, card.Str("summary"))
		}
		if indicator := card.Str("indicator"); indicator != cds.Info && indicator != cds.Warning {
			t.Errorf("indicator %q", indicator)
		}
		if card.Path("source", "topic") == nil || card.Get("source").Str("url") == "" || card.Path("extension", evidenceMember).Str("kind") == "" {
			t.Error("a card has no source, topic or trail")
		}
		for _, bad := range []string{"NaN", "Inf", "%!", "0001-01-01"} {
			if strings.Contains(string(card.JSON()), bad) {
				t.Errorf("the card says %s", bad)
			}
		}
	}
}

// viewCard posts resources of p1 as a prefetch and returns the card's text.
func viewCard(t *testing.T, service string, prefetch map[string]string) string {
	t.Helper()
	raw := map[string]json.RawMessage{}
	for key, value := range prefetch {
		raw[key] = json.RawMessage(value)
	}
	body, err := json.Marshal(map[string]any{
		"hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
		"context": map[string]string{"userId": "Practitioner/pr1", "patientId": "p1"}, "prefetch": raw,
	})
	if err != nil {
		t.Fatal(err)
	}
	w, _ := postTo(t, config(t), nil, service, body)
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	lintView(t, w.Body.Bytes())
	return w.Body.String()
}

// The order of resources changes nothing.
func TestViewOrderOfResources(t *testing.T) {
	for service, key := range map[string]string{"cardiovascular-risk": "laboratory", "glucose-monitoring": "glucose"} {
		data, err := os.ReadFile("testdata/" + service + "/complete/request.json")
		if err != nil {
			t.Fatal(err)
		}
		prefetch := node(t, string(data)).Get("prefetch")
		sent := map[string]string{}
		for _, f := range prefetch.Fields {
			sent[f.Name] = string(f.Node.JSON())
		}
		want := viewCard(t, service, sent)
		entries := prefetch.Get(key).List("entry")
		var turned []string
		for i := range entries {
			turned = append([]string{string(entries[i].Get("resource").JSON())}, turned...)
		}
		sent[key] = bundle(turned...)
		if got := viewCard(t, service, sent); got != want {
			t.Errorf("%s: the answer depends on the order:\n%s\n%s", service, got, want)
		}
	}
}

// Members of the wrong type, another patient's data and junk cost no call.
func TestViewJunk(t *testing.T) {
	for _, junk := range []string{
		`null`, `"<html>"`, `7`, `[]`, `{}`, `{"resourceType":"Observation"}`,
		bundle(`{"resourceType":"Observation","id":"x","status":7,"subject":{"reference":"Patient/p1"},"code":{"coding":[{"system":"http://loinc.org","code":"99504-3"},{"system":"http://loinc.org","code":"8480-6"}]},"effectiveDateTime":{},"valueQuantity":[1]}`),
		bundle(`{"resourceType":"Observation","id":"x","status":"final","subject":{"reference":"Patient/p1"},"component":{"code":7},"code":{"coding":[{"system":"http://loinc.org","code":"99504-3"},{"system":"http://loinc.org","code":"8480-6"}]},"effectiveDateTime":"2026-11-20T08:00:00Z","valueQuantity":{"value":1e400,"unit":"mg/dL"}}`),
		bundle(`{"resourceType":"Observation","id":"x","status":"final","subject":{"reference":"Patient/p2"},"code":{"coding":[{"system":"http://loinc.org","code":"99504-3"}]},"effectiveDateTime":"2026-11-20T08:00:00Z","valueQuantity":{"value":40,"unit":"mg/dL"}}`),
	} {
		for _, service := range []string{"cardiovascular-risk", "glucose-monitoring"} {
			body := viewCard(t, service, map[string]string{"patient": junk, "laboratory": junk, "bloodPressure": junk, "conditions": junk, "glucose": junk, "medicationRequests": junk})
			if strings.Contains(body, `"risks"`) || strings.Contains(body, `"values"`) {
				t.Errorf("%s: numbers from %s: %s", service, junk, body)
			}
		}
	}
}

func TestNewest(t *testing.T) {
	day := func(n int) time.Time { return today.AddDate(0, 0, n) }
	tests := []struct {
		name    string
		list    []measurement
		ref     string
		problem bool
	}{
		{"the newest", []measurement{{ref: "a", date: day(-2), value: 1}, {ref: "b", date: day(-1), value: 2}}, "b", false},
		{"undated is the oldest", []measurement{{ref: "a", value: 1}, {ref: "b", date: day(-900), value: 2}}, "b", false},
		{"one that cannot be used is not replaced", []measurement{{ref: "a", date: day(-2), value: 1}, {ref: "b", date: day(-1), problem: "x"}}, "b", true},
		{"one value in two units", []measurement{{ref: "b", date: day(0), value: 200}, {ref: "a", date: day(0), value: 5.2 / cholesterolMmol}}, "a", false},
		{"two values of one time", []measurement{{ref: "b", date: day(0), value: 200}, {ref: "a", date: day(0), value: 210}}, "a", true},
		{"three values of one time", []measurement{{ref: "b", date: day(0), value: 200}, {ref: "a", date: day(0), value: 210}, {ref: "c", date: day(0), value: 200}}, "a", true},
	}
	for _, test := range tests {
		for range 2 {
			if got := newest(test.list); got.ref != test.ref || (got.problem != "") != test.problem {
				t.Errorf("%s: %+v", test.name, got)
			}
			slices.Reverse(test.list)
		}
	}
	if newest(nil) != nil {
		t.Error("something of nothing")
	}
}
