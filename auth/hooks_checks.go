package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
)

// maxHookLifetime is how long a client's token may live, from iat to exp, beside
// the skew: what EHRs in the field send. A longer life would only be more time
// for whoever finds a token, and more tokens to remember.
const maxHookLifetime = 15 * time.Minute

// hookCheck is one row of the table of what a client's token must be.
type hookCheck = row[*Hooks, hookExamination]

// hookSignature is the check after which a token is its client's own word.
const hookSignature = "signature"

// hookChecks are all checks of a client's token in their order. Calls and
// reports both run them, so they cannot differ. The last one uses the token up,
// so nothing may follow it.
//
// https://cds-hooks.hl7.org/2.0/#trusting-cds-clients
func hookChecks() []hookCheck {
	const no = fhir.Unauthenticated
	form, signed := []string{"form"}, []string{hookSignature}
	return []hookCheck{
		{"form", nil, no, hookForm},
		{"header", form, no, hookHeader},
		{"type", form, no, hookType},
		{"issuer", form, no, hookIssuer},
		{"algorithm", []string{"issuer"}, no, hookAlgorithm},
		{"jku", []string{"issuer"}, no, hookJKU},
		{"keys", []string{"header", "type", "algorithm", "jku"}, no, hookKeys},
		{"kid", []string{"keys"}, no, hookKeyID},
		{hookSignature, []string{"kid"}, no, hookSigned},
		{"audience", []string{"issuer"}, no, hookAudience},
		{"expiry", form, no, hookExpiry},
		{"not-before", form, no, hookNotBefore},
		{"issued-at", form, no, hookIssuedAt},
		{"lifetime", []string{"expiry", "issued-at"}, no, hookLifetime},
		{"jti", form, no, hookTokenID},
		{"replay", append([]string{"audience", "lifetime", "not-before", "jti"}, signed...), no, hookReplay},
	}
}

// hookExamination is what is known of a token while it is checked.
type hookExamination struct {
	token      string
	taken      []string // our own URLs that aud may be
	anyService bool     // aud may be any URL of our services
	report     bool     // it is looked at for people, not used

	parsedToken
	party    *hookParty
	sources  []keySource // that may have its key
	verified error       // what became of the signature
	issued   time.Time
	expires  time.Time // without skew
}

// examine runs the checks: until the first failure, or all of them for a report.
func (h *Hooks) examine(ctx context.Context, e *hookExamination, all bool) ([]Check, *hookRefusal) {
	e.report = all
	done, passed, failed, err := runChecks(ctx, h.checks, h, e, all)
	if failed == nil {
		return done, nil
	}
	return done, e.refusal(failed.name, err, passed[hookSignature])
}

// refusal says for the log which check failed, and why if that cannot be what a
// stranger wrote.
func (e *hookExamination) refusal(check string, err error, signed bool) *hookRefusal {
	r := &hookRefusal{check: check}
	if e.party != nil {
		r.client = e.party.Name
	}
	var unavailable *keysUnavailableError
	if signed || errors.As(err, &unavailable) {
		r.detail = err.Error()
	}
	return r
}

func hookForm(_ context.Context, _ *Hooks, e *hookExamination) (detail string, err error) {
	if len(e.token) > maxToken {
		return "", fmt.Errorf("it has %d bytes; %d are allowed", len(e.token), maxToken)
	}
	e.parsedToken, err = parseToken(e.token)
	return "a signed token in three parts", err
}

// hookHeader refuses tokens that ask for more than a signature check.
func hookHeader(_ context.Context, _ *Hooks, e *hookExamination) (string, error) {
	for _, name := range []string{"crit", "b64", "zip"} {
		if _, there := e.header[name]; there {
			return "", fmt.Errorf("its header has %q, which is not understood here", name)
		}
	}
	return "nothing unusual", nil
}

// hookType wants the type that the text prescribes, in any case: it tells these
// tokens from those that are for something else.
// https://www.rfc-editor.org/rfc/rfc8725#section-3.11
func hookType(_ context.Context, _ *Hooks, e *hookExamination) (string, error) {
	typ, err := e.header.text("typ")
	switch {
	case err != nil:
		return "", err
	case typ == "":
		return "", errors.New(`its header has no typ; CDS Hooks wants "JWT" there`)
	case !strings.EqualFold(typ, "JWT"):
		return "", fmt.Errorf(`its type is %q; CDS Hooks wants "JWT"`, fhir.Clip(typ))
	}
	return typ, nil
}

