package search

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-fhir/starling/fhir"
)

func location(latitude, longitude string) string {
	return fmt.Sprintf(`{"resourceType":"Location","position":{"latitude":%s,"longitude":%s}}`, latitude, longitude)
}

// TestNear measures well-known distances: Oslo to Bergen is 305 km, a degree of
// latitude 111.195 km.
//
// https://hl7.org/fhir/R4/location.html#positional
func TestNear(t *testing.T) {
	oslo := location("59.9139", "10.7522")
	for _, test := range []struct {
		name, doc, value string
		want             bool
	}{
		{"within", oslo, "60.3913|5.3221|306|km", true},
		{"beyond", oslo, "60.3913|5.3221|304|km", false},
		{"kilometres unless told", oslo, "60.3913|5.3221|306", true},
		{"metres", oslo, "60.3913|5.3221|306000|m", true},
		{"miles", oslo, "60.3913|5.3221|190|[mi_i]", true},
		{"US miles", oslo, "60.3913|5.3221|189|[mi_us]", false},
		{"nautical miles", oslo, "60.3913|5.3221|165|[nmi_i]", true},
		{"the same place", oslo, "59.9139|10.7522|0|m", true},
		{"a degree of latitude", location("1", "0"), "0|0|111.2|km", true},
		{"less than a degree", location("1", "0"), "0|0|111.1|km", false},
		{"no distance means 50 km", oslo, "59.7|10.2", true},
		{"nor more", oslo, "59.3|10.7522||", false},
		{"across the date line", location("0", "179.9"), "0|-179.9|23|km", true},
		{"not across the world", location("0", "179.9"), "0|-179.9|22|km", false},
		{"over the pole", location("89.9", "0"), "89.9|180|23|km", true},
		{"round the pole", location("-90", "12"), "-89.99|-170|2|km", true},
		{"the antipode", location("-59.9139", "-169.2478"), "59.9139|10.7522|20016|km", true},
		{"one of several values", oslo, "0|0|1|km,59.9|10.7|10|km", true},
		{"everywhere", oslo, "-59|-170|99999|km", true},
		{"latitude comes first", oslo, "10.7522|59.9139|50|km", false},
	} {
		if got := finds(t, test.doc, "near="+test.value); got != test.want {
			t.Errorf("%s: near=%s: %t, want %t", test.name, test.value, got, test.want)
		}
	}
	if finds(t, `{"resourceType":"Location","position":{"latitude":1}}`, "near=1|1|99999|km") {
		t.Error("a place without longitude is near")
	}
}

func TestNearErrors(t *testing.T) {
	for value, says := range map[string]string{
		"1": "is written", "1|2|3|km|x": "is written", "91|0|1|km": "latitude", "0|181|1|km": "longitude", "x|0|1|km": "latitude", "NaN|0": "latitude", "0x1p3|0": "latitude",
		"0|0|-1|km": "0 or more", "0|0|Inf": "0 or more", "0|0|1|kg": "unit of length", "0|0|1|miles": "unit of length", "0|0||km": "no distance", "0|0|1e999|km": "0 or more",
	} {
		if _, err := nearRanges(value); fhir.KindOf(err) != fhir.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", value, err, says)
		}
	}
}

// TestNearAgreesWithVectors compares with the angle between two vectors, another
// way to measure the same.
func TestNearAgreesWithVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		degrees := func(what string, most int) float64 {
			return float64(rapid.IntRange(-most*100, most*100).Draw(t, what)) / 100
		}
		a := point{degrees("latitude", 90), degrees("longitude", 180)}
		b := point{degrees("other latitude", 90), degrees("other longitude", 180)}
		metres := float64(rapid.IntRange(0, 20_100_000).Draw(t, "metres"))
		vector := func(p point) [3]float64 {
			lat, lon := p.latitude*math.Pi/180, p.longitude*math.Pi/180
			return [3]float64{math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)}
		}
		u, v := vector(a), vector(b)
		cross := math.Hypot(math.Hypot(u[1]*v[2]-u[2]*v[1], u[2]*v[0]-u[0]*v[2]), u[0]*v[1]-u[1]*v[0])
		way := earthRadius * math.Atan2(cross, u[0]*v[0]+u[1]*v[1]+u[2]*v[2])
		if math.Abs(way-metres) < 1 {
			t.Skip("on the line")
		}
		entries := extractRapid(t, decodeRapid(t, location(fmt.Sprintf("%.2f", a.latitude), fmt.Sprintf("%.2f", a.longitude))))
		ranges, err := nearRanges(fmt.Sprintf("%.2f|%.2f|%.0f|m", b.latitude, b.longitude, metres))
		if err != nil {
			t.Fatal(err)
		}
		if got := Match("Location", entries, Clause{Param: "near", Ranges: ranges}); got != (way <= metres) {
			t.Fatalf("%v from %v, %.0f m: %t, but it is %.0f m", a, b, metres, got, way)
		}
	})
}

func FuzzNear(f *testing.F) {
	f.Add("59.9|10.7|5|km")
	f.Add("90|180|1e3|[mi_us]")
	f.Fuzz(func(t *testing.T, value string) {
		ranges, err := nearRanges(value)
		if err == nil && len(ranges) != 1 {
			t.Errorf("%q: %d ranges", value, len(ranges))
		}
	})
}
