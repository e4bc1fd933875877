package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir/search"
)

const (
	readSearch = search.CanRead | search.CanSearch
	writes     = search.CanCreate | search.CanUpdate | search.CanDelete
)

func TestScopes(t *testing.T) {
	practitioner := User{Whole: true}
	for _, test := range []struct {
		name    string
		scopes  string
		patient string
		user    User
		want    []search.Grant
	}{
		{"nothing", "", "p", practitioner, nil},
		{"version 2", "patient/Observation.rs", "p", User{}, []search.Grant{{Type: "Observation", Rights: readSearch, Patient: "p"}}},
		{"every letter", "patient/Observation.cruds", "p", User{}, []search.Grant{{Type: "Observation", Rights: readSearch | writes, Patient: "p"}}},
		{"one letter", "patient/Observation.u", "p", User{}, []search.Grant{{Type: "Observation", Rights: search.CanUpdate, Patient: "p"}}},
		{"version 1 read", "patient/Observation.read", "p", User{}, []search.Grant{{Type: "Observation", Rights: readSearch, Patient: "p"}}},
		{"version 1 write", "patient/Observation.write", "p", User{}, []search.Grant{{Type: "Observation", Rights: writes, Patient: "p"}}},
		{"version 1 everything", "patient/*.*", "p", User{}, []search.Grant{{Type: "*", Rights: readSearch | writes, Patient: "p"}}},
		{
			"several add up, types apart", "patient/Observation.r patient/Observation.s patient/Patient.r", "p",
			User{},
			[]search.Grant{{Type: "Observation", Rights: readSearch, Patient: "p"}, {Type: "Patient", Rights: search.CanRead, Patient: "p"}},
		},
		{
			"levels do not add up", "patient/Observation.r system/Observation.s", "p",
			User{},
			[]search.Grant{{Type: "Observation", Rights: search.CanRead, Patient: "p"}, {Type: "Observation", Rights: search.CanSearch}},
		},
		{"as a URI", "http://smarthealthit.org/fhir/scopes/system/*.rs", "", User{}, []search.Grant{{Type: "*", Rights: readSearch}}},
		{"a patient's scope without a patient", "patient/*.rs", "", practitioner, nil},
		{"a user's scope of a practitioner", "user/Patient.rs", "p", practitioner, []search.Grant{{Type: "Patient", Rights: readSearch}}},
		{"a user's scope of a patient", "user/*.rs", "p", User{Patient: "q"}, []search.Grant{{Type: "*", Rights: readSearch, Patient: "q"}}},
		{"a user's scope of nobody", "user/*.rs", "p", User{}, nil},
		{"launch and sign-in", "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access", "p", practitioner, nil},
		{"letters out of order", "patient/Observation.sr patient/Observation.dc", "p", User{}, nil},
		{"a letter twice", "patient/Observation.rr", "p", User{}, nil},
		{"an unknown letter", "patient/Observation.rx patient/Observation.R", "p", User{}, nil},
		{"no letters", "patient/Observation. patient/Observation", "p", User{}, nil},
		{"parameters", "patient/Observation.rs?category=laboratory patient/Observation.rs?", "p", User{}, nil},
		{"a question mark elsewhere", "patient/Observation?x.rs patient/*?.rs", "p", User{}, nil},
		{"unknown levels", "patients/*.rs Patient/*.rs practitioner/*.rs /*.rs", "p", practitioner, nil},
		{"a type in the wrong case", "patient/observation.rs", "p", User{}, nil},
		{"types with patterns", "patient/Obs*.rs patient/**.rs patient/.rs", "p", User{}, nil},
		{"a version 1 word more", "patient/Observation.reads patient/Observation.read.write patient/Observation.*rs", "p", User{}, nil},
		{"other white space does not separate", "patient/Patient.rs\tsystem/*.rs", "p", User{}, nil},
		{"spaces", "  patient/Patient.r   ", "p", User{}, []search.Grant{{Type: "Patient", Rights: search.CanRead, Patient: "p"}}},
		{"the URI twice", strings.Repeat(scopeURI, 2) + "system/*.rs", "", User{}, nil},
		{"a resource id", "patient/Patient/1.rs system/Patient/1.rs", "p", User{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := ParseScopes(test.scopes)
			if diff := cmp.Diff(test.want, s.Grants(test.patient, test.user)); diff != "" {
				t.Errorf("grants differ (-want +got):\n%s", diff)
			}
			for _, ignored := range s.Ignored {
				if ignored.Reason == "" || ignored.Text == "" {
					t.Errorf("ignored without saying why: %+v", ignored)
				}
			}
		})
	}
}

func TestEveryScopeCountsOrHasAReason(t *testing.T) {
	s := ParseScopes("openid patient/Observation.rs patient/Observation.sr patient/Observation.rs?x openid user/*.write")
	if got := len(s.rights) + len(s.Ignored); got != 5 { // openid once
		t.Errorf("%d scopes are accounted for, want 5: %+v", got, s)
	}
}

func TestTooManyScopesGrantNothing(t *testing.T) {
	most := strings.Repeat("patient/Observation.rs ", maxScopes)
	if len(ParseScopes(most).Grants("p", User{})) != 1 {
		t.Error("the most scopes grant nothing")
	}
	s := ParseScopes(most + "patient/Patient.rs")
	if len(s.Grants("p", User{})) != 0 || len(s.Ignored) != 1 {
		t.Errorf("more than the most: %+v", s)
	}
}

