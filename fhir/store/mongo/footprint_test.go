package mongo

import (
	"archive/tar"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/internal/golden"
)

// footprint is what the resources of a type take, in bytes.
type footprint struct {
	n, json, raw, native, elements, ix, resources, history int64
}

func (f *footprint) add(g footprint) {
	f.n += g.n
	f.json += g.json
	f.raw += g.raw
	f.native += g.native
	f.elements += g.elements
	f.ix += g.ix
	f.resources += g.resources
	f.history += g.history
}

// everyFile is which of the sample's files are measured: 31 of 617.
const everyFile = 20

// TestFootprint measures documents and index keys on a part of the Synthea
// sample set and keeps docs/reference/mongodb-sizes.md as it finds them.
//
// Documents are measured as BSON, before the compression of MongoDB's files.
// Index keys are sorted and each counted without what it shares with the one
// before it, as WiredTiger stores them:
// https://source.wiredtiger.com/develop/file_formats.html#file_formats_compression
func TestFootprint(t *testing.T) {
	if raceEnabled {
		t.Skip("a calculation without goroutines, 20 times slower under the race detector; make test-full runs it")
	}
	registry, err := search.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.close()
	byType := map[string]*footprint{}
	keys := map[string][]string{} // per index
	var all footprint
	for _, res := range syntheaSample(t) {
		entries, patients, err := registry.Index(res.JSON)
		if err != nil {
			t.Fatal(err)
		}
		body, ok := store.Version{Resource: res}.Body()
		if !ok {
			t.Fatal("a sample without stamps")
		}
		c, err := prepare(&store.Change{Key: res.Key, Method: fhir.Create, Body: body, Entries: entries, Patients: patients})
		if err != nil {
			t.Fatal(err)
		}
		one := measure(t, codec, res, c, keys)
		if byType[res.Type] == nil {
			byType[res.Type] = &footprint{}
		}
		byType[res.Type].add(one)
		all.add(one)
	}
	var page strings.Builder
	page.WriteString("# What a resource takes in MongoDB\n\n" +
		"<!-- Written by \"go test ./fhir/store/mongo -run TestFootprint -update\". -->\n\n")
	fmt.Fprintf(&page, "Measured on %d resources: every %dth file of the Synthea sample set. Bytes per resource; documents as BSON, before\n"+
		"the block compression of MongoDB's files.\n\n", all.n, everyFile)
	page.WriteString("| type | resources | JSON | `raw` | `resource` | `ix` entries | `ix` | document of `resources` | document of `history` |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	types := make([]string, 0, len(byType))
	for typ := range byType {
		types = append(types, typ)
	}
	slices.SortFunc(types, func(a, b string) int { return cmp.Or(cmp.Compare(byType[b].n, byType[a].n), cmp.Compare(a, b)) })
	for _, typ := range append(types, "all") {
		f := byType[typ]
		if f == nil {
			f = &all
		}
		fmt.Fprintf(&page, "| %s | %d | %d | %d | %d | %d | %d | %d | %d |\n", typ, f.n,
			f.json/f.n, f.raw/f.n, f.native/f.n, f.elements/f.n, f.ix/f.n, f.resources/f.n, f.history/f.n)
	}
	page.WriteString("\nIndex keys per resource with one version, sorted and prefix-compressed, without the space that pages keep free.\n\n| index | keys | bytes |\n|---|--:|--:|\n")
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	total := int64(0)
	for _, name := range names {
		bytes := prefixCompressed(keys[name])
		total += bytes
		fmt.Fprintf(&page, "| %s | %.1f | %d |\n", name, float64(len(keys[name]))/float64(all.n), bytes/all.n)
	}
	fmt.Fprintf(&page, "| all | | %d |\n", total/all.n)
	writeShards(&page)
	golden.Text(t, filepath.Join(golden.Root(t), "docs", "reference", "mongodb-sizes.md"), []byte(page.String()))
}

// measure returns what one resource takes and adds its index keys.
func measure(t *testing.T, codec codec, res *fhir.Resource, c *change, keys map[string][]string) footprint {
	t.Helper()
	d := resourceDoc{
		Key: c.key, Type: res.Type, ID: res.ID, Version: 1, T: 1, Updated: res.Updated, Method: string(fhir.Create),
		Size: int64(len(res.JSON)), Raw: codec.pack(res.JSON), Resource: c.resource, Patients: c.patients,
		IX: stamped(res.Type, c.ix, res.Updated),
	}
	if len(c.patients) == 1 {
		d.Patient = c.patients[0]
	}
	current, err := d.marshal()
	if err != nil {
		t.Fatal(err)
	}
	version, err := bson.Marshal(versionDoc{
		VID: versionID(c.key, 1), Key: c.key, Type: d.Type, ID: d.ID, Version: 1, T: 1,
		Updated: d.Updated, Method: d.Method, Size: d.Size, Raw: d.Raw, Patients: d.Patients,
	})
	if err != nil {
		t.Fatal(err)
	}
	nativeForm, err := bson.Marshal(d.Resource)
	if err != nil {
		t.Fatal(err)
	}
	list, err := bson.Marshal(bson.D{{Key: "ix", Value: d.IX}})
	if err != nil {
		t.Fatal(err)
	}
	keys["resources._id"] = append(keys["resources._id"], c.key)
	keys["history._id"] = append(keys["history._id"], versionID(c.key, 1))
	for _, x := range indexes {
		name := x.collection + "." + x.name
		keys[name] = append(keys[name], indexKeys(x, &d)...)
	}
	return footprint{
		n: 1, json: int64(len(res.JSON)), raw: int64(len(d.Raw)), native: int64(len(nativeForm)),
		elements: int64(len(d.IX)), ix: int64(len(list)), resources: int64(len(current)), history: int64(len(version)),
	}
}

// indexKeys returns the keys of one document in an index, about as MongoDB's
// KeyString has them: a byte for each field's type and one for the end of a
// string, nine for times and numbers at most.
func indexKeys(x index, d *resourceDoc) []string {
	keys := []string{""}
	for _, f := range x.fields {
		var values []string
		switch strings.TrimPrefix(f, "-") {
		case "ix":
			if x.collection == historyName {
				return nil // of replaced versions alone
			}
			values = d.IX
		case "patients":
			values = d.Patients
		case "_id", "key":
			values = []string{d.Key}
		case "type":
			values = []string{d.Type}
		case "id":
			values = []string{d.ID}
		case "version":
			values = []string{"1"}
		case "updated":
			values = []string{fmt.Sprintf("%08x", d.Updated.UnixMilli()&math.MaxUint32)}
		default:
			return nil // ended: of replaced versions alone
		}
		var next []string
		for _, key := range keys {
			for _, v := range values {
				next = append(next, key+"s"+v+"\x00")
			}
		}
		keys = next
	}
	return keys
}

// prefixCompressed sums up sorted keys without what each shares with the one
// before it, with the record's number (4 bytes) and two length bytes each.
func prefixCompressed(keys []string) (bytes int64) {
	slices.Sort(keys)
	before := ""
	for _, key := range keys {
		shared := 0
		for shared < len(key) && shared < len(before) && key[shared] == before[shared] {
			shared++
		}
		bytes += int64(len(key)-shared) + 4 + 2
		before = key
	}
	return bytes
}

// shards are the sizes of cluster that the costs are given for.
var shards = []int{1, 2, 4, 8, 16}

// operations are the ways to use the store, and how many shards each asks: those
// of a key by its hash, those of ix all. 500 keys of a transaction meet the
// shards they fall on.
var operations = []struct {
	name string
	cost func(n int) float64
}{
	{"read, vread", func(int) float64 { return 1 }},
	{"history of a resource", func(n int) float64 { return float64(n) }},
	{"create (clock, version, resource)", func(n int) float64 { return met(n, 3) }},
	{"update (clock, head, two versions, resource)", func(n int) float64 { return met(n, 4) }},
	{"transaction of 500 (clock, 500 versions, 500 resources)", func(n int) float64 { return met(n, 1001) }},
	{"search, keys of a page, of one patient or of all", func(n int) float64 { return float64(n) }},
	{"search, bytes of a page of 50", func(n int) float64 { return met(n, 50) }},
	{"$everything, bytes of 1,000", func(n int) float64 { return met(n, 1000) }},
}

// searches are the parts of a search, how many commands each is, and how many
// requests to shards they become: each command asks that of the clock, and then
// for what it reads of resources and, once the moment is that of an earlier
// command, of history. What is found by its entries asks all shards; what is
// found by its key, those that keys fall on.
var searches = []struct {
	name     string
	commands int
	cost     func(n float64) float64
}{
	{"first page of 50", 2, func(n float64) float64 { return 1 + n + met(int(n), 50) }},
	{"later page of 50, on or back", 2, func(n float64) float64 { return 1 + 2*n + met(int(n), 50) }},
	{"more for each step of a chain or `_has`, from the inner side", 1, func(n float64) float64 { return 1 + 2*n }},
	{"more for a step of a chain from the outer side, with 1,000 candidates", 2, func(n float64) float64 { return 2 + 3*n + met(int(n), 1000) }},
	{"the same of `_has`", 2, func(n float64) float64 { return 2 + 4*n }},
	{"include round, what 50 references name", 1, func(n float64) float64 { return 1 + met(int(n), 50) }},
	{"include round, what refers to 50", 1, func(n float64) float64 { return 1 + n }},
	{"plan of one type, with `_explain`", 1, func(n float64) float64 { return n }},
}

// met is how many of n shards k keys that are spread by their hash fall on, on
// the average.
func met(n, k int) float64 {
	return float64(n) * (1 - math.Pow(1-1/float64(n), float64(k)))
}

func writeShards(page *strings.Builder) {
	head := func(columns string) {
		page.WriteString("\n" + columns)
		for _, n := range shards {
			fmt.Fprintf(page, " %d |", n)
		}
		page.WriteString("\n|---|" + strings.Repeat("--:|", len(shards)+strings.Count(columns, "|")-2) + "\n")
	}
	row := func(name string, cost func(int) float64) {
		fmt.Fprintf(page, "| %s |", name)
		for _, n := range shards {
			fmt.Fprintf(page, " %.1f |", cost(n))
		}
		page.WriteString("\n")
	}
	page.WriteString("\n## Shards asked\n\nWith `_id` hashed as the key of both collections; the mean where keys fall by chance.\n")
	head("| operation |")
	for _, op := range operations {
		row(op.name, op.cost)
	}
	page.WriteString("\n## Requests of a search\n\nCommands, and the requests to shards that they become.\n")
	head("| part | commands |")
	for _, part := range searches {
		row(fmt.Sprintf("%s | %d", part.name, part.commands), func(n int) float64 { return part.cost(float64(n)) })
	}
}

// TestMet checks the mean against counting all ways.
func TestMet(t *testing.T) {
	for n := 1; n <= 4; n++ {
		for k := 1; k <= 5; k++ {
			ways, hit := 0, 0
			for way := range int(math.Pow(float64(n), float64(k))) {
				seen := map[int]bool{}
				for range k {
					seen[way%n] = true
					way /= n
				}
				ways++
				hit += len(seen)
			}
			if got, want := met(n, k), float64(hit)/float64(ways); math.Abs(got-want) > 1e-9 {
				t.Errorf("%d keys on %d shards meet %g, want %g", k, n, got, want)
			}
		}
	}
}

func TestPrefixCompressed(t *testing.T) {
	if got, want := prefixCompressed([]string{"abd", "abc", "x"}), int64(3+1+1+3*6); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// syntheaSample returns resources of the Synthea sample set as they would be stored:
// references within their bundles are those of resources.
func syntheaSample(t *testing.T) []*fhir.Resource {
	t.Helper()
	file, err := os.Open(golden.Shared(t, "samples", "synthea", "all617-r4-2019.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacked.Close()
	var out []*fhir.Resource
	archive := tar.NewReader(unpacked)
	for n := 0; ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg || !strings.HasSuffix(header.Name, ".json") {
			continue
		}
		if n++; n%everyFile != 0 {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bundled(t, text)...)
	}
}

// bundled returns the resources of a transaction bundle.
func bundled(t *testing.T, text []byte) []*fhir.Resource {
	t.Helper()
	var bundle struct {
		Entry []struct {
			FullURL  string `json:"fullUrl"`
			Resource json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &bundle); err != nil {
		t.Fatal(err)
	}
	type named struct {
		ResourceType, ID string
	}
	var links []string
	for _, e := range bundle.Entry {
		var r named
		if err := json.Unmarshal(e.Resource, &r); err != nil {
			t.Fatal(err)
		}
		links = append(links, `"`+e.FullURL+`"`, `"`+r.ResourceType+"/"+r.ID+`"`)
	}
	relink := strings.NewReplacer(links...)
	at := fromMillis(1_770_000_000_000)
	var out []*fhir.Resource
	for _, e := range bundle.Entry {
		var r map[string]any
		if err := json.Unmarshal([]byte(relink.Replace(string(e.Resource))), &r); err != nil {
			t.Fatal(err)
		}
		meta, _ := r["meta"].(map[string]any)
		delete(r, "meta")
		rest, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		more := ""
		if len(meta) > 0 {
			b, err := json.Marshal(meta)
			if err != nil {
				t.Fatal(err)
			}
			more = "," + strings.TrimSuffix(strings.TrimPrefix(string(b), "{"), "}")
		}
		body := fhir.Body{Head: []byte(`{"meta":{`), Tail: []byte(more + `},` + strings.TrimPrefix(string(rest), "{"))}
		typ, _ := r["resourceType"].(string)
		id, _ := r["id"].(string)
		out = append(out, &fhir.Resource{Key: fhir.Key{Type: typ, ID: id}, Version: 1, Updated: at, Method: fhir.Create, JSON: body.Stamp(1, at)})
	}
	return out
}
