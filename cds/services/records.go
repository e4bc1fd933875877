package services

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// mayAsk decides whether the caller's patient id is certain to be one of ours,
// and if not, says why in words that follow a comma. Only who the caller proved
// to be counts: a fhirServer that is ours is a claim everybody can make.
func (s *orderSelect) mayAsk(req *cds.Request, patientID string) (bool, string) {
	switch {
	case s.config.Records == nil:
		return false, ""
	case !fhir.ValidID(patientID):
		return false, ", and the patient's id cannot be one of this server's"
	case req.Client != nil && req.Client.SharesPatientIDs:
		return true, ""
	}
	return false, ", and this server's own records were not searched because the patient's id is not known to be one of theirs"
}

// askRecords asks our own store for the open sources, all at once. The patient
// itself is always asked for: an id we do not have is not ours.
func (s *orderSelect) askRecords(ctx context.Context, ev *evidence, list []source, states []state, open []int, missing *missing) {
	ask := slices.Clone(open)
	if !slices.Contains(ask, 0) {
		ask = append([]int{0}, ask...)
	}
	type answer struct {
		resources [][]byte
		complete  bool
		err       error
	}
	answers := make([]answer, len(ask))
	var wait sync.WaitGroup
	for i, which := range ask {
		wait.Go(func() {
			a := &answers[i]
			query := strings.ReplaceAll(list[which].query, patientToken, ev.patientID)
			a.resources, a.complete, a.err = s.config.Records.Query(ctx, ev.patientID, query)
		})
	}
	wait.Wait()
	ours, answered := false, false
	for i, which := range ask {
		a := &answers[i]
		src := list[which]
		if kind := fhir.KindOf(a.err); a.err != nil && (kind == fhir.NotFound || kind == fhir.Deleted) {
			a.resources, a.complete, a.err = nil, true, nil
		}
		answered = answered || a.err == nil
		if a.err != nil {
			s.config.Logger.ErrorContext(ctx, "own records could not be read", "service", s.id, "source", src.key, "error", a.err)
		}
		for _, data := range a.resources {
			if ev.add(data) == found && which == 0 {
				ours = true
			}
		}
		switch {
		case !slices.Contains(open, which):
		case a.err != nil:
			missing.add(src, "this server's records could not be read")
		case !a.complete:
			missing.add(src, "this server has more of them than it could look at")
		}
	}
	if !ours && answers[0].err == nil {
		for _, i := range open {
			missing.add(list[i], reasons[states[i]]+", and this server has no patient of this id")
		}
		return
	}
	if answered {
		ev.Searched = append(ev.Searched, "this server's records")
	}
}

// mostFollowed bounds how many references of one call are followed.
const mostFollowed = 32

// follow reads from our own store what the orders and results refer to and
// nobody sent: drugs, laboratories, specimens. What cannot be read stays
// unknown.
func (s *orderSelect) follow(ctx context.Context, ev *evidence, drafts *resource.Node) {
	wanted := ev.unresolved(drafts)
	wanted = wanted[:min(len(wanted), mostFollowed)]
	read := make([][][]byte, len(wanted))
	var wait sync.WaitGroup
	for i, reference := range wanted {
		wait.Go(func() {
			resources, _, err := s.config.Records.Query(ctx, ev.patientID, reference)
			if err == nil {
				read[i] = resources
			} else if kind := fhir.KindOf(err); kind != fhir.NotFound && kind != fhir.Deleted {
				s.config.Logger.ErrorContext(ctx, "own records could not be read", "service", s.id, "source", strings.Split(reference, "/")[0], "error", err)
			}
		})
	}
	wait.Wait()
	for _, resources := range read {
		for _, data := range resources {
			ev.add(data)
		}
	}
}

// unresolved lists the drugs, laboratories and specimens that are referred to
// and not there, each once.
func (ev *evidence) unresolved(drafts *resource.Node) []string {
	var list []string
	look := func(n *resource.Node) {
		for _, name := range []string{"medicationReference", "performer", "specimen"} {
			references := n.List(name)
			for i := range references {
				reference := references[i].Str("reference")
				key := typeAndID(reference)
				typ, id, _ := strings.Cut(key, "/")
				if slices.Contains([]string{"Medication", "Organization", "Specimen"}, typ) && fhir.ValidID(id) && ev.resolve(reference, n) == nil && !slices.Contains(list, key) {
					list = append(list, key)
				}
			}
		}
	}
	entries := drafts.List("entry")
	for i := range entries {
		look(entries[i].Get("resource"))
	}
	for _, r := range ev.all {
		look(r.node)
	}
	return list
}
