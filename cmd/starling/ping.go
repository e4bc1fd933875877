package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type pingCmd struct {
	URL     string        `help:"The server's address; /readyz is asked. Default: the address of --listen, that is STARLING_LISTEN or 127.0.0.1:8080." placeholder:"URL"`
	Timeout time.Duration `help:"How long to wait for the answer." default:"2s"`
}

// Run asks /readyz. It needs no shell, so a container's health check can run it.
func (p *pingCmd) Run(ctx context.Context, m *Main) error {
	base := p.URL
	if base == "" {
		listen, ok := m.Env(envName("listen"))
		if !ok || listen == "" {
			listen = defaultListen
		}
		var err error
		if base, err = reachableURL(listen); err != nil {
			return usageError("%s=%q: %w", envName("listen"), listen, err)
		}
	}
	target, err := url.Parse(base)
	if err != nil || target.Host == "" {
		return usageError("--url %q is not a URL such as http://127.0.0.1:8080", base)
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath("readyz").String(), nil)
	if err != nil {
		return usageError("--url: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("no whole answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(text)))
	}
	_, err = fmt.Fprint(m.Stdout, string(text))
	return err
}

// reachableURL turns a listen address into a URL a client on this machine can
// use: "0.0.0.0:8080" and ":8080" become http://127.0.0.1:8080.
func reachableURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
