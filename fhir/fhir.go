// Package fhir holds the words every other package shares: keys, stored
// versions of resources, and errors with a kind. It does no I/O and knows
// neither HTTP nor any store.
package fhir

import (
	"strconv"
	"time"
)

// Key names a resource: its type and its logical id.
type Key struct {
	Type string
	ID   string
}

// String returns the key as a relative reference, such as "Patient/123".
func (k Key) String() string { return k.Type + "/" + k.ID }

// ParseKey checks the syntax of a type name and a logical id. It does not know
// which types exist. The error is Invalid.
//
// https://hl7.org/fhir/R4/datatypes.html#id
func ParseKey(typ, id string) (Key, error) {
	if !validType(typ) {
		return Key{}, Errorf(Invalid, "%q is not a resource type name", Clip(typ))
	}
	if !ValidID(id) {
		return Key{}, Errorf(Invalid, "%q is not a resource id: 1 to 64 letters, digits, '-' and '.' are allowed", Clip(id))
	}
	return Key{typ, id}, nil
}

// ValidID reports whether s is a logical id: 1 to 64 of A-Z, a-z, 0-9, '-', '.'.
//
// https://hl7.org/fhir/R4/datatypes.html#id
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func validType(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// Method says how a version came to be, in HTTP's words, as
// Bundle.entry.request.method wants it in a history.
type Method string

// The methods a version can come from.
const (
	Create Method = "POST"
	Update Method = "PUT"
	Patch  Method = "PATCH"
	Delete Method = "DELETE"
)

// Resource is one stored version of a resource. A deletion is a version too:
// Method is Delete and JSON is nil.
type Resource struct {
	Key
	Version int64     // 1 for the first version
	Updated time.Time // UTC, whole milliseconds
	Method  Method
	// JSON is what is served: compact, with id, meta.versionId and
	// meta.lastUpdated in place.
	JSON []byte
	// Patients are the ids of the Patient compartments this version is in,
	// sorted. https://hl7.org/fhir/R4/compartmentdefinition-patient.html
	Patients []string
}

// Deleted reports whether this version is a deletion.
func (r *Resource) Deleted() bool { return r.Method == Delete }

// Body is a resource's JSON with a gap where the server writes versionId and
// lastUpdated, so that a store can stamp them at the moment of commit without
// parsing. The gap is just behind the opening brace of meta:
//
//	Head  {"resourceType":"Patient","id":"p1","meta":{
//	      "versionId":"1","lastUpdated":"2026-01-02T03:04:05.678Z"
//	Tail  ,"profile":["…"]},"active":true}
//
// Tail starts with a comma or with meta's closing brace.
type Body struct {
	Head, Tail []byte
}

// Stamp returns the complete JSON of a version.
func (b Body) Stamp(version int64, updated time.Time) []byte {
	out := make([]byte, 0, len(b.Head)+len(b.Tail)+80)
	out = append(out, b.Head...)
	out = append(out, `"versionId":"`...)
	out = strconv.AppendInt(out, version, 10)
	out = append(out, `","lastUpdated":"`...)
	out = AppendInstant(out, updated)
	out = append(out, '"')
	return append(out, b.Tail...)
}

// AppendInstant appends t as a FHIR instant in UTC with milliseconds.
func AppendInstant(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}
