package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/cds/services"
	"github.com/starling-fhir/starling/fhir"
)

// adviceChange says how the advice on one drug changes for one patient. It names
// rows, which say what a result means and not what it is.
type adviceChange struct {
	Patient string `json:"patient"`
	Drug    string `json:"drug"`
	Old     string `json:"old,omitempty"` // "warning recommendation clopidogrel-acs-pci-2"; "" is no card
	New     string `json:"new,omitempty"`
	// Words says that the same rows apply, and say something else.
	Words bool `json:"words,omitempty"`
}

func (c adviceChange) String() string {
	if c.Words {
		return fmt.Sprintf("Patient/%s: %s: other words: %s", c.Patient, c.Drug, c.New)
	}
	card := func(s string) string {
		if s == "" {
			return "no card"
		}
		return s
	}
	return fmt.Sprintf("Patient/%s: %s: %s -> %s", c.Patient, c.Drug, card(c.Old), card(c.New))
}

// comparison answers for a patient with two editions of the knowledge.
type comparison struct {
	records *remoteRecords
	editions
}

// editions are the services of the older and the newer knowledge.
type editions [2]cds.Service

func newComparison(records *remoteRecords, now func() time.Time, older, newer *pgx.Knowledge) *comparison {
	c := &comparison{records: records}
	for i, k := range []*pgx.Knowledge{older, newer} {
		all := services.All(services.Config{
			Knowledge: k, Records: records, RecordsTimeout: time.Hour, // the sender has its own
			Clock: now, NewID: uuid.NewString,
		})
		c.editions[i] = all[slices.IndexFunc(all, func(s cds.Service) bool { return s.ID == "pgx-order-select" })]
	}
	return c
}

// patient orders each drug for a patient, and says of which the answers differ.
func (c *comparison) patient(ctx context.Context, id string, drugs []pgx.DrugCoverage) ([]adviceChange, error) {
	c.records.forget()
	var changes []adviceChange
	for _, drug := range drugs {
		var cards [2]advised
		for i := range c.editions {
			var err error
			if cards[i], err = c.answer(ctx, &c.editions[i], id, drug); err != nil {
				return nil, err
			}
		}
		if err := c.records.failed(); err != nil { // advice on half of the evidence compares nothing
			return nil, err
		}
		switch older, newer := cards[0], cards[1]; {
		case older.rows != newer.rows:
			changes = append(changes, adviceChange{Patient: id, Drug: drug.Name, Old: older.rows, New: newer.rows})
		case older.words != newer.words:
			changes = append(changes, adviceChange{Patient: id, Drug: drug.Name, Old: older.rows, New: newer.rows, Words: true})
		}
	}
	return changes, nil
}

// advised is an answer: what kind of card by which rows, and its words.
type advised struct{ rows, words string }

func (c *comparison) answer(ctx context.Context, service *cds.Service, id string, drug pgx.DrugCoverage) (advised, error) {
	concept := map[string]any{"text": drug.Name}
	if drug.RxCUI != "" {
		concept["coding"] = []any{map[string]any{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": drug.RxCUI, "display": drug.Name}}
	}
	order := map[string]any{
		"resourceType": "MedicationRequest", "id": "draft", "status": "draft", "intent": "order",
		"subject": map[string]any{"reference": "Patient/" + id}, "medicationCodeableConcept": concept,
	}
	hook, err := json.Marshal(map[string]any{
		"userId": "Practitioner/none", "patientId": id, "selections": []string{"MedicationRequest/draft"},
		"draftOrders": map[string]any{"resourceType": "Bundle", "type": "collection", "entry": []any{map[string]any{"resource": order}}},
	})
	if err != nil {
		return advised{}, err
	}
	response, err := service.Answer(ctx, &cds.Request{
		Hook: service.Hook, HookInstance: uuid.NewString(), Context: hook, Client: &cds.Client{Name: "knowledge diff", SharesPatientIDs: true},
	})
	if err != nil {
		return advised{}, err
	}
	var a advised
	for _, card := range response.Cards {
		var extension map[string]struct {
			Kind  string `json:"kind"`
			Rules []struct {
				ID   string `json:"id"`
				Text string `json:"text"`
			} `json:"rules"`
		}
		if err := json.Unmarshal(card.Extension, &extension); err != nil {
			return advised{}, fmt.Errorf("the card's evidence: %w", err)
		}
		evidence := extension["org.starling-fhir.evidence"]
		words := []string{card.Indicator, evidence.Kind}
		a.words += card.Summary
		for _, r := range evidence.Rules {
			words = append(words, r.ID)
			a.words += "\n" + r.Text
		}
		a.rows = strings.TrimPrefix(a.rows+"; "+strings.Join(words, " "), "; ")
	}
	return a, nil
}

// remoteRecords reads patients from a server, and keeps what it read of the one
// that is looked at: both editions must see the same.
type remoteRecords struct {
	send *sender

	mu   sync.Mutex
	have map[string]answered
	err  error // the first that is not "not there"
}

type answered struct {
	resources [][]byte
	complete  bool
	err       error
}

func (r *remoteRecords) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.have, r.err = map[string]answered{}, nil
}

func (r *remoteRecords) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Query answers a FHIR query; see [services.Records].
func (r *remoteRecords) Query(ctx context.Context, _, query string) ([][]byte, bool, error) {
	r.mu.Lock()
	a, ok := r.have[query]
	r.mu.Unlock()
	if ok {
		return a.resources, a.complete, a.err
	}
	a.resources, a.err = r.read(ctx, query)
	a.complete = a.err == nil
	r.mu.Lock()
	defer r.mu.Unlock()
	r.have[query] = a
	if kind := fhir.KindOf(a.err); a.err != nil && kind != fhir.NotFound && r.err == nil {
		r.err = a.err
	}
	return a.resources, a.complete, a.err
}

// mostRemote is how many resources of one query are read.
const mostRemote = 10_000

// read asks a query and follows its pages.
func (r *remoteRecords) read(ctx context.Context, query string) (resources [][]byte, err error) {
	page := r.send.base + "/" + escapeQuery(query)
	for page != "" {
		status, body, err := r.send.exchange(ctx, http.MethodGet, page, nil, func() bool { return true })
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusNotFound || status == http.StatusGone:
			return nil, fhir.Errorf(fhir.NotFound, "it is not there")
		case status != http.StatusOK:
			return nil, fmt.Errorf("the server answers %d: %s", status, outcomeText(body).text)
		}
		found, following, bundle, err := readPage(body)
		if err != nil {
			return nil, err
		}
		if !bundle {
			return [][]byte{body}, nil
		}
		resources = append(resources, found...)
		if len(resources) > mostRemote {
			return nil, fmt.Errorf("the server has more than %d resources for one query", mostRemote)
		}
		if page, err = r.sameServer(following); err != nil {
			return nil, err
		}
	}
	return resources, nil
}

