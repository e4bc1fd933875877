package pgx

import (
	"regexp"
	"slices"
	"strings"
)

// AlleleStatus says whether one HLA allele is there.
type AlleleStatus int

// The statuses of an allele.
const (
	AlleleNoResult AlleleStatus = iota // not tested, as far as is known
	AllelePositive
	AlleleNegative
	AlleleIndeterminate // tested too coarsely, or the laboratory cannot tell
	AlleleConflicting   // one report finds it, another excludes it
)

// alleleStatusWords are the words of keys, "*57:01 positive".
var alleleStatusWords = [...]string{
	AllelePositive: "positive", AlleleNegative: "negative",
	AlleleIndeterminate: "indeterminate", AlleleConflicting: "conflicting",
}

// AlleleStatus returns what a finding of an HLA gene says of one allele, such as
// "*57:01". It is AlleleNoResult where the finding does not mention it.
func (f Finding) AlleleStatus(name string) AlleleStatus {
	for _, c := range f.Candidates {
		for status, word := range alleleStatusWords {
			if word != "" && slices.Contains(c.Keys, name+" "+word) {
				return AlleleStatus(status)
			}
		}
	}
	return AlleleNoResult
}

// hlaAllele is an HLA allele as typed, https://hla.alleles.org/nomenclature/naming.html.
type hlaAllele struct {
	fields []string // "57", "01", "01"
	group  bool     // a G or P group: same antigen-binding part
	// serotype marks an antigen, as "B75": typed by antibodies, not by DNA.
	serotype bool
	suffix   byte // N null, L low, S secreted, C cytoplasm, A aberrant, Q questionable
}

// String writes the first two fields: "*57:01".
func (a hlaAllele) String() string {
	text := "*" + strings.Join(a.fields[:min(2, len(a.fields))], ":")
	if a.suffix != 0 {
		text += string(a.suffix)
	}
	return text
}

// resolved reports whether the typing has at least two fields.
func (a hlaAllele) resolved() bool { return len(a.fields) >= 2 }

// antigens are the serotypes, besides the one of the same number, that alleles
// of a first field have: *15:02 is B75, and B17 was split into B57 and B58.
// https://hla.alleles.org/antigens/recognised_serology.html
var antigens = map[string][]string{
	"15": {"62", "63", "70", "71", "72", "75", "76", "77"},
	"31": {"19"},
	"57": {"17"},
	"58": {"17"},
}

// is compares with a name like "*57:01" at two fields.
func (a hlaAllele) is(name string) AlleleStatus {
	want := strings.Split(strings.TrimPrefix(name, "*"), ":")
	switch {
	case a.serotype && slices.Contains(antigens[want[0]], a.fields[0]):
		return AlleleIndeterminate
	case a.fields[0] != want[0] || a.resolved() && a.fields[1] != want[1]:
		return AlleleNegative
	case !a.resolved():
		return AlleleIndeterminate
	case a.suffix == 'N':
		return AlleleNegative // not expressed
	case a.suffix != 0:
		return AlleleIndeterminate
	}
	return AllelePositive
}

var (
	// hlaName is one typed allele without its gene. The second field may be an
	// ambiguity code of letters, which is no second field.
	hlaName = regexp.MustCompile(`^(?i)\*(\d{2,3})((?::\d{2,4})*)(?::[A-Z]{2,})?([NLSCAQ]?)([GP]?)$`)
	// hlaBefore2010 is the nomenclature without colons: "B*5701", "A*310102".
	hlaBefore2010 = regexp.MustCompile(`^\*(\d{2})(\d{2})(\d{2})?([A-Z]?)$`)
	// glString is https://glstring.org: "hla#3.23.0#HLA-B*15:01:01G+HLA-B*57:01:01G".
	glString = regexp.MustCompile(`^(?i)hla#[^#]*#(.+)$`)
)

