// Command starling is a FHIR R4 server that answers CDS Hooks calls with
// pharmacogenomic advice, and the tools around it.
//
// Every subcommand is a file: serve.go, demo.go, load.go, vcf.go, knowledge.go, migrate.go,
// check.go, token.go, ping.go, config.go, version.go. Start with [Main.Run]; serve.go wires the server together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// Exit codes. docs/reference/cli.md documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartly      = 3 // some of the work was refused
	exitInterrupted = 130
)

// exitError is an error that ends the program with a code of its own.
type exitError struct {
	code int
	err  error // nil: everything was said already
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError says that the caller asked for something that cannot be done as
// asked; the program ends with exitUsage.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// Main is the program with everything it takes from the outside.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env looks up an environment variable, as os.LookupEnv does.
	Env func(name string) (string, bool)
	// Now is the clock.
	Now func() time.Time
	// Started, if set, is called with the address of a server once it listens.
	Started func(addr string)
}

// cli is the command line. A subcommand's Run gets *Main and the context.
type cli struct {
	Serve     serveCmd     `cmd:"" help:"Serve the FHIR API and the CDS Hooks services."`
	Demo      demoCmd      `cmd:"" help:"Serve the example patients, show a medication card, and keep serving."`
	Load      loadCmd      `cmd:"" help:"Load bundles, resources and NDJSON files into a running server."`
	VCF       vcfCmd       `cmd:"" name:"vcf" help:"Call a patient's star alleles from a VCF file, and write it into a running server."`
	Knowledge knowledgeCmd `cmd:"" help:"Look after the genes, guidelines and drugs that advice is made from."`
	Migrate   migrateCmd   `cmd:"" help:"Copy a store into another one, of its own kind or the other, with all history."`
	Check     checkCmd     `cmd:"" help:"Check a store, and mend what can be made anew."`
	Token     tokenCmd     `cmd:"" help:"Look at the tokens that a server is sent."`
	Ping      pingCmd      `cmd:"" help:"Ask a running server whether it is ready."`
	Config    configCmd    `cmd:"" help:"Print the settings that serve would run with, and what it would refuse of them."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// helpAsked carries an exit out of kong's parser, which prints help and then
// calls its exit function.
type helpAsked struct{ code int }

// Run runs the program with arguments (without the program's name) until it is
// done or ctx ends, and returns the exit code.
func (m *Main) Run(ctx context.Context, args []string) (code int) {
	var commands cli
	source := newSettingSource(m.Env)
	parser, err := m.parser(&commands, source)
	if err != nil {
		fmt.Fprintln(m.Stderr, "starling:", err)
		return exitFailed
	}
	defer func() {
		if asked, ok := recover().(helpAsked); ok {
			code = asked.code
		}
	}()
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(m.Stderr, "starling:", source.explain(withoutToken(args, err)))
		fmt.Fprintln(m.Stderr, "starling help lists the commands; starling help COMMAND their flags.")
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(m)
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(m.Stderr, "starling:", exit.err)
		}
		return exit.code
	default:
		fmt.Fprintln(m.Stderr, "starling:", err)
		return exitFailed
	}
}

// parser makes kong's parser of a command line.
func (m *Main) parser(commands *cli, source *settingSource) (*kong.Kong, error) {
	parser, err := kong.New(commands,
		kong.Name("starling"),
		kong.Description("A FHIR R4 server that answers CDS Hooks calls with pharmacogenomic advice. Not a medical device.\n\n"+
			"Settings come from flags, STARLING_* variables, the file of --config, and defaults, in this order."),
		kong.Writers(m.Stdout, m.Stderr),
		kong.Exit(func(code int) { panic(helpAsked{code}) }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpWithEnv),
		kong.ExplicitGroups(settingGroups()),
		kong.Resolvers(source),
		kong.Bind(source),
	)
	if err != nil {
		return nil, err
	}
	hideSettings(parser.Model.Node)
	return parser, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	m := &Main{
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Env:    os.LookupEnv,
		Now:    time.Now,
	}
	os.Exit(m.Run(ctx, os.Args[1:]))
}
