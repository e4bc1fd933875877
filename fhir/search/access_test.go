package search

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

const everything = CanCreate | CanRead | CanUpdate | CanDelete | CanSearch

func TestFullAccess(t *testing.T) {
	a := FullAccess()
	q := mustParse(t, "Patient", "gender=male").Query
	if err := a.Allow("delete", "Patient"); err != nil || !a.Sees(&fhir.Resource{}) {
		t.Errorf("full access does not allow everything: %v", err)
	}
	if narrowed := a.Narrow(q); narrowed.Identity != q.Identity || len(narrowed.Where) != 1 || narrowed.Scope != nil || narrowed.Total != q.Total {
		t.Errorf("full access narrows: %+v", narrowed)
	}
	if a.Scope(CanDelete) != nil || a.Scope(CanDelete).ID() != "" || !a.Scope(CanDelete).Owns(fhir.Key{Type: "Device", ID: "1"}, nil) {
		t.Error("the scope of full access is not everything")
	}
}

// TestNoAccess checks that the zero Access lets nothing through, and that
// narrowing leaves the caller's query as it was.
func TestNoAccess(t *testing.T) {
	var a Access
	for _, code := range interactionCodes {
		if err := a.Allow(code, "Patient"); err == nil != (code == "capabilities") {
			t.Errorf("the zero Access and %s: %v", code, err)
		}
	}
	if fhir.KindOf(a.Allow("read", "Patient")) != fhir.Forbidden || fhir.KindOf(a.Allow("search-system", "")) != fhir.Forbidden {
		t.Error("what is not allowed is not Forbidden")
	}
	if a.Sees(&fhir.Resource{}) {
		t.Error("the zero Access sees something")
	}
	q := mustParse(t, "Patient", "gender=female").Query
	q.Where = append(make([]Clause, 0, 8), q.Where...) // room that Narrow must not write into
	narrowed := a.Narrow(q)
	if narrowed.Identity == q.Identity {
		t.Error("a page of one access could be continued with another")
	}
	if len(q.Where) != 1 || len(q.Where[:2]) == 2 && q.Where[:2][1].Param != "" {
		t.Error("the caller's query was changed")
	}
	for _, typ := range []string{"Patient", "Observation", "Medication"} {
		if _, ok := narrowed.WhereOf(typ); ok {
			t.Errorf("a narrowed query still selects %s", typ)
		}
	}
}

// interactionCodes are those of fhir/rest's table, and patch, which it may get.
var interactionCodes = []string{
	"read", "vread", "update", "patch", "delete", "create", "search-type", "search-system", "capabilities",
	"batch", "transaction", "history-instance", "history-type", "history-system",
}

func TestEveryInteractionNeedsItsRight(t *testing.T) {
	r := testRegistry(t)
	needs := map[string]Rights{
		"read": CanRead, "vread": CanRead, "history-instance": CanRead,
		"create": CanCreate, "update": CanUpdate, "patch": CanUpdate, "delete": CanDelete,
		"search-type": CanSearch, "search-system": CanSearch, "history-type": CanSearch, "history-system": CanSearch,
		"batch": everything, "transaction": everything, "capabilities": everything,
	}
	for _, code := range interactionCodes {
		if _, known := rightOf[code]; !known && !public[code] {
			t.Errorf("it is not decided who may use %s", code)
		}
		typ := "Observation"
		if strings.HasSuffix(code, "system") || needs[code] == everything {
			typ = ""
		}
		for _, right := range allRights {
			a := r.Access(Grant{Type: "Observation", Rights: right, Patient: "p1"})
			if err := a.Allow(code, typ); (err == nil) != (needs[code]&right != 0) {
				t.Errorf("%s with right %05b: %v", code, right, err)
			}
			if err := a.Allow(code, "Condition"); err == nil && needs[code] != everything {
				t.Errorf("%s of a type that no grant names is allowed", code)
			}
		}
		if err := r.Access(Grant{Type: "*", Rights: everything}).Allow(code+"x", typ); fhir.KindOf(err) != fhir.Forbidden {
			t.Errorf("the unknown interaction %sx: %v", code, err)
		}
	}
}

