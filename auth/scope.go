package auth

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// maxScopes is the most scopes of one token. More grant nothing at all: to count
// some of them would make the order matter.
const maxScopes = 500

// scopeURI is what scopes may begin with where an authorization server wants
// them to be URIs,
// https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-clinical-data.
const scopeURI = "http://smarthealthit.org/fhir/scopes/"

// letters are the rights in the only order in which a scope may name them.
var letters = []struct {
	letter byte
	right  search.Rights
}{
	{'c', search.CanCreate}, {'r', search.CanRead}, {'u', search.CanUpdate}, {'d', search.CanDelete}, {'s', search.CanSearch},
}

// version1 gives the scopes of SMART 1 their meaning in SMART 2,
// https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources.
var version1 = map[string]search.Rights{
	"read":  search.CanRead | search.CanSearch,
	"write": search.CanCreate | search.CanUpdate | search.CanDelete,
	"*":     search.CanCreate | search.CanRead | search.CanUpdate | search.CanDelete | search.CanSearch,
}

// level is whose data a scope is about.
type level string

const (
	patientLevel level = "patient" // the one patient in the token's context
	userLevel    level = "user"    // what the signed-in user may see
	systemLevel  level = "system"  // what the client itself may see
)

// area is what scopes add up their rights for.
type area struct {
	level level
	typ   string // "*" is every type
}

// Scopes are the SMART scopes of a token: what it may do with which types of
// resources. The zero Scopes allow nothing.
type Scopes struct {
	rights map[area]search.Rights
	// Ignored are the scopes that grant nothing, sorted, each once.
	Ignored []IgnoredScope
}

// IgnoredScope is a scope that grants nothing, and why.
type IgnoredScope struct {
	Text   string // clipped
	Reason string
}

// ParseScopes reads a space-separated list of scopes,
// https://www.rfc-editor.org/rfc/rfc6749#section-3.3. What is not understood
// grants nothing; nothing is widened or mended.
//
// https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
func ParseScopes(text string) Scopes {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' })
	if len(words) > maxScopes {
		return Scopes{Ignored: []IgnoredScope{{
			Text: fmt.Sprintf("%d scopes", len(words)), Reason: fmt.Sprintf("more than %d scopes count as none", maxScopes),
		}}}
	}
	s := Scopes{rights: make(map[area]search.Rights)}
	for _, word := range words {
		where, rights, reason := parseScope(word)
		if reason != "" {
			s.Ignored = append(s.Ignored, IgnoredScope{Text: fhir.Clip(strings.ToValidUTF8(word, "\ufffd")), Reason: reason})
			continue
		}
		s.rights[where] |= rights
	}
	slices.SortFunc(s.Ignored, func(a, b IgnoredScope) int {
		return cmp.Or(cmp.Compare(a.Text, b.Text), cmp.Compare(a.Reason, b.Reason))
	})
	s.Ignored = slices.Compact(s.Ignored)
	return s
}

// parseScope reads one scope; reason says why it grants nothing.
func parseScope(word string) (where area, rights search.Rights, reason string) {
	word = strings.TrimPrefix(word, scopeURI)
	prefix, rest, found := strings.Cut(word, "/")
	where.level = level(prefix)
	if !found || where.level != patientLevel && where.level != userLevel && where.level != systemLevel {
		return where, 0, "it is not about resources"
	}
	if strings.Contains(rest, "?") {
		return where, 0, "scopes with search parameters are not supported; without its parameters it would grant more than it says"
	}
	typ, what, found := strings.Cut(rest, ".")
	if !found {
		return where, 0, "it does not say what is allowed, as in .rs or .read"
	}
	if _, err := fhir.ParseKey(typ, "1"); err != nil && typ != "*" {
		return where, 0, "its resource type is not written as FHIR writes it"
	}
	where.typ = typ
	if rights, known := version1[what]; known {
		return where, rights, ""
	}
	rights, ok := parseLetters(what)
	if !ok {
		return where, 0, "what it allows is none of read, write, *, or letters of cruds in this order"
	}
	return where, rights, ""
}

