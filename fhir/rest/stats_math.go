package rest

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir/resource"
)

// statisticsSystem is the code system of the statistics.
const statisticsSystem = "http://terminology.hl7.org/CodeSystem/observation-statistics"

// statistic is one that can be asked for. The units of its value are those of
// the measurements to a power; 0 for a bare number.
type statistic struct {
	code, display string
	power         int
	// of computes it of at least one value, sorted. ok is false where it is not
	// defined.
	of func(sorted []*big.Rat) (value *big.Rat, ok bool)
}

// statistics are those of R4, computed on exact fractions. The variance and the
// standard deviation are those of a sample, with n-1. Percentiles lie between the
// two nearest values in proportion (R's type 7), so the median is the mean of the
// two in the middle. The skew is m3/m2^(3/2) and the kurtosis m4/m2², of central
// moments: that of a normal distribution is 3.
//
// https://hl7.org/fhir/R4/valueset-observation-statistics.html
var statistics = []statistic{
	{"average", "Average", 1, average},
	{"maximum", "Maximum", 1, func(v []*big.Rat) (*big.Rat, bool) { return v[len(v)-1], true }},
	{"minimum", "Minimum", 1, func(v []*big.Rat) (*big.Rat, bool) { return v[0], true }},
	{"count", "Count", 0, nil},
	{"total-count", "Total Count", 0, nil},
	{"median", "Median", 1, percentile(1, 2)},
	{"std-dev", "Standard Deviation", 1, standardDeviation},
	{"sum", "Sum", 1, func(v []*big.Rat) (*big.Rat, bool) { return sum(v), true }},
	{"variance", "Variance", 2, variance},
	{"20-percent", "20th Percentile", 1, percentile(1, 5)},
	{"80-percent", "80th Percentile", 1, percentile(4, 5)},
	{"4-lower", "Lower Quartile", 1, percentile(1, 4)},
	{"4-upper", "Upper Quartile", 1, percentile(3, 4)},
	{"4-dev", "Quartile Deviation", 1, quartileDeviation},
	{"5-1", "1st Quintile", 1, percentile(1, 5)},
	{"5-2", "2nd Quintile", 1, percentile(2, 5)},
	{"5-3", "3rd Quintile", 1, percentile(3, 5)},
	{"5-4", "4th Quintile", 1, percentile(4, 5)},
	{"skew", "Skew", 0, skew},
	{"kurtosis", "Kurtosis", 0, kurtosis},
	{"regression", "Regression", 1, nil},
}

// shortStatistics are the names that the text of the operation uses.
var shortStatistics = map[string]string{"max": "maximum", "min": "minimum"}

