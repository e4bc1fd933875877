package mongo

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
	"github.com/starling-fhir/starling/internal/golden"
)

// TestMongoshPage runs the queries of docs/how-to/query-with-mongosh.md.
func TestMongoshPage(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	var changes []store.Change
	put := func(typ, id, patient, rest string) {
		changes = append(changes, store.Change{
			Key: fhir.Key{Type: typ, ID: id}, Method: fhir.Create, Patients: []string{patient},
			Body: fhir.Body{Head: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"meta":{`, typ, id), Tail: []byte(`},` + rest + `}`)},
		})
	}
	for i, value := range []string{"180", "200.50", "219.50"} {
		put("Observation", fmt.Sprint("c", i), "p1", `"status":"final","code":{"coding":[{"code":"2093-3"}]},"valueQuantity":{"value":`+value+`,"unit":"mg/dL"}`)
	}
	put("Observation", "g1", "p2", `"status":"final","code":{"coding":[{"code":"84413-4"}]}`)
	put("MedicationRequest", "m1", "p1", `"status":"active"`)
	if _, err := s.Write(t.Context(), changes); err != nil {
		t.Fatal(err)
	}

	page, err := os.ReadFile(filepath.Join(golden.Root(t), "docs", "how-to", "query-with-mongosh.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile("(?s)```js\ndb\\.resources\\.(find|aggregate)\\((.*?)\\)\n```").FindAllSubmatch(page, -1) {
		var args bson.A
		text := append(append([]byte(`{"args":[`), m[2]...), "]}"...)
		var doc struct{ Args bson.A }
		if err := bson.UnmarshalExtJSON(text, false, &doc); err != nil {
			t.Fatalf("%v in %s", err, m[2])
		}
		args = doc.Args
		var rows []bson.M
		if string(m[1]) == "find" {
			cursor, err := s.resources.Find(t.Context(), args[0])
			if err == nil {
				err = cursor.All(t.Context(), &rows)
			}
			if err != nil {
				t.Fatal(err)
			}
		} else {
			cursor, err := s.resources.Aggregate(t.Context(), args[0])
			if err == nil {
				err = cursor.All(t.Context(), &rows)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, row := range rows {
			got = append(got, fmt.Sprint(row["_id"], " ", row["n"], " ", row["mean"], " ", row["most"], " ", row["genotypes"]))
		}
	}
	want := []string{
		"MedicationRequest/m1 <nil> <nil> <nil> <nil>",
		"mg/dL 3 200 219.50 <nil>",
		"p2 <nil> <nil> <nil> 1",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
