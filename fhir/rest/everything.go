package rest

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// clinicalDates gives each type of the Patient compartment the search parameter
// that says when care was given. Types that are not here have no such date: start
// and end do not leave them out.
//
// https://hl7.org/fhir/R4/patient-operation-everything.html
var clinicalDates = map[string]string{
	"Account": "period", "AdverseEvent": "date", "AllergyIntolerance": "date", "Appointment": "date", "AuditEvent": "date",
	"Basic": "created", "CarePlan": "date", "CareTeam": "date", "ChargeItem": "occurrence", "Claim": "created", "ClaimResponse": "created",
	"ClinicalImpression": "date", "Communication": "sent", "CommunicationRequest": "occurrence", "Composition": "date",
	"Condition": "onset-date", "Consent": "date", "CoverageEligibilityRequest": "created", "CoverageEligibilityResponse": "created",
	"DetectedIssue": "identified", "DeviceRequest": "event-date", "DiagnosticReport": "date", "DocumentManifest": "created",
	"DocumentReference": "date", "Encounter": "date", "EpisodeOfCare": "date", "ExplanationOfBenefit": "created",
	"FamilyMemberHistory": "date", "Flag": "date", "Goal": "start-date", "ImagingStudy": "started", "Immunization": "date",
	"ImmunizationEvaluation": "date", "ImmunizationRecommendation": "date", "Invoice": "date", "List": "date", "MeasureReport": "date",
	"Media": "created", "MedicationAdministration": "effective-time", "MedicationDispense": "whenhandedover",
	"MedicationRequest": "authoredon", "MedicationStatement": "effective", "NutritionOrder": "datetime", "Observation": "date",
	"Procedure": "date", "Provenance": "recorded", "QuestionnaireResponse": "authored", "RequestGroup": "authored",
	"ResearchSubject": "date", "RiskAssessment": "date", "Schedule": "date", "ServiceRequest": "occurrence", "Specimen": "collected",
	"SupplyRequest": "date", "VisionPrescription": "datewritten",
}

// record is what one call of $everything walks through.
type record struct {
	server *Server
	r      *request
	// queries find what belongs to the record, one after the other. Each is of one
	// type.
	queries []search.Query
	// types are those of the answer; nil for all. What they leave out is read
	// only if it may lead to one of them.
	types map[string]bool
	// members are the types of the compartment. What goes along is of others: a
	// member that is not found belongs to somebody else.
	members map[string]bool
	// patients says that only what is in some record counts.
	patients bool
	// also are members that go along all the same.
	also map[fhir.Key]bool
	self string // the query of the call, for links
	path string // of the call, for links
	// count is the page size, 0 for everything in one answer.
	count int
	// from is where the page begins.
	from recordCursor
}

// recordCursor is a place in a record: a query, and the store's cursor in it.
type recordCursor struct {
	query  int
	cursor string
}

// patientEverything serves Patient/[id]/$everything,
// https://hl7.org/fhir/R4/patient-operation-everything.html.
func (s *Server) patientEverything(r *request, in *inputs) (*answer, error) {
	res, err := s.current(r)
	if err != nil {
		return nil, err
	}
	return s.everything(r, in, "Patient", res.Key, true)
}

// everyPatient serves Patient/$everything: the records of all patients that the
// caller may search.
func (s *Server) everyPatient(r *request, in *inputs) (*answer, error) {
	return s.everything(r, in, "Patient", fhir.Key{}, true)
}

// encounterEverything serves Encounter/[id]/$everything,
// https://hl7.org/fhir/R4/encounter-operation-everything.html.
func (s *Server) encounterEverything(r *request, in *inputs) (*answer, error) {
	res, err := s.current(r)
	if err != nil {
		return nil, err
	}
	return s.everything(r, in, "Encounter", res.Key, false)
}

