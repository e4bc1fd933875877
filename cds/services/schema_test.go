package services

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/starling-fhir/starling/cds"
	"github.com/starling-fhir/starling/internal/golden"
)

// TestSchema holds the golden cases and the discovery answer against a strict
// JSON Schema of CDS Hooks.
func TestSchema(t *testing.T) {
	data, err := os.ReadFile(golden.Shared(t, "spec", "cds-hooks.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	v := validator{root}
	for _, bad := range []string{ // the validator itself can say no
		`{"cards":[{"summary":"s","indicator":"success","source":{"label":"l"}}]}`,
		`{"cards":[{"summary":"` + strings.Repeat("x", 140) + `","indicator":"info","source":{"label":"l"}}]}`,
		`{"cards":[{"summary":"s","indicator":"info","source":{"label":"l"},"suggestions":[{"label":"x"}]}]}`,
		`{"cards":[{"summary":"s","indicator":"info","source":{"label":"l"},"colour":1}]}`,
		`{"cards":null}`,
	} {
		if len(v.check("response", []byte(bad))) == 0 {
			t.Errorf("the validator accepts %s", bad)
		}
	}
	responses, err := filepath.Glob("testdata/*/*/response.json")
	if err != nil || len(responses) == 0 {
		t.Fatalf("no responses: %v", err)
	}
	for _, path := range responses {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range v.check("response", body) {
			t.Errorf("%s: %s", path, problem)
		}
	}
	// The plain requests are well-formed; the others are wrong on purpose.
	for _, name := range []string{"poor-metabolizer", "two-orders", "partly-sent", "nothing-sent", "own-records"} {
		body, err := os.ReadFile(filepath.Join("testdata/pgx-order-select", name, "request.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range v.check("request", body) {
			t.Errorf("%s: %s", name, problem)
		}
	}
	for _, problem := range v.check("discovery", discovery(t)) {
		t.Errorf("discovery: %s", problem)
	}
}

// TestDiscovery keeps the advertised prefetch.
func TestDiscovery(t *testing.T) {
	golden.JSON(t, "testdata/discovery.json", discovery(t))
}

func discovery(t *testing.T) []byte {
	t.Helper()
	c := config(t)
	h, err := cds.NewHandler(All(c), cds.Options{NewID: c.NewID, Clock: c.Clock})
	if err != nil {
		t.Fatal(err)
	}
	return serve(h, "GET", "/cds-services", nil).Body.Bytes()
}

// validator checks JSON against the part of JSON Schema 2020-12 that the
// transcription uses. https://json-schema.org/draft/2020-12
type validator struct{ root map[string]any }

func (v validator) check(definition string, body []byte) []string {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return []string{err.Error()}
	}
	return v.value(map[string]any{"$ref": "#/$defs/" + definition}, value, "$")
}

func (v validator) value(schema, value any, path string) (problems []string) {
	s, ok := schema.(map[string]any)
	if !ok {
		if schema == false {
			return []string{path + ": not allowed"}
		}
		return nil
	}
	fail := func(format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	}
	also := func(schema any) { problems = append(problems, v.value(schema, value, path)...) }
	valid := func(schema any, value any) bool { return len(v.value(schema, value, path)) == 0 }
	if ref, has := s["$ref"].(string); has {
		also(v.root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")])
	}
	if typ, has := s["type"].(string); has && !isType(value, typ) {
		fail("is no %s", typ)
		return problems
	}
	if enum, has := s["enum"].([]any); has && !slices.ContainsFunc(enum, func(e any) bool { return reflect.DeepEqual(e, value) }) {
		fail("is none of %v", enum)
	}
	if c, has := s["const"]; has && !reflect.DeepEqual(c, value) {
		fail("is not %v", c)
	}
	for _, part := range list(s["allOf"]) {
		also(part)
	}
	if any := list(s["anyOf"]); any != nil && !slices.ContainsFunc(any, func(part interface{}) bool { return valid(part, value) }) {
		fail("fits no alternative")
	}
	if condition, has := s["if"]; has && valid(condition, value) {
		also(s["then"])
	}
	if not, has := s["not"]; has && valid(not, value) {
		fail("is what it must not be")
	}
	switch value := value.(type) {
	case string:
		problems = append(problems, v.text(s, value, path)...)
	case []any:
		problems = append(problems, v.array(s, value, path)...)
	case map[string]any:
		problems = append(problems, v.object(s, value, path)...)
	}
	return problems
}

func (v validator) text(s map[string]any, value, path string) (problems []string) {
	if n, has := s["minLength"].(float64); has && utf8.RuneCountInString(value) < int(n) {
		problems = append(problems, path+": too short")
	}
	if n, has := s["maxLength"].(float64); has && utf8.RuneCountInString(value) > int(n) {
		problems = append(problems, path+": too long")
	}
	if p, has := s["pattern"].(string); has && !regexp.MustCompile(p).MatchString(value) {
		problems = append(problems, path+": does not match "+p)
	}
	return problems
}

func (v validator) array(s map[string]any, value []any, path string) (problems []string) {
	if n, has := s["minItems"].(float64); has && len(value) < int(n) {
		problems = append(problems, path+": too few items")
	}
	matching := 0
	for i, item := range value {
		if items, has := s["items"]; has {
			problems = append(problems, v.value(items, item, fmt.Sprintf("%s[%d]", path, i))...)
		}
		if contains, has := s["contains"]; has && len(v.value(contains, item, path)) == 0 {
			matching++
		}
	}
	if n, has := s["maxContains"].(float64); has && matching > int(n) {
		problems = append(problems, path+": too many of a kind")
	}
	return problems
}

func (v validator) object(s, value map[string]any, path string) (problems []string) {
	if n, has := s["minProperties"].(float64); has && len(value) < int(n) {
		problems = append(problems, path+": too few members")
	}
	for _, name := range list(s["required"]) {
		if _, has := value[name.(string)]; !has {
			problems = append(problems, fmt.Sprintf("%s: %s is required", path, name))
		}
	}
	dependent, _ := s["dependentRequired"].(map[string]any)
	for name, needed := range dependent {
		if _, has := value[name]; has {
			problems = append(problems, v.object(map[string]any{"required": needed}, value, path)...)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, member := range value {
		if schema, known := properties[name]; known {
			problems = append(problems, v.value(schema, member, path+"."+name)...)
		} else if other, has := s["additionalProperties"]; has {
			problems = append(problems, v.value(other, member, path+"."+name)...)
		}
	}
	return problems
}

func list(v any) []any { l, _ := v.([]any); return l }

func isType(value any, typ string) bool {
	switch value := value.(type) {
	case nil:
		return typ == "null"
	case bool:
		return typ == "boolean"
	case string:
		return typ == "string"
	case float64:
		return typ == "number" || typ == "integer" && value == math.Trunc(value)
	case []any:
		return typ == "array"
	}
	return typ == "object"
}