// exactNumber reads a decimal with how many digits it has behind the point. ok is
// false for what is too long to reckon with.
func exactNumber(text string) (value *big.Rat, scale int, ok bool) {
	const most = 64 // bytes; FHIR numbers have 18 digits
	if len(text) > most {
		return nil, 0, false
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if exponent != "" {
		if power, err := strconv.Atoi(exponent); err != nil || power > most || power < -most {
			return nil, 0, false
		}
	}
	_, fraction, _ := strings.Cut(mantissa, ".")
	value, ok = new(big.Rat).SetString(text)
	return value, len(fraction), ok
}

func sortRats(values []*big.Rat) {
	slices.SortFunc(values, func(a, b *big.Rat) int { return a.Cmp(b) })
}

func sum(values []*big.Rat) *big.Rat {
	total := new(big.Rat)
	for _, v := range values {
		total.Add(total, v)
	}
	return total
}

func average(values []*big.Rat) (*big.Rat, bool) {
	return new(big.Rat).Quo(sum(values), big.NewRat(int64(len(values)), 1)), true
}

// moment is the mean of the deviations from the average, to a power.
func moment(values []*big.Rat, power int) *big.Rat {
	mean, _ := average(values)
	total := new(big.Rat)
	for _, v := range values {
		deviation := new(big.Rat).Sub(v, mean)
		product := big.NewRat(1, 1)
		for range power {
			product.Mul(product, deviation)
		}
		total.Add(total, product)
	}
	return total.Quo(total, big.NewRat(int64(len(values)), 1))
}

func variance(values []*big.Rat) (*big.Rat, bool) {
	n := int64(len(values))
	if n < 2 {
		return nil, false
	}
	return new(big.Rat).Mul(moment(values, 2), big.NewRat(n, n-1)), true
}

// root returns a square root, correct to far more digits than are shown.
func root(value *big.Rat) *big.Rat {
	const bits = 256
	out, _ := new(big.Float).Sqrt(new(big.Float).SetPrec(bits).SetRat(value)).Rat(nil)
	return out
}

func standardDeviation(values []*big.Rat) (*big.Rat, bool) {
	v, ok := variance(values)
	if !ok {
		return nil, false
	}
	return root(v), true
}

func skew(values []*big.Rat) (*big.Rat, bool) {
	m2 := moment(values, 2)
	if m2.Sign() == 0 {
		return nil, false
	}
	return new(big.Rat).Quo(moment(values, 3), new(big.Rat).Mul(m2, root(m2))), true
}

func kurtosis(values []*big.Rat) (*big.Rat, bool) {
	m2 := moment(values, 2)
	if m2.Sign() == 0 {
		return nil, false
	}
	return new(big.Rat).Quo(moment(values, 4), new(big.Rat).Mul(m2, m2)), true
}

// percentile returns the statistic below which a fraction of the values lie.
func percentile(numerator, denominator int64) func([]*big.Rat) (*big.Rat, bool) {
	return func(sorted []*big.Rat) (*big.Rat, bool) {
		n := int64(len(sorted)-1) * numerator
		at, rest := n/denominator, n%denominator
		if rest == 0 {
			return sorted[at], true
		}
		step := new(big.Rat).Sub(sorted[at+1], sorted[at])
		return step.Add(sorted[at], step.Mul(step, big.NewRat(rest, denominator))), true
	}
}

func quartileDeviation(sorted []*big.Rat) (*big.Rat, bool) {
	lower, _ := percentile(1, 4)(sorted)
	upper, _ := percentile(3, 4)(sorted)
	return new(big.Rat).Mul(new(big.Rat).Sub(upper, lower), big.NewRat(1, 2)), true
}

// regression fits a straight line to the values over time, in days since the
// first of them. ok is false with fewer than two different moments.
func regression(values []measurement) (gradient, intercept *big.Rat, ok bool) {
	values = slices.DeleteFunc(slices.Clone(values), func(m measurement) bool { return m.when.IsZero() })
	if len(values) < 2 {
		return nil, nil, false
	}
	first := slices.MinFunc(values, func(a, b measurement) int { return a.when.Compare(b.when) }).when
	n := big.NewRat(int64(len(values)), 1)
	x, y, xx, xy := new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat)
	for _, m := range values {
		days := big.NewRat(m.when.Sub(first).Milliseconds(), (24 * time.Hour).Milliseconds())
		x.Add(x, days)
		y.Add(y, m.value)
		xx.Add(xx, new(big.Rat).Mul(days, days))
		xy.Add(xy, new(big.Rat).Mul(days, m.value))
	}
	below := new(big.Rat).Sub(new(big.Rat).Mul(n, xx), new(big.Rat).Mul(x, x))
	if below.Sign() == 0 {
		return nil, nil, false
	}
	gradient = new(big.Rat).Sub(new(big.Rat).Mul(n, xy), new(big.Rat).Mul(x, y))
	gradient.Quo(gradient, below)
	intercept = new(big.Rat).Sub(y, new(big.Rat).Mul(gradient, x))
	return gradient, intercept.Quo(intercept, n), true
}

