package auth

import "slices"

// Report says, for people, which checks a token passes. It never holds the
// token, nor who its user or patient is.
type Report struct {
	// Checks are all checks in their order, those that were skipped too.
	Checks []Check
	// Granted are the scopes that grant something, and Ignored those that do not.
	Granted []GrantedScope
	Ignored []IgnoredScope
}

// Check is one check of a token.
type Check struct {
	Name    string // a word, such as "audience"
	OK      bool   // false if it was skipped, too
	Skipped bool   // it could not be done because of another one that failed
	Detail  string // what was found, or why it failed and what to do
}

// GrantedScope is a scope and what it means here, in words.
type GrantedScope struct {
	Text    string
	Meaning string
}

// OK reports whether the token passes every check.
func (r Report) OK() bool {
	return len(r.Checks) > 0 && !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK })
}
