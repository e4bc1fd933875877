package auth

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// ownCapabilities are what this server itself does for SMART apps,
// https://hl7.org/fhir/smart-app-launch/conformance.html#capabilities. What
// concerns signing in only the authorization server can do.
func ownCapabilities() []string {
	return []string{"permission-patient", "permission-user", "permission-v1", "permission-v2"}
}

// lentCapabilities begin the names of those that an authorization server has.
func lentCapabilities() []string {
	return []string{"launch-", "authorize-post", "client-", "sso-openid-connect", "context-", "permission-offline", "permission-online"}
}

// smartConfiguration is the document of
// https://hl7.org/fhir/smart-app-launch/conformance.html#using-well-known.
type smartConfiguration struct {
	Issuer                string   `json:"issuer,omitempty"`
	JWKSURI               string   `json:"jwks_uri,omitempty"`
	AuthorizationEndpoint string   `json:"authorization_endpoint,omitempty"`
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	GrantTypes            []string `json:"grant_types_supported"`
	RegistrationEndpoint  string   `json:"registration_endpoint,omitempty"`
	Scopes                []string `json:"scopes_supported,omitempty"`
	ResponseTypes         []string `json:"response_types_supported,omitempty"`
	ManagementEndpoint    string   `json:"management_endpoint,omitempty"`
	IntrospectionEndpoint string   `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint    string   `json:"revocation_endpoint,omitempty"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Capabilities          []string `json:"capabilities"`
}

// Endpoints returns the absolute URLs at which apps get tokens of the first
// issuer; "" for what is unknown or not offered.
func (v *Verifier) Endpoints() (authorize, token string) {
	if m := v.issuers[0].known(); m != nil {
		return absolute(m.AuthorizationEndpoint), absolute(m.TokenEndpoint)
	}
	return "", ""
}

// Configuration returns the JSON of .well-known/smart-configuration: where the
// first issuer is, and what it says of itself. The error is Unavailable as long
// as it has not answered.
func (v *Verifier) Configuration() ([]byte, error) {
	m := v.issuers[0].known()
	switch {
	case m == nil:
		return nil, fhir.Errorf(fhir.Unavailable, "the authorization server has not answered yet; try again later")
	case absolute(m.TokenEndpoint) == "":
		return nil, fhir.Errorf(fhir.Unavailable, "the authorization server does not say where tokens are given out")
	}
	return json.Marshal(m.smart())
}

// smart returns what apps are told. Only what is known to be true is in it.
func (m *metadata) smart() smartConfiguration {
	c := smartConfiguration{
		AuthorizationEndpoint: absolute(m.AuthorizationEndpoint),
		TokenEndpoint:         absolute(m.TokenEndpoint),
		RegistrationEndpoint:  absolute(m.RegistrationEndpoint),
		ManagementEndpoint:    absolute(m.ManagementEndpoint),
		IntrospectionEndpoint: absolute(m.IntrospectionEndpoint),
		RevocationEndpoint:    absolute(m.RevocationEndpoint),
		TokenAuthMethods:      m.TokenAuthMethods,
		TokenAuthAlgorithms:   m.TokenAuthAlgorithms,
		GrantTypes:            m.GrantTypes,
		ResponseTypes:         m.ResponseTypes,
		ChallengeMethods:      []string{},
	}
	if c.AuthorizationEndpoint == "" {
		c.ResponseTypes = nil
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{}
		if c.AuthorizationEndpoint != "" {
			c.GrantTypes = append(c.GrantTypes, "authorization_code") // https://www.rfc-editor.org/rfc/rfc8414#section-2
		}
	}
	// "plain" must not be offered; S256 only if the issuer has it.
	if slices.Contains(m.ChallengeMethods, "S256") {
		c.ChallengeMethods = append(c.ChallengeMethods, "S256")
	}
	for _, scope := range m.Scopes {
		if meansSomething(scope) {
			c.Scopes = append(c.Scopes, scope)
		}
	}
	c.Capabilities = ownCapabilities()
	for _, name := range m.Capabilities {
		lent := slices.ContainsFunc(lentCapabilities(), func(start string) bool { return strings.HasPrefix(name, start) })
		if lent && c.can(name) {
			c.Capabilities = append(c.Capabilities, name)
		}
	}
	c.Capabilities = union(c.Capabilities, nil)
	slices.Sort(c.Capabilities)
	if slices.Contains(c.Capabilities, "sso-openid-connect") {
		c.Issuer, c.JWKSURI = m.Issuer, absolute(m.JWKSURI)
	}
	return c
}

// can reports whether the document says what a capability promises that it says.
func (c smartConfiguration) can(capability string) bool {
	switch capability {
	case "launch-ehr", "launch-standalone", "authorize-post":
		return c.AuthorizationEndpoint != ""
	case "client-confidential-asymmetric":
		// https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
		strong := slices.Contains(c.TokenAuthAlgorithms, "RS384") || slices.Contains(c.TokenAuthAlgorithms, "ES384")
		return len(c.Scopes) > 0 && slices.Contains(c.TokenAuthMethods, "private_key_jwt") && strong
	}
	return true
}

// meansSomething reports whether a scope grants something here, or is not about
// resources at all.
func meansSomething(scope string) bool {
	prefix, _, _ := strings.Cut(strings.TrimPrefix(scope, scopeURI), "/")
	switch level(prefix) {
	case patientLevel, userLevel, systemLevel:
		return len(ParseScopes(scope).rights) > 0
	}
	return true
}

// absolute returns a text that is an absolute URL of the web, else "".
func absolute(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return text
}

// union returns what is in either list, each once, in the order of appearance.
func union(a, b []string) []string {
	var out []string
	for _, one := range slices.Concat(a, b) {
		if !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}
