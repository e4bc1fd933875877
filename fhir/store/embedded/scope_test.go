package embedded

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// accessTo is what a patient's app may see.
func accessTo(tb testing.TB, patient string) search.Access {
	tb.Helper()
	registry, err := search.NewRegistry()
	if err != nil {
		tb.Fatal(err)
	}
	return registry.Access(search.Grant{Type: "*", Rights: search.CanRead | search.CanSearch, Patient: patient})
}

// concerning is an observation of a patient's.
func concerning(patient, id, text string) store.Change {
	c := textChange("Observation", id, text)
	c.Patients = []string{patient}
	c.Entries = append(c.Entries, inRecord(patient), search.Entry{Param: "patient", Value: []byte(benchReference(patient))})
	return c
}

func pastOf(t *testing.T, s *Store, h store.HistoryQuery) []string {
	t.Helper()
	h.Count = 100
	page, err := s.History(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, res := range page.Resources {
		out = append(out, fmt.Sprintf("%s@%d %v", res.Key, res.Version, res.Patients))
	}
	return out
}

// TestAFolderOfFormat1IsBroughtUpToDate makes a folder as format 1 was: without
// records, and with deletions that are in no compartments.
func TestAFolderOfFormat1IsBroughtUpToDate(t *testing.T) {
	for _, test := range []struct {
		name    string
		indexer store.Indexer
		want    string // compartment of what was written for a
	}{
		{"without an indexer", nil, "a"},
		{"with the same definitions", textIndexer{"1"}, "of-1"},
		{"with other definitions", textIndexer{"2"}, "of-2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := vfs.NewMem()
			clock := newTestClock()
			opts := Options{FS: fs, Clock: clock.now}
			if test.indexer != nil {
				opts.Indexer = textIndexer{"1"}
			}
			s := mustOpen(t, opts)
			write := func(changes ...store.Change) {
				for i := range changes {
					if test.indexer != nil && changes[i].Method != fhir.Delete {
						changes[i] = textChange(changes[i].Key.Type, changes[i].Key.ID, "w")
					}
				}
				mustWrite(t, s, changes...)
			}
			gone := store.Change{Key: fhir.Key{Type: "Observation", ID: "gone"}, Method: fhir.Delete}
			var many []store.Change
			for i := range rebuildChunk - 2 { // the deletion is the last of a chunk
				many = append(many, concerning("b", fmt.Sprint(i), "w"))
			}
			write(many...)
			write(concerning("a", "one", "w"), concerning("a", "gone", "w"))
			write(gone)
			mustCheck(t, s)
			downgrade(t, s, gone.Key)
			mustClose(t, s)
			file, err := fs.Create("/store/"+markerName, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(file, "%s\nformat 1\n", markerTitle); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}

			opts.Indexer = test.indexer
			for range 2 { // the second time there is nothing to do
				s = mustOpen(t, opts)
				mustCheck(t, s)
				h := store.HistoryQuery{Type: "Observation", ID: "gone", Scope: accessTo(t, test.want).Scope(search.CanRead)}
				want := []string{"Observation/gone@2 [" + test.want + "]", "Observation/gone@1 [" + test.want + "]"}
				if got := pastOf(t, s, h); !slices.Equal(got, want) {
					t.Errorf("%v, want %v", got, want)
				}
				if h.ID = ""; test.indexer == nil {
					want = append([]string{"Observation/one@1 [a]"}, want...)
					if got := pastOf(t, s, h); !slices.Equal(got, want) {
						t.Errorf("history of the type: %v, want %v", got, want)
					}
				}
				mustClose(t, s)
				marker, err := fs.Open("/store/" + markerName)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(marker)
				if err != nil || string(text) != fmt.Sprintf("%s\nformat %d\n", markerTitle, format) {
					t.Errorf("the marker is %q (%v)", text, err)
				}
				opts.OnRebuild = func(int64, int64) { t.Error("rebuilt without need") }
			}
		})
	}
}

