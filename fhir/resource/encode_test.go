package resource_test

import (
	"testing"
	"time"

	"github.com/starling-fhir/starling/fhir/resource"
)

func TestNewBody(t *testing.T) {
	at := time.Date(2026, 5, 17, 13, 28, 17, 239_000_000, time.UTC)
	tests := []struct{ name, in, want string }{
		{
			"no meta",
			`{"resourceType":"Patient","active":true}`,
			`{"resourceType":"Patient","id":"p1","meta":{"versionId":"3","lastUpdated":"2026-05-17T13:28:17.239Z"},"active":true}`,
		},
		{
			"the sender's version and time go, the rest of meta stays",
			`{"meta":{"versionId":"9","_versionId":{"id":"x"},"profile":["http://example.org/p"],"lastUpdated":"2001-01-01T00:00:00Z","tag":[{"code":"t"}]},"id":"old","resourceType":"Patient"}`,
			`{"resourceType":"Patient","id":"p1","meta":{"versionId":"3","lastUpdated":"2026-05-17T13:28:17.239Z","profile":["http://example.org/p"],"tag":[{"code":"t"}]}}`,
		},
		{
			"numbers, order and companions of primitives stay",
			`{"resourceType":"Observation","valueQuantity":{"value":1.50},"_status":{"id":"s"},"status":"final"}`,
			`{"resourceType":"Observation","id":"p1","meta":{"versionId":"3","lastUpdated":"2026-05-17T13:28:17.239Z"},"valueQuantity":{"value":1.50},"_status":{"id":"s"},"status":"final"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := resource.Decode([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(resource.NewBody(n, "p1").Stamp(3, at)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNodeReading(t *testing.T) {
	n, err := resource.Decode([]byte(`{"a":{"b":{"c":"deep"}},"list":[1,2],"one":"x","none":null}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Path("a", "b").Str("c"); got != "deep" {
		t.Errorf("Path gave %q", got)
	}
	if n.Path("a", "x", "c") != nil || n.Get("list").Get("a") != nil {
		t.Error("a path that leads nowhere is not nil")
	}
	for name, want := range map[string]int{"list": 2, "one": 1, "none": 0, "missing": 0} {
		if got := len(n.List(name)); got != want {
			t.Errorf("List(%q) has %d elements, want %d", name, got, want)
		}
	}
	n.Remove("list")
	n.Remove("missing")
	n.Set("one", resource.Text("y"))
	n.Set("new", resource.Text("z"))
	if got, want := string(n.JSON()), `{"a":{"b":{"c":"deep"}},"one":"y","none":null,"new":"z"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
