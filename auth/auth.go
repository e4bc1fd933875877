// Package auth decides who a caller is and what it may do: it verifies the
// bearer tokens of OpenID Connect issuers ([Verifier]) and reads their SMART
// scopes as access to resources ([ParseScopes]), and it verifies the tokens with
// which CDS clients sign their calls ([Hooks]).
//
// It issues no tokens and knows no stored resource. What it decides is a
// [search.Access]; fhir/rest and the stores keep to it.
//
// https://hl7.org/fhir/smart-app-launch/app-launch.html
package auth
