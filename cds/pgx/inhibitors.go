package pgx

import (
	"fmt"
	"io/fs"
	"slices"
)

// inhibitor is one way a drug acts on an enzyme.
type inhibitor struct {
	Drug     string `json:"drug"`
	RxCUI    string `json:"rxcui"`
	Enzyme   string `json:"enzyme"`
	Role     string `json:"role"`     // "inhibitor" or "inducer"
	Strength string `json:"strength"` // "strong", "moderate", "weak"
	// Confirmed entries were found again in text that quotes the FDA's table.
	// Only they act; the others may at most be mentioned.
	Confirmed bool `json:"confirmed"`
}

// loadInhibitors reads inhibitors.json.
func loadInhibitors(fsys fs.FS) (map[string][]inhibitor, error) {
	var file struct {
		header
		Entries []inhibitor `json:"entries"`
	}
	if err := readJSON(fsys, "inhibitors.json", &file); err != nil {
		return nil, err
	}
	byCode := map[string][]inhibitor{}
	for _, e := range file.Entries {
		if e.Drug == "" || e.RxCUI == "" || e.Enzyme == "" ||
			!slices.Contains([]string{"inhibitor", "inducer"}, e.Role) || !slices.Contains([]string{"strong", "moderate", "weak"}, e.Strength) {
			return nil, fmt.Errorf("inhibitors.json: the entry of %q for %q is not complete", e.Drug, e.Enzyme)
		}
		byCode[e.RxCUI] = append(byCode[e.RxCUI], e)
	}
	return byCode, nil
}

// coMedication lists what acts on an enzyme among everything the patient takes
// or is being ordered besides this order, on a systemic route.
func (c *chart) coMedication(enzyme, role string) []inhibitor {
	var found []inhibitor
	for _, m := range c.others {
		if m.route != "" && !slices.Contains(c.table.routes.Systemic, m.route) {
			continue
		}
		for _, code := range m.ingredients {
			for _, i := range c.table.inhibitors[code] {
				if i.Enzyme == enzyme && i.Role == role && !slices.Contains(found, i) {
					found = append(found, i)
				}
			}
		}
	}
	return found
}

// inhibited says whether a confirmed strong or moderate inhibitor is taken.
func (c *chart) inhibited(enzyme string) truth {
	for _, i := range c.coMedication(enzyme, "inhibitor") {
		if i.Confirmed && i.Strength != "weak" {
			return yes
		}
	}
	if c.medicationsUnknown() {
		return unknown
	}
	return no
}

// inhibitorNotes mentions what else acts on the genes of this drug.
func (c *chart) inhibitorNotes() []string {
	var notes []string
	for _, gene := range c.drug.Genes {
		for _, i := range c.coMedication(gene, "inhibitor") {
			switch {
			case i.Strength == "weak":
			case i.Confirmed:
				notes = append(notes, fmt.Sprintf("Also takes or is ordered %s, a %s inhibitor of %s: the patient may act like a poorer metabolizer than the genotype says. The advice above rests on the genotype alone.", i.Drug, i.Strength, gene))
			default:
				notes = append(notes, fmt.Sprintf("Also takes or is ordered %s, which may inhibit %s (this entry has not been confirmed).", i.Drug, gene))
			}
		}
	}
	return notes
}