// refusedTypes are outside the Patient compartment and may hold what concerns
// patients, or are no matter of a patient's: a grant limited to one reaches
// nothing of them. Group is in R4's compartment, but names other members.
var refusedTypes = strings.Fields(`
	Binary BiologicallyDerivedProduct Bundle CatalogEntry Contract Device DeviceDefinition DeviceMetric Endpoint EnrollmentResponse Group
	GuidanceResponse HealthcareService InsurancePlan Linkage MedicinalProduct MedicinalProductAuthorization
	MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient MedicinalProductInteraction
	MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical MedicinalProductUndesirableEffect
	MessageHeader OperationOutcome OrganizationAffiliation Parameters PaymentNotice PaymentReconciliation ResearchStudy
	Slot Subscription Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation
	SubstanceSourceMaterial SubstanceSpecification Task TestReport VerificationResult`)

// TestEveryTypeIsDecided makes whoever adds a type say what a patient may see of
// it.
func TestEveryTypeIsDecided(t *testing.T) {
	r := testRegistry(t)
	access := r.Access(Grant{Type: "*", Rights: everything, Patient: "p1"})
	for typ := range openTypes {
		if !resource.KnownType(typ) || r.inCompartment(typ) {
			t.Errorf("%s is open, but no type outside the compartment", typ)
		}
	}
	for _, typ := range refusedTypes {
		if !resource.KnownType(typ) {
			t.Errorf("%s is refused, but no type", typ)
		}
	}
	for _, typ := range resource.Types() {
		refused := slices.Contains(refusedTypes, typ)
		own := typ != "Group" && r.inCompartment(typ)
		decided := 0
		for _, is := range []bool{refused, own, openTypes[typ]} {
			if is {
				decided++
			}
		}
		if decided != 1 {
			t.Errorf("%s: refused %t, in the compartment %t, open %t: one must be", typ, refused, own, openTypes[typ])
		}
		for _, right := range allRights {
			want := Part{}
			switch {
			case own:
				want.Patients = []string{"p1"}
			case openTypes[typ]:
				want.Whole = right == CanRead || right == CanSearch
			case typ == "Binary" && reading(right):
				want.Guarded = InContext
			}
			if got := access.Scope(right).Of(typ); got.Whole != want.Whole || got.Guarded != want.Guarded || !slices.Equal(got.Patients, want.Patients) {
				t.Errorf("right %05b of %s reaches %+v, want %+v", right, typ, got, want)
			}
		}
	}
}

// TestBinaryIsGuarded: the whole of Binary is reached only together with the whole
// of all types, and nobody else may search it.
func TestBinaryIsGuarded(t *testing.T) {
	r := testRegistry(t)
	const rs = CanRead | CanSearch
	allButOne := make([]Grant, 0, 150)
	for _, typ := range resource.Types() {
		if typ != "Slot" {
			allButOne = append(allButOne, Grant{Type: typ, Rights: everything})
		}
	}
	tests := []struct {
		name     string
		grants   []Grant
		want     Part
		searches bool
	}{
		{"everything", []Grant{{Type: "*", Rights: everything}}, Part{Whole: true}, true},
		{"every type by its name", append(slices.Clone(allButOne), Grant{Type: "Slot", Rights: rs}), Part{Whole: true}, true},
		{"all types but one", allButOne, Part{Guarded: Open}, false},
		{"Binary alone", []Grant{{Type: "Binary", Rights: rs}}, Part{Guarded: Open}, false},
		{"all of a patient", []Grant{{Type: "*", Rights: everything, Patient: "p"}}, Part{Guarded: InContext}, false},
		{"Binary, and all of a patient", []Grant{{Type: "Binary", Rights: rs}, {Type: "*", Rights: rs, Patient: "p"}}, Part{Guarded: Open}, false},
		{"no Binary", []Grant{{Type: "Patient", Rights: rs}}, Part{}, false},
	}
	for _, test := range tests {
		a := r.Access(test.grants...)
		if got := a.Scope(CanRead).Of("Binary"); got.Whole != test.want.Whole || got.Guarded != test.want.Guarded || len(got.Patients) > 0 {
			t.Errorf("%s: reaches %+v, want %+v", test.name, got, test.want)
		}
		if _, found := a.Scope(CanSearch).Clauses("Binary"); found != test.searches {
			t.Errorf("%s: a search of all types finds Binaries: %t", test.name, found)
		}
		if err := a.Allow("search-type", "Binary"); (err == nil) != test.searches {
			t.Errorf("%s: a search of Binary: %v", test.name, err)
		}
		if err := a.Allow("read", "Binary"); (err == nil) != (test.want.Whole || test.want.Guarded != Closed) {
			t.Errorf("%s: a read of Binary: %v", test.name, err)
		}
	}
}

