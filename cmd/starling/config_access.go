package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/starling-fhir/starling/auth"
	"github.com/starling-fhir/starling/fhir"
)

// checkAccess finds out whether the settings say who may do what, and say it
// once.
func (s *Settings) checkAccess() error {
	if s.InsecureNoAuth {
		for _, tokens := range []struct {
			setting string
			given   bool
		}{{"--issuer", len(s.Issuer) > 0}, {"--audience", len(s.Audience) > 0}, {"--hook-clients", s.HookClients != ""}} {
			if tokens.given {
				return usageError("--insecure-no-auth lets everybody do everything, and %s asks for tokens: leave one of them out", tokens.setting)
			}
		}
		return nil
	}
	switch {
	case len(s.Issuer) == 0 && len(s.Audience) == 0:
		return usageError("serve needs to be told who may do what. Either name an OpenID provider, and whom its tokens are for (docs/how-to/openid.md):\n" +
			"  starling serve --issuer https://id.example.org/realms/clinic --audience https://fhir.example.org/fhir\n" +
			"or let every program of this machine read and change everything, to try it out: starling serve --insecure-no-auth")
	case len(s.Issuer) == 0:
		return usageError("--audience is set and --issuer is not: name the OpenID provider whose tokens are taken, such as --issuer https://id.example.org/realms/clinic")
	case len(s.Audience) == 0:
		return usageError("--issuer is set and --audience is not: name whom its tokens must be meant for (their aud), such as --audience https://fhir.example.org/fhir; " +
			"a token that was made for another server must not open this one")
	case s.InsecureListenAny:
		return usageError("--insecure-listen-any belongs to --insecure-no-auth; with --issuer any address may be listened on: leave it out")
	}
	for i, issuer := range s.Issuer {
		if auth.CheckIssuer(issuer) != nil {
			return usageError("--issuer %q is not a URL such as https://id.example.org/realms/clinic: with https (http only for this machine), without user, ? and #", mask(issuer))
		}
		if slices.Contains(s.Issuer[:i], issuer) {
			return usageError("--issuer %s is given twice", issuer)
		}
	}
	for i, audience := range s.Audience {
		if strings.TrimSpace(audience) == "" || slices.Contains(s.Audience[:i], audience) {
			return usageError("--audience %q is empty or given twice", audience)
		}
		if strings.TrimSpace(audience) != audience {
			return usageError("--audience %q has a space at its start or end, which no token would have; several are separated by commas alone", audience)
		}
	}
	if err := checkAlgorithms(s.TokenAlgorithm); err != nil {
		return usageError("--token-algorithm: %w", err)
	}
	if s.ClockSkew < 0 || s.ClockSkew > auth.MaxClockSkew {
		return usageError("--clock-skew must be from 0s to %s", auth.MaxClockSkew)
	}
	if s.PatientClaim == "" {
		return usageError("--patient-claim is empty; the usual claim is patient")
	}
	return nil
}

// checkAlgorithms refuses names that are no signature algorithms,
// https://www.rfc-editor.org/rfc/rfc7518#section-3.1.
func checkAlgorithms(names []string) error {
	known := auth.SignatureAlgorithms()
	if len(names) == 0 {
		return errors.New("is empty: no token could be taken")
	}
	for _, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		if name == "none" || strings.HasPrefix(name, "HS") {
			return fmt.Errorf("%s is not taken: whoever can check such a token can make one; choose from %s", name, strings.Join(known, ", "))
		}
		return fmt.Errorf("%q is no signature algorithm%s; choose from %s", fhir.Clip(name), didYouMean(name, known), strings.Join(known, ", "))
	}
	return nil
}

// didYouMean asks about the nearest of names; "" if none is near.
func didYouMean(word string, names []string) string {
	if near := fhir.Nearest(word, names); near != "" {
		return " (did you mean " + near + "?)"
	}
	return ""
}
