package pgx

import (
	"errors"
	"io/fs"
)

// ManifestFile is the name of a folder's manifest. The knowledge that the server
// is built with has none.
const ManifestFile = "manifest.json"

// Manifest names an edition of a folder of knowledge and lists its files. Who
// checks the list, and a signature of it, is not known here.
type Manifest struct {
	Version string            `json:"version"`
	Files   map[string]string `json:"files"` // path -> SHA-256, in hexadecimal
}

// readManifest reads a folder's manifest; the zero Manifest if it has none.
func readManifest(fsys fs.FS) (Manifest, error) {
	var m Manifest
	err := readJSON(fsys, ManifestFile, &m)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Manifest{}, nil
	case err == nil && m.Version == "":
		return m, errors.New(ManifestFile + ": version is missing")
	}
	return m, err
}
