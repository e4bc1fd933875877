package cds

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	card1 = "4e0a3a1e-3283-4575-ab82-028d55fe2719"
	card2 = "0f2c9b3e-8b0c-4bcb-9a39-51f3c1a7b9aa"
	nonAd = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"

	told1 = `{"card":"` + card1 + `","outcome":"accepted","acceptedSuggestions":[{"id":"e56e1945-20b3-4393-8503-a1a20fd73152"}],"outcomeTimestamp":"2026-02-01T10:01:07Z"}`
	told2 = `{"card":"` + card2 + `","outcome":"overridden","overrideReason":{"reason":{"system":"` + nonAd + `","code":"patient-ineligible","display":"Jane is not eligible"},"userComment":"Jane Doe had a TIA"},"outcomeTimestamp":"2026-02-01T10:01:07.25Z"}`
)

// feedback makes a body of outcomes.
func feedback(items ...string) string { return `{"feedback":[` + strings.Join(items, ",") + `]}` }

// feedbackServices are services whose cards offer a reason.
func feedbackServices() []Service {
	list := testServices()
	for i := range list {
		list[i].OverrideReasons = []Coding{{System: nonAd, Code: "patient-ineligible", Display: "d"}}
	}
	return list
}

// TestN17Feedback has the vectors N17 and more.
func TestN17Feedback(t *testing.T) {
	override := func(reason string) string {
		return `{"card":"` + card1 + `","outcome":"overridden",` + reason + `"outcomeTimestamp":"2026-02-01T10:01:07Z"}`
	}
	at := func(timestamp string) string { return strings.Replace(told1, `"2026-02-01T10:01:07Z"`, timestamp, 1) }
	accepted := Outcome{Card: card1, Outcome: Accepted}
	overridden := Outcome{Card: card1, Outcome: Overridden}
	because := func(reason string) []Outcome { o := overridden; o.Reason = reason; return []Outcome{o} }
	repeated := accepted
	repeated.Repeated = true
	tests := []struct {
		name, body string
		want       []Outcome
		wrong      string // part of the error; "" is accepted
	}{
		{"accepted", feedback(told1), []Outcome{accepted}, ""},
		{"overridden for a reason the cards offer", feedback(told2), []Outcome{{Card: card2, Outcome: Overridden, Reason: "patient-ineligible"}}, ""},
		{"cards of several calls", feedback(told1, told2), []Outcome{accepted, {Card: card2, Outcome: Overridden, Reason: "patient-ineligible"}}, ""},
		{"a duplicate", feedback(told1, told1), []Outcome{accepted, repeated}, ""},
		{"the same card at another time", feedback(told1, at(`"2026-02-01T10:02:00Z"`)), []Outcome{accepted, accepted}, ""},
		{"the same time in another zone", feedback(told1, at(`"2026-02-01T11:01:07+01:00"`)), []Outcome{accepted, repeated}, ""},
		{"a card nobody knows, with an id that is no UUID", feedback(strings.Replace(told1, card1, "Jane", 1)), []Outcome{{Card: LoggableInstance("Jane"), Outcome: Accepted}}, ""},
		{"overridden without a reason", feedback(override("")), because(""), ""},
		{"a comment alone", feedback(override(`"overrideReason":{"userComment":"Jane"},`)), because(""), ""},
		{"an unknown reason", feedback(override(`"overrideReason":{"reason":{"system":"` + nonAd + `","code":"Jane"}},`)), because(OtherReason), ""},
		{"a known code of another system", feedback(override(`"overrideReason":{"reason":{"system":"http://example.org","code":"patient-ineligible"}},`)), because(OtherReason), ""},
		{"a reason without system", feedback(override(`"overrideReason":{"reason":{"code":"patient-ineligible"}},`)), because(OtherReason), ""},
		{"null for what is optional", feedback(override(`"acceptedSuggestions":null,"overrideReason":null,`)), because(""), ""},
		{"an empty list of suggestions where none is needed", feedback(override(`"acceptedSuggestions":[],`)), because(""), ""},
		{"unknown members", `{"extension":{"a":1},"feedback":[` + strings.Replace(told1, "{", `{"extension":{"b":[]},"x":1,`, 1) + `]}`, []Outcome{accepted}, ""},

		{"accepted without suggestions", feedback(strings.Replace(told1, "acceptedSuggestions", "x", 1)), nil, "feedback[0].acceptedSuggestions: required"},
		{"an empty list of suggestions", feedback(strings.Replace(told1, `[{"id":"e56e1945-20b3-4393-8503-a1a20fd73152"}]`, `[]`, 1)), nil, "feedback[0].acceptedSuggestions: required"},
		{"a suggestion without id", feedback(strings.Replace(told1, `"id"`, `"x"`, 1)), nil, "feedback[0].acceptedSuggestions[0].id: required"},
		{"suggestions that are texts", feedback(strings.Replace(told1, `[{"id":"e56e1945-20b3-4393-8503-a1a20fd73152"}]`, `["x"]`, 1)), nil, "feedback[0].acceptedSuggestions: required"},
		{"a local time", feedback(at(`"2026-02-01T10:01:07"`)), nil, "feedback[0].outcomeTimestamp: required; date and time in UTC"},
		{"a date", feedback(at(`"2026-02-01"`)), nil, "feedback[0].outcomeTimestamp"},
		{"seconds since 1970", feedback(at(`1769940067`)), nil, "feedback[0].outcomeTimestamp"},
		{"no time", feedback(at(`null`)), nil, "feedback[0].outcomeTimestamp"},
		{"no card", feedback(strings.Replace(told1, `"card"`, `"x"`, 1)), nil, "feedback[0].card: required"},
		{"an empty card", feedback(strings.Replace(told1, card1, "", 1)), nil, "feedback[0].card: required"},
		{"an unknown outcome", feedback(strings.Replace(told1, `"accepted"`, `"ignored"`, 1)), nil, "feedback[0].outcome: must be accepted or overridden"},
		{"a reason that is a code", feedback(override(`"overrideReason":{"reason":"Jane"},`)), nil, "feedback[0].overrideReason.reason: must be a Coding"},
		{"a reason without a code", feedback(override(`"overrideReason":{"reason":{"display":"Jane"}},`)), nil, "feedback[0].overrideReason.reason: must be a Coding"},
		{"a reason that is no object", feedback(override(`"overrideReason":"Jane",`)), nil, "feedback[0].overrideReason: must be an object"},
		{"a comment that is no text", feedback(override(`"overrideReason":{"userComment":{"Jane":1}},`)), nil, "feedback[0].overrideReason.userComment: must be a text"},
		{"one good, two bad", feedback(told1, strings.Replace(told2, "overridden", "x", 1), `7`), nil, "feedback[1].outcome: must be accepted or overridden; feedback[2]: must be an object. Nothing of this request was counted"},
		{"many bad", feedback(strings.Split(strings.Repeat(`7 `, 15)[:29], " ")...), nil, "feedback[9]: must be an object; and 5 more"},
		{"an outcome twice", feedback(strings.Replace(told1, "{", `{"outcome":"overridden",`, 1)), nil, "feedback[0]: has two members of one name"},
		{"two lists", `{"feedback":[],"feedback":[` + told1 + `]}`, nil, "the request has two members of one name"},
		{"an empty list", `{"feedback":[]}`, nil, "feedback: required"},
		{"an outcome without a list", `{"feedback":` + told1 + `}`, nil, "feedback: required"},
		{"another member", `{"Feedback":[` + told1 + `]}`, nil, "feedback: required"},
		{"a list alone", `[` + told1 + `]`, nil, "not a JSON object"},
		{"no JSON", `{"feedback":[`, nil, "not valid JSON"},
		{"no body", ``, nil, "not a JSON object"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, Options{}, feedbackServices()...)
			w := c.do("POST", "/cds-services/card/feedback", test.body)
			status := 200
			if test.wrong != "" {
				status = 400
			}
			if w.Code != status || !strings.Contains(w.Body.String(), test.wrong) {
				t.Errorf("status %d, want %d: %s\nlacks %s", w.Code, status, w.Body, test.wrong)
			}
			if status == 200 && w.Body.Len() > 0 {
				t.Errorf("there is a body: %s", w.Body)
			}
			if len(c.told) != 1 || c.told[0].Service != "card" || c.told[0].Status != status {
				t.Fatalf("told %+v", c.told)
			}
			if diff := cmp.Diff(test.want, c.told[0].Outcomes); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if log := c.log.String(); strings.Count(log, "\n") != 1 || strings.Contains(log, "Jane") || strings.Contains(log, "TIA") || strings.Contains(w.Body.String(), "Jane") {
				t.Errorf("the log has more than one line, or it or the answer tells what a user wrote: %s%s", log, w.Body)
			}
		})
	}
}

