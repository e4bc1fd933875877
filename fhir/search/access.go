package search

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/starling-fhir/starling/fhir"
)

// Rights are what somebody may do with the resources of a type: the letters of
// a SMART scope, https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html.
type Rights uint8

// The rights, in the order of their letters.
const (
	CanCreate Rights = 1 << iota // c: create
	CanRead                      // r: read, vread, history of an instance
	CanUpdate                    // u: update and patch, also of what is not there yet
	CanDelete                    // d: delete
	CanSearch                    // s: search, history of a type or the system
)

// allRights are the single rights.
var allRights = [...]Rights{CanCreate, CanRead, CanUpdate, CanDelete, CanSearch}

// public are the interactions everybody may use, whoever they are.
var public = map[string]bool{"capabilities": true}

// rightOf is the right an interaction needs. Batches and transactions need some
// right, whichever: each of their entries is asked about.
var rightOf = map[string]Rights{
	"create": CanCreate, "read": CanRead, "vread": CanRead, "history-instance": CanRead,
	"update": CanUpdate, "patch": CanUpdate, "delete": CanDelete,
	"search-type": CanSearch, "search-system": CanSearch, "history-type": CanSearch, "history-system": CanSearch,
	"batch": 0, "transaction": 0,
}

// Grant is one permission. Several add up.
type Grant struct {
	Type   string // "*" means every type
	Rights Rights
	// Patient limits the grant to what concerns one patient, by logical id; ""
	// means no limit, and what is no logical id grants nothing. Then of the types
	// in the Patient compartment only what is in the compartment of that patient
	// counts, and of Patient itself only that one: Patient.link is not followed.
	// Of the types outside the compartment those of openTypes may be read and
	// searched, the others not at all. Group counts as outside, although R4 puts
	// it into the compartment of each member: it names the other members.
	Patient string
}

// openTypes are the types outside the Patient compartment that hold no patient
// data: who and what takes part in care, and knowledge. A grant that is limited
// to a patient lets them be read.
var openTypes = map[string]bool{
	"Medication": true, "Practitioner": true, "PractitionerRole": true, "Organization": true, "Location": true,

	"ActivityDefinition": true, "CapabilityStatement": true, "ChargeItemDefinition": true, "CodeSystem": true,
	"CompartmentDefinition": true, "ConceptMap": true, "EffectEvidenceSynthesis": true, "EventDefinition": true,
	"Evidence": true, "EvidenceVariable": true, "ExampleScenario": true, "GraphDefinition": true,
	"ImplementationGuide": true, "Library": true, "Measure": true, "MedicationKnowledge": true,
	"MessageDefinition": true, "NamingSystem": true, "ObservationDefinition": true, "OperationDefinition": true,
	"PlanDefinition": true, "Questionnaire": true, "ResearchDefinition": true, "ResearchElementDefinition": true,
	"RiskEvidenceSynthesis": true, "SearchParameter": true, "SpecimenDefinition": true, "StructureDefinition": true,
	"StructureMap": true, "TerminologyCapabilities": true, "TestScript": true, "ValueSet": true,
}

// Access is what one caller may see and do: the one place where that is
// decided. The table of interactions in fhir/rest asks it before a handler runs,
// and searches and histories are narrowed by it, so that no handler can forget
// to. The zero Access allows nothing but the CapabilityStatement. It does not
// change and may be shared.
type Access struct {
	all    bool
	scopes map[Rights]*Scope // of the single rights that reach something
}

// FullAccess allows everything: to the server itself, and to everybody with
// --insecure-no-auth.
func FullAccess() Access { return Access{all: true} }

// Access returns what the grants allow together. Types that do not exist are
// left out.
func (r *Registry) Access(grants ...Grant) Access {
	a := Access{scopes: make(map[Rights]*Scope, len(allRights))}
	for i, right := range allRights {
		// Most rights are granted together: then they share one scope.
		for _, other := range allRights[:i] {
			if sameReach(grants, right, other) {
				a.scopes[right] = a.scopes[other]
			}
		}
		if a.scopes[right] == nil {
			a.scopes[right] = r.scope(grants, right)
		}
		if a.scopes[right] == nil {
			delete(a.scopes, right)
		}
	}
	return a
}

