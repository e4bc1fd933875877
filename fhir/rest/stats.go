package rest

import (
	"context"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// maxMeasured is the most observations that one call of $stats looks at.
const maxMeasured = 50_000

// ucum is the system of the units that $stats reckons in.
const ucum = "http://unitsofmeasure.org"

// statsCall is one call of Observation/$stats.
type statsCall struct {
	subject    fhir.Key
	codes      []coding
	from, to   string // dateTimes, "" without a bound
	statistics []string
	include    bool
	limit      int
}

// coding is a code of a system.
type coding struct {
	system, code, display string
}

// series are the measurements of one code.
type series struct {
	code coding
	unit string // of the first measurement; the others are converted
	// all is how many observations there are, with those that have no usable value.
	all    int
	values []measurement
	// scale is the most digits behind the point that a value was written with.
	scale int
	// sources are the observations that the values are from.
	sources []*fhir.Resource
	counted map[string]bool // values by observation and component: each once
}

// measurement is one value.
type measurement struct {
	value *big.Rat
	when  time.Time // zero if unknown
}

// stats serves Observation/$stats,
// https://hl7.org/fhir/R4/observation-operation-stats.html.
func (s *Server) stats(r *request, in *inputs) (*answer, error) {
	call, err := s.readStats(in)
	if err != nil {
		return nil, err
	}
	found, err := s.measured(r, call)
	if err != nil {
		return nil, err
	}
	all := make([]*series, len(call.codes))
	for i, code := range call.codes {
		all[i] = newSeries(code)
	}
	requested := len(all)
	for _, o := range found {
		for i := range requested {
			if all, err = s.measure(r, call, all, i, o); err != nil {
				return nil, err
			}
		}
	}
	var items []resource.Node
	shown := make(map[fhir.Key]bool)
	var sources []resource.Node
	for i, one := range all {
		if i < requested && one.all == 0 && len(all) > requested {
			continue // a panel, whose parts are told each by itself
		}
		items = append(items, resourcePart("statistics", one.observation(call)))
		for _, res := range one.sources {
			if call.include && !shown[res.Key] && (call.limit == 0 || len(sources) < call.limit) {
				shown[res.Key] = true
				root, err := resource.Decode(res.JSON)
				if err != nil {
					return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
				}
				sources = append(sources, resourcePart("source", *root))
			}
		}
	}
	return &answer{status: http.StatusOK, body: outputs(append(items, sources...)...)}, nil
}

func resourcePart(name string, root resource.Node) resource.Node {
	return object(text("name", name), resource.Field{Name: "resource", Node: root})
}

func newSeries(code coding) *series { return &series{code: code, counted: make(map[string]bool)} }

// readStats reads the parameters.
func (s *Server) readStats(in *inputs) (*statsCall, error) {
	call := &statsCall{}
	subject, err := in.required("subject", "uri")
	if err != nil {
		return nil, err
	}
	reference := strings.TrimPrefix(subject.Text, s.basePrefix)
	typ, id, _ := strings.Cut(reference, "/")
	if call.subject, err = fhir.ParseKey(typ, id); err != nil || !resource.KnownType(typ) {
		return nil, fhir.Errorf(fhir.Invalid, "subject must be a resource of this server, such as Patient/123")
	}
	if err := call.readCodes(in); err != nil {
		return nil, err
	}
	if err := call.readTime(in, s.Clock()); err != nil {
		return nil, err
	}
	if err := call.readStatistics(in); err != nil {
		return nil, err
	}
	include, err := in.one("include", "boolean")
	if err != nil {
		return nil, err
	}
	call.include = include != nil && include.Text == "true"
	if call.limit, err = in.positive("limit"); err != nil {
		return nil, err
	}
	return call, in.done()
}

func (call *statsCall) readCodes(in *inputs) error {
	codes, err := in.each("code", "string")
	if err != nil {
		return err
	}
	system, err := in.text("system", "uri")
	if err != nil {
		return err
	}
	codings, err := in.each("coding", "Coding")
	if err != nil {
		return err
	}
	if len(codes) > 0 && system == "" {
		return fhir.Errorf(fhir.Invalid, "code goes with system; or send a coding, system|code")
	}
	for _, code := range codes {
		call.codes = append(call.codes, coding{system: system, code: code.Text})
	}
	for _, c := range codings {
		if c.Str("code") == "" || c.Str("system") == "" {
			return fhir.Errorf(fhir.Invalid, "a coding must have a system and a code")
		}
		call.codes = append(call.codes, coding{c.Str("system"), c.Str("code"), c.Str("display")})
	}
	const most = 50
	switch {
	case len(call.codes) == 0:
		return fhir.Errorf(fhir.Invalid, "the parameters code and system, or coding, must say what was measured")
	case len(call.codes) > most:
		return fhir.Errorf(fhir.TooLarge, "at most %d codes can be asked for at once", most)
	}
	return nil
}

// readTime reads duration, in hours before now, or period.
func (call *statsCall) readTime(in *inputs, now time.Time) error {
	duration, err := in.one("duration", "decimal")
	if err != nil {
		return err
	}
	period, err := in.one("period", "Period")
	switch {
	case err != nil:
		return err
	case duration != nil && period != nil:
		return fhir.Errorf(fhir.Invalid, "duration and period exclude each other")
	case period != nil:
		call.from, call.to = period.Str("start"), period.Str("end")
	case duration != nil:
		hours, ok := new(big.Rat).SetString(duration.Text)
		const most = 24 * 366 * 200
		if len(duration.Text) > 20 || strings.ContainsAny(duration.Text, "eE") || !ok || hours.Sign() <= 0 || hours.Cmp(big.NewRat(most, 1)) > 0 {
			return fhir.Errorf(fhir.Invalid, "duration is a number of hours above 0")
		}
		milliseconds, _ := new(big.Rat).Mul(hours, big.NewRat(3_600_000, 1)).Float64()
		call.to = string(fhir.AppendInstant(nil, now))
		call.from = string(fhir.AppendInstant(nil, now.Add(-time.Duration(milliseconds)*time.Millisecond)))
	}
	return nil
}

func (call *statsCall) readStatistics(in *inputs) error {
	values, err := in.each("statistic", "code")
	if err != nil {
		return err
	}
	known := make([]string, len(statistics))
	for i := range statistics {
		known[i] = statistics[i].code
	}
	for _, value := range values {
		for name := range strings.SplitSeq(value.Text, ",") {
			if full, short := shortStatistics[name]; short {
				name = full
			}
			if !slices.Contains(known, name) {
				return fhir.Errorf(fhir.Invalid, "%q is no statistic. There are %s", fhir.Clip(name), strings.Join(fhir.NearestFirst(name, known), ", "))
			}
			if !slices.Contains(call.statistics, name) {
				call.statistics = append(call.statistics, name)
			}
		}
	}
	if len(call.statistics) == 0 {
		return fhir.Errorf(fhir.Invalid, "the parameter statistic, of type code, is required, such as average")
	}
	return nil
}

// observed is an observation with its tree.
type observed struct {
	res  *fhir.Resource
	root *resource.Node
}

// measured finds the observations with any of the codes, their own or of a
// component.
func (s *Server) measured(r *request, call *statsCall) ([]observed, error) {
	var tokens []string
	for _, code := range call.codes {
		tokens = append(tokens, valueEscapes.Replace(code.system)+"|"+valueEscapes.Replace(code.code))
	}
	query := "subject=" + url.QueryEscape(call.subject.String()) + "&combo-code=" + url.QueryEscape(strings.Join(tokens, ","))
	if call.from != "" {
		query += "&date=" + url.QueryEscape("ge"+call.from)
	}
	if call.to != "" {
		query += "&date=" + url.QueryEscape("le"+call.to)
	}
	req, err := s.registry().Parse([]string{"Observation"}, query, search.ParseOptions{Base: s.Base, Now: s.Clock()})
	if err != nil {
		return nil, err
	}
	q := req.Query
	q.Count, q.Total = queryPage, search.TotalNone
	var found []observed
	for {
		page, err := s.Store.Search(r.ctx, r.access.Narrow(q))
		if err != nil {
			return nil, err
		}
		for _, res := range page.Resources {
			if found, err = appendObserved(found, res); err != nil {
				return nil, err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return found, nil
		}
		if len(found) > maxMeasured {
			return nil, fhir.Errorf(fhir.TooCostly, "there are more than %d observations; ask for a shorter time", maxMeasured)
		}
	}
}

// appendObserved adds an observation, unless it was entered in error.
func appendObserved(list []observed, res *fhir.Resource) ([]observed, error) {
	root, err := resource.Decode(res.JSON)
	if err != nil {
		return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
	}
	if root.Str("status") == "entered-in-error" {
		return list, nil
	}
	return append(list, observed{res, root}), nil
}

// measure adds what an observation says about the i-th code that was asked for. Of
// a panel, which has no value of its own, the parts are series of their own.
func (s *Server) measure(r *request, call *statsCall, all []*series, i int, o observed) ([]*series, error) {
	asked := all[i].code
	components := o.root.List("component")
	if !asked.in(o.root.Get("code")) {
		for j := range components {
			if asked.in(components[j].Get("code")) {
				if err := all[i].add(o, &components[j], j); err != nil {
					return nil, err
				}
			}
		}
		return all, nil
	}
	members, err := s.panelMembers(r.ctx, r.access, call, o.root)
	if err != nil {
		return nil, err
	}
	if o.root.Get("valueQuantity") != nil || len(components) == 0 && len(members) == 0 {
		if err := all[i].add(o, o.root, -1); err != nil {
			return nil, err
		}
	}
	for j := range components {
		if all, err = addPart(all, o, &components[j], j); err != nil {
			return nil, err
		}
	}
	for _, member := range members {
		if all, err = addPart(all, member, member.root, -1); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// addPart adds a part of a panel to the series of its first code.
func addPart(all []*series, o observed, part *resource.Node, component int) ([]*series, error) {
	for _, c := range part.Get("code").List("coding") {
		code := coding{c.Str("system"), c.Str("code"), c.Str("display")}
		if code.code == "" {
			continue
		}
		at := slices.IndexFunc(all, func(one *series) bool {
			return one.code.system == code.system && one.code.code == code.code
		})
		if at < 0 {
			at, all = len(all), append(all, newSeries(code))
		}
		return all, all[at].add(o, part, component)
	}
	return all, nil
}

// panelMembers returns the observations that a panel has as members, if they are
// about the same subject.
func (s *Server) panelMembers(ctx context.Context, access search.Access, call *statsCall, root *resource.Node) ([]observed, error) {
	var keys []fhir.Key
	for _, ref := range root.List("hasMember") {
		typ, id, _ := strings.Cut(strings.TrimPrefix(ref.Str("reference"), s.basePrefix), "/")
		if key := (fhir.Key{Type: typ, ID: id}); typ == "Observation" && fhir.ValidID(id) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	if len(keys) > gatherKeys {
		return nil, fhir.Errorf(fhir.TooCostly, "a panel has more than %d members", gatherKeys)
	}
	found, _, err := s.Store.Gather(ctx, store.GatherQuery{Keys: keys, Limit: gatherKeys, Scope: access.Scope(search.CanSearch)})
	if err != nil {
		return nil, err
	}
	var members []observed
	for _, res := range found {
		if members, err = appendObserved(members, res); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(members, func(o observed) bool {
		return strings.TrimPrefix(o.root.Path("subject").Str("reference"), s.basePrefix) != call.subject.String()
	}), nil
}

// in reports whether a CodeableConcept has the code.
func (c coding) in(concept *resource.Node) bool {
	return slices.ContainsFunc(concept.List("coding"), func(n resource.Node) bool {
		return n.Str("system") == c.system && n.Str("code") == c.code
	})
}

// add adds the value of an observation or of one of its components. What has no
// usable value, such as "below 5", another system of units or a modifier that may
// turn it around, counts only as an observation. The error is Unprocessable if the
// unit cannot be converted to that of the others.
func (one *series) add(o observed, part *resource.Node, component int) error {
	id := o.res.ID + "/" + string(rune('a'+component%26)) + strings.Repeat("+", max(0, component/26))
	if one.counted[id] {
		return nil
	}
	one.counted[id] = true
	one.all++
	quantity := part.Get("valueQuantity")
	number, unit := quantity.Get("value"), quantity.Str("code")
	if number == nil || unit == "" || quantity.Str("system") != ucum || quantity.Get("comparator") != nil ||
		o.root.Get("modifierExtension") != nil || part.Get("modifierExtension") != nil {
		return nil
	}
	value, scale, ok := exactNumber(number.Text)
	if !ok {
		return nil
	}
	if one.unit == "" {
		one.unit = unit
	}
	if unit != one.unit {
		converted, ok := search.Convert(value, unit, one.unit)
		if !ok {
			return fhir.Errorf(fhir.Unprocessable, "the observations of %s|%s are in %s and in %s, which cannot be converted into each other; "+
				"ask for a period in which one of them was used", one.code.system, one.code.code, fhir.Clip(one.unit), fhir.Clip(unit))
		}
		value, scale = converted, 0
	}
	one.scale = max(one.scale, scale)
	one.values = append(one.values, measurement{value, effectiveOf(o.root)})
	one.sources = append(one.sources, o.res)
	return nil
}
