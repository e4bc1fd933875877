package pgx

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests of this file are named after the "Rules of use" that a clinical
// review of the knowledge laid down; docs/reference lists them.

var (
	cyp2c19PM = found("CYP2C19", "*2/*2", "Poor Metabolizer")
	cyp2c19IM = found("CYP2C19", "*1/*2", "Intermediate Metabolizer")
	cyp2c19NM = found("CYP2C19", "*1/*1", "Normal Metabolizer")
	cyp2c19UM = found("CYP2C19", "*17/*17", "Ultrarapid Metabolizer")
	cyp2d6PM  = found("CYP2D6", "*4/*4", "Poor Metabolizer", "0.0")
	cyp2d6NM  = found("CYP2D6", "*1/*1", "Normal Metabolizer", "2.0")
	cyp2d6UM  = found("CYP2D6", "*1/*2x2", "Ultrarapid Metabolizer", "≥3.0")
	tpmtPM    = found("TPMT", "*3A/*3A", "Poor Metabolizer")
	tpmtIM    = found("TPMT", "*1/*3A", "Intermediate Metabolizer")
	tpmtNM    = found("TPMT", "*1/*1", "Normal Metabolizer")
	nudt15PM  = found("NUDT15", "*3/*3", "Poor Metabolizer")
	nudt15NM  = found("NUDT15", "*1/*1", "Normal Metabolizer")
	dpyd00    = found("DPYD", "c.1905+1G>A (*2A)/c.1905+1G>A (*2A)", "Poor Metabolizer", "0.0")
	dpyd05    = found("DPYD", "", "Poor Metabolizer", "0.5")
	slcoPoor  = found("SLCO1B1", "*5/*5", "Poor Function")
	g6pdDef   = found("G6PD", "A- 202A_376G", "Deficient")
)

// RxNorm codes of ingredients and products used below.
const (
	clopidogrelTablet = "309362"
	carbamazepine     = "2002"
	phenytoin         = "8183"
	azathioprine      = "1256"
	mercaptopurine    = "103"
	thioguanine       = "10485"
	amitriptyline     = "704"
	codeine           = "2670"
	tramadol          = "10689"
	simvastatin       = "36567"
	atorvastatin      = "83367"
	omeprazole        = "7646"
	tamoxifen         = "10324"
	capecitabine      = "194000"
	fluorouracil      = "4492"
	rasburicase       = "283821"
	abacavirCode      = "190521"
	tacrolimusCode    = "42316"
	voriconazoleCode  = "121243"
	atomoxetineCode   = "38400"
	ondansetronCode   = "26225"
	citalopramCode    = "2556"
	doxepinCode       = "3638"
	aspirinCode       = "1191"
	sevofluraneCode   = "36453"
)

// TestCodes keeps the codes above honest.
func TestCodes(t *testing.T) {
	table := drugs(t)
	for code, name := range map[string]string{
		carbamazepine: "carbamazepine", phenytoin: "phenytoin", azathioprine: "azathioprine", mercaptopurine: "mercaptopurine", thioguanine: "thioguanine",
		amitriptyline: "amitriptyline", codeine: "codeine", tramadol: "tramadol", simvastatin: "simvastatin", atorvastatin: "atorvastatin", omeprazole: "omeprazole",
		tamoxifen: "tamoxifen", capecitabine: "capecitabine", fluorouracil: "fluorouracil", rasburicase: "rasburicase", abacavirCode: "abacavir", tacrolimusCode: "tacrolimus",
		voriconazoleCode: "voriconazole", atomoxetineCode: "atomoxetine", ondansetronCode: "ondansetron", citalopramCode: "citalopram", doxepinCode: "doxepin", aspirinCode: "aspirin", sevofluraneCode: "sevoflurane",
	} {
		if d := table.byRxCUI[code]; d == nil || d.Name != name {
			t.Errorf("RxCUI %s is not %s", code, name)
		}
	}
}

func TestRule02UnconfirmedResultsGiveNoSuggestion(t *testing.T) {
	a := advised(t, one(ordering(clopidogrelTablet, because("I21.4"))), stateOf("CYP2C19", Unconfirmed))
	is(t, a, Unusable, Info)
	says(t, a, "CYP2C19 result is preliminary")
	if len(a.Rows)+len(a.Actions) != 0 {
		t.Errorf("rows %v, actions %v from a preliminary result", a.Rows, a.Actions)
	}
	own := cyp2c19PM
	own.Used = slices.Clone(own.Used)
	own.Used[0].OwnCall = true
	a = advised(t, one(ordering(clopidogrelTablet, because("I21.4"))), own)
	says(t, a, "confirm before acting")
	if len(a.Actions) != 0 {
		t.Errorf("an own call offers %v", a.Actions)
	}
}

