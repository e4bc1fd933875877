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

// composeFile is what the tests look at of a compose file.
type composeFile struct {
	Services map[string]struct {
		Ports       []string          `yaml:"ports"`
		ReadOnly    bool              `yaml:"read_only"`
		CapDrop     []string          `yaml:"cap_drop"`
		SecurityOpt []string          `yaml:"security_opt"`
		Environment map[string]string `yaml:"environment"`
		Image       string            `yaml:"image"`
		Command     []string          `yaml:"command"`
		Profiles    []string          `yaml:"profiles"`
		DependsOn   map[string]any    `yaml:"depends_on"`
		Volumes     []string          `yaml:"volumes"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

// TestCompose: the port of a server without authentication is published on
// loopback only, a database is not published at all, and no container can write
// anywhere but to its volumes.
func TestCompose(t *testing.T) {
	for _, name := range []string{"deploy/compose.yaml", "deploy/compose.sharded.yaml"} {
		t.Run(name, func(t *testing.T) { checkCompose(t, name) })
	}
}

func checkCompose(t *testing.T, name string) {
	var file composeFile
	if err := yaml.Unmarshal([]byte(read(t, name)), &file); err != nil {
		t.Fatal(err)
	}
	ours := 0
	for name, service := range file.Services {
		if !service.ReadOnly || !slices.Contains(service.CapDrop, "ALL") || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do more than it needs", name)
		}
		for other := range service.DependsOn {
			if _, there := file.Services[other]; !there {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, named := file.Volumes[source]; !named && !strings.HasPrefix(source, "./") {
				t.Errorf("%s uses the volume %s, which is not there", name, source)
			}
		}
		if !strings.HasPrefix(service.Image, "starling:") {
			if len(service.Ports) > 0 || !regexp.MustCompile(`^mongo:\d+\.\d+$`).MatchString(service.Image) {
				t.Errorf("%s, a database without a password, publishes %v, or its version is open: %s", name, service.Ports, service.Image)
			}
			continue
		}
		ours++
		if len(service.Ports) == 0 {
			t.Errorf("%s publishes nothing", name)
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s, not on 127.0.0.1", name, port)
			}
		}
		for variable := range service.Environment {
			known := slices.ContainsFunc(commandFlags(t, "serve"), func(flag *kong.Flag) bool { return isSetting(flag) && envName(flag.Name) == variable })
			if !known {
				t.Errorf("%s sets %s, which is no setting", name, variable)
			}
		}
		settings, environment := goodSettings(), service.Environment
		settings.Listen, settings.BaseURL, settings.InsecureListenAny = environment["STARLING_LISTEN"], environment["STARLING_BASE_URL"], environment["STARLING_INSECURE_LISTEN_ANY"] == "true"
		settings.Store = environment["STARLING_STORE"]
		if err := settings.check(); err != nil {
			t.Errorf("%s would not start: %v", name, err)
		}
	}
	if ours == 0 {
		t.Error("no server of ours")
	}
}

// TestComposeMongo: what the profile and the sharded example start is what the
// store's URI names.
func TestComposeMongo(t *testing.T) {
	var file composeFile
	if err := yaml.Unmarshal([]byte(read(t, "deploy/compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	database, server := file.Services["mongo"], file.Services["starling-mongo"]
	if !slices.Equal(database.Profiles, []string{"mongo"}) || !slices.Equal(server.Profiles, []string{"mongo"}) {
		t.Error("MongoDB starts without its profile")
	}
	if i := slices.Index(database.Command, "--replSet"); i < 0 || server.Environment["STARLING_STORE"] != "mongodb://mongo:27017/starling?replicaSet="+database.Command[i+1] {
		t.Errorf("the set of %v is not the one of %s", database.Command, server.Environment["STARLING_STORE"])
	}
	script := read(t, "deploy/shard-collections.js")
	for _, collection := range []string{"resources", "history"} {
		// MongoDB makes the index of the key by itself only while the collection is empty.
		index := strings.Index(script, "store."+collection+`.createIndex({ _id: "hashed" });`)
		if shard := strings.Index(script, `sh.shardCollection(database + ".`+collection+`", { _id: "hashed" });`); index < 0 || shard < index {
			t.Errorf("%s is not sharded by its key, with an index of it", collection)
		}
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