func TestScopes(t *testing.T) {
	r := testRegistry(t)
	const rs = CanRead | CanSearch
	tests := []struct {
		name   string
		grants []Grant
		right  Rights
		typ    string
		want   Part
	}{
		{"no grant reaches nothing", nil, CanRead, "Patient", Part{}},
		{"a type is reached whole", []Grant{{Type: "Patient", Rights: rs}}, CanRead, "Patient", Part{Whole: true}},
		{"another type is not", []Grant{{Type: "Patient", Rights: rs}}, CanRead, "Observation", Part{}},
		{"another right is not", []Grant{{Type: "Patient", Rights: rs}}, CanUpdate, "Patient", Part{}},
		{"every type is reached", []Grant{{Type: "*", Rights: everything}}, CanDelete, "Group", Part{Whole: true}},
		{"a type that does not exist is left out", []Grant{{Type: "Pacient", Rights: everything}}, CanRead, "Pacient", Part{}},
		{"no type is no type", []Grant{{Rights: everything}}, CanRead, "", Part{}},
		{"abstract types are no types", []Grant{{Type: "*", Rights: everything}}, CanRead, "DomainResource", Part{}},
		{"no right grants nothing", []Grant{{Type: "*"}}, CanRead, "Patient", Part{}},
		{"bits beyond the rights mean nothing", []Grant{{Type: "*", Rights: ^everything}}, CanRead, "Patient", Part{}},
		{"a patient is reached", []Grant{{Type: "Patient", Rights: rs, Patient: "p1"}}, CanRead, "Patient", Part{Patients: []string{"p1"}}},
		{"a compartment is reached", []Grant{{Type: "*", Rights: rs, Patient: "p1"}}, CanSearch, "Condition", Part{Patients: []string{"p1"}}},
		{"patients add up", []Grant{{Type: "*", Rights: rs, Patient: "p2"}, {Type: "Patient", Rights: rs, Patient: "p1"}, {Type: "Patient", Rights: CanRead, Patient: "p2"}}, CanRead, "Patient", Part{Patients: []string{"p1", "p2"}}},
		{"the whole takes in a part", []Grant{{Type: "*", Rights: rs, Patient: "p2"}, {Type: "Patient", Rights: rs}}, CanRead, "Patient", Part{Whole: true}},
		{"the whole of one type is not that of another", []Grant{{Type: "*", Rights: rs, Patient: "p2"}, {Type: "Patient", Rights: rs}}, CanRead, "Observation", Part{Patients: []string{"p2"}}},
		{"what takes part in care is read", []Grant{{Type: "Practitioner", Rights: everything, Patient: "p1"}}, CanRead, "Practitioner", Part{Whole: true}},
		{"and not written", []Grant{{Type: "Practitioner", Rights: everything, Patient: "p1"}}, CanUpdate, "Practitioner", Part{}},
		{"a group is not reached", []Grant{{Type: "Group", Rights: everything, Patient: "p1"}}, CanRead, "Group", Part{}},
		{"a device is not reached", []Grant{{Type: "*", Rights: everything, Patient: "p1"}}, CanRead, "Device", Part{}},
		{"what is no logical id grants nothing", []Grant{{Type: "*", Rights: everything, Patient: "p1 p2"}}, CanRead, "Patient", Part{}},
		{"neither does it open types", []Grant{{Type: "*", Rights: everything, Patient: "Patient/p1"}}, CanRead, "Practitioner", Part{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := r.Access(test.grants...)
			got := a.Scope(test.right).Of(test.typ)
			if got.Whole != test.want.Whole || !slices.Equal(got.Patients, test.want.Patients) {
				t.Errorf("reaches %+v, want %+v", got, test.want)
			}
			for code, right := range rightOf {
				if right == test.right && test.typ != "" && (a.Allow(code, test.typ) == nil) != test.want.some() {
					t.Errorf("Allow(%s, %s): %v", code, test.typ, a.Allow(code, test.typ))
				}
			}
		})
	}
}