func TestRule03AromaticAnticonvulsantsAreNoAlternatives(t *testing.T) {
	hla := found("HLA-B", "", "*15:02 positive", "*15:02 positive")
	a := advised(t, one(ordering(carbamazepine, orally)), hla)
	is(t, a, Recommend, Critical)
	says(t, a, "oxcarbazepine, eslicarbazepine, phenytoin, fosphenytoin, lamotrigine or phenobarbital")
	// A result about another allele says nothing about this one.
	other := found("HLA-B", "", "*57:01 positive", "*57:01 positive")
	in := one(ordering(carbamazepine, orally))
	a = advised(t, in, other)
	is(t, a, Pretest, Info)
}

func TestRule04HalfTestedPairs(t *testing.T) {
	a := advised(t, one(ordering(carbamazepine, orally)), found("HLA-B", "", "*15:02 negative"))
	is(t, a, Partial, Info)
	says(t, a, "no HLA-A result was found", "an HLA-A result")
	a = advised(t, one(ordering(azathioprine, orally)), tpmtNM)
	is(t, a, Partial, Info)
	says(t, a, "no NUDT15 result was found")
	a = advised(t, one(ordering(amitriptyline, orally)), cyp2c19NM)
	is(t, a, Partial, Info)
	quietly(t, SilentPartial, one(ordering("301542", orally)), found("SLCO1B1", "*1/*1", "Normal Function")) // rosuvastatin
	quietly(t, SilentStandard, one(ordering(azathioprine, orally)), tpmtNM, nudt15NM)
	// A positive risk allele decides alone.
	a = advised(t, one(ordering(carbamazepine, orally)), found("HLA-B", "", "*15:02 positive"))
	is(t, a, Recommend, Critical)
	if len(a.Actions) != 1 {
		t.Errorf("actions %v", a.Actions)
	}
}

func TestRule05UnknownIndicationShowsAllSides(t *testing.T) {
	a := advised(t, one(ordering(clopidogrelTablet)), cyp2c19PM)
	is(t, a, Choices, Warning)
	if len(a.Rows) != 3 || len(a.Actions) != 0 {
		t.Fatalf("%d rows, actions %v; want three rows and nothing preselected", len(a.Rows), a.Actions)
	}
	for i, want := range []string{"acute coronary syndrome or PCI", "other cardiovascular indications", "neurovascular indications"} {
		if a.Rows[i].Population != want {
			t.Errorf("row %d is for %q, want %q", i, a.Rows[i].Population, want)
		}
	}
	says(t, a, "the indication: acute coronary syndrome or PCI, stroke or TIA, or another")
	// An intermediate metabolizer: the rows disagree, the most serious leads.
	a = advised(t, one(ordering(clopidogrelTablet)), cyp2c19IM)
	is(t, a, Choices, Warning)
	// All populations agree: standard.
	quietly(t, SilentStandard, one(ordering(clopidogrelTablet)), cyp2c19NM)
}

func TestRule05IndicationIsSettled(t *testing.T) {
	recent := icd("I21.4")
	recent.Date = now.AddDate(0, -2, 0)
	old := icd("I21.4")
	old.Date = now.AddDate(-8, 0, 0)
	stent := Coded{Codes: []Code{{System: "http://snomed.info/sct", Code: "415070008"}}, Date: now.AddDate(0, -1, 0)}
	for _, test := range []struct {
		name       string
		order      Order
		patient    Patient
		population string // "" is not settled
	}{
		{"reason ACS", ordering(clopidogrelTablet, because("I21.4")), Patient{}, "acute coronary syndrome or PCI"},
		{"reason stroke", ordering(clopidogrelTablet, because("I63.9")), Patient{}, "neurovascular indications"},
		{"reason peripheral artery disease", ordering(clopidogrelTablet, because("I70.2")), Patient{}, "other cardiovascular indications"},
		{"reason outranks problem list", ordering(clopidogrelTablet, because("I63.9")), Patient{Conditions: []Coded{recent}}, "neurovascular indications"},
		{"problem list", ordering(clopidogrelTablet), Patient{Conditions: []Coded{recent}}, "acute coronary syndrome or PCI"},
		{"procedure", ordering(clopidogrelTablet), Patient{Procedures: []Coded{stent}}, "acute coronary syndrome or PCI"},
		{"old infarction", ordering(clopidogrelTablet), Patient{Conditions: []Coded{old}}, ""},
		{"both on the problem list", ordering(clopidogrelTablet), Patient{Conditions: []Coded{recent, icd("I63.9")}}, ""},
		{"coronary disease on the problem list only", ordering(clopidogrelTablet), Patient{Conditions: []Coded{icd("I25.10")}}, ""},
		{"unrelated reason", ordering(clopidogrelTablet, because("E11.9")), Patient{}, ""},
	} {
		in := one(test.order)
		in.Patient = test.patient
		a := advised(t, in, cyp2c19PM)
		if test.population == "" {
			if a.Kind != Choices {
				t.Errorf("%s: kind %s for %q, want choices", test.name, kindNames[a.Kind], a.Rows[0].Population)
			}
			continue
		}
		if a.Kind != Recommend || len(a.Rows) != 1 || a.Rows[0].Population != test.population {
			t.Errorf("%s: kind %s, rows %v", test.name, kindNames[a.Kind], a.Rows)
		}
	}
}

