package main

import (
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"

	"github.com/starling-fhir/starling/internal/golden"
)

// TestStatic: the program needs no loader and no library, so it runs in an
// image that has neither.
func TestStatic(t *testing.T) {
	file, err := elf.Open(built(t, release))
	if err != nil {
		t.Skipf("not an ELF system: %v", err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a part %v", part.Type)
		}
	}
	if libraries, err := file.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("the program needs %v", libraries)
	}
}

// TestDockerfile checks what the image promises.
func TestDockerfile(t *testing.T) {
	text := read(t, "Dockerfile")
	for _, want := range []string{
		`(?m)^ARG BASE_IMAGE=gcr\.io/distroless/static-debian\d+:nonroot$`,
		`(?m)^FROM --platform=\$BUILDPLATFORM \$\{GO_IMAGE\} AS build$`,
		`(?m)^FROM \$\{BASE_IMAGE\}$`,
		`(?m)^ENV CGO_ENABLED=0$`,
		`-trimpath`,
		`(?m)^USER 65532:65532$`,
		`(?m)^VOLUME /data$`,
		`--chown=65532:65532 /out/data /data`,
		`(?m)^ENTRYPOINT \["/starling"\]$`,
		`(?m)^HEALTHCHECK .*CMD \["/starling", "ping"\]$`,
		`org\.opencontainers\.image\.licenses="Apache-2\.0"`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("Dockerfile has nothing like %s", want)
		}
	}
	if strings.Contains(text, ":latest") {
		t.Error("Dockerfile names a :latest image")
	}
	final := text[strings.LastIndex(text, "\nFROM "):]
	if strings.Contains(final, "\nRUN ") {
		t.Error("the final stage has no shell to RUN anything with")
	}
	mod := read(t, "go.mod")
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(mod)[1]
	if !strings.Contains(text, "golang:"+version+"-") {
		t.Errorf("Dockerfile does not build with Go %s, which go.mod asks for", version)
	}
}

// TestCompose: the port of a server without authentication is published on
// loopback only, and the container can write nowhere but to its volume.
func TestCompose(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Ports       []string          `yaml:"ports"`
			ReadOnly    bool              `yaml:"read_only"`
			CapDrop     []string          `yaml:"cap_drop"`
			SecurityOpt []string          `yaml:"security_opt"`
			Environment map[string]string `yaml:"environment"`
			Image       string            `yaml:"image"`
		} `yaml:"services"`
		Volumes map[string]any `yaml:"volumes"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) == 0 {
		t.Fatal("no services")
	}
	for name, service := range file.Services {
		if len(service.Ports) == 0 {
			t.Errorf("%s publishes nothing", name)
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s, not on 127.0.0.1", name, port)
			}
		}
		if !service.ReadOnly || !slices.Contains(service.CapDrop, "ALL") || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do more than it needs", name)
		}
		for variable := range service.Environment {
			known := slices.ContainsFunc(commandFlags(t, "serve"), func(flag *kong.Flag) bool { return isSetting(flag) && envName(flag.Name) == variable })
			if !known {
				t.Errorf("%s sets %s, which is no setting", name, variable)
			}
		}
	}
	settings := goodSettings()
	environment := file.Services["starling"].Environment
	settings.Listen, settings.BaseURL, settings.InsecureListenAny = environment["STARLING_LISTEN"], environment["STARLING_BASE_URL"], environment["STARLING_INSECURE_LISTEN_ANY"] == "true"
	if err := settings.check(); err != nil {
		t.Errorf("the server would not start: %v", err)
	}
}

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden.Root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
