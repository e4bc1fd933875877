package resource

import (
	"slices"
	"strings"
)

// rule is one of R4's invariants ("constraints"). R4 has some 200 of severity
// error; here are those on data types and on the resources of care, medication
// and genomics, and what a server relies on in a Bundle. Those that need
// the whole resource are in contained.go (dom-2 to dom-5, ref-1) and narrative.go
// (txt-1, txt-2); ele-1 is in check.go. Invariants of conformance and
// terminology resources (StructureDefinition, ValueSet, TestScript, ...) are not
// checked.
type rule struct {
	key   string
	on    []string // paths of the definitions it is for
	text  string   // what must be true
	holds condition
}

// message tells people which rule is broken.
func (r *rule) message() string {
	return r.text + " (" + r.key + ", " + r.url() + ")"
}

// url returns the page of the specification that defines the rule.
func (r *rule) url() string {
	const base = "https://hl7.org/fhir/R4/"
	name, _, _ := strings.Cut(r.on[0], ".")
	switch name {
	case "Extension":
		return base + "extensibility.html#Extension"
	case "Expression", "TriggerDefinition", "DataRequirement":
		return base + "metadatatypes.html#" + name
	case "Dosage":
		return base + "dosage.html"
	}
	if slices.Contains(dataTypes, name) {
		return base + "datatypes.html#" + name
	}
	return base + strings.ToLower(name) + ".html"
}

var dataTypes = []string{
	"Age", "Attachment", "ContactPoint", "Count", "Distance", "Duration", "Period", "Quantity", "Range", "Ratio", "Timing",
}

const (
	ucum                = "http://unitsofmeasure.org"
	allergyVerification = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
	conditionClinical   = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	conditionVerStatus  = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
)

