package rest

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// transaction carries out the entries of a transaction, all or none.
//
// https://hl7.org/fhir/R4/http.html#trules sets the order: deletions, creates,
// updates, then reads. Since every resource may be written only once, the
// writes are one change of the store, and the reads see its result.
func (s *Server) transaction(r *request, root *resource.Node) (*answer, error) {
	entries, problems, err := s.entries(r, root)
	if err != nil {
		return nil, err
	}
	u := &unit{urls: make(map[string]*write)}
	for i, e := range entries {
		if problems[i] == nil {
			problems[i] = s.prepare(e)
		}
		if e.write == nil {
			continue
		}
		u.writes = append(u.writes, e.write)
		if e.fullURL == "" || e.write.method == fhir.Delete {
			continue
		}
		if first := u.urls[e.fullURL]; first != nil {
			problems[i] = invalid("duplicate", e.where()+".fullUrl", first.entry.where()+" has the same fullUrl")
		}
		u.urls[e.fullURL] = e.write
	}
	if merge(problems) != nil {
		return nil, s.allProblems(r.ctx, entries, problems)
	}
	if err := s.rehearse(r.ctx, u, entries); err != nil {
		return nil, err
	}
	if err := s.commit(r.ctx, r.access, u); err != nil {
		return nil, err
	}
	var reads []*entry
	for _, e := range entries {
		if e.write == nil {
			reads = append(reads, e)
			continue
		}
		e.answer = e.write.answer(r.access, e.request.prefer)
	}
	s.serveAll(r.ctx, reads)
	return s.responses(r.trace, "transaction-response", entries), nil
}

// rehearse returns the errors that reads of a transaction would give: if one of
// its entries fails, a transaction has to fail as a whole. What the transaction
// writes itself is there for its reads, what it deletes is not. What others change
// until the reads are answered can still make one fail: then the answer says so in
// its place.
//
// https://hl7.org/fhir/R4/http.html#transaction-response
func (s *Server) rehearse(ctx context.Context, u *unit, entries []*entry) error {
	written := make(map[fhir.Key]*write, len(u.writes))
	for _, w := range u.writes {
		if w.id != "" {
			written[fhir.Key{Type: w.typ, ID: w.id}] = w
		}
	}
	return parallel(ctx, len(entries), func(i int) error {
		e := entries[i]
		switch {
		case e.write != nil:
			return nil
		case e.row.Code != "read" && e.row.Code != "vread" && e.row.Code != "history-instance" && e.row.Code != "operation":
			return nil
		}
		key := fhir.Key{Type: e.request.typ, ID: e.request.id}
		var err error
		switch w := written[key]; {
		case w == nil || e.row.Code == "vread":
			_, err = s.serve(e.row, e.request)
		case w.method == fhir.Delete && e.row.Code != "history-instance":
			err = fhir.Errorf(fhir.Deleted, "%s deletes %s", w.entry.where(), key)
		}
		if e.row.Code == "operation" && e.request.id == "" && len(u.writes) > 0 && fhir.KindOf(err) == fhir.NotFound {
			err = nil // its parameters may name what is written here
		}
		if err == nil {
			return nil
		}
		return at(err, e.where()+".request.url")
	})
}

// allProblems adds what the gate says to the problems of a transaction's
// entries, so that the client hears of everything at once.
func (s *Server) allProblems(ctx context.Context, entries []*entry, problems []error) error {
	err := parallel(ctx, len(entries), func(i int) error {
		if w := entries[i].write; w != nil && w.root != nil {
			problems[i] = merge([]error{problems[i], w.entry.place(s.Gate.Check(w.root))})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return merge(problems)
}

// prepare checks what can be known of an entry before anything is written, and
// makes its write if it is one.
func (s *Server) prepare(e *entry) error {
	if err := e.request.allow(e.row); err != nil {
		return at(err, e.where()+".request.url")
	}
	if strings.HasPrefix(e.row.Code, "search-") {
		return at(s.checkSearch(e.request), e.where()+".request.url")
	}
	if e.row.Write == nil && e.row.Method == http.MethodDelete {
		return invalid("not-supported", e.where()+".request.url", "a history cannot be removed in a transaction, whose other entries might fail; send it by itself or in a batch")
	}
	if e.row.Write == nil {
		return nil
	}
	w, err := e.row.Write(e.request)
	if err != nil {
		return e.place(err)
	}
	e.write = w
	return nil
}

// responses makes the Bundle that answers a batch or transaction.
// https://hl7.org/fhir/R4/http.html#transaction-response
func (s *Server) responses(trace, typ string, entries []*entry) *answer {
	size := 128
	for _, e := range entries {
		size += 256
		if e.answer != nil {
			size += len(e.answer.body)
		}
	}
	out := append(make([]byte, 0, size), `{"resourceType":"Bundle","type":"`...)
	out = append(out, typ...)
	out = append(out, '"')
	shown := make(map[string]bool) // versions that have a fullUrl already
	for i, e := range entries {
		if i == 0 {
			out = append(out, `,"entry":[`...)
		} else {
			out = append(out, ',')
		}
		out = s.response(out, trace, e, shown)
	}
	if len(entries) > 0 {
		out = append(out, ']')
	}
	return &answer{status: http.StatusOK, body: append(out, '}')}
}

// response appends the answer to one entry. A version shown twice has a fullUrl
// once: bdl-7, https://hl7.org/fhir/R4/bundle.html.
func (s *Server) response(out []byte, trace string, e *entry, shown map[string]bool) []byte {
	out = append(out, '{')
	if e.err != nil {
		known := s.known(e.err, "entry of a bundle", trace)
		out = appendStatus(append(out, `"response":{`...), outcomes[known.Kind].status)
		out = append(out, `,"outcome":`...)
		out = append(out, s.outcome(known)...)
		return append(out, "}}"...)
	}
	a := e.answer
	if a.body != nil && !a.outcome && !e.head {
		if a.resource != nil && !shown[versionPath(a.resource)] {
			shown[versionPath(a.resource)] = true
			out = append(out, `"fullUrl":`...)
			out = appendString(out, s.basePrefix+a.resource.Key.String())
			out = append(out, ',')
		}
		out = append(out, `"resource":`...)
		out = append(out, a.body...)
		out = append(out, ',')
	}
	out = appendStatus(append(out, `"response":{`...), a.status)
	if res := a.resource; res != nil {
		if a.located {
			out = append(out, `,"location":"`...)
			out = append(out, versionPath(res)...)
			out = append(out, '"')
		}
		out = append(out, `,"etag":"W/\"`...)
		out = strconv.AppendInt(out, res.Version, 10)
		out = append(out, `\"","lastModified":"`...)
		out = fhir.AppendInstant(out, res.Updated)
		out = append(out, '"')
	}
	if a.outcome {
		out = append(out, `,"outcome":`...)
		out = append(out, a.body...)
	}
	return append(out, "}}"...)
}

// appendStatus appends a status line such as "status":"201 Created".
func appendStatus(out []byte, status int) []byte {
	out = append(out, `"status":"`...)
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(status)...)
	return append(out, '"')
}

// appendString appends s as a JSON string.
func appendString(out []byte, s string) []byte {
	node := resource.Text(s)
	return node.Append(out)
}
