package services

import (
	_ "embed" // the table of the equations
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/starling-fhir/starling/cds/pgx"
)

// preventJSON is the table of the PREVENT equations, with its sources.
//
//go:embed knowledge/prevent.json
var preventJSON []byte

// prevent holds the base model of the PREVENT equations for 10 years. It knows
// no FHIR and has no race input. Khan 2024, PMID 37947085,
// https://doi.org/10.1161/CIRCULATIONAHA.123.067626.
type prevent struct {
	Label    string
	Version  string
	Age      inputRange
	Ranges   map[string]inputRange
	Outcomes []outcome

	KnownDisease      codeSet `json:"known_disease"`
	Diabetes          codeSet
	Antihypertensives codeSet
	Statins           codeSet
}

// inputRange is the range of an input among the people the equations were made with.
type inputRange struct {
	Low, High float64
	Unit      string
}

// codeSet is a set of codes. ICD-10 and ATC codes stand for themselves and
// everything below them.
type codeSet struct{ ICD10, SNOMED, ATC, RxNorm []string }

// outcome is one disease with the equation of each sex.
type outcome struct {
	ID, Words    string
	Needs        []string // names of inputs
	Female, Male map[string]float64
}

// The inputs, as the table names them.
const (
	inputTotal    = "total_cholesterol"
	inputHDL      = "hdl"
	inputSBP      = "sbp"
	inputEGFR     = "egfr"
	inputBMI      = "bmi"
	inputSmoking  = "smoking"
	inputDiabetes = "diabetes"
)

// preventTerms are the terms of the equations, in the order they are added.
var preventTerms = []string{
	"constant", "age", "non_hdl", "hdl", "sbp_below_110", "sbp_from_110", "diabetes", "smoking",
	"bmi_below_30", "bmi_from_30", "egfr_below_60", "egfr_from_60", "treated", "statin",
	"treated_x_sbp_from_110", "statin_x_non_hdl", "age_x_non_hdl", "age_x_hdl", "age_x_sbp_from_110",
	"age_x_diabetes", "age_x_smoking", "age_x_bmi_from_30", "age_x_egfr_below_60",
}

// loadPrevent reads the table and refuses one with gaps.
func loadPrevent(data []byte) (*prevent, error) {
	p := &prevent{}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("prevent.json: %w", err)
	}
	if p.Label == "" || p.Version == "" || p.Age.High <= p.Age.Low || len(p.Outcomes) == 0 {
		return nil, fmt.Errorf("prevent.json: label, version, age or outcomes are missing")
	}
	for _, name := range []string{inputTotal, inputHDL, inputSBP, inputEGFR, inputBMI} {
		if r := p.Ranges[name]; r.High <= r.Low || r.Unit == "" {
			return nil, fmt.Errorf("prevent.json: %s has no range", name)
		}
	}
	for _, o := range p.Outcomes {
		for _, row := range []map[string]float64{o.Female, o.Male} {
			if row["constant"] == 0 || row["age"] == 0 || len(o.Needs) == 0 || o.Words == "" {
				return nil, fmt.Errorf("prevent.json: outcome %q has gaps", o.ID)
			}
			for term := range row {
				if !slices.Contains(preventTerms, term) {
					return nil, fmt.Errorf("prevent.json: outcome %q has an unknown term %q", o.ID, term)
				}
			}
		}
	}
	return p, nil
}

// mustPrevent loads the embedded table; one with gaps stops the start.
func mustPrevent() *prevent {
	p, err := loadPrevent(preventJSON)
	if err != nil {
		panic(err) // the table is part of the program
	}
	return p
}

// cholesterolMmol is how many mmol/L the equations take 1 mg/dL of cholesterol
// to be (Khan 2024, supplement).
const cholesterolMmol = 0.02586

// riskFactors are the inputs of the equations. What an outcome does not need
// may be zero.
type riskFactors struct {
	Sex              pgx.Sex // Female or Male
	Age              float64 // completed years
	TotalMmol        float64 // total cholesterol, mmol/L
	HDLMmol          float64 // HDL cholesterol, mmol/L
	SBP              float64 // mm[Hg]
	EGFR             float64 // mL/min/1.73 m2
	BMI              float64 // kg/m2
	Smoking          bool
	Diabetes         bool
	Antihypertensive bool
	Statin           bool
}

// terms are the values the coefficients are multiplied with.
func (f *riskFactors) terms() map[string]float64 {
	yes := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	age, nonHDL, hdl := (f.Age-55)/10, f.TotalMmol-f.HDLMmol-3.5, (f.HDLMmol-1.3)/0.3
	sbpHigh, egfrLow, bmiHigh := (max(f.SBP, 110)-130)/20, (min(f.EGFR, 60)-60)/-15, (max(f.BMI, 30)-30)/5
	diabetes, smoking, treated, statin := yes(f.Diabetes), yes(f.Smoking), yes(f.Antihypertensive), yes(f.Statin)
	return map[string]float64{
		"constant": 1, "age": age, "non_hdl": nonHDL, "hdl": hdl,
		"sbp_below_110": (min(f.SBP, 110) - 110) / 20, "sbp_from_110": sbpHigh,
		"diabetes": diabetes, "smoking": smoking,
		"bmi_below_30": (min(f.BMI, 30) - 25) / 5, "bmi_from_30": bmiHigh,
		"egfr_below_60": egfrLow, "egfr_from_60": (max(f.EGFR, 60) - 90) / -15,
		"treated": treated, "statin": statin,
		"treated_x_sbp_from_110": treated * sbpHigh, "statin_x_non_hdl": statin * nonHDL,
		"age_x_non_hdl": age * nonHDL, "age_x_hdl": age * hdl, "age_x_sbp_from_110": age * sbpHigh,
		"age_x_diabetes": age * diabetes, "age_x_smoking": age * smoking,
		"age_x_bmi_from_30": age * bmiHigh, "age_x_egfr_below_60": age * egfrLow,
	}
}

// risk is the probability, 0 to 1, of the outcome within 10 years. ok is false
// for a sex the equations do not have: none is assumed.
func (o *outcome) risk(f riskFactors) (probability float64, ok bool) {
	var row map[string]float64
	switch f.Sex {
	case pgx.Female:
		row = o.Female
	case pgx.Male:
		row = o.Male
	default:
		return 0, false
	}
	terms, sum := f.terms(), 0.0
	for _, name := range preventTerms {
		sum += row[name] * terms[name]
	}
	return 1 / (1 + math.Exp(-sum)), true
}

// answer is yes, no, or not known.
type answer int

const (
	isUnknown answer = iota
	isNo
	isYes
)

// either lists what a fact may be: both, if it is not known.
func (a answer) either() []bool {
	switch a {
	case isYes:
		return []bool{true}
	case isNo:
		return []bool{false}
	}
	return []bool{false, true}
}

// bounds returns the lowest and highest risk over what is not known of the two
// treatments.
func (o *outcome) bounds(f riskFactors, antihypertensive, statin answer) (low, high float64) {
	low, high = 1, 0
	for _, f.Antihypertensive = range antihypertensive.either() {
		for _, f.Statin = range statin.either() {
			r, ok := o.risk(f)
			if !ok {
				return 0, 1
			}
			low, high = min(low, r), max(high, r)
		}
	}
	return low, high
}
