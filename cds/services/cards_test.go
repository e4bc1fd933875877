package services

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/cds/pgx"
)

// advising makes a service whose advice is given.
func advising(tb testing.TB, advice []pgx.Advice, silence ...pgx.Silence) (*orderSelect, *pgx.Input) {
	tb.Helper()
	s := service(config(tb))
	var asked pgx.Input
	s.advise = func(in pgx.Input) ([]pgx.Advice, []pgx.Silence) { asked = in; return advice, silence }
	return s, &asked
}

// answered sends one clopidogrel order.
func answered(tb testing.TB, s *orderSelect) *cds.Response {
	tb.Helper()
	response, err := s.answer(tb.Context(), call([]string{order("o1", clopidogrel)}, `[]`, nil))
	if err != nil {
		tb.Fatal(err)
	}
	return response
}

func wholeAdvice() pgx.Advice {
	activity := 0.25
	return pgx.Advice{
		Order: pgx.Order{Reference: "MedicationRequest/o1", Text: "clopidogrel 75 MG Oral Tablet"},
		Drug:  "clopidogrel", RxCUI: "32968", Kind: pgx.Recommend, Indicator: pgx.Critical,
		Summary: "CYP2C19 poor metabolizer", Guideline: "CPIC", URL: "https://example.org/g",
		Rows: []pgx.Row{{ID: "r1", Version: "v1", Strength: "strong", Action: "avoid", Text: "Avoid it", Because: []string{"it does not work"}, Match: map[string]string{"CYP2C19": "Poor Metabolizer"}}},
		Findings: []pgx.Finding{{
			Gene: "CYP2C19", State: pgx.Known,
			Candidates: []pgx.Candidate{{Diplotype: "*2/*2", Phenotype: "Poor Metabolizer", Score: "0.0", Alleles: []pgx.Allele{{Name: "*2", Function: "No function", Activity: &activity}}}},
			Used:       []pgx.Report{{Reference: "Observation/g1", Laboratory: "A lab", Assay: "An assay", Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Tested: []string{"*2", "*3"}, Status: "final", Values: []string{"*2/*2"}}},
			Ignored:    []pgx.Ignored{{Report: pgx.Report{Reference: "Observation/old"}, Reason: "entered in error"}},
			Notes:      []string{"small variants only"},
		}},
		Notes: []string{"a note"}, Settles: []string{"another test"},
		Actions: []pgx.Action{{Kind: pgx.CancelOrder, Label: "Cancel clopidogrel"}},
		Links:   []pgx.Link{{Label: "Paper", URL: "https://example.org/p"}, {Label: "the same", URL: "https://example.org/g"}, {Label: "bad", URL: "ftp://example.org"}},
		Trail:   []pgx.Step{{Kind: "rule", Text: "row r1", Ref: "r1"}},
	}
}

func TestCard(t *testing.T) {
	s, _ := advising(t, []pgx.Advice{wholeAdvice()})
	response := answered(t, s)
	card := response.Cards[0]
	if card.Summary != "clopidogrel: CYP2C19 poor metabolizer" || card.Indicator != cds.Critical || card.UUID == "" {
		t.Errorf("card %+v", card)
	}
	if card.Source.Label != "CPIC" || card.Source.URL != "https://example.org/g" || card.Source.Topic == nil {
		t.Errorf("source %+v", card.Source)
	}
	for _, want := range []string{
		"Order: clopidogrel 75 MG Oral Tablet", "\n\nAvoid it", "Because: it does not work",
		"| Gene | Result | Phenotype | Laboratory | Assay | Date | Alleles tested |",
		`| CYP2C19 | \*2/\*2 | Poor Metabolizer (activity score 0.0) | A lab | An assay | 2026-01-02 | \*2, \*3 |`,
		"What would settle this: another test", "- a note", "- small variants only", "- Not used: Observation/old (entered in error)", "Evidence: Observation/g1. Rule: r1, v1 (strong recommendation)",
	} {
		if !strings.Contains(card.Detail, want) {
			t.Errorf("the detail lacks %q:\n%s", want, card.Detail)
		}
	}
	if len(card.Links) != 2 || card.Links[0].URL != "https://example.org/g" || card.Links[1].Label != "Paper" {
		t.Errorf("links %+v", card.Links)
	}
	if len(card.Suggestions) != 1 || card.SelectionBehavior != cds.AtMostOne || len(card.OverrideReasons) == 0 {
		t.Fatalf("suggestions %+v", card.Suggestions)
	}
	action := card.Suggestions[0].Actions[0]
	if action.Type != "delete" || action.ResourceID != "MedicationRequest/o1" || action.Resource != nil || card.Suggestions[0].IsRecommended {
		t.Errorf("action %+v", action)
	}
	var extension map[string]trailJSON
	if err := json.Unmarshal(card.Extension, &extension); err != nil {
		t.Fatal(err)
	}
	trail := extension["org.starling-fhir.evidence"]
	if trail.Knowledge != "test" || trail.Kind != "recommendation" || trail.Order != "MedicationRequest/o1" || trail.Rules[0].ID != "r1" ||
		trail.Findings[0].Reports[0].Reference != "Observation/g1" || trail.Findings[0].Ignored[0].Reason != "entered in error" ||
		*trail.Findings[0].Candidates[0].Alleles[0].Activity != 0.25 || trail.Steps[0].Ref != "r1" {
		t.Errorf("trail %+v", trail)
	}
}

