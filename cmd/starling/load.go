package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/starling-fhir/starling/fhir/resource"
)

type loadCmd struct {
	Paths []string `arg:"" name:"path" help:"Files, folders (read with all below them) or globs: .json, .ndjson, .jsonl, each also as .gz, .bz2 or .zst, and .tar archives of them, packed the same ways."`

	To        string        `default:"http://127.0.0.1:8080/fhir" help:"FHIR base URL of the server to load into."`
	TokenFile string        `placeholder:"FILE" help:"File with the bearer token for a server that asks for one; it is read again when it changes ($STARLING_TOKEN_FILE)."`
	Jobs      int           `default:"0" help:"Requests under way at once. 0: twice the processors."`
	Chunk     int           `default:"500" help:"Resources a request carries, where they are not in a bundle of their own."`
	MaxSize   byteSize      `default:"64MiB" help:"Largest JSON document or NDJSON line that is read, after decompression."`
	Retries   int           `default:"8" help:"How often a request is sent again after 429, 503 or a broken connection, with growing pauses."`
	Timeout   time.Duration `default:"5m" help:"Longest time one request may take."`
	DryRun    bool          `help:"Decode and validate here; send nothing. No server is needed."`
	JSON      bool          `name:"json" help:"Print one JSON object a line: rejections, progress, a summary."`
	Quiet     bool          `short:"q" help:"No progress."`
}

// inFlightBytes bounds what is held in memory: documents read and not yet
// answered, a decoded one counted as treeFactor times its size.
const (
	inFlightBytes = 256 << 20
	treeFactor    = 8
)

// Help is printed below the flags.
func (*loadCmd) Help() string {
	return `Examples:

  starling load synthea/output/fhir
  starling load 'export/*.ndjson.gz' --to http://127.0.0.1:8080/fhir --jobs 8
  starling load patients.tar.zst --dry-run

A transaction or batch Bundle is sent as it is. Of other Bundles the resources are sent: with PUT if they have an id, else with POST; as one transaction if they name each other by urn:uuid.
Exit codes: 0 all stored, 1 failed, 2 usage, 3 some rejected, 130 interrupted.`
}

// Run loads everything and returns nil only if nothing was rejected.
func (l *loadCmd) Run(ctx context.Context, m *Main) error {
	if l.Jobs == 0 {
		// Keeps client and server busy on one machine.
		l.Jobs = 2 * runtime.NumCPU()
	}
	if l.Jobs < 1 || l.Chunk < 1 || l.MaxSize < 1 || l.Retries < 0 || l.Timeout <= 0 {
		return usageError("--jobs, --chunk, --max-size and --timeout must be more than zero, --retries not less")
	}
	base, err := serverURL(l.To)
	if err != nil {
		return err
	}
	files, skipped, err := findFiles(l.Paths)
	if err != nil {
		return usageError("%w", err)
	}
	if len(files) == 0 {
		return usageError("nothing to load: no file below %s has a kind that load reads (starling help load lists them)", strings.Join(l.Paths, " "))
	}

	run := &loadRun{
		files:   files,
		maxSize: int64(l.MaxSize),
		chunk:   l.Chunk,
		budget:  semaphore.NewWeighted(inFlightBytes),
		parcels: make(chan *parcel),
		report:  newReport(m, l.JSON, l.Quiet, files, skipped),
	}
	var token *tokenFile
	if l.DryRun {
		gate, err := resource.NewGate()
		if err != nil {
			return err
		}
		run.handle = (&checker{gate: gate, report: run.report}).handle
	} else {
		sender := newSender(strings.TrimSuffix(l.To, "/"), l.Jobs, l.Retries, l.Timeout)
		if sender.token, err = tokenFor(m, l.TokenFile, base); err != nil {
			return err
		}
		if err := sender.greet(ctx); err != nil {
			if ctx.Err() != nil {
				return &exitError{exitInterrupted, errors.New("interrupted before anything was sent")}
			}
			return adviceFor(err, sender.token)
		}
		token = sender.token
		run.handle = (&loader{send: sender.bundle, report: run.report, chunk: l.Chunk}).handle
	}
	stopProgress := run.report.startProgress(ctx)
	err = run.do(ctx, l.Jobs)
	stopProgress()
	run.report.summary(l.DryRun, ctx.Err() != nil)
	if run.report.forbidden() {
		fmt.Fprintln(m.Stderr, "starling:", forbiddenAdvice)
	}

	stored, rejected := run.report.totals()
	switch {
	case ctx.Err() != nil:
		return &exitError{code: exitInterrupted}
	case err != nil:
		return adviceFor(err, token)
	case rejected > 0 && stored > 0:
		return &exitError{code: exitPartly}
	case rejected > 0:
		return &exitError{code: exitFailed}
	}
	return nil
}

