package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir/search"
)

// leakScopes are what the limited caller may have; the last one is for those who
// fill the stores.
var leakScopes = []string{
	"patient/*.rs", "patient/*.rs", "patient/*.rs", "patient/*.rs", "patient/*.cruds", "patient/*.cruds", "patient/*.cruds", "patient/*.cruds",
	"patient/*.cruds", "patient/*.cruds", "patient/*.cruds", "patient/*.cruds", "patient/*.cud", "patient/*.us patient/*.cd",
	"patient/Observation.rs", "patient/Observation.cruds patient/Patient.r patient/Medication.rs", "patient/Condition.cs patient/Observation.ds",
	"patient/Patient.cruds patient/MolecularSequence.cruds", "patient/*.r", "patient/*.s", "",
	"all",
}

// What the resources of the test are made of. They are the same for all
// patients, so that criteria match everybody's.
var (
	leakTypes   = []string{"Observation", "Observation", "Observation", "Condition", "MedicationRequest", "AllergyIntolerance", "MolecularSequence", "DiagnosticReport"}
	openKinds   = []string{"Medication", "Practitioner", "Organization", "ValueSet"}
	refused     = []string{"Group", "Device", "List", "Binary", "Bundle"}
	leakCodes   = []string{"a", "b", "c", "d"}
	leakDates   = []string{"2019", "2020-02", "2020-02-03", "2021-05-06T07:08:09Z", "2022-01-01T00:00:00+02:00"}
	leakNumbers = []string{"1", "2.50", "1e2", "-3", "99.9"}
)

func pick[T any](l *leaks, from []T) T { return from[l.rnd.IntN(len(from))] }

// chance is true n times of a hundred.
func (l *leaks) chance(n int) bool { return l.rnd.IntN(100) < n }

