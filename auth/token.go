package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// The names of checks that are spoken of outside the table.
const (
	checkForm   = "form"
	checkIssued = "issuer"
	checkKeys   = "keys"
	checkExpiry = "expiry"
	checkScope  = "scope"
)

// check is one row of the table of what an access token must be.
type check = row[*Verifier, examination]

// checks are all checks of an access token in their order. Requests and reports
// both run them, so they cannot differ.
//
// https://www.rfc-editor.org/rfc/rfc9068#section-4
// https://www.rfc-editor.org/rfc/rfc8725#section-3
func checks() []check {
	const no = fhir.Unauthenticated
	form := []string{checkForm}
	return []check{
		{"length", nil, no, checkLength},
		{checkForm, []string{"length"}, no, checkParts},
		{"algorithm", form, no, checkAlgorithm},
		{"header", form, no, checkHeader},
		{checkIssued, form, no, checkIssuerClaim},
		{checkKeys, []string{checkIssued}, fhir.Unavailable, checkKeysKnown},
		{"signature", []string{"algorithm", "header", checkKeys}, no, checkSignature},
		{checkExpiry, form, no, checkExpiryTime},
		{"not-before", form, no, checkNotBefore},
		{"issued-at", form, no, checkIssuedAt},
		{"audience", form, no, checkAudience},
		{"binding", form, no, checkBinding},
		{checkScope, form, fhir.Forbidden, checkScopes},
	}
}

// examination is what is known of a token while it is checked.
type examination struct {
	token string
	now   time.Time
	parsedToken

	issuer     *issuer
	generation uint64 // of the keys that were known before it was verified
	expires    time.Time
	scopes     Scopes
	patient    string
	user       User
	access     search.Access
}

// refusal is why a token does not do.
type refusal struct {
	check  check
	issuer *issuer // nil if it is not a configured one
	err    error
}

// expiredError says that a token was good once.
type expiredError struct{ text string }

// Error returns the text for a report.
func (e expiredError) Error() string { return e.text }

// examine runs the checks: until the first failure, or all of them for a report.
func (v *Verifier) examine(ctx context.Context, token string, all bool) (*examination, []Check, *refusal) {
	e := &examination{token: token, now: v.clock()}
	done, _, failed, err := runChecks(ctx, v.checks, v, e, all)
	if failed == nil {
		return e, done, nil
	}
	return e, done, &refusal{check: *failed, issuer: e.issuer, err: err}
}

func checkLength(_ context.Context, _ *Verifier, e *examination) (string, error) {
	if len(e.token) > maxToken {
		return "", fmt.Errorf("it has %d bytes; %d are allowed", len(e.token), maxToken)
	}
	return fmt.Sprintf("%d bytes", len(e.token)), nil
}

func checkParts(_ context.Context, _ *Verifier, e *examination) (detail string, err error) {
	e.parsedToken, err = parseToken(e.token)
	return "a signed token in three parts", err
}

func checkAlgorithm(_ context.Context, v *Verifier, e *examination) (string, error) {
	algorithm, err := e.header.text("alg")
	if err != nil {
		return "", err
	}
	if !slices.Contains(v.algorithms, algorithm) {
		return "", fmt.Errorf("it is signed by %q, which is not among the allowed algorithms: %s", fhir.Clip(algorithm), strings.Join(v.algorithms, ", "))
	}
	return algorithm, nil
}

// checkHeader refuses tokens that ask for more than a signature check, and those
// that by their type are for something else.
func checkHeader(_ context.Context, _ *Verifier, e *examination) (string, error) {
	for _, name := range []string{"crit", "b64", "zip"} {
		if _, there := e.header[name]; there {
			return "", fmt.Errorf("its header has %q, which is not understood here", name)
		}
	}
	if _, err := e.header.text("kid"); err != nil {
		return "", err
	}
	typ, err := e.header.text("typ")
	if err != nil {
		return "", err
	}
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "", "jwt", "at+jwt":
		return "nothing unusual", nil
	}
	return "", fmt.Errorf("its type is %q, which is no access token", fhir.Clip(typ))
}

func checkIssuerClaim(_ context.Context, v *Verifier, e *examination) (string, error) {
	name, err := e.claims.text("iss")
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(v.issuers, func(known *issuer) bool { return known.name == name })
	if i >= 0 {
		e.issuer = v.issuers[i]
		return name, nil
	}
	hint := ""
	for _, known := range v.issuers {
		if strings.TrimSuffix(known.name, "/") == strings.TrimSuffix(name, "/") {
			hint = fmt.Sprintf("; %q is, but names must be equal to the last slash", known.name)
		}
	}
	return "", fmt.Errorf("it is by %q, which is not a configured issuer%s", fhir.Clip(name), hint)
}

