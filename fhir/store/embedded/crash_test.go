package embedded

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// The crash tests write under load, stop the store at a random moment without
// warning, open it again and check that every acknowledged write is there,
// that none is there in part, and that all tables agree.
//
// Writer w's write n replaces Patient/w (so its version is n), creates
// Observation/w-n, which requires the patient and the observation before it, and
// deletes Observation/w-(n-3).
const crashWriters = 4

// textIndexer makes an entry of each word behind "text".
type textIndexer struct{ hash string }

func (x textIndexer) Hash() string { return x.hash }

func (x textIndexer) Index(json []byte) ([]search.Entry, []string, error) {
	_, rest, found := bytes.Cut(json, []byte(`"text":"`))
	text, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return nil, nil, errors.New("no text")
	}
	var entries []search.Entry
	for word := range bytes.FieldsSeq(text) {
		entries = append(entries, search.Entry{Param: "word" + x.hash, Value: word})
	}
	return entries, []string{"of-" + x.hash}, nil
}

// textChange makes a change with the entries textIndexer gives.
func textChange(typ, id, text string) store.Change {
	c := store.Change{
		Key:    fhir.Key{Type: typ, ID: id},
		Method: fhir.Update,
		Body: fhir.Body{
			Head: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"meta":{`, typ, id),
			Tail: fmt.Appendf(nil, `},"text":%q}`, text),
		},
	}
	c.Entries, c.Patients, _ = textIndexer{hash: "1"}.Index(c.Body.Stamp(1, c0))
	return c
}

var c0 = fromMillis(0)

func crashWrite(w, n int) []store.Change {
	changes := []store.Change{
		textChange("Patient", strconv.Itoa(w), fmt.Sprintf("w%d n%d", w, n)),
		textChange("Observation", fmt.Sprintf("%d-%d", w, n), fmt.Sprintf("w%d o%d %s", w, n, strings.Repeat("x", n%300))),
	}
	changes[1].Requires = []fhir.Key{changes[0].Key}
	if n > 1 {
		changes[1].Requires = append(changes[1].Requires, fhir.Key{Type: "Observation", ID: fmt.Sprintf("%d-%d", w, n-1)})
	}
	if n > 3 {
		changes = append(changes, store.Change{Key: fhir.Key{Type: "Observation", ID: fmt.Sprintf("%d-%d", w, n-3)}, Method: fhir.Delete})
	}
	return changes
}

// crashWriter writes from where it finds the store, and reports each
// acknowledged write, until it is refused.
func crashWriter(s *Store, w int, acknowledged func(w, n int)) error {
	n := 0
	if res, err := s.Read(context.Background(), fhir.Key{Type: "Patient", ID: strconv.Itoa(w)}); err == nil {
		n = int(res.Version)
	} else if fhir.KindOf(err) != fhir.NotFound {
		return err
	}
	for {
		n++
		if _, err := s.Write(context.Background(), crashWrite(w, n)); err != nil {
			return err
		}
		acknowledged(w, n)
	}
}

// verify checks a store after a crash against the last acknowledged writes.
func verify(ctx context.Context, s *Store, acknowledged [crashWriters]int) error {
	if err := s.Check(ctx); err != nil {
		return err
	}
	for w, acked := range acknowledged {
		n := 0
		patient, err := s.Read(ctx, fhir.Key{Type: "Patient", ID: strconv.Itoa(w)})
		if err == nil {
			n = int(patient.Version)
		}
		if n < acked {
			return fmt.Errorf("writer %d: write %d was acknowledged, the store has %d", w, acked, n)
		}
		if n > acked+1 {
			return fmt.Errorf("writer %d: write %d was the last acknowledged, the store has %d", w, acked, n)
		}
		if n > 0 && !bytes.Contains(patient.JSON, fmt.Appendf(nil, `"w%d n%d"`, w, n)) {
			return fmt.Errorf("writer %d: version %d holds another body", w, n)
		}
		for i := 1; i <= n+1; i++ {
			o, err := s.Read(ctx, fhir.Key{Type: "Observation", ID: fmt.Sprintf("%d-%d", w, i)})
			switch {
			case i > n && fhir.KindOf(err) != fhir.NotFound:
				return fmt.Errorf("writer %d: a part of write %d is there", w, i)
			case i <= n && err != nil:
				return fmt.Errorf("writer %d: a part of write %d is missing: %w", w, i, err)
			case i <= n && o.Deleted() != (i <= n-3):
				return fmt.Errorf("writer %d: after write %d observation %d is deleted: %v", w, n, i, o.Deleted())
			}
		}
		page, err := s.Search(ctx, search.Query{Types: []string{"Observation"}, Total: search.TotalAccurate, Where: []search.Clause{
			{Param: "word1", Ranges: []search.Range{{From: fmt.Appendf(nil, "w%d", w), To: fmt.Appendf(nil, "w%d\x00", w)}}},
		}})
		if err != nil {
			return err
		}
		if page.Total != int64(min(n, 3)) {
			return fmt.Errorf("writer %d: %d observations found after write %d", w, page.Total, n)
		}
	}
	return nil
}

const crashFolder = "STARLING_TEST_CRASH_FOLDER"

// TestCrashChild is not a test but the process that TestKill kills.
func TestCrashChild(t *testing.T) {
	folder := os.Getenv(crashFolder)
	if folder == "" {
		t.Skip("only TestKill starts this")
	}
	s, err := Open(folder, Options{Indexer: textIndexer{"1"}, MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range crashWriters {
		writers.Go(func() {
			err := crashWriter(s, w, func(w, n int) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Printf("ack %d %d\n", w, n)
			})
			t.Errorf("writer %d: %v", w, err)
		})
	}
	writers.Wait()
}

func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	folder := t.TempDir()
	rng := rand.New(rand.NewPCG(7, 11))
	var acknowledged [crashWriters]int
	for round := range 4 {
		child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
		child.Env = append(os.Environ(), crashFolder+"="+folder)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		// The moment is a number of acknowledgements; what was written to the
		// pipe before the kill is read to its end.
		left := 50 + rng.IntN(400)
		lines := bufio.NewScanner(out)
		seen := 0
		for lines.Scan() {
			var w, n int
			if _, err := fmt.Sscanf(lines.Text(), "ack %d %d", &w, &n); err != nil {
				continue
			}
			acknowledged[w] = max(acknowledged[w], n)
			if seen++; seen == left {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // it was killed
		if seen < left {
			t.Fatalf("round %d: the child ended by itself after %d writes", round, seen)
		}
		s, err := Open(folder, Options{Indexer: textIndexer{"1"}})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := verify(t.Context(), s, acknowledged); err != nil {
			t.Errorf("round %d, after %d writes: %v", round, seen, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// crash writes to a store in memory, takes the power away after a number of
// acknowledgements, and verifies what is left.
func crash(t *testing.T, fs *vfs.MemFS, writes, unsyncedPercent int, rng *rand.Rand, opts Options) (*vfs.MemFS, error) {
	t.Helper()
	opts.FS, opts.Indexer = fs, textIndexer{"1"}
	opts.MemTableBytes = 256 << 10 // so that files are written and replaced too
	s, err := Open("/store", opts)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var acknowledged, atCrash [crashWriters]int
	for w := range crashWriters { // writers go on where the store is
		if res, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: strconv.Itoa(w)}); err == nil {
			acknowledged[w] = int(res.Version)
		}
	}
	seen := 0
	crashed := make(chan struct{})
	var after *vfs.MemFS
	var writers sync.WaitGroup
	for w := range crashWriters {
		writers.Go(func() {
			_ = crashWriter(s, w, func(w, n int) { // it ends when the store is closed
				mu.Lock()
				defer mu.Unlock()
				acknowledged[w] = n
				if seen++; seen == writes {
					// Other writers are anywhere in Write just now.
					atCrash = acknowledged
					after = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: rng})
					close(crashed)
				}
			})
		})
	}
	<-crashed
	if err := s.Close(); err != nil {
		return nil, err
	}
	writers.Wait()

	opts.FS = after
	s, err = Open("/store", opts)
	if err != nil {
		return nil, fmt.Errorf("opening after the crash: %w", err)
	}
	return after, errors.Join(verify(t.Context(), s, atCrash), s.Close())
}

func TestPowerLossLosesNoAcknowledgedWrite(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := vfs.NewCrashableMem()
		for round := range 3 {
			percent := []int{0, 100, rng.IntN(100)}[rng.IntN(3)]
			writes := 1 + rng.IntN(400)
			var err error
			if fs, err = crash(t, fs, writes, percent, rng, Options{}); err != nil {
				t.Fatalf("seed %d, round %d, %d writes, %d%% of unsynced data kept: %v", seed, round, writes, percent, err)
			}
		}
	}
}

// TestPowerLossIsDetected shows that the test above could fail: without sync
// acknowledged writes are lost, and verify says so.
func TestPowerLossIsDetected(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	_, err := crash(t, vfs.NewCrashableMem(), 100, 0, rng, Options{NoSync: true})
	if err == nil || !strings.Contains(err.Error(), "was acknowledged") {
		t.Fatalf("the loss of unsynced writes went unnoticed: %v", err)
	}
}