func TestRule05UnknownAge(t *testing.T) {
	a := advised(t, one(ordering(voriconazoleCode, orally)), cyp2c19UM)
	is(t, a, Choices, Warning)
	says(t, a, "the patient's age")
	if a.Rows[0].Population != "adults" || a.Rows[1].Population != "children" {
		t.Errorf("rows %v", a.Rows)
	}
	in := one(ordering(voriconazoleCode, orally))
	in.Patient = aged(40)
	a = advised(t, in, cyp2c19UM)
	if a.Kind != Recommend || a.Rows[0].Population != "adults" {
		t.Errorf("kind %s, rows %v for an adult", kindNames[a.Kind], a.Rows)
	}
	// Atomoxetine: a child over 70 kg is dosed as an adult.
	in = one(ordering(atomoxetineCode, orally))
	in.Patient = aged(15)
	in.Patient.WeightKg = new(80.0)
	a = advised(t, in, cyp2d6PM)
	if a.Kind != Recommend || a.Rows[0].Population != "adults and children over 70 kg" {
		t.Errorf("rows %v for 80 kg", a.Rows)
	}
	in.Patient.WeightKg = nil
	if a = advised(t, in, cyp2d6PM); a.Kind != Choices || len(a.Rows) != 2 {
		t.Errorf("kind %s, %d rows for a child of unknown weight", kindNames[a.Kind], len(a.Rows))
	}
}

func TestRule05TreatmentNaiveUnlessDocumented(t *testing.T) {
	positive := found("HLA-B", "", "*15:02 positive")
	a := advised(t, one(ordering(carbamazepine, orally)), positive)
	is(t, a, Recommend, Critical)
	if a.Rows[0].Population != "new treatment" {
		t.Errorf("population %q without any record of use", a.Rows[0].Population)
	}
	saysNot(t, a, "is already being taken")
	in := one(ordering(carbamazepine, orally))
	in.Medications = []Medication{taking(carbamazepine, now.AddDate(0, -5, 0))}
	a = advised(t, in, positive)
	is(t, a, Recommend, Warning)
	says(t, a, "already being taken", "caution")
	in.Medications[0].Start = now.AddDate(0, -1, 0) // too short
	a = advised(t, in, positive)
	is(t, a, Recommend, Critical)
	in.Medications[0].Start = now.AddDate(0, -5, 0)
	in.Patient.Conditions = []Coded{icd("L51.1")} // not without a skin reaction
	quietly(t, SilentPopulation, in, positive)
	// "Nothing else is possible" is never inferred, only mentioned.
	a = advised(t, one(ordering(carbamazepine, orally)), found("HLA-A", "", "*31:01 positive"), found("HLA-B", "", "*15:02 negative"))
	is(t, a, Recommend, Critical)
	says(t, a, "another row for new treatment when nothing else is possible")
}

func TestRule07IvacaftorAlone(t *testing.T) {
	f := found("CFTR", "", "ivacaftor non-responsive in CF patients")
	a := advised(t, one(ordering("1243041", orally)), f)
	is(t, a, Recommend, Info)
	says(t, a, "check the current label")
	if len(a.Actions) != 0 {
		t.Errorf("actions %v", a.Actions)
	}
}

func TestRule08TargetsAreComparedWithTheDraft(t *testing.T) {
	in := func(mg float64) Input {
		i := one(ordering(azathioprine, orally, mgDaily(mg), because("K50.9")))
		i.Patient.WeightKg = new(50.0)
		return i
	}
	a := advised(t, in(125), tpmtIM, nudt15NM) // 2.5 mg/kg
	is(t, a, Recommend, Warning)
	says(t, a, "30-80 % of the normal starting dose", "The guideline assumes a normal start of 2-3 mg/kg/day.")
	quietly(t, SilentCondition, in(75), tpmtIM, nudt15NM) // 1.5 mg/kg is below 80 % of 2 mg/kg
	noWeight := in(125)
	noWeight.Patient.WeightKg = nil
	a = advised(t, noWeight, tpmtIM, nudt15NM)
	says(t, a, "daily dose, weight or body surface is missing")
}

