package auth

import (
	"context"
	"slices"

	"github.com/starling-fhir/starling/fhir"
)

// row is one row of a table of what a token must be. By runs the checks; E is
// what is known of a token while they run.
type row[By, E any] struct {
	name string
	// needs are the checks without which this one makes no sense.
	needs []string
	// kind is that of the answer if the check fails.
	kind fhir.Kind
	// run returns what was found, for a report. Neither this nor the error may
	// hold what names people.
	run func(ctx context.Context, by By, e *E) (detail string, err error)
}

// runChecks runs the rows in their order: until the first failure, or all of
// them for a report, which is then in done. failed is the first that failed,
// with its error, or nil; passed are those that did not.
func runChecks[By, E any](ctx context.Context, rows []row[By, E], by By, e *E, all bool) (done []Check, passed map[string]bool, failed *row[By, E], first error) {
	passed = make(map[string]bool, len(rows))
	for i := range rows {
		c := &rows[i]
		if missing := slices.IndexFunc(c.needs, func(name string) bool { return !passed[name] }); missing >= 0 {
			done = append(done, Check{Name: c.name, Skipped: true, Detail: "not checked, because the check " + c.needs[missing] + " has failed"})
			continue
		}
		detail, err := c.run(ctx, by, e)
		passed[c.name] = err == nil
		if err != nil {
			detail = err.Error()
			if failed == nil {
				failed, first = c, err
			}
			if !all {
				return nil, passed, failed, first
			}
		}
		if all {
			done = append(done, Check{Name: c.name, OK: err == nil, Detail: detail})
		}
	}
	return done, passed, failed, first
}