// parseHLA reads one allele of a gene: "HLA-B*57:01:01G", "B*57:01", "*57:01".
func (g *gene) parseHLA(text string) (hlaAllele, bool) {
	text = strings.TrimSpace(text)
	starred := strings.Contains(text, "*")
	for _, prefix := range []string{g.Symbol, strings.TrimPrefix(g.Symbol, "HLA-")} {
		if len(text) > len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
			text = strings.TrimLeft(text[len(prefix):], " :*-")
			text = "*" + text
			break
		}
	}
	text = strings.ReplaceAll(text, "* ", "*")
	if m := hlaBefore2010.FindStringSubmatch(text); m != nil {
		text = "*" + m[1] + ":" + m[2] + m[4]
	}
	m := hlaName.FindStringSubmatch(text)
	if m == nil {
		return hlaAllele{}, false
	}
	a := hlaAllele{fields: []string{m[1]}, group: m[4] != ""}
	if m[2] != "" {
		a.fields = append(a.fields, strings.Split(m[2][1:], ":")...)
	}
	if m[3] != "" {
		a.suffix = strings.ToUpper(m[3])[0]
	}
	a.serotype = !starred && !a.resolved()
	return a, true
}

// readHLA reads "*57:01 negative", "B*15:02:01/B*40:01", a GL string, or a bare
// "negative" where the report says which single allele was looked for.
func (t *geneTable) readHLA(g *gene, value string, report Report) (reading, bool) {
	if status, ok := t.presence(value); ok {
		if len(report.Tested) != 1 {
			return reading{}, false
		}
		return g.hlaStatus(report.Tested[0], status)
	}
	if strings.Count(value, "/")+strings.Count(value, "+") == 0 {
		if a, status, ok := t.hlaWithStatus(g, value); ok {
			return g.hlaStatus(a, status)
		}
	}
	if r, ok := t.hlaList(g, value); ok {
		return r, true
	}
	alleles, doubt := []string{value}, ""
	if m := glString.FindStringSubmatch(value); m != nil {
		if strings.ContainsAny(m[1], "|/~^?") {
			doubt = "the typing is ambiguous"
		}
		alleles = strings.Split(m[1], "+")
	} else if parts := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("/|,+;", r) }); len(parts) == 2 {
		alleles = parts
	}
	if doubt != "" {
		return reading{doubt: doubt}, true
	}
	if len(alleles) > 2 {
		return reading{}, false
	}
	var r reading
	for _, text := range alleles {
		a, ok := g.parseHLA(text)
		if !ok {
			return reading{}, false
		}
		if a.group {
			r.notes = append(r.notes, "Typed as a group of alleles that share the antigen-binding part: "+strings.TrimSpace(text)+".")
		}
		r.typed = append(r.typed, a)
	}
	return r, true
}

// applyPresence applies a bare "negative" or "positive" to the one allele that
// the other values name: the name alone would read as present.
func (g *gene) applyPresence(words []wordKind, r *reading) {
	if len(r.typed) != 1 || len(r.statuses) > 0 {
		if len(r.typed) == 1 {
			r.typed = nil // "HLA-B*57:01" beside "HLA-B*57:01 negative"
		}
		return
	}
	status := AlleleNoResult
	for _, kind := range words {
		switch kind {
		case negativeWord:
			status = status.and(AlleleNegative)
		case positiveWord:
			status = status.and(AllelePositive)
		case indeterminateWord:
			status = AlleleIndeterminate
		}
	}
	if status == AlleleConflicting {
		r.typed, r.doubt = nil, "the spellings of this result contradict each other"
	} else if status != AlleleNoResult {
		named, _ := g.hlaStatus(r.typed[0].String(), status)
		r.typed, r.statuses = nil, named.statuses
		r.notes = append(r.notes, named.notes...)
	}
}

// presence reads a word for present or absent.
func (t *geneTable) presence(text string) (AlleleStatus, bool) {
	switch t.terms.kind(text) {
	case positiveWord, heterozygousWord, homozygousWord:
		return AllelePositive, true
	case negativeWord:
		return AlleleNegative, true
	case indeterminateWord:
		return AlleleIndeterminate, true
	}
	return AlleleNoResult, false
}