func TestRule08ContinuingTherapy(t *testing.T) {
	in := one(ordering(clopidogrelTablet, because("I21.4")))
	in.Medications = []Medication{taking(clopidogrelTablet, now.AddDate(0, -3, 0))}
	a := advised(t, in, cyp2c19PM)
	says(t, a, "Clopidogrel is already being taken", "the genotype alone is no reason to stop it at once")
	if len(a.Actions) != 0 {
		t.Errorf("a drug already taken gets %v", a.Actions)
	}
	in = one(ordering(capecitabine, orally))
	in.Medications = []Medication{taking(capecitabine, now.AddDate(0, -1, 0))}
	a = advised(t, in, found("DPYD", "", "Intermediate Metabolizer", "1.0"))
	says(t, a, "For a new start the guideline says", "no reason to stop it or to halve its dose")
	is(t, a, Recommend, Info)
	in.Medications[0].Active = false
	a = advised(t, in, found("DPYD", "", "Intermediate Metabolizer", "1.0"))
	saysNot(t, a, "already being taken")
}

func TestRule09Thiopurines(t *testing.T) {
	for _, test := range []struct {
		name, drug, reason string
		findings           []Finding
		want               string
		indicator          Indicator
	}{
		{"mercaptopurine TPMT PM in leukaemia", mercaptopurine, "C91.0", []Finding{tpmtPM, nudt15NM}, "three times a week", Critical},
		{"mercaptopurine NUDT15 PM in leukaemia", mercaptopurine, "C91.0", []Finding{tpmtNM, nudt15PM}, "10 mg/m² every day", Critical},
		{"mercaptopurine TPMT PM in Crohn's disease", mercaptopurine, "K50.9", []Finding{tpmtPM, nudt15NM}, "avoid mercaptopurine", Critical},
		{"azathioprine PM in Crohn's disease", azathioprine, "K50.9", []Finding{tpmtPM, nudt15NM}, "avoid azathioprine", Critical},
		{"thioguanine IM", thioguanine, "C91.0", []Finding{tpmtIM, nudt15NM}, "50-80 % of the normal starting dose", Warning},
		{"thioguanine NUDT15 PM", thioguanine, "C91.0", []Finding{tpmtNM, nudt15PM}, "25 % of the normal starting dose", Critical},
		{"thioguanine TPMT PM", thioguanine, "C91.0", []Finding{tpmtPM, nudt15NM}, "10 % of the normal starting dose, three times a week", Critical},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := advised(t, one(ordering(test.drug, orally, because(test.reason))), test.findings...)
			is(t, a, Recommend, test.indicator)
			says(t, a, test.want)
		})
	}
	a := advised(t, one(ordering(mercaptopurine, orally)), tpmtPM, nudt15NM)
	is(t, a, Choices, Critical)
	says(t, a, "malignancy or another disease")
}

func TestRule10TricyclicsForDepression(t *testing.T) {
	a := advised(t, one(ordering(amitriptyline, orally, because("F32.9"))), cyp2d6PM, cyp2c19NM)
	is(t, a, Recommend, Warning)
	quietly(t, SilentPopulation, one(ordering(amitriptyline, orally, because("G89.29"))), cyp2d6PM, cyp2c19NM)
	a = advised(t, one(ordering(amitriptyline, orally)), cyp2d6PM, cyp2c19NM) // indication unknown
	if a.Kind != Choices || len(a.Actions) != 0 {
		t.Errorf("kind %s, actions %v", kindNames[a.Kind], a.Actions)
	}
	says(t, a, "low doses used for pain")
	quietly(t, SilentCondition, one(ordering(amitriptyline, orally, mgDaily(10))), cyp2d6PM, cyp2c19NM)
	quietly(t, SilentCondition, one(ordering(doxepinCode, orally, mgDaily(6))), cyp2d6PM, cyp2c19NM)
	a = advised(t, one(ordering(amitriptyline, orally, because("G89.29"))), cyp2d6UM, cyp2c19NM) // ultrarapid: not narrowed
	is(t, a, Recommend, Warning)
}

func TestRule11Clopidogrel(t *testing.T) {
	a := advised(t, one(ordering(clopidogrelTablet, because("I63.9"))), cyp2c19PM)
	says(t, a, "Not as an alternative: prasugrel.")
	if strings.Contains(a.Rows[0].Text, "prasugrel") {
		t.Errorf("prasugrel after a stroke: %s", a.Rows[0].Text)
	}
	acs := func(p Patient) Input {
		in := one(ordering(clopidogrelTablet, because("I21.4")))
		in.Patient = p
		return in
	}
	young := aged(60)
	young.WeightKg = new(80.0)
	a = advised(t, acs(young), cyp2c19PM)
	says(t, a, "Options: prasugrel or ticagrelor")
	stroke := young
	stroke.Conditions = []Coded{icd("Z86.73")}
	a = advised(t, acs(stroke), cyp2c19PM)
	says(t, a, "Options: ticagrelor.", "Prasugrel is left out of the options: prior stroke or TIA is recorded.")
	bleeding := young
	bleeding.Conditions = []Coded{icd("I61.9"), icd("Z86.73")}
	a = advised(t, acs(bleeding), cyp2c19PM)
	says(t, a, "None of the options the guideline names is free of objections", "Ticagrelor is left out of the options: prior intracranial haemorrhage is recorded.")
	old := aged(80)
	old.WeightKg = new(50.0)
	a = advised(t, acs(old), cyp2c19PM)
	says(t, a, "caution: 75 years or older", "caution: under 60 kg")
	in := acs(young)
	in.Medications = []Medication{taking(omeprazole, time.Time{})}
	says(t, advised(t, in, cyp2c19PM), "The clopidogrel label advises against omeprazole")
	saysNot(t, advised(t, acs(young), cyp2c19PM), "omeprazole")
}

