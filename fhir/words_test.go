package fhir

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestNearest(t *testing.T) {
	names := []string{"birthDate", "gender", "_id", "code", "Patient", "managingOrganization"}
	for _, test := range []struct{ word, want string }{
		{"birthdate", "birthDate"}, // case
		{"brithDate", "birthDate"}, // swapped
		{"gendre", "gender"},
		{"Pateint", "Patient"},
		{"Patients", "Patient"},
		{"cod", "code"},
		{"foo", ""}, // two letters of three would be wrong
		{"id", "_id"},
		{"organization", ""},
		{"", ""},
		{strings.Repeat("x", 100_000), ""},
	} {
		if got := Nearest(test.word, names); got != test.want {
			t.Errorf("Nearest(%.20q) = %q, want %q", test.word, got, test.want)
		}
	}
}

func TestNearestFirst(t *testing.T) {
	got := NearestFirst("Subjct", []string{"_id", "code", "date", "subject", "status"})
	want := []string{"subject", "_id", "code", "date", "status"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestClip(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("é", 500), "a" + strings.Repeat("é", 500)} {
		got := Clip(s)
		if !utf8.ValidString(got) || len(got) > 80+len("…") {
			t.Errorf("Clip(%.10q…) = %q", s, got)
		}
		if len(s) <= 80 && got != s {
			t.Errorf("Clip(%q) = %q", s, got)
		}
	}
}
