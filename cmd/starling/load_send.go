package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir/resource"
)

// sender sends bundles to a server, again where that is safe.
type sender struct {
	client  *http.Client
	base    string     // without a slash at the end
	token   *tokenFile // nil: none is sent
	retries int
	timeout time.Duration
	// pause waits; it returns early with an error if ctx ends.
	pause func(ctx context.Context, d time.Duration) error
	now   func() time.Time
}

func newSender(base string, jobs, retries int, timeout time.Duration) *sender {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: jobs,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // answers are short and the processors are busy
	}
	return &sender{
		client: &http.Client{Transport: transport, CheckRedirect: stay}, base: base, retries: retries, timeout: timeout,
		pause: pauseFor, now: time.Now,
	}
}

// stay does not follow a redirect: on the way a POST becomes a GET, and a token
// goes where nobody meant it to go.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errGivenUp says that the server did not answer however often it was asked:
// nothing else would be answered either.
var errGivenUp = errors.New("the server does not answer")

// greet checks that a FHIR R4 server answers, before anything is sent.
func (s *sender) greet(ctx context.Context) error {
	status, body, err := s.exchange(ctx, http.MethodGet, s.base+"/metadata", nil, func() bool { return true })
	switch {
	case errors.Is(err, errNotLetIn):
		return err
	case err != nil:
		return fmt.Errorf("%w (is it running? starling serve --insecure-no-auth starts one; --to names another)", err)
	}
	var statement struct{ ResourceType, FHIRVersion string }
	if status >= 300 && status < 400 {
		return fmt.Errorf("%s/metadata answers %d: the API is elsewhere, perhaps at https; give its own address with --to", s.base, status)
	}
	if status != http.StatusOK || json.Unmarshal(body, &statement) != nil || statement.ResourceType != "CapabilityStatement" {
		return fmt.Errorf("%s/metadata answers %d and no CapabilityStatement: --to must be a FHIR base URL", s.base, status)
	}
	if !strings.HasPrefix(statement.FHIRVersion, "4.0") {
		return fmt.Errorf("%s speaks FHIR %s; load sends R4 (4.0)", s.base, statement.FHIRVersion)
	}
	if s.token != nil || asksForToken(body) {
		return s.showToken(ctx)
	}
	return nil
}

// bundle posts a transaction or batch and returns the status and the answer.
// repeatable is asked when a connection broke after the bundle may have
// arrived: only if it says yes is the bundle sent again.
func (s *sender) bundle(ctx context.Context, body []byte, repeatable func() bool) (status int, answer []byte, err error) {
	return s.exchange(ctx, http.MethodPost, s.base, body, repeatable)
}

// exchange sends a request until it is answered with something other than
// "later", or retries are used up.
func (s *sender) exchange(ctx context.Context, method, url string, body []byte, repeatable func() bool) (status int, answer []byte, err error) {
	renewed := false
	for attempt := 0; ; attempt++ {
		token := ""
		if s.token != nil {
			token = s.token.current()
		}
		status, answer, after, err := s.once(ctx, method, url, token, body)
		var problem error
		switch {
		case status == http.StatusUnauthorized && !renewed && s.token != nil && s.token.renewed(token):
			renewed = true
			continue // what is refused so has not been carried out
		case status == http.StatusUnauthorized:
			return 0, nil, s.refusedToken(answer)
		case err != nil && neverArrived(err):
			if method == http.MethodGet && attempt > 0 {
				return 0, nil, err
			}
			problem = err
		case err != nil:
			if !repeatable() {
				return 0, nil, fmt.Errorf("the connection broke before the answer came (%w): the server may have stored it; "+
					"it was not sent again, because it would create its resources twice", err)
			}
			problem = err
		case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
			problem = fmt.Errorf("answer %d", status)
		case (status == http.StatusBadGateway || status == http.StatusGatewayTimeout) && repeatable():
			problem = fmt.Errorf("answer %d", status)
		default:
			return status, answer, nil
		}
		if attempt >= s.retries {
			return 0, nil, fmt.Errorf("%w: %w", errGivenUp, problem)
		}
		if after == 0 {
			after = backOff(attempt)
		}
		if err := s.pause(ctx, after); err != nil {
			return 0, nil, fmt.Errorf("stopped while waiting to send it again (%w)", problem)
		}
	}
}

// backOff is the pause before a request is sent again: about a quarter of a
// second, doubled each time up to half a minute, a random half of it left out
// so that many workers do not come back at once.
func backOff(attempt int) time.Duration {
	d := min(250*time.Millisecond<<min(attempt, 10), 30*time.Second)
	return d/2 + rand.N(d/2) //nolint:gosec // no secret depends on it
}