// rules are grouped: data types, the infrastructure, then resources by name.
var rules = []rule{
	{"ext-1", []string{"Extension"}, "an extension must have either a value or extensions, not both", oneOf("extension", "value[x]")},
	{"qty-3", []string{"Quantity", "Age", "Count", "Distance", "Duration"}, "a quantity with a code must have the code's system", needs("code", "system")},
	{"age-1", []string{"Age"}, "an age must have a code and be positive, with UCUM as system", both(measured, positive)},
	{"cnt-3", []string{"Count"}, "a count must be a whole number with the UCUM code 1", both(measured, wholeOnes)},
	{"dis-1", []string{"Distance"}, "a distance must have a code, with UCUM as system", measured},
	{"drt-1", []string{"Duration"}, "a duration with a code must have UCUM as system and a value", ucumWithValue},
	{"per-1", []string{"Period"}, "a period must not end before it starts", periodInOrder},
	{"rng-2", []string{"Range"}, "the low end of a range must not be above the high end", rangeInOrder},
	{"rat-1", []string{"Ratio"}, "a ratio must have both numerator and denominator, or neither and an extension", ratioComplete},
	{"att-1", []string{"Attachment"}, "an attachment with data must have a contentType", needs("data", "contentType")},
	{"cpt-2", []string{"ContactPoint"}, "a contact point with a value must have a system", needs("value", "system")},
	{"exp-1", []string{"Expression"}, "an expression must have the expression itself or a reference to it", anyOf("expression", "reference")},
	{"tim-1", []string{"Timing.repeat"}, "duration needs durationUnit", needs("duration", "durationUnit")},
	{"tim-2", []string{"Timing.repeat"}, "period needs periodUnit", needs("period", "periodUnit")},
	{"tim-4", []string{"Timing.repeat"}, "duration must not be negative", notNegative("duration")},
	{"tim-5", []string{"Timing.repeat"}, "period must not be negative", notNegative("period")},
	{"tim-6", []string{"Timing.repeat"}, "periodMax needs period", needs("periodMax", "period")},
	{"tim-7", []string{"Timing.repeat"}, "durationMax needs duration", needs("durationMax", "duration")},
	{"tim-8", []string{"Timing.repeat"}, "countMax needs count", needs("countMax", "count")},
	{"tim-9", []string{"Timing.repeat"}, "offset needs a when, which must not be a meal itself (C, CM, CD, CV)", offsetWithWhen},
	{"tim-10", []string{"Timing.repeat"}, "there must not be both timeOfDay and when", notBoth("timeOfDay", "when")},

	{"bdl-1", []string{"Bundle"}, "only a searchset or a history has a total", only("total", "type", "searchset", "history")},
	{"bdl-2", []string{"Bundle"}, "only the entries of a searchset have search", entriesHave("search", false, "searchset")},
	{"bdl-3", []string{"Bundle"}, "the entries of a batch, transaction or history must have a request, others must not", entriesHave("request", true, "batch", "transaction", "history")},
	{"bdl-4", []string{"Bundle"}, "the entries of a batch-response, transaction-response or history must have a response, others must not", entriesHave("response", true, "batch-response", "transaction-response", "history")},
	{"bdl-5", []string{"Bundle.entry"}, "an entry must have a resource, a request or a response", anyOf("resource", "request", "response")},
	{"bdl-7", []string{"Bundle"}, "two entries must not have one fullUrl and one meta.versionId, except in a history", fullURLsUnique},
	{"bdl-8", []string{"Bundle.entry"}, "fullUrl must not name a version", func(n *Node) bool { return !strings.Contains(n.Str("fullUrl"), "/_history/") }},
	{"bdl-9", []string{"Bundle"}, "a document must have an identifier with system and value", documentIdentified},
	{"bdl-10", []string{"Bundle"}, "a document must have a timestamp", func(n *Node) bool { return n.Str("type") != "document" || hasValue(n, "timestamp") }},
	{"bdl-11", []string{"Bundle"}, "the first entry of a document must be a Composition", firstEntryIs("document", "Composition")},
	{"bdl-12", []string{"Bundle"}, "the first entry of a message must be a MessageHeader", firstEntryIs("message", "MessageHeader")},
	{"inv-1", []string{"Parameters.parameter"}, "a parameter must have exactly one of value, resource and part", oneOf("value[x]", "resource", "part")},

	{"ait-1", []string{"AllergyIntolerance"}, "clinicalStatus is required unless verificationStatus is entered-in-error", func(n *Node) bool {
		return has(n, "clinicalStatus") || hasCoding(n.Get("verificationStatus"), allergyVerification, "entered-in-error")
	}},
	{"ait-2", []string{"AllergyIntolerance"}, "clinicalStatus must be absent when verificationStatus is entered-in-error", func(n *Node) bool {
		return !has(n, "clinicalStatus") || !hasCoding(n.Get("verificationStatus"), allergyVerification, "entered-in-error")
	}},
	{"app-1", []string{"Appointment.participant"}, "a participant must have a type or an actor", anyOf("type", "actor")},
	{"app-2", []string{"Appointment"}, "there must be both start and end, or neither", together("start", "end")},
	{"app-3", []string{"Appointment"}, "only a proposed, cancelled or waitlist appointment may lack start and end", func(n *Node) bool {
		return has(n, "start") && has(n, "end") || isOneOf(n.Str("status"), []string{"proposed", "cancelled", "waitlist"})
	}},
	{"app-4", []string{"Appointment"}, "only a cancelled or noshow appointment has a cancelationReason", only("cancelationReason", "status", "cancelled", "noshow", "no-show")},
	{"apr-1", []string{"AppointmentResponse"}, "there must be a participantType or an actor", anyOf("participantType", "actor")},
	{"sev-1", []string{"AuditEvent.entity"}, "there must not be both name and query", notBoth("name", "query")},
	{"cpl-3", []string{"CarePlan.activity"}, "there must not be both detail and reference", notBoth("detail", "reference")},
	{"cmp-1", []string{"Composition.section"}, "a section must have text, entries or sections", anyOf("text", "entry", "section")},
	{"cmp-2", []string{"Composition.section"}, "a section with entries must not have an emptyReason", notBoth("emptyReason", "entry")},
	{"con-1", []string{"Condition.stage"}, "a stage must have a summary or an assessment", anyOf("summary", "assessment")},
	{"con-2", []string{"Condition.evidence"}, "evidence must have a code or detail", anyOf("code", "detail")},
	{"con-4", []string{"Condition"}, "a condition that has abated must be inactive, resolved or in remission", func(n *Node) bool {
		return !has(n, "abatement[x]") || hasCoding(n.Get("clinicalStatus"), conditionClinical, "resolved", "remission", "inactive")
	}},
	{"con-5", []string{"Condition"}, "clinicalStatus must be absent when verificationStatus is entered-in-error", func(n *Node) bool {
		return !has(n, "clinicalStatus") || !hasCoding(n.Get("verificationStatus"), conditionVerStatus, "entered-in-error")
	}},
	{"ppc-1", []string{"Consent"}, "there must be a policy or a policyRule", anyOf("policy", "policyRule")},
	{"ces-1", []string{"CoverageEligibilityResponse.insurance.item"}, "there must be exactly one of category and productOrService", oneOf("category", "productOrService")},
	{"fhs-1", []string{"FamilyMemberHistory"}, "there must not be both age and born", notBoth("age[x]", "born[x]")},
	{"fhs-2", []string{"FamilyMemberHistory"}, "estimatedAge needs age", needs("estimatedAge", "age[x]")},
	{"gol-1", []string{"Goal.target"}, "detail needs measure", needs("detail[x]", "measure")},
	{"grp-1", []string{"Group"}, "only an actual group has members", func(n *Node) bool {
		actual := n.Get("actual")
		return !has(n, "member") || actual != nil && actual.Text == "true"
	}},
	{"imm-1", []string{"Immunization.education"}, "there must be a documentType or a reference", anyOf("documentType", "reference")},
	{"imr-1", []string{"ImmunizationRecommendation.recommendation"}, "there must be a vaccineCode or a targetDisease", anyOf("vaccineCode", "targetDisease")},
	{"lnk-1", []string{"Linkage"}, "there must be at least two items", func(n *Node) bool { return count(n, "item") > 1 }},
	{"lst-1", []string{"List"}, "a list with entries must not have an emptyReason", notBoth("emptyReason", "entry")},
	{"lst-2", []string{"List"}, "only a list of changes has deleted entries", func(n *Node) bool {
		return n.Str("mode") == "changes" || everyItem("entry", func(e *Node) bool { return !has(e, "deleted") })(n)
	}},
	{"lst-3", []string{"List"}, "only a working list has dates on its entries", func(n *Node) bool {
		return n.Str("mode") == "working" || everyItem("entry", func(e *Node) bool { return !has(e, "date") })(n)
	}},
	{"mad-1", []string{"MedicationAdministration.dosage"}, "there must be a dose or a rate", anyOf("dose", "rate[x]")},
	{"mdd-1", []string{"MedicationDispense"}, "whenHandedOver must not be before whenPrepared", func(n *Node) bool {
		return inOrder(n.Str("whenPrepared"), n.Str("whenHandedOver"))
	}},
	{"msq-3", []string{"MolecularSequence"}, "coordinateSystem must be 0 or 1", func(n *Node) bool {
		system := n.Get("coordinateSystem")
		return system == nil || system.Kind != Number || system.Text == "0" || system.Text == "1"
	}},
	{"msq-5", []string{"MolecularSequence.referenceSeq"}, "there must be both chromosome and genomeBuild, or neither", together("chromosome", "genomeBuild")},
	{"msq-6", []string{"MolecularSequence.referenceSeq"}, "there must be exactly one of genomeBuild, referenceSeqId, referenceSeqPointer and referenceSeqString", oneOf("genomeBuild", "referenceSeqId", "referenceSeqPointer", "referenceSeqString")},
	{"obs-3", []string{"Observation.referenceRange"}, "a reference range must have a low, a high or a text", anyOf("low", "high", "text")},
	{"obs-6", []string{"Observation"}, "dataAbsentReason must be absent when there is a value", notBoth("dataAbsentReason", "value[x]")},
	{"obs-7", []string{"Observation"}, "there must be no value when a component has the same code as the observation", noValueBesideSameCode},
	{"org-1", []string{"Organization"}, "an organization must have an identifier or a name", anyOf("identifier", "name")},
	{"org-2", []string{"Organization"}, "the address of an organization must not be of use home", everyItem("address", notHome)},
	{"org-3", []string{"Organization"}, "a telecom of an organization must not be of use home", everyItem("telecom", notHome)},
	{"pat-1", []string{"Patient.contact"}, "a contact must have a name, telecom, address or organization", anyOf("name", "telecom", "address", "organization")},
	{"que-1", []string{"Questionnaire.item"}, "a group must have items, a display must not", func(n *Node) bool {
		return (n.Str("type") != "group" || has(n, "item")) && (n.Str("type") != "display" || !has(n, "item"))
	}},
	{"que-2", []string{"Questionnaire"}, "every linkId must be unique", linkIDsUnique},
	{"que-4", []string{"Questionnaire.item"}, "there must not be both answerOption and answerValueSet", notBoth("answerOption", "answerValueSet")},
	{"que-11", []string{"Questionnaire.item"}, "there must not be both answerOption and initial", notBoth("answerOption", "initial")},
	{"qrs-1", []string{"QuestionnaireResponse.item"}, "there must not be both answer and item", notBoth("answer", "item")},
	{"rqg-1", []string{"RequestGroup.action"}, "there must be exactly one of resource and action", oneOf("resource", "action")},
	{"prr-1", []string{"ServiceRequest"}, "orderDetail needs code", needs("orderDetail", "code")},
}
