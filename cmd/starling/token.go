package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/starling-fhir/starling/auth"
	"github.com/starling-fhir/starling/fhir/search"
)

type tokenCmd struct {
	Inspect tokenInspectCmd `cmd:"" help:"Say which checks a token passes, and what it allows."`
}

type tokenInspectCmd struct {
	ConfigFile string `name:"config" placeholder:"FILE" help:"YAML file with the settings of the server ($STARLING_CONFIG)."`
	Hook       bool   `help:"The token is that of a CDS Hooks client: check it against --hook-clients."`
	Called     string `placeholder:"URL" help:"With --hook: the address the client calls, which its aud must name. Default: any of this server's CDS Hooks addresses."`
	Settings   `embed:""`
}

// BeforeResolve reads the settings file.
func (*tokenInspectCmd) BeforeResolve(ctx *kong.Context, source *settingSource) error {
	return source.load(ctx)
}

// Help is printed below the flags.
func (*tokenInspectCmd) Help() string {
	return `Examples:

  starling token inspect --config /etc/starling/settings.yaml < token
  starling token inspect --hook --config /etc/starling/settings.yaml < client.jwt

The token is read from standard input, alone or behind the word Bearer; it is never printed, and neither is whom it names. All settings of serve are taken; those that do not matter here are not listed. The provider's keys are fetched as serve would.
Exit codes: 0 the server would take it, 1 it would not, 2 usage.`
}

// tokenSettings are the settings that decide about tokens.
func tokenSettings() []string {
	return []string{"base-url", "issuer", "audience", "token-algorithm", "clock-skew", "patient-claim", "hook-clients"}
}

// hideSettings keeps the help of token inspect short: it takes all settings, so
// that it can read the server's file, and shows those that matter.
func hideSettings(node *kong.Node) {
	for _, flag := range node.Flags {
		if node.Name == "inspect" && isSetting(flag) && !slices.Contains(tokenSettings(), flag.Name) {
			flag.Hidden = true
		}
	}
	for _, child := range node.Children {
		hideSettings(child)
	}
}

// Run prints the checks and returns nil only if the server would take the token.
func (t *tokenInspectCmd) Run(ctx context.Context, m *Main) error {
	if err := t.check(); err != nil {
		return err
	}
	token, err := readTokenInput(m.Stdin)
	if err != nil {
		return err
	}
	var report auth.Report
	if t.Hook {
		report, err = t.inspectHook(ctx, m, token)
	} else {
		report, err = t.inspect(ctx, m, token)
	}
	if err != nil {
		return err
	}
	page := inspection{Writer: m.Stdout, good: "ok  ", bad: "FAIL", skipped: "-   "}
	if isTerminal(m.Stdout) {
		page.good, page.bad, page.skipped = "✓", "✗", "-"
	}
	if !page.print(report, t.Hook) {
		return &exitError{code: exitFailed}
	}
	return nil
}

// errTokenOnLine stands for an error that would repeat a token.
var errTokenOnLine = errors.New("token inspect reads the token from standard input. " +
	"On a command line every program of this machine can see it, and the shell remembers it: get a new one")

// withoutToken replaces an error about a command line that may quote a token.
func withoutToken(args []string, err error) error {
	if len(args) > 0 && args[0] == "token" && strings.HasPrefix(err.Error(), "unexpected argument") {
		return errTokenOnLine
	}
	return err
}

// check finds settings by which no token can be looked at.
func (t *tokenInspectCmd) check() error {
	switch {
	case t.InsecureNoAuth:
		return usageError("with --insecure-no-auth the server looks at no token: leave it out, and give the settings that ask for tokens")
	case t.Hook && t.HookClients == "":
		return usageError("--hook needs --hook-clients, the file of the CDS Hooks clients, or --config with it")
	case t.Called != "" && !t.Hook:
		return usageError("--called belongs to --hook")
	case t.Hook:
		return nil
	case len(t.Issuer) == 0 && len(t.Audience) == 0:
		return usageError("token inspect needs the settings of the server: --config FILE, or --issuer and --audience")
	}
	return t.checkAccess()
}