// once sends a request once. after is what the server's Retry-After asks for.
func (s *sender) once(ctx context.Context, method, url, token string, body []byte) (status int, answer []byte, after time.Duration, err error) {
	// What is on its way is finished even if the program is told to stop, so
	// that the summary knows what was stored.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, 0, err
	}
	req.Header.Set("Accept", "application/fhir+json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
		req.Header.Set("Prefer", "return=minimal")
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, 0, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, inFlightBytes))
	if err != nil {
		return 0, nil, 0, err
	}
	return res.StatusCode, answer, retryAfter(res.Header.Get("Retry-After"), s.now()), nil
}

// retryAfter reads the header, at most five minutes; 0 if it says nothing.
// https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
func retryAfter(header string, now time.Time) time.Duration {
	d := time.Duration(0)
	if seconds, err := strconv.Atoi(header); err == nil {
		d = time.Duration(min(seconds, 300)) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = at.Sub(now)
	}
	return max(0, min(d, 5*time.Minute))
}

// neverArrived reports whether an error shows that the server got nothing.
func neverArrived(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// loader handles parcels by sending them.
type loader struct {
	send   func(ctx context.Context, body []byte, repeatable func() bool) (status int, answer []byte, err error)
	report *report
	chunk  int
}

// handle sends one parcel.
func (l *loader) handle(ctx context.Context, p *parcel) error {
	switch p.class {
	case sendAsIs:
		return l.whole(ctx, p.docs[0], nil)
	case carrier:
		doc := p.docs[0]
		bundle, err := resource.Decode(doc.data)
		if err != nil {
			l.report.reject(rejectionOf(item{file: doc.file, line: doc.line, entry: -1}, 0, err))
			return nil
		}
		items, together := carried(doc, bundle)
		if together {
			return l.whole(ctx, document{file: doc.file, line: doc.line, data: bundleOf("transaction", items)}, items)
		}
		return l.batches(ctx, items)
	}
	items := make([]item, 0, len(p.docs))
	for _, doc := range p.docs {
		it := item{file: doc.file, line: doc.line, entry: -1}
		node, err := resource.Decode(doc.data)
		if err != nil {
			l.report.reject(rejectionOf(it, 0, err))
			continue
		}
		it.node = node
		items = append(items, it)
	}
	return l.batches(ctx, items)
}

// whole sends a transaction or batch. items are its entries if it was put
// together here, nil if it is sent as it came.
func (l *loader) whole(ctx context.Context, doc document, items []item) error {
	status, answer, err := l.send(ctx, doc.data, func() bool {
		bundle, err := resource.Decode(doc.data)
		return err == nil && repeatable(bundle)
	})
	if err != nil {
		return l.failed(ctx, []item{{file: doc.file, line: doc.line, entry: -1}}, err)
	}
	entries := answerEntries(answer)
	if status != http.StatusOK || entries == nil {
		l.refused(doc, items, status, answer)
		return nil
	}
	for i, entry := range entries {
		it := item{file: doc.file, line: doc.line, entry: i}
		if i < len(items) {
			it = items[i]
		}
		l.judge(it, entry)
	}
	return nil
}

// batches sends items in chunks, each item on its own account. What cannot be
// addressed is rejected here.
func (l *loader) batches(ctx context.Context, items []item) error {
	items = slices.DeleteFunc(items, func(it item) bool {
		if it.node.Str("resourceType") != "" {
			return false
		}
		l.report.reject(rejectionOf(it, 0, errors.New("is no FHIR resource: it has no resourceType")))
		return true
	})
	for len(items) > 0 {
		n := min(l.chunk, len(items))
		if err := l.batch(ctx, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

func (l *loader) batch(ctx context.Context, items []item) error {
	body := bundleOf("batch", items)
	status, answer, err := l.send(ctx, body, func() bool {
		for _, it := range items {
			if method, _ := it.request(); method == http.MethodPost {
				return false
			}
		}
		return true
	})
	if err != nil {
		return l.failed(ctx, items, err)
	}
	entries := answerEntries(answer)
	if status != http.StatusOK || len(entries) != len(items) {
		reason := outcomeText(answer)
		for _, it := range items {
			l.report.reject(rejectionOf(it, status, errors.New("the request that carried it was refused: "+reason.text)))
		}
		return nil
	}
	for i, it := range items {
		l.judge(it, entries[i])
	}
	return nil
}

// failed reports items that got no answer. If the server is gone the run ends.
func (l *loader) failed(ctx context.Context, items []item, err error) error {
	for _, it := range items {
		l.report.reject(rejectionOf(it, 0, err))
	}
	if (errors.Is(err, errGivenUp) || errors.Is(err, errNotLetIn)) && ctx.Err() == nil {
		return err
	}
	return nil
}

// judge counts or reports an item by the entry that answers it.
func (l *loader) judge(it item, entry answerEntry) {
	status, _, _ := strings.Cut(entry.Response.Status, " ")
	code, err := strconv.Atoi(status)
	if err == nil && code >= 200 && code < 300 {
		l.report.stored(1)
		return
	}
	reason := outcomeText(entry.Response.Outcome)
	if it.node != nil {
		// The request's bundle was made here; its entries mean nothing to the
		// reader.
		typ := it.node.Str("resourceType")
		reason.text = entryPath.ReplaceAllLiteralString(reason.text, typ)
		reason.expression = entryPath.ReplaceAllLiteralString(reason.expression, typ)
	}
	rejected := rejectionOf(it, code, errors.New(reason.text))
	rejected.Expression = reason.expression
	l.report.reject(rejected)
}

// refused reports a transaction or batch of which nothing was stored, with the
// entry the server names.
func (l *loader) refused(doc document, items []item, status int, answer []byte) {
	reason := outcomeText(answer)
	rejected := rejection{
		File: doc.file, Line: doc.line, Status: status,
		Reason: reason.text, Expression: reason.expression, Resources: 1,
	}
	if items == nil {
		items = entriesOf(doc)
	}
	rejected.Resources = max(1, len(items))
	if n, ok := namedEntry(reason); ok && n < len(items) {
		rejected.Entry = &items[n].entry
		if items[n].node != nil {
			rejected.Resource = items[n].name()
		}
	}
	l.report.reject(rejected)
}

// entriesOf returns all entries of a Bundle; none if it cannot be read.
func entriesOf(doc document) []item {
	bundle, err := resource.Decode(doc.data)
	if err != nil {
		return nil
	}
	entries := bundle.List("entry")
	items := make([]item, len(entries))
	for i := range entries {
		items[i] = item{file: doc.file, line: doc.line, entry: i, node: entries[i].Get("resource")}
	}
	return items
}

// answerEntry is an entry of a transaction's or batch's answer.
type answerEntry struct {
	Response struct {
		Status  string          `json:"status"`
		Outcome json.RawMessage `json:"outcome"`
	} `json:"response"`
}

// answerEntries returns the entries of an answer; nil if it is no Bundle.
func answerEntries(answer []byte) []answerEntry {
	var bundle struct {
		ResourceType string        `json:"resourceType"`
		Entry        []answerEntry `json:"entry"`
	}
	if json.Unmarshal(answer, &bundle) != nil || bundle.ResourceType != "Bundle" {
		return nil
	}
	if bundle.Entry == nil {
		return []answerEntry{}
	}
	return bundle.Entry
}

// reason is what an OperationOutcome says.
type reason struct {
	text       string
	expression string // of the first issue that has one
}

// outcomeText joins the errors of an OperationOutcome into one text.
func outcomeText(answer []byte) reason {
	var outcome struct {
		ResourceType string `json:"resourceType"`
		Issue        []struct {
			Severity    string `json:"severity"`
			Code        string `json:"code"`
			Diagnostics string `json:"diagnostics"`
			Details     struct {
				Text string `json:"text"`
			} `json:"details"`
			Expression []string `json:"expression"`
		} `json:"issue"`
	}
	if json.Unmarshal(answer, &outcome) != nil || outcome.ResourceType != "OperationOutcome" {
		return reason{text: "the server gave no reason"}
	}
	var texts []string
	var r reason
	more := 0
	for _, issue := range outcome.Issue {
		if issue.Severity == "information" || issue.Severity == "warning" {
			continue
		}
		text := issue.Diagnostics
		if text == "" {
			text = issue.Details.Text
		}
		if text == "" {
			text = issue.Code
		}
		if len(issue.Expression) > 0 {
			if r.expression == "" {
				r.expression = issue.Expression[0]
			}
			text = issue.Expression[0] + ": " + text
		}
		const most = 3
		if len(texts) == most {
			more++
			continue
		}
		texts = append(texts, text)
	}
	r.text = strings.Join(texts, "; ")
	switch {
	case r.text == "":
		r.text = "the server gave no reason"
	case more > 0:
		r.text += fmt.Sprintf("; and %d more", more)
	}
	return r
}

var (
	// entryNumber finds the entry of a Bundle that a path names.
	entryNumber = regexp.MustCompile(`\bentry\[(\d+)\]`)
	// entryPath is the path of a resource in a Bundle.
	entryPath = regexp.MustCompile(`\bBundle\.entry\[\d+\]\.resource\b`)
)

// namedEntry returns the entry a reason speaks of.
func namedEntry(r reason) (int, bool) {
	for _, text := range []string{r.expression, r.text} {
		if found := entryNumber.FindStringSubmatch(text); found != nil {
			n, err := strconv.Atoi(found[1])
			return n, err == nil
		}
	}
	return 0, false
}