// hookIssuer finds the client, by iss and, among the tenants of one maker, by
// tenant.
func hookIssuer(_ context.Context, h *Hooks, e *hookExamination) (string, error) {
	name, err := e.claims.text("iss")
	if err != nil {
		return "", err
	}
	tenant, err := e.claims.text("tenant")
	if err != nil {
		return "", err
	}
	hint := ""
	for _, party := range h.parties {
		switch {
		case party.Issuer == name && (len(party.Tenants) == 0 || slices.Contains(party.Tenants, tenant)):
			e.party = party
			return fmt.Sprintf("%s, the client %s", name, party.Name), nil
		case party.Issuer == name:
			hint = fmt.Sprintf(" for the tenant %q: its clients here are for other tenants", fhir.Clip(tenant))
		case strings.TrimSuffix(party.Issuer, "/") == strings.TrimSuffix(name, "/"):
			hint = fmt.Sprintf(", which is no client; %q is, but names must be equal to the last slash", party.Issuer)
		}
	}
	switch {
	case len(h.parties) == 0:
		hint = ", and there are no clients at all"
	case hint == "":
		hint = ", which is no client"
	}
	return "", fmt.Errorf("it is by %q%s", fhir.Clip(name), hint)
}

func hookAlgorithm(_ context.Context, _ *Hooks, e *hookExamination) (string, error) {
	name, err := e.header.text("alg")
	switch {
	case err != nil:
		return "", err
	case slices.Contains(e.party.Algorithms, name):
		return name, nil
	case slices.Contains(SignatureAlgorithms(), name):
		return "", fmt.Errorf("it is signed by %s; of this client %s are taken", name, strings.Join(e.party.Algorithms, ", "))
	}
	return "", fmt.Errorf("it is signed by %q, which is never taken; of this client %s are", fhir.Clip(name), strings.Join(e.party.Algorithms, ", "))
}

// hookJKU decides where the key may come from. An address that is not listed for
// this very client is refused, whatever keys there are: fetching it would let
// anybody vouch for himself.
func hookJKU(_ context.Context, _ *Hooks, e *hookExamination) (string, error) {
	address, err := e.header.text("jku")
	if err != nil {
		return "", err
	}
	if address != "" && !slices.Contains(e.party.JKUs, address) {
		return "", fmt.Errorf("it names %s for its keys, which is not listed for this client", quoted(address))
	}
	switch {
	case e.party.static != nil:
		e.sources = []keySource{e.party.static}
		return "the client's keys are agreed on; nothing is fetched", nil
	case address != "":
		e.sources = []keySource{e.party.remote[address]}
		return address, nil
	}
	for _, listed := range e.party.JKUs {
		e.sources = append(e.sources, e.party.remote[listed])
	}
	return "it names none; those listed for the client are asked", nil
}

// hookKeys has the keys look at the signature: fetching them anew, if the one
// that is wanted is new, is part of that. What they find is judged by the checks
// that follow; this one wants an answer.
func hookKeys(ctx context.Context, _ *Hooks, e *hookExamination) (string, error) {
	if kid, err := e.header.text("kid"); err != nil || kid == "" {
		e.verified = errNoKey // hookKeyID says so
		return "none is asked for", nil
	}
	var unavailable *keysUnavailableError
	e.verified = errNoKey
	for _, source := range e.sources {
		payload, err := source.verify(ctx, e.token, e.party.Algorithms)
		if err == nil {
			e.verified = e.sameClaims(payload)
			return "the client's keys are known", nil
		}
		if !errors.As(err, &unavailable) && !errors.Is(err, errNoKey) {
			e.verified = err
		}
	}
	if unavailable != nil && errors.Is(e.verified, errNoKey) {
		return "", unavailable
	}
	return "the client's keys are known", nil
}

// sameClaims wants what was signed to be what was read.
func (e *hookExamination) sameClaims(payload []byte) error {
	read, err := base64.RawURLEncoding.DecodeString(strings.Split(e.token, ".")[1])
	if err != nil || !bytes.Equal(read, payload) {
		return errors.New("what is signed is not what it says")
	}
	return nil
}