// tokenFor opens the file of the token for a server; nil if there is none.
func tokenFor(m *Main, path string, base *url.URL) (*tokenFile, error) {
	if path == "" {
		path, _ = m.Env("STARLING_TOKEN_FILE")
	}
	if path == "" {
		return nil, nil
	}
	if crossesNetwork(base) {
		fmt.Fprintf(m.Stderr, "starling: warning: the token goes to %s without encryption; use https\n", base.Host)
	}
	token, err := openTokenFile(path)
	if err != nil {
		return nil, usageError("%w", err)
	}
	return token, nil
}

// serverURL reads --to.
func serverURL(to string) (*url.URL, error) {
	base, err := url.Parse(to)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usageError("--to %q is not a URL such as http://127.0.0.1:8080/fhir", to)
	}
	return base, nil
}

// loadRun reads files into parcels and has workers handle them.
type loadRun struct {
	files   []sourceFile
	maxSize int64
	chunk   int
	report  *report
	budget  *semaphore.Weighted
	parcels chan *parcel
	open    *parcel // resources waiting for company
	waiting sync.WaitGroup
	// handle does the work of one parcel. An error stops the run: what is wrong
	// with a single resource is reported instead.
	handle func(ctx context.Context, p *parcel) error
}

// parcel is what one worker handles at a time: documents, all of one class.
type parcel struct {
	class  class
	docs   []document
	bytes  int
	weight int64
}

// do runs jobs workers until every file is handled, ctx ends or a worker fails.
func (r *loadRun) do(ctx context.Context, jobs int) error {
	group, ctx := errgroup.WithContext(ctx)
	for range jobs {
		group.Go(func() error {
			for p := range r.parcels {
				err := r.handle(ctx, p)
				r.budget.Release(p.weight)
				r.waiting.Done()
				if err != nil {
					return err // the reader then stops, by ctx
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(r.parcels)
		return r.read(ctx)
	})
	return group.Wait()
}

// read hands out all documents. Files that others refer to, as Synthea writes
// them, are done before anything else starts.
func (r *loadRun) read(ctx context.Context) error {
	for _, first := range []bool{true, false} {
		for _, file := range r.files {
			err := file.documents(r.maxSize, first, r.report, func(doc document) error { return r.add(ctx, doc) })
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			// An archive is read twice; what is wrong with it is told the second
			// time, after all that could be read.
			if err != nil && !(first && kindOf(file.path) == tarKind) {
				r.report.reject(rejection{File: file.path, Reason: err.Error()})
			}
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
		if first {
			r.waiting.Wait()
		}
	}
	return nil
}

// add puts a document into a parcel: a bundle has its own, resources share one.
func (r *loadRun) add(ctx context.Context, doc document) error {
	class := classify(doc.data)
	if class != plainResource {
		return r.emit(ctx, &parcel{class: class, docs: []document{doc}, bytes: len(doc.data)})
	}
	const most = 4 << 20 // bytes of a shared parcel
	if r.open != nil && r.open.bytes+len(doc.data) > most {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	if r.open == nil {
		r.open = &parcel{class: plainResource}
	}
	r.open.docs = append(r.open.docs, doc)
	r.open.bytes += len(doc.data)
	if len(r.open.docs) >= r.chunk {
		return r.flush(ctx)
	}
	return nil
}

// flush hands out the shared parcel.
func (r *loadRun) flush(ctx context.Context) error {
	p := r.open
	r.open = nil
	if p == nil {
		return nil
	}
	return r.emit(ctx, p)
}

func (r *loadRun) emit(ctx context.Context, p *parcel) error {
	p.weight = int64(p.bytes)
	if p.class != sendAsIs {
		p.weight *= treeFactor
	}
	p.weight = min(p.weight, inFlightBytes)
	if err := r.budget.Acquire(ctx, p.weight); err != nil {
		return err
	}
	r.waiting.Add(1)
	select {
	case r.parcels <- p:
		return nil
	case <-ctx.Done():
		r.waiting.Done()
		r.budget.Release(p.weight)
		return context.Cause(ctx)
	}
}

// sortFirst reports whether a file holds what others refer to: Synthea writes
// hospitals and practitioners into files of their own.
func sortFirst(name string) bool {
	return strings.HasPrefix(name, "hospitalInformation") || strings.HasPrefix(name, "practitionerInformation")
}

// fileSize returns the size of a file, 0 if it cannot be asked.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// plural writes a count with its noun: "1 file", "2 files".
func plural(n int64, noun string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
