package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/fhir/store/embedded"
)

type checkCmd struct {
	Store   string `group:"Store" default:"./data" secret:"" help:"The store to check: a folder, or mongodb://HOST/DATABASE."`
	BaseURL string `group:"Addresses" placeholder:"URL" help:"The FHIR base URL the store is served under: references below it are indexed as the server's own."`
	Repair  bool   `help:"Make anew what is derived from the resources: the index, and in MongoDB the native documents. Resources themselves are never changed."`
	Quiet   bool   `short:"q" help:"No progress."`
}

// Help is printed below the flags.
func (*checkCmd) Help() string {
	return `Reads the whole store and compares what is derived with what it is derived from.

  starling check --store ./data
  starling check --store 'mongodb://db1,db2,db3/starling?replicaSet=rs0' --repair

A folder must not be in use. In MongoDB servers may go on meanwhile.
Exit codes: 0 nothing is wrong, or all of it is mended; 1 something is wrong, or the store cannot be checked; 2 usage; 130 interrupted.`
}

// Run checks the store and prints what it finds, a line each.
func (c *checkCmd) Run(ctx context.Context, m *Main) error {
	if _, err := kindOfStore(c.Store); err != nil {
		return usageError("--store %w", err)
	}
	registry, err := offlineRegistry(m, c.BaseURL)
	if err != nil {
		return err
	}
	say := &teller{out: m.Stdout, err: m.Stderr, quiet: c.Quiet, now: m.Now, terminal: isTerminal(m.Stderr)}
	opened, err := storeToOpen{
		name: c.Store, registry: registry, mustExist: true, clock: m.Now, log: say.logger(),
		onRebuild: func(done, total int64) { say.progress("rebuilding the index", done, total) },
	}.open(ctx)
	if err != nil {
		return fmt.Errorf("--store %s: %w", mask(c.Store), err)
	}
	wrong := findings{out: m.Stdout}
	looked, err := checkStore(ctx, opened, c.Repair, wrong.add)
	say.clear()
	if closeErr := opened.Close(); err == nil {
		err = closeErr
	}
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted; what was not looked at may be wrong too")}
	case err != nil:
		return fmt.Errorf("--store %s: %w", mask(c.Store), err)
	}
	say.line("%s checked, %d found wrong, %d mended", plural(looked, "resource"), wrong.all, wrong.mended)
	switch {
	case wrong.all == wrong.mended:
		return nil
	case c.Repair:
		return errors.New("not all could be mended: restore the store from a backup")
	}
	return errors.New("the store is not as it should be; --repair mends what can be made anew from the resources")
}

// findings prints what is wrong, and counts it.
type findings struct {
	out         io.Writer
	all, mended int
}

func (f *findings) add(found store.Finding) {
	f.all++
	word := "wrong "
	if found.Mended {
		f.mended++
		word = "mended"
	}
	where := "the store"
	if found.Key != (fhir.Key{}) {
		where = found.Key.String()
	}
	fmt.Fprintf(f.out, "%s  %s: %s\n", word, where, found.Text)
}

// checkStore checks a store of any kind and returns how many resources it
// looked at.
func checkStore(ctx context.Context, opened store.Store, repair bool, report func(store.Finding)) (int64, error) {
	switch s := opened.(type) {
	case *embedded.Store:
		return checkFolder(ctx, s, repair, report)
	case store.Checker:
		return s.Check(ctx, repair, report)
	}
	return 0, errors.New("this kind of store cannot be checked")
}

// checkFolder checks a store in a folder, which says no more than the first
// thing that is wrong. To mend it is to make the whole index anew.
func checkFolder(ctx context.Context, s *embedded.Store, repair bool, report func(store.Finding)) (int64, error) {
	var resources int64
	for _, n := range s.Stats().Resources {
		resources += n
	}
	err := s.Check(ctx)
	if err == nil || fhir.KindOf(err) == fhir.Timeout {
		return resources, err
	}
	found := store.Finding{Text: err.Error()}
	if repair {
		if err := s.Rebuild(ctx); err != nil {
			return resources, err
		}
		err := s.Check(ctx)
		found.Mended = err == nil
		if err != nil {
			report(found)
			found = store.Finding{Text: err.Error()}
		}
	}
	report(found)
	return resources, nil
}
