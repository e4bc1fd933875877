package rest

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// TestWritesOfALimitedCaller: what is written lies altogether in the record, and
// so does what it replaces.
func TestWritesOfALimitedCaller(t *testing.T) {
	const all = "patient/*.cruds"
	minimal := []string{"Prefer: return=minimal"}
	tests := []struct {
		name   string
		scopes string
		call   call
		status int
		text   string // in the body
	}{
		{"what also concerns another patient is read", all, call{"GET", "/Observation/both1", nil, ""}, 200, "bea"},
		{"but not updated", all, call{"PUT", "/Observation/both1", nil, observation("both1", "ada")}, 403, "not altogether"},
		{"nor with If-Match", all, call{"PUT", "/Observation/both1", []string{`If-Match: W/"1"`}, observation("both1", "ada")}, 403, "not altogether"},
		{"nor by criteria", all, call{"PUT", "/Observation?_id=both1", nil, observation("both1", "ada")}, 403, "not altogether"},
		{"nor deleted", all, call{"DELETE", "/Observation/both1", nil, ""}, 403, "not altogether"},
		{"nor deleted by criteria", all, call{"DELETE", "/Observation?_id=both1", nil, ""}, 403, "not altogether"},
		{"nor in a transaction", all, call{"POST", "", nil, bundleOf("transaction", entryOf("", "DELETE", "Observation/both1", ""))}, 403, "Bundle.entry[0]"},
		{"nor by one who may not read it", "patient/*.u", call{"PUT", "/Observation/both1", nil, observation("both1", "ada")}, 403, "not altogether"},

		{"nothing is created for another patient", all, call{"POST", "/Observation", nil, observation("", "bea")}, 403, "would not be"},
		{"nor for a patient that is absent", all, call{"POST", "/Observation", nil, observation("", "nobody")}, 403, "would not be"},
		{"nor for nobody", all, call{"POST", "/Observation", nil, `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`}, 403, "would not be"},
		{"nor for both", all, call{"POST", "/Observation", nil, observation("", "ada", `,"performer":[{"reference":"Patient/bea"}]`)}, 403, "would not be"},
		{"nor by an absolute reference", all, call{"POST", "/Observation", nil, observation("", "ada", `,"performer":[{"reference":"`+testBase+`/Patient/bea"}]`)}, 403, "would not be"},
		{"nothing is moved to another patient", all, call{"PUT", "/Observation/own-1", nil, observation("own-1", "bea")}, 403, "would not be"},
		{"nor by criteria", all, call{"PUT", "/Observation?_id=own-1", nil, observation("own-1", "bea")}, 403, "would not be"},
		{"no patient is created", all, call{"POST", "/Patient", nil, plain}, 403, "would not be"},
		{"not even with an id", all, call{"PUT", "/Patient/new", nil, `{"resourceType":"Patient","id":"new"}`}, 404, "there is no Patient/new"},
		{"the own patient is updated", all, call{"PUT", "/Patient/ada", nil, adaV2}, 200, "Byrne"},
		{"a reference to another's resource is just a reference", all, call{"PUT", "/Observation/own-1", nil, observation("own-1", "ada", `,"hasMember":[{"reference":"Observation/other"}]`)}, 200, "Observation/other"},

		{"what was deleted is gone", all, call{"GET", "/Observation/gone1", nil, ""}, 410, "was deleted"},
		{"and is not brought back", all, call{"PUT", "/Observation/gone1", nil, observation("gone1", "ada")}, 410, "may not bring it back"},
		{"nor with If-Match", all, call{"PUT", "/Observation/gone1", []string{`If-Match: W/"2"`}, observation("gone1", "ada")}, 412, "there is no"},
		{"it may be deleted again", all, call{"DELETE", "/Observation/gone1", nil, ""}, 204, ""},

		{"who may not read gets nothing back", "patient/*.cu", call{"PUT", "/Observation/own-1", nil, observation("own-1", "ada")}, 200, ""},
		{"nor of what they create", "patient/*.cu", call{"POST", "/Observation", nil, observation("", "ada")}, 201, ""},
		{"nor if they ask", "patient/*.cu", call{"PUT", "/Observation/own-1", []string{"Prefer: return=representation"}, observation("own-1", "ada")}, 200, ""},
		{"nor of what criteria find", "patient/*.cs", call{"POST", "/Observation", []string{"If-None-Exist: _id=own-1"}, observation("", "ada")}, 200, ""},
		{"who may read may ask for nothing", all, call{"PUT", "/Observation/own-1", minimal, observation("own-1", "ada")}, 200, ""},

		{"criteria do not find another's resource", all, call{"POST", "/Observation", []string{"If-None-Exist: _id=other"}, observation("", "ada")}, 201, ""},
		{"criteria that find two see one", all, call{"POST", "/Observation", []string{"If-None-Exist: _id=own-1,other"}, observation("", "ada")}, 200, "own-1"},
		{"a reference by criteria does not find another patient", all, call{"POST", "/Observation", nil, observation("", "ada", `,"focus":[{"reference":"Patient?_id=bea"}]`)}, 412, "no Patient matches"},
		{"a reference by criteria needs the right to search", "patient/*.cr", call{"POST", "/Observation", nil, observation("", "ada", `,"focus":[{"reference":"Patient?_id=ada"}]`)}, 403, "search-type of Patient"},
		{"a reference by criteria of a refused type", all, call{"POST", "/Observation", nil, observation("", "ada", `,"focus":[{"reference":"Group?_id=a-grp"}]`)}, 403, "search-type of Group"},
		{
			"a pending resource that could not be found is no target", "patient/*.rs user/Observation.c",
			call{"POST", "", nil, bundleOf("transaction",
				entryOf("", "POST", "Observation", observation("", "bea", `,"identifier":[{"value":"new"}]`)),
				entryOf("", "POST", "Observation", observation("", "ada", `,"hasMember":[{"reference":"Observation?identifier=new"}]`)))},
			403, "a conditional reference selects this Observation",
		},
		{
			"a pending resource of the own record is one", all,
			call{"POST", "", nil, bundleOf("transaction",
				entryOf("", "POST", "Observation", observation("", "ada", `,"identifier":[{"value":"new"}]`)),
				entryOf("", "POST", "Observation", observation("", "ada", `,"hasMember":[{"reference":"Observation?identifier=new"}]`)))},
			200, "201 Created",
		},
		{
			"one entry that is not allowed fails a transaction", all,
			call{"POST", "", nil, bundleOf("transaction", entryOf("", "PUT", "Observation/own-1", observation("own-1", "ada")), entryOf("", "GET", "Group/a-grp", ""))},
			403, "Bundle.entry[1]",
		},
		{
			"not allowed outweighs invalid", all,
			call{"POST", "", nil, bundleOf("transaction", entryOf("", "PUT", "Observation/own-1", observation("own-2", "ada")), entryOf("", "GET", "Group/a-grp", ""))},
			403, "Bundle.entry[0]",
		},
		{
			"a search of a transaction is asked for its types", all,
			call{"POST", "", nil, bundleOf("transaction", entryOf("", "GET", "?_type=Patient,Group", ""))},
			403, "search-type of Group",
		},
		{"a batch answers each entry", all, call{"POST", "", nil, bundleOf("batch", entryOf("", "GET", "Observation/other", ""), entryOf("", "GET", "Group/a-grp", ""), entryOf("", "GET", "metadata", ""))}, 200, "404 Not Found"},
		{"a search of the system is narrowed", all, call{"GET", "?_id=own-1,other,ada,bea,a-med,a-grp&_total=accurate", nil, ""}, 200, `"total":3`},
		{"a link from another patient is not followed", all, call{"GET", "/Patient?link=Patient/ada", nil, ""}, 200, `"total":0`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newGuarded(t)
			a.records()
			a.must("PUT", "/Patient/bea", `{"resourceType":"Patient","id":"bea","link":[{"other":{"reference":"Patient/ada"},"type":"seealso"}]}`)
			rec := a.as(test.scopes, test.call)
			if rec.Code != test.status {
				t.Errorf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			if !strings.Contains(rec.Body.String(), test.text) || test.text == "" && rec.Body.Len() > 0 && test.status != 201 {
				t.Errorf("the body should say %q: %s", test.text, rec.Body)
			}
			for _, id := range []string{"other", "both1", "own-1"} {
				if test.status >= 400 && !strings.Contains(a.must("GET", "/Observation/"+id, "").Header().Get("ETag"), `"1"`) {
					t.Errorf("%s was changed", id)
				}
			}
		})
	}
}

