package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// params are the parameters a plan speaks of.
func params(p search.Plan) (out []string) {
	for _, step := range p.Steps {
		out = append(out, step.Param)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var explainCases = []testCase{
	{"only who asks gets plans", func(f *fixture) {
		ward(f)
		if page := f.search(query("Observation", is("code", "a"))); page.Plans != nil {
			f.Errorf("plans nobody asked for: %v", page.Plans)
		}
	}},
	{"a plan for each type tells how each clause took part", func(f *fixture) {
		ward(f)
		q := query("", is("name", "x"), not(is("code", "z")))
		q.Types, q.Explain = []string{"Device", "Patient"}, true
		for _, q.Sort = range [][]search.Sort{nil, {sortBy("name")}} {
			page := f.search(q)
			if len(page.Plans) != 2 || len(page.Resources) != 3 {
				f.Fatalf("%d plans, %d resources", len(page.Plans), len(page.Resources))
			}
			for i, plan := range page.Plans {
				if plan.Type != q.Types[i] || !slices.Equal(params(plan), []string{"code", "name"}) {
					f.Errorf("plan %d is of %s and about %v", i, plan.Type, params(plan))
				}
				if plan.Looked < -1 || plan.Rows < 0 {
					f.Errorf("%s: looked at %d rows, expected %g", plan.Type, plan.Looked, plan.Rows)
				}
				for _, step := range plan.Steps {
					if step.Role == "" || step.Rows < 0 || step.Found < -1 {
						f.Errorf("%s: the step of %s has role %q, expected %g, found %d", plan.Type, step.Param, step.Role, step.Rows, step.Found)
					}
				}
			}
		}
	}},
	{"a plan counts what was looked at", func(f *fixture) {
		var changes []store.Change
		for i := range 400 {
			changes = append(changes, put(fmt.Sprintf("Patient/%d", i), "all=x", fmt.Sprintf("n=%d", i)))
		}
		f.write(changes...)
		looked := func(where ...search.Clause) int64 {
			q := query("Patient", where...)
			q.Explain, q.Total = true, search.TotalAccurate
			page := f.search(q)
			if len(page.Plans) != 1 {
				f.Fatalf("%d plans", len(page.Plans))
			}
			return page.Plans[0].Looked
		}
		if one, many := looked(is("n", "7")), looked(is("all", "x"), not(is("n", "7"))); one >= 0 && many >= 0 && one >= many {
			f.Errorf("looked at %d rows for one resource and at %d for all", one, many)
		}
	}},
	{"plans tell of joins and alternatives", func(f *fixture) {
		ward(f)
		for _, where := range []search.Clause{
			chain("subject", "Patient", is("name", "x")), not(chain("subject", "Patient", is("name", "x"))),
			has("Observation", "subject", is("code", "a")), eitherOf(all(is("code", "a")), all(chain("subject", "Patient", is("name", "y")))),
		} {
			q := query("Observation", where)
			q.Explain = true
			page := f.search(q)
			if len(page.Plans) != 1 || len(page.Plans[0].Steps) == 0 {
				f.Errorf("plans %v", page.Plans)
			}
		}
	}},
	{"the text of a plan holds no value", func(f *fixture) {
		const secret = "Smith-1970"
		f.write(put("Patient/"+secret, "name="+secret), put("Observation/1", "code="+secret, to("subject", "Patient/"+secret)))
		for _, where := range [][]search.Clause{
			{is("code", secret)},
			{between("code", secret, secret+"0"), not(is("code", secret+"x"))},
			{chain("subject", "Patient", is("name", secret))},
			{search.RefersTo("subject", key("Patient/"+secret))},
			{eitherOf(all(is("code", secret)), all(chain("subject", "Patient", is("name", secret))))},
			{not(has("Observation", "subject", is("code", secret)))},
		} {
			q := query("Observation", where...)
			q.Explain = true
			for _, plan := range f.search(q).Plans {
				text := plan.String()
				for _, step := range plan.Steps {
					text += " " + step.Role
				}
				if strings.Contains(text, "Smith") || strings.Contains(text, "1970") {
					f.Errorf("a plan tells %s", text)
				}
			}
		}
	}},
	{"an answer is the same with its explanation", func(f *fixture) {
		fillJoined(f, 9)
		for name, q := range joinedQueries() {
			q.Count = 4
			plain := f.search(q)
			q.Explain = true
			explained := f.search(q)
			if !slices.Equal(names(plain.Resources), names(explained.Resources)) || plain.Total != explained.Total || (plain.Next == "") != (explained.Next == "") {
				f.Errorf("%s: %v of %d, explained %v of %d", name, names(plain.Resources), plain.Total, names(explained.Resources), explained.Total)
			}
			q.Cursor = plain.Next
			if page := f.search(q); q.Cursor != "" && len(page.Plans) == 0 {
				f.Errorf("%s: the second page has no plan", name)
			}
		}
	}},
}
