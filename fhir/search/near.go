package search

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// Location.near: places within a distance,
// https://hl7.org/fhir/R4/location.html#positional. A place's entry has its
// latitude and longitude; a search selects a band of latitudes and measures the
// rest of the way.

// indexPosition adds the entry of a position.
func indexPosition(x *extraction, p *Param, _ string, n *resource.Node) {
	latitude, okLatitude := number(n.Get("latitude"))
	longitude, okLongitude := number(n.Get("longitude"))
	if !okLatitude || !okLongitude || len(latitude.digits) > maxDigits || len(longitude.digits) > maxDigits {
		return
	}
	v := appendDecimal(x.value(classPosition), latitude.decimal, onPoint)
	x.add(p, appendDecimal(v, longitude.decimal, onPoint))
}

const (
	// earthRadius is the mean radius of the earth in metres: distances are those
	// on a sphere, which is at most 0.6 % wrong.
	// https://en.wikipedia.org/wiki/Earth_radius#Arithmetic_mean_radius
	earthRadius = 6_371_008.8
	// defaultDistance is how near is near if nobody says, in metres.
	defaultDistance = 50_000
	// defaultDistanceUnit is R4's: "if the units are omitted, then kms should be
	// assumed".
	defaultDistanceUnit = "km"
)

// point is a place on earth in degrees.
type point struct{ latitude, longitude float64 }

// nearRanges reads a value of near, still escaped:
// latitude|longitude[|distance[|units]].
func nearRanges(value string) ([]Range, error) {
	parts := splitParts(value)
	if len(parts) < 2 || len(parts) > 4 {
		return nil, fhir.Errorf(fhir.Invalid, "near is written latitude|longitude|distance|units, such as 59.91|10.75|5|km, not %q", fhir.Clip(value))
	}
	latitude, err := degrees("latitude", parts[0], 90)
	if err != nil {
		return nil, err
	}
	longitude, err := degrees("longitude", parts[1], 180)
	if err != nil {
		return nil, err
	}
	metres := float64(defaultDistance)
	switch {
	case len(parts) > 2 && parts[2] != "":
		code := ""
		if len(parts) == 4 {
			code = parts[3]
		}
		if metres, err = distance(parts[2], code); err != nil {
			return nil, err
		}
	case len(parts) == 4 && parts[3] != "":
		return nil, fhir.Errorf(fhir.Invalid, "near has units but no distance")
	}
	return []Range{point{latitude, longitude}.within(metres)}, nil
}

func degrees(what, text string, most float64) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if _, ok := parseDecimal(text); !ok || err != nil || math.Abs(n) > most {
		return 0, fhir.Errorf(fhir.Invalid, "%q is not a %s: write degrees from -%g to %g; places south and west are below zero", fhir.Clip(text), what, most, most)
	}
	return n, nil
}

// distance returns metres.
func distance(text, code string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if _, ok := parseDecimal(text); !ok || err != nil || n < 0 {
		return 0, fhir.Errorf(fhir.Invalid, "%q is not a distance: write a number, 0 or more", fhir.Clip(text))
	}
	if code == "" {
		code = defaultDistanceUnit
	}
	u, known := unitOf(code)
	metre, _ := unitOf("m")
	if !known || u.kind != metre.kind {
		return 0, fhir.Errorf(fhir.Invalid, "%q is not a unit of length: write a code of UCUM such as km, m, [mi_i], [mi_us] or [nmi_i]", fhir.Clip(code))
	}
	return n * u.factor.float() / metre.factor.float(), nil
}

// float is the nearest float.
func (l literal) float() float64 {
	n, power := l.integer()
	f, _ := new(big.Rat).Mul(new(big.Rat).SetInt(n), tenTo(power)).Float64()
	return f
}

// within selects the places whose great-circle distance is at most some metres.
func (p point) within(metres float64) Range {
	// The difference of latitudes is never more than the distance, also across
	// the poles and the date line. The margin is for rounding: half a millimetre.
	reach := metres/earthRadius*180/math.Pi + 5e-9
	bound := func(latitude float64) []byte {
		l, _ := parseDecimal(strconv.FormatFloat(latitude, 'f', 12, 64))
		return appendDecimal([]byte{classPosition}, l.decimal, onPoint)
	}
	return Range{
		From: bound(math.Max(-90, p.latitude-reach)),
		To:   prefixEnd(bound(math.Min(90, p.latitude+reach))),
		Keep: func(value []byte) bool {
			other, ok := positionOf(value)
			return ok && p.distance(other) <= metres+0.0005
		},
	}
}

// distance is the great-circle distance in metres, by the haversine formula,
// which is good for small distances too.
func (p point) distance(q point) float64 {
	const radian = math.Pi / 180
	sine := func(degrees float64) float64 { s := math.Sin(degrees * radian / 2); return s * s }
	h := sine(q.latitude-p.latitude) + math.Cos(p.latitude*radian)*math.Cos(q.latitude*radian)*sine(q.longitude-p.longitude)
	return 2 * earthRadius * math.Asin(math.Sqrt(math.Min(1, h)))
}

// positionOf reads an entry.
func positionOf(value []byte) (point, bool) {
	if len(value) == 0 || value[0] != classPosition {
		return point{}, false
	}
	value = value[1:]
	n := numberEnd(value)
	latitude, err := strconv.ParseFloat(plainNumber(value[:n]), 64)
	if err != nil {
		return point{}, false
	}
	longitude, err := strconv.ParseFloat(plainNumber(value[n:]), 64)
	return point{latitude, longitude}, err == nil
}

// plainNumber writes an encoded number that lies on its digits.
func plainNumber(b []byte) string { return strings.TrimRight(numberText(b), "+-") }