// sameReach reports whether two rights reach the same resources by the grants.
func sameReach(grants []Grant, a, b Rights) bool {
	return reading(a) == reading(b) &&
		!slices.ContainsFunc(grants, func(g Grant) bool { return g.Rights&a == 0 != (g.Rights&b == 0) })
}

func reading(right Rights) bool { return right&(CanRead|CanSearch) != 0 }

// scope is what the grants reach by a single right; nil for nothing.
func (r *Registry) scope(grants []Grant, right Rights) *Scope {
	parts := make(map[string]Part)
	for _, g := range grants {
		if g.Rights&right == 0 || g.Patient != "" && !fhir.ValidID(g.Patient) {
			continue
		}
		for typ := range r.types {
			if g.Type != "*" && g.Type != typ {
				continue
			}
			if part, ok := r.part(typ, right, g.Patient); ok {
				parts[typ] = parts[typ].with(part)
			}
		}
	}
	r.guard(parts)
	if len(parts) == 0 {
		return nil
	}
	return &Scope{parts: parts}
}

// guard narrows what a scope reaches of Binary: a Binary can be protected by any
// other resource, so only who reaches all of these reaches all of it. Others
// reach one by one what its securityContext opens.
func (r *Registry) guard(parts map[string]Part) {
	if !parts["Binary"].Whole {
		return
	}
	for typ := range r.types {
		if !parts[typ].Whole {
			parts["Binary"] = Part{Guarded: Open}
			return
		}
	}
}

// part is how much of a type a grant reaches.
func (r *Registry) part(typ string, right Rights, patient string) (Part, bool) {
	switch {
	case patient == "":
		return Part{Whole: true}, true
	case typ != "Group" && r.inCompartment(typ):
		return Part{Patients: []string{patient}}, true
	case typ == "Binary":
		return Part{Guarded: InContext}, reading(right)
	}
	return Part{Whole: true}, openTypes[typ] && reading(right)
}

// inCompartment reports whether resources of a type can be in the compartment
// of a patient.
func (r *Registry) inCompartment(typ string) bool {
	set := r.types[typ]
	return typ == "Patient" || set != nil && slices.ContainsFunc(set.params, func(p *Param) bool { return p.compartment })
}

// Allow returns nil if the caller may use an interaction ("read", "create",
// "search-type", …, as in
// https://hl7.org/fhir/R4/valueset-system-restful-interaction.html and
// https://hl7.org/fhir/R4/valueset-type-restful-interaction.html) on a resource
// type; typ is "" for the whole system. It knows nothing of what is stored. The
// error is Forbidden.
func (a Access) Allow(interaction, typ string) error {
	if a.all || public[interaction] {
		return nil
	}
	right, known := rightOf[interaction]
	switch {
	case known && right == 0 && len(a.scopes) > 0:
		return nil
	case known && a.scopes[right] != nil && (typ == "" || a.scopes[right].Of(typ).some()):
		if right == CanSearch && a.scopes[right].Of(typ).Guarded != Closed {
			return fhir.Errorf(fhir.Forbidden, "not allowed: %s of %s without the right to search all types, because any resource may protect one; read it by its id", interaction, typ)
		}
		return nil
	case typ == "":
		return fhir.Errorf(fhir.Forbidden, "not allowed: %s", interaction)
	}
	return fhir.Errorf(fhir.Forbidden, "not allowed: %s of %s", interaction, typ)
}

// Scope returns which resources a single right reaches. Nil means all.
func (a Access) Scope(right Rights) *Scope {
	switch {
	case a.all:
		return nil
	case a.scopes[right] != nil:
		return a.scopes[right]
	}
	return &Scope{}
}

// Sees reports whether the caller may read a version of a resource. What it may
// not see is answered exactly as what is not there.
func (a Access) Sees(res *fhir.Resource) bool { return a.Scope(CanRead).Sees(res) }

// Narrow restricts a query to what the caller may find.
func (a Access) Narrow(q Query) Query {
	if a.all {
		return q
	}
	q.Scope = a.Scope(CanSearch)
	q.Identity += "|" + q.Scope.ID()
	q.Total = q.Counting()
	return q
}

// Scope says which stored resources somebody may see or change, by type: all
// of the type, those of some patients, or none. A nil Scope is everything, the
// zero Scope nothing. It does not change and may be shared.
type Scope struct {
	parts map[string]Part

	once sync.Once
	id   string
}

