package pgx

import (
	"fmt"
	"slices"
	"strings"
)

// Variant is what one record of a VCF file, or of anything like it, says about
// one person: which bases were seen at one place, on the forward strand.
type Variant struct {
	Chromosome string // "chr10", "10", "NC_000010.11"
	Position   int    // 1-based, of the first base of Ref
	Ref        string
	// Alts are the alternatives in the record's order; symbolic ones such as
	// "<*>" and "*" may be among them.
	Alts []string
	// End is the last base of a stretch that was seen to be as the reference,
	// 0 if the record is no such stretch.
	End int
	// Genotype are the alleles of the copies: 0 for Ref, 1 for the first of Alts,
	// …, -1 for one that was not called.
	Genotype []int
	// Phased: the order of Genotype says which copy of the chromosome carries it,
	// the same for all records of a PhaseSet.
	Phased   bool
	PhaseSet string
}

// Sample is what was seen of one person's DNA at the places that tell alleles
// apart. It is not safe for concurrent use.
type Sample struct {
	k        *Knowledge
	assembly string
	windows  windowTable
	sites    map[*definition]map[*position]*site
}

// site is what was seen at one position.
type site struct {
	bases []string // one a copy; "" was not called, "?" is none that is defined
	phase string   // copies of sites with one phase are in one order; "" is unphased
	doubt string   // why the site cannot be used
	rank  rank
}

// rank says how directly a record speaks of a position: the more direct counts.
type rank int

const (
	withinStretch rank = iota // a stretch as the reference holds it
	touched                   // a record about something else covers it
	named                     // a record is about it
)

// undocumented stands for a base that the definition's position does not have.
const undocumented = "?"

// assemblies are the reference genomes that samples may be on.
var assemblies = [...]string{"GRCh38", "GRCh37"}

// NewSample returns an empty sample on a reference genome: "GRCh38", or
// "GRCh37", of which fewer places are known.
func (k *Knowledge) NewSample(assembly string) (*Sample, error) {
	if !slices.Contains(assemblies[:], assembly) {
		return nil, fmt.Errorf("the reference genome %q is not known: GRCh38 and GRCh37 are", assembly)
	}
	return &Sample{k: k, assembly: assembly, windows: k.windows[assembly], sites: map[*definition]map[*position]*site{}}, nil
}

// on is where a position is on a genome; 0 if that is unknown.
func (p *position) on(assembly string) int {
	if assembly == "GRCh37" {
		return p.GRCh37
	}
	return p.Pos
}

// place is where a position is on the sample's genome.
func (s *Sample) place(p *position) int { return p.on(s.assembly) }

// Add takes a record in and reports whether it says anything of a position that
// matters. Records may come in any order.
func (s *Sample) Add(v Variant) bool {
	list := s.windows.of(v.Chromosome)
	last := max(v.Position+len(v.Ref)-1, v.End)
	first, _ := slices.BinarySearchFunc(list, v.Position-longestWindow, func(w window, at int) int { return w.from - at })
	used := false
	for _, w := range list[first:] {
		if w.from > last {
			break
		}
		if w.to < v.Position {
			continue
		}
		if seen := s.see(w.position, v); seen != nil {
			s.merge(w.definition, w.position, seen)
			used = true
		}
	}
	return used
}

// GenesAt lists the genes that have a position where a record is.
func (s *Sample) GenesAt(v Variant) []string {
	var genes []string
	for _, w := range s.windows.of(v.Chromosome) {
		if w.from <= max(v.Position+len(v.Ref)-1, v.End) && w.to >= v.Position && !slices.Contains(genes, w.definition.Symbol) {
			genes = append(genes, w.definition.Symbol)
		}
	}
	return genes
}

// Wants reports whether a record that covers these bases, both ends included, may
// say anything that matters.
func (s *Sample) Wants(chromosome string, from, to int) bool {
	list := s.windows.of(chromosome)
	first, _ := slices.BinarySearchFunc(list, from-longestWindow, func(w window, at int) int { return w.from - at })
	for _, w := range list[first:] {
		if w.from > to {
			return false
		}
		if w.to >= from {
			return true
		}
	}
	return false
}

// Place is a position that tells alleles apart.
type Place struct {
	Gene       string
	Chromosome string // "chr10"
	Position   int    // 1-based, on GRCh38; of an indel the base before it
	RSID       string
	Ref        string
	Alts       []string // those that an allele has
}