// TestIDsCannotBeProbed: a conditional update that matches nothing says the
// same whoever has the id.
func TestIDsCannotBeProbed(t *testing.T) {
	a := newGuarded(t)
	a.records()
	var answers []string
	for _, id := range []string{"other", "own-1", "gone1", "nobdy"} {
		rec := a.as("patient/*.cruds", call{"PUT", "/Observation?identifier=none", nil, observation(id, "ada")})
		if rec.Code != 403 {
			t.Errorf("%s: status %d: %s", id, rec.Code, rec.Body)
		}
		answers = append(answers, rec.Body.String())
	}
	if len(slices.Compact(answers)) != 1 {
		t.Errorf("the answers differ: %v", answers)
	}
}

// moving is a store that lets something happen just before its next write.
type moving struct {
	store.Store
	before atomic.Pointer[func()]
}

func (m *moving) Write(ctx context.Context, changes []store.Change) ([]*fhir.Resource, error) {
	if before := m.before.Swap(nil); before != nil {
		(*before)()
	}
	return m.Store.Write(ctx, changes)
}

// TestMovedToAnotherPatientMeanwhile: between the look at a resource and the
// write, somebody files it under another patient. What is theirs now must stay.
func TestMovedToAnotherPatientMeanwhile(t *testing.T) {
	update := observation("own-1", "ada", `,"issued":"2026-01-01T00:00:00Z"`)
	tests := []struct {
		name   string
		call   call
		status int
	}{
		{"update", call{"PUT", "/Observation/own-1", nil, update}, 404},
		{"update of any version", call{"PUT", "/Observation/own-1", []string{"If-Match: *"}, update}, 412},
		{"update of a version", call{"PUT", "/Observation/own-1", []string{`If-Match: W/"1"`}, update}, 412},
		{"update of the version it will have", call{"PUT", "/Observation/own-1", []string{`If-Match: W/"2"`}, update}, 412},
		{"conditional update", call{"PUT", "/Observation?_id=own-1", nil, withoutID(update)}, 201},
		{"delete", call{"DELETE", "/Observation/own-1", nil, ""}, 204},
		{"delete of a version", call{"DELETE", "/Observation/own-1", []string{`If-Match: W/"1"`}, ""}, 412},
		{"conditional delete", call{"DELETE", "/Observation?_id=own-1", nil, ""}, 204},
		{"transaction", call{"POST", "", nil, bundleOf("transaction", entryOf("", "PUT", "Observation/own-1", update))}, 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			seen := &moving{}
			a := newGuarded(t, func(c *Config) { seen.Store, c.Store = c.Store, seen })
			a.records()
			move := func() { a.must("PUT", "/Observation/own-1", observation("own-1", "bea")) }
			seen.before.Store(&move)
			rec := a.as("patient/*.cruds", test.call)
			if rec.Code != test.status {
				t.Errorf("status %d, want %d: %s", rec.Code, test.status, rec.Body)
			}
			if now := a.do(call{"GET", "/Observation/own-1", nil, ""}); now.Code != 200 || strings.Contains(now.Body.String(), "issued") {
				t.Errorf("what is another patient's now was changed: %s", now.Body)
			}
			if strings.Contains(rec.Body.String(), "is at version 2") {
				t.Errorf("the answer tells its new version: %s", rec.Body)
			}
		})
	}
}

// TestBusyResourceOfALimitedCaller: a caller who names no version is not told of
// one that others write meanwhile.
func TestBusyResourceOfALimitedCaller(t *testing.T) {
	seen := &moving{}
	a := newGuarded(t, func(c *Config) { seen.Store, c.Store = c.Store, seen })
	a.records()
	rival := func() { a.must("PUT", "/Observation/own-1", observation("own-1", "ada")) }
	seen.before.Store(&rival)
	rec := a.as("patient/*.cruds", call{"PUT", "/Observation/own-1", nil, observation("own-1", "ada")})
	if rec.Code != 200 || rec.Header().Get("ETag") != `W/"3"` {
		t.Errorf("status %d, ETag %s: %s", rec.Code, rec.Header().Get("ETag"), rec.Body)
	}
}