// Part is what a scope reaches of one type. The zero Part is nothing.
type Part struct {
	Whole bool
	// Patients are the logical ids of the patients in whose compartments a
	// resource must be, one of them; of the type Patient it must be one of them
	// itself. Sorted, each once; empty if Whole.
	Patients []string
	// Guarded is, of Binary only, what else the scope reaches.
	Guarded Guard
}

// Guard says which resources a scope reaches by their securityContext, which
// fhir/rest reads: https://hl7.org/fhir/R4/binary.html. Stores know nothing of
// it: to them these resources lie outside.
type Guard uint8

// The guards.
const (
	Closed    Guard = iota // none
	InContext              // those whose securityContext can be read
	Open                   // these, and those without a securityContext
)

func (p Part) some() bool { return p.Whole || len(p.Patients) > 0 || p.Guarded != Closed }

// with returns what either of two parts reaches.
func (p Part) with(other Part) Part {
	if p.Whole || other.Whole {
		return Part{Whole: true}
	}
	return Part{
		Patients: unique(slices.Concat(p.Patients, other.Patients)),
		Guarded:  max(p.Guarded, other.Guarded),
	}
}

// ID names the scope: equal scopes have equal ids, of 32 characters. That of a
// nil scope is "".
func (s *Scope) ID() string {
	if s == nil {
		return ""
	}
	s.once.Do(func() {
		var text []byte
		for _, typ := range slices.Sorted(maps.Keys(s.parts)) {
			text = append(text, typ...)
			for _, id := range s.parts[typ].Patients {
				text = strconv.AppendQuote(append(text, ' '), id)
			}
			if guard := s.parts[typ].Guarded; guard != Closed {
				text = strconv.AppendInt(append(text, ' '), int64(guard), 10)
			}
			text = append(text, '\n')
		}
		sum := sha256.Sum256(text)
		s.id = hex.EncodeToString(sum[:16])
	})
	return s.id
}

// Of returns what the scope reaches of a type.
func (s *Scope) Of(typ string) Part {
	if s == nil {
		return Part{Whole: true}
	}
	return s.parts[typ]
}

// Clauses returns what a resource of a type must match beside a query's own
// clauses; ok is false if nothing of the type can be seen.
func (s *Scope) Clauses(typ string) (clauses []Clause, ok bool) {
	switch part := s.Of(typ); {
	case part.Whole:
		return nil, true
	case len(part.Patients) == 0:
		return nil, false
	case typ == "Patient":
		return []Clause{withIDs(part.Patients...)}, true
	default:
		return []Clause{InPatients(part.Patients...)}, true
	}
}

// Sees reports whether a version of a resource is within the scope. A deletion
// is where the version before it was.
func (s *Scope) Sees(res *fhir.Resource) bool {
	part := s.Of(res.Type)
	if part.Whole {
		return true
	}
	return slices.ContainsFunc(RecordsOf(res.Key, res.Patients), part.of)
}

// Owns reports whether a resource that is in the compartments of the patients
// lies within the scope altogether, so that writing it touches nobody else's
// record.
func (s *Scope) Owns(key fhir.Key, patients []string) bool {
	part := s.Of(key.Type)
	if part.Whole {
		return true
	}
	records := RecordsOf(key, patients)
	return len(records) > 0 && !slices.ContainsFunc(records, func(id string) bool { return !part.of(id) })
}

func (p Part) of(patient string) bool { return slices.Contains(p.Patients, patient) }

// RecordsOf returns the patients to whose records a resource counts: those in
// whose compartments it is, but a Patient only to its own, though the
// compartment of R4 also has it in those of the patients it is linked to. A
// scope that is limited to patients sees what counts to the records of theirs.
func RecordsOf(key fhir.Key, patients []string) []string {
	if key.Type == "Patient" {
		return []string{key.ID}
	}
	return patients
}

// reach reports whether of some of the types only a part can be seen, and of
// some the whole; no types mean all.
func (s *Scope) reach(types []string) (limited, whole bool) {
	if s == nil {
		return false, true
	}
	if len(types) == 0 {
		types = slices.Collect(maps.Keys(s.parts))
	}
	for _, typ := range types {
		part := s.parts[typ]
		limited = limited || len(part.Patients) > 0
		whole = whole || part.Whole
	}
	return limited, whole
}
