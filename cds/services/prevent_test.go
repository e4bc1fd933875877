package services

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/cds/pgx"
)

// worked is the example the authors' implementations share: a woman of 50.
func worked() riskFactors {
	return riskFactors{
		Sex: pgx.Female, Age: 50, TotalMmol: 200 * cholesterolMmol, HDLMmol: 45 * cholesterolMmol, SBP: 160, EGFR: 90, BMI: 35,
		Diabetes: true, Antihypertensive: true,
	}
}

// TestPreventWorkedExample: the README of the R package preventr (Mayer, CRAN)
// gives 0.147, 0.092 and 0.081 for it.
func TestPreventWorkedExample(t *testing.T) {
	for i, want := range []float64{0.147, 0.092, 0.081} {
		o := &mustPrevent().Outcomes[i]
		got, ok := o.risk(worked())
		if !ok || math.Abs(got-want) > 0.0005 {
			t.Errorf("%s: %.4f, want %.3f", o.ID, got, want)
		}
	}
}

// TestPreventReference: at age 55, non-HDL cholesterol 3.5, HDL 1.3, blood
// pressure 130, BMI 25, eGFR 90 and nothing else, only the constant and the
// half-centred terms are left, so the sums can be made by hand.
func TestPreventReference(t *testing.T) {
	f := riskFactors{Sex: pgx.Male, Age: 55, TotalMmol: 4.8, HDLMmol: 1.3, SBP: 130, EGFR: 90, BMI: 25}
	for i, sum := range []float64{-3.031168, -3.500655, -3.946391} {
		o := &mustPrevent().Outcomes[i]
		if got, _ := o.risk(f); math.Abs(got-1/(1+math.Exp(-sum))) > 1e-12 {
			t.Errorf("%s: %v", o.ID, got)
		}
	}
	f.Smoking = true // 0.4386871 more
	if got, _ := mustPrevent().Outcomes[0].risk(f); math.Abs(got-1/(1+math.Exp(3.031168-0.4386871))) > 1e-12 {
		t.Errorf("smoking: %v", got)
	}
	f.Smoking, f.EGFR = false, 45 // one step of 15 below 60, and two from 90 to 60
	if got, _ := mustPrevent().Outcomes[0].risk(f); math.Abs(got-1/(1+math.Exp(3.031168-0.5378979-2*0.0164827))) > 1e-12 {
		t.Errorf("eGFR: %v", got)
	}
}

func TestPreventKnowsNoSexByDefault(t *testing.T) {
	f := worked()
	f.Sex = pgx.SexUnknown
	if _, ok := mustPrevent().Outcomes[0].risk(f); ok {
		t.Error("a sex was assumed")
	}
}

func TestPreventTableWithGaps(t *testing.T) {
	for old, broken := range map[string]string{
		`"version": "2023"`:                  `"version": ""`,
		`"statin": -0.1477655`:               `"statins": -0.1477655`,
		`"constant": -3.307728`:              `"constant": 0`,
		`"low": 15, "high": 140`:             `"low": 15, "high": 14`,
		`"needs": ["sbp", "egfr", "bmi", "s`: `"words": "", "needs": ["s`,
		`{`:                                  `[`,
	} {
		text := strings.Replace(string(preventJSON), old, broken, 1)
		if text == string(preventJSON) {
			t.Fatalf("%s is not there", old)
		}
		if _, err := loadPrevent([]byte(text)); err == nil {
			t.Errorf("accepted with %s", broken)
		}
	}
}

// TestPreventProperties: risks are probabilities; smoking, diabetes and a
// falling eGFR never lower them in the range the equations are for; what is not
// known widens the bounds and never moves them inwards.
func TestPreventProperties(t *testing.T) {
	p := mustPrevent()
	rapid.Check(t, func(t *rapid.T) {
		between := func(name string, low, high float64) float64 { return rapid.Float64Range(low, high).Draw(t, name) }
		f := riskFactors{
			Sex: rapid.SampledFrom([]pgx.Sex{pgx.Female, pgx.Male}).Draw(t, "sex"), Age: float64(rapid.IntRange(30, 79).Draw(t, "age")),
			HDLMmol: between("hdl", 20, 100) * cholesterolMmol, TotalMmol: between("total", 130, 320) * cholesterolMmol,
			SBP: between("sbp", 90, 200), EGFR: between("egfr", 15, 140), BMI: between("bmi", 18.5, 39.9),
			Smoking: rapid.Bool().Draw(t, "smoking"), Diabetes: rapid.Bool().Draw(t, "diabetes"),
			Antihypertensive: rapid.Bool().Draw(t, "treated"), Statin: rapid.Bool().Draw(t, "statin"),
		}
		for i := range p.Outcomes {
			o := &p.Outcomes[i]
			risk, _ := o.risk(f)
			if !(risk > 0 && risk < 1) {
				t.Fatalf("%s: %v", o.ID, risk)
			}
			more := f
			more.Smoking = true
			if r, _ := o.risk(more); r < risk {
				t.Fatalf("%s: smoking lowers the risk", o.ID)
			}
			more = f
			more.Diabetes = true
			if r, _ := o.risk(more); r < risk {
				t.Fatalf("%s: diabetes lowers the risk", o.ID)
			}
			more = f
			more.EGFR = max(15, f.EGFR-10)
			if r, _ := o.risk(more); r < risk {
				t.Fatalf("%s: a lower eGFR lowers the risk", o.ID)
			}
			low, high := o.bounds(f, isUnknown, isUnknown)
			if risk < low || risk > high {
				t.Fatalf("%s: %v is not between %v and %v", o.ID, risk, low, high)
			}
		}
	})
}