// inspect checks a bearer token of an OpenID provider.
func (t *tokenInspectCmd) inspect(ctx context.Context, m *Main, token string) (auth.Report, error) {
	base, err := t.base()
	if err != nil {
		return auth.Report{}, err
	}
	registry, err := search.NewRegistry()
	if err != nil {
		return auth.Report{}, err
	}
	verifier, err := auth.New(t.tokenConfig(registry.WithBase(base), base, m.Now, quiet()))
	if err != nil {
		return auth.Report{}, usageError("%w", err)
	}
	return verifier.Inspect(ctx, token), nil
}

// inspectHook checks the token of a CDS client.
func (t *tokenInspectCmd) inspectHook(ctx context.Context, m *Main, token string) (auth.Report, error) {
	base, err := t.base()
	if err != nil {
		return auth.Report{}, err
	}
	clients, err := readHookClients(t.HookClients)
	if err != nil {
		return auth.Report{}, err
	}
	hooks, err := auth.NewHooks(t.hookConfig(clients, base, m.Now, quiet()))
	if err != nil {
		return auth.Report{}, usageError("%w", err)
	}
	called := t.Called
	if called != "" {
		if u, err := url.Parse(called); err != nil || u.Host == "" {
			return auth.Report{}, usageError("--called %q is not a URL such as https://cds.example.org/cds-services", mask(called))
		}
	}
	return hooks.Inspect(ctx, token, called), nil
}

// base is the FHIR base URL that a server with these settings has.
func (t *tokenInspectCmd) base() (string, error) {
	if t.BaseURL != "" {
		return t.BaseURL, nil
	}
	root, err := reachableURL(t.Listen)
	if err != nil {
		return "", usageError("%q is not an address such as %s: %w", t.Listen, defaultListen, err)
	}
	return root + fhirPath, nil
}

// quiet is the log of what says in its report all there is to say.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// readTokenInput reads the token from standard input.
func readTokenInput(in io.Reader) (string, error) {
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return "", usageError("the token is read from standard input: starling token inspect < FILE, or PROGRAM | starling token inspect; typed here it would stay on the screen")
	}
	token, err := readToken(in)
	if err != nil {
		return "", usageError("standard input %w; pipe a token into it", err)
	}
	return token, nil
}

// inspection prints a report.
type inspection struct {
	io.Writer
	good, bad, skipped string
}

// print prints a report and returns whether the server would take the token.
func (p inspection) print(report auth.Report, hook bool) bool {
	width := 0
	for _, check := range report.Checks {
		width = max(width, len(check.Name))
	}
	for _, check := range report.Checks {
		mark := p.bad
		switch {
		case check.Skipped:
			mark = p.skipped
		case check.OK:
			mark = p.good
		}
		fmt.Fprintln(p, strings.TrimRight(fmt.Sprintf("%s %-*s  %s", mark, width, check.Name, printable(check.Detail)), " "))
	}
	for _, scope := range report.Granted {
		fmt.Fprintf(p, "%s %s: %s\n", p.good, printable(scope.Text), printable(scope.Meaning))
	}
	for _, scope := range report.Ignored {
		fmt.Fprintf(p, "%s %s: grants nothing: %s\n", p.skipped, printable(scope.Text), printable(scope.Reason))
	}
	switch {
	case keysMissing(report):
		fmt.Fprintln(p, "The server cannot tell whether this token is good: it answers 503 until it gets the keys.\n"+
			"If it is the way there: a proxy is named by HTTPS_PROXY, a certificate authority of your own by SSL_CERT_FILE.")
		return false
	case !report.OK():
		fmt.Fprintln(p, "The server does not take this token.")
		return false
	case hook:
		fmt.Fprintln(p, "The server takes this token, once.")
		return true
	}
	fmt.Fprintln(p, "The server takes this token.")
	return true
}

// keysMissing reports whether the keys could not be had and nothing else is
// wrong.
func keysMissing(report auth.Report) bool {
	missing := false
	for _, check := range report.Checks {
		if !check.OK && !check.Skipped && check.Name != "keys" {
			return false
		}
		missing = missing || check.Name == "keys" && !check.OK
	}
	return missing
}

// printable leaves out what a terminal would not print but obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
}