// make writes a resource of a type about a patient; secret ones hold what must
// never be told.
func (l *leaks) make(typ, id, patient string, secret bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"resourceType":%q`, typ)
	if id != "" {
		fmt.Fprintf(&b, `,"id":%q`, id)
	}
	if l.chance(20) {
		b.WriteString(`,"meta":{"tag":[{"system":"http://tags.example","code":"` + pick(l, leakCodes) + `"}]}`)
	}
	if word := pick(l, leakWords); secret {
		b.WriteString(`,"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + hush + ` ` + word + `</div>"}`)
	} else if l.chance(25) {
		b.WriteString(`,"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + word + `</div>"}`)
	}
	identifier := `{"system":"http://ids.example","value":"` + pick(l, leakCodes) + `"}`
	if secret {
		identifier += `,{"system":"http://` + hush + `.example","value":"` + hush + strconv.Itoa(l.rnd.IntN(99)) + `"}`
	}
	if typ != "Medication" || secret {
		b.WriteString(`,"identifier":[` + identifier + `]`)
	}
	concept := `{"coding":[{"system":"http://codes.example","code":"` + pick(l, leakCodes) + `"}],"text":"` + pick(l, leakCodes) + `"}`
	subject := `{"reference":"` + patient + `"}`
	date := pick(l, leakDates)
	switch typ {
	case "Patient":
		fmt.Fprintf(&b, `,"name":[{"family":"Quill","given":["%s"]}],"birthDate":"1965-12-10","active":true`, pick(l, leakCodes))
		if patient != "" {
			b.WriteString(`,"link":[{"other":` + subject + `,"type":"seealso"}]`)
		}
	case "Observation":
		fmt.Fprintf(&b, `,"status":"final","code":%s,"subject":%s,"effectiveDateTime":%q,"valueQuantity":{"value":%s,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}`, concept, subject, date, pick(l, leakNumbers))
		if l.chance(30) {
			// Another patient's data may point at ours: that makes it no part of ours.
			b.WriteString(`,"focus":[{"reference":"` + pick(l, []string{"Patient/ada", "Patient/bea", "Patient?identifier=a", "Condition/own-1"}) + `"}]`)
		}
		if l.chance(30) {
			b.WriteString(`,"hasMember":[{"reference":"` + pick(l, []string{"Observation/own-1", "Observation/f-1", "Observation?identifier=http://ids.example|b"}) + `"}]`)
		}
	case "Condition":
		fmt.Fprintf(&b, `,"code":%s,"subject":%s,"onsetDateTime":%q`, concept, subject, date)
	case "MedicationRequest":
		if l.chance(30) {
			fmt.Fprintf(&b, `,"contained":[{"resourceType":"Medication","id":"m","code":%s}],"status":"active","intent":"order","medicationReference":{"reference":"#m"},"subject":%s`, concept, subject)
			break
		}
		fmt.Fprintf(&b, `,"status":"active","intent":"order","medicationCodeableConcept":%s,"subject":%s`, concept, subject)
	case "AllergyIntolerance":
		fmt.Fprintf(&b, `,"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"code":%s,"patient":%s`, concept, subject)
	case "MolecularSequence":
		fmt.Fprintf(&b, `,"coordinateSystem":0,"patient":%s,"referenceSeq":{"referenceSeqId":{"text":"NC_000022"},"windowStart":%d,"windowEnd":200}`, subject, l.rnd.IntN(100))
	case "DiagnosticReport":
		fmt.Fprintf(&b, `,"status":"final","code":%s,"subject":%s,"effectiveDateTime":%q`, concept, subject, date)
	case "Medication":
		b.WriteString(`,"code":` + concept)
	case "Practitioner", "Organization":
		b.WriteString(`,"active":true`)
	case "ValueSet":
		fmt.Fprintf(&b, `,"status":"active","url":"http://sets.example/%s","compose":{"include":[{"system":"http://codes.example","concept":[{"code":%q}]}]}`, pick(l, leakCodes), pick(l, leakCodes))
	case "Group":
		b.WriteString(`,"type":"person","actual":true,"member":[{"entity":` + subject + `}]`)
	case "Device":
		b.WriteString(`,"patient":` + subject)
	case "List":
		b.WriteString(`,"status":"current","mode":"working","subject":` + subject + `,"entry":[{"item":{"reference":"` + pick(l, []string{"Observation/own-1", "Observation/f-1", "Condition/own-2", "Patient/bea"}) + `"}},{"item":{"reference":"Observation/own-2"}}]`)
	}
	b.WriteString("}")
	return b.String()
}

// fill stores what there is before the first question.
func (l *leaks) fill() {
	l.both(call{"PUT", "/Patient/ada", nil, l.make("Patient", "ada", "", false)})
	for range 60 {
		l.happen()
	}
	for i := range 12 {
		typ := leakTypes[i%len(leakTypes)]
		id := "own-" + strconv.Itoa(i%5)
		l.both(call{"PUT", "/" + typ + "/" + id, nil, l.literal(typ, id, "Patient/ada", false)})
		l.happen()
	}
}

// literal is make without conditional references, which might match nothing.
func (l *leaks) literal(typ, id, patient string, secret bool) string {
	for {
		if body := l.make(typ, id, patient, secret); !strings.Contains(body, "?identifier=") {
			return body
		}
	}
}