// everything answers with the compartment of a resource and what it refers to.
func (s *Server) everything(r *request, in *inputs, compartment string, key fhir.Key, dated bool) (*answer, error) {
	rec := &record{server: s, r: r, members: map[string]bool{}, also: map[fhir.Key]bool{}, patients: key == fhir.Key{}}
	start, end, since := "", "", ""
	var err error
	if dated {
		if start, err = in.moment("start", "date"); err != nil {
			return nil, err
		}
		if end, err = in.moment("end", "date"); err != nil {
			return nil, err
		}
	}
	if since, err = in.moment("_since", "instant"); err != nil {
		return nil, err
	}
	if err := rec.readPaging(in); err != nil {
		return nil, err
	}
	members, err := s.registry().CompartmentTypes(compartment)
	if err != nil {
		return nil, err
	}
	for _, typ := range members {
		rec.members[typ] = true
	}
	if err := rec.readTypes(in); err != nil {
		return nil, err
	}
	if err := in.done(); err != nil {
		return nil, err
	}
	if compartment == "Encounter" {
		// The compartment's own types are what an encounter is about; whom it is
		// about, and what its resources rest on, may be of those types elsewhere.
		rec.members = map[string]bool{"Patient": true}
		if err := rec.alsoSubject(key); err != nil {
			return nil, err
		}
	}
	// The resource itself comes first.
	slices.SortStableFunc(members, func(a, b string) int {
		switch {
		case a == compartment && b != compartment:
			return -1
		case b == compartment && a != compartment:
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, typ := range members {
		if !rec.reads(typ) {
			continue
		}
		if err := rec.plan(compartment, key, typ, start, end, since); err != nil {
			return nil, err
		}
	}
	rec.path = s.basePrefix + compartment
	if !rec.patients {
		rec.path = s.basePrefix + key.String()
	}
	rec.path += "/$everything"
	rec.self = rec.query(start, end, since)
	if rec.from.query > len(rec.queries) {
		return nil, badRecordCursor()
	}
	if rec.count == 0 {
		return &answer{status: http.StatusOK, stream: rec.stream}, nil
	}
	body, err := rec.page()
	return &answer{status: http.StatusOK, body: body}, err
}

// readPaging reads _count and the cursor of a page's link.
func (rec *record) readPaging(in *inputs) error {
	var err error
	if rec.count, err = in.positive("_count"); err != nil {
		return err
	}
	rec.count = min(rec.count, queryPage)
	cursor, err := in.text("_cursor", "string")
	if err != nil || cursor == "" {
		return err
	}
	if rec.count == 0 {
		return fhir.Errorf(fhir.Invalid, "_cursor belongs to a page: it goes with _count")
	}
	number, rest, ok := strings.Cut(cursor, ".")
	query, atoi := strconv.Atoi(number)
	if !ok || atoi != nil || query < 0 {
		return badRecordCursor()
	}
	rec.from = recordCursor{query, rest}
	return nil
}

func badRecordCursor() error {
	return fhir.Errorf(fhir.Invalid, "_cursor is not one that this server gave for this call")
}

// readTypes reads _type, which may be repeated and may hold lists.
func (rec *record) readTypes(in *inputs) error {
	values, err := in.each("_type", "code")
	if err != nil {
		return err
	}
	for _, value := range values {
		for typ := range strings.SplitSeq(value.Text, ",") {
			if !resource.KnownType(typ) {
				return fhir.Errorf(fhir.Invalid, "_type: %q is not a resource type%s", fhir.Clip(typ), didYouMean(typ))
			}
			if rec.types == nil {
				rec.types = map[string]bool{}
			}
			rec.types[typ] = true
		}
	}
	return nil
}

// wants reports whether resources of a type belong into the answer.
func (rec *record) wants(typ string) bool { return rec.types == nil || rec.types[typ] }

// reads reports whether a type of the compartment must be read: it is wanted, or
// may refer to what is wanted.
func (rec *record) reads(typ string) bool {
	if rec.wants(typ) {
		return true
	}
	for wanted := range rec.types {
		if !rec.members[wanted] {
			return true
		}
	}
	return false
}

// alsoSubject lets the patient of an encounter go along.
func (rec *record) alsoSubject(key fhir.Key) error {
	res, err := rec.server.Store.Read(rec.r.ctx, key)
	if err != nil {
		return err
	}
	for _, id := range res.Patients {
		rec.also[fhir.Key{Type: "Patient", ID: id}] = true
	}
	return nil
}

// plan adds the queries of one type.
func (rec *record) plan(compartment string, key fhir.Key, typ, start, end, since string) error {
	var criteria []string
	if since != "" {
		criteria = append(criteria, "_lastUpdated="+url.QueryEscape("ge"+since))
	}
	date := clinicalDates[typ]
	bounded := date != "" && (start != "" || end != "")
	dates := criteria
	if bounded && start != "" {
		dates = append(slices.Clone(dates), date+"="+url.QueryEscape("ge"+start))
	}
	if bounded && end != "" {
		dates = append(slices.Clone(dates), date+"="+url.QueryEscape("le"+end))
	}
	if err := rec.queryType(compartment, key, typ, dates, nil); err != nil || !bounded {
		return err
	}
	// What has no date cannot be said to lie outside.
	undated := search.Present(date)
	undated.Not = true
	return rec.queryType(compartment, key, typ, criteria, &undated)
}

func (rec *record) queryType(compartment string, key fhir.Key, typ string, criteria []string, extra *search.Clause) error {
	s := rec.server
	req, err := s.registry().Parse([]string{typ}, strings.Join(criteria, "&"), search.ParseOptions{Base: s.Base, Now: s.Clock()})
	if err != nil {
		return err
	}
	q := req.Query
	q.Count, q.Total = queryPage, search.TotalNone
	q.Identity += "|everything|" + compartment + "/" + key.ID
	if key != (fhir.Key{}) {
		c, err := s.registry().Compartment(compartment, key.ID, typ)
		if err != nil {
			return err
		}
		q.Where = append(q.Where, c)
	}
	if extra != nil {
		q.Where = append(q.Where, *extra)
		q.Identity += "|undated"
	}
	rec.queries = append(rec.queries, rec.r.access.Narrow(q))
	return nil
}

// query writes the parameters of the call for links.
func (rec *record) query(start, end, since string) string {
	count := ""
	if rec.count > 0 {
		count = strconv.Itoa(rec.count)
	}
	var parts []string
	for _, part := range [...][2]string{
		{"start", start}, {"end", end}, {"_since", since}, {"_type", strings.Join(slices.Sorted(maps.Keys(rec.types)), ",")}, {"_count", count},
	} {
		if part[1] != "" {
			parts = append(parts, part[0]+"="+url.QueryEscape(part[1]))
		}
	}
	return strings.Join(parts, "&")
}

// next reads the next part of the record. at moves on; more says whether there may
// be something behind it.
func (rec *record) next(ctx context.Context, at *recordCursor, count int) (found []*fhir.Resource, more bool, err error) {
	if at.query >= len(rec.queries) {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, rec.server.Limits.Timeout)
	defer cancel()
	q := rec.queries[at.query]
	q.Count, q.Cursor = count, at.cursor
	page, err := rec.server.Store.Search(ctx, q)
	if err != nil {
		return nil, false, err
	}
	if at.cursor = page.Next; page.Next == "" {
		at.query++
	}
	found = page.Resources
	if rec.patients {
		found = slices.DeleteFunc(found, func(res *fhir.Resource) bool { return len(res.Patients) == 0 })
	}
	return found, at.query < len(rec.queries), nil
}

// stream writes the whole record as one Bundle while it is read.
func (rec *record) stream(ctx context.Context, write func([]byte) error) error {
	b := newSearchset("searchset", -1, nil)
	b.link("self", rec.path, rec.self, "")
	along := newCompanions(rec)
	at, more := rec.from, true
	for more {
		var found []*fhir.Resource
		var err error
		if found, more, err = rec.next(ctx, &at, queryPage); err != nil {
			return err
		}
		for _, res := range found {
			along.matched(res)
			if rec.wants(res.Type) {
				b.match(rec.server.basePrefix+res.Key.String(), res.JSON, 0)
			}
			if err := b.flush(write, streamChunk); err != nil {
				return err
			}
		}
	}
	if err := along.write(ctx, b, write); err != nil {
		return err
	}
	return write(b.bytes())
}

// page answers with one page. What goes along with it may have been on an earlier
// page too: the server keeps nothing between the pages.
func (rec *record) page() ([]byte, error) {
	var matches []*fhir.Resource
	along := newCompanions(rec)
	at, more, size := rec.from, true, 0
	for more && len(matches) < rec.count && size < store.MaxPageBytes {
		var found []*fhir.Resource
		var err error
		if found, more, err = rec.next(rec.r.ctx, &at, rec.count-len(matches)); err != nil {
			return nil, err
		}
		for _, res := range found {
			along.matched(res)
			if rec.wants(res.Type) {
				matches = append(matches, res)
				size += len(res.JSON)
			}
		}
	}
	b := newSearchset("searchset", -1, matches)
	b.link("self", rec.path, rec.self, rec.from.text())
	if more {
		b.link("next", rec.path, rec.self, at.text())
	}
	for _, res := range matches {
		b.match(rec.server.basePrefix+res.Key.String(), res.JSON, 0)
	}
	whole := new(bytes.Buffer)
	if err := along.write(rec.r.ctx, b, func(part []byte) error { whole.Write(part); return nil }); err != nil {
		return nil, err
	}
	whole.Write(b.bytes())
	return whole.Bytes(), nil
}

// text writes a cursor for a link; "" for the beginning.
func (c recordCursor) text() string {
	if c == (recordCursor{}) {
		return ""
	}
	return strconv.Itoa(c.query) + "." + c.cursor
}
