package search

import "testing"

// rows are estimates by parameter; "" is the whole type.
type rows map[string]float64

func (r rows) Resources(string) float64         { return r[""] }
func (r rows) Rows(_ string, c *Clause) float64 { return r[c.Param] }
func planned(r rows, where ...Clause) string    { return PlanType("T", where, r).String() }
func notClause(param string) Clause             { return Clause{Param: param, Not: true} }

func TestPlanType(t *testing.T) {
	r := rows{"": 1000, "few": 3, "some": 100, "many": 900}
	few, some, many := Clause{Param: "few"}, Clause{Param: "some"}, Clause{Param: "many"}
	for _, test := range []struct{ name, got, want string }{
		{"no clause looks at all", planned(r), "T: all(1000)"},
		{"the smallest drives", planned(r, many, few, some), "T: few=drive(3) some=test(100) many=test(900)"},
		{"a not cannot drive, however much it leaves out", planned(r, some, notClause("many"), notClause("few")), "T: some=drive(100) not many=test(100) not few=test(997)"},
		{"only nots look at all", planned(r, notClause("few")), "T: all(1000) not few=test(997)"},
		{"equal ones stay in their order", planned(rows{"": 9}, Clause{Param: "b"}, Clause{Param: "a"}), "T: b=drive(0) a=test(0)"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s, want %s", test.name, test.got, test.want)
		}
	}
}

func TestPlanTypeLeavesTheQueryAlone(t *testing.T) {
	where := []Clause{{Param: "many"}, {Param: "few"}}
	p := PlanType("T", where, rows{"": 10, "few": 1, "many": 9})
	if where[0].Param != "many" || p.Steps[0].Clause != &where[1] {
		t.Errorf("the clauses are %v now", where)
	}
}