// downgrade takes away what format 1 did not have.
func downgrade(t *testing.T, s *Store, deleted fhir.Key) {
	t.Helper()
	typ, _ := s.types.number(deleted.Type)
	h, err := findHead(s.db, typ, deleted.ID)
	if err != nil {
		t.Fatal(err)
	}
	key := versionKey(nil, h.doc, h.version)
	value, err := get(s.db, key)
	if err != nil {
		t.Fatal(err)
	}
	row, err := parseVersion(value)
	if err != nil || row.method != fhir.Delete || len(row.patients) == 0 {
		t.Fatalf("%+v, %v", row, err)
	}
	row.patients = nil
	if err := s.db.Set(key, row.append(nil), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.db.DeleteRange([]byte{tableRecord}, []byte{tableRecord + 1}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
}

// TestWhetherASortIsTooCostlyDependsOnOwnResources: a walk along the index of
// everybody's could answer what sorting the own ones may not.
func TestWhetherASortIsTooCostlyDependsOnOwnResources(t *testing.T) {
	for _, others := range []int{0, 50} {
		s := mustOpen(t, Options{FS: vfs.NewMem(), MaxCandidates: 10})
		s.tuning.sortGather = 2
		for i := range others {
			mustWrite(t, s, concerning("b", fmt.Sprintf("b%d", i), "w"))
		}
		q := search.Query{Types: []string{"Observation"}, Count: 2, Sort: []search.Sort{{Param: "word1"}}}
		q = accessTo(t, "a").Narrow(q)
		for i := range 11 {
			_, err := s.Search(t.Context(), q)
			if err != nil {
				t.Errorf("%d of others, sorting %d: %v", others, i, err)
			}
			mustWrite(t, s, concerning("a", fmt.Sprintf("a%d", i), "w"))
		}
		if _, err := s.Search(t.Context(), q); fhir.KindOf(err) != fhir.TooCostly {
			t.Errorf("%d of others, sorting 11: %v, want TooCostly", others, err)
		}
		mustClose(t, s)
	}
}

// TestNoResourceLeavesThatItsVersionHides: should the index ever say otherwise
// than the version, the version counts.
func TestNoResourceLeavesThatItsVersionHides(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem()})
	wrong := concerning("a", "1", "w")
	wrong.Patients = []string{"b"}
	mustWrite(t, s, wrong)
	q := accessTo(t, "a").Narrow(search.Query{Types: []string{"Observation"}, Count: 9})
	if page, err := s.Search(t.Context(), q); err == nil || fhir.KindOf(err) != fhir.Unavailable {
		t.Errorf("%+v, %v, want an error", page, err)
	}
	q.Where = []search.Clause{one("patient", benchReference("a"))}
	if page, err := s.Search(t.Context(), q); err != nil || len(page.Resources) > 0 {
		t.Errorf("%+v, %v, want nothing", page, err)
	}
}

