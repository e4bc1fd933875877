package cds

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"strings"
)

const jsonType = "application/json; charset=utf-8"

// isJSON reports whether a Content-Type is JSON or absent. Refusing others
// keeps web pages from calling without a CORS preflight.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json") ||
		media == "text/json" || media == "application/json+fhir")
}

// marshal writes JSON without HTML escapes, which only make cards hard to read.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// readRequest decodes and checks a service call. Unknown members are ignored,
// wherever they stand. What deserves a line in the log but no refusal is
// returned as notes. The request is returned with an error too, as far as it
// could be read, for the log. The error is Invalid.
//
// https://cds-hooks.hl7.org/2.0/#http-request_1
func readRequest(body []byte) (*Request, []string, error) {
	wire, err := readObject(body)
	if err != nil {
		return nil, nil, err
	}
	request := &Request{
		HookInstance: text(wire["hookInstance"]),
		Hook:         text(wire["hook"]),
		FHIRServer:   text(wire["fhirServer"]),
		Context:      wire["context"],
		Extension:    wire["extension"],
	}
	var notes []string
	if request.HookInstance == "" {
		return request, nil, Errorf(Invalid, "hookInstance: required; a UUID of this hook call")
	}
	if !isUUID(request.HookInstance) {
		notes = append(notes, "hookInstance is not a UUID")
	}
	if request.Hook == "" {
		return request, notes, Errorf(Invalid, "hook: required; the name of the hook that fired")
	}
	if !isObject(request.Context) {
		return request, notes, Errorf(Invalid, "context: required; an object")
	}
	if prefetch := wire["prefetch"]; !absent(prefetch) {
		if request.Prefetch, err = object(prefetch); err != nil {
			return request, notes, Errorf(Invalid, "prefetch: %s", noObject(err, "must be an object of prefetch keys"))
		}
	}
	if offer := wire["fhirAuthorization"]; !absent(offer) {
		auth, err := readAuthorization(offer, request)
		if err != nil {
			return request, notes, err
		}
		if auth.TokenType == "" || auth.Scope == "" || auth.Subject == "" || auth.ExpiresIn == 0 {
			notes = append(notes, "fhirAuthorization lacks a required member")
		}
		request.Authorization = auth
	}
	return request, notes, nil
}

// readObject decodes the members of a body that must be a JSON object. Their
// names count as they are written: to a struct "PatientID" would be "patientId"
// too. The error is Invalid.
func readObject(body []byte) (map[string]json.RawMessage, error) {
	if depth(body) > MaxDepth {
		return nil, Errorf(Invalid, "the request is nested deeper than %d levels", MaxDepth)
	}
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return nil, Errorf(Invalid, "the request is not a JSON object")
	}
	members, err := object(body)
	switch {
	case errors.Is(err, errTwice):
		return nil, Errorf(Invalid, "the request %s", errTwice)
	case err != nil:
		return nil, syntax(err)
	}
	return members, nil
}

// errTwice is the error about an object that cannot mean one thing.
var errTwice = errors.New("has two members of one name")

// object decodes the members of a JSON object. If two have one name the error is
// errTwice: other programs may read the one that is not read here.
func object(raw []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	if len(members) != colons(raw) {
		return nil, errTwice
	}
	return members, nil
}

// noObject says what is wrong with what object did not read; otherwise is what it
// should have been.
func noObject(err error, otherwise string) string {
	if errors.Is(err, errTwice) {
		return err.Error()
	}
	return otherwise
}

// colons counts the members of an object in valid JSON, those of one name too.
func colons(object []byte) int {
	n := 0
	structure(object, func(c byte, level int) bool {
		if c == ':' && level == 1 {
			n++
		}
		return true
	})
	return n
}

// readAuthorization reads the offer of a token. A member that is missing or of
// the wrong type costs no card: this server does not use the token yet. What
// names another patient than the context, or may do so, is refused.
func readAuthorization(raw json.RawMessage, request *Request) (*Authorization, error) {
	wire, err := object(raw)
	if err != nil {
		return nil, Errorf(Invalid, "fhirAuthorization: %s", noObject(err, "must be an object"))
	}
	if request.FHIRServer == "" {
		return nil, Errorf(Invalid, "fhirServer: required when fhirAuthorization is sent")
	}
	auth := &Authorization{
		AccessToken: text(wire["access_token"]),
		TokenType:   text(wire["token_type"]),
		Scope:       text(wire["scope"]),
		Subject:     text(wire["subject"]),
		Patient:     text(wire["patient"]),
	}
	_ = json.Unmarshal(wire["expires_in"], &auth.ExpiresIn) // stays 0 if it is not a number
	if auth.AccessToken == "" {
		return nil, Errorf(Invalid, "fhirAuthorization.access_token: required")
	}
	if auth.TokenType != "" && !strings.EqualFold(auth.TokenType, "Bearer") {
		return nil, Errorf(Invalid, "fhirAuthorization.token_type: must be Bearer")
	}
	if err := samePatient(wire["patient"], request.Context); err != nil {
		return nil, err
	}
	return auth, nil
}

// samePatient compares the patient a token is for with the patient of the
// context. Ids are compared as FHIR has it, with case; either may be written
// with its type. What is no text cannot be compared and is refused, except that
// a context without a patient is the service's to judge. The error is Invalid
// and names nobody.
func samePatient(claimed, context json.RawMessage) error {
	if absent(claimed) || string(claimed) == `""` {
		return nil
	}
	if claimed[0] != '"' {
		return Errorf(Invalid, "fhirAuthorization.patient: must be the id of a patient, as a text")
	}
	members, err := object(context)
	if err != nil {
		return Errorf(Invalid, "context: %s", noObject(err, "must be an object"))
	}
	id := members["patientId"]
	switch {
	case absent(id):
		return nil
	case id[0] != '"':
		return Errorf(Invalid, "context.patientId: must be the id of a patient, as a text")
	case PatientID(text(claimed)) != PatientID(text(id)):
		return Errorf(Invalid, "fhirAuthorization.patient and context.patientId name different patients")
	}
	return nil
}

// PatientID returns the logical id of a patient that a client wrote as "123" or
// as "Patient/123".
func PatientID(id string) string { return strings.TrimPrefix(id, "Patient/") }

// text returns a JSON string, and "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // stays empty if it is not a string
	return s
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

// isUUID reports whether s has the form of a UUID of any version.
// https://www.rfc-editor.org/rfc/rfc9562#section-4
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// depth returns how deep objects and arrays are nested in JSON. It stops counting
// just above MaxDepth.
func depth(data []byte) int {
	deepest := 0
	structure(data, func(_ byte, level int) bool {
		deepest = max(deepest, level)
		return deepest <= MaxDepth
	})
	return deepest
}

// structure reads JSON once, keeping nothing, and visits its braces, brackets and
// colons, with how many objects and arrays each is inside of, its own too, until
// visit returns false.
func structure(data []byte, visit func(c byte, level int) bool) {
	level, quoted := 0, false
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case quoted && c == '\\':
			i++
			continue
		case c == '"':
			quoted = !quoted
			continue
		case quoted:
			continue
		case c == '{' || c == '[':
			level++
		case c != '}' && c != ']' && c != ':':
			continue
		}
		if !visit(c, level) {
			return
		}
		if c == '}' || c == ']' {
			level--
		}
	}
}

// syntax says where JSON is broken, without quoting it.
func syntax(err error) *Error {
	var broken *json.SyntaxError
	if errors.As(err, &broken) {
		return Errorf(Invalid, "the request is not valid JSON at byte %d", broken.Offset)
	}
	return Errorf(Invalid, "the request is not valid JSON")
}