func TestWhatAScopeSeesAndOwns(t *testing.T) {
	r := testRegistry(t)
	scope := r.Access(
		Grant{Type: "*", Rights: CanRead, Patient: "a"},
		Grant{Type: "Condition", Rights: CanRead, Patient: "b"},
		Grant{Type: "Immunization", Rights: CanRead},
	).Scope(CanRead)
	for _, test := range []struct {
		name     string
		key      string
		patients []string
		sees     bool
		owns     bool
	}{
		{"the patient", "Patient/a", []string{"a"}, true, true},
		{"the patient, linked to another", "Patient/a", []string{"a", "z"}, true, true},
		{"another patient", "Patient/z", []string{"z"}, false, false},
		{"another patient that is linked to this one", "Patient/z", []string{"a", "z"}, false, false},
		{"a patient whose compartments are not known", "Patient/a", nil, true, true},
		{"a resource of the patient's", "Observation/1", []string{"a"}, true, true},
		{"a resource that happens to have the patient's id", "Observation/a", []string{"z"}, false, false},
		{"a resource of two patients'", "Observation/1", []string{"a", "z"}, true, false},
		{"a resource of nobody's", "Observation/1", nil, false, false},
		{"a resource of one whose id begins alike", "Observation/1", []string{"a1"}, false, false},
		{"a resource of another type's patient", "Observation/1", []string{"b"}, false, false},
		{"a resource of two patients of the scope", "Condition/1", []string{"a", "b"}, true, true},
		{"a whole type", "Immunization/1", []string{"z"}, true, true},
		{"a whole type, of nobody's", "Immunization/1", nil, true, true},
		{"an open type", "Practitioner/1", nil, true, true},
		{"a group with the patient", "Group/1", []string{"a"}, false, false},
		{"a type that does not exist", "Pacient/a", []string{"a"}, false, false},
	} {
		typ, id, _ := strings.Cut(test.key, "/")
		key := fhir.Key{Type: typ, ID: id}
		for _, method := range []fhir.Method{fhir.Update, fhir.Delete} {
			if got := scope.Sees(&fhir.Resource{Key: key, Patients: test.patients, Method: method}); got != test.sees {
				t.Errorf("%s (%s): seen %t", test.name, method, got)
			}
		}
		if got := scope.Owns(key, test.patients); got != test.owns {
			t.Errorf("%s: owned %t", test.name, got)
		}
	}
}