// PlaceOf returns the position of an rsID; ok is false if no gene has it.
func (k *Knowledge) PlaceOf(rsid string) (place Place, ok bool) {
	for _, d := range k.definitions {
		for _, p := range d.Positions {
			if p.RSID == rsid {
				return Place{Gene: d.Symbol, Chromosome: d.Chromosome, Position: p.Pos, RSID: p.RSID, Ref: p.Ref, Alts: p.known()}, true
			}
		}
	}
	return Place{}, false
}

// known are the alternatives of a position that an allele has.
func (p *position) known() []string {
	var list []string
	for _, alt := range p.Alts {
		if p.documented[alt] {
			list = append(list, alt)
		}
	}
	return list
}

// window is where records can speak of a position: from its first base to the
// last one that its indels can be moved to.
type window struct {
	from, to   int
	definition *definition
	position   *position
}

// longestWindow is more than any window has.
const longestWindow = 1000

// windowTable holds the windows of one genome, by chromosome, in order.
type windowTable map[string][]window

// newWindows makes the windows of a genome.
func newWindows(definitions []*definition, assembly string) windowTable {
	t := windowTable{}
	for _, d := range definitions {
		for _, p := range d.Positions {
			at := p.on(assembly)
			if at == 0 {
				continue
			}
			w := window{at, at + len(p.Ref) - 1 + maxShift(p), d, p}
			accession, _, _ := strings.Cut(d.RefSeq, ".")
			for _, name := range []string{d.Chromosome, strings.TrimPrefix(d.Chromosome, "chr"), accession} {
				t[name] = append(t[name], w)
			}
		}
	}
	for _, list := range t {
		slices.SortStableFunc(list, func(a, b window) int { return a.from - b.from })
	}
	return t
}

// of returns the windows of a chromosome: "chr10", "10", "NC_000010.11".
func (t windowTable) of(name string) []window {
	if list := t[name]; list != nil {
		return list
	}
	if strings.HasPrefix(name, "NC_") {
		name, _, _ = strings.Cut(name, ".")
		return t[name]
	}
	return t[strings.ToUpper(strings.TrimPrefix(strings.ToLower(name), "chr"))]
}

// see is what a record says about one position; nil for nothing.
func (s *Sample) see(p *position, v Variant) *site {
	at := s.place(p)
	last := v.Position + len(v.Ref) - 1
	covers := v.Position <= at && at+len(p.Ref)-1 <= max(last, v.End)
	if !covers && (v.Position > at+len(p.Ref)+maxShift(p) || last < at) {
		return nil
	}
	bases := make([]string, 1+len(v.Alts))
	bases[0] = p.Ref
	known := false
	for i, alt := range v.Alts {
		base, exact := s.meaning(p, v, alt)
		bases[1+i] = base
		known = known || exact
	}
	if !covers && !known {
		return nil
	}
	if covers && v.End == 0 && len(v.Ref) >= at-v.Position+len(p.Ref) && len(p.Ref) == 1 {
		// GRCh37 has another base than GRCh38 at a few places.
		bases[0] = v.Ref[at-v.Position : at-v.Position+1]
		if !p.documented[bases[0]] && !slices.Contains(p.Alts, bases[0]) {
			return &site{doubt: "the record's reference base is not that of the genome", rank: named}
		}
	}
	out := &site{rank: touched}
	switch {
	case known, v.Position == at && v.Ref == p.Ref:
		out.rank = named
	case v.End > 0:
		out.rank = withinStretch
	}
	for _, allele := range v.Genotype {
		switch {
		case allele < 0 || allele >= len(bases):
			out.bases = append(out.bases, "")
		default:
			out.bases = append(out.bases, bases[allele])
		}
	}
	if v.Phased {
		out.phase = "set " + v.PhaseSet
	}
	return out
}

func maxShift(p *position) int {
	if len(p.Shift) == 0 {
		return 0
	}
	return slices.Max(p.Shift)
}