func TestRule12AlternativesAreScreened(t *testing.T) {
	in := one(ordering(clopidogrelTablet, because("I21.4")))
	in.Patient.Allergies = []Coded{{Codes: []Code{{System: rxnorm, Code: "1116632"}}, Active: true}}
	says(t, advised(t, in, cyp2c19PM), "Options: prasugrel.", "Ticagrelor is left out of the options: an allergy is recorded.")
	in.Patient.Allergies = nil
	in.Patient.Unknown = []string{"Condition", "AllergyIntolerance"}
	says(t, advised(t, in, cyp2c19PM), "could not be checked for prior stroke or TIA", "could not be checked for allergies")
	// Other genes: nortriptyline is no way out for a CYP2D6 poor metabolizer.
	a := advised(t, one(ordering(amitriptyline, orally, because("F32.9"))), cyp2c19PM, stateOf("CYP2D6", Indeterminate))
	says(t, a, "nortriptyline")
	a = advised(t, one(ordering(ondansetronCode, orally)), cyp2d6UM)
	says(t, a, "Not as an alternative: dolasetron, palonosetron or ramosetron.")
	for _, code := range []string{codeine, tramadol} {
		says(t, advised(t, one(ordering(code, orally)), cyp2d6PM), "not codeine or tramadol")
	}
	in = one(ordering(simvastatin, orally, mgDaily(40)))
	in.Patient.Conditions = []Coded{icd("Z34.90")}
	says(t, advised(t, in, slcoPoor), "A pregnancy is recorded")
	for _, row := range []Order{ordering(clopidogrelTablet, because("I21.4")), ordering(codeine, orally)} {
		for _, act := range advised(t, one(row), cyp2c19PM, cyp2d6PM).Actions {
			if act.Kind != CancelOrder {
				t.Errorf("action %v on an alternative", act)
			}
		}
	}
}

func TestRule12OtherGenesSpeakAgainstAnAlternative(t *testing.T) {
	table := drugs(t)
	in := one(ordering(amitriptyline, orally))
	c := chart{table: table, in: &in, order: &in.Orders[0], drug: table.byName["amitriptyline"], findings: []Finding{cyp2d6PM}}
	if against, _ := c.screen("nortriptyline"); !strings.Contains(against, "CYP2D6") {
		t.Errorf("nortriptyline for a CYP2D6 poor metabolizer: %q", against)
	}
	c.findings = []Finding{cyp2d6NM}
	if against, _ := c.screen("nortriptyline"); against != "" {
		t.Errorf("nortriptyline for a CYP2D6 normal metabolizer: %q", against)
	}
}

func TestRule13Transplants(t *testing.T) {
	in := one(ordering(clopidogrelTablet, because("I21.4")))
	in.Patient.Conditions = []Coded{icd("Z94.4")}
	a := advised(t, in, cyp2c19PM)
	is(t, a, Unusable, Info)
	says(t, a, "may not apply")
	if len(a.Actions) != 0 {
		t.Errorf("actions %v", a.Actions)
	}
	in = one(ordering(tacrolimusCode, orally))
	in.Patient.Conditions = []Coded{icd("Z94.4")}
	a = advised(t, in, found("CYP3A5", "*1/*3", "Intermediate Metabolizer"))
	is(t, a, Unusable, Info)
	says(t, a, "only if the genotypes of donor and recipient agree")
	if len(a.Rows) != 0 {
		t.Errorf("rows %v", a.Rows)
	}
	marrow := icd("Z94.81")
	marrow.Date = now.AddDate(-1, 0, 0) // the results are of two months ago
	in = one(ordering(clopidogrelTablet, because("I21.4")))
	in.Patient.Conditions = []Coded{marrow}
	is(t, advised(t, in, cyp2c19PM), Unusable, Info)
	earlier := cyp2c19PM
	earlier.Used = slices.Clone(earlier.Used)
	earlier.Used[0].Date = now.AddDate(-3, 0, 0)
	is(t, advised(t, in, earlier), Recommend, Warning)
	// Blood cells follow the donor: a TPMT result from after the transplant counts.
	in = one(ordering(azathioprine, orally, because("K50.9")))
	in.Patient.Conditions = []Coded{marrow}
	is(t, advised(t, in, tpmtPM, nudt15NM), Recommend, Critical)
	old := tpmtPM
	old.Used = slices.Clone(old.Used)
	old.Used[0].Date = now.AddDate(-3, 0, 0)
	is(t, advised(t, in, old, nudt15NM), Unusable, Info)
}

