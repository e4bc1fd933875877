package search

import (
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// Page sizes.
const (
	DefaultCount = 20
	MaxCount     = 1_000 // a larger _count is taken as this
)

// resultNames are the parameters that shape the answer rather than select
// resources. Each may be given once. Their readers are in resultReader.
//
// https://hl7.org/fhir/R4/search.html#return
var resultNames = []string{
	"_count", "_cursor", "_elements", "_format", "_pretty", "_sort", "_summary", "_total", "_type",
}

// resultReader returns what reads a parameter of resultNames; else nil.
func resultReader(name string) func(p *parser, value string) error {
	switch name {
	case "_count":
		return readCount
	case "_cursor":
		return readCursor
	case "_elements":
		return readElements
	case "_format":
		return readFormat
	case "_pretty":
		return readPretty
	case "_sort":
		return readSort
	case "_summary":
		return readSummary
	case "_total":
		return readTotal
	case "_type":
		return readType
	}
	return nil
}

// unbuilt are parameters that R4 defines and this server does not have, with
// what they are for.
var unbuilt = map[string]string{
	"_contained":     "search in contained resources",
	"_containedType": "search in contained resources",
	"_content":       "full-text search",
	"_filter":        "filter expressions",
	"_has":           "reverse chaining",
	"_include":       "included resources",
	"_list":          "membership in a List",
	"_query":         "named queries",
	"_revinclude":    "included resources",
	"_score":         "relevance",
	"_text":          "full-text search",
}

// use notes a result parameter for the self link.
func (p *parser) use(name, value string) {
	p.results = append(p.results, pair{name, value}.String())
}

func readType(p *parser, value string) error {
	p.use("_type", value) // scope has read it
	return nil
}

// readCount reads the page size. "The server ... may return less than the
// client asked for": more than 1,000 is 1,000.
// https://hl7.org/fhir/R4/search.html#count
func readCount(p *parser, value string) error {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return fhir.Errorf(fhir.Invalid, "_count: %q is not a number of resources, 0 or more", fhir.Clip(value))
	}
	p.request.Query.Count = int(min(n, MaxCount))
	p.use("_count", strconv.Itoa(p.request.Query.Count))
	return nil
}

func readCursor(p *parser, value string) error {
	if value == "" {
		return fhir.Errorf(fhir.Invalid, "_cursor is empty: take it from a link of an earlier page")
	}
	p.request.Query.Cursor = value
	return nil
}

// readElements reads the names of the elements to return.
// https://hl7.org/fhir/R4/search.html#elements
func readElements(p *parser, value string) error {
	for name := range strings.SplitSeq(value, ",") {
		if !isElementName(name) {
			return fhir.Errorf(fhir.Invalid, "_elements: %q is not the name of a top-level element", fhir.Clip(name))
		}
		p.request.Elements = append(p.request.Elements, name)
	}
	p.use("_elements", value)
	return nil
}

func isElementName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// readFormat keeps _format; whether it can be met is decided with the Accept
// header.
func readFormat(p *parser, value string) error {
	p.request.Format = value
	p.use("_format", value)
	return nil
}

func readPretty(p *parser, value string) error {
	switch value {
	case "true":
		p.request.Pretty = true
	case "false":
	default:
		return fhir.Errorf(fhir.Invalid, "_pretty: %q is neither true nor false", fhir.Clip(value))
	}
	p.use("_pretty", value)
	return nil
}

// readSummary reads _summary. https://hl7.org/fhir/R4/search.html#summary
func readSummary(p *parser, value string) error {
	switch value {
	case "count", "false":
		p.request.Summary = value
		p.use("_summary", value)
		return nil
	case "true", "text", "data":
		return fhir.Errorf(fhir.NotSupported, "_summary=%s is not supported by this server; count and false are", value)
	}
	return fhir.Errorf(fhir.Invalid, "_summary: %q is not one of true, text, data, count, false", fhir.Clip(value))
}

// readTotal reads _total. An estimate is the exact total where it is cheap.
// https://hl7.org/fhir/R4/search.html#total
func readTotal(p *parser, value string) error {
	switch value {
	case "none":
		p.request.Query.Total = TotalNone
	case "estimate":
		p.request.Query.Total = TotalCheap
	case "accurate":
		p.request.Query.Total = TotalAccurate
	default:
		return fhir.Errorf(fhir.Invalid, "_total: %q is not one of none, estimate, accurate", fhir.Clip(value))
	}
	p.use("_total", value)
	return nil
}

// maxSortKeys is the most keys _sort may have.
const maxSortKeys = 8

// readSort reads _sort: parameter names, a '-' before those that descend.
// https://hl7.org/fhir/R4/search.html#sort
func readSort(p *parser, value string) error {
	keys := strings.Split(value, ",")
	if len(keys) > maxSortKeys {
		return fhir.Errorf(fhir.TooLarge, "_sort takes %d keys at most", maxSortKeys)
	}
	for _, key := range keys {
		name, desc := strings.CutPrefix(key, "-")
		if name == "_score" {
			return fhir.Errorf(fhir.NotSupported, "_sort by _score is not supported by this server")
		}
		params, err := p.lookup(name)
		if err != nil {
			return explain(err, "_sort")
		}
		class, ok := sortClass(params[0].Type, desc)
		if !ok {
			return fhir.Errorf(fhir.Invalid, "_sort: %s is a %s parameter, which has no order", name, params[0].Type)
		}
		p.request.Query.Sort = append(p.request.Query.Sort, Sort{
			Param: name, Range: prefixed([]byte{class}), Desc: desc,
		})
	}
	p.sortKeys = value
	p.use("_sort", value)
	return nil
}

// sortClass returns the class that a parameter type is sorted by: intervals
// ascend by their low end and descend by their high end.
func sortClass(t Type, desc bool) (byte, bool) {
	switch t {
	case TypeDate:
		if desc {
			return classDateHigh, true
		}
		return classDateLow, true
	case TypeNumber:
		if desc {
			return classNumberHigh, true
		}
		return classNumberLow, true
	case TypeQuantity:
		if desc {
			return classQuantityHigh, true
		}
		return classQuantityLow, true
	case TypeString:
		return classString, true
	case TypeToken:
		return classTokenCode, true
	case TypeReference:
		return classReference, true
	case TypeURI:
		return classURI, true
	}
	return 0, false
}
