package pgx

import (
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// loadTransplant reads transplant.json: whose tissue decides what a gene does.
func (t *drugTable) loadTransplant(fsys fs.FS) error {
	var file struct {
		header
		Tissues map[string][]string `json:"tissues"`
		Donor   []string            `json:"donor_and_recipient"`
	}
	if err := readJSON(fsys, "transplant.json", &file); err != nil {
		return err
	}
	t.tissues, t.donor = map[string]string{}, map[string]bool{}
	for tissue, genes := range file.Tissues {
		if tissue != "liver" && tissue != "blood" {
			return fmt.Errorf("transplant.json: unknown tissue %q", tissue)
		}
		for _, gene := range genes {
			if t.tissues[gene] != "" {
				return fmt.Errorf("transplant.json: %s is in two tissues", gene)
			}
			t.tissues[gene] = tissue
		}
	}
	for _, name := range file.Donor {
		if t.byName[name] == nil {
			return fmt.Errorf("transplant.json: unknown drug %q", name)
		}
		t.donor[name] = true
	}
	return nil
}

// transplanted says why a result may not be about the tissue that matters; ""
// if nothing speaks against it. Undated transplants and results leave it open,
// which counts as a reason.
func (c *chart) transplanted(f *Finding) string {
	if _, found := c.when("liver_transplant"); found && c.table.tissues[f.Gene] == "liver" {
		return fmt.Sprintf("A liver transplant is recorded: %s in the liver is the donor's, so this result may not apply.", f.Gene)
	}
	if when, found := c.when("stem_cell_transplant"); found {
		switch c.table.tissues[f.Gene] {
		case "blood": // follows the donor since the transplant
			if !allDated(f.Used, when, after) {
				return fmt.Sprintf("A stem-cell transplant is recorded: blood cells follow the donor since then, and this %s result is from before it or one of the dates is unknown. It may not apply.", f.Gene)
			}
		default: // the patient's own tissue; blood and saliva show the donor's DNA since
			if !allDated(f.Used, when, before) {
				return fmt.Sprintf("A stem-cell transplant is recorded: blood and saliva carry the donor's DNA since then, and this %s result is from after it or one of the dates is unknown. It may not apply.", f.Gene)
			}
		}
	}
	return ""
}

// when returns the first known date of a recorded transplant.
func (c *chart) when(set string) (time.Time, bool) {
	var first time.Time
	found := false
	for _, f := range slices.Concat(c.in.Patient.Conditions, c.in.Patient.Procedures) {
		if !c.table.sets[set].has(f.Codes) {
			continue
		}
		if !found || (!f.Date.IsZero() && (first.IsZero() || f.Date.Before(first))) {
			first = f.Date
		}
		found = true
	}
	return first, found
}

// The sides of a date.
const (
	before = -1
	after  = +1
)

// allDated says whether all reports are dated on one side of a date. An unknown
// date is on neither.
func allDated(reports []Report, date time.Time, side int) bool {
	if date.IsZero() || len(reports) == 0 {
		return false
	}
	return !slices.ContainsFunc(reports, func(r Report) bool {
		return r.Date.IsZero() || r.Date.Compare(date) != side
	})
}
