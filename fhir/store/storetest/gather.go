package storetest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// gather checks what goes along with a page, in this order, and whether there
// is more.
func (f *fixture) gather(g store.GatherQuery, more bool, want ...string) {
	f.Helper()
	found, gotMore, err := f.s.Gather(f.Context(), g)
	if err != nil {
		f.Fatalf("Gather: %v", err)
	}
	if got := names(found); !slices.Equal(got, want) && len(got)+len(want) > 0 || gotMore != more {
		f.Errorf("gathered %v, more: %t; want %v, more: %t", got, gotMore, want, more)
	}
}

func keys(list ...string) (out []fhir.Key) {
	for _, name := range list {
		out = append(out, key(name))
	}
	return out
}

// referring asks for what of a type refers to others.
func referring(typ, param string, others ...string) store.Referring {
	return store.Referring{Type: typ, Clause: search.RefersTo(param, keys(others...)...)}
}

// named is the entry of a canonical URL.
func named(url string) string {
	return "url=" + string(search.Named(url).Ranges[0].From)
}

var gatherCases = []testCase{
	{"Gather gives the resources that are named, once, in the order of types and ids", func(f *fixture) {
		ward(f)
		f.write(put("Patient/10"), put("Patient/1-"))
		f.gather(store.GatherQuery{Keys: keys("Patient/2", "Device/1", "Patient/10", "Patient/1", "Patient/2", "Patient/1-"), Limit: 100}, false,
			"Device/1", "Patient/1", "Patient/1-", "Patient/10", "Patient/2")
		f.gather(store.GatherQuery{Limit: 100}, false)
	}},
	{"Gather gives what refers", func(f *fixture) {
		ward(f)
		f.gather(store.GatherQuery{Referring: []store.Referring{referring("Observation", "subject", "Patient/1")}, Limit: 100}, false, "Observation/1", "Observation/5")
		f.gather(store.GatherQuery{Referring: []store.Referring{
			referring("Observation", "subject", "Patient/1", "Patient/2", "Patient/nobody"), referring("Observation", "performer", "Patient/1"),
			referring("Encounter", "subject", "Patient/2"), referring("Unheard", "subject", "Patient/2"), referring("Encounter", "unheard-of", "Patient/1"),
		}, Limit: 100}, false, "Encounter/2", "Observation/1", "Observation/2", "Observation/3", "Observation/5", "Observation/6", "Observation/9")
		f.gather(store.GatherQuery{Referring: []store.Referring{{Type: "Observation", Clause: search.Clause{Param: "subject"}}}, Limit: 100}, false)
	}},
	{"Gather gives what has a canonical URL, and what refers by one", func(f *fixture) {
		f.write(
			put("Questionnaire/1", named("http://a/q"), named("http://a/q|1")), put("Questionnaire/2", named("http://a/q"), named("http://a/q|2")),
			put("Device/1", named("http://a/q")), put("Questionnaire/3", named("http://a/q2")),
			put("QuestionnaireResponse/1", "questionnaire=\x52http://a/q\x00"), put("QuestionnaireResponse/2", "questionnaire=\x52http://a/q2\x00"),
		)
		f.gather(store.GatherQuery{Referring: []store.Referring{{Type: "Questionnaire", Clause: search.Named("http://a/q")}}, Limit: 100}, false, "Questionnaire/1", "Questionnaire/2")
		f.gather(store.GatherQuery{Referring: []store.Referring{{Type: "Questionnaire", Clause: search.Named("http://a/q|2", "http://b")}}, Limit: 100}, false, "Questionnaire/2")
		f.gather(store.GatherQuery{
			Keys:      keys("Device/1"),
			Referring: []store.Referring{{Type: "QuestionnaireResponse", Clause: search.RefersToURL("questionnaire", "http://a/q", "http://b")}}, Limit: 100,
		}, false, "Device/1", "QuestionnaireResponse/1")
	}},
	{"what is named and refers too is gathered once", func(f *fixture) {
		ward(f)
		f.gather(store.GatherQuery{
			Keys:      keys("Observation/5", "Patient/1"),
			Referring: []store.Referring{referring("Observation", "subject", "Patient/1"), referring("Observation", "subject", "Patient/2")}, Limit: 100,
		}, false, "Observation/1", "Observation/2", "Observation/3", "Observation/5", "Patient/1")
	}},
	{"Gather leaves out what is absent or deleted and gives the newest versions", func(f *fixture) {
		ward(f)
		want := f.write(put("Patient/1", "name=new"))[0]
		f.write(del("Patient/2"), del("Observation/1"), put("Observation/5", "code=c"))
		f.gather(store.GatherQuery{
			Keys: keys("Patient/2", "Patient/nobody", "Unheard/1", "Patient/1"), Limit: 100,
			Referring: []store.Referring{referring("Observation", "subject", "Patient/1", "Patient/2")},
		}, false, "Observation/2", "Observation/3", "Patient/1")
		found, _, err := f.s.Gather(f.Context(), store.GatherQuery{Keys: keys("Patient/1"), Limit: 1})
		if err != nil {
			f.Fatal(err)
		}
		same(f, found[0], want)
	}},
	{"Gather says when there is more than the limit", func(f *fixture) {
		ward(f)
		g := store.GatherQuery{Keys: keys("Patient/1", "Device/1", "Patient/2", "Patient/nobody"), Limit: 2}
		f.gather(g, true, "Device/1", "Patient/1")
		g.Limit = 3
		f.gather(g, false, "Device/1", "Patient/1", "Patient/2")
		g = store.GatherQuery{Referring: []store.Referring{referring("Observation", "subject", "Patient/1", "Patient/2")}, Limit: 3}
		f.gather(g, true, "Observation/1", "Observation/2", "Observation/3")
		g.Limit = 4
		f.gather(g, false, "Observation/1", "Observation/2", "Observation/3", "Observation/5")
		g.Keys, g.Limit = keys("Device/1", "Observation/2"), 2
		f.gather(g, true, "Device/1", "Observation/1")
		g.Limit = 10_000
		f.gather(g, false, "Device/1", "Observation/1", "Observation/2", "Observation/3", "Observation/5")
	}},
	{"Gather of what a scope sees", func(f *fixture) {
		l := f.limits()
		records(f, l)
		g := store.GatherQuery{
			Keys: keys("Patient/a", "Patient/b", "Practitioner/1", "Device/1", "Group/1", "Encounter/b", "Encounter/a"), Limit: 5,
			Referring: []store.Referring{
				referring("Observation", "subject", "Patient/a", "Patient/b"), referring("Observation", "encounter", "Encounter/a"),
				referring("Group", "member", "Patient/a"),
			},
			Scope: l.to("a").Scope(search.CanSearch),
		}
		f.gather(g, false, "Encounter/a", "Observation/a1", "Observation/a2", "Patient/a", "Practitioner/1")
		g.Limit = 3 // what lies outside does not count
		f.gather(g, true, "Encounter/a", "Observation/a1", "Observation/a2")
		g.Limit, g.Scope = 5, l.to().Scope(search.CanSearch)
		f.gather(g, false)
		some := l.r.Access(search.Grant{Type: "Patient", Rights: search.CanSearch}, search.Grant{Type: "Encounter", Rights: search.CanSearch, Patient: "b"})
		g.Scope = some.Scope(search.CanSearch)
		f.gather(g, false, "Encounter/b", "Patient/a", "Patient/b")
		g.Scope = nil
		f.gather(g, true, "Device/1", "Encounter/a", "Encounter/b", "Group/1", "Observation/a1")
	}},
	{"Gather of very many", func(f *fixture) {
		var changes []store.Change
		var all []fhir.Key
		var want []string
		for i := range 2500 {
			k := key(fmt.Sprintf("Patient/%04d", i))
			all = append(all, k)
			want = append(want, k.String())
			changes = append(changes, put(k.String()), put(fmt.Sprintf("Observation/%04d", i), to("subject", k.String())))
		}
		f.write(changes...)
		f.gather(store.GatherQuery{Keys: all, Limit: 10_000}, false, want...)
		f.gather(store.GatherQuery{Keys: all, Limit: 2000}, true, want[:2000]...)
		clause := search.RefersTo("subject", all...)
		for i := range want {
			want[i] = fmt.Sprintf("Observation/%04d", i)
		}
		f.gather(store.GatherQuery{Referring: []store.Referring{{Type: "Observation", Clause: clause}}, Limit: 10_000}, false, want...)
	}},
	{"Gather ends at 32 MiB and says that there is more", func(f *fixture) {
		const n, whole = 8, 7
		var want []string
		for i := range n {
			c := put(fmt.Sprintf("Binary/%d", i), to("subject", "Patient/1"))
			c.Body.Tail = append(c.Body.Tail, bytes.Repeat([]byte(" "), store.MaxResourceBytes-len(c.Body.Head)-len(c.Body.Tail))...)
			f.write(c)
			want = append(want, c.Key.String())
		}
		f.gather(store.GatherQuery{Keys: keys(want...), Limit: 100}, true, want[:whole]...)
		f.gather(store.GatherQuery{Referring: []store.Referring{referring("Binary", "subject", "Patient/1")}, Limit: 100}, true, want[:whole]...)
		f.gather(store.GatherQuery{Keys: keys(want[:whole]...), Limit: 100}, false, want[:whole]...)
	}},
	{"a limit of Gather is 1 to 10,000", func(f *fixture) {
		for _, limit := range []int{-1, 0, 10_001} {
			_, _, err := f.s.Gather(f.Context(), store.GatherQuery{Limit: limit})
			f.wantKind(err, fhir.Invalid)
		}
	}},
}
