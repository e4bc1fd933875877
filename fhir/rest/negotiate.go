package rest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// format is how a response is written.
type format struct {
	contentType string // with its charset
	pretty      bool
	// named says that _format chose it. Else ranges are what the client accepts;
	// none means that it did not say.
	named  bool
	ranges []mediaRange
}

// xml reports whether the format is XML; else it is JSON.
func (f format) xml() bool {
	media, _, _ := strings.Cut(f.contentType, ";")
	return strings.HasSuffix(media, "xml") || media == oldXML
}

// formatKey is where a request's format stands in its Echo context.
const formatKey = "starling.rest.format"

// The media types of resources, https://hl7.org/fhir/R4/http.html#mime-type.
const (
	fhirJSON = "application/fhir+json"
	fhirXML  = "application/fhir+xml"
	oldXML   = "application/xml+fhir"
)

const charsetUTF8 = "; charset=utf-8"

var defaultFormat = format{contentType: fhirJSON + charsetUTF8}

// resourceMedia are the media types a resource can be sent and answered as, those
// we would rather answer with first. Generic and old names are answered as asked.
// "application/json+fhir" and "application/xml+fhir" are how DSTU1 spelt it.
var resourceMedia = [...]string{
	fhirJSON, fhirXML, "application/json", "application/xml", "text/json", "text/xml", "application/json+fhir", oldXML,
}

// formatNames are the short names of _format.
// https://hl7.org/fhir/R4/http.html#parameters
var formatNames = map[string]string{"json": fhirJSON, "xml": fhirXML, "*/*": fhirJSON, "application/*": fhirJSON, "text/*": "text/json"}

// formatsOffered is for messages.
const formatsOffered = fhirJSON + " and " + fhirXML

// mediaRange is one part of an Accept header.
type mediaRange struct {
	name string // "text/*", "application/fhir+xml"
	q    float64
}

// weight returns how much a range wants a media type, and how exactly it names
// it: 3 by its name, 2 by its kind, 1 with */*, 0 not at all.
func (m mediaRange) weight(media string) (q float64, exact int) {
	kind, _, _ := strings.Cut(media, "/")
	switch m.name {
	case media:
		return m.q, 3
	case kind + "/*":
		return m.q, 2
	case "*/*":
		return m.q, 1
	}
	return 0, 0
}

// wanted returns how much a client wants a media type: the most exact range
// counts. https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
func wanted(ranges []mediaRange, media string) (q float64, exact, place int) {
	for i, m := range ranges {
		if weight, how := m.weight(media); how > exact {
			q, exact, place = weight, how, i
		}
	}
	return q, exact, place
}

// negotiate chooses the response format from _format, else Accept, else the
// format of the request's body. The error is NotAcceptable, and then the format
// still has the ranges.
func negotiate(r *http.Request) (format, error) {
	chosen := defaultFormat
	sent, _ := resourceType(r.Header.Get("Content-Type"))
	if (format{contentType: sent}).xml() {
		chosen.contentType = fhirXML + charsetUTF8
	}
	var query url.Values
	if r.URL.RawQuery != "" {
		query, _ = queryValues(r.URL.RawQuery) // handlers complain about broken ones
	}
	if value := query.Get("_pretty"); value != "" {
		pretty, err := strconv.ParseBool(value)
		if err != nil {
			return format{}, fhir.Errorf(fhir.Invalid, "_pretty must be true or false, not %q", fhir.Clip(value))
		}
		chosen.pretty = pretty
	}
	if value := query.Get("_format"); value != "" {
		contentType, err := namedFormat(value)
		if err != nil {
			return format{named: true}, err
		}
		chosen.contentType, chosen.named = contentType, true
		return chosen, nil
	}
	problem := ""
	chosen.ranges, problem = parseAccept(r.Header.Values("Accept"))
	if len(chosen.ranges) == 0 && problem == "" {
		return chosen, nil
	}
	media, q := best(chosen.ranges, chosen.xml())
	if q == 0 {
		return format{ranges: chosen.ranges}, fhir.Errorf(fhir.NotAcceptable, "%s; accepted are %s", cmp.Or(problem, "the Accept header leaves no format"), formatsOffered)
	}
	chosen.contentType = media + charsetUTF8
	return chosen, nil
}

