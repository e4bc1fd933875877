package services

import (
	"strings"

	"github.com/starling-fhir/starling/cds/pgx"
	"github.com/starling-fhir/starling/fhir/resource"
)

// doses reads one dosage instruction. doseAndRate may be a list, as R4 says, or
// one object; STU3 senders write doseQuantity beside it. A range of doses or an
// uncertain timing stays unknown.
func doses(dosage *resource.Node) []pgx.Dose {
	text := strings.TrimSpace(dosage.Str("text"))
	parts := dosage.List("doseAndRate")
	if len(parts) == 0 && dosage.Get("doseQuantity") != nil {
		parts = []resource.Node{*dosage}
	}
	times := timesPerDay(dosage)
	var list []pgx.Dose
	for i := range parts {
		dose := pgx.Dose{Text: text}
		quantity := parts[i].Get("doseQuantity")
		if v := number(quantity.Get("value")); v != nil && *v > 0 && quantity.Get("comparator") == nil {
			dose.Value, dose.Unit, dose.PerDay = v, unit(quantity), times
			if pieces[strings.ToLower(dose.Unit)] {
				dose.Unit = "{tablet}"
			}
		}
		list = append(list, dose)
	}
	if len(list) == 0 && text != "" {
		list = append(list, pgx.Dose{Text: text})
	}
	return list
}

// pieces are spellings of one solid unit of the product, whatever its form.
var pieces = map[string]bool{"{pill}": true, "pill": true, "pills": true, "{tbl}": true, "{tab}": true, "{tablets}": true}

// days returns how long an order is to run: the bounds of its timing, else what
// it is supplied for; nil if it does not say, or says several things.
func days(order *resource.Node) *float64 {
	var found *float64
	dosages := order.List("dosageInstruction")
	for i := range dosages {
		repeat := dosages[i].Path("timing", "repeat")
		d := duration(repeat.Get("boundsDuration"))
		if from, to := firstDate(repeat.Get("boundsPeriod"), "start"), firstDate(repeat.Get("boundsPeriod"), "end"); !from.IsZero() && to.After(from) {
			n := to.Sub(from).Hours() / 24
			d = &n
		}
		if d == nil {
			continue
		}
		if found != nil && *found != *d {
			return nil
		}
		found = d
	}
	if found == nil {
		found = duration(order.Path("dispenseRequest", "expectedSupplyDuration"))
	}
	return found
}

// duration reads a Duration in days; a month counts as 30 and a year as 365,
// near enough for the length of a course.
func duration(quantity *resource.Node) *float64 {
	v, factor := number(quantity.Get("value")), daysPer[unit(quantity)]
	switch unit(quantity) {
	case "mo", "month", "months":
		factor = 30
	case "a", "year", "years":
		factor = 365
	case "day", "days":
		factor = 1
	case "week", "weeks":
		factor = 7
	}
	if v == nil || factor == 0 || *v <= 0 || quantity.Get("comparator") != nil {
		return nil
	}
	n := *v * factor
	return &n
}

// daysPer is how many days each unit of time has; months and years have no
// certain length. https://hl7.org/fhir/R4/valueset-units-of-time.html
var daysPer = map[string]float64{"min": 1.0 / 1440, "h": 1.0 / 24, "d": 1, "wk": 7}

// perDay are the frequencies of timing codes.
// https://terminology.hl7.org/CodeSystem-v3-GTSAbbreviation.html
var perDay = map[string]float64{
	"QD": 1, "AM": 1, "PM": 1, "BED": 1, "BID": 2, "TID": 3, "QID": 4, "QOD": 0.5, "WK": 1.0 / 7,
	"Q1H": 24, "Q2H": 12, "Q3H": 8, "Q4H": 6, "Q6H": 4, "Q8H": 3, "Q12H": 2,
}

// timesPerDay returns how often a day a dose is given; nil if that is not
// certain: as needed, a range, a weekday pattern, or not said.
func timesPerDay(dosage *resource.Node) *float64 {
	if as, _ := value(dosage, "asNeeded"); as != nil && as.Text != "false" {
		return nil
	}
	timing := dosage.Get("timing")
	repeat := timing.Get("repeat")
	if repeat == nil {
		for _, c := range codes(timing.Get("code")) {
			if v, ok := perDay[c.Code]; ok {
				return &v
			}
		}
		return nil
	}
	for _, uncertain := range []string{"frequencyMax", "periodMax", "dayOfWeek"} {
		if repeat.Get(uncertain) != nil {
			return nil
		}
	}
	period := number(repeat.Get("period"))
	days, known := daysPer[repeat.Str("periodUnit")]
	moments := float64(max(len(repeat.List("timeOfDay")), len(repeat.List("when"))))
	if period == nil && repeat.Get("periodUnit") == nil && moments > 0 {
		return &moments // at these times of every day
	}
	if period == nil || *period <= 0 || !known {
		return nil
	}
	frequency := 1.0 // what an absent frequency means
	if f := number(repeat.Get("frequency")); f != nil {
		frequency = *f
	} else if moments > 0 {
		frequency = moments
	}
	times := frequency / (*period * days)
	if times <= 0 {
		return nil
	}
	return &times
}