// escapeQuery writes the values of a query as a URL has them.
func escapeQuery(query string) string {
	return strings.NewReplacer("|", "%7C", " ", "%20").Replace(query)
}

// sameServer refuses the address of a next page that is on another server: the
// token goes nowhere else.
func (r *remoteRecords) sameServer(next string) (string, error) {
	if next == "" {
		return "", nil
	}
	base, err := url.Parse(r.send.base + "/")
	if err != nil {
		return "", err
	}
	u, err := base.Parse(next)
	if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
		return "", fmt.Errorf("the next page is not on %s; give the base URL that the server calls its own", base.Host)
	}
	return u.String(), nil
}

// readPage reads the resources of a searchset; bundle is false if the body is
// another resource.
func readPage(body []byte) (resources [][]byte, next string, bundle bool, err error) {
	var page struct {
		ResourceType string `json:"resourceType"`
		Link         []struct {
			Relation string `json:"relation"`
			URL      string `json:"url"`
		} `json:"link"`
		Entry []struct {
			Resource json.RawMessage `json:"resource"`
			Search   struct {
				Mode string `json:"mode"`
			} `json:"search"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, "", false, fmt.Errorf("the server's answer: %w", err)
	}
	if page.ResourceType != "Bundle" {
		return nil, "", false, nil
	}
	for _, e := range page.Entry {
		if e.Search.Mode != "outcome" && len(e.Resource) > 0 {
			resources = append(resources, e.Resource)
		}
	}
	for _, l := range page.Link {
		if l.Relation == "next" {
			next = l.URL
		}
	}
	return resources, next, true, nil
}

// genomicSearches find the observations and reports that advice may rest on, as
// the service's prefetch does.
func genomicSearches() []string {
	const (
		genetics = "category=http://terminology.hl7.org/CodeSystem/v2-0074|GE"
		loinc    = "http://loinc.org|"
	)
	codes := []string{"84413-4", "84414-2", "69548-6", "53040-2", "79713-4", "79714-2", "79715-9", "79716-7", "79719-1", "79722-5", "32546-4"}
	return []string{
		"Observation?" + genetics, "DiagnosticReport?" + genetics, "Observation?code=" + loinc + strings.Join(codes, ","+loinc),
		"Observation?code=http://hl7.org/fhir/uv/genomics-reporting/CodeSystem/tbd-codes-cs|therapeutic-implication",
	}
}

// patients finds the ids of patients with genomic results, in order, and says
// whether there are more than limit.
func (r *remoteRecords) patients(ctx context.Context, limit int) (ids []string, more bool, err error) {
	seen := map[string]bool{}
	for _, search := range genomicSearches() {
		page := r.send.base + "/" + escapeQuery(search) + "&_elements=subject&_count=500"
		for page != "" {
			if err := ctx.Err(); err != nil {
				return nil, false, err
			}
			status, body, err := r.send.exchange(ctx, http.MethodGet, page, nil, func() bool { return true })
			if err != nil {
				return nil, false, err
			}
			if status != http.StatusOK {
				return nil, false, fmt.Errorf("patients with genomic results cannot be searched: %d %s", status, outcomeText(body).text)
			}
			found, next, _, err := readPage(body)
			if err != nil {
				return nil, false, err
			}
			for _, data := range found {
				id := subjectOf(data)
				if id == "" || seen[id] {
					continue
				}
				if len(ids) == limit {
					slices.Sort(ids)
					return ids, true, nil
				}
				seen[id] = true
				ids = append(ids, id)
			}
			if page, err = r.sameServer(next); err != nil {
				return nil, false, err
			}
		}
	}
	slices.Sort(ids)
	return ids, false, nil
}

// subjectOf is the id of the patient a resource is about; "" if it names none.
func subjectOf(data []byte) string {
	var about struct {
		Subject struct {
			Reference string `json:"reference"`
		} `json:"subject"`
	}
	if json.Unmarshal(data, &about) != nil {
		return ""
	}
	parts := strings.Split(about.Subject.Reference, "/")
	if len(parts) < 2 || parts[len(parts)-2] != "Patient" || !fhir.ValidID(parts[len(parts)-1]) {
		return ""
	}
	return parts[len(parts)-1]
}

// writeLine writes a value as one line of JSON.
func writeLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
