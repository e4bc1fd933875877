package resource_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// ruleCases have for each rule what breaks it and what just keeps it. In both,
// the text stands in place of the … of the resource below it.
var ruleCases = []struct {
	key, good, bad string
	in             string // a resource with … for the case
}{
	{"ext-1", `"valueString":"x"`, `"valueString":"x","extension":[{"url":"a","valueString":"y"}]`, `{"resourceType":"Patient","extension":[{"url":"http://example.org/e",…}]}`},
	{"qty-3", `"code":"mg","system":"http://unitsofmeasure.org"`, `"code":"mg"`, quantity},
	{"age-1", `"value":1,"code":"a","system":"http://unitsofmeasure.org"`, `"value":-1,"code":"a","system":"http://unitsofmeasure.org"`, onset},
	{"age-1", `"value":0.1,"code":"a","system":"http://unitsofmeasure.org"`, `"value":1`, onset},
	{"age-1", `"code":"a","system":"http://unitsofmeasure.org"`, `"code":"a","system":"http://example.org"`, onset},
	{"cnt-3", `"value":3,"code":"1"`, `"value":3.5,"code":"1"`, count},
	{"cnt-3", `"value":3,"code":"1"`, `"value":3,"code":"2"`, count},
	{"dis-1", `"value":3,"code":"km","system":"http://unitsofmeasure.org"`, `"value":3`, distance},
	{"drt-1", `"value":3,"code":"d","system":"http://unitsofmeasure.org"`, `"code":"d","system":"http://unitsofmeasure.org"`, duration},
	{"per-1", `"start":"2026-01-01","end":"2026-01-01"`, `"start":"2026-01-02","end":"2026-01-01"`, period},
	{"per-1", `"start":"2026-01-02","end":"2026-01"`, `"start":"2026-02-02","end":"2026-01"`, period},
	{"per-1", `"start":"2026-01-01T10:00:00+02:00","end":"2026-01-01T09:00:00Z"`, `"start":"2026-01-01T10:00:00Z","end":"2026-01-01T11:00:00+02:00"`, period},
	{"per-1", `"start":"2026-01-02T01:00:00+02:00","end":"2026-01-01"`, `"start":"2026-01-03T01:00:00+02:00","end":"2026-01-01"`, period},
	{"per-1", `"start":"2026-01-01T10:00:00.5Z","end":"2026-01-01T10:00:00.50Z"`, `"start":"2026-01-01T10:00:00.51Z","end":"2026-01-01T10:00:00.50Z"`, period},
	{"rng-2", `"low":{"value":2},"high":{"value":10}`, `"low":{"value":10},"high":{"value":2}`, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueRange":{…}}`},
	{"rng-2", `"low":{"value":10,"unit":"mg"},"high":{"value":2,"unit":"g"}`, `"low":{"value":10,"unit":"g"},"high":{"value":2,"unit":"g"}`, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueRange":{…}}`},
	{"rat-1", `"numerator":{"value":1},"denominator":{"value":2}`, `"numerator":{"value":1}`, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueRatio":{…}}`},
	{"att-1", `"data":"QUJD","contentType":"text/plain"`, `"data":"QUJD"`, `{"resourceType":"Patient","photo":[{…}]}`},
	{"cpt-2", `"value":"1","system":"phone"`, `"value":"1"`, `{"resourceType":"Patient","telecom":[{…}]}`},
	{"exp-1", `"expression":"true"`, `"description":"x"`, `{"resourceType":"Patient","extension":[{"url":"http://example.org/e","valueExpression":{"language":"text/fhirpath",…}}]}`},
	{"tim-1", `"duration":1,"durationUnit":"h"`, `"duration":1`, repeat},
	{"tim-2", `"period":1,"periodUnit":"h"`, `"period":1`, repeat},
	{"tim-4", `"duration":0,"durationUnit":"h"`, `"duration":-1,"durationUnit":"h"`, repeat},
	{"tim-5", `"period":0,"periodUnit":"h"`, `"period":-0.5,"periodUnit":"h"`, repeat},
	{"tim-6", `"periodMax":2,"period":1,"periodUnit":"h"`, `"periodMax":2`, repeat},
	{"tim-7", `"durationMax":2,"duration":1,"durationUnit":"h"`, `"durationMax":2`, repeat},
	{"tim-8", `"countMax":2,"count":1`, `"countMax":2`, repeat},
	{"tim-9", `"offset":30,"when":["PCM"]`, `"offset":30,"when":["CM"]`, repeat},
	{"tim-10", `"timeOfDay":["10:00:00"]`, `"timeOfDay":["10:00:00"],"when":["CM"]`, repeat},

	{"bdl-1", `"type":"searchset","total":1`, `"type":"collection","total":1`, bundle},
	{"bdl-2", `"type":"searchset","entry":[{"resource":{"resourceType":"Patient"},"search":{"mode":"match"}}]`, `"type":"collection","entry":[{"resource":{"resourceType":"Patient"},"search":{"mode":"match"}}]`, bundle},
	{"bdl-3", `"type":"batch","entry":[{"request":{"method":"GET","url":"Patient"}}]`, `"type":"batch","entry":[{"resource":{"resourceType":"Patient"}}]`, bundle},
	{"bdl-3", `"type":"collection","entry":[{"resource":{"resourceType":"Patient"}}]`, `"type":"collection","entry":[{"request":{"method":"GET","url":"Patient"}}]`, bundle},
	{"bdl-4", `"type":"batch-response","entry":[{"response":{"status":"200"}}]`, `"type":"batch-response","entry":[{"resource":{"resourceType":"Patient"}}]`, bundle},
	{"bdl-5", `"type":"collection","entry":[{"resource":{"resourceType":"Patient"}}]`, `"type":"collection","entry":[{"fullUrl":"urn:uuid:1"}]`, bundle},
	{
		"bdl-7", `"type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","meta":{"versionId":"1"}}},{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","meta":{"versionId":"2"}}}]`,
		`"type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"}},{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"}}]`, bundle,
	},
	{"bdl-8", `"type":"collection","entry":[{"fullUrl":"http://example.org/Patient/1","resource":{"resourceType":"Patient"}}]`, `"type":"collection","entry":[{"fullUrl":"http://example.org/Patient/1/_history/1","resource":{"resourceType":"Patient"}}]`, bundle},
	{"bdl-9", document, strings.Replace(document, `"system":"urn:ietf:rfc:3986",`, "", 1), bundle},
	{"bdl-10", document, strings.Replace(document, `"timestamp":"2026-01-01T00:00:00Z",`, "", 1), bundle},
	{"bdl-11", document, strings.Replace(document, composition, `{"resourceType":"Patient"}`, 1), bundle},
	{"bdl-12", `"type":"message","entry":[{"resource":{"resourceType":"MessageHeader","eventUri":"http://example.org/e","source":{"endpoint":"http://example.org"}}}]`, `"type":"message","entry":[{"resource":{"resourceType":"Patient"}}]`, bundle},
	{"inv-1", `"valueString":"x"`, `"valueString":"x","part":[{"name":"p","valueString":"y"}]`, `{"resourceType":"Parameters","parameter":[{"name":"a",…}]}`},

	{"ait-1", `"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}`, `"type":"allergy"`, allergy},
	{"ait-2", enteredInError, enteredInError + `,"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}`, allergy},
	{"app-1", `"status":"proposed","participant":[{"actor":{"display":"x"},"status":"accepted"}]`, `"status":"proposed","participant":[{"status":"accepted"}]`, `{"resourceType":"Appointment",…}`},
	{"app-2", `"status":"proposed"`, `"status":"proposed","start":"2026-01-01T00:00:00Z"`, appointment},
	{"app-3", `"status":"booked","start":"2026-01-01T00:00:00Z","end":"2026-01-01T01:00:00Z"`, `"status":"booked"`, appointment},
	{"app-4", `"status":"cancelled","cancelationReason":{"text":"x"}`, `"status":"proposed","cancelationReason":{"text":"x"}`, appointment},
	{"apr-1", `"actor":{"display":"x"}`, `"comment":"x"`, `{"resourceType":"AppointmentResponse","appointment":{"reference":"Appointment/1"},"participantStatus":"accepted",…}`},
	{"sev-1", `"name":"x"`, `"name":"x","query":"QUJD"`, `{"resourceType":"AuditEvent","type":{"code":"rest"},"recorded":"2026-01-01T00:00:00Z","agent":[{"requestor":true}],"source":{"observer":{"display":"x"}},"entity":[{…}]}`},
	{"cpl-3", `"detail":{"status":"scheduled"}`, `"detail":{"status":"scheduled"},"reference":{"reference":"Task/1"}`, `{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"reference":"Patient/1"},"activity":[{…}]}`},
	{"cmp-1", `"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}`, `"title":"x"`, section},
	{"cmp-2", `"entry":[{"reference":"Patient/1"}]`, `"entry":[{"reference":"Patient/1"}],"emptyReason":{"text":"x"}`, section},
	{"con-1", `"stage":[{"summary":{"text":"x"}}]`, `"stage":[{"type":{"text":"x"}}]`, condition},
	{"con-2", `"evidence":[{"code":[{"text":"x"}]}]`, `"evidence":[{"extension":[{"url":"http://example.org","valueString":"x"}]}]`, condition},
	{"con-4", `"abatementString":"x","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"resolved"}]}`, `"abatementString":"x"`, condition},
	{
		"con-5", `"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"entered-in-error"}]}`,
		`"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"entered-in-error"}]},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}`, condition,
	},
	{"ppc-1", `"policyRule":{"text":"x"}`, `"dateTime":"2026"`, `{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}],…}`},
	{"ces-1", `"category":{"text":"x"}`, `"excluded":true`, `{"resourceType":"CoverageEligibilityResponse","status":"active","purpose":["benefits"],"patient":{"reference":"Patient/1"},"created":"2026","request":{"reference":"CoverageEligibilityRequest/1"},"outcome":"complete","insurer":{"reference":"Organization/1"},"insurance":[{"coverage":{"reference":"Coverage/1"},"item":[{…}]}]}`},
	{"fhs-1", `"ageString":"x"`, `"ageString":"x","bornString":"y"`, family},
	{"fhs-2", `"ageString":"x","estimatedAge":true`, `"estimatedAge":true`, family},
	{"gol-1", `"detailString":"x","measure":{"text":"x"}`, `"detailString":"x"`, `{"resourceType":"Goal","lifecycleStatus":"active","description":{"text":"x"},"subject":{"reference":"Patient/1"},"target":[{…}]}`},
	{"grp-1", `"actual":true`, `"actual":false`, `{"resourceType":"Group","type":"person","member":[{"entity":{"reference":"Patient/1"}}],…}`},
	{"imm-1", `"reference":"http://example.org"`, `"publicationDate":"2026"`, `{"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},"patient":{"reference":"Patient/1"},"occurrenceString":"x","education":[{…}]}`},
	{"imr-1", `"targetDisease":{"text":"x"}`, `"description":"x"`, `{"resourceType":"ImmunizationRecommendation","patient":{"reference":"Patient/1"},"date":"2026","recommendation":[{"forecastStatus":{"text":"x"},…}]}`},
	{"lnk-1", `"item":[{"type":"source","resource":{"reference":"Patient/1"}},{"type":"alternate","resource":{"reference":"Patient/2"}}]`, `"item":[{"type":"source","resource":{"reference":"Patient/1"}}]`, `{"resourceType":"Linkage",…}`},
	{"lst-1", `"mode":"working","emptyReason":{"text":"x"}`, `"mode":"working","emptyReason":{"text":"x"},"entry":[{"item":{"reference":"Patient/1"}}]`, list},
	{"lst-2", `"mode":"changes","entry":[{"deleted":true,"item":{"reference":"Patient/1"}}]`, `"mode":"working","entry":[{"deleted":true,"item":{"reference":"Patient/1"}}]`, list},
	{"lst-3", `"mode":"working","entry":[{"date":"2026","item":{"reference":"Patient/1"}}]`, `"mode":"changes","entry":[{"date":"2026","item":{"reference":"Patient/1"}}]`, list},
	{"mad-1", `"dose":{"value":1}`, `"text":"x"`, `{"resourceType":"MedicationAdministration","status":"completed","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/1"},"effectiveDateTime":"2026","dosage":{…}}`},
	{"mdd-1", `"whenPrepared":"2026-01-01","whenHandedOver":"2026-01-02"`, `"whenPrepared":"2026-01-03","whenHandedOver":"2026-01-02"`, `{"resourceType":"MedicationDispense","status":"completed","medicationCodeableConcept":{"text":"x"},…}`},
	{"msq-3", `"coordinateSystem":1`, `"coordinateSystem":2`, `{"resourceType":"MolecularSequence",…}`},
	{"msq-5", `"chromosome":{"text":"1"},"genomeBuild":"GRCh38"`, `"chromosome":{"text":"1"},"referenceSeqString":"A"`, referenceSeq},
	{"msq-6", `"referenceSeqString":"A"`, `"referenceSeqString":"A","referenceSeqId":{"text":"x"}`, referenceSeq},
	{"msq-6", `"referenceSeqId":{"text":"x"}`, `"windowStart":1`, referenceSeq},
	{"obs-3", `"referenceRange":[{"text":"x"}]`, `"referenceRange":[{"type":{"text":"x"}}]`, observation},
	{"obs-6", `"dataAbsentReason":{"text":"x"}`, `"dataAbsentReason":{"text":"x"},"_valueString":{"extension":[{"url":"http://example.org","valueString":"x"}]}`, observation},
	{"obs-7", `"valueString":"x","component":[{"code":{"coding":[{"code":"b"}]}}]`, `"valueString":"x","component":[{"code":{"coding":[{"code":"a"}]}}]`, `{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"a"}]},…}`},
	{"org-1", `"name":"x"`, `"active":true`, `{"resourceType":"Organization",…}`},
	{"org-2", `"address":[{"use":"work","city":"x"}]`, `"address":[{"use":"home","city":"x"}]`, `{"resourceType":"Organization","name":"x",…}`},
	{"org-3", `"telecom":[{"use":"work","system":"phone","value":"1"}]`, `"telecom":[{"use":"home","system":"phone","value":"1"}]`, `{"resourceType":"Organization","name":"x",…}`},
	{"pat-1", `"telecom":[{"system":"phone","value":"1"}]`, `"gender":"female"`, `{"resourceType":"Patient","contact":[{…}]}`},
	{"que-1", `"type":"group","item":[{"linkId":"2","type":"display"}]`, `"type":"group"`, question},
	{"que-1", `"type":"display"`, `"type":"display","item":[{"linkId":"2","type":"display"}]`, question},
	{"que-2", `"type":"group","item":[{"linkId":"2","type":"display"}]`, `"type":"group","item":[{"linkId":"1","type":"display"}]`, question},
	{"que-4", `"type":"choice","answerValueSet":"http://example.org"`, `"type":"choice","answerValueSet":"http://example.org","answerOption":[{"valueInteger":1}]`, question},
	{"que-11", `"type":"integer","initial":[{"valueInteger":1}]`, `"type":"integer","initial":[{"valueInteger":1}],"answerOption":[{"valueInteger":1}]`, question},
	{"qrs-1", `"item":[{"linkId":"2"}]`, `"item":[{"linkId":"2"}],"answer":[{"valueInteger":1}]`, `{"resourceType":"QuestionnaireResponse","status":"completed","item":[{"linkId":"1",…}]}`},
	{"rqg-1", `"resource":{"reference":"Task/1"}`, `"title":"x"`, `{"resourceType":"RequestGroup","status":"active","intent":"plan","action":[{…}]}`},
	{"prr-1", `"code":{"text":"x"},"orderDetail":[{"text":"y"}]`, `"orderDetail":[{"text":"y"}]`, `{"resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"},…}`},
}

const (
	quantity       = `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1,…}}`
	onset          = `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"onsetAge":{…}}`
	count          = `{"resourceType":"Patient","extension":[{"url":"http://example.org/e","valueCount":{"system":"http://unitsofmeasure.org",…}}]}`
	distance       = `{"resourceType":"Patient","extension":[{"url":"http://example.org/e","valueDistance":{…}}]}`
	duration       = `{"resourceType":"Patient","extension":[{"url":"http://example.org/e","valueDuration":{…}}]}`
	period         = `{"resourceType":"Observation","status":"final","code":{"text":"x"},"effectivePeriod":{…}}`
	repeat         = `{"resourceType":"Patient","extension":[{"url":"http://example.org/e","valueTiming":{"repeat":{…}}}]}`
	bundle         = `{"resourceType":"Bundle",…}`
	composition    = `{"resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2026","author":[{"display":"x"}],"title":"x"}`
	document       = `"type":"document","identifier":{"system":"urn:ietf:rfc:3986","value":"x"},"timestamp":"2026-01-01T00:00:00Z","entry":[{"resource":` + composition + `}]`
	allergy        = `{"resourceType":"AllergyIntolerance","patient":{"reference":"Patient/1"},…}`
	enteredInError = `"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"entered-in-error"}]}`
	appointment    = `{"resourceType":"Appointment","participant":[{"actor":{"display":"x"},"status":"accepted"}],…}`
	section        = `{"resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2026","author":[{"display":"x"}],"title":"x","section":[{…}]}`
	condition      = `{"resourceType":"Condition","subject":{"reference":"Patient/1"},…}`
	family         = `{"resourceType":"FamilyMemberHistory","status":"completed","patient":{"reference":"Patient/1"},"relationship":{"text":"x"},…}`
	list           = `{"resourceType":"List","status":"current",…}`
	referenceSeq   = `{"resourceType":"MolecularSequence","coordinateSystem":0,"referenceSeq":{"windowEnd":9,…}}`
	observation    = `{"resourceType":"Observation","status":"final","code":{"text":"x"},…}`
	question       = `{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1",…}]}`
)

func TestRules(t *testing.T) {
	g := newGate(t)
	covered := make(map[string]bool)
	for _, test := range ruleCases {
		covered[test.key] = true
		good := decode(t, replaceCase(test.in, test.good))
		if err := g.Check(good); err != nil {
			t.Errorf("%s: %s should keep the rule, but %s", test.key, good.JSON(), outcome(t, err))
		}
		bad := decode(t, replaceCase(test.in, test.bad))
		err := g.Check(bad)
		var e *fhir.Error
		if !errors.As(err, &e) || !slices.ContainsFunc(e.Issues, func(i fhir.Issue) bool {
			return i.Code == "invariant" && strings.Contains(i.Message, "("+test.key+", https://hl7.org/fhir/R4/")
		}) {
			t.Errorf("%s: %s should break the rule, but %v", test.key, bad.JSON(), err)
		}
	}
	for _, key := range resource.RuleKeys() {
		if !covered[key] {
			t.Errorf("no case for %s", key)
		}
	}
}

func TestRuleKeysAreUnique(t *testing.T) {
	keys := resource.RuleKeys()
	slices.Sort(keys)
	if n := len(slices.Compact(slices.Clone(keys))); n != len(keys) {
		t.Errorf("%d rules, %d keys", len(keys), n)
	}
}

func replaceCase(in, text string) string { return strings.Replace(in, "…", text, 1) }
