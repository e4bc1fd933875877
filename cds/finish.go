package cds

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The indicators of a card. https://cds-hooks.hl7.org/2.0/#card-attributes
const (
	Info     = "info"
	Warning  = "warning"
	Critical = "critical"
)

// The selection behaviors of a card with suggestions.
const (
	AtMostOne = "at-most-one"
	Any       = "any"
)

// MaxSummary is the most characters (Unicode code points) of a summary: the
// text says fewer than 140, https://cds-hooks.hl7.org/2.0/#card-attributes.
const MaxSummary = 139

// finish makes a response keep the rules of the protocol and returns what it
// had to mend. No card is ever dropped: a card that breaks a rule is a bug of
// its service, and its advice is still wanted. Summaries that are merely too
// long are no fault, they are cut.
func finish(response *Response, service *Service, newID func() string) []string {
	f := finisher{service: service, newID: newID}
	if response.Cards == nil {
		response.Cards = []Card{}
	}
	for i := range response.Cards {
		f.card = i
		f.finish(&response.Cards[i])
	}
	f.card = -1
	response.Extension = f.extension(response.Extension)
	return f.faults
}

type finisher struct {
	service *Service
	newID   func() string
	card    int // its place in the response; -1 for the response itself
	faults  []string
}

func (f *finisher) fault(format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf("card %d: ", f.card)+fmt.Sprintf(format, args...))
}

func (f *finisher) finish(card *Card) {
	card.Detail = strings.TrimSpace(strings.ToValidUTF8(card.Detail, "\uFFFD"))
	card.Summary = strings.Join(strings.Fields(strings.ToValidUTF8(card.Summary, "\uFFFD")), " ")
	if card.Summary == "" {
		f.fault("no summary")
		card.Summary = "Advice about this order: see the details"
	}
	card.Summary = Shorten(card.Summary, MaxSummary)
	switch card.Indicator {
	case Info, Warning, Critical:
	default:
		f.fault("indicator is none of the three")
		card.Indicator = Warning
	}
	if card.UUID == "" {
		card.UUID = f.newID()
	}
	f.source(&card.Source)
	card.OverrideReasons = keep(card.OverrideReasons, func(c *Coding) bool {
		return f.check(c.Code != "" && c.System != "" && c.Display != "", "override reason without code, system or display")
	})
	card.Links = keep(card.Links, f.link)
	card.Suggestions = keep(card.Suggestions, f.suggestion)
	f.selection(card)
	card.Extension = f.extension(card.Extension)
}

func (f *finisher) source(source *Source) {
	if strings.TrimSpace(source.Label) == "" {
		f.fault("source without label")
		source.Label = f.service.Title
		if source.Label == "" {
			source.Label = f.service.ID
		}
	}
	if source.URL != "" && !f.check(absolute(source.URL), "source.url is not absolute") {
		source.URL = ""
	}
	if source.Icon != "" && !f.check(absolute(source.Icon), "source.icon is not absolute") {
		source.Icon = ""
	}
	if t := source.Topic; t != nil && !f.check(t.Code != "" && t.System != "", "source.topic without code or system") {
		source.Topic = nil
	}
}

func (f *finisher) link(link *Link) bool {
	if link.Type == "absolute" && link.AppContext != "" {
		f.fault("appContext on an absolute link")
		link.AppContext = ""
	}
	return f.check(link.Label != "" && absolute(link.URL) && (link.Type == "absolute" || link.Type == "smart"), "link is not complete")
}

// selection sets selectionBehavior where there is something to select, and
// keeps "at most one" recommended suggestion to its word.
func (f *finisher) selection(card *Card) {
	if len(card.Suggestions) == 0 {
		card.SelectionBehavior = ""
		return
	}
	switch card.SelectionBehavior {
	case AtMostOne, Any:
	default:
		f.fault("suggestions without a valid selectionBehavior")
		card.SelectionBehavior = AtMostOne
	}
	if card.SelectionBehavior != AtMostOne {
		return
	}
	recommended := 0
	for i := range card.Suggestions {
		if card.Suggestions[i].IsRecommended {
			recommended++
		}
	}
	if recommended > 1 {
		f.fault("several suggestions are recommended")
		for i := range card.Suggestions {
			card.Suggestions[i].IsRecommended = false
		}
	}
}

// suggestion checks one suggestion. Its actions belong together: if one of them
// cannot be sent, none is, but the label stays as words.
func (f *finisher) suggestion(s *Suggestion) bool {
	if !f.check(s.Label != "", "suggestion without label") {
		return false
	}
	if s.UUID == "" {
		s.UUID = f.newID()
	}
	for i := range s.Actions {
		if !f.check(s.Actions[i].valid(), "action is not complete") {
			s.Actions = nil
			break
		}
	}
	if len(s.Actions) == 0 {
		s.Actions = nil
	}
	return true
}

// reference is a relative reference to a resource.
var reference = regexp.MustCompile(`^[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}$`)

// valid reports whether an action has what its type needs.
// https://cds-hooks.hl7.org/2.0/#action
func (a *Action) valid() bool {
	if a.Description == "" {
		return false
	}
	switch a.Type {
	case "create", "update":
		var resource struct {
			ResourceType string `json:"resourceType"`
		}
		return json.Unmarshal(a.Resource, &resource) == nil && resource.ResourceType != "" && a.ResourceID == ""
	case "delete":
		return len(a.Resource) == 0 && reference.MatchString(a.ResourceID)
	}
	return false
}

// extension returns raw if it is an object with members; the protocol has no
// other extension.
func (f *finisher) extension(raw json.RawMessage) json.RawMessage {
	if absent(raw) {
		return nil
	}
	var members map[string]json.RawMessage
	if !f.check(json.Unmarshal(raw, &members) == nil && len(members) > 0, "extension is not an object with members") {
		return nil
	}
	return raw
}

func (f *finisher) check(ok bool, fault string) bool {
	if !ok {
		f.fault("%s", fault)
	}
	return ok
}

// keep returns the elements ok says yes to, nil if there are none.
func keep[T any](list []T, ok func(*T) bool) []T {
	var out []T
	for i := range list {
		if ok(&list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}

// absolute reports whether s is an http or https URL with a host.
func absolute(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && utf8.ValidString(s) && !strings.ContainsAny(s, " \t\r\n")
}
