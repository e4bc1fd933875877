package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// Definer is what a store offers beside [Store] so that the definitions its index
// is kept by can change while it serves: search parameters that clients define.
// storetest says it in tests.
//
// A change of the definitions comes with a Write ([Change.Redefine]), so that it
// happens at one moment with the resource that says so. From then on only Writes
// are accepted whose entries were made by the new ones. Reindex brings older
// resources up to them.
type Definer interface {
	// Definitions returns what the index is kept by now.
	Definitions(ctx context.Context) (Definitions, error)

	// Reindex makes anew the entries of the living resources of all Pending types,
	// unless they are as they should be, and returns when none is pending. Versions
	// and compartments stay, and so do pages of searches by parameters that are not
	// pending. Reads and writes go on meanwhile. It goes on where an earlier call, also of another
	// process, has stopped; where several processes share the store, one does the
	// work and the others wait for it. progress, which may be nil, hears how many
	// resources of how many are done. The error is Conflict if the definitions are
	// not, or no longer, those of ix.
	Reindex(ctx context.Context, ix Indexer, progress func(done, total int64)) error
}

// Definitions say by which search definitions a store keeps its index.
type Definitions struct {
	// Revision names them. It changes with every change of theirs and never comes
	// again, not even when a change is undone.
	Revision string
	// Hash is that of the Indexer that makes entries by them; "" if nobody has said.
	Hash string
	// Pending are the parameters under which older resources may lack entries, or
	// still have some, sorted.
	Pending []search.Parameter
	// Done of Total resources of the pending types have been looked at.
	Done, Total int64
}

// Redefinition is a change of the definitions.
type Redefinition struct {
	Hash string // of the new ones
	// Changed are the parameters whose entries the new ones make otherwise than those
	// before.
	Changed []search.Parameter
}

// PendingTypes returns the types of the pending parameters, sorted, each once.
func (d *Definitions) PendingTypes() []string {
	var types []string
	for _, p := range d.Pending {
		if p.Type != "" {
			types = append(types, p.Type)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// With returns what is pending after a change.
func (r *Redefinition) With(pending []search.Parameter) []search.Parameter {
	all := slices.Concat(pending, r.Changed)
	slices.SortFunc(all, func(a, b search.Parameter) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(all)
}

// RedefinitionOf returns the change of the definitions that a Write has, nil for
// none. The error is a *ChangeError if there are two.
func RedefinitionOf(changes []Change) (*Redefinition, error) {
	var found *Redefinition
	for i := range changes {
		switch {
		case changes[i].Redefine == nil:
		case found != nil:
			return nil, &ChangeError{Index: i, Err: fhir.Errorf(fhir.Invalid, "one write cannot change the definitions twice")}
		default:
			found = changes[i].Redefine
		}
	}
	return found, nil
}

// OtherRevision is the error for what was made by other definitions.
func OtherRevision() error {
	return fhir.Errorf(fhir.Conflict, "the search parameters have just changed; try again")
}
