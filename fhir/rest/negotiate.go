package rest

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// format is how a response is written.
type format struct {
	contentType string
	pretty      bool
}

// formatKey is where a request's format stands in its Echo context.
const formatKey = "starling.rest.format"

const fhirJSON = "application/fhir+json"

var defaultFormat = format{contentType: fhirJSON + "; charset=utf-8"}

// jsonNames gives each name of the JSON format, in Accept, Content-Type or
// _format, the media type to answer with. Generic and old names are answered as
// asked: https://hl7.org/fhir/R4/http.html#mime-type. "application/json+fhir"
// is how DSTU1 spelt it.
var jsonNames = map[string]string{
	fhirJSON:                fhirJSON,
	"application/json":      "application/json",
	"application/json+fhir": "application/json+fhir",
	"text/json":             "text/json",
	"json":                  fhirJSON, // only _format
	"*/*":                   fhirJSON,
	"application/*":         fhirJSON,
	"text/*":                "text/json",
}

// negotiate chooses the response format from _format, else Accept. The error is
// NotAcceptable.
func negotiate(r *http.Request) (format, error) {
	chosen := defaultFormat
	var query url.Values
	if r.URL.RawQuery != "" {
		query, _ = url.ParseQuery(r.URL.RawQuery) // handlers complain about broken ones
	}
	if value := query.Get("_pretty"); value != "" {
		pretty, err := strconv.ParseBool(value)
		if err != nil {
			return format{}, fhir.Errorf(fhir.Invalid, "_pretty must be true or false, not %q", fhir.Clip(value))
		}
		chosen.pretty = pretty
	}
	if value := query.Get("_format"); value != "" {
		var err error
		chosen.contentType, err = namedFormat(value)
		return chosen, err
	}
	accepts := r.Header.Values("Accept")
	if len(accepts) == 0 {
		return chosen, nil
	}
	best, problem, asked := 0.0, "", false
	for part := range strings.SplitSeq(strings.Join(accepts, ","), ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		asked = true
		media, err := jsonMedia(part)
		if err != nil {
			if problem == "" {
				problem = err.Error()
			}
			continue
		}
		if q := quality(part); q > best {
			best, chosen.contentType = q, media+"; charset=utf-8"
		}
	}
	if best == 0 && asked {
		if problem == "" {
			problem = "the Accept header refuses JSON with q=0"
		}
		return format{}, fhir.Errorf(fhir.NotAcceptable, "%s; accepted is %s", problem, fhirJSON)
	}
	return chosen, nil
}

// namedFormat returns the Content-Type that a value of _format asks for.
func namedFormat(value string) (string, error) {
	// A plus sign that was not escaped arrives as a space.
	media, err := jsonMedia(strings.ReplaceAll(value, " ", "+"))
	if err != nil {
		return "", fhir.Errorf(fhir.NotAcceptable, "_format=%s: %s", fhir.Clip(value), err.Error())
	}
	return media + "; charset=utf-8", nil
}

// quality returns the q of one part of an Accept header, 1 if it has none.
func quality(part string) float64 {
	_, params, err := mime.ParseMediaType(part)
	if err != nil || params["q"] == "" {
		return 1
	}
	q, err := strconv.ParseFloat(params["q"], 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 1 // as if it had not been sent
	}
	return q
}

// jsonMedia reads one media type and returns the one to answer with. Its error
// says what is wrong in words for the client.
func jsonMedia(text string) (string, error) {
	name, params, err := mime.ParseMediaType(text)
	if err != nil {
		return "", fhir.Errorf(fhir.Invalid, "%q is not a media type", fhir.Clip(text))
	}
	media, ok := jsonNames[name]
	if !ok {
		if strings.Contains(name, "xml") {
			return "", fhir.Errorf(fhir.NotSupported, "this server speaks JSON only, not XML")
		}
		if strings.Contains(name, "turtle") || name == "ttl" {
			return "", fhir.Errorf(fhir.NotSupported, "this server speaks JSON only, not Turtle")
		}
		return "", fhir.Errorf(fhir.NotSupported, "format %q is not supported", fhir.Clip(name))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return "", fhir.Errorf(fhir.NotSupported, "charset %q is not supported, only UTF-8", fhir.Clip(charset))
	}
	// https://hl7.org/fhir/R4/http.html#version-parameter
	if version := params["fhirversion"]; version != "" && version != "4.0" && version != "4.0.1" {
		return "", fhir.Errorf(fhir.NotSupported, "fhirVersion %q is not supported, only 4.0", fhir.Clip(version))
	}
	return media, nil
}

// indent lays JSON out for people. Numbers stay as they are.
func indent(body []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		return body
	}
	return append(out.Bytes(), '\n')
}
