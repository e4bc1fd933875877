package rest

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// entry is one entry of a batch or transaction.
type entry struct {
	index   int
	fullURL string // "" if it has none
	row     *interaction
	request *request
	head    bool // the answer is wanted without its body

	write  *write // in a transaction, of an entry that writes
	answer *answer
	err    error // in a batch
}

// where is the place of the entry, as FHIRPath.
func (e *entry) where() string { return "Bundle.entry[" + strconv.Itoa(e.index) + "]" }

// bundle serves POST [base], https://hl7.org/fhir/R4/http.html#transaction.
func (s *Server) bundle(r *request) (*answer, error) {
	root, err := r.body()
	if err != nil {
		return nil, err
	}
	if typ := root.Str("resourceType"); typ != "Bundle" {
		hint := ""
		if resource.KnownType(typ) {
			hint = "; a " + typ + " is created with POST " + s.basePrefix + typ
		}
		return nil, fhir.Errorf(fhir.Invalid, "the base URL takes a Bundle of type batch or transaction%s", hint)
	}
	switch typ := root.Str("type"); typ {
	case "batch":
		return s.batch(r, root)
	case "transaction":
		if err := r.access.Allow("transaction", ""); err != nil {
			return nil, err
		}
		return s.transaction(r, root)
	default:
		return nil, &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
			Message: "a Bundle of type " + strconv.Quote(fhir.Clip(typ)) + " is not carried out: the type must be batch or transaction; " +
				"to store the Bundle itself, POST it to " + s.basePrefix + "Bundle",
			Expression: "Bundle.type",
		}}}
	}
}

// entries reads the entries of a Bundle. The Bundle does not pass through the
// gate as a whole (each resource does, once), so the shape of everything around
// the resources is checked here. problems has an error, or nil, for each entry;
// err is about the Bundle itself.
func (s *Server) entries(r *request, root *resource.Node) (entries []*entry, problems []error, err error) {
	if err := merge(s.members(root, "Bundle", "Bundle")); err != nil {
		return nil, nil, err
	}
	list := root.Get("entry")
	if list == nil {
		return nil, nil, nil
	}
	if list.Kind != resource.Array || len(list.Items) == 0 {
		return nil, nil, invalid("structure", "Bundle.entry", "entry must be a list that is not empty")
	}
	if n := len(list.Items); n > s.Limits.Entries {
		return nil, nil, fhir.Errorf(fhir.TooLarge, "the Bundle has %d entries; at most %d are allowed", n, s.Limits.Entries)
	}
	entries = make([]*entry, len(list.Items))
	problems = make([]error, len(list.Items))
	for i := range list.Items {
		entries[i] = &entry{index: i}
		problems[i] = s.entry(r, entries[i], &list.Items[i])
	}
	return entries, problems, nil
}

// entry reads one entry.
func (s *Server) entry(r *request, e *entry, n *resource.Node) error {
	where := e.where()
	if err := merge(s.members(n, "Bundle.entry", where)); err != nil {
		return err
	}
	in := n.Get("request")
	if in == nil {
		return invalid("required", where+".request", "an entry must have a request with method and url")
	}
	if err := merge(s.members(in, "Bundle.entry.request", where+".request")); err != nil {
		return err
	}
	method, path := in.Str("method"), in.Str("url")
	switch {
	case method == "":
		return invalid("required", where+".request.method", "a request must have a method")
	case path == "":
		return invalid("required", where+".request.url", "a request must have a url")
	}
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH":
	default:
		return invalid("code-invalid", where+".request.method", "method is one of GET, HEAD, POST, PUT, DELETE and PATCH, not "+strconv.Quote(fhir.Clip(method)))
	}
	e.fullURL = n.Str("fullUrl")
	req, row, err := s.entryRequest(r, method, path)
	if err != nil {
		return at(err, where+".request")
	}
	req.entry, e.request, e.row, e.head = e, req, row, method == "HEAD"
	req.ifMatch, req.ifNoneMatch, req.ifNoneExist = in.Str("ifMatch"), in.Str("ifNoneMatch"), in.Str("ifNoneExist")
	if since := in.Str("ifModifiedSince"); since != "" {
		if req.ifModifiedSince, err = time.Parse(time.RFC3339, since); err != nil {
			return invalid("value", where+".request.ifModifiedSince", "not an instant")
		}
	}
	body := n.Get("resource")
	req.bodiless = body == nil
	if row.Write == nil && !row.takesParameters() || method == "DELETE" {
		if body != nil {
			return invalid("structure", where+".resource", "such a request has no resource")
		}
	} else if body == nil {
		if row.Operation != "" {
			return nil // without parameters
		}
		return invalid("required", where+".resource", "a "+method+" needs a resource")
	} else if body.Kind != resource.Object {
		return invalid("structure", where+".resource", "a resource is a JSON object")
	}
	req.body = func() (*resource.Node, error) { return body, nil }
	req.patch = func() (*resource.Node, error) { return patchOf(body) }
	return nil
}