func hookKeyID(_ context.Context, _ *Hooks, e *hookExamination) (string, error) {
	kid, err := e.header.text("kid")
	switch {
	case err != nil:
		return "", err
	case kid == "":
		return "", errors.New("its header has no kid, the id of the key")
	case errors.Is(e.verified, errNoKey):
		return "", fmt.Errorf("the client has no key %q that fits the algorithm", fhir.Clip(kid))
	}
	return fhir.Clip(kid), nil
}

func hookSigned(_ context.Context, _ *Hooks, e *hookExamination) (string, error) {
	return "by a key of the client", e.verified
}

// hookAudience compares URLs as they are typed into the EHR, but for a slash at
// the end.
func hookAudience(_ context.Context, h *Hooks, e *hookExamination) (string, error) {
	list, err := e.claims.texts("aud")
	if err != nil {
		return "", err
	}
	taken := slices.Concat(e.taken, e.party.Audiences)
	for _, one := range list {
		plain := strings.TrimSuffix(one, "/")
		if plain == "" {
			continue
		}
		if slices.ContainsFunc(taken, func(t string) bool { return strings.TrimSuffix(t, "/") == plain }) {
			return fhir.Clip(one), nil
		}
		if e.anyService && h.base != "" && strings.HasPrefix(plain, h.base+servicesPath+"/") {
			return fhir.Clip(one) + ", which is right for calls of that URL only", nil
		}
	}
	if len(list) == 0 {
		return "", errors.New("it has no aud, so it could be meant for anybody")
	}
	want := "the URL that is called"
	if h.base != "" {
		want += " or " + h.base + servicesPath
	}
	if len(e.party.Audiences) > 0 {
		want += " or one of " + quoted(e.party.Audiences...)
	}
	return "", fmt.Errorf("it is for %s, not for %s", quoted(list...), want)
}

func hookExpiry(_ context.Context, h *Hooks, e *hookExamination) (detail string, err error) {
	e.expires, detail, err = e.claims.end(h.clock(), h.skew)
	return detail, err
}

func hookNotBefore(_ context.Context, h *Hooks, e *hookExamination) (string, error) {
	nbf, there, err := e.claims.past("nbf", h.clock().Add(h.skew), notYetValid)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "it has no nbf", nil
	}
	return nbf.Format(time.RFC3339), nil
}

func hookIssuedAt(_ context.Context, h *Hooks, e *hookExamination) (string, error) {
	iat, there, err := e.claims.past("iat", h.clock().Add(h.skew), notYetIssued)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "", errors.New("it has no iat, when it was issued")
	}
	e.issued = iat
	return iat.Format(time.RFC3339), nil
}

func hookLifetime(_ context.Context, h *Hooks, e *hookExamination) (string, error) {
	life := e.expires.Sub(e.issued)
	switch {
	case life <= 0:
		return "", errors.New("it ends (exp) before it was issued (iat)")
	case life > maxHookLifetime+h.skew:
		return "", fmt.Errorf("it lives longer than %s from iat (%s) to exp (%s)", maxHookLifetime, e.issued.Format(time.RFC3339), e.expires.Format(time.RFC3339))
	}
	return life.String(), nil
}

func hookTokenID(_ context.Context, _ *Hooks, e *hookExamination) (string, error) {
	id, err := e.claims.text("jti")
	if err == nil && id == "" {
		err = errors.New("it has no jti, by which a second use could be told")
	}
	return "there is one", err
}

// hookReplay takes a token only once. Two of one issuer are the same if they have
// the same jti.
func hookReplay(_ context.Context, h *Hooks, e *hookExamination) (string, error) {
	id, err := e.claims.text("jti")
	if err != nil {
		return "", err
	}
	used := h.used[e.party.Issuer]
	if e.report {
		return "not used before in this process", used.peek(id, h.clock)
	}
	return "not used before", used.use(id, e.expires.Add(h.skew), h.clock)
}

// quoted quotes addresses and names, in bounds that addresses fit into.
func quoted(list ...string) string {
	const most, mostBytes = 5, 300
	var out []string
	for _, one := range list[:min(len(list), most)] {
		out = append(out, fmt.Sprintf("%q", strings.ToValidUTF8(one[:min(len(one), mostBytes)], "")))
	}
	if len(list) > most {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}
