package storetest

import (
	"fmt"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// requiring writes a resource that needs others.
func requiring(name string, others ...string) store.Change {
	c := put(name)
	for _, other := range others {
		c.Entries = append(c.Entries, entries(to("subject", other))...)
		c.Requires = append(c.Requires, key(other))
	}
	return c
}

var requiresCases = []testCase{
	{"what a change requires must be there", func(f *fixture) {
		f.write(put("Patient/1"), put("Patient/2"))
		f.write(requiring("Observation/1", "Patient/1", "Patient/2"))
		f.refuse(fhir.Conflict, 1, put("Device/1"), requiring("Observation/2", "Patient/1", "Patient/3"))
		f.refuse(fhir.Conflict, 0, requiring("Observation/2", "Unheard/1"))
		f.find(search.Query{Count: 100, Total: search.TotalAccurate}, "Patient/1", "Patient/2", "Observation/1")
	}},
	{"what is deleted is not there", func(f *fixture) {
		f.write(put("Patient/1"))
		f.write(del("Patient/1"))
		f.refuse(fhir.Conflict, 0, requiring("Observation/1", "Patient/1"))
		f.write(put("Patient/1"))
		f.write(requiring("Observation/1", "Patient/1"))
	}},
	{"another change of the same write may bring it, or take it away", func(f *fixture) {
		f.write(requiring("Observation/1", "Patient/1"), put("Patient/1"))
		f.write(put("Patient/2"), requiring("Observation/2", "Patient/2", "Observation/1"))
		f.refuse(fhir.Conflict, 0, requiring("Observation/3", "Patient/1"), del("Patient/1"))
		f.refuse(fhir.Conflict, 1, del("Patient/2"), requiring("Observation/3", "Patient/2"))
		f.write(requiring("Observation/4", "Observation/5"), requiring("Observation/5", "Observation/4"))
		f.write(del("Observation/4"), del("Observation/5"))
		f.write(requiring("Observation/4", "Observation/5"), requiring("Observation/5"))
	}},
	{"a change may require what it writes itself", func(f *fixture) {
		f.write(requiring("Observation/1", "Observation/1"))
		f.write(requiring("Observation/1", "Observation/1"))
	}},
	{"of a reference and the deletion of what it names only one is written", func(f *fixture) {
		const rounds = 40
		for i := range rounds {
			f.write(put(fmt.Sprintf("Patient/%d", i)))
		}
		both := [rounds][2]error{}
		for i := range rounds {
			patient := fmt.Sprintf("Patient/%d", i)
			together(2, func(side int) {
				c := requiring(fmt.Sprintf("Observation/%d", i), patient)
				if side == 1 {
					c = del(patient)
					c.Condition = &store.Condition{Query: query("Observation", search.RefersTo("subject", key(patient)))}
				}
				_, both[i][side] = f.s.Write(f.Context(), []store.Change{c})
			})
		}
		for i, errs := range both {
			if (errs[0] == nil) == (errs[1] == nil) {
				f.Errorf("round %d: the reference: %v, the deletion: %v", i, errs[0], errs[1])
			}
			for _, err := range errs {
				if err != nil {
					f.wantKind(err, fhir.Conflict)
				}
			}
		}
	}},
}
