// Package profiles holds what Starling asks of the resources that medication
// cards are made from, as StructureDefinitions: what cds/services reads, and
// what a laboratory must send so that a card can be made.
//
// Start with [Definitions]. The profiles are data: definitions/*.json are
// written by hand and hold the differentials; definitions/snapshots is made
// from them and from R4's own definitions. examples/good and examples/bad show
// each rule kept and broken; docs/reference/profiles.md is made from all of it.
//
// The profiles stand on R4 itself. HL7's Genomics Reporting guide asks for more
// in places, and each profile says to which of the guide's it corresponds
// (mapping); one resource can meet both. The guide's profiles are not named as
// baseDefinition, because then nothing could be checked without the guide.
//
// It knows neither store nor HTTP: cmd/starling installs the definitions.
package profiles

import (
	"embed"
	"fmt"
	"io/fs"
	"path"

	"github.com/starling-fhir/starling/fhir/resource"
)

//go:generate go run definitions/generate.go -package package

//go:embed definitions/*.json definitions/snapshots/*.json
var files embed.FS

// Base is what the canonical URLs of our profiles start with; the id follows.
// It names them and need not lead anywhere.
// https://hl7.org/fhir/R4/references.html#canonical
const Base = "https://starling-fhir.github.io/fhir/StructureDefinition/"

// Definition is one profile.
type Definition struct {
	ID      string // of the StructureDefinition, such as "starling-genotype"
	URL     string // canonical, without version
	Version string
	Type    string // the resource type it is for
	Title   string
	// JSON is the StructureDefinition, snapshot and differential included.
	JSON []byte
}

// Definitions returns the profiles in the order of their ids. Each call returns
// fresh ones. It fails only if the embedded files are broken.
func Definitions() ([]Definition, error) { return definitionsOf(files) }

func definitionsOf(fsys fs.FS) ([]Definition, error) {
	names, err := fs.Glob(fsys, "definitions/*.json")
	if err != nil {
		return nil, err
	}
	list := make([]Definition, 0, len(names))
	for _, name := range names {
		d, err := read(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, d)
	}
	return list, nil
}

// read joins one definition with its snapshot.
func read(fsys fs.FS, name string) (Definition, error) {
	root, err := decode(fsys, name)
	if err != nil {
		return Definition{}, err
	}
	d := Definition{ID: root.Str("id"), URL: root.Str("url"), Version: root.Str("version"), Type: root.Str("type"), Title: root.Str("title")}
	switch {
	case d.ID+".json" != path.Base(name):
		return Definition{}, fmt.Errorf("its id is %q", d.ID)
	case d.URL != Base+d.ID:
		return Definition{}, fmt.Errorf("its url is %q, want %q", d.URL, Base+d.ID)
	case !resource.KnownType(d.Type):
		return Definition{}, fmt.Errorf("%q is no resource type", d.Type)
	}
	snapshot, err := decode(fsys, path.Join("definitions/snapshots", path.Base(name)))
	if err != nil {
		return Definition{}, err
	}
	root.Set("snapshot", *snapshot)
	d.JSON = root.JSON()
	return d, nil
}

func decode(fsys fs.FS, name string) (*resource.Node, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	return resource.Decode(data)
}

// Supported lists the canonical URLs of the profiles by resource type, for the
// CapabilityStatement's supportedProfile.
// https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.resource.supportedProfile
func Supported() (map[string][]string, error) {
	list, err := Definitions()
	if err != nil {
		return nil, err
	}
	supported := map[string][]string{}
	for _, d := range list {
		supported[d.Type] = append(supported[d.Type], d.URL)
	}
	return supported, nil
}