// happen lets others write: mostly about other patients, into one server only;
// now and then about what both have.
func (l *leaks) happen() {
	for l.chance(50) {
		switch {
		case l.chance(2):
			l.define()
		case l.chance(70):
			l.others(l.foreignWrite())
		case l.chance(20): // what anybody may read
			typ := pick(l, openKinds)
			id := "open-" + strconv.Itoa(l.rnd.IntN(3))
			l.both(call{"PUT", "/" + typ + "/" + id, nil, l.literal(typ, id, "", false)})
		case l.chance(10): // a list of the caller's own
			id := l.ownID()
			l.both(call{"PUT", "/List/" + id, nil, l.literal("List", id, "Patient/ada", false)})
		case l.chance(12): // filed under the wrong patient, in both
			typ, id := pick(l, leakTypes), l.ownID()
			l.both(call{"PUT", "/" + typ + "/" + id, nil, l.literal(typ, id, "Patient/bea", true)})
		case l.chance(20):
			l.both(call{"DELETE", "/" + pick(l, leakTypes) + "/" + l.ownID(), nil, ""})
		case l.chance(10):
			l.both(call{"PUT", "/Patient/ada", nil, l.literal("Patient", "ada", "", false)})
		default:
			typ, id := pick(l, leakTypes), l.ownID()
			l.both(call{"PUT", "/" + typ + "/" + id, nil, l.literal(typ, id, "Patient/ada", false)})
		}
	}
}

// foreignWrite writes data of other patients, under ids that the caller may ask
// for and under ids that they cannot know.
func (l *leaks) foreignWrite() call {
	id := pick(l, []string{"f-", hush + "-"}) + strconv.Itoa(l.rnd.IntN(4))
	switch {
	case l.chance(10):
		patient := pick(l, []string{"bea", "cyd"})
		return call{"PUT", "/Patient/" + patient, nil, l.literal("Patient", patient, "Patient/ada", true)}
	case l.chance(10): // of refused types, about our patient
		typ := pick(l, []string{"Group", "Device"})
		return call{"PUT", "/" + typ + "/" + id, nil, l.literal(typ, id, "Patient/ada", true)}
	case l.chance(10):
		return call{"PUT", "/List/" + id, nil, l.literal("List", id, "Patient/bea", true)}
	case l.chance(15):
		return call{"DELETE", "/" + pick(l, leakTypes) + "/" + id, nil, ""}
	case l.chance(20):
		typ := pick(l, leakTypes)
		return call{"POST", "/" + typ, nil, l.literal(typ, "", "Patient/bea", true)}
	}
	typ := pick(l, leakTypes)
	return call{"PUT", "/" + typ + "/" + id, nil, l.literal(typ, id, "Patient/"+pick(l, []string{"bea", "cyd"}), true)}
}

// ownID is one that the caller's resources have, of any type.
func (l *leaks) ownID() string { return "own-" + strconv.Itoa(l.rnd.IntN(4)) }

// id is one that the caller may ask for: their own, another patient's, one made
// by the server, or one that nothing ever had.
func (l *leaks) id() string {
	switch n := l.rnd.IntN(10); {
	case n < 4:
		return l.ownID()
	case n < 7:
		return "f-" + strconv.Itoa(l.rnd.IntN(4))
	case n < 8:
		return "made-" + strconv.Itoa(1+l.rnd.IntN(200))
	case n < 9:
		return pick(l, []string{"ada", "bea", "cyd", "open-1"})
	}
	return "absent-" + strconv.Itoa(l.rnd.IntN(8))
}

// typ is a type that the caller may ask for.
func (l *leaks) typ() string {
	switch n := l.rnd.IntN(20); {
	case n < 15:
		return pick(l, leakTypes)
	case n < 17:
		return "Patient"
	case n < 18:
		return pick(l, openKinds)
	case n < 19 && l.chance(50):
		return pick(l, refused)
	}
	return pick(l, []string{"Encounter", "Procedure", "Observatoin", "Consent"})
}

// patient is whom a resource that the caller writes is about.
func (l *leaks) patient() string {
	if l.chance(70) {
		return "Patient/ada"
	}
	return pick(l, []string{"Patient/bea", "Patient/absent", testBase + "/Patient/ada", "Patient?identifier=a", "Patient?_id=bea", "Patient?_id=ada", "Patient?name=Quill", "urn:uuid:77777777-7777-4777-8777-777777777777"})
}

