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
	if depth(body) > MaxDepth {
		return nil, nil, Errorf(Invalid, "the request is nested deeper than %d levels", MaxDepth)
	}
	var wire struct {
		Hook         json.RawMessage `json:"hook"`
		HookInstance json.RawMessage `json:"hookInstance"`
		FHIRServer   json.RawMessage `json:"fhirServer"`
		Auth         json.RawMessage `json:"fhirAuthorization"`
		Context      json.RawMessage `json:"context"`
		Prefetch     json.RawMessage `json:"prefetch"`
		Extension    json.RawMessage `json:"extension"`
	}
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return nil, nil, Errorf(Invalid, "the request is not a JSON object")
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, nil, syntax(err)
	}
	request := &Request{
		HookInstance: text(wire.HookInstance),
		Hook:         text(wire.Hook),
		FHIRServer:   text(wire.FHIRServer),
		Context:      wire.Context,
		Extension:    wire.Extension,
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
	if !isObject(wire.Context) {
		return request, notes, Errorf(Invalid, "context: required; an object")
	}
	if !absent(wire.Prefetch) {
		if err := json.Unmarshal(wire.Prefetch, &request.Prefetch); err != nil {
			return request, notes, Errorf(Invalid, "prefetch: must be an object of prefetch keys")
		}
	}
	if !absent(wire.Auth) {
		auth, err := readAuthorization(wire.Auth, request)
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

// readAuthorization reads the offer of a token. A member that is missing or of
// the wrong type costs no card: this server does not use the token yet. What
// contradicts itself is refused.
func readAuthorization(raw json.RawMessage, request *Request) (*Authorization, error) {
	var wire map[string]json.RawMessage
	if err := json.Unmarshal(raw, &wire); err != nil {
		return nil, Errorf(Invalid, "fhirAuthorization: must be an object")
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
	var context struct {
		PatientID json.RawMessage `json:"patientId"`
	}
	_ = json.Unmarshal(request.Context, &context) // it is an object; a patientId of another type reads as absent
	if patient := PatientID(text(context.PatientID)); patient != "" && auth.Patient != "" && PatientID(auth.Patient) != patient {
		return nil, Errorf(Invalid, "fhirAuthorization.patient and context.patientId name different patients")
	}
	return auth, nil
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

// depth returns how deep objects and arrays are nested in JSON, reading it once
// and keeping nothing. It stops counting just above MaxDepth.
func depth(data []byte) int {
	level, deepest, quoted := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			if deepest = max(deepest, level); deepest > MaxDepth {
				return deepest
			}
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

// syntax says where JSON is broken, without quoting it.
func syntax(err error) *Error {
	var broken *json.SyntaxError
	if errors.As(err, &broken) {
		return Errorf(Invalid, "the request is not valid JSON at byte %d", broken.Offset)
	}
	return Errorf(Invalid, "the request is not valid JSON")
}