func TestRule14Routes(t *testing.T) {
	topical := func(o *Order) { o.Route = []Code{{System: "http://snomed.info/sct", Code: "6064005"}} }
	quietly(t, SilentRoute, one(ordering(fluorouracil, topical)), found("DPYD", "", "Intermediate Metabolizer", "1.0"))
	a := advised(t, one(ordering(fluorouracil, topical)), dpyd00)
	is(t, a, Recommend, Info)
	says(t, a, "Topical fluorouracil")
	eye := func(o *Order) { o.Route = []Code{{System: "http://snomed.info/sct", Code: "54485002"}} }
	quietly(t, SilentRoute, one(ordering("641", eye)), found("MT-RNR1", "", "increased risk of aminoglycoside-induced hearing loss"))
	says(t, advised(t, one(ordering(codeine)), cyp2d6PM), "does not say the route")
	inhaled := func(o *Order) { o.Route = []Code{{System: "http://snomed.info/sct", Code: "447694001"}} }
	is(t, advised(t, one(ordering(sevofluraneCode, inhaled)), found("RYR1", "", "Malignant Hyperthermia Susceptibility")), Recommend, Critical)
	quietly(t, SilentRoute, one(ordering("10627", inhaled)), found("MT-RNR1", "", "increased risk of aminoglycoside-induced hearing loss")) // tobramycin
	// The route of the product counts where the order says none.
	quietly(t, SilentRoute, one(ordering("207846")), found("MT-RNR1", "", "increased risk of aminoglycoside-induced hearing loss"))
}

func TestRule15WhichRowsMakeCards(t *testing.T) {
	positive := func(gene, allele string) Finding { return found(gene, "", allele+" positive") }
	critical := []struct {
		drug     string
		findings []Finding
	}{
		{abacavirCode, []Finding{positive("HLA-B", "*57:01")}},
		{"519", []Finding{positive("HLA-B", "*58:01")}},
		{carbamazepine, []Finding{positive("HLA-A", "*31:01")}},
		{"32624", []Finding{positive("HLA-B", "*15:02")}},
		{phenytoin, []Finding{positive("HLA-B", "*15:02")}},
		{capecitabine, []Finding{dpyd00}},
		{capecitabine, []Finding{dpyd05}},
		{codeine, []Finding{cyp2d6UM}},
		{tramadol, []Finding{cyp2d6UM}},
		{rasburicase, []Finding{g6pdDef}},
	}
	for _, test := range critical {
		if a := advised(t, one(ordering(test.drug, orally)), test.findings...); a.Indicator != Critical {
			t.Errorf("%s: %s", indicatorNames[a.Indicator], a.Summary)
		}
	}
	uncertain := found("RYR1", "", "Uncertain Susceptibility")
	inhaled := func(o *Order) { o.Route = []Code{{System: "http://snomed.info/sct", Code: "447694001"}} }
	quietly(t, SilentNoCard, one(ordering(sevofluraneCode, inhaled)), uncertain, found("CACNA1S", "", "Uncertain Susceptibility"))
	adult := one(ordering(atomoxetineCode, orally))
	adult.Patient = aged(30)
	quietly(t, SilentNoCard, adult, cyp2d6NM)
	quietly(t, SilentNoCard, one(ordering("5470", orally)), found("NAT2", "", "Rapid Metabolizer"))
	// Proton pump inhibitors.
	quietly(t, SilentCondition, one(ordering(omeprazole, orally)), cyp2c19NM)
	is(t, advised(t, one(ordering(omeprazole, orally, because("B96.81"))), cyp2c19NM), Recommend, Info)
	quietly(t, SilentCondition, one(ordering(omeprazole, orally)), cyp2c19PM)
	long := ordering(omeprazole, orally)
	long.Days = new(120.0)
	is(t, advised(t, one(long), cyp2c19PM), Recommend, Info)
	long.Days = new(28.0)
	quietly(t, SilentCondition, one(long), cyp2c19PM)
	// Statins speak when the draft exceeds the limit.
	quietly(t, SilentCondition, one(ordering(atorvastatin, orally, mgDaily(20))), slcoPoor)
	is(t, advised(t, one(ordering(atorvastatin, orally, mgDaily(40))), slcoPoor), Recommend, Warning)
	a := advised(t, one(ordering(atorvastatin, orally)), slcoPoor) // dose unknown
	is(t, a, Recommend, Info)
	// Tamoxifen with a confirmed inhibitor.
	quietly(t, SilentCondition, one(ordering(tamoxifen, orally)), cyp2d6NM)
	in := one(ordering(tamoxifen, orally))
	in.Medications = []Medication{taking("32937", time.Time{})} // paroxetine
	a = advised(t, in, cyp2d6NM)
	is(t, a, Recommend, Warning)
	says(t, a, "avoid moderate and strong CYP2D6 inhibitors together with tamoxifen", "paroxetine")
	in.Medications[0].Active = false
	quietly(t, SilentCondition, in, cyp2d6NM)
}

