package cds

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func whole() Card {
	return Card{
		UUID: "u", Summary: "Consider another drug", Indicator: Warning, Detail: "Words",
		Source:            Source{Label: "A guideline", URL: "https://example.org/g", Topic: &Coding{System: "https://example.org/t", Code: "pgx"}},
		SelectionBehavior: AtMostOne,
		Suggestions: []Suggestion{{Label: "Cancel", UUID: "s", Actions: []Action{
			{Type: "delete", Description: "Remove the order", ResourceID: "MedicationRequest/m1"},
		}}},
		OverrideReasons: []Coding{{System: "https://example.org/r", Code: "c", Display: "Words"}},
		Links:           []Link{{Label: "More", URL: "https://example.org/more", Type: "absolute"}},
		Extension:       json.RawMessage(`{"org.example.x":1}`),
	}
}

func finishOne(card Card) (Card, []string) {
	response := &Response{Cards: []Card{card}}
	n := 0
	faults := finish(response, &Service{ID: "svc", Title: "A service"}, func() string { n++; return fmt.Sprint("new-", n) })
	return response.Cards[0], faults
}

func TestFinishMendsCards(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Card)
		fault string // "" if it is none
		want  func(*Card)
	}{
		{"nothing to mend", func(*Card) {}, "", func(*Card) {}},
		{"no uuid", func(c *Card) { c.UUID = "" }, "", func(c *Card) { c.UUID = "new-1" }},
		{"no suggestion uuid", func(c *Card) { c.Suggestions[0].UUID = "" }, "", func(c *Card) { c.Suggestions[0].UUID = "new-1" }},
		{"white space in the summary", func(c *Card) { c.Summary = " a\n\tb  c " }, "", func(c *Card) { c.Summary = "a b c" }},
		{"no summary", func(c *Card) { c.Summary = " " }, "no summary", func(c *Card) { c.Summary = "Advice about this order: see the details" }},
		{"unknown indicator", func(c *Card) { c.Indicator = "success" }, "indicator", func(*Card) {}},
		{"no source label", func(c *Card) { c.Source.Label = " " }, "source without label", func(c *Card) { c.Source.Label = "A service" }},
		{"relative source url", func(c *Card) { c.Source.URL = "/g" }, "source.url", func(c *Card) { c.Source.URL = "" }},
		{"relative icon", func(c *Card) { c.Source.Icon = "i.png" }, "source.icon", func(*Card) {}},
		{"topic without system", func(c *Card) { c.Source.Topic = &Coding{Code: "x"} }, "source.topic", func(c *Card) { c.Source.Topic = nil }},
		{"suggestions without behavior", func(c *Card) { c.SelectionBehavior = "" }, "selectionBehavior", func(*Card) {}},
		{"unknown behavior", func(c *Card) { c.SelectionBehavior = "some" }, "selectionBehavior", func(*Card) {}},
		{"behavior without suggestions", func(c *Card) { c.Suggestions = []Suggestion{} }, "", func(c *Card) { c.Suggestions, c.SelectionBehavior = nil, "" }},
		{"two recommended", func(c *Card) {
			c.Suggestions = []Suggestion{{Label: "a", UUID: "1", IsRecommended: true}, {Label: "b", UUID: "2", IsRecommended: true}}
		}, "several suggestions", func(c *Card) { c.Suggestions = []Suggestion{{Label: "a", UUID: "1"}, {Label: "b", UUID: "2"}} }},
		{"suggestion without label", func(c *Card) { c.Suggestions[0].Label = "" }, "suggestion without label", func(c *Card) { c.Suggestions, c.SelectionBehavior = nil, "" }},
		{"action without description", func(c *Card) { c.Suggestions[0].Actions[0].Description = "" }, "action", func(c *Card) { c.Suggestions[0].Actions = nil }},
		{"delete without id", func(c *Card) { c.Suggestions[0].Actions[0].ResourceID = "m1" }, "action", func(c *Card) { c.Suggestions[0].Actions = nil }},
		{"update without resource", func(c *Card) {
			c.Suggestions[0].Actions[0] = Action{Type: "update", Description: "d", Resource: json.RawMessage(`"MedicationRequest/m1"`)}
		}, "action", func(c *Card) { c.Suggestions[0].Actions = nil }},
		{"reason without display", func(c *Card) { c.OverrideReasons[0].Display = "" }, "override reason", func(c *Card) { c.OverrideReasons = nil }},
		{"link without type", func(c *Card) { c.Links[0].Type = "" }, "link", func(c *Card) { c.Links = nil }},
		{"link with a script", func(c *Card) { c.Links[0].URL = "javascript:alert(1)" }, "link", func(c *Card) { c.Links = nil }},
		{"appContext on an absolute link", func(c *Card) { c.Links[0].AppContext = "x" }, "appContext", func(*Card) {}},
		{"extension null", func(c *Card) { c.Extension = json.RawMessage(`null`) }, "", func(c *Card) { c.Extension = nil }},
		{"extension empty", func(c *Card) { c.Extension = json.RawMessage(`{}`) }, "extension", func(c *Card) { c.Extension = nil }},
		{"invalid UTF-8", func(c *Card) { c.Summary, c.Detail = "a\xffb", "c\xffd" }, "", func(c *Card) { c.Summary, c.Detail = "a\uFFFDb", "c\uFFFDd" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			broken, want := whole(), whole()
			test.spoil(&broken)
			test.want(&want)
			got, faults := finishOne(broken)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if test.fault == "" && len(faults) > 0 || test.fault != "" && (len(faults) != 1 || !strings.Contains(faults[0], test.fault)) {
				t.Errorf("faults %q, want %q", faults, test.fault)
			}
			if _, again := finishOne(got); len(again) > 0 {
				t.Errorf("what was mended has faults: %q", again)
			}
		})
	}
}