// meaning is what an alternative of a record means at a position: one of its
// alternatives (exact), the reference if it changes nothing there, or something
// that is not defined.
func (s *Sample) meaning(p *position, v Variant, alt string) (base string, exact bool) {
	if alt == "<*>" || alt == "<NON_REF>" || alt == "." {
		return "", false // any other base: no copy should name it
	}
	if !dna(alt) || !dna(v.Ref) {
		return undocumented, false
	}
	at, ref, alternative := trim(v.Position, v.Ref, alt)
	for i, known := range p.Alts {
		shift := 0
		if len(p.Shift) > 0 {
			shift = p.Shift[i]
		}
		if equivalent(s.place(p), p.Ref, known, shift, at, ref, alternative) {
			return known, true
		}
	}
	// Of a longer change, what it makes of a single base.
	if len(v.Ref) == len(alt) && len(p.Ref) == 1 {
		if i := s.place(p) - v.Position; i >= 0 && i < len(alt) {
			base := alt[i : i+1]
			return base, slices.Contains(p.Alts, base)
		}
	}
	first, end := at, at+len(ref) // what it changes: [first, end)
	if len(ref) != len(alternative) {
		first++ // the base before an indel stays
	}
	from, to := s.place(p), s.place(p)+len(p.Ref)
	if len(p.Ref) > 1 || slices.ContainsFunc(p.Alts, func(a string) bool { return len(a) > 1 }) {
		from++
		to = max(to, from+maxShift(p))
	}
	if first < max(to, from+1) && max(end, first+1) > from {
		return undocumented, false
	}
	return p.Ref, false
}

// trim brings a change to its shortest form: the common end is taken off first,
// then the common beginning but for one base.
func trim(at int, ref, alt string) (int, string, string) {
	for len(ref) > 1 && len(alt) > 1 && ref[len(ref)-1] == alt[len(alt)-1] {
		ref, alt = ref[:len(ref)-1], alt[:len(alt)-1]
	}
	for len(ref) > 1 && len(alt) > 1 && ref[0] == alt[0] {
		at, ref, alt = at+1, ref[1:], alt[1:]
	}
	return at, ref, alt
}

// equivalent reports whether two changes make the same sequence. The first one is
// as far to the left as it can be, and can be moved to the right by shift bases:
// so far the genome repeats what is inserted or deleted.
func equivalent(at int, ref, alt string, shift, otherAt int, otherRef, otherAlt string) bool {
	at, ref, alt = trim(at, ref, alt)
	if len(ref) == len(alt) || shift == 0 {
		return at == otherAt && ref == otherRef && alt == otherAlt
	}
	moved := otherAt - at
	if moved < 0 || moved > shift || len(otherRef)-len(ref) != 0 || len(otherAlt)-len(alt) != 0 {
		return false
	}
	unit, other := ref[1:], otherRef
	if len(alt) > len(ref) {
		unit, other = alt[1:], otherAlt
	}
	// The base before it, then the unit turned round.
	anchor := ref[0]
	if moved > 0 {
		anchor = unit[(moved-1)%len(unit)]
	}
	turn := moved % len(unit)
	return other[0] == anchor && other[1:] == unit[turn:]+unit[:turn]
}

// merge joins what several records say about one position. A record that names
// the position counts more than a stretch that holds it.
func (s *Sample) merge(d *definition, p *position, seen *site) {
	if s.sites[d] == nil {
		s.sites[d] = map[*position]*site{}
	}
	have := s.sites[d][p]
	switch {
	case have == nil, seen.rank > have.rank:
		s.sites[d][p] = seen
	case have.rank > seen.rank:
	case have.doubt != "":
	case seen.doubt != "":
		s.sites[d][p] = seen
	default:
		s.sites[d][p] = have.with(p, seen)
	}
}

// with joins two records of one position, as split records of one with several
// alternatives are: each copy has what one of them names beside the reference.
func (a *site) with(p *position, b *site) *site {
	if a.rank == withinStretch && slices.Contains(a.bases, "") != slices.Contains(b.bases, "") {
		if slices.Contains(a.bases, "") { // what could not be called outweighs what was looked at
			return a
		}
		return b
	}
	conflict := &site{doubt: "two records contradict each other", rank: a.rank}
	if len(a.bases) != len(b.bases) || slices.Contains(a.bases, "") != slices.Contains(b.bases, "") {
		return conflict
	}
	if slices.Equal(a.bases, b.bases) {
		return a
	}
	out := &site{phase: a.phase, rank: a.rank}
	if a.phase != "" && a.phase == b.phase {
		for i := range a.bases {
			switch {
			case a.bases[i] == p.Ref:
				out.bases = append(out.bases, b.bases[i])
			case b.bases[i] == p.Ref || a.bases[i] == b.bases[i]:
				out.bases = append(out.bases, a.bases[i])
			default:
				return conflict
			}
		}
		return out
	}
	for _, base := range slices.Concat(a.bases, b.bases) {
		if base != p.Ref {
			out.bases = append(out.bases, base)
		}
	}
	if len(out.bases) > len(a.bases) {
		return conflict
	}
	for len(out.bases) < len(a.bases) {
		out.bases = append(out.bases, p.Ref)
	}
	out.phase = ""
	return out
}
