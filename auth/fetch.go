package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Bounds of what is fetched from issuers and clients.
const (
	maxDocument  = 1 << 20          // bytes of one answer, after decompression
	fetchTimeout = 10 * time.Second // from the first byte out to the last byte in
	maxRedirects = 3
	// patience is how long a request waits for what is being fetched. Whoever
	// comes later than that in the same fetch does not wait at all, so that a
	// slow party never piles requests up.
	patience = 3 * time.Second
)

// fetcher gets documents from configured addresses only: bounded, and never from
// another origin than the one that was asked.
type fetcher struct {
	client *http.Client

	mu      sync.Mutex
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	flights sync.WaitGroup
}

// newFetcher makes a fetcher over a client, which may be nil.
func newFetcher(client *http.Client) *fetcher {
	if client == nil {
		client = &http.Client{}
	}
	bounded := *client
	next := bounded.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	bounded.Transport = boundedTransport{next}
	bounded.CheckRedirect = sameOrigin
	bounded.Jar = nil
	if bounded.Timeout == 0 || bounded.Timeout > fetchTimeout {
		bounded.Timeout = fetchTimeout
	}
	f := &fetcher{client: &bounded}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// close ends what is being fetched and waits for it. Later fetches fail.
func (f *fetcher) close() {
	f.mu.Lock()
	f.cancel()
	f.mu.Unlock()
	f.flights.Wait()
}

// get returns a document. The error does not quote it.
func (f *fetcher) get(ctx context.Context, url string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json, */*;q=0.1")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return body, resp.Header, err
}

// flight is a piece of work that several requests wait for.
type flight struct {
	done     chan struct{}   // closed when the work is done
	patience context.Context // ends when nobody should wait any longer
}

// start does the work in the background, once for all who wait. It goes on when
// the request that caused it is gone, for fetchTimeout at most. It returns nil if
// the fetcher is closed.
func (f *fetcher) start(work func(ctx context.Context)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(f.ctx, fetchTimeout)
	waiting, stopWaiting := context.WithTimeout(f.ctx, patience)
	fl := &flight{done: make(chan struct{}), patience: waiting}
	f.flights.Go(func() {
		defer stopWaiting()
		defer cancel()
		defer close(fl.done)
		work(ctx)
	})
	return fl
}

// wait returns when the work is done, when it takes too long, or when ctx ends.
func (fl *flight) wait(ctx context.Context) {
	select {
	case <-fl.done:
	case <-fl.patience.Done():
	case <-ctx.Done():
	}
}

// boundedTransport bounds the answers and makes an error of every status that
// brings no document.
type boundedTransport struct{ next http.RoundTripper }

// RoundTrip is [http.RoundTripper].
func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && (resp.StatusCode < 300 || resp.StatusCode > 399) {
		resp.Body.Close()
		return nil, noDocument(resp.StatusCode)
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxDocument}
	return resp, nil
}

// answerError says what is wrong with an answer that will be no other one soon.
type answerError string

// Error returns the text for the log.
func (e answerError) Error() string { return string(e) }

// noDocument is the error about an answer by its status: an answerError, unless
// the status says that another try may have another outcome.
func noDocument(status int) error {
	text := fmt.Sprintf("the answer is %d %s", status, http.StatusText(status))
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		return errors.New(text)
	}
	return answerError(text)
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read is [io.Reader].
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, answerError(fmt.Sprintf("the answer is longer than %d bytes", maxDocument))
	}
	p = p[:min(len(p), b.left+1)] // one more shows that there is more
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, answerError(fmt.Sprintf("the answer is longer than %d bytes", maxDocument))
	}
	return n, err
}

// sameOrigin follows a few redirects within one origin. Another one was not
// configured, so its keys are nobody's.
func sameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.URL.Scheme != first.Scheme || req.URL.Host != first.Host {
		return answerError("it redirects to another server, which is not followed; configure the final address")
	}
	if len(via) > maxRedirects {
		return answerError(fmt.Sprintf("it redirects more than %d times", maxRedirects))
	}
	return nil
}
