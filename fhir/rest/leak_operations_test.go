package rest

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Operations, patches and what else reads or changes without being a read, a
// search or an update: each is a way of its own to what is stored.

// operation is a random operation, called with GET or POST.
func (l *leaks) operation() (kind string, in call) {
	typ := l.typ()
	one := typ + "/" + l.id()
	patient := pick(l, []string{"ada", "ada", "ada", "bea", "cyd", "absent"})
	get := func(path string, parts ...string) call {
		var query []string
		for _, part := range parts {
			if part != "" {
				query = append(query, part)
			}
		}
		return call{"GET", path + "?" + strings.Join(query, "&"), nil, ""}
	}
	some := func(parts ...string) string { return pick(l, append(parts, "", "")) }
	switch l.rnd.IntN(9) {
	case 0, 1:
		path := pick(l, []string{"/Patient/" + patient, "/Patient/" + patient, "/Patient", "/Encounter/" + l.id()})
		return "everything", get(path+"/$everything", some("_count="+strconv.Itoa(1+l.rnd.IntN(6))), some("_type="+l.typ()+",Observation"),
			some("_since=2026-01-02T03:20:00Z"), some("start=2020", "end=2021-05"))
	case 2:
		return "lastn", get("/Observation/$lastn", "patient="+pick(l, []string{"Patient/", ""})+patient, "code="+pick(l, leakCodes), some("max=2"), some(l.criterion("Observation")))
	case 3, 4:
		return "stats", get("/Observation/$stats", "subject=Patient/"+patient, "code="+pick(l, leakCodes), "system=http://codes.example",
			"statistic="+pick(l, []string{"count", "average,maximum", "total-count"}), some("include=true", "include=true&limit=2"))
	case 5:
		return "meta", get(pick(l, []string{"/$meta", "/" + typ + "/$meta", "/" + one + "/$meta", "/" + one + "/_history/" + pick(l, []string{"1", "2"}) + "/$meta"}))
	case 6:
		path := "/" + one + pick(l, []string{"/$meta-add", "/$meta-delete"})
		return "meta", call{"POST", path, nil, `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"http://tags.example","code":"` + pick(l, leakCodes) + `"}]}}]}`}
	case 7:
		if l.chance(30) {
			return "status", get("/SearchParameter/" + pick(l, []string{"seen", "absent"}) + "/$status")
		}
		mode := some("mode=create", "mode=update", "mode=delete")
		if l.chance(30) {
			return "validate", get("/"+one+"/$validate", mode)
		}
		in := get("/"+pick(l, []string{typ, one})+"/$validate", mode)
		in.method, in.body = "POST", l.make(typ, "", l.patient(), false)
		return "validate", in
	}
	if l.chance(30) {
		return "erase", call{"DELETE", "/" + one + "/_history", nil, ""}
	}
	if l.chance(40) { // which everybody may see all of
		typ = pick(l, openKinds)
	}
	return "explain", get("/"+typ, l.criterion(typ), "_explain=true", some(l.includes()...))
}

// patched is a random patch: by id or by criteria, as JSON Patch or FHIRPath Patch.
func (l *leaks) patched() (kind string, in call) {
	typ, id := l.typ(), l.id()
	if l.chance(50) {
		id = l.ownID()
	}
	path, kind := "/"+typ+"/"+id, "patch"
	if l.chance(25) {
		path, kind = "/"+typ+"?"+pick(l, []string{l.criterion(typ), "_id=" + l.id(), "identifier=" + pick(l, leakCodes), "_id=own-2,f-2,f-3"}), "patch by criteria"
	}
	var headers []string
	if l.chance(30) {
		headers = append(headers, pick(l, []string{"If-Match: *", `If-Match: W/"1"`, `If-Match: W/"2"`, `If-None-Match: W/"2"`}))
	}
	if l.chance(20) {
		headers = append(headers, "Prefer: return="+pick(l, []string{"minimal", "OperationOutcome"}))
	}
	if l.chance(30) {
		code := fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"%s.subject"},{"name":"value","valueReference":{"reference":%q}}]}]}`, typ, l.patient())
		return kind, call{"PATCH", path, headers, code}
	}
	return kind, call{"PATCH", path, append(headers, "Content-Type: application/json-patch+json"), l.jsonPatch()}
}

// jsonPatch is a JSON Patch that fits many resources.
func (l *leaks) jsonPatch() string {
	return pick(l, []string{
		`[{"op":"add","path":"/language","value":"` + pick(l, []string{"en", "de"}) + `"}]`,
		`[{"op":"test","path":"/code/text","value":"` + pick(l, leakCodes) + `"},{"op":"add","path":"/language","value":"fr"}]`,
		`[{"op":"replace","path":"/subject/reference","value":"` + l.patient() + `"}]`,
		`[{"op":"replace","path":"/patient/reference","value":"` + l.patient() + `"}]`,
		`[{"op":"remove","path":"/identifier"}]`,
	})
}

// patchEntry is a patch as an entry of a batch or transaction.
func (l *leaks) patchEntry() string {
	data := base64.StdEncoding.EncodeToString([]byte(l.jsonPatch()))
	return entryOf("", "PATCH", l.typ()+"/"+l.id(), `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"`+data+`"}`)
}

// ownParameter is a criterion of a search parameter that a client has defined, see
// leaks.define.
func (l *leaks) ownParameter(typ string) string {
	return pick(l, []string{
		"seen=" + pick(l, leakCodes), "seen:missing=true", "seen:not=" + pick(l, leakCodes), "_sort=seen", "_filter=" + url.QueryEscape("seen eq a or _id eq f-1"),
		"_has:" + typ + ":focus:seen=a", "patient:" + typ + ".seen=a",
	})
}

// define changes what a client has defined, on both servers, and lets the index be
// brought up to it now and then: in between nothing is found by it.
func (l *leaks) define() {
	if l.chance(50) {
		expression := pick(l, []string{"code.coding", "identifier", "meta.tag"})
		paths := make([]string, 0, 3)
		for _, typ := range []string{"Observation", "Condition", "DiagnosticReport"} {
			paths = append(paths, typ+"."+expression)
		}
		l.both(call{"PUT", "/SearchParameter/seen", nil, fmt.Sprintf(
			`{"resourceType":"SearchParameter","id":"seen","url":"http://example.org/seen","name":"seen","status":"active","description":"d","code":"seen","base":["Observation","Condition","DiagnosticReport"],"type":"token","expression":%q}`,
			strings.Join(paths, " | "))})
		return
	}
	for _, w := range []*world{l.with, l.without} {
		if err := w.server.indexPending(l.tb.Context(), func(Indexing) {}); err != nil {
			l.tb.Fatal(err)
		}
	}
}