func TestCardsOfSeveralRows(t *testing.T) {
	a := wholeAdvice()
	a.Kind = pgx.Choices
	a.Rows = []pgx.Row{{ID: "r1", Population: "ACS", Text: "Avoid | it", Strength: "strong"}, {ID: "r2", Population: "stroke", Text: "Consider", Strength: "moderate", Because: []string{"less evidence"}}}
	s, _ := advising(t, []pgx.Advice{a})
	detail := answered(t, s).Cards[0].Detail
	for _, want := range []string{"| For | Advice | Because | Strength |", `| ACS | Avoid \| it | – | strong recommendation |`, "| stroke | Consider | less evidence | moderate recommendation |", "Rule: r1; r2"} {
		if !strings.Contains(detail, want) {
			t.Errorf("the detail lacks %q:\n%s", want, detail)
		}
	}
}

func TestOrderOfCards(t *testing.T) {
	a, b, c := wholeAdvice(), wholeAdvice(), wholeAdvice()
	a.Indicator, a.Drug = pgx.Info, "drug-1"
	b.Indicator, b.Drug = pgx.Critical, "drug-2"
	c.Indicator, c.Drug = pgx.Critical, "drug-3"
	s, _ := advising(t, []pgx.Advice{a, b, c})
	var got []string
	for _, card := range answered(t, s).Cards {
		got = append(got, card.Summary[:len("drug-1")])
	}
	if strings.Join(got, " ") != "drug-2 drug-3 drug-1" {
		t.Errorf("order %v", got)
	}
}

func TestNoActionForAnOrderWithoutID(t *testing.T) {
	for _, reference := range []string{"urn:uuid:7", "draftOrders.entry[0]", "", "MedicationRequest/a b"} {
		a := wholeAdvice()
		a.Order.Reference = reference
		s, _ := advising(t, []pgx.Advice{a})
		if card := answered(t, s).Cards[0]; len(card.Suggestions) != 0 || card.SelectionBehavior != "" {
			t.Errorf("%q: %+v", reference, card.Suggestions)
		}
	}
}

func TestSilenceIsExplained(t *testing.T) {
	c := config(t)
	var unmapped []string
	c.OnUnmapped = func(vocabulary string) { unmapped = append(unmapped, vocabulary) }
	s := service(c)
	s.advise = func(pgx.Input) ([]pgx.Advice, []pgx.Silence) {
		return nil, []pgx.Silence{{Order: "MedicationRequest/o1", Reason: pgx.SilentUnmapped}, {Drug: "clopidogrel", Reason: pgx.SilentStandard}}
	}
	response := answered(t, s)
	if !slices.Equal(response.Reasons, []cds.Reason{{Code: pgx.SilentUnmapped}, {Code: pgx.SilentStandard, Subject: "clopidogrel"}}) {
		t.Errorf("reasons %v", response.Reasons)
	}
	if !slices.Equal(unmapped, []string{"rxnorm"}) {
		t.Errorf("unmapped %v", unmapped)
	}
	empty, err := s.answer(t.Context(), call(nil, `[]`, nil))
	if err != nil || !slices.Contains(empty.Reasons, cds.Reason{Code: "no-medication-order"}) {
		t.Errorf("%v %+v", err, empty)
	}
}

// A sender may put a name where a code belongs; the log does not repeat it.
func TestUnmappedCodesInTheLog(t *testing.T) {
	for _, test := range []struct{ system, code, want string }{
		{rxnorm, "309362", "vocabulary=rxnorm code=309362"},
		{"http://hl7.org/fhir/sid/ndc", "0591-2070-10", "vocabulary=ndc code=0591-2070-10"},
		{rxnorm, "Erika Example", `vocabulary=rxnorm code="(not shown)"`},
		{"urn:erika", "12", `vocabulary=other code="(not shown)"`},
	} {
		var log bytes.Buffer
		c := config(t)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		service(c).reportUnmapped(t.Context(), &cds.Request{HookInstance: "Erika Example"}, "MedicationRequest/o1",
			[]pgx.Order{{Reference: "MedicationRequest/o1", Codes: []pgx.Code{{System: test.system, Code: test.code}}}})
		if !strings.Contains(log.String(), test.want) || strings.Contains(strings.ToLower(log.String()), "erika") {
			t.Errorf("%s|%s: %s", test.system, test.code, log.String())
		}
	}
}

