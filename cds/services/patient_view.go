package services

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/fhir/resource"
)

// viewer is what the services of patient-view share: they look at a patient's
// results and say what follows from them, without an order.
// https://cds-hooks.org/hooks/patient-view/
type viewer struct {
	id     string
	config Config
	topic  cds.Coding
}

// viewRequirements is what the services of patient-view ask of their callers.
const viewRequirements = "Send as much of the prefetch as you can; every key is optional. What is not sent is read from this server's own records " +
	"only for callers that are known to share its patient ids."

// prefetchOf returns the prefetch of sources.
func prefetchOf(list []source) map[string]string {
	prefetch := map[string]string{}
	for _, src := range list {
		prefetch[src.key] = src.query
	}
	return prefetch
}

// gather collects evidence as pgx-order-select does: the prefetch, then our own
// records, if the patient is certain to be ours.
func (v *viewer) gather(ctx context.Context, req *cds.Request, list []source) (*evidence, error) {
	root, err := resource.Decode(req.Context)
	if err != nil {
		return nil, cds.Errorf(cds.Invalid, "context: %s", err)
	}
	patientID := cds.PatientID(root.Str("patientId"))
	if patientID == "" {
		return nil, cds.Errorf(cds.Invalid, "context.patientId: required")
	}
	reader := &orderSelect{id: v.id, config: v.config}
	return reader.gatherFrom(ctx, req, patientID, list, nil), nil
}

// respond puts at most one card in an answer.
func respond(ev *evidence, card *cds.Card, reasons ...cds.Reason) *cds.Response {
	response := &cds.Response{Reasons: reasons}
	if ev.refused > 0 {
		response.Reasons = append(response.Reasons, cds.Reason{Code: "data-of-another-patient"})
	}
	if card != nil {
		response.Cards = []cds.Card{*card}
	}
	return response
}

// card makes a card; trail is for machines, without its empty lists.
func (v *viewer) card(summary, indicator string, detail []string, source cds.Source, trail map[string]any) (*cds.Card, error) {
	maps.DeleteFunc(trail, func(_ string, v any) bool {
		return reflect.ValueOf(v).Kind() == reflect.Slice && reflect.ValueOf(v).Len() == 0
	})
	extension, err := json.Marshal(map[string]any{evidenceMember: trail})
	if err != nil {
		return nil, err
	}
	source.Topic = &v.topic
	return &cds.Card{
		UUID: v.config.NewID(), Summary: summary, Indicator: indicator, Source: source,
		Detail: strings.Join(detail, "\n"), Extension: extension,
	}, nil
}

// measurement is one value of a patient, with what hinders its use.
type measurement struct {
	value   float64 // in the unit asked for
	sent    string  // as it was sent, with its unit
	date    time.Time
	ref     string
	problem string // why it cannot be used; "" if it can
}

// sameValue is how far, as a share, two values of one time may differ to be one
// that was sent in two units and rounded.
const sameValue = 0.01

// newest returns the newest of a list; it is nil if the list is empty. Undated
// values are the oldest. Two different values of one time are a problem.
func newest(list []measurement) *measurement {
	var best *measurement
	for i := range list {
		m := &list[i]
		switch {
		case best == nil || m.date.After(best.date):
			best = m
		case m.date.Equal(best.date) && (math.Abs(m.value-best.value) > sameValue*math.Abs(best.value) || m.problem != best.problem):
			best = &measurement{date: m.date, ref: min(m.ref, best.ref), problem: "two different values stand at the same time"}
		case m.date.Equal(best.date) && m.ref < best.ref:
			best = m
		}
	}
	return best
}

// on says of when a value is, in words.
func on(date time.Time) string {
	if date.IsZero() {
		return "undated"
	}
	return date.Format(time.DateOnly)
}

// rounded rounds to two places, which is as much as is sent on.
func rounded(v float64) float64 { return math.Round(v*100) / 100 }