// entryRequest finds the interaction of an entry's method and url.
func (s *Server) entryRequest(r *request, method, path string) (*request, *interaction, error) {
	if rest, ok := cutBase(path, s.Base); ok {
		path = rest
	} else if rest, ok := cutBase(path, s.basePath); ok && s.basePath != "" {
		path = rest // relative to the host rather than to the base
	} else if strings.Contains(strings.SplitN(path, "?", 2)[0], "://") {
		return nil, nil, fhir.Errorf(fhir.Invalid, "request.url %s is not below %s", fhir.Clip(path), s.Base)
	}
	path, query, _ := strings.Cut(path, "?")
	parts, err := segments(path)
	if err != nil {
		return nil, nil, err
	}
	if method == "HEAD" {
		method = "GET"
	}
	row, values, err := s.find(method, parts)
	if err != nil {
		return nil, nil, err
	}
	if len(parts) == 0 && row.Code == "batch" {
		return nil, nil, fhir.Errorf(fhir.Invalid, "a batch or transaction cannot stand inside another one")
	}
	prefer := r.prefer
	if prefer.content == "" {
		prefer.content = "minimal" // a Bundle of thousands rarely wants them back
	}
	return &request{
		ctx:         r.ctx,
		trace:       r.trace,
		access:      r.access,
		typ:         values["type"],
		id:          values["id"],
		version:     values["version"],
		compartment: compartmentOf(values),
		query:       query,
		prefer:      prefer,
	}, row, nil
}

// cutBase returns what stands behind a base URL or path.
func cutBase(path, base string) (string, bool) {
	rest, ok := strings.CutPrefix(path, base)
	return rest, ok && (rest == "" || rest[0] == '/' || rest[0] == '?')
}

// members checks that an object of a Bundle has only members that R4 knows, of
// the right JSON type.
func (s *Server) members(n *resource.Node, path, where string) []error {
	if n.Kind != resource.Object {
		return []error{invalid("structure", where, "must be an object")}
	}
	var problems []error
	for i := range n.Fields {
		f := &n.Fields[i]
		if f.Name == "resourceType" && path == "Bundle" {
			continue
		}
		name, under := strings.CutPrefix(f.Name, "_")
		element, known := s.schema.Element(path + "." + name)
		if !known {
			problems = append(problems, invalid("structure", where, "a "+path+" has no member "+strconv.Quote(fhir.Clip(f.Name))))
			continue
		}
		switch {
		case under:
		case element.Repeats() && f.Node.Kind != resource.Array:
			problems = append(problems, invalid("structure", where+"."+name, "must be a list"))
		case !element.Repeats() && f.Node.Kind == resource.Array:
			problems = append(problems, invalid("structure", where+"."+name, "must not be a list"))
		case isText(element) && (f.Node.Kind != resource.String || f.Node.Text == ""):
			problems = append(problems, invalid("value", where+"."+name, "must be text that is not empty"))
		}
	}
	return problems
}

// isText says whether an element of a Bundle is a JSON string.
func isText(e resource.Element) bool {
	if len(e.Types) != 1 {
		return false
	}
	switch e.Types[0].Name {
	case "string", "code", "uri", "instant", "id":
		return true
	}
	return false
}

// invalid is an error about one place.
func invalid(code, expression, message string) error {
	return &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{Code: code, Message: message, Expression: expression}}}
}

// batch carries out the entries of a batch, each by itself and in any order:
// https://hl7.org/fhir/R4/http.html#brules. The answers are in the order of the
// entries.
func (s *Server) batch(r *request, root *resource.Node) (*answer, error) {
	entries, problems, err := s.entries(r, root)
	if err != nil {
		return nil, err
	}
	var sound []*entry
	for i, e := range entries {
		if e.err = problems[i]; e.err == nil {
			sound = append(sound, e)
		}
	}
	s.serveAll(r.ctx, sound)
	return s.responses(r.trace, "batch-response", entries), nil
}

// serveAll serves entries that do not depend on each other. Each gets an answer
// or an error of its own; what the deadline cuts off gets that as its error.
func (s *Server) serveAll(ctx context.Context, entries []*entry) {
	var size atomic.Int64 // of the answers so far
	err := parallel(ctx, len(entries), func(i int) error {
		e := entries[i]
		if e.row.Write == nil && size.Load() >= s.Limits.Answer {
			e.err = fhir.Errorf(fhir.TooCostly, "the answers to this Bundle reach %d bytes before this entry; send it in another one", s.Limits.Answer)
			return nil
		}
		e.err = guarded(func() (err error) {
			e.answer, err = s.serve(e.row, e.request)
			return err
		})
		if e.answer != nil {
			size.Add(int64(len(e.answer.body)))
		}
		return nil
	})
	for _, e := range entries {
		if e.answer == nil && e.err == nil {
			e.err = err
		}
	}
}