// request is one random question and what kind it is of.
func (l *leaks) request() (kind string, in call) {
	typ := l.typ()
	one := "/" + typ + "/" + l.id()
	if typ == "Patient" {
		one = "/Patient/" + pick(l, []string{"ada", "bea", "cyd", "absent"})
	}
	switch n := l.rnd.IntN(100); {
	case n < 12:
		return "read", call{pick(l, []string{"GET", "GET", "GET", "HEAD"}), one + l.readParams(), l.conditionalRead(), ""}
	case n < 18:
		return "vread", call{"GET", one + "/_history/" + pick(l, []string{"1", "2", "3", "4", "5", "99", "x"}), l.conditionalRead(), ""}
	case n < 30:
		path := pick(l, []string{one, one, "/" + typ, ""}) + "/_history"
		return "history", call{"GET", path + l.historyParams(), nil, ""}
	case n < 36:
		return "compartment", l.inCompartment()
	case n < 60:
		var headers []string
		if l.chance(10) {
			headers = []string{"Prefer: handling=lenient"}
		}
		query := l.searchParams(typ)
		if l.chance(10) {
			return "search", call{"POST", "/" + typ + "/_search", append(headers, "Content-Type: application/x-www-form-urlencoded"), query}
		}
		if l.chance(20) {
			return "search", call{"GET", "?" + l.systemParams(), headers, ""}
		}
		return "search", call{"GET", "/" + typ + "?" + query, headers, ""}
	case n < 63 && len(l.oldPages) > 0:
		return "old page", call{method: "GET"}
	case n < 77:
		kind, method, path, body, headers := l.write()
		return kind, call{method, path, headers, body}
	case n < 84:
		return l.patched()
	case n < 90:
		return l.operation()
	case n < 97:
		return l.bundle()
	}
	return "bad", pick(l, []call{
		{"GET", one + "?unknown=1", nil, ""},
		{"POST", "/" + typ, nil, "{"},
		{"PUT", one, nil, `{"resourceType":"Patient","id":"x","nme":1}`},
		{"POST", "", nil, `{"resourceType":"Bundle","type":"batch","entry":[{}]}`},
		{"GET", "/" + typ + "?_cursor=AAAA", nil, ""},
		{"GET", "/" + typ + "?_sort=nothing", nil, ""},
		{"GET", one + "/$everything", nil, ""},
		{"PATCH", one, nil, "[]"},
		{"OPTIONS", one, nil, ""},
		{"PUT", one, []string{"If-Match: nonsense"}, l.make(typ, "f-1", "Patient/ada", false)},
		{"GET", "", nil, ""},
		{"GET", "/Patient/%2e%2e", nil, ""},
		{"DELETE", "/" + typ, nil, ""},
	})
}

func (l *leaks) readParams() string {
	return pick(l, []string{"", "", "", "", "?_elements=id", "?_elements=code,subject", "?_pretty=true", "?_summary=true", "?_format=xml"})
}

func (l *leaks) conditionalRead() []string {
	return pick(l, [][]string{
		nil, nil, nil, {`If-None-Match: W/"1"`}, {"If-None-Match: *"}, {"If-Modified-Since: Fri, 02 Jan 2026 03:10:00 GMT"},
	})
}

func (l *leaks) historyParams() string {
	at := func() string {
		return url.QueryEscape(fmt.Sprintf("2026-01-02T03:%02d:%02dZ", l.rnd.IntN(60), l.rnd.IntN(60)))
	}
	switch l.rnd.IntN(6) {
	case 0:
		return "?_since=" + at()
	case 1:
		return "?_at=" + at()
	case 2:
		return "?_count=" + strconv.Itoa(l.rnd.IntN(5)) + "&_since=" + at()
	case 3:
		return "?_since=2999-01-01"
	case 4:
		return ""
	}
	return "?_count=" + strconv.Itoa(5+l.rnd.IntN(30))
}

