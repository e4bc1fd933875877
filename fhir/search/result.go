package search

import (
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Page sizes.
const (
	DefaultCount = 20
	MaxCount     = 1_000 // a larger _count is taken as this
)

// resultNames returns the parameters that shape the answer rather than select
// resources. But for the includes each may be given once. Their readers are in
// resultReader.
//
// https://hl7.org/fhir/R4/search.html#return
func (p *parser) resultNames() []string {
	names := []string{
		"_contained", "_containedType", "_count", "_cursor", "_elements", "_format", "_include", "_pretty", "_revinclude",
		"_sort", "_summary", "_total", "_type",
	}
	if p.opts.Explain {
		names = append(names, "_explain")
	}
	return names
}

// resultReader returns what reads a parameter of resultNames that can be given
// once; else nil.
func (p *parser) resultReader(name string) func(p *parser, value string) error {
	switch name {
	case "_contained":
		return readContained
	case "_containedType":
		return readContainedType
	case "_count":
		return readCount
	case "_cursor":
		return readCursor
	case "_elements":
		return readElements
	case "_explain":
		if p.opts.Explain {
			return readExplain
		}
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

// isResult reports whether a name is one of resultNames.
func (p *parser) isResult(name string) bool {
	return name == "_include" || name == "_revinclude" || p.resultReader(name) != nil
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
		own := name
		if typ, element, typed := strings.Cut(name, "."); typed && resource.KnownType(typ) {
			own = element // of that type alone
		}
		if !isElementName(own) {
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

func readPretty(p *parser, value string) (err error) {
	p.request.Pretty, err = readBool(p, "_pretty", value)
	return err
}

// readExplain reads _explain, a parameter of ours: how the search was carried
// out is told with the answer.
func readExplain(p *parser, value string) (err error) {
	p.request.Query.Explain, err = readBool(p, "_explain", value)
	return err
}

func readBool(p *parser, name, value string) (bool, error) {
	if value != "true" && value != "false" {
		return false, fhir.Errorf(fhir.Invalid, "%s: %q is neither true nor false", name, fhir.Clip(value))
	}
	p.use(name, value)
	return value == "true", nil
}

// readSummary reads _summary. https://hl7.org/fhir/R4/search.html#summary
func readSummary(p *parser, value string) error {
	switch value {
	case "true", "text", "data", "count", "false":
		p.request.Summary = value
		p.use("_summary", value)
		return nil
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
			return fhir.Errorf(fhir.NotSupported, "_sort by _score is not supported by this server: a score is worked out for the matches of a page, not for all")
		}
		if strings.ContainsAny(name, ".:") {
			return fhir.Errorf(fhir.Invalid, "_sort: %q: the order is that of parameters of the resource itself, without chains and modifiers", fhir.Clip(name))
		}
		if p.isResult(name) || wholeReader(name) != nil {
			return fhir.Errorf(fhir.Invalid, "_sort: %s is no parameter of resources, so it gives no order", name)
		}
		found, err := p.meanings(p.at, name)
		if err != nil {
			return explain(err, "_sort")
		}
		typ := found[0].params[0].Type
		class, ok := sortClass(typ, desc)
		if !ok {
			return fhir.Errorf(fhir.Invalid, "_sort: %s is a %s parameter, which has no order", name, typ)
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