func TestAQueryThatNamesItsPatientIsVerifiedLast(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem()})
	for i := range 20 {
		mustWrite(t, s, concerning("a", fmt.Sprintf("a%d", i), fmt.Sprintf("half%d", i%2)), concerning("b", fmt.Sprintf("b%d", i), "half1"))
		other := concerning("a", fmt.Sprintf("moved%d", i), "half1")
		other.Patients = []string{"b"} // refers to a, and is not in its compartment
		other.Entries = slices.DeleteFunc(other.Entries, func(e search.Entry) bool { return e.Param == inRecord("a").Param })
		mustWrite(t, s, other)
	}
	half := one("word1", "half1")
	named := one("patient", benchReference("a"))
	for _, test := range []struct {
		name  string
		where []search.Clause
		want  string
		total int64
	}{
		{"a value of everybody's", []search.Clause{half}, "Observation: _compartment=drive(60) word1=join(60)", 10},
		{"the patient", []search.Clause{named}, "Observation: patient=drive(60) _compartment=last(60)", 20},
		{"the patient and a value", []search.Clause{half, named}, "Observation: word1=drive(60) patient=join(60) _compartment=last(60)", 10},
		{"nothing", []search.Clause{named, one("unheard-of", "x")}, "Observation: unheard-of=none(0)", 0},
	} {
		for _, count := range []int{0, 1, 3, 100} {
			for _, sort := range [][]search.Sort{nil, {{Param: "word1"}}} {
				q := accessTo(t, "a").Narrow(search.Query{Types: []string{"Observation"}, Where: test.where, Sort: sort, Count: count})
				w := s.walk(&view{ctx: t.Context(), r: s.db, t: s.visible.Load().t}, q, place{})
				c := w.candidates("Observation", forth)
				if got := c.plan.String(); got != test.want {
					t.Errorf("%s: plan %q, want %q", test.name, got, test.want)
				}
				if err := w.v.close(); err != nil {
					t.Fatal(err)
				}
				seen, total := 0, int64(-1)
				for q.Cursor = "x"; q.Cursor != ""; {
					if q.Cursor == "x" {
						q.Cursor = ""
					}
					page, err := s.Search(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					seen, total, q.Cursor = seen+len(page.Resources), page.Total, page.Next
				}
				if total != test.total || count > 0 && int64(seen) != test.total {
					t.Errorf("%s in pages of %d: %d found, total %d, want %d", test.name, count, seen, total, test.total)
				}
			}
		}
	}
}

// TestCursorsTellNothing: the place of a page is neither to be read out of its
// cursor nor to be recognised in it.
func TestCursorsTellNothing(t *testing.T) {
	s := mustOpen(t, Options{FS: vfs.NewMem(), Clock: newTestClock().now})
	p := place{t: 0x1122334455, issued: s.opts.Clock().UnixMilli(), total: 0x6677, typ: 7, doc: 0x99}
	seen := map[string]bool{}
	for range 50 {
		cursor, err := s.sealPlace("q", p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i+8 <= len(b); i++ {
			if seen[string(b[i:i+8])] {
				t.Fatal("two cursors have a piece in common")
			}
			seen[string(b[i:i+8])] = true
		}
		if got, err := s.openPlace(cursor, "q"); err != nil || got != p {
			t.Fatalf("%+v (%v), want %+v", got, err, p)
		}
		// One text for each cursor.
		if _, err := s.openPlace(cursor+"=", "q"); fhir.KindOf(err) != fhir.Invalid {
			t.Errorf("with padding: %v", err)
		}
	}
	// A cursor as mark 1 was: signed only.
	for _, size := range []int{20, 30, base64.RawURLEncoding.DecodedLen(s.cursors().Len())} {
		old := make([]byte, size)
		old[0] = 1
		if _, err := s.openPlace(base64.RawURLEncoding.EncodeToString(old), "q"); fhir.KindOf(err) != fhir.Invalid {
			t.Errorf("an old cursor: %v", err)
		}
	}
}

// TestARebuildEndsAllPages, whether or not anything was written after them.
func TestARebuildEndsAllPages(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, Options{FS: fs, Indexer: textIndexer{"1"}})
	mustWrite(t, s, textChange("Patient", "1", "w"), textChange("Patient", "2", "w"))
	page, err := s.Search(t.Context(), patients(1, ""))
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = mustOpen(t, Options{FS: fs, Indexer: textIndexer{"2"}})
	if _, err := s.Search(t.Context(), patients(1, page.Next)); fhir.KindOf(err) != fhir.Expired {
		t.Errorf("a page from before the rebuild: %v, want Expired", err)
	}
	if page, err = s.Search(t.Context(), patients(1, "")); err != nil {
		t.Fatal(err)
	}
	if page, err = s.Search(t.Context(), patients(1, page.Next)); err != nil || len(page.Resources) != 1 {
		t.Errorf("a page from after it: %v, %v", page, err)
	}
	mustCheck(t, s)
}