// Whatever a service returns, no advice is lost and what is sent keeps the
// rules.
func TestFinishLosesNoCard(t *testing.T) {
	text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringN(0, 300, -1))
	rapid.Check(t, func(t *rapid.T) {
		card := Card{
			UUID: text.Draw(t, "uuid"), Summary: text.Draw(t, "summary"), Detail: text.Draw(t, "detail"),
			Indicator: rapid.SampledFrom([]string{"", "info", "warning", "critical", "x"}).Draw(t, "indicator"),
			Source:    Source{Label: text.Draw(t, "label"), URL: text.Draw(t, "url")},
			Suggestions: rapid.SliceOf(rapid.Custom(func(t *rapid.T) Suggestion {
				return Suggestion{Label: text.Draw(t, "l"), IsRecommended: rapid.Bool().Draw(t, "r"), Actions: []Action{{Type: "delete", ResourceID: text.Draw(t, "id")}}}
			})).Draw(t, "suggestions"),
			Links:     []Link{{Label: text.Draw(t, "ll"), URL: text.Draw(t, "lu"), Type: "absolute"}},
			Extension: json.RawMessage(text.Draw(t, "extension")),
		}
		got, _ := finishOne(card)
		if problems := lint(got); len(problems) > 0 {
			t.Fatalf("%q in %+v", problems, got)
		}
		if strings.TrimSpace(card.Detail) != "" && got.Detail == "" {
			t.Fatal("the detail was lost")
		}
		if _, err := marshal(got); err != nil {
			t.Fatal(err)
		}
	})
}