// criterion is a random parameter of a type with a value of its kind; some
// values are of other patients.
func (l *leaks) criterion(typ string) string {
	made, _ := parts()
	if l.chance(35) {
		return l.beyond(typ)
	}
	if l.chance(5) {
		return l.ownParameter(typ)
	}
	if l.chance(20) {
		return pick(l, []string{
			"_id=" + l.id(), "_id=own-1,f-1,f-2,f-3", "_lastUpdated=gt2026-01-02T03:20:00Z", "_tag=a", "identifier=" + pick(l, leakCodes),
			"identifier=http://ids.example|" + pick(l, leakCodes),
		})
	}
	params := made.registry.Params(typ)
	if len(params) == 0 {
		return "_id=" + l.id()
	}
	p := pick(l, params)
	return url.QueryEscape(p.Name) + "=" + url.QueryEscape(l.value(p))
}

func (l *leaks) value(p *search.Param) string {
	if l.chance(3) {
		return pick(l, []string{"", ",", "|", "$", "x y", "%", "é", "gt"})
	}
	switch p.Type {
	case search.TypeToken:
		return pick(l, []string{"a", "b", "c,d", "http://codes.example|a", "|a", "http://codes.example|", "final", "active", "true"})
	case search.TypeString:
		return pick(l, []string{"Quill", "quill", "a", "b,c", "z"})
	case search.TypeDate:
		return pick(l, []string{"", "gt", "le", "ne", "sa", "ap"}) + pick(l, []string{"2019", "2020-02", "2021-05-06", "2026-01-02T03:04:05Z"})
	case search.TypeNumber:
		return pick(l, []string{"", "gt", "lt", "ne"}) + pick(l, leakNumbers)
	case search.TypeQuantity:
		return pick(l, []string{"", "gt", "lt", "ap"}) + pick(l, leakNumbers) + pick(l, []string{"", "||kg", "|http://unitsofmeasure.org|kg"})
	case search.TypeReference:
		return pick(l, []string{
			"Patient/ada", "Patient/bea", "ada", "bea", "bea,cyd", testBase + "/Patient/bea", "Observation/f-1", "Observation/own-1", "Condition/own-1",
		})
	case search.TypeURI:
		return pick(l, []string{"http://x.example", "urn:x"})
	case search.TypeComposite:
		return pick(l, []string{"http://codes.example|a$gt1", "a$2019", "a$b"})
	}
	return "x"
}

func (l *leaks) searchParams(typ string) string {
	var query []string
	for range l.rnd.IntN(3) {
		query = append(query, l.criterion(typ))
	}
	return strings.Join(append(query, l.resultParams(typ)...), "&")
}

func (l *leaks) systemParams() string {
	query := []string{pick(l, []string{"_lastUpdated=gt2026-01-02T03:20:00Z", "_tag=a,b", "_id=" + l.id(), "_id=own-1,f-1,f-2,ada,bea,open-1"})}
	if l.chance(60) {
		query = append(query, "_type="+l.typ()+pick(l, []string{"", ",Observation", ",Patient,Condition"}))
	}
	return strings.Join(append(query, l.resultParams("")...), "&")
}

func (l *leaks) resultParams(typ string) []string {
	var query []string
	if l.chance(60) {
		query = append(query, "_count="+strconv.Itoa(l.rnd.IntN(7)))
	}
	if l.chance(25) {
		query = append(query, "_total="+pick(l, []string{"none", "estimate", "accurate"}))
	}
	if l.chance(8) {
		query = append(query, "_summary="+pick(l, []string{"count", "count", "false", "text", "true", "data"}))
	}
	if l.chance(20) {
		query = append(query, l.includes()...)
	}
	if l.chance(8) {
		query = append(query, "_elements="+pick(l, []string{"code", "subject,status", "id"}))
	}
	if l.chance(30) {
		keys := []string{"_lastUpdated", "-_lastUpdated", "_id", "-_id"}
		made, _ := parts()
		for _, p := range made.registry.Params(typ) {
			keys = append(keys, p.Name, "-"+p.Name)
		}
		query = append(query, "_sort="+pick(l, keys)+pick(l, []string{"", "", ",_id"}))
	}
	if l.chance(4) {
		query = append(query, pick(l, []string{"_include=Observation:subject", "_has:Observation:patient:code=a", "subject.name=Quill", "nothing=1", "code:not=a"}))
	}
	return query
}

