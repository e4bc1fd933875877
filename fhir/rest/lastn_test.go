package rest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// coded is an observation of a patient with a code of these codings; "text:x" is
// a text alone.
func coded(id, when string, codes ...string) string {
	var codings []string
	text := ""
	for _, code := range codes {
		if rest, ok := strings.CutPrefix(code, "text:"); ok {
			text = `"text":` + quoted(rest)
			continue
		}
		codings = append(codings, `{"system":"http://example.org","code":"`+code+`"}`)
	}
	code := text
	if len(codings) > 0 {
		code = `"coding":[` + strings.Join(codings, ",") + `]`
	}
	if when != "" {
		when = `,` + when
	}
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","category":[{"text":"v"}],"subject":{"reference":"Patient/ada"},"code":{` + code + `}` + when + `}`
}

func date(when string) string { return `"effectiveDateTime":"` + when + `"` }

// TestLastNGroups has the examples of
// https://hl7.org/fhir/R4/observation-operation-lastn.html, and moments of all
// kinds.
func TestLastNGroups(t *testing.T) {
	tests := []struct {
		name   string
		stored []string
		max    string
		want   string // newest first
	}{
		{"three codes", []string{coded("a", date("2025-01-01"), "a"), coded("b", date("2025-01-02"), "b"), coded("c", date("2025-01-03"), "c")}, "1", "c b a"},
		{"a code beside another joins it", []string{coded("a", date("2025-01-01"), "a"), coded("b", date("2025-01-02"), "b"), coded("ac", date("2025-01-03"), "a", "c")}, "1", "ac b"},
		{"two groups become one", []string{coded("a", date("2025-01-01"), "a"), coded("b", date("2025-01-02"), "b"), coded("ab", date("2025-01-03"), "a", "b")}, "1", "ab"},
		{"joined over a third", []string{coded("ab", date("2025-01-01"), "a", "b"), coded("bc", date("2025-01-02"), "b", "c"), coded("cd", date("2025-01-03"), "c", "d"), coded("e", date("2025-01-04"), "e")}, "1", "e cd"},
		{"the last of two of a group", []string{coded("a", date("2025-01-01"), "a"), coded("b", date("2025-01-02"), "b"), coded("ab", date("2025-01-03"), "a", "b")}, "2", "ab b"},
		{"texts are what they say", []string{coded("m", date("2025-01-01"), "text:textM"), coded("t", date("2025-01-02"), "text:Text"), coded("s", date("2025-01-03"), "text:t e x t")}, "1", "s t m"},
		{"a text beside a code does not count", []string{coded("a", date("2025-01-01"), "a", "text:x"), coded("b", date("2025-01-02"), "text:x")}, "1", "b a"},
		{"as new as the last one", []string{coded("a", date("2025-01-01"), "a"), coded("b", date("2025-01-01"), "a"), coded("c", date("2025-01-01"), "a"), coded("d", date("2024-01-01"), "a")}, "2", "c b a"},
		{"one moment in two zones", []string{coded("a", date("2025-01-01T12:00:00Z"), "a"), coded("b", date("2025-01-01T13:00:00+01:00"), "a"), coded("c", date("2025-01-01T12:59:59+01:00"), "a")}, "1", "b a"},
		{"a period has its end", []string{coded("a", `"effectivePeriod":{"start":"2024-01-01","end":"2025-06-01"}`, "a"), coded("b", date("2025-05-01"), "a")}, "1", "a"},
		{"a period without an end has its start", []string{coded("a", `"effectivePeriod":{"start":"2024-01-01"}`, "a"), coded("b", date("2025-05-01"), "a")}, "1", "b"},
		{"an instant", []string{coded("a", `"effectiveInstant":"2025-05-01T00:00:01Z"`, "a"), coded("b", date("2025-05-01"), "a")}, "1", "a"},
		{"a timing has its last event", []string{coded("a", `"effectiveTiming":{"event":["2025-07-01","2025-03-01"]}`, "a"), coded("b", date("2025-05-01"), "a")}, "1", "a"},
		{"without a moment last", []string{coded("a", "", "a"), coded("b", date("1999"), "a"), coded("c", "", "a")}, "2", "b c"},
		{"fewer than asked for", []string{coded("a", date("2025-01-01"), "a")}, "50", "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			a.must("PUT", "/Patient/ada", adaV1)
			for _, body := range test.stored {
				id, _, _ := strings.Cut(strings.TrimPrefix(body, `{"resourceType":"Observation","id":"`), `"`)
				a.must("PUT", "/Observation/"+id, body)
			}
			rec := a.must("GET", "/Observation/$lastn?patient=ada&category:text=v&max="+test.max, "")
			set := searchsetOf(t, rec.Body.Bytes())
			got := strings.ReplaceAll(strings.Join(set.urls("match"), " "), "Observation/", "")
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestLastNOfSeveral: each subject has its own newest ones, however it is named.
func TestLastNOfSeveral(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Patient/ada", adaV1)
	a.must("PUT", "/Patient/bea", `{"resourceType":"Patient","id":"bea"}`)
	for id, o := range map[string][2]string{
		"a1": {"Patient/ada", "2025-01-01"}, "a2": {testBase + "/Patient/ada", "2025-01-02"}, "b1": {"Patient/bea", "2025-01-03"}, "b2": {"Patient/bea", "2025-01-04"},
	} {
		a.must("PUT", "/Observation/"+id, strings.Replace(coded(id, date(o[1]), "a"), "Patient/ada", o[0], 1))
	}
	rec := a.must("GET", "/Observation/$lastn?patient=ada,bea&code=a", "")
	if got := strings.Join(searchsetOf(t, rec.Body.Bytes()).urls("match"), " "); got != "Observation/b2 Observation/a2" {
		t.Errorf("%s, want the newest of each", got)
	}
}

// TestLastNManyOfOneGroup: what is thrown away on the way is never among the last.
func TestLastNManyOfOneGroup(t *testing.T) {
	a := newAPI(t)
	a.must("PUT", "/Patient/ada", adaV1)
	const all = 300
	entries := make([]string, all)
	for i := range entries {
		day := (i * 77) % all // in no order
		id := fmt.Sprintf("o-%d", i)
		entries[i] = entryOf("", "PUT", "Observation/"+id, coded(id, date(dayOf(day)), "a"))
	}
	a.must("POST", "", bundleOf("transaction", entries...))
	body := a.must("GET", "/Observation/$lastn?patient=ada&code=a&max=3", "").Body.String()
	for _, day := range []int{all - 1, all - 2, all - 3} {
		if !strings.Contains(body, dayOf(day)) {
			t.Errorf("%s is missing", dayOf(day))
		}
	}
	if n := len(searchsetOf(t, []byte(body)).Entry); n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
}

// dayOf is the n-th day of some years.
func dayOf(n int) string {
	return time.Date(2020, 1, 1+n, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

func TestLastNAccess(t *testing.T) {
	a := newGuarded(t)
	a.chart()
	if rec := a.as("patient/Observation.rs", call{"GET", "/Observation/$lastn?patient=ada&code=8310-5", nil, ""}); len(searchsetOf(t, rec.Body.Bytes()).Entry) != 2 {
		t.Errorf("their own: %s", rec.Body)
	}
	for _, path := range []string{"/Observation/$lastn?patient=bea&category:text=v", "/Observation/$lastn?patient=nobody&category:text=v"} {
		rec := a.as("patient/Observation.rs", call{"GET", path, nil, ""})
		if rec.Code != 200 || len(searchsetOf(t, rec.Body.Bytes()).Entry) != 0 {
			t.Errorf("another's: status %d: %s", rec.Code, rec.Body)
		}
	}
	if rec := a.as("patient/Observation.r", call{"GET", "/Observation/$lastn?patient=ada&code=8310-5", nil, ""}); rec.Code != 403 {
		t.Errorf("without the right to search: status %d", rec.Code)
	}
}
