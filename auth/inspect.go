package auth

import (
	"context"
	"fmt"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// Inspect runs every check on a token and says in words what its scopes grant.
// It asks the token's issuer for its keys if they are not known, as a request
// with the token would.
func (v *Verifier) Inspect(ctx context.Context, token string) Report {
	e, done, _ := v.examine(ctx, strings.TrimSpace(token), true)
	r := Report{Checks: done, Ignored: e.scopes.Ignored}
	for _, where := range e.scopes.areas() {
		rights := e.scopes.rights[where]
		text := fmt.Sprintf("%s/%s.%s", where.level, fhir.Clip(where.typ), lettersOf(rights))
		granted, reason := v.meaning(where, rights, e)
		if reason != "" {
			r.Ignored = append(r.Ignored, IgnoredScope{Text: text, Reason: reason})
			continue
		}
		r.Granted = append(r.Granted, GrantedScope{Text: text, Meaning: granted})
	}
	return r
}

// rightNames are the rights in words, each with an interaction that needs it.
var rightNames = []struct {
	right       search.Rights
	name        string
	interaction string
}{
	{search.CanCreate, "create", "create"},
	{search.CanRead, "read", "read"},
	{search.CanUpdate, "update", "update"},
	{search.CanDelete, "delete", "delete"},
	{search.CanSearch, "search", "search-type"},
}

// meaning says in words what the rights of an area come to; reason says why they
// come to nothing.
func (v *Verifier) meaning(where area, rights search.Rights, e *examination) (words, reason string) {
	limit, reason := where.limit(e.patient, e.user)
	if reason != "" {
		return "", reason
	}
	var wanted, got []string
	access := v.registry.Access(search.Grant{Type: where.typ, Rights: rights, Patient: limit})
	for _, r := range rightNames {
		if rights&r.right == 0 {
			continue
		}
		wanted = append(wanted, r.name)
		if where.typ == "*" || access.Allow(r.interaction, where.typ) == nil {
			got = append(got, r.name)
		}
	}
	if len(got) == 0 {
		if v.registry.Params(where.typ) == nil {
			return "", "there is no such resource type"
		}
		return "", "what is limited to a patient does not reach " + where.typ + " in this way: it is not part of the record of one patient"
	}
	words = strings.Join(got, ", ") + ": "
	whose := "the patient in the token's context"
	if where.level == userLevel {
		whose = "the patient who the user is"
	}
	open := where.typ != "*" && (access.Scope(search.CanRead).Of(where.typ).Whole || access.Scope(search.CanSearch).Of(where.typ).Whole)
	switch {
	case where.typ == "*" && limit == "":
		words += "every type, all of it"
	case where.typ == "*":
		words += "what is in the compartment of " + whose + "; and, to read and search only, who and what takes part in care, and knowledge"
	case limit == "" || open && len(got) == len(wanted):
		words += where.typ + ", all of it"
	case open:
		words += where.typ + ", all of it; no patient owns it, so the rest of the scope is ignored"
	default:
		words += where.typ + " in the compartment of " + whose
	}
	return words, ""
}
