package search

import "bytes"

// Match reports whether a resource with these entries satisfies a clause. It is
// what a store must agree with: tests compare the two, and a store may use it
// on a resource whose entries it has at hand.
func Match(entries []Entry, c Clause) bool {
	for _, e := range entries {
		if e.Param != c.Param {
			continue
		}
		for _, r := range c.Ranges {
			if r.Contains(e.Value) {
				return !c.Not
			}
		}
	}
	return c.Not
}

// Contains reports whether a value lies in the range.
func (r Range) Contains(value []byte) bool {
	return bytes.Compare(value, r.From) >= 0 &&
		(r.To == nil || bytes.Compare(value, r.To) < 0) &&
		(r.Keep == nil || r.Keep(value))
}

// Present selects the resources that have a value for a parameter.
func Present(param string) Clause {
	return Clause{Param: param, Ranges: []Range{{From: []byte{classPresent}}}}
}

// InPatients selects the resources in the compartments of any of the patients.
func InPatients(ids ...string) Clause {
	c := Clause{Param: compartments.Name}
	for _, id := range ids {
		c.Ranges = append(c.Ranges, exactly(appendText([]byte{classTokenCode}, "Patient/"+id, maxCodeText)))
	}
	return c
}

// withIDs selects the resources that have one of the logical ids.
func withIDs(ids ...string) Clause {
	c := Clause{Param: "_id"}
	for _, id := range ids {
		c.Ranges = append(c.Ranges, exactly(appendText([]byte{classTokenCode}, id, maxCodeText)))
	}
	return c
}