// The engine is given what was found and what was not.
func TestInput(t *testing.T) {
	s, asked := advising(t, nil)
	req := call([]string{order("o1", clopidogrel), order("o2", clopidogrel), `{"resourceType":"ServiceRequest","id":"s","code":{"text":"TPMT genotype"}}`}, `["MedicationRequest/o2"]`, map[string]string{
		"patient":    `{"resourceType":"Patient","id":"p1","birthDate":"1960-01-01"}`,
		"genotypes":  bundle(genotypeOf("g1", cyp2c19, `"valueString":"*1/*2"`), genotypeOf("g2", cyp2c19, `"valueString":"CYP2D6*1/*1"`)),
		"conditions": `null`,
	})
	if _, err := s.answer(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if len(asked.Orders) != 2 || asked.Orders[0].Selected || !asked.Orders[1].Selected || len(asked.Reports) != 1 || len(asked.Unread) != 1 ||
		!asked.TestOrdered["TPMT"] || asked.Patient.BirthDate.Year() != 1960 || !asked.Now.Equal(today) ||
		len(asked.Missing) != 1 || slices.Contains(asked.Patient.Unknown, "Condition") || !slices.Contains(asked.Patient.Unknown, "AllergyIntolerance") {
		t.Errorf("input %+v", asked)
	}
}

// Whatever the engine says, every advice becomes a card that keeps the rules,
// and every star in it is escaped.
func TestNoAdviceIsLost(t *testing.T) {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "*1/*2", "a|b", "CYP2D6*4/*4 and CYP2D6*1", "`x` <b>", "line\nbreak | *"}), rapid.String())
	texts := rapid.SliceOfN(text, 0, 3)
	s := service(config(t))
	rapid.Check(t, func(t *rapid.T) {
		finding := rapid.Custom(func(t *rapid.T) pgx.Finding {
			return pgx.Finding{
				Gene: text.Draw(t, "gene"), State: pgx.State(rapid.IntRange(0, 9).Draw(t, "state")), Notes: texts.Draw(t, "notes"),
				Candidates: []pgx.Candidate{{Diplotype: text.Draw(t, "diplotype"), Phenotype: text.Draw(t, "phenotype"), Score: text.Draw(t, "score")}},
				Used:       []pgx.Report{{Reference: text.Draw(t, "ref"), Laboratory: text.Draw(t, "lab"), Tested: texts.Draw(t, "tested")}},
			}
		})
		row := rapid.Custom(func(t *rapid.T) pgx.Row {
			return pgx.Row{ID: text.Draw(t, "id"), Text: text.Draw(t, "text"), Population: text.Draw(t, "population"), Strength: text.Draw(t, "strength"), Because: texts.Draw(t, "because"), Match: map[string]string{text.Draw(t, "k"): text.Draw(t, "v")}}
		})
		one := rapid.Custom(func(t *rapid.T) pgx.Advice {
			return pgx.Advice{
				Drug: text.Draw(t, "drug"), Summary: text.Draw(t, "summary"), Kind: pgx.AdviceKind(rapid.IntRange(0, 9).Draw(t, "kind")),
				Indicator: pgx.Indicator(rapid.IntRange(-1, 5).Draw(t, "indicator")), Guideline: text.Draw(t, "guideline"), URL: text.Draw(t, "url"),
				Order: pgx.Order{Reference: text.Draw(t, "order"), Text: text.Draw(t, "order text")},
				Rows:  rapid.SliceOfN(row, 0, 3).Draw(t, "rows"), Findings: rapid.SliceOfN(finding, 0, 3).Draw(t, "findings"),
				Notes: texts.Draw(t, "notes"), Settles: texts.Draw(t, "settles"), Actions: []pgx.Action{{Label: text.Draw(t, "label")}},
			}
		})
		advice := rapid.SliceOfN(one, 0, 4).Draw(t, "advice")
		ev := &evidence{Missing: texts.Draw(t, "missing"), Searched: texts.Draw(t, "searched")}
		for i := range advice {
			card := s.card(&advice[i], ev)
			if card.Summary == "" || card.UUID == "" || card.Source.Label == "" || card.Indicator == "" || card.Extension == nil {
				t.Fatalf("card %+v", card)
			}
			if bare := bareStar(card.Detail); bare != "" {
				t.Fatalf("a bare star: %q", bare)
			}
			for _, r := range advice[i].Rows {
				if words := cds.Escape(r.Text); !strings.Contains(card.Detail, words) {
					t.Fatalf("the advice %q is not in the detail", words)
				}
			}
		}
	})
}

// Feedback is counted by the reasons the service names: they are those its
// cards offer.
func TestOverrideReasonsAreThoseOfTheService(t *testing.T) {
	named := All(config(t))[0].OverrideReasons
	offered := false
	for _, kind := range []pgx.AdviceKind{pgx.Recommend, pgx.Choices, pgx.Partial} {
		advice := wholeAdvice()
		advice.Kind = kind
		s, _ := advising(t, []pgx.Advice{advice})
		for _, reason := range answered(t, s).Cards[0].OverrideReasons {
			offered = true
			if !slices.Contains(named, reason) {
				t.Errorf("the service does not name %s", reason.Code)
			}
		}
	}
	if !offered {
		t.Error("no card offers a reason")
	}
}
