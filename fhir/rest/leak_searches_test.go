package rest

import (
	"net/url"
	"strings"
)

// Searches that look at other resources than those they find, or at more of them
// than parameters do: each is a way by which another patient's data could show.

// leakWords are in the narratives of everybody.
var leakWords = []string{"plum", "quince", "sloe"}

// beyond is a random criterion that is more than a parameter with values; "" if
// the type has none.
func (l *leaks) beyond(typ string) string {
	all := []string{
		"_text=" + pick(l, leakWords), "_content=" + pick(l, leakWords), "_content=" + pick(l, leakCodes), "_list=" + l.id(), "_list=List/" + l.ownID() + "," + l.id(),
		"_filter=" + url.QueryEscape(pick(l, []string{
			"_id eq own-1 or _id eq f-1", "not (_id eq f-2)", `_tag eq a and _lastUpdated gt 2026-01-02T03:20:00Z`, `identifier eq "a" or identifier eq "b"`,
			`_content co "plum"`,
		})),
		"_id:not=own-1", "_tag:missing=true", "_tag:not=a", "_has:Observation:focus:_id=" + l.id(), "_has:List:item:_id=" + l.id(),
		"_has:Observation:focus:code=" + pick(l, leakCodes), "_tag:in=http://sets.example/" + pick(l, leakCodes), "_lastUpdated:missing=false",
	}
	switch typ {
	case "Observation":
		all = append(all, "has-member.code="+pick(l, leakCodes), "has-member:Observation.subject:Patient.name=quill", "_has:Observation:has-member:code="+pick(l, leakCodes),
			"_has:Observation:has-member:_has:Observation:has-member:status=final", "focus:Condition.code="+pick(l, leakCodes), "focus.code=a", "subject:Patient.link.name=quill",
			"value-quantity:missing=true", "subject:identifier=http://ids.example|a", "code:text="+pick(l, leakCodes), "has-member._id="+l.id(), "has-member:missing=true",
			"code:in=http://sets.example/"+pick(l, leakCodes), "code:not-in=ValueSet/open-"+pick(l, []string{"0", "1", "7"}), "_filter="+url.QueryEscape(`subject.name eq "quill" and code eq a`),
			"_filter="+url.QueryEscape("has-member[code eq a].status eq final"), "combo-code:below=http://codes.example|a")
	case "Patient":
		all = append(all, "_has:Observation:subject:code="+pick(l, leakCodes), "_has:Condition:patient:code="+pick(l, leakCodes), "link.name=quill", "link:Patient._id="+pick(l, []string{"ada", "bea"}),
			"_has:Observation:patient:_has:Observation:has-member:code=a", "name:exact=Quill", "name:contains=uil", "general-practitioner:missing=true", "_has:Patient:link:name=quill")
	case "Condition", "MedicationRequest", "DiagnosticReport", "AllergyIntolerance":
		all = append(all, "patient.name=quill", "patient.identifier="+pick(l, leakCodes), "patient._has:Observation:subject:code="+pick(l, leakCodes), "code:not="+pick(l, leakCodes),
			"patient.link.name=quill", "patient:Patient._id="+pick(l, []string{"ada", "bea"}))
	case "Medication":
		all = append(all, "_contained=true", "code="+pick(l, leakCodes)+"&_contained=true", "code="+pick(l, leakCodes)+"&_contained=both&_containedType=contained", "_has:MedicationRequest:medication:status=active")
	case "Organization", "Practitioner":
		all = append(all, "_has:Patient:general-practitioner:name=quill", "_has:Observation:performer:code=a", "_has:Observation:performer:subject:Patient.name=quill")
	}
	return pick(l, all)
}

// includes are random includes, of which some bring others' data if they can.
func (l *leaks) includes() []string {
	var query []string
	for range 1 + l.rnd.IntN(3) {
		query = append(query, pick(l, []string{
			"_include=*", "_include=Observation:*", "_include=Observation:has-member", "_include=Observation:focus", "_include=Observation:subject", "_include=Observation:subject:Patient",
			"_include:iterate=Observation:has-member", "_include:iterate=Patient:link", "_include:iterate=List:item", "_include:iterate=*",
			"_revinclude=Observation:has-member", "_revinclude=Observation:focus", "_revinclude:iterate=Observation:has-member", "_revinclude:iterate=Observation:subject",
			"_revinclude:iterate=List:item", "_revinclude:iterate=Patient:link", "_revinclude:iterate=Group:member", "_revinclude:iterate=Device:patient",
			"_include=Condition:subject", "_include=MedicationRequest:medication", "_include=Patient:link",
		}))
	}
	return query
}

// inCompartment is a random search in a compartment.
func (l *leaks) inCompartment() call {
	path := "/Patient/" + pick(l, []string{"ada", "ada", "ada", "bea", "cyd", "absent"}) + "/"
	if l.chance(15) {
		path = pick(l, []string{"/Device/", "/Practitioner/", "/Encounter/", "/RelatedPerson/"}) + pick(l, []string{"f-1", "open-1", "own-1"}) + "/"
	}
	typ := l.typ()
	query := l.searchParams(typ)
	if l.chance(20) {
		typ, query = "*", strings.Join(l.resultParams(""), "&")
	}
	if l.chance(15) && typ != "*" {
		return call{"POST", path + typ + "/_search", []string{"Content-Type: application/x-www-form-urlencoded"}, query}
	}
	return call{"GET", path + typ + "?" + query, nil, ""}
}