// write is a random write: by id, by criteria, with and without preconditions.
func (l *leaks) write() (kind, method, path, body string, headers []string) {
	typ, id := l.typ(), l.id()
	if l.chance(50) {
		id = l.ownID()
	}
	body = l.make(typ, id, l.patient(), false)
	if l.chance(40) {
		headers = append(headers, pick(l, []string{"If-Match: *", `If-Match: W/"1"`, `If-Match: W/"2"`, `If-Match: W/"3"`, "If-None-Match: *"}))
	}
	if l.chance(30) {
		headers = append(headers, "Prefer: return="+pick(l, []string{"minimal", "representation", "OperationOutcome"}))
	}
	criteria := l.criterion(typ)
	if l.chance(50) {
		criteria = pick(l, []string{"_id=" + l.id(), "identifier=" + pick(l, leakCodes), "_id=own-2,f-2,f-3"})
	}
	switch l.rnd.IntN(6) {
	case 0:
		return "create", "POST", "/" + typ, l.make(typ, "", l.patient(), false), slices.DeleteFunc(headers, func(h string) bool { return strings.HasPrefix(h, "If-") })
	case 1:
		return "create", "POST", "/" + typ, l.make(typ, "", l.patient(), false), append(headers, "If-None-Exist: "+criteria)
	case 2:
		return "update by criteria", "PUT", "/" + typ + "?" + criteria, l.make(typ, pick(l, []string{"", "", id}), l.patient(), false), headers
	case 3:
		if l.chance(30) { // what others refer to
			typ, id = pick(l, []string{"Observation", "Condition"}), "own-1"
		}
		return "delete", "DELETE", "/" + typ + "/" + id, "", headers
	case 4:
		return "delete by criteria", "DELETE", "/" + typ + "?" + criteria, "", headers
	}
	return "update", "PUT", "/" + typ + "/" + id, body, headers
}

// bundle is a batch or transaction of a few random requests.
func (l *leaks) bundle() (kind string, in call) {
	kind = pick(l, []string{"batch", "transaction", "transaction"})
	var entries []string
	for i := range 1 + l.rnd.IntN(3) {
		if l.chance(10) {
			entries = append(entries, l.patchEntry())
			continue
		}
		if l.chance(40) {
			typ := l.typ()
			path := pick(l, []string{typ + "/" + l.id(), typ + "/" + l.id() + "/_history", typ + "/" + l.id() + "/_history/1", typ + "?" + l.searchParams(typ), "_history?_count=3", "?" + l.systemParams()})
			entries = append(entries, entryOf("", "GET", path, ""))
			continue
		}
		_, method, path, body, headers := l.write()
		var extra []string
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			if member := map[string]string{"If-Match": "ifMatch", "If-None-Match": "ifNoneMatch", "If-None-Exist": "ifNoneExist"}[name]; member != "" {
				extra = append(extra, fmt.Sprintf("%q:%q", member, value))
			}
		}
		fullURL := ""
		if i == 0 && body != "" {
			fullURL = "urn:uuid:77777777-7777-4777-8777-777777777777"
		}
		entries = append(entries, entryOf(fullURL, method, strings.TrimPrefix(path, "/"), body, extra...))
	}
	var headers []string
	if l.chance(40) {
		headers = []string{"Prefer: return=" + pick(l, []string{"representation", "OperationOutcome"})}
	}
	return kind, call{"POST", "", headers, bundleOf(kind, entries...)}
}
