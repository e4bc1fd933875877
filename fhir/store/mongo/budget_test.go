package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// counter counts the commands a store sends, those of the driver itself apart.
type counter struct {
	mu       sync.Mutex
	commands []string
	untimed  []string // without maxTimeMS
}

func (c *counter) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		switch e.CommandName {
		case "hello", "isMaster", "ping", "endSessions", "saslStart", "saslContinue":
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.commands = append(c.commands, e.CommandName)
		if e.Command.Lookup("maxTimeMS").IsZero() && e.CommandName != "create" && e.CommandName != "abortTransaction" {
			c.untimed = append(c.untimed, e.CommandName)
		}
	}}
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.commands
	c.commands = nil
	return taken
}

// put is a change of a made-up resource with the given entries, "code=a".
func put(method fhir.Method, name string, texts ...string) store.Change {
	typ, id := splitKey(name)
	c := store.Change{Key: fhir.Key{Type: typ, ID: id}, Method: method}
	c.Body.Head = fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"meta":{`, typ, id)
	c.Body.Tail = fmt.Appendf(nil, `},"valueDecimal":1.50,"text":%q}`, fmt.Sprint(texts))
	for _, text := range texts {
		param, value, _ := strings.Cut(text, "=")
		c.Entries = append(c.Entries, search.Entry{Param: param, Value: []byte(value)})
	}
	return c
}

func create(name string, texts ...string) store.Change {
	c := put(fhir.Create, name, texts...)
	c.IfNone = true
	return c
}

func is(param, value string) search.Clause {
	return search.Clause{Param: param, Ranges: []search.Range{{From: []byte(value), To: []byte(value + "\x00")}}}
}

// refers writes a reference as put wants it: "subject=…".
func refers(param, target string) string {
	var key fhir.Key
	key.Type, key.ID = splitKey(target)
	return param + "=" + string(search.RefersTo(param, key).Ranges[0].From)
}

// chain selects what refers to others that match, has what they refer to.
func chain(param, typ string, where ...search.Clause) search.Clause {
	return search.Clause{Param: param, Join: &search.Join{Types: []string{typ}, Where: where}}
}

func has(typ, param string, where ...search.Clause) search.Clause {
	c := chain(param, typ, where...)
	c.Join.Reverse = true
	return c
}

func write(t *testing.T, s *Store, changes ...store.Change) []*fhir.Resource {
	t.Helper()
	out, err := s.Write(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCommandsPerOperation is the budget of round trips: no engine's speed can
// be tested here, but how often it is asked can.
func TestCommandsPerOperation(t *testing.T) {
	c := &counter{}
	s := openTest(t, testDatabase(t), Options{Monitor: c.monitor()})
	var setup []store.Change
	for i := range 60 {
		setup = append(setup, create(fmt.Sprintf("Observation/o%d", i), "code=a", fmt.Sprintf("n=%02d", i%30), refers("subject", fmt.Sprintf("Device/d%d", i%3))))
	}
	for i := range 3 {
		setup = append(setup, create(fmt.Sprintf("Device/d%d", i), "name=d", refers("owner", "Organization/1")))
	}
	setup = append(setup, create("Organization/1", "name=o"))
	write(t, s, setup...)
	next := ""
	page := func(q search.Query) func() error {
		return func() error {
			q.Types, q.Count, q.Identity = []string{"Observation"}, 10, "q"
			got, err := s.Search(t.Context(), q)
			if err == nil && (len(got.Resources) != 10 || got.Total < 0 || got.Next == "") {
				err = fmt.Errorf("%d resources, total %d, next %q", len(got.Resources), got.Total, got.Next)
			}
			if err == nil {
				next = got.Next
			}
			return err
		}
	}
	behind := func(q search.Query) func() error {
		return func() error { q.Cursor = next; return page(q)() }
	}
	wrote := func(changes ...store.Change) func() error {
		return func() error { _, err := s.Write(t.Context(), changes); return err }
	}
	conditional := create("Patient/c", "identifier=c")
	conditional.Condition = &store.Condition{Query: search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("identifier", "c")}}}
	keyed := put(fhir.Update, "Observation/o2", "code=a")
	keyed.IfVersion = 1
	clause := search.Query{Where: []search.Clause{is("code", "a")}, Total: search.TotalAccurate}
	sorted := clause
	sorted.Sort = []search.Sort{{Param: "n"}}
	step := search.Query{Where: []search.Clause{chain("subject", "Device", is("name", "d"))}, Total: search.TotalAccurate}
	steps := search.Query{Where: []search.Clause{chain("subject", "Device", chain("owner", "Organization", has("Device", "owner", is("name", "d"))))}, Total: search.TotalAccurate}
	stepSorted := step
	stepSorted.Sort = sorted.Sort
	either := search.Query{Where: []search.Clause{{Any: [][]search.Clause{{is("n", "99")}, step.Where, {is("code", "a")}}}}, Total: search.TotalAccurate}
	back := func() error {
		got, err := s.Search(t.Context(), search.Query{Types: []string{"Observation"}, Where: clause.Where, Count: 10, Identity: "q", Cursor: next, Back: true})
		if err == nil && (len(got.Resources) != 10 || got.Next == "") {
			err = fmt.Errorf("%d resources, next %q", len(got.Resources), got.Next)
		}
		return err
	}
	explained := func() error {
		got, err := s.Search(t.Context(), search.Query{Types: []string{"Observation"}, Where: clause.Where, Count: 10, Explain: true})
		if err == nil && len(got.Plans) != 1 {
			err = fmt.Errorf("plans %v", got.Plans)
		}
		return err
	}
	gather := func() error {
		found, more, err := s.Gather(t.Context(), store.GatherQuery{Limit: 30, Keys: []fhir.Key{setup[0].Key, {Type: "Organization", ID: "1"}}, Referring: []store.Referring{
			{Type: "Observation", Clause: search.RefersTo("subject", fhir.Key{Type: "Device", ID: "d1"})}, {Type: "Device", Clause: search.RefersTo("owner", fhir.Key{Type: "Organization", ID: "1"})},
		}})
		if err == nil && (len(found) != 24 || more) {
			err = fmt.Errorf("%d gathered, more: %t", len(found), more)
		}
		return err
	}
	requiring := func(c store.Change) store.Change {
		c.Requires = []fhir.Key{{Type: "Organization", ID: "1"}, {Type: "Device", ID: "d1"}}
		return c
	}
	kept := clause
	kept.Where = []search.Clause{{Param: "n", Ranges: []search.Range{{From: []byte("0"), Keep: func([]byte) bool { return true }}}}}
	var large []store.Change
	for i := range 500 {
		switch {
		case i < 60:
			large = append(large, put(fhir.Update, fmt.Sprintf("Observation/o%d", i), "code=b"))
		default:
			d := create(fmt.Sprintf("Patient/l%d", i), fmt.Sprintf("identifier=l%d", i))
			d.Condition = &store.Condition{Query: search.Query{Types: []string{"Patient"}, Where: []search.Clause{is("identifier", fmt.Sprint("l", i%250))}}}
			large = append(large, d)
		}
	}

	if len(c.untimed) > 0 {
		t.Errorf("commands of Open without maxTimeMS: %v", c.untimed)
	}
	for _, test := range []struct {
		name string
		most int // that the design allows
		want string
		run  func() error
	}{
		{"read", 1, "find", func() error { _, err := s.Read(t.Context(), setup[0].Key); return err }},
		{"a version", 1, "find", func() error { _, err := s.ReadVersion(t.Context(), setup[0].Key, 1); return err }},
		{"plain create", 3, "update insert commitTransaction", wrote(create("Patient/p"))},
		{"update", 4, "aggregate update update commitTransaction", wrote(put(fhir.Update, "Observation/o1", "code=a"))},
		{"update of a version", 4, "aggregate update update commitTransaction", wrote(keyed)},
		{"update that creates", 4, "aggregate update insert commitTransaction", wrote(put(fhir.Update, "Observation/new", "code=a"))},
		{"delete", 4, "aggregate update update commitTransaction", wrote(store.Change{Key: fhir.Key{Type: "Observation", ID: "new"}, Method: fhir.Delete})},
		{"conditional create", 5, "aggregate aggregate update insert commitTransaction", wrote(conditional)},
		{"create that requires others", 4, "aggregate update insert commitTransaction", wrote(requiring(create("Patient/q")))},
		{"update that requires others", 4, "aggregate update update commitTransaction", wrote(requiring(put(fhir.Update, "Observation/o1", "code=a")))},
		{"erasing history", 4, "find update delete commitTransaction", func() error { _, err := s.Erase(t.Context(), fhir.Key{Type: "Observation", ID: "o1"}, 0); return err }},
		{"include round", 1, "aggregate", gather},
		{"chain", 2 + 1, "aggregate aggregate aggregate", page(step)},
		{"second page of a chain", 2 + 1, "aggregate aggregate aggregate", behind(step)},
		{"chain of two steps and a _has", 2 + 3, "aggregate aggregate aggregate aggregate aggregate", page(steps)},
		{"sorted chain", 2 + 1, "aggregate aggregate aggregate", page(stepSorted)},
		{"second sorted page of a chain", 2 + 1, "aggregate aggregate aggregate", behind(stepSorted)},
		{"alternatives, one of them a chain", 2 + 1, "aggregate aggregate aggregate", page(either)},
		{"page with its plan", 2 + 1, "aggregate aggregate explain", explained},
		{"page of a type with its total", 2, "aggregate aggregate", page(search.Query{Total: search.TotalAccurate})},
		{"page of a clause with its total", 2, "aggregate aggregate", page(clause)},
		{"second page", 2, "aggregate aggregate", behind(clause)},
		{"the page before the third", 2, "aggregate aggregate", back},
		{"sorted page", 2, "aggregate aggregate", page(sorted)},
		{"second sorted page", 2, "aggregate aggregate", behind(sorted)},
		{"page of a range that needs a second look", 2, "aggregate aggregate", page(kept)},
		{"total alone", 1, "aggregate", func() error {
			_, err := s.Search(t.Context(), search.Query{Types: []string{"Observation"}, Total: search.TotalAccurate})
			return err
		}},
		{"history of a resource", 2, "aggregate aggregate", func() error {
			_, err := s.History(t.Context(), store.HistoryQuery{Type: "Observation", ID: "o1", Count: 10})
			return err
		}},
		{
			"transaction of 500 creates and updates with 250 criteria", 10 + 3,
			"aggregate aggregate aggregate aggregate update insert insert update commitTransaction", wrote(large...),
		},
	} {
		c.take()
		if err := test.run(); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := c.take()
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s sent %v, want %s", test.name, got, test.want)
		}
		if len(got) > test.most {
			t.Errorf("%s sent %d commands; %d are allowed", test.name, len(got), test.most)
		}
	}
	if len(c.untimed) > 0 {
		slices.Sort(c.untimed)
		t.Errorf("commands without maxTimeMS: %v", slices.Compact(c.untimed))
	}
}

// TestServedBytesAndNativeDocument checks what is stored beside what is served.
func TestServedBytesAndNativeDocument(t *testing.T) {
	s := openTest(t, testDatabase(t), Options{})
	change := create("Observation/1", "code=a")
	change.Patients = []string{"p"}
	want := write(t, s, change)[0]
	var d resourceDoc
	if ok, err := decodeOne(s.resources.FindOne(t.Context(), bson.D{{Key: "resource.valueDecimal", Value: bson.D{{Key: "$gt", Value: 1}}}}), &d); err != nil || !ok {
		t.Fatalf("not found by its native document: %v", err)
	}
	raw, err := s.codec.unpack(d.Raw)
	if err != nil || string(raw) != string(want.JSON) {
		t.Errorf("raw holds %s, %v", raw, err)
	}
	text, err := bson.MarshalExtJSON(d.Resource, false, false)
	if err != nil {
		t.Fatal(err)
	}
	expect := fmt.Sprintf(`{"resourceType":"Observation","id":"1","meta":{"versionId":"1","lastUpdated":"%s"},"valueDecimal":{"$numberDecimal":"1.50"},"text":"[code=a]"}`,
		fhir.AppendInstant(nil, want.Updated))
	if string(text) != expect {
		t.Errorf("native document %s", text)
	}
	if d.Patient != "p" || !slices.Equal(d.Patients, []string{"p"}) {
		t.Errorf("patient %q, patients %q", d.Patient, d.Patients)
	}
}
