package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
)

// A store's folder holds a marker, which tells people and programs what it is,
// and the database in a folder of its own.
const (
	markerName   = "STARLING"
	markerTitle  = "Starling embedded store. Do not change files in this folder."
	databaseName = "db"
	// format is the number of the layout in the package comment. It grows
	// when older programs could not read, or would spoil, what newer ones
	// write. upgrade says what has changed.
	format = 3
)

func databaseFolder(fs vfs.FS, dir string) string { return fs.PathJoin(dir, databaseName) }

// claimFolder makes sure that a folder is a store of ours, making it if there
// is nothing yet, and locks it.
func claimFolder(fs vfs.FS, dir string) (*pebble.Lock, error) {
	fresh, err := inspectFolder(fs, dir)
	if err != nil {
		return nil, err
	}
	if err := fs.MkdirAll(databaseFolder(fs, dir), 0o700); err != nil {
		return nil, fhir.Wrap(fhir.Unavailable, err, "the folder %s cannot be made", dir)
	}
	lock, err := pebble.LockDirectory(databaseFolder(fs, dir), fs)
	if err != nil {
		return nil, fhir.Wrap(fhir.Unavailable, err, "the store in %s is already in use by another process", dir)
	}
	if fresh {
		if err := writeMarker(fs, dir); err != nil {
			return nil, errors.Join(fhir.Wrap(fhir.Unavailable, err, "the folder %s cannot be written to", dir), lock.Close())
		}
	}
	return lock, nil
}

// inspectFolder reports whether a folder is absent or empty, so that a store
// can be made there. The error says why a folder that is neither that nor a
// store of ours is refused.
func inspectFolder(fs vfs.FS, dir string) (fresh bool, err error) {
	info, err := fs.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fhir.Wrap(fhir.Unavailable, err, "the folder %s cannot be read", dir)
	}
	if !info.IsDir() {
		return false, fhir.Errorf(fhir.Invalid, "%s is a file; a store needs a folder", dir)
	}
	marker, err := readFile(fs, fs.PathJoin(dir, markerName))
	if err == nil {
		_, err = checkMarker(dir, marker)
		return false, err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return false, fhir.Wrap(fhir.Unavailable, err, "the folder %s cannot be read", dir)
	}
	names, err := fs.List(dir)
	if err != nil {
		return false, fhir.Wrap(fhir.Unavailable, err, "the folder %s cannot be read", dir)
	}
	for _, name := range names {
		switch name {
		case "lost+found", markerName + ".new": // of the file system; of a crash while the folder was made
		case databaseName: // the same, if there is no database in it yet
			inner, err := fs.List(databaseFolder(fs, dir))
			if err != nil || len(inner) > 1 || len(inner) == 1 && inner[0] != "LOCK" {
				return false, notOurs(dir)
			}
		default:
			return false, notOurs(dir)
		}
	}
	return true, nil
}

func notOurs(dir string) error {
	return fhir.Errorf(fhir.Invalid, "the folder %s holds something else, not a Starling store; give an empty or new folder", dir)
}

// folderFormat returns the format of a folder that is a store of ours.
func folderFormat(fs vfs.FS, dir string) (int, error) {
	marker, err := readFile(fs, fs.PathJoin(dir, markerName))
	if err != nil {
		return 0, fhir.Wrap(fhir.Unavailable, err, "the folder %s cannot be read", dir)
	}
	return checkMarker(dir, marker)
}

// checkMarker returns the format a marker names, if it is one of ours.
func checkMarker(dir, marker string) (int, error) {
	title, rest, _ := strings.Cut(marker, "\n")
	word, number, _ := strings.Cut(strings.TrimSpace(rest), " ")
	have, err := strconv.Atoi(number)
	switch {
	case title != markerTitle || word != "format" || err != nil || have < 1:
		return 0, notOurs(dir)
	case have > format:
		return 0, fhir.Errorf(fhir.NotSupported,
			"the store in %s has format %d, made by a newer Starling; this one reads formats up to %d", dir, have, format)
	}
	return have, nil
}

// writeMarker writes the marker so that a crash leaves it whole or absent.
func writeMarker(fs vfs.FS, dir string) error {
	path := fs.PathJoin(dir, markerName)
	file, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s\nformat %d\n", markerTitle, format)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return err
	}
	// The folder itself is new too, as far as we know.
	return errors.Join(syncFolder(fs, dir), syncFolder(fs, fs.PathDir(dir)))
}

func syncFolder(fs vfs.FS, dir string) error {
	folder, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func readFile(fs vfs.FS, path string) (string, error) {
	file, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, 4096))
	return string(text), errors.Join(err, file.Close())
}
