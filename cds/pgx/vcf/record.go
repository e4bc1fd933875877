package vcf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/cds/pgx"
)

// Next returns the next record that Options.Wants, or io.EOF behind the last one.
// A record that does not count comes with the reason in Skipped. Any other error
// means that the rest cannot be read.
func (f *Reader) Next() (Record, error) {
	for {
		line, err := f.next()
		if err != nil {
			return Record{}, err
		}
		if len(line) == 0 {
			continue
		}
		f.records++
		chromosome, rest, ok := bytes.Cut(line, tab)
		position, rest, ok2 := bytes.Cut(rest, tab)
		if !ok || !ok2 {
			return Record{}, &Error{f.line, "a record has its columns parted by tabs"}
		}
		at, err := number(position)
		if err != nil || at < 0 || len(chromosome) == 0 {
			return Record{}, &Error{f.line, fmt.Sprintf("%q is not a position", clip(string(position)))}
		}
		end := f.end(at, rest)
		if f.opts.Wants != nil && !f.opts.Wants(string(chromosome), at, end) {
			continue
		}
		return f.record(string(chromosome), at, rest)
	}
}

var tab = []byte{'\t'}

// number reads a position.
func number(b []byte) (int, error) {
	if len(b) == 0 || len(b) > 10 {
		return 0, errors.New("not a number")
	}
	return strconv.Atoi(string(b))
}

// end is the last base of a record, by its REF or by END in its INFO. rest is
// the line from its third column on.
func (f *Reader) end(at int, rest []byte) int {
	_, rest, _ = bytes.Cut(rest, tab) // ID
	ref, rest, _ := bytes.Cut(rest, tab)
	end := at + max(len(ref), 1) - 1
	for range 3 { // ALT, QUAL, FILTER
		_, rest, _ = bytes.Cut(rest, tab)
	}
	info, _, _ := bytes.Cut(rest, tab)
	if last, err := number(value(info, endKey)); err == nil && last > end {
		end = last
	}
	return end
}

var endKey = []byte("END=")

// value finds a key's value in INFO.
func value(info, key []byte) []byte {
	for {
		item, rest, more := bytes.Cut(info, []byte{';'})
		if text, ok := bytes.CutPrefix(item, key); ok {
			return text
		}
		if !more {
			return nil
		}
		info = rest
	}
}

// Columns of a record, from the third one on.
const (
	refColumn = iota + 1
	altColumn
	_
	filterColumn
	infoColumn
	formatColumn
)

// record reads the columns of a record.
func (f *Reader) record(chromosome string, at int, rest []byte) (Record, error) {
	f.cells = f.cells[:0]
	for cell := range bytes.SplitSeq(rest, tab) {
		f.cells = append(f.cells, cell)
	}
	if len(f.cells)+2 != 9+len(f.samples) {
		return Record{}, &Error{f.line, fmt.Sprintf("the record has %d columns, and the header %d", len(f.cells)+2, 9+len(f.samples))}
	}
	r := Record{Line: f.line, Variant: pgx.Variant{
		Chromosome: chromosome, Position: at, Ref: strings.ToUpper(string(f.cells[refColumn])),
	}}
	if alt := string(f.cells[altColumn]); alt != "." && alt != "" {
		r.Alts = strings.Split(strings.ToUpper(alt), ",")
	}
	if strings.Trim(r.Ref, "ACGTN") != "" || r.Ref == "" {
		r.Skipped = fmt.Sprintf("%q is no reference sequence", clip(r.Ref))
		return r, nil
	}
	if end, err := number(value(f.cells[infoColumn], endKey)); err == nil && end > at && stretch(r.Alts) {
		r.End = end
	}
	if filter := string(f.cells[filterColumn]); filter != "PASS" && filter != "." && filter != "" {
		r.Skipped = "its FILTER is " + clip(filter) + ", not PASS"
		return r, nil
	}
	r.Skipped = f.genotype(&r.Variant)
	if r.Skipped != "" {
		r.Genotype, r.Phased, r.PhaseSet = nil, false, ""
	}
	return r, nil
}

// stretch reports whether a record stands for a run of bases as the reference.
func stretch(alts []string) bool {
	for _, alt := range alts {
		if alt != "<NON_REF>" && alt != "<*>" {
			return false
		}
	}
	return true
}

// genotype reads what FORMAT and the sample's column say, and why it does not
// count.
func (f *Reader) genotype(v *pgx.Variant) (skipped string) {
	var call, set string
	found := false
	values := strings.Split(string(f.cells[f.column-2]), ":")
	for i, key := range strings.Split(string(f.cells[formatColumn]), ":") {
		if i >= len(values) {
			break // trailing fields may be left out
		}
		text := values[i]
		switch key {
		case "GT":
			call, found = text, true
		case "PS":
			set = text
		case "DP":
			if n, err := strconv.Atoi(text); err == nil && n < f.opts.MinDepth {
				return fmt.Sprintf("its depth is %d, less than %d", n, f.opts.MinDepth)
			}
		case "GQ":
			if n, err := strconv.ParseFloat(text, 64); err == nil && n < float64(f.opts.MinQuality) {
				return fmt.Sprintf("its genotype quality is %s, less than %d", clip(text), f.opts.MinQuality)
			}
		case "FT":
			if text != "PASS" && text != "." && text != "" {
				return "the genotype's filter is " + clip(text) + ", not PASS"
			}
		}
	}
	if !found {
		return "it has no GT"
	}
	return alleles(v, call, set)
}

// alleles reads a GT: 0/1, 1|0, ./., 1.
func alleles(v *pgx.Variant, call, set string) (skipped string) {
	phased, unphased := false, false
	for rest := call; ; {
		i := strings.IndexAny(rest, "/|")
		text := rest
		if i >= 0 {
			text = rest[:i]
			phased, unphased = phased || rest[i] == '|', unphased || rest[i] == '/'
			rest = rest[i+1:]
		}
		n := -1
		if text != "." {
			var err error
			if n, err = strconv.Atoi(text); err != nil || n < 0 || n > len(v.Alts) {
				return fmt.Sprintf("its GT %q names an allele that the record does not have", clip(call))
			}
		}
		if v.Genotype = append(v.Genotype, n); len(v.Genotype) > 8 {
			return fmt.Sprintf("its GT %q has too many copies", clip(call))
		}
		if i < 0 {
			break
		}
	}
	v.Phased = phased && !unphased
	if set != "." {
		v.PhaseSet = set
	}
	return ""
}

// Each reads all records and hands those that count to add and the others to
// skip. It reports progress every some thousand records.
func (f *Reader) Each(add, skip func(Record), progress func(records int64)) error {
	for next := int64(progressEvery); ; {
		r, err := f.Next()
		if f.records >= next && progress != nil {
			progress(f.records)
			next = f.records + progressEvery
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case r.Skipped != "":
			skip(r)
		default:
			add(r)
		}
	}
}

const progressEvery = 50_000
