package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/starling-fhir/starling/cds/pgx"
)

type knowledgeDiffCmd struct {
	Before string `arg:"" help:"Folder of the older edition; built-in is the program's own."`
	After  string `arg:"" help:"Folder of the newer edition, or built-in."`
	JSON   bool   `name:"json" help:"Print JSON, one object a line: changes, then patients."`

	Server    string        `placeholder:"URL" help:"FHIR base URL of a server: list the patients whose advice changes. It must let this program read them."`
	TokenFile string        `placeholder:"FILE" help:"File with the bearer token for a server that asks for one ($STARLING_TOKEN_FILE)."`
	Drug      []string      `placeholder:"DRUG" help:"With --server: only these drugs; several with commas. Default: all that the changes may concern."`
	Limit     int           `default:"10000" help:"With --server: the most patients to look at."`
	Timeout   time.Duration `default:"1m" help:"With --server: longest time one request may take."`
	Quiet     bool          `short:"q" help:"No progress."`
}

// Help is printed below the flags.
func (*knowledgeDiffCmd) Help() string {
	return `Examples:

  starling knowledge diff built-in site-knowledge
  starling knowledge diff built-in site-knowledge --server https://fhir.example.org/fhir --token-file token

With --server, every patient with genomic results is asked about: what would be said if each drug were ordered today, without dose, route and reason, with the one edition and with the other. Rows are named, results are not; a list of patients and rows still is patient data. Nothing is written.
Exit codes: 0 done, 1 failed, 2 usage, 3 there are more patients than --limit, or some could not be read, 130 interrupted.`
}

// Run prints what differs.
func (d *knowledgeDiffCmd) Run(ctx context.Context, m *Main) error {
	before, err := knowledgeAt(d.Before)
	if err != nil {
		return err
	}
	after, err := knowledgeAt(d.After)
	if err != nil {
		return err
	}
	changes, err := pgx.Diff(before, after)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := d.print(m, c.String(), c); err != nil {
			return err
		}
	}
	if len(changes) == 0 && !d.JSON {
		fmt.Fprintln(m.Stdout, "nothing differs")
	}
	if d.Server == "" {
		return nil
	}
	if d.Limit < 1 {
		return usageError("--limit must be more than zero")
	}
	return d.patients(ctx, m, before, after, changes)
}

// print prints one result, as a line or as JSON.
func (d *knowledgeDiffCmd) print(m *Main, line string, v any) error {
	if !d.JSON {
		_, err := fmt.Fprintln(m.Stdout, line)
		return err
	}
	return writeLine(m.Stdout, v)
}

// patients lists the patients whose advice changes.
func (d *knowledgeDiffCmd) patients(ctx context.Context, m *Main, before, after fs.FS, changes []pgx.Change) error {
	older, err := pgx.Load(before)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Before, err)
	}
	newer, err := pgx.Load(after)
	if err != nil {
		return fmt.Errorf("%s: %w", d.After, err)
	}
	drugs, err := d.drugs(older, newer, changes)
	if err != nil {
		return err
	}
	if len(drugs) == 0 {
		return nil // nothing differs
	}
	base, err := serverURL(d.Server)
	if err != nil {
		return usageError("--server %q is not a URL such as http://127.0.0.1:8080/fhir", mask(d.Server))
	}
	send := newSender(strings.TrimSuffix(d.Server, "/"), 8, 4, d.Timeout)
	if send.token, err = tokenFor(m, d.TokenFile, base); err != nil {
		return err
	}
	if err := send.greet(ctx); err != nil {
		return adviceFor(err, send.token)
	}
	remote := &remoteRecords{send: send}
	say := &teller{out: m.Stdout, err: m.Stderr, quiet: d.Quiet, now: m.Now, terminal: isTerminal(m.Stderr)}
	ids, more, err := remote.patients(ctx, d.Limit)
	if err != nil {
		return adviceFor(err, send.token)
	}
	compare := newComparison(remote, m.Now, older, newer)
	changed, unread := 0, 0
	for i, id := range ids {
		if ctx.Err() != nil {
			say.clear()
			return &exitError{exitInterrupted, errors.New("interrupted; not all patients were looked at")}
		}
		say.progress("looking at patients", int64(i), int64(len(ids)))
		differ, err := compare.patient(ctx, id, drugs)
		switch {
		case errors.Is(err, errNotLetIn), errors.Is(err, errGivenUp):
			return adviceFor(err, send.token)
		case err != nil:
			unread++
			say.note("Patient/%s could not be read: %s", id, err)
			continue
		}
		if len(differ) > 0 {
			changed++
			say.clear()
		}
		for _, c := range differ {
			if err := d.print(m, c.String(), c); err != nil {
				return err
			}
		}
	}
	say.clear()
	say.note("%s with genomic results, the advice of %d changes; %s asked about", plural(int64(len(ids)), "patient"), changed, plural(int64(len(drugs)), "drug"))
	switch {
	case more:
		return &exitError{exitPartly, fmt.Errorf("there are more than %d patients with genomic results; the others were not looked at: --limit", d.Limit)}
	case unread > 0:
		return &exitError{exitPartly, fmt.Errorf("%s could not be read", plural(int64(unread), "patient"))}
	}
	return nil
}

// drugs are those the changes may concern: the drugs of a guideline that
// changed, and those that depend on a gene that did. Any other file concerns all.
func (d *knowledgeDiffCmd) drugs(older, newer *pgx.Knowledge, changes []pgx.Change) ([]pgx.DrugCoverage, error) {
	known := map[string]pgx.DrugCoverage{}
	var names []string
	for _, k := range []*pgx.Knowledge{older, newer} {
		for _, drug := range k.Coverage().Drugs {
			have, twice := known[drug.Name]
			if !twice {
				names = append(names, drug.Name)
			}
			drug.Genes = append(slices.Clone(have.Genes), drug.Genes...)
			known[drug.Name] = drug
		}
	}
	for _, name := range d.Drug {
		if _, ok := known[name]; !ok {
			return nil, usageError("--drug %q is no drug that advice is given on", name)
		}
	}
	slices.Sort(names)
	var list []pgx.DrugCoverage
	for _, name := range names {
		drug := known[name]
		wanted := len(d.Drug) == 0 || slices.Contains(d.Drug, name)
		if wanted && slices.ContainsFunc(changes, func(c pgx.Change) bool { return mayConcern(c.File, drug, older, newer) }) {
			list = append(list, drug)
		}
	}
	return list, nil
}

// mayConcern reports whether a change of a file can change the advice on a drug.
func mayConcern(file string, drug pgx.DrugCoverage, editions ...*pgx.Knowledge) bool {
	name := strings.TrimSuffix(path.Base(file), ".json")
	switch path.Dir(file) {
	case "genes", "definitions":
		return slices.Contains(drug.Genes, name)
	case "guidelines":
		return slices.ContainsFunc(editions, func(k *pgx.Knowledge) bool { return slices.Contains(k.GuidelineDrugs(name), drug.Name) })
	}
	return file != "gaps.json"
}