// hlaWithStatus cuts "HLA-B*57:01 not detected" or "*57:01: negative" in two.
func (t *geneTable) hlaWithStatus(g *gene, value string) (string, AlleleStatus, bool) {
	for i, r := range value {
		if r != ' ' && r != ':' && r != '(' {
			continue
		}
		status, ok := t.presence(strings.Trim(value[i:], " :()"))
		if _, isAllele := g.parseHLA(value[:i]); ok && isAllele {
			return value[:i], status, true
		}
	}
	// "positive for HLA-B*57:01"
	for i := strings.LastIndexByte(value, ' '); i > 0; i = -1 {
		head, _, _ := strings.Cut(value[:i], " for")
		if status, ok := t.presence(head); ok {
			if _, isAllele := g.parseHLA(value[i+1:]); isAllele {
				return value[i+1:], status, true
			}
		}
	}
	return "", AlleleNoResult, false
}

// hlaList reads several alleles with a status each: "*57:01 negative, *58:01
// positive".
func (t *geneTable) hlaList(g *gene, value string) (reading, bool) {
	var out reading
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' }) {
		allele, status, ok := t.hlaWithStatus(g, strings.TrimSpace(part))
		one, known := g.hlaStatus(allele, status)
		if !ok || !known {
			return reading{}, false
		}
		out.agree(one)
	}
	return out, !out.empty()
}

// hlaStatus is the reading of one allele's status.
func (g *gene) hlaStatus(text string, status AlleleStatus) (reading, bool) {
	a, ok := g.parseHLA(text)
	if !ok {
		return reading{}, false
	}
	r := reading{statuses: map[string]AlleleStatus{}}
	for _, name := range g.LookedFor {
		switch is := a.is(name); {
		case is == AllelePositive:
			r.statuses[name] = status
		case is == AlleleIndeterminate: // "B*57" may or may not be *57:01
			r.statuses[name] = AlleleIndeterminate
		}
	}
	if len(r.statuses) == 0 {
		r.notes = append(r.notes, g.Symbol+a.String()+" "+alleleStatusWords[status]+" says nothing of the alleles guidelines ask for.")
		r.statuses[a.String()] = status
	}
	return r, true
}

// typedStatuses derives statuses from typed alleles. An allele that is not
// named is excluded only if both copies were typed to two fields.
func (g *gene) typedStatuses(typed []hlaAllele) map[string]AlleleStatus {
	full := len(typed) == 2 && typed[0].resolved() && typed[1].resolved()
	out := map[string]AlleleStatus{}
	for _, name := range g.LookedFor {
		status := AlleleNoResult
		if full {
			status = AlleleNegative
		}
		for _, a := range typed {
			switch is := a.is(name); {
			case is == AllelePositive:
				status = AllelePositive
			case is == AlleleIndeterminate && status != AllelePositive:
				status = AlleleIndeterminate
			}
		}
		if status != AlleleNoResult {
			out[name] = status
		}
	}
	return out
}

// hlaCandidate shows all known statuses as one candidate.
func (g *gene) hlaCandidate(typed []hlaAllele, statuses map[string]AlleleStatus) Candidate {
	var c Candidate
	names := make([]string, 0, 2)
	for _, a := range typed {
		names = append(names, a.String())
	}
	slices.SortFunc(names, natural)
	for _, name := range names {
		one := Allele{Name: name}
		if row := g.byName[compact(name)]; row != nil {
			one.Function = row.Function
		}
		c.Alleles = append(c.Alleles, one)
	}
	if len(names) == 1 {
		names = append(names, "?")
	}
	if c.Diplotype = strings.Join(names, "/"); c.Diplotype != "" {
		c.Keys = append(c.Keys, c.Diplotype)
	}
	mentioned := make([]string, 0, len(statuses))
	for name := range statuses {
		mentioned = append(mentioned, name)
	}
	slices.SortFunc(mentioned, natural)
	var words []string
	for _, name := range mentioned {
		words = append(words, name+" "+alleleStatusWords[statuses[name]])
	}
	c.Keys = append(words, c.Keys...)
	c.Phenotype = strings.Join(words, ", ")
	return c
}