func TestHowANarrowedQueryIsCounted(t *testing.T) {
	r := testRegistry(t)
	limited := r.Access(Grant{Type: "*", Rights: CanSearch, Patient: "a"}, Grant{Type: "Immunization", Rights: CanSearch})
	for _, test := range []struct {
		name  string
		types string
		total Total
		want  Total
	}{
		{"one patient's is counted accurately", "Observation", TotalCheap, TotalAccurate},
		{"so are several types of it", "Condition Observation", TotalCheap, TotalAccurate},
		{"a whole type is counted as it was asked", "Immunization", TotalCheap, TotalCheap},
		{"so is an open type", "Medication", TotalCheap, TotalCheap},
		{"a part and a whole are not counted", "Immunization Observation", TotalCheap, TotalNone},
		{"nor is all", "", TotalCheap, TotalNone},
		{"unless asked for", "", TotalAccurate, TotalAccurate},
		{"none stays none", "Observation", TotalNone, TotalNone},
		{"what cannot be seen costs nothing", "Device", TotalCheap, TotalCheap},
		{"and adds nothing", "Device Observation", TotalCheap, TotalAccurate},
	} {
		q := Query{Types: strings.Fields(test.types), Total: test.total}
		if got := limited.Narrow(q).Total; got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
		if got := FullAccess().Narrow(q).Total; got != test.total {
			t.Errorf("%s: full access counts it as %d", test.name, got)
		}
	}
}

func TestAQueryThatNamesItsPatient(t *testing.T) {
	access := testRegistry(t).Access(Grant{Type: "*", Rights: CanSearch, Patient: "a"})
	for query, want := range map[string]bool{
		"patient=a": true, "patient=Patient/a": true, "subject=Patient/a&code=x": true, "code=x&patient=b,a": true,
		"patient=http://fhir.example/Patient/a": true, "": false, "code=x": false, "patient=ab": false,
		"subject=Group/a": false, "encounter=a": false, "patient=http://elsewhere.example/Patient/a": false,
	} {
		req, err := testRegistry(t).Parse([]string{"Observation"}, query, ParseOptions{Base: "http://fhir.example"})
		if err != nil {
			t.Fatal(err)
		}
		q := access.Narrow(req.Query)
		if got := q.NamesPatient("Observation"); got != want {
			t.Errorf("%q: %t", query, got)
		}
		if q := FullAccess().Narrow(req.Query); q.NamesPatient("Observation") {
			t.Errorf("%q: nothing is limited, yet it names a patient of the scope", query)
		}
		where, ok := q.WhereOf("Observation")
		if !ok || len(where) != len(req.Query.Where)+1 || where[0].Param != "_compartment" {
			t.Errorf("%q: the scope's clause is not there: %+v", query, where)
		}
	}
}

func BenchmarkAccess(b *testing.B) {
	r := testRegistry(b)
	var scopes []Grant
	for _, typ := range []string{"Patient", "Observation", "Condition", "MedicationRequest", "MolecularSequence", "Practitioner"} {
		scopes = append(scopes, Grant{Type: typ, Rights: CanRead | CanSearch, Patient: "p1"})
	}
	for name, grants := range map[string][]Grant{
		"patient all types": {{Type: "*", Rights: everything, Patient: "p1"}},
		"patient six types": scopes,
		"system":            {{Type: "*", Rights: CanRead | CanSearch}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if a := r.Access(grants...); len(a.Scope(CanSearch).ID()) != 32 {
					b.Fatal("no id")
				}
			}
		})
	}
}

func ExampleRegistry_Access() {
	r, err := NewRegistry()
	if err != nil {
		fmt.Println(err)
		return
	}
	access := r.Access(Grant{Type: "*", Rights: CanRead | CanSearch, Patient: "maren"})
	fmt.Println(access.Allow("read", "Observation"), access.Allow("update", "Observation"), access.Allow("read", "Group"))
	fmt.Println(access.Sees(&fhir.Resource{Key: fhir.Key{Type: "Observation", ID: "1"}, Patients: []string{"maren"}}))
	fmt.Println(access.Sees(&fhir.Resource{Key: fhir.Key{Type: "Observation", ID: "2"}, Patients: []string{"tor"}}))
	// Output:
	// <nil> not allowed: update of Observation not allowed: read of Group
	// true
	// false
}
