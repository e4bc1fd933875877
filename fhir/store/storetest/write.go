package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

var writeCases = []testCase{
	{"write applies all changes or none", func(f *fixture) {
		f.write(put("Patient/old", "code=a"))
		bad := put("Patient/2", "code=b")
		bad.IfVersion = 7
		f.refuse(fhir.VersionMismatch, 2, put("Patient/1", "code=a"), del("Patient/old"), bad, put("Patient/3"))
		f.find(query("Patient"), "Patient/old")
		f.find(query("Patient", is("code", "a")), "Patient/old")
		if f.read("Patient/old").Version != 1 {
			f.Error("a refused write made a version")
		}
		_, err := f.s.Read(f.Context(), key("Patient/1"))
		f.wantKind(err, fhir.NotFound)
	}},
	{"write returns the new versions in the order of changes", func(f *fixture) {
		f.write(put("Patient/b"))
		f.clock.add(time.Second)
		create := put("Patient/a", "code=x")
		create.Method = fhir.Create
		create.Patients = []string{"z", "a", "z"}
		got := f.write(create, put("Patient/b", "code=y"), del("Patient/b0"))
		for i, want := range []fhir.Resource{
			{Key: key("Patient/a"), Version: 1, Method: fhir.Create, Patients: []string{"a", "z"}},
			{Key: key("Patient/b"), Version: 2, Method: fhir.Update},
		} {
			g := got[i]
			if g.Key != want.Key || g.Version != want.Version || g.Method != want.Method || !slices.Equal(g.Patients, want.Patients) {
				f.Errorf("change %d gave %s version %d by %s of patients %q", i, g.Key, g.Version, g.Method, g.Patients)
			}
			if !g.Updated.Equal(f.clock.now()) || g.Updated.Location() != time.UTC {
				f.Errorf("change %d was stamped %v, want %v", i, g.Updated, f.clock.now())
			}
		}
		if want := create.Body.Stamp(1, f.clock.now()); !bytes.Equal(got[0].JSON, want) {
			f.Errorf("JSON %s, want %s", got[0].JSON, want)
		}
		if got[2] != nil {
			f.Errorf("deleting nothing gave %v, want nil", got[2])
		}
	}},
	{"write keeps nothing of the caller's memory", func(f *fixture) {
		c := put("Patient/1", "code=abc")
		f.write(c)
		copy(c.Body.Tail, "#########")
		copy(c.Entries[0].Value, "###")
		f.find(query("Patient", is("code", "abc")), "Patient/1")
		if bytes.Contains(f.read("Patient/1").JSON, []byte("#")) {
			f.Error("the stored body changed with the caller's")
		}
	}},
	{"write of nothing changes nothing", func(f *fixture) {
		if got := f.write(); len(got) != 0 {
			f.Errorf("%d versions", len(got))
		}
	}},
	{"versions count from 1 through deletions", func(f *fixture) {
		for want := int64(1); want <= 6; want++ {
			c := put("Patient/1", fmt.Sprintf("code=%d", want))
			if want%3 == 0 {
				c = del("Patient/1")
			}
			if got := f.write(c)[0]; got.Version != want || got.Deleted() != (want%3 == 0) {
				f.Fatalf("version %d (deleted: %v), want %d", got.Version, got.Deleted(), want)
			}
		}
	}},
	{"lastUpdated has milliseconds and never runs backwards", func(f *fixture) {
		f.clock.add(456 * time.Microsecond)
		first := f.write(put("Patient/1"))[0]
		if first.Updated.Nanosecond()%1e6 != 0 {
			f.Errorf("stamped %v", first.Updated)
		}
		f.clock.add(-time.Hour)
		second := f.write(put("Patient/2"))[0]
		if second.Updated.Before(first.Updated) {
			f.Errorf("stamped %v after %v", second.Updated, first.Updated)
		}
		if !bytes.Contains(second.JSON, fhir.AppendInstant(nil, second.Updated)) {
			f.Errorf("JSON %s does not say %v", second.JSON, second.Updated)
		}
	}},
	{"IfVersion demands the newest version", func(f *fixture) {
		for _, c := range []store.Change{put("Patient/1"), del("Patient/1")} {
			c.IfVersion = 1
			f.refuse(fhir.VersionMismatch, 1, put("Patient/x"), c)
		}
		f.write(put("Patient/1"))
		c := put("Patient/1")
		c.IfVersion = 1
		if got := f.write(c)[0].Version; got != 2 {
			f.Errorf("version %d, want 2", got)
		}
		f.refuse(fhir.VersionMismatch, 0, c)
		c.IfVersion = 3
		f.refuse(fhir.VersionMismatch, 0, c)
		d := del("Patient/1")
		d.IfVersion = 1
		f.refuse(fhir.VersionMismatch, 0, d)
		d.IfVersion = 2
		f.write(d)
		f.refuse(fhir.VersionMismatch, 0, c) // version 3 is a deletion
		d.IfVersion = 3
		f.refuse(fhir.VersionMismatch, 0, d)
	}},
	{"IfNone demands that nothing is there", func(f *fixture) {
		c := put("Patient/1")
		c.IfNone = true
		f.write(c)
		f.refuse(fhir.Duplicate, 1, put("Patient/2"), c)
		f.write(del("Patient/1"))
		if got := f.write(c)[0].Version; got != 3 {
			f.Errorf("version %d after a deletion, want 3", got)
		}
	}},
	{"a condition must still give the keys it gave", func(f *fixture) {
		f.write(put("Patient/1", "identifier=a"), put("Observation/1", "identifier=a"))
		cond := func(value string, keys ...fhir.Key) *store.Condition {
			return &store.Condition{Query: query("Patient", is("identifier", value)), Keys: keys}
		}
		c := put("Patient/2", "identifier=a")
		c.Condition = cond("a")
		f.refuse(fhir.Conflict, 1, put("Patient/9"), c)
		c.Condition = cond("a", key("Patient/7"))
		f.refuse(fhir.Conflict, 0, c)
		c.Condition = cond("a", key("Patient/1"), key("Patient/7"))
		f.refuse(fhir.Conflict, 0, c)
		c.Condition = cond("a", key("Patient/1"))
		f.write(c)
		c = put("Patient/3")
		c.Condition = cond("a", key("Patient/2"), key("Patient/1"))
		f.write(c)
		c.Condition = cond("b")
		f.write(c)
		d := del("Patient/3")
		d.Condition = cond("b", key("Patient/3"))
		f.refuse(fhir.Conflict, 0, d)
		f.find(query("Patient"), "Patient/1", "Patient/2", "Patient/3")
	}},
	{"a condition is judged before the changes of its own write", func(f *fixture) {
		first, second := put("Patient/1", "identifier=a"), put("Patient/2", "identifier=b")
		second.Condition = &store.Condition{Query: query("Patient", is("identifier", "a"))}
		f.write(first, second)
		f.find(query("Patient"), "Patient/1", "Patient/2")
	}},
	{"a condition does not find what is deleted or changed away", func(f *fixture) {
		f.write(put("Patient/1", "identifier=a"), put("Patient/2", "identifier=a"))
		f.write(del("Patient/1"), put("Patient/2", "identifier=b"))
		c := put("Patient/3", "identifier=a")
		c.Condition = &store.Condition{Query: query("Patient", is("identifier", "a"))}
		f.write(c)
	}},
	{"two changes of one key are invalid", func(f *fixture) {
		f.refuse(fhir.Invalid, 2, put("Patient/1"), put("Patient/2"), del("Patient/1"))
		f.find(query("Patient"))
	}},
	{"a change must have a key, a method and a body", func(f *fixture) {
		c := put("Patient/1")
		c.Key.ID = "a b"
		f.refuse(fhir.Invalid, 0, c)
		c = put("Patient/1")
		c.Method = "GET"
		f.refuse(fhir.Invalid, 0, c)
		c = put("Patient/1")
		c.Body = fhir.Body{}
		f.refuse(fhir.Invalid, 0, c)
	}},
	{"a deletion removes from searches and can be undone", func(f *fixture) {
		f.write(put("Patient/1", "code=a"), put("Patient/2", "code=a"))
		f.write(del("Patient/1"))
		f.find(query("Patient", is("code", "a")), "Patient/2")
		f.find(query("Patient", not(is("code", "x"))), "Patient/2")
		f.find(query("Patient"), "Patient/2")
		f.write(put("Patient/1", "code=b"))
		f.find(query("Patient", is("code", "a")), "Patient/2")
		f.find(query("Patient", is("code", "b")), "Patient/1")
		f.find(query("Patient"), "Patient/1", "Patient/2")
		if got := f.read("Patient/1"); got.Version != 3 || got.Deleted() {
			f.Errorf("version %d, deleted: %v", got.Version, got.Deleted())
		}
	}},
	{"deleting what is not there changes nothing", func(f *fixture) {
		if got := f.write(del("Patient/1"))[0]; got != nil {
			f.Errorf("deleting nothing gave %v", got)
		}
		_, err := f.s.Read(f.Context(), key("Patient/1"))
		f.wantKind(err, fhir.NotFound)
		f.write(put("Patient/1"))
		first := f.write(del("Patient/1"))[0]
		f.clock.add(time.Second)
		again := f.write(del("Patient/1"), put("Patient/2"))[0]
		if again == nil || again.Version != first.Version || !again.Updated.Equal(first.Updated) || !again.Deleted() {
			f.Errorf("deleting again gave %+v, want %+v", again, first)
		}
		if got := f.read("Patient/1").Version; got != 2 {
			f.Errorf("version %d, want 2", got)
		}
	}},
	{"an update replaces all entries", func(f *fixture) {
		f.write(put("Patient/1", "code=a", "code=b", "name=x"))
		f.write(put("Patient/1", "code=b", "code=c"))
		f.find(query("Patient", is("code", "a")))
		f.find(query("Patient", is("code", "b")), "Patient/1")
		f.find(query("Patient", is("code", "c")), "Patient/1")
		f.find(query("Patient", is("name", "x")))
		f.write(put("Patient/1", "code=a"))
		f.find(query("Patient", is("code", "a")), "Patient/1")
		f.find(query("Patient", is("code", "b")))
	}},
	{"lastUpdated is searchable", func(f *fixture) {
		at := func(t time.Time) search.Clause {
			e := search.LastUpdated(t)[0]
			return is(e.Param, string(e.Value))
		}
		first := f.clock.now()
		f.write(put("Patient/1", "code=a"), put("Patient/2"))
		f.clock.add(time.Second)
		f.write(put("Patient/1", "code=a"))
		f.find(query("Patient", at(first)), "Patient/2")
		f.find(query("Patient", at(f.clock.now())), "Patient/1")
		f.write(del("Patient/1"))
		f.find(query("Patient", at(f.clock.now())))
	}},
}
