package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// mostTokenBytes is the longest token that is read or sent.
const mostTokenBytes = 64 << 10

// tokenFile is a file with the bearer token of requests. Tokens are short-lived
// and loads are not: who renews the token writes the file anew, and it is read
// again. It is safe for concurrent use.
type tokenFile struct {
	path string

	mu      sync.Mutex
	token   string
	changed time.Time // of the file as it was read
	size    int64
}

// openTokenFile reads a token for the first time.
func openTokenFile(path string) (*tokenFile, error) {
	t := &tokenFile{path: path}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	if err := t.read(info); err != nil {
		return nil, err
	}
	return t, nil
}

// current returns the token, read again if the file is another than before. A
// file that is not whole at this moment leaves the token as it was; a pipe is
// read once.
func (t *tokenFile) current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if info, err := os.Stat(t.path); err == nil && info.Mode().IsRegular() && (!info.ModTime().Equal(t.changed) || info.Size() != t.size) {
		_ = t.read(info) // the server says what is wrong with the old one
	}
	return t.token
}

// renewed reads the file, whatever its date, and reports whether it holds
// another token than the one that was refused.
func (t *tokenFile) renewed(refused string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if info, err := os.Stat(t.path); err == nil && info.Mode().IsRegular() {
		_ = t.read(info)
	}
	return t.token != refused
}

// read reads the token. t.mu must be held by all but the first.
func (t *tokenFile) read(info os.FileInfo) error {
	file, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	defer file.Close()
	token, err := readToken(file)
	if err != nil {
		return fmt.Errorf("token file %s: %w", t.path, err)
	}
	t.token, t.changed, t.size = token, info.ModTime(), info.Size()
	return nil
}

// readToken reads a bearer token: white space around it and the word Bearer
// before it are left aside. No error has any of the text.
func readToken(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, mostTokenBytes+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "bearer") {
		token = strings.TrimSpace(rest)
	}
	switch {
	case len(text) > mostTokenBytes:
		return "", fmt.Errorf("holds more than %d bytes: that is no token", mostTokenBytes)
	case token == "":
		return "", errors.New("holds no token")
	case strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", errors.New("holds more than one word: write the token alone, on one line")
	}
	return token, nil
}

// errNotLetIn says that the server does not take the token, or asks for one:
// nothing else would be taken either.
var errNotLetIn = errors.New("the server does not let this program in")

// asksForToken reports whether a CapabilityStatement speaks of tokens.
func asksForToken(statement []byte) bool {
	var told struct {
		Rest []struct {
			Security struct {
				Service   []json.RawMessage `json:"service"`
				Extension []json.RawMessage `json:"extension"`
			} `json:"security"`
		} `json:"rest"`
	}
	if json.Unmarshal(statement, &told) != nil {
		return false
	}
	for _, rest := range told.Rest {
		if len(rest.Security.Service)+len(rest.Security.Extension) > 0 {
			return true
		}
	}
	return false
}

// showToken finds out with a batch of nothing whether the server lets this
// program in at all, before it refuses thousands of resources one by one.
func (s *sender) showToken(ctx context.Context) error {
	status, answer, err := s.bundle(ctx, []byte(`{"resourceType":"Bundle","type":"batch"}`), func() bool { return true })
	if err != nil {
		return err
	}
	if status == http.StatusForbidden {
		return fmt.Errorf("%w: %s; %s", errNotLetIn, outcomeText(answer).text, forbiddenAdvice)
	}
	return nil // what a server thinks of an empty batch does not matter
}

// refusedToken is the error of an answer of 401.
func (s *sender) refusedToken(answer []byte) error {
	if s.token == nil {
		return fmt.Errorf("%w: it asks for a token", errNotLetIn)
	}
	return fmt.Errorf("%w: %s", errNotLetIn, outcomeText(answer).text)
}

// adviceFor adds to an error about tokens what to do.
func adviceFor(err error, token *tokenFile) error {
	switch {
	case !errors.Is(err, errNotLetIn) || strings.Contains(err.Error(), forbiddenAdvice):
		return err
	case token == nil:
		return fmt.Errorf("%w; put one into a file and give --token-file FILE", err)
	}
	return fmt.Errorf("%w; write a new one into %s (starling token inspect, with the server's settings, says what is wrong with a token)", err, token.path)
}

// forbiddenAdvice explains answers of 403.
const forbiddenAdvice = "403 means that the token does not allow it. Loading needs create and update of every type, not limited to a patient: " +
	"the scope system/*.cu or user/*.cu, with s too where bundles have conditional requests"

// crossesNetwork reports whether a token sent to a URL could be read on its way.
func crossesNetwork(base *url.URL) bool {
	return base.Scheme == "http" && !isLoopbackHost(base.Hostname())
}
