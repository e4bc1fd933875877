package storetest

import (
	"bytes"
	"context"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

var readCases = []testCase{
	{"read returns the newest version", func(f *fixture) {
		c := put("Patient/1", "code=a")
		c.Patients = []string{"2", "1"}
		f.write(c)
		c.Body = body(c.Key, "second")
		want := f.write(c)[0]
		same(f, f.read("Patient/1"), want)
	}},
	{"read of what never was is NotFound", func(f *fixture) {
		f.write(put("Patient/1"))
		for _, name := range []string{"Patient/2", "Observation/1", "Patient/", "Patient/11"} {
			_, err := f.s.Read(f.Context(), key(name))
			f.wantKind(err, fhir.NotFound)
			_, err = f.s.ReadVersion(f.Context(), key(name), 1)
			f.wantKind(err, fhir.NotFound)
		}
	}},
	{"read of a deleted resource returns the deletion", func(f *fixture) {
		f.write(put("Patient/1"))
		want := f.write(del("Patient/1"))[0]
		got := f.read("Patient/1")
		same(f, got, want)
		if !got.Deleted() || got.JSON != nil {
			f.Errorf("deleted: %v, JSON %s", got.Deleted(), got.JSON)
		}
	}},
	{"readVersion returns each version as it was", func(f *fixture) {
		c := put("Patient/1", "code=a")
		c.Patients = []string{"p1"}
		var want []*fhir.Resource
		want = append(want, f.write(c)...)
		c.Patients, c.Method = []string{"p2"}, fhir.Patch
		want = append(want, f.write(c)...)
		want = append(want, f.write(del("Patient/1"))...)
		c.Method, c.Patients = fhir.Create, nil
		want = append(want, f.write(c)...)
		for i, w := range want {
			got, err := f.s.ReadVersion(f.Context(), key("Patient/1"), int64(i+1))
			if err != nil {
				f.Fatal(err)
			}
			same(f, got, w)
		}
		for _, version := range []int64{-1, 0, 5, 1 << 60} {
			_, err := f.s.ReadVersion(f.Context(), key("Patient/1"), version)
			f.wantKind(err, fhir.NotFound)
		}
	}},
	{"a version belongs to its own type and id", func(f *fixture) {
		f.write(put("Patient/1", "code=p"), put("Observation/1", "code=o"), put("Patient/1.1", "code=q"))
		for _, name := range []string{"Patient/1", "Observation/1", "Patient/1.1"} {
			if got := f.read(name); got.Key != key(name) || !bytes.Contains(got.JSON, []byte(key(name).ID)) {
				f.Errorf("%s reads as %s: %s", name, got.Key, got.JSON)
			}
		}
	}},
	{"a cancelled context is refused and nothing is written", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		_, err := f.s.Write(ctx, []store.Change{put("Patient/1")})
		f.wantKind(err, fhir.Timeout)
		_, err = f.s.Read(ctx, key("Patient/1"))
		f.wantKind(err, fhir.Timeout)
		_, err = f.s.Search(ctx, query("Patient"))
		f.wantKind(err, fhir.Timeout)
		_, err = f.s.History(ctx, store.HistoryQuery{Count: 1})
		f.wantKind(err, fhir.Timeout)
		f.find(query("Patient"))
	}},
	{"after Close everything is Unavailable", func(f *fixture) {
		f.write(put("Patient/1"))
		if err := f.s.Ping(f.Context()); err != nil {
			f.Errorf("Ping before Close: %v", err)
		}
		if err := f.s.Close(); err != nil {
			f.Fatalf("Close: %v", err)
		}
		_, err := f.s.Write(f.Context(), []store.Change{put("Patient/1")})
		f.wantKind(err, fhir.Unavailable)
		_, err = f.s.Read(f.Context(), key("Patient/1"))
		f.wantKind(err, fhir.Unavailable)
		_, err = f.s.ReadVersion(f.Context(), key("Patient/1"), 1)
		f.wantKind(err, fhir.Unavailable)
		_, err = f.s.Search(f.Context(), search.Query{Count: 1})
		f.wantKind(err, fhir.Unavailable)
		_, err = f.s.History(f.Context(), store.HistoryQuery{Count: 1})
		f.wantKind(err, fhir.Unavailable)
		f.wantKind(f.s.Ping(f.Context()), fhir.Unavailable)
		f.wantKind(f.s.Close(), fhir.Unavailable)
	}},
}

// same checks that two versions are equal in every field.
func same(f *fixture, got, want *fhir.Resource) {
	f.Helper()
	if got.Key != want.Key || got.Version != want.Version || !got.Updated.Equal(want.Updated) || got.Method != want.Method ||
		!bytes.Equal(got.JSON, want.JSON) || !slices.Equal(got.Patients, want.Patients) {
		f.Errorf("got  %s version %d %v by %s of %q: %s\nwant %s version %d %v by %s of %q: %s",
			got.Key, got.Version, got.Updated, got.Method, got.Patients, got.JSON,
			want.Key, want.Version, want.Updated, want.Method, want.Patients, want.JSON)
	}
}
