package pgx

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// score is an activity score or an activity value: exact, unitless, zero or
// more. The zero score is unknown, "n/a".
type score struct {
	thousandths int
	atLeast     bool // the true value is this or more: "≥3.0"
	known       bool
}

// notAvailable is how guideline tables write an unknown score.
const notAvailable = "n/a"

// parseScore reads "1", "1.25", "1,25", "≥3.0", ">=3" and "n/a".
func parseScore(text string) (score, error) {
	s := strings.TrimSpace(text)
	if strings.EqualFold(s, notAvailable) {
		return score{}, nil
	}
	var out score
	for _, sign := range []string{"≥", ">="} {
		if rest, ok := strings.CutPrefix(s, sign); ok {
			s, out.atLeast = strings.TrimSpace(rest), true
			break
		}
	}
	whole, fraction, _ := strings.Cut(strings.Replace(s, ",", ".", 1), ".")
	if len(fraction) > 3 && strings.Trim(fraction[3:], "0") == "" {
		fraction = fraction[:3]
	}
	digits := whole + (fraction + "000")[:max(3, len(fraction))]
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || whole == "" || len(whole) > 3 || len(fraction) > 3 {
		return score{}, fmt.Errorf("%q is not an activity score", text)
	}
	out.thousandths, out.known = int(n), true
	return out, nil
}

// String writes the score as guideline tables do, with at least one decimal.
func (s score) String() string {
	if !s.known {
		return notAvailable
	}
	text := fmt.Sprintf("%d.%03d", s.thousandths/1000, s.thousandths%1000)
	text = strings.TrimRight(text, "0")
	if whole, fraction, _ := strings.Cut(text, "."); fraction == "" {
		text = whole + ".0"
	}
	if s.atLeast {
		return "≥" + text
	}
	return text
}

// plus adds two values; unknown and anything is unknown.
func (s score) plus(t score) score {
	if !s.known || !t.known {
		return score{}
	}
	return score{thousandths: s.thousandths + t.thousandths, atLeast: s.atLeast || t.atLeast, known: true}
}

// compare orders scores: unknown first, then by value, "3.0" before "≥3.0".
func (s score) compare(t score) int {
	return cmp.Or(
		cmpBool(s.known, t.known),
		cmp.Compare(s.thousandths, t.thousandths),
		cmpBool(s.atLeast, t.atLeast),
	)
}

func cmpBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// rows returns the table rows a reported score may stand for. A score between
// two rows may be either of its neighbours; "≥2.5" may be all rows from there
// on; a score above an open-ended last row is that row. Nil means that the
// gene's table cannot place it; nobody has a score above 12.
func (g *gene) rows(s score) []score {
	if s.thousandths > 12_000 {
		return nil
	}
	if g.byScore[s] != "" {
		return []score{s}
	}
	var below, above []score
	for _, row := range g.scores {
		if row.thousandths < s.thousandths {
			below = append(below, row)
		} else {
			above = append(above, row)
		}
	}
	switch {
	case s.atLeast:
		return above
	case len(below) == 0:
		return nil
	case len(above) == 0:
		if last := below[len(below)-1]; last.atLeast {
			return []score{last}
		}
		return nil
	}
	return []score{below[len(below)-1], above[0]}
}
