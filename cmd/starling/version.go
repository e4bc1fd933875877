package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and commit are set by the linker (see Makefile). A binary made by go
// install has them from the module and the repository instead.
var version, commit string

// build says what this binary was built from.
type build struct {
	Version, Commit, Go string
}

// thisBuild returns the build of the running binary; what is not known is
// "unknown".
func thisBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		if b.Version == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
		for _, setting := range info.Settings {
			if b.Commit == "" && setting.Key == "vcs.revision" {
				b.Commit = setting.Value
			}
		}
	}
	if b.Version == "" {
		b.Version = "unknown"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	return b
}

type versionCmd struct{}

// Run prints one line: version, commit, Go version, operating system and
// processor.
func (*versionCmd) Run(m *Main) error {
	b := thisBuild()
	_, err := fmt.Fprintf(m.Stdout, "starling %s (commit %s, %s, %s/%s)\n", b.Version, b.Commit, b.Go, runtime.GOOS, runtime.GOARCH)
	return err
}