func checkKeysKnown(ctx context.Context, _ *Verifier, e *examination) (_ string, err error) {
	e.generation, err = e.issuer.keys.vouches(ctx)
	return "the issuer's keys are known", err
}

// checkSignature has go-oidc verify the token with the keys of its issuer. The
// times and the audience are checked by rows of their own: go-oidc knows no
// skew, forgives nbf five minutes, and takes one audience.
func checkSignature(ctx context.Context, v *Verifier, e *examination) (string, error) {
	keys := &issuerKeys{source: e.issuer.keys, algorithms: v.algorithms}
	verifier := oidc.NewVerifier(e.issuer.name, keys, &oidc.Config{
		SupportedSigningAlgs: v.algorithms, SkipClientIDCheck: true, SkipExpiryCheck: true, Now: v.clock,
	})
	_, err := verifier.Verify(ctx, e.token)
	var unavailable *keysUnavailableError
	switch {
	case errors.As(keys.err, &unavailable), errors.Is(keys.err, errNoKey), errors.Is(keys.err, errSignature):
		return "", keys.err
	case err != nil:
		return "", errors.New("it is not a token of OpenID Connect: claims such as aud or exp have a wrong type") // go-oidc's error quotes them
	}
	return "by a key of the issuer", nil
}

// issuerKeys lends a key source to go-oidc, which drops the kinds of errors, so
// that they are kept beside.
type issuerKeys struct {
	source     keySource
	algorithms []string
	err        error
}

// VerifySignature is [oidc.KeySet].
func (k *issuerKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.source.verify(ctx, token, k.algorithms)
	k.err = err
	return payload, err
}

func checkExpiryTime(_ context.Context, v *Verifier, e *examination) (string, error) {
	exp, detail, err := e.claims.end(e.now, v.skew)
	e.expires = exp.Add(v.skew)
	return detail, err
}

func checkNotBefore(_ context.Context, v *Verifier, e *examination) (string, error) {
	return e.past("nbf", v.skew, notYetValid)
}

func checkIssuedAt(_ context.Context, v *Verifier, e *examination) (string, error) {
	return e.past("iat", v.skew, notYetIssued)
}

// past wants a time, if it is there, to lie in the past.
func (e *examination) past(claim string, skew time.Duration, otherwise string) (string, error) {
	t, there, err := e.claims.past(claim, e.now.Add(skew), otherwise)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "it has no " + claim, nil
	}
	return t.Format(time.RFC3339), nil
}

func checkAudience(_ context.Context, v *Verifier, e *examination) (string, error) {
	list, err := e.claims.texts("aud")
	if err != nil {
		return "", err
	}
	for _, one := range list {
		if slices.Contains(v.audiences, one) {
			return one, nil
		}
	}
	if len(list) == 0 {
		return "", fmt.Errorf("it has no aud, so it could be meant for anybody; have the issuer put one of these there: %q", v.audiences)
	}
	return "", fmt.Errorf("it is for %s, which is none of the configured audiences: %q", clipAll(list), v.audiences)
}

// checkBinding refuses tokens that count only together with the key of their
// client, which nobody checks here: such a token in other hands is a stolen one.
//
// https://www.rfc-editor.org/rfc/rfc7800#section-3.1
func checkBinding(_ context.Context, _ *Verifier, e *examination) (string, error) {
	if _, there := e.claims["cnf"]; there {
		return "", errors.New("it is bound to a key of its client (cnf: DPoP or mutual TLS), which cannot be checked here")
	}
	return "a bearer token", nil
}

// checkScopes makes the access that the token gives.
func checkScopes(_ context.Context, v *Verifier, e *examination) (string, error) {
	text, err := e.claims.scopes()
	if err != nil {
		return "", err
	}
	// A context that cannot be read is none: its scopes grant nothing.
	patient, without := e.claims.patient(v.patientClaim)
	e.patient = patient
	user, also := e.claims.text("fhirUser")
	e.user = ParseUser(user, v.base)
	e.scopes = ParseScopes(text)
	e.access = v.registry.Access(e.scopes.Grants(e.patient, e.user)...)
	note := ""
	if without = errors.Join(without, also); without != nil {
		note = "; " + strings.ReplaceAll(without.Error(), "\n", "; ")
	}
	if e.access.Allow("batch", "") != nil {
		return "", errors.New("it has no scope that grants anything here" + note)
	}
	return "grants something" + note, nil
}

// clipAll quotes what a token says, in bounds.
func clipAll(list []string) string {
	var out []string
	for _, one := range list[:min(len(list), 5)] {
		out = append(out, fmt.Sprintf("%q", fhir.Clip(one)))
	}
	if len(list) > 5 {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}
