package store

import (
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// Check refuses what no store may keep. The error is Invalid for a bad key, an
// unknown method or an empty body, TooLarge beyond the limits, NotSupported for a
// condition with a Join.
func (c *Change) Check() error {
	if _, err := fhir.ParseKey(c.Key.Type, c.Key.ID); err != nil {
		return err
	}
	if c.Condition != nil && slices.ContainsFunc(c.Condition.Query.Where, search.Clause.Joins) {
		return fhir.Errorf(fhir.NotSupported, "a condition cannot depend on what other resources hold, as a chained parameter or _has does")
	}
	if c.Redefine != nil && c.Revision == "" {
		return fhir.Errorf(fhir.Invalid, "a change of the definitions must say which they were")
	}
	switch c.Method {
	case fhir.Delete:
		return nil // has neither body nor entries
	case fhir.Create, fhir.Update, fhir.Patch:
	default:
		return fhir.Errorf(fhir.Invalid, "%q is no method a version can come from", c.Method)
	}
	if size := len(c.Body.Head) + len(c.Body.Tail); size == 0 {
		return fhir.Errorf(fhir.Invalid, "%s has no body", c.Key)
	} else if size > MaxResourceBytes {
		return fhir.Errorf(fhir.TooLarge, "%s has %d bytes; at most %d are allowed", c.Key, size, MaxResourceBytes)
	}
	if len(c.Entries) > MaxEntries {
		return fhir.Errorf(fhir.TooLarge, "%s has %d index entries; at most %d are allowed", c.Key, len(c.Entries), MaxEntries)
	}
	for i := range c.Entries {
		if size := len(c.Entries[i].Value); size > MaxEntryBytes {
			return fhir.Errorf(fhir.TooLarge, "%s has an index entry of %d bytes under %q; at most %d are allowed",
				c.Key, size, c.Entries[i].Param, MaxEntryBytes)
		}
	}
	return nil
}