// lint checks a card against the rules of the protocol, on its own.
func lint(c Card) (problems []string) {
	must := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	must(c.Summary != "" && utf8.RuneCountInString(c.Summary) < 140, "summary")
	must(c.Indicator == "info" || c.Indicator == "warning" || c.Indicator == "critical", "indicator")
	must(c.UUID != "" && c.Source.Label != "", "uuid or label")
	must((len(c.Suggestions) > 0) == (c.SelectionBehavior != ""), "selectionBehavior")
	for _, s := range c.Suggestions {
		must(s.Label != "" && s.UUID != "", "suggestion")
	}
	for _, l := range c.Links {
		must(l.Label != "" && strings.HasPrefix(l.URL, "http"), "link")
	}
	return problems
}

func TestShorten(t *testing.T) {
	family := "👨‍👩‍👧‍👦"
	tests := []struct{ name, in, want string }{
		{"short text stays", "ten chars!", "ten chars!"},
		{"cut on a word", "one two three", "one two…"},
		{"no comma before the ellipsis", "one two, three", "one two…"},
		{"a long word is cut inside", "abcdefghijklmn", "abcdefghi…"},
		{"combining mark stays with its letter", "abcdefghe\u0301xyz", "abcdefgh…"},
		{"emoji family stays whole", "abcdef" + family + "xyz", "abcdef…"},
		{"skin tone stays", "abcdefgh👍🏽xyz", "abcdefgh…"},
		{"flag stays whole", "abcdefgh🇩🇪xyz", "abcdefgh…"},
		{"second flag is dropped whole", "abcdef🇩🇪🇫🇷xyz", "abcdef🇩🇪…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Shorten(test.in, 10); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 400, -1).Draw(t, "text")
		got := Shorten(text, MaxSummary)
		if n := utf8.RuneCountInString(got); n > MaxSummary {
			t.Fatalf("%d characters", n)
		}
		if got != text && !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) {
			t.Fatalf("%q is not the beginning of %q", got, text)
		}
	})
}

func TestEscape(t *testing.T) {
	tests := []struct{ in, want string }{
		{"CYP2C19*2 and CYP2C19*17", `CYP2C19\*2 and CYP2C19\*17`},
		{"*2/*2", `\*2/\*2`},
		{"a|b", `a\|b`},
		{"line\nbreak\r\n- item", "line break - item"},
		{"- item", `\- item`},
		{"# heading", `\# heading`},
		{"1. item", `1\. item`},
		{"1.25 mg", "1.25 mg"},
		{"dose 1.25", "dose 1.25"},
		{"<b>x</b> [y](z)", `\<b>x\</b> \[y\](z)`},
		{"see https://evil.example or www.evil.example", `see https\://evil.example or www\.evil.example`},
		{"a@b.example", `a\@b.example`},
		{"&lt; `code` ~~no~~", "\\&lt; \\`code\\` \\~\\~no\\~\\~"},
		{`back\slash`, `back\\slash`},
		{"-1639 G>A", "-1639 G>A"},
		{"> quote", `\> quote`},
		{"---", `\---`},
		{"A & B &amp;", `A & B \&amp;`},
		{"bell\a", "bell"},
	}
	for _, test := range tests {
		if got := Escape(test.in); got != test.want {
			t.Errorf("Escape(%q) = %q, want %q", test.in, got, test.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("*_|<>[]\\`#-1.a \n\té"))).Draw(t, "text")
		escaped := Escape(text)
		if strings.ContainsFunc(escaped, unicode.IsControl) {
			t.Fatal("a control character is left")
		}
		var plain strings.Builder // undo the escapes; a bare special character is a mistake
		for i := 0; i < len(escaped); i++ {
			switch c := escaped[i]; {
			case c == '\\':
				i++
				if i == len(escaped) {
					t.Fatalf("%q ends in an escape", escaped)
				}
				plain.WriteByte(escaped[i])
			case strings.IndexByte("*_|<[]`", c) >= 0:
				t.Fatalf("bare %c in %q", c, escaped)
			default:
				plain.WriteByte(c)
			}
		}
		if want := strings.Join(strings.Fields(text), " "); plain.String() != want {
			t.Fatalf("%q reads %q, want %q", escaped, plain.String(), want)
		}
	})
}
