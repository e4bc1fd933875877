package search

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
)

// The ids of the patients in the property tests: near to each other.
var drawnPatients = []string{"a", "A", "a1", "a.", "-"}

// drawnTypes are how resources of some types refer to patients: in, beside and
// outside of the elements that put them into compartments. %s is a reference.
var drawnTypes = map[string][]string{
	"Patient":             {`"link":[{"other":{"reference":%q},"type":"seealso"}]`},
	"Observation":         {`"subject":{"reference":%q}`, `"performer":[{"reference":"Practitioner/a"},{"reference":%q}]`, `"focus":[{"reference":%q}]`},
	"Condition":           {`"subject":{"reference":%q}`, `"asserter":{"reference":%q}`},
	"MolecularSequence":   {`"patient":{"reference":%q}`},
	"Appointment":         {`"participant":[{"actor":{"reference":%q},"status":"accepted"}]`},
	"Encounter":           {`"subject":{"reference":%q}`},
	"MedicationStatement": {`"subject":{"reference":%q}`, `"informationSource":{"reference":%q}`},
	"Group":               {`"member":[{"entity":{"reference":%q}}]`},
	"Device":              {`"patient":{"reference":%q}`},
	"Medication":          {`"manufacturer":{"reference":%q}`},
	"Practitioner":        {`"extension":[{"url":"http://a.example","valueReference":{"reference":%q}}]`},
	"Task":                {`"for":{"reference":%q}`},
}

// outside are those of drawnTypes that a grant limited to a patient does not
// look into, with whether it may read them.
var outside = map[string]bool{"Group": false, "Device": false, "Task": false, "Medication": true, "Practitioner": true}

func drawGrants(t *rapid.T) []Grant {
	types := []string{"*", "Nonsense", ""}
	for typ := range drawnTypes {
		types = append(types, typ)
	}
	slices.Sort(types)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Grant {
		return Grant{
			Type:    rapid.SampledFrom(types).Draw(t, "type"),
			Rights:  Rights(rapid.IntRange(0, int(everything)).Draw(t, "rights")),
			Patient: rapid.SampledFrom(append([]string{"", "no id"}, drawnPatients...)).Draw(t, "patient"),
		}
	}), 0, 5).Draw(t, "grants")
}

// drawResource makes a resource and what a store knows of it.
func drawResource(t *rapid.T, r *Registry) (*fhir.Resource, []Entry) {
	names := make([]string, 0, len(drawnTypes))
	for typ := range drawnTypes {
		names = append(names, typ)
	}
	slices.Sort(names)
	key := fhir.Key{Type: rapid.SampledFrom(names).Draw(t, "resource type"), ID: rapid.SampledFrom(drawnPatients).Draw(t, "id")}
	doc := fmt.Sprintf(`{"resourceType":%q,"id":%q`, key.Type, key.ID)
	for _, element := range drawnTypes[key.Type] {
		if rapid.Bool().Draw(t, "has it") {
			patient := rapid.SampledFrom(drawnPatients).Draw(t, "refers to")
			form := rapid.SampledFrom([]string{"Patient/%s", "Patient/%s/_history/1", "Group/%s", "http://elsewhere.example/Patient/%s", "http://here.example/Patient/%s"}).Draw(t, "form")
			doc += "," + fmt.Sprintf(element, fmt.Sprintf(form, patient))
		}
	}
	entries, patients, err := r.Index([]byte(doc + "}"))
	if err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return &fhir.Resource{Key: key, Patients: patients, Method: fhir.Update}, entries
}

// reaches says what a grant says, without any scope.
func (g Grant) reaches(right Rights, res *fhir.Resource) bool {
	readable, out := outside[res.Type]
	switch {
	case g.Rights&right == 0 || g.Type != "*" && g.Type != res.Type || g.Patient == "no id":
		return false
	case g.Patient == "":
		return true
	case out:
		return readable && (right == CanRead || right == CanSearch)
	case res.Type == "Patient":
		return res.ID == g.Patient
	}
	return slices.Contains(res.Patients, g.Patient)
}

// TestScopesAgreeWithTheIndex compares what a scope sees of a version with what
// its clauses find in the version's index entries, and both with the grants.
func TestScopesAgreeWithTheIndex(t *testing.T) {
	r := testRegistry(t).WithBase("http://here.example")
	rapid.Check(t, func(t *rapid.T) {
		grants := drawGrants(t)
		res, entries := drawResource(t, r)
		access := r.Access(grants...)
		for _, right := range allRights {
			scope := access.Scope(right)
			want := slices.ContainsFunc(grants, func(g Grant) bool { return g.reaches(right, res) })
			if got := scope.Sees(res); got != want {
				t.Fatalf("right %05b of %+v sees %s of %q: %t, want %t", right, grants, res.Key, res.Patients, got, want)
			}
			clauses, found := scope.Clauses(res.Type)
			for _, c := range clauses {
				found = found && Match("", entries, c)
			}
			if found != want {
				t.Fatalf("right %05b of %+v finds %s of %q: %t, want %t", right, grants, res.Key, res.Patients, found, want)
			}
			if scope.Owns(res.Key, res.Patients) && !want {
				t.Fatalf("right %05b of %+v owns %s, which it does not see", right, grants, res.Key)
			}
			if want && len(RecordsOf(res.Key, res.Patients)) == 1 && !scope.Owns(res.Key, res.Patients) {
				t.Fatalf("right %05b of %+v does not own %s, which counts to one record", right, grants, res.Key)
			}
			if deleted := (fhir.Resource{Key: res.Key, Patients: res.Patients, Method: fhir.Delete}); scope.Sees(&deleted) != want {
				t.Fatalf("a deletion of %s is seen otherwise than what it deletes", res.Key)
			}
		}
		if access.Sees(res) != access.Scope(CanRead).Sees(res) {
			t.Fatal("Access.Sees is not about reading")
		}
	})
}

// TestGrantsAddUp checks that a further grant takes nothing away, and that
// scopes are named by what they reach, however they were granted.
func TestGrantsAddUp(t *testing.T) {
	r := testRegistry(t)
	rapid.Check(t, func(t *rapid.T) {
		some, more := drawGrants(t), drawGrants(t)
		all := rapid.Permutation(slices.Concat(some, more, some)).Draw(t, "all of them, some twice")
		a, b, c := r.Access(some...), r.Access(all...), r.Access(slices.Concat(some, more)...)
		for _, right := range allRights {
			sa, sb, sc := a.Scope(right), b.Scope(right), c.Scope(right)
			same := true
			for typ := range r.types {
				pa, pb := sa.Of(typ), sb.Of(typ)
				if pa.Whole && !pb.Whole || !pb.Whole && slices.ContainsFunc(pa.Patients, func(id string) bool { return !slices.Contains(pb.Patients, id) }) {
					t.Fatalf("right %05b of %s: %+v alone, %+v with more", right, typ, pa, pb)
				}
				same = same && pa.Whole == pb.Whole && slices.Equal(pa.Patients, pb.Patients)
			}
			if (sa.ID() == sb.ID()) != same {
				t.Fatalf("right %05b: ids %s and %s, reach the same: %t", right, sa.ID(), sb.ID(), same)
			}
			if sb.ID() != sc.ID() {
				t.Fatalf("right %05b: the order of grants counts", right)
			}
		}
		for _, code := range interactionCodes {
			for _, typ := range []string{"", "Patient", "Observation", "Medication", "Group", "Nonsense"} {
				if a.Allow(code, typ) == nil && b.Allow(code, typ) != nil {
					t.Fatalf("%s of %q is allowed by less, not by more", code, typ)
				}
			}
		}
	})
}