func TestFeedbackLog(t *testing.T) {
	c := start(t, Options{}, feedbackServices()...)
	c.do("POST", "/cds-services/card/feedback", feedback(told1, told2))
	c.do("POST", "/cds-services/card/feedback", feedback(told1, told2)) // sent again, perhaps because the answer was lost
	c.do("POST", "/cds-services/silent/feedback", feedback(told1))      // another service
	c.do("POST", "/cds-services/card/feedback", feedback(`{}`))
	lines := strings.Split(strings.TrimSpace(c.log.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines: %s", len(lines), &c.log)
	}
	for i, wants := range [][]string{
		{"level=INFO", "msg=\"cds feedback\"", "service=card", "status=200", "accepted=1", "overridden=1", "reasons=\"patient-ineligible: 1\"", "cards=\"" + card1 + " " + card2 + "\""},
		{"level=INFO", "accepted=0", "overridden=0", "repeated=2"},
		{"level=INFO", "service=silent", "accepted=1"},
		{"level=WARN", "status=400", "feedback[0].card: required"},
	} {
		for _, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %d lacks %s: %s", i, want, lines[i])
			}
		}
	}
	if len(c.told) != 4 || !c.told[1].Outcomes[0].Repeated || c.told[2].Outcomes[0].Repeated || c.told[3].Outcomes != nil {
		t.Errorf("told %+v", c.told)
	}
}