func TestRule16Pretest(t *testing.T) {
	in := one(ordering(abacavirCode, orally))
	in.Searched = []string{"the EHR's prefetch", "this server's records"}
	a := advised(t, in)
	is(t, a, Pretest, Info)
	says(t, a, "no HLA-B result found in the EHR's prefetch and this server's records")
	quietly(t, SilentNotTested, one(ordering(codeine, orally)))
	quietly(t, SilentNotTested, one(ordering("641", orally))) // amikacin: never for emergency antibiotics
	inhaled := func(o *Order) { o.Route = []Code{{System: "http://snomed.info/sct", Code: "447694001"}} }
	quietly(t, SilentNotTested, one(ordering(sevofluraneCode, inhaled)))
	ordered := in
	ordered.TestOrdered = map[string]bool{"HLA-B": true}
	quietly(t, SilentTestOrdered, ordered)
	missing := in
	missing.Missing = []string{"the EHR's server did not answer"}
	a = advised(t, missing)
	is(t, a, Incomplete, Info)
	saysNot(t, a, "no HLA-B result found")
	says(t, a, "the EHR's server did not answer")
	// Once for a drug, though two orders name it.
	twice := Input{Now: now, Orders: []Order{ordering(abacavirCode, orally), ordering(abacavirCode, orally)}}
	advice, silent := drugs(t).advise(twice, nil)
	if len(advice) != 1 || len(silent) != 1 || silent[0].Reason != SilentRepeated {
		t.Errorf("%d advice, %v", len(advice), silent)
	}
	for name := range drugs(t).pretest {
		d := drugs(t).byName[name]
		if a := advised(t, one(ordering(d.RxCUI, orally))); a.Kind != Pretest {
			t.Errorf("%s: %s", name, kindNames[a.Kind])
		}
	}
}

func TestRule19Combinations(t *testing.T) {
	both := Order{Reference: "MedicationRequest/x", Selected: true, Codes: []Code{{System: rxnorm, Code: "10180"}, {System: rxnorm, Code: "10829"}}}
	orally(&both)
	cnsha := found("G6PD", "", "Deficient with CNSHA")
	if a := advised(t, one(both), cnsha); a.Drug != "sulfamethoxazole / trimethoprim" {
		t.Errorf("drug %q", a.Drug)
	}
	if a := advised(t, one(ordering("10831", orally)), cnsha); a.Drug != "sulfamethoxazole / trimethoprim" {
		t.Errorf("drug %q", a.Drug)
	}
	if a := advised(t, one(ordering("198335")), cnsha); a.Drug != "sulfamethoxazole / trimethoprim" || a.Order.Codes[0].Code != "198335" {
		t.Errorf("drug %q", a.Drug)
	}
	quietly(t, SilentUnmapped, one(ordering("10180", orally)), cnsha)
	// hydrocodone / ibuprofen: one card with the genes of both.
	a := advised(t, one(ordering("858770")), found("CYP2C9", "*3/*3", "Poor Metabolizer", "0.0"), cyp2d6PM)
	if a.Drug != "ibuprofen" {
		t.Errorf("drug %q", a.Drug)
	}
	says(t, a, "combination product")
	// tramadol / celecoxib: both speak.
	a = advised(t, one(ordering("2588478")), found("CYP2C9", "*3/*3", "Poor Metabolizer", "0.0"), cyp2d6UM)
	if a.Drug != "tramadol / celecoxib" || a.Indicator != Critical || len(a.Rows) != 2 || len(a.Findings) != 2 {
		t.Errorf("drug %q, %s, rows %v", a.Drug, indicatorNames[a.Indicator], a.Rows)
	}
	// Aspirin needs a daily dose.
	quietly(t, SilentDoseUnknown, one(ordering(aspirinCode, orally)), cnsha)
	is(t, advised(t, one(ordering(aspirinCode, orally, mgDaily(100))), cnsha), Recommend, Info)
	quietly(t, SilentPopulation, one(ordering(aspirinCode, orally, mgDaily(3000))), cnsha)
}

