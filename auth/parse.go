package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"

	"github.com/starling-fhir/starling/fhir"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 16 << 10

// document is a JSON object of which no member comes twice. Names are compared
// by case, as JOSE wants it.
type document map[string]josejson.RawMessage

// parsedToken is a token that was cut up and read, but not verified.
type parsedToken struct {
	header, claims document
}

// parseToken reads the compact form of a signed token,
// https://www.rfc-editor.org/rfc/rfc7515#section-7.1. The error does not quote it.
func parseToken(token string) (parsedToken, error) {
	parts := strings.Split(token, ".")
	switch {
	case len(parts) == 5:
		return parsedToken{}, errors.New("it is encrypted (JWE); only signed tokens (JWS) can be read here")
	case len(parts) != 3:
		return parsedToken{}, fmt.Errorf("it has %d parts between dots; a signed token has 3. If it is an opaque token, have the issuer make JWTs", len(parts))
	}
	for i, part := range parts {
		for _, c := range []byte(part) {
			if !isBase64URL(c) { // the decoder steps over line breaks
				return parsedToken{}, fmt.Errorf("its part %d is not base64url", i+1)
			}
		}
	}
	var p parsedToken
	var err error
	if p.header, err = parseDocument(parts[0]); err != nil {
		return parsedToken{}, fmt.Errorf("its header %w", err)
	}
	if p.claims, err = parseDocument(parts[1]); err != nil {
		return parsedToken{}, fmt.Errorf("its payload %w", err)
	}
	return p, nil
}

func isBase64URL(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func parseDocument(part string) (document, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, errors.New("is not base64url")
	}
	var doc document
	if err := josejson.Unmarshal(text, &doc); err != nil || doc == nil {
		return nil, errors.New("is not a JSON object in which each member stands once")
	}
	return doc, nil
}

// has reports whether a member is there and not null.
func (d document) has(name string) bool {
	raw, ok := d[name]
	return ok && string(raw) != "null"
}

// text returns a member that is a string; "" if it is not there.
func (d document) text(name string) (string, error) {
	if !d.has(name) {
		return "", nil
	}
	var s string
	if err := josejson.Unmarshal(d[name], &s); err != nil {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// texts returns a member that is a string or a list of strings; nil if it is not
// there.
func (d document) texts(name string) ([]string, error) {
	if !d.has(name) {
		return nil, nil
	}
	if s, err := d.text(name); err == nil {
		return []string{s}, nil
	}
	var list []string
	if err := josejson.Unmarshal(d[name], &list); err != nil {
		return nil, fmt.Errorf("%s is neither a string nor a list of strings", name)
	}
	return list, nil
}

// time returns a member that is a NumericDate, seconds since 1970 with or
// without a fraction, https://www.rfc-editor.org/rfc/rfc7519#section-2.
func (d document) time(name string) (t time.Time, ok bool, err error) {
	if !d.has(name) {
		return time.Time{}, false, nil
	}
	var seconds float64
	if err := josejson.Unmarshal(d[name], &seconds); err != nil {
		return time.Time{}, false, fmt.Errorf("%s is not a number of seconds", name)
	}
	const most = 1 << 53 // beyond it a float64 does not hold every second
	if math.IsNaN(seconds) || math.Abs(seconds) > most {
		return time.Time{}, false, fmt.Errorf("%s is not a number of seconds that means a time", name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), true, nil
}

// scopes returns the scopes of a token: from scope, or from scp where issuers
// such as Okta and Microsoft Entra put them; each a string or a list.
func (d document) scopes() (string, error) {
	name := "scope"
	if !d.has(name) {
		name = "scp"
	}
	list, err := d.texts(name)
	return strings.Join(list, " "), err
}

// patient returns the logical id of the patient in the token's context, "" for
// none: an id, or a relative reference to it.
func (d document) patient(claim string) (string, error) {
	text, err := d.text(claim)
	if text == "" || err != nil {
		return "", err
	}
	id := strings.TrimPrefix(text, "Patient/")
	if !fhir.ValidID(id) {
		return "", fmt.Errorf("%s is not the id of a patient", claim)
	}
	return id, nil
}

// end reads exp, which must be there and, with skew, not be over.
func (d document) end(now time.Time, skew time.Duration) (exp time.Time, detail string, err error) {
	exp, there, err := d.time("exp")
	switch {
	case err != nil:
		return exp, "", err
	case !there:
		return exp, "", errors.New("it has no exp, so it would never end")
	case exp.Year() > 9999:
		return exp, "", errors.New("its exp is not a time in seconds; if they are milliseconds, it never ends")
	case !now.Before(exp.Add(skew)):
		return exp, "", expiredError{fmt.Sprintf("it expired %s ago, at %s", now.Sub(exp).Round(time.Second), exp.Format(time.RFC3339))}
	}
	return exp, "at " + exp.Format(time.RFC3339), nil
}

// past reads a time that must not be later than latest; otherwise begins the
// error. there is false, with no error, if there is none.
func (d document) past(name string, latest time.Time, otherwise string) (t time.Time, there bool, err error) {
	t, there, err = d.time(name)
	if err == nil && there && t.After(latest) {
		err = fmt.Errorf("%s %s; compare the clocks of this server and of who made the token", otherwise, t.Format(time.RFC3339))
	}
	return t, there, err
}

// What is wrong with a time that has not come.
const (
	notYetValid  = "it is valid only from"
	notYetIssued = "it was issued in the future, at"
)