// decimalText writes a fraction as a decimal with at least so many digits behind
// the point: exactly if 15 digits do, else rounded to 15 significant ones.
func decimalText(value *big.Rat, scale int) string {
	const significant = 15
	for digits := scale; digits <= significant; digits++ {
		text := value.FloatString(digits)
		if back, ok := new(big.Rat).SetString(text); ok && back.Cmp(value) == 0 {
			return text
		}
	}
	whole := new(big.Int).Quo(new(big.Int).Abs(value.Num()), value.Denom())
	places := significant - len(whole.String())
	if whole.Sign() == 0 {
		places = significant
		for small := new(big.Rat).Abs(value); small.Sign() > 0 && small.Cmp(big.NewRat(1, 10)) < 0 && places < 300; places++ {
			small.Mul(small, big.NewRat(10, 1))
		}
	}
	text := value.FloatString(max(places, scale, 0))
	if strings.Contains(text, ".") {
		text = strings.TrimRight(text, "0")
		text = strings.TrimSuffix(text, ".")
	}
	return text
}

// observation is the answer for one code: an Observation with a component for
// each statistic.
func (one *series) observation(call *statsCall) resource.Node {
	sorted := make([]*big.Rat, len(one.values))
	for i := range one.values {
		sorted[i] = one.values[i].value
	}
	sortRats(sorted)
	var components []resource.Node
	for _, name := range call.statistics {
		i := slices.IndexFunc(statistics, func(s statistic) bool { return s.code == name })
		components = append(components, one.components(&statistics[i], sorted)...)
	}
	concept := object(list("coding", []resource.Node{object(text("system", one.code.system), text("code", one.code.code), text("display", one.code.display))}))
	out := object(
		text("resourceType", "Observation"),
		text("status", "final"),
		resource.Field{Name: "code", Node: concept},
		resource.Field{Name: "subject", Node: object(text("reference", call.subject.String()))},
	)
	if call.from != "" || call.to != "" {
		out.Set("effectivePeriod", object(text("start", call.from), text("end", call.to)))
	}
	out.Set("component", resource.Node{Kind: resource.Array, Items: components})
	return out
}

// components are the components of one statistic: two of a regression.
func (one *series) components(s *statistic, sorted []*big.Rat) []resource.Node {
	switch s.code {
	case "count":
		return []resource.Node{one.component(s, "", big.NewRat(int64(len(sorted)), 1), "1", 0)}
	case "total-count":
		return []resource.Node{one.component(s, "", big.NewRat(int64(one.all), 1), "1", 0)}
	case "regression":
		gradient, intercept, ok := regression(one.values)
		if !ok {
			return []resource.Node{one.component(s, "", nil, "", 0)}
		}
		return []resource.Node{
			one.component(s, "gradient per day", gradient, compound(one.unit)+"/d", 0),
			one.component(s, "intercept at the first measurement", intercept, one.unit, 0),
		}
	}
	if len(sorted) == 0 {
		return []resource.Node{one.component(s, "", nil, "", 0)}
	}
	value, ok := s.of(sorted)
	if !ok {
		return []resource.Node{one.component(s, "", nil, "", 0)}
	}
	switch s.power {
	case 0:
		return []resource.Node{one.component(s, "", value, "1", 0)}
	case 1:
		return []resource.Node{one.component(s, "", value, one.unit, one.scale)}
	}
	return []resource.Node{one.component(s, "", value, compound(one.unit)+strconv.Itoa(s.power), 0)}
}

// compound returns a unit as a part of another one.
func compound(unit string) string {
	if strings.ContainsAny(unit, "/.0123456789") {
		return "(" + unit + ")"
	}
	return unit
}

// component is one value; nil if it is not defined for so few measurements.
func (one *series) component(s *statistic, about string, value *big.Rat, unit string, scale int) resource.Node {
	out := object(resource.Field{Name: "code", Node: object(
		list("coding", []resource.Node{object(text("system", statisticsSystem), text("code", s.code), text("display", s.display))}),
		text("text", about),
	)})
	if value == nil {
		reason := object(text("system", "http://terminology.hl7.org/CodeSystem/data-absent-reason"), text("code", "not-applicable"))
		out.Set("dataAbsentReason", object(list("coding", []resource.Node{reason}), text("text", "not defined for so few measurements")))
		return out
	}
	out.Set("valueQuantity", object(
		resource.Field{Name: "value", Node: resource.Node{Kind: resource.Number, Text: decimalText(value, scale)}},
		text("unit", unit), text("system", ucum), text("code", unit),
	))
	return out
}