// best returns the media type of resources that the ranges want most, among
// equals the one named most exactly, then first, then the one of the format at
// hand. q is 0 if they want none.
func best(ranges []mediaRange, xml bool) (media string, q float64) {
	bestExact, bestPlace, bestNear := 0, 0, false
	for _, candidate := range resourceMedia {
		weight, exact, place := wanted(ranges, candidate)
		near := (format{contentType: candidate}).xml() == xml
		if weight == 0 {
			continue
		}
		if order := cmp.Or(cmp.Compare(weight, q), cmp.Compare(exact, bestExact), cmp.Compare(bestPlace, place)); order > 0 || order == 0 && near && !bestNear {
			media, q, bestExact, bestPlace, bestNear = candidate, weight, exact, place, near
		}
	}
	return media, q
}

// parseAccept reads the Accept headers. What cannot be answered to, such as
// another charset, is left out; problem is about the first of these.
func parseAccept(headers []string) (ranges []mediaRange, problem string) {
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, params, err := mime.ParseMediaType(part)
		if err == nil {
			err = mediaParameters(params)
		} else {
			err = fhir.Errorf(fhir.Invalid, "%q is not a media type", fhir.Clip(part))
		}
		if err != nil {
			problem = cmp.Or(problem, err.Error())
			continue
		}
		if q := quality(params["q"]); q == 0 || answerable(name) {
			ranges = append(ranges, mediaRange{name, q})
			continue
		} else if _, err := resourceType(name); err != nil {
			problem = cmp.Or(problem, err.Error())
			ranges = append(ranges, mediaRange{name, q}) // a Binary may be of that type
		}
	}
	// Browsers list XML for the sake of XHTML, and then anything: JSON shows there
	// just as well.
	browser := slices.ContainsFunc(ranges, func(m mediaRange) bool { return m.name == "text/html" }) &&
		slices.ContainsFunc(ranges, func(m mediaRange) bool { return m.name == "*/*" })
	if browser {
		ranges = slices.DeleteFunc(ranges, func(m mediaRange) bool { return m.name == "application/xml" || m.name == "text/xml" })
	}
	return ranges, problem
}

// answerable reports whether a resource can be of a range.
func answerable(name string) bool {
	return slices.Contains(resourceMedia[:], name) || name == "*/*" || name == "application/*" || name == "text/*"
}

// namedFormat returns the Content-Type that a value of _format asks for.
func namedFormat(value string) (string, error) {
	// A plus sign that was not escaped arrives as a space.
	value = strings.TrimSpace(value)
	spelt := strings.ReplaceAll(value, " ", "+")
	if media := formatNames[strings.ToLower(spelt)]; media != "" {
		return media + charsetUTF8, nil
	}
	media, err := resourceType(spelt)
	if err != nil {
		return "", fhir.Errorf(fhir.NotAcceptable, "_format=%s: %s; known are json and xml, and %s", fhir.Clip(value), err.Error(), strings.Join(resourceMedia[:], ", "))
	}
	return media + charsetUTF8, nil
}

// quality returns the q of one part of an Accept header, 1 if it has none.
func quality(text string) float64 {
	q, err := strconv.ParseFloat(text, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 1 // as if it had not been sent
	}
	return q
}

// resourceType reads a media type of resources, with its parameters, and returns
// its name. The error is NotSupported and says what is wrong in words for the
// client.
func resourceType(text string) (string, error) {
	name, params, err := mime.ParseMediaType(text)
	if err != nil {
		return "", fhir.Errorf(fhir.NotSupported, "%q is not a media type", fhir.Clip(text))
	}
	if !slices.Contains(resourceMedia[:], name) {
		if strings.Contains(name, "turtle") || name == "ttl" {
			return "", fhir.Errorf(fhir.NotSupported, "this server speaks JSON and XML, not Turtle")
		}
		return "", fhir.Errorf(fhir.NotSupported, "format %q is not supported", fhir.Clip(name))
	}
	return name, mediaParameters(params)
}

// mediaParameters checks the parameters of a media type.
func mediaParameters(params map[string]string) error {
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return fhir.Errorf(fhir.NotSupported, "charset %q is not supported, only UTF-8", fhir.Clip(charset))
	}
	// https://hl7.org/fhir/R4/http.html#version-parameter
	if version := params["fhirversion"]; version != "" && version != "4.0" && version != "4.0.1" {
		return fhir.Errorf(fhir.NotSupported, "fhirVersion %q is not supported, only 4.0", fhir.Clip(version))
	}
	return nil
}

// indent lays JSON out for people. Numbers stay as they are.
func indent(body []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		return body
	}
	return append(out.Bytes(), '\n')
}