// What one client told, another has not told before.
func TestFeedbackOfTwoClients(t *testing.T) {
	c := start(t, Options{Client: func(r *http.Request) (*Client, error) {
		return &Client{Name: r.Header.Get("Authorization")}, nil
	}}, feedbackServices()...)
	for i, test := range []struct {
		client   string
		repeated bool
	}{{"north", false}, {"south", false}, {"north", true}} {
		w := c.do("POST", "/cds-services/card/feedback", feedback(told1), "Authorization", test.client)
		if told := c.told[i]; w.Code != 200 || told.Client != test.client || told.Outcomes[0].Repeated != test.repeated {
			t.Errorf("%s: status %d, %+v", test.client, w.Code, told)
		}
	}
}

func TestFeedbackBody(t *testing.T) {
	c := start(t, Options{}, feedbackServices()...)
	large := `{"feedback":[` + told1 + `],"x":"` + strings.Repeat("x", MaxFeedback) + `"}`
	for _, test := range []struct {
		name, body string
		header     []string
		want       int
	}{
		{"too large", large, nil, 413},
		{"a form", feedback(told1), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"compressed", feedback(told1), []string{"Content-Encoding", "gzip"}, 415},
		{"too deep", `{"feedback":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`, nil, 400},
	} {
		if w := c.do("POST", "/cds-services/card/feedback", test.body, test.header...); w.Code != test.want {
			t.Errorf("%s: status %d, want %d", test.name, w.Code, test.want)
		}
	}
	small := start(t, Options{MaxBody: 100}, feedbackServices()...)
	if w := small.do("POST", "/cds-services/card/feedback", feedback(told1)); w.Code != 413 {
		t.Errorf("over the limit of the options: status %d", w.Code)
	}
	// As many outcomes as fit are told in one bounded line.
	var items []string
	for i := range 5000 {
		items = append(items, strings.Replace(told1, card1, fmt.Sprintf("00000000-0000-4000-8000-%012d", i), 1))
	}
	many := start(t, Options{}, feedbackServices()...)
	if w := many.do("POST", "/cds-services/card/feedback", feedback(items...)); w.Code != 200 || len(many.told[0].Outcomes) != 5000 || many.log.Len() > 2000 {
		t.Errorf("status %d, %d bytes of log", w.Code, many.log.Len())
	}
}

// A text is remembered exactly as long as it is one of the last MaxRemembered.
func TestMemoryIsBounded(t *testing.T) {
	var m memory
	for i := range MaxRemembered + 1 {
		if m.before(fmt.Sprint(i)) {
			t.Fatalf("%d was never told", i)
		}
	}
	if len(m.have) != MaxRemembered || len(m.ring) != MaxRemembered {
		t.Errorf("remembers %d and %d", len(m.have), len(m.ring))
	}
	if m.before("0") || !m.before(fmt.Sprint(MaxRemembered)) {
		t.Error("the oldest is not the one that was forgotten")
	}
}

// Feedback counts as a whole or not at all, and what is counted is what was sent.
func TestFeedbackCountsAllOrNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := start(t, Options{}, feedbackServices()...)
		items := rapid.SliceOfN(rapid.SampledFrom([]string{told1, told2, strings.Replace(told1, card1, card2, 1), `{}`, strings.Replace(told2, "overridden", "x", 1)}), 1, 6).Draw(rt, "items")
		bad := false
		distinct := map[string]bool{}
		for _, item := range items {
			bad = bad || item == `{}` || strings.Contains(item, `"x"`)
			distinct[item] = true
		}
		w := c.do("POST", "/cds-services/card/feedback", feedback(items...))
		counted := 0
		for _, o := range c.told[0].Outcomes {
			if !o.Repeated {
				counted++
			}
		}
		switch {
		case bad && (w.Code != 400 || len(c.told[0].Outcomes) != 0):
			rt.Fatalf("status %d, counted %+v", w.Code, c.told[0].Outcomes)
		case !bad && (w.Code != 200 || len(c.told[0].Outcomes) != len(items) || counted != len(distinct)):
			rt.Fatalf("status %d, counted %d of %d", w.Code, counted, len(distinct))
		}
	})
}

func FuzzFeedback(f *testing.F) {
	f.Add([]byte(feedback(told1, told2)))
	f.Add([]byte(feedback(`{"card":"\ud800","outcome":"accepted","acceptedSuggestions":[{"ID":"x"},null],"outcomeTimestamp":"2026-02-01T24:00:00Z"}`)))
	f.Add([]byte(`{"feedback":[null,[],{"overrideReason":{"reason":[]}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := readFeedback(body)
		if err != nil {
			if kindOf(err) != Invalid || len(err.Error()) > 4000 {
				t.Errorf("error of kind %d: %v", kindOf(err), err)
			}
			return
		}
		for _, item := range items {
			if item.card == "" || item.outcome != Accepted && item.outcome != Overridden || item.reason != nil && item.reason.Code == "" {
				t.Errorf("accepted %+v", item)
			}
		}
	})
}