// parseLetters reads a part of "cruds": each letter at most once, in this order,
// at least one.
func parseLetters(text string) (rights search.Rights, ok bool) {
	at := 0
	for _, l := range letters {
		if at < len(text) && text[at] == l.letter {
			rights |= l.right
			at++
		}
	}
	return rights, at > 0 && at == len(text)
}

// Grants returns what the scopes allow. patient is the logical id of the patient
// in the token's context; "" means there is none, and then what is at patient
// level grants nothing.
func (s Scopes) Grants(patient string, user User) []search.Grant {
	var grants []search.Grant
	for _, where := range s.areas() {
		if limit, reason := where.limit(patient, user); reason == "" {
			grants = append(grants, search.Grant{Type: where.typ, Rights: s.rights[where], Patient: limit})
		}
	}
	return grants
}

// areas returns what there are rights for, in a fixed order.
func (s Scopes) areas() []area {
	return slices.SortedFunc(maps.Keys(s.rights), func(a, b area) int {
		return cmp.Or(cmp.Compare(a.level, b.level), cmp.Compare(a.typ, b.typ))
	})
}

// limit returns the patient to whom an area is limited, "" for none; reason says
// why it grants nothing.
func (a area) limit(patient string, user User) (limit, reason string) {
	switch a.level {
	case patientLevel:
		if patient == "" {
			return "", "the token has no patient in its context"
		}
		return patient, ""
	case userLevel:
		if user.Whole {
			return "", ""
		}
		if user.Patient == "" {
			return "", "the token does not say by fhirUser that its user is a Practitioner, a PractitionerRole or a Patient of this server"
		}
		return user.Patient, ""
	case systemLevel:
		return "", ""
	}
	return "", "it is not about resources"
}

// lettersOf writes rights as a scope does.
func lettersOf(rights search.Rights) string {
	var out []byte
	for _, l := range letters {
		if rights&l.right != 0 {
			out = append(out, l.letter)
		}
	}
	return string(out)
}

// User is what is known of the person who signed in, by the claim fhirUser. The
// zero User may see nothing by being who it is.
type User struct {
	// Whole is for those who work here: scopes at user level reach whole types.
	Whole bool
	// Patient is the logical id of the patient that the user is: scopes at user
	// level reach what concerns this one.
	Patient string
}

// ParseUser reads a fhirUser claim: a reference to who signed in, relative or
// absolute. A patient counts only if it is one of this server, whose base URL is
// base: elsewhere the same id is somebody else.
//
// https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#scopes-for-requesting-identity-data
func ParseUser(reference, base string) User {
	relative, own := strings.CutPrefix(reference, strings.TrimSuffix(base, "/")+"/")
	if !own || base == "" {
		relative = reference
	}
	parts := strings.Split(relative, "/")
	if len(parts) < 2 {
		return User{}
	}
	key, err := fhir.ParseKey(parts[len(parts)-2], parts[len(parts)-1])
	foreign := len(parts) > 2
	if err != nil || foreign && !isWebURL(reference) {
		return User{}
	}
	switch {
	case key.Type == "Practitioner" || key.Type == "PractitionerRole":
		return User{Whole: true}
	case key.Type == "Patient" && !foreign:
		return User{Patient: key.ID}
	}
	return User{}
}

// isWebURL reports whether a text is the URL of a web server and a path there of
// two parts or more, and nothing else: what stands behind ? and # names nobody.
func isWebURL(text string) bool {
	parts := strings.Split(text, "/") // https: "" host type id
	return len(parts) >= 5 && (parts[0] == "https:" || parts[0] == "http:") && parts[1] == "" && parts[2] != "" &&
		!strings.ContainsAny(text, `?#@\`)
}