func TestUsers(t *testing.T) {
	const base = "https://fhir.example.org/fhir"
	for _, test := range []struct {
		reference string
		want      User
	}{
		{"", User{}},
		{"Practitioner/1", User{Whole: true}},
		{"PractitionerRole/1", User{Whole: true}},
		{"https://elsewhere.example.org/r4/Practitioner/1", User{Whole: true}},
		{"Patient/1", User{Patient: "1"}},
		{base + "/Patient/1", User{Patient: "1"}},
		{base + "/Practitioner/1", User{Whole: true}},
		{"https://elsewhere.example.org/r4/Patient/1", User{}},
		{base + "x/Patient/1", User{}},
		{base + "/x/Patient/1", User{}},
		{"http://fhir.example.org/fhir/Patient/1", User{}},
		{"/Patient/1", User{}},
		{"x/Patient/1", User{}},
		{"x/Practitioner/1", User{}},
		{"../Practitioner/1", User{}},
		{"javascript:/Practitioner/1", User{}},
		{"Patient/1/_history/2", User{}},
		{"https://elsewhere.example.org/r4/Practitioner/1/_history/2", User{}},
		{"https://elsewhere.example.org/r4/Patient/1?x=/Practitioner/1", User{}},
		{"https://elsewhere.example.org/r4/Patient/1#/Practitioner/1", User{}},
		{"https://elsewhere.example.org/r4/Patient/1#Practitioner/1", User{}},
		{"https://elsewhere.example.org/r4\\/Practitioner/1", User{}},
		{"https://name@elsewhere.example.org/Practitioner/1", User{}},
		{"https://Practitioner/1", User{}},
		{"https:///Practitioner/1", User{}},
		{"https:/x/Practitioner/1", User{}},
		{"HTTPS://elsewhere.example.org/Practitioner/1", User{}},
		{base + "/Patient/..", User{Patient: ".."}}, // an id by its letters; nobody's
		{"Patient/", User{}},
		{"Patient", User{}},
		{"Patient/a b", User{}},
		{"Practitioner/?x", User{}},
		{"practitioner/1", User{}},
		{"RelatedPerson/1", User{}},
		{"Person/1", User{}},
		{"Device/1", User{}},
	} {
		if got := ParseUser(test.reference, base); got != test.want {
			t.Errorf("%q is %+v, want %+v", test.reference, got, test.want)
		}
	}
	if got := ParseUser("/Patient/1", ""); got != (User{}) {
		t.Errorf("without a base: %+v", got)
	}
}

// names reports whether a text of scopes has one that names a right of a type
// at a level. It is written without the parser.
func names(text string, where area, letter byte) bool {
	words := map[string]string{"read": "rs", "write": "cud", "*": "cruds"}
	return slices.ContainsFunc(strings.Split(text, " "), func(word string) bool {
		word = strings.TrimPrefix(word, scopeURI)
		what, ok := strings.CutPrefix(word, fmt.Sprintf("%s/%s.", where.level, where.typ))
		if long, known := words[what]; known {
			what = long
		}
		return ok && strings.IndexByte(what, letter) >= 0
	})
}

// FuzzScopes checks that scopes never grant a right that the text does not name,
// whatever the order in which they stand.
func FuzzScopes(f *testing.F) {
	for _, seed := range []string{
		"", "openid fhirUser launch/patient patient/*.rs", "user/Patient.cruds system/*.*", "patient/Observation.rs?category=x|y",
		scopeURI + "patient/Patient.read", "patient/Observation.sr", "patient/*.write  user/*.r ", "patient/a.rs\x00 system/\xff.rs",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := ParseScopes(text)
		for where, rights := range s.rights {
			if rights == 0 {
				t.Errorf("%+v has no rights", where)
			}
			for _, l := range letters {
				if rights&l.right != 0 && !names(text, where, l.letter) {
					t.Errorf("%q grants %c of %+v, which it does not name", text, l.letter, where)
				}
			}
		}
		words := strings.Split(text, " ")
		slices.Reverse(words)
		if diff := cmp.Diff(s, ParseScopes(strings.Join(words, " ")), cmp.AllowUnexported(Scopes{}, area{})); diff != "" {
			t.Errorf("the order of %q matters:\n%s", text, diff)
		}
		for _, g := range s.Grants("", User{}) {
			if !strings.Contains(text, "system/") {
				t.Errorf("%q grants %+v to nobody", text, g)
			}
		}
		for _, g := range s.Grants("p", User{Patient: "u"}) {
			if g.Patient != "p" && g.Patient != "u" && !strings.Contains(text, "system/") {
				t.Errorf("%q grants %+v beyond the patients", text, g)
			}
		}
	})
}

// TestScopesOfAGrammar makes scopes from the grammar itself, so that most mean
// something.
func TestScopesOfAGrammar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lvl := rapid.SampledFrom([]level{patientLevel, userLevel, systemLevel}).Draw(t, "level")
		typ := rapid.SampledFrom([]string{"*", "Patient", "Observation", "Medication"}).Draw(t, "type")
		var text string
		var want search.Rights
		for _, l := range letters {
			if rapid.Bool().Draw(t, string(l.letter)) {
				text += string(l.letter)
				want |= l.right
			}
		}
		s := ParseScopes(string(lvl) + "/" + typ + "." + text)
		if got := s.rights[area{lvl, typ}]; got != want {
			t.Fatalf("%s grants %05b, want %05b", text, got, want)
		}
		if want != 0 && lettersOf(want) != text {
			t.Fatalf("%05b is written %s, want %s", want, lettersOf(want), text)
		}
	})
}
