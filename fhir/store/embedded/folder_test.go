package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		kind  fhir.Kind
		words string
	}{
		{"a folder of something else", map[string]string{"a/notes.txt": "hello"}, fhir.Invalid, "holds something else"},
		{"a database of something else", map[string]string{"a/db/CURRENT": "x"}, fhir.Invalid, "holds something else"},
		{"a marker of something else", map[string]string{"a/STARLING": "a bird\n"}, fhir.Invalid, "holds something else"},
		{"a newer format", map[string]string{"a/STARLING": markerTitle + "\nformat 4\n"}, fhir.NotSupported, "newer Starling"},
		{"a file", map[string]string{"a": "hello"}, fhir.Invalid, "is a file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Open(filepath.Join(dir, "a"), Options{})
			if err == nil || fhir.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
				t.Errorf("error %v, want kind %d and %q", err, test.kind, test.words)
			}
		})
	}
}

func TestOpenTakesEmptyAndOwnFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		// One process at a time.
		if _, err := Open(dir, Options{}); fhir.KindOf(err) != fhir.Unavailable || !strings.Contains(err.Error(), "already in use") {
			t.Errorf("opening it twice: %v", err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		mustClose(t, s)
	}
}

func TestAFullDiskRefusesWritesAndStillReads(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, Options{FS: fs})
	mustWrite(t, s, textChange("Patient", "1", "a"))
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: minFreeBytes - 1, TotalBytes: 1 << 30})
	s.disk.look()
	_, err := s.Write(t.Context(), []store.Change{textChange("Patient", "2", "a")})
	if fhir.KindOf(err) != fhir.Unavailable || !strings.Contains(err.Error(), "full") {
		t.Errorf("error %v, want Unavailable", err)
	}
	if _, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "1"}); err != nil {
		t.Error(err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: minFreeBytes, TotalBytes: 1 << 30})
	s.disk.look()
	mustWrite(t, s, textChange("Patient", "2", "a"))
}

func TestSortingVeryManyIsTooCostly(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem(), MaxCandidates: 10})
	q := patients(3, "")
	q.Sort = []search.Sort{{Param: "word1"}}
	for i := range 11 {
		if i == 10 {
			if _, err := s.Search(t.Context(), q); err != nil {
				t.Errorf("sorting 10: %v", err)
			}
		}
		mustWrite(t, s, textChange("Patient", fmt.Sprint(i), "a"))
	}
	if _, err := s.Search(t.Context(), q); fhir.KindOf(err) != fhir.TooCostly {
		t.Errorf("sorting 11: %v, want TooCostly", err)
	}
}

func TestStatsAndCompact(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem()})
	mustWrite(t, s, textChange("Patient", "1", "a"), textChange("Patient", "2", "a"), textChange("Device", "1", "a"))
	mustWrite(t, s, store.Change{Key: fhir.Key{Type: "Device", ID: "1"}, Method: fhir.Delete})
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	stats := s.Stats()
	if len(stats.Resources) != 1 || stats.Resources["Patient"] != 2 || stats.Time != 2 || stats.DiskBytes == 0 {
		t.Errorf("stats %+v", stats)
	}
	mustCheck(t, s)
}

// A store that Check finds in order must be told from one that is not.
func TestCheckFindsDamage(t *testing.T) {
	for _, test := range []struct {
		name string
		harm func(s *Store) error
	}{
		{"an index row is missing", func(s *Store) error {
			word, _ := s.params.number("word1")
			return s.db.Delete(indexKey(nil, 1, word, []byte("a"), 1, 1), nil)
		}},
		{"an index row too many", func(s *Store) error {
			return s.db.Set(indexKey(nil, 1, existParam, []byte("x"), 1, 1), nil, nil)
		}},
		{"a version is missing", func(s *Store) error { return s.db.Delete(versionKey(nil, 1, 1), nil) }},
		{"a forward row is missing", func(s *Store) error { return s.db.Delete(forwardKey(nil, 1, 1), nil) }},
		{"a history row is missing", func(s *Store) error {
			return s.db.Delete(historyKey(nil, 1, uint64(s.newest.updated), "1", 1), nil)
		}},
		{"a row of a record is missing", func(s *Store) error {
			return s.db.Delete(recordKey(nil, 1, "1", uint64(s.newest.updated), "1", 1), nil)
		}},
		{"a row of a record too many", func(s *Store) error {
			return s.db.Set(recordKey(nil, 1, "2", uint64(s.newest.updated), "1", 1), nil, nil)
		}},
		{"a version in other compartments than its body gives", func(s *Store) error { return alterVersion(s, 1, 1, "elsewhere") }},
		{"a deletion in other compartments than what it deletes", func(s *Store) error {
			return alterVersion(s, 3, 2, "elsewhere")
		}},
		{"a head is missing", func(s *Store) error { return s.db.Delete(headKey(nil, 1, "1"), nil) }},
		{"a wrong count", func(s *Store) error { s.newest.counts[1]++; return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := mustOpen(t, Options{FS: vfs.NewMem(), Indexer: textIndexer{"1"}, Clock: newTestClock().now})
			mustWrite(t, s, textChange("Patient", "1", "a"), textChange("Patient", "2", "a"), textChange("Patient", "3", "a"))
			mustWrite(t, s, store.Change{Key: fhir.Key{Type: "Patient", ID: "3"}, Method: fhir.Delete})
			mustCheck(t, s)
			if err := test.harm(s); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context()); err == nil {
				t.Error("Check found nothing")
			}
		})
	}
}

// alterVersion puts a version into another compartment, leaving all else.
func alterVersion(s *Store, doc uint64, version int64, patient string) error {
	key := versionKey(nil, doc, version)
	value, err := get(s.db, key)
	if err != nil {
		return err
	}
	row, err := parseVersion(value)
	if err != nil {
		return err
	}
	row.patients = []string{patient}
	return s.db.Set(key, row.append(nil), nil)
}
