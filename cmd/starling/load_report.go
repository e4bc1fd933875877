package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// rejection is one thing that was not stored, and why. Its JSON form is
// documented in docs/reference/load.md; fields are only ever added.
type rejection struct {
	Event string `json:"event"` // "rejected"
	File  string `json:"file"`
	Line  int    `json:"line,omitempty"`
	// Entry of the Bundle, from 0; nil if it did not come in one or the server
	// names none.
	Entry    *int   `json:"entry,omitempty"`
	Resource string `json:"resource,omitempty"` // "Patient/p1", or "Patient"
	Status   int    `json:"status,omitempty"`   // HTTP status; 0 if it was found here
	Reason   string `json:"reason"`
	// Expression is the FHIRPath of the first fault, if there is one.
	Expression string `json:"expression,omitempty"`
	// Resources is how many resources are not stored because of this: all of a
	// transaction, else 1, also where a whole file could not be read.
	Resources int `json:"resources"`
}

// text is the rejection as a line for people.
func (r rejection) text() string {
	where := r.File
	if r.Line > 0 {
		where += fmt.Sprintf(":%d", r.Line)
	}
	if r.Entry != nil {
		where += fmt.Sprintf(" entry %d", *r.Entry)
	}
	if r.Resource != "" {
		where += " (" + r.Resource + ")"
	}
	line := "rejected " + where + ": " + r.Reason
	if r.Resources > 1 {
		line += fmt.Sprintf(" [none of its %d resources is stored]", r.Resources)
	}
	return line
}

// report tells what happens during a load: results on out, progress on err.
type report struct {
	out, err io.Writer
	json     bool
	quiet    bool
	terminal bool // err is one
	now      func() time.Time
	start    time.Time
	files    []sourceFile
	size     int64 // of all files
	skipped  int64

	read, good atomic.Int64

	mu       sync.Mutex // guards what follows, and writing
	rejected int64      // resources
	lines    int64      // rejections
	barred   bool       // one of them was a 403
	bar      *progressbar.ProgressBar
}

func newReport(m *Main, asJSON, quiet bool, files []sourceFile, skipped int64) *report {
	r := &report{
		out: m.Stdout, err: m.Stderr, json: asJSON, quiet: quiet,
		now: m.Now, start: m.Now(), files: files, skipped: skipped, terminal: isTerminal(m.Stderr),
	}
	for _, file := range files {
		r.size += file.size
	}
	return r
}

// isTerminal reports whether a person watches what is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// file counts files read.
func (r *report) file(n int64) { r.read.Add(n) }

// stored counts resources that were stored; in a dry run, that could be.
func (r *report) stored(n int64) { r.good.Add(n) }

// totals returns the numbers of resources stored and of rejections.
func (r *report) totals() (stored, rejections int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.good.Load(), r.lines
}

// forbidden reports whether the server said of anything that it is not allowed.
func (r *report) forbidden() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.barred
}

// reject prints a rejection.
func (r *report) reject(rejected rejection) {
	rejected.Event = "rejected"
	rejected.Resources = max(1, rejected.Resources)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines++
	r.barred = r.barred || rejected.Status == http.StatusForbidden
	r.rejected += int64(rejected.Resources)
	if r.json {
		r.printJSON(rejected)
		return
	}
	if r.bar != nil {
		_ = r.bar.Clear()
	}
	fmt.Fprintln(r.out, rejected.text())
}

func (r *report) printJSON(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		fmt.Fprintln(r.err, "starling:", err)
		return
	}
	fmt.Fprintf(r.out, "%s\n", line)
}

// progress is how far a load is. Its JSON form is documented in
// docs/reference/load.md.
type progress struct {
	Event              string  `json:"event"` // "progress" or "summary"
	Seconds            float64 `json:"seconds"`
	Files              int64   `json:"files"`
	Skipped            int64   `json:"skipped"`
	Resources          int64   `json:"resources"`
	Rejections         int64   `json:"rejections"`
	RejectedResources  int64   `json:"rejectedResources"`
	Bytes              int64   `json:"bytes"`
	TotalBytes         int64   `json:"totalBytes"`
	ResourcesPerSecond float64 `json:"resourcesPerSecond"`
	SecondsLeft        float64 `json:"secondsLeft,omitempty"`
	Interrupted        bool    `json:"interrupted,omitempty"`
	DryRun             bool    `json:"dryRun,omitempty"`
}

// state returns how far the load is. r.mu must be held.
func (r *report) state(event string) progress {
	p := progress{
		Event: event, Seconds: r.now().Sub(r.start).Seconds(),
		Files: r.read.Load(), Skipped: r.skipped, Resources: r.good.Load(),
		Rejections: r.lines, RejectedResources: r.rejected, TotalBytes: r.size,
	}
	for _, file := range r.files {
		p.Bytes += file.read.Load()
	}
	if p.Seconds > 0 {
		p.ResourcesPerSecond = float64(p.Resources) / p.Seconds
	}
	if p.Bytes > 0 && p.Bytes < p.TotalBytes {
		p.SecondsLeft = p.Seconds * float64(p.TotalBytes-p.Bytes) / float64(p.Bytes)
	}
	return p
}

// startProgress shows progress until the function it returns is called: a bar
// on a terminal, else a line every 10 seconds.
func (r *report) startProgress(ctx context.Context) (stop func()) {
	if r.quiet {
		return func() {}
	}
	every := 10 * time.Second
	if r.terminal && !r.json {
		every = 200 * time.Millisecond
		r.mu.Lock()
		r.bar = progressbar.NewOptions64(max(r.size, 1),
			progressbar.OptionSetWriter(r.err), progressbar.OptionShowBytes(true),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
		r.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				r.tick()
			}
		}
	}()
	return func() {
		cancel()
		<-done
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.bar != nil {
			_ = r.bar.Clear()
			r.bar = nil
		}
	}
}

// tick shows progress once.
func (r *report) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.state("progress")
	switch {
	case r.json:
		r.printJSON(p)
	case r.bar != nil:
		r.bar.Describe(fmt.Sprintf("%d resources, %.0f/s, %d rejected", p.Resources, p.ResourcesPerSecond, p.RejectedResources))
		_ = r.bar.Set64(p.Bytes)
	default:
		left := ""
		if p.SecondsLeft > 0 {
			left = fmt.Sprintf(", about %s left", (time.Duration(p.SecondsLeft) * time.Second).String())
		}
		fmt.Fprintf(r.err, "%d resources, %.0f/s, %d rejected, %.0f%% read%s\n",
			p.Resources, p.ResourcesPerSecond, p.RejectedResources, 100*float64(p.Bytes)/float64(max(p.TotalBytes, 1)), left)
	}
}

// summary prints the end.
func (r *report) summary(dryRun, interrupted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.state("summary")
	p.SecondsLeft, p.DryRun, p.Interrupted = 0, dryRun, interrupted
	if r.json {
		r.printJSON(p)
		return
	}
	word := "stored"
	if dryRun {
		word = "valid"
	}
	prefix := ""
	if interrupted {
		prefix = "interrupted: "
	}
	fmt.Fprintf(r.out, "%s%s %s, %d rejected, from %s in %.1f s (%.0f/s)\n",
		prefix, plural(p.Resources, "resource"), word, p.RejectedResources, plural(p.Files, "file"), p.Seconds, p.ResourcesPerSecond)
	if r.skipped > 0 {
		fmt.Fprintf(r.out, "%s of other kinds passed over\n", plural(r.skipped, "file"))
	}
}
