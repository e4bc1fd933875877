package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

func check(t *testing.T, s *Store, repair bool) (found []string) {
	t.Helper()
	if _, err := s.Check(t.Context(), repair, func(f store.Finding) {
		found = append(found, fmt.Sprintf("%s: %s (%v)", f.Key, f.Text, f.Mended))
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

func TestCheckFindsAndMendsWhatWasEditedByHand(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{Indexer: definitions{hash: "v1"}})
	names := []string{"fine", "compartment", "native", "ix", "version", "raw", "types", "patients", "other", "gone", "broken"}
	for _, name := range names {
		for range 2 {
			c := put(fhir.Update, "Patient/"+name, "x=y")
			c.Entries = []search.Entry{{Param: "v1", Value: []byte("[x=y]")}}
			c.Patients = []string{"v1"}
			write(t, s, c)
		}
	}
	write(t, s, put(fhir.Update, "Patient/deleted", "x=y"))
	write(t, s, store.Change{Key: fhir.Key{Type: "Patient", ID: "deleted"}, Method: fhir.Delete})
	if found := check(t, s, false); len(found) > 0 {
		t.Fatalf("a store nobody edited: %v", found)
	}

	edit := func(id, field string, value any) {
		t.Helper()
		if _, err := s.resources.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/" + id}}, bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: value}}}}); err != nil {
			t.Fatal(err)
		}
	}
	edit("native", "resource.text", "a lie")
	edit("ix", "ix", bson.A{existence("Patient")})
	edit("version", "version", int64(1))
	edit("raw", "raw", []byte("broken"))
	edit("types", "ix", "text")
	edit("patients", "patients", bson.A{"someone"})
	edit("other", "raw", s.codec.pack([]byte(`{"resourceType":"Patient"}`)))
	if _, err := s.resources.DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/gone"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.history.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/compartment/2"}}, bson.D{{Key: "$unset", Value: bson.D{{Key: "patients", Value: ""}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.history.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/broken/1"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "raw", Value: []byte("x")}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.history.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: clockID}}, bson.D{{Key: "$set", Value: bson.D{{Key: "counts.Patient", Value: int64(99)}}}}); err != nil {
		t.Fatal(err)
	}

	want := []string{
		"/: 99 living Patient are counted, 11 are there (?)",
		"Patient/broken: version 1 in history cannot be read (false)",
		"Patient/compartment: history has it in other compartments than its content gives (?)",
		"Patient/gone: history has versions of it, but it is missing (?)",
		"Patient/ix: ix holds other index entries than its content gives (?)",
		"Patient/native: resource is not what raw says (?)",
		"Patient/other: raw differs from that of the same version in history (false)",
		"Patient/patients: patient and patients are not its compartments (?)",
		"Patient/raw: raw cannot be read (?)",
		"Patient/types: its document has fields of other types than the store writes (?)",
		"Patient/version: its document says otherwise than history which version is the newest (?)",
	}
	for _, repair := range []bool{false, true} {
		var expect []string
		for _, text := range want {
			expect = append(expect, strings.Replace(text, "(?)", fmt.Sprintf("(%v)", repair), 1))
		}
		if got := check(t, s, repair); !slices.Equal(got, expect) {
			t.Errorf("repair %v:\n%s\nwant\n%s", repair, strings.Join(got, "\n"), strings.Join(expect, "\n"))
		}
	}
	if got := check(t, s, false); len(got) != 2 || !strings.HasPrefix(got[0], "Patient/broken") || !strings.HasPrefix(got[1], "Patient/other") {
		t.Errorf("after mending: %v", got)
	}
	page, err := s.Search(t.Context(), search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("v1", "[x=y]")}, Count: 100, Total: search.TotalAccurate})
	if err != nil || page.Total != 11 || len(page.Resources) != 11 {
		t.Errorf("a search finds %d, %v", page.Total, err)
	}
	if res, err := s.Read(t.Context(), fhir.Key{Type: "Patient", ID: "raw"}); err != nil || res.Version != 2 {
		t.Errorf("%v, %v", res, err)
	}
}

// TestAFaultWhileMendingIsNoRepair: a check that cannot mend says so. It does not
// take a database that fails for one that was written to meanwhile.
func TestAFaultWhileMendingIsNoRepair(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	c := &checking{s: s, repair: true, report: func(f store.Finding) { t.Errorf("%+v", f) }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := c.settle(ctx, &checked{key: "Patient/1", wrong: []string{"x"}, want: &resourceDoc{Key: "Patient/1", Version: 1}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