func TestRule20Words(t *testing.T) {
	says(t, advised(t, one(ordering(abacavirCode, orally)), found("HLA-B", "", "*57:01 positive")), ": avoid abacavir", "It is recommended to avoid abacavir.", "The abacavir label contraindicates it")
	says(t, advised(t, one(ordering(clopidogrelTablet, because("I63.9"))), cyp2c19PM), "consider avoiding clopidogrel")
	says(t, advised(t, one(ordering("3638", orally, because("F32.9"))), cyp2d6PM, cyp2c19NM), "avoiding doxepin may be considered")
	says(t, advised(t, one(ordering(capecitabine, orally)), dpyd05), "If nothing else is possible, start below 25 % of the protocol's normal starting dose")
	says(t, advised(t, one(ordering(citalopramCode, orally)), cyp2c19PM), "20 mg a day is the maximum")
	says(t, advised(t, one(ordering(tacrolimusCode, orally)), found("CYP3A5", "*1/*3", "Intermediate Metabolizer")), "CYP3A5 expresser")
	child := one(ordering(codeine, orally))
	child.Patient = aged(8)
	says(t, advised(t, child, cyp2d6PM), "contraindicated under 12 years whatever the genotype")
	a := advised(t, one(ordering(carbamazepine, orally)), found("HLA-B", "", "*15:02 negative"))
	says(t, a, "No genotype reason to change the labelled dose")
	saysNot(t, a, "usual dose")
}

func TestRule21EvidenceIsShownAndSitesDecide(t *testing.T) {
	a := advised(t, one(ordering(clopidogrelTablet, because("I21.4"))), cyp2c19PM)
	says(t, a, "Example Laboratory, targeted genotyping, 2026-01-01; tested *2, *3")
	if len(a.Findings) != 1 || len(a.Findings[0].Used) != 1 {
		t.Errorf("findings %v; the card shows its reports", a.Findings)
	}
	off := one(ordering(clopidogrelTablet))
	off.Policy.OffGenes = map[string]bool{"CYP2C19": true}
	quietly(t, SilentSwitchedOff, off, cyp2c19PM)
	off.Policy = Policy{OffDrugs: map[string]bool{"clopidogrel": true}}
	quietly(t, SilentSwitchedOff, off, cyp2c19PM)
	severe := one(ordering(clopidogrelTablet, because("I21.4")))
	severe.Policy = Policy{Severity: map[string]Indicator{"clopidogrel": Critical}}
	is(t, advised(t, severe, cyp2c19PM), Recommend, Critical)
	severe.Policy.Severity["clopidogrel-acs-pci-3"] = Info
	is(t, advised(t, severe, cyp2c19PM), Recommend, Info)
	// One gene of a pair switched off counts as not tested.
	pair := one(ordering(azathioprine, orally))
	pair.Policy.OffGenes = map[string]bool{"NUDT15": true}
	is(t, advised(t, pair, tpmtNM, nudt15NM), Partial, Info)
}

func TestRule24UnreadableIsNeverNormal(t *testing.T) {
	a := advised(t, one(ordering(clopidogrelTablet, because("I21.4"))), stateOf("CYP2C19", Unreadable))
	is(t, a, Unusable, Info)
	saysNot(t, a, "normal", "standard", "labelled dose")
}

func TestRule25OrdersAndCoverage(t *testing.T) {
	for _, code := range []string{"8308", "11258"} {
		if a := advised(t, one(ordering(code, orally)), found("G6PD", "", "Deficient with CNSHA")); a.Drug != "vitamin k" {
			t.Errorf("%s is %q", code, a.Drug)
		}
	}
	quietly(t, SilentUnmapped, one(ordering("999999999")))
	quietly(t, SilentUnmapped, one(Order{Selected: true, Codes: []Code{{System: "http://hl7.org/fhir/sid/ndc", Code: "00093-0058-01"}}, Text: "clopidogrel"}), cyp2c19PM)
	quietly(t, SilentTextOnly, one(Order{Selected: true, Text: "clopidogrl 75"}), cyp2c19PM)
	a := advised(t, one(Order{Selected: true, Text: " Clopidogrel  75 MG Oral Tablet ", Reasons: []Coded{icd("I21.4")}}), cyp2c19PM)
	says(t, a, "recognised by its exact name")
	quietly(t, SilentNotSelected, one(Order{Codes: []Code{{System: rxnorm, Code: clopidogrelTablet}}}), cyp2c19PM)
	quietly(t, SilentNoGuideline, one(ordering("21212")), cyp2c19PM) // clarithromycin
	k := Knowledge{drugs: *drugs(t)}
	c := k.Coverage()
	if len(c.WithoutProducts) != 15 {
		t.Errorf("%d guideline drugs without products: %v", len(c.WithoutProducts), c.WithoutProducts)
	}
	withRules := 0
	for _, d := range c.Drugs {
		if d.Rules > 0 && d.Guideline != "US drug label (FDA)" {
			withRules++
		}
	}
	if withRules != 105 || c.Products != 2340 {
		t.Errorf("%d drugs with rules, %d products", withRules, c.Products)
	}
}
